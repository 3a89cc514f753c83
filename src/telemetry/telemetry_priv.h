/*
 * Inside of telemetry: the counters themselves, and the tables that name
 * them. A row finds its number by kind and offset, so that adding a metric is
 * adding a field and a row. Only files of this folder include this.
 */
#pragma once

#include <stddef.h>

#include "telemetry/histogram.h"
#include "telemetry/series.h"
#include "telemetry/telemetry.h"
#include "telemetry/window.h"

typedef _Atomic(uint64_t) counter;

/* One event type that has been seen. Written once, before `type_count` says
 * that it is there. */
struct type_slot {
    char name[64];
    size_t name_len;
    counter accepted;
};

#define HTTP_CLASSES 5 /* 1xx to 5xx */

/* A workflow whose first step has not started yet. Direct-mapped by id: when
 * two meet in one place the older one is not measured. */
#define AWAITED_SLOTS 1024

struct awaited {
    struct id workflow_id;
    uint64_t event_ms;
};

enum window_id {
    WINDOW_ACCEPTED_S, /* per second, one hour */
    WINDOW_PROCESSED_S,
    WINDOW_ERRORS_S,
    WINDOW_SUCCEEDED_S,
    WINDOW_FAILED_S,
    WINDOW_SUCCEEDED_M, /* per minute, one day */
    WINDOW_FAILED_M,
    WINDOW_DURATION_MS_M, /* summed durations of the two above */
    WINDOWS
};

struct telemetry {
    uint64_t started_ms;
    counter known_ms; /* what happened since then is in the windows */
    counter flows[TELEMETRY_FLOWS];
    counter refused[TELEMETRY_REFUSALS];
    counter alerts_truncated;
    counter events_undecided;
    counter starts_held[HOLD_KINDS];
    counter workflows_started;
    counter workflows_unstartable;
    counter workflows_finished[TELEMETRY_ENDS];
    counter steps_finished[ATTEMPT_STATES];
    counter http_answers[HTTP_CLASSES];
    struct type_slot types[TELEMETRY_TYPES_MAX];
    counter types_other;
    _Atomic(uint32_t) type_count;
    atomic_flag type_lock; /* held while a new type is entered */
    struct window windows[WINDOWS];
    struct histogram timings[TELEMETRY_TIMINGS];
    struct awaited awaited[AWAITED_SLOTS]; /* telemetry_records only */
};

/* Where the number of a metric stands. */
enum metric_source {
    FROM_COUNTERS, /* a counter in struct telemetry, at offset */
    FROM_STATE,    /* a uint64_t in struct telemetry_state, at offset */
    FROM_START,    /* the start time */
    FROM_BUILD,    /* constant 1, labelled with the version */
    FROM_TYPES,    /* the table of event types */
    FROM_SLO       /* slo_value of each objective */
};

enum metric_unit { UNIT_ONE, UNIT_MILLISECONDS, UNIT_MICROSECONDS };

struct metric_row {
    const char *name; /* behind METRIC_PREFIX */
    const char *type; /* "counter" or "gauge" */
    const char *help;
    const char *label; /* NULL: one sample */
    const char *(*label_value)(unsigned i);
    unsigned count; /* samples, when labelled */
    enum metric_source source;
    size_t offset;
    enum metric_unit unit; /* as stored; shown in seconds */
    double (*slo_value)(enum slo which, const struct slo_result *r);
};

struct timing_row {
    const char *name;
    const char *help;
    const char *json; /* its key below "latency_seconds" */
    const uint64_t *bounds_us;
    uint32_t bound_count;
};

/* What the JSON view says, in its order. */
struct json_row {
    const char *key;
    const char *help;
    const char *unit;
    const char *same_as; /* another row's key; NULL: a row of its own */
    double (*value)(const struct telemetry *t, const struct telemetry_state *s,
                    uint64_t now_ms);
    bool whole; /* an integer */
};

#define METRIC_PREFIX "autonomous_devops_"

extern const struct metric_row telemetry_metric_rows[];
extern const size_t telemetry_metric_row_count;
extern const struct timing_row telemetry_timing_rows[TELEMETRY_TIMINGS];
extern const struct json_row telemetry_json_rows[];
extern const size_t telemetry_json_row_count;

/* "succeeded", ..., "dry_run". */
const char *telemetry_end_name(unsigned i);

/* How many types have a name by now; their slots may be read. */
uint32_t telemetry_type_count(const struct telemetry *t);
