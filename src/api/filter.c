#include "api/filter.h"

#include <errno.h>

#include "api/schemas.h"
#include "data/json.h"
#include "expr/cel_json.h"
#include "model/event_input.h"
#include "os/clock.h"
#include "os/zone.h"

enum { ROW, NOW, VARIABLES };

static const struct query *declared(const struct call *c)
{
    const struct query *q = c->route->query;
    while (q->kind != QUERY_FILTER) {
        q++;
    }
    return q;
}

static const struct cel_env *make_env(struct filter *f, const struct query *q)
{
    struct arena *a = call_arena(f->call);
    if (q->schema == NULL) {
        return event_cel_env(a, EVENT_CEL_FILTER);
    }
    struct cel_variable *variables =
        ARENA_ARRAY(a, VARIABLES, struct cel_variable);
    struct cel_env *env = ARENA_NEW(a, struct cel_env);
    f->row = schema_cel_type(q->schema, a);
    variables[ROW] = (struct cel_variable){str_c(q->prefix), f->row};
    variables[NOW] = (struct cel_variable){STR("now"), &cel_type_timestamp};
    *env = (struct cel_env){.variables = variables,
                            .variable_count = VARIABLES,
                            .limits = CEL_LIMITS_DEFAULT,
                            .result = &cel_type_bool};
    return env;
}

static void put_issue(struct strbuf *out, const struct cel_issue *issue,
                      struct str text)
{
    CLEANUP(strbuf_deinit) struct strbuf picture = STRBUF_INIT(4096);
    cel_issue_print(issue, text, &picture);
    put_u64(out, "line", issue->err.at.line);
    put_u64(out, "column", issue->err.at.column);
    put_u64(out, "offset", issue->offset);
    put_bytes(out, "message", str_c(issue->err.message));
    put_bytes(out, "hint", str_c(issue->err.hint));
    put_bytes(out, "picture", strbuf_str(&picture));
}

static void refuse(struct call *c, struct str text, const char *what,
                   const struct cel_issue *issue)
{
    CLEANUP(strbuf_deinit) struct strbuf detail = STRBUF_INIT(16384);
    CLEANUP(strbuf_deinit) struct strbuf sentence = STRBUF_INIT(1024);
    const struct err *e = &issue->err;
    strbuf_addf(&sentence, "the filter %s: %u:%u: %s%s%s%s", what, e->at.line,
                e->at.column, e->message, e->hint[0] != '\0' ? " (" : "",
                e->hint, e->hint[0] != '\0' ? ")" : "");
    put_text_c(&detail, "field", "filter");
    put_issue(&detail, issue, text);
    answer_error(c, 400, "filter_invalid", strbuf_str(&sentence).at,
                 strbuf_str(&detail));
}

bool filter_open(struct call *c, struct filter *ret)
{
    const struct query *q = declared(c);
    const struct value *given = call_value(c, q->name);
    struct cel_issue issue = CEL_ISSUE_INIT;
    *ret = (struct filter){
        .call = c,
        .now_ms = os_epoch_ms(),
        .left = {.units = API_FILTER_UNITS_MAX},
    };
    if (!given->given) {
        return true;
    }
    if (cel_program_new(make_env(ret, q), given->text, call_arena(c),
                        &ret->program, &issue) < 0) {
        ret->program = NULL;
        refuse(c, given->text, "cannot be used", &issue);
        return false;
    }
    if (c->route->thread == ON_READER) {
        ret->zones = zones_new(ZONES_FOLDER);
    } else {
        /* It must not hold up the server: few rows, less work, no files. */
        ret->left.units = API_FILTER_SERVER_UNITS_MAX;
    }
    return true;
}

void filter_close(struct filter *f)
{
    zones_free(f->zones);
    f->zones = NULL;
    arena_deinit(&f->arena);
}

bool filter_goes_on(const struct filter *f)
{
    return call_out(f->call)->len < API_LIST_MAX_BYTES &&
           (f->program == NULL || (f->looked_at < API_FILTER_ROWS_MAX &&
                                   f->left.units >= CEL_BUDGET_DEFAULT.units));
}

/* So many rows are read at once when so many more may be shown. */
static uint32_t page_rows(const struct filter *f, uint32_t wanted)
{
    return f->program != NULL ? API_LIST_PAGE_ROWS
                              : MIN(wanted, API_LIST_PAGE_ROWS);
}

/* Page by page, so that what is held at once stays small. One row more is read
 * than is looked at: it tells whether there are more. */
int filter_pages(struct filter *f, const struct filter_list *list,
                 uint32_t limit, uint32_t *ret_given, bool *ret_more)
{
    struct arena page = ARENA_INIT;
    uint32_t given = 0;
    int r = 0;
    bool more = true;
    while (r == 0 && more && given < limit && filter_goes_on(f)) {
        uint32_t count = 0;
        uint32_t i = 0;
        uint32_t looked_at = page_rows(f, limit - given);
        arena_reset(&page);
        r = list->read(list->context, f, looked_at + 1, &page, &count);
        for (; r == 0 && i < MIN(count, looked_at) && given < limit &&
               filter_goes_on(f);
             i++) {
            given += list->put(list->context, f, i) ? 1 : 0;
        }
        more = count > i;
    }
    arena_deinit(&page);
    *ret_given = given;
    *ret_more = more;
    return r;
}

