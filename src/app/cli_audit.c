/*
 * adctl audit: what people have changed, and whether the trail is whole.
 */
#include <stdio.h>

#include "app/cli_commands.h"
#include "app/cli_http.h"
#include "app/cli_output.h"

static const struct cli_column audit_columns[] = {
    {"SEQ", CLI_RIGHT},   {"WHO", CLI_FLEX},
    {"ACTION", 0},        {"SUBJECT", CLI_FLEX},
    {"BEFORE", CLI_FLEX}, {"AFTER", CLI_FLEX},
    {"AGE", CLI_RIGHT},   {NULL, 0},
};

#define SIDE_MAX_BYTES (1024UL * 1024)

static bool is_empty(const json_t *value)
{
    return json_is_array(value) && json_array_size(value) == 0;
}

/* "timeout 7, url -": the members that are not the same on the other side, an
 * object's own members among them. */
static void add_members(struct cli *cli, struct strbuf *out, json_t *side,
                        const json_t *other)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach (side, name, value) {
        const json_t *there = json_object_get(other, name);
        const char *text = cli_get(cli, side, name);
        if (json_is_object(value)) {
            add_members(cli, out, value, there);
        } else if (!json_equal(value, there) && !is_empty(value)) {
            strbuf_addc(out, out->len != 0 ? ", " : "");
            strbuf_add_visible(out, str_c(name));
            strbuf_addf(out, " %s", text[0] != '\0' ? text : "-");
        }
    }
}

/* A side of a row as people read it. */
static const char *side_of(struct cli *cli, const json_t *row, const char *key,
                           const char *other)
{
    json_t *side = json_object_get(row, key);
    if (!json_is_object(side)) {
        return cli_get(cli, row, key);
    }
    struct strbuf out = STRBUF_INIT(SIDE_MAX_BYTES);
    add_members(cli, &out, side, json_object_get(row, other));
    const char *text = cli_text(cli, "%s", strbuf_str(&out).at);
    strbuf_deinit(&out);
    return text;
}

int cli_audit_list(struct cli *cli)
{
    static const struct cli_list list = {"/api/admin/audit", "audit",
                                         "adctl audit list --help", 0};
    json_auto_t *answer = NULL;
    struct cli_table t;
    size_t i = 0;
    json_t *row = NULL;
    int r = cli_fetch_list(cli, &list, &answer);
    json_t *rows = json_object_get(answer, "audit");
    if (r != 0 ||
        cli_print_items(cli, rows, cli_get_raw(answer, "next_cursor"), "seq")) {
        return r;
    }
    cli_table_init(&t, cli, audit_columns);
    json_array_foreach (rows, i, row) {
        cli_cell(&t, cli_get(cli, row, "seq"));
        cli_cell_who(&t, row, "who");
        cli_cell(&t, cli_get(cli, row, "action"));
        cli_cell(&t, cli_get(cli, row, "subject"));
        cli_cell(&t, side_of(cli, row, "before", "after"));
        cli_cell(&t, side_of(cli, row, "after", "before"));
        cli_cell(&t, cli_age(cli, row, "at"));
    }
    cli_table_print(&t);
    return CLI_OK;
}

static void print_verified(struct cli *cli, const json_t *answer)
{
    const char *rows = cli_get(cli, answer, "rows");
    if (!json_is_true(json_object_get(answer, "whole"))) {
        (void)fprintf(cli->out, "the trail was changed at row %s: %s\n",
                      cli_get(cli, answer, "broken_at"),
                      cli_get(cli, answer, "problem"));
        return;
    }
    if (json_is_false(json_object_get(answer, "known"))) {
        (void)fprintf(cli->out,
                      "%s rows that follow from each other, but the known one "
                      "is not among them: the trail was written anew, or comes "
                      "from a backup\n",
                      rows);
        return;
    }
    (void)fprintf(cli->out,
                  "%s rows, none changed or missing\n"
                  "to check later that they are still there,\nkeep: %s:%s\n",
                  rows, rows, cli_get(cli, answer, "last_hash"));
}

int cli_audit_verify(struct cli *cli)
{
    static const char *const flags[] = {"known", NULL};
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(64 * 1024);
    json_auto_t *answer = NULL;
    strbuf_addc(&path, "/api/admin/audit/verify");
    cli_add_query(cli, &path, flags);
    int r = cli_fetch(cli, path.at, "adctl audit list", &answer);
    if (r != 0) {
        return r;
    }
    bool whole = json_is_true(json_object_get(answer, "whole")) &&
                 !json_is_false(json_object_get(answer, "known"));
    if (cli->format == CLI_TABLE || cli->format == CLI_WIDE ||
        cli->format == CLI_NAME) {
        print_verified(cli, answer);
    } else {
        cli_json_times(answer);
        cli_print_json(cli, answer);
    }
    return whole ? CLI_OK : CLI_FAILED;
}
