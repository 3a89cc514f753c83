/* Applying the engine's records. Each one looks before it changes anything,
 * so that a single record needs no savepoint. */
#include <errno.h>

#include "base/assert.h"
#include "store/sqlite_changes.h"

/* ---- events ------------------------------------------------------------- */

static bool is_next(const struct record *before, const struct record *r)
{
    const struct record_event_done *a = &before->event_done;
    const struct record_event_done *b = &r->event_done;
    return r->kind == RECORD_EVENT_DONE && b->seq == a->seq + 1 &&
           b->claim == a->claim && b->status == a->status &&
           b->at_ms == a->at_ms && str_eq(b->error, a->error) &&
           str_eq(b->decision, a->decision);
}

/* How many records from here on say the same of one event after the other. */
static uint32_t count_alike(const struct record *records, uint32_t count)
{
    uint32_t n = 1;
    while (n < count && is_next(&records[n - 1], &records[n])) {
        n++;
    }
    return n;
}

/* Are these the events that the records mean? 0, -ESTALE, or the doom. */
static int compare_ids(struct store *s, const struct record *records,
                       uint32_t count)
{
    uint64_t first_seq = records[0].event_done.seq;
    sqlite3_stmt *st = sqlite_statement(s, SQL_EVENT_IDS);
    stmt_bind_u64(st, 1, first_seq);
    stmt_bind_u64(st, 2, first_seq + count - 1);
    uint32_t n = 0;
    int r = sqlite_next(s, st);
    while (r == 1 && n < count &&
           id_eq(stmt_id(st, 0), records[n].event_done.event_id)) {
        n++;
        r = sqlite_next(s, st);
    }
    (void)sqlite3_reset(st);
    if (r < 0) {
        return r;
    }
    return n == count ? 0 : -ESTALE;
}

/* The claim that quotes its token is the only one that may say what became of
 * its events. They may be in several spans. */
static int events_done(struct store *s, const struct record *records,
                       uint32_t count)
{
    const struct record_event_done *d = &records[0].event_done;
    INVARIANT("I3", event_status_may(EVENT_PROCESSING, d->status));
    int r = compare_ids(s, records, count);
    uint64_t seq = d->seq;
    uint64_t end_seq = d->seq + count;
    while (r == 0 && seq < end_seq) {
        struct sqlite_span span = {0};
        int found = sqlite_span_find(s, seq, &s->arena, &span);
        if (found <= 0 || span.status != EVENT_PROCESSING ||
            span.claim != d->claim) {
            return found < 0 ? found : -ESTALE;
        }
        struct sqlite_span part = span;
        part.first_seq = seq;
        part.last_seq = MIN(span.last_seq, end_seq - 1);
        part.status = d->status;
        part.claim = 0;
        part.processed_ms = d->status == EVENT_ERROR ? 0 : d->at_ms;
        part.error = d->error;
        part.decision = d->decision;
        r = sqlite_span_change(s, &span, &part);
        seq = part.last_seq + 1;
    }
    return r;
}

/* ---- workflows ---------------------------------------------------------- */

struct found {
    uint64_t seq;
    uint64_t owner;
    uint64_t rev;
    enum workflow_status status;
    bool dry_run;
};

/* 1: found, 0: not there, or the doom. */
static int find_workflow(struct store *s, const struct id *id,
                         struct found *ret)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_WORKFLOW_FIND);
    stmt_bind_id(st, 1, id);
    int r = sqlite_next(s, st);
    if (r == 1) {
        *ret = (struct found){
            .seq = stmt_u64(st, 0),
            .owner = stmt_u64(st, 1),
            .rev = stmt_u64(st, 2),
            .status = (enum workflow_status)stmt_u32(st, 3),
            .dry_run = stmt_u32(st, 4) != 0,
        };
    }
    (void)sqlite3_reset(st);
    return r;
}

/* 0: it is there and this session's; -ESTALE, or the doom. */
static int own_workflow(struct store *s, const struct id *id, struct found *ret)
{
    int r = find_workflow(s, id, ret);
    if (r < 0) {
        return r;
    }
    return r == 1 && ret->owner == s->session ? 0 : -ESTALE;
}

