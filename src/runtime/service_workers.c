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

#define SLOT_MS (SERVICE_WINDOW_MS / SERVICE_WORKER_SLOTS)

/* Counts the time from..to as busy, in the slots that it touches. */
static void add_busy(struct worker_stat *w, uint64_t from_ms, uint64_t to_ms)
{
    if (to_ms > SERVICE_WINDOW_MS && from_ms < to_ms - SERVICE_WINDOW_MS) {
        from_ms = to_ms - SERVICE_WINDOW_MS;
    }
    while (from_ms < to_ms) {
        uint64_t no = from_ms / SLOT_MS;
        uint64_t until_ms = MIN(to_ms, (no + 1) * SLOT_MS);
        struct worker_slot *slot = &w->slots[no % SERVICE_WORKER_SLOTS];
        if (slot->no != no) {
            *slot = (struct worker_slot){.no = no};
        }
        slot->busy_ms += until_ms - from_ms;
        from_ms = until_ms;
    }
}

/* Share of the window (or of the time since the service started, if that is
 * less) in which the worker had a batch: 0..1. */
static double utilization(struct worker_stat w, uint64_t now_ms,
                          uint64_t started_ms)
{
    if (w.since_ms != 0) {
        add_busy(&w, w.since_ms, now_ms);
    }
    uint64_t newest = now_ms / SLOT_MS;
    uint64_t busy_ms = 0;
    for (size_t i = 0; i < SERVICE_WORKER_SLOTS; i++) {
        bool counts = w.slots[i].no + SERVICE_WORKER_SLOTS > newest &&
                      w.slots[i].no <= newest;
        busy_ms += counts ? w.slots[i].busy_ms : 0;
    }
    uint64_t window_ms =
        (SERVICE_WORKER_SLOTS - 1) * SLOT_MS + now_ms % SLOT_MS + 1;
    uint64_t lived_ms = now_ms - MIN(started_ms, now_ms) + 1;
    window_ms = MIN(window_ms, lived_ms);
    return MIN((double)busy_ms / (double)window_ms, 1.0);
}

void service_worker_begins(struct service *s, struct match_job *job)
{
    struct worker_stat *w = &s->workers[job->worker];
    const struct store_claim *claim = &job->claim.op.claim;
    pthread_mutex_lock(&s->status_lock);
    w->job = job;
    w->since_ms = os_epoch_ms();
    w->events = claim->count;
    w->first = claim->count > 0 ? claim->events[0].id : ID_NULL;
    pthread_mutex_unlock(&s->status_lock);
}

static void worker_rests(struct service *s, struct worker_stat *w)
{
    pthread_mutex_lock(&s->status_lock);
    add_busy(w, w->since_ms, os_epoch_ms());
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
    w->processed += w->events;
    worker_rests(s, w);
    return true;
}

uint32_t service_workers(struct service *s, struct worker_view *ret,
                         uint32_t max)
{
    uint64_t now_ms = os_epoch_ms();
    pthread_mutex_lock(&s->status_lock);
    uint32_t count = MIN(s->status.workers, max);
    for (uint32_t i = 0; i < count; i++) {
        const struct worker_stat *w = &s->workers[i];
        uint64_t busy_ms =
            w->since_ms != 0 && now_ms > w->since_ms ? now_ms - w->since_ms : 0;
        enum worker_state state = WORKER_IDLE;
        if (w->since_ms != 0) {
            state = busy_ms >= s->options.worker_stuck_ms ? WORKER_STUCK
                                                          : WORKER_BUSY;
        }
        ret[i] = (struct worker_view){
            .state = state,
            .since_ms = w->since_ms,
            .events = w->events,
            .first_event = w->first,
            .processed = w->processed,
            .utilization = utilization(*w, now_ms, s->status.started_ms),
        };
    }
    pthread_mutex_unlock(&s->status_lock);
    return count;
}

/* The thread may be lost for good, so others take its place. It is joined at
 * the very end; what it holds is given back when it comes after all. */
static int renew_pool(struct service *s)
{
    struct pool *fresh = NULL;
    if (s->retired_count == SERVICE_POOLS_RETIRED_MAX) {
        return -EAGAIN;
    }
    int r = pool_start("match", s->status.workers, SERVICE_POOL_QUEUE, &fresh);
    if (r == 0) {
        s->retired[s->retired_count++] = s->pool;
        s->pool = fresh;
    }
    return r;
}

int service_restart_workers(struct service *s, uint32_t *ret_given_up)
{
    uint64_t now_ms = os_epoch_ms();
    *ret_given_up = 0;
    int r = renew_pool(s);
    if (r < 0) {
        service_log(s, LOG_ERR, "the workers cannot be restarted: %s",
                    strerror(-r));
        return r;
    }
    for (uint32_t i = 0; i < ENGINE_WORKERS_MAX; i++) {
        struct worker_stat *w = &s->workers[i];
        if (w->job == NULL ||
            now_ms - MIN(w->since_ms, now_ms) < s->options.worker_stuck_ms) {
            continue; /* it makes progress: its batch will come */
        }
        uint64_t claim = w->job->claim.op.claim.claim;
        telemetry_event_error(s->telemetry, now_ms, w->events);
        worker_rests(s, w);
        s->jobs_running--;
        (*ret_given_up)++;
        runtime_batch_lost(s->runtime, i, claim);
    }
    return 0;
}
