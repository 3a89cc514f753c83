#include "api/schemas.h"

#include <string.h>

#include "api/put.h"
#include "model/event_json.h"

#define FIELDS(...) ((const char *const[]){__VA_ARGS__, NULL})

const struct schema schemas[] = {
    {"Error", FIELDS("error string", "code string", "detail object"), NULL},
    {"Accepted",
     FIELDS("id string?", "ids []string?", "count integer?", "status string?",
            "deduplicated integer?", "refused integer?", "truncated integer?",
            "errors []string?"),
     NULL},
    {"StoredEvent",
     FIELDS("id string", "seq integer", "status string", "received_at instant",
            "attempts integer", "error string?", "duplicate_of string?"),
     "Event"},
    {"EventList",
     FIELDS("events []StoredEvent", "next_cursor string?", "filter Filtered?"),
     NULL},
    {"ExplainedEvent",
     FIELDS("id string", "status string", "received_at instant",
            "decided_at instant", "evaluated_at instant", "summary string",
            "error string?", "workflows []WorkflowOfEvent",
            "decided_with string?", "explained_with string", "commit string?",
            "loaded_at instant", "held []HeldStart", "held_left_out integer",
            "considered integer", "matches integer", "undecided integer",
            "no_value integer", "misses integer", "triggers []ExplainedTrigger",
            "next_cursor string?"),
     NULL},
    {"ExplainedTrigger",
     FIELDS(
         "runbook string", "trigger string", "line integer", "verdict string",
         "failed integer", "conditions []ExplainedCondition", "when string?",
         "when_value string?", "when_error string?", "terms []ExplainedTerm",
         "terms_left_out integer", "guards []ExplainedGuard", "held HeldStart?",
         "workflow WorkflowOfEvent?", "changed_since boolean?"),
     NULL},
    {"ExplainedCondition",
     FIELDS("what string", "wanted string", "actual string?", "holds boolean?"),
     NULL},
    {"ExplainedTerm",
     FIELDS("text string", "offset integer", "depth integer", "times integer",
            "value string?", "error string?"),
     NULL},
    {"ExplainedGuard",
     FIELDS("guard string", "holds_back boolean", "until instant",
            "text string"),
     NULL},
    {"HeldStart",
     FIELDS("runbook string", "trigger string", "guard string",
            "reason string"),
     NULL},
    {"EventDetail",
     FIELDS("workflows []WorkflowOfEvent", "held []HeldStart",
            "held_left_out integer"),
     "StoredEvent"},
    {"WorkflowOfEvent", FIELDS("id string", "runbook string", "status string"),
     NULL},
    {"Workflow",
     FIELDS("id string", "runbook string", "runbook_name string",
            "runbook_hash string", "commit string?", "event_id string?",
            "trigger integer?", "trigger_key string?", "status string",
            "result string?", "parameters object", "requested_by string",
            "dry_run boolean", "created_at instant", "started_at instant",
            "finished_at instant", "duration_seconds number?",
            "current_step string?", "current_step_index integer?",
            "error string?", "stop_requested string?", "stopped_by string?"),
     NULL},
    {"WorkflowList",
     FIELDS("workflows []Workflow", "active_workflows integer",
            "next_cursor string?", "filter Filtered?"),
     NULL},
    {"WorkflowDetail", FIELDS("steps []Step"), "Workflow"},
    {"Step",
     FIELDS("name string?", "index integer", "section string?", "status string",
            "attempts []Attempt"),
     NULL},
    {"Attempt",
     FIELDS("attempt integer", "status string", "exit_code integer?",
            "signal integer?", "pid integer?", "requested_at instant",
            "started_at instant", "finished_at instant",
            "duration_seconds number?", "output_bytes integer",
            "output_truncated boolean", "survivors integer", "error string?",
            "outputs object?"),
     NULL},
    {"Logs",
     FIELDS("workflow_id string", "logs []Chunk", "next_after integer",
            "complete boolean", "filter Filtered?"),
     NULL},
    {"Chunk",
     FIELDS("seq integer", "step string?", "step_index integer",
            "attempt integer", "stream string", "at instant", "text string"),
     NULL},
    {"Retry", FIELDS("from string?"), NULL},
    {"Again",
     FIELDS("workflow_id string", "status string", "runbook string",
            "again string", "from string"),
     NULL},
    {"Stopping", FIELDS("id string", "status string", "stop_requested string"),
     NULL},
    {"Problem",
     FIELDS("file string", "line integer?", "column integer?", "field string?",
            "message string", "hint string?"),
     NULL},
    {"GuardList",
     FIELDS("guards []Guard", "next_cursor string?", "filter Filtered?"), NULL},
    {"Guard",
     FIELDS("guard string", "runbook string", "trigger string", "key string",
            "in_force boolean", "held_by string?", "held_until instant",
            "reason string?", "cooldown_seconds number?", "runs integer",
            "runs_limit integer?", "runs_within_seconds number?",
            "events integer", "events_needed integer?",
            "events_within_seconds number?", "last_workflow string?",
            "last_started_at instant", "forgotten_at instant"),
     NULL},
    {"PendingList",
     FIELDS("pending []Pending", "next_cursor string?", "filter Filtered?"),
     NULL},
    {"Pending",
     FIELDS("runbook string", "trigger string", "key string",
            "in_force boolean", "waits_for string", "due_at instant",
            "within_seconds number?", "firing_since instant",
            "last_event_at instant", "changes integer",
            "changes_limit integer?", "event_id string?", "held_by string?",
            "reason string"),
     NULL},
    {"Runbook",
     FIELDS("path string", "name string", "category string?",
            "description string?", "hash string", "state string",
            "steps integer", "triggers integer", "parameters []Parameter",
            "concurrency integer", "timeout_seconds number?", "enabled boolean",
            "disabled_at instant", "disabled_by string?",
            "disabled_reason string?", "refusal string?", "warnings []Problem"),
     NULL},
    {"Parameter",
     FIELDS("name string", "type string", "required boolean", "default any",
            "description string?", "secret boolean?", "values []string?"),
     NULL},
    {"RunbookList",
     FIELDS("runbooks []Runbook", "count integer", "rejected []Rejected",
            "filter Filtered?"),
     NULL},
    {"Rejected", FIELDS("path string", "errors []Problem"), NULL},
    {"Validate", FIELDS("runbook_path string?", "text string?"), NULL},
    {"Validation",
     FIELDS("valid boolean", "path string", "errors []Problem",
            "warnings []Problem"),
     NULL},
    {"Evaluate", FIELDS("expr string", "event object?", "parameters object?"),
     NULL},
    {"Evaluated",
     FIELDS("valid boolean", "type string?", "value any", "text string?",
            "error ExpressionIssue?", "warnings []ExpressionIssue"),
     NULL},
    {"ExpressionIssue",
     FIELDS("line integer", "column integer", "offset integer",
            "message string", "hint string", "picture string"),
     NULL},
    {"Filtered",
     FIELDS("looked_at integer", "failed integer",
            "first_failure ExpressionIssue?", "warnings []ExpressionIssue"),
     NULL},
    {"Execute",
     FIELDS("runbook string?", "parameters object?", "dry_run boolean?",
            "plan string?"),
     NULL},
    {"Executed",
     FIELDS("workflow_id string", "status string", "runbook string",
            "dry_run boolean", "missing_parameters []string?",
            "plan_id string?", "target string?", "guards []PlannedGuard?",
            "plan []PlannedStep?"),
     NULL},
    {"PlannedGuard",
     FIELDS("guard string", "holds_back boolean", "text string"), NULL},
    {"PlannedStep",
     FIELDS("index integer", "name string", "section string", "action string",
            "argv []string?", "command string?", "for_seconds number?",
            "env object", "run_as string?", "timeout_seconds number",
            "max_attempts integer", "continue_on_error boolean", "when string?",
            "outputs object"),
     NULL},
    {"Reloaded",
     FIELDS("generation integer", "commit string?", "loaded integer",
            "added integer", "changed integer", "removed integer",
            "rejected integer", "refused integer", "files ReloadedFiles",
            "problems []ReloadProblem"),
     NULL},
    {"ConfigReloaded",
     FIELDS("status string", "changed []string", "restart_required []string",
            "not_in_force []Overridden", "warnings []Problem"),
     NULL},
    {"Overridden",
     FIELDS("key string", "value integer", "by string", "at instant"), NULL},
    {"ReloadedFiles",
     FIELDS("added []string", "changed []string", "removed []string",
            "rejected []Rejected", "refused []Refused"),
     NULL},
    {"Refused", FIELDS("path string", "refusal string"), NULL},
    {"ReloadProblem", FIELDS("warning boolean"), "Problem"},
    {"Replayed", FIELDS("id string", "status string"), NULL},
    {"GuardReset", FIELDS("runbook string", "trigger string?", "key string?"),
     NULL},
    {"GuardsReset", FIELDS("runbook string", "forgotten integer"), NULL},
    {"Disable", FIELDS("runbook string", "reason string?"), NULL},
    {"Enabled", FIELDS("runbook string", "enabled boolean"), NULL},
    {"Processing",
     FIELDS("status string", "paused boolean", "drained integer?",
            "event_queue_depth integer"),
     NULL},
    {"KillSwitch", FIELDS("on boolean", "reason string?"), NULL},
    {"KillSwitchState",
     FIELDS("on boolean", "reason string?", "path string", "audited boolean?"),
     NULL},
    {"Moved",
     FIELDS("replayed integer?", "requeued integer?", "cleared integer?"),
     NULL},
    {"Priority",
     FIELDS("type string?", "severity string?", "priority integer?"), NULL},
    {"PriorityRule", FIELDS("by string", "at instant"), "Priority"},
    {"Prioritised", FIELDS("reordered integer"), "Priority"},
    {"Scale", FIELDS("workers integer?"), NULL},
    {"Scaled", FIELDS("workers integer"), "WorkersOrigin"},
    {"WorkersOrigin",
     FIELDS("configured integer", "set_by string?", "set_at instant"), NULL},
    {"Restarted", FIELDS("status string", "workers integer", "stuck integer"),
     NULL},
    {"AuditVerified",
     FIELDS("whole boolean", "rows integer", "broken_at integer?",
            "problem string?", "last_hash string", "known boolean?"),
     NULL},
    {"Archived",
     FIELDS("archived integer", "file string?", "before instant",
            "more boolean"),
     NULL},
    {"EventStats",
     FIELDS("total integer", "by_status object", "last_hour integer",
            "last_24h integer", "events_per_minute integer",
            "ingestion_rate number", "processing_rate number", "window object",
            "by_type object", "by_severity object", "by_source object"),
     NULL},
    {"QueueAnalysis",
     FIELDS("queue_depth integer", "queue_limit integer", "paused boolean",
            "workers integer", "event_type_distribution object",
            "by_severity object", "by_source object", "by_priority object",
            "by_status object", "priority_rules []PriorityRule",
            "oldest_received_at instant", "oldest_age_seconds number?",
            "ingestion_rate number", "processing_rate number",
            "estimated_drain_seconds number?", "looked_at integer",
            "complete boolean"),
     NULL},
    {"Performance",
     FIELDS("since instant", "workflows integer", "complete boolean",
            "runbooks []RunbookPerformance", "filter Filtered?"),
     NULL},
    {"RunbookPerformance",
     FIELDS("runbook string", "name string", "newest_hash string",
            "killed integer", "cancelled integer", "failed integer",
            "steps []StepPerformance"),
     "Durations"},
    {"StepPerformance", FIELDS("step string?", "step_index integer"),
     "Durations"},
    {"Durations",
     FIELDS("count integer", "succeeded integer", "success_rate number?",
            "p50_seconds number?", "p95_seconds number?",
            "max_seconds number?"),
     NULL},
    {"WorkerList",
     FIELDS("workers []Worker", "count integer", "filter Filtered?"),
     "WorkersOrigin"},
    {"Worker",
     FIELDS("id integer", "status string", "current_task Task?",
            "events_processed integer", "utilization number"),
     NULL},
    {"Task",
     FIELDS("event string", "events integer", "done integer", "since instant",
            "progress_at instant"),
     NULL},
    {"PoisonList",
     FIELDS("poison_messages []StoredEvent", "next_cursor string?",
            "filter Filtered?"),
     NULL},
    {"Acknowledged", FIELDS("restored boolean"), NULL},
    {"AuditTrail",
     FIELDS("audit []AuditRow", "next_cursor string?", "filter Filtered?"),
     NULL},
    {"AuditRow",
     FIELDS("seq integer", "at instant", "who string", "action string",
            "subject string?", "before any", "after any", "hash string"),
     NULL},
    {"Integration",
     FIELDS("name string", "enabled boolean", "health string",
            "healthy boolean?", "paused boolean", "configured boolean",
            "missing string?", "error string?", "last_check instant",
            "url string?"),
     NULL},
    {"IntegrationHealth",
     FIELDS("since instant", "latency_seconds number?",
            "consecutive_failures integer"),
     "Integration"},
    {"IntegrationDetail",
     FIELDS("title string", "timeout number", "changed_by_api boolean",
            "dropped []string?"),
     "IntegrationHealth"},
    {"Outbox",
     FIELDS("notices []Notice", "count integer", "next_cursor string?",
            "filter Filtered?"),
     NULL},
    {"Notice",
     FIELDS("seq integer", "state string", "created_at instant",
            "attempts integer", "last_try instant", "error string?",
            "key string", "notice object"),
     NULL},
    {"IntegrationTest",
     FIELDS("name string", "ok boolean", "requests integer",
            "latency_seconds number"),
     NULL},
    {"MetricHistory",
     FIELDS("metric string", "unit string", "kind string", "since instant",
            "step_seconds integer", "points []MetricPoint", "count integer"),
     NULL},
    {"MetricPoint",
     FIELDS("timestamp instant", "value number", "min number", "max number"),
     NULL},
    {"SloList",
     FIELDS("slos []Slo", "count integer", "missed integer", "since instant",
            "window_seconds integer", "filter Filtered?"),
     NULL},
    {"Slo",
     FIELDS("name string", "description string", "measured string",
            "comparison string", "target number", "actual number?",
            "met boolean?", "unit string", "window string", "samples integer",
            "samples_unit string", "error_budget ErrorBudget?"),
     NULL},
    {"ErrorBudget",
     FIELDS("unit string", "total number", "used number", "remaining number",
            "remaining_ratio number"),
     NULL},
    {"Verdict", FIELDS("verdict string", "note string?"), NULL},
    {"Missed", FIELDS("summary string", "occurred_at any"), NULL},
    {"Judged",
     FIELDS("id string", "verdict string", "note string?",
            "occurred_at instant"),
     NULL},
    {"MissedList",
     FIELDS("missed []MissedIncident", "count integer", "filter Filtered?"),
     NULL},
    {"MissedIncident",
     FIELDS("id string", "summary string", "occurred_at instant", "by string",
            "recorded_at instant"),
     NULL},
    {"Health",
     FIELDS("status string", "version string", "uptime_seconds integer",
            "checks object"),
     NULL},
};

