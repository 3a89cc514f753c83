/*
 * The event workers as an operator sees them: what each is doing, since when,
 * how busy it was; and giving up those that make no progress. All on the
 * service's thread; the numbers are copied out under the status lock.
 */
#include "runtime/service_workers.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>

#include "base/assert.h"
#include "os/clock.h"
#include "runtime/service_priv.h"

#define SLOT_US (SERVICE_WINDOW_US / SERVICE_WORKER_SLOTS)

/* Counts the time from..to as busy, in the slots that it touches. */
static void add_busy(struct worker_stat *w, uint64_t from_us, uint64_t to_us)
{
    if (to_us > SERVICE_WINDOW_US && from_us < to_us - SERVICE_WINDOW_US) {
        from_us = to_us - SERVICE_WINDOW_US;
    }
    while (from_us < to_us) {
        uint64_t no = from_us / SLOT_US;
        uint64_t until_us = MIN(to_us, (no + 1) * SLOT_US);
        struct worker_slot *slot = &w->slots[no % SERVICE_WORKER_SLOTS];
        if (slot->no != no) {
            *slot = (struct worker_slot){.no = no};
        }
        slot->busy_us += until_us - from_us;
        from_us = until_us;
    }
}

/* Share of the window (or of the time since the service started, if that is
 * less) in which the worker had a batch: 0..1. */
static double utilization(struct worker_stat w, uint64_t now_us,
                          uint64_t started_us)
{
    if (w.job != NULL) {
        add_busy(&w, w.since_us, now_us);
    }
    uint64_t newest = now_us / SLOT_US;
    uint64_t sum_us = 0;
    for (size_t i = 0; i < SERVICE_WORKER_SLOTS; i++) {
        bool counts = w.slots[i].no + SERVICE_WORKER_SLOTS > newest &&
                      w.slots[i].no <= newest;
        sum_us += counts ? w.slots[i].busy_us : 0;
    }
    uint64_t window_us =
        (SERVICE_WORKER_SLOTS - 1) * SLOT_US + now_us % SLOT_US + 1;
    uint64_t lived_us = now_us - MIN(started_us, now_us) + 1;
    window_us = MIN(window_us, lived_us);
    return MIN((double)sum_us / (double)window_us, 1.0);
}

/* On a worker's thread. */
static void on_progress(struct match_job *job)
{
    atomic_store(&job->progress_us, os_monotonic_us());
}

void service_worker_begins(struct service *s, struct match_job *job)
{
    struct worker_stat *w = &s->workers[job->worker];
    const struct store_claim *claim = &job->claim.op.claim;
    pthread_mutex_lock(&s->status_lock);
    w->job = job;
    w->since_ms = os_epoch_ms();
    w->since_us = os_monotonic_us();
    w->events = claim->count;
    atomic_store(&job->progress_us, w->since_us);
    job->progress = on_progress;
    pthread_mutex_unlock(&s->status_lock);
}

static void worker_rests(struct service *s, struct worker_stat *w,
                         uint32_t processed)
{
    pthread_mutex_lock(&s->status_lock);
    w->processed += processed;
    add_busy(w, w->since_us, os_monotonic_us());
    w->since_ms = 0;
    w->job = NULL;
    pthread_mutex_unlock(&s->status_lock);
}

bool service_worker_ends(struct service *s, struct match_job *job)
{
    struct worker_stat *w = &s->workers[job->worker];
    if (w->job != job) {
        return false; /* it was given up */
    }
    worker_rests(s, w, w->events);
    return true;
}

/* Whatever the wall clock is set to meanwhile. */
static uint64_t still_ms(const struct worker_stat *w, uint64_t now_us)
{
    uint64_t progress_us = atomic_load(&w->job->progress_us);
    return (now_us - MIN(progress_us, now_us)) / 1000;
}

static bool is_stuck(const struct service *s, const struct worker_stat *w,
                     uint64_t now_us)
{
    return still_ms(w, now_us) >= s->options.worker_stuck_ms;
}

