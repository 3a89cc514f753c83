/*
 * adctl reload: the configuration and the runbooks of the running engine.
 */
#include <string.h>

#include "app/cli_commands.h"
#include "app/cli_http.h"
#include "app/cli_output.h"

#define WAIT_DEFAULT_MS (90ULL * 1000)
#define SHOWN 4 /* lines about files of one kind */

static const char *list_of(struct cli *cli, const json_t *list)
{
    struct strbuf text = STRBUF_INIT(16UL * 1024);
    size_t i = 0;
    json_t *word = NULL;
    json_array_foreach (list, i, word) {
        strbuf_addf(&text, "%s%s", i != 0 ? ", " : "", json_string_value(word));
    }
    const char *copy = cli_text(cli, "%s", text.len != 0 ? text.at : "nothing");
    strbuf_deinit(&text);
    return copy;
}

static int post(struct cli *cli, const char *path, uint64_t timeout_ms,
                json_t **ret)
{
    const struct cli_request request = {
        .method = "POST", .path = path, .timeout_ms = MAX(timeout_ms, 1UL)};
    return cli_call(cli, &request, NULL, ret);
}

static void print_config(struct cli *cli, const json_t *config)
{
    const json_t *restart = json_object_get(config, "restart_required");
    size_t i = 0;
    json_t *warning = NULL;
    json_t *other = NULL;
    cli_print_field(cli, "configuration", "reloaded");
    cli_print_field(cli, "changed",
                    list_of(cli, json_object_get(config, "changed")));
    json_array_foreach (json_object_get(config, "warnings"), i, warning) {
        cli_note(cli, "%s:%s: %s: %s", cli_get(cli, warning, "file"),
                 cli_get(cli, warning, "line"), cli_get(cli, warning, "field"),
                 cli_get(cli, warning, "message"));
    }
    json_array_foreach (json_object_get(config, "not_in_force"), i, other) {
        cli_note(cli,
                 "%s is not in force: set to %s by %s at %s; to go back: "
                 "adctl worker scale default",
                 cli_get(cli, other, "key"), cli_get(cli, other, "value"),
                 cli_who(cli, other, "by"), cli_get(cli, other, "at_iso"));
    }
    if (json_array_size(restart) != 0) {
        cli_note(cli,
                 "needs a restart: %s; try: systemctl restart "
                 "autonomous-devops",
                 list_of(cli, restart));
    }
}

/* What the executor will not run, with the reasons of the first. */
static void tell_refused(struct cli *cli, const json_t *refused)
{
    size_t i = 0;
    json_t *file = NULL;
    json_array_foreach (refused, i, file) {
        if (i < SHOWN) {
            cli_note(cli, "the executor refuses %s: %s",
                     cli_get(cli, file, "path"), cli_get(cli, file, "refusal"));
        }
    }
    if (i > SHOWN) {
        cli_note(cli, "and %zu more; see: adctl runbook list", i - SHOWN);
    }
}

static void tell_warnings(struct cli *cli, const json_t *problems)
{
    size_t count = 0;
    size_t i = 0;
    json_t *p = NULL;
    json_array_foreach (problems, i, p) {
        if (json_is_true(json_object_get(p, "warning")) && count++ < SHOWN) {
            cli_note(cli, "warning: %s: %s", cli_get(cli, p, "file"),
                     cli_get(cli, p, "message"));
        }
    }
    if (count > SHOWN) {
        cli_note(cli, "and %zu more warnings; see: adctl runbook list",
                 count - SHOWN);
    }
}

static void print_runbooks(struct cli *cli, const json_t *runbooks)
{
    const json_t *files = json_object_get(runbooks, "files");
    const json_t *rejected = json_object_get(files, "rejected");
    const json_t *refused = json_object_get(files, "refused");
    cli_print_field(
        cli, "runbooks",
        cli_text(cli,
                 "%s added, %s changed, %s removed, "
                 "%zu rejected%s",
                 cli_get(cli, runbooks, "added"),
                 cli_get(cli, runbooks, "changed"),
                 cli_get(cli, runbooks, "removed"), json_array_size(rejected),
                 json_array_size(refused) != 0
                     ? cli_text(cli, ", %zu refused", json_array_size(refused))
                     : ""));
    cli_print_field(cli, "commit", cli_get(cli, runbooks, "commit"));
    if (json_array_size(rejected) != 0) {
        cli_note(cli, "see: adctl runbook validate %s",
                 cli_get(cli, json_array_get(rejected, 0), "path"));
    }
    tell_refused(cli, refused);
    tell_warnings(cli, json_object_get(runbooks, "problems"));
}

/* Each part by itself, as SIGHUP does it: an error in the configuration does
 * not keep new runbooks from being loaded. Other errors are about both. */
static int reload_parts(struct cli *cli, const char *what, json_t **ret_config,
                        json_t **ret_runbooks)
{
    uint64_t timeout_ms = 0;
    bool all = what == NULL;
    int r = cli_duration(cli, "timeout", WAIT_DEFAULT_MS, &timeout_ms);
    if (r != 0) {
        return r;
    }
    if (all || strcmp(what, "config") == 0) {
        r = post(cli, "/api/admin/reload-config", timeout_ms, ret_config);
    }
    if ((r == CLI_OK || r == CLI_FAILED) &&
        (all || strcmp(what, "runbooks") == 0)) {
        int second =
            post(cli, "/api/admin/reload-runbooks", timeout_ms, ret_runbooks);
        r = r != CLI_OK ? r : second;
    }
    return r;
}

int cli_reload(struct cli *cli)
{
    const char *what = cli_word(cli, 0);
    json_auto_t *config = NULL;
    json_auto_t *runbooks = NULL;
    if (what != NULL && strcmp(what, "config") != 0 &&
        strcmp(what, "runbooks") != 0) {
        return cli_fail(cli, CLI_USAGE, "adctl help reload",
                        "reload what? config or runbooks, not %s", what);
    }
    int r = reload_parts(cli, what, &config, &runbooks);
    if (config == NULL && runbooks == NULL) {
        return r;
    }
    json_auto_t *both = json_pack("{s:s, s:O?, s:O?}", "status",
                                  r == CLI_OK ? "reloaded" : "failed", "config",
                                  config, "runbooks", runbooks);
    if (!cli_print_item(cli, both, "status")) {
        if (config != NULL) {
            print_config(cli, config);
        }
        if (runbooks != NULL) {
            print_runbooks(cli, runbooks);
        }
    }
    return r;
}
