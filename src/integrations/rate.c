#include "integrations/rate.h"

#include "base/assert.h"

void bucket_start(struct bucket *b, const struct rate *r, uint64_t now_ms)
{
    b->full_at_ms = now_ms + r->every_ms * (r->burst - 1);
}

uint64_t bucket_take_some(struct bucket *b, const struct rate *r,
                          uint64_t count, uint64_t now_ms)
{
    uint64_t span_ms = r->every_ms * r->burst;
    uint64_t full_ms = MAX(b->full_at_ms, now_ms) + r->every_ms * count;
    ASSERT(count <= r->burst);
    if (full_ms > now_ms + span_ms) {
        return full_ms - span_ms;
    }
    b->full_at_ms = full_ms;
    return now_ms;
}

uint64_t bucket_take(struct bucket *b, const struct rate *r, uint64_t now_ms)
{
    return bucket_take_some(b, r, 1, now_ms);
}
