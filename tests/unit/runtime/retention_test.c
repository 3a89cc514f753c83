/* Rounds of retention over the memory store: by age, by size, in pieces, and
 * what happens when the store does not play along. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/retention.h"
#include "store/committer.h"
#include "store/memory.h"

#define T0_MS 1800000000000ULL
#define DAY_MS (24ULL * 3600 * 1000)
#define KIB 1024

struct bench {
    struct store *store;
    struct reader *reader;
    struct commit_group group;
    struct retention *retention;
    struct arena arena;
    uint64_t now_ms;
    uint32_t ids;
    struct runtime_op *submitted; /* and not yet committed */
    uint32_t pieces;
    uint64_t largest; /* rows of one piece */
    bool again;
    uint32_t rounds;
    struct retention_round last;
};

static struct id new_id(struct bench *b)
{
    uint8_t random[10] = {0};
    memcpy(random + 4, &b->ids, sizeof(b->ids));
    b->ids++;
    return id_make(b->now_ms, random);
}

/* ---- ports -------------------------------------------------------------- */

static uint64_t port_now_ms(void *context)
{
    const struct bench *b = context;
    return b->now_ms;
}

static void port_submit(void *context, struct runtime_op *ro)
{
    struct bench *b = context;
    assert_null(b->submitted);
    assert_true(ro->op.unhurried);
    b->submitted = ro;
    b->pieces++;
}

static void port_again(void *context, uint64_t in_ms)
{
    struct bench *b = context;
    assert_true(in_ms > 0);
    b->again = true;
}

static void port_done(void *context, const struct retention_round *round)
{
    struct bench *b = context;
    b->rounds++;
    b->last = *round;
}

/* ---- the store ---------------------------------------------------------- */

static int run(struct bench *b, struct store_op *op)
{
    list_push(&b->group.ops, &op->link);
    (void)commit_group_run(&store_memory, b->store, &b->group, b->now_ms);
    list_init(&b->group.finished);
    return op->result;
}

static void start(struct bench *b, const struct retention_policy *policy)
{
    const struct retention_ports ports = {.context = b,
                                          .now_ms = port_now_ms,
                                          .submit = port_submit,
                                          .again = port_again,
                                          .done = port_done};
    retention_free(b->retention);
    b->retention = retention_new(&ports, b->reader, policy);
}

static void commit(struct bench *b)
{
    struct runtime_op *ro = b->submitted;
    b->submitted = NULL;
    (void)run(b, &ro->op);
    b->largest = MAX(b->largest, ro->op.apply.moved);
    retention_op_done(b->retention);
}

/* A whole round. */
static void sweep(struct bench *b)
{
    uint32_t before = b->rounds;
    b->pieces = 0;
    b->largest = 0;
    retention_begin(b->retention);
    while (b->submitted != NULL || b->again) {
        if (b->submitted != NULL) {
            commit(b);
        } else {
            b->again = false;
            retention_next(b->retention);
        }
    }
    assert_int_equal(b->rounds, before + 1);
}

static void add_events(struct bench *b, uint32_t count)
{
    struct event events[100];
    struct store_ingested results[100];
    struct record done[100];
    assert_true(count <= 100);
    for (uint32_t i = 0; i < count; i++) {
        events[i] = (struct event){.id = new_id(b),
                                   .received_ms = b->now_ms,
                                   .type = STR("metric"),
                                   .body = STR("{}")};
    }
    struct store_op op = {
        .kind = STORE_INGEST,
        .ingest = {.events = events, .count = count, .results = results}};
    assert_int_equal(run(b, &op), 0);
    struct store_op claim = {
        .kind = STORE_CLAIM,
        .claim = {.limit = count, .max_attempts = 3, .arena = &b->arena}};
    assert_int_equal(run(b, &claim), 0);
    for (uint32_t i = 0; i < count; i++) {
        done[i] =
            (struct record){.kind = RECORD_EVENT_DONE,
                            .event_done = {.seq = claim.claim.events[i].seq,
                                           .event_id = claim.claim.events[i].id,
                                           .claim = claim.claim.claim,
                                           .status = EVENT_PROCESSED,
                                           .at_ms = b->now_ms}};
    }
    struct store_op apply = {.kind = STORE_APPLY,
                             .apply = {.records = done, .count = count}};
    assert_int_equal(run(b, &apply), 0);
}

