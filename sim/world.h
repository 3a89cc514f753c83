/*
 * The deterministic world: one clock, one queue of happenings, one store, one
 * daemon that may die at any boundary, one executor that outlives it, clients
 * that ask again until they are answered. The engine, the runtime, the memory
 * driver, the runbook loader, the matcher and the executor's wire format are
 * the real ones; everything else is played.
 *
 * Chance comes from one seed, so a world can be played again exactly. After
 * every happening check.c looks at everything.
 *
 * A boundary is a point where the daemon can die: before a commit, inside it,
 * after it but before anybody is told, between two completions, before each
 * message that leaves the process, and after each happening.
 */
#pragma once

#include "base/heap.h"
#include "base/list.h"
#include "base/prng.h"
#include "runtime/retention.h"
#include "runtime/runtime.h"
#include "sim/scenario.h"
#include "store/committer.h"
#include "store/memory.h"

#define WORLD_EPOCH_MS UINT64_C(1700000000000)

struct world;
struct happening;
typedef void happen_fn(struct world *w, struct happening *h);

struct happening {
    struct heap_node node; /* keyed by time */
    happen_fn *run;
    void *subject;
    uint64_t epoch;  /* whose message it is: see world.daemon_epoch */
    uint64_t serial; /* of a message to the executor */
    struct strbuf datagram;
    bool embedded; /* not freed after it has run */
};

/* Probabilities in parts of 65536; all 0 in scenarios. Each fault is off in
 * half of the worlds (swarm.c). */
struct faults {
    uint32_t crash;       /* at a boundary */
    uint32_t store_fails; /* a commit: nothing kept, daemon ends */
    uint32_t store_lies;  /* a commit: everything kept, but an error */
    uint32_t disk_full;   /* a commit, once: the daemon goes on */
    uint32_t disconnect;  /* a message: the connection breaks */
    uint32_t executor_lost;
    uint32_t repeat_report; /* a report comes again, or again much later */
    uint32_t latency_ms;    /* up to this much, for everything */
    uint64_t until_ms;      /* then all of it stops: liveness */
};

/* The one fault of an exhaustive world, at a boundary. */
enum planned_kind {
    PLANNED_NONE,
    PLANNED_CRASH,
    PLANNED_DISCONNECT, /* daemon and executor lose sight of each other */
    PLANNED_LOSS,       /* of the executor: the endings need not come true */
};

struct planned {
    enum planned_kind kind;
    uint64_t at;
    uint64_t again; /* a second crash so many boundaries later; 0: none */
};

/* Every real start of a step: the truth, which the daemon can only guess. */
struct sim_start {
    struct attempt_key key;
    struct str step;
    enum step_section section;
    struct id life;
    bool ended;
    enum attempt_state state;
};

/* A workflow that an event started, when and for what: the truth about limits
 * of triggers. */
struct sim_birth {
    struct id id;
    struct str path;
    struct str trigger;
    struct str key;
    uint64_t at_ms; /* in time that passes */
};

/* What the wall clock has shown since then. */
struct sim_clock {
    uint64_t from_ms;
    int64_t wrong_ms;
};

struct sim_executor {
    struct id life;
    bool reachable; /* a daemon could connect */
    bool connected;
    uint64_t epoch;          /* raised when it is lost */
    uint64_t connection;     /* raised when one breaks */
    struct list attempts;    /* struct sim_attempt: not forgotten */
    uint64_t sent;           /* messages to it so far */
    uint64_t reading;        /* which of them it is reading */
    uint64_t to_executor_ms; /* messages keep their order */
    uint64_t to_daemon_ms;
    uint32_t next_pid;
    VEC(struct sim_start) starts;
};

enum client_state { CLIENT_ASKS, CLIENT_ANSWERED, CLIENT_GAVE_UP };

/* Somebody who wants something, and asks until there is an answer. */
struct client {
    const struct scn_line *line;
    struct str name;
    enum client_state state;
    struct happening ask; /* planned while it waits to ask again */
    uint32_t tries;
    int result;
    /* an event */
    struct arena arena; /* of the try under way */
    struct store_op op;
    struct event event;
    struct store_ingested ingested;
    bool op_pending;
    struct id event_id; /* once accepted */
    /* a run, or the target of a stop */
    struct id workflow_id;
    enum stop_request how;
    /* Answered 0: what is sent after this message must start nothing. */
    bool stop_is_promised;
    uint64_t promised_after;
};

struct world {
    const struct scenario *scenario;
    struct faults faults;
    struct prng prng;
    uint64_t now_ms;        /* time that passes */
    int64_t clock_wrong_ms; /* the wall clock shows so much more */
    struct heap queue;

    uint64_t boundary; /* the next one's number */
    struct planned plan;
    uint64_t plan_from; /* the boundary before which this world is the calm
                           one, which has been looked at */
    bool trace;
    bool calm; /* no fault is planned: "expect" lines count */

    bool commit_planned;
    bool dying; /* the daemon died inside a call: nothing leaves it */
    bool paused;
    bool halted;        /* the kill switch is on */
    bool halted_seen;   /* as the daemon knows */
    bool halted_stored; /* as the store knows */
    uint64_t halted_ms; /* when it was last put on */
    int allowed_errnum; /* an injected fault: the daemon may end with it */

    struct store *store;
    struct reader *reader;
    struct commit_group group;
    struct list done; /* operations to be told */
    uint64_t commits;

    struct runtime *rt;          /* NULL: no daemon */
    struct retention *retention; /* NULL: the daemon has swept nothing yet */
    uint64_t daemon_epoch;
    uint64_t downtime_ms;
    struct engine_config config;
    struct generation *generation;
    uint64_t generation_number;
    struct runbook **files; /* in force, one per version slot; borrowed */
    VEC(struct match_job *) jobs;
    struct happening tick;

