/*
 * adctl slo: how the platform's objectives stand; and what people say of what
 * the engine has noticed, from which two of them follow.
 */
#include <string.h>

#include "app/cli_commands.h"
#include "app/cli_http.h"
#include "app/cli_output.h"

/* Narrow enough that what is measured can be read to its end. */
static const struct cli_column slo_columns[] = {
    {"OBJECTIVE", CLI_FLEX},
    {"WINDOW", CLI_RIGHT},
    {"TARGET", CLI_RIGHT},
    {"ACTUAL", CLI_RIGHT},
    {"MET", CLI_STATUS},
    {"BUDGET", CLI_RIGHT},
    {"BASIS", CLI_RIGHT},
    {"MEASURED", CLI_FLEX | CLI_ONLY_WIDE},
    {NULL, 0},
};

/* "99.9%", "5s" or "1.2ms": six columns at most. */
static const char *in_unit(struct cli *cli, const json_t *slo, const char *key)
{
    const json_t *value = json_object_get(slo, key);
    if (!json_is_number(value)) {
        return "";
    }
    double n = json_number_value(value);
    if (strcmp(cli_get(cli, slo, "unit"), "ratio") == 0) {
        return cli_text(cli, "%.*g%%", n < 0.01 ? 2 : 4, n * 100);
    }
    return n > 0 && n < 1 ? cli_text(cli, "%.3gms", n * 1000)
                          : cli_text(cli, "%.3gs", n);
}

#define BUDGET_LEAST (-999.0) /* what is below it is as bad */

/* "87%"; below 0 it is overspent. */
static const char *budget_of(struct cli *cli, const json_t *slo)
{
    const json_t *budget = json_object_get(slo, "error_budget");
    double left = 100 * cli_get_number(budget, "remaining_ratio");
    if (!json_is_object(budget)) {
        return "";
    }
    return left < BUDGET_LEAST ? cli_text(cli, "<%.0f%%", BUDGET_LEAST)
                               : cli_text(cli, "%.0f%%", left);
}

/* What it rests on: so many, or so long of its window. */
static const char *base_of(struct cli *cli, const json_t *slo)
{
    return strcmp(cli_get(cli, slo, "samples_unit"), "seconds") == 0
               ? cli_span(cli, cli_get_number(slo, "samples"))
               : cli_get(cli, slo, "samples");
}

static void add_slo(struct cli_table *t, const json_t *slo)
{
    struct cli *cli = t->cli;
    const json_t *met = json_object_get(slo, "met");
    cli_cell(t, cli_get(cli, slo, "description"));
    cli_cell(t, cli_get(cli, slo, "window"));
    cli_cell(t, cli_text(cli, "%s%s", cli_get(cli, slo, "comparison"),
                         in_unit(cli, slo, "target")));
    cli_cell(t, in_unit(cli, slo, "actual"));
    cli_cell(t, !json_is_boolean(met) ? ""
                : json_is_true(met)   ? "ok"
                                      : "failed");
    cli_cell(t, budget_of(cli, slo));
    cli_cell(t, base_of(cli, slo));
    cli_cell(t, cli_get(cli, slo, "measured"));
}

int cli_slo_show(struct cli *cli)
{
    static const char *const flags[] = {"since", NULL};
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(64 * 1024);
    json_auto_t *answer = NULL;
    struct cli_table t;
    size_t i = 0;
    json_t *slo = NULL;
    strbuf_addc(&path, "/api/slo");
    cli_add_query(cli, &path, flags);
    const struct cli_list list = {path.at, "slos", "adctl slo --help", 0};
    int r = cli_fetch_list(cli, &list, &answer);
    if (r != 0) {
        return r;
    }
    json_t *slos = json_object_get(answer, "slos");
    bool missed = cli_get_number(answer, "missed") > 0;
    if (!cli_print_items(cli, slos, NULL, "name")) {
        cli_table_init(&t, cli, slo_columns);
        json_array_foreach (slos, i, slo) {
            add_slo(&t, slo);
        }
        cli_table_print(&t);
    }
    return missed ? CLI_FAILED : CLI_OK;
}

/* ---- verdicts --------------------------------------------------------------
 */

static int judge(struct cli *cli, const char *path, const json_t *body,
                 const char *next)
{
    json_auto_t *answer = NULL;
    struct cli_request request = {.method = "POST", .path = path, .body = body};
    int r = cli_call(cli, &request, next, &answer);
    if (r == 0 && !cli_print_item(cli, answer, "id")) {
        (void)fprintf(cli->out, "%s  %s\n", cli_get(cli, answer, "id"),
                      cli_get(cli, answer, "verdict"));
    }
    return r;
}

int cli_workflow_verdict(struct cli *cli)
{
    const char *id = NULL;
    const char *note = cli_value(cli, "note");
    int r = cli_resolve(cli, "workflows", cli_word(cli, 0), &id);
    if (r != 0) {
        return r;
    }
    json_auto_t *body =
        json_pack("{s:s, s:s*}", "verdict", cli_word(cli, 1), "note", note);
    if (body == NULL) {
        return cli_fail(cli, CLI_USAGE, NULL, "a verdict is UTF-8 text");
    }
    return judge(cli, cli_text(cli, "/api/workflows/%s/verdict", id), body,
                 "adctl workflow list");
}

static const struct cli_column missed_columns[] = {
    {"ID", 0}, {"SUMMARY", CLI_FLEX}, {"BY", CLI_FLEX}, {"AGE", CLI_RIGHT},
    {NULL, 0},
};

static int list_missed(struct cli *cli)
{
    static const char *const flags[] = {"since", NULL};
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(64 * 1024);
    json_auto_t *answer = NULL;
    struct cli_table t;
    size_t i = 0;
    json_t *m = NULL;
    strbuf_addc(&path, "/api/incidents/missed");
    cli_add_query(cli, &path, flags);
    const struct cli_list list = {path.at, "missed", "adctl slo missed --help",
                                  0};
    int r = cli_fetch_list(cli, &list, &answer);
    if (r != 0) {
        return r;
    }
    json_t *missed = json_object_get(answer, "missed");
    if (cli_print_items(cli, missed, NULL, "id")) {
        return CLI_OK;
    }
    cli_table_init(&t, cli, missed_columns);
    json_array_foreach (missed, i, m) {
        cli_cell(&t, cli_get(cli, m, "id"));
        cli_cell(&t, cli_get(cli, m, "summary"));
        cli_cell_who(&t, m, "by");
        cli_cell(&t, cli_age(cli, m, "occurred_at"));
    }
    cli_table_print(&t);
    return CLI_OK;
}

int cli_slo_missed(struct cli *cli)
{
    const char *summary = cli_word(cli, 0);
    if (summary == NULL) {
        return list_missed(cli);
    }
    json_auto_t *body = json_pack("{s:s, s:s*}", "summary", summary,
                                  "occurred_at", cli_value(cli, "at"));
    if (body == NULL) {
        return cli_fail(cli, CLI_USAGE, NULL, "the summary is no UTF-8 text");
    }
    return judge(cli, "/api/incidents/missed", body, "adctl slo missed --help");
}

int cli_slo_withdraw(struct cli *cli)
{
    struct strbuf path = STRBUF_INIT(4096);
    strbuf_addc(&path, "/api/incidents/missed/");
    cli_add_encoded(&path, cli_word(cli, 0), false);
    strbuf_addc(&path, "/withdraw");
    int r = judge(cli, path.at, NULL, "adctl slo missed");
    strbuf_deinit(&path);
    return r;
}
