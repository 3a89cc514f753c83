#include "model/workflow.h"

#include <errno.h>

#include "base/attr.h"

#define TO(state) (1U << (state))

struct state {
    const char *name;
    uint32_t may; /* bits of the states that may come next; 0: final */
};

static const struct state workflow_states[WORKFLOW_STATUSES] = {
    [WORKFLOW_QUEUED] = {"queued", TO(WORKFLOW_RUNNING) | TO(WORKFLOW_FAILED) |
                                       TO(WORKFLOW_CANCELLED) |
                                       TO(WORKFLOW_KILLED) | TO(WORKFLOW_HELD)},
    [WORKFLOW_RUNNING] = {"running",
                          TO(WORKFLOW_WAITING) | TO(WORKFLOW_SUCCEEDED) |
                              TO(WORKFLOW_FAILED) | TO(WORKFLOW_CANCELLED) |
                              TO(WORKFLOW_KILLED) | TO(WORKFLOW_HELD)},
    [WORKFLOW_WAITING] = {"waiting",
                          TO(WORKFLOW_RUNNING) | TO(WORKFLOW_FAILED) |
                              TO(WORKFLOW_CANCELLED) | TO(WORKFLOW_KILLED) |
                              TO(WORKFLOW_HELD)},
    [WORKFLOW_SUCCEEDED] = {"succeeded", 0},
    [WORKFLOW_FAILED] = {"failed", 0},
    [WORKFLOW_CANCELLED] = {"cancelled", 0},
    [WORKFLOW_KILLED] = {"killed", 0},
    [WORKFLOW_HELD] = {"held", TO(WORKFLOW_RUNNING) | TO(WORKFLOW_FAILED) |
                                   TO(WORKFLOW_CANCELLED) |
                                   TO(WORKFLOW_KILLED)},
};

/* A report may overtake the word that the process has started, so every end
 * can follow STARTING; only a start can be refused. */
#define ATTEMPT_ENDS                                                           \
    (TO(ATTEMPT_SUCCEEDED) | TO(ATTEMPT_FAILED) | TO(ATTEMPT_TIMED_OUT) |      \
     TO(ATTEMPT_UNKNOWN) | TO(ATTEMPT_CANCELLED) | TO(ATTEMPT_PASSED))

static const struct state attempt_states[ATTEMPT_STATES] = {
    [ATTEMPT_STARTING] = {"starting", TO(ATTEMPT_RUNNING) |
                                          TO(ATTEMPT_REFUSED) | ATTEMPT_ENDS},
    [ATTEMPT_RUNNING] = {"running", ATTEMPT_ENDS},
    [ATTEMPT_SUCCEEDED] = {"succeeded", 0},
    [ATTEMPT_FAILED] = {"failed", 0},
    [ATTEMPT_TIMED_OUT] = {"timed_out", 0},
    [ATTEMPT_UNKNOWN] = {"unknown", 0},
    [ATTEMPT_CANCELLED] = {"cancelled", 0},
    [ATTEMPT_REFUSED] = {"refused", 0},
    [ATTEMPT_SKIPPED] = {"skipped", 0},
    [ATTEMPT_PASSED] = {"passed", 0},
};

static const char *const result_names[WORKFLOW_RESULTS] = {
    [RESULT_NONE] = "",
    [RESULT_VERIFIED] = "verified",
    [RESULT_UNVERIFIED] = "unverified",
    [RESULT_INEFFECTIVE] = "ineffective",
    [RESULT_DRY_RUN] = "dry_run",
    [RESULT_ESCALATED] = "escalated",
};

/* A row may also change without changing its state, unless that is final. */
static bool may(const struct state *states, unsigned from, unsigned to)
{
    return (states[from].may & TO(to)) != 0 ||
           (from == to && states[from].may != 0);
}

const char *workflow_status_name(enum workflow_status s)
{
    return workflow_states[s].name;
}

int workflow_status_parse(struct str text, enum workflow_status *ret)
{
    for (unsigned i = 0; i < WORKFLOW_STATUSES; i++) {
        if (str_eq_c(text, workflow_states[i].name)) {
            *ret = (enum workflow_status)i;
            return 0;
        }
    }
    return -EINVAL;
}

bool workflow_status_may(enum workflow_status from, enum workflow_status to)
{
    return may(workflow_states, from, to);
}

bool workflow_status_is_final(enum workflow_status s)
{
    return workflow_states[s].may == 0;
}

const char *workflow_result_name(enum workflow_result r)
{
    return result_names[r];
}

const char *attempt_state_name(enum attempt_state s)
{
    return attempt_states[s].name;
}

bool attempt_state_may(enum attempt_state from, enum attempt_state to)
{
    return may(attempt_states, from, to);
}

bool attempt_state_is_final(enum attempt_state s)
{
    return attempt_states[s].may == 0;
}

const char *workflow_stop_name(enum stop_request stop)
{
    switch (stop) {
    case STOP_CANCEL:
        return "cancel";
    case STOP_KILL:
        return "kill";
    case STOP_NONE:
        break;
    }
    return "";
}
