/*
 * The runtime's ports onto the real world, and what comes back from it.
 */
#include <errno.h>
#include <sys/statvfs.h>
#include <syslog.h>

#include "base/assert.h"
#include "base/mem.h"
#include "os/clock.h"
#include "os/random.h"
#include "os/zone.h"
#include "runtime/service_priv.h"

/* How long the executor may take to be back with another configuration. */
#define RENEW_MAX_MS 5000

/* ---- towards the world --------------------------------------------------- */

static uint64_t port_now_ms(void *context)
{
    (void)context;
    return os_epoch_ms();
}

static uint64_t port_elapsed_ms(void *context)
{
    (void)context;
    return os_monotonic_ms();
}

static void port_random(void *context, void *buf, size_t len)
{
    (void)context;
    os_random(buf, len);
}

static void take_op(struct mail *mail)
{
    struct runtime_op *ro = CONTAINER_OF(mail, struct runtime_op, mail);
    struct service *s = ro->op.context;
    runtime_op_done(s->runtime, &ro->op);
    service_settle_restore(s);
    service_publish_status(s);
    service_maybe_end(s);
}

/* On the committer's thread. */
static void op_done(struct store_op *op)
{
    struct service *s = op->context;
    mailbox_post(s->mailbox, &CONTAINER_OF(op, struct runtime_op, op)->mail);
}

static void port_submit(void *context, struct store_op *op)
{
    struct service *s = context;
    mail_init(&CONTAINER_OF(op, struct runtime_op, op)->mail, take_op);
    op->context = s;
    op->done = op_done;
    committer_submit(s->committer, op);
}

static void take_job(struct mail *mail)
{
    struct match_job *job = CONTAINER_OF(mail, struct match_job, mail);
    struct service *s = job->claim.op.context;
    if (service_worker_ends(s, job)) {
        s->jobs_running--;
        runtime_job_done(s->runtime, job);
    } else {
        runtime_job_drop(job);
        service_workers_reap(s);
    }
    service_publish_status(s);
    service_maybe_end(s);
}

static int zone_of(void *context, struct str name, int64_t seconds,
                   int32_t *ret)
{
    return zones_offset(context, name, seconds, ret);
}

/* On a worker's thread. */
static void run_match(struct pool_job *pool_job)
{
    struct match_job *job = CONTAINER_OF(pool_job, struct match_job, pool_job);
    struct service *s = job->claim.op.context;
    CLEANUP(zones_freep) struct zones *zones = zones_new(ZONES_FOLDER);
    const struct event_zones offsets = {zone_of, zones};
    job->input.zones = &offsets;
    match_job_run(job);
    job->input.zones = NULL;
    mailbox_post(s->mailbox, &job->mail);
}

/* The engine has at most one batch per worker, so the pool's queue, which
 * holds more, cannot be full. */
static void port_match(void *context, struct match_job *job)
{
    struct service *s = context;
    s->jobs_running++;
    service_worker_begins(s, job);
    mail_init(&job->mail, take_job);
    pool_job_init(&job->pool_job, run_match);
    ASSERT(pool_submit(s->pool, &job->pool_job) == 0);
}

static void port_execute(void *context, const struct exec_message *m)
{
    struct service *s = context;
    exec_client_send(s->executor, m);
}

static void port_start(void *context, const struct runbook *rb,
                       const struct exec_message *m)
{
    service_start_step(context, rb, m);
}

static void port_wake(void *context, uint64_t at_ms)
{
    struct service *s = context;
    timer_set(s->timer, at_ms);
}

/* A workflow that the engine does not hold: final, or never there? Its last
 * commit is durable by now, because replies wait for earlier commits. */
static void look_up_absent(struct service *s, struct service_request *request)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct workflow_view view;
    request->result = s->reader->ops->workflow(
        s->reader, request->stop.workflow_id, &a, &view);
    if (request->result == 0) {
        request->result = -EEXIST;
        request->status = view.row.status;
    }
}

static void port_reply(void *context, void *token, int result,
                       struct id workflow, enum workflow_status status)
{
    struct service *s = context;
    struct service_request *request = token;
    request->result = result;
    request->workflow_id = workflow;
    request->status = status;
    if (request->kind == SERVICE_STOP && result == -ENOENT) {
        look_up_absent(s, request);
    }
    service_publish_status(s);
    request->done(request);
}

static void port_enrich(void *context, struct effects *fx)
{
    struct service *s = context;
    if (s->options.enrich != NULL) {
        s->options.enrich(s->options.context, fx);
    }
}

static void port_committed(void *context, const struct record *records,
                           size_t count)
{
    struct service *s = context;
    telemetry_records(s->telemetry, os_epoch_ms(), records, count);
    service_tell_records(s, records, count);
    if (s->options.committed != NULL) {
        s->options.committed(s->options.context, records, count);
    }
}

static void port_fatal(void *context, int errnum)
{
    struct service *s = context;
    atomic_store(&s->store_failed, true);
    s->options.fatal(s->options.context, errnum);
}

struct runtime_ports service_ports(struct service *s)
{
    return (struct runtime_ports){
        .context = s,
        .now_ms = port_now_ms,
        .elapsed_ms = port_elapsed_ms,
        .random = port_random,
        .submit = port_submit,
        .match = port_match,
        .execute = port_execute,
        .start = port_start,
        .wake = port_wake,
        .reply = port_reply,
        .enrich = port_enrich,
        .committed = port_committed,
        .fatal = port_fatal,
    };
}

