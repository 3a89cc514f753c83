#include "api/hub.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "os/clock.h"

#define MESSAGE_MAX_BYTES (16UL * 1024)
#define ID_SHIFT 20

struct message {
    char *text; /* owned */
    size_t len;
    uint64_t start; /* bytes of all messages before it */
};

struct hub {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool ending;
    uint64_t base_id;
    struct message ring[HUB_MESSAGES_MAX];
    uint64_t first; /* number of the oldest message kept */
    uint64_t next;  /* number of the next message */
    uint64_t total; /* bytes of all messages ever */
    struct list clients;
    unsigned client_count;
    unsigned clients_max;
    uint64_t left_ms; /* when the last client left */
    atomic_bool watched;
    atomic_uint_fast64_t skipped;
};

struct hub_client {
    struct list link;
    char owner[80]; /* AUTH_NAME_SIZE */
    struct hub *hub;
    struct http_request *request; /* NULL until attached */
    bool (*still)(void *context);
    void *context;
    uint64_t next;  /* message to send */
    size_t offset;  /* bytes of it that are sent */
    char intro[96]; /* sent before messages: the greeting, a heartbeat */
    size_t intro_len;
    size_t intro_sent;
    bool ask; /* still(), at the next pull */
    bool dropped;
};

static struct message *slot(struct hub *h, uint64_t number)
{
    return &h->ring[number % HUB_MESSAGES_MAX];
}

static void drop_oldest(struct hub *h)
{
    struct message *m = slot(h, h->first++);
    mem_free(m->text);
    *m = (struct message){.text = NULL};
}

/* Messages that were not made leave a gap; nothing before it can be given to
 * anybody as if it were complete. */
static void close_gap(struct hub *h)
{
    uint64_t skipped = atomic_exchange(&h->skipped, 0);
    if (skipped == 0) {
        return;
    }
    while (h->first < h->next) {
        drop_oldest(h);
    }
    h->next += skipped;
    h->first = h->next;
}

bool hub_watched(const struct hub *h)
{
    return atomic_load_explicit(&h->watched, memory_order_relaxed);
}

void hub_skip(struct hub *h, size_t messages)
{
    atomic_fetch_add_explicit(&h->skipped, messages, memory_order_relaxed);
}

/* Under the lock. */
static bool is_behind(struct hub *h, const struct hub_client *c)
{
    if (c->next < h->first) {
        return true;
    }
    return c->next < h->next &&
           h->total - slot(h, c->next)->start > HUB_BEHIND_MAX_BYTES;
}

static void check_clients(struct hub *h)
{
    LIST_EACH (&h->clients, it) {
        struct hub_client *c = CONTAINER_OF(it, struct hub_client, link);
        if (!c->dropped && is_behind(h, c)) {
            c->dropped = true;
        }
    }
}

void hub_add(struct hub *h, const char *event, struct str data)
{
    struct strbuf text = STRBUF_INIT(MESSAGE_MAX_BYTES);
    pthread_mutex_lock(&h->lock);
    close_gap(h);
    strbuf_addf(&text,
                "id: %" PRIu64 "\nevent: %s\ndata: ", h->base_id + h->next,
                event);
    strbuf_add(&text, data);
    strbuf_add(&text, STR("\n\n"));
    if (strbuf_error(&text) < 0) {
        strbuf_reset(&text);
        strbuf_addf(&text, "id: %" PRIu64 "\nevent: reset\ndata: {}\n\n",
                    h->base_id + h->next);
    }
    while (h->next - h->first == HUB_MESSAGES_MAX ||
           (h->first < h->next &&
            h->total + text.len - slot(h, h->first)->start > HUB_BYTES_MAX)) {
        drop_oldest(h);
    }
    struct message *m = slot(h, h->next++);
    *m = (struct message){.len = text.len, .start = h->total};
    h->total += text.len;
    m->text = strbuf_take(&text);
    check_clients(h);
    pthread_mutex_unlock(&h->lock);
}

static void wake_all(struct hub *h)
{
    LIST_EACH (&h->clients, it) {
        struct hub_client *c = CONTAINER_OF(it, struct hub_client, link);
        if (c->request != NULL) {
            http_wake(c->request);
        }
    }
}

void hub_wake(struct hub *h)
{
    pthread_mutex_lock(&h->lock);
    wake_all(h);
    pthread_mutex_unlock(&h->lock);
}

/* ---- heartbeat ----------------------------------------------------------- */

static void beat(struct hub *h)
{
    LIST_EACH (&h->clients, it) {
        struct hub_client *c = CONTAINER_OF(it, struct hub_client, link);
        c->ask = true;
        if (c->intro_sent == c->intro_len) {
            c->intro_len =
                (size_t)snprintf(c->intro, sizeof(c->intro), ":\n\n");
            c->intro_sent = 0;
        }
    }
    wake_all(h);
    if (h->client_count == 0 &&
        os_monotonic_ms() - h->left_ms >= HUB_LINGER_MS) {
        atomic_store(&h->watched, false);
    }
}

void hub_beat(struct hub *h)
{
    pthread_mutex_lock(&h->lock);
    beat(h);
    pthread_mutex_unlock(&h->lock);
}

