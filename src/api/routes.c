#include "api/routes.h"

#include <string.h>

#include "api/api_priv.h"
#include "api/explain_json.h"

const char *scope_name(enum scope s)
{
    static const char *const names[SCOPES] = {
        [SCOPE_DENY] = "deny",       [SCOPE_PUBLIC] = "public",
        [SCOPE_READ] = "read",       [SCOPE_INGEST] = "ingest",
        [SCOPE_EXECUTE] = "execute", [SCOPE_ADMIN] = "admin",
    };
    return names[s];
}

uint32_t scope_bit(enum scope s)
{
    static const uint32_t bits[SCOPES] = {
        [SCOPE_READ] = API_READ,
        [SCOPE_INGEST] = API_INGEST,
        [SCOPE_EXECUTE] = API_EXECUTE,
        [SCOPE_ADMIN] = API_ADMIN,
    };
    return bits[s];
}

/* ---- query parameters ---------------------------------------------------- */

static const char *event_status_word(size_t i)
{
    return i < EVENT_STATUSES ? event_status_name((enum event_status)i) : NULL;
}

static const char *workflow_status_word(size_t i)
{
    return i < WORKFLOW_STATUSES ? workflow_status_name((enum workflow_status)i)
                                 : NULL;
}

#define LIMIT(most)                                                            \
    {                                                                          \
        .name = "limit", .kind = QUERY_NUMBER, .min = 1, .max = (most),        \
        .fallback = API_PAGE_DEFAULT,                                          \
        .help = "how many at most; 50 unless told"                             \
    }
#define EXPORT_LIMIT                                                           \
    {                                                                          \
        .name = "limit", .kind = QUERY_NUMBER, .min = 1,                       \
        .max = API_EXPORT_MAX, .fallback = API_PAGE_DEFAULT,                   \
        .help = "how many at most; unless told 50, with since 100000"          \
    }
#define CURSOR                                                                 \
    {                                                                          \
        .name = "cursor", .kind = QUERY_CURSOR,                                \
        .help = "next_cursor of the page before"                               \
    }
#define SINCE                                                                  \
    {                                                                          \
        .name = "since", .kind = QUERY_SINCE,                                  \
        .help = "from then on: 1h, 7d (366d at most), RFC 3339, epoch seconds" \
    }
#define FLAG(flag_name, text)                                                  \
    {                                                                          \
        .name = (flag_name), .kind = QUERY_BOOL, .fallback = 1, .help = (text) \
    }
#define FILTER(row, row_schema)                                                \
    {                                                                          \
        .name = "filter", .kind = QUERY_FILTER, .prefix = (row),               \
        .schema = (row_schema),                                                \
        .help = "only rows of which this CEL condition over '" row "' is true" \
    }
#define END                                                                    \
    {                                                                          \
        .name = NULL                                                           \
    }

#define EVENT_WORDS                                                            \
    {.name = "type", .kind = QUERY_TEXT, .help = "alert, metric..."},          \
        {.name = "severity", .kind = QUERY_TEXT, .help = "as it was sent"},    \
    {                                                                          \
        .name = "source", .kind = QUERY_TEXT, .help = "as it was sent"         \
    }
#define EVENT_STATUS                                                           \
    {                                                                          \
        .name = "status", .kind = QUERY_WORD, .word = event_status_word,       \
        .help = "where the event is in its life"                               \
    }

static const struct query query_events[] = {
    EVENT_WORDS,  EVENT_STATUS, SINCE, FILTER("event", NULL),
    EXPORT_LIMIT, CURSOR,       END,
};

static const struct query query_recent[] = {
    EVENT_WORDS,         EVENT_STATUS, FILTER("event", NULL),
    LIMIT(API_PAGE_MAX), CURSOR,       END,
};

static const struct query query_poison[] = {
    EVENT_WORDS, SINCE, FILTER("event", NULL), LIMIT(API_PAGE_MAX), CURSOR, END,
};

static const struct query query_audit[] = {FILTER("audit", "AuditRow"),
                                           LIMIT(API_PAGE_MAX), CURSOR, END};

static const struct query query_verify[] = {
    {.name = "known",
     .kind = QUERY_TEXT,
     .help = "SEQ:HASH of a row that was once there: is it still, unchanged?"},
    END,
};

