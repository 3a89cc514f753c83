/*
 * adctl kill-switch. The engine is asked first, because it writes down who did
 * it; where it does not answer well, the file itself is written or removed.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/cli_commands.h"
#include "app/cli_http.h"
#include "app/cli_output.h"
#include "app/config.h"
#include "os/kill_switch.h"

#define SWITCH_PATH "/api/admin/kill-switch"
#define SWITCH_FILE "/var/lib/autonomous-devops/control/kill-switch"
/* Longer than that is no answer in an emergency. */
#define ANSWER_WAIT_MS 3000

/* Where the configuration has it; where the package has it, if there is none
 * or it is broken, which is told. NULL: the one that was named is no use. */
static const char *switch_file(struct cli *cli)
{
    const char *path = cli_value(cli, "config");
    struct config_report report = {0};
    struct config *config = NULL;
    const char *file = path == NULL ? SWITCH_FILE : NULL;
    if (path == NULL && access(CONFIG_PATH_DEFAULT, F_OK) == 0) {
        path = CONFIG_PATH_DEFAULT;
    }
    const struct config_sources from = {.path = path, .beside_engine = true};
    if (path != NULL && config_load_from(&from, &config, &report) == 0) {
        file = cli_text(cli, "%s", config_kill_switch(config, &config->arena));
    } else if (path != NULL) {
        cli_note(cli,
                 "the configuration %s cannot be used, see: "
                 "autonomous-devops check-config %s",
                 path, path);
    }
    config_free(config);
    config_report_deinit(&report);
    return file;
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

/* What the file says, as the engine would. */
static json_t *by_hand(const char *file)
{
    struct kill_switch k;
    kill_switch_look(file, &k);
    return json_pack("{s:b, s:s, s:s, s:b}", "on", k.on, "reason", k.text,
                     "path", file, "audited", 0);
}

/* An engine that says no for a reason is right; one that cannot is asked no
 * further, if it is the one of this machine. */
static bool is_answer(const struct cli *cli, const struct cli_answer *a)
{
    return (a->status >= 200 && a->status < 500) || !cli_is_local(cli->server);
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

static int turn_by_hand(struct cli *cli, bool on, const char *why)
{
    struct err err = ERR_INIT;
    const char *file = switch_file(cli);
    char line[KILL_SWITCH_TEXT_SIZE];
    if (file == NULL) {
        return cli_fail(cli, CLI_FAILED, NULL,
                        "the engine did not answer (%s), and where the kill "
                        "switch is nobody can tell: nothing was done",
                        why);
    }
    (void)snprintf(line, sizeof(line), "uid:%u: %s", (unsigned)getuid(),
                   reason_of(cli));
    int r = on ? kill_switch_set(file, str_c(line), &err)
               : kill_switch_clear(file, &err);
    if (r < 0) {
        return cli_fail(
            cli, CLI_FAILED,
            cli_text(cli, "sudo adctl kill-switch %s", on ? "on" : "off"),
            "the engine did not answer (%s), and: %s", why, err.message);
    }
    cli_note(cli, "the engine did not answer (%s): the file was %s by hand",
             why, on ? "written" : "removed");
    json_auto_t *now = by_hand(file);
    print_switch(cli, now);
    return CLI_OK;
}

static int ask(struct cli *cli, struct cli_request *request,
               struct cli_answer *ret)
{
    request->path = SWITCH_PATH;
    request->timeout_ms = ANSWER_WAIT_MS;
    cli_send(cli, request, ret);
    return is_answer(cli, ret) ? take_answer(cli, ret) : -1;
}

static const char *why_not(struct cli *cli, const struct cli_answer *a)
{
    return a->status == 0 ? cli_text(cli, "%s", a->why)
                          : cli_text(cli, "status %ld", a->status);
}

static int turn(struct cli *cli, bool on)
{
    json_auto_t *body = json_pack("{s:b}", "on", on);
    const char *reason = cli_value(cli, "reason");
    if (on && reason != NULL) {
        (void)json_object_set_new(body, "reason", json_string(reason));
    }
    struct cli_request request = {.method = "POST", .body = body};
    struct cli_answer answer = {0};
    int r = ask(cli, &request, &answer);
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
    int r = ask(cli, &request, &answer);
    const char *file = r < 0 ? switch_file(cli) : NULL;
    if (r < 0 && file == NULL) {
        r = cli_fail(cli, CLI_FAILED, NULL, "the engine did not answer (%s)",
                     why_not(cli, &answer));
    } else if (r < 0) {
        json_auto_t *now = by_hand(file);
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