const size_t schema_count = ARRAY_LEN(schemas);

/* ---- as JSON schema ------------------------------------------------------ */

static void put_ref(struct strbuf *out, struct str name)
{
    put_element(out);
    strbuf_addf(out, "\"$ref\":\"#/components/schemas/%.*s\"", STR_ARG(name));
}

/* "string", "string" or null, a reference: inside the braces. */
static void put_scalar(struct strbuf *out, struct str type, bool or_null)
{
    if (str_eq(type, STR("any"))) {
        return;
    }
    if (type.at[0] >= 'A' && type.at[0] <= 'Z') {
        put_ref(out, type);
    } else if (or_null) {
        put_open(out, "type", '[');
        put_text(out, NULL, type);
        put_text_c(out, NULL, "null");
        put_close(out, ']');
    } else {
        put_text(out, "type", type);
    }
}

static void put_type(struct strbuf *out, const char *key, struct str type)
{
    bool or_null = str_ends(type, STR("?"));
    bool is_list = str_starts(type, STR("[]"));
    type = str_slice(type, is_list ? 2 : 0, type.len - (or_null ? 1 : 0));
    put_open(out, key, '{');
    if (is_list) {
        put_scalar(out, STR("array"), or_null);
        put_open(out, "items", '{');
        put_scalar(out, type, false);
        put_close(out, '}');
    } else {
        put_scalar(out, type, or_null);
    }
    put_close(out, '}');
}

