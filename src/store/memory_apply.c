/* Applying the engine's records in the memory driver. */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/strbuf.h"
#include "store/memory_priv.h"

/* ---- events ------------------------------------------------------------- */

static int event_done(struct store *s, const struct record_event_done *r)
{
    if (r->seq == 0 || r->seq > s->events.count) {
        return -ESTALE;
    }
    struct mem_event *e = s->events.at[r->seq - 1];
    if (e->now.gone || !id_eq(e->row.id, r->event_id) ||
        e->now.status != EVENT_PROCESSING || e->now.claim != r->claim) {
        return -ESTALE;
    }
    INVARIANT("I3", event_status_may(e->now.status, r->status));
    memory_event_set(s, e, r->status);
    e->now.processed_ms = r->status == EVENT_ERROR ? 0 : r->at_ms;
    e->now.error = arena_str(&s->arena, r->error);
    e->now.decision = arena_str(&s->arena, r->decision);
    return 0;
}

/* ---- workflows ---------------------------------------------------------- */

/* The workflow if it exists and is this session's, else NULL. */
static struct mem_workflow *own_workflow(const struct store *s,
                                         const struct id *id)
{
    struct mem_workflow *w = map_get(&s->workflows_by_id, id_bytes(id));
    return w != NULL && id_eq(w->owner, s->session) ? w : NULL;
}

/* What may start a workflow only once: event, trigger and runbook. */
struct str memory_start_key(struct store *s, const struct workflow_row *w)
{
    struct strbuf key = STRBUF_INIT(SIZE_MAX);
    strbuf_add(&key, id_bytes(&w->event_id));
    strbuf_add(&key,
               str_n((const char *)&w->trigger_no, sizeof(w->trigger_no)));
    strbuf_add(&key, w->runbook_path);
    struct str kept = arena_str(&s->arena, strbuf_str(&key));
    strbuf_deinit(&key);
    return kept;
}

static int workflow_new(struct store *s, const struct workflow_row *r)
{
    ASSERT(r->rev == 1);
    if (map_get(&s->workflows_by_id, id_bytes(&r->id)) != NULL) {
        return 0;
    }
    struct str start = STR_NULL;
    if (!id_is_null(r->event_id)) {
        start = memory_start_key(s, r);
        if (map_get(&s->starts, start) != NULL) {
            return -EEXIST;
        }
    }
    struct mem_workflow *w = ARENA_NEW(&s->arena, struct mem_workflow);
    w->row = memory_copy_workflow(&s->arena, r);
    w->seq = s->workflows.count + 1;
    w->owner = s->session;
    MEMORY_PUSH(s, &s->workflows, w);
    memory_put(s, &s->workflows_by_id, id_bytes(&w->row.id), w);
    if (start.len != 0) {
        memory_put(s, &s->starts, start, w);
    }
    s->counts.workflows[w->row.status]++;
    s->counts.dry_runs += r->dry_run;
    return 0;
}

static int workflow_set(struct store *s, const struct workflow_row *r)
{
    struct mem_workflow *w = own_workflow(s, &r->id);
    if (w == NULL || r->rev != w->row.rev + 1) {
        return -ESTALE;
    }
    INVARIANT("I3", w->row.status == r->status ||
                        workflow_status_may(w->row.status, r->status));
    memory_save(s, &w->row, sizeof(w->row));
    s->counts.workflows[w->row.status]--;
    s->counts.workflows[r->status]++;
    w->row.status = r->status;
    w->row.result = r->result;
    w->row.stop = r->stop;
    w->row.stopped_by = arena_str(&s->arena, r->stopped_by);
    w->row.step_no = r->step_no;
    w->row.started_ms = r->started_ms;
    w->row.finished_ms = r->finished_ms;
    w->row.wake_ms = r->wake_ms;
    w->row.deadline_ms = r->deadline_ms;
    w->row.error = arena_str(&s->arena, r->error);
    w->row.rev = r->rev;
    return 0;
}

/* ---- attempts ----------------------------------------------------------- */

static bool same_step(const struct attempt_row *a, const struct attempt_row *b)
{
    return a->key.step_no == b->key.step_no;
}

static struct attempt_row *find_attempt(const struct mem_workflow *w,
                                        const struct attempt_row *like)
{
    VEC_EACH (&w->attempts, i) {
        struct attempt_row *t = w->attempts.at[i];
        if (same_step(t, like) && t->key.attempt == like->key.attempt) {
            return t;
        }
    }
    return NULL;
}

/* I4: would this state of this attempt be the second one in flight, or the
 * second success, of its step? */
static bool breaks_i4(const struct mem_workflow *w,
                      const struct attempt_row *self,
                      const struct attempt_row *r)
{
    bool flies = !attempt_state_is_final(r->state);
    if (!flies && r->state != ATTEMPT_SUCCEEDED) {
        return false;
    }
    VEC_EACH (&w->attempts, i) {
        const struct attempt_row *t = w->attempts.at[i];
        if (t == self || !same_step(t, r)) {
            continue;
        }
        if (flies ? !attempt_state_is_final(t->state)
                  : t->state == ATTEMPT_SUCCEEDED) {
            return true;
        }
    }
    return false;
}

