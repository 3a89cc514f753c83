/*
 * struct histogram: durations counted in fixed buckets, as Prometheus wants
 * them, with an estimate of quantiles for the JSON view. Durations are whole
 * microseconds. Lock-free: any thread may observe and read; a reader may see
 * an observation in a bucket before it sees it in the sum.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_BUCKETS_MAX 16

struct histogram {
    const uint64_t *bounds_us; /* ascending, borrowed (static data) */
    uint32_t bound_count;
    _Atomic(uint64_t) counts[HISTOGRAM_BUCKETS_MAX + 1]; /* last: above all */
    _Atomic(uint64_t) sum_us;
};

/* An empty histogram; at most HISTOGRAM_BUCKETS_MAX bounds, ascending. */
void histogram_init(struct histogram *h, const uint64_t *bounds_us,
                    uint32_t bound_count);

/* Counts one duration in the first bucket whose bound it does not exceed. */
void histogram_observe(struct histogram *h, uint64_t us);

/* What a reader works on: the buckets made cumulative, so that the last one
 * equals the count by construction. */
struct histogram_view {
    uint64_t cumulative[HISTOGRAM_BUCKETS_MAX + 1];
    uint64_t count;
    uint64_t sum_us;
};

/* Reads the histogram as it is now. */
struct histogram_view histogram_view(const struct histogram *h);

/* The duration that a share q (0..1) of the observations does not exceed,
 * linear inside its bucket; 0 without observations; the highest bound when it
 * lies above all of them. */
double histogram_quantile_us(const struct histogram *h,
                             const struct histogram_view *view, double q);