static void put_field(struct strbuf *out, const char *field)
{
    char name[64];
    struct str text = str_c(field);
    ptrdiff_t space = str_find(text, ' ');
    struct str type = str_slice(text, (size_t)space + 1, text.len);
    (void)snprintf(name, sizeof(name), "%.*s", (int)space, field);
    if (!str_eq(type, STR("instant"))) {
        put_type(out, name, type);
        return;
    }
    put_type(out, name, STR("number?"));
    (void)snprintf(name, sizeof(name), "%.*s_iso", (int)space, field);
    put_type(out, name, STR("string?"));
}

static void put_object(struct strbuf *out, const struct schema *s)
{
    put_text_c(out, "type", "object");
    put_open(out, "properties", '{');
    for (size_t i = 0; s->fields[i] != NULL; i++) {
        put_field(out, s->fields[i]);
    }
    put_close(out, '}');
}

static void put_schema(struct strbuf *out, const struct schema *s)
{
    put_open(out, s->name, '{');
    if (s->base != NULL) {
        put_open(out, "allOf", '[');
        put_type(out, NULL, str_c(s->base));
        put_close(out, ']');
    }
    put_object(out, s);
    put_close(out, '}');
}

/* What an event may have stands in the table of its reader. */
static void put_event(struct strbuf *out)
{
    size_t count = 0;
    const struct event_field *fields = event_fields(&count);
    put_open(out, "Event", '{');
    put_text_c(out, "type", "object");
    put_open(out, "properties", '{');
    for (size_t i = 0; i < count; i++) {
        put_open(out, fields[i].name, '{');
        put_text_c(out, "type", fields[i].type);
        put_text_c(out, "description", fields[i].help);
        put_close(out, '}');
    }
    put_close(out, '}');
    put_close(out, '}');
}

void schemas_add(struct strbuf *out)
{
    put_raw(out, "Any", STR("{}"));
    put_event(out);
    put_raw(out, "Events",
            STR("{\"oneOf\":[{\"$ref\":\"#/components/schemas/Event\"},"
                "{\"type\":\"array\",\"items\":{\"$ref\":"
                "\"#/components/schemas/Event\"}}]}"));
    put_raw(out, "IntegrationList",
            STR("{\"type\":\"array\",\"items\":{\"$ref\":"
                "\"#/components/schemas/Integration\"}}"));
    put_raw(out, "IntegrationHealthList",
            STR("{\"type\":\"array\",\"items\":{\"$ref\":"
                "\"#/components/schemas/IntegrationHealth\"}}"));
    for (size_t i = 0; i < schema_count; i++) {
        put_schema(out, &schemas[i]);
    }
}