static int workflow_new(struct store *s, const struct workflow_row *r)
{
    ASSERT(r->rev == 1);
    struct found known = {0};
    int found = find_workflow(s, &r->id, &known);
    if (found != 0) {
        return MIN(found, 0); /* a repeat changes nothing */
    }
    sqlite3_stmt *st = sqlite_statement(s, SQL_WORKFLOW_INSERT);
    stmt_bind_workflow(st, r);
    stmt_bind_u64(st, 1, s->tally.last_workflow + 1);
    stmt_bind_u64(st, 27, s->session);
    int run = sqlite_run(s, st);
    if (run == 0) {
        s->tally.last_workflow++;
        s->tally.counts.workflows[r->status]++;
        s->tally.counts.dry_runs += r->dry_run;
    }
    return run;
}

static int workflow_set(struct store *s, const struct workflow_row *r)
{
    struct found known = {0};
    int own = own_workflow(s, &r->id, &known);
    if (own < 0) {
        return own;
    }
    if (r->rev != known.rev + 1) {
        return -ESTALE;
    }
    INVARIANT("I3", known.status == r->status ||
                        workflow_status_may(known.status, r->status));
    sqlite3_stmt *st = sqlite_statement(s, SQL_WORKFLOW_SET);
    stmt_bind_workflow(st, r);
    stmt_bind_u64(st, 1, known.seq);
    int run = sqlite_run(s, st);
    if (run == 0) {
        s->tally.counts.workflows[known.status]--;
        s->tally.counts.workflows[r->status]++;
    }
    return run;
}

/* ---- attempts ----------------------------------------------------------- */

/* 1: found, 0: not there, or the doom. */
static int find_attempt(struct store *s, uint64_t workflow,
                        const struct attempt_key *key, struct attempt_row *ret)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_ATTEMPT_FIND);
    stmt_bind_u64(st, 1, workflow);
    stmt_bind_u64(st, 2, key->step_no);
    stmt_bind_u64(st, 3, key->attempt);
    int r = sqlite_next(s, st);
    if (r == 1) {
        ret->state = (enum attempt_state)stmt_u32(st, 0);
        ret->executor = stmt_id(st, 1);
        ret->requested_ms = stmt_u64(st, 2);
    }
    (void)sqlite3_reset(st);
    return r;
}

static int attempt_new(struct store *s, const struct attempt_row *r)
{
    struct found w = {0};
    int own = own_workflow(s, &r->key.workflow_id, &w);
    if (own < 0) {
        return own;
    }
    struct attempt_row known = {0};
    int found = find_attempt(s, w.seq, &r->key, &known);
    if (found == 1) {
        bool repeated = known.state == r->state &&
                        id_eq(known.executor, r->executor) &&
                        known.requested_ms == r->requested_ms;
        return repeated ? 0 : -EEXIST;
    }
    if (found < 0) {
        return found;
    }
    sqlite3_stmt *st = sqlite_statement(s, SQL_ATTEMPT_INSERT);
    stmt_bind_u64(st, 1, w.seq);
    stmt_bind_attempt(st, r);
    return sqlite_run(s, st);
}

static int attempt_set(struct store *s, const struct attempt_row *r)
{
    struct found w = {0};
    int own = own_workflow(s, &r->key.workflow_id, &w);
    if (own < 0) {
        return own;
    }
    struct attempt_row known = {0};
    int found = find_attempt(s, w.seq, &r->key, &known);
    if (found < 0) {
        return found;
    }
    if (found == 0 || (attempt_state_is_final(known.state) &&
                       !attempt_state_may(known.state, r->state))) {
        return -ESTALE;
    }
    sqlite3_stmt *st = sqlite_statement(s, SQL_ATTEMPT_SET);
    stmt_bind_attempt(st, r);
    stmt_bind_u64(st, 1, w.seq);
    return sqlite_run(s, st);
}

/* ---- output ------------------------------------------------------------- */

/* Not fenced: what a step has written is true whoever reports it, and it may
 * come after the workflow's end. The executor outlives the store: it may tell
 * of workflows that a restored or emptied one has never heard of. */
static int output(struct store *s, const struct output_chunk *r)
{
    struct found w = {0};
    int found = find_workflow(s, &r->key.workflow_id, &w);
    if (found != 1) {
        return found;
    }
    sqlite3_stmt *st = sqlite_statement(s, SQL_OUTPUT_INSERT);
    stmt_bind_u64(st, 1, w.seq);
    stmt_bind_u64(st, 2, r->key.step_no);
    stmt_bind_u64(st, 3, r->key.attempt);
    stmt_bind_u64(st, 4, r->offset);
    stmt_bind_u64(st, 5, r->stream);
    stmt_bind_u64(st, 6, r->at_ms);
    stmt_bind_blob(st, 7, r->data);
    return sqlite_run(s, st);
}