/* ---- from the world, on the service's thread ------------------------------
 */

void service_publish_status(struct service *s)
{
    struct engine_counts counts = engine_count(runtime_engine(s->runtime));
    pthread_mutex_lock(&s->status_lock);
    s->status.engine = counts;
    s->status.executor_up = exec_client_is_up(s->executor);
    pthread_mutex_unlock(&s->status_lock);
}

/* A connection that we renew ourselves is no news. */
static void tell_executor(struct service *s, const struct exec_message *m)
{
    if (m == NULL && !s->renewing) {
        service_tell(s, &(struct log_fields){.message = LOG_EXECUTOR_DOWN},
                     "the executor is not connected: steps wait for it");
    } else if (m != NULL && m->kind == EXEC_WELCOME && !s->renewing) {
        service_tell(s, &(struct log_fields){.message = LOG_EXECUTOR_UP},
                     "connected to the executor");
    }
}

void service_take_executor(void *context, const struct exec_message *m)
{
    struct service *s = context;
    tell_executor(s, m);
    if (m != NULL && m->kind == EXEC_WELCOME) {
        s->renewing = false;
    } else if (m != NULL && m->kind == EXEC_PINNED) {
        service_take_pinned(s, m);
    }
    runtime_executor_message(s->runtime, m);
    service_publish_status(s);
    service_reload_heard(s);
}

/* It has not come back, which is news after all. */
static int on_renew_deadline(sd_event_source *source UNUSED,
                             uint64_t now_us UNUSED, void *context)
{
    struct service *s = context;
    if (s->renewing && !exec_client_is_up(s->executor)) {
        s->renewing = false;
        tell_executor(s, NULL);
    }
    s->renewing = false;
    service_reload_heard(s);
    return 0;
}

/* Who may run as whom is the executor's to read, which it does when an engine
 * connects. */
static void renew_executor(struct service *s)
{
    if (!exec_client_is_up(s->executor)) {
        return; /* it will, when it comes */
    }
    s->renew_deadline = sd_event_source_disable_unref(s->renew_deadline);
    int r = sd_event_add_time_relative(s->event, &s->renew_deadline,
                                       CLOCK_MONOTONIC, RENEW_MAX_MS * 1000ULL,
                                       0, on_renew_deadline, s);
    s->renewing = r >= 0; /* else it is told like any loss */
    exec_client_renew(s->executor);
}

int service_configure(struct service *s)
{
    struct engine_config config = s->engine;
    uint32_t workers = controls_workers(s->controls);
    config.workers = workers != 0 ? workers : config.workers;
    runtime_set_config(s->runtime, &config);
    pthread_mutex_lock(&s->status_lock);
    s->status.workers = config.workers;
    s->status.workers_configured = s->engine.workers;
    s->status.guards = s->engine.guards;
    pthread_mutex_unlock(&s->status_lock);
    return pool_resize(s->pool, config.workers);
}

/* On a full disk: enough is left of the reserve for the rows of a workflow.
 * What the engine has decided must be stored, or the process ends, so this is
 * looked at before. */
#define RUN_LEAST_BYTES (1024UL * 1024)

static bool may_run(struct service *s)
{
    struct statvfs fs;
    return committer_has_room(s->committer) ||
           (statvfs(s->state_directory, &fs) == 0 &&
            fs.f_bavail * fs.f_frsize >= RUN_LEAST_BYTES);
}

static void take_run(struct service *s, struct service_request *request)
{
    struct runtime_run_request run = {
        .runbook = request->run.runbook,
        .commit = request->run.commit,
        .parameters = request->run.parameters,
        .requested_by = request->requested_by,
        .dry_run = request->run.dry_run,
        .request = request->run.request,
        .resume = request->run.resume,
        .audit = request->run.audit,
        .reply = request,
    };
    if (may_run(s)) {
        runtime_request_run(s->runtime, &run);
    } else {
        request->result = -ENOSPC;
        request->done(request);
    }
}

void service_take_request(struct mail *mail)
{
    struct service_request *request =
        CONTAINER_OF(mail, struct service_request, mail);
    struct service *s = request->service;
    switch (request->kind) {
    case SERVICE_RUN:
        take_run(s, request);
        break;
    case SERVICE_STOP:
        runtime_request_stop(s->runtime, request->stop.workflow_id,
                             request->stop.how, request->requested_by,
                             request->stop.audit, request);
        break;
    case SERVICE_RESET: {
        struct runtime_reset reset = {
            .runbook = request->reset.runbook,
            .trigger = request->reset.trigger,
            .key = request->reset.key,
            .any_key = request->reset.any_key,
            .requested_by = request->requested_by,
            .audit = request->reset.audit,
            .reply = request,
        };
        runtime_reset_guards(s->runtime, &reset);
        break;
    }
    case SERVICE_RELOAD:
        service_reload(s, request);
        break;
    case SERVICE_CHANGE:
        service_change(s, request);
        break;
    case SERVICE_CONFIGURE:
        s->engine = request->configure.engine;
        service_set_keep(s, &request->configure.keep);
        request->result = service_configure(s);
        if (request->configure.kill_switch != NULL) {
            service_switch_move(s, request->configure.kill_switch);
        }
        if (request->configure.executor) {
            renew_executor(s);
        }
        request->done(request);
        break;
    case SERVICE_PING:
        request->done(request);
        return;
    case SERVICE_END:
        service_begin_end(s);
        return;
    }
    service_publish_status(s);
}