static const struct query query_workflows[] = {
    {.name = "status",
     .kind = QUERY_WORD,
     .word = workflow_status_word,
     .help = "where the workflow is in its life"},
    {.name = "runbook", .kind = QUERY_TEXT, .help = "path of the runbook"},
    {.name = "event",
     .kind = QUERY_ID,
     .prefix = ID_PREFIX_EVENT,
     .help = "id of the event that started it"},
    SINCE,
    FILTER("workflow", "Workflow"),
    EXPORT_LIMIT,
    CURSOR,
    END,
};

static const struct query query_stats[] = {SINCE, END};

static const struct query query_performance[] = {
    {.name = "runbook", .kind = QUERY_TEXT, .help = "path of the runbook"},
    SINCE,
    FILTER("runbook", "RunbookPerformance"),
    END,
};

static const struct query query_archive[] = {
    {.name = "before",
     .kind = QUERY_SINCE,
     .help = "needed; those that ended before: 90d, RFC 3339, epoch seconds"},
    END,
};

static const struct query query_logs[] = {
    {.name = "after",
     .kind = QUERY_NUMBER,
     .max = INT64_MAX,
     .help = "next_after of the page before"},
    FILTER("chunk", "Chunk"),
    {.name = "limit",
     .kind = QUERY_NUMBER,
     .min = 1,
     .max = API_PAGE_MAX,
     .fallback = API_PAGE_MAX,
     .help = "how many chunks at most"},
    END,
};

static const struct query query_runbooks[] = {
    {.name = "category", .kind = QUERY_TEXT, .help = "exactly this one"},
    FILTER("runbook", "Runbook"),
    END,
};

static const struct query query_guards[] = {
    {.name = "runbook", .kind = QUERY_TEXT, .help = "path of the runbook"},
    FILTER("guard", "Guard"),
    LIMIT(API_PAGE_MAX),
    {.name = "cursor",
     .kind = QUERY_TEXT,
     .help = "next_cursor of the page before"},
    END,
};

static const struct query query_explain[] = {
    {.name = "runbook", .kind = QUERY_TEXT, .help = "only its triggers"},
    {.name = "only_starts",
     .kind = QUERY_BOOL,
     .help = "leave out the triggers that a condition keeps from starting"},
    {.name = "limit",
     .kind = QUERY_NUMBER,
     .min = 1,
     .max = EXPLAIN_TRIGGERS_MAX,
     .fallback = API_EXPLAIN_DEFAULT,
     .help = "how many triggers at most, nearest first; 10 unless told"},
    CURSOR,
    END,
};

static const struct query query_pending[] = {
    {.name = "runbook", .kind = QUERY_TEXT, .help = "path of the runbook"},
    FILTER("pending", "Pending"),
    LIMIT(API_PAGE_MAX),
    {.name = "cursor",
     .kind = QUERY_TEXT,
     .help = "next_cursor of the page before"},
    END,
};

static const struct query query_search[] = {
    {.name = "q",
     .kind = QUERY_TEXT,
     .help = "text in path, name, description or category, any case"},
    FILTER("runbook", "Runbook"),
    END,
};

static const char *notice_state_word(size_t i)
{
    return i < NOTICE_STATES ? notice_state_name((enum notice_state)i) : NULL;
}

static const struct query query_outbox[] = {
    {.name = "state",
     .kind = QUERY_WORD,
     .word = notice_state_word,
     .help = "pending unless told"},
    FILTER("notice", "Notice"),
    LIMIT(API_PAGE_MAX),
    CURSOR,
    END,
};

static const struct query query_history[] = {
    {.name = "metric",
     .kind = QUERY_TEXT,
     .help = "which one; without it, the list of them"},
    SINCE,
    {.name = "step",
     .kind = QUERY_TEXT,
     .help = "time between points: 1m, 3600; unless told, what suits"},
    END,
};

static const struct query query_slo[] = {SINCE, FILTER("slo", "Slo"), END};

static const struct query query_workers[] = {FILTER("worker", "Worker"), END};

static const struct query query_partners[] = {
    FILTER("integration", "Integration"), END};

static const struct query query_health[] = {
    FILTER("integration", "IntegrationHealth"), END};

static const struct query query_missed[] = {
    SINCE, FILTER("missed", "MissedIncident"), LIMIT(API_PAGE_MAX), END};

