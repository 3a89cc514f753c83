#include "loop/timer.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "loop/timer_priv.h"

/* 9999-12-31: later means never, and keeps clear of what time_t can do. */
#define TIMER_FAR_MS UINT64_C(253402300799000)

struct timer {
    int fd;
    sd_event_source *source;
    timer_fn *fn;
    void *context;
    uint64_t at_ms;
};

static struct itimerspec spec_of(uint64_t at_ms)
{
    struct itimerspec spec = {{0}, {0}};
    if (at_ms <= TIMER_FAR_MS) {
        spec.it_value.tv_sec = (time_t)(at_ms / 1000);
        spec.it_value.tv_nsec = (long)(at_ms % 1000) * 1000000;
        if (at_ms == 0) {
            spec.it_value.tv_nsec = 1; /* all zero would disarm */
        }
    }
    return spec;
}

void timer_set(struct timer *t, uint64_t at_ms)
{
    t->at_ms = at_ms <= TIMER_FAR_MS ? at_ms : TIMER_NEVER;
    struct itimerspec spec = spec_of(at_ms);
    int r = timerfd_settime(t->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
                            &spec, NULL);
    /* ECANCELED says that the clock was set since the last call; the new time
     * is in force nevertheless. */
    ASSERT(r == 0 || errno == ECANCELED);
}

uint64_t timer_at_ms(const struct timer *t)
{
    return t->at_ms;
}

void timer_on_read(struct timer *t, int result)
{
    if (result == -EAGAIN) {
        return; /* moved after it had fired */
    }
    ASSERT(result == 0 || result == -ECANCELED);
    timer_set(t, TIMER_NEVER);
    t->fn(t->context);
}

static int on_readable(sd_event_source *source UNUSED, int fd,
                       uint32_t events UNUSED, void *context)
{
    uint64_t expirations;
    ssize_t n;
    do {
        n = read(fd, &expirations, sizeof(expirations));
    } while (n < 0 && errno == EINTR);
    timer_on_read(context, n < 0 ? -errno : 0);
    return 0;
}

int timer_new(sd_event *event, int64_t priority, timer_fn *fn, void *context,
              struct timer **ret)
{
    int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd < 0) {
        return -errno;
    }
    struct timer *t = MEM_NEW(struct timer);
    t->fd = fd;
    t->fn = fn;
    t->context = context;
    t->at_ms = TIMER_NEVER;
    int r = sd_event_add_io(event, &t->source, fd, EPOLLIN, on_readable, t);
    if (r >= 0) {
        r = sd_event_source_set_priority(t->source, priority);
    }
    if (r < 0) {
        timer_free(t);
        return r;
    }
    *ret = t;
    return 0;
}

void timer_free(struct timer *t)
{
    if (t == NULL) {
        return;
    }
    t->source = sd_event_source_disable_unref(t->source);
    (void)close(t->fd);
    mem_free(t);
}
