/*
 * A run of the engine that nothing comes of: the real matcher and the real
 * state machine over one generation of runbooks, in virtual time, beside an
 * executor that is made up. What steps do, the owner's hooks say; what came of
 * everything, they are told. Nothing here reads a clock, a file or a random
 * number, so the same input gives the same result.
 *
 *   trial_event, trial_run   what happens, at the time at which it happens
 *   trial_advance            goes on to a time, whatever is due until then
 *
 * Everything is at once durable: a step of the engine is followed by its
 * actions. Owned by whoever made it; one thread.
 */
#pragma once

#include "engine/engine.h"
#include "match/generation.h"
#include "model/params.h"

struct trial;

/* What an attempt does. */
struct trial_answer {
    int32_t exit_code;
    uint64_t after_ms;
    bool hangs;
    struct str out; /* what it writes; until attempt() is called again */
    struct str err;
};

/* An attempt that the engine asks for, as the executor would run it. */
struct trial_attempt {
    struct attempt_key key;
    const struct runbook *runbook;
    const struct rendered_step *rendered; /* NULL: it cannot be, and */
    struct str refused;                   /* this is why */
};

struct trial_hooks {
    void *context;
    /* Says what the attempt does; the answer is ignored for a refused one. It
     * begins as a success after 1 s. */
    void (*attempt)(void *context, const struct trial_attempt *attempt,
                    struct trial_answer *ret);
    /* A record that is durable now; may be NULL. */
    void (*record)(void *context, const struct record *record);
    /* What the matcher found, before the engine decides; may be NULL. */
    void (*matched)(void *context, const struct fact_event *found);
};

struct trial_options {
    struct generation *generation; /* a reference of its own is taken */
    struct engine_config config;
    const struct event_zones *zones; /* may be NULL */
    uint64_t now_ms;                 /* when it begins */
    struct trial_hooks hooks;
};

struct trial *trial_new(const struct trial_options *options);
void trial_free(struct trial *t);

/* An event comes now: it is matched and decided. `event` keeps its id and
 * received_ms. False: as much is unfinished as the engine allows, and it would
 * wait; it was not looked at. */
NODISCARD bool trial_event(struct trial *t, const struct event *event);

/* Somebody runs a runbook by hand; parameters are complete. */
void trial_run(struct trial *t, struct runbook *rb, struct str parameters);

/* Goes on to this time (not back). False: it took more than `steps_max` steps
 * of the engine, and the time is that of the last one. */
NODISCARD bool trial_advance(struct trial *t, uint64_t until_ms,
                             uint64_t steps_max);

uint64_t trial_now_ms(const struct trial *t);

const struct engine *trial_engine(const struct trial *t);

/* An id that only this trial uses. */
struct id trial_mint_id(struct trial *t);
