/*
 * Reloading the runbook repository beside the engine: parsing thousands of
 * files takes its time, so a worker does it and the service's thread only
 * swaps the result in. One reload at a time; requests that come meanwhile
 * wait for a reload that starts after them.
 */
#include <syslog.h>

#include "base/assert.h"
#include "base/mem.h"
#include "os/clock.h"
#include "runtime/service_priv.h"

static const struct log_fields fields_loaded = {.message = LOG_RUNBOOKS_LOADED};
static const struct log_fields fields_failed = {.message = LOG_RUNBOOKS_FAILED};

struct reload {
    struct pool_job pool_job;
    struct mail mail;
    struct service *service;
    struct service_request *request;
    struct generation *before;
    struct generation *after; /* NULL when the folder could not be read */
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
    runtime_set_generation(s->runtime, g);
}

struct generation *service_generation(struct service *s)
{
    pthread_mutex_lock(&s->generation_lock);
    struct generation *g = generation_ref(s->generation);
    pthread_mutex_unlock(&s->generation_lock);
    return g;
}

/* One line per file that is not in force as it stands on disk. */
static void log_rejected(struct service *s, const struct generation *g)
{
    for (uint32_t i = 0; i < g->file_count; i++) {
        const struct generation_file *f = &g->files[i];
        if (f->state == FILE_LOADED || f->problem_count == 0) {
            continue; /* adctl runbook validate shows warnings */
        }
        const struct log_fields fields = {.message = LOG_RUNBOOK_REJECTED,
                                          .runbook = f->path};
        service_tell(s, &fields, "runbook %.*s:%u:%u: %s%s", STR_ARG(f->path),
                     f->problems[0].at.line, f->problems[0].at.column,
                     f->problems[0].message,
                     f->state == FILE_LAST_KNOWN_GOOD
                         ? " (its last good version stays in force)"
                         : " (not in force)");
    }
}

static void start(struct service *s, struct service_request *request);

static void finish(struct reload *reload)
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
    } else {
        service_tell(s, &fields_failed, "cannot reload the runbooks: %s",
                     request->err.message);
    }
    pthread_mutex_lock(&s->status_lock);
    s->status.runbooks_stale = reload->after == NULL;
    pthread_mutex_unlock(&s->status_lock);
    s->reloading = false;
    request->before = reload->before;
    request->after = reload->after;
    request->done(request); /* which may free it */
    generation_unref(reload->before);
    generation_unref(reload->after);
    mem_free(reload);
    struct list *waiting = list_pop(&s->reloads_waiting);
    if (waiting != NULL) {
        start(s, CONTAINER_OF(waiting, struct service_request, link));
    }
}

static void take_reload(struct mail *mail)
{
    finish(CONTAINER_OF(mail, struct reload, mail));
}

/* On a worker's thread. */
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
    ASSERT(pool_submit(s->pool, &reload->pool_job) == 0);
}

void service_reload(struct service *s, struct service_request *request)
{
    if (s->reloading) {
        list_push(&s->reloads_waiting, &request->link);
        return;
    }
    start(s, request);
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
