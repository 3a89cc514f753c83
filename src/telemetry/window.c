#include "telemetry/window.h"

#include "base/assert.h"
#include "base/attr.h"
#include "base/mem.h"

#define TAG_MASK ((UINT64_C(1) << (64 - WINDOW_VALUE_BITS)) - 1)

void window_init(struct window *w, uint32_t slot_count, uint32_t period_ms)
{
    ASSERT(slot_count > 0 && period_ms > 0);
    w->slots = mem_alloc(slot_count, sizeof(*w->slots));
    w->slot_count = slot_count;
    w->period_ms = period_ms;
}

void window_deinit(struct window *w)
{
    mem_free(w->slots);
    w->slots = NULL;
    w->slot_count = 0;
}

/* Never 0, so that a slot that was never used matches no period. */
static uint64_t tag_of(uint64_t period)
{
    uint64_t tag = (period + 1) & TAG_MASK;
    return tag != 0 ? tag : 1;
}

static uint64_t saturated_add(uint64_t a, uint64_t b)
{
    return b > WINDOW_VALUE_MAX - a ? WINDOW_VALUE_MAX : a + b;
}

void window_add(struct window *w, uint64_t now_ms, uint64_t n)
{
    uint64_t period = now_ms / w->period_ms;
    uint64_t tag = tag_of(period);
    _Atomic(uint64_t) *slot = &w->slots[period % w->slot_count];
    uint64_t old = atomic_load_explicit(slot, memory_order_relaxed);
    uint64_t value;
    do {
        /* Another tag, older or (the clock was set back) newer: start over. */
        uint64_t have =
            (old >> WINDOW_VALUE_BITS) == tag ? old & WINDOW_VALUE_MAX : 0;
        value = (tag << WINDOW_VALUE_BITS) | saturated_add(have, n);
    } while (!atomic_compare_exchange_weak_explicit(
        slot, &old, value, memory_order_relaxed, memory_order_relaxed));
}

uint64_t window_sum(const struct window *w, uint64_t now_ms, uint32_t periods)
{
    uint64_t period = now_ms / w->period_ms;
    uint64_t sum = 0;
    uint64_t count = MIN(MIN(periods, w->slot_count), period + 1);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = period - i;
        uint64_t slot = atomic_load_explicit(&w->slots[at % w->slot_count],
                                             memory_order_relaxed);
        if ((slot >> WINDOW_VALUE_BITS) == tag_of(at)) {
            sum += slot & WINDOW_VALUE_MAX;
        }
    }
    return sum;
}
