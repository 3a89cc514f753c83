/*
 * Partner systems: lists, settings, health, tests. Secrets go in and never
 * come out. Changes wait for their commit on a reading thread; checks are
 * answered by the integrations' thread.
 */
#include "integrations/integrations.h"

#include <errno.h>
#include <stdio.h>

#include "api/filter.h"
#include "data/json.h"

static void answer_value(struct call *c, json_t *value)
{
    json_write(value, call_out(c));
    json_decref(value);
    answer_json(c, c->route->status);
}

/* The integration of the path; false when it has answered. */
static bool find(struct call *c, enum integration *ret)
{
    if (integration_parse(c->name, ret) == 0) {
        return true;
    }
    struct strbuf detail = STRBUF_INIT(1024);
    struct strbuf sentence = STRBUF_INIT(1024);
    strbuf_addc(&sentence, "there is no such integration; there are");
    put_open(&detail, "names", '[');
    for (int i = 0; i < INTEGRATIONS; i++) {
        const char *name = integration_name((enum integration)i);
        strbuf_addf(&sentence, "%s %s", i != 0 ? "," : "", name);
        put_text_c(&detail, NULL, name);
    }
    put_close(&detail, ']');
    answer_error(c, 404, "not_found", strbuf_str(&sentence).at,
                 strbuf_str(&detail));
    strbuf_deinit(&sentence);
    strbuf_deinit(&detail);
    return false;
}

/* ---- looking ------------------------------------------------------------- */

static void list_with(struct call *c, json_t *(*view)(struct integrations *s,
                                                      enum integration which))
{
    struct strbuf *out = call_out(c);
    struct filter filter;
    if (filter_open(c, &filter)) {
        put_open(out, NULL, '[');
        for (int i = 0; i < INTEGRATIONS; i++) {
            json_auto_t *row = view(c->api->integrations, (enum integration)i);
            size_t start = out->len;
            put_element(out);
            json_write(row, out);
            (void)filter_keeps_row(&filter, start);
        }
        put_close(out, ']');
        filter_answer_bare(&filter);
    }
    filter_close(&filter);
}

void integrations_list(struct call *c)
{
    list_with(c, integrations_row);
}

void integrations_all_health(struct call *c)
{
    list_with(c, integrations_health);
}

void integrations_get(struct call *c)
{
    enum integration which = INTEGRATION_PROMETHEUS;
    if (find(c, &which)) {
        answer_value(c, integrations_detail(c->api->integrations, which));
    }
}

/* ---- asking ---------------------------------------------------------------
 */

struct asking {
    struct integration_check check;
    struct call *call;
};

static void answer_checked(struct call *c, const struct integration_check *k)
{
    if (k->kind == CHECK_HEALTH) {
        answer_value(c, integrations_health(c->api->integrations, k->which));
        return;
    }
    answer_value(c, json_pack("{s:s, s:b, s:i, s:f}", "name",
                              integration_name(k->which), "ok", 1, "requests",
                              (int)k->steps, "latency_seconds",
                              (double)k->took_ms / 1000));
}

/* On the integrations' thread. */
static void checked(struct integration_check *k)
{
    struct call *c = CONTAINER_OF(k, struct asking, check)->call;
    bool health = k->kind == CHECK_HEALTH;
    if (k->result == -ECANCELED) {
        answer_busy(c, "stopping", "the engine is stopping; try again");
    } else if (k->result == -EAGAIN) {
        answer_busy(c, "busy", "too many checks at a time; try again");
    } else if (k->result == -EDQUOT) {
        c->retry_seconds = (unsigned)(k->retry_ms / 1000 + 1);
        answer_error(c, 429, "too_many_tests", k->error, STR(""));
    } else if (k->result == 0 || health) {
        answer_checked(c, k);
    } else if (k->result == -EOPNOTSUPP) {
        answer_error(c, 409, "integration_unused", k->error, STR(""));
    } else {
        answer_error(c, 502, "integration_failed", k->error, STR(""));
    }
}

static void ask(struct call *c, enum integration_check_kind kind, bool force)
{
    struct asking *x = ARENA_NEW(call_arena(c), struct asking);
    x->call = c;
    x->check = (struct integration_check){
        .kind = kind, .force = force, .done = checked};
    if (c->http->method == HTTP_POST) {
        json_t *body = call_read_object(c, NULL, 0);
        if (body == NULL) {
            return;
        }
        json_decref(body);
    }
    if (find(c, &x->check.which)) {
        integrations_check(c->api->integrations, &x->check);
    }
}

void integrations_get_health(struct call *c)
{
    ask(c, CHECK_HEALTH, false);
}

void integrations_ask_health(struct call *c)
{
    ask(c, CHECK_HEALTH, true);
}

void integrations_test(struct call *c)
{
    ask(c, CHECK_TEST, true);
}

/* ---- changing -------------------------------------------------------------
 */

static void answer_change_error(struct call *c, int r, const struct err *e)
{
    switch (r) {
    case -EINVAL:
    case -ERANGE:
        answer_err(c, 400, r == -ERANGE ? "out_of_range" : "bad_request", e);
        return;
    case -ENOKEY:
        answer_err(c, 500, "no_key", e);
        return;
    case -ENOSPC:
        answer_disk_full(c);
        return;
    default:
        answer_busy(c, "store_failed",
                    "the store did not take the change; try again");
    }
}

