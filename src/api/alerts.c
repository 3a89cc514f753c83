/*
 * What Alertmanager and its clients speak: its webhook, and the parts of its
 * API v2 that let Prometheus and amtool use us in its place. Errors of the
 * latter have its shapes.
 */
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "api/ingest.h"
#include "data/json.h"
#include "data/timestamp.h"
#include "model/matcher.h"
#include "os/clock.h"
#include "wire/alertmanager.h"

#define RECEIVER "autonomous-devops"
#define FILTERS_MAX 32
#define FILTER_BUDGET_US 1000000 /* of all filters of a request */

/* ---- the webhook
 * --------------------------------------------------------------- */

static json_t *read_json(struct call *c, struct err *reterr)
{
    json_t *json = NULL;
    int r = json_read(c->http->body, NULL, &json, reterr);
    return r < 0 ? NULL : json;
}

/* Counted and logged whatever the answer is: nobody reads that. */
static void note_left_out(struct call *c, const struct webhook_alerts *alerts)
{
    char text[512];
    struct telemetry *t = service_telemetry(c->api->service);
    telemetry_alerts_truncated(t, alerts->truncated);
    if (alerts->refused != 0 && alerts->count != 0) {
        /* All of them refused is a refused request, which is counted so. */
        telemetry_event_refused(t, REFUSAL_INVALID, alerts->refused);
        (void)snprintf(text, sizeof(text),
                       "%u of %u alerts of a webhook were refused: %.*s",
                       alerts->refused, alerts->refused + alerts->count,
                       STR_ARG(str_slice(alerts->problems[0], 0, 384)));
        service_warn(c->api->service, text);
    }
    if (alerts->truncated != 0) {
        (void)snprintf(text, sizeof(text),
                       "Alertmanager left out %llu alerts of a webhook "
                       "(truncatedAlerts): raise max_alerts of its receiver",
                       (unsigned long long)alerts->truncated);
        service_warn(c->api->service, text);
    }
}

void alerts_webhook(struct call *c)
{
    struct err err = ERR_INIT;
    struct webhook_alerts alerts;
    json_t *body = read_json(c, &err);
    if (body == NULL) {
        answer_err(c, err.errnum == -E2BIG ? 413 : 400,
                   err.errnum == -E2BIG ? "too_large" : "bad_json", &err);
        return;
    }
    int r = alertmanager_webhook(body, call_arena(c), &alerts, &err);
    json_decref(body);
    note_left_out(c, &alerts);
    if (r < 0) {
        answer_err(c, r == -E2BIG ? 413 : 400,
                   r == -E2BIG ? "too_large" : "event_invalid", &err);
    } else if (alerts.count == 0) {
        strbuf_addc(call_out(c), "{\"ids\":[],\"count\":0,"
                                 "\"deduplicated\":0,\"refused\":0,");
        put_u64(call_out(c), "truncated", alerts.truncated);
        strbuf_addc(call_out(c), ",\"errors\":[]}");
        answer_json(c, 202);
    } else {
        ingest_submit_webhook(c, &alerts);
    }
}

/* ---- POST /api/v2/alerts
 * -------------------------------------------------------- */

/* {"code": ..., "message": ...} */
static void answer_coded(struct call *c, unsigned status, unsigned code,
                         const char *message)
{
    struct strbuf *out = call_out(c);
    strbuf_reset(out);
    put_open(out, NULL, '{');
    put_u64(out, "code", code);
    put_bytes(out, "message", str_c(message));
    put_close(out, '}');
    answer_json(c, status);
}

static bool is_json(const struct call *c)
{
    struct str type = c->http->headers[HTTP_CONTENT_TYPE];
    static const char json[] = "application/json";
    return type.at == NULL ||
           (type.len >= sizeof(json) - 1 &&
            strncasecmp(type.at, json, sizeof(json) - 1) == 0);
}

