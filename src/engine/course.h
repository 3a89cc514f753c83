/*
 * The course of a workflow through the sections of its runbook:
 *
 *   diagnose -> steps -> verify -> finally
 *                 |        |          ^
 *                 `--------`-> rollbacks, newest first -> on_failure
 *
 * The place in it is row.step_no, and what has gone wrong so far row.error:
 * there is no other state, so a restart goes on where it was. Inside of the
 * engine; who owns what: engine_priv.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct engine;
struct flow;

/* How the current step has ended. */
enum course {
    COURSE_DONE,
    COURSE_FAILED,
    COURSE_LATE,     /* the time of the workflow, or of the section, is over */
    COURSE_CANCELLED /* the workflow is to end, but for `finally` */
};

/* The step that comes next; the runbook's step_count: none, it is over. */
uint32_t course_next(const struct flow *f, enum course how);

/* Goes on with what comes next, or ends the workflow. `why` is what a person
 * must know of a step that has failed; "" otherwise. No attempt is in flight.
 */
void course_go(struct engine *e, struct flow *f, enum course how,
               struct str why);

/* The time is over: COURSE_LATE, with its words. */
void course_late(struct engine *e, struct flow *f);

/* The same for a workflow that is to stop: what is asked of it, a cancel or a
 * kill, is in its row. */
void course_stop(struct engine *e, struct flow *f);

/* Is what runs now to be stopped? A cancel lets `finally` run. */
bool course_is_stopped(const struct flow *f);

/* Does the workflow end as it stands, whatever its current step does? Then an
 * outcome that is not known needs nobody to decide about it. */
bool course_is_closing(const struct flow *f);

/* Adds what has gone wrong as well. */
void course_blame(struct flow *f, struct str why);

/* verify.c: the probe has ended, or its time is over. */
void verify_decide(struct engine *e, struct flow *f);
void verify_failed(struct engine *e, struct flow *f);

/* I3: for engine_check. */
void course_check(const struct flow *f);
