/*
 * Reloading the runbook repository beside the engine: parsing thousands of
 * files takes its time, so a thread of its own does it (the workers may be
 * stuck with a runbook that a reload is to mend) and the service's thread only
 * swaps the result in. One reload at a time; requests that come meanwhile
 * wait for a reload that starts after them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "base/assert.h"
#include "base/mem.h"
#include "match/twins.h"
#include "os/clock.h"
#include "runtime/service_priv.h"

/* How long a reload that somebody has asked for waits for the executor's word
 * about what is in force now. */
#define ASK_MAX_MS 5000
#define PROBLEMS_LOGGED 10 /* of one file */

static const struct log_fields fields_loaded = {.message = LOG_RUNBOOKS_LOADED};
static const struct log_fields fields_failed = {.message = LOG_RUNBOOKS_FAILED};

struct reload {
    struct pool_job pool_job;
    struct mail mail;
    struct service *service;
    struct service_request *request;
    struct generation *before;
    struct generation *after; /* NULL when the folder could not be read */
    struct runtime_op ro;     /* the row of the audit trail */
    struct record record;
    sd_event_source *deadline; /* of the executor's answers; NULL: not asked */
};

void service_set_generation(struct service *s, struct generation *g)
{
    pthread_mutex_lock(&s->generation_lock);
    struct generation *old = s->generation;
    s->generation = generation_ref(g);
    pthread_mutex_unlock(&s->generation_lock);
    generation_unref(old);

    uint32_t loaded = 0;
    uint32_t rejected = 0;
    for (uint32_t i = 0; i < g->file_count; i++) {
        loaded += g->files[i].runbook != NULL ? 1 : 0;
        rejected += g->files[i].state != FILE_LOADED ? 1 : 0;
    }
    pthread_mutex_lock(&s->status_lock);
    s->status.generation = g->number;
    s->status.runbooks_loaded = loaded;
    s->status.runbooks_rejected = rejected;
    pthread_mutex_unlock(&s->status_lock);
    service_prune_refusals(s, g);
    runtime_set_generation(s->runtime, g);
}

struct generation *service_generation(struct service *s)
{
    pthread_mutex_lock(&s->generation_lock);
    struct generation *g = generation_ref(s->generation);
    pthread_mutex_unlock(&s->generation_lock);
    return g;
}

/* A file, a folder above it or the whole may be wrong: then there is no place.
 */
static void log_problem(struct service *s, const struct generation_file *f,
                        const struct err *e)
{
    const struct log_fields fields = {.message = LOG_RUNBOOK_REJECTED,
                                      .runbook = f->path};
    char place[32] = "";
    if (e->at.line != 0) {
        (void)snprintf(place, sizeof(place), ":%u:%u", e->at.line,
                       e->at.column);
    }
    service_tell(s, &fields, "runbook %.*s%s: %s%s", STR_ARG(f->path), place,
                 e->message,
                 f->state == FILE_LAST_KNOWN_GOOD
                     ? " (its last good version stays in force)"
                     : " (not in force)");
}

/* A line for each problem of the files that are not in force as they stand on
 * disk. */
static void log_rejected(struct service *s, const struct generation *g)
{
    for (uint32_t i = 0; i < g->file_count; i++) {
        const struct generation_file *f = &g->files[i];
        uint32_t shown = MIN(f->problem_count, (uint32_t)PROBLEMS_LOGGED);
        if (f->state == FILE_LOADED) {
            continue; /* adctl runbook validate shows warnings */
        }
        for (uint32_t p = 0; p < shown; p++) {
            log_problem(s, f, &f->problems[p]);
        }
        if (shown < f->problem_count) {
            service_log(s, LOG_WARNING,
                        "runbook %.*s: %u more; see: adctl runbook validate "
                        "%.*s",
                        STR_ARG(f->path), f->problem_count - shown,
                        STR_ARG(f->path));
        }
    }
}

/* One that is disabled starts with no event. */
static bool is_enabled(const void *controls, struct str path)
{
    return controls == NULL || controls_disabled(controls, path) == NULL;
}

static struct twin twin_of(const struct controls *c, const struct generation *g,
                           const struct generation_file *f)
{
    return generation_twin(g, f, is_enabled, c);
}

