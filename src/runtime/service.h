/*
 * The service: one running engine inside a process. It owns the runtime and
 * the thread that drives it (an sd-event loop with a mailbox), the committer,
 * the matching workers, the executor connection and the runbook repository,
 * and gives the API a thread-safe face. Everything here may be called from
 * any thread unless it says otherwise.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/engine.h"
#include "match/generation.h"
#include "os/kill_switch.h"
#include "runtime/controls.h"
#include "runtime/service_request.h"
#include "runtime/service_turn.h"
#include "runtime/service_workers.h"
#include "store/committer.h"
#include "store/reader.h"
#include "store/store.h"
#include "telemetry/log_messages.h"
#include "telemetry/telemetry.h"

struct service;
struct history;

/* A log line, already formatted; priority as in syslog(3); fields NULL: none.
 */
typedef void service_log_fn(int priority, const char *message,
                            const struct log_fields *fields);

struct service_options {
    const char *state_directory; /* engine.db */
    const char *repository;      /* runbook folder */
    bool auto_reload;            /* load it again when files change */
    const char *executor_socket;
    const char *kill_switch;       /* file: os/kill_switch.h */
    const char *root_kill_switch;  /* another, which is root's; NULL: none */
    const char *secrets_key;       /* file: what secret parameters open with */
    const char *backup_directory;  /* of all backups */
    uint64_t backup_warn_ms;       /* how old the newest may be; 0: any age */
    const char *archive_directory; /* of workflows that left the store */
    bool restore_on_damage;        /* a damaged store by the newest good one */
    uint64_t queue_limit;
    uint32_t max_attempts;    /* claims of one event before it is poison */
    uint64_t worker_stuck_ms; /* an event that takes longer is no progress */
    struct service_keep keep;
    struct engine_config engine;
    struct runbook_defaults defaults;
    service_log_fn *log;
    /* The store is open and settings may be read, before anything is
     * recovered; NULL: nobody wants to. 0 or what the reader said. */
    int (*opened)(void *context, struct reader *reader);
    /* Adds records that belong to those of fx, into their transaction; on the
     * service's thread, and while it starts. NULL: none. */
    void (*enrich)(void *context, struct effects *fx);
    /* Records that became durable, on the service's thread: live views. */
    void (*committed)(void *context, const struct record *records,
                      size_t count);
    /* The store has failed: the process must end soon (any thread). */
    void (*fatal)(void *context, int errnum);
    void *context;
};

/* Opens the store, loads the runbooks, recovers, starts all threads. On
 * success the service accepts everything. -EBUSY: another engine runs here. */
NODISCARD int service_start(const struct service_options *options,
                            struct service **ret, struct err *reterr);

/* The first part of stopping, for those who are still connected: new events
 * are -ECANCELED, the status says stopping; everything else goes on. Any
 * thread. NULL is fine. */
void service_refuse_events(struct service *s);

/* Stops in order: refuse events, finish what is committed, close the store.
 * Steps that run go on under the executor; the next start re-attaches. */
void service_stop(struct service *s);

/* ---- for the API --------------------------------------------------------- */

/* Hands events to the committer; op->done is called on its thread. */
void service_ingest(struct service *s, struct store_op *op);

/* Hands any other operation to the committer, in the same way. */
void service_write(struct service *s, struct store_op *op);

/* Checked parameters as SERVICE_RUN takes them: secrets sealed. Fails when the
 * key of stored secrets can be neither read nor made. */
NODISCARD int service_seal(struct service *s, const struct runbook *rb,
                           struct str json, struct arena *a, struct str *ret,
                           struct err *reterr);

/* Logs a warning about what somebody outside sends: at most one a second, the
 * others are counted with the next one. */
void service_warn(struct service *s, const char *text);

void service_post(struct service *s, struct service_request *request);

/* The same, and waits until it is done, whatever `done` was: not on the
 * threads of the service and of servers. Returns the result. */
NODISCARD int service_post_and_wait(struct service *s,
                                    struct service_request *request);

