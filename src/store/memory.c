#include "store/memory.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "store/memory_priv.h"

/* ---- undo log ----------------------------------------------------------- */

void memory_save(struct store *s, void *at, size_t len)
{
    struct str old = arena_str(&s->undo_arena, str_n((const char *)at, len));
    VEC_PUSH(&s->undo,
             (struct undo){.kind = UNDO_BYTES, .at = at, .bytes = old});
}

void memory_save_event(struct store *s, struct mem_event *e)
{
    struct str old =
        arena_str(&s->undo_arena, str_n((const char *)&e->now, sizeof(e->now)));
    VEC_PUSH(&s->undo,
             (struct undo){.kind = UNDO_EVENT, .at = e, .bytes = old});
}

void memory_put(struct store *s, struct map *m, struct str key, void *value)
{
    void *old = map_put(m, key, value);
    VEC_PUSH(
        &s->undo,
        (struct undo){.kind = UNDO_MAP, .at = m, .bytes = key, .value = old});
}

/* The key may be the caller's: a rollback puts it back and needs its own. */
void memory_remove(struct store *s, struct map *m, struct str key)
{
    struct str own = arena_str(&s->arena, key);
    void *old = map_remove(m, key);
    if (old != NULL) {
        VEC_PUSH(&s->undo,
                 (struct undo){
                     .kind = UNDO_MAP, .at = m, .bytes = own, .value = old});
    }
}

static bool is_claimable(enum event_status status)
{
    return status == EVENT_QUEUED || status == EVENT_ERROR;
}

void memory_ready(struct store *s, struct mem_event *e)
{
    if (is_claimable(e->now.status)) {
        heap_set(&s->queue, &e->ready,
                 (uint64_t)e->row.priority << 56 | e->row.seq);
    } else {
        heap_remove(&s->queue, &e->ready);
    }
}

/* The row itself is in the arena. */
static void free_workflow(struct mem_workflow *w)
{
    VEC_DEINIT(&w->attempts);
    VEC_DEINIT(&w->chunks);
}

static void undo_one(struct store *s, const struct undo *u)
{
    size_t workflows = s->workflows.count;
    switch (u->kind) {
    case UNDO_BYTES:
        memcpy(u->at, u->bytes.at, u->bytes.len);
        while (workflows > s->workflows.count) {
            free_workflow(s->workflows.at[--workflows]); /* never was */
        }
        break;
    case UNDO_EVENT: {
        struct mem_event *e = u->at;
        memcpy(&e->now, u->bytes.at, u->bytes.len);
        memory_ready(s, e);
        break;
    }
    case UNDO_MAP:
        if (u->value != NULL) {
            (void)map_put(u->at, u->bytes, u->value);
        } else {
            (void)map_remove(u->at, u->bytes);
        }
        break;
    }
}

static void undo_to(struct store *s, size_t mark)
{
    while (s->undo.count > mark) {
        s->undo.count--;
        undo_one(s, &s->undo.at[s->undo.count]);
    }
}

static void forget_undo(struct store *s)
{
    VEC_CLEAR(&s->undo);
    arena_reset(&s->undo_arena);
}

/* ---- sessions ----------------------------------------------------------- */

static uint64_t take_over(struct store *s, const struct store_options *options)
{
    s->session = options->session;
    s->queue_limit = options->queue_limit;
    uint64_t requeued = 0;
    VEC_EACH (&s->events, i) {
        struct mem_event *e = s->events.at[i];
        if (e->now.status == EVENT_PROCESSING) {
            memory_event_set(s, e, EVENT_QUEUED);
            requeued++;
        }
    }
    VEC_EACH (&s->workflows, i) {
        if (!workflow_status_is_final(s->workflows.at[i]->row.status)) {
            s->workflows.at[i]->owner = options->session;
        }
    }
    forget_undo(s);
    return requeued;
}

static int open_memory(const struct store_options *options, struct store **ret,
                       struct store_opened *ret_opened, struct err *reterr)
{
    (void)reterr;
    struct store *s = MEM_NEW(struct store);
    ASSERT(pthread_mutex_init(&s->lock, NULL) == 0);
    *ret_opened = (struct store_opened){
        .created = true,
        .events_requeued = take_over(s, options),
    };
    *ret = s;
    return 0;
}

static void roll_back(struct store *s)
{
    ASSERT(s->in_transaction);
    undo_to(s, 0);
    forget_undo(s);
    s->in_transaction = false;
    ASSERT(pthread_mutex_unlock(&s->lock) == 0);
}

static void close_memory(struct store *s)
{
    if (s == NULL) {
        return;
    }
    if (s->in_transaction) {
        roll_back(s);
    }
    VEC_EACH (&s->workflows, i) {
        free_workflow(s->workflows.at[i]);
    }
    VEC_DEINIT(&s->events);
    VEC_DEINIT(&s->workflows);
    VEC_DEINIT(&s->audit);
    VEC_DEINIT(&s->notices);
    struct map *maps[] = {&s->events_by_id, &s->workflows_by_id, &s->starts,
                          &s->dedup,        &s->requests,        &s->runbooks,
                          &s->alerts,       &s->settings,        &s->verdicts,
                          &s->memories,     &s->watches};
    for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
        map_deinit(maps[i]);
    }
    heap_deinit(&s->queue);
    VEC_DEINIT(&s->undo);
    arena_deinit(&s->undo_arena);
    arena_deinit(&s->arena);
    (void)pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

