#include "api/limiter.h"

#include <string.h>

#include "base/str.h"

/* A bucket is one instant: each failure moves the time at which it is full
 * again by one refill. */
static bool is_idle(const struct limiter_bucket *b, uint64_t now_ms)
{
    return b->full_ms <= now_ms;
}

static bool is_empty(const struct limiter_bucket *b, uint64_t now_ms)
{
    uint64_t room_ms = (uint64_t)(LIMITER_BURST - 1) * LIMITER_REFILL_MS;
    return !is_idle(b, now_ms) && b->full_ms - now_ms > room_ms;
}

static void spend(struct limiter_bucket *b, uint64_t now_ms)
{
    uint64_t from_ms = is_idle(b, now_ms) ? now_ms : b->full_ms;
    b->full_ms = from_ms + LIMITER_REFILL_MS;
}

static size_t set_of(const uint8_t source[16])
{
    struct str s = str_n((const char *)source, 16);
    return (size_t)(str_hash(s, STR_HASH_SEED) % LIMITER_SETS);
}

/* The source's bucket; or one of its set that is idle; or NULL. */
static const struct limiter_bucket *
find(const struct limiter *l, const uint8_t source[16], uint64_t now_ms)
{
    const struct limiter_bucket *set = l->at[set_of(source)];
    const struct limiter_bucket *idle = NULL;
    for (size_t i = 0; i < LIMITER_WAYS; i++) {
        if (is_idle(&set[i], now_ms)) {
            idle = &set[i];
        } else if (memcmp(set[i].source, source, 16) == 0) {
            return &set[i];
        }
    }
    return idle;
}

bool limiter_may(const struct limiter *l, const uint8_t source[16],
                 uint64_t now_ms)
{
    const struct limiter_bucket *b = find(l, source, now_ms);
    return !is_empty(b != NULL ? b : &l->shared, now_ms);
}

void limiter_failed(struct limiter *l, const uint8_t source[16],
                    uint64_t now_ms)
{
    const struct limiter_bucket *found = find(l, source, now_ms);
    struct limiter_bucket *b = &l->shared;
    if (found != NULL) {
        size_t set = set_of(source);
        b = &l->at[set][found - l->at[set]];
        if (is_idle(b, now_ms)) {
            memcpy(b->source, source, 16);
        }
    }
    spend(b, now_ms);
}
