/*
 * THE CORE. A deterministic state machine: facts in (fact.h), records and
 * actions out (effects.h).
 *
 *   engine_step(engine, fact) -> records + actions
 *
 * The runtime commits the records, then performs the actions. Time,
 * randomness and ids come with facts: nothing here reads a clock, a file or a
 * generator, and the same facts give the same hash.
 *
 * What it decides: which workers claim events, which workflows start (limits
 * of triggers; global and per-runbook concurrency, first come first served),
 * which step runs when, retries with backoff, time limits, cancel, kill, what
 * an unknown outcome means. Its memory is the set of workflows that are not
 * final and what triggers remember; it equals what loading the store would
 * give (I8).
 *
 * Ownership: the engine holds a reference to the pinned runbook of each live
 * workflow. Facts and their strings are borrowed for the call. Effects own
 * their strings (arena). One thread: whoever runs the runtime.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/effects.h"
#include "engine/fact.h"

struct engine;

/* ---- the machine -------------------------------------------------------- */

struct engine *engine_new(const struct engine_config *config);
void engine_free(struct engine *e);

/* Loading, before FACT_START: a workflow that is not final, in order of
 * creation, with its attempts in any order, of which the newest of each step
 * count; takes a reference on the runbook. */
void engine_restore(struct engine *e, const struct workflow_row *row,
                    struct runbook *rb, const struct attempt_row *attempts,
                    uint32_t count);
/* The same for what a trigger remembers of a key; in any order. */
void engine_restore_memory(struct engine *e, const struct memory_row *row);
void engine_restore_watch(struct engine *e, const struct watch_row *row);

/* Takes one fact; appends to *fx. Facts that quote a superseded attempt or a
 * workflow that is final change nothing (a late report is answered with
 * ENGINE_ACT_FORGET). Never fails: bad requests are replies. */
void engine_step(struct engine *e, const struct fact *fact, struct effects *fx);

/* When FACT_TIME is next due; UINT64_MAX: never. */
uint64_t engine_next_deadline_ms(const struct engine *e);

/* A hash of all that must survive a restart: workflows, attempts, memories. */
uint64_t engine_hash(const struct engine *e);

/* Live numbers for metrics and status. */
struct engine_counts {
    uint32_t live;
    uint32_t queued;
    uint32_t running; /* RUNNING and WAITING: they hold a place */
    uint32_t held;
    uint32_t workers_claiming;    /* wait for events or match a batch */
    uint32_t workers_resting;     /* paused, or too much is live */
    uint32_t memories;            /* keys, of what triggers watch, too */
    uint64_t memories_refused;    /* starts held back at max_memories */
    uint64_t memories_refused_ms; /* when the last was; 0: none */
};

struct engine_counts engine_count(const struct engine *e);

/* Checks I3, I4, I7 and the limits (I6) over the whole state; aborts on a
 * violation. For tests and the simulator: O(live). */
void engine_check(const struct engine *e);