static void add_workflow(struct bench *b, bool ended, uint32_t chunks)
{
    struct workflow_row w = {.id = new_id(b),
                             .runbook_path = STR("a.yaml"),
                             .created_ms = b->now_ms,
                             .status = WORKFLOW_RUNNING,
                             .rev = 1};
    struct record record = {.kind = RECORD_WORKFLOW_NEW, .workflow = w};
    struct store_op op = {.kind = STORE_APPLY,
                          .apply = {.records = &record, .count = 1}};
    assert_int_equal(run(b, &op), 0);
    for (uint32_t i = 0; i < chunks; i++) {
        record = (struct record){.kind = RECORD_OUTPUT,
                                 .output = {.key = {.workflow_id = w.id},
                                            .offset = i,
                                            .data = STR("x")}};
        assert_int_equal(run(b, &op), 0);
    }
    if (ended) {
        w.rev = 2;
        w.status = WORKFLOW_FAILED;
        w.finished_ms = b->now_ms;
        record = (struct record){.kind = RECORD_WORKFLOW_SET, .workflow = w};
        assert_int_equal(run(b, &op), 0);
    }
}

static struct store_counts counts(struct bench *b)
{
    struct store_counts c;
    struct err err = ERR_INIT;
    assert_int_equal(b->reader->ops->counts(b->reader, &c), 0);
    assert_int_equal(store_memory.check(b->store, &err), 0);
    return c;
}

static int set_up(void **state)
{
    struct bench *b = MEM_NEW(struct bench);
    struct store_options options = {.queue_limit = 100000, .now_ms = T0_MS};
    struct store_opened opened;
    struct err err = ERR_INIT;
    b->now_ms = T0_MS;
    commit_group_init(&b->group);
    assert_int_equal(store_memory.open(&options, &b->store, &opened, &err), 0);
    assert_int_equal(store_memory.reader_open(b->store, &b->reader, &err), 0);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    retention_free(b->retention);
    b->reader->ops->close(b->reader);
    store_memory.close(b->store);
    arena_deinit(&b->arena);
    mem_free(b);
    return 0;
}

/* ---- tests -------------------------------------------------------------- */

static void removes_by_age(void **state)
{
    struct bench *b = *state;
    add_events(b, 30);
    add_workflow(b, true, 0);
    add_workflow(b, false, 0);
    b->now_ms += 5 * DAY_MS;
    add_events(b, 7);
    add_workflow(b, true, 0);
    start(b, &(struct retention_policy){.events_ms = 3 * DAY_MS,
                                        .workflows_ms = 5 * DAY_MS});
    sweep(b);
    assert_int_equal(b->last.events, 30);
    assert_int_equal(b->last.workflows, 0); /* not older than five days */
    b->now_ms += 1;
    sweep(b);
    assert_int_equal(b->last.events, 0);
    assert_int_equal(b->last.workflows, 1);
    struct store_counts c = counts(b);
    assert_int_equal(c.accepted, 37);
    assert_int_equal(c.events[EVENT_PROCESSED], 7);
    assert_int_equal(c.workflows[WORKFLOW_RUNNING], 1);
    assert_int_equal(c.workflows[WORKFLOW_FAILED], 1);
}

static void zero_is_never(void **state)
{
    struct bench *b = *state;
    add_events(b, 5);
    add_workflow(b, true, 0);
    b->now_ms += 10000 * DAY_MS;
    start(b, &(struct retention_policy){0});
    sweep(b);
    assert_int_equal(b->pieces, 0);
    assert_int_equal(counts(b).removed_events, 0);
    assert_int_equal(counts(b).removed_workflows, 0);
}

