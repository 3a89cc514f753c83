#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "loop/pool.h"

/* A job that says that it has begun and waits until it may end. */
struct gated {
    struct pool_job job;
    sem_t *begun;
    sem_t *may_end;
};

static void run_gated(struct pool_job *job)
{
    struct gated *g = CONTAINER_OF(job, struct gated, job);
    sem_t *may_end = g->may_end;
    (void)sem_post(g->begun);
    (void)sem_wait(may_end);
}

static void gated_init(struct gated *g, sem_t *begun, sem_t *may_end)
{
    *g = (struct gated){.begun = begun, .may_end = may_end};
    pool_job_init(&g->job, run_gated);
}

static void wait_n(sem_t *sem, unsigned n)
{
    while (n-- > 0) {
        while (sem_wait(sem) != 0) {
            assert_int_equal(errno, EINTR);
        }
    }
}

static void post_n(sem_t *sem, unsigned n)
{
    while (n-- > 0) {
        assert_int_equal(sem_post(sem), 0);
    }
}

static _Atomic(unsigned) runs;

static void count_run(struct pool_job *job UNUSED)
{
    atomic_fetch_add(&runs, 1);
}

static void runs_every_job_once(void **state UNUSED)
{
    enum { JOBS = 20000 };
    struct pool_job *jobs = mem_alloc(JOBS, sizeof(*jobs));
    struct pool *p = NULL;
    atomic_store(&runs, 0);
    assert_int_equal(pool_start("once", 4, JOBS, &p), 0);
    for (unsigned i = 0; i < JOBS; i++) {
        pool_job_init(&jobs[i], count_run);
        assert_int_equal(pool_submit(p, &jobs[i]), 0);
    }
    pool_stop(p);
    assert_int_equal(atomic_load(&runs), JOBS);
    mem_free(jobs);
}

static void refuses_what_does_not_fit(void **state UNUSED)
{
    enum { LIMIT = 3 };
    sem_t begun, may_end;
    assert_int_equal(sem_init(&begun, 0, 0), 0);
    assert_int_equal(sem_init(&may_end, 0, 0), 0);
    struct pool *p = NULL;
    assert_int_equal(pool_start("limit", 1, LIMIT, &p), 0);
    struct gated running;
    gated_init(&running, &begun, &may_end);
    assert_int_equal(pool_submit(p, &running.job), 0);
    wait_n(&begun, 1);
    struct gated waiting[LIMIT + 1];
    for (unsigned i = 0; i <= LIMIT; i++) {
        gated_init(&waiting[i], &begun, &may_end);
        assert_int_equal(pool_submit(p, &waiting[i].job),
                         i < LIMIT ? 0 : -EAGAIN);
    }
    struct pool_stats stats = pool_stats(p);
    assert_int_equal(stats.busy, 1);
    assert_int_equal(stats.queued, LIMIT);
    post_n(&may_end, 1 + LIMIT);
    wait_n(&begun, LIMIT);
    /* Refused is untouched: it may be submitted again. */
    while (pool_submit(p, &waiting[LIMIT].job) != 0) {
    }
    post_n(&may_end, 1);
    pool_stop(p);
}

/* The semaphore is only passed if all of them run at the same time. */
static void expect_concurrency(struct pool *p, unsigned n)
{
    sem_t begun, may_end;
    assert_int_equal(sem_init(&begun, 0, 0), 0);
    assert_int_equal(sem_init(&may_end, 0, 0), 0);
    struct gated jobs[POOL_THREADS_MAX + 1];
    for (unsigned i = 0; i <= n; i++) {
        gated_init(&jobs[i], &begun, &may_end);
        assert_int_equal(pool_submit(p, &jobs[i].job), 0);
    }
    wait_n(&begun, n);
    struct pool_stats stats = pool_stats(p);
    assert_int_equal(stats.threads, n);
    assert_int_equal(stats.busy, n);
    assert_int_equal(stats.queued, 1);
    post_n(&may_end, n + 1);
    wait_n(&begun, 1);
    uint64_t all = stats.finished + n + 1;
    while (pool_stats(p).finished < all) {
    }
}

static void resizes_while_it_works(void **state UNUSED)
{
    static const unsigned sizes[] = {1, 4, 8, 2, 3, POOL_THREADS_MAX, 1, 5};
    struct pool *p = NULL;
    assert_int_equal(pool_start("resize", 2, 100, &p), 0);
    expect_concurrency(p, 2);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        assert_int_equal(pool_resize(p, sizes[i]), 0);
        expect_concurrency(p, sizes[i]);
    }
    pool_stop(p);
}

static void grows_again_before_the_surplus_has_ended(void **state UNUSED)
{
    sem_t begun, may_end;
    assert_int_equal(sem_init(&begun, 0, 0), 0);
    assert_int_equal(sem_init(&may_end, 0, 0), 0);
    struct pool *p = NULL;
    assert_int_equal(pool_start("grow", 4, 100, &p), 0);
    struct gated jobs[4];
    for (unsigned i = 0; i < 4; i++) {
        gated_init(&jobs[i], &begun, &may_end);
        assert_int_equal(pool_submit(p, &jobs[i].job), 0);
    }
    wait_n(&begun, 4);
    assert_int_equal(pool_resize(p, 1), 0);
    assert_int_equal(pool_resize(p, 4), 0);
    assert_int_equal(pool_stats(p).busy, 4);
    post_n(&may_end, 4);
    while (pool_stats(p).finished < 4) {
    }
    expect_concurrency(p, 4);
    pool_stop(p);
}

