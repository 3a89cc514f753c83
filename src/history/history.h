/*
 * History: how the engine's numbers went over time, in a database of its own
 * (metrics.db beside the store), so that trends and objectives outlive a
 * restart. Numbers are kept three times, coarser the longer: 10 s for 6 h, a
 * minute for 3 days, 10 minutes for as long as the caller says.
 *
 * It is never worth stopping for: what is damaged or cannot be written is set
 * aside or left out, and the caller is told once. At most 10 s are lost when
 * the process is killed (the store keeps what matters). The file of an earlier
 * version is brought up to date, that of a later one is left as it is.
 *
 * Any thread; calls wait for each other, never for long. Rows of results live
 * in the caller's arena.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

#define HISTORY_FILE "metrics.db"
#define HISTORY_ASIDE_MAX                                                      \
    3 /* damaged files that are kept; the last gives way */
#define HISTORY_ASIDE_SIZE 32
#define HISTORY_STEP_S 10
#define HISTORY_LEVELS 3

/* Metrics that are ever kept; further names are left out. */
#define HISTORY_METRICS_MAX 256

/* Points of one answer. */
#define HISTORY_POINTS_MAX 10000

/* How long the coarsest points are kept, at least as long as the others; when
 * the file holds more than max_bytes, the oldest of them go before their time.
 * It never gets larger than that, and does not shrink. */
struct history_keep {
    uint64_t points_ms;
    uint64_t max_bytes;
};

#define HISTORY_KEEP_DEFAULT                                                   \
    ((struct history_keep){.points_ms = 90ULL * 24 * 3600 * 1000,              \
                           .max_bytes = 64ULL * 1024 * 1024})

/* Runs of the engine that are remembered, for its availability. */
#define HISTORY_RUNS_MAX 10000

struct history;

/* What opening found. */
struct history_opened {
    bool created;                   /* it knows nothing of before */
    bool set_aside;                 /* it was damaged */
    char aside[HISTORY_ASIDE_SIZE]; /* then: its name now */
    bool unclean;                   /* the last run was not closed */
    uint64_t last_ms;               /* of the last sample; 0: none */
    uint64_t accepted;              /* marks of that sample */
    uint64_t processed;
};

/* Always gives a history (with HISTORY_KEEP_DEFAULT), even when its file cannot
 * be used: then the result is negative, reterr says why, and every history_add
 * tries again. */
NODISCARD int history_open(const char *directory, uint64_t now_ms,
                           struct history **ret,
                           struct history_opened *ret_opened,
                           struct err *reterr);

/* Remembers that the run ended as it should, and frees. NULL is fine. */
void history_close(struct history *h, uint64_t now_ms);

/* From the next history_add on. */
void history_set_keep(struct history *h, const struct history_keep *keep);

/* ---- writing ------------------------------------------------------------- */

/* A number of a metric. Several in one step are summed and averaged. */
struct history_value {
    const char *name;
    double value;
};

/* count observations of a duration of at most bound_us (and more than the next
 * lower bound); UINT64_MAX: of more than all bounds. */
struct history_timing {
    uint32_t which;
    uint64_t bound_us;
    uint64_t count;
};

struct history_sample {
    uint64_t at_ms; /* when it was so */
    uint64_t now_ms;
    const struct history_value *values;
    uint32_t value_count;
    const struct history_timing *timings;
    uint32_t timing_count;
    bool is_now;       /* the engine is up, and these are the marks: */
    uint64_t accepted; /* of the ledger */
    uint64_t processed;
};

/* All or nothing. 0; 1: in a new file, because the old one was removed or set
 * aside; or a negative errno with the reason: the next call tries again. */
NODISCARD int history_add(struct history *h, const struct history_sample *s,
                          struct err *reterr);

/* ---- reading -------------------------------------------------------------
 * 0, or -EIO when the file cannot be read; a damaged one is set aside. */

struct history_point {
    uint64_t at_s; /* start of the step */
    uint64_t samples;
    double sum;
    double min;
    double max;
};

struct history_range {
    uint64_t from_s; /* included */
    uint64_t to_s;   /* not included */
    uint64_t now_s;  /* what is kept depends on the age */
    uint64_t step_s; /* wanted; 0: what suits the range */
};

/* The step that an answer can have: at least what is wanted, a multiple of
 * what is kept for a range that begins then. */
uint64_t history_step(const struct history_range *r);

/* The points of a metric, oldest first; steps without any sample have none.
 * At most HISTORY_POINTS_MAX, else -E2BIG. */
NODISCARD int history_points(struct history *h, const char *name,
                             const struct history_range *r, struct arena *a,
                             struct history_point **ret, uint32_t *ret_count);

/* The sums of all samples of these metrics since then; 0 without any. */
struct history_window {
    uint64_t from_ms;
    uint64_t now_ms;
};
NODISCARD int history_sums(struct history *h, const struct history_window *w,
                           const char *const *names, size_t count, double *ret);

/* The observations of a timing since then (by the hour), by bound. */
NODISCARD int history_timings(struct history *h, uint32_t which,
                              uint64_t from_ms, struct arena *a,
                              struct history_timing **ret, uint32_t *ret_count);

/* How long the engine was up since then, out of how long that is known: from
 * the first run that is remembered. */
struct history_up {
    uint64_t up_ms;
    uint64_t known_ms;
    uint64_t runs;
};
NODISCARD int history_up(struct history *h, uint64_t from_ms, uint64_t now_ms,
                         struct history_up *ret);
