/*
 * Inside of the runbook loader, shared by its files: the state of one load,
 * the tables of keys, the reader that walks a mapping by its table, and the
 * readers of the parts. Only runbook_*.c include this. Pure.
 *
 * A reader reports what it finds and goes on: it leaves its object zero or
 * half filled, which is safe, because a load with an error gives no runbook.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "data/yaml.h"
#include "model/runbook_load.h"

#define RUNBOOK_NAME_MAX_BYTES 200
#define RUNBOOK_DESCRIPTION_MAX_BYTES 4096
#define RUNBOOK_WORD_MAX_BYTES 64
#define RUNBOOK_SOURCE_MAX_BYTES 128
#define RUNBOOK_COMMAND_MAX_BYTES (64 * 1024)
#define RUNBOOK_MAX_VALUES 100 /* of an enum, severities, sources */
#define RUNBOOK_MAX_MATCHERS 64
#define RUNBOOK_MAX_ARGC 256
#define RUNBOOK_MAX_ENV 64
#define RUNBOOK_TIMEOUT_MAX_MS (7ULL * 86400 * 1000)
#define RUNBOOK_MAX_ATTEMPTS 20
#define RUNBOOK_MAX_PROBES 200 /* of verify */
#define RUNBOOK_MAX_CONCURRENT 1000
#define RUNBOOK_BACKOFF_MS 1000
#define RUNBOOK_BACKOFF_MAX_MS 60000
#define RUNBOOK_BACKOFF_LIMIT_MS (3600U * 1000U)
#define RUNBOOK_VERIFY_MAX_MS (3600ULL * 1000)
#define RUNBOOK_WAIT_MAX_MS (86400ULL * 1000)
#define RUNBOOK_MEMORY_LIMIT_MS (30ULL * 86400 * 1000) /* of a window */

struct loader {
    struct runbook *rb;
    const struct runbook_defaults *defaults;
    struct runbook_report *report;
    char field[128]; /* dotted path of what is being read */
    size_t field_len;
    struct err dropped;             /* what does not fit in the report */
    const struct cel_env *when_env; /* of conditions; NULL: not needed yet */
    const struct cel_env *fill_env; /* of triggers' parameters; the same */
    struct step_scope *scope;       /* what the next step may use; the same */
};

/* ---- tables ------------------------------------------------------------- */

enum key_kind {
    KEY_LINE,     /* struct str: one line of at most max bytes */
    KEY_BLOCK,    /* struct str: may have several lines */
    KEY_BOOL,     /* bool */
    KEY_COUNT,    /* uint32_t between min and max */
    KEY_DURATION, /* uint64_t milliseconds between min and max */
    KEY_LINES,    /* struct str * at offset, uint32_t at count_offset: one
                     text or a list of at most RUNBOOK_MAX_VALUES */
    KEY_READ      /* whatever `read` makes of it */
};

typedef void key_read_fn(struct loader *l, const struct yaml_node *n,
                         void *object);

/* What such a value looks like, as a JSON Schema. */
typedef json_t *key_schema_fn(void);

struct key {
    const char *name;
    enum key_kind kind;
    bool required;
    size_t offset; /* of the field in the object */
    size_t count_offset;
    uint64_t min;
    uint64_t max;
    bool (*valid)(struct str text); /* for KEY_LINE(S), may be NULL */
    const char *expected;           /* what `valid` wants, for the message */
    key_read_fn *read;
    /* For editors: runbook_schema.c. */
    const char *help;      /* one sentence */
    const char *standard;  /* what is meant without the key, as JSON, or NULL */
    const char *pattern;   /* the same as `valid`, as a regular expression */
    key_schema_fn *schema; /* for KEY_READ */
};

struct key_table {
    const char *what; /* "a step" */
    const struct key *keys;
    size_t count;
    const char *rules; /* between keys, as JSON Schema; NULL: none */
};

extern const struct key_table runbook_keys;
extern const struct key_table runbook_param_keys;
extern const struct key_table runbook_trigger_keys;
extern const struct key_table runbook_count_keys;
extern const struct key_table runbook_max_runs_keys;
extern const struct key_table runbook_step_keys;
extern const struct key_table runbook_rollback_keys, runbook_verify_keys;
extern const struct key_table runbook_retry_keys;
extern const struct key_table runbook_test_keys; /* runbook_test_keys.c */
extern const struct key_table runbook_outcome_keys;
extern const struct key_table runbook_expect_keys;

/* ---- reader (runbook_read.c) -------------------------------------------- */

/* Goes into a part of the text (".steps", "[2]"); loader_leave takes what
 * loader_enter gave. */
NODISCARD size_t loader_enter(struct loader *l, const char *fmt, ...)
    PRINTF_LIKE(2, 3);
void loader_leave(struct loader *l, size_t mark);

/* Report a problem at a node; the field is where the loader stands. The
 * result is for adding a hint to, at once. */
struct err *loader_error(struct loader *l, const struct yaml_node *n,
                         const char *fmt, ...) PRINTF_LIKE(3, 4);
struct err *loader_warning(struct loader *l, struct place at, const char *fmt,
                           ...) PRINTF_LIKE(3, 4);

/* Reports an error that another function has filled; at the node when it has
 * no line of its own. */
void loader_report(struct loader *l, const struct yaml_node *n,
                   const struct err *e);

/* Reads a mapping by its table, in the order of the table: unknown and missing
 * keys are reported, every known one is read into object. */
void loader_read_map(struct loader *l, const struct yaml_node *n,
                     const struct key_table *table, void *object);