static void works_in_small_pieces(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 10; i++) {
        add_events(b, 100);
    }
    add_workflow(b, true, RETENTION_CHUNKS * 3 + 1);
    for (int i = 0; i < 2 * RETENTION_WORKFLOWS; i++) {
        add_workflow(b, true, 0);
    }
    b->now_ms += 2 * DAY_MS;
    start(b, &(struct retention_policy){.events_ms = DAY_MS,
                                        .workflows_ms = DAY_MS});
    sweep(b);
    assert_int_equal(b->last.events, 1000);
    assert_int_equal(b->last.workflows, 2 * RETENTION_WORKFLOWS + 1);
    assert_true(b->pieces >= 1000 / RETENTION_EVENTS + 4);
    assert_true(b->largest <= RETENTION_EVENTS);
}

/* The memory driver says that every row takes 1 KiB. */
static void makes_room_oldest_first(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 20; i++) {
        add_events(b, 100);
    }
    for (int i = 0; i < 100; i++) {
        add_workflow(b, true, 0);
    }
    b->now_ms += 2 * DAY_MS;
    add_events(b, 50);
    start(b, &(struct retention_policy){.max_bytes = 1000 * KIB});
    sweep(b);
    struct store_counts c = counts(b);
    uint64_t rows = c.accepted - c.removed_events + 100 - c.removed_workflows;
    assert_true(rows <= 950);
    assert_true(rows > 950 - RETENTION_EVENTS - 1);
    assert_true(c.removed_workflows > 0 && c.removed_events > 0);
    assert_false(b->last.too_large);
    sweep(b);
    assert_int_equal(b->pieces, 0);
}

static void the_last_day_stays_however_large(void **state)
{
    struct bench *b = *state;
    add_events(b, 10);
    b->now_ms += DAY_MS;
    for (int i = 0; i < 5; i++) {
        add_events(b, 100);
    }
    b->now_ms += 1;
    start(b, &(struct retention_policy){.max_bytes = 100 * KIB});
    sweep(b);
    assert_int_equal(b->last.events, 10);
    assert_true(b->last.too_large);
    b->now_ms += 1;
    sweep(b);
    assert_int_equal(b->last.events, 0);
    assert_true(b->last.too_large);
}

static void a_failure_ends_the_round(void **state)
{
    struct bench *b = *state;
    add_events(b, 10);
    b->now_ms += 2 * DAY_MS;
    start(b, &(struct retention_policy){.events_ms = DAY_MS});
    store_memory_fail(b->store, MEMORY_FAULT_IO, 1);
    sweep(b);
    assert_int_equal(b->last.result, -EIO);
    assert_int_equal(counts(b).removed_events, 0);
    sweep(b); /* and the next one does what is left */
    assert_int_equal(b->last.result, 0);
    assert_int_equal(counts(b).removed_events, 10);
}

/* As when they are archived between the listing and the removal. */
static void what_somebody_else_removes_is_no_failure(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < RETENTION_WORKFLOWS + 3; i++) {
        add_workflow(b, true, 0);
    }
    b->now_ms += 2 * DAY_MS;
    start(b, &(struct retention_policy){.workflows_ms = DAY_MS});
    retention_begin(b->retention);
    struct store_op archive = {.kind = STORE_APPLY,
                               .apply = b->submitted->op.apply};
    assert_int_equal(run(b, &archive), 0);
    assert_int_equal(archive.apply.moved, RETENTION_WORKFLOWS);
    commit(b);
    assert_int_equal(b->rounds, 0);
    b->again = false;
    retention_next(b->retention);
    commit(b);
    b->again = false;
    retention_next(b->retention);
    assert_int_equal(b->rounds, 1);
    assert_int_equal(b->last.result, 0);
    assert_int_equal(counts(b).removed_workflows, RETENTION_WORKFLOWS + 3);
}

