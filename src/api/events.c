/*
 * /api/events. Accepting is the busy path: one parse, one operation for the
 * committer, one answer, and no memory but the connection's own.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/explain_json.h"
#include "api/filter.h"
#include "api/ingest.h"
#include "data/json.h"
#include "model/event_json.h"
#include "os/clock.h"

#define NDJSON "application/x-ndjson"

/* ---- accepting
 * ---------------------------------------------------------------- */

static int read_event(struct call *c, struct str text, struct event *ret,
                      struct err *reterr)
{
    json_t *json = NULL;
    if (event_from_text(text, call_arena(c), ret) == 0) {
        return 0;
    }
    int r = json_read(text, NULL, &json, reterr);
    if (r < 0) {
        return r == -E2BIG ? r : -EBADMSG;
    }
    r = event_from_json(json, call_arena(c), ret, reterr);
    json_decref(json);
    return r < 0 ? -EINVAL : 0;
}

static void refuse_event(struct call *c, int r, const struct err *e)
{
    switch (r) {
    case -E2BIG:
        answer_err(c, 413, "too_large", e);
        return;
    case -EBADMSG:
        answer_err(c, 400, "bad_json", e);
        return;
    default:
        answer_err(c, 400, "event_invalid", e);
    }
}

/* The same for entry `index` of a list. */
static void refuse_entry(struct call *c, int r, uint32_t index, struct err *e)
{
    (void)err_wrap(e, "entry %u", index);
    struct strbuf detail = STRBUF_INIT(1024);
    put_u64(&detail, "index", index);
    if (e->field[0] != '\0') {
        put_bytes(&detail, "field", str_c(e->field));
    }
    if (e->hint[0] != '\0') {
        put_bytes(&detail, "hint", str_c(e->hint));
    }
    answer_error(c, r == -E2BIG ? 413 : 400,
                 r == -E2BIG     ? "too_large"
                 : r == -EBADMSG ? "bad_json"
                                 : "event_invalid",
                 e->message, strbuf_str(&detail));
    strbuf_deinit(&detail);
}

/* Events of a list in the request's arena, which has no realloc. */
struct batch {
    struct event *at;
    uint32_t count;
    uint32_t cap;
};

static struct event *batch_next(struct batch *b, struct arena *a)
{
    if (b->count == b->cap) {
        uint32_t cap = b->cap != 0 ? 2 * b->cap : 16;
        struct event *larger = ARENA_ARRAY(a, cap, struct event);
        if (b->count != 0) {
            memcpy(larger, b->at, b->count * sizeof(struct event));
        }
        b->at = larger;
        b->cap = cap;
    }
    return &b->at[b->count];
}

/* Reads the entries; false when it has answered. */
static bool read_entries(struct call *c, enum json_form form, struct batch *b)
{
    struct json_split split;
    struct str text = STR_NULL;
    struct err err = ERR_INIT;
    int r = 0;
    json_split_init(&split, c->http->body, form);
    while ((r = json_split_next(&split, &text, &err)) == 1) {
        if (b->count == STORE_BATCH_MAX) {
            (void)err_set(&err, -E2BIG, "a list has at most %d events",
                          STORE_BATCH_MAX);
            answer_err(c, 413, "too_large", &err);
            return false;
        }
        r = read_event(c, text, batch_next(b, call_arena(c)), &err);
        if (r < 0) {
            refuse_entry(c, r, b->count, &err);
            return false;
        }
        b->count++;
    }
    if (r < 0) {
        answer_err(c, 400, "bad_json", &err);
    }
    return r == 0;
}

static void post_list(struct call *c, enum json_form form)
{
    struct batch b = {.at = NULL};
    if (!read_entries(c, form, &b)) {
        return;
    }
    if (b.count == 0) {
        answer_error(c, 400, "event_invalid", "the list holds no event",
                     STR(""));
    } else {
        ingest_submit(c, b.at, b.count, INGEST_LIST);
    }
}

static bool says_ndjson(const struct call *c)
{
    struct str type = c->http->headers[HTTP_CONTENT_TYPE];
    return str_starts(type, STR(NDJSON));
}

/* Several lines, the first of which is a whole JSON value? */
static bool looks_like_lines(struct str body)
{
    ptrdiff_t newline = str_find(body, '\n');
    json_t *json = NULL;
    struct err ignored = ERR_INIT;
    if (newline < 0 || json_read(str_slice(body, 0, (size_t)newline), NULL,
                                 &json, &ignored) < 0) {
        return false;
    }
    json_decref(json);
    return true;
}

static void post_one(struct call *c)
{
    struct event *event = ARENA_NEW(call_arena(c), struct event);
    struct err err = ERR_INIT;
    int r = read_event(c, c->http->body, event, &err);
    if (r == -EBADMSG && looks_like_lines(c->http->body)) {
        post_list(c, JSON_FORM_LINES);
    } else if (r < 0) {
        refuse_event(c, r, &err);
    } else {
        ingest_submit(c, event, 1, INGEST_ONE);
    }
}

void events_post(struct call *c)
{
    if (says_ndjson(c)) {
        post_list(c, JSON_FORM_LINES);
    } else if (json_form_of(c->http->body) == JSON_FORM_ARRAY) {
        post_list(c, JSON_FORM_ARRAY);
    } else {
        post_one(c);
    }
}

