/*
 * What people say of what the engine has noticed: whether an event was right to
 * start a workflow, and which incidents started none. Each is one change of the
 * service: durable and in the audit trail before it is answered.
 */
#include "api/verdicts.h"

#include <errno.h>
#include <stdio.h>

#include "api/filter.h"
#include "data/json.h"
#include "data/timestamp.h"
#include "os/clock.h"

#define NOTE_MAX_BYTES 2000

struct judging {
    struct service_request request;
    struct call *call;
    const char *prefix; /* of the subject's id */
};

void put_verdict(struct strbuf *out, const char *key,
                 const struct verdict_row *v)
{
    put_open(out, key, '{');
    put_text_c(out, "verdict", verdict_name(v->verdict));
    put_text_or_null(out, "note", v->note);
    put_text(out, "by", v->by);
    put_instant(out, "at", v->at_ms);
    put_close(out, '}');
}

static void judged(struct service_request *request)
{
    struct judging *x = CONTAINER_OF(request, struct judging, request);
    const struct verdict_row *v = &request->change.verdict;
    struct call *c = x->call;
    struct strbuf *out = call_out(c);
    if (request->result == -ENOSPC) {
        answer_disk_full(c);
        return;
    }
    if (request->result < 0) {
        answer_busy(c, "store_failed",
                    "the store did not take the verdict; try again");
        return;
    }
    put_open(out, NULL, '{');
    put_id(out, "id", x->prefix, v->subject);
    put_text_c(out, "verdict", verdict_name(v->verdict));
    put_text_or_null(out, "note", v->note);
    put_instant(out, "occurred_at", v->about_ms);
    put_close(out, '}');
    answer_json(c, c->route->status);
}

/* What it is now, for the audit trail. */
static struct str after(struct call *c, const struct verdict_row *v)
{
    struct strbuf out = STRBUF_INIT(NOTE_MAX_BYTES * 6 + 256);
    put_open(&out, NULL, '{');
    put_text_c(&out, "verdict", verdict_name(v->verdict));
    put_text_or_null(&out, "note", v->note);
    put_close(&out, '}');
    struct str kept = arena_str(call_arena(c), strbuf_str(&out));
    strbuf_deinit(&out);
    return kept;
}

static void post(struct call *c, const char *prefix,
                 const struct verdict_row *v)
{
    struct judging *x = ARENA_NEW(call_arena(c), struct judging);
    char id[ID_TEXT_SIZE];
    id_format(v->subject, prefix, id);
    x->call = c;
    x->prefix = prefix;
    x->request = (struct service_request){
        .kind = SERVICE_CHANGE,
        .requested_by = str_c(c->who.name),
        .change = {.audit = {.action = str_c(c->route->audit),
                             .subject = arena_str(call_arena(c), str_c(id)),
                             .after = after(c, v)},
                   .verdict = *v},
        .done = judged,
    };
    service_post(c->api->service, &x->request);
}

/* A text of bounded length, kept in the arena: 1, 0 or the error. */
static int read_note(struct call *c, const json_t *body, const char *name,
                     struct str *ret, struct err *reterr)
{
    struct str text = STR_NULL;
    int r = json_get_str(body, name, &text, reterr);
    if (r > 0 && text.len > NOTE_MAX_BYTES) {
        err_field(reterr, "%s", name);
        return err_set(reterr, -EINVAL, "at most %d bytes expected",
                       NOTE_MAX_BYTES);
    }
    if (r > 0) {
        *ret = arena_str(call_arena(c), text);
    }
    return r;
}

/* ---- of a workflow --------------------------------------------------------
 */

static int read_word(const json_t *body, enum verdict *ret, struct err *reterr)
{
    static const enum verdict words[] = {VERDICT_CORRECT,
                                         VERDICT_FALSE_POSITIVE, VERDICT_NONE};
    struct str word = STR_NULL;
    int r = json_get_str(body, "verdict", &word, reterr);
    if (r < 0) {
        return r;
    }
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_eq_c(word, verdict_name(words[i]))) {
            *ret = words[i];
            return 0;
        }
    }
    err_field(reterr, "verdict");
    err_hint(reterr, "none withdraws an earlier one");
    return err_set(reterr, -EINVAL,
                   "a verdict is correct, false_positive or none");
}

void workflows_verdict(struct call *c)
{
    static const char *const names[] = {"verdict", "note"};
    struct err err = ERR_INIT;
    struct workflow_view w;
    struct verdict_row v = {.subject = c->id, .note = STR("")};
    json_t *body = call_read_object(c, names, ARRAY_LEN(names));
    if (body == NULL) {
        return;
    }
    int r = read_word(body, &v.verdict, &err);
    if (r == 0) {
        r = read_note(c, body, "note", &v.note, &err);
    }
    json_decref(body);
    if (r < 0) {
        answer_err(c, 400, "bad_request", &err);
        return;
    }
    r = c->reader->ops->workflow(c->reader, c->id, call_arena(c), &w);
    if (r < 0) {
        answer_read_error(c, r);
    } else if (id_is_null(w.row.event_id) || w.row.dry_run) {
        answer_error(c, 409, "conflict",
                     "no event started this workflow: there is nothing to "
                     "judge",
                     STR(""));
    } else {
        v.about_ms = w.row.created_ms;
        post(c, ID_PREFIX_WORKFLOW, &v);
    }
}

