/* What committer.h says, with the thread and without it. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "tests/store/fixture.h"

/* ---- with the thread ---------------------------------------------------- */

/* An operation and what the test wants to know about its end. */
struct job {
    struct store_op op;
    struct event event;
    struct store_ingested result;
    struct arena arena; /* of claims */
    atomic_int done;    /* how often it was called */
};

static uint64_t now_ms(void)
{
    return T0_MS;
}

static void job_done(struct store_op *op)
{
    struct job *j = CONTAINER_OF(op, struct job, op);
    atomic_fetch_add(&j->done, 1);
}

static void await(const atomic_int *what, int wanted)
{
    while (atomic_load(what) < wanted) {
        sched_yield();
    }
}

static struct job *new_ingest(struct fixture *f)
{
    struct job *j = MEM_NEW(struct job);
    j->event = fixture_event(f, "x");
    j->op = (struct store_op){
        .kind = STORE_INGEST,
        .done = job_done,
        .ingest = {.events = &j->event,
                   .count = 1,
                   .dedup_expires_ms = T0_MS + 60000,
                   .results = &j->result},
    };
    return j;
}

static struct job *new_claim(uint32_t limit)
{
    struct job *j = MEM_NEW(struct job);
    j->op = (struct store_op){
        .kind = STORE_CLAIM,
        .done = job_done,
        .claim = {.limit = limit, .max_attempts = 3, .arena = &j->arena},
    };
    return j;
}

static void free_job(struct job *j)
{
    assert_int_equal(atomic_load(&j->done), 1);
    arena_deinit(&j->arena);
    mem_free(j);
}

static void count_fatal(void *context)
{
    atomic_fetch_add((atomic_int *)context, 1);
}

static struct committer *start(struct fixture *f, atomic_int *fatal)
{
    struct committer_options options = {
        .driver = f->driver,
        .store = f->store,
        .now_ms = now_ms,
        .on_fatal = count_fatal,
        .context = fatal,
    };
    struct committer *c = NULL;
    assert_int_equal(committer_start(&options, &c), 0);
    return c;
}

static void a_standing_claim_gets_the_next_event(void **state)
{
    struct fixture *f = *state;
    atomic_int fatal = 0;
    struct committer *c = start(f, &fatal);
    struct job *claims[2] = {new_claim(5), new_claim(5)};
    committer_submit(c, &claims[0]->op);
    committer_submit(c, &claims[1]->op);
    struct job *first = new_ingest(f);
    committer_submit(c, &first->op);
    await(&claims[0]->done, 1);
    assert_int_equal(claims[0]->op.result, 0);
    assert_int_equal(claims[0]->op.claim.count, 1);
    assert_id(claims[0]->op.claim.events[0].id, first->event.id);
    assert_int_equal(first->result.status, EVENT_QUEUED);
    assert_int_equal(atomic_load(&claims[1]->done), 0);
    struct job *second = new_ingest(f);
    committer_submit(c, &second->op);
    await(&claims[1]->done, 1);
    assert_id(claims[1]->op.claim.events[0].id, second->event.id);
    assert_int_equal(committer_queued(c), 0);
    committer_stop(c);
    assert_int_equal(fatal, 0);
    free_job(claims[0]);
    free_job(claims[1]);
    free_job(first);
    free_job(second);
}

static void refused_events_leave_the_rest(void **state)
{
    struct fixture *f = *state;
    atomic_int fatal = 0;
    struct committer *c = start(f, &fatal);
    struct job *before = new_ingest(f);
    committer_submit(c, &before->op);
    await(&before->done, 1);
    committer_refuse_events(c);
    struct job *after = new_ingest(f);
    struct job *claim = new_claim(1);
    committer_submit(c, &after->op);
    committer_submit(c, &claim->op);
    await(&after->done, 1);
    await(&claim->done, 1);
    assert_int_equal(before->op.result, 0);
    assert_int_equal(after->op.result, -ECANCELED);
    assert_int_equal(claim->op.result, 0);
    /* It tells the ledger without asking the store. */
    struct store_counts told;
    struct store_counts stored = fixture_counts(f);
    committer_counts(c, &told);
    assert_int_equal(told.events[EVENT_PROCESSING], 1);
    assert_memory_equal(&told, &stored, sizeof(told));
    committer_stop(c);
    assert_int_equal(fixture_counts(f).accepted, 1);
    free_job(before);
    free_job(after);
    free_job(claim);
}

