/*
 * The invariants, recomputed from nothing but the flows.
 */
#include "engine/engine_priv.h"

#include "base/assert.h"
#include "engine/guards.h"

static void check_wait(const struct engine *e, const struct flow *f)
{
    bool queued = f->row.status == WORKFLOW_QUEUED;
    bool waiting = f->row.status == WORKFLOW_WAITING;
    bool running = f->row.status == WORKFLOW_RUNNING;
    bool in_flight = flow_in_flight(f);
    INVARIANT("I3", !workflow_status_is_final(f->row.status));
    INVARIANT("I4", running || !in_flight);
    INVARIANT("I7", waiting == (f->row.wake_ms != 0));
    INVARIANT("I7", queued == (f->row.deadline_ms == 0));
    INVARIANT("I7", list_empty(&f->place) == !(queued || running));
    if (!queued && !(in_flight && !e->executor_up) &&
        !(running && !in_flight && e->halted)) {
        INVARIANT("I7", f->timer.place != 0);
    }
    if (running && !in_flight && e->started) {
        INVARIANT("I7", !e->executor_up || e->halted || flow_is_deferred(f));
    }
}

static uint32_t list_length(const struct list *head)
{
    uint32_t n = 0;
    LIST_EACH (head, it) {
        n++;
    }
    return n;
}

/* A limit can be lowered under what runs already, and versions of a runbook
 * can differ in it. But whatever started last was within its own limit, and
 * since then places have only been given back. */
static void check_lane(const struct lane *lane, const struct map *flows)
{
    uint32_t running = 0;
    uint32_t queued = 0;
    uint32_t limit = 0;
    size_t cursor = 0;
    for (struct map_entry *entry = map_next(flows, &cursor); entry != NULL;
         entry = map_next(flows, &cursor)) {
        const struct flow *f = entry->value;
        if (f->lane != lane) {
            continue;
        }
        queued += f->row.status == WORKFLOW_QUEUED;
        if (flow_holds_place(f->row.status)) {
            uint32_t own = f->runbook->max_concurrent;
            running++;
            limit = MAX(limit, own != 0 ? own : UINT32_MAX);
        }
    }
    INVARIANT("I6", running == lane->running && running <= limit);
    INVARIANT("I7", queued == list_length(&lane->queue) + lane->waiting);
}

static void check_lanes(const struct engine *e)
{
    size_t cursor = 0;
    for (struct map_entry *entry = map_next(&e->lanes, &cursor); entry != NULL;
         entry = map_next(&e->lanes, &cursor)) {
        check_lane(entry->value, &e->flows);
    }
}

/* The lost wakeups: room for a workflow while one may start, a worker that
 * nobody has given a claim. */
static void check_wakeups(const struct engine *e)
{
    uint64_t workers = UINT64_MAX >> (ENGINE_WORKERS_MAX - e->config.workers);
    if (!e->started || e->halted) {
        return;
    }
    INVARIANT("I7", e->running >= e->config.max_concurrent ||
                        heap_min(&e->eligible) == NULL);
    INVARIANT("I7",
              e->paused || engine_is_full(e) || (workers & ~e->claimed) == 0);
}

void engine_check(const struct engine *e)
{
    uint32_t running = 0;
    uint32_t held = 0;
    size_t cursor = 0;
    for (struct map_entry *entry = map_next(&e->flows, &cursor); entry != NULL;
         entry = map_next(&e->flows, &cursor)) {
        const struct flow *f = entry->value;
        results_check(f);
        course_check(f);
        check_wait(e, f);
        running += flow_holds_place(f->row.status);
        held += f->row.status == WORKFLOW_HELD;
    }
    INVARIANT("I6", running == e->running);
    INVARIANT("I7", held == e->held);
    INVARIANT("I7", list_empty(&e->touched));
    check_lanes(e);
    check_wakeups(e);
    memory_check(e);
    locks_check(e);
    watches_check(e);
}
