/*
 * A runbook: a YAML file that says which events start it and which steps it
 * runs. Immutable once loaded, shared by reference count between generations
 * and the workflows that pinned it. Loading checks everything that can be
 * checked without running: see runbook_load.h. Pure; any thread may hold
 * references, the count is atomic.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "expr/cel.h"
#include "expr/template.h"
#include "model/guards.h"
#include "model/matcher.h"
#include "model/trigger_memory.h"
#include "model/trigger_watch.h"
#include "model/workflow.h"

enum param_type {
    PARAM_STRING,
    PARAM_INTEGER,
    PARAM_NUMBER,
    PARAM_BOOLEAN,
    PARAM_ENUM,
    PARAM_DURATION,
    PARAM_TYPES
};

struct runbook_test;
struct pattern; /* a compiled, fully anchored regex: model/matcher.h */

struct param {
    struct str name; /* [a-z][a-z0-9_]* */
    struct str description;
    enum param_type type;
    bool required;
    bool secret;
    bool allow_leading_dash;
    bool has_default;
    struct str default_text; /* canonical text of the default */
    struct pattern *pattern; /* strings only, may be NULL */
    struct str *values;      /* enums */
    uint32_t value_count;
};

/* One `parameters:` entry of a trigger, or one `env:` entry of a step. */
struct binding {
    struct str name;
    struct template value;
};

/* Which alert states start a workflow. */
enum trigger_state {
    TRIGGER_ON_FIRING, /* the default: firing alerts, and all non-alerts */
    TRIGGER_ON_RESOLVED,
    TRIGGER_ON_ANY
};

struct trigger {
    /* Its id, or "#1": what its memory is kept under, so that it outlives
     * changes of the runbook. */
    struct str name;
    struct str id;   /* "" if none */
    struct str type; /* "" matches every type */
    enum trigger_state state;
    struct str *severities; /* any of; none given: every one */
    uint32_t severity_count;
    struct str *sources;
    uint32_t source_count;
    struct matcher *matchers; /* all must hold; labels: become "=" matchers */
    uint32_t matcher_count;
    const struct cel_program *when; /* must be true as well; NULL: none */
    struct binding *parameters;
    uint32_t parameter_count;
    struct dedup_part *dedup; /* of the key; none: one for all events */
    uint32_t dedup_count;
    struct trigger_limits limits;
    struct trigger_watch watch;
    struct place at;
};

enum step_action {
    ACTION_EXEC, /* runs a program */
    ACTION_WAIT, /* lets time pass */
    STEP_ACTIONS
};

/* "exec", "wait". */
const char *step_action_name(enum step_action action);

/* Which part of a runbook a step is of. All steps of a runbook are in one list;
 * what comes after a step: engine/course.c. */
enum step_section {
    SECTION_STEPS,    /* steps: */
    SECTION_DIAGNOSE, /* before them; looks, and changes nothing */
    SECTION_ROLLBACK, /* of a step that has succeeded, when a later one fails */
    SECTION_ON_FAILURE, /* when the workflow fails */
    SECTION_FINALLY,    /* however it ends */
    SECTION_VERIFY,     /* one step after `steps`: has it helped? */
    STEP_SECTIONS
};

/* The time of rollbacks, of on_failure and of finally, of each, when the
 * workflow's own is over. */
#define RUNBOOK_SECTION_MS 300000

/* "steps", "on_failure", ... as in the file. */
const char *step_section_name(enum step_section section);

struct step_output {
    struct str name;
    const struct cel_program *value;
};

struct step {
    enum step_section section;
    /* The step that takes back what this one does, 0: none (a rollback is
     * never the first of the list); of a rollback: the step that it is of. */
    uint32_t rollback;
    struct str name;
    struct str id; /* "" if none */
    enum step_action action;
    struct str command;    /* constant shell text; "" when argv is used */
    struct template *argv; /* one element each, never split again */
    uint32_t argc;
    struct binding *env;
    uint32_t env_count;
    const struct cel_env *scope;    /* of its expressions; NULL: it has none */
    const struct cel_program *when; /* false: it is skipped; NULL: none */
    struct step_output *outputs;    /* what it tells to those after it */
    uint32_t output_count;
    struct str *asks; /* ids of the steps whose results it uses */
    uint32_t ask_count;
    struct str run_as;     /* "" : the executor's default user */
    uint64_t timeout_ms;   /* of one attempt; always set */
    uint32_t max_attempts; /* 1: no retry */
    uint64_t backoff_ms;   /* before the second attempt; then doubled */
    uint64_t backoff_max_ms;
    uint64_t wait_ms; /* of ACTION_WAIT */
    /* Of `verify`: it must pass within this time, again and again for the
     * other, once in each interval. */
    uint64_t within_ms;
    uint64_t hold_ms;
    uint64_t interval_ms;
    bool continue_on_error;
    bool idempotent; /* may be run again when its outcome is unknown */
    struct place at;
};

struct runbook {
    _Atomic(uint32_t) refs;
    struct arena arena; /* everything below lives here */
    struct str path;    /* relative to the repository */
    struct str name;
    struct str description;
    struct str category;
    struct runbook_hash hash;
    struct str text;                  /* the file as it was read */
    struct runbook_defaults defaults; /* what it was loaded with */
    struct param *params;
    uint32_t param_count;
    struct trigger *triggers;
    uint32_t trigger_count;
    struct step *steps;
    uint32_t step_count;
    struct runbook_test
        *tests; /* runbook_test.h; not looked at by the engine */
    uint32_t test_count;
    uint32_t max_concurrent; /* 0: no limit of its own */
    uint64_t timeout_ms;     /* of a workflow; 0: the engine's default */
    struct runbook_guards guards;
};

struct runbook *runbook_ref(struct runbook *rb);

/* The first step of a section; step_count when it has none. */
uint32_t runbook_section(const struct runbook *rb, enum step_section section);

/* Is a workflow over when this step, one of the runbook's, has succeeded,
 * whatever was before? */
bool runbook_ends_with(const struct runbook *rb, uint32_t step_no);

/* SHA-256 of a file's text: what pins a runbook. */
struct runbook_hash runbook_hash_of(struct str text);

/* Drops a reference; frees it with the last one. NULL is fine. */
void runbook_unref(struct runbook *rb);
void runbook_unrefp(struct runbook **rb);
