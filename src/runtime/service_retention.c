/*
 * Retention on the service's thread: a timer begins a round and goes on with
 * it, the committer takes its pieces.
 */
#include <errno.h>
#include <string.h>
#include <syslog.h>

#include "base/mem.h"
#include "os/clock.h"
#include "runtime/retention.h"
#include "runtime/service_priv.h"

struct housekeeping {
    struct service *service;
    struct retention *retention;
    sd_event_source *timer;
    bool under_way;      /* a round is */
    bool told_too_large; /* until it is not any more */
};

static void set_timer(struct housekeeping *h, uint64_t in_ms)
{
    (void)sd_event_source_set_time_relative(h->timer, in_ms * 1000);
    (void)sd_event_source_set_enabled(h->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    struct housekeeping *h = context;
    (void)source;
    (void)usec;
    if (h->service->ending) {
        return 0;
    }
    if (h->under_way) {
        retention_next(h->retention);
    } else {
        h->under_way = true;
        retention_begin(h->retention);
    }
    return 0;
}

static uint64_t port_now_ms(void *context)
{
    (void)context;
    return os_epoch_ms();
}

static void take_op(struct mail *mail)
{
    struct runtime_op *ro = CONTAINER_OF(mail, struct runtime_op, mail);
    struct housekeeping *h = ro->op.context;
    retention_op_done(h->retention);
    service_maybe_end(h->service);
}

/* On the committer's thread. */
static void op_done(struct store_op *op)
{
    struct housekeeping *h = op->context;
    mailbox_post(h->service->mailbox,
                 &CONTAINER_OF(op, struct runtime_op, op)->mail);
}

static void port_submit(void *context, struct runtime_op *ro)
{
    struct housekeeping *h = context;
    mail_init(&ro->mail, take_op);
    ro->op.context = h;
    ro->op.done = op_done;
    runtime_forget_pins(h->service->runtime);
    committer_submit(h->service->committer, &ro->op);
}

static void port_again(void *context, uint64_t in_ms)
{
    set_timer(context, in_ms);
}

static void port_done(void *context, const struct retention_round *round)
{
    struct housekeeping *h = context;
    struct service *s = h->service;
    h->under_way = false;
    set_timer(h, s->keep.retention_interval_ms);
    if (round->result < 0 && !s->ending) {
        service_log(s, LOG_WARNING, "retention: not finished: %s",
                    strerror(-round->result));
    }
    if (round->events != 0 || round->workflows != 0) {
        service_log(s, LOG_INFO,
                    "retention: removed %llu events and %llu workflows",
                    (unsigned long long)round->events,
                    (unsigned long long)round->workflows);
    }
    if (round->too_large && !h->told_too_large) {
        service_log(s, LOG_WARNING,
                    "the store is larger than retention.max_bytes, and nothing "
                    "older than a day is left to remove");
    }
    h->told_too_large = round->too_large;
}

int service_retention_start(struct service *s, struct err *reterr)
{
    const struct retention_ports ports = {.now_ms = port_now_ms,
                                          .submit = port_submit,
                                          .again = port_again,
                                          .done = port_done};
    struct housekeeping *h = MEM_NEW(struct housekeeping);
    struct retention_ports mine = ports;
    mine.context = h;
    h->service = s;
    h->retention = retention_new(&mine, s->reader, &s->keep.retention);
    s->housekeeping = h;
    int r = sd_event_add_time_relative(s->event, &h->timer, CLOCK_MONOTONIC,
                                       s->keep.retention_interval_ms * 1000, 0,
                                       on_timer, h);
    return r < 0 ? err_set(reterr, r, "cannot set the timer of retention") : 0;
}

void service_set_keep(struct service *s, const struct service_keep *keep)
{
    struct housekeeping *h = s->housekeeping;
    pthread_mutex_lock(&s->status_lock);
    s->keep = *keep;
    pthread_mutex_unlock(&s->status_lock);
    retention_set_policy(h->retention, &keep->retention);
    if (!h->under_way) {
        set_timer(h, keep->retention_interval_ms);
    }
}

struct service_keep service_keep(struct service *s)
{
    pthread_mutex_lock(&s->status_lock);
    struct service_keep keep = s->keep;
    pthread_mutex_unlock(&s->status_lock);
    return keep;
}

bool service_retention_busy(const struct service *s)
{
    return s->housekeeping != NULL &&
           retention_is_busy(s->housekeeping->retention);
}

void service_retention_free(struct service *s)
{
    if (s->housekeeping != NULL) {
        sd_event_source_unref(s->housekeeping->timer);
        retention_free(s->housekeeping->retention);
        mem_free(s->housekeeping);
        s->housekeeping = NULL;
    }
}
