#include "telemetry/series.h"

#include <errno.h>

#include "base/assert.h"
#include "telemetry/telemetry_priv.h"

static const struct {
    const char *name;
    const char *unit;
    const char *help;
    bool by_second, by_minute;
    enum window_id second, minute;
} flows[TELEMETRY_FLOWS] = {
    [FLOW_EVENTS_ACCEPTED] = {"events_accepted", "events", "events accepted",
                              .by_second = true, .second = WINDOW_ACCEPTED_S},
    [FLOW_EVENTS_PROCESSED] = {"events_processed", "events",
                               "events processed to an end", .by_second = true,
                               .second = WINDOW_PROCESSED_S},
    [FLOW_EVENT_ERRORS] = {"event_errors", "errors",
                           "failed tries to process an event",
                           .by_second = true, .second = WINDOW_ERRORS_S},
    [FLOW_WORKFLOWS_SUCCEEDED] = {"workflows_succeeded", "workflows",
                                  "workflows that succeeded", .by_second = true,
                                  .by_minute = true,
                                  .second = WINDOW_SUCCEEDED_S,
                                  .minute = WINDOW_SUCCEEDED_M},
    [FLOW_WORKFLOWS_FAILED] = {"workflows_failed", "workflows",
                               "workflows that failed or were killed",
                               .by_second = true, .by_minute = true,
                               .second = WINDOW_FAILED_S,
                               .minute = WINDOW_FAILED_M},
    [FLOW_WORKFLOW_MS] = {"workflow_milliseconds", "milliseconds",
                          "summed durations of these two", .by_minute = true,
                          .minute = WINDOW_DURATION_MS_M},
    [FLOW_WORKFLOWS_TRIGGERED] = {"workflows_triggered", "workflows",
                                  "workflows that an event started",
                                  .by_second = false},
    [FLOW_REMEDIATIONS_ENDED] = {"remediations_ended", "workflows",
                                 "of those, the ones that ended",
                                 .by_second = false},
    [FLOW_REMEDIATIONS_SUCCEEDED] = {"remediations_succeeded", "workflows",
                                     "of those, the ones that succeeded",
                                     .by_second = false},
};

static void add(struct telemetry *t, enum telemetry_flow which, uint64_t at_ms,
                uint64_t n)
{
    ASSERT(which < TELEMETRY_FLOWS);
    if (flows[which].by_second) {
        window_add(&t->windows[flows[which].second], at_ms, n);
    }
    if (flows[which].by_minute) {
        window_add(&t->windows[flows[which].minute], at_ms, n);
    }
}

void telemetry_flow(struct telemetry *t, enum telemetry_flow which,
                    uint64_t now_ms, uint64_t n)
{
    if (n != 0) {
        atomic_fetch_add_explicit(&t->flows[which], n, memory_order_relaxed);
        add(t, which, now_ms, n);
    }
}

uint64_t telemetry_flow_total(const struct telemetry *t,
                              enum telemetry_flow which)
{
    return atomic_load_explicit(&t->flows[which], memory_order_relaxed);
}

/* A slot that is older than the window holds, or from the future, would take
 * the place of one that counts. */
static void restore(struct window *w, uint64_t at_ms, uint64_t now_ms,
                    uint64_t n)
{
    uint64_t period = at_ms / w->period_ms;
    uint64_t now = now_ms / w->period_ms;
    if (n != 0 && period <= now && now - period < w->slot_count) {
        window_add(w, at_ms, n);
    }
}

void telemetry_restore(struct telemetry *t, enum telemetry_flow which,
                       uint64_t at_ms, uint64_t now_ms, uint64_t n,
                       unsigned windows)
{
    ASSERT(which < TELEMETRY_FLOWS);
    if (flows[which].by_second && (windows & TELEMETRY_HOUR) != 0) {
        restore(&t->windows[flows[which].second], at_ms, now_ms, n);
    }
    if (flows[which].by_minute && (windows & TELEMETRY_DAY) != 0) {
        restore(&t->windows[flows[which].minute], at_ms, now_ms, n);
    }
}

bool telemetry_has_window(enum telemetry_flow which, unsigned window)
{
    ASSERT(which < TELEMETRY_FLOWS);
    return (flows[which].by_second && (window & TELEMETRY_HOUR) != 0) ||
           (flows[which].by_minute && (window & TELEMETRY_DAY) != 0);
}

void telemetry_known_since(struct telemetry *t, uint64_t ms)
{
    if (ms < atomic_load_explicit(&t->known_ms, memory_order_relaxed)) {
        atomic_store_explicit(&t->known_ms, ms, memory_order_relaxed);
    }
}

uint32_t telemetry_timing_counts(const struct telemetry *t,
                                 enum telemetry_timing which,
                                 uint64_t ret[HISTOGRAM_BUCKETS_MAX + 1],
                                 const uint64_t **ret_bounds_us)
{
    ASSERT(which < TELEMETRY_TIMINGS);
    const struct histogram *h = &t->timings[which];
    for (uint32_t i = 0; i <= h->bound_count; i++) {
        ret[i] = atomic_load_explicit(&h->counts[i], memory_order_relaxed);
    }
    *ret_bounds_us = h->bounds_us;
    return h->bound_count + 1;
}

/* ---- the list ------------------------------------------------------------
 * The flows, then the rows of the JSON view that are not another's twin. */

static const struct json_row *row_at(size_t i)
{
    for (size_t j = 0; j < telemetry_json_row_count; j++) {
        const struct json_row *row = &telemetry_json_rows[j];
        if (row->same_as == NULL && i-- == 0) {
            return row;
        }
    }
    return NULL;
}

size_t telemetry_series_count(void)
{
    size_t n = TELEMETRY_FLOWS;
    while (row_at(n - TELEMETRY_FLOWS) != NULL) {
        n++;
    }
    ASSERT(n <= TELEMETRY_SERIES_MAX);
    return n;
}

struct telemetry_series telemetry_series(size_t i)
{
    if (i < TELEMETRY_FLOWS) {
        return (struct telemetry_series){
            .name = flows[i].name,
            .unit = flows[i].unit,
            .help = flows[i].help,
            .is_flow = true,
            .flow = (enum telemetry_flow)i,
        };
    }
    const struct json_row *row = row_at(i - TELEMETRY_FLOWS);
    ASSERT(row != NULL);
    return (struct telemetry_series){
        .name = row->key, .unit = row->unit, .help = row->help};
}

int telemetry_series_find(struct str name, size_t *ret)
{
    for (size_t j = 0; j < telemetry_json_row_count; j++) {
        const struct json_row *row = &telemetry_json_rows[j];
        if (str_eq_c(name, row->key) && row->same_as != NULL) {
            name = str_c(row->same_as);
        }
    }
    size_t count = telemetry_series_count();
    for (size_t i = 0; i < count; i++) {
        if (str_eq_c(name, telemetry_series(i).name)) {
            *ret = i;
            return 0;
        }
    }
    return -ENOENT;
}

double telemetry_series_value(const struct telemetry *t,
                              const struct telemetry_state *s, uint64_t now_ms,
                              size_t i)
{
    ASSERT(i >= TELEMETRY_FLOWS);
    const struct json_row *row = row_at(i - TELEMETRY_FLOWS);
    ASSERT(row != NULL);
    return row->value(t, s, now_ms);
}