/* Was it so before? Then it has been told. */
static bool is_known(const struct controls *c, const struct generation *before,
                     const struct generation_file *f, const struct twin *now)
{
    const struct generation_file *old =
        before != NULL ? generation_file(before, f->path) : NULL;
    if (old == NULL) {
        return false;
    }
    struct twin t = twin_of(c, before, old);
    return t.kind == now->kind && str_eq(t.other->path, now->other->path);
}

void service_tell_twins(struct service *s, const struct generation *before,
                        const struct controls *then)
{
    const struct generation *g = s->generation;
    for (uint32_t i = 0; i < g->file_count; i++) {
        const struct generation_file *f = &g->files[i];
        struct twin t = twin_of(s->controls, g, f);
        struct err e = ERR_INIT;
        if (t.kind != TWIN_NONE && !is_known(then, before, f, &t)) {
            twin_explain(&t, &e);
            service_log(s, LOG_WARNING, "runbook %.*s: %s (%s)",
                        STR_ARG(f->path), e.message, e.hint);
        }
    }
}

static void begin(struct service *s, struct service_request *request);

static void put_in_force(struct reload *reload)
{
    struct service *s = reload->service;
    struct service_request *request = reload->request;
    if (reload->after != NULL) {
        log_rejected(s, reload->after);
        service_tell(s, &fields_loaded,
                     "runbooks: generation %llu, %u added, %u changed, %u "
                     "removed, %u rejected",
                     (unsigned long long)reload->after->number,
                     request->changes.added, request->changes.changed,
                     request->changes.removed, request->changes.rejected);
        service_set_generation(s, generation_ref(reload->after));
        service_tell_twins(s, reload->before, s->controls);
    } else {
        service_tell(s, &fields_failed, "cannot reload the runbooks: %s",
                     request->err.message);
    }
    pthread_mutex_lock(&s->status_lock);
    s->status.runbooks_stale = reload->after == NULL;
    pthread_mutex_unlock(&s->status_lock);
}

static void finish(struct reload *reload)
{
    struct service *s = reload->service;
    struct service_request *request = reload->request;
    s->reloading = false;
    sd_event_source_disable_unref(reload->deadline);
    request->after = reload->after;
    request->done(request); /* which may free it */
    generation_unref(reload->before);
    generation_unref(reload->after);
    mem_free(reload);
    struct list *waiting = NULL;
    while (!s->reloading && (waiting = list_pop(&s->reloads_waiting)) != NULL) {
        begin(s, CONTAINER_OF(waiting, struct service_request, link));
    }
}

/* ---- the executor's word ----------------------------------------------------
 * Whoever has asked for a reload is told which runbooks the executor will not
 * run, too. If it does not answer in time, that is known later. */

void service_reload_stop_asking(struct service *s)
{
    struct reload *reload = s->reload_asking;
    if (reload != NULL) {
        s->reload_asking = NULL;
        finish(reload);
    }
}

void service_reload_heard(struct service *s)
{
    if (!s->renewing && runtime_exec_pins_settled(s->runtime)) {
        service_reload_stop_asking(s);
    }
}

static int on_deadline(sd_event_source *source UNUSED, uint64_t now_us UNUSED,
                       void *context)
{
    service_reload_stop_asking(context);
    return 0;
}

static void ask_executor(struct reload *reload)
{
    struct service *s = reload->service;
    int r =
        sd_event_add_time_relative(s->event, &reload->deadline, CLOCK_MONOTONIC,
                                   ASK_MAX_MS * 1000ULL, 0, on_deadline, s);
    ASSERT(r >= 0);
    s->reload_asking = reload;
    service_reload_heard(s);
}

/* ---- the audit trail -------------------------------------------------------
 * A reload that somebody has asked for is in force when its row is durable;
 * without the row it is not done. */

static void give_up(struct reload *reload, int result)
{
    struct service_request *request = reload->request;
    request->result =
        err_set(&request->err, result,
                "the audit trail did not take the reload: %s; the old runbooks "
                "stay",
                strerror(-result));
    generation_unref(reload->after);
    reload->after = NULL;
}

