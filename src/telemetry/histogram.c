#include "telemetry/histogram.h"

#include "base/assert.h"

void histogram_init(struct histogram *h, const uint64_t *bounds_us,
                    uint32_t bound_count)
{
    ASSERT(bound_count > 0 && bound_count <= HISTOGRAM_BUCKETS_MAX);
    for (uint32_t i = 1; i < bound_count; i++) {
        ASSERT(bounds_us[i - 1] < bounds_us[i]);
    }
    h->bounds_us = bounds_us;
    h->bound_count = bound_count;
    for (uint32_t i = 0; i <= HISTOGRAM_BUCKETS_MAX; i++) {
        atomic_init(&h->counts[i], 0);
    }
    atomic_init(&h->sum_us, 0);
}

void histogram_observe(struct histogram *h, uint64_t us)
{
    uint32_t i = 0;
    while (i < h->bound_count && us > h->bounds_us[i]) {
        i++;
    }
    atomic_fetch_add_explicit(&h->counts[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_us, us, memory_order_relaxed);
}

struct histogram_view histogram_view(const struct histogram *h)
{
    struct histogram_view view = {0};
    for (uint32_t i = 0; i <= h->bound_count; i++) {
        view.count += atomic_load_explicit(&h->counts[i], memory_order_relaxed);
        view.cumulative[i] = view.count;
    }
    view.sum_us = atomic_load_explicit(&h->sum_us, memory_order_relaxed);
    return view;
}

double histogram_quantile_us(const struct histogram *h,
                             const struct histogram_view *view, double q)
{
    ASSERT(q >= 0.0 && q <= 1.0);
    if (view->count == 0) {
        return 0.0;
    }
    double rank = q * (double)view->count;
    for (uint32_t i = 0; i < h->bound_count; i++) {
        uint64_t below = i == 0 ? 0 : view->cumulative[i - 1];
        uint64_t in = view->cumulative[i] - below;
        if (in > 0 && (double)view->cumulative[i] >= rank) {
            double low = i == 0 ? 0.0 : (double)h->bounds_us[i - 1];
            double high = (double)h->bounds_us[i];
            double part = (rank - (double)below) / (double)in;
            return low + (high - low) * (part > 0.0 ? part : 0.0);
        }
    }
    return (double)h->bounds_us[h->bound_count - 1];
}
