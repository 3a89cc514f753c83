#include "loop/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"

struct mailbox {
    pthread_mutex_t lock;
    struct list posted; /* under the lock */
    struct list ready;  /* the loop's thread only: taken, not yet delivered */
    int fd;             /* eventfd: readable when something waits */
    sd_event_source *source;
};

/* Cannot fail: the counter of an eventfd does not run full by ones, and it is
 * only raised when the mailbox goes from empty to not empty. */
static void ring(struct mailbox *m)
{
    uint64_t one = 1;
    ssize_t n;
    do {
        n = write(m->fd, &one, sizeof(one));
    } while (n < 0 && errno == EINTR);
    ASSERT(n == sizeof(one) || errno == EAGAIN);
}

static void silence(struct mailbox *m)
{
    uint64_t count;
    ssize_t n;
    do {
        n = read(m->fd, &count, sizeof(count));
    } while (n < 0 && errno == EINTR);
    ASSERT(n == sizeof(count) || errno == EAGAIN);
}

static void take_posted(struct mailbox *m)
{
    pthread_mutex_lock(&m->lock);
    list_splice(&m->ready, &m->posted);
    pthread_mutex_unlock(&m->lock);
}

/* Each message is out of every list before it is delivered: it may be posted
 * again, or freed, by its own callback. */
static uint64_t deliver(struct mailbox *m, uint64_t max)
{
    uint64_t n = 0;
    struct list *link;
    while (n < max && (link = list_pop(&m->ready)) != NULL) {
        struct mail *mail = CONTAINER_OF(link, struct mail, link);
        mail->deliver(mail);
        n++;
    }
    return n;
}

static int on_ring(sd_event_source *source UNUSED, int fd UNUSED,
                   uint32_t events UNUSED, void *context)
{
    struct mailbox *m = context;
    /* Silence before taking: a post in between rings again. */
    silence(m);
    take_posted(m);
    (void)deliver(m, MAILBOX_BATCH);
    if (!list_empty(&m->ready)) {
        ring(m);
    }
    return 0;
}

int mailbox_new(sd_event *event, int64_t priority, struct mailbox **ret)
{
    struct mailbox *m = MEM_NEW(struct mailbox);
    list_init(&m->posted);
    list_init(&m->ready);
    int r = pthread_mutex_init(&m->lock, NULL);
    ASSERT(r == 0);
    m->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (m->fd < 0) {
        r = -errno;
        mailbox_free(m);
        return r;
    }
    r = sd_event_add_io(event, &m->source, m->fd, EPOLLIN, on_ring, m);
    if (r >= 0) {
        r = sd_event_source_set_priority(m->source, priority);
    }
    if (r < 0) {
        mailbox_free(m);
        return r;
    }
    *ret = m;
    return 0;
}

void mailbox_free(struct mailbox *m)
{
    if (m == NULL) {
        return;
    }
    ASSERT(list_empty(&m->posted) && list_empty(&m->ready));
    m->source = sd_event_source_disable_unref(m->source);
    if (m->fd >= 0) {
        (void)close(m->fd);
    }
    pthread_mutex_destroy(&m->lock);
    mem_free(m);
}

void mailbox_freep(struct mailbox **m)
{
    mailbox_free(*m);
}

void mailbox_post(struct mailbox *m, struct mail *mail)
{
    pthread_mutex_lock(&m->lock);
    ASSERT(mail->deliver != NULL && list_empty(&mail->link));
    bool was_empty = list_empty(&m->posted);
    list_push(&m->posted, &mail->link);
    /* Inside the lock, so that no thread is still at the bell when the
     * message has been delivered and the mailbox freed. */
    if (was_empty) {
        ring(m);
    }
    pthread_mutex_unlock(&m->lock);
}

uint64_t mailbox_deliver_all(struct mailbox *m)
{
    uint64_t total = 0;
    uint64_t n;
    do {
        take_posted(m);
        n = deliver(m, UINT64_MAX);
        total += n;
    } while (n > 0);
    return total;
}
