/*
 * Start and stop of the daemon. Everything is ready before systemd is told
 * so; signals are taken by this thread only.
 */
#include "app/serve.h"

#include <errno.h>
#include <libgen.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "api/api.h"
#include "app/kept_socket.h"
#include "app/log.h"
#include "app/privilege.h"
#include "app/reload.h"
#include "app/trace.h"
#include "app/watchdog.h"
#include "base/assert.h"
#include "base/mem.h"
#include "integrations/integrations.h"
#include "loop/mailbox.h"
#include "net/http.h"
#include "os/clock.h"
#include "proc/client.h"
#include "runtime/service.h"

/* How often a foreground daemon looks whether its executor is there. */
#define EXECUTOR_LOOK_MS 1000

struct daemon {
    const struct config_sources *sources;
    struct config *config;
    struct service *service;
    struct api *api;
    struct integrations *integrations;
    struct http_server *http;
    sd_event *event;
    atomic_int fatal; /* negative errno: the store has failed */
    int fatal_fd;     /* eventfd that wakes this thread then */
    struct reload *reload;
    struct mailbox *mailbox;         /* of the main thread */
    struct service_request runbooks; /* to be reloaded after SIGHUP */
    struct mail reloaded;            /* they were */
    bool reloading;
    bool reload_again; /* SIGHUP came while it was being done */
    int kept_fd;  /* a listening socket from before a restart, until used */
    bool is_kept; /* our listening socket is that one */
    struct watchdog *watchdog;
    bool executor_missed; /* at the last look */
    bool stopping;
    int status; /* exit status */
};

/* ---- folders --------------------------------------------------------------
 */

/* Makes the folder and the missing ones above it. */
static int make_folder(const char *path, struct err *reterr)
{
    CLEANUP(mem_freep) char *copy = str_dup(str_c(path));
    for (char *p = copy + 1; *p != '\0'; p++) {
        if (*p != '/') {
            continue;
        }
        *p = '\0';
        if (mkdir(copy, 0755) < 0 && errno != EEXIST) {
            return err_set(reterr, -errno, "cannot make the folder %s: %s",
                           copy, strerror(errno));
        }
        *p = '/';
    }
    if (mkdir(copy, 0700) < 0 && errno != EEXIST) {
        return err_set(reterr, -errno, "cannot make the folder %s: %s", copy,
                       strerror(errno));
    }
    struct stat st;
    if (stat(copy, &st) < 0 || !S_ISDIR(st.st_mode)) {
        return err_set(reterr, -ENOTDIR, "%s is not a folder", copy);
    }
    return 0;
}

