/*
 * adctl runbook new and adctl runbook schema: what helps to begin a runbook.
 * Both work without the engine.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "app/cli_commands.h"
#include "app/cli_editing.h"
#include "app/cli_output.h"
#include "model/runbook_schema.h"
#include "os/fd.h"

int cli_runbook_schema(struct cli *cli)
{
    json_auto_t *schema = runbook_schema();
    cli->format = cli->format == CLI_JSONL ? CLI_JSONL : CLI_JSON;
    cli_print_json(cli, schema);
    return CLI_OK;
}

/* ---- new ------------------------------------------------------------------
 */

static const struct cli_template *template_of(struct cli *cli)
{
    const char *name = cli_value(cli, "template");
    for (size_t i = 0; name != NULL && i < cli_template_count; i++) {
        if (strcmp(cli_templates[i].name, name) == 0) {
            return &cli_templates[i];
        }
    }
    return &cli_templates[0];
}

/* The last --output that is not the name of a format; NULL if there is none. */
static const char *file_of(struct cli *cli)
{
    const char *file = NULL;
    enum cli_format ignored = CLI_TABLE;
    VEC_EACH (&cli->given, i) {
        const struct cli_given *g = &cli->given.at[i];
        if (strcmp(g->flag->name, "output") == 0 &&
            !cli_format_of(g->value, &ignored)) {
            file = g->value;
        }
    }
    return file != NULL && strcmp(file, "-") == 0 ? NULL : file;
}

/* The name is all that can be wrong with it. */
static int check(struct cli *cli, const char *name, struct str text)
{
    struct lint_report report;
    int r = 0;
    lint_runbook(STR("new.yaml"), text, &RUNBOOK_DEFAULTS, &report);
    if (report.findings.count != 0) {
        r = cli_fail(cli, CLI_USAGE, NULL, "\"%s\" is no name: %s", name,
                     report.findings.at[0].err.message);
    }
    lint_report_deinit(&report);
    return r;
}

static int write_new(struct cli *cli, const char *file, struct str text)
{
    struct str path = str_c(file);
    if (!str_ends(path, STR(".yaml")) && !str_ends(path, STR(".yml"))) {
        return cli_fail(cli, CLI_USAGE, cli_text(cli, "--output %s.yaml", file),
                        "--output: the file of a runbook ends with .yaml or "
                        ".yml, not as \"%s\"",
                        file);
    }
    CLEANUP(os_closep)
    int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 && errno == EEXIST) {
        return cli_fail(cli, CLI_CONFLICT, cli_text(cli, "adctl lint %s", file),
                        "%s is there already, and stays as it is", file);
    }
    int r = fd < 0 ? -errno : os_write_all(fd, text);
    if (r < 0) {
        if (fd >= 0) {
            (void)unlink(file); /* ours, and not whole */
        }
        return cli_fail(cli, CLI_FAILED, NULL, "cannot write %s: %s", file,
                        strerror(-r));
    }
    return 0;
}

static void tell(struct cli *cli, const struct cli_template *t,
                 const char *file, struct str text)
{
    const char *name = cli_word(cli, 0);
    json_auto_t *item =
        json_pack("{s:s, s:s, s:s?, s:s}", "name", name, "template", t->name,
                  "path", file, "text", text.at);
    if (item != NULL && cli_print_item(cli, item, "path")) {
        return;
    }
    if (file == NULL) {
        (void)fputs(text.at, cli->out);
        return;
    }
    (void)fprintf(cli->out, "%s\n",
                  cli_text(cli, "wrote %s (%s)", file, t->summary));
    if (access(RUNBOOK_SCHEMA_PATH, R_OK) != 0) {
        cli_note(cli, "the schema that its first line names is not installed "
                      "here; for editors: adctl runbook schema > runbook.json");
    }
    cli_note(cli, "change what says ChangeMe, then: adctl lint %s", file);
}

int cli_runbook_new(struct cli *cli)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(RUNBOOK_MAX_BYTES);
    const struct cli_template *t = template_of(cli);
    const char *name = cli_word(cli, 0);
    const char *file = file_of(cli);
    if (!str_is_utf8(str_c(name))) {
        return cli_fail(cli, CLI_USAGE, NULL, "the name is not UTF-8 text");
    }
    cli_template_fill(t, str_c(name), &text);
    int r = check(cli, name, strbuf_str(&text));
    if (r == 0 && file != NULL) {
        r = write_new(cli, file, strbuf_str(&text));
    }
    if (r == 0) {
        tell(cli, t, file, strbuf_str(&text));
    }
    return r;
}