static void stopping_commits_what_waits(void **state)
{
    struct fixture *f = *state;
    atomic_int fatal = 0;
    struct committer *c = start(f, &fatal);
    enum { N = 300 };
    static struct job *jobs[N];
    struct job *claims[2] = {new_claim(1), new_claim(1)};
    committer_submit(c, &claims[0]->op);
    for (int i = 0; i < N; i++) {
        jobs[i] = new_ingest(f);
        jobs[i]->event.dedup_key = STR("all the same");
        committer_submit(c, &jobs[i]->op);
    }
    await(&claims[0]->done, 1);
    committer_submit(c, &claims[1]->op); /* there is nothing for it */
    struct committer_stats before = committer_stats(c);
    assert_true(before.groups >= 1);
    committer_stop(c);
    for (int i = 0; i < N; i++) {
        assert_int_equal(jobs[i]->op.result, 0);
        assert_int_equal(jobs[i]->result.status,
                         i == 0 ? EVENT_QUEUED : EVENT_DEDUPLICATED);
        free_job(jobs[i]);
    }
    assert_int_equal(claims[0]->op.result, 0);
    assert_int_equal(claims[1]->op.result, -ECANCELED);
    assert_int_equal(fixture_counts(f).accepted, N);
    free_job(claims[0]);
    free_job(claims[1]);
}

enum { THREADS = 4, EACH = 100 };

struct crowd {
    struct committer *c;
    struct job *jobs[EACH];
};

static void *submit_all(void *arg)
{
    struct crowd *crowd = arg;
    for (int i = 0; i < EACH; i++) {
        committer_submit(crowd->c, &crowd->jobs[i]->op);
        if (i % 10 == 9) {
            await(&crowd->jobs[i]->done, 1);
        }
    }
    return NULL;
}

static void many_threads_submit(void **state)
{
    struct fixture *f = *state;
    atomic_int fatal = 0;
    struct committer *c = start(f, &fatal);
    static struct crowd crowds[THREADS];
    pthread_t threads[THREADS];
    for (int t = 0; t < THREADS; t++) {
        crowds[t].c = c;
        for (int i = 0; i < EACH; i++) {
            crowds[t].jobs[i] = new_ingest(f);
        }
    }
    for (int t = 0; t < THREADS; t++) {
        assert_int_equal(
            pthread_create(&threads[t], NULL, submit_all, &crowds[t]), 0);
    }
    /* Reading goes on meanwhile, and sees whole groups only. */
    while (fixture_counts(f).accepted < (uint64_t)THREADS * EACH) {
        struct store_counts counts = fixture_counts(f);
        assert_int_equal(counts.accepted, counts.events[EVENT_QUEUED]);
    }
    for (int t = 0; t < THREADS; t++) {
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    }
    committer_stop(c);
    for (int t = 0; t < THREADS; t++) {
        for (int i = 0; i < EACH; i++) {
            assert_int_equal(crowds[t].jobs[i]->op.result, 0);
            free_job(crowds[t].jobs[i]);
        }
    }
}

/* What nobody waits for is committed all the same, and together with what
 * comes after it when that comes at once. (A slow machine may take longer than
 * the lingering between two lines: then it is tried again.) */
