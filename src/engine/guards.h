/*
 * What may hold a workflow back that a trigger would start, and what guards
 * need of memories (memory.c). Only files of this folder include it; the thread
 * of the engine.
 */
#pragma once

#include "engine/engine_priv.h"

/* ---- guards.c ------------------------------------------------------------ */

/* Is the event too old for this match? Then why is appended to *why. */
NODISCARD bool guards_too_old(const struct engine *e,
                              const struct fact_match *match,
                              uint64_t received_ms, struct strbuf *why);

/* May this match start a workflow, now that its trigger may? Then that is
 * remembered; else why not is appended to *why. */
NODISCARD bool guards_admit(struct engine *e, const struct fact_match *match,
                            struct strbuf *why);

/* Were people told of this trigger and key, and is that not over yet? Then why
 * is appended to *why. */
NODISCARD bool guards_escalated(struct engine *e,
                                const struct fact_match *match,
                                struct strbuf *why);

/* The match was not admitted: must people be told now? Then *ret is what they
 * are told, by the match's workflow, in the arena of the effects. */
NODISCARD bool guards_escalate(struct engine *e, const struct fact_match *match,
                               struct strbuf *why, struct str *ret);

/* FACT_GUARD_RESET. */
void guards_reset(struct engine *e, const struct fact *fact);

/* The flow has reached its final status. */
void guards_finished(struct engine *e, struct flow *f);

/* As guards_admit, when there are as many workflows of the runbook as may be at
 * a time: may another one be started (on_limit)? */
NODISCARD bool lane_admits(struct engine *e, const struct fact_match *match,
                           struct strbuf *why);

/* A workflow of this runbook is about to be started by an event: as many as
 * needed are cancelled (on_limit: replace). */
void lane_replace(struct engine *e, const struct fact_match *match);

/* ---- lanes.c: who may start ----------------------------------------------
 */

void lane_join(struct engine *e, struct flow *f, struct str path);
void lane_leave(struct engine *e, struct flow *f);

/* Puts a QUEUED flow at the end of its lane's queue. */
void lane_enqueue(struct engine *e, struct flow *f);

/* The same for one that has the lock of its target: in the order of creation.
 */
void lane_queue(struct engine *e, struct flow *f);

/* Recomputes whether the head of the lane's queue may start: O(log lanes). */
void lane_update(struct engine *e, struct lane *lane);

/* Starts queued flows, oldest first, while there are places. */
void lanes_admit(struct engine *e);

/* ---- locks.c: one workflow at a time for each target ---------------------
 * The oldest live flow of a target has its lock, from before it is RUNNING
 * until it is final; the others stand in line, in the order of creation, and
 * not in the queues of their lanes. HELD keeps it: nobody knows what was done.
 */

struct lock {
    char *target;
    struct flow *owner;
    struct list line; /* of flow.place, oldest first: QUEUED */
    uint32_t flows;   /* that quote it; it is freed with the last */
    bool doubted;     /* one that stood in line is HELD: it is next */
};

/* Gives a new flow the lock of its target to quote. */
void lock_join(struct engine *e, struct flow *f);
void lock_leave(struct engine *e, struct flow *f);

/* A restored flow that is not QUEUED has had the lock. */
void lock_had(struct engine *e, struct flow *f);

/* The flow is not QUEUED any more: if it stood in line, it does not now. */
void lock_step_out(struct engine *e, struct flow *f);

/* Takes the lock if it is free; false: the flow stands in line now. */
NODISCARD bool lock_take(struct engine *e, struct flow *f);

/* The flow is final: if it had the lock, the next one in line has it. */
void lock_release(struct engine *e, struct flow *f);

/* For engine_check: I5. */
void locks_check(const struct engine *e);

/* ---- stop.c ------------------------------------------------------------- */

/* Cancels or kills a live flow that was not asked so before. */
void stop_flow(struct engine *e, struct flow *f, enum stop_request how,
               struct str by);

/* ---- memory.c ------------------------------------------------------------ */

/* The memory of these names, or NULL; a new one, which is empty until it is
 * touched in the same step. */
struct memory *memory_find(const struct engine *e, struct str path,
                           struct str trigger, struct str key);
struct memory *memory_new(struct engine *e, struct str path, struct str trigger,
                          struct str key);

/* Its row changes in this step: it gets one record at the end. */
void memory_touch(struct engine *e, struct memory *m);

/* Remembers that a workflow is started now. */
void memory_start(struct engine *e, struct memory *m,
                  const struct trigger_limits *l, struct id workflow);

/* Begins a reason with the runbook and the trigger; false: enough is told. */
NODISCARD bool memory_begin_reason(struct strbuf *why,
                                   const struct fact_match *match);