static const struct query query_alerts[] = {
    FLAG("active", "show active alerts"),
    FLAG("silenced", "show silenced alerts (there are none)"),
    FLAG("inhibited", "show inhibited alerts (there are none)"),
    FLAG("unprocessed", "show unprocessed alerts (there are none)"),
    FLAG("muted", "show muted alerts (there are none)"),
    {.name = "filter",
     .kind = QUERY_MANY,
     .help = "label matcher; may be repeated, all must hold"},
    {.name = "receiver",
     .kind = QUERY_TEXT,
     .help = "anchored regular expression over receiver names"},
    END,
};

static const struct query query_silences[] = {
    FLAG("active", "show active ones"),
    FLAG("expired", "show expired ones"),
    FLAG("pending", "show pending ones"),
    {.name = "filter", .kind = QUERY_MANY, .help = "label matcher"},
    END,
};

/* ---- routes ----------------------------------------------------------------
 * The busiest first: they are looked through in order. */

#define EVENT_BODY .body_limit_bytes = API_EVENT_BODY_MAX_BYTES
#define RUNBOOK_BODY .body_limit_bytes = API_RUNBOOK_BODY_MAX_BYTES
#define OTHER_BODY .body_limit_bytes = API_OTHER_BODY_MAX_BYTES

#define UNAUDITED_EVENT                                                        \
    .unaudited = "an event changes nothing by itself and is its own record"
#define UNAUDITED_LOOK .unaudited = "it changes nothing"
#define UNAUDITED_TEST                                                         \
    .unaudited = "it shows a test at the partner and changes nothing here"