static void *run(void *context)
{
    struct hub *h = context;
    pthread_mutex_lock(&h->lock);
    while (!h->ending) {
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += HUB_HEARTBEAT_MS / 1000;
        int r = 0;
        while (!h->ending && r != ETIMEDOUT) {
            r = pthread_cond_timedwait(&h->changed, &h->lock, &until);
        }
        if (!h->ending) {
            beat(h);
        }
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

/* ---- clients ------------------------------------------------------------- */

/* Where a client that saw `last` goes on; false: it must start over. */
static bool find_place(struct hub *h, struct str last, uint64_t *ret)
{
    uint64_t id = 0;
    *ret = h->next;
    if (last.len == 0) {
        return true;
    }
    if (str_to_u64(last, h->base_id + h->first - 1, h->base_id + h->next - 1,
                   &id) < 0) {
        return false;
    }
    *ret = id - h->base_id + 1;
    return true;
}

static void greet(struct hub_client *c, bool reset)
{
    int n = snprintf(c->intro, sizeof(c->intro), "retry: %d\n\n", HUB_RETRY_MS);
    if (reset) {
        uint64_t id = c->hub->base_id + c->next - 1;
        n += snprintf(c->intro + n, sizeof(c->intro) - (size_t)n,
                      "id: %" PRIu64 "\nevent: reset\ndata: {}\n\n", id);
    }
    c->intro_len = (size_t)n;
}

/* One owner, with many pages open or with a fault, does not shut out all
 * others. */
static bool has_room(const struct hub *h, struct str owner)
{
    unsigned of_owner = 0;
    LIST_EACH (&h->clients, it) {
        const struct hub_client *c = CONTAINER_OF(it, struct hub_client, link);
        of_owner += str_eq_c(owner, c->owner) ? 1 : 0;
    }
    return h->client_count < h->clients_max &&
           of_owner < h->clients_max - h->clients_max / 4;
}

struct hub_client *hub_join(struct hub *h, const struct hub_follower *f)
{
    struct hub_client *c = NULL;
    pthread_mutex_lock(&h->lock);
    if (has_room(h, f->owner)) {
        c = MEM_NEW(struct hub_client);
        c->hub = h;
        (void)snprintf(c->owner, sizeof(c->owner), "%.*s", STR_ARG(f->owner));
        c->still = f->still;
        c->context = f->context;
        atomic_store(&h->watched, true);
        close_gap(h);
        greet(c, !find_place(h, f->last, &c->next));
        list_push(&h->clients, &c->link);
        h->client_count++;
    }
    pthread_mutex_unlock(&h->lock);
    return c;
}

void hub_attach(struct hub_client *client, struct http_request *r)
{
    pthread_mutex_lock(&client->hub->lock);
    client->request = r;
    pthread_mutex_unlock(&client->hub->lock);
}

void hub_leave(struct hub_client *client)
{
    struct hub *h = client->hub;
    pthread_mutex_lock(&h->lock);
    list_remove(&client->link);
    h->client_count--;
    h->left_ms = os_monotonic_ms();
    pthread_mutex_unlock(&h->lock);
    mem_free(client);
}

static size_t give(struct str from, size_t *offset, char *buf, size_t room)
{
    size_t n = MIN(from.len - *offset, room);
    memcpy(buf, from.at + *offset, n);
    *offset += n;
    return n;
}

/* Asking may take its time (a user database), so nobody waits for it who has
 * something to tell. */
static void ask_whether_it_may_stay(struct hub_client *c)
{
    struct hub *h = c->hub;
    pthread_mutex_lock(&h->lock);
    bool ask = c->ask;
    c->ask = false;
    pthread_mutex_unlock(&h->lock);
    if (ask && !c->still(c->context)) {
        pthread_mutex_lock(&h->lock);
        c->dropped = true;
        pthread_mutex_unlock(&h->lock);
    }
}

/* Under the lock. */
static size_t fill(struct hub_client *c, char *buf, size_t max)
{
    struct hub *h = c->hub;
    size_t n = 0;
    while (n < max && !c->dropped) {
        /* A heartbeat must not come into the middle of a message. */
        if (c->offset == 0 && c->intro_sent < c->intro_len) {
            n += give(str_n(c->intro, c->intro_len), &c->intro_sent, buf + n,
                      max - n);
            continue;
        }
        if (c->next == h->next) {
            break;
        }
        struct message *m = slot(h, c->next);
        n += give(str_n(m->text, m->len), &c->offset, buf + n, max - n);
        if (c->offset == m->len) {
            c->offset = 0;
            c->next++;
        }
    }
    return n;
}

ssize_t hub_pull(void *client, char *buf, size_t max)
{
    struct hub_client *c = client;
    ask_whether_it_may_stay(c);
    pthread_mutex_lock(&c->hub->lock);
    size_t n = fill(c, buf, max);
    ssize_t r = n == 0 && c->dropped ? -1 : (ssize_t)n;
    pthread_mutex_unlock(&c->hub->lock);
    return r;
}

unsigned hub_count(const struct hub *h)
{
    struct hub *writable = (struct hub *)(uintptr_t)h;
    pthread_mutex_lock(&writable->lock);
    unsigned n = h->client_count;
    pthread_mutex_unlock(&writable->lock);
    return n;
}

/* ---- life
 * -------------------------------------------------------------------- */

struct hub *hub_new(unsigned clients_max, uint64_t boot_ms)
{
    struct hub *h = MEM_NEW(struct hub);
    h->base_id = boot_ms << ID_SHIFT;
    h->clients_max = clients_max != 0 ? clients_max : HUB_CLIENTS_MAX;
    h->first = h->next = 1;
    list_init(&h->clients);
    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&h->changed, &attr);
    pthread_condattr_destroy(&attr);
    ASSERT(pthread_create(&h->thread, NULL, run, h) == 0);
    return h;
}

void hub_free(struct hub *h)
{
    if (h == NULL) {
        return;
    }
    pthread_mutex_lock(&h->lock);
    h->ending = true;
    pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->lock);
    ASSERT(pthread_join(h->thread, NULL) == 0);
    ASSERT(list_empty(&h->clients));
    while (h->first < h->next) {
        drop_oldest(h);
    }
    pthread_cond_destroy(&h->changed);
    pthread_mutex_destroy(&h->lock);
    mem_free(h);
}
