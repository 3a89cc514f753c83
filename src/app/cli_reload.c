/*
 * adctl reload: the configuration and the runbooks of the running engine.
 */
#include <string.h>

#include "app/cli_commands.h"
#include "app/cli_http.h"
#include "app/cli_output.h"

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

static int post(struct cli *cli, const char *path, json_t **ret)
{
    const struct cli_request request = {.method = "POST", .path = path};
    return cli_call(cli, &request, NULL, ret);
}

static void print_config(struct cli *cli, const json_t *config)
{
    const json_t *restart = json_object_get(config, "restart_required");
    size_t i = 0;
    json_t *warning = NULL;
    cli_print_field(cli, "configuration", "reloaded");
    cli_print_field(cli, "changed",
                    list_of(cli, json_object_get(config, "changed")));
    json_array_foreach (json_object_get(config, "warnings"), i, warning) {
        cli_note(cli, "%s:%s: %s: %s", cli_get(cli, warning, "file"),
                 cli_get(cli, warning, "line"), cli_get(cli, warning, "field"),
                 cli_get(cli, warning, "message"));
    }
    if (json_array_size(restart) != 0) {
        cli_note(cli,
                 "needs a restart: %s; try: systemctl restart "
                 "autonomous-devops",
                 list_of(cli, restart));
    }
}

static void print_runbooks(struct cli *cli, const json_t *runbooks)
{
    const json_t *files = json_object_get(runbooks, "files");
    const json_t *rejected = json_object_get(files, "rejected");
    cli_print_field(cli, "runbooks",
                    cli_text(cli,
                             "%s added, %s changed, %s removed, "
                             "%zu refused",
                             cli_get(cli, runbooks, "added"),
                             cli_get(cli, runbooks, "changed"),
                             cli_get(cli, runbooks, "removed"),
                             json_array_size(rejected)));
    cli_print_field(cli, "commit", cli_get(cli, runbooks, "commit"));
    if (json_array_size(rejected) != 0) {
        cli_note(cli, "see: adctl runbook validate %s",
                 cli_get(cli, json_array_get(rejected, 0), "path"));
    }
}

int cli_reload(struct cli *cli)
{
    const char *what = cli_word(cli, 0);
    bool all = what == NULL;
    json_auto_t *config = NULL;
    json_auto_t *runbooks = NULL;
    int r = 0;
    if (!all && strcmp(what, "config") != 0 && strcmp(what, "runbooks") != 0) {
        return cli_fail(cli, CLI_USAGE, "adctl help reload",
                        "reload what? config or runbooks, not %s", what);
    }
    if (all || strcmp(what, "config") == 0) {
        r = post(cli, "/api/admin/reload-config", &config);
    }
    if (r == 0 && (all || strcmp(what, "runbooks") == 0)) {
        r = post(cli, "/api/admin/reload-runbooks", &runbooks);
    }
    if (r != 0) {
        return r;
    }
    json_auto_t *both = json_pack("{s:s, s:O?, s:O?}", "status", "reloaded",
                                  "config", config, "runbooks", runbooks);
    if (!cli_print_item(cli, both, "status")) {
        if (config != NULL) {
            print_config(cli, config);
        }
        if (runbooks != NULL) {
            print_runbooks(cli, runbooks);
        }
    }
    return CLI_OK;
}
