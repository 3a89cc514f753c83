#include "engine/engine_priv.h"

#include <inttypes.h>

#include "base/assert.h"
#include "engine/guards.h"

struct flow *flow_find(const struct engine *e, struct id id)
{
    return map_get(&e->flows, id_bytes(&id));
}

struct str flow_own(char **owned, struct str from)
{
    char *old = *owned;
    *owned = str_dup(from);
    mem_free(old);
    return str_n(*owned, from.len);
}

bool flow_holds_place(enum workflow_status s)
{
    return s == WORKFLOW_RUNNING || s == WORKFLOW_WAITING;
}

/* The two counts that are kept; the rest follows from the number of flows. */
static void count(struct engine *e, struct flow *f, bool in)
{
    uint32_t by = in ? 1 : UINT32_MAX;
    if (flow_holds_place(f->row.status)) {
        e->running += by;
        f->lane->running += by;
    } else if (f->row.status == WORKFLOW_HELD) {
        e->held += by;
    }
}

struct flow *flow_new(struct engine *e, const struct workflow_row *row,
                      struct runbook *rb)
{
    ASSERT(!workflow_status_is_final(row->status));
    ASSERT(row->step_no < rb->step_count);
    struct flow *f = MEM_NEW(struct flow);
    f->row = *row;
    f->row.runbook_path = rb->path;
    f->row.runbook_name = rb->name;
    f->row.runbook_commit = flow_own(&f->commit, row->runbook_commit);
    f->row.parameters = flow_own(&f->parameters, row->parameters);
    f->row.subject = flow_own(&f->subject_text, row->subject);
    f->row.requested_by = flow_own(&f->requested_by, row->requested_by);
    f->row.stopped_by = flow_own(&f->stopped_by, row->stopped_by);
    f->row.error = flow_own(&f->error, row->error);
    f->runbook = runbook_ref(rb);
    results_init(f);
    f->order = e->next_order++;
    list_init(&f->place);
    list_init(&f->touched);
    lane_join(e, f, rb->path);
    lock_join(e, f);
    subject_join(e, f);
    INVARIANT("I2", map_put(&e->flows, id_bytes(&f->row.id), f) == NULL);
    count(e, f, true);
    return f;
}

void flow_free(struct engine *e, struct flow *f)
{
    heap_remove(&e->timers, &f->timer);
    list_remove(&f->place);
    list_remove(&f->touched);
    lock_leave(e, f);
    lane_leave(e, f);
    results_free(f);
    subject_leave(e, f);
    runbook_unref(f->runbook);
    mem_free(f->commit);
    mem_free(f->parameters);
    mem_free(f->subject_text);
    mem_free(f->requested_by);
    mem_free(f->stopped_by);
    mem_free(f->error);
    mem_free(f);
}

/* The record takes its place among the others now, so that a new workflow
 * comes before its first attempt; `flush` fills it in. */
void flow_touch(struct engine *e, struct flow *f)
{
    if (f->record != 0) {
        return;
    }
    VEC_PUSH(&e->fx->records,
             (struct record){.kind = f->row.rev == 0 ? RECORD_WORKFLOW_NEW
                                                     : RECORD_WORKFLOW_SET});
    f->record = e->fx->records.count;
    list_push(&e->touched, &f->touched);
}

void flow_move(struct engine *e, struct flow *f, enum workflow_status to)
{
    INVARIANT("I3", workflow_status_may(f->row.status, to));
    bool queue_changes = f->row.status == WORKFLOW_QUEUED;
    bool place_changes =
        flow_holds_place(f->row.status) != flow_holds_place(to);
    flow_touch(e, f);
    count(e, f, false);
    f->row.status = to;
    count(e, f, true);
    if (queue_changes) {
        lock_step_out(e, f);
    }
    if (queue_changes || place_changes) {
        lane_update(e, f->lane);
    }
}

void flow_finish(struct engine *e, struct flow *f, enum workflow_status to,
                 struct str error)
{
    ASSERT(workflow_status_is_final(to));
    attempts_drop_deferred(e, f);
    list_remove(&f->place);
    heap_remove(&e->timers, &f->timer);
    flow_move(e, f, to);
    f->row.error = flow_own(&f->error, error);
    f->row.finished_ms = e->now_ms;
    f->row.wake_ms = 0;
    f->row.deadline_ms = 0;
    (void)map_remove(&e->flows, id_bytes(&f->row.id));
    guards_finished(e, f);
    lock_release(e, f);
}