/* ---- reading
 * ------------------------------------------------------------------ */

static void put_event(struct strbuf *out, const struct event_view *v)
{
    put_element(out);
    event_add_json(out, &v->event, v->status, v->error, &v->duplicate_of);
}

struct event_list {
    struct event_filter *filter;
    struct event_view *rows;
};

static int read_events(void *context, struct filter *f, uint32_t limit,
                       struct arena *page, uint32_t *ret_count)
{
    struct event_list *l = context;
    struct reader *reader = f->call->reader;
    l->filter->limit = limit;
    return reader->ops->events(reader, l->filter, page, &l->rows, ret_count);
}

static bool put_one_event(void *context, struct filter *f, uint32_t i)
{
    struct event_list *l = context;
    l->filter->before_seq = l->rows[i].event.seq;
    if (!filter_keeps_event(f, &l->rows[i])) {
        return false;
    }
    put_event(call_out(f->call), &l->rows[i]);
    return true;
}

/* Sets *ret_next to the cursor of the next page, or 0. */
static int put_events(struct filter *filter, struct event_filter *f,
                      uint32_t limit, uint64_t *ret_next)
{
    struct event_list l = {.filter = f};
    const struct filter_list list = {read_events, put_one_event, &l};
    uint32_t given = 0;
    bool more = false;
    int r = filter_pages(filter, &list, limit, &given, &more);
    *ret_next = more ? f->before_seq : 0;
    return r;
}

static void answer_list(struct call *c, const char *key, struct event_filter *f,
                        uint32_t limit)
{
    struct strbuf *out = call_out(c);
    struct filter filter;
    uint64_t next = 0;
    if (filter_open(c, &filter)) {
        put_open(out, NULL, '{');
        put_open(out, key, '[');
        int r = put_events(&filter, f, limit, &next);
        put_close(out, ']');
        put_cursor(out, next);
        filter_put(&filter);
        put_close(out, '}');
        filter_answer(&filter, r);
    }
    filter_close(&filter);
}

/* What every list of events can be asked for. */
static struct event_filter read_filter(struct call *c)
{
    return (struct event_filter){
        .type = call_value(c, "type")->text,
        .severity = call_value(c, "severity")->text,
        .source = call_value(c, "source")->text,
        .status = -1,
        .before_seq = call_number(c, "cursor"),
    };
}

static int read_status(struct call *c)
{
    const struct value *status = call_value(c, "status");
    return status->given ? (int)status->number : -1;
}

void events_list(struct call *c)
{
    struct event_filter f = read_filter(c);
    f.status = read_status(c);
    f.since_ms = call_number(c, "since");
    answer_list(c, "events", &f, call_export_limit(c));
}

void events_recent(struct call *c)
{
    struct event_filter f = read_filter(c);
    f.status = read_status(c);
    answer_list(c, "events", &f, (uint32_t)call_number(c, "limit"));
}

void events_poison(struct call *c)
{
    struct event_filter f = read_filter(c);
    f.status = EVENT_POISON;
    f.since_ms = call_number(c, "since");
    answer_list(c, "poison_messages", &f, (uint32_t)call_number(c, "limit"));
}

static int put_workflows_of(struct call *c, struct id event_id)
{
    struct workflow_filter f = {
        .status = -1, .event_id = event_id, .limit = API_PAGE_MAX};
    struct workflow_view *rows = NULL;
    uint32_t count = 0;
    int r =
        c->reader->ops->workflows(c->reader, &f, call_arena(c), &rows, &count);
    struct strbuf *out = call_out(c);
    put_open(out, "workflows", '[');
    for (uint32_t i = 0; r == 0 && i < count; i++) {
        put_open(out, NULL, '{');
        put_id(out, "id", ID_PREFIX_WORKFLOW, rows[i].row.id);
        put_text(out, "runbook", rows[i].row.runbook_path);
        put_text_c(out, "status", workflow_status_name(rows[i].row.status));
        put_close(out, '}');
    }
    put_close(out, ']');
    return r;
}

static void answer_event(struct call *c, const struct event_view *v)
{
    struct strbuf *out = call_out(c);
    put_event(out, v);
    out->len--; /* its closing brace: one more field follows */
    int r = put_workflows_of(c, c->id);
    explain_put_held(out, v->decision);
    put_close(out, '}');
    if (r < 0) {
        answer_read_error(c, r);
        return;
    }
    answer_json(c, 200);
}

void events_get(struct call *c)
{
    struct event_view v = {0};
    int r = c->reader->ops->event(c->reader, c->id, call_arena(c), &v);
    if (r < 0) {
        answer_read_error(c, r);
        return;
    }
    answer_event(c, &v);
}

bool call_read_poison(struct call *c, struct event_view *ret)
{
    int r = c->reader->ops->event(c->reader, c->id, call_arena(c), ret);
    if (r < 0) {
        answer_read_error(c, r);
        return false;
    }
    if (ret->status != EVENT_POISON) {
        char sentence[96];
        (void)snprintf(sentence, sizeof(sentence),
                       "this event is %s: it is no poison message",
                       event_status_name(ret->status));
        answer_error(c, 404, "not_found", sentence, STR(""));
        return false;
    }
    return true;
}

void events_poison_show(struct call *c)
{
    struct event_view v = {0};
    if (call_read_poison(c, &v)) {
        answer_event(c, &v);
    }
}