void alerts_post(struct call *c)
{
    struct err err = ERR_INIT;
    struct event *events = NULL;
    uint32_t count = 0;
    if (!is_json(c)) {
        answer_coded(c, 415, 415,
                     "unsupported media type, only "
                     "[application/json] is allowed");
        return;
    }
    json_t *body = read_json(c, &err);
    if (body == NULL) {
        answer_coded(c, 400, 400, err.message);
        return;
    }
    int r = alertmanager_alerts(body, os_epoch_ms(), call_arena(c), &events,
                                &count, &err);
    json_decref(body);
    if (r == -EBADMSG) {
        answer_coded(c, 422, 602, err.message);
    } else if (r == -E2BIG && count == 0) {
        answer_coded(c, 413, 413, err.message);
    } else if (count == 0 && r < 0) {
        answer_string(c, 400, err.message);
    } else if (count == 0) {
        answer_as(c, 200, HTTP_JSON);
    } else if (r < 0) {
        ingest_submit_partial(c, events, count, err.message);
    } else {
        ingest_submit(c, events, count, INGEST_ALERTS);
    }
}

/* ---- reading
 * -------------------------------------------------------------------- */

struct filters {
    struct matcher at[FILTERS_MAX];
    size_t count;
};

static void filters_deinit(struct filters *f)
{
    for (size_t i = 0; i < f->count; i++) {
        matcher_deinit(&f->at[i]);
    }
}

static int filters_read(struct call *c, struct filters *f, struct err *reterr)
{
    uint32_t cursor = 0;
    const struct url_param *p = NULL;
    while ((p = url_next(&c->url, "filter", &cursor)) != NULL) {
        if (f->count == FILTERS_MAX) {
            return err_set(reterr, -E2BIG, "more than %d filters", FILTERS_MAX);
        }
        int r =
            matcher_parse(p->value, call_arena(c), &f->at[f->count], reterr);
        if (r < 0) {
            return r;
        }
        f->count++;
    }
    return 0;
}

static int holds(const struct filters *f, const struct labels *labels)
{
    for (size_t i = 0; i < f->count; i++) {
        int r = matcher_holds(&f->at[i], labels);
        if (r <= 0) {
            return r;
        }
    }
    return 1;
}

/* Every alert is active and goes to the one receiver. */
static int wants_any(struct call *c, struct err *reterr)
{
    const struct value *receiver = call_value(c, "receiver");
    int r = call_number(c, "active") != 0;
    if (r == 1 && receiver->given && receiver->text.len != 0) {
        struct pattern *pattern = NULL;
        r = pattern_compile(receiver->text, &pattern, reterr);
        if (r == 0) {
            r = pattern_matches(pattern, STR(RECEIVER));
        }
        pattern_free(pattern);
    }
    return r;
}

/* A list as it is written. */
struct listing {
    const struct filters *filters;
    uint64_t now_ms;
    uint64_t filter_us; /* that the filters have taken */
    bool cut;           /* it has become as long as an answer may be */
};

/* Each regular expression is bounded by itself; together they could keep a
 * reader for minutes, and the engine from ending. */
static int wants(struct call *c, struct listing *l, const struct labels *labels,
                 struct err *reterr)
{
    if (l->filters->count == 0) {
        return 1;
    }
    if (service_status(c->api->service).stopping) {
        return err_set(reterr, -ECANCELED, "the engine is stopping");
    }
    uint64_t start_us = api_now_us();
    int r = holds(l->filters, labels);
    l->filter_us += api_now_us() - start_us;
    if (r < 0 || l->filter_us > FILTER_BUDGET_US) {
        return err_set(reterr, -EINVAL,
                       "the filters take too long: use = or simpler regular "
                       "expressions");
    }
    return r;
}

static int add_page(struct call *c, struct listing *l,
                    const struct event_view *rows, uint32_t count,
                    struct strbuf *out, struct err *reterr)
{
    for (uint32_t i = 0; i < count && !l->cut; i++) {
        int r = wants(c, l, &rows[i].event.labels, reterr);
        if (r < 0) {
            return r;
        }
        if (r == 1) {
            put_element(out);
            alertmanager_add_alert(out, &rows[i].event, l->now_ms);
            l->cut = out->len >= API_LIST_MAX_BYTES;
        }
    }
    return 0;
}