    struct sim_executor executor;
    VEC(struct client *) clients;

    /* check.c */
    uint64_t checked_commits;
    uint32_t places_before;
    bool limited; /* some trigger remembers or watches something, or some guard
                     has a rate */
    struct arena birth_arena;
    VEC(struct sim_birth) births;
    VEC(struct sim_clock) clocks; /* the first is right */
    /* The clock was set ahead, and nobody has that in the store yet: if the
     * daemon dies now, it cannot know that less time has passed. */
    bool ahead_unseen;
    uint64_t forgiven_ms; /* births before then count for nothing */
};

/* ---- world.c ------------------------------------------------------------ */

struct world *world_new(const struct scenario *s, uint64_t seed,
                        const struct faults *faults,
                        const struct planned *plan);
void world_free(struct world *w);

/* Plays until nothing is left to happen, then checks the endings. */
void world_play(struct world *w);

/* Plans a happening after so many milliseconds. */
struct happening *world_plan(struct world *w, uint64_t in_ms, happen_fn *run,
                             void *subject);

/* A delay as it comes, at least `least`. */
uint64_t world_delay(struct world *w, uint64_t least_ms);

/* True in `chance` of 65536 cases, while faults are on. */
bool world_chance(struct world *w, uint32_t chance);

/* A boundary: true if the daemon is dead from here on. */
bool world_boundary(struct world *w, const char *where);

/* What the machine's wall clock shows. */
uint64_t world_clock_ms(const struct world *w);

/* Somebody sets it: this much later, or earlier. */
void world_set_clock(struct world *w, int64_t by_ms);

struct id world_id(struct world *w);

/* Says what happens, when asked to (--trace). */
void world_say(const struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* An invariant does not hold: says how to see it again, and ends. */
NORETURN void world_violation(const struct world *w, const char *fmt, ...)
    PRINTF_LIKE(2, 3);

/* What is played now, for messages ("--scenario x.scn --crash-at 7"). */
void world_set_label(const char *label);

/* ---- daemon.c ----------------------------------------------------------- */

void daemon_look(struct world *w); /* at the kill switch, in a moment */
void daemon_boot(struct world *w, struct happening *h);

/* The process ends; another one will be there after downtime_ms. */
void daemon_die(struct world *w);

/* Hands an operation to the store. */
void daemon_submit(struct world *w, struct store_op *op);

/* Removes what is so old. */
void daemon_sweep(struct world *w, uint64_t age_ms);

/* Puts the runbooks of world.files in force. */
void daemon_load(struct world *w);

/* A second runtime that recovers from the store as it is: its hash (I8). */
uint64_t daemon_recovered_hash(struct world *w);

/* ---- executor.c --------------------------------------------------------- */

void executor_init(struct world *w);
void executor_deinit(struct world *w);

/* From the daemon: on its way. */
void executor_send(struct world *w, const struct exec_message *m);

/* A daemon is there, and the executor is reachable: WELCOME. */
void executor_connect(struct world *w);
void executor_disconnect(struct world *w);

/* The connection breaks; both sides find each other again after a while. */
void executor_drop(struct world *w);

/* It ends with everything it ran; another life takes its place. In order: what
 * had ended already is kept for that one. */
void executor_lose(struct world *w, bool in_order);

/* ---- clients.c ---------------------------------------------------------- */

void client_new(struct world *w, const struct scn_line *line, happen_fn *ask);
void client_free(struct world *w, struct client *c);
struct client *client_find(const struct world *w, struct str name);
void client_post_event(struct world *w, struct happening *h);
void client_run(struct world *w, struct happening *h);
void client_stop(struct world *w, struct happening *h);
void client_ingested(struct world *w, struct store_op *op);
void client_replied(struct world *w, void *token, int result,
                    struct id workflow);

/* The daemon died: nobody will be answered. */
void clients_abandoned(struct world *w);

/* The workflow that a client started (of that runbook path; "": any), as the
 * store has it: 0 or -ENOENT. */
NODISCARD int client_workflow(const struct world *w, const struct client *c,
                              struct str path, struct arena *a,
                              struct workflow_row *ret);

/* ---- check.c ------------------------------------------------------------ */

/* I1 to I9, as far as they can be seen now. */
void check_world(struct world *w);

/* What has just been committed: I6 for each trigger and key. */
void check_births(struct world *w);

/* A workflow of a trigger that watches was born: was it its time?
 * (check_watch.c) */
void check_watched(const struct world *w, const struct trigger *t,
                   const struct workflow_row *row);

/* A step is about to be really started. */
void check_start(struct world *w, const struct attempt_key *key,
                 const struct step *step);

/* A message is about to leave the daemon (I9). */
void check_message(struct world *w, const struct exec_message *m);
void check_reply(struct world *w, const struct client *c, int result,
                 struct id workflow);

/* Nothing will happen any more: everything must be over (I7). */
void check_end(struct world *w);

/* The rows of a workflow's attempts, in *a. */
uint32_t check_attempts(const struct world *w, struct id workflow,
                        struct arena *a, struct attempt_row **ret);

/* ---- story.c ------------------------------------------------------------ */

struct scn_verb {
    const char *name;
    uint32_t least; /* words */
    bool has_block; /* a YAML text follows */
    void (*happen)(struct world *w, const struct scn_line *line);
    const char *help;
};

/* The verbs of "at" and of "finally"; NULL if there is none of this name. */
const struct scn_verb *story_verb(struct str name);
const struct scn_verb *story_ending(struct str name);

void story_begin(struct world *w);
void story_end(struct world *w);
