/* What the files that play a test share: what they have seen of it. */
#pragma once

#include "trial/play.h"
#include "trial/trial.h"

/* Of one step of one workflow. */
struct played_step {
    uint32_t attempts; /* that began */
    char **argv;       /* of the last one; NULL: none was rendered */
    char **env;
};

struct played {
    struct id id;
    enum workflow_status status;
    enum workflow_result result;
    struct str parameters;
    struct str error;
    struct played_step *steps; /* of all steps of the runbook */
    uint32_t *order;           /* their numbers, as they first began */
    uint32_t order_count;
};

struct play {
    struct runbook *rb;
    const struct runbook_test *test;
    struct play_verdict *verdict;
    struct trial *trial; /* NULL until it is made */
    VEC(struct played) workflows;
    VEC(struct str) reasons; /* why events started nothing */
    bool matched;
    uint32_t event_no; /* from 1, for the story */
};

/* Adds what differs from the expectations. */
void play_compare(struct play *p);

/* Adds a difference; the texts are copied. */
void play_differ(struct play *p, struct str what, struct str expected,
                 struct str got);

/* The id of a step, or its name. */
struct str play_step_name(const struct runbook *rb, uint32_t step_no);
