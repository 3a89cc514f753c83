/*
 * What is due by the time, for those who drive an engine: the answer to
 * ENGINE_ACT_DUE, and what can be absent of a generation. Pure.
 */
#pragma once

#include "base/vec.h"
#include "engine/engine.h"
#include "match/generation.h"
#include "runtime/controls.h"

/* ENGINE_ACT_DUE, kept until it can be answered. */
struct due_question {
    struct str runbook_path, trigger, key;
    struct str parameters;
    struct str error;
};

/* A copy of the action's strings in the arena. */
struct due_question due_question_of(const struct action *action,
                                    struct arena *a);

/* What an answer is made from. */
struct due_source {
    const struct generation *generation;
    const struct controls *controls; /* may be NULL */
    uint64_t now_ms;
};

/* The answer as FACT_DUE, with the trigger as the generation has it and its
 * values checked against the runbook. The workflow's id is the caller's to
 * mint, and a runbook that it names the caller's to pin. */
struct fact due_answer(const struct due_question *q,
                       const struct due_source *from, struct arena *a);

struct absent_triggers {
    VEC(struct fact_absent) items;
};

/* What can be absent although no event of it has ever come: for
 * FACT_GENERATION. Deinit the items. */
void due_absent(const struct generation *g, struct absent_triggers *ret);
