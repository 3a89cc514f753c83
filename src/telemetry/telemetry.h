/*
 * What the engine measures about itself: counters, histograms and sliding
 * windows, and the three texts made of them: Prometheus exposition
 * (/metrics), the manual's JSON (/api/metrics) and the reference page
 * doc/metrics.md. Every metric is one row of a table in tables.c, from which
 * all three derive.
 *
 * Pure: time comes as an argument (epoch milliseconds). Everything below may
 * be called by any thread at any time: counters are relaxed atomics.
 *
 * Counters begin at zero with each start of the process, as Prometheus expects
 * of them. Windows and rates go on where the last process left them, if told
 * what happened meanwhile (series.h). The ledger of events and workflows by
 * status is counted by the store and handed in with struct telemetry_state.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "model/integration.h"
#include "model/record.h"
#include "telemetry/slo.h"

/* Event types counted by name; further ones are counted as "other". */
#define TELEMETRY_TYPES_MAX 64
#define TELEMETRY_TYPE_OTHER "other"

struct telemetry;

/* Everything at zero; now_ms is the start time that rates refer to. */
struct telemetry *telemetry_new(uint64_t now_ms);
void telemetry_free(struct telemetry *t);

/* ---- what happened ------------------------------------------------------ */

/* n events of this type are durable and will be answered with 2xx. */
void telemetry_event_accepted(struct telemetry *t, uint64_t now_ms,
                              struct str type, uint64_t n);

/* n claimed events reached a final state without error. */
void telemetry_event_processed(struct telemetry *t, uint64_t now_ms,
                               uint64_t n);

/* n claimed events failed, or were lost with what processed them: they will be
 * tried again, or are poison now. */
void telemetry_event_error(struct telemetry *t, uint64_t now_ms, uint64_t n);

/* Why events were not accepted. */
enum telemetry_refusal {
    REFUSAL_INVALID,  /* 400, 413, 415 */
    REFUSAL_DENIED,   /* 401, 403 */
    REFUSAL_OVERLOAD, /* 503: queue full, too many requests waiting */
    REFUSAL_STOPPING, /* 503: shutting down */
    REFUSAL_STORE,    /* 507 or 500: the store could not take it */
    TELEMETRY_REFUSALS
};

void telemetry_event_refused(struct telemetry *t, enum telemetry_refusal why,
                             uint64_t n);

/* Alertmanager left n alerts out of a webhook. */
void telemetry_alerts_truncated(struct telemetry *t, uint64_t n);

/* A workflow row was born. */
void telemetry_workflow_started(struct telemetry *t);

/* The condition of a trigger had no value for an event. */
void telemetry_event_undecided(struct telemetry *t);

/* So many starts of workflows were held back by this. */
void telemetry_starts_held(struct telemetry *t, enum hold by, uint64_t n);

/* A workflow that an event asked for was born failed: it could not start. */
void telemetry_workflow_unstartable(struct telemetry *t);

/* A workflow reached a final status. Dry runs have a count of their own; the
 * rates and durations are of those that succeeded, failed or were killed: a
 * cancelled one is somebody's choice. */
void telemetry_workflow_finished(struct telemetry *t, uint64_t now_ms,
                                 enum workflow_status status,
                                 uint64_t duration_ms, bool dry_run);

/* An attempt of a step reached a final state. */
void telemetry_step_finished(struct telemetry *t, enum attempt_state state,
                             uint64_t duration_ms);

/* A request was answered with this HTTP status. */
void telemetry_http_answered(struct telemetry *t, unsigned status);

/* All that follows from records that have just become durable: events done,
 * workflows born and finished, attempts ended, and every timing except
 * TIMING_INGEST. Rows must be whole (as the engine writes them). One thread
 * at a time, unlike the rest. */
void telemetry_records(struct telemetry *t, uint64_t now_ms,
                       const struct record *records, size_t count);

/* ---- how long it took --------------------------------------------------- */

