/*
 * adctl event stats, runbook performance, runbook enable and disable, workflow
 * archive.
 */
#include <stdio.h>
#include <string.h>

#include "app/cli_commands.h"
#include "app/cli_http.h"
#include "app/cli_output.h"

/* ---- event stats --------------------------------------------------------- */

static void print_counts(struct cli *cli, const char *title, json_t *counts)
{
    const char *name = NULL;
    json_t *count = NULL;
    json_object_foreach (counts, name, count) {
        if (json_integer_value(count) == 0) {
            continue;
        }
        struct strbuf word = STRBUF_INIT(64 * 1024);
        strbuf_add_visible(&word, str_c(name));
        (void)fprintf(cli->out, "%-12s%10lld  %s\n", title,
                      (long long)json_integer_value(count), word.at);
        strbuf_deinit(&word);
        title = "";
    }
}

int cli_event_stats(struct cli *cli)
{
    static const struct {
        const char *title, *key;
    } lists[] = {{"type", "by_type"},
                 {"severity", "by_severity"},
                 {"source", "by_source"}};
    static const char *const flags[] = {"since", NULL};
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(64 * 1024);
    json_auto_t *s = NULL;
    strbuf_addc(&path, "/api/events/stats");
    cli_add_query(cli, &path, flags);
    int r = cli_fetch(cli, path.at, "adctl event stats --help", &s);
    if (r != 0 || cli_print_item(cli, s, "total")) {
        return r;
    }
    (void)fprintf(cli->out,
                  "%s events in all, %s in 24 h, %s in the last hour\n",
                  cli_get(cli, s, "total"), cli_get(cli, s, "last_24h"),
                  cli_get(cli, s, "last_hour"));
    (void)fprintf(cli->out, "%.1f/s in, %.1f/s done\n\n",
                  cli_get_number(s, "ingestion_rate"),
                  cli_get_number(s, "processing_rate"));
    print_counts(cli, "status", json_object_get(s, "by_status"));
    const json_t *window = json_object_get(s, "window");
    (void)fprintf(cli->out, "\nsince %s:\n", cli_get(cli, window, "since_iso"));
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        print_counts(cli, lists[i].title, json_object_get(s, lists[i].key));
    }
    if (json_is_false(json_object_get(window, "complete"))) {
        cli_note(cli, "only the newest %s were looked at",
                 cli_get(cli, window, "looked_at"));
    }
    return CLI_OK;
}

/* ---- runbook performance ------------------------------------------------- */

static const struct cli_column performance_columns[] = {
    {"RUNBOOK", CLI_FLEX}, {"STEP", CLI_FLEX}, {"COUNT", CLI_RIGHT},
    {"OK", CLI_RIGHT},     {"P50", CLI_RIGHT}, {"P95", CLI_RIGHT},
    {"MAX", CLI_RIGHT},    {NULL, 0},
};

static void add_performance(struct cli_table *t, const json_t *row,
                            const char *runbook, const char *step)
{
    struct cli *cli = t->cli;
    const json_t *rate = json_object_get(row, "success_rate");
    cli_cell(t, runbook);
    cli_cell(t, step);
    cli_cell(t, cli_get(cli, row, "count"));
    cli_cell(t, json_is_number(rate)
                    ? cli_text(cli, "%.0f%%", json_number_value(rate) * 100)
                    : "");
    cli_cell(t, cli_seconds(cli, row, "p50_seconds"));
    cli_cell(t, cli_seconds(cli, row, "p95_seconds"));
    cli_cell(t, cli_seconds(cli, row, "max_seconds"));
}

int cli_runbook_performance(struct cli *cli)
{
    static const char *const flags[] = {"since", NULL};
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(64 * 1024);
    json_auto_t *answer = NULL;
    struct cli_table t;
    size_t i = 0;
    size_t k = 0;
    json_t *rb = NULL;
    json_t *step = NULL;
    strbuf_addc(&path, "/api/metrics/runbook-performance");
    if (cli_word(cli, 0) != NULL) {
        strbuf_addc(&path, "?runbook=");
        cli_add_encoded(&path, cli_word(cli, 0), false);
    }
    cli_add_query(cli, &path, flags);
    const struct cli_list list = {path.at, "runbooks",
                                  "adctl runbook performance --help", 0};
    int r = cli_fetch_list(cli, &list, &answer);
    json_t *runbooks = json_object_get(answer, "runbooks");
    if (r != 0 || cli_print_items(cli, runbooks, NULL, "runbook")) {
        return r;
    }
    cli_table_init(&t, cli, performance_columns);
    json_array_foreach (runbooks, i, rb) {
        add_performance(&t, rb, cli_get(cli, rb, "runbook"), "");
        json_array_foreach (json_object_get(rb, "steps"), k, step) {
            add_performance(&t, step, "", cli_get(cli, step, "step"));
        }
    }
    cli_table_print(&t);
    if (json_is_false(json_object_get(answer, "complete"))) {
        cli_note(cli, "only the newest %s workflows were looked at",
                 cli_get(cli, answer, "workflows"));
    }
    return CLI_OK;
}

/* ---- runbook enable, disable --------------------------------------------- */

static int set_enabled(struct cli *cli, bool enable)
{
    json_auto_t *body = json_object();
    json_auto_t *answer = NULL;
    const char *reason = enable ? NULL : cli_value(cli, "reason");
    (void)json_object_set_new(body, "runbook", json_string(cli_word(cli, 0)));
    if (reason != NULL) {
        (void)json_object_set_new(body, "reason", json_string(reason));
    }
    struct cli_request request = {.method = "POST",
                                  .path = enable ? "/api/runbooks/enable"
                                                 : "/api/runbooks/disable",
                                  .body = body};
    int r = cli_call(cli, &request, "adctl runbook list", &answer);
    if (r != 0 || cli_print_item(cli, answer, "runbook")) {
        return r;
    }
    (void)fprintf(cli->out, "%s %s\n", cli_get(cli, answer, "runbook"),
                  enable ? "enabled" : "disabled");
    return CLI_OK;
}

int cli_runbook_enable(struct cli *cli)
{
    return set_enabled(cli, true);
}

int cli_runbook_disable(struct cli *cli)
{
    return set_enabled(cli, false);
}

/* ---- workflow archive ---------------------------------------------------- */

int cli_workflow_archive(struct cli *cli)
{
    static const char *const flags[] = {"before", NULL};
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(64 * 1024);
    json_auto_t *answer = NULL;
    if (cli_value(cli, "before") == NULL) {
        return cli_fail(cli, CLI_USAGE, "adctl workflow archive --before 90d",
                        "say which: those that ended --before when");
    }
    strbuf_addc(&path, "/api/admin/archive-workflows");
    cli_add_query(cli, &path, flags);
    struct cli_request request = {.method = "POST", .path = path.at};
    int r = cli_call(cli, &request, NULL, &answer);
    if (r != 0 || cli_print_item(cli, answer, "file")) {
        return r;
    }
    if (cli_get_number(answer, "archived") == 0) {
        (void)fprintf(cli->out, "nothing ended before %s\n",
                      cli_get(cli, answer, "before_iso"));
    } else {
        (void)fprintf(cli->out, "%s workflows moved to %s\n",
                      cli_get(cli, answer, "archived"),
                      cli_get(cli, answer, "file"));
    }
    if (json_is_true(json_object_get(answer, "more"))) {
        cli_note(cli, "there are more: run it again");
    }
    return CLI_OK;
}
