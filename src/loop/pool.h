/*
 * struct pool: a few threads that run caller-owned jobs, first come first
 * served, from a bounded queue. The number of threads can change while they
 * work. Jobs are embedded in what they work on; the pool owns none of them.
 *
 * Jobs run with all signals blocked: signals are for the event loop. A job
 * tells that it is done by its own means, usually a mailbox.
 *
 * pool_submit and pool_stats: any thread, jobs included. The rest: one thread
 * at a time, never a job.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"

#define POOL_THREADS_MAX 64

struct pool;
struct pool_job;

typedef void pool_job_fn(struct pool_job *job);

struct pool_job {
    struct list link; /* the pool's while it is queued */
    pool_job_fn *run;
};

/* Before the first submit. */
static inline void pool_job_init(struct pool_job *job, pool_job_fn *run)
{
    list_init(&job->link);
    job->run = run;
}

/* Starts 1..POOL_THREADS_MAX threads called name-0, name-1, ... (at most ten
 * bytes of name) and a queue for queue_limit jobs. -EINVAL for numbers out of
 * range, -EAGAIN when the system gives no thread. */
NODISCARD int pool_start(const char *name, uint32_t threads,
                         uint32_t queue_limit, struct pool **ret);

/* Queues a job; its run is called once, on one of the threads, after which
 * the pool does not touch it any more. -EAGAIN: the queue is full. */
NODISCARD int pool_submit(struct pool *p, struct pool_job *job);

/* Sets the number of threads. More start at once; fewer means that the
 * surplus ones end when they have finished their job. -EINVAL, -EAGAIN as
 * above: the number is then what could be had. */
NODISCARD int pool_resize(struct pool *p, uint32_t threads);

/* Runs what is queued, ends the threads, frees. NULL is fine. Nobody may
 * submit any more. */
void pool_stop(struct pool *p);

/* Lets all threads end, each when it has finished what it does; what is queued
 * goes to the other pool, which has room for it. Nobody may submit to it any
 * more. The pool lasts until pool_reap has said so, or pool_stop. */
void pool_retire(struct pool *p, struct pool *heir);

/* Frees a retired pool and returns true if its threads have ended; does not
 * wait for them. */
NODISCARD bool pool_reap(struct pool *p);

struct pool_stats {
    uint32_t threads; /* wanted; surplus ones may still be at work */
    uint32_t busy;
    uint32_t queued;
    uint64_t finished; /* jobs so far */
};
struct pool_stats pool_stats(struct pool *p);
