#include "api/schemas.h"

#include "base/attr.h"

#define TEXT "{\"type\":\"string\"}"
#define MAYBE_TEXT "{\"type\":[\"string\",\"null\"]}"
#define COUNT "{\"type\":\"integer\",\"minimum\":0}"
#define FLAG "{\"type\":\"boolean\"}"
#define SECONDS "{\"type\":[\"number\",\"null\"]}"
#define ANY "{}"
#define LIST(of) "{\"type\":\"array\",\"items\":" of "}"
#define REF(name) "{\"$ref\":\"#/components/schemas/" name "\"}"
#define OBJECT(properties)                                                     \
    "{\"type\":\"object\",\"properties\":{" properties "}}"
#define P(name, schema) "\"" name "\":" schema
#define INSTANT(name) P(name, SECONDS) "," P(name "_iso", MAYBE_TEXT)

/* Event is not here: it is made from the table of event_json.h. */
const struct schema
    schemas[] =
        {
            {"Any", ANY},
            {"Error",
             "{\"type\":\"object\",\"required\":[\"error\",\"code\","
             "\"detail\"],\"properties\":{" P("error", TEXT) "," P(
                 "code", TEXT) "," P("detail", "{\"type\":\"object\"}") "}}"},
            {"Events", "{\"oneOf\":[" REF("Event") "," LIST(REF("Event")) "]}"},
            {"Accepted",
             OBJECT(P("id", TEXT) "," P("ids", LIST(TEXT)) "," P(
                 "count", COUNT) "," P("status", TEXT) "," P("deduplicated",
                                                             COUNT))},
            {"EventList", OBJECT(P("events", LIST(REF("Event"))) "," P(
                              "next_cursor", MAYBE_TEXT))},
            {"Workflow",
             OBJECT(
                 P("id", TEXT) "," P("runbook", TEXT) "," P("runbook_name", TEXT) "," P("runbook_hash", TEXT) "," P("commit", MAYBE_TEXT) "," P("event_id", MAYBE_TEXT) "," P(
                     "trigger", "{\"type\":["
                                "\"integer\","
                                "\"null\"]}") "," P("status",
                                                    TEXT) "," P("result",
                                                                MAYBE_TEXT) "," P("parameters",
                                                                                  "{\"type\":\"object\"}") "," P("requested_by",
                                                                                                                 TEXT) "," P("dry_run",
                                                                                                                             FLAG) "," INSTANT("created_at") "," INSTANT("started_at") "," INSTANT("finished_at") "," P("duration_seconds", SECONDS) "," P("current_step",
                                                                                                                                                                                                                                                           MAYBE_TEXT) "," P("current_step_index",
                                                                                                                                                                                                                                                                             "{\"type\":[\"integer\",\"null\"]}") "," P("error",
                                                                                                                                                                                                                                                                                                                        MAYBE_TEXT) "," P("stop_requested",
                                                                                                                                                                                                                                                                                                                                          MAYBE_TEXT))},
            {"WorkflowList",
             OBJECT(
                 P("workflows",
                   LIST(
                       REF("Workflow"))) "," P("active_workflows", COUNT) "," P("next_cursor", MAYBE_TEXT))},
            {"Attempt", OBJECT(P("attempt", COUNT) "," P("status", TEXT) "," P("exit_code", "{"
                                                                                            "\"type\":[\"integer\",\"null\"]}") "," P("signal",
                                                                                                                                      "{\"type\":[\"integer\",\"null\"]}") "," P("pid",
                                                                                                                                                                                 "{\"type\":[\"integer\",\"null\"]}") "," INSTANT("requested_at") "," INSTANT("started_at") "," INSTANT("finished_at") "," P("duration_seconds",
                                                                                                                                                                                                                                                                                                             SECONDS) "," P("output_bytes", COUNT) "," P("output_truncated", FLAG) "," P("survivors", COUNT) "," P("error", MAYBE_TEXT))},
            {"WorkflowDetail",
             "{\"allOf\":[" REF("Workflow") "," OBJECT(P(
                 "steps",
                 LIST(OBJECT(P("name", MAYBE_TEXT) "," P("index", COUNT) "," P(
                     "status", TEXT) "," P("attempts",
                                           LIST(REF("Attempt"))))))) "]}"},
            {"Logs",
             OBJECT(
                 P("workflow_id", TEXT) "," P(
                     "logs",
                     LIST(OBJECT(P("seq", COUNT) "," P("step", MAYBE_TEXT) "," P("step_index", COUNT) "," P(
                         "attempt",
                         COUNT) "," P("stream",
                                      TEXT) "," INSTANT("at") "," P("text",
                                                                    TEXT)))) "," P("next_after",
                                                                                   COUNT) "," P("comp"
                                                                                                "let"
                                                                                                "e",
                                                                                                FLAG))},
            {"Stopping", OBJECT(P("id", TEXT) "," P("status", TEXT) "," P(
                             "stop_requested", TEXT))},
            {"Problem",
             OBJECT(P("file", TEXT) "," P("line", SECONDS) "," P(
                 "column",
                 SECONDS) "," P("field",
                                MAYBE_TEXT) "," P("message",
                                                  TEXT) "," P("hint",
                                                              MAYBE_TEXT))},
            {"Runbook",
             OBJECT(P("path", TEXT) "," P("name", TEXT) "," P("category", MAYBE_TEXT) "," P("description", MAYBE_TEXT) "," P("hash", TEXT) "," P(
                 "state",
                 TEXT) "," P("steps",
                             COUNT) "," P("triggers",
                                          COUNT) "," P("parameters",
                                                       LIST(OBJECT(
                                                           P("name", TEXT) "," P("type", TEXT) "," P("required", FLAG) "," P(
                                                               "default",
                                                               ANY) "," P("desc"
                                                                          "ript"
                                                                          "ion",
                                                                          MAYBE_TEXT)))) "," P("concurrency",
                                                                                               COUNT) "," P("timeout_seconds",
                                                                                                            SECONDS))},
            {"RunbookList",
             OBJECT(P("runbooks", LIST(REF("Runbook"))) "," P(
                 "count", COUNT) "," P("rejected",
                                       LIST(OBJECT(P("path", TEXT) "," P(
                                           "errors", LIST(REF("Problem")))))))},
            {"Validate", OBJECT(P("runbook_path", TEXT) "," P("text", TEXT))},
            {"Validation",
             OBJECT(P("valid", FLAG) "," P("path", TEXT) "," P(
                 "errors", LIST(REF("Problem"))) "," P("warnings",
                                                       LIST(REF("Problem"))))},
            {"Execute",
             "{\"type\":\"object\",\"required\":[\"runbook\"],"
             "\"properties\":{" P("runbook", TEXT) "," P(
                 "parameters",
                 "{\"type\":\"object\"}") "," P("dry_run",
                                                FLAG) "},"
                                                      "\"additionalPrope"
                                                      "rties\":false}"},
            {"Executed",
             OBJECT(P("workflow_id", TEXT) "," P("status", TEXT) "," P(
                 "runbook",
                 TEXT) "," P("dry_run",
                             FLAG) "," P("plan",
                                         LIST("{\"type\":\"object\"}")))},
            {"Reloaded",
             OBJECT(P("generation", COUNT) "," P("loaded", COUNT) "," P(
                 "added",
                 COUNT) "," P("changed",
                              COUNT) "," P("removed",
                                           COUNT) "," P("rejected",
                                                        COUNT) "," P("problems",
                                                                     LIST(REF(
                                                                         "Probl"
                                                                         "e"
                                                                         "m"))))},
            {"Health", OBJECT(P("status", TEXT) "," P("version", TEXT) "," P(
                           "uptime_seconds",
                           COUNT) "," P("checks", "{\"type\":\"object\"}"))},
};

const size_t schema_count = ARRAY_LEN(schemas);
