/*
 * What the engine is told: facts, and the configuration that one of them
 * brings. A fact and its strings are borrowed for the call of engine_step.
 * Pure data; see engine.h for what becomes of them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model/guards.h"
#include "model/record.h"
#include "model/runbook.h"

#define ENGINE_WORKERS_MAX 64

struct engine_config {
    uint32_t workers;        /* event workers, 1..ENGINE_WORKERS_MAX */
    uint32_t batch_size;     /* events per claim */
    uint32_t max_concurrent; /* running workflows, all runbooks together */
    /* Live workflows at which claims pause and requests are refused (those that
     * stand bring their batches); held ones are counted apart, up to as many */
    uint32_t max_live;
    uint32_t max_memories; /* keys that triggers remember */
    uint64_t workflow_timeout_ms;
    uint64_t stop_grace_ms;    /* TERM to KILL when stopping a step */
    uint64_t report_margin_ms; /* how late an executor's report may be */
    uint64_t held_timeout_ms;  /* how long a held workflow waits */
    struct guard_config guards;
};

#define ENGINE_CONFIG_DEFAULT                                                  \
    ((struct engine_config){.workers = 4,                                      \
                            .batch_size = 100,                                 \
                            .max_concurrent = 20,                              \
                            .max_live = 10000,                                 \
                            .workflow_timeout_ms = 600000,                     \
                            .stop_grace_ms = 10000,                            \
                            .report_margin_ms = 30000,                         \
                            .held_timeout_ms = 604800000 /* 7 d */,            \
                            .max_memories = 100000})

enum fact_kind {
    FACT_START,          /* restored everything: begin (once) */
    FACT_BATCH_MATCHED,  /* a worker has matched a claimed batch */
    FACT_BATCH_LOST,     /* a worker will never tell: give up its batch */
    FACT_RUN_REQUESTED,  /* a person or client asks for a workflow */
    FACT_STOP_REQUESTED, /* cancel or kill */
    FACT_EXECUTOR_UP,    /* connected to this life of the executor */
    FACT_EXECUTOR_DOWN,
    FACT_STEP_STARTED,  /* the executor told the pid */
    FACT_STEP_ENDED,    /* exit, time-out, refusal, loss */
    FACT_STEP_DEFERRED, /* not begun: the executor sees the kill switch on */
    FACT_TIME,          /* engine_next_deadline_ms has come */
    FACT_CONFIG,        /* another engine_config is in force */
    FACT_PAUSE,         /* stop or resume claiming events */
    FACT_HALT,          /* the kill switch: begin nothing, until it is off */
    FACT_CLOCK,         /* the wall clock was set */
    FACT_GUARD_RESET,   /* what guards remember is to be forgotten */
    FACT_DUE,           /* the trigger of what is due: see ENGINE_ACT_DUE */
    FACT_GENERATION,    /* other runbooks are in force */
    FACT_KINDS
};

/* A trigger that a claimed event starts. */
struct fact_match {
    struct runbook *runbook;
    uint32_t trigger_no;
    struct id workflow_id; /* minted by the runtime */
    struct str key;        /* trigger_key of the event */
    struct str subject;    /* trigger_subject, if the trigger watches */
    struct str parameters; /* JSON; meaningless when error is set */
    struct str error;      /* why it cannot start */
};

/* One that may not start, and why. */
struct fact_held {
    struct runbook *runbook;
    uint32_t trigger_no;
    enum hold kind;
    struct str why;  /* without the names, */
    struct str told; /* and with them */
};

/* A trigger that watches, and for which a claimed event ends what others
 * began. */
struct fact_end {
    struct runbook *runbook;
    uint32_t trigger_no;
    struct str subject;
};

/* A trigger for which something can be absent without any event before. */
struct fact_absent {
    struct runbook *runbook;
    uint32_t trigger_no;
};

struct fact_event {
    uint64_t seq, received_ms;
    struct id id;
    struct str alert;   /* its fingerprint */
    uint64_t starts_ms; /* since when it fires, as it says; 0: unsaid */
    uint64_t over_ms;   /* when it is over unless it is told again */
    const struct fact_match *matches;
    uint32_t match_count;
    const struct fact_end *ends;
    uint32_t end_count;
    struct str error;  /* matching failed: the event will be retried */
    struct str remark; /* of conditions without a value; "" if none */
    const struct fact_held *held; /* what may not run */
    uint32_t held_count;
};

/* Where another workflow of the same runbook version is taken up. */
struct fact_resume {
    uint32_t step_no; /* a step of `steps` */
    /* What it has done before that: the newest attempts, all final, at most one
     * of a step. They become attempts of the new workflow. */
    const struct attempt_row *attempts;
    uint32_t count;
};

struct fact {
    enum fact_kind kind;
    uint64_t now_ms;  /* epoch; less than in an earlier fact: taken for that
                         one, except with FACT_CLOCK */
    uint64_t entropy; /* for jitter */
    union {
        /* START: why what was restored may be out of date (it comes from a
         * backup), so that everything unfinished is held for an operator; ""
         * when it is what the last engine left. */
        struct str doubt;
        struct {
            uint32_t worker;
            uint64_t claim;
            const struct fact_event *events;
            uint32_t count;
            struct str commit; /* of the generation matched against, */
            struct str digest; /* and of its runbooks */
        } batch;               /* LOST: the events that it had matched */
        struct {
            struct runbook *runbook;
            struct str commit;
            struct id workflow_id;
            struct str parameters; /* checked, complete */
            struct str requested_by;
            bool dry_run;
            /* Kept with the workflow, so that asking again starts nothing;
             * `made` is filled in. NULL: the request had no key. */
            const struct record_request *request;
            const struct fact_resume *resume; /* NULL: from the beginning */
            /* The trail's row: action, and after as JSON; the rest is filled
             * in. No action: no row; a dry run leaves none in any case. */
            struct audit_row audit;
            void *reply; /* comes back in ACTION_REPLY */
        } run;
        struct {
            struct id workflow_id;
            enum stop_request how;
            struct str requested_by;
            struct str audit; /* action of the row that it leaves if it
                                 changes anything; "": none */
            void *reply;
        } stop;
        struct {
            struct str runbook; /* its path */
            struct str trigger; /* its name; "": all, and the breaker */
            struct str key;     /* of the trigger, unless any_key */
            bool any_key;
            struct str requested_by;
            struct str audit; /* action of the row that it leaves if there was
                                 anything; "": none */
            void *reply;
        } reset;
        struct {
            struct id executor;
        } executor;
        struct {
            struct attempt_key key;
            struct id executor;
            uint32_t pid;
            uint64_t started_ms;
        } started;
        struct {
            struct attempt_key key;
            struct id executor;
            struct str why;
        } deferred;
        struct {
            struct attempt_row row; /* final state and what is known */
        } ended;
        struct {
            struct str runbook_path, trigger, key;
            struct runbook *runbook; /* NULL: there is none any more, */
            uint32_t trigger_no;     /* or none of its triggers is it */
            struct str commit;
            struct id workflow_id;
            struct str parameters; /* checked, complete, */
            struct str error;      /* or why there are none */
            struct str held_back;  /* why it may not run; "" it may */
        } due;
        struct {
            const struct fact_absent *absent;
            uint32_t count;
        } generation;
        struct engine_config config;
        bool pause;
        struct {
            bool on;
            uint64_t since_ms; /* 0: now */
        } halt;
        int64_t clock_shift_ms; /* CLOCK: how far it jumped */
    };
};
