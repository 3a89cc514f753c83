/*
 * The kill switch: the file os/kill_switch.h. The service looks at it before
 * anything can begin, and then SWITCH_LOOK_MS after SWITCH_LOOK_MS, so that it
 * does not matter who has put it on and how. The executor looks for itself at
 * every start it is asked for: between two looks of ours nothing begins either.
 */
#include <syslog.h>

#include "base/mem.h"
#include "os/kill_switch.h"
#include "runtime/service_priv.h"

#define SWITCH_LOOK_MS 250

struct killing {
    struct service *service;
    char *path;
    sd_event_source *timer;
    struct kill_switch now;
};

static void tell(const struct killing *k)
{
    if (k->now.on) {
        service_log(k->service, LOG_WARNING,
                    "the kill switch is on, nothing begins: %s (%s)",
                    k->now.text[0] != '\0' ? k->now.text : "nobody says why",
                    k->path);
    } else {
        service_log(k->service, LOG_NOTICE, "the kill switch is off");
    }
}

void service_hold_claims(struct service *s)
{
    committer_hold_claims(s->committer, controls_paused(s->controls) ||
                                            service_switch_is_on(s));
}

/* While events may not start anything, they wait in the queue. */
static void publish(struct killing *k)
{
    struct service *s = k->service;
    pthread_mutex_lock(&s->status_lock);
    s->status.killed = k->now.on;
    memcpy(s->status.killed_text, k->now.text, sizeof(k->now.text));
    pthread_mutex_unlock(&s->status_lock);
    service_hold_claims(s);
}

static void take(struct killing *k, const struct kill_switch *now)
{
    bool turned = now->on != k->now.on;
    k->now = *now;
    publish(k);
    if (turned) {
        tell(k);
        runtime_switch(k->service->runtime, now->on);
    }
}

static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    struct killing *k = context;
    struct kill_switch now;
    (void)usec;
    kill_switch_look(k->path, &now);
    now.on = now.on || atomic_load(&k->service->kill_forced);
    if (now.on != k->now.on || strcmp(now.text, k->now.text) != 0) {
        take(k, &now);
    }
    (void)sd_event_source_set_time_relative(source, SWITCH_LOOK_MS * 1000ULL);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int service_switch_start(struct service *s, struct err *reterr)
{
    struct killing *k = MEM_NEW(struct killing);
    struct kill_switch now;
    k->service = s;
    k->path = str_dup(str_c(s->options.kill_switch));
    s->killing = k;
    kill_switch_look(k->path, &now);
    take(k, &now);
    int r =
        sd_event_add_time_relative(s->event, &k->timer, CLOCK_MONOTONIC,
                                   SWITCH_LOOK_MS * 1000ULL, 0, on_timer, k);
    return r < 0 ? err_set(reterr, r, "cannot watch the kill switch") : 0;
}

void service_switch_free(struct service *s)
{
    if (s->killing != NULL) {
        sd_event_source_unref(s->killing->timer);
        mem_free(s->killing->path);
        mem_free(s->killing);
        s->killing = NULL;
    }
}

bool service_switch_is_on(const struct service *s)
{
    return s->killing != NULL && s->killing->now.on;
}

const char *service_switch_path(const struct service *s)
{
    return s->killing->path;
}

int service_kill(struct service *s, struct str why, struct err *reterr)
{
    int r = kill_switch_set(s->killing->path, why, reterr);
    if (r < 0) {
        atomic_store(&s->kill_forced, true);
        err_hint(reterr, "it is on until the engine ends, and only for the "
                         "engine: mend this and put it on again");
    }
    return r;
}

int service_unkill(struct service *s, struct err *reterr)
{
    int r = kill_switch_clear(s->killing->path, reterr);
    if (r == 0) {
        atomic_store(&s->kill_forced, false);
    }
    return r;
}