/* Under the status lock: the job cannot be given back meanwhile. */
static void view_job(const struct service *s, const struct worker_stat *w,
                     uint64_t now_us, struct worker_view *ret)
{
    const struct store_claim *claim = &w->job->claim.op.claim;
    uint32_t done = atomic_load(&w->job->matched);
    ret->state = is_stuck(s, w, now_us) ? WORKER_STUCK : WORKER_BUSY;
    ret->since_ms = w->since_ms;
    ret->progress_ms = /* the same at each look */
        w->since_ms + (atomic_load(&w->job->progress_us) - w->since_us) / 1000;
    ret->events = w->events;
    ret->done = done;
    if (claim->count != 0) {
        ret->event = claim->events[MIN(done, claim->count - 1)].id;
    }
}

uint32_t service_workers(struct service *s, struct worker_view *ret,
                         uint32_t max)
{
    uint64_t now_us = os_monotonic_us();
    pthread_mutex_lock(&s->status_lock);
    uint32_t count = MIN(s->status.workers, max);
    for (uint32_t i = 0; i < count; i++) {
        const struct worker_stat *w = &s->workers[i];
        ret[i] = (struct worker_view){
            .state = WORKER_IDLE,
            .processed = w->processed,
            .utilization = utilization(*w, now_us, s->started_us),
        };
        if (w->job != NULL) {
            view_job(s, w, now_us, &ret[i]);
        }
    }
    pthread_mutex_unlock(&s->status_lock);
    return count;
}

/* ---- other threads for stuck ones ----------------------------------------
 */

void service_workers_reap(struct service *s)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < s->retired_count; i++) {
        if (!pool_reap(s->retired[i])) {
            s->retired[left++] = s->retired[i];
        }
    }
    s->retired_count = left;
}

static bool any_is_stuck(const struct service *s, uint64_t now_us)
{
    for (uint32_t i = 0; i < ENGINE_WORKERS_MAX; i++) {
        const struct worker_stat *w = &s->workers[i];
        if (w->job != NULL && is_stuck(s, w, now_us)) {
            return true;
        }
    }
    return false;
}

int service_workers_spare(struct service *s, struct pool **ret,
                          struct err *reterr)
{
    *ret = NULL;
    service_workers_reap(s);
    if (!any_is_stuck(s, os_monotonic_us())) {
        return 0;
    }
    if (s->retired_count == SERVICE_POOLS_RETIRED_MAX) {
        err_hint(reterr, "systemctl restart autonomous-devops");
        return err_set(reterr, -EAGAIN,
                       "the workers were not restarted: those of %d restarts "
                       "are still stuck, so the engine must be restarted",
                       SERVICE_POOLS_RETIRED_MAX);
    }
    int r = pool_start("match", s->status.workers, SERVICE_POOL_QUEUE, ret);
    return r < 0 ? err_set(reterr, r,
                           "the workers were not restarted: no more threads "
                           "can be had (%s)",
                           strerror(-r))
                 : 0;
}

/* Its batch: what is matched of it is done, the rest is queued again. */
static void give_up(struct service *s, struct worker_stat *w, uint64_t now_ms)
{
    struct match_job *job = w->job;
    uint32_t events = w->events;
    worker_rests(s, w, 0); /* before the job goes: others look at it */
    s->jobs_running--;
    uint32_t matched = runtime_batch_lost(s->runtime, job);
    pthread_mutex_lock(&s->status_lock);
    w->processed += matched;
    pthread_mutex_unlock(&s->status_lock);
    telemetry_event_error(s->telemetry, now_ms, events - matched);
}

/* The threads may be lost for good, so others take their places. They are
 * joined when they end after all, or at the very end. */
uint32_t service_workers_replace(struct service *s, struct pool *spare)
{
    uint64_t now_ms = os_epoch_ms();
    uint64_t now_us = os_monotonic_us();
    uint32_t given_up = 0;
    if (spare == NULL) {
        return 0;
    }
    pool_retire(s->pool, spare);
    s->retired[s->retired_count++] = s->pool;
    s->pool = spare;
    if (pool_resize(spare, s->status.workers) < 0) {
        service_log(s, LOG_ERR,
                    "there are fewer workers: no more threads can "
                    "be had");
    }
    for (uint32_t i = 0; i < ENGINE_WORKERS_MAX; i++) {
        struct worker_stat *w = &s->workers[i];
        if (w->job != NULL && is_stuck(s, w, now_us)) {
            give_up(s, w, now_ms);
            given_up++;
        }
    }
    return given_up;
}
