#include "app/trace.h"

#include "app/log.h"

static void trace_event(const struct record_event_done *done)
{
    char id[ID_TEXT_SIZE];
    id_format(done->event_id, ID_PREFIX_EVENT, id);
    log_debug("event %s: %s", id, event_status_name(done->status));
}

static void trace_workflow(const struct workflow_row *row)
{
    char id[ID_TEXT_SIZE];
    id_format(row->id, ID_PREFIX_WORKFLOW, id);
    log_debug("workflow %s: %s", id, workflow_status_name(row->status));
}

static void trace_attempt(const struct attempt_row *row)
{
    char id[ID_TEXT_SIZE];
    id_format(row->key.workflow_id, ID_PREFIX_WORKFLOW, id);
    log_debug("workflow %s: step %u, attempt %u: %s", id,
              (unsigned)row->key.step_no + 1, (unsigned)row->key.attempt,
              attempt_state_name(row->state));
}

/* What operators do is in the audit trail. */
static void trace(const struct record *r)
{
    if (r->kind == RECORD_EVENT_DONE) {
        trace_event(&r->event_done);
    } else if (r->kind == RECORD_WORKFLOW_NEW ||
               r->kind == RECORD_WORKFLOW_SET) {
        trace_workflow(&r->workflow);
    } else if (r->kind == RECORD_ATTEMPT_NEW || r->kind == RECORD_ATTEMPT_SET) {
        trace_attempt(&r->attempt);
    }
}

void trace_committed(const struct record *records, size_t count)
{
    if (!log_is_on(LOG_LEVEL_DEBUG)) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        trace(&records[i]);
    }
}
