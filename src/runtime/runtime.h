/*
 * The runtime drives the engine: collects facts, steps the engine, has the
 * records committed, and performs the actions when, and only when, the commit
 * is durable (I9). It knows the world only through ports, so the daemon and
 * the simulator run the very same code. Facts are taken in the order in which
 * they are posted; commits are submitted in order and finish in order.
 *
 * One thread: the one that calls runtime_*. Completions from other threads
 * are posted to it by the port's owner (the daemon's mailbox, or the
 * simulator's world).
 */
#pragma once

#include <stdatomic.h>

#include "base/err.h"
#include "base/list.h"
#include "engine/engine.h"
#include "loop/mailbox.h"
#include "loop/pool.h"
#include "match/generation.h"
#include "model/runbook_load.h"
#include "runtime/controls.h"
#include "runtime/due.h"
#include "store/reader.h"
#include "store/store.h"
#include "wire/exec_proto.h"

struct runtime;

/* Every operation that the runtime submits stands in one of these, so that the
 * daemon can post its completion to the runtime's thread. */
struct runtime_op {
    struct store_op op;
    struct mail mail;
};

/* The job of matching one claimed batch: pure, may run on another thread. */
struct match_job {
    uint32_t worker;
    struct arena arena;            /* holds everything below */
    struct runtime_op claim;       /* the claim that gave the events */
    struct generation *generation; /* a reference */
    struct controls *controls;     /* a reference, or NULL */
    struct match_input input;      /* now_ms; zones are its owner's */
    struct fact_event *events;     /* filled by match_job_run */
    struct fact_match **matches;   /* per event; the ids come later */
    _Atomic(uint32_t) matched;     /* so many of the events are done */
    /* Called after each of them, on the thread that matches; NULL: nobody
     * wants to know. */
    void (*progress)(struct match_job *job);
    _Atomic(uint64_t) progress_us; /* its owner's: monotonic */
    struct pool_job pool_job;      /* the daemon's worker pool */
    struct mail mail;              /* on the way back */
    struct runtime *runtime;
};

/* Matches the batch (ids of workflows are minted later, by the runtime). */
void match_job_run(struct match_job *job);

struct runtime_ports {
    void *context;
    uint64_t (*now_ms)(void *context);
    /* Time that has passed since whenever: no clock that is ever set. */
    uint64_t (*elapsed_ms)(void *context);
    void (*random)(void *context, void *buf, size_t len);
    /* Hand over an operation. The owner must later have runtime_op_done
     * called on the runtime's thread, in order of submission for APPLY. */
    void (*submit)(void *context, struct store_op *op);
    /* Match the job's batch, then runtime_job_done on the runtime's thread. */
    void (*match)(void *context, struct match_job *job);
    /* Send to the executor; dropped when there is none. */
    void (*execute)(void *context, const struct exec_message *m);
    /* The same for a START, whose parameters are as they are stored: secrets
     * sealed. NULL: execute does it. */
    void (*start)(void *context, const struct runbook *rb,
                  const struct exec_message *m);
    /* Call runtime_tick at or soon after this time; UINT64_MAX: not at all. */
    void (*wake)(void *context, uint64_t at_ms);
    /* The answer to a request; called once per request. */
    void (*reply)(void *context, void *token, int result, struct id workflow,
                  enum workflow_status status);
    /* May add records to those that are about to be committed; NULL: none. */
    void (*enrich)(void *context, struct effects *fx);
    /* Records that have just become durable, for live views and metrics. */
    void (*committed)(void *context, const struct record *records,
                      size_t count);
    /* The store failed: stop acknowledging, end the process. */
    void (*fatal)(void *context, int errnum);
};

struct runtime *runtime_new(const struct runtime_ports *ports,
                            const struct engine_config *config,
                            uint32_t max_attempts);

/* Live workflows whose pinned runbook version does not load: they have failed,
 * which is their record. */
struct runtime_unloadable {
    uint32_t count;
    struct id first; /* one of them, */
    struct err why;  /* and the reason */
};

/* The only start-up path: loads every live workflow through the reader, then
 * starts. Negative: the store cannot be read. */
NODISCARD int runtime_recover(struct runtime *rt, struct reader *reader,
                              struct runtime_unloadable *ret_unloadable,
                              struct err *reterr);

/* Before recovering: why what the store holds may be out of date. Everything
 * unfinished is held then (engine.h, FACT_START). */
void runtime_doubt(struct runtime *rt, struct str why);

void runtime_free(struct runtime *rt);

/* To be called when RECORD_WORKFLOW_DROP is submitted: the runbook versions
 * that the store knew may go with their last workflow, and are pinned again
 * before the next one. */
void runtime_forget_pins(struct runtime *rt);

/* Puts another generation in force; takes the reference. Its runbooks are
 * pinned in the store before the first workflow of them starts. */
void runtime_set_generation(struct runtime *rt, struct generation *g);

/* Has the executor answered for every runbook of the generation? True as well
 * when there is no executor to answer. */
bool runtime_exec_pins_settled(const struct runtime *rt);

/* What operators have set, for batches from now on; takes the reference. */
void runtime_set_controls(struct runtime *rt, struct controls *c);

/* Facts from outside. Strings are borrowed for the call. */
struct runtime_run_request {
    struct runbook *runbook;
    struct str commit;     /* of the generation it came from */
    struct str parameters; /* complete: params_check; secrets sealed */
    struct str requested_by;
    bool dry_run;
    const struct record_request
        *request; /* this and the next two: as in the fact */
    const struct fact_resume *resume;
    struct audit_row audit;
    void *reply; /* comes back through ports.reply */
};

void runtime_request_run(struct runtime *rt,
                         const struct runtime_run_request *request);
void runtime_request_stop(struct runtime *rt, struct id workflow,
                          enum stop_request how, struct str requested_by,
                          struct str audit, void *reply);

/* Has what guards and triggers remember of a runbook forgotten; trigger "": all
 * of it. The reply's result is how many memories that were. */
struct runtime_reset {
    struct str runbook;
    struct str trigger;
    struct str key;
    bool any_key;
    struct str requested_by;
    struct str audit; /* action of its row; "": none */
    void *reply;
};
void runtime_reset_guards(struct runtime *rt,
                          const struct runtime_reset *request);
void runtime_executor_message(struct runtime *rt,
                              const struct exec_message *m); /* NULL: down */
void runtime_set_config(struct runtime *rt, const struct engine_config *c);
void runtime_tick(struct runtime *rt);

/* Stops (or resumes) claiming events; batches under way are finished. */
void runtime_pause(struct runtime *rt, bool pause);

/* The kill switch: no claim, no workflow and no step begins while it is on.
 * Also before runtime_recover(), with which the rest would begin. since_ms is
 * when it was put on, perhaps in another life; 0: nobody knows. */
void runtime_switch(struct runtime *rt, bool on, uint64_t since_ms);

/* From now on nothing is taken, committed or done: completions only give
 * back what they hold. For the end of the process. */
void runtime_halt(struct runtime *rt);

/* Completions. */
void runtime_op_done(struct runtime *rt, struct store_op *op);
void runtime_job_done(struct runtime *rt, struct match_job *job);

/* The worker makes no progress: what it has matched is taken, the rest of the
 * claim is given up. Returns how many events were matched. Should the job come
 * after all, drop it. */
uint32_t runtime_batch_lost(struct runtime *rt, struct match_job *job);
void runtime_job_drop(struct match_job *job);

/* True when nothing waits for a commit: safe to close the store. */
bool runtime_is_quiet(const struct runtime *rt);

const struct engine *runtime_engine(const struct runtime *rt);
