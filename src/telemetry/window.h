/*
 * struct window: how much happened lately. A ring of slots, one per second or
 * per minute, each holding the period it counts, so that a slot left over
 * from an earlier round counts as empty. Time is an argument; a clock that
 * jumps loses at most what the jump covers, and heals by itself.
 *
 * Lock-free: any thread may add and sum. Two threads that open the same new
 * slot at once lose nothing. A sum is not a snapshot: what is added meanwhile
 * may or may not be in it.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

/* A slot is the number of its period (low 28 bits of it) above 36 bits of
 * value: 68 thousand million, then it saturates. */
#define WINDOW_VALUE_BITS 36
#define WINDOW_VALUE_MAX ((UINT64_C(1) << WINDOW_VALUE_BITS) - 1)

struct window {
    _Atomic(uint64_t) *slots; /* owned */
    uint32_t slot_count;
    uint32_t period_ms;
};

/* A window over the last slot_count periods, all empty. */
void window_init(struct window *w, uint32_t slot_count, uint32_t period_ms);
void window_deinit(struct window *w);

/* Adds n to the period that now_ms is in. */
void window_add(struct window *w, uint64_t now_ms, uint64_t n);

/* The sum over the last `periods` periods, the current one included; periods
 * is cut to what the window holds. */
uint64_t window_sum(const struct window *w, uint64_t now_ms, uint32_t periods);