/* True if n is a list (or mapping) of at most max elements; else reports. */
NODISCARD bool loader_is_list(struct loader *l, const struct yaml_node *n,
                              size_t max);
NODISCARD bool loader_is_map(struct loader *l, const struct yaml_node *n,
                             size_t max);

/* One text of at most max bytes; false after reporting. A line has no control
 * characters, a block may have tabs and newlines. The text is copied. */
bool loader_read_text(struct loader *l, const struct yaml_node *n, size_t max,
                      bool block, struct str *ret);

/* A template; false after reporting. What is in its ${{ }} is not looked at. */
NODISCARD bool loader_read_template(struct loader *l, const struct yaml_node *n,
                                    struct template *ret);

/* A duration between min and max milliseconds; false after reporting. */
bool loader_read_duration(struct loader *l, const struct yaml_node *n,
                          uint64_t min, uint64_t max, uint64_t *ret);

/* ---- parts -------------------------------------------------------------- */

key_read_fn runbook_read_params;   /* object: struct runbook */
key_read_fn runbook_read_triggers; /* object: struct runbook */
key_read_fn runbook_read_steps;    /* object: struct runbook */
key_read_fn runbook_read_diagnose, runbook_read_on_failure;
key_read_fn runbook_read_finally, runbook_read_verify;
key_read_fn runbook_read_tests; /* object: struct runbook; after them all */

key_read_fn param_read_type; /* object: struct param */
key_read_fn param_read_pattern, param_read_values;
key_read_fn param_read_default;

key_read_fn trigger_read_state; /* object: struct trigger */
key_read_fn trigger_read_labels;
key_read_fn trigger_read_matchers;
key_read_fn trigger_read_when;
key_read_fn trigger_read_parameters;
key_read_fn trigger_read_dedup;
key_read_fn trigger_read_count;
key_read_fn trigger_read_max_runs;

key_read_fn step_read_action; /* object: struct step */
key_read_fn step_read_command, step_read_argv;
key_read_fn step_read_env;
key_read_fn step_read_retry, step_read_rollback, step_read_when;
key_read_fn step_read_outputs;

key_read_fn test_read_event; /* object: struct runbook_test */
key_read_fn test_read_now;
key_read_fn test_read_parameters;
key_read_fn test_read_mocks;
key_read_fn test_read_expect;

key_read_fn outcome_read_text; /* object: struct test_outcome */
key_read_fn outcome_read_error;

key_read_fn expect_read_matched; /* object: struct test_expect */
key_read_fn expect_read_ran;
key_read_fn expect_read_skipped;
key_read_fn expect_read_status;
key_read_fn expect_read_result;
key_read_fn expect_read_parameters;
key_read_fn expect_read_argv;
key_read_fn expect_read_env;
key_read_fn expect_read_attempts;

/* ---- shapes (runbook_schema.c) ------------------------------------------ */

key_schema_fn schema_of_params, schema_of_triggers, schema_of_steps;
key_schema_fn schema_of_param_type, schema_of_pattern, schema_of_values;
key_schema_fn schema_of_default, schema_of_state, schema_of_labels;
key_schema_fn schema_of_matchers, schema_of_when, schema_of_bindings;
key_schema_fn schema_of_dedup, schema_of_count, schema_of_max_runs;
key_schema_fn schema_of_action, schema_of_command, schema_of_argv;
key_schema_fn schema_of_env, schema_of_retry, schema_of_section;
key_schema_fn schema_of_rollback, schema_of_verify, schema_of_outputs;
key_schema_fn schema_of_step_action;

/* Of runbook_test_schema.c. */
key_schema_fn schema_of_tests;
key_schema_fn schema_of_test_event;
key_schema_fn schema_of_test_now;
key_schema_fn schema_of_test_parameters;
key_schema_fn schema_of_test_mocks;
key_schema_fn schema_of_test_expect;
key_schema_fn schema_of_test_text;
key_schema_fn schema_of_test_matched;
key_schema_fn schema_of_test_steps;
key_schema_fn schema_of_test_status;
key_schema_fn schema_of_test_result;
key_schema_fn schema_of_test_values;
key_schema_fn schema_of_test_argv;
key_schema_fn schema_of_test_env;
key_schema_fn schema_of_test_attempts;

/* The number of the step of this name or id; UINT32_MAX after reporting one
 * that there is not, with the nearest. */
NODISCARD uint32_t loader_find_step(struct loader *l, const struct yaml_node *n,
                                    struct str word);

/* A node as JSON, by YAML's core schema; all scalars as texts when `texts`. A
 * new reference. */
NODISCARD json_t *loader_json(const struct yaml_node *n, bool texts);

/* Reads what a step and a rollback have in common into *s. */
void step_read(struct loader *l, const struct yaml_node *n,
               const struct key_table *table, struct step *s);

/* Adds the steps of a list to those that the runbook has; then what takes them
 * back. */
void sections_append(struct loader *l, const struct yaml_node *n,
                     enum step_section section);

/* Name i of the variables that no step may set, one that ends in * standing
 * for all that begin so; NULL behind the last. */
const char *step_refused_variable(size_t i);

/* Name i of the states that a trigger may ask for; NULL behind the last. */
const char *trigger_state_word(size_t i);

/* Gives the triggers their names, and reports ids that stand twice and keys
 * that nothing is remembered by; n is the list. */
void triggers_name(struct loader *l, const struct yaml_node *n);

/* The declared parameter of this name; NULL, and the nearest declared name in
 * *ret_nearest (NULL if none is near), when there is none. */
const struct param *runbook_param(const struct runbook *rb, struct str name,
                                  const char **ret_nearest);
