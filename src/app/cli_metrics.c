/*
 * adctl metrics: the engine's numbers now, and how one of them went.
 */
#include <string.h>

#include "app/cli_commands.h"
#include "app/cli_http.h"
#include "app/cli_output.h"

/* ---- now ------------------------------------------------------------------
 */

static const struct cli_column now_columns[] = {
    {"METRIC", CLI_FLEX},
    {"VALUE", CLI_RIGHT},
    {NULL, 0},
};

static const char *number(struct cli *cli, double value)
{
    return cli_text(cli, "%.6g", value);
}

int cli_metrics_show(struct cli *cli)
{
    json_auto_t *answer = NULL;
    struct cli_table t;
    const char *name = NULL;
    json_t *value = NULL;
    int r = cli_fetch(cli, "/api/metrics", NULL, &answer);
    if (r != 0) {
        return r;
    }
    if (cli->format == CLI_JSON || cli->format == CLI_JSONL) {
        cli_print_json(cli, answer);
        return CLI_OK;
    }
    cli_table_init(&t, cli, now_columns);
    json_object_foreach (answer, name, value) {
        if (json_is_number(value)) {
            cli_cell(&t, name);
            cli_cell(&t, cli_get(cli, answer, name));
        }
    }
    cli_table_print(&t);
    return CLI_OK;
}

/* ---- over time -------------------------------------------------------------
 */

static const struct cli_column list_columns[] = {
    {"METRIC", 0},
    {"UNIT", 0},
    {"DESCRIPTION", CLI_FLEX},
    {NULL, 0},
};

static int print_list(struct cli *cli, json_t *metrics)
{
    struct cli_table t;
    size_t i = 0;
    json_t *m = NULL;
    if (cli_print_items(cli, metrics, NULL, "name")) {
        return CLI_OK;
    }
    cli_table_init(&t, cli, list_columns);
    json_array_foreach (metrics, i, m) {
        cli_cell(&t, cli_get(cli, m, "name"));
        cli_cell(&t, cli_get(cli, m, "unit"));
        cli_cell(&t, cli_get(cli, m, "description"));
    }
    cli_table_print(&t);
    return CLI_OK;
}

static const struct cli_column point_columns[] = {
    {"TIME", 0},
    {"VALUE", CLI_RIGHT},
    {"MIN", CLI_RIGHT},
    {"MAX", CLI_RIGHT},
    {"", 0},
    {NULL, 0},
};

#define BAR_COLUMNS 24

/* As long as the value is large, compared with the largest. */
static const char *bar(struct cli *cli, double value, double largest)
{
    struct strbuf text = STRBUF_INIT(1024);
    double share = largest > 0 && value > 0 ? value / largest : 0;
    int columns = (int)(share * BAR_COLUMNS + 0.5);
    for (int i = 0; i < columns; i++) {
        strbuf_addc(&text, cli->terminal.unicode ? "\xe2\x96\x88" : "#");
    }
    const char *copy = cli_text(cli, "%s", text.len != 0 ? text.at : " ");
    strbuf_deinit(&text);
    return copy;
}

static void print_points(struct cli *cli, json_t *points)
{
    struct cli_table t;
    double largest = 0;
    size_t i = 0;
    json_t *p = NULL;
    json_array_foreach (points, i, p) {
        largest = MAX(largest, cli_get_number(p, "value"));
    }
    cli_table_init(&t, cli, point_columns);
    json_array_foreach (points, i, p) {
        double value = cli_get_number(p, "value");
        cli_cell(&t, cli_get(cli, p, "timestamp_iso"));
        cli_cell(&t, number(cli, value));
        cli_cell(&t, number(cli, cli_get_number(p, "min")));
        cli_cell(&t, number(cli, cli_get_number(p, "max")));
        cli_cell(&t, bar(cli, value, largest));
    }
    cli_table_print(&t);
}

int cli_metrics_history(struct cli *cli)
{
    static const char *const flags[] = {"since", "step", NULL};
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(64 * 1024);
    json_auto_t *answer = NULL;
    const char *metric = cli_word(cli, 0);
    strbuf_addc(&path, "/api/metrics/history");
    if (metric != NULL) {
        strbuf_addc(&path, "?metric=");
        cli_add_encoded(&path, metric, false);
    }
    cli_add_query(cli, &path, flags);
    int r = cli_fetch(cli, path.at, "adctl metrics history", &answer);
    if (r != 0) {
        return r;
    }
    if (metric == NULL) {
        return print_list(cli, json_object_get(answer, "metrics"));
    }
    json_t *points = json_object_get(answer, "points");
    if (cli->format == CLI_JSON) {
        cli_json_times(answer);
        cli_print_json(cli, answer);
    } else if (!cli_print_items(cli, points, NULL, "value")) {
        print_points(cli, points);
        if (json_array_size(points) == 0) {
            cli_note(cli, "no samples since then; one comes every 10 s");
        }
    }
    return CLI_OK;
}
