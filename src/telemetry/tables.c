#include "telemetry/telemetry_priv.h"

static const char *event_label(unsigned i)
{
    return event_status_name((enum event_status)i);
}

const char *telemetry_end_name(unsigned i)
{
    return i == TELEMETRY_DRY_RUN
               ? workflow_result_name(RESULT_DRY_RUN)
               : workflow_status_name((enum workflow_status)i);
}

static const char *attempt_label(unsigned i)
{
    return attempt_state_name((enum attempt_state)i);
}

static const char *refusal_label(unsigned i)
{
    static const char *const names[TELEMETRY_REFUSALS] = {
        [REFUSAL_INVALID] = "invalid",   [REFUSAL_DENIED] = "denied",
        [REFUSAL_OVERLOAD] = "overload", [REFUSAL_STOPPING] = "stopping",
        [REFUSAL_STORE] = "store",
    };
    return names[i];
}

static const char *worker_label(unsigned i)
{
    static const char *const names[TELEMETRY_WORKERS] = {
        [WORKER_RESTING] = "resting",
        [WORKER_CLAIMING] = "claiming",
    };
    return names[i];
}

static const char *hold_label(unsigned i)
{
    return hold_name(i);
}

static const char *integration_label(unsigned i)
{
    return integration_name((enum integration)i);
}

static const char *scrape_label(unsigned i)
{
    return i == 0 ? "ok" : "failed";
}

static const char *class_label(unsigned i)
{
    static const char *const names[HTTP_CLASSES] = {"1xx", "2xx", "3xx", "4xx",
                                                    "5xx"};
    return names[i];
}

static double slo_target(enum slo which, const struct slo_result *r UNUSED)
{
    return slo_definitions[which].target;
}

static double slo_actual(enum slo which UNUSED, const struct slo_result *r)
{
    return r->actual;
}

static double slo_met(enum slo which UNUSED, const struct slo_result *r)
{
    return r->met ? 1 : 0;
}

static double slo_samples(enum slo which UNUSED, const struct slo_result *r)
{
    return (double)r->samples;
}

static double slo_left(enum slo which UNUSED, const struct slo_result *r)
{
    return slo_budget_left(r);
}

#define COUNTER(field)                                                         \
    .type = "counter", .source = FROM_COUNTERS,                                \
    .offset = offsetof(struct telemetry, field)
#define STATE(kind, field)                                                     \
    .type = (kind), .source = FROM_STATE,                                      \
    .offset = offsetof(struct telemetry_state, field)
#define SLO(fn)                                                                \
    .type = "gauge", .source = FROM_SLO, .label = "slo", .slo_value = (fn)
#define LABELLED(name, fn, n) .label = (name), .label_value = (fn), .count = (n)

