#include "telemetry/telemetry_priv.h"

#define MINUTE_S 60
#define HOUR_S 3600
#define DAY_M 1440

static double queue_depth(const struct telemetry *t UNUSED,
                          const struct telemetry_state *s,
                          uint64_t now_ms UNUSED)
{
    return (double)s->queue_depth;
}

/* Per second over the last minute, or over what of it is known. */
static double rate(const struct telemetry *t, enum window_id w, uint64_t now_ms)
{
    uint64_t known_ms =
        atomic_load_explicit(&t->known_ms, memory_order_relaxed);
    uint64_t known_s = now_ms > known_ms ? (now_ms - known_ms) / 1000 : 0;
    uint64_t over_s = MIN(MAX(known_s, UINT64_C(1)), (uint64_t)MINUTE_S);
    return (double)window_sum(&t->windows[w], now_ms, MINUTE_S) /
           (double)over_s;
}

static double events_per_minute(const struct telemetry *t,
                                const struct telemetry_state *s UNUSED,
                                uint64_t now_ms)
{
    return (double)window_sum(&t->windows[WINDOW_ACCEPTED_S], now_ms, MINUTE_S);
}

static double ingestion_rate(const struct telemetry *t,
                             const struct telemetry_state *s UNUSED,
                             uint64_t now_ms)
{
    return rate(t, WINDOW_ACCEPTED_S, now_ms);
}

static double processing_rate(const struct telemetry *t,
                              const struct telemetry_state *s UNUSED,
                              uint64_t now_ms)
{
    return rate(t, WINDOW_PROCESSED_S, now_ms);
}

static double errors_last_hour(const struct telemetry *t,
                               const struct telemetry_state *s UNUSED,
                               uint64_t now_ms)
{
    return (double)window_sum(&t->windows[WINDOW_ERRORS_S], now_ms, HOUR_S);
}

static double errors_total(const struct telemetry *t,
                           const struct telemetry_state *s UNUSED,
                           uint64_t now_ms UNUSED)
{
    return (double)telemetry_flow_total(t, FLOW_EVENT_ERRORS);
}

static double success_rate(const struct window *ok, const struct window *bad,
                           uint64_t now_ms, uint32_t periods)
{
    uint64_t succeeded = window_sum(ok, now_ms, periods);
    uint64_t failed = window_sum(bad, now_ms, periods);
    if (succeeded + failed == 0) {
        return 1.0;
    }
    return (double)succeeded / (double)(succeeded + failed);
}

static double success_rate_1h(const struct telemetry *t,
                              const struct telemetry_state *s UNUSED,
                              uint64_t now_ms)
{
    return success_rate(&t->windows[WINDOW_SUCCEEDED_S],
                        &t->windows[WINDOW_FAILED_S], now_ms, HOUR_S);
}

static double success_rate_24h(const struct telemetry *t,
                               const struct telemetry_state *s UNUSED,
                               uint64_t now_ms)
{
    return success_rate(&t->windows[WINDOW_SUCCEEDED_M],
                        &t->windows[WINDOW_FAILED_M], now_ms, DAY_M);
}

static double avg_duration(const struct telemetry *t,
                           const struct telemetry_state *s UNUSED,
                           uint64_t now_ms)
{
    const struct window *w = t->windows;
    uint64_t n = window_sum(&w[WINDOW_SUCCEEDED_M], now_ms, DAY_M) +
                 window_sum(&w[WINDOW_FAILED_M], now_ms, DAY_M);
    if (n == 0) {
        return 0.0;
    }
    uint64_t ms = window_sum(&w[WINDOW_DURATION_MS_M], now_ms, DAY_M);
    return (double)ms / 1000.0 / (double)n;
}

static double active_workflows(const struct telemetry *t UNUSED,
                               const struct telemetry_state *s,
                               uint64_t now_ms UNUSED)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < WORKFLOW_STATUSES; i++) {
        if (!workflow_status_is_final((enum workflow_status)i)) {
            n += s->workflows[i];
        }
    }
    return (double)n;
}

static double uptime(const struct telemetry *t,
                     const struct telemetry_state *s UNUSED, uint64_t now_ms)
{
    return now_ms > t->started_ms ? (double)(now_ms - t->started_ms) / 1000.0
                                  : 0.0;
}

#define COUNTED .whole = true
#define MEASURED .whole = false
#define ROW(name, fn, kind, what, text)                                        \
    {                                                                          \
        .key = (name), .value = (fn), kind, .unit = (what), .help = (text)     \
    }
#define ALIAS(name, fn, kind, of)                                              \
    {                                                                          \
        .key = (name), .value = (fn), kind, .same_as = (of),                   \
        .help = "the same as " of                                              \
    }

const struct json_row telemetry_json_rows[] = {
    ROW("event_queue_depth", queue_depth, COUNTED, "events",
        "events that wait to be processed"),
    ALIAS("queue_depth", queue_depth, COUNTED, "event_queue_depth"),
    ROW("events_per_minute", events_per_minute, COUNTED, "events",
        "events accepted in the last 60 s"),
    ROW("ingestion_rate", ingestion_rate, MEASURED, "events/s",
        "events accepted per second, over the last 60 s"),
    ROW("processing_rate", processing_rate, MEASURED, "events/s",
        "events processed per second, over the last 60 s"),
    ALIAS("events_processed_per_second", processing_rate, MEASURED,
          "processing_rate"),
    ROW("processing_errors", errors_total, COUNTED, "errors",
        "failed tries since the start"),
    ROW("processing_errors_last_hour", errors_last_hour, COUNTED, "errors",
        "failed tries in the last 60 min"),
    ROW("workflow_success_rate_1h", success_rate_1h, MEASURED, "ratio",
        "succeeded of succeeded, failed and killed in the last 60 min, 0 to "
        "1; 1 if there was none"),
    ROW("workflow_success_rate_24h", success_rate_24h, MEASURED, "ratio",
        "the same for the last 24 h"),
    ROW("avg_workflow_duration_seconds", avg_duration, MEASURED, "seconds",
        "creation to end, mean over the workflows of that rate in the last "
        "24 h; 0 if there was none"),
    ROW("active_workflows", active_workflows, COUNTED, "workflows",
        "workflows that have not ended"),
    ROW("uptime_seconds", uptime, MEASURED, "seconds",
        "since the start of the process"),
};

const size_t telemetry_json_row_count = ARRAY_LEN(telemetry_json_rows);
