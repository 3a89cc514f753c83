/*
 * Inside the executor: its guard, a process that outlives it and proves that
 * nothing it started does (guard.c). One thread.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/id.h"
#include "base/vec.h"

struct executor;

#define GUARD_NAME "adp-guard"

struct guard {
    int fd;       /* of spool/guard, or -1 */
    off_t own_at; /* where our own note is or would be */
    bool noted;
    bool any; /* no earlier life is proved to have ended */
    VEC(struct id) unproved;
};

/* Waits until nothing of the last life is being ended any more, then divides
 * this process: the caller goes on as the executor, in the child. In the
 * parent it does not return. The spool must be open and locked. */
NODISCARD int guard_enter(struct executor *x, struct err *reterr);

/* Before something runs of which only the guard could prove the end. */
NODISCARD int guard_doubt(struct executor *x, struct err *reterr);

/* Have all processes of that earlier life been seen to end? */
bool guard_proved(const struct executor *x, struct id life);

/* At the executor's end; all_ended: it has seen the end of all its steps. */
void guard_leave(struct executor *x, bool all_ended);