const struct route routes[] = {
    {"/api/events", HTTP_POST, SCOPE_INGEST, ON_SERVER, EVENT_BODY,
     .handler = events_post, UNAUDITED_EVENT, .status = 202,
     .request = "Events", .answer = "Accepted",
     .summary = "Accept an event, a list of events, or NDJSON"},
    {"/api/events", HTTP_GET, SCOPE_READ, ON_READER, .handler = events_list,
     .query = query_events, .status = 200, .answer = "EventList",
     .summary = "List events, newest first"},
    {"/api/events/recent", HTTP_GET, SCOPE_READ, ON_READER,
     .handler = events_recent, .query = query_recent, .status = 200,
     .answer = "EventList", .summary = "List the latest events"},
    {"/api/events/stats", HTTP_GET, SCOPE_READ, ON_READER,
     .handler = stats_events, .query = query_stats, .status = 200,
     .answer = "EventStats",
     .summary = "Count events by status, type, severity and source"},
    {"/api/events/alertmanager", HTTP_POST, SCOPE_INGEST, ON_SERVER, EVENT_BODY,
     .handler = alerts_webhook, UNAUDITED_EVENT, .status = 202,
     .request = "Any", .answer = "Accepted",
     .summary = "Receive Alertmanager's webhook, version 4"},
    {"/api/events/{id}/replay", HTTP_POST, SCOPE_ADMIN, ON_READER, OTHER_BODY,
     .handler = events_replay, .audit = "event.replay",
     .id_prefix = ID_PREFIX_EVENT, .status = 202, .answer = "Replayed",
     .summary = "Queue a drained or poison event again"},
    {"/api/events/{id}/explain", HTTP_GET, SCOPE_READ, ON_READER,
     .handler = events_explain, .query = query_explain,
     .id_prefix = ID_PREFIX_EVENT, .status = 200, .answer = "ExplainedEvent",
     .summary = "Why an event started what it did, or nothing"},
    {"/api/events/{id}", HTTP_GET, SCOPE_READ, ON_READER, .handler = events_get,
     .id_prefix = ID_PREFIX_EVENT, .status = 200, .answer = "EventDetail",
     .summary = "Show an event and its workflows"},

    {"/api/v2/alerts", HTTP_POST, SCOPE_INGEST, ON_SERVER, EVENT_BODY,
     .handler = alerts_post, UNAUDITED_EVENT, .status = 200, .request = "Any",
     .summary = "Receive alerts as Alertmanager does"},
    {"/api/v2/alerts", HTTP_GET, SCOPE_READ, ON_READER, .handler = alerts_list,
     .query = query_alerts, .status = 200, .answer = "Any",
     .summary = "List firing alerts"},
    {"/api/v2/alerts/groups", HTTP_GET, SCOPE_READ, ON_READER,
     .handler = alerts_groups, .query = query_alerts, .status = 200,
     .answer = "Any", .summary = "List firing alerts as one group"},
    {"/api/v2/status", HTTP_GET, SCOPE_READ, ON_SERVER,
     .handler = alerts_status, .status = 200, .answer = "Any",
     .summary = "What amtool asks before every command"},
    {"/api/v2/receivers", HTTP_GET, SCOPE_READ, ON_SERVER,
     .handler = alerts_receivers, .status = 200, .answer = "Any",
     .summary = "List the one receiver"},
    {"/api/v2/silences", HTTP_GET, SCOPE_READ, ON_SERVER,
     .handler = alerts_silences, .query = query_silences, .status = 200,
     .answer = "Any", .summary = "List silences: none"},

    {"/api/workflows", HTTP_GET, SCOPE_READ, ON_READER,
     .handler = workflows_list, .query = query_workflows, .status = 200,
     .answer = "WorkflowList", .summary = "List workflows, newest first"},
    {"/api/workflows/{id}", HTTP_GET, SCOPE_READ, ON_READER,
     .handler = workflows_get, .id_prefix = ID_PREFIX_WORKFLOW, .status = 200,
     .answer = "WorkflowDetail",
     .summary = "Show a workflow with its steps and attempts"},
    {"/api/workflows/{id}/logs", HTTP_GET, SCOPE_READ, ON_READER,
     .handler = workflows_logs, .query = query_logs,
     .id_prefix = ID_PREFIX_WORKFLOW, .status = 200, .answer = "Logs",
     .summary = "Read the output of a workflow's steps"},
    {"/api/workflows/{id}/cancel", HTTP_POST, SCOPE_EXECUTE, ON_SERVER,
     OTHER_BODY, .handler = workflows_cancel, .audit = "workflow.cancel",
     .id_prefix = ID_PREFIX_WORKFLOW, .status = 202, .answer = "Stopping",
     .summary = "Stop a workflow: TERM, later KILL"},
    {"/api/workflows/{id}/kill", HTTP_POST, SCOPE_EXECUTE, ON_SERVER,
     OTHER_BODY, .handler = workflows_kill, .audit = "workflow.kill",
     .id_prefix = ID_PREFIX_WORKFLOW, .status = 202, .answer = "Stopping",
     .summary = "Stop a workflow at once: KILL"},
    {"/api/workflows/{id}/retry", HTTP_POST, SCOPE_EXECUTE, ON_READER,
     OTHER_BODY, .handler = workflows_retry, .audit = "workflow.retry",
     .id_prefix = ID_PREFIX_WORKFLOW, .status = 202, .request = "Retry",
     .answer = "Again",
     .summary = "Begin a workflow anew from the step that failed"},
    {"/api/workflows/{id}/rerun", HTTP_POST, SCOPE_EXECUTE, ON_READER,
     OTHER_BODY, .handler = workflows_rerun, .audit = "workflow.rerun",
     .id_prefix = ID_PREFIX_WORKFLOW, .status = 202, .answer = "Again",
     .summary = "Do all of a workflow again, with the same parameters"},

    {"/api/workflows/{id}/verdict", HTTP_POST, SCOPE_EXECUTE, ON_READER,
     OTHER_BODY, .handler = workflows_verdict, .audit = "workflow.verdict",
     .id_prefix = ID_PREFIX_WORKFLOW, .status = 200, .request = "Verdict",
     .answer = "Judged",
     .summary = "Say whether an event was right to start a workflow"},

    {"/api/guards", HTTP_GET, SCOPE_READ, ON_READER, .handler = guards_list,
     .query = query_guards, .status = 200, .answer = "GuardList",
     .summary = "List what triggers remember, and what that holds back"},
    {"/api/guards/reset", HTTP_POST, SCOPE_ADMIN, ON_SERVER, OTHER_BODY,
     .handler = guards_reset_call, .audit = "guard.reset", .status = 200,
     .request = "GuardReset", .answer = "GuardsReset",
     .summary = "Forget what guards and triggers remember of a runbook"},
    {"/api/guards/pending", HTTP_GET, SCOPE_READ, ON_READER,
     .handler = guards_pending, .query = query_pending, .status = 200,
     .answer = "PendingList",
     .summary = "List what triggers wait for, and when it is due"},
    {"/api/runbooks", HTTP_GET, SCOPE_READ, ON_READER, .handler = runbooks_list,
     .query = query_runbooks, .status = 200, .answer = "RunbookList",
     .summary = "List the runbooks in force"},
    {"/api/runbooks/search", HTTP_GET, SCOPE_READ, ON_READER,
     .handler = runbooks_search, .query = query_search, .status = 200,
     .answer = "RunbookList", .summary = "Find runbooks by text"},
    {"/api/runbooks/schema", HTTP_GET, SCOPE_READ, ON_SERVER,
     .handler = runbooks_schema, .status = 200, .answer = "Any",
     .summary = "The JSON Schema (draft 7) of a runbook, for editors"},
    {"/api/runbooks/validate", HTTP_POST, SCOPE_READ, ON_READER, RUNBOOK_BODY,
     .handler = runbooks_validate, UNAUDITED_LOOK, .status = 200,
     .request = "Validate", .answer = "Validation",
     .summary = "Check a runbook on disk or a text"},
    {"/api/expr/eval", HTTP_POST, SCOPE_READ, ON_READER, RUNBOOK_BODY,
     .handler = expr_eval, UNAUDITED_LOOK, .status = 200, .request = "Evaluate",
     .answer = "Evaluated", .summary = "Try an expression on an event"},
    {"/api/runbooks/execute", HTTP_POST, SCOPE_EXECUTE, ON_READER, OTHER_BODY,
     .handler = runbooks_execute, .audit = "runbook.execute",
     .unaudited = "a dry run changes nothing; its workflow is its record",
     .status = 202, .request = "Execute", .answer = "Executed",
     .summary = "Start a workflow by hand"},
    {"/api/runbooks/disable", HTTP_POST, SCOPE_ADMIN, ON_SERVER, OTHER_BODY,
     .handler = runbooks_disable, .audit = "runbook.disable", .status = 200,
     .request = "Disable", .answer = "Enabled",
     .summary = "Let no event start a runbook"},
    {"/api/runbooks/enable", HTTP_POST, SCOPE_ADMIN, ON_SERVER, OTHER_BODY,
     .handler = runbooks_enable, .audit = "runbook.enable", .status = 200,
     .request = "Disable", .answer = "Enabled",
     .summary = "Let events start a runbook again"},
    {"/api/admin/drain-queue", HTTP_POST, SCOPE_ADMIN, ON_SERVER, OTHER_BODY,
     .handler = control_drain, .audit = "queue.drain", .status = 200,
     .answer = "Processing",
     .summary = "Pause, and set aside all queued events"},
    {"/api/admin/pause-processing", HTTP_POST, SCOPE_ADMIN, ON_SERVER,
     OTHER_BODY, .handler = control_pause, .audit = "processing.pause",
     .status = 200, .answer = "Processing",
     .summary = "Let events wait in the queue"},
    {"/api/admin/resume-processing", HTTP_POST, SCOPE_ADMIN, ON_SERVER,
     OTHER_BODY, .handler = control_resume, .audit = "processing.resume",
     .status = 200, .answer = "Processing",
     .summary = "Process queued events again"},
    {"/api/admin/kill-switch", HTTP_GET, SCOPE_READ, ON_SERVER,
     .handler = kill_switch_show, .status = 200, .answer = "KillSwitchState",
     .summary = "Whether the kill switch is on, who has put it on, and why"},
    {"/api/admin/kill-switch", HTTP_POST, SCOPE_ADMIN, ON_SERVER, OTHER_BODY,
     .handler = kill_switch_turn, .audit = "kill-switch.turn", .status = 200,
     .request = "KillSwitch", .answer = "KillSwitchState",
     .summary = "Let nothing begin: no workflow and no step; or let things "
                "begin again"},
    {"/api/admin/replay-drained", HTTP_POST, SCOPE_ADMIN, ON_SERVER, OTHER_BODY,
     .handler = control_replay_drained, .audit = "queue.replay", .status = 200,
     .answer = "Moved", .summary = "Queue all drained events again"},
    {"/api/admin/clear-drained", HTTP_POST, SCOPE_ADMIN, ON_SERVER, OTHER_BODY,
     .handler = control_clear_drained, .audit = "queue.clear-drained",
     .status = 200, .answer = "Moved",
     .summary = "Put all drained events away"},
    {"/api/admin/set-event-priority", HTTP_POST, SCOPE_ADMIN, ON_SERVER,
     OTHER_BODY, .handler = control_set_priority, .audit = "event.set-priority",
     .status = 200, .request = "Priority", .answer = "Prioritised",
     .summary = "Say which events go first, queued ones included; priority "
                "null withdraws it, for events to come"},
    {"/api/admin/scale-workers", HTTP_POST, SCOPE_ADMIN, ON_SERVER, OTHER_BODY,
     .handler = control_scale_workers, .audit = "workers.scale", .status = 200,
     .request = "Scale", .answer = "Scaled",
     .summary = "Set the number of event workers"},
    {"/api/admin/restart-workers", HTTP_POST, SCOPE_ADMIN, ON_SERVER,
     OTHER_BODY, .handler = control_restart_workers, .audit = "workers.restart",
     .status = 200, .answer = "Restarted",
     .summary = "New worker threads; stuck events are queued again"},
    {"/api/admin/workers", HTTP_GET, SCOPE_READ, ON_SERVER,
     .handler = control_workers, .query = query_workers, .status = 200,
     .answer = "WorkerList",
     .summary = "List the event workers and what each is doing"},
    {"/api/admin/poison-messages", HTTP_GET, SCOPE_READ, ON_READER,
     .handler = events_poison, .query = query_poison, .status = 200,
     .answer = "PoisonList",
     .summary = "List events whose processing failed for good"},
    {"/api/admin/poison-messages/{id}", HTTP_GET, SCOPE_READ, ON_READER,
     .handler = events_poison_show, .id_prefix = ID_PREFIX_EVENT, .status = 200,
     .answer = "EventDetail", .summary = "Show a poison event and its reason"},
    {"/api/admin/poison-messages/{id}", HTTP_DELETE, SCOPE_ADMIN, ON_READER,
     .handler = control_clear_one, .audit = "poison.clear",
     .id_prefix = ID_PREFIX_EVENT, .status = 200, .answer = "Replayed",
     .summary = "Put a poison event away"},
    {"/api/admin/poison-messages/{id}/requeue", HTTP_POST, SCOPE_ADMIN,
     ON_READER, OTHER_BODY, .handler = control_requeue_one,
     .audit = "poison.requeue", .id_prefix = ID_PREFIX_EVENT, .status = 202,
     .answer = "Replayed", .summary = "Queue a poison event again"},
    {"/api/admin/requeue-poison-messages", HTTP_POST, SCOPE_ADMIN, ON_SERVER,
     OTHER_BODY, .handler = control_requeue_poison, .audit = "poison.requeue",
     .status = 200, .answer = "Moved",
     .summary = "Queue all poison events again"},
    {"/api/admin/clear-poison-messages", HTTP_POST, SCOPE_ADMIN, ON_SERVER,
     OTHER_BODY, .handler = control_clear_poison, .audit = "poison.clear",
     .status = 200, .answer = "Moved", .summary = "Put all poison events away"},
    {"/api/admin/queue-analysis", HTTP_GET, SCOPE_READ, ON_READER,
     .handler = stats_queue, .status = 200, .answer = "QueueAnalysis",
     .summary = "What waits in the queue, and for how long yet"},
    {"/api/admin/archive-workflows", HTTP_POST, SCOPE_ADMIN, ON_READER,
     OTHER_BODY, .handler = archive_workflows, .audit = "workflow.archive",
     .query = query_archive, .status = 200, .answer = "Archived",
     .summary = "Move old workflows from the store to a file"},
    {"/api/admin/acknowledge-restore", HTTP_POST, SCOPE_ADMIN, ON_SERVER,
     OTHER_BODY, .handler = control_acknowledge_restore,
     .audit = "store.acknowledge-restore", .status = 200,
     .answer = "Acknowledged",
     .summary = "Somebody knows that the store came from a backup"},
    {"/api/admin/audit", HTTP_GET, SCOPE_ADMIN, ON_READER,
     .handler = admin_audit, .query = query_audit, .status = 200,
     .answer = "AuditTrail", .summary = "List changes by people, newest first"},
    {"/api/admin/audit/verify", HTTP_GET, SCOPE_ADMIN, ON_READER,
     .handler = admin_audit_verify, .query = query_verify, .status = 200,
     .answer = "AuditVerified",
     .summary = "Check that no row of the trail was changed or taken out"},
    {"/api/admin/reload-runbooks", HTTP_POST, SCOPE_ADMIN, ON_SERVER,
     OTHER_BODY, .handler = admin_reload, .audit = "runbook.reload",
     .status = 200, .answer = "Reloaded",
     .summary = "Load the runbook repository anew"},
    {"/api/admin/reload-config", HTTP_POST, SCOPE_ADMIN, ON_READER, OTHER_BODY,
     .handler = admin_reload_config, .audit = "config.reload", .status = 200,
     .answer = "ConfigReloaded",
     .summary = "Read the configuration anew, all or nothing"},

    {"/api/integrations", HTTP_GET, SCOPE_READ, ON_SERVER,
     .handler = integrations_list, .query = query_partners, .status = 200,
     .answer = "IntegrationList", .summary = "List the partner systems"},
    {"/api/integrations/health", HTTP_GET, SCOPE_READ, ON_SERVER,
     .handler = integrations_all_health, .query = query_health, .status = 200,
     .answer = "IntegrationHealthList",
     .summary = "What is known of the health of each partner system"},
    {"/api/integrations/{id}", HTTP_GET, SCOPE_READ, ON_SERVER,
     .handler = integrations_get, .id_prefix = "", .status = 200,
     .answer = "IntegrationDetail",
     .summary = "Show a partner system's settings, without secrets"},
    {"/api/integrations/{id}", HTTP_PUT, SCOPE_ADMIN, ON_READER, OTHER_BODY,
     .handler = integrations_put, .audit = "integration.set", .id_prefix = "",
     .status = 200, .request = "Any", .answer = "IntegrationDetail",
     .summary = "Set fields of a partner system"},
    {"/api/integrations/{id}/health", HTTP_GET, SCOPE_READ, ON_SERVER,
     .handler = integrations_get_health, .id_prefix = "", .status = 200,
     .answer = "IntegrationHealth",
     .summary = "Is it well? Asks it unless that was done just now"},
    {"/api/integrations/{id}/health", HTTP_POST, SCOPE_READ, ON_SERVER,
     OTHER_BODY, .handler = integrations_ask_health, UNAUDITED_LOOK,
     .id_prefix = "", .status = 200, .answer = "IntegrationHealth",
     .summary = "Ask it now whether it is well"},
    {"/api/integrations/{id}/test", HTTP_GET, SCOPE_EXECUTE, ON_SERVER,
     .handler = integrations_test, .id_prefix = "", .status = 200,
     .answer = "IntegrationTest",
     .summary = "Try it for real: PagerDuty and Slack show a test"},
    {"/api/integrations/{id}/test", HTTP_POST, SCOPE_EXECUTE, ON_SERVER,
     OTHER_BODY, .handler = integrations_test, UNAUDITED_TEST, .id_prefix = "",
     .status = 200, .answer = "IntegrationTest",
     .summary = "Try it for real: PagerDuty and Slack show a test"},
    {"/api/integrations/{id}/outbox", HTTP_GET, SCOPE_READ, ON_READER,
     .handler = integrations_outbox, .query = query_outbox, .id_prefix = "",
     .status = 200, .answer = "Outbox",
     .summary = "List notices that wait to be sent, or were given up"},
    {"/api/integrations/{id}/enable", HTTP_POST, SCOPE_ADMIN, ON_READER,
     OTHER_BODY, .handler = integrations_enable, .audit = "integration.enable",
     .id_prefix = "", .status = 200, .answer = "Integration",
     .summary = "Use it again"},
    {"/api/integrations/{id}/disable", HTTP_POST, SCOPE_ADMIN, ON_READER,
     OTHER_BODY, .handler = integrations_disable,
     .audit = "integration.disable", .id_prefix = "", .status = 200,
     .answer = "Integration",
     .summary = "Do not use it; what waits for it is dropped"},
    {"/api/integrations/{id}/pause", HTTP_POST, SCOPE_ADMIN, ON_READER,
     OTHER_BODY, .handler = integrations_pause, .audit = "integration.pause",
     .id_prefix = "", .status = 200, .answer = "Integration",
     .summary = "Let what is for it wait; a paused scraper reads nothing"},
    {"/api/integrations/{id}/resume", HTTP_POST, SCOPE_ADMIN, ON_READER,
     OTHER_BODY, .handler = integrations_resume, .audit = "integration.resume",
     .id_prefix = "", .status = 200, .answer = "Integration",
     .summary = "Go on after a pause"},

    {"/api/health", HTTP_GET, SCOPE_READ, ON_SERVER, .handler = meta_health,
     .status = 200, .answer = "Health", .summary = "Is everything well?"},
    {"/api/metrics", HTTP_GET, SCOPE_READ, ON_SERVER, .handler = meta_metrics,
     .status = 200, .answer = "Any",
     .summary = "Numbers about the engine, as JSON"},
    {"/api/metrics/history", HTTP_GET, SCOPE_READ, ON_READER,
     .handler = meta_history, .query = query_history, .status = 200,
     .answer = "MetricHistory",
     .summary = "How a metric went, or which have a history"},
    {"/api/slo", HTTP_GET, SCOPE_READ, ON_READER, .handler = meta_slo,
     .query = query_slo, .status = 200, .answer = "SloList",
     .summary = "The platform's objectives and how they stand"},
    {"/api/incidents/missed", HTTP_POST, SCOPE_EXECUTE, ON_SERVER, OTHER_BODY,
     .handler = verdicts_missed, .audit = "incident.missed", .status = 201,
     .request = "Missed", .answer = "Judged",
     .summary = "Record an incident that nothing noticed"},
    {"/api/incidents/missed", HTTP_GET, SCOPE_READ, ON_READER,
     .handler = verdicts_missed_list, .query = query_missed, .status = 200,
     .answer = "MissedList", .summary = "List incidents that nothing noticed"},
    {"/api/incidents/missed/{id}/withdraw", HTTP_POST, SCOPE_EXECUTE, ON_READER,
     OTHER_BODY, .handler = verdicts_missed_withdraw,
     .audit = "incident.withdraw", .id_prefix = ID_PREFIX_MISSED, .status = 200,
     .answer = "Judged", .summary = "Take back that an incident was missed"},
    {"/api/metrics/runbook-performance", HTTP_GET, SCOPE_READ, ON_READER,
     .handler = performance_show, .query = query_performance, .status = 200,
     .answer = "Performance",
     .summary = "Results and durations by runbook and step"},
    {"/metrics", HTTP_GET, SCOPE_READ, ON_SERVER, .handler = meta_prometheus,
     .status = 200, .summary = "Numbers about the engine, for Prometheus"},
    {"/api/openapi.json", HTTP_GET, SCOPE_READ, ON_SERVER,
     .handler = meta_openapi, .status = 200, .answer = "Any",
     .summary = "This description"},
    {"/api/stream", HTTP_GET, SCOPE_READ, ON_SERVER, .handler = stream_open,
     .status = 200, .summary = "Follow events, workflows and attempts"},
    {"/-/healthy", HTTP_GET, SCOPE_PUBLIC, ON_SERVER, .handler = meta_healthy,
     .status = 200, .summary = "Probe: the process answers"},
    {"/-/ready", HTTP_GET, SCOPE_PUBLIC, ON_SERVER, .handler = meta_ready,
     .status = 200, .summary = "Probe: events are accepted"},
    {"/", HTTP_GET, SCOPE_READ, ON_READER, .handler = page_show, .status = 200,
     .summary = "Status page, HTML or text"},
};

