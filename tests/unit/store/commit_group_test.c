/* What becomes of a group when its commit fails, and of the committer after
 * that: on the memory driver, which fails when it is told to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "store/committer.h"
#include "store/memory.h"
#include "store/reader.h"

#define T0_MS 1800000000000ULL

/* A store with one claimed event, and one operation of each kind. */
struct world {
    struct store *store;
    struct reader *reader;
    struct commit_group group;
    struct arena arena;
    struct event events[3];
    struct store_ingested results[3];
    struct record record;
    struct store_op ingest;
    struct store_op replay; /* fails by itself: -EEXIST */
    struct store_op apply;
    struct store_op stale; /* fails by itself: -ESTALE */
    struct store_op pin;
    struct store_op claim;
    struct record wrong;
    atomic_int done;
    atomic_int fatal;
};

static void count_done(struct store_op *op)
{
    struct world *w = op->context;
    atomic_fetch_add(&w->done, 1);
}

static void make_event(struct world *w, size_t i)
{
    w->events[i] = (struct event){
        .id = id_make(T0_MS, (const uint8_t[10]){(uint8_t)(i + 1)}),
        .received_ms = T0_MS,
        .body = STR("{}"),
    };
}

static void run_group(struct world *w)
{
    assert_int_equal(
        commit_group_run(&store_memory, w->store, &w->group, T0_MS), 0);
    list_init(&w->group.finished);
}

static void claim_one(struct world *w)
{
    make_event(w, 0);
    w->ingest = (struct store_op){
        .kind = STORE_INGEST,
        .ingest = {.events = w->events, .count = 1, .results = w->results},
    };
    w->claim = (struct store_op){
        .kind = STORE_CLAIM,
        .claim = {.limit = 1, .max_attempts = 3, .arena = &w->arena},
    };
    list_push(&w->group.ops, &w->ingest.link);
    list_push(&w->group.ops, &w->claim.link);
    run_group(w);
    assert_int_equal(w->claim.claim.count, 1);
}

static void make_operations(struct world *w)
{
    const struct store_claim *c = &w->claim.claim;
    w->record = (struct record){
        .kind = RECORD_EVENT_DONE,
        .event_done = {.seq = c->events[0].seq,
                       .event_id = c->events[0].id,
                       .claim = c->claim,
                       .status = EVENT_PROCESSED,
                       .at_ms = T0_MS},
    };
    w->wrong = w->record;
    w->wrong.event_done.claim += 1000;
    make_event(w, 1);
    struct store_op common = {.done = count_done, .context = w};
    w->ingest = w->replay = w->apply = w->stale = w->pin = w->claim = common;
    w->ingest.kind = w->replay.kind = STORE_INGEST;
    w->ingest.ingest = (struct store_ingest){
        .events = &w->events[1], .count = 1, .results = &w->results[1]};
    w->replay.ingest = (struct store_ingest){
        .events = &w->events[0], .count = 1, .results = &w->results[2]};
    w->apply.kind = w->stale.kind = STORE_APPLY;
    w->apply.apply = (struct store_apply){&w->record, 1, 0};
    w->stale.apply = (struct store_apply){&w->wrong, 1, 0};
    w->pin.kind = STORE_PIN;
    w->pin.pin = (struct store_pin){.path = STR("a"), .text = STR("b")};
    w->claim.kind = STORE_CLAIM;
    w->claim.claim =
        (struct store_claim){.limit = 5, .max_attempts = 3, .arena = &w->arena};
}

static int setup(void **state)
{
    struct world *w = MEM_NEW(struct world);
    struct store_options options = {.queue_limit = 10, .session = {{1}}};
    struct store_opened opened;
    struct err err = ERR_INIT;
    commit_group_init(&w->group);
    assert_int_equal(store_memory.open(&options, &w->store, &opened, &err), 0);
    assert_int_equal(store_memory.reader_open(w->store, &w->reader, &err), 0);
    claim_one(w);
    make_operations(w);
    struct store_op *ops[] = {&w->claim, &w->ingest, &w->replay,
                              &w->apply, &w->stale,  &w->pin};
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        list_push(&w->group.ops, &ops[i]->link);
    }
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    assert_int_equal(store_memory.check(w->store, &err), 0);
    w->reader->ops->close(w->reader);
    store_memory.close(w->store);
    arena_deinit(&w->arena);
    mem_free(w);
    return 0;
}

static struct store_counts counts(struct world *w)
{
    struct store_counts c;
    assert_int_equal(w->reader->ops->counts(w->reader, &c), 0);
    return c;
}

static size_t count_list(const struct list *l)
{
    size_t n = 0;
    LIST_EACH (l, it) {
        n++;
    }
    return n;
}

