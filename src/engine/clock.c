/*
 * The wall clock is set. Deadlines are instants, because they must survive a
 * restart; but what they mean is a time that has to pass. When the clock jumps
 * they move with it, as if it had always shown what it shows now.
 */
#include "engine/engine_priv.h"

#include "base/assert.h"

static uint64_t moved(uint64_t at_ms, int64_t shift_ms)
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
    f->check_ms = moved(f->check_ms, shift_ms);
    if (f->row.started_ms != 0) {
        flow_touch(e, f);
        f->row.started_ms = moved(f->row.started_ms, shift_ms);
        f->row.wake_ms = moved(f->row.wake_ms, shift_ms);
        f->row.deadline_ms = moved(f->row.deadline_ms, shift_ms);
    }
    flow_arm(e, f);
}

void clock_set(struct engine *e, int64_t shift_ms)
{
    size_t cursor = 0;
    for (struct map_entry *entry = map_next(&e->flows, &cursor); entry != NULL;
         entry = map_next(&e->flows, &cursor)) {
        shift(e, entry->value, shift_ms);
    }
}

void clock_check(struct engine *e)
{
    size_t cursor = 0;
    for (struct map_entry *entry = map_next(&e->flows, &cursor); entry != NULL;
         entry = map_next(&e->flows, &cursor)) {
        struct flow *f = entry->value;
        if (f->row.started_ms > e->now_ms) {
            shift(e, f, -(int64_t)(f->row.started_ms - e->now_ms));
        }
    }
}
