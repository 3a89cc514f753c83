/*
 * The wall clock is set. Deadlines are instants, because they must survive a
 * restart; but what they mean is a time that has to pass. When the clock jumps
 * they move with it, as if it had always shown what it shows now. What triggers
 * remember moves, too: no cooldown ends because somebody has set the clock.
 */
#include "engine/engine_priv.h"

#include "base/assert.h"

uint64_t clock_moved(uint64_t at_ms, int64_t shift_ms)
{
    if (at_ms == 0) {
        return 0;
    }
    uint64_t by = shift_ms < 0 ? 0 - (uint64_t)shift_ms : (uint64_t)shift_ms;
    if (shift_ms < 0) {
        return at_ms > by ? at_ms - by : 1;
    }
    return at_ms + by;
}

static void shift(struct engine *e, struct flow *f, int64_t shift_ms)
{
    f->check_ms = clock_moved(f->check_ms, shift_ms);
    if (f->row.started_ms != 0) {
        flow_touch(e, f);
        f->row.started_ms = clock_moved(f->row.started_ms, shift_ms);
        f->row.wake_ms = clock_moved(f->row.wake_ms, shift_ms);
        f->row.deadline_ms = clock_moved(f->row.deadline_ms, shift_ms);
    }
    flow_arm(e, f);
}

void clock_set(struct engine *e, int64_t shift_ms)
{
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    e->halted_ms = clock_moved(e->halted_ms, shift_ms);
    while ((entry = map_next(&e->flows, &cursor)) != NULL) {
        shift(e, entry->value, shift_ms);
    }
    cursor = 0;
    while ((entry = map_next(&e->memories, &cursor)) != NULL) {
        memory_shift(e, entry->value, shift_ms);
    }
    watches_clock_set(e, shift_ms);
}

static uint64_t newest(const struct memory *m)
{
    uint64_t event_ms =
        m->events.count != 0 ? m->events.at[m->events.count - 1] : 0;
    uint64_t start_ms =
        m->starts.count != 0 ? m->starts.at[m->starts.count - 1] : 0;
    return MAX(event_ms, start_ms);
}

void clock_check(struct engine *e)
{
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&e->flows, &cursor)) != NULL) {
        struct flow *f = entry->value;
        if (f->row.started_ms > e->now_ms) {
            shift(e, f, -(int64_t)(f->row.started_ms - e->now_ms));
        }
    }
    cursor = 0;
    while ((entry = map_next(&e->memories, &cursor)) != NULL) {
        struct memory *m = entry->value;
        if (newest(m) > e->now_ms) {
            memory_shift(e, m, -(int64_t)(newest(m) - e->now_ms));
        }
    }
    watches_clock_check(e);
}