static void runs_what_is_queued_before_it_stops(void **state UNUSED)
{
    sem_t begun, may_end;
    assert_int_equal(sem_init(&begun, 0, 0), 0);
    assert_int_equal(sem_init(&may_end, 0, 0), 0);
    struct pool *p = NULL;
    assert_int_equal(pool_start("stop", 1, 100, &p), 0);
    struct gated first;
    gated_init(&first, &begun, &may_end);
    assert_int_equal(pool_submit(p, &first.job), 0);
    struct pool_job jobs[50];
    atomic_store(&runs, 0);
    for (unsigned i = 0; i < 50; i++) {
        pool_job_init(&jobs[i], count_run);
        assert_int_equal(pool_submit(p, &jobs[i]), 0);
    }
    wait_n(&begun, 1);
    assert_int_equal(atomic_load(&runs), 0);
    post_n(&may_end, 1);
    pool_stop(p);
    assert_int_equal(atomic_load(&runs), 50);
}

/* One thread is held by its job; the other one's place is taken at once. */
static void a_retired_pool_ends_with_its_jobs(void **state UNUSED)
{
    sem_t begun, may_end, heir_may_end;
    struct gated held, waits;
    struct pool *p = NULL;
    struct pool *heir = NULL;
    assert_int_equal(sem_init(&begun, 0, 0), 0);
    assert_int_equal(sem_init(&may_end, 0, 0), 0);
    assert_int_equal(sem_init(&heir_may_end, 0, 1), 0);
    assert_int_equal(pool_start("old", 1, 4, &p), 0);
    assert_int_equal(pool_start("new", 1, 4, &heir), 0);
    gated_init(&held, &begun, &may_end);
    gated_init(&waits, &begun, &heir_may_end);
    assert_int_equal(pool_submit(p, &held.job), 0);
    wait_n(&begun, 1);
    assert_int_equal(pool_submit(p, &waits.job), 0);
    pool_retire(p, heir);
    wait_n(&begun, 1); /* what was queued runs, although the other is held */
    assert_false(pool_reap(p));
    post_n(&may_end, 1);
    while (!pool_reap(p)) {
        sched_yield();
    }
    pool_stop(heir);
    assert_int_equal(sem_destroy(&begun), 0);
    assert_int_equal(sem_destroy(&may_end), 0);
    assert_int_equal(sem_destroy(&heir_may_end), 0);
}

static void a_retired_pool_may_be_stopped(void **state UNUSED)
{
    struct pool *p = NULL;
    struct pool *heir = NULL;
    assert_int_equal(pool_start("old", 8, 4, &p), 0);
    assert_int_equal(pool_start("new", 1, 4, &heir), 0);
    pool_retire(p, heir);
    pool_stop(p);
    pool_stop(heir);
}

static void refuses_numbers_out_of_range(void **state UNUSED)
{
    struct pool *p = NULL;
    assert_int_equal(pool_start("x", 0, 1, &p), -EINVAL);
    assert_int_equal(pool_start("x", POOL_THREADS_MAX + 1, 1, &p), -EINVAL);
    assert_int_equal(pool_start("x", 1, 0, &p), -EINVAL);
    assert_int_equal(pool_start("a name too long to show", 1, 1, &p), 0);
    assert_int_equal(pool_resize(p, 0), -EINVAL);
    assert_int_equal(pool_resize(p, POOL_THREADS_MAX + 1), -EINVAL);
    assert_int_equal(pool_stats(p).threads, 1);
    pool_stop(p);
    pool_stop(NULL);
}

static sigset_t seen_mask;

static void read_mask(struct pool_job *job UNUSED)
{
    (void)pthread_sigmask(SIG_SETMASK, NULL, &seen_mask);
}

static void blocks_signals_in_jobs_only(void **state UNUSED)
{
    struct pool *p = NULL;
    assert_int_equal(pool_start("mask", 1, 1, &p), 0);
    struct pool_job job;
    pool_job_init(&job, read_mask);
    assert_int_equal(pool_submit(p, &job), 0);
    pool_stop(p);
    assert_int_equal(sigismember(&seen_mask, SIGTERM), 1);
    assert_int_equal(sigismember(&seen_mask, SIGCHLD), 1);
    sigset_t own;
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &own), 0);
    assert_int_equal(sigismember(&own, SIGTERM), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_every_job_once),
        cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(resizes_while_it_works),
        cmocka_unit_test(grows_again_before_the_surplus_has_ended),
        cmocka_unit_test(runs_what_is_queued_before_it_stops),
        cmocka_unit_test(a_retired_pool_ends_with_its_jobs),
        cmocka_unit_test(a_retired_pool_may_be_stopped),
        cmocka_unit_test(refuses_numbers_out_of_range),
        cmocka_unit_test(blocks_signals_in_jobs_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
