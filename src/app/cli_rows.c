/*
 * Lists of the engine: rows page by page. With a filter one answer may end
 * before it has what was asked for, because a request does a bounded amount of
 * work; the list then goes on by itself.
 */
#include <stdlib.h>
#include <string.h>

#include "app/cli_http.h"
#include "app/cli_output.h"

#define ROWS_DEFAULT 50
#define PAGE_MAX 1000

static void add_parameter(struct strbuf *path, const char *name,
                          const char *value)
{
    bool first = str_find(strbuf_str(path), '?') < 0;
    strbuf_addf(path, "%c%s=", first ? '?' : '&', name);
    cli_add_encoded(path, value, false);
}

/* Rows that are wanted in all; what --limit says is checked by the engine. */
static uint64_t wanted_rows(struct cli *cli, const struct cli_list *list)
{
    const char *limit = cli_value(cli, "limit");
    if (limit != NULL) {
        return strtoull(limit, NULL, 10);
    }
    return list->since_rows != 0 && cli_value(cli, "since") != NULL
               ? list->since_rows
               : ROWS_DEFAULT;
}

static int fetch_page(struct cli *cli, const struct cli_list *list,
                      const char *limit, const char *cursor, json_t **ret)
{
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(64 * 1024);
    strbuf_addc(&path, list->path);
    if (cli_value(cli, "filter") != NULL) {
        add_parameter(&path, "filter", cli_value(cli, "filter"));
    }
    if (limit != NULL) {
        add_parameter(&path, "limit", limit);
    }
    if (cursor != NULL) {
        add_parameter(&path, "cursor", cursor);
    }
    return cli_fetch(cli, strbuf_str(&path).at, list->next, ret);
}

static void add_to(json_t *answer, const json_t *more, const char *key)
{
    json_t *sum = json_object_get(json_object_get(answer, "filter"), key);
    (void)json_integer_set(sum, json_integer_value(sum) +
                                    json_integer_value(json_object_get(
                                        json_object_get(more, "filter"), key)));
}

/* Appends the rows of the later answer to the earlier one. */
static void join(const struct cli_list *list, json_t *answer,
                 const json_t *more)
{
    static const char *const first = "first_failure";
    json_t *filter = json_object_get(answer, "filter");
    (void)json_array_extend(json_object_get(answer, list->member),
                            json_object_get(more, list->member));
    (void)json_object_set(answer, "next_cursor",
                          json_object_get(more, "next_cursor"));
    if (json_is_null(json_object_get(filter, first))) {
        (void)json_object_set(
            filter, first,
            json_object_get(json_object_get(more, "filter"), first));
    }
    add_to(answer, more, "looked_at");
    add_to(answer, more, "failed");
}

/* A filter that has no value for a row leaves it out, but not in silence. */
static void tell_failures(struct cli *cli, const json_t *answer)
{
    const json_t *filter = json_object_get(answer, "filter");
    const json_t *first = json_object_get(filter, "first_failure");
    const json_t *warning =
        json_array_get(json_object_get(filter, "warnings"), 0);
    if (cli_get_number(filter, "failed") > 0) {
        cli_note(cli,
                 "%s of %s rows are left out: the filter fails at %s:%s: %s",
                 cli_get(cli, filter, "failed"),
                 cli_get(cli, filter, "looked_at"), cli_get(cli, first, "line"),
                 cli_get(cli, first, "column"), cli_get(cli, first, "message"));
        if (warning != NULL) {
            cli_note(cli, "%s", cli_get(cli, warning, "hint"));
        }
    }
}

int cli_fetch_list(struct cli *cli, const struct cli_list *list, json_t **ret)
{
    json_auto_t *answer = NULL;
    uint64_t wanted = wanted_rows(cli, list);
    int r = fetch_page(cli, list, cli_value(cli, "limit"),
                       cli_value(cli, "cursor"), &answer);
    while (r == 0 && json_is_object(json_object_get(answer, "filter"))) {
        json_auto_t *more = NULL;
        const char *cursor = cli_get_raw(answer, "next_cursor");
        uint64_t have = json_array_size(json_object_get(answer, list->member));
        if (cursor == NULL || have >= wanted) {
            break;
        }
        uint64_t left = MIN(wanted - have, (uint64_t)PAGE_MAX);
        r = fetch_page(cli, list,
                       cli_text(cli, "%llu", (unsigned long long)left), cursor,
                       &more);
        if (r == 0) {
            join(list, answer, more);
        }
    }
    if (r == 0) {
        tell_failures(cli, answer);
        *ret = json_incref(answer);
    }
    return r;
}