int serve_make_executor_folders(const struct config *config, struct err *reterr)
{
    CLEANUP(mem_freep) char *socket = str_dup(str_c(config->executor_socket));
    const char *folders[] = {config->executor_spool, config->executor_work,
                             dirname(socket)};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        int r = make_folder(folders[i], reterr);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* ---- parts -----------------------------------------------------------------
 */

static char *argument(struct arena *a, const char *option, const char *value)
{
    struct strbuf text = STRBUF_INIT(2UL * CONFIG_TEXT_MAX_BYTES);
    strbuf_addf(&text, "%s=%s", option, value);
    char *copy = arena_strdup(a, strbuf_str(&text));
    strbuf_deinit(&text);
    return copy;
}

/* The executor has the same configuration, from the same sources. */
static char **executor_argv(const struct config_sources *from, struct arena *a)
{
    size_t count = 0;
    char **argv =
        ARENA_ARRAY(a, from->default_count + from->set_count + 4, char *);
    argv[count++] = arena_strdup(a, STR("autonomous-devops"));
    argv[count++] = arena_strdup(a, STR("executor"));
    if (from->path != NULL) {
        argv[count++] = argument(a, "--config", from->path);
    }
    for (size_t i = 0; i < from->default_count; i++) {
        argv[count++] = argument(a, "--default", from->defaults[i]);
    }
    for (size_t i = 0; i < from->set_count; i++) {
        argv[count++] = argument(a, "--set", from->sets[i]);
    }
    return argv;
}

/* Under systemd the executor has its own unit; a daemon in the foreground
 * starts one. */
static int start_executor(struct daemon *d, struct err *reterr)
{
    if (!d->config->executor_autostart) {
        return 0;
    }
    if (geteuid() == 0 && d->config->executor_user == NULL) {
        log_warning("steps of runbooks run as root: set executor.user to a "
                    "user with fewer rights");
    }
    if (serve_make_executor_folders(d->config, reterr) < 0) {
        return reterr->errnum;
    }
    char program[4096];
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (n < 0) {
        return err_set(reterr, -errno, "cannot find this program's file: %s",
                       strerror(errno));
    }
    program[n] = '\0';
    struct arena arena = ARENA_INIT;
    int r = exec_spawn_detached(program, executor_argv(d->sources, &arena),
                                d->config->executor_socket, reterr);
    arena_deinit(&arena);
    return r;
}

/* Any thread: wakes the main thread, which ends the process. */
static void on_fatal(void *context, int errnum)
{
    struct daemon *d = context;
    int none = 0;
    if (atomic_compare_exchange_strong(&d->fatal, &none, errnum)) {
        uint64_t one = 1;
        ssize_t written = write(d->fatal_fd, &one, sizeof(one));
        (void)written;
    }
}

static void on_committed(void *context, const struct record *records,
                         size_t count)
{
    struct daemon *d = context;
    api_committed(d->api, records, count);
    trace_committed(records, count);
    for (size_t i = 0; i < count; i++) {
        if (records[i].kind == RECORD_NOTICE_NEW) {
            integrations_wake(d->integrations);
            return;
        }
    }
}

_Static_assert((int)CONFIG_SCOPE_READ == (int)API_READ &&
                   (int)CONFIG_SCOPE_INGEST == (int)API_INGEST &&
                   (int)CONFIG_SCOPE_EXECUTE == (int)API_EXECUTE &&
                   (int)CONFIG_SCOPE_ADMIN == (int)API_ADMIN,
               "the configuration's scopes are the API's");

static int start_api(struct daemon *d, struct err *reterr)
{
    const struct config *c = d->config;
    struct api_token *tokens =
        mem_alloc(c->token_count, sizeof(struct api_token));
    for (uint32_t i = 0; i < c->token_count; i++) {
        tokens[i].name = c->tokens[i].name;
        tokens[i].scopes = c->tokens[i].scopes;
        memcpy(tokens[i].sha256, c->tokens[i].sha256, sizeof(tokens[i].sha256));
    }
    struct api_options options = {
        .config = reload_port(d->reload),
        .tokens = tokens,
        .token_count = c->token_count,
        .hosts = c->allowed_hosts,
        .group = c->group,
        /* Alone in its unit, the engine calls nobody's API as itself: whoever
         * has its user there is not to be believed. */
        .trust_own_uid = c->executor_autostart,
        .stream_clients = c->stream_clients,
    };
    int r = api_new(&options, &d->api, reterr);
    mem_free(tokens);
    return r;
}

static void on_ingested(void *context, const struct store_ingest *ingest)
{
    struct daemon *d = context;
    api_ingested(d->api, ingest);
}

static int start_integrations(struct daemon *d, struct err *reterr)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    const struct config *c = d->config;
    struct integrations_options options = {
        .key_path = config_secrets_key(c, &a),
        .health_interval_ms = c->health_interval_ms,
        .give_up_ms = c->notice_give_up_ms,
        .log = log_syslog,
        .ingested = on_ingested,
        .context = d,
    };
    memcpy(options.configs, c->integrations, sizeof(options.configs));
    int r = integrations_new(&options, &d->integrations, reterr);
    if (r >= 0) {
        api_set_integrations(d->api, d->integrations);
    }
    return r;
}

static void on_enrich(void *context, struct effects *fx)
{
    struct daemon *d = context;
    integrations_enrich(d->integrations, fx, os_epoch_ms());
}

static int on_opened(void *context, struct reader *reader)
{
    struct daemon *d = context;
    return integrations_load(d->integrations, reader);
}