/* A store that lists what it does not remove: our bug, and no endless round. */
static void no_progress_ends_the_round(void **state)
{
    struct bench *b = *state;
    add_workflow(b, true, 0);
    b->now_ms += 2 * DAY_MS;
    start(b, &(struct retention_policy){.workflows_ms = DAY_MS});
    retention_begin(b->retention);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(b->rounds, 0);
        b->submitted->op.result = 0;
        b->submitted->op.apply.moved = 0;
        b->submitted = NULL;
        retention_op_done(b->retention);
        if (b->again) {
            b->again = false;
            retention_next(b->retention);
        }
    }
    assert_int_equal(b->rounds, 1);
    assert_int_equal(b->last.result, -EPROTO);
}

static void one_round_at_a_time(void **state)
{
    struct bench *b = *state;
    add_events(b, 10);
    b->now_ms += 2 * DAY_MS;
    start(b, &(struct retention_policy){.events_ms = DAY_MS});
    retention_begin(b->retention);
    assert_true(retention_is_busy(b->retention));
    retention_begin(b->retention);
    assert_int_equal(b->pieces, 1);
    commit(b);
    assert_false(retention_is_busy(b->retention));
    retention_begin(b->retention); /* between two pieces */
    assert_int_equal(b->pieces, 1);
    b->again = false;
    retention_next(b->retention);
    assert_int_equal(b->rounds, 1);
    assert_int_equal(b->last.events, 10);
}

/* However much there is to remove, others wait for one piece at most: it has a
 * bounded number of rows, nothing is handed over while one is on its way, and
 * none before the pause after it is over. */
static void a_large_store_is_swept_between_others(void **state)
{
    struct bench *b = *state;
    const uint32_t old = 200000;
    uint32_t taken = 0;
    for (uint32_t i = 0; i < old / 100; i++) {
        add_events(b, 100);
    }
    b->now_ms += 2 * DAY_MS;
    start(b, &(struct retention_policy){.events_ms = DAY_MS});
    retention_begin(b->retention);
    while (b->submitted != NULL) {
        commit(b); /* asserts that there is no other piece */
        assert_null(b->submitted);
        assert_true(b->largest <= RETENTION_EVENTS);
        add_events(b, 1);
        taken++;
        assert_true(b->again);
        b->again = false;
        retention_next(b->retention);
    }
    assert_int_equal(b->rounds, 1);
    assert_int_equal(b->last.events, old);
    assert_true(b->pieces >= old / RETENTION_EVENTS);
    assert_int_equal(taken, b->pieces);
    assert_int_equal(counts(b).accepted, old + taken);
}

static void another_policy_holds_from_the_next_piece_on(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 10; i++) {
        add_events(b, 100);
    }
    b->now_ms += 2 * DAY_MS;
    start(b, &(struct retention_policy){.events_ms = DAY_MS});
    retention_begin(b->retention);
    retention_set_policy(b->retention, &(struct retention_policy){0});
    commit(b); /* it was handed over before */
    b->again = false;
    retention_next(b->retention);
    assert_int_equal(b->rounds, 1);
    assert_int_equal(b->last.result, 0);
    assert_int_equal(b->last.events, RETENTION_EVENTS);
    sweep(b);
    assert_int_equal(b->pieces, 0);
    retention_set_policy(b->retention,
                         &(struct retention_policy){.events_ms = DAY_MS});
    sweep(b);
    assert_int_equal(b->last.events, 1000 - RETENTION_EVENTS);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(removes_by_age),
        CASE(zero_is_never),
        CASE(works_in_small_pieces),
        CASE(makes_room_oldest_first),
        CASE(the_last_day_stays_however_large),
        CASE(a_failure_ends_the_round),
        CASE(what_somebody_else_removes_is_no_failure),
        CASE(no_progress_ends_the_round),
        CASE(one_round_at_a_time),
        CASE(a_large_store_is_swept_between_others),
        CASE(another_policy_holds_from_the_next_piece_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
