/* What there is of which events: the queue now, and the traffic lately. */
#include <stdio.h>

#include "api/api_priv.h"
#include "os/clock.h"
#include "telemetry/series.h"

#define HOUR_MS (3600ULL * 1000)
#define DAY_MS (24 * HOUR_MS)

/* ---- a tally by one of its words ----------------------------------------- */

static struct str word_or_none(struct str word)
{
    return word.len != 0 ? word : STR("none");
}

static struct str type_of(const struct event_group *g)
{
    return word_or_none(g->type);
}

static struct str severity_of(const struct event_group *g)
{
    return word_or_none(g->severity);
}

static struct str source_of(const struct event_group *g)
{
    return word_or_none(g->source);
}

static struct str status_of(const struct event_group *g)
{
    return str_c(event_status_name(g->status));
}

static struct str priority_of(const struct event_group *g)
{
    static const char digits[] = "0123456789";
    _Static_assert(EVENT_PRIORITY_MAX <= 9, "one digit is enough");
    return str_n(&digits[g->priority % 10], 1);
}

static bool is_first_of(const struct event_tally *t, uint32_t i,
                        struct str (*word)(const struct event_group *g))
{
    for (uint32_t k = 0; k < i; k++) {
        if (str_eq(word(&t->groups[k]), word(&t->groups[i]))) {
            return false;
        }
    }
    return true;
}

/* {"alert": 12, "metric": 3} */
static void put_by(struct call *c, const char *key, const struct event_tally *t,
                   struct str (*word)(const struct event_group *g))
{
    struct strbuf *out = call_out(c);
    put_open(out, key, '{');
    for (uint32_t i = 0; i < t->group_count; i++) {
        uint64_t sum = 0;
        if (!is_first_of(t, i, word)) {
            continue;
        }
        for (uint32_t k = i; k < t->group_count; k++) {
            bool same = str_eq(word(&t->groups[k]), word(&t->groups[i]));
            sum += same ? t->groups[k].count : 0;
        }
        put_element(out);
        strbuf_add_json_quoted(out, word(&t->groups[i]));
        strbuf_addf(out, ":%llu", (unsigned long long)sum);
    }
    put_close(out, '}');
}

static uint64_t looked_at(const struct event_tally *t)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < t->group_count; i++) {
        sum += t->groups[i].count;
    }
    return sum;
}

/* False when it has answered. */
static bool read_tally(struct call *c, struct tally_filter filter,
                       struct event_tally *ret)
{
    int r = c->reader->ops->tally(c->reader, &filter, call_arena(c), ret);
    if (r < 0) {
        answer_read_error(c, r);
    }
    return r == 0;
}

static void put_rate(struct strbuf *out, const char *key, double value)
{
    char text[48];
    (void)snprintf(text, sizeof(text), "%.6f", value);
    put_raw(out, key, str_c(text));
}

/* What telemetry says of this key: 0 if it does not know it. */
static double rate_of(struct call *c, const char *key)
{
    struct telemetry_state none = {0};
    size_t i = 0;
    if (telemetry_series_find(str_c(key), &i) < 0) {
        return 0;
    }
    return telemetry_series_value(service_telemetry(c->api->service), &none,
                                  os_epoch_ms(), i);
}

/* ---- GET /api/admin/queue-analysis ----------------------------------------
 */

static void put_oldest(struct strbuf *out, const struct event_tally *t)
{
    uint64_t oldest_ms = 0;
    uint64_t now_ms = os_epoch_ms();
    for (uint32_t i = 0; i < t->group_count; i++) {
        uint64_t ms = t->groups[i].oldest_ms;
        oldest_ms = oldest_ms == 0 ? ms : MIN(oldest_ms, ms);
    }
    put_instant(out, "oldest_received_at", oldest_ms);
    if (oldest_ms == 0) {
        put_null(out, "oldest_age_seconds");
    } else {
        put_seconds(out, "oldest_age_seconds",
                    now_ms > oldest_ms ? now_ms - oldest_ms : 0);
    }
}

/* At the rates of the last minute; null: it does not get shorter. */
static void put_drain_time(struct call *c, const struct service_status *s)
{
    struct strbuf *out = call_out(c);
    double in = rate_of(c, "ingestion_rate");
    double done = rate_of(c, "processing_rate");
    put_rate(out, "ingestion_rate", in);
    put_rate(out, "processing_rate", done);
    if (s->queue_depth == 0) {
        put_rate(out, "estimated_drain_seconds", 0);
    } else if (s->paused || done <= in) {
        put_null(out, "estimated_drain_seconds");
    } else {
        put_rate(out, "estimated_drain_seconds",
                 (double)s->queue_depth / (done - in));
    }
}

