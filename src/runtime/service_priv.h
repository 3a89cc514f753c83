/*
 * Inside the service: its other threads post finished store operations,
 * matched batches and requests to one mailbox, emptied by the service's own
 * thread, the only one that touches the runtime.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include <systemd/sd-event.h>

#include "backup/backup.h"
#include "base/map.h"
#include "loop/mailbox.h"
#include "loop/pool.h"
#include "loop/timer.h"
#include "proc/client.h"
#include "runtime/runtime.h"
#include "runtime/service.h"
#include "runtime/service_workers_priv.h"
#include "store/committer.h"
#include "store/salvage.h"

struct reload;
struct service_history;
struct watch;
struct housekeeping;

/* Batches that may wait: one per worker at most. */
#define SERVICE_POOL_QUEUE 256
/* A reload and a look for changes. */
#define SERVICE_LOADER_QUEUE 2

struct service {
    struct service_options options;
    char *state_directory;
    char *repository;
    char *executor_socket;
    char *backup_directory;
    char *archive_directory;
    char *doubt; /* why the store may be out of date; NULL: it is not, or
                    what follows from that is durable */

    const struct store_driver *driver;
    struct store *store;
    struct committer *committer;
    struct repo *repo;
    struct telemetry *telemetry;

    sd_event *event;
    pthread_t thread;
    bool thread_started;
    struct mailbox *mailbox;
    struct pool *pool;
    struct pool *retired[SERVICE_POOLS_RETIRED_MAX];
    uint32_t retired_count;
    struct pool *loader; /* one thread: reads the runbook repository */
    struct timer *timer;
    struct exec_client *executor;
    struct runtime *runtime;
    bool engine_paused; /* it was told that events are not taken */
    struct secrets *secrets;
    struct reader *reader; /* the service thread's own */
    uint32_t jobs_running; /* batches at the workers */
    /* Of service_warn, under status_lock. */
    uint64_t warned_ms;
    uint64_t warnings_untold;
    bool ending;
    struct killing *killing;           /* service_switch.c */
    struct watch *watch;               /* service_watch.c; NULL: not watching */
    struct housekeeping *housekeeping; /* service_retention.c */
    struct service_history *history;
    bool reloading;
    bool reload_committing;       /* its row of the audit trail */
    struct reload *reload_asking; /* in force; the executor is asked about it */
    bool renewing;                /* the executor reads its configuration */
    sd_event_source *renew_deadline; /* until then it is not missed */
    struct list reloads_waiting;     /* of struct service_request.link */

    bool changing;
    struct list changes_waiting; /* of struct service_request.link */
    uint32_t archiving;          /* changes that go on beside the others */
    struct engine_config engine; /* as configured, before the controls */

    /* The generation and the controls in force, read by many threads. */
    pthread_mutex_t generation_lock;
    struct generation *generation;
    struct controls *controls;
    struct map refusals; /* path -> struct refusal; under generation_lock */
    atomic_bool has_priorities;

    /* A snapshot of the engine's numbers, written by the service's thread. */
    pthread_mutex_t status_lock;
    struct service_keep keep; /* written by the service's thread */
    struct service_status status;
    struct worker_stat workers[ENGINE_WORKERS_MAX];
    uint64_t started_us; /* monotonic */

    atomic_bool stopping;
    atomic_bool store_failed;
};

/* ---- service_secrets.c ----------------------------------------------------
 * Sends a START with its secrets opened; without them, has it refused. */
void service_start_step(struct service *s, const struct runbook *rb,
                        const struct exec_message *m);

/* ---- service_restore.c ----------------------------------------------------
 * Opens the store; a damaged one is replaced by a backup, if that is wanted
 * and possible. Before anything else has the store or its folder. */
NODISCARD int service_open_store(struct service *s,
                                 const struct store_options *options,
                                 struct store_opened *opened,
                                 struct err *reterr);

/* Reads what a damaged store had accepted after its backup was made and sets
 * it aside, if the note says so. */
NODISCARD int service_salvage(struct service *s, const struct backup_note *note,
                              struct store_salvaged *ret, struct err *reterr);

/* Takes account of a restore, in the store and in s->doubt. Before the
 * committer is started. */
NODISCARD int service_take_restore(struct service *s, struct err *reterr);

/* Drops the note of the restore when all that follows from it is durable. */
void service_settle_restore(struct service *s);

/* ---- service_ports.c ------------------------------------------------------
 * The runtime's ports; context is the service. */
struct runtime_ports service_ports(struct service *s);

