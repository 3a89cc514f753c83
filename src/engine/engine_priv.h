/*
 * The engine's inside. Only files of this folder include it.
 *
 * A step of the engine has three parts: the fact's handler changes flows and
 * emits actions; `settle` (engine.c) gives free places to queued flows and
 * claims to idle workers, whatever the fact was, so that no handler can forget
 * to wake somebody; `flush` writes one workflow record for each flow that was
 * touched and frees the final ones. Cost per fact: O(log live) for each flow
 * it touches; only FACT_EXECUTOR_UP looks at all running flows.
 *
 * Where a flow (a live workflow) stands:
 *   QUEUED    in its lane's queue
 *   RUNNING   in `inflight` (an attempt is not final) or in `parked` (its
 *             next attempt waits for the executor, or for the kill switch)
 *   WAITING   nowhere: its timer wakes it
 *   HELD      nowhere: an operator or its timer ends it
 */
#pragma once

#include "base/map.h"
#include "base/prng.h"
#include "base/strbuf.h"
#include "engine/course.h"
#include "engine/gate.h"
#include "engine/halt.h"
#include "engine/results.h"
#include "engine/watch.h"

/* All flows of one runbook path, whatever version they pinned. */
struct lane {
    char *path;
    struct list queue; /* of flow.place, oldest first */
    uint32_t waiting;  /* QUEUED, and in the line of a target instead */
    uint32_t flows;    /* that quote this lane; it is freed with the last */
    uint32_t running;  /* RUNNING and WAITING */
    /* In engine.eligible, keyed by the order of the queue's head, exactly
     * when that flow may start as far as its runbook's limit goes. */
    struct heap_node eligible;
};

struct flow {
    struct workflow_row row; /* strings: the runbook's, or owned below */
    struct runbook *runbook; /* a reference */
    struct lane *lane;
    struct lock *lock;       /* of its target; NULL: it has none */
    struct subject *subject; /* in whose flows it is; NULL: it has none */
    struct list siblings;
    uint64_t order; /* of creation: first come, first served */
    /* The newest attempt of each step of the runbook; NULL: none. Only that of
     * the current step can be in flight. */
    struct result **results;
    uint32_t passes; /* probes of `verify` in a row that held, to the newest */
    bool stop_sent;  /* whoever can end the one in flight was told to */
    uint64_t check_ms; /* when silence about it becomes suspicious */
    struct list place;
    struct list touched; /* in engine.touched, while record != 0 */
    size_t record;       /* 1-based index of its record in this step */
    struct heap_node timer;
    char *commit; /* these are behind the strings of the row */
    char *parameters;
    char *subject_text;
    char *requested_by;
    char *stopped_by;
    char *error;
};

/* What a trigger remembers of one key. */
struct memory {
    struct memory_row row; /* strings owned in `name`, arrays below */
    VEC(uint64_t) events;  /* when they were received, oldest first */
    VEC(uint64_t) starts;
    struct str name; /* the key in engine.memories */
    bool stored;     /* its row is in the store, or on its way */
    struct heap_node expiry;
    struct list touched; /* in engine.remembered */
    /* What its last start had to keep, as far as this process knows: for
     * engine_check. */
    struct trigger_limits limits;
};

struct engine {
    struct engine_config config;
    bool started;
    bool paused;
    bool halted;        /* by the kill switch: nothing begins */
    uint64_t halted_ms; /* while halted: since when */
    uint64_t now_ms;    /* goes back with FACT_CLOCK only */
    struct prng prng;   /* seeded anew by each fact */
    struct effects *fx; /* of the running step */

    struct map flows; /* by the bytes of their id; in order of creation */
    struct map lanes; /* by path */
    struct map locks; /* by target */
    struct heap eligible;
    struct heap timers;
    struct list inflight;
    struct list parked;
    struct list touched;
    uint64_t next_order;
    uint32_t running;
    uint32_t held;
    uint64_t claimed; /* a bit for each worker that has a claim out */

    struct map memories;    /* by runbook path, trigger and key */
    struct heap expiries;   /* all of them, by when they end to matter */
    struct list remembered; /* those whose row changes in this step */
    struct map shares;      /* by runbook path and trigger: share.c */
    uint64_t memories_refused;
    uint64_t memories_refused_ms; /* the last one */
    uint32_t guard_memories;      /* of them: guards', not triggers' */
    struct watches watches;

    bool executor_up;
    struct id executor; /* the life that is, or was last, connected */
};

/* ---- effects.c ----------------------------------------------------------
 * Appending to the step's effects; strings are copied into its arena. */
void effects_record(struct effects *fx, enum record_kind kind,
                    const struct workflow_row *row);
void effects_attempt(struct effects *fx, enum record_kind kind,
                     const struct attempt_row *row);
void effects_audit(struct effects *fx, const struct audit_row *row);
void effects_memory(struct effects *fx, enum record_kind kind,
                    const struct memory_row *row);
void effects_action(struct effects *fx, struct action action);
void effects_start(struct effects *fx, const struct flow *f,
                   const struct engine_config *config);