static void without_a_fault_all_succeed(void **state)
{
    struct world *w = *state;
    assert_int_equal(
        commit_group_run(&store_memory, w->store, &w->group, T0_MS), 0);
    assert_int_equal(count_list(&w->group.finished), 6);
    assert_int_equal(w->ingest.result, 0);
    assert_int_equal(w->replay.result, -EEXIST);
    assert_int_equal(w->apply.result, 0);
    assert_int_equal(w->stale.result, -ESTALE);
    assert_int_equal(w->pin.result, 0);
    assert_int_equal(w->claim.result, 0);
    assert_int_equal(w->claim.claim.count, 1);
}

static void a_full_disk_refuses_events_only(void **state)
{
    struct world *w = *state;
    store_memory_fail(w->store, MEMORY_FAULT_NOSPC, 1);
    assert_int_equal(
        commit_group_run(&store_memory, w->store, &w->group, T0_MS), 0);
    assert_int_equal(w->ingest.result, -ENOSPC);
    assert_int_equal(w->replay.result, -EEXIST);
    assert_int_equal(w->apply.result, 0);
    assert_int_equal(w->stale.result, -ESTALE);
    assert_int_equal(w->pin.result, 0);
    assert_int_equal(count_list(&w->group.finished), 5);
    /* The claim had been given the event that was not kept. */
    assert_int_equal(count_list(&w->group.claims), 1);
    assert_ptr_equal(w->group.claims.next, &w->claim.link);
    struct store_counts c = counts(w);
    assert_int_equal(c.accepted, 1);
    assert_int_equal(c.events[EVENT_PROCESSED], 1);
}

static void a_disk_that_stays_full_is_fatal(void **state)
{
    struct world *w = *state;
    store_memory_fail_times(w->store, MEMORY_FAULT_NOSPC, 1, 2);
    assert_int_equal(
        commit_group_run(&store_memory, w->store, &w->group, T0_MS), -EIO);
    assert_int_equal(w->ingest.result, -ENOSPC); /* told already: nothing */
    assert_int_equal(w->apply.result, -EIO);
    assert_int_equal(w->pin.result, -EIO);
    assert_int_equal(w->claim.result, -EIO);
    assert_int_equal(count_list(&w->group.finished), 6);
    assert_int_equal(counts(w).events[EVENT_PROCESSING], 1);
}

/* What somebody has asked for is refused before the process ends; what must be
 * stored is. */
static void a_disk_that_stays_full_refuses_changes_first(void **state)
{
    struct world *w = *state;
    w->apply.optional = true;
    store_memory_fail_times(w->store, MEMORY_FAULT_NOSPC, 1, 2);
    assert_int_equal(
        commit_group_run(&store_memory, w->store, &w->group, T0_MS), 0);
    assert_int_equal(w->ingest.result, -ENOSPC);
    assert_int_equal(w->apply.result, -ENOSPC);
    assert_int_equal(w->stale.result, -ESTALE);
    assert_int_equal(w->pin.result, 0);
    assert_int_equal(count_list(&w->group.finished), 5);
    assert_int_equal(counts(w).events[EVENT_PROCESSING], 1);
}

static void changes_alone_are_refused_on_a_full_disk(void **state)
{
    struct world *w = *state;
    w->apply.optional = w->pin.optional = true;
    store_memory_fail_times(w->store, MEMORY_FAULT_NOSPC, 1, 9);
    assert_int_equal(
        commit_group_run(&store_memory, w->store, &w->group, T0_MS), 0);
    assert_int_equal(w->apply.result, -ENOSPC);
    assert_int_equal(w->pin.result, -ENOSPC);
    store_memory_fail_times(w->store, MEMORY_FAULT_NONE, 1, 1);
}

/* One time is not enough: the driver has something in reserve. */
static void changes_are_made_out_of_the_reserve(void **state)
{
    struct world *w = *state;
    w->apply.optional = true;
    store_memory_fail(w->store, MEMORY_FAULT_NOSPC, 1);
    assert_int_equal(
        commit_group_run(&store_memory, w->store, &w->group, T0_MS), 0);
    assert_int_equal(w->ingest.result, -ENOSPC);
    assert_int_equal(w->apply.result, 0);
}

static void an_io_error_fails_everything(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 2; i++) {
        store_memory_fail(w->store,
                          i == 0 ? MEMORY_FAULT_IO : MEMORY_FAULT_UNKNOWN, 1);
        assert_int_equal(
            commit_group_run(&store_memory, w->store, &w->group, T0_MS), -EIO);
        assert_int_equal(count_list(&w->group.finished), 6);
        assert_int_equal(w->ingest.result, -EIO);
        assert_int_equal(w->replay.result, -EIO);
        assert_int_equal(w->apply.result, -EIO);
        assert_int_equal(w->stale.result, -EIO);
        assert_int_equal(w->pin.result, -EIO);
        assert_int_equal(w->claim.result, -EIO);
        /* Told as failed, and yet it may have happened. */
        assert_int_equal(counts(w).accepted, i == 0 ? 1 : 2);
        for (struct list *it = list_pop(&w->group.finished); it != NULL;
             it = list_pop(&w->group.finished)) {
            list_push(&w->group.ops, it);
        }
    }
}