static int attempt_new(struct store *s, const struct attempt_row *r)
{
    struct mem_workflow *w = own_workflow(s, &r->key.workflow_id);
    if (w == NULL) {
        return -ESTALE;
    }
    const struct attempt_row *known = find_attempt(w, r);
    if (known != NULL) {
        bool repeated = known->state == r->state &&
                        id_eq(known->executor, r->executor) &&
                        known->requested_ms == r->requested_ms;
        return repeated ? 0 : -EEXIST;
    }
    if (breaks_i4(w, NULL, r)) {
        return -EEXIST;
    }
    struct attempt_row *t = ARENA_NEW(&s->arena, struct attempt_row);
    *t = memory_copy_attempt(&s->arena, r);
    MEMORY_PUSH(s, &w->attempts, t);
    return 0;
}

static int attempt_set(struct store *s, const struct attempt_row *r)
{
    struct mem_workflow *w = own_workflow(s, &r->key.workflow_id);
    struct attempt_row *t = w != NULL ? find_attempt(w, r) : NULL;
    if (t == NULL || (attempt_state_is_final(t->state) &&
                      !attempt_state_may(t->state, r->state))) {
        return -ESTALE;
    }
    if (breaks_i4(w, t, r)) {
        return -EEXIST;
    }
    memory_save(s, t, sizeof(*t));
    *t = memory_copy_attempt(&s->arena, r);
    return 0;
}

/* ---- output ------------------------------------------------------------- */

/* Not fenced: what a step has written is true whoever reports it, and it may
 * come after the workflow's end. The executor outlives the store: it may tell
 * of workflows that a restored or emptied one has never heard of. */
static int output(struct store *s, const struct output_chunk *r)
{
    struct mem_workflow *w =
        map_get(&s->workflows_by_id, id_bytes(&r->key.workflow_id));
    if (w == NULL) {
        return 0;
    }
    VEC_EACH (&w->chunks, i) {
        const struct output_chunk *c = &w->chunks.at[i].row;
        if (c->key.step_no == r->key.step_no &&
            c->key.attempt == r->key.attempt && c->offset == r->offset) {
            return 0;
        }
    }
    struct mem_chunk chunk = {
        .seq = ++s->last_chunk,
        .row = memory_copy_chunk(&s->arena, r),
    };
    MEMORY_PUSH(s, &w->chunks, chunk);
    return 0;
}

static int apply_one(struct store *s, const struct record *r, uint64_t *moved)
{
    switch (r->kind) {
    case RECORD_EVENT_DONE:
        return event_done(s, &r->event_done);
    case RECORD_WORKFLOW_NEW:
        return workflow_new(s, &r->workflow);
    case RECORD_WORKFLOW_SET:
        return workflow_set(s, &r->workflow);
    case RECORD_ATTEMPT_NEW:
        return attempt_new(s, &r->attempt);
    case RECORD_ATTEMPT_SET:
        return attempt_set(s, &r->attempt);
    case RECORD_OUTPUT:
        return output(s, &r->output);
    case RECORD_EVENTS_FREE:
        *moved += memory_events_free(s, r->free_claim);
        return 0;
    case RECORD_EVENTS_MOVE:
        *moved += memory_events_move(s, &r->move);
        return 0;
    case RECORD_EVENTS_RANK:
        *moved += memory_events_rank(s, &r->rank);
        return 0;
    case RECORD_EVENTS_DROP:
        *moved += memory_events_drop(s, &r->drop);
        return 0;
    case RECORD_WORKFLOW_DROP:
        *moved += memory_workflow_drop(s, &r->workflow_drop);
        return 0;
    case RECORD_REQUEST:
        memory_request(s, &r->request);
        return 0;
    case RECORD_SETTING:
        memory_setting(s, &r->setting);
        return 0;
    case RECORD_AUDIT:
        memory_audit(s, &r->audit);
        return 0;
    case RECORD_NOTICE_NEW:
        memory_notice_new(s, &r->notice);
        return 0;
    case RECORD_NOTICE_TRIED:
        memory_notice_tried(s, &r->tried);
        return 0;
    case RECORD_VERDICT:
        memory_verdict(s, &r->verdict);
        return 0;
    case RECORD_MEMORY_SET:
        memory_memory_set(s, &r->memory);
        return 0;
    case RECORD_MEMORY_DROP:
        memory_memory_drop(s, &r->memory);
        return 0;
    case RECORD_WATCH_SET:
        memory_watch_set(s, &r->watch);
        return 0;
    case RECORD_WATCH_DROP:
        memory_watch_drop(s, &r->watch);
        return 0;
    case RECORD_KINDS:
        break;
    }
    UNREACHABLE();
}

int memory_apply(struct store *s, struct store_apply *op)
{
    op->moved = 0;
    for (uint32_t i = 0; i < op->count; i++) {
        int r = apply_one(s, &op->records[i], &op->moved);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}