enum telemetry_timing {
    TIMING_INGEST,            /* request received to durable */
    TIMING_EVENT_TO_WORKFLOW, /* event received to workflow durable (SLO) */
    TIMING_EVENT_TO_STEP,     /* event received to first step started */
    TIMING_STEP,              /* one attempt, start to end */
    TIMING_WORKFLOW,          /* creation to final status */
    TIMING_EXECUTION,         /* first step started to final status (SLO) */
    TELEMETRY_TIMINGS
};

/* Counts one duration. */
void telemetry_observe_us(struct telemetry *t, enum telemetry_timing which,
                          uint64_t us);

/* ---- reading ------------------------------------------------------------ */

enum telemetry_worker { WORKER_RESTING, WORKER_CLAIMING, TELEMETRY_WORKERS };

/* What others know at this moment, as plain numbers. Fields are uint64_t (0
 * or 1 for yes and no) because the table addresses them by offset. */
/* Workflows by status, and dry runs, which are in none of these: they are
 * born succeeded, and nothing has run. */
#define TELEMETRY_DRY_RUN WORKFLOW_STATUSES
#define TELEMETRY_ENDS (WORKFLOW_STATUSES + 1)

struct telemetry_state {
    /* the ledger: accepted = sum of events[] (I1) */
    uint64_t accepted;
    uint64_t events[EVENT_STATUSES];
    uint64_t workflows[TELEMETRY_ENDS];
    uint64_t oldest_active_ms; /* when that workflow was created; 0: none */
    uint64_t backup_ms;        /* when the newest backup was made; 0: none */
    uint64_t queue_depth;      /* events that wait to be claimed */
    uint64_t queue_limit;
    uint64_t workers[TELEMETRY_WORKERS];
    uint64_t kill_switch;
    uint64_t processing_paused;
    uint64_t disk_full;
    uint64_t trigger_memories; /* keys that triggers remember */
    uint64_t memories_refused; /* starts held back for want of room */
    uint64_t executor_up;
    uint64_t runbooks;              /* in force */
    uint64_t runbooks_rejected;     /* files that do not load */
    uint64_t runbooks_refused;      /* of those in force, by the executor */
    uint64_t generation;            /* number of the one in force */
    uint64_t config_reload_ok;      /* the last load of the configuration */
    uint64_t config_loaded_seconds; /* epoch, of the last that worked */
    uint64_t runbook_reload_ok;     /* the last load of the repository */
    uint64_t store_commits;
    uint64_t store_operations;
    uint64_t store_commit_us_sum;
    uint64_t integrations_used[INTEGRATIONS];    /* enabled, configured */
    uint64_t integrations_failing[INTEGRATIONS]; /* of these: not healthy */
    uint64_t notices_pending[INTEGRATIONS];      /* to be sent */
    uint64_t notices_dead[INTEGRATIONS];         /* given up, and kept */
    uint64_t notices_sent[INTEGRATIONS];
    uint64_t notices_retried[INTEGRATIONS];
    uint64_t notices_dropped[INTEGRATIONS];
    uint64_t incidents_forgotten; /* open ones: too many, or too old */
    uint64_t scrapes[2];          /* good, bad */
    uint64_t scrape_events;
    uint64_t scrape_dropped;
    uint64_t http_connections;
    uint64_t stream_subscribers;
    struct slo_result slo[SLOS]; /* those without samples are left out */
};

/* Prometheus text format 0.0.4, HELP and TYPE with every family. */
void telemetry_add_prometheus(const struct telemetry *t,
                              const struct telemetry_state *s,
                              struct strbuf *out);

#define TELEMETRY_PROMETHEUS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* The object of GET /api/metrics. With no workflow finished in its window a
 * success rate is 1: an idle engine must not raise the manual's alert. */
void telemetry_add_json(const struct telemetry *t,
                        const struct telemetry_state *s, uint64_t now_ms,
                        struct strbuf *out);

/* The reference of all metrics and JSON keys, in Markdown. */
void telemetry_add_reference(struct strbuf *out);