void store_memory_crash(struct store *s, const struct store_options *options,
                        struct store_opened *ret_opened)
{
    if (s->in_transaction) {
        roll_back(s);
    }
    s->fault_times = 0;
    *ret_opened = (struct store_opened){
        .unclean = true,
        .events_requeued = take_over(s, options),
    };
}

/* ---- transactions ------------------------------------------------------- */

void store_memory_fail_times(struct store *s, enum memory_fault fault,
                             uint32_t nth, uint32_t times)
{
    ASSERT(nth > 0);
    s->fault = fault;
    s->fault_in = nth;
    s->fault_times = times;
}

void store_memory_fail(struct store *s, enum memory_fault fault, uint32_t nth)
{
    store_memory_fail_times(s, fault, nth, 1);
}

static enum memory_fault next_fault(struct store *s)
{
    if (s->fault_times == 0 || --s->fault_in > 0) {
        return MEMORY_FAULT_NONE;
    }
    s->fault_in = 1;
    s->fault_times--;
    return s->fault;
}

static int begin(struct store *s)
{
    ASSERT(pthread_mutex_lock(&s->lock) == 0);
    ASSERT(!s->in_transaction);
    ASSERT(s->undo.count == 0);
    s->in_transaction = true;
    return 0;
}

static int commit(struct store *s)
{
    ASSERT(s->in_transaction);
    enum memory_fault fault = next_fault(s);
    if (fault == MEMORY_FAULT_NOSPC || fault == MEMORY_FAULT_IO) {
        roll_back(s);
        return fault == MEMORY_FAULT_NOSPC ? -ENOSPC : -EIO;
    }
    forget_undo(s);
    s->in_transaction = false;
    ASSERT(pthread_mutex_unlock(&s->lock) == 0);
    return fault == MEMORY_FAULT_UNKNOWN ? -EIO : 0;
}

static int run(struct store *s, struct store_op *op, uint64_t now_ms)
{
    ASSERT(s->in_transaction);
    size_t mark = s->undo.count;
    memory_save(s, &s->counts, sizeof(s->counts));
    int r = 0;
    switch (op->kind) {
    case STORE_INGEST:
        r = memory_ingest(s, &op->ingest, now_ms);
        break;
    case STORE_CLAIM:
        /* What became poison stays so when nothing is left to give. */
        return memory_claim(s, &op->claim, now_ms);
    case STORE_APPLY:
        r = memory_apply(s, &op->apply);
        break;
    case STORE_PIN:
        r = memory_pin(s, &op->pin);
        break;
    case STORE_OP_KINDS:
        UNREACHABLE();
    }
    if (r < 0) {
        undo_to(s, mark);
    }
    return r;
}

static int maintain(struct store *s, bool idle)
{
    (void)idle;
    ASSERT(!s->in_transaction);
    return 0;
}

static void counts(const struct store *s, struct store_counts *ret)
{
    *ret = s->counts;
}

static uint64_t queued(const struct store *s)
{
    return s->queue.count;
}

/* ---- check -------------------------------------------------------------- */

static int check(struct store *s, struct err *reterr)
{
    struct store_counts real = {.accepted = s->events.count};
    uint64_t claimable = 0;
    VEC_EACH (&s->events, i) {
        const struct mem_event *e = s->events.at[i];
        real.events[e->now.status]++;
        if (e->now.gone) {
            real.removed_events++;
            continue;
        }
        claimable += is_claimable(e->now.status) ? 1 : 0;
        if (e->row.seq != i + 1 ||
            map_get(&s->events_by_id, id_bytes(&e->row.id)) != e) {
            return err_set(reterr, -EBADMSG,
                           "event %zu is not where it "
                           "should be",
                           i + 1);
        }
    }
    VEC_EACH (&s->workflows, i) {
        if (s->workflows.at[i]->gone) {
            real.removed_workflows++;
        } else {
            real.workflows[s->workflows.at[i]->row.status]++;
            real.dry_runs += s->workflows.at[i]->row.dry_run;
        }
    }
    if (claimable != s->queue.count) {
        return err_set(reterr, -EBADMSG, "%zu queued, but %llu claimable",
                       s->queue.count, (unsigned long long)claimable);
    }
    if (memcmp(&real, &s->counts, sizeof(real)) != 0) {
        return err_set(reterr, -EBADMSG, "the ledger differs from the rows");
    }
    return 0;
}

static bool has_room(const struct store *s)
{
    (void)s;
    return true;
}

const struct store_driver store_memory = {
    .name = "memory",
    .open = open_memory,
    .close = close_memory,
    .begin = begin,
    .commit = commit,
    .rollback = roll_back,
    .run = run,
    .maintain = maintain,
    .queued = queued,
    .counts = counts,
    .has_room = has_room,
    .check = check,
    .reader_open = memory_reader_open,
};