void filter_answer_bare(const struct filter *f)
{
    if (f->failed != 0) {
        refuse(f->call, cel_program_text(f->program), "fails for a row",
               &f->first);
    } else {
        answer_json(f->call, 200);
    }
}

void filter_answer(const struct filter *f, int r)
{
    if (r < 0) {
        answer_read_error(f->call, r);
    } else {
        answer_json(f->call, 200);
    }
}

/* ---- one row ------------------------------------------------------------- */

static int zone_of(void *context, struct str name, int64_t seconds,
                   int32_t *ret)
{
    const struct filter *f = context;
    return f->zones == NULL ? -ENOENT
                            : zones_offset(f->zones, name, seconds, ret);
}

static void note_failure(struct filter *f, const struct cel_issue *why)
{
    if (f->failed++ == 0) {
        f->first = *why;
    }
}

/* A row that is looked at: reading it is work as well. */
static void begin_row(struct filter *f, size_t bytes)
{
    int64_t units = (int64_t)(bytes / API_FILTER_BYTES_PER_UNIT);
    f->left.units -= MIN(f->left.units, units);
    f->looked_at++;
    arena_reset(&f->arena);
}

static bool holds(struct filter *f, const struct cel_input *input)
{
    struct cel_budget one = CEL_BUDGET_DEFAULT;
    struct cel_issue issue = CEL_ISSUE_INIT;
    one.units = MIN(one.units, f->left.units);
    f->left.units -= one.units;
    struct cel_value v = cel_program_spend(f->program, input, &one, &f->arena);
    f->left.units += one.units;
    if (v.kind == CEL_BOOL) {
        return v.boolean;
    }
    if (cel_is_error(v)) {
        cel_program_issue(f->program, v, &issue);
    } else {
        (void)cel_issue_set(&issue, cel_program_text(f->program), 0,
                            "a filter gives true or false, not %.*s",
                            STR_ARG(cel_type_name(cel_type_of(v))));
    }
    note_failure(f, &issue);
    return false;
}

bool filter_keeps_event(struct filter *f, const struct event_view *v)
{
    struct event_input x;
    const struct event_outcome outcome = {.status = v->status,
                                          .error = v->error,
                                          .duplicate_of = v->duplicate_of};
    if (f->program == NULL) {
        return true;
    }
    begin_row(f, v->event.body.len);
    const struct event_zones zones = {zone_of, f};
    event_input_init(&x, &v->event, &outcome, f->now_ms, &f->arena);
    x.zones = &zones;
    bool kept = holds(f, &x.input);
    event_input_release(&x);
    return kept;
}

static struct cel_value give(void *context, uint32_t index, struct cel_run *run)
{
    const struct filter *f = context;
    (void)run;
    return index == ROW ? f->value
                        : cel_timestamp((int64_t)(f->now_ms / 1000),
                                        (uint32_t)(f->now_ms % 1000) * 1000000);
}

static bool row_holds(struct filter *f, struct str text)
{
    const struct cel_input input = {
        .variable = give, .zone = zone_of, .context = f};
    struct err err = ERR_INIT;
    json_t *json = NULL;
    if (json_read(text, NULL, &json, &err) < 0) {
        struct cel_issue issue = CEL_ISSUE_INIT;
        (void)cel_issue_limit(&issue, cel_program_text(f->program), 0,
                              "the row is too large for a filter: %s",
                              err.message);
        note_failure(f, &issue);
        return false;
    }
    f->value = cel_json_as(f->row, json, &f->arena);
    bool kept = holds(f, &input);
    json_decref(json);
    return kept;
}

bool filter_keeps_row(struct filter *f, size_t from)
{
    struct strbuf *out = call_out(f->call);
    if (f->program == NULL || strbuf_error(out) < 0) {
        return true;
    }
    struct str text = str_slice(strbuf_str(out), from, out->len);
    if (str_starts(text, STR(","))) {
        text = str_slice(text, 1, text.len);
    }
    begin_row(f, text.len);
    if (row_holds(f, text)) {
        return true;
    }
    out->len = from;
    out->at[from] = '\0';
    return false;
}

/* ---- what came of it ----------------------------------------------------- */

void filter_put(const struct filter *f)
{
    struct strbuf *out = call_out(f->call);
    if (f->program == NULL) {
        return;
    }
    struct str text = cel_program_text(f->program);
    const struct cel_warnings *w = cel_program_warnings(f->program);
    put_open(out, "filter", '{');
    put_u64(out, "looked_at", f->looked_at);
    put_u64(out, "failed", f->failed);
    if (f->failed != 0) {
        put_open(out, "first_failure", '{');
        put_issue(out, &f->first, text);
        put_close(out, '}');
    } else {
        put_null(out, "first_failure");
    }
    put_open(out, "warnings", '[');
    for (uint32_t i = 0; i < w->count; i++) {
        put_open(out, NULL, '{');
        put_issue(out, &w->items[i], text);
        put_close(out, '}');
    }
    put_close(out, ']');
    put_close(out, '}');
}
