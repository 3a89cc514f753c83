/*
 * What adctl lint prints: text for people, JSON, annotations of GitHub
 * Actions, and SARIF 2.1.0 for code scanning.
 */
#include <string.h>

#include "app/cli_editing.h"
#include "app/cli_output.h"

#define TEXT_MAX_BYTES (64UL * 1024)
#define SARIF_SCHEMA "https://json.schemastore.org/sarif-2.1.0.json"

const char *const cli_lint_formats[] = {"text", "json", "github", "sarif",
                                        NULL};

/* A path need not be UTF-8; JSON has to be. */
static json_t *text_of(const char *text)
{
    struct strbuf safe = STRBUF_INIT(TEXT_MAX_BYTES);
    json_t *json = json_string(text);
    if (json == NULL) {
        strbuf_add_visible(&safe, str_c(text));
        json = json_string(strbuf_str(&safe).at);
    }
    strbuf_deinit(&safe);
    return json;
}

void cli_lint_add(struct cli_lint_run *run, const char *path,
                  const struct lint_report *report)
{
    run->files++;
    run->allowed += report->allowed;
    VEC_EACH (&report->findings, i) {
        const struct lint_finding *f = &report->findings.at[i];
        enum lint_severity severity = f->rule->severity;
        run->counts[severity]++;
        json_t *item = json_pack(
            "{s:o, s:i, s:i, s:s, s:s, s:o, s:o, s:o}", "path", text_of(path),
            "line", (int)f->err.at.line, "column", (int)f->err.at.column,
            "severity", lint_severity_name(severity), "rule", f->rule->id,
            "field", text_of(f->err.field), "message", text_of(f->err.message),
            "fix", text_of(f->err.hint));
        (void)json_array_append_new(run->items, item);
    }
    if (report->cut) {
        cli_note(run->cli, "%s: only the first %d findings are shown", path,
                 LINT_MAX_FINDINGS);
    }
}

/* ---- text -----------------------------------------------------------------
 */

/* "path:line:column: warning: field: message [rule]" and what to do. */
static void print_text(struct cli *cli, const json_t *item)
{
    const char *field = cli_get(cli, item, "field");
    const char *fix = cli_get(cli, item, "fix");
    (void)fprintf(cli->out, "%s", cli_get(cli, item, "path"));
    if (cli_get_number(item, "line") > 0) {
        (void)fprintf(cli->out, ":%s:%s", cli_get(cli, item, "line"),
                      cli_get(cli, item, "column"));
    }
    (void)fprintf(cli->out, ": %s: %s%s%s [%s]\n",
                  cli_get(cli, item, "severity"), field,
                  field[0] != '\0' ? ": " : "", cli_get(cli, item, "message"),
                  cli_get(cli, item, "rule"));
    if (fix[0] != '\0') {
        (void)fprintf(cli->out, "    %s\n", fix);
    }
}

static void print_sum(struct cli_lint_run *run)
{
    struct cli *cli = run->cli;
    (void)fprintf(cli->out, "%s: %s, %s, %s",
                  cli_count(cli, run->files, "file"),
                  cli_count(cli, run->counts[LINT_ERROR], "error"),
                  cli_count(cli, run->counts[LINT_WARNING], "warning"),
                  cli_count(cli, run->counts[LINT_NOTE], "note"));
    if (run->allowed != 0) {
        (void)fprintf(cli->out, "; %u allowed by comments", run->allowed);
    }
    (void)fputc('\n', cli->out);
    if (json_array_size(run->items) != 0) {
        (void)fprintf(cli->out, "why, and examples: man 7 runbook-lint\n");
    }
}

/* ---- GitHub ---------------------------------------------------------------
 */

/* In a property : and , have a meaning as well. */
static void print_escaped(FILE *to, const char *text, bool property)
{
    for (; *text != '\0'; text++) {
        bool special = *text == '%' || *text == '\r' || *text == '\n' ||
                       (property && (*text == ':' || *text == ','));
        if (special) {
            (void)fprintf(to, "%%%02X", (unsigned)(unsigned char)*text);
        } else {
            (void)fputc(*text, to);
        }
    }
}

static void print_github(struct cli *cli, const json_t *item)
{
    const char *severity = cli_get(cli, item, "severity");
    const char *fix = cli_get(cli, item, "fix");
    (void)fprintf(cli->out, "::%s file=",
                  strcmp(severity, "note") == 0 ? "notice" : severity);
    print_escaped(cli->out, cli_get(cli, item, "path"), true);
    if (cli_get_number(item, "line") > 0) {
        (void)fprintf(cli->out, ",line=%s,col=%s", cli_get(cli, item, "line"),
                      cli_get(cli, item, "column"));
    }
    (void)fprintf(cli->out, ",title=%s::", cli_get(cli, item, "rule"));
    print_escaped(cli->out, cli_get(cli, item, "message"), false);
    if (fix[0] != '\0') {
        (void)fprintf(cli->out, "%%0A");
        print_escaped(cli->out, fix, false);
    }
    (void)fputc('\n', cli->out);
}

