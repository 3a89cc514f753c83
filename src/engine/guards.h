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

/* The flow has reached its final status. */
void guards_finished(struct engine *e, struct flow *f);

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
