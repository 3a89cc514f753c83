/*
 * Start and stop of the service, and its face for other threads. The order
 * matters: the store is open before anything can be accepted, everything live
 * is recovered before anything new is claimed, and at the end the store is
 * closed when nothing can write any more.
 */
#include "runtime/service.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "backup/backup.h"
#include "base/mem.h"
#include "os/clock.h"
#include "os/random.h"
#include "runtime/secrets.h"
#include "runtime/service_priv.h"

void service_log(const struct service *s, int priority, const char *fmt, ...)
{
    char message[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    s->options.log(priority, message, NULL);
}

void service_tell(const struct service *s, const struct log_fields *fields,
                  const char *fmt, ...)
{
    char message[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    s->options.log(log_message_row(fields->message)->priority, message, fields);
}

void service_warn(struct service *s, const char *text)
{
    uint64_t now_ms = os_monotonic_ms();
    pthread_mutex_lock(&s->status_lock);
    bool told = s->warned_ms == 0 || now_ms - s->warned_ms >= 1000;
    uint64_t untold = s->warnings_untold;
    s->warned_ms = told ? now_ms : s->warned_ms;
    s->warnings_untold = told ? 0 : untold + 1;
    pthread_mutex_unlock(&s->status_lock);
    if (told && untold != 0) {
        service_log(s, LOG_WARNING, "%s (%llu such warnings were not logged)",
                    text, (unsigned long long)untold);
    } else if (told) {
        service_log(s, LOG_WARNING, "%s", text);
    }
}

/* ---- start --------------------------------------------------------------- */

/* A store is new on a new machine, or where somebody has removed the old one.
 */
static void warn_of_backups(const struct service *s)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct backup_list list = {0};
    struct err err = ERR_INIT;
    if (s->options.backup_directory != NULL &&
        backup_list(s->options.backup_directory, &a, &list, &err) == 0 &&
        list.items.count != 0) {
        service_log(s, LOG_WARNING,
                    "the store is new, and there are backups of an earlier "
                    "one in %s, %.*s the newest; to have it back: stop the "
                    "engine, then adctl restore",
                    s->options.backup_directory,
                    STR_ARG(list.items.at[0].name));
    }
    backup_list_deinit(&list);
}

static void log_opened(const struct service *s, const struct store_opened *o)
{
    if (o->created) {
        service_log(s, LOG_INFO, "store: created %s/engine.db",
                    s->state_directory);
        warn_of_backups(s);
    }
    if (o->unclean) {
        service_log(s, LOG_NOTICE,
                    "store: the last engine did not stop cleanly; %s, %llu "
                    "events queued again",
                    o->checked ? "integrity checked" : "not checked",
                    (unsigned long long)o->events_requeued);
    }
    if (!o->created && o->schema_from != o->schema_to) {
        service_log(s, LOG_NOTICE, "store: schema %u brought to %u",
                    o->schema_from, o->schema_to);
    }
}

static void random_id(struct id *ret)
{
    uint8_t random[10];
    os_random(random, sizeof(random));
    *ret = id_make(os_epoch_ms(), random);
}

/* The committer's thread. */
static void log_room(void *context, bool has_room)
{
    if (has_room) {
        service_log(context, LOG_NOTICE,
                    "the disk has room again: events are taken");
    } else {
        service_log(context, LOG_ERR,
                    "the disk is full: events are refused (507) until there "
                    "is room; workflows that run are finished");
    }
}

static void store_failed(void *context)
{
    struct service *s = context;
    atomic_store(&s->store_failed, true);
    s->options.fatal(s->options.context, -EIO);
}

static int open_store(struct service *s, struct err *reterr)
{
    char node[256] = "";
    (void)gethostname(node, sizeof(node) - 1);
    struct store_options options = {
        .directory = str_c(s->state_directory),
        .queue_limit = s->options.queue_limit,
        .now_ms = os_epoch_ms(),
        .node = str_c(node),
    };
    random_id(&options.session);
    struct store_opened opened = {0};
    s->driver = &store_sqlite;
    int r = service_open_store(s, &options, &opened, reterr);
    if (r < 0) {
        return r;
    }
    log_opened(s, &opened);
    /* Tries that the end of the last process has cut off. */
    telemetry_event_error(s->telemetry, os_epoch_ms(), opened.events_requeued);
    s->status.page_sums = opened.sums;
    r = service_take_restore(s, reterr);
    if (r < 0) {
        return r;
    }
    r = s->driver->reader_open(s->store, &s->reader, reterr);
    if (r < 0) {
        return r;
    }
    struct committer_options commit = {
        .driver = s->driver,
        .store = s->store,
        .now_ms = os_epoch_ms,
        .on_fatal = store_failed,
        .on_room = log_room,
        .context = s,
    };
    r = committer_start(&commit, &s->committer);
    return r < 0 ? err_set(reterr, r, "cannot start the store's thread") : 0;
}

static void take_timer(void *context)
{
    struct service *s = context;
    runtime_tick(s->runtime);
    service_publish_status(s);
}

static int open_loop(struct service *s, struct err *reterr)
{
    int r = sd_event_new(&s->event);
    if (r >= 0) {
        r = mailbox_new(s->event, SD_EVENT_PRIORITY_NORMAL, &s->mailbox);
    }
    if (r >= 0) {
        r = timer_new(s->event, SD_EVENT_PRIORITY_NORMAL, take_timer, s,
                      &s->timer);
    }
    if (r >= 0) {
        r = pool_start("match", s->options.engine.workers, SERVICE_POOL_QUEUE,
                       &s->pool);
    }
    if (r >= 0) {
        r = pool_start("runbooks", 1, SERVICE_LOADER_QUEUE, &s->loader);
    }
    return r < 0 ? err_set(reterr, r, "cannot set up the engine's loop: %s",
                           strerror(-r))
                 : 0;
}

/* What an operator has set lasts over a restart, and must not be forgotten. */
static void tell_controls(struct service *s, const struct controls *c)
{
    const struct setting_row *pause = controls_pause(c);
    if (pause != NULL) {
        service_log(s, LOG_WARNING,
                    "event processing is paused (by %.*s): events wait, "
                    "nothing starts; go on: adctl queue resume",
                    STR_ARG(pause->by));
    }
    if (controls_disabled_count(c) != 0) {
        service_log(s, LOG_NOTICE,
                    "runbooks disabled by operators: %u; see: "
                    "adctl runbook list",
                    controls_disabled_count(c));
    }
}

static int open_engine(struct service *s, struct err *reterr)
{
    struct runtime_ports ports = service_ports(s);
    s->runtime =
        runtime_new(&ports, &s->options.engine, s->options.max_attempts);
    if (s->doubt != NULL) {
        runtime_doubt(s->runtime, str_c(s->doubt));
    }
    int r = s->options.auto_reload ? service_watch_start(s, reterr) : 0;
    if (r < 0) {
        return r;
    }
    r = service_load_first(s, reterr);
    if (r < 0) {
        return r;
    }
    struct controls *controls = NULL;
    r = controls_load(s->reader, &controls);
    if (r < 0) {
        return err_set(reterr, r, "cannot read the settings of the store");
    }
    tell_controls(s, controls);
    service_set_controls(s, controls);
    service_tell_twins(s, NULL, NULL);
    r = service_switch_start(s, reterr);
    if (r < 0) {
        return r;
    }
    r = s->options.opened != NULL
            ? s->options.opened(s->options.context, s->reader)
            : 0;
    if (r < 0) {
        return err_set(reterr, r, "cannot read the integrations' settings");
    }
    struct exec_client_options client = {
        .event = s->event,
        .socket_path = s->executor_socket,
        .on_message = service_take_executor,
        .context = s,
    };
    r = exec_client_new(&client, &s->executor, reterr);
    if (r < 0) {
        return r;
    }
    struct runtime_unloadable unloadable;
    r = runtime_recover(s->runtime, s->reader, &unloadable, reterr);
    if (unloadable.count != 0) {
        char id[ID_TEXT_SIZE];
        id_format(unloadable.first, ID_PREFIX_WORKFLOW, id);
        service_log(s, LOG_ERR,
                    "%" PRIu32 " workflows cannot be carried on and have "
                    "failed; the first is %s: %s",
                    unloadable.count, id, unloadable.why.message);
    }
    service_settle_restore(s);
    service_publish_status(s);
    return r < 0 ? r : service_retention_start(s, reterr);
}

static void *run_thread(void *context)
{
    struct service *s = context;
    (void)pthread_setname_np(pthread_self(), "service");
    int r = sd_event_loop(s->event);
    if (r < 0) {
        service_log(s, LOG_ERR, "the engine's loop failed: %s", strerror(-r));
        s->options.fatal(s->options.context, r);
    }
    return NULL;
}

static struct service *service_new(const struct service_options *options)
{
    struct service *s = MEM_NEW(struct service);
    s->options = *options;
    s->state_directory = str_dup(str_c(options->state_directory));
    s->repository = str_dup(str_c(options->repository));
    s->secrets = secrets_new(options->secrets_key);
    s->executor_socket = str_dup(str_c(options->executor_socket));
    s->backup_directory = str_dup(str_c(options->backup_directory));
    s->archive_directory = str_dup(str_c(options->archive_directory));
    list_init(&s->reloads_waiting);
    list_init(&s->changes_waiting);
    s->engine = options->engine;
    s->keep = options->keep;
    pthread_mutex_init(&s->generation_lock, NULL);
    pthread_mutex_init(&s->status_lock, NULL);
    s->telemetry = telemetry_new(os_epoch_ms());
    s->status.started_ms = os_epoch_ms();
    s->started_us = os_monotonic_us();
    s->status.queue_limit = options->queue_limit;
    s->status.backup_warn_ms = options->backup_warn_ms;
    s->status.workers = options->engine.workers;
    s->status.guards = options->engine.guards;
    s->status.workers_configured = options->engine.workers;
    return s;
}

int service_start(const struct service_options *options, struct service **ret,
                  struct err *reterr)
{
    struct service *s = service_new(options);
    int r = repo_open(str_c(s->repository), &s->repo, reterr);
    if (r >= 0) {
        r = open_loop(s, reterr);
    }
    if (r >= 0) {
        r = open_store(s, reterr);
    }
    if (r >= 0) {
        service_folders_open(s);
        service_history_open(s);
        r = open_engine(s, reterr);
    }
    if (r >= 0) {
        r = service_history_start(s, reterr);
    }
    if (r >= 0) {
        r = -pthread_create(&s->thread, NULL, run_thread, s);
        s->thread_started = r == 0;
        if (r < 0) {
            err_set(reterr, r, "cannot start the engine's thread");
        }
    }
    if (r < 0) {
        service_stop(s);
        return r;
    }
    *ret = s;
    return 0;
}

/* ---- stop ---------------------------------------------------------------- */

static void release(struct service *s)
{
    service_watch_free(s);
    service_switch_free(s);
    service_retention_free(s);
    sd_event_source_disable_unref(s->renew_deadline);
    exec_client_free(s->executor);
    runtime_free(s->runtime);
    secrets_free(s->secrets);
    generation_unref(s->generation);
    service_free_refusals(s);
    controls_unref(s->controls);
    timer_free(s->timer);
    mailbox_free(s->mailbox);
    sd_event_unref(s->event);
    repo_close(s->repo);
    telemetry_free(s->telemetry);
    pthread_mutex_destroy(&s->generation_lock);
    pthread_mutex_destroy(&s->status_lock);
    mem_free(s->state_directory);
    mem_free(s->repository);
    mem_free(s->executor_socket);
    mem_free(s->backup_directory);
    mem_free(s->archive_directory);
    mem_free(s->doubt);
    mem_free(s);
}

/* On the service's thread: no new claims; the loop ends when what is under way
 * has become durable (service_maybe_end). */
void service_begin_end(struct service *s)
{
    s->ending = true;
    runtime_pause(s->runtime, true);
    service_reload_stop_asking(s);
    service_maybe_end(s);
}

void service_maybe_end(struct service *s)
{
    bool settled = runtime_is_quiet(s->runtime) && s->jobs_running == 0 &&
                   !s->changing && s->archiving == 0 && !s->reload_committing &&
                   !service_retention_busy(s) && !service_switch_busy(s);
    if (s->ending && (settled || atomic_load(&s->store_failed))) {
        (void)sd_event_exit(s->event, 0);
    }
}

/* What finished after the loop had ended is given back, not acted upon. */
static void drain(struct service *s)
{
    runtime_halt(s->runtime);
    (void)mailbox_deliver_all(s->mailbox);
}

static void end_thread(struct service *s)
{
    struct service_request end = {.kind = SERVICE_END};
    service_post(s, &end);
    pthread_join(s->thread, NULL);
}

void service_refuse_events(struct service *s)
{
    if (s == NULL) {
        return;
    }
    atomic_store(&s->stopping, true);
    if (s->committer != NULL) {
        committer_refuse_events(s->committer);
    }
}

void service_stop(struct service *s)
{
    if (s == NULL) {
        return;
    }
    service_refuse_events(s);
    if (s->thread_started) {
        end_thread(s);
    }
    service_switch_end(s);
    pool_stop(s->loader);
    pool_stop(s->pool);
    for (uint32_t i = 0; i < s->retired_count; i++) {
        pool_stop(s->retired[i]);
    }
    service_history_stop(s);
    if (s->committer != NULL) {
        committer_stop(s->committer);
    }
    if (s->runtime != NULL) {
        drain(s);
    }
    if (s->reader != NULL) {
        s->reader->ops->close(s->reader);
    }
    if (s->store != NULL) {
        s->driver->close(s->store);
    }
    release(s);
}

/* ---- for the API -----------------------------------------------------------
 */

void service_ingest(struct service *s, struct store_op *op)
{
    committer_submit(s->committer, op);
}

void service_write(struct service *s, struct store_op *op)
{
    committer_submit(s->committer, op);
}

uint8_t service_priority(struct service *s, const struct event *e)
{
    if (!atomic_load(&s->has_priorities)) {
        return e->priority;
    }
    struct controls *c = service_controls(s);
    uint8_t priority = controls_priority(c, e->type, e->severity, e->priority);
    controls_unref(c);
    return priority;
}

void service_post(struct service *s, struct service_request *request)
{
    request->service = s;
    mail_init(&request->mail, service_take_request);
    mailbox_post(s->mailbox, &request->mail);
}

int service_reader(struct service *s, struct reader **ret, struct err *reterr)
{
    return s->driver->reader_open(s->store, ret, reterr);
}

struct telemetry *service_telemetry(struct service *s)
{
    return s->telemetry;
}

void service_report_damage(struct service *s)
{
    if (!atomic_exchange(&s->store_failed, true)) {
        service_log(s, LOG_ERR,
                    "the store is damaged: a page is not what was "
                    "written");
        s->options.fatal(s->options.context, -EBADMSG);
    }
}

int service_read_runbook(struct service *s, struct str path, struct arena *a,
                         struct str *ret_text, struct runbook_hash *ret_hash,
                         struct err *reterr)
{
    return repo_read(s->repo, path, a, ret_text, ret_hash, reterr);
}

const struct runbook_defaults *service_defaults(const struct service *s)
{
    return &s->options.defaults;
}

struct service_status service_status(struct service *s)
{
    pthread_mutex_lock(&s->status_lock);
    struct service_status status = s->status;
    pthread_mutex_unlock(&s->status_lock);
    status.stopping = atomic_load(&s->stopping);
    status.store_failed = atomic_load(&s->store_failed);
    status.queue_depth = committer_queued(s->committer);
    status.disk_full = !committer_has_room(s->committer);
    status.commits = committer_stats(s->committer);
    committer_counts(s->committer, &status.counts);
    if (status.paused ||
        status.killed) { /* they would claim, and get nothing */
        status.engine.workers_resting += status.engine.workers_claiming;
        status.engine.workers_claiming = 0;
    }
    return status;
}
