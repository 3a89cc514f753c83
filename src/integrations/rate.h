/*
 * A token bucket: `burst` at once and one more every `every_ms`, so that any
 * span of time sees at most burst + span / every_ms. Times are of a monotonic
 * clock. Pure; the caller's thread.
 */
#pragma once

#include <stdint.h>

struct rate {
    uint64_t every_ms;
    uint64_t burst; /* 1 or more */
};

/* When the bucket is full again; 0: it is full. */
struct bucket {
    uint64_t full_at_ms;
};

/* As after a start: what was taken before is not known, so one is there and no
 * more. */
void bucket_start(struct bucket *b, const struct rate *r, uint64_t now_ms);

/* When the next may go; takes its token if that is now. */
uint64_t bucket_take(struct bucket *b, const struct rate *r, uint64_t now_ms);

/* The same for so many at once, at most a burst: all of their tokens or none.
 */
uint64_t bucket_take_some(struct bucket *b, const struct rate *r,
                          uint64_t count, uint64_t now_ms);