bool flow_in_flight(const struct flow *f)
{
    const struct attempt_row *a = flow_attempt(f);
    return a != NULL && !attempt_state_is_final(a->state) &&
           !id_is_null(a->executor);
}

bool flow_is_deferred(const struct flow *f)
{
    const struct attempt_row *a = flow_attempt(f);
    return a != NULL && !attempt_state_is_final(a->state) &&
           id_is_null(a->executor);
}

bool flow_expired(const struct engine *e, const struct flow *f)
{
    return f->row.deadline_ms != 0 && e->now_ms >= halt_deadline_ms(e, f);
}

const struct step *flow_step(const struct flow *f)
{
    return &f->runbook->steps[f->row.step_no];
}

/* An attempt in flight needs the executor for whatever is to be done about
 * it: while there is none, the named wait is FACT_EXECUTOR_UP. */
static uint64_t next_instant(const struct engine *e, const struct flow *f)
{
    switch (f->row.status) {
    case WORKFLOW_WAITING:
        return MIN(f->row.wake_ms, halt_deadline_ms(e, f));
    case WORKFLOW_HELD:
        return f->row.deadline_ms;
    case WORKFLOW_RUNNING:
        if (!flow_in_flight(f)) {
            return flow_is_deferred(f) && e->executor_up && !e->halted
                       ? MIN(f->check_ms, f->row.deadline_ms)
                       : halt_deadline_ms(e, f);
        }
        if (!e->executor_up) {
            return UINT64_MAX;
        }
        return f->stop_sent ? f->check_ms
                            : MIN(f->check_ms, halt_deadline_ms(e, f));
    case WORKFLOW_QUEUED:
    case WORKFLOW_SUCCEEDED:
    case WORKFLOW_FAILED:
    case WORKFLOW_CANCELLED:
    case WORKFLOW_KILLED:
    case WORKFLOW_STATUSES:
        break;
    }
    return UINT64_MAX;
}

void flow_wait(struct engine *e, struct flow *f, uint64_t ms)
{
    flow_move(e, f, WORKFLOW_WAITING);
    f->row.wake_ms = e->now_ms + ms;
    flow_arm(e, f);
}

void flow_arm(struct engine *e, struct flow *f)
{
    uint64_t at = next_instant(e, f);
    if (at == UINT64_MAX) {
        heap_remove(&e->timers, &f->timer);
    } else if (f->timer.place == 0 || f->timer.key != at) {
        heap_set(&e->timers, &f->timer, at);
    }
}

static void held_too_long(struct engine *e, struct flow *f)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(4096);
    strbuf_add(&text, f->row.error);
    strbuf_addf(&text, "; nobody decided within %" PRIu64 " s",
                e->config.held_timeout_ms / 1000);
    flow_finish(e, f, WORKFLOW_FAILED, strbuf_str(&text));
}

static void in_flight_due(struct engine *e, struct flow *f)
{
    if (e->executor_up && e->now_ms >= f->check_ms) {
        attempts_ask(e, f, true);
    } else if (e->executor_up && flow_expired(e, f) && !f->stop_sent) {
        attempts_stop(e, f, false);
    }
    flow_arm(e, f);
}

void flow_due(struct engine *e, struct flow *f)
{
    if (f->row.status == WORKFLOW_HELD) {
        held_too_long(e, f);
    } else if (flow_in_flight(f)) {
        in_flight_due(e, f);
    } else if (flow_expired(e, f)) {
        course_late(e, f);
    } else if (flow_is_deferred(f)) {
        list_remove(&f->place);
        attempts_next(e, f);
    } else {
        ASSERT(f->row.status == WORKFLOW_WAITING &&
               e->now_ms >= f->row.wake_ms);
        flow_move(e, f, WORKFLOW_RUNNING);
        f->row.wake_ms = 0;
        if (flow_step(f)->action == ACTION_WAIT) {
            attempts_waited(e, f);
        } else {
            attempts_next(e, f);
        }
    }
}