/* ---- incidents that nothing noticed -----------------------------------------
 */

/* RFC 3339 or epoch seconds, not in the future. */
static int read_occurred(const json_t *body, uint64_t now_ms, uint64_t *ret,
                         struct err *reterr)
{
    const json_t *value = json_object_get(body, "occurred_at");
    uint64_t ms = now_ms;
    int r = 0;
    if (json_is_string(value)) {
        r = timestamp_parse_any(
            str_n(json_string_value(value), json_string_length(value)), &ms);
    } else if (json_is_number(value)) {
        r = timestamp_from_seconds(json_number_value(value), &ms);
    } else if (value != NULL) {
        r = -EINVAL;
    }
    if (r < 0 || ms > now_ms) {
        err_field(reterr, "occurred_at");
        return err_set(reterr, -EINVAL,
                       "a time in the past expected: RFC 3339 or epoch "
                       "seconds");
    }
    *ret = ms;
    return 0;
}

void verdicts_missed(struct call *c)
{
    static const char *const names[] = {"summary", "occurred_at"};
    struct err err = ERR_INIT;
    uint64_t now_ms = os_epoch_ms();
    struct verdict_row v = {.verdict = VERDICT_MISSED, .note = STR("")};
    json_t *body = call_read_object(c, names, ARRAY_LEN(names));
    if (body == NULL) {
        return;
    }
    int r = read_note(c, body, "summary", &v.note, &err);
    if (r >= 0 && v.note.len == 0) {
        err_field(&err, "summary");
        r = err_set(&err, -EINVAL, "say in a sentence what was missed");
    }
    if (r >= 0) {
        r = read_occurred(body, now_ms, &v.about_ms, &err);
    }
    json_decref(body);
    if (r < 0) {
        answer_err(c, 400, "bad_request", &err);
        return;
    }
    v.subject = api_new_event_id(c->api, v.about_ms);
    post(c, ID_PREFIX_MISSED, &v);
}

/* It was none, or something had noticed it after all. */
void verdicts_missed_withdraw(struct call *c)
{
    struct verdict_row v;
    json_t *body = call_read_object(c, NULL, 0);
    if (body == NULL) {
        return;
    }
    json_decref(body);
    int r = c->reader->ops->verdict(c->reader, c->id, call_arena(c), &v);
    if (r == 0 && v.verdict != VERDICT_MISSED) {
        r = -ENOENT;
    }
    if (r < 0) {
        answer_read_error(c, r);
        return;
    }
    v.verdict = VERDICT_NONE;
    post(c, ID_PREFIX_MISSED, &v);
}

static void put_missed(struct strbuf *out, const struct verdict_row *row)
{
    put_open(out, NULL, '{');
    put_id(out, "id", ID_PREFIX_MISSED, row->subject);
    put_text(out, "summary", row->note);
    put_instant(out, "occurred_at", row->about_ms);
    put_text(out, "by", row->by);
    put_instant(out, "recorded_at", row->at_ms);
    put_close(out, '}');
}

static void list_missed(struct filter *filter, const struct verdict_row *rows,
                        uint32_t count)
{
    struct call *c = filter->call;
    struct strbuf *out = call_out(c);
    uint64_t limit = call_number(c, "limit");
    uint64_t given = 0;
    put_open(out, NULL, '{');
    put_open(out, "missed", '[');
    for (uint32_t i = 0; i < count && given < limit; i++) {
        size_t start = out->len;
        put_missed(out, &rows[i]);
        given += filter_keeps_row(filter, start) ? 1 : 0;
    }
    put_close(out, ']');
    put_u64(out, "count", given);
    filter_put(filter);
    put_close(out, '}');
    answer_json(c, 200);
}

void verdicts_missed_list(struct call *c)
{
    bool all = call_value(c, "filter")->given; /* there are few */
    struct verdict_filter f = {
        .verdict = VERDICT_MISSED,
        .since_ms = call_number(c, "since"),
        .limit = all ? API_FILTER_ROWS_MAX : (uint32_t)call_number(c, "limit"),
    };
    struct verdict_row *rows = NULL;
    struct filter filter;
    uint32_t count = 0;
    int r =
        c->reader->ops->verdicts(c->reader, &f, call_arena(c), &rows, &count);
    if (r < 0) {
        answer_read_error(c, r);
        return;
    }
    if (filter_open(c, &filter)) {
        list_missed(&filter, rows, count);
    }
    filter_close(&filter);
}
