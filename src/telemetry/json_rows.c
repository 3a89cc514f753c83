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

/* Per second over the last minute, or over the life of a younger process. */
static double rate(const struct telemetry *t, enum window_id w, uint64_t now_ms)
{
    uint64_t up_s =
        now_ms > t->started_ms ? (now_ms - t->started_ms) / 1000 : 0;
    uint64_t over_s = MIN(MAX(up_s, UINT64_C(1)), (uint64_t)MINUTE_S);
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
    return (double)atomic_load_explicit(&t->errors, memory_order_relaxed);
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

#define COUNTED true
#define MEASURED false

const struct json_row telemetry_json_rows[] = {
    {"event_queue_depth", "events that wait to be processed", queue_depth,
     COUNTED},
    {"queue_depth", "the same", queue_depth, COUNTED},
    {"events_per_minute", "events accepted in the last 60 s", events_per_minute,
     COUNTED},
    {"ingestion_rate", "events accepted per second, over the last 60 s",
     ingestion_rate, MEASURED},
    {"processing_rate", "events processed per second, over the last 60 s",
     processing_rate, MEASURED},
    {"events_processed_per_second", "the same", processing_rate, MEASURED},
    {"processing_errors", "failed tries since the start", errors_total,
     COUNTED},
    {"processing_errors_last_hour", "failed tries in the last 60 min",
     errors_last_hour, COUNTED},
    {"workflow_success_rate_1h",
     "succeeded of succeeded, failed and killed in the last 60 min, 0 to 1; "
     "1 if there was none",
     success_rate_1h, MEASURED},
    {"workflow_success_rate_24h", "the same for the last 24 h",
     success_rate_24h, MEASURED},
    {"avg_workflow_duration_seconds",
     "creation to end, mean over the workflows of that rate in the last "
     "24 h; 0 if there was none",
     avg_duration, MEASURED},
    {"active_workflows", "workflows that have not ended", active_workflows,
     COUNTED},
    {"uptime_seconds", "since the start of the process", uptime, MEASURED},
};

const size_t telemetry_json_row_count = ARRAY_LEN(telemetry_json_rows);