/* The folder of archived workflows; valid until service_stop. */
const char *service_archive_directory(const struct service *s);

/* The generation in force: a reference, drop it with generation_unref. */
struct generation *service_generation(struct service *s);

/* Why the executor would run no step of this runbook, or not every one; "" if
 * it would, or has not been heard about it. Into the arena. */
struct str service_refusal(struct service *s, const struct runbook *rb,
                           struct arena *a);

/* The controls in force: a reference, drop it with controls_unref. */
struct controls *service_controls(struct service *s);

/* The priority of an event that is about to be accepted. */
uint8_t service_priority(struct service *s, const struct event *e);

/* A reader of its own for the calling thread (keep it, they are not cheap to
 * open); close with reader->ops->close before service_stop. */
NODISCARD int service_reader(struct service *s, struct reader **ret,
                             struct err *reterr);

/* Puts the kill switch on or takes it off. On holds from now on, and its row of
 * the audit trail follows; off comes after its row, and gives way to any on
 * that was asked for since, be it by hand. Waits for nothing; `done` is called
 * once, on any thread. */
void service_turn(struct service *s, struct service_turn *turn);
const char *service_switch_path(const struct service *s);

struct telemetry *service_telemetry(struct service *s);

/* The numbers over time; until service_stop. */
struct history *service_history(struct service *s);

/* A reader has met a damaged page: nothing more is acknowledged and the
 * process ends; the next start sees to it. */
void service_report_damage(struct service *s);

/* Reads a runbook file as it is on disk now (validate). */
NODISCARD int service_read_runbook(struct service *s, struct str path,
                                   struct arena *a, struct str *ret_text,
                                   struct runbook_hash *ret_hash,
                                   struct err *reterr);

const struct runbook_defaults *service_defaults(const struct service *s);

/* A consistent snapshot of live numbers, at most a moment old. */
struct service_status {
    uint64_t started_ms;
    bool stopping;
    bool store_failed;
    bool executor_up;
    bool paused;              /* by an operator: events wait in the queue */
    bool killed;              /* the kill switch is on: nothing begins */
    const char *killed_where; /* its file; NULL: it is in none */
    char killed_text[KILL_SWITCH_TEXT_SIZE]; /* who has put it on, and why */
    bool page_sums; /* damage to the store is noticed when it is read */
    bool restored;  /* from a backup, and nobody has acknowledged it yet */
    uint64_t audit_broken_at; /* the row where the audit trail is not whole; 0:
                                 it was whole at the start, or a day ago */
    bool disk_full;           /* events are refused; what runs is finished */
    uint64_t queue_depth;
    uint64_t queue_limit;
    uint32_t workers;
    uint32_t workers_configured; /* unless an operator has set others */
    struct engine_counts engine;
    struct guard_config guards; /* as configured */
    uint64_t generation;
    uint32_t runbooks_loaded;
    uint32_t runbooks_rejected; /* including those on last known good */
    uint32_t runbooks_refused;  /* by the executor, of those in force */
    uint32_t runbooks_disabled; /* by an operator */
    bool runbooks_stale;        /* the last reload failed */
    struct committer_stats commits;
    struct store_counts counts;  /* the ledger */
    struct slo_result slo[SLOS]; /* of 30 days, at most a minute old */
    uint64_t oldest_active_ms;   /* creation of the oldest workflow that is
                                    under way and not held; 0: none. At most
                                    10 s old */
    uint64_t backup_ms;          /* when the newest backup was made; 0: there is
                                    none. At most a minute old */
    uint64_t backup_warn_ms;     /* how old it may be; 0: any age */
};
struct service_status service_status(struct service *s);

/* Is the newest backup too old, or has the engine run too long without one? */
bool service_backup_is_old(const struct service_status *status,
                           uint64_t now_ms);

/* What telemetry is to say of it (all but what only the API knows). */
void service_state(const struct service_status *status,
                   struct telemetry_state *ret);
