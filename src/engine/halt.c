/*
 * The kill switch: nothing begins while it is on, and the time limits of
 * workflows stand still. When it was put on comes with the fact, also after a
 * restart; when it is taken off the deadlines move by the time that it was on.
 * A step that was asked for and met it at the executor has not begun: its
 * attempt waits, asked of nobody (its executor is ID_NULL), and is the one that
 * begins later. So it costs no try, and nothing is decided by it.
 */
#include "engine/halt.h"

#include "engine/engine_priv.h"

static bool is_under_way(const struct flow *f)
{
    return flow_holds_place(f->row.status);
}

static void give_back(struct engine *e, struct flow *f)
{
    uint64_t from_ms = MAX(e->halted_ms, f->row.started_ms);
    if (f->row.deadline_ms != 0 && e->now_ms > from_ms) {
        flow_touch(e, f);
        f->row.deadline_ms += e->now_ms - from_ms;
    }
}

void halt_turn(struct engine *e, const struct fact *fact)
{
    bool was = e->halted;
    uint64_t since_ms = fact->halt.since_ms;
    if (since_ms == 0 || since_ms > e->now_ms) {
        since_ms = e->now_ms;
    }
    e->halted = fact->halt.on;
    if (e->halted) {
        e->halted_ms = was ? MIN(e->halted_ms, since_ms) : since_ms;
    }
    size_t cursor = 0;
    for (struct map_entry *entry = map_next(&e->flows, &cursor); entry != NULL;
         entry = map_next(&e->flows, &cursor)) {
        struct flow *f = entry->value;
        if (is_under_way(f) && was && !e->halted) {
            give_back(e, f);
        }
        flow_arm(e, f);
    }
    attempts_unpark(e);
}

uint64_t halt_deadline_ms(const struct engine *e, const struct flow *f)
{
    return e->halted && is_under_way(f) ? UINT64_MAX : f->row.deadline_ms;
}
