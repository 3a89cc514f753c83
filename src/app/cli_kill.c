/*
 * adctl kill-switch. The engine is asked first, because it writes down who did
 * it; where it does not answer well, the file itself is written or removed.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cli_commands.h"
#include "app/cli_http.h"
#include "app/cli_output.h"
#include "app/config.h"
#include "os/kill_switch.h"

#define SWITCH_PATH "/api/admin/kill-switch"
#define SWITCH_FILE "/var/lib/autonomous-devops/control/kill-switch"
#define SWITCH_ROOT_FILE "/etc/autonomous-devops/kill-switch"
/* Longer than that is no answer in an emergency. */
#define ANSWER_WAIT_MS 3000

/* Where it is: the one that anybody who may turn it turns, and root's. */
struct files {
    const char *file; /* NULL: nobody can tell */
    const char *root;
};

/* Where the configuration has it; where the package has it, if there is none
 * or it is broken, which is told. None: the one that was named is no use. */
static struct files switch_files(struct cli *cli)
{
    const char *path = cli_value(cli, "config");
    struct config_report report = {0};
    struct config *config = NULL;
    struct files files = {.file = path == NULL ? SWITCH_FILE : NULL,
                          .root = path == NULL ? SWITCH_ROOT_FILE : NULL};
    if (path == NULL && access(CONFIG_PATH_DEFAULT, F_OK) == 0) {
        path = CONFIG_PATH_DEFAULT;
    }
    const struct config_sources from = {.path = path, .beside_engine = true};
    if (path != NULL && config_load_from(&from, &config, &report) == 0) {
        files.file = config_kill_switch(config, &cli->arena);
        files.root = config_root_switch(config, &cli->arena);
    } else if (path != NULL) {
        cli_note(cli,
                 "the configuration %s cannot be used, see: "
                 "autonomous-devops check-config %s",
                 path, path);
    }
    config_free(config);
    config_report_deinit(&report);
    return files;
}

static void print_switch(struct cli *cli, json_t *answer)
{
    bool on = json_is_true(json_object_get(answer, "on"));
    if (cli->format != CLI_TABLE && cli->format != CLI_WIDE &&
        cli->format != CLI_NAME) {
        cli_print_json(cli, answer);
        return;
    }
    cli_print_field(cli, "kill switch",
                    on ? "ON: no workflow and no step begins" : "off");
    if (on) {
        cli_print_field(cli, "by", cli_get(cli, answer, "reason"));
    }
    cli_print_field(cli, "file", cli_get(cli, answer, "path"));
    if (json_is_false(json_object_get(answer, "audited"))) {
        cli_note(cli, "this is not in the audit trail: the store did not "
                      "take it");
    }
    if (on && cli->terminal.tty) {
        cli_note(cli, "what has begun goes on: adctl workflow list --status "
                      "running; to end it: adctl workflow kill ID");
        cli_note(cli, "to let things begin again: adctl kill-switch off");
    }
}

/* What the files say, as the engine would. */
static json_t *by_hand(const struct files *files)
{
    const char *const paths[] = {files->root, files->file};
    const char *where = NULL;
    struct kill_switch k;
    kill_switch_look_at(paths, ARRAY_LEN(paths), &k, &where);
    return json_pack("{s:b, s:s, s:s, s:b}", "on", k.on, "reason", k.text,
                     "path", k.on ? where : files->file, "audited", 0);
}

/* An engine of this machine that did not put it on is asked no further,
 * whatever its reason: it may be older than the question, or not know who asks.
 * It says no to "off" for a reason, if it knows the question. */
static bool is_answer(const struct cli *cli, const struct cli_answer *a,
                      bool on)
{
    bool done = a->status >= 200 && a->status < 300;
    bool told = on ? done || a->status == 400 || a->status == 409
                   : a->status != 0 && a->status != 404;
    return told || !cli_is_local(cli->server);
}

static int take_answer(struct cli *cli, const struct cli_answer *a)
{
    if (a->status < 200 || a->status > 299 || a->body == NULL) {
        return cli_explain(cli, a, NULL);
    }
    print_switch(cli, a->body);
    return CLI_OK;
}

static const char *reason_of(const struct cli *cli)
{
    const char *reason = cli_value(cli, "reason");
    return reason != NULL ? reason : "no reason given";
}

/* Who that is; behind sudo, as sudo says. */
static const char *who_asks(struct cli *cli)
{
    const char *sudo = getenv("SUDO_USER");
    return sudo != NULL && getuid() == 0
               ? cli_text(cli, "uid:0 (sudo by %.40s)", sudo)
               : cli_text(cli, "uid:%u", (unsigned)getuid());
}

