/*
 * A workflow is one run of a runbook; a step attempt is one try of one step.
 * These are their durable rows: the engine holds the same in memory (I8), the
 * store keeps them, the API shows them. States and legal transitions are
 * tables in workflow.c. The numbers are stored: never renumber. Pure; any
 * thread; strings are borrowed (the owner is named where rows are produced).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/str.h"

enum workflow_status {
    WORKFLOW_QUEUED = 0,  /* waits for a free place (concurrency) */
    WORKFLOW_RUNNING = 1, /* a step is being tried, or is about to be */
    WORKFLOW_WAITING = 2, /* for wake_ms: a retry's backoff */
    WORKFLOW_SUCCEEDED = 3,
    WORKFLOW_FAILED = 4,
    WORKFLOW_CANCELLED = 5,
    WORKFLOW_KILLED = 6,
    WORKFLOW_HELD = 7, /* a step's outcome is unknown: an operator decides */
    WORKFLOW_STATUSES
};

/* "queued", "running", ... as in the API. */
const char *workflow_status_name(enum workflow_status s);
NODISCARD int workflow_status_parse(struct str text, enum workflow_status *ret);

/* I3: may a row with status `from` be changed into one with `to`? A live row
 * may keep its status while the rest of it changes; a final one never changes
 * again. */
bool workflow_status_may(enum workflow_status from, enum workflow_status to);
bool workflow_status_is_final(enum workflow_status s);

enum workflow_result {
    RESULT_NONE = 0,
    RESULT_VERIFIED = 1,
    RESULT_UNVERIFIED = 2,
    RESULT_INEFFECTIVE = 3,
    RESULT_DRY_RUN = 4,
    RESULT_ESCALATED = 5, /* nothing ran: people are told why */
    WORKFLOW_RESULTS
};

const char *workflow_result_name(enum workflow_result r); /* "" for none */

/* What an operator asked of a live workflow. Only ever rises. */
enum stop_request { STOP_NONE = 0, STOP_CANCEL = 1, STOP_KILL = 2 };

/* "cancel", "kill" or "" for none. */
const char *workflow_stop_name(enum stop_request stop);

struct runbook_hash {
    uint8_t bytes[32]; /* SHA-256 of the file's bytes */
};

/* Defaults that the configuration gives to steps. A workflow keeps those that
 * its runbook was loaded with, as it keeps the text: a configuration that has
 * changed is for later workflows. */
struct runbook_defaults {
    uint64_t step_timeout_ms;
    uint32_t retry_attempts; /* for `retry:` without `attempts:`, and for
                                steps that say `idempotent: true` */
    bool unknown_keys_warn;  /* an unknown key is a warning, not an error; not
                                stored: what has started is good enough */
};

#define RUNBOOK_DEFAULTS                                                       \
    ((struct runbook_defaults){.step_timeout_ms = 60000, .retry_attempts = 3})

struct workflow_row {
    /* fixed at creation */
    struct id id;
    struct str runbook_path; /* "remediation/restart-service.yaml" */
    struct str runbook_name;
    struct runbook_hash runbook_hash;
    struct str runbook_commit; /* git commit of the repository, "" if none */
    struct id event_id;        /* ID_NULL when started by hand */
    uint32_t trigger_no;       /* which trigger of the runbook matched */
    struct str subject;        /* of the event, under a trigger that watches
                                  (model/trigger_watch.h); else "" */
    struct str parameters;     /* JSON object text, typed values */
    struct str requested_by;   /* "trigger", "uid:0", "token:ci" */
    bool dry_run;
    uint64_t created_ms;
    struct runbook_defaults defaults;
    /* changes */
    enum workflow_status status;
    enum workflow_result result;
    enum stop_request stop;
    struct str stopped_by; /* who asked for the stop, "" if nobody */
    uint32_t step_no;      /* index of the current step, 0-based */
    uint64_t started_ms;   /* 0: not yet */
    uint64_t finished_ms;  /* 0: not yet */
    uint64_t wake_ms;      /* 0: none; set exactly when WAITING */
    uint64_t deadline_ms;  /* 0 only in final states and QUEUED */
    struct str error;      /* "" if none: one sentence */
    uint64_t rev;          /* raised by every change; fences late writers */
};

/* A step attempt's life. Numbers are stored. */
enum attempt_state {
    ATTEMPT_STARTING = 0, /* the intent is durable; the process may exist */
    ATTEMPT_RUNNING = 1,  /* the executor has told its pid */
    ATTEMPT_SUCCEEDED = 2,
    ATTEMPT_FAILED = 3,    /* exit status not 0, or death by a signal */
    ATTEMPT_TIMED_OUT = 4, /* stopped by its own time limit */
    ATTEMPT_UNKNOWN = 5,   /* the executor that ran it is gone */
    ATTEMPT_CANCELLED = 6, /* stopped because the workflow was */
    ATTEMPT_REFUSED = 7,   /* the executor would not or could not start it */
    ATTEMPT_SKIPPED = 8,   /* never asked for: there was nothing to be done */
    ATTEMPT_PASSED = 9,    /* a probe of `verify` held: one of several */
    ATTEMPT_STATES
};

/* "starting", "timed_out", ... as in the API. */
const char *attempt_state_name(enum attempt_state s);

/* I3, as workflow_status_may. SKIPPED attempts are born so. UNKNOWN is final:
 * what comes after it is another attempt, or an operator's decision. */
bool attempt_state_may(enum attempt_state from, enum attempt_state to);
bool attempt_state_is_final(enum attempt_state s);

/* What a step has computed for later steps, as JSON text. */
#define ATTEMPT_OUTPUTS_MAX_BYTES (64UL * 1024)

struct attempt_key {
    struct id workflow_id;
    uint32_t step_no; /* 0-based */
    uint32_t attempt; /* 1-based */
};

struct attempt_row {
    struct attempt_key key;
    enum attempt_state state;
    struct id executor; /* which life of the executor was asked */
    uint32_t pid;       /* 0: not known */
    uint64_t requested_ms;
    uint64_t started_ms;
    uint64_t finished_ms;
    int32_t exit_code;     /* -1: none */
    int32_t term_signal;   /* 0: none */
    uint64_t output_bytes; /* written by the step, kept or not */
    bool output_truncated; /* some of it was not kept */
    uint32_t survivors;    /* processes that outlived the main one, or TERM */
    bool maybe_alive;      /* UNKNOWN: something that it started may still run.
                              In reports only, not stored */
    struct str error;      /* "" if none */
    struct str outputs;    /* a JSON object, at most the above; "" if none */
};

/* A piece of a step's output as it came, for /logs. Chunks of one attempt are
 * numbered by their offset in the kept output. */
enum output_stream { OUTPUT_STDOUT = 1, OUTPUT_STDERR = 2 };

struct output_chunk {
    uint64_t seq; /* order of storing; set by readers, else 0 */
    struct attempt_key key;
    uint64_t offset;
    enum output_stream stream;
    uint64_t at_ms;
    struct str data; /* raw bytes */
};
