#include "app/watchdog.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <systemd/sd-daemon.h>

#include "app/log.h"
#include "base/assert.h"
#include "base/mem.h"
#include "net/http.h"
#include "os/clock.h"
#include "runtime/service.h"

#define LOOK_DEFAULT_US (5 * 1000 * 1000ULL)
#define LOOK_MIN_US (50 * 1000ULL)
#define LOOK_SOON_US (1000 * 1000ULL)
#define LOOKS_PER_PERIOD 4

/* So long after a start the executor may still be starting. */
#define CONNECT_MS 10000

/* Every part turns at least once in two seconds; the rest is for a machine
 * that has other things to do. */
#define ALLOWED_MS 5000

enum { PART_SERVICE, PART_COMMITTER, PART_HTTP, PARTS };

struct watchdog {
    struct service *service;
    sd_event_source *timer;
    uint64_t every_us;
    bool feed;      /* systemd waits for it */
    bool told;      /* that something is stuck */
    bool connected; /* to the executor, once at least */
    uint64_t started_ms;
    struct watchdog_part parts[PARTS];
    struct watchdog_look look;
    struct service_request ping;
    atomic_bool pinging;
    _Atomic(uint64_t) pings; /* that were answered */
};

/* ---- the parts ------------------------------------------------------------
 */

static uint64_t service_turns(void *context)
{
    struct watchdog *w = context;
    return atomic_load(&w->pings);
}

static uint64_t committer_turns(void *context)
{
    struct watchdog *w = context;
    return service_status(w->service).commits.turns;
}

static uint64_t server_turns(void *context)
{
    return http_turns(context);
}

static void ping_done(struct service_request *request)
{
    struct watchdog *w = CONTAINER_OF(request, struct watchdog, ping);
    atomic_fetch_add(&w->pings, 1);
    atomic_store(&w->pinging, false);
}

static void ping(struct watchdog *w)
{
    if (!atomic_exchange(&w->pinging, true)) {
        w->ping =
            (struct service_request){.kind = SERVICE_PING, .done = ping_done};
        service_post(w->service, &w->ping);
    }
}

/* ---- what systemd is told -------------------------------------------------
 */

/* An executor that was never there yet is one that is still starting, for a
 * while. */
static const char *mood(const struct service_status *s,
                        const struct watchdog *w)
{
    if (s->store_failed) {
        return "the store has failed";
    }
    if (s->stopping) {
        return "stopping";
    }
    if (s->paused) {
        return "paused";
    }
    bool starts = os_monotonic_ms() - w->started_ms < CONNECT_MS;
    return s->executor_up            ? "processing"
           : starts && !w->connected ? "connecting to the executor"
                                     : "no executor";
}

static void tell_status(struct watchdog *w, const char *stuck)
{
    struct service_status s = service_status(w->service);
    w->connected = w->connected || s.executor_up;
    (void)sd_notifyf(0,
                     "STATUS=%s%s%s: %" PRIu64 " events queued, %u workflows "
                     "running, %u queued, %u held, %u runbooks",
                     mood(&s, w), stuck != NULL ? ", no progress: " : "",
                     stuck != NULL ? stuck : "", s.queue_depth,
                     s.engine.running, s.engine.queued, s.engine.held,
                     s.runbooks_loaded);
}

static void tell_stuck(struct watchdog *w, const char *stuck)
{
    if (stuck != NULL && !w->told) {
        log_tell(LOG_ENGINE_STUCK, "no progress: %s", stuck);
    }
    w->told = stuck != NULL;
}

/* What changes soon after a start is soon told. */
static uint64_t next_look_us(const struct watchdog *w)
{
    return w->connected ? w->every_us : MIN(w->every_us, LOOK_SOON_US);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    struct watchdog *w = context;
    (void)usec;
    const char *stuck =
        watchdog_look(&w->look, w->parts, PARTS, os_monotonic_ms(),
                      MAX(ALLOWED_MS, 2 * w->every_us / 1000));
    if (stuck == NULL && w->feed) {
        (void)sd_notify(0, "WATCHDOG=1");
    }
    ping(w);
    tell_stuck(w, stuck);
    tell_status(w, stuck);
    log_flush();
    (void)sd_event_source_set_time_relative(source, next_look_us(w));
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int watchdog_start(sd_event *event, struct service *service,
                   struct http_server *http, struct watchdog **ret)
{
    struct watchdog *w = MEM_NEW(struct watchdog);
    uint64_t period_us = 0;
    w->service = service;
    w->started_ms = os_monotonic_ms();
    w->feed = sd_watchdog_enabled(0, &period_us) > 0;
    w->every_us = w->feed ? MIN(MAX(period_us / LOOKS_PER_PERIOD, LOOK_MIN_US),
                                LOOK_DEFAULT_US)
                          : LOOK_DEFAULT_US;
    w->parts[PART_SERVICE] = (struct watchdog_part){
        .name = "service", .turns = service_turns, .context = w};
    w->parts[PART_COMMITTER] = (struct watchdog_part){
        .name = "committer", .turns = committer_turns, .context = w};
    w->parts[PART_HTTP] = (struct watchdog_part){
        .name = "http", .turns = server_turns, .context = http};
    int r = sd_event_add_time_relative(event, &w->timer, CLOCK_MONOTONIC,
                                       next_look_us(w), 0, on_timer, w);
    if (r < 0) {
        watchdog_free(w);
        return r;
    }
    ping(w);
    tell_status(w, NULL);
    *ret = w;
    return 0;
}

void watchdog_free(struct watchdog *w)
{
    if (w != NULL) {
        sd_event_source_unref(w->timer);
        mem_free(w);
    }
}