/* 1: turned, 0: it was so already. */
static int turn_file(struct cli *cli, const char *file, bool on,
                     struct err *reterr)
{
    struct kill_switch before;
    kill_switch_look(file, &before);
    const char *line = cli_text(cli, "%s: %s", who_asks(cli), reason_of(cli));
    int r = on ? kill_switch_set(file, str_c(line), reterr)
               : kill_switch_clear(file, NULL, reterr);
    return r < 0 ? r : before.on != on;
}

static int turn_by_hand(struct cli *cli, bool on, const char *why)
{
    struct err err = ERR_INIT;
    struct files files = switch_files(cli);
    if (files.file == NULL) {
        return cli_fail(cli, CLI_FAILED, NULL,
                        "the engine did not turn it (%s), and where the kill "
                        "switch is nobody can tell: nothing was done",
                        why);
    }
    int r = turn_file(cli, files.file, on, &err);
    if (r < 0) {
        return cli_fail(
            cli, CLI_FAILED,
            cli_text(cli, "sudo adctl kill-switch %s", on ? "on" : "off"),
            "the engine did not turn it (%s), and: %s", why, err.message);
    }
    cli_note(cli, "the engine did not turn it (%s): %s", why,
             r == 0 ? on ? "the file was there already, and stays"
                         : "there was no file to remove"
             : on   ? "the file was written by hand"
                    : "the file was removed by hand");
    json_auto_t *now = by_hand(&files);
    (void)json_object_del(now, "audited");
    print_switch(cli, now);
    if (!on && json_is_true(json_object_get(now, "on"))) {
        return cli_fail(cli, CLI_FAILED, "sudo adctl kill-switch off --lock",
                        "it stays on: %s", cli_get(cli, now, "path"));
    }
    return CLI_OK;
}

/* Root's own file, which the engine cannot remove, whoever it is by now. */
static int turn_lock(struct cli *cli, bool on)
{
    struct err err = ERR_INIT;
    struct files files = switch_files(cli);
    if (files.root == NULL) {
        return cli_fail(cli, CLI_FAILED, NULL,
                        "it is beside the configuration, and there is none: "
                        "nothing was done");
    }
    int r = turn_file(cli, files.root, on, &err);
    if (r < 0) {
        return cli_fail(cli, CLI_FAILED,
                        cli_text(cli, "sudo adctl kill-switch %s --lock",
                                 on ? "on" : "off"),
                        "%s", err.message);
    }
    if (on) {
        json_auto_t *now = by_hand(&files);
        (void)json_object_del(now, "audited");
        print_switch(cli, now);
    }
    return CLI_OK;
}

static int ask(struct cli *cli, struct cli_request *request, bool on,
               struct cli_answer *ret)
{
    request->path = SWITCH_PATH;
    request->timeout_ms = ANSWER_WAIT_MS;
    cli_send(cli, request, ret);
    return is_answer(cli, ret, on) ? take_answer(cli, ret) : -1;
}

static const char *why_not(struct cli *cli, const struct cli_answer *a)
{
    return a->status == 0 ? cli_text(cli, "%s", a->why)
                          : cli_text(cli, "status %ld", a->status);
}

static int turn(struct cli *cli, bool on)
{
    int locked = cli_has(cli, "lock") ? turn_lock(cli, on) : CLI_OK;
    if (locked != CLI_OK || (on && cli_has(cli, "lock"))) {
        return locked;
    }
    json_auto_t *body = json_pack("{s:b}", "on", on);
    const char *reason = cli_value(cli, "reason");
    if (on && reason != NULL) {
        (void)json_object_set_new(body, "reason", json_string(reason));
    }
    struct cli_request request = {.method = "POST", .body = body};
    struct cli_answer answer = {0};
    int r = ask(cli, &request, on, &answer);
    if (r < 0) {
        r = turn_by_hand(cli, on, why_not(cli, &answer));
    }
    cli_answer_deinit(&answer);
    return r;
}

int cli_kill_switch_show(struct cli *cli)
{
    struct cli_request request = {.method = "GET"};
    struct cli_answer answer = {0};
    int r = ask(cli, &request, false, &answer);
    struct files files = {0};
    if (r < 0) {
        files = switch_files(cli);
    }
    if (r < 0 && files.file == NULL) {
        r = cli_fail(cli, CLI_FAILED, NULL, "the engine did not answer (%s)",
                     why_not(cli, &answer));
    } else if (r < 0) {
        json_auto_t *now = by_hand(&files);
        (void)json_object_del(now, "audited");
        cli_note(cli,
                 "the engine did not answer (%s): this is what the file "
                 "says",
                 why_not(cli, &answer));
        print_switch(cli, now);
        r = CLI_OK;
    }
    cli_answer_deinit(&answer);
    return r;
}

int cli_kill_switch_on(struct cli *cli)
{
    return turn(cli, true);
}

int cli_kill_switch_off(struct cli *cli)
{
    return turn(cli, false);
}
