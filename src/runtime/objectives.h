/*
 * The objectives from what is recorded: the history has when the engine was up,
 * how long things took and how workflows ended; the store has the verdicts.
 */
#pragma once

#include "base/err.h"
#include "history/history.h"
#include "store/reader.h"
#include "telemetry/slo.h"

/* What the history's timings mean: stored, never renumbered. */
enum objectives_timing {
    OBJECTIVES_LATENCY = 1,  /* event received to workflow durable */
    OBJECTIVES_EXECUTION = 2 /* first step started to final */
};

/* How each objective stands in from..now. Takes some milliseconds. 0, or what
 * the history or the reader says. */
NODISCARD int objectives_compute(struct history *h, struct reader *reader,
                                 uint64_t from_ms, uint64_t now_ms,
                                 struct slo_result ret[SLOS]);
