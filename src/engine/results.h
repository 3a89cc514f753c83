/*
 * What has become of the steps of a live workflow: the newest attempt of each
 * of them. Later steps ask for it, and so does whoever decides what comes
 * next. Inside of the engine; who owns what: engine_priv.h.
 */
#pragma once

#include <stdint.h>

#include "model/workflow.h"

struct flow;

/* What has become of a step: its newest attempt. */
struct result {
    struct attempt_row row;
    char *error; /* these are behind its strings */
    char *outputs;
};

void results_init(struct flow *f);
void results_free(struct flow *f);

/* The newest attempt of this step, or NULL if it has none. */
struct attempt_row *flow_result(const struct flow *f, uint32_t step_no);

/* The same of the current step. */
struct attempt_row *flow_attempt(const struct flow *f);

/* Keeps a copy of the row as the newest attempt of its step; gives the copy.
 * The row's strings may be those of the attempt that it takes the place of. */
struct attempt_row *flow_keep(struct flow *f, const struct attempt_row *row);

/* Loading: all attempts, in any order. */
void results_restore(struct flow *f, const struct attempt_row *rows,
                     uint32_t count);

/* All of them, in the order of steps; for engine_hash and engine_check. */
uint64_t results_hash(const struct flow *f, uint64_t hash);
void results_check(const struct flow *f);

/* Adds a value, or a text with its length, so that neighbours cannot trade
 * bytes. */
uint64_t engine_mix(uint64_t hash, uint64_t value);
uint64_t engine_mix_str(uint64_t hash, struct str s);