/* False when it has answered. */
static bool make_change(struct call *c, struct integration_change *change)
{
    struct err err = ERR_INIT;
    change->by = str_c(c->who.name);
    change->audit = str_c(c->route->audit);
    int r = integrations_change(c->api->integrations, change, &err);
    if (r < 0) {
        answer_change_error(c, r, &err);
    }
    return r == 0;
}

/* The body as an object, whatever its fields: the table of fields knows. */
static json_t *read_fields(struct call *c)
{
    struct err err = ERR_INIT;
    json_t *body = NULL;
    struct json_limits limits = JSON_LIMITS_DEFAULT;
    limits.bytes = c->route->body_limit_bytes;
    int r = json_read(c->http->body, &limits, &body, &err);
    if (r == 0 && json_is_object(body) && json_object_size(body) != 0) {
        return body;
    }
    if (r == 0) {
        json_decref(body);
        err_hint(&err, "as in {\"url\": \"http://localhost:9090\"}");
        (void)err_set(&err, -EINVAL,
                      "the body must be a JSON object with fields to set");
    }
    answer_err(c, r == -E2BIG ? 413 : 400,
               r == -E2BIG ? "too_large"
               : r < 0     ? "bad_json"
                           : "bad_request",
               &err);
    return NULL;
}

void integrations_put(struct call *c)
{
    struct integration_change change = {.action = INTEGRATION_PUT};
    if (!find(c, &change.which)) {
        return;
    }
    json_t *body = read_fields(c);
    if (body == NULL) {
        return;
    }
    change.body = body;
    bool made = make_change(c, &change);
    json_decref(body);
    if (!made) {
        return;
    }
    json_t *out = integrations_detail(c->api->integrations, change.which);
    json_t *dropped = json_array();
    for (uint32_t i = 0; i < change.dropped_count; i++) {
        (void)json_array_append_new(dropped, json_string(change.dropped[i]));
    }
    (void)json_object_set_new(out, "dropped", dropped);
    answer_value(c, out);
}

static void switch_to(struct call *c, enum integration_action action)
{
    struct integration_change change = {.action = action};
    json_t *body = call_read_object(c, NULL, 0);
    if (body == NULL) {
        return;
    }
    json_decref(body);
    if (find(c, &change.which) && make_change(c, &change)) {
        answer_value(c, integrations_row(c->api->integrations, change.which));
    }
}

void integrations_enable(struct call *c)
{
    switch_to(c, INTEGRATION_ENABLE);
}

void integrations_disable(struct call *c)
{
    switch_to(c, INTEGRATION_DISABLE);
}

void integrations_pause(struct call *c)
{
    switch_to(c, INTEGRATION_PAUSE);
}

void integrations_resume(struct call *c)
{
    switch_to(c, INTEGRATION_RESUME);
}

/* ---- the outbox ------------------------------------------------------------
 */

static void put_notice(struct strbuf *out, const struct notice_row *row)
{
    put_open(out, NULL, '{');
    put_u64(out, "seq", row->seq);
    put_text_c(out, "state", notice_state_name(row->state));
    put_instant(out, "created_at", row->created_ms);
    put_u64(out, "attempts", row->attempts);
    put_instant(out, "last_try", row->tried_ms);
    put_text_or_null(out, "error", row->error);
    put_text(out, "key", row->key);
    put_raw(out, "notice", row->body);
    put_close(out, '}');
}

struct notice_list {
    struct notice_filter filter;
    struct notice_row *rows;
};

static int read_notices(void *context, struct filter *f, uint32_t limit,
                        struct arena *page, uint32_t *ret_count)
{
    struct notice_list *l = context;
    struct reader *reader = f->call->reader;
    l->filter.limit = limit;
    return reader->ops->notices(reader, &l->filter, page, &l->rows, ret_count);
}

static bool put_one_notice(void *context, struct filter *f, uint32_t i)
{
    struct notice_list *l = context;
    struct strbuf *out = call_out(f->call);
    size_t start = out->len;
    put_notice(out, &l->rows[i]);
    l->filter.before_seq = l->rows[i].seq;
    return filter_keeps_row(f, start);
}

static int put_notices(struct filter *filter, const struct notice_filter *which,
                       uint32_t *ret_given, uint64_t *ret_next)
{
    struct notice_list l = {.filter = *which};
    const struct filter_list list = {read_notices, put_one_notice, &l};
    bool more = false;
    int r = filter_pages(filter, &list,
                         (uint32_t)call_number(filter->call, "limit"),
                         ret_given, &more);
    *ret_next = more ? l.filter.before_seq : 0;
    return r;
}

void integrations_outbox(struct call *c)
{
    struct notice_filter f = {
        .state = (enum notice_state)call_number(c, "state"),
        .before_seq = call_number(c, "cursor"),
    };
    struct strbuf *out = call_out(c);
    struct filter filter;
    uint32_t given = 0;
    uint64_t next = 0;
    if (!find(c, &f.channel)) {
        return;
    }
    if (filter_open(c, &filter)) {
        put_open(out, NULL, '{');
        put_open(out, "notices", '[');
        int r = put_notices(&filter, &f, &given, &next);
        put_close(out, ']');
        put_u64(out, "count", given);
        put_cursor(out, next);
        filter_put(&filter);
        put_close(out, '}');
        filter_answer(&filter, r);
    }
    filter_close(&filter);
}
