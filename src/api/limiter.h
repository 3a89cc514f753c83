/*
 * How often a source may fail to prove who it is: LIMITER_BURST times at
 * once, then once every LIMITER_REFILL_MS. The table is bounded; when it
 * cannot hold one more source that is failing, further ones share one bucket,
 * so that many sources together get no more than one (it fails closed).
 * Time is an argument. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define LIMITER_BURST 10
#define LIMITER_REFILL_MS 6000
#define LIMITER_RETRY "6" /* seconds, for Retry-After */
#define LIMITER_SETS 128
#define LIMITER_WAYS 8

struct limiter_bucket {
    uint8_t source[16];
    uint64_t full_ms; /* when all failures are forgotten; 0: unused */
};

struct limiter {
    struct limiter_bucket at[LIMITER_SETS][LIMITER_WAYS];
    struct limiter_bucket shared;
};

/* May this source fail once more? */
bool limiter_may(const struct limiter *l, const uint8_t source[16],
                 uint64_t now_ms);

/* It tried and failed. */
void limiter_failed(struct limiter *l, const uint8_t source[16],
                    uint64_t now_ms);
