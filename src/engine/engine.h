/*
 * THE CORE. A deterministic state machine: facts in, records and actions out.
 *
 *   engine_step(engine, fact) -> records + actions
 *
 * The runtime commits the records, then performs the actions. Time,
 * randomness and ids come with facts: nothing here reads a clock, a file or a
 * generator, and the same facts give the same hash.
 *
 * What it decides: which workers claim events, which workflows start (limits
 * of triggers; global and per-runbook concurrency, first come first served),
 * which step runs when, retries with backoff, time limits, cancel, kill, what
 * an unknown outcome means. Its memory is the set of workflows that are not
 * final and what triggers remember; it equals what loading the store would
 * give (I8).
 *
 * Ownership: the engine holds a reference to the pinned runbook of each live
 * workflow. Facts and their strings are borrowed for the call. Effects own
 * their strings (arena). One thread: whoever runs the runtime.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/vec.h"
#include "model/record.h"
#include "model/runbook.h"

struct engine;

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

/* ---- facts -------------------------------------------------------------- */

enum fact_kind {
    FACT_START,          /* restored everything: begin (once) */
    FACT_BATCH_MATCHED,  /* a worker has matched a claimed batch */
    FACT_BATCH_LOST,     /* a worker will never tell: give up its batch */
    FACT_RUN_REQUESTED,  /* a person or client asks for a workflow */
    FACT_STOP_REQUESTED, /* cancel or kill */
    FACT_EXECUTOR_UP,    /* connected to this life of the executor */
    FACT_EXECUTOR_DOWN,
    FACT_STEP_STARTED, /* the executor told the pid */
    FACT_STEP_ENDED,   /* exit, time-out, refusal, loss */
    FACT_TIME,         /* engine_next_deadline_ms has come */
    FACT_CONFIG,       /* another engine_config is in force */
    FACT_PAUSE,        /* stop or resume claiming events */
    FACT_HALT,         /* the kill switch: begin nothing, until it is off */
    FACT_CLOCK,        /* the wall clock was set */
    FACT_KINDS
};

/* A trigger that a claimed event starts. */
struct fact_match {
    struct runbook *runbook;
    uint32_t trigger_no;
    struct id workflow_id; /* minted by the runtime */
    struct str key;        /* trigger_key of the event */
    struct str parameters; /* JSON; meaningless when error is set */
    struct str error;      /* why it cannot start */
};

struct fact_event {
    uint64_t seq, received_ms;
    struct id id;
    const struct fact_match *matches;
    uint32_t match_count;
    struct str error;     /* matching failed: the event will be retried */
    struct str remark;    /* of conditions without a value; "" if none */
    struct str held_back; /* what may not run, and why; "" if nothing */
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
            struct str commit; /* of the generation matched against */
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
            struct id executor;
        } executor;
        struct {
            struct attempt_key key;
            struct id executor;
            uint32_t pid;
            uint64_t started_ms;
        } started;
        struct {
            struct attempt_row row; /* final state and what is known */
        } ended;
        struct engine_config config;
        bool pause, halt;
        int64_t clock_shift_ms; /* CLOCK: how far it jumped */
    };
};

/* ---- effects ------------------------------------------------------------ */

enum action_kind {
    ENGINE_ACT_CLAIM,  /* have worker claim up to limit events and match them */
    ENGINE_ACT_START,  /* ask the executor to run (or re-attach to) a step */
    ENGINE_ACT_STOP,   /* ask the executor to end a step's processes */
    ENGINE_ACT_FORGET, /* the outcome is durable: the executor may drop it */
    ENGINE_ACT_REPLY,  /* answer a request */
    ENGINE_ACT_KINDS
};

struct action {
    enum action_kind kind;
    union {
        struct {
            uint32_t worker;
            uint32_t limit;
        } claim;
        struct {
            struct attempt_key key;
            struct id executor; /* the life meant; another one must refuse */
            struct runbook *runbook; /* a reference of the effects */
            struct str parameters;
            uint64_t timeout_ms;
            uint64_t grace_ms;
        } start;
        struct {
            struct attempt_key key;
            bool kill; /* at once; else TERM, then KILL after grace_ms */
            uint64_t grace_ms;
        } stop;
        struct {
            struct attempt_key key;
        } forget;
        struct {
            void *reply;
            /* RUN: 0, or -EAGAIN (max_live reached). STOP: 0, or -ENOENT: not
             * live; by the time of the reply the store tells whether it has
             * ended or never was. */
            int result;
            struct id workflow_id;
            enum workflow_status status; /* after the request, if result 0 */
        } reply;
    };
};

struct effects {
    VEC(struct record) records;
    VEC(struct action) actions;
    struct arena arena; /* strings of both */
};

/* Reset and deinit also drop the runbook references of ENGINE_ACT_START. A
 * struct effects may be moved, not copied. */
void effects_init(struct effects *fx);
void effects_reset(struct effects *fx);
void effects_deinit(struct effects *fx);

/* The row, its strings copied into the arena of the effects. */
struct workflow_row effects_row(struct effects *fx,
                                const struct workflow_row *row);

/* ---- the machine -------------------------------------------------------- */

struct engine *engine_new(const struct engine_config *config);
void engine_free(struct engine *e);

/* Loading, before FACT_START: a workflow that is not final, with the row of
 * its newest attempt of the current step (NULL if that step has none yet), in
 * order of creation; takes a reference on the runbook. */
void engine_restore(struct engine *e, const struct workflow_row *row,
                    struct runbook *rb, const struct attempt_row *attempt);
/* The same for what a trigger remembers of a key; in any order. */
void engine_restore_memory(struct engine *e, const struct memory_row *row);

/* Takes one fact; appends to *fx. Facts that quote a superseded attempt or a
 * workflow that is final change nothing (a late report is answered with
 * ENGINE_ACT_FORGET). Never fails: bad requests are replies. */
void engine_step(struct engine *e, const struct fact *fact, struct effects *fx);

/* When FACT_TIME is next due; UINT64_MAX: never. */
uint64_t engine_next_deadline_ms(const struct engine *e);

/* A hash of all that must survive a restart: workflows, attempts, memories. */
uint64_t engine_hash(const struct engine *e);

/* Live numbers for metrics and status. */
struct engine_counts {
    uint32_t live;
    uint32_t queued;
    uint32_t running; /* RUNNING and WAITING: they hold a place */
    uint32_t held;
    uint32_t workers_claiming; /* wait for events or match a batch */
    uint32_t workers_resting;  /* paused, or too much is live */
    uint32_t memories;
    uint64_t memories_refused; /* starts held back at max_memories */
};

struct engine_counts engine_count(const struct engine *e);

/* Checks I3, I4, I7 and the limits (I6) over the whole state; aborts on a
 * violation. For tests and the simulator: O(live). */
void engine_check(const struct engine *e);