const struct metric_row telemetry_metric_rows[] = {
    {"build_info", .type = "gauge", .source = FROM_BUILD,
     .help = "Version of the running engine, as a label."},
    {"start_time_seconds", .type = "gauge", .source = FROM_START,
     .unit = UNIT_MILLISECONDS,
     .help = "Start of the process, in seconds since the epoch."},

    {"events_accepted_total", COUNTER(flows[FLOW_EVENTS_ACCEPTED]),
     .help = "Events stored and acknowledged since the start."},
    {"events_by_type_total", .type = "counter", .source = FROM_TYPES,
     .label = "type",
     .help = "Events stored and acknowledged since the start, by type."},
    {"events_refused_total", COUNTER(refused),
     LABELLED("reason", refusal_label, TELEMETRY_REFUSALS),
     .help = "Events not accepted since the start, by reason."},
    {"alerts_truncated_total", COUNTER(alerts_truncated),
     .help =
         "Alerts since the start that Alertmanager left out of its webhooks "
         "(truncatedAlerts)."},
    {"events_processed_total", COUNTER(flows[FLOW_EVENTS_PROCESSED]),
     .help = "Events processed to an end since the start."},
    {"event_processing_errors_total", COUNTER(flows[FLOW_EVENT_ERRORS]),
     .help = "Failed tries to process an event since the start."},
    {"ledger_accepted", STATE("gauge", accepted),
     .help = "Events ever accepted by this store; equals the sum of "
             "ledger_events."},
    {"ledger_events", STATE("gauge", events),
     LABELLED("status", event_label, EVENT_STATUSES),
     .help = "Events in the store by status."},
    {"event_queue_depth", STATE("gauge", queue_depth),
     .help = "Events that wait to be processed."},
    {"event_queue_limit", STATE("gauge", queue_limit),
     .help = "Queue depth at which new events are answered 503."},
    {"event_workers", STATE("gauge", workers),
     LABELLED("state", worker_label, TELEMETRY_WORKERS),
     .help = "Event workers: claiming (waiting for events or matching them) or "
             "resting (paused, or too much is live)."},
    {"kill_switch", STATE("gauge", kill_switch),
     .help = "1 while the kill switch is on: nothing begins."},
    {"event_processing_paused", STATE("gauge", processing_paused),
     .help = "1 while an operator has paused event processing."},
    {"store_disk_full", STATE("gauge", disk_full),
     .help = "1 while the disk is too full to take events (answered 507)."},
    {"backup_last_success_timestamp_seconds", STATE("gauge", backup_ms),
     .unit = UNIT_MILLISECONDS,
     .help = "When the newest backup was made and verified, in seconds since "
             "the epoch; 0 if there is none."},

    {"events_undecided_total", COUNTER(events_undecided),
     .help = "Events since the start for which the condition of a trigger had "
             "no value: it started nothing."},
    {"starts_held_back_total", COUNTER(starts_held),
     LABELLED("by", hold_label, HOLD_KINDS),
     .help = "Starts of workflows that events asked for since the start and "
             "that a guard held back, by guard."},
    {"workflows_started_total", COUNTER(workflows_started),
     .help = "Workflows created since the start."},
    {"workflows_unstartable_total", COUNTER(workflows_unstartable),
     .help = "Workflows since the start that an event asked for and that "
             "failed before their first step: a parameter could not be filled, "
             "or a regular expression ran into its limit."},
    {"workflows_finished_total", COUNTER(workflows_finished),
     LABELLED("status", telemetry_end_name, TELEMETRY_ENDS),
     .help = "Workflows that reached a final status since the start; dry runs "
             "by themselves."},
    {"ledger_workflows", STATE("gauge", workflows),
     LABELLED("status", telemetry_end_name, TELEMETRY_ENDS),
     .help = "Workflows in the store by status; dry runs by themselves."},
    {"oldest_active_workflow_created_seconds", STATE("gauge", oldest_active_ms),
     .unit = UNIT_MILLISECONDS,
     .help = "Creation of the oldest workflow under way (held ones are not), "
             "in seconds since the epoch; 0 if there is none."},
    {"step_attempts_finished_total", COUNTER(steps_finished),
     LABELLED("state", attempt_label, ATTEMPT_STATES),
     .help = "Attempts of steps that ended since the start."},
    {"trigger_memories", STATE("gauge", trigger_memories),
     .help = "Keys that triggers with cooldown, count or max_runs remember."},
    {"trigger_memory_refused_total", STATE("counter", memories_refused),
     .help = "Starts held back because limits.trigger_memory keys are "
             "remembered already."},
    {"executor_up", STATE("gauge", executor_up),
     .help = "1 while the engine is connected to the executor."},

    {"runbooks", STATE("gauge", runbooks), .help = "Runbooks in force."},
    {"runbooks_rejected", STATE("gauge", runbooks_rejected),
     .help = "Runbook files that do not load."},
    {"runbooks_refused", STATE("gauge", runbooks_refused),
     .help = "Runbooks in force that the executor refuses to run."},
    {"runbook_generation", STATE("gauge", generation),
     .help = "Number of the set of runbooks in force."},
    {"runbook_last_reload_successful", STATE("gauge", runbook_reload_ok),
     .help = "1 if the last load of the runbook repository worked."},
    {"config_last_reload_successful", STATE("gauge", config_reload_ok),
     .help = "1 if the last load of the configuration worked."},
    {"config_last_reload_success_timestamp_seconds",
     STATE("gauge", config_loaded_seconds),
     .help = "When the configuration was last loaded, since the epoch."},

    {"store_commits_total", STATE("counter", store_commits),
     .help = "Transactions committed since the start."},
    {"store_operations_total", STATE("counter", store_operations),
     .help = "Operations in those transactions."},
    {"store_commit_seconds_total", STATE("counter", store_commit_us_sum),
     .unit = UNIT_MICROSECONDS,
     .help = "Time spent in those transactions, in seconds."},

    {"integration_used", STATE("gauge", integrations_used),
     LABELLED("integration", integration_label, INTEGRATIONS),
     .help = "1 while the integration is configured and enabled."},
    {"integration_failing", STATE("gauge", integrations_failing),
     LABELLED("integration", integration_label, INTEGRATIONS),
     .help = "1 while a used integration does not answer as it should."},
    {"slo_target", SLO(slo_target), .help = "The objective's target."},
    {"slo_actual", SLO(slo_actual),
     .help = "What it is, over 30 days: a ratio, or seconds."},
    {"slo_met", SLO(slo_met), .help = "1 if the objective is met."},
    {"slo_samples", SLO(slo_samples),
     .help = "Workflows, incidents or seconds that this rests on."},
    {"slo_error_budget_remaining_ratio", SLO(slo_left),
     .help = "Share of the error budget that is left: 1 untouched, below 0 "
             "overspent."},

    {"notices_pending", STATE("gauge", notices_pending),
     LABELLED("integration", integration_label, INTEGRATIONS),
     .help = "Notices that wait to be sent."},
    {"notices_dead", STATE("gauge", notices_dead),
     LABELLED("integration", integration_label, INTEGRATIONS),
     .help = "Notices that were given up and are kept for people to see."},
    {"notices_sent_total", STATE("counter", notices_sent),
     LABELLED("integration", integration_label, INTEGRATIONS),
     .help = "Notices that the partner has taken since the start."},
    {"notices_retried_total", STATE("counter", notices_retried),
     LABELLED("integration", integration_label, INTEGRATIONS),
     .help = "Tries that failed and are made again, since the start."},
    {"notices_dropped_total", STATE("counter", notices_dropped),
     LABELLED("integration", integration_label, INTEGRATIONS),
     .help = "Notices not written because too many were pending, since the "
             "start."},
    {"incidents_forgotten_total", STATE("counter", incidents_forgotten),
     .help = "Open incidents that nobody has heard of for 30 days, or that "
             "were the oldest of too many: their end is told to nobody. Since "
             "the start."},

    {"scrapes_total", STATE("counter", scrapes),
     LABELLED("result", scrape_label, 2),
     .help = "Scrapes of the metrics scraper's targets since the start."},
    {"scrape_events_total", STATE("counter", scrape_events),
     .help = "Metric events that scrapes have become since the start."},
    {"scrape_events_dropped_total", STATE("counter", scrape_dropped),
     .help = "Metric events that were too many for one scrape, or refused by "
             "the store, since the start."},

    {"http_responses_total", COUNTER(http_answers),
     LABELLED("class", class_label, HTTP_CLASSES),
     .help = "HTTP requests answered since the start, by status class."},
    {"http_connections", STATE("gauge", http_connections),
     .help = "Open HTTP connections."},
    {"stream_subscribers", STATE("gauge", stream_subscribers),
     .help = "Open event streams."},
};

