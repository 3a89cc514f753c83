/*
 * Admission. There is one total order, that of creation; a runbook at its own
 * limit is passed over without being looked at again and again, because only
 * lanes whose head may start are in the heap. Starting the next flow is
 * O(log lanes), however many wait.
 */
#include "engine/engine_priv.h"

#include <inttypes.h>

#include "base/assert.h"
#include "engine/guards.h"

static struct flow *lane_head(const struct lane *lane)
{
    return list_empty(&lane->queue)
               ? NULL
               : CONTAINER_OF(lane->queue.next, struct flow, place);
}

void lane_join(struct engine *e, struct flow *f, struct str path)
{
    struct lane *lane = map_get(&e->lanes, path);
    if (lane == NULL) {
        lane = MEM_NEW(struct lane);
        lane->path = str_dup(path);
        list_init(&lane->queue);
        (void)map_put(&e->lanes, str_n(lane->path, path.len), lane);
    }
    lane->flows++;
    f->lane = lane;
}

void lane_leave(struct engine *e, struct flow *f)
{
    struct lane *lane = f->lane;
    f->lane = NULL;
    ASSERT(lane->flows > 0);
    if (--lane->flows > 0) {
        return;
    }
    ASSERT(list_empty(&lane->queue) && lane->running == 0);
    heap_remove(&e->eligible, &lane->eligible);
    (void)map_remove(&e->lanes, str_c(lane->path));
    mem_free(lane->path);
    mem_free(lane);
}

void lane_enqueue(struct engine *e, struct flow *f)
{
    ASSERT(f->row.status == WORKFLOW_QUEUED);
    if (lock_take(e, f)) {
        lane_queue(e, f);
    }
}

/* Who comes from the line of a target may be older than those who wait. */
void lane_queue(struct engine *e, struct flow *f)
{
    struct list *next = f->lane->queue.next;
    if (f->lane->queue.prev != &f->lane->queue &&
        CONTAINER_OF(f->lane->queue.prev, struct flow, place)->order <
            f->order) {
        next = &f->lane->queue;
    }
    while (next != &f->lane->queue &&
           CONTAINER_OF(next, struct flow, place)->order < f->order) {
        next = next->next;
    }
    list_push(next, &f->place); /* in front of it */
    lane_update(e, f->lane);
}

void lane_update(struct engine *e, struct lane *lane)
{
    const struct flow *head = lane_head(lane);
    bool may = head != NULL && (head->runbook->max_concurrent == 0 ||
                                lane->running < head->runbook->max_concurrent);
    if (!may) {
        heap_remove(&e->eligible, &lane->eligible);
    } else if (lane->eligible.place == 0 || lane->eligible.key != head->order) {
        heap_set(&e->eligible, &lane->eligible, head->order);
    }
}

static void start(struct engine *e, struct flow *f)
{
    uint64_t limit_ms = f->runbook->timeout_ms != 0
                            ? f->runbook->timeout_ms
                            : e->config.workflow_timeout_ms;
    list_remove(&f->place);
    flow_move(e, f, WORKFLOW_RUNNING);
    INVARIANT("I6", f->runbook->max_concurrent == 0 ||
                        f->lane->running <= f->runbook->max_concurrent);
    f->row.started_ms = e->now_ms;
    f->row.deadline_ms = e->now_ms + limit_ms;
    attempts_next(e, f);
}

void lanes_admit(struct engine *e)
{
    while (e->started && !e->halted && e->running < e->config.max_concurrent) {
        struct heap_node *node = heap_min(&e->eligible);
        if (node == NULL) {
            return;
        }
        start(e, lane_head(CONTAINER_OF(node, struct lane, eligible)));
    }
}

/* ---- on_limit ------------------------------------------------------------ */

/* Those that hold a place or wait for one. */
static uint32_t under_way(const struct lane *lane)
{
    uint32_t n = lane->running + lane->waiting;
    LIST_EACH (&lane->queue, it) {
        n++;
    }
    return n;
}

bool lane_admits(struct engine *e, const struct fact_match *match,
                 struct strbuf *why)
{
    const struct runbook *rb = match->runbook;
    const struct lane *lane = map_get(&e->lanes, rb->path);
    if (rb->guards.on_limit != ON_LIMIT_DROP || lane == NULL) {
        return true;
    }
    uint32_t n = under_way(lane);
    if (n < rb->max_concurrent) {
        return true;
    }
    if (memory_begin_reason(why, match)) {
        strbuf_addf(why,
                    "concurrency: %" PRIu32 " of %" PRIu32
                    " workflows of this runbook are under way, and on_limit "
                    "is drop",
                    n, rb->max_concurrent);
    }
    return false;
}

/* The oldest one that nobody has stopped yet; one that still waits goes before
 * those that run. */
static struct flow *to_replace(const struct engine *e, const struct lane *lane)
{
    struct flow *runs = NULL;
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&e->flows, &cursor)) != NULL) {
        struct flow *f = entry->value;
        if (f->lane != lane || f->row.stop != STOP_NONE ||
            f->row.status == WORKFLOW_HELD) {
            continue;
        }
        if (f->row.status == WORKFLOW_QUEUED) {
            return f;
        }
        runs = runs != NULL ? runs : f;
    }
    return runs;
}

/* One for one: so the number of those that nobody has stopped does not grow. */
void lane_replace(struct engine *e, const struct fact_match *match)
{
    const struct runbook *rb = match->runbook;
    const struct lane *lane = map_get(&e->lanes, rb->path);
    if (rb->guards.on_limit != ON_LIMIT_REPLACE || lane == NULL ||
        under_way(lane) < rb->max_concurrent) {
        return;
    }
    struct flow *old = to_replace(e, lane);
    if (old != NULL) {
        char by[ID_TEXT_SIZE];
        id_format(match->workflow_id, ID_PREFIX_WORKFLOW, by);
        stop_flow(e, old, STOP_CANCEL, str_c(by));
    }
}