static int start_service(struct daemon *d, struct err *reterr)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    const struct config *c = d->config;
    struct service_options options = {
        .kill_switch = config_kill_switch(c, &a),
        .root_kill_switch = config_root_switch(c, &a),
        .secrets_key = config_secrets_key(c, &a),
        .state_directory = c->state_directory,
        .repository = c->repository,
        .auto_reload = c->auto_reload,
        .executor_socket = c->executor_socket,
        .backup_directory = c->backup_directory,
        .backup_warn_ms = c->backup_warn_ms,
        .archive_directory = config_archive_directory(c, &a),
        .restore_on_damage = c->on_damage == ON_DAMAGE_RESTORE,
        .queue_limit = c->queue_size,
        .max_attempts = c->max_attempts,
        .worker_stuck_ms = c->worker_stuck_ms,
        .keep = c->keep,
        .engine = config_engine(c),
        .defaults = config_runbook_defaults(c),
        .log = log_syslog_with,
        .opened = on_opened,
        .enrich = on_enrich,
        .committed = on_committed,
        .fatal = on_fatal,
        .context = d,
    };
    return service_start(&options, &d->service, reterr);
}

/* Where it listens, which must be known before there is anything else. */
static struct http_options http_place(const struct daemon *d)
{
    const struct config *c = d->config;
    return (struct http_options){
        .listen = c->listen,
        .tls_certificate = c->tls_cert,
        .tls_key = c->tls_key,
        .has_tokens = c->token_count != 0,
        .insecure = c->insecure,
        .kept_fd = d->kept_fd,
    };
}

/* Before a store is made or an executor started: an engine that cannot listen
 * leaves nothing behind. */
static int take_address(struct daemon *d, struct err *reterr)
{
    struct http_options options = http_place(d);
    struct http_listener listener;
    int r = http_bind(&options, &listener, reterr);
    if (r < 0) {
        return r;
    }
    if (d->kept_fd > 0 && !listener.was_kept) {
        kept_socket_drop(); /* of an address that is not ours any more */
    }
    d->is_kept = listener.was_kept;
    d->kept_fd = listener.fd;
    return 0;
}

static int start_http(struct daemon *d, struct err *reterr)
{
    const struct config *c = d->config;
    struct http_options options = http_place(d);
    options.limits = (struct http_limits){
        .connections = c->connections,
        .per_source = c->connections_per_source,
        .reserved = HTTP_LIMITS_DEFAULT.reserved,
        .head_s = (unsigned)(c->header_timeout_ms / 1000),
        .body_s = (unsigned)(c->body_timeout_ms / 1000),
        .send_s = HTTP_LIMITS_DEFAULT.send_s,
        .idle_s = (unsigned)(c->idle_timeout_ms / 1000),
    };
    options.handler = api_handler(d->api);
    options.accepts_to_the_end = !kept_socket_is_wanted();
    d->kept_fd = 0; /* the server's */
    int r = http_start(&options, &d->http, reterr);
    if (r < 0) {
        return r;
    }
    if (!d->is_kept) {
        kept_socket_leave(http_listen_fd(d->http));
    }
    api_set_http(d->api, d->http);
    return 0;
}

/* ---- signals ----------------------------------------------------------------
 */

/* On the service's thread. */
static void reload_done(struct service_request *request)
{
    struct daemon *d = CONTAINER_OF(request, struct daemon, runbooks);
    mailbox_post(d->mailbox, &d->reloaded);
}

static void begin_reload(struct daemon *d)
{
    d->reloading = true;
    (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
                     (unsigned long long)os_monotonic_ms() * 1000);
    struct strbuf ignored = STRBUF_INIT(1024UL * 1024);
    struct err err = ERR_INIT;
    (void)reload_now(d->reload, NULL, &ignored, &err); /* it logs */
    strbuf_deinit(&ignored);
    d->runbooks = (struct service_request){.kind = SERVICE_RELOAD,
                                           .requested_by = STR("signal"),
                                           .done = reload_done};
    service_post(d->service, &d->runbooks);
}

/* What was asked for meanwhile may be about files that had been read before. */
static void take_reloaded(struct mail *mail)
{
    struct daemon *d = CONTAINER_OF(mail, struct daemon, reloaded);
    d->reloading = false;
    if (d->stopping) {
        return;
    }
    if (d->reload_again) {
        d->reload_again = false;
        begin_reload(d);
    } else {
        (void)sd_notify(0, "READY=1");
    }
}

