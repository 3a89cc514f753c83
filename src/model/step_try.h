/*
 * What an expression of a step would see, for trying one by hand: the variables
 * of a step and those of its outputs, from one JSON object. Nothing is known
 * of a runbook here, so parameters and what steps tell are of any type. Pure;
 * any thread.
 */
#pragma once

#include <jansson.h>

#include "base/err.h"
#include "expr/cel.h"

#define STEP_TRY_VARIABLES 8

/* parameters, workflow, steps, exit_code, stdout, stderr, json, now. */
const struct cel_env *step_try_env(void);

struct step_try {
    struct cel_value values[STEP_TRY_VARIABLES];
};

/* Reads the values, in the arena; `now` is what it says or now_ms. One that is
 * not there is an error of the expression that asks for it. -EINVAL: an
 * unknown name, or one of a wrong type. */
NODISCARD int step_try_init(struct step_try *ret, const json_t *values,
                            uint64_t now_ms, struct arena *a,
                            struct err *reterr);

/* As struct cel_input asks; context is a struct step_try. */
struct cel_value step_try_variable(void *context, uint32_t index,
                                   struct cel_run *run);
