/*
 * Inside the executor: the state that its files share. One thread.
 *
 *   executor.c  start, stop, signals       link.c      the engine's connection
 *   attempts.c  messages about attempts    run.c       one attempt's life
 *   tree.c      all processes of a step    versions.c  runbooks by hash
 *   group.c     control groups             folder.c    where steps run
 *   spool.c     outcomes that outlive us   trust.c     who wrote a runbook
 *   guard.c     the process that outlives us
 *   run_plan.c  what a start needs before there is a process
 *   bindings.c  which workflow began with which version
 *   permit.c    whom a step may run as
 */
#pragma once

#include <sys/resource.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/map.h"
#include "base/vec.h"
#include "proc/executor.h"
#include "proc/guard_priv.h"
#include "proc/output.h"
#include "proc/place_priv.h"
#include "proc/redact.h"
#include "proc/trust.h"
#include "repo/repo.h"
#include "wire/exec_proto.h"

/* "wf-….STEP.ATTEMPT", and NUL */
#define ATTEMPT_NAME_SIZE 64

/* The environment entry by which leftovers of a crash are found. */
#define EXECUTOR_MARK "ADP_EXECUTOR="

struct executor;

/* ---- run.c ------------------------------------------------------------------
 */

enum run_phase {
    RUN_RUNNING,  /* the main process lives */
    RUN_STOPPING, /* TERM was sent, the grace runs */
    RUN_KILLING,  /* KILL was sent, until the tree is empty */
    RUN_ENDED     /* row is final */
};

struct run {
    struct executor *x;
    struct attempt_key key;
    char name[ATTEMPT_NAME_SIZE];
    char mark[ATTEMPT_NAME_SIZE + 16];
    enum run_phase phase;
    struct attempt_row row;
    char *error; /* these are behind the row's strings */
    char *outputs;
    struct told *telling; /* for its outputs; NULL: it has none */
    struct output output;
    struct redactor redactor; /* of the step's secrets */
    struct redact_stream redacted[OUTPUT_STDERR + 1]; /* by stream */
    struct tree tree;
    bool has_tree;
    bool exited;    /* the main process has been reaped */
    bool cancelled; /* STOP came */
    bool timed_out;
    bool interrupted; /* by our own end */
    bool wrote_too_much;
    uint64_t cpu_ms;           /* that main and those it waited for have used */
    struct step_limits limits; /* in force when it began */
    bool told;                 /* that KILL does not end it */
    bool hangs;     /* and has been given up: it keeps its tree, folder and
                       place until that is empty */
    bool forgotten; /* FORGET came while it hung */
    bool last_step; /* the workflow is over when it succeeds */
    uint64_t grace_ms;
    uint64_t kill_at_ms; /* monotonic: when the grace is over */
    uint64_t killed_ms;  /* monotonic: when KILL was sent first */
    sd_event_source *out;
    sd_event_source *err;
    sd_event_source *timer;
    uint32_t polls; /* looks at an emptying tree */
    struct folder folder;
    bool spooled;        /* a file of the spool holds it */
    uint64_t kept_bytes; /* its part of the executor's */
    /* what the connected engine has been told */
    bool attached;
    bool started_sent;
    bool ended_sent;
    struct output_cursor cursor;
};

/* Starts the step that START asks for; refusals end the run at once. */
void run_start(struct run *r, const struct exec_message *m);

/* Asks the processes to end, or ends them at once. */
void run_stop(struct run *r, bool kill, uint64_t grace_ms);

/* Ends the run with a state that no process is behind. */
void run_conclude(struct run *r, enum attempt_state state, const char *error);

/* The main process has been reaped, having used so much. */
void run_exited(struct run *r, const siginfo_t *info,
                const struct rusage *usage);
void run_free(struct run *r);

/* ---- told.c ----------------------------------------------------------------
 */

/* The step is about to start; after that, what it wrote, without secrets. */
void told_begin(struct run *r, struct runbook *rb);
void told_add(struct run *r, enum output_stream stream, struct str text);

/* The attempt has ended so: evaluates the outputs, into the row. False: it has
 * succeeded, but for an output without a value. */
NODISCARD bool told_end(struct run *r, enum attempt_state state,
                        struct err *reterr);
void told_free(struct run *r);

/* ---- attempts.c -------------------------------------------------------------
 */

void attempts_take(struct executor *x, const struct exec_message *m);

