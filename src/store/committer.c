#include "store/committer.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/assert.h"
#include "base/mem.h"

/* How long nothing must have come before the store is asked to tidy up. */
#define IDLE_MS 1000

/* How long operations that nobody waits for stay for company. */
#define LINGER_MS 5

struct committer {
    struct committer_options options;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct list incoming; /* under the lock, like the next five */
    bool hurry;           /* somebody waits for one of those */
    bool stopping;
    bool refuse_events;
    bool hold_claims;
    struct store_counts counts;
    struct commit_group group; /* the thread's, like the next two */
    bool failed;
    bool full; /* the last group met a full disk: claims wait for a tick */
    _Atomic(uint64_t) queued;
    _Atomic(uint64_t) turns;
    atomic_bool has_room;
    _Atomic(uint64_t) groups;
    _Atomic(uint64_t) operations;
    _Atomic(uint64_t) commit_us_sum;
    _Atomic(uint64_t) commit_us_max;
};

static uint64_t monotonic_us(void)
{
    struct timespec t;
    ASSERT(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000U + (uint64_t)t.tv_nsec / 1000U;
}

static void count_group(struct committer *c, uint64_t operations, uint64_t us)
{
    atomic_fetch_add(&c->groups, 1);
    atomic_fetch_add(&c->operations, operations);
    atomic_fetch_add(&c->commit_us_sum, us);
    if (us > atomic_load(&c->commit_us_max)) {
        atomic_store(&c->commit_us_max, us); /* one writer: no race */
    }
}

/* Calls done for everything that is finished; returns how many. Each may be
 * freed, or submitted again, by its done. */
static uint64_t tell(struct committer *c)
{
    uint64_t count = 0;
    for (struct list *it = list_pop(&c->group.finished); it != NULL;
         it = list_pop(&c->group.finished)) {
        struct store_op *op = CONTAINER_OF(it, struct store_op, link);
        c->full = c->full || op->result == -ENOSPC;
        op->done(op);
        count++;
    }
    return count;
}

#define KIND(kind) (1U << (kind))
#define ALL_KINDS (KIND(STORE_OP_KINDS) - 1)

/* Moves the operations of these kinds to the finished ones. */
static void answer(struct committer *c, struct list *ops, unsigned kinds,
                   int result)
{
    LIST_EACH_SAFE (ops, it, after) {
        struct store_op *op = CONTAINER_OF(it, struct store_op, link);
        if ((KIND(op->kind) & kinds) != 0) {
            op->result = result;
            list_remove(it);
            list_push(&c->group.finished, it);
        }
    }
}

static void fail(struct committer *c)
{
    ASSERT(!c->failed); /* nothing has run since the first time */
    c->failed = true;
    c->options.on_fatal(c->options.context);
}

/* What others may know of the store now. */
static void publish(struct committer *c)
{
    atomic_store(&c->queued, c->options.driver->queued(c->options.store));
    ASSERT(pthread_mutex_lock(&c->lock) == 0);
    c->options.driver->counts(c->options.store, &c->counts);
    ASSERT(pthread_mutex_unlock(&c->lock) == 0);
}

static void look_for_room(struct committer *c)
{
    bool has_room = c->options.driver->has_room(c->options.store);
    if (atomic_exchange(&c->has_room, has_room) != has_room &&
        c->options.on_room != NULL) {
        c->options.on_room(c->options.context, has_room);
    }
}

static void run_group(struct committer *c)
{
    uint64_t before_us = monotonic_us();
    int r = commit_group_run(c->options.driver, c->options.store, &c->group,
                             c->options.now_ms());
    uint64_t took_us = monotonic_us() - before_us;
    publish(c); /* before anybody is told */
    c->full = false;
    count_group(c, tell(c), took_us);
    if (r < 0 || c->options.driver->maintain(c->options.store, false) < 0) {
        fail(c);
        return;
    }
    look_for_room(c);
}

/* Takes what has come, after answering what needs no store any more. */
static void take_incoming(struct committer *c, struct list *incoming,
                          bool refuse_events, bool stopping)
{
    list_splice(&c->group.ops, incoming);
    if (c->failed) {
        answer(c, &c->group.ops, ALL_KINDS, -EIO);
        answer(c, &c->group.claims, ALL_KINDS, -EIO);
    }
    if (refuse_events) {
        answer(c, &c->group.ops, KIND(STORE_INGEST), -ECANCELED);
    }
    if (stopping) {
        answer(c, &c->group.ops, KIND(STORE_CLAIM), -ECANCELED);
        answer(c, &c->group.claims, ALL_KINDS, -ECANCELED);
    }
    (void)tell(c);
}

static bool has_work(const struct committer *c)
{
    return !list_empty(&c->group.ops) ||
           (!c->full && !c->group.hold && !list_empty(&c->group.claims) &&
            atomic_load(&c->queued) > 0);
}

static struct timespec in_ms(long ms)
{
    struct timespec t;
    ASSERT(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    t.tv_nsec += ms * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

/* Waits until something comes that somebody waits for, or until what nobody
 * waits for has lingered. Returns false when nothing came for a while. The
 * lock is held. */
static bool wait_for_work(struct committer *c)
{
    struct timespec until = in_ms(IDLE_MS);
    bool lingering = false;
    int r = 0;
    while (r == 0 && !c->hurry && !c->stopping &&
           c->hold_claims == c->group.hold) {
        if (!lingering && !list_empty(&c->incoming)) {
            lingering = true;
            until = in_ms(LINGER_MS);
        }
        r = pthread_cond_timedwait(&c->wake, &c->lock, &until);
    }
    return r == 0 || lingering;
}

/* Once: takes what came and runs it. Returns false at the end. */
static bool turn(struct committer *c)
{
    struct list incoming;
    list_init(&incoming);
    bool idle = false;
    ASSERT(pthread_mutex_lock(&c->lock) == 0);
    if (!has_work(c) && !c->hurry && !c->stopping) {
        idle = !wait_for_work(c);
    }
    list_splice(&incoming, &c->incoming);
    c->hurry = false;
    bool stopping = c->stopping;
    bool refuse_events = c->refuse_events;
    c->group.hold = c->hold_claims;
    ASSERT(pthread_mutex_unlock(&c->lock) == 0);

    bool came = !list_empty(&incoming);
    take_incoming(c, &incoming, refuse_events, stopping);
    if (idle && !c->failed) {
        c->full = false;
        if (c->options.driver->maintain(c->options.store, true) < 0) {
            fail(c);
        } else {
            look_for_room(c);
        }
    } else if (!c->failed && has_work(c)) {
        run_group(c);
    } else if (stopping && !came) {
        return false;
    }
    return true;
}

/* Have more operations come while this group was made? */
static bool more_waits(void *context)
{
    struct committer *c = context;
    ASSERT(pthread_mutex_lock(&c->lock) == 0);
    bool more = !list_empty(&c->incoming);
    ASSERT(pthread_mutex_unlock(&c->lock) == 0);
    return more;
}

static void *run_thread(void *arg)
{
    struct committer *c = arg;
    while (turn(c)) {
        atomic_fetch_add(&c->turns, 1);
    }
    ASSERT(list_empty(&c->group.ops) && list_empty(&c->group.claims));
    return NULL;
}

static void init_wait(struct committer *c)
{
    pthread_condattr_t attr;
    ASSERT(pthread_condattr_init(&attr) == 0);
    ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    ASSERT(pthread_cond_init(&c->wake, &attr) == 0);
    ASSERT(pthread_mutex_init(&c->lock, NULL) == 0);
    (void)pthread_condattr_destroy(&attr);
}

static void free_committer(struct committer *c)
{
    (void)pthread_cond_destroy(&c->wake);
    (void)pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

int committer_start(const struct committer_options *options,
                    struct committer **ret)
{
    struct committer *c = MEM_NEW(struct committer);
    c->options = *options;
    list_init(&c->incoming);
    commit_group_init(&c->group);
    c->group.busy = more_waits;
    c->group.busy_context = c;
    init_wait(c);
    publish(c);
    atomic_store(&c->has_room, true);
    look_for_room(c);
    int r = pthread_create(&c->thread, NULL, run_thread, c);
    if (r != 0) {
        free_committer(c);
        return -r;
    }
    (void)pthread_setname_np(c->thread, "committer");
    *ret = c;
    return 0;
}

void committer_submit(struct committer *c, struct store_op *op)
{
    ASSERT(pthread_mutex_lock(&c->lock) == 0);
    bool tell = list_empty(&c->incoming) || (!c->hurry && !op->unhurried);
    c->hurry = c->hurry || !op->unhurried;
    list_push(&c->incoming, &op->link);
    if (tell) {
        ASSERT(pthread_cond_signal(&c->wake) == 0);
    }
    ASSERT(pthread_mutex_unlock(&c->lock) == 0);
}

void committer_refuse_events(struct committer *c)
{
    ASSERT(pthread_mutex_lock(&c->lock) == 0);
    c->refuse_events = true;
    ASSERT(pthread_mutex_unlock(&c->lock) == 0);
}

void committer_hold_claims(struct committer *c, bool hold)
{
    ASSERT(pthread_mutex_lock(&c->lock) == 0);
    c->hold_claims = hold;
    ASSERT(pthread_cond_signal(&c->wake) == 0);
    ASSERT(pthread_mutex_unlock(&c->lock) == 0);
}

void committer_stop(struct committer *c)
{
    if (c == NULL) {
        return;
    }
    ASSERT(pthread_mutex_lock(&c->lock) == 0);
    c->stopping = true;
    ASSERT(pthread_cond_signal(&c->wake) == 0);
    ASSERT(pthread_mutex_unlock(&c->lock) == 0);
    ASSERT(pthread_join(c->thread, NULL) == 0);
    free_committer(c);
}

uint64_t committer_queued(const struct committer *c)
{
    return atomic_load(&c->queued);
}

void committer_counts(struct committer *c, struct store_counts *ret)
{
    ASSERT(pthread_mutex_lock(&c->lock) == 0);
    *ret = c->counts;
    ASSERT(pthread_mutex_unlock(&c->lock) == 0);
}

bool committer_has_room(const struct committer *c)
{
    return atomic_load(&c->has_room);
}

struct committer_stats committer_stats(const struct committer *c)
{
    return (struct committer_stats){
        .turns = atomic_load(&c->turns),
        .groups = atomic_load(&c->groups),
        .operations = atomic_load(&c->operations),
        .commit_us_sum = atomic_load(&c->commit_us_sum),
        .commit_us_max = atomic_load(&c->commit_us_max),
    };
}
