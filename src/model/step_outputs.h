/*
 * What a step tells to those after it: `outputs:`, expressions over how it has
 * ended and what it wrote. The executor evaluates them when the attempt is
 * over, the engine keeps what they give and hands it on. Pure; any thread.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "model/runbook.h"

#define STEP_OUTPUTS_MAX 32

/* All values of a step together, as JSON. */
#define STEP_OUTPUTS_MAX_BYTES (16U * 1024)

/* Of each stream the expressions see the first so many bytes. */
#define STEP_STREAM_MAX_BYTES (64UL * 1024)

/* The environment of the expressions: exit_code, stdout, stderr, json. */
const struct cel_env *step_outputs_env(void);

/* How an attempt has ended. The texts may hold any bytes; what is not UTF-8,
 * and NUL, become U+FFFD. */
struct step_ending {
    int32_t exit_code; /* -1: none, it was ended by a signal */
    struct str out;    /* at most STEP_STREAM_MAX_BYTES */
    struct str err;
    bool is_cut; /* `out` is not all that was written */
};

/* Evaluates the outputs: 0 with a JSON object in the arena ("" if the step has
 * none). One without a value is an error ("output 'used': ..."), -ENODATA,
 * unless `lenient`: then it is left out. -E2BIG: they are too large. */
NODISCARD int step_outputs_eval(const struct step *step,
                                const struct step_ending *end, bool lenient,
                                struct arena *a, struct str *ret_json,
                                struct err *reterr);