static int on_hangup(sd_event_source *source,
                     const struct signalfd_siginfo *info, void *context)
{
    struct daemon *d = context;
    (void)source;
    (void)info;
    if (d->reloading) {
        d->reload_again = true;
    } else {
        begin_reload(d);
    }
    return 0;
}

struct signalled {
    struct service_turn turn;
    char why[96];
    char who[32];
};

static void turned(struct service_turn *turn)
{
    if (turn->result < 0) {
        log_error("%s; %s", turn->err.message, turn->err.hint);
    }
    mem_free(CONTAINER_OF(turn, struct signalled, turn));
}

static int on_kill_switch(sd_event_source *source,
                          const struct signalfd_siginfo *info, void *context)
{
    struct daemon *d = context;
    struct signalled *x = MEM_NEW(struct signalled);
    (void)source;
    (void)snprintf(x->who, sizeof(x->who), "uid:%u", (unsigned)info->ssi_uid);
    (void)snprintf(x->why, sizeof(x->why), "%s: by the signal USR1", x->who);
    x->turn = (struct service_turn){.on = true,
                                    .text = str_c(x->why),
                                    .who = str_c(x->who),
                                    .action = STR("kill-switch.turn"),
                                    .done = turned};
    service_turn(d->service, &x->turn);
    return 0;
}

/* An executor that has ended is started again: at the second look, so that one
 * that is just reconnecting is left alone. */
static int on_executor_look(sd_event_source *source, uint64_t usec,
                            void *context)
{
    struct daemon *d = context;
    (void)usec;
    bool up = service_status(d->service).executor_up;
    struct err err = ERR_INIT;
    if (!up && d->executor_missed && start_executor(d, &err) < 0) {
        log_error("cannot start the executor: %s", err.message);
    }
    d->executor_missed = !up;
    (void)sd_event_source_set_time_relative(source, EXECUTOR_LOOK_MS * 1000);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info,
                   void *context)
{
    struct daemon *d = context;
    (void)source;
    (void)info;
    d->status = EX_OK;
    return sd_event_exit(d->event, 0);
}

static int on_fatal_fd(sd_event_source *source, int fd, uint32_t events,
                       void *context)
{
    struct daemon *d = context;
    (void)source;
    (void)fd;
    (void)events;
    d->status = EX_IOERR;
    return sd_event_exit(d->event, 0);
}

static int open_loop(struct daemon *d)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR1);
    int r = -pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        r = -errno;
    }
    if (r >= 0) {
        r = sd_event_default(&d->event);
    }
    if (r >= 0) {
        mail_init(&d->reloaded, take_reloaded);
        r = mailbox_new(d->event, SD_EVENT_PRIORITY_NORMAL, &d->mailbox);
    }
    if (r >= 0) {
        r = sd_event_add_signal(d->event, NULL, SIGTERM, on_stop, d);
    }
    if (r >= 0) {
        r = sd_event_add_signal(d->event, NULL, SIGINT, on_stop, d);
    }
    if (r >= 0) {
        r = sd_event_add_signal(d->event, NULL, SIGHUP, on_hangup, d);
    }
    if (r >= 0) {
        r = sd_event_add_signal(d->event, NULL, SIGUSR1, on_kill_switch, d);
    }
    if (r >= 0) {
        r = sd_event_add_io(d->event, NULL, d->fatal_fd, EPOLLIN, on_fatal_fd,
                            d);
    }
    if (r >= 0 && d->config->executor_autostart) {
        r = sd_event_add_time_relative(d->event, NULL, CLOCK_MONOTONIC,
                                       EXECUTOR_LOOK_MS * 1000, 0,
                                       on_executor_look, d);
    }
    return r < 0 ? r : 0;
}

/* ---- the daemon
 * -------------------------------------------------------------- */