/* What operators have said about priorities, the rule that decides first. */
static void put_rules(struct call *c)
{
    struct strbuf *out = call_out(c);
    uint32_t count = 0;
    struct controls *controls = service_controls(c->api->service);
    const struct control_rule *rules = controls_rules(controls, &count);
    put_open(out, "priority_rules", '[');
    for (uint32_t i = 0; i < count; i++) {
        put_open(out, NULL, '{');
        put_text_or_null(out, "type", rules[i].type);
        put_text_or_null(out, "severity", rules[i].severity);
        put_u64(out, "priority", rules[i].priority);
        put_text(out, "by", rules[i].row->by);
        put_instant(out, "at", rules[i].row->at_ms);
        put_close(out, '}');
    }
    put_close(out, ']');
    controls_unref(controls);
}

void stats_queue(struct call *c)
{
    struct event_tally t;
    if (!read_tally(c, (struct tally_filter){.queued = true}, &t)) {
        return;
    }
    struct service_status s = service_status(c->api->service);
    struct strbuf *out = call_out(c);
    put_open(out, NULL, '{');
    put_u64(out, "queue_depth", s.queue_depth);
    put_u64(out, "queue_limit", s.queue_limit);
    put_bool(out, "paused", s.paused);
    put_u64(out, "workers", s.workers);
    put_by(c, "event_type_distribution", &t, type_of);
    put_by(c, "by_severity", &t, severity_of);
    put_by(c, "by_source", &t, source_of);
    put_by(c, "by_priority", &t, priority_of);
    put_by(c, "by_status", &t, status_of);
    put_rules(c);
    put_oldest(out, &t);
    put_drain_time(c, &s);
    put_u64(out, "looked_at", looked_at(&t));
    put_bool(out, "complete", t.complete);
    put_close(out, '}');
    answer_json(c, 200);
}

/* ---- GET /api/events/stats ------------------------------------------------
 */

static void put_ledger(struct strbuf *out, const struct store_counts *counts)
{
    put_u64(out, "total", counts->accepted);
    put_open(out, "by_status", '{');
    for (unsigned i = 0; i < EVENT_STATUSES; i++) {
        put_u64(out, event_status_name((enum event_status)i),
                counts->events[i]);
    }
    put_close(out, '}');
}

static void put_window(struct call *c, const struct event_tally *t,
                       uint64_t since_ms)
{
    struct strbuf *out = call_out(c);
    put_open(out, "window", '{');
    put_instant(out, "since", since_ms);
    put_u64(out, "total", t->accepted);
    put_u64(out, "looked_at", looked_at(t));
    put_bool(out, "complete", t->complete);
    put_by(c, "by_status", t, status_of);
    put_close(out, '}');
    put_by(c, "by_type", t, type_of);
    put_by(c, "by_severity", t, severity_of);
    put_by(c, "by_source", t, source_of);
}

void stats_events(struct call *c)
{
    uint64_t now_ms = os_epoch_ms();
    const struct value *since = call_value(c, "since");
    uint64_t since_ms = since->given ? since->number : now_ms - DAY_MS;
    struct event_tally window;
    struct event_tally hour;
    struct event_tally day;
    struct store_counts counts = {0};
    if (!read_tally(c, (struct tally_filter){.since_ms = since_ms}, &window) ||
        !read_tally(c, (struct tally_filter){.since_ms = now_ms - HOUR_MS},
                    &hour) ||
        !read_tally(c, (struct tally_filter){.since_ms = now_ms - DAY_MS},
                    &day)) {
        return;
    }
    int r = c->reader->ops->counts(c->reader, &counts);
    if (r < 0) {
        answer_read_error(c, r);
        return;
    }
    struct strbuf *out = call_out(c);
    put_open(out, NULL, '{');
    put_ledger(out, &counts);
    put_u64(out, "last_hour", hour.accepted);
    put_u64(out, "last_24h", day.accepted);
    put_u64(out, "events_per_minute",
            (uint64_t)rate_of(c, "events_per_minute"));
    put_rate(out, "ingestion_rate", rate_of(c, "ingestion_rate"));
    put_rate(out, "processing_rate", rate_of(c, "processing_rate"));
    put_window(c, &window, since_ms);
    put_close(out, '}');
    answer_json(c, 200);
}
