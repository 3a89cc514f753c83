#include "telemetry/log_messages.h"

#include "base/assert.h"

/* As in syslog(3), which is no header of a pure module. */
enum priority {
    PRIORITY_ERROR = 3,
    PRIORITY_WARNING = 4,
    PRIORITY_NOTICE = 5,
    PRIORITY_INFO = 6,
    PRIORITY_DEBUG = 7
};

static const struct log_message_row rows[LOG_MESSAGES] = {
    [LOG_ENGINE_READY] = {"engine.ready", "e2a214e8bbe946759d52490575ffc53d",
                          PRIORITY_INFO, "The engine is ready",
                          "Store, runbooks and everything unfinished are "
                          "loaded, the HTTP server\n"
                          "accepts requests."},
    [LOG_ENGINE_STOPPING] =
        {"engine.stopping", "03aa3897fcf446b6986c39e8c7bb69f6", PRIORITY_INFO,
         "The engine is stopping",
         "New events are answered 503. What was accepted is kept, running "
         "steps stay\n"
         "with the executor, and the next start goes on with both."},
    [LOG_ENGINE_STUCK] =
        {"engine.stuck", "6f4c2b1e9d3a4e7f8a5b0c1d2e3f4a5b", PRIORITY_ERROR,
         "A thread of the engine makes no progress",
         "The message says which. systemd is not told that all is well while "
         "it\n"
         "is so, and restarts the engine when WatchdogSec is over. What was\n"
         "accepted is kept."},
    [LOG_WORKFLOW_STARTED] = {"workflow.started",
                              "5c22c46963e948fda4d4748ca3c77ebf", PRIORITY_INFO,
                              "Workflow @ADP_WORKFLOW@ has started",
                              "Runbook @ADP_RUNBOOK@ runs its first step.\n"
                              "\n"
                              "See: adctl workflow show @ADP_WORKFLOW@"},
    [LOG_WORKFLOW_SUCCEEDED] = {"workflow.succeeded",
                                "b2609a0bdd2b45508c656018eee38dc1",
                                PRIORITY_INFO,
                                "Workflow @ADP_WORKFLOW@ has succeeded",
                                "All steps of @ADP_RUNBOOK@ have ended well."},
    [LOG_WORKFLOW_FAILED] = {"workflow.failed",
                             "5bd0f521be84462bbb9be05d0e8e2329", PRIORITY_ERROR,
                             "Workflow @ADP_WORKFLOW@ has failed",
                             "A step of @ADP_RUNBOOK@ failed for good, or the "
                             "workflow met its time limit.\n"
                             "The message says which.\n"
                             "\n"
                             "See: adctl workflow logs @ADP_WORKFLOW@"},
    [LOG_WORKFLOW_HELD] =
        {"workflow.held", "7ea3ef27e2e94528a4e0689e1888df20", PRIORITY_ERROR,
         "Workflow @ADP_WORKFLOW@ waits for an operator",
         "A step that is not idempotent was interrupted and may or may not "
         "have taken\n"
         "effect. Nobody but a person can decide how to go on.\n"
         "\n"
         "See: adctl workflow show @ADP_WORKFLOW@"},
    [LOG_WORKFLOW_STOPPED] =
        {"workflow.stopped", "5c3981a844ab46d8bb81e5e0309e6043",
         PRIORITY_WARNING, "Workflow @ADP_WORKFLOW@ was stopped",
         "Somebody cancelled or killed it; its processes are gone."},
    [LOG_WORKFLOW_UNSTARTABLE] =
        {"workflow.unstartable", "0bcc0d1cd5a9414599ba695ab78d8387",
         PRIORITY_ERROR, "Workflow @ADP_WORKFLOW@ could not start",
         "An event matched a trigger of @ADP_RUNBOOK@, but gives no valid "
         "parameters.\n"
         "\n"
         "See: adctl event show @ADP_EVENT@"},
    [LOG_STEP_STARTED] =
        {"step.started", "e08137f33a084ec99f95e90587134be1", PRIORITY_DEBUG,
         "A step has started",
         "Step @ADP_STEP@ of @ADP_RUNBOOK@ runs, for workflow @ADP_WORKFLOW@."},
    [LOG_STEP_SUCCEEDED] =
        {"step.succeeded", "6b8816776b5a4b73a94472d1a7d32946", PRIORITY_DEBUG,
         "A step has succeeded",
         "Step @ADP_STEP@ of @ADP_RUNBOOK@ ended with status 0."},
    [LOG_STEP_FAILED] = {"step.failed", "c9ce5ddc2a52483e96dfd21e9d1f5c01",
                         PRIORITY_WARNING, "A step has failed",
                         "An attempt of step @ADP_STEP@ of @ADP_RUNBOOK@ did "
                         "not end well. Another one\n"
                         "may follow, if the runbook says so.\n"
                         "\n"
                         "See: adctl workflow logs @ADP_WORKFLOW@"},
    [LOG_EVENT_FAILED] = {"event.failed", "f41fae4a5518483da98647fe161b80de",
                          PRIORITY_WARNING, "An event could not be processed",
                          "It is tried again, up to "
                          "engine.event_processing.max_attempts times."},
    [LOG_EVENT_POISON] =
        {"event.poison", "6cc3ba5031834d1db933dffe9f578985", PRIORITY_ERROR,
         "An event was set aside as poison",
         "Its processing failed every time. It is kept until somebody queues "
         "it again\n"
         "or clears it.\n"
         "\n"
         "See: adctl poison list"},
    [LOG_EVENT_SUPPRESSED] = {"event.suppressed",
                              "dbc01b3d2ea2438ca4e166c70794a750", PRIORITY_INFO,
                              "An event started nothing",
                              "A guard held back what it would have started; "
                              "the message says which."},
    [LOG_EVENT_UNDECIDED] =
        {"event.undecided", "334540845960443aa277d5b458b6fb23",
         PRIORITY_WARNING, "A trigger's condition has no value",
         "Its `when` asks for something that the event lacks, most often a "
         "label, so it\n"
         "started nothing. The message says which; guard the label in the "
         "runbook with\n"
         "has(...) or [?\"name\"].\n"
         "\n"
         "See: adctl event show @ADP_EVENT@"},
    [LOG_EXECUTOR_UP] = {"executor.up", "60b3bedce0ec4deabc434d6e6054aa24",
                         PRIORITY_INFO,
                         "The engine is connected to the executor",
                         "Steps are started from now on."},
    [LOG_EXECUTOR_DOWN] =
        {"executor.down", "a0d0861e4f7e43538227e820e6a60526", PRIORITY_WARNING,
         "The executor is not connected",
         "Workflows wait for it; nothing is lost. Running steps go on.\n"
         "\n"
         "See: systemctl status autonomous-devops-executor.service"},
    [LOG_RUNBOOKS_LOADED] =
        {"runbooks.loaded", "b3c478b638e64772b86ed285da543b3d", PRIORITY_INFO,
         "Runbooks were loaded",
         "The new set is in force for workflows that start from now on."},
    [LOG_RUNBOOKS_FAILED] = {"runbooks.failed",
                             "449ab166818648568c529b4839c340b3", PRIORITY_ERROR,
                             "The runbooks could not be loaded",
                             "The repository cannot be read; the set that was "
                             "loaded last stays in force."},
    [LOG_RUNBOOK_REJECTED] = {"runbook.rejected",
                              "78e8b5bcefb74578b78e1ffad9cf7a0c",
                              PRIORITY_WARNING,
                              "Runbook @ADP_RUNBOOK@ is refused",
                              "The file has an error. Its last good version "
                              "stays in force if there was one.\n"
                              "\n"
                              "See: adctl runbook validate @ADP_RUNBOOK@"},
    [LOG_RUNBOOK_REFUSED] =
        {"runbook.refused", "6567204f32124dc094db96dd90b5017a",
         PRIORITY_WARNING, "The executor refuses runbook @ADP_RUNBOOK@",
         "Others could have written it, or the configuration does not permit\n"
         "what it asks for. Its workflows would fail; the message says what "
         "to\n"
         "mend.\n"
         "\n"
         "See: adctl runbook show @ADP_RUNBOOK@"},
    [LOG_CONFIG_LOADED] =
        {"config.loaded", "f03198c45f954f9cbef12c37ca6cd66c", PRIORITY_INFO,
         "The configuration was reloaded",
         "Options that need a restart are named in another message.\n"
         "\n"
         "See: autonomous-devops show-config"},
    [LOG_CONFIG_FAILED] = {"config.failed", "0fd539ac359d41d684b11609cef605c9",
                           PRIORITY_ERROR, "The configuration was not reloaded",
                           "A file has an error, so nothing has changed.\n"
                           "\n"
                           "See: autonomous-devops check-config"},
    [LOG_CHANGE] = {"change", "15c0e0b73abb4e85b0a037efd7376ab4",
                    PRIORITY_NOTICE, "Somebody changed something",
                    "An operator's change is durable and in the audit trail.\n"
                    "\n"
                    "See: adctl audit"},
    [LOG_STORE_FAILED] = {"store.failed", "c54a55eb16014892921f7305e164f982",
                          PRIORITY_ERROR, "The store has failed",
                          "Nothing more is acknowledged and the process ends; "
                          "the next start recovers\n"
                          "what is on disk."},
    [LOG_STORE_RESTORED] = {"store.restored",
                            "1d7163de5cf84d93982ed19d185f80d2", PRIORITY_ERROR,
                            "The store was restored from a backup",
                            "The database was damaged. What was stored after "
                            "the backup is lost, and what\n"
                            "was unfinished then is held.\n"
                            "\n"
                            "See: adctl backup acknowledge"},
    [LOG_SUPPRESSED] = {"log.suppressed", "64cec5fe01d84fbcb39897dbbf44e1ec",
                        PRIORITY_WARNING, "Messages were not logged",
                        "More messages of one kind came than are logged in a "
                        "short time. All that\n"
                        "they tell of is in the store."},
};

const struct log_message_row *log_message_row(enum log_message m)
{
    ASSERT(m < LOG_MESSAGES);
    return rows[m].name != NULL ? &rows[m] : NULL;
}

void log_messages_add_catalog(struct strbuf *out)
{
    strbuf_addc(out, "# Message catalogue of autonomous-devops(8), see "
                     "journalctl -x.\n"
                     "# Printed by: autonomous-devops print-catalog\n");
    for (size_t i = 0; i < LOG_MESSAGES; i++) {
        const struct log_message_row *row = &rows[i];
        if (row->name != NULL) {
            strbuf_addf(out,
                        "\n-- %s\nSubject: %s\nDefined-By: "
                        "autonomous-devops\nSupport: "
                        "man:autonomous-devops(8)\n\n%s\n",
                        row->id, row->subject, row->advice);
        }
    }
}