static int add_alerts(struct call *c, struct listing *l, struct strbuf *out,
                      struct err *reterr)
{
    uint64_t before_seq = 0;
    uint32_t count = STORE_ALERTS_PAGE;
    int r = 0;
    while (r == 0 && count == STORE_ALERTS_PAGE && !l->cut) {
        CLEANUP(arena_deinit) struct arena page = ARENA_INIT;
        struct event_view *rows = NULL;
        r = c->reader->ops->alerts(c->reader, l->now_ms, before_seq, &page,
                                   &rows, &count);
        if (r < 0) {
            return err_set(reterr, r == -ETIMEDOUT ? r : -EIO,
                           "the store could not be read");
        }
        r = add_page(c, l, rows, count, out, reterr);
        before_seq = count != 0 ? rows[count - 1].event.seq : 0;
    }
    return r;
}

static unsigned refusal_status(int r)
{
    if (r == -ECANCELED || r == -ETIMEDOUT) {
        return 503;
    }
    return r == -EIO ? 500 : 400;
}

/* The list of alerts that the query asks for; false when it has answered. */
static bool put_alerts(struct call *c, struct strbuf *out, bool *ret_cut)
{
    struct filters f = {.count = 0};
    struct listing l = {.filters = &f, .now_ms = os_epoch_ms()};
    struct err err = ERR_INIT;
    int r = filters_read(c, &f, &err);
    if (r == 0) {
        r = wants_any(c, &err);
    }
    strbuf_addch(out, '[');
    if (r == 1) {
        r = add_alerts(c, &l, out, &err);
    }
    strbuf_addch(out, ']');
    filters_deinit(&f);
    if (r < 0) {
        answer_string(c, refusal_status(r), err.message);
        return false;
    }
    *ret_cut = l.cut;
    return true;
}

/* These lists have no pages: what is left out is said in a header. */
static void answer_alerts(struct call *c, bool cut)
{
    struct http_answer a = {
        .status = 200,
        .type = HTTP_JSON,
        .body = strbuf_str(call_out(c)),
        .extra = {{cut ? "Warning" : NULL,
                   "299 autonomous-devops \"older alerts were left out: use "
                   "filters\""}},
    };
    answer_with(c, &a);
}

void alerts_list(struct call *c)
{
    bool cut = false;
    if (put_alerts(c, call_out(c), &cut)) {
        answer_alerts(c, cut);
    }
}

void alerts_groups(struct call *c)
{
    struct strbuf *out = call_out(c);
    strbuf_addc(out, "[{\"labels\":{},\"receiver\":{\"name\":\"" RECEIVER
                     "\"},\"alerts\":");
    size_t before = out->len;
    bool cut = false;
    if (!put_alerts(c, out, &cut)) {
        return;
    }
    if (out->len == before + 2) { /* "[]" */
        strbuf_reset(out);
        strbuf_addc(out, "[]");
    } else {
        strbuf_addc(out, "}]");
    }
    answer_alerts(c, cut);
}

void alerts_status(struct call *c)
{
    char start[TIMESTAMP_TEXT_SIZE];
    timestamp_format(service_status(c->api->service).started_ms, start);
    strbuf_addf(call_out(c),
                "{\"cluster\":{\"status\":\"disabled\",\"peers\":[]},"
                "\"versionInfo\":{\"version\":\"%s\",\"revision\":\"\","
                "\"branch\":\"\",\"buildUser\":\"\",\"buildDate\":\"\","
                "\"goVersion\":\"\"},\"config\":{\"original\":\"\"},"
                "\"uptime\":\"%s\"}",
                ADP_VERSION, start);
    answer_json(c, 200);
}

void alerts_receivers(struct call *c)
{
    strbuf_addc(call_out(c), "[{\"name\":\"" RECEIVER "\"}]");
    answer_json(c, 200);
}

void alerts_silences(struct call *c)
{
    strbuf_addc(call_out(c), "[]");
    answer_json(c, 200);
}
