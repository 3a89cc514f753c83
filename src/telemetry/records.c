#include "telemetry/telemetry_priv.h"

/* Between two readings of the wall clock, which may have been set back. */
static uint64_t elapsed_ms(uint64_t from_ms, uint64_t to_ms)
{
    return from_ms != 0 && to_ms > from_ms ? to_ms - from_ms : 0;
}

static struct awaited *awaited_slot(struct telemetry *t, const struct id *id)
{
    /* The last bytes of an id are its random ones. */
    unsigned low = (unsigned)id->bytes[14] << 8 | id->bytes[15];
    return &t->awaited[low % AWAITED_SLOTS];
}

static void event_done(struct telemetry *t, uint64_t now_ms,
                       const struct record_event_done *done)
{
    if (done->status == EVENT_ERROR || done->status == EVENT_POISON) {
        telemetry_event_error(t, now_ms, 1);
    } else if (done->status != EVENT_QUEUED) {
        telemetry_event_processed(t, now_ms, 1);
    }
    if (done->undecided) {
        telemetry_event_undecided(t);
    }
    for (size_t i = 0; i < HOLD_KINDS; i++) {
        telemetry_starts_held(t, (enum hold)i, done->held[i]);
    }
}

/* What follows from a final row beyond its status: how long it ran, and
 * whether an event was answered without anybody's help. */
static void remediation_ended(struct telemetry *t, uint64_t now_ms,
                              const struct workflow_row *row)
{
    if (row->dry_run) {
        return;
    }
    if (row->started_ms != 0 && row->status != WORKFLOW_CANCELLED) {
        telemetry_observe_us(t, TIMING_EXECUTION,
                             elapsed_ms(row->started_ms, row->finished_ms) *
                                 1000);
    }
    if (!id_is_null(row->event_id)) {
        telemetry_flow(t, FLOW_REMEDIATIONS_ENDED, now_ms, 1);
        telemetry_flow(t, FLOW_REMEDIATIONS_SUCCEEDED, now_ms,
                       row->status == WORKFLOW_SUCCEEDED);
    }
}

/* Final statuses have no way out (I3), so each is recorded once. */
static void workflow_ended(struct telemetry *t, uint64_t now_ms,
                           const struct workflow_row *row)
{
    if (workflow_status_is_final(row->status)) {
        telemetry_workflow_finished(
            t, now_ms, row->status,
            elapsed_ms(row->created_ms, row->finished_ms), row->dry_run);
        remediation_ended(t, now_ms, row);
    }
}

static void workflow_born(struct telemetry *t, uint64_t now_ms,
                          const struct workflow_row *row)
{
    telemetry_workflow_started(t);
    /* One that cannot start is born failed. */
    if (row->status == WORKFLOW_FAILED) {
        telemetry_workflow_unstartable(t);
    }
    workflow_ended(t, now_ms, row);
    if (id_is_null(row->event_id)) {
        return;
    }
    if (!row->dry_run) {
        telemetry_flow(t, FLOW_WORKFLOWS_TRIGGERED, now_ms, 1);
    }
    /* An event's id is minted when it is received: it tells when that was. */
    uint64_t event_ms = id_epoch_ms(row->event_id);
    telemetry_observe_us(t, TIMING_EVENT_TO_WORKFLOW,
                         elapsed_ms(event_ms, now_ms) * 1000);
    *awaited_slot(t, &row->id) = (struct awaited){
        .workflow_id = row->id,
        .event_ms = event_ms,
    };
}

static void first_step_started(struct telemetry *t,
                               const struct attempt_row *row)
{
    struct awaited *slot = awaited_slot(t, &row->key.workflow_id);
    if (id_eq(slot->workflow_id, row->key.workflow_id)) {
        telemetry_observe_us(t, TIMING_EVENT_TO_STEP,
                             elapsed_ms(slot->event_ms, row->started_ms) *
                                 1000);
        slot->workflow_id = ID_NULL;
    }
}

static void attempt_set(struct telemetry *t, const struct attempt_row *row)
{
    if (row->key.step_no == 0 && row->started_ms != 0) {
        first_step_started(t, row);
    }
    if (attempt_state_is_final(row->state)) {
        telemetry_step_finished(t, row->state,
                                elapsed_ms(row->started_ms, row->finished_ms));
    }
}

void telemetry_records(struct telemetry *t, uint64_t now_ms,
                       const struct record *records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct record *r = &records[i];
        switch (r->kind) {
        case RECORD_EVENT_DONE:
            event_done(t, now_ms, &r->event_done);
            break;
        case RECORD_WORKFLOW_NEW:
            workflow_born(t, now_ms, &r->workflow);
            break;
        case RECORD_WORKFLOW_SET:
            workflow_ended(t, now_ms, &r->workflow);
            break;
        case RECORD_ATTEMPT_SET:
            attempt_set(t, &r->attempt);
            break;
        case RECORD_ATTEMPT_NEW:
        case RECORD_OUTPUT:
        case RECORD_EVENTS_FREE:
        case RECORD_EVENTS_MOVE:
        case RECORD_EVENTS_RANK:
        case RECORD_EVENTS_DROP:
        case RECORD_WORKFLOW_DROP:
        case RECORD_REQUEST:
        case RECORD_SETTING:
        case RECORD_AUDIT:
        case RECORD_NOTICE_NEW:
        case RECORD_NOTICE_TRIED:
        case RECORD_VERDICT:
        case RECORD_MEMORY_SET:
        case RECORD_MEMORY_DROP:
        case RECORD_WATCH_SET:
        case RECORD_WATCH_DROP:
        case RECORD_KINDS:
            break;
        }
    }
}
