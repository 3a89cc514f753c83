/*
 * Noticing by itself that the runbook repository has changed
 * (runbooks.auto_reload). The loader looks at names and times every
 * WATCH_INTERVAL_MS; a change is loaded when it has stood still for one
 * interval, so that a checkout that is under way is not loaded half done.
 */
#include <syslog.h>

#include "base/assert.h"
#include "base/mem.h"
#include "runtime/service_priv.h"

#define WATCH_INTERVAL_MS 2000
#define RETRY_LOOKS 15 /* after a reload that failed */

struct watch {
    struct pool_job pool_job;
    struct mail mail;
    struct service *service;
    sd_event_source *timer;
    struct service_request reload;
    bool busy;        /* a look or a reload is under way */
    bool look_failed; /* told once, until it works again */
    uint32_t retry;   /* looks until a failed reload is tried again; 0: none */
    uint64_t loaded;  /* fingerprint of what is in force */
    uint64_t last;    /* of the last look */
    uint64_t now;     /* of the look under way */
    int result;
    struct err err;
};

static void reload_done(struct service_request *request)
{
    struct watch *w = CONTAINER_OF(request, struct watch, reload);
    w->retry = request->result < 0 ? RETRY_LOOKS : 0;
    w->busy = false;
}

static void reload(struct watch *w)
{
    w->loaded = w->now;
    w->reload = (struct service_request){.kind = SERVICE_RELOAD,
                                         .requested_by = STR("auto_reload"),
                                         .done = reload_done};
    service_log(w->service, LOG_INFO, "the runbook repository has changed");
    service_reload(w->service, &w->reload);
}

static void take_look(struct mail *mail)
{
    struct watch *w = CONTAINER_OF(mail, struct watch, mail);
    if (w->result < 0) {
        if (!w->look_failed) {
            service_log(w->service, LOG_WARNING,
                        "cannot look for changed runbooks: %s", w->err.message);
        }
        w->look_failed = true;
        w->busy = false;
        return;
    }
    w->look_failed = false;
    bool still = w->now == w->last;
    w->last = w->now;
    bool again = w->retry != 0 && --w->retry == 0;
    if (still && (again || w->now != w->loaded) && !w->service->ending) {
        reload(w);
        return;
    }
    w->busy = false;
}

/* On the loader's thread. */
static void look(struct pool_job *pool_job)
{
    struct watch *w = CONTAINER_OF(pool_job, struct watch, pool_job);
    w->result = repo_fingerprint(w->service->repo, &w->now, &w->err);
    mailbox_post(w->service->mailbox, &w->mail);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    struct watch *w = context;
    (void)usec;
    if (!w->busy && !w->service->reloading && !w->service->ending) {
        w->busy = true;
        mail_init(&w->mail, take_look);
        pool_job_init(&w->pool_job, look);
        ASSERT(pool_submit(w->service->loader, &w->pool_job) == 0);
    }
    (void)sd_event_source_set_time_relative(source,
                                            WATCH_INTERVAL_MS * 1000ULL);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int service_watch_start(struct service *s, struct err *reterr)
{
    struct watch *w = MEM_NEW(struct watch);
    w->service = s;
    s->watch = w;
    int r = repo_fingerprint(s->repo, &w->loaded, reterr);
    if (r < 0) {
        return r;
    }
    w->last = w->loaded;
    r = sd_event_add_time_relative(s->event, &w->timer, CLOCK_MONOTONIC,
                                   WATCH_INTERVAL_MS * 1000ULL, 0, on_timer, w);
    return r < 0 ? err_set(reterr, r, "cannot watch the runbook repository")
                 : 0;
}

void service_watch_free(struct service *s)
{
    if (s->watch != NULL) {
        sd_event_source_unref(s->watch->timer);
        mem_free(s->watch);
        s->watch = NULL;
    }
}