static void what_nobody_waits_for_lingers(void **state)
{
    struct fixture *f = *state;
    atomic_int fatal = 0;
    struct committer *c = start(f, &fatal);
    uint64_t groups = 0;
    do {
        struct job *lingers = new_ingest(f);
        struct job *urgent = new_ingest(f);
        lingers->op.unhurried = true;
        uint64_t before = committer_stats(c).groups;
        committer_submit(c, &lingers->op);
        committer_submit(c, &urgent->op);
        await(&urgent->done, 1);
        assert_int_equal(atomic_load(&lingers->done), 1);
        groups = committer_stats(c).groups - before;
        free_job(lingers);
        free_job(urgent);
    } while (groups != 1);
    struct job *alone = new_ingest(f);
    alone->op.unhurried = true;
    committer_submit(c, &alone->op);
    await(&alone->done, 1);
    assert_int_equal(alone->op.result, 0);
    free_job(alone);
    struct job *last = new_ingest(f);
    last->op.unhurried = true;
    committer_submit(c, &last->op);
    committer_stop(c);
    assert_int_equal(last->op.result, 0);
    free_job(last);
}

/* ---- without it --------------------------------------------------------- */

static void a_group_is_limited(void **state)
{
    struct fixture *f = *state;
    enum { N = STORE_GROUP_MAX * 2 + 5 };
    static struct job *jobs[N];
    for (int i = 0; i < N; i++) {
        jobs[i] = new_ingest(f);
        list_push(&f->group.ops, &jobs[i]->op.link);
    }
    static const uint64_t wanted[] = {STORE_GROUP_MAX, 2ULL * STORE_GROUP_MAX,
                                      N};
    int told = 0;
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        assert_int_equal(
            commit_group_run(f->driver, f->store, &f->group, f->now_ms), 0);
        assert_int_equal(fixture_counts(f).accepted, wanted[i]);
        for (struct list *it = list_pop(&f->group.finished); it != NULL;
             it = list_pop(&f->group.finished)) {
            /* In the order in which they came. */
            struct store_op *op = CONTAINER_OF(it, struct store_op, link);
            assert_ptr_equal(op, &jobs[told++]->op);
            op->done(op);
        }
    }
    assert_int_equal(told, N);
    for (int i = 0; i < N; i++) {
        free_job(jobs[i]);
    }
}

static void claims_come_first_come_first_served(void **state)
{
    struct fixture *f = *state;
    struct job *claims[3] = {new_claim(2), new_claim(2), new_claim(2)};
    for (int i = 0; i < 3; i++) {
        list_push(&f->group.ops, &claims[i]->op.link);
    }
    assert_int_equal(
        commit_group_run(f->driver, f->store, &f->group, f->now_ms), 0);
    assert_true(list_empty(&f->group.finished));
    struct job *events[3];
    for (int i = 0; i < 3; i++) {
        events[i] = new_ingest(f);
        list_push(&f->group.ops, &events[i]->op.link);
    }
    assert_int_equal(
        commit_group_run(f->driver, f->store, &f->group, f->now_ms), 0);
    assert_int_equal(claims[0]->op.claim.count, 2);
    assert_int_equal(claims[1]->op.claim.count, 1);
    assert_ptr_equal(f->group.claims.next, &claims[2]->op.link);
    list_init(&f->group.claims);
    list_init(&f->group.finished);
    for (int i = 0; i < 3; i++) {
        arena_deinit(&claims[i]->arena);
        mem_free(claims[i]);
        mem_free(events[i]);
    }
}

const struct conformance_case committer_cases[] = {
    {"a standing claim gets the next event",
     a_standing_claim_gets_the_next_event},
    {"refused events leave the rest", refused_events_leave_the_rest},
    {"stopping commits what waits", stopping_commits_what_waits},
    {"many threads submit", many_threads_submit},
    {"what nobody waits for lingers", what_nobody_waits_for_lingers},
    {"a group is limited", a_group_is_limited},
    {"claims come first come, first served",
     claims_come_first_come_first_served},
};
const size_t committer_case_count = ARRAY_LEN(committer_cases);
