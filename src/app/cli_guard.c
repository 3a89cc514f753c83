/*
 * adctl guard list: how guards stand, what triggers remember, and what that
 * holds back; guard pending: what triggers wait for.
 */
#include "app/cli_commands.h"
#include "app/cli_http.h"
#include "app/cli_output.h"

static const struct cli_column guard_columns[] = {
    {"RUNBOOK", CLI_FLEX},
    {"GUARD", 0},
    {"KEY", CLI_FLEX},
    {"HELD BY", 0},
    {"FOR", CLI_RIGHT},
    {"RUNS", CLI_RIGHT},
    {"EVENTS", CLI_RIGHT},
    {"STARTED", CLI_RIGHT},
    {"LAST WORKFLOW", CLI_ONLY_WIDE},
    {"REASON", CLI_FLEX | CLI_ONLY_WIDE},
    {NULL, 0},
};

/* "2/3"; nothing where there is no limit. */
static const char *of_limit(struct cli *cli, const json_t *guard,
                            const char *have, const char *limit)
{
    return json_is_integer(json_object_get(guard, limit))
               ? cli_text(cli, "%s/%s", cli_get(cli, guard, have),
                          cli_get(cli, guard, limit))
               : "";
}

/* How long it is until then. */
static const char *left(struct cli *cli, const json_t *guard, const char *key)
{
    const json_t *until = json_object_get(guard, key);
    if (!json_is_number(until)) {
        return "";
    }
    double seconds = json_number_value(until) - (double)time(NULL);
    return cli_span(cli, seconds > 0 ? seconds : 0);
}

static void add_guard(struct cli_table *t, const json_t *guard)
{
    struct cli *cli = t->cli;
    const char *runbook = cli_get(cli, guard, "runbook");
    const char *trigger = cli_get(cli, guard, "trigger");
    cli_cell(t, runbook[0] != '\0' ? runbook : "(all)");
    cli_cell(t, trigger[0] != '\0' ? trigger : cli_get(cli, guard, "guard"));
    cli_cell(t, cli_get(cli, guard, "key"));
    cli_cell(t, json_is_false(json_object_get(guard, "in_force"))
                    ? "(gone)"
                    : cli_get(cli, guard, "held_by"));
    cli_cell(t, left(cli, guard, "held_until"));
    cli_cell(t, of_limit(cli, guard, "runs", "runs_limit"));
    cli_cell(t, of_limit(cli, guard, "events", "events_needed"));
    cli_cell(t, cli_age(cli, guard, "last_started_at"));
    cli_cell(t, cli_get(cli, guard, "last_workflow"));
    cli_cell(t, cli_get(cli, guard, "reason"));
}

/* A list that --runbook narrows, a row for each of its members. */
struct guard_page {
    const char *path;
    const char *member;
    const char *help;
    const struct cli_column *columns;
    void (*add)(struct cli_table *t, const json_t *row);
};

static int show_page(struct cli *cli, const struct guard_page *page)
{
    static const char *const flags[] = {"runbook", NULL};
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(64 * 1024);
    json_auto_t *answer = NULL;
    struct cli_table t;
    size_t i = 0;
    json_t *row = NULL;
    strbuf_addc(&path, page->path);
    cli_add_query(cli, &path, flags);
    const struct cli_list list = {strbuf_str(&path).at, page->member,
                                  page->help, 0};
    int r = cli_fetch_list(cli, &list, &answer);
    json_t *rows = json_object_get(answer, page->member);
    const char *cursor = cli_get_raw(answer, "next_cursor");
    if (r != 0 || cli_print_items(cli, rows, cursor, "key")) {
        return r;
    }
    cli_table_init(&t, cli, page->columns);
    json_array_foreach (rows, i, row) {
        page->add(&t, row);
    }
    cli_table_print(&t);
    if (cursor != NULL) {
        cli_note(cli, "there are more: --limit, --cursor or --runbook");
    }
    return CLI_OK;
}

int cli_guard_list(struct cli *cli)
{
    static const struct guard_page page = {"/api/guards", "guards",
                                           "adctl guard list --help",
                                           guard_columns, add_guard};
    return show_page(cli, &page);
}

int cli_guard_reset(struct cli *cli)
{
    json_auto_t *answer = NULL;
    json_auto_t *body =
        json_pack("{s:s, s:s*, s:s*}", "runbook", cli_word(cli, 0), "trigger",
                  cli_value(cli, "trigger"), "key", cli_value(cli, "key"));
    if (body == NULL) {
        return cli_fail(cli, CLI_USAGE, NULL, "names are UTF-8 text");
    }
    struct cli_request request = {
        .method = "POST", .path = "/api/guards/reset", .body = body};
    int r = cli_call(cli, &request, "adctl guard list", &answer);
    if (r == 0 && !cli_print_item(cli, answer, "runbook")) {
        (void)fprintf(cli->out, "%s  forgotten: %s\n",
                      cli_get(cli, answer, "runbook"),
                      cli_get(cli, answer, "forgotten"));
        if (cli_get_number(answer, "forgotten") < 1) {
            cli_note(cli, "nothing was remembered of it: adctl guard list");
        }
    }
    return r;
}

static const struct cli_column pending_columns[] = {
    {"RUNBOOK", CLI_FLEX},
    {"TRIGGER", 0},
    {"KEY", CLI_FLEX},
    {"WAITS FOR", 0},
    {"DUE IN", CLI_RIGHT},
    {"FIRING", CLI_RIGHT},
    {"LAST EVENT", CLI_RIGHT},
    {"HELD BY", CLI_FLEX},
    {"EVENT", CLI_ONLY_WIDE},
    {"REASON", CLI_FLEX | CLI_ONLY_WIDE},
    {NULL, 0},
};

static void add_pending(struct cli_table *t, const json_t *row)
{
    struct cli *cli = t->cli;
    cli_cell(t, cli_get(cli, row, "runbook"));
    cli_cell(t, cli_get(cli, row, "trigger"));
    cli_cell(t, cli_get(cli, row, "key"));
    cli_cell(t, json_is_false(json_object_get(row, "in_force"))
                    ? "(gone)"
                    : cli_get(cli, row, "waits_for"));
    cli_cell(t, left(cli, row, "due_at"));
    cli_cell(t, cli_age(cli, row, "firing_since"));
    cli_cell(t, cli_age(cli, row, "last_event_at"));
    cli_cell(t, cli_get(cli, row, "held_by"));
    cli_cell(t, cli_get(cli, row, "event_id"));
    cli_cell(t, cli_get(cli, row, "reason"));
}

int cli_guard_pending(struct cli *cli)
{
    static const struct guard_page page = {"/api/guards/pending", "pending",
                                           "adctl guard pending --help",
                                           pending_columns, add_pending};
    return show_page(cli, &page);
}