static int start(struct daemon *d, struct err *reterr)
{
    int r = privilege_drop(d->config->state_directory, reterr);
    if (r >= 0) {
        r = privilege_harden(reterr);
    }
    if (r >= 0) {
        r = take_address(d, reterr);
    }
    if (r >= 0) {
        r = make_folder(d->config->state_directory, reterr);
    }
    if (r >= 0) {
        r = open_loop(d);
        if (r < 0) {
            err_set(reterr, r, "cannot set up the main loop: %s", strerror(-r));
        }
    }
    if (r >= 0) {
        r = start_api(d, reterr);
    }
    if (r >= 0) {
        r = start_integrations(d, reterr);
    }
    if (r >= 0) {
        r = start_service(d, reterr);
    }
    if (r >= 0) { /* after the store is known to be ours */
        r = start_executor(d, reterr);
    }
    if (r >= 0) {
        r = integrations_start(d->integrations, d->service, reterr);
    }
    if (r >= 0) {
        reload_set_service(d->reload, d->service, d->integrations);
        r = api_set_service(d->api, d->service);
        if (r < 0) {
            err_set(reterr, r, "cannot start the API's threads: %s",
                    strerror(-r));
        }
    }
    if (r >= 0) {
        r = start_http(d, reterr);
    }
    if (r >= 0) {
        r = reload_watch(d->reload, d->event);
        if (r < 0) {
            err_set(reterr, r, "cannot watch the configuration: %s",
                    strerror(-r));
        }
    }
    if (r >= 0) {
        r = watchdog_start(d->event, d->service, d->http, &d->watchdog);
        if (r < 0) {
            err_set(reterr, r, "cannot set up the watchdog: %s", strerror(-r));
        }
    }
    return r;
}

static void stop(struct daemon *d)
{
    d->stopping = true;
    (void)sd_notify(0, "STOPPING=1");
    log_tell(LOG_ENGINE_STOPPING, "stopping");
    service_refuse_events(d->service);
    integrations_halt(d->integrations);
    http_stop(d->http);
    if (d->api != NULL && api_set_service(d->api, NULL) < 0) {
        log_error("the API's readers did not end");
    }
    service_stop(d->service);
    if (d->mailbox != NULL) {
        (void)mailbox_deliver_all(d->mailbox);
        mailbox_free(d->mailbox);
    }
    api_free(d->api);
    integrations_free(d->integrations);
    watchdog_free(d->watchdog);
    reload_free(d->reload);
    sd_event_unref(d->event);
}

static int exit_status(int errnum)
{
    switch (errnum) {
    case -EBUSY:
    case -EADDRINUSE:
        return EX_TEMPFAIL;
    case -EINVAL:
    case -ENOENT:
    case -ENOTDIR:
    case -EACCES:
        return EX_CONFIG;
    case -EBADMSG:
    case -EIO:
        return EX_IOERR;
    default:
        return EX_OSERR;
    }
}

int serve(const struct config_sources *sources, struct config *config)
{
    struct daemon d = {.sources = sources,
                       .config = config,
                       .fatal_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    struct err err = ERR_INIT;
    log_init(config->log_level);
    (void)umask(0077);
    d.kept_fd = kept_socket_take();
    d.reload = reload_new(sources, config);
    int r = start(&d, &err);
    if (r < 0) {
        log_error("cannot start: %s%s%s", err.message,
                  err.hint[0] != '\0' ? "; " : "", err.hint);
        d.status = exit_status(r);
    } else {
        log_debug("state in %s, runbooks in %s, executor at %s",
                  config->state_directory, config->repository,
                  config->executor_socket);
        log_tell(LOG_ENGINE_READY, "ready on %s (port %u)", config->listen,
                 http_port(d.http));
        (void)sd_notify(0, "READY=1");
        r = sd_event_loop(d.event);
        if (d.status == EX_IOERR) {
            /* Nothing more may be acknowledged: no orderly end. */
            bool gone = access(config->storage_path, F_OK) < 0;
            log_tell(LOG_STORE_FAILED,
                     "the store failed (%s): ending now, the next start "
                     "%s",
                     gone ? "its files were removed"
                          : strerror(-atomic_load(&d.fatal)),
                     gone ? "makes a new one" : "recovers");
            _exit(EX_IOERR);
        }
    }
    stop(&d);
    if (d.status == EX_OK && r < 0) {
        log_error("the main loop failed: %s", strerror(-r));
        d.status = EX_OSERR;
    } else if (d.status == EX_OK && atomic_load(&d.fatal) != 0) {
        d.status = EX_IOERR; /* while it stopped: not everything is stored */
    }
    config_free(config);
    return d.status;
}