/* ---- the thread --------------------------------------------------------- */

static uint64_t now_ms(void)
{
    return T0_MS;
}

static void on_fatal(void *context)
{
    struct world *w = context;
    atomic_fetch_add(&w->fatal, 1);
}

static struct committer *start(struct world *w)
{
    struct committer_options options = {
        .driver = &store_memory,
        .store = w->store,
        .now_ms = now_ms,
        .on_fatal = on_fatal,
        .context = w,
    };
    struct committer *c = NULL;
    assert_int_equal(committer_start(&options, &c), 0);
    return c;
}

static void after_an_io_error_nothing_succeeds(void **state)
{
    struct world *w = *state;
    store_memory_fail(w->store, MEMORY_FAULT_IO, 1);
    struct committer *c = start(w);
    committer_submit(c, &w->claim); /* stands */
    committer_submit(c, &w->ingest);
    while (atomic_load(&w->done) < 2) {
        (void)sched_yield();
    }
    assert_int_equal(w->ingest.result, -EIO);
    assert_int_equal(w->claim.result, -EIO);
    committer_submit(c, &w->apply);
    committer_submit(c, &w->pin);
    while (atomic_load(&w->done) < 4) {
        (void)sched_yield();
    }
    assert_int_equal(w->apply.result, -EIO);
    assert_int_equal(w->pin.result, -EIO);
    committer_submit(c, &w->stale);
    committer_stop(c);
    assert_int_equal(w->stale.result, -EIO);
    assert_int_equal(atomic_load(&w->done), 5);
    assert_int_equal(atomic_load(&w->fatal), 1);
}

static void a_full_disk_does_not_spin(void **state)
{
    struct world *w = *state;
    struct committer *c = start(w);
    committer_submit(c, &w->claim); /* stands */
    while (committer_stats(c).groups == 0) {
        (void)sched_yield();
    }
    store_memory_fail(w->store, MEMORY_FAULT_NOSPC, 1);
    committer_submit(c, &w->ingest);
    while (atomic_load(&w->done) < 1) {
        (void)sched_yield();
    }
    assert_int_equal(w->ingest.result, -ENOSPC);
    committer_submit(c, &w->apply);
    while (atomic_load(&w->done) < 2) {
        (void)sched_yield();
    }
    assert_int_equal(w->apply.result, 0);
    committer_stop(c);
    assert_int_equal(w->claim.result, -ECANCELED);
    assert_int_equal(atomic_load(&w->fatal), 0);
}

static bool always_busy(void *context)
{
    (void)context;
    return true;
}

/* While more waits, a claim that would get few events waits a little; never
 * longer than COMMIT_PUT_OFF_MAX groups, and not when a batch is full. */
static void claims_wait_for_fuller_batches_under_load(void **state)
{
    struct world *w = *state;
    struct commit_group g;
    commit_group_init(&g);
    g.busy = always_busy;
    make_event(w, 2);
    struct store_op ingest = {
        .kind = STORE_INGEST,
        .ingest = {.events = &w->events[2],
                   .count = 1,
                   .results = &w->results[2]},
    };
    struct store_op claim = {
        .kind = STORE_CLAIM,
        .claim = {.limit = 10, .max_attempts = 3, .arena = &w->arena},
    };
    list_push(&g.ops, &ingest.link);
    list_push(&g.ops, &claim.link);
    for (int i = 0; i < COMMIT_PUT_OFF_MAX; i++) {
        assert_int_equal(commit_group_run(&store_memory, w->store, &g, T0_MS),
                         0);
        assert_false(list_empty(&g.claims));
    }
    assert_int_equal(commit_group_run(&store_memory, w->store, &g, T0_MS), 0);
    assert_true(list_empty(&g.claims));
    assert_int_equal(claim.claim.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_fault_all_succeed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_refuses_events_only, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_disk_that_stays_full_is_fatal, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_disk_that_stays_full_refuses_changes_first, setup, teardown),
        cmocka_unit_test_setup_teardown(
            changes_alone_are_refused_on_a_full_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(changes_are_made_out_of_the_reserve,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(an_io_error_fails_everything, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(after_an_io_error_nothing_succeeds,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_does_not_spin, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            claims_wait_for_fuller_batches_under_load, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
