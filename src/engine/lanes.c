/*
 * Admission. There is one total order, that of creation; a runbook at its own
 * limit is passed over without being looked at again and again, because only
 * lanes whose head may start are in the heap. Starting the next flow is
 * O(log lanes), however many wait.
 */
#include "engine/engine_priv.h"

#include "base/assert.h"

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
    list_push(&f->lane->queue, &f->place);
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