/* ---- SARIF ----------------------------------------------------------------
 */

static json_t *sarif_rules(void)
{
    json_t *rules = json_array();
    for (size_t i = 0; i < lint_rule_count; i++) {
        const struct lint_rule *r = &lint_rules[i];
        json_t *row = json_pack("{s:s, s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}}",
                                "id", r->id, "shortDescription", "text",
                                r->summary, "fullDescription", "text", r->why,
                                "help", "text", r->fix, "defaultConfiguration",
                                "level", lint_severity_name(r->severity));
        (void)json_array_append_new(rules, row);
    }
    return rules;
}

static int rule_index(const char *id)
{
    for (size_t i = 0; i < lint_rule_count; i++) {
        if (strcmp(lint_rules[i].id, id) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* A path as the reference that it is in a URI. */
static json_t *uri_of(const char *path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
    struct strbuf uri = STRBUF_INIT(TEXT_MAX_BYTES);
    strbuf_addc(&uri, path[0] == '/' ? "file://" : "");
    for (; *path != '\0'; path++) {
        if (strchr(plain, *path) != NULL) {
            strbuf_addch(&uri, *path);
        } else {
            strbuf_addf(&uri, "%%%02X", (unsigned)(unsigned char)*path);
        }
    }
    json_t *json = json_string(strbuf_str(&uri).at);
    strbuf_deinit(&uri);
    return json;
}

static json_t *sarif_result(struct cli *cli, const json_t *item)
{
    const char *rule = cli_get_raw(item, "rule");
    const char *fix = cli_get_raw(item, "fix");
    int line = (int)cli_get_number(item, "line");
    int column = (int)cli_get_number(item, "column");
    json_t *place = json_pack("{s:{s:o}}", "artifactLocation", "uri",
                              uri_of(cli_get_raw(item, "path")));
    if (line > 0) {
        (void)json_object_set_new(place, "region",
                                  json_pack("{s:i, s:i}", "startLine", line,
                                            "startColumn",
                                            column > 0 ? column : 1));
    }
    const char *text = cli_text(cli, "%s%s%s", cli_get_raw(item, "message"),
                                fix[0] != '\0' ? ": " : "", fix);
    return json_pack("{s:s, s:i, s:s, s:{s:s}, s:[{s:o}]}", "ruleId", rule,
                     "ruleIndex", rule_index(rule), "level",
                     cli_get_raw(item, "severity"), "message", "text", text,
                     "locations", "physicalLocation", place);
}

static void print_sarif(struct cli_lint_run *run)
{
    json_t *results = json_array();
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach (run->items, i, item) {
        (void)json_array_append_new(results, sarif_result(run->cli, item));
    }
    json_auto_t *log = json_pack(
        "{s:s, s:s, s:[{s:{s:{s:s, s:s, s:o}}, s:s, s:o}]}", "$schema",
        SARIF_SCHEMA, "version", "2.1.0", "runs", "tool", "driver", "name",
        "adctl lint", "version", ADP_VERSION, "rules", sarif_rules(),
        "columnKind", "unicodeCodePoints", "results", results);
    run->cli->format = CLI_JSON;
    cli_print_json(run->cli, log);
}

/* ---- all ------------------------------------------------------------------
 */

void cli_lint_print(struct cli_lint_run *run)
{
    struct cli *cli = run->cli;
    size_t i = 0;
    json_t *item = NULL;
    if (strcmp(run->format, "sarif") == 0) {
        print_sarif(run);
        return;
    }
    if (strcmp(run->format, "json") == 0) {
        bool table = cli->format == CLI_TABLE || cli->format == CLI_WIDE;
        cli->format = table ? CLI_JSON : cli->format;
        (void)cli_print_items(cli, run->items, NULL, "path");
        return;
    }
    bool text = strcmp(run->format, "text") == 0;
    json_array_foreach (run->items, i, item) {
        if (text) {
            print_text(cli, item);
        } else {
            print_github(cli, item);
        }
    }
    if (text) {
        print_sum(run);
    }
}

void cli_lint_print_rules(struct cli *cli)
{
    static const struct cli_column columns[] = {
        {"RULE", 0}, {"SEVERITY", 0}, {"SUMMARY", CLI_FLEX}, {NULL, 0}};
    json_auto_t *items = json_array();
    struct cli_table t;
    for (size_t i = 0; i < lint_rule_count; i++) {
        const struct lint_rule *r = &lint_rules[i];
        json_t *row = json_pack(
            "{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "rule", r->id, "severity",
            lint_severity_name(r->severity), "summary", r->summary, "why",
            r->why, "fix", r->fix, "bad", r->bad, "good", r->good);
        (void)json_array_append_new(items, row);
    }
    if (cli_print_items(cli, items, NULL, "rule")) {
        return;
    }
    cli_table_init(&t, cli, columns);
    for (size_t i = 0; i < lint_rule_count; i++) {
        cli_cell(&t, lint_rules[i].id);
        cli_cell(&t, lint_severity_name(lint_rules[i].severity));
        cli_cell(&t, lint_rules[i].summary);
    }
    cli_table_print(&t);
}
