/*
 * What a START needs before a process exists: which step of which runbook on
 * disk, as which user, in which folder, with which environment. The request
 * only names the step and its values; all else is read and decided here. The
 * executor's thread only.
 */
#pragma once

#include "model/params.h"
#include "proc/executor_priv.h"

struct run_plan {
    struct arena arena;
    struct runbook *runbook;
    struct trust trust; /* of the runbook */
    struct rendered_step step;
    struct permit as;
    char **env;
};

/* Fills a plan that is all zero: 0, or why the step may not or cannot start.
 * The step's folder is r's from then on, and r knows the secrets to redact. To
 * be deinit'ed in any case. */
NODISCARD int run_plan_make(struct run *r, const struct exec_message *m,
                            struct run_plan *p, struct err *reterr);
void run_plan_deinit(struct run_plan *p);