/* Deliveries, on the service's thread. */
void service_take_request(struct mail *mail);
void service_take_executor(void *context, const struct exec_message *m);

/* Copies the engine's numbers for other threads. */
void service_publish_status(struct service *s);

/* ---- service.c -------------------------------------------------------------
 * On the service's thread: settle, then end the loop. */
void service_begin_end(struct service *s);
void service_maybe_end(struct service *s);

/* ---- service_reload.c -----------------------------------------------------
 */

/* Starts a reload, or queues the request behind the one that runs. */
void service_reload(struct service *s, struct service_request *request);

/* Loads the repository on this thread, for the start. */
NODISCARD int service_load_first(struct service *s, struct err *reterr);

/* Puts a generation in force everywhere; takes the reference. */
void service_set_generation(struct service *s, struct generation *g);

/* Tells of runbooks that one event would start together, but for what was so
 * in the generation before (NULL: there was none) with the controls of then. */
void service_tell_twins(struct service *s, const struct generation *before,
                        const struct controls *then);

/* The executor may have answered for all that was loaded; or is not waited for
 * any more. */
void service_reload_heard(struct service *s);
void service_reload_stop_asking(struct service *s);

/* ---- service_refusals.c ---------------------------------------------------
 * What the executor says of the runbooks in force. On the service's thread:
 * takes an answer to PIN, and drops what is about other versions. */
void service_take_pinned(struct service *s, const struct exec_message *m);
void service_prune_refusals(struct service *s, const struct generation *g);

/* At the end. */
void service_free_refusals(struct service *s);

/* ---- service_change.c -----------------------------------------------------
 */

/* Starts a change, or queues it behind the one that runs. */
void service_change(struct service *s, struct service_request *request);

/* Puts controls in force everywhere; takes the reference. */
void service_set_controls(struct service *s, struct controls *c);

/* service_ports.c: gives the engine and the pool their numbers: the
 * configured ones with what the controls say otherwise. 0 or -EAGAIN. */
int service_configure(struct service *s);

/* ---- service_history.c ----------------------------------------------------
 * Opens the history and gives the windows what was before this process, when
 * the committer runs; whatever is wrong with it is logged. Then its thread. */
void service_history_open(struct service *s);
NODISCARD int service_history_start(struct service *s, struct err *reterr);

/* Takes the last sample, before the committer ends. */
void service_history_stop(struct service *s);

/* ---- service_watch.c ------------------------------------------------------
 * Reloads by itself when files change. Start before the first load. */
NODISCARD int service_watch_start(struct service *s, struct err *reterr);
void service_watch_free(struct service *s);

/* ---- service_switch.c -----------------------------------------------------
 * The kill switch. Start when there are controls, and before anything can
 * begin. */
NODISCARD int service_switch_start(struct service *s, struct err *reterr);
void service_switch_free(struct service *s);
bool service_switch_is_on(const struct service *s);

/* Turns are under way; the end of its thread, when the service's has ended. */
bool service_switch_busy(const struct service *s);
void service_switch_end(struct service *s);

/* Its file is another one from now on. On the service's thread. */
void service_switch_move(struct service *s, const char *path);

/* Events wait while processing is paused, or the kill switch is on. */
void service_hold_claims(struct service *s);

/* ---- service_retention.c --------------------------------------------------
 * Removes what is over for long. The reader must be open before. */
NODISCARD int service_retention_start(struct service *s, struct err *reterr);

/* Another policy, for everything that is kept; the history's thread takes it up
 * at its next sample. On the service's thread. */
void service_set_keep(struct service *s, const struct service_keep *keep);

/* The one in force. Any thread. */
struct service_keep service_keep(struct service *s);
bool service_retention_busy(const struct service *s);
void service_retention_free(struct service *s);

/* ---- service_folders.c ----------------------------------------------------
 * The folders beside the state's. At the start, before anything is archived:
 * takes over what earlier versions have left; what is wrong is logged. */
void service_folders_open(struct service *s);

/* On the history's thread, once a minute. */
void service_folders_look(struct service *s);

/* ---- service.c and service_journal.c: the log ------------------------------
 */
void service_log(const struct service *s, int priority, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* A message of the table, at its priority. */
void service_tell(const struct service *s, const struct log_fields *fields,
                  const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Tells who changes what, as the audit trail has it. */
void service_tell_change(struct service *s, const struct audit_row *row);

/* Tells what durable records say. On the service's thread. */
void service_tell_records(struct service *s, const struct record *records,
                          size_t count);