const size_t telemetry_metric_row_count = ARRAY_LEN(telemetry_metric_rows);

#define MS UINT64_C(1000)
#define S UINT64_C(1000000)

/* From half a millisecond to ten seconds: the SLO is 5 s. */
static const uint64_t latency_us[] = {
    500,      1 * MS,   2500,     5 * MS, 10 * MS,   25 * MS, 50 * MS,
    100 * MS, 250 * MS, 500 * MS, 1 * S,  2500 * MS, 5 * S,   10 * S,
};

/* From a tenth of a second to an hour: the SLO is 2 min, 5 min is slow. */
static const uint64_t duration_us[] = {
    100 * MS, 500 * MS, 1 * S,   2500 * MS, 5 * S,    10 * S,   30 * S,
    60 * S,   120 * S,  300 * S, 600 * S,   1800 * S, 3600 * S,
};

#define LATENCY .bounds_us = latency_us, .bound_count = ARRAY_LEN(latency_us)
#define DURATION .bounds_us = duration_us, .bound_count = ARRAY_LEN(duration_us)

const struct timing_row telemetry_timing_rows[TELEMETRY_TIMINGS] = {
    [TIMING_INGEST] = {"event_ingest_seconds",
                       "Event request received to event durable.", "ingest",
                       LATENCY},
    [TIMING_EVENT_TO_WORKFLOW] = {"event_to_workflow_seconds",
                                  "Event received to its workflow durable.",
                                  "event_to_workflow", LATENCY},
    [TIMING_EVENT_TO_STEP] = {"event_to_step_start_seconds",
                              "Event received to the first step started.",
                              "event_to_step_start", LATENCY},
    [TIMING_STEP] = {"step_duration_seconds",
                     "One attempt of a step, start to end.", "step", DURATION},
    [TIMING_WORKFLOW] = {"workflow_duration_seconds",
                         "Workflow created to final.", "workflow", DURATION},
    [TIMING_EXECUTION] = {"runbook_execution_seconds",
                          "Workflow started to final.", "execution", DURATION},
};