static void on_committed(struct mail *mail)
{
    struct runtime_op *ro = CONTAINER_OF(mail, struct runtime_op, mail);
    struct reload *reload = CONTAINER_OF(ro, struct reload, ro);
    struct service *s = reload->service;
    s->reload_committing = false;
    if (ro->op.result < 0) {
        give_up(reload, ro->op.result);
    } else {
        service_tell_change(s, &reload->record.audit);
        put_in_force(reload);
    }
    if (reload->after != NULL && !s->ending) {
        ask_executor(reload);
    } else {
        finish(reload);
    }
    service_maybe_end(s);
}

/* On the committer's thread. */
static void op_done(struct store_op *op)
{
    struct reload *reload = CONTAINER_OF(op, struct reload, ro.op);
    mailbox_post(reload->service->mailbox, &reload->ro.mail);
}

static void commit_row(struct reload *reload)
{
    struct service *s = reload->service;
    struct service_request *request = reload->request;
    request->after = reload->after;
    reload->record = (struct record){
        .kind = RECORD_AUDIT,
        .audit = {.at_ms = os_epoch_ms(),
                  .who = request->requested_by,
                  .action = request->reload.audit},
    };
    request->reload.describe(request, &reload->record.audit);
    reload->ro.op = (struct store_op){
        .kind = STORE_APPLY,
        .optional = true,
        .apply = {.records = &reload->record, .count = 1},
        .done = op_done,
    };
    mail_init(&reload->ro.mail, on_committed);
    s->reload_committing = true;
    committer_submit(s->committer, &reload->ro.op);
}

static void take_reload(struct mail *mail)
{
    struct reload *reload = CONTAINER_OF(mail, struct reload, mail);
    bool audited = reload->request->reload.audit.len != 0;
    reload->request->before = reload->before;
    if (reload->after == NULL || !audited) {
        put_in_force(reload);
        finish(reload);
    } else if (atomic_load(&reload->service->stopping)) {
        give_up(reload, -ECANCELED);
        finish(reload);
    } else {
        commit_row(reload);
    }
}

/* On the loader's thread. */
static void run(struct pool_job *pool_job)
{
    struct reload *reload = CONTAINER_OF(pool_job, struct reload, pool_job);
    struct service *s = reload->service;
    struct service_request *request = reload->request;
    const struct repo_load_options how = {
        .before = reload->before,
        .defaults = &s->options.defaults,
        .number = reload->before->number + 1,
        .now_ms = os_epoch_ms(),
    };
    request->result = repo_load(s->repo, &how, &reload->after,
                                &request->changes, &request->err);
    mailbox_post(s->mailbox, &reload->mail);
}

static void start(struct service *s, struct service_request *request)
{
    struct reload *reload = MEM_NEW(struct reload);
    reload->service = s;
    reload->request = request;
    reload->before = service_generation(s);
    mail_init(&reload->mail, take_reload);
    pool_job_init(&reload->pool_job, run);
    s->reloading = true;
    ASSERT(pool_submit(s->loader, &reload->pool_job) == 0);
}

/* At the end the workers may be gone already. */
static void begin(struct service *s, struct service_request *request)
{
    if (!atomic_load(&s->stopping)) {
        start(s, request);
        return;
    }
    request->result =
        err_set(&request->err, -ECANCELED, "the engine is stopping");
    request->done(request);
}

void service_reload(struct service *s, struct service_request *request)
{
    if (s->reloading) {
        list_push(&s->reloads_waiting, &request->link);
        return;
    }
    begin(s, request);
}

int service_load_first(struct service *s, struct err *reterr)
{
    struct repo_changes changes = {0};
    struct generation *g = NULL;
    const struct repo_load_options how = {
        .defaults = &s->options.defaults,
        .number = 1,
        .now_ms = os_epoch_ms(),
    };
    int r = repo_load(s->repo, &how, &g, &changes, reterr);
    if (r < 0) {
        return err_wrap(reterr, "cannot load the runbooks of %s",
                        s->repository);
    }
    log_rejected(s, g);
    service_tell(s, &fields_loaded, "runbooks: %u loaded, %u rejected",
                 changes.added, changes.rejected);
    service_set_generation(s, g);
    return 0;
}