/* Tells the engine what it has not been told, as far as the socket takes it. */
void attempts_pump(struct executor *x);
void attempts_pump_one(struct run *r);

/* A new engine: kept outcomes are told at once, the rest when asked. */
void attempts_attach(struct executor *x);
/* "wf-….STEP.ATTEMPT": also the name of its file in the spool. */
void attempts_name(const struct attempt_key *key, char out[ATTEMPT_NAME_SIZE]);
struct run *attempts_new(struct executor *x, const struct attempt_key *key);

/* Nobody asks for it any more: it is freed. */
void attempts_drop(struct run *r);

/* Its output is complete: counts it as kept until the run is freed. */
void attempts_count(struct run *r);
struct run *attempts_by_pid(struct executor *x, pid_t pid);

/* ---- link.c -----------------------------------------------------------------
 */

struct link;

NODISCARD int link_open(struct executor *x, struct err *reterr);
void link_close(struct executor *x);
bool link_is_up(const struct executor *x);

/* May an engine of another user than ours connect? */
bool link_serves_others(const struct executor *x);

/* Queues a message. False: the queue is full, try again when link calls
 * attempts_pump. Other messages than output are queued regardless; while the
 * queue is full nothing more is read, so each of them is the last. */
bool link_send(struct executor *x, const struct exec_message *m);

/* Asks for the configuration again (executor_options.refresh). */
void link_refresh_options(struct executor *x);

/* ---- trust.c ----------------------------------------------------------------
 */

/* trust_look at our repository. An executor that serves nobody but its own
 * user trusts whatever that user could read. */
NODISCARD int trust_check(const struct executor *x, struct str path,
                          struct trust *ret, struct err *reterr);

/* ---- versions.c -------------------------------------------------------------
 */

struct versions;

NODISCARD int versions_open(struct executor *x, struct err *reterr);
void versions_close(struct executor *x);

/* Makes sure that we keep our own copy of this version: read from the
 * repository by ourselves if we have none. Fails as well when a step of it
 * would be refused. */
NODISCARD int versions_pin(struct executor *x, struct str path,
                           const struct runbook_hash *hash, struct err *reterr);

/* The runbook of that version: a reference, and who could have written it. */
struct version {
    struct runbook *runbook;
    struct trust trust;
    bool withdrawn;   /* the repository has it no more */
    uint64_t gone_ms; /* epoch: since then */
};

NODISCARD int versions_get(struct executor *x, struct str path,
                           const struct runbook_hash *hash, struct version *ret,
                           struct err *reterr);

/* ---- bindings.c -------------------------------------------------------------
 */

struct bindings;

NODISCARD int bindings_open(struct executor *x, struct err *reterr);
void bindings_close(struct executor *x);

/* May this workflow run a step of that version? One that has been withdrawn
 * goes on only for workflows that began with it, with the same parameters, or
 * that wait since before it went. What may is noted for its next steps. */
NODISCARD int bindings_take(struct executor *x,
                            const struct exec_message *start,
                            const struct version *version, struct err *reterr);

/* The workflow has no more steps. */
void bindings_end(struct executor *x, struct id workflow);

/* ---- spool.c ----------------------------------------------------------------
 */

/* Loads the outcomes that an earlier life wrote at its end. */
void spool_load(struct executor *x);

/* Writes every outcome that nobody has collected yet. */
void spool_save(struct executor *x);
void spool_forget(struct executor *x, struct run *r);

/* ---- the executor
 * ------------------------------------------------------------ */

struct executor {
    struct executor_options options;
    struct id id;  /* of this life */
    char mark[64]; /* EXECUTOR_MARK and a number made of the spool's path */
    sd_event *event;
    struct repo *repo;
    struct versions *versions;
    struct bindings *bindings;
    struct link *link;
    struct map runs;  /* key bytes -> struct run */
    uint32_t running; /* those that hang included */
    uint32_t hanging;
    uint64_t refreshed_ms; /* monotonic: when the options were read again
                              because there was no place */
    uint64_t kept_bytes;   /* output of runs that have ended */
    struct group_pool groups;
    struct folder_pool folders;
    int spool; /* folders */
    int outcomes;
    int work;
    sd_event_source *idle;
    struct guard guard;
    bool ending;
};

/* Something began or ended: is it time to leave? */
void executor_settle(struct executor *x);
