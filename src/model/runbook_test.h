/*
 * What `tests:` of a runbook holds: events (or parameters, for a run by hand),
 * what steps are to answer, and what is expected to come of it. The engine
 * checks them when it loads a runbook and then ignores them. They live in the
 * runbook's arena. Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "model/event.h"
#include "model/workflow.h"

#define RUNBOOK_MAX_TESTS 100
#define RUNBOOK_MAX_TEST_EVENTS 200
#define RUNBOOK_MAX_TEST_TIMES 20 /* outcomes of one mock */
#define RUNBOOK_TEST_AT_MAX_MS (400ULL * 86400 * 1000)
#define RUNBOOK_TEST_LIST_MAX 200      /* entries of `ran` and the like */
#define RUNBOOK_TEST_ATTEMPTS_MAX 1000 /* expected of a step */

/* 2026-01-05T12:00:00Z, a Monday: when tests begin unless told otherwise. */
#define RUNBOOK_TEST_NOW_MS 1767614400000ULL
/* How long a step takes that has no mock, or one that does not say. */
#define RUNBOOK_TEST_STEP_MS 1000

/* Anything will do: nothing is expected of this number. */
#define RUNBOOK_TEST_ANY UINT32_MAX

struct test_event {
    uint64_t at_ms;     /* since the test began */
    struct event event; /* without id, seq and received_ms */
};

/* What one attempt of a step does. */
struct test_outcome {
    uint32_t exit_code;
    struct str out; /* standard output and error */
    struct str err;
    uint64_t after_ms;
    bool hangs; /* until its time is over or somebody stops it */
};

struct test_mock {
    uint32_t step_no;
    struct test_outcome *outcomes; /* one for each attempt; the last goes on */
    uint32_t count;
};

/* A list of texts expected of a step, or NAME=VALUE pairs. */
struct test_value {
    struct str name;
    struct str text;
    bool absent; /* it has no value */
};

struct test_values {
    uint32_t step_no;
    struct test_value *values;
    uint32_t count;
};

struct test_steps {
    bool given;
    uint32_t *steps; /* their numbers */
    uint32_t count;
};

enum test_matched { TEST_MATCHED_ANY, TEST_MATCHED_YES, TEST_MATCHED_NO };

struct test_count {
    uint32_t step_no;
    uint32_t count;
};

/* Of the workflow that was started last, but for the first two. */
struct test_expect {
    enum test_matched matched; /* did a trigger fit an event? */
    uint32_t started;          /* workflows, RUNBOOK_TEST_ANY */
    struct str held_back;      /* part of why an event started nothing */
    struct test_steps ran;     /* in the order of their first attempts */
    struct test_steps skipped;
    enum workflow_status status; /* WORKFLOW_STATUSES: any */
    enum workflow_result result; /* WORKFLOW_RESULTS: any */
    struct str error;            /* part of it */
    struct test_values parameters;
    struct test_values *argv;
    uint32_t argv_count;
    struct test_values *env;
    uint32_t env_count;
    struct test_count *attempts;
    uint32_t attempt_count;
};

struct runbook_test {
    struct str name;
    struct place at;
    uint64_t now_ms;   /* when it begins */
    uint64_t until_ms; /* how much later it is looked at; 0: when all is over */
    struct test_event *events;
    uint32_t event_count;
    struct str parameters; /* of a run by hand, complete JSON; "" if none */
    struct test_mock *mocks;
    uint32_t mock_count;
    struct test_expect expect;
};