const size_t route_count = ARRAY_LEN(routes);

/* Takes the next segment ("/x") off the front. */
static struct str next_segment(struct str *rest)
{
    struct str behind = str_slice(*rest, 1, rest->len);
    ptrdiff_t slash = str_find(behind, '/');
    size_t len = slash >= 0 ? (size_t)slash + 1 : rest->len;
    struct str segment = str_slice(*rest, 0, len);
    *rest = str_slice(*rest, len, rest->len);
    return segment;
}

static bool matches(const char *pattern, struct str path, struct str *ret_id)
{
    struct str want = str_c(pattern);
    while (want.len != 0 && path.len != 0) {
        struct str a = next_segment(&want);
        struct str b = next_segment(&path);
        if (str_eq(a, STR("/{id}"))) {
            *ret_id = str_slice(b, 1, b.len);
            if (ret_id->len == 0) {
                return false;
            }
        } else if (!str_eq(a, b)) {
            return false;
        }
    }
    return want.len == 0 && path.len == 0;
}

struct route_match route_find(enum http_method method, struct str path)
{
    struct route_match m = {.route = NULL};
    enum http_method wanted = method == HTTP_HEAD ? HTTP_GET : method;
    bool exact = false; /* a path without {id} hides those with one */
    for (size_t i = 0; i < route_count; i++) {
        struct str id = STR_NULL;
        if (!matches(routes[i].path, path, &id) || (exact && id.len != 0)) {
            continue;
        }
        exact = exact || id.len == 0;
        m.methods |= 1U << routes[i].method;
        if (routes[i].method == wanted && m.route == NULL) {
            m.route = &routes[i];
            m.id = id;
            return m;
        }
    }
    return m;
}