/* ---- removing ----------------------------------------------------------- */

static int run_for(struct store *s, enum sqlite_statement which,
                   uint64_t workflow, uint64_t *moved)
{
    sqlite3_stmt *st = sqlite_statement(s, which);
    stmt_bind_u64(st, 1, workflow);
    int r = sqlite_run(s, st);
    if (r == 0) {
        *moved += (uint64_t)sqlite3_changes(s->db);
    }
    return r;
}

/* What nothing else refers to when the workflow is gone. */
static int remove_kin(struct store *s, const struct record_workflow_drop *d,
                      uint64_t workflow)
{
    uint64_t uncounted = 0;
    int r = run_for(s, SQL_RUNBOOK_REMOVE, workflow, &uncounted);
    if (r == 0) {
        stmt_bind_u64(sqlite_statement(s, SQL_VERDICT_REMOVE), 2,
                      d->verdicts_before_ms);
        r = run_for(s, SQL_VERDICT_REMOVE, workflow, &uncounted);
    }
    return r;
}

static int workflow_drop(struct store *s, const struct record_workflow_drop *d,
                         uint64_t *moved)
{
    struct found w = {0};
    int r = find_workflow(s, &d->workflow_id, &w);
    if (r != 1 || !workflow_status_is_final(w.status)) {
        return MIN(r, 0);
    }
    uint64_t chunks = 0;
    stmt_bind_u64(sqlite_statement(s, SQL_OUTPUT_REMOVE), 2, d->output_limit);
    r = run_for(s, SQL_OUTPUT_REMOVE, w.seq, &chunks);
    *moved += chunks;
    if (r < 0 || chunks == d->output_limit) {
        return r; /* there may be more */
    }
    r = run_for(s, SQL_ATTEMPTS_REMOVE, w.seq, moved);
    if (r == 0) {
        r = remove_kin(s, d, w.seq);
    }
    if (r == 0) {
        r = run_for(s, SQL_WORKFLOW_REMOVE, w.seq, moved);
    }
    if (r == 0) {
        s->tally.counts.workflows[w.status]--;
        s->tally.counts.dry_runs -= w.dry_run;
        s->tally.counts.removed_workflows++;
    }
    return r;
}

static int apply_one(struct store *s, const struct record *r, uint64_t *moved)
{
    switch (r->kind) {
    case RECORD_EVENT_DONE:
        return events_done(s, r, 1);
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
        return sqlite_events_free(s, r->free_claim, moved);
    case RECORD_EVENTS_MOVE:
        return sqlite_events_move(s, &r->move, moved);
    case RECORD_EVENTS_RANK:
        return sqlite_events_rank(s, &r->rank, moved);
    case RECORD_EVENTS_DROP:
        return sqlite_events_drop(s, &r->drop, moved);
    case RECORD_WORKFLOW_DROP:
        return workflow_drop(s, &r->workflow_drop, moved);
    case RECORD_REQUEST:
        return sqlite_request(s, &r->request);
    case RECORD_SETTING:
        return sqlite_setting(s, &r->setting);
    case RECORD_AUDIT:
        return sqlite_audit(s, &r->audit);
    case RECORD_NOTICE_NEW:
        return sqlite_notice_new(s, &r->notice);
    case RECORD_NOTICE_TRIED:
        return sqlite_notice_tried(s, &r->tried);
    case RECORD_VERDICT:
        return sqlite_verdict(s, &r->verdict);
    case RECORD_MEMORY_SET:
        return sqlite_memory_set(s, &r->memory);
    case RECORD_MEMORY_DROP:
        return sqlite_memory_drop(s, &r->memory);
    case RECORD_WATCH_SET:
        return sqlite_watch_set(s, &r->watch);
    case RECORD_WATCH_DROP:
        return sqlite_watch_drop(s, &r->watch);
    case RECORD_KINDS:
        break;
    }
    UNREACHABLE();
}

int sqlite_apply(struct store *s, struct store_apply *op)
{
    int r = 0;
    op->moved = 0;
    for (uint32_t i = 0, n = 1; r == 0 && i < op->count; i += n) {
        const struct record *at = &op->records[i];
        n = at->kind == RECORD_EVENT_DONE ? count_alike(at, op->count - i) : 1;
        r = n > 1 ? events_done(s, at, n) : apply_one(s, at, &op->moved);
    }
    return r;
}
