#include "loop/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"

struct worker {
    struct pool *pool;
    pthread_t thread;
    bool started; /* there is a thread to join */
    bool ended;   /* it has left its loop, or is about to */
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t wake; /* a job has come, or threads must look around */
    struct list queue;
    uint32_t queued;
    uint32_t queue_limit;
    uint32_t wanted; /* threads 0..wanted-1 stay */
    uint32_t busy;
    uint64_t finished;
    bool stopping;
    char name[11];
    struct worker workers[POOL_THREADS_MAX];
};

static uint32_t worker_number(const struct worker *w)
{
    return (uint32_t)(w - w->pool->workers);
}

/* Under the lock: the next job, or NULL when this worker has to end. A
 * surplus worker leaves the queue to the others; at the end it is emptied. */
static struct pool_job *next_job(struct worker *w)
{
    struct pool *p = w->pool;
    for (;;) {
        if (!p->stopping && worker_number(w) >= p->wanted) {
            return NULL;
        }
        struct list *link = list_pop(&p->queue);
        if (link != NULL) {
            p->queued--;
            return CONTAINER_OF(link, struct pool_job, link);
        }
        if (p->stopping) {
            return NULL;
        }
        pthread_cond_wait(&p->wake, &p->lock);
    }
}

static void *work(void *argument)
{
    struct worker *w = argument;
    struct pool *p = w->pool;
    pthread_mutex_lock(&p->lock);
    struct pool_job *job;
    while ((job = next_job(w)) != NULL) {
        p->busy++;
        pthread_mutex_unlock(&p->lock);
        job->run(job);
        pthread_mutex_lock(&p->lock);
        p->busy--;
        p->finished++;
    }
    w->ended = true;
    /* The signal that woke this thread may have been meant for a job. */
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void reap(struct worker *w)
{
    if (w->started) {
        int r = pthread_join(w->thread, NULL);
        ASSERT(r == 0);
        w->started = false;
        w->ended = false;
    }
}

static int start_worker(struct pool *p, uint32_t number)
{
    struct worker *w = &p->workers[number];
    w->pool = p;
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    int r = pthread_sigmask(SIG_SETMASK, &all, &before);
    ASSERT(r == 0);
    r = pthread_create(&w->thread, NULL, work, w);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0) {
        return -r;
    }
    w->started = true;
    char name[16];
    (void)snprintf(name, sizeof(name), "%s-%u", p->name, number);
    (void)pthread_setname_np(w->thread, name);
    return 0;
}

static void set_wanted(struct pool *p, uint32_t threads)
{
    pthread_mutex_lock(&p->lock);
    p->wanted = threads;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

/* True if the thread of this slot has said that it will not take another job;
 * one that has not said so stays, because it is wanted again. */
static bool has_ended(struct pool *p, const struct worker *w)
{
    pthread_mutex_lock(&p->lock);
    bool ended = w->ended;
    pthread_mutex_unlock(&p->lock);
    return ended;
}

int pool_resize(struct pool *p, uint32_t threads)
{
    if (threads == 0 || threads > POOL_THREADS_MAX) {
        return -EINVAL;
    }
    set_wanted(p, threads);
    for (uint32_t i = 0; i < threads; i++) {
        struct worker *w = &p->workers[i];
        if (w->started && has_ended(p, w)) {
            reap(w);
        }
        if (w->started) {
            continue;
        }
        int r = start_worker(p, i);
        if (r < 0) {
            set_wanted(p, MAX(i, 1U));
            return r;
        }
    }
    return 0;
}

int pool_start(const char *name, uint32_t threads, uint32_t queue_limit,
               struct pool **ret)
{
    if (queue_limit == 0) {
        return -EINVAL;
    }
    struct pool *p = MEM_NEW(struct pool);
    list_init(&p->queue);
    p->queue_limit = queue_limit;
    (void)snprintf(p->name, sizeof(p->name), "%s", name);
    int r = pthread_mutex_init(&p->lock, NULL);
    ASSERT(r == 0);
    r = pthread_cond_init(&p->wake, NULL);
    ASSERT(r == 0);
    r = pool_resize(p, threads);
    if (r < 0) {
        pool_stop(p);
        return r;
    }
    *ret = p;
    return 0;
}

int pool_submit(struct pool *p, struct pool_job *job)
{
    int r = -EAGAIN;
    pthread_mutex_lock(&p->lock);
    ASSERT(!p->stopping);
    ASSERT(job->run != NULL && list_empty(&job->link));
    if (p->queued < p->queue_limit) {
        list_push(&p->queue, &job->link);
        p->queued++;
        pthread_cond_signal(&p->wake);
        r = 0;
    }
    pthread_mutex_unlock(&p->lock);
    return r;
}

void pool_stop(struct pool *p)
{
    if (p == NULL) {
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < POOL_THREADS_MAX; i++) {
        reap(&p->workers[i]);
    }
    ASSERT(list_empty(&p->queue));
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}

void pool_retire(struct pool *p, struct pool *heir)
{
    struct list queue;
    list_init(&queue);
    pthread_mutex_lock(&p->lock);
    ASSERT(!p->stopping);
    p->stopping = true;
    list_splice(&queue, &p->queue);
    p->queued = 0;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    struct list *link;
    while ((link = list_pop(&queue)) != NULL) {
        struct pool_job *job = CONTAINER_OF(link, struct pool_job, link);
        ASSERT(pool_submit(heir, job) == 0);
    }
}

bool pool_reap(struct pool *p)
{
    bool ended = true;
    pthread_mutex_lock(&p->lock);
    ASSERT(p->stopping);
    for (uint32_t i = 0; i < POOL_THREADS_MAX; i++) {
        ended = ended && (!p->workers[i].started || p->workers[i].ended);
    }
    pthread_mutex_unlock(&p->lock);
    if (ended) {
        pool_stop(p);
    }
    return ended;
}

struct pool_stats pool_stats(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    struct pool_stats stats = {
        .threads = p->wanted,
        .busy = p->busy,
        .queued = p->queued,
        .finished = p->finished,
    };
    pthread_mutex_unlock(&p->lock);
    return stats;
}
