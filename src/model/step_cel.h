/*
 * What expressions of a step see: `parameters` with the types that they are
 * declared with, `workflow`, `steps` with what the steps before have told, and
 * `now`. The types are made while a runbook is loaded, step by step; the
 * values come from JSON, as they travel. Pure; any thread.
 */
#pragma once

#include <jansson.h>

#include "expr/cel.h"
#include "model/runbook.h"

enum step_cel_variable {
    STEP_CEL_PARAMETERS,
    STEP_CEL_WORKFLOW,
    STEP_CEL_STEPS,
    STEP_CEL_NOW,
    STEP_CEL_VARIABLES
};

/* Row i of the variables as they are shown to people: a name
 * ("workflow.created_at"), its type and what it means; false past the last. */
struct step_cel_row {
    const char *name;
    const struct cel_type *type; /* NULL: by declaration */
    const char *help;
};
bool step_cel_row(size_t i, struct step_cel_row *ret);

/* What the next step may use; made with the first one that asks. */
struct step_scope;

/* Room for at most so many steps, all in the arena of the runbook, whose
 * parameters are known. */
struct step_scope *step_scope_new(struct runbook *rb, uint32_t steps);

/* The environment of the step that comes next; the same until one is added. */
const struct cel_env *step_scope_env(struct step_scope *s);

/* From now on any step may not have run, or not to its end. */
void step_scope_loosen(struct step_scope *s);

/* The next step has a program that may ask for what others tell. */
void step_scope_note(struct step_scope *s, const struct cel_program *p);

/* The step has been read: fills in its scope and what it asks for. Those after
 * it may use what it tells. */
void step_scope_add(struct step_scope *s, struct step *step);

/* Status of a step that no attempt was made of. */
#define STEP_NOT_RUN "not_run"

/* What is true of one run of a step. */
struct step_facts {
    struct id workflow_id;
    uint64_t created_ms;    /* of the workflow */
    uint64_t now_ms;        /* when the attempt was decided */
    struct str params_json; /* from params_check */
    struct str steps_json;  /* of the steps before; "": {} */
};

/* The values for evaluations of one step; `input` is for cel_program_run. */
struct step_input {
    struct cel_input input;
    struct cel_value values[STEP_CEL_VARIABLES];
    json_t *params;
    json_t *steps;
};

/* Fills *ret, in the arena; it must not be moved afterwards. -EINVAL: what
 * should be JSON is not. Release it before the arena goes, in any case. */
NODISCARD int step_input_init(struct step_input *ret, const struct runbook *rb,
                              const struct cel_env *env,
                              const struct step_facts *facts, struct arena *a,
                              struct err *reterr);
void step_input_release(struct step_input *x);