/* ---- flow.c: birth, moves, end, timers ---------------------------------- */

/* The flow of this id, or NULL. */
struct flow *flow_find(const struct engine *e, struct id id);

/* A flow with a copy of the row, entered into the maps, in no list. */
struct flow *flow_new(struct engine *e, const struct workflow_row *row,
                      struct runbook *rb);
void flow_free(struct engine *e, struct flow *f);

/* The flow's row changes in this step: it gets one record at the end. */
void flow_touch(struct engine *e, struct flow *f);

/* Moves a live flow to another live status (I3) and keeps the counts. */
void flow_move(struct engine *e, struct flow *f, enum workflow_status to);

/* Ends the flow. `error` is copied; "" for none. */
void flow_finish(struct engine *e, struct flow *f, enum workflow_status to,
                 struct str error);

/* Replaces *owned by a copy of `from` and returns the copy as a slice. */
struct str flow_own(char **owned, struct str from);

/* Tells whether this status holds a place (RUNNING and WAITING do). */
bool flow_holds_place(enum workflow_status s);

/* Sets the timer to the next instant at which the flow wants attention. */
void flow_arm(struct engine *e, struct flow *f);

/* An attempt of the current step is with the executor. */
/* WAITING for so long from now on. */
void flow_wait(struct engine *e, struct flow *f, uint64_t ms);

bool flow_in_flight(const struct flow *f);
bool flow_expired(const struct engine *e, const struct flow *f);
const struct step *flow_step(const struct flow *f);

/* FACT_TIME for one flow whose timer has come. */
void flow_due(struct engine *e, struct flow *f);

/* ---- workers.c ---------------------------------------------------------- */

/* Gives each idle worker a claim while that is allowed. */
void workers_claim(struct engine *e);

/* ---- events.c: FACT_BATCH_MATCHED, FACT_RUN_REQUESTED -------------------- */

void events_lost(struct engine *e, const struct fact *fact);
void events_matched(struct engine *e, const struct fact *fact);
void events_run(struct engine *e, const struct fact *fact);

/* ---- attempts.c --------------------------------------------------------- */

/* Makes the current step's next attempt, or parks the flow until the executor
 * is there. The flow is RUNNING and in no list. */
void attempts_next(struct engine *e, struct flow *f);
void attempts_started(struct engine *e, const struct fact *fact);
void attempts_ended(struct engine *e, const struct fact *fact);

/* The time of a step that waits has passed. */
void attempts_waited(struct engine *e, struct flow *f);

/* Why the newest attempt of the current step did not succeed. */
void attempts_describe(const struct flow *f, struct strbuf *out);

/* Asks the executor again about an attempt in flight, which is there. The
 * STOP of one that shall end goes first: then it cannot begin now. */
void attempts_ask(struct engine *e, struct flow *f, bool kill);

/* Tells the executor to end the attempt in flight, if it is there. */
void attempts_stop(struct engine *e, struct flow *f, bool kill);

void attempts_executor_up(struct engine *e, struct id executor);

/* Gives each parked flow its attempt, if that may begin now. */
void attempts_unpark(struct engine *e);

/* Is there no room for another flow? Held ones wait for a person, perhaps for
 * days: they must not stop the rest, so they have a bound of their own, which
 * is as large and bounds what they take of the memory. */
static inline bool engine_is_full(const struct engine *e)
{
    return map_count(&e->flows) - e->held >= e->config.max_live ||
           e->held >= e->config.max_live;
}

/* Holds every flow that is not held yet: nobody knows what became of it. */
void attempts_doubt_all(struct engine *e, struct str why);

/* ---- memory.c: what triggers remember ------------------------------------ */

/* May this match start a workflow? Then that is remembered; else why not is
 * appended to *why, and remembered as far as it counts. */
NODISCARD bool memory_admit(struct engine *e, const struct fact_match *match,
                            uint64_t received_ms, struct strbuf *why);

/* FACT_TIME: some of what does not matter any more is forgotten. */
void memory_expire(struct engine *e);

/* One record for each memory that has changed in this step. */
void memory_flush(struct engine *e);

/* The instants move with the clock. */
void memory_shift(struct engine *e, struct memory *m, int64_t shift_ms);

/* For engine_check: I6 and I7. */
void memory_check(const struct engine *e);

/* Order does not matter to it. */
uint64_t memory_hash(const struct engine *e);

void memory_free_all(struct engine *e);

/* ---- clock.c ------------------------------------------------------------ */

/* The instant after a shift of the clock; 0 stays 0. */
uint64_t clock_moved(uint64_t at_ms, int64_t shift_ms);

/* The wall clock shows so much more than the time that has passed. */
void clock_set(struct engine *e, int64_t shift_ms);

/* At the start: what has begun in the future began before the clock was set
 * back, while nobody was there to see it. */
void clock_check(struct engine *e);

/* ---- stop.c ------------------------------------------------------------- */

void stop_requested(struct engine *e, const struct fact *fact);

/* CANCELLED or KILLED, as was asked. */
void stop_finish(struct engine *e, struct flow *f);
