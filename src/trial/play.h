/*
 * One entry of a runbook's `tests:`, played: what came of it, compared with
 * what is expected of it. One thread.
 */
#pragma once

#include "base/arena.h"
#include "base/vec.h"
#include "match/generation.h"
#include "model/runbook_test.h"

/* More than one test can need: a runbook that starts itself over and over. */
#define PLAY_STEPS_MAX 200000
#define PLAY_STORY_MAX 200 /* lines; what comes after them is left out */
#define PLAY_HORIZON_MS (24ULL * 3600 * 1000)

struct play_difference {
    struct str what; /* "started", "argv of restart" */
    struct str expected;
    struct str got;
};

struct play_verdict {
    struct arena arena;                      /* of everything below */
    VEC(struct play_difference) differences; /* none: it has passed */
    VEC(struct str) story;                   /* what happened, line by line */
    uint64_t virtual_ms;                     /* that it took */
};

/* Plays it against a generation of this runbook alone; `zones` may be NULL.
 * The verdict is to be deinit'ed. */
void play_test(struct runbook *rb, const struct runbook_test *test,
               const struct event_zones *zones, struct play_verdict *ret);

void play_verdict_deinit(struct play_verdict *v);
