/* Who may start, who must wait, which worker claims. */
#include <errno.h>

#include "fixture.h"

static void finish(struct bench *b, char letter)
{
    (void)ended(b, letter, 0, 1, ATTEMPT_SUCCEEDED);
}

static enum workflow_status status_of(struct bench *b, char letter)
{
    return shadow_find(b, id_of(letter))->row.status;
}

static void first_come_first_served(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *one = RUNBOOK(b, "a.yaml", STEP());
    struct runbook *two = RUNBOOK(b, "b.yaml", STEP());
    b->config.max_concurrent = 2;
    begin(b);
    for (char c = 'A'; c != 'I'; c++) {
        (void)run(b, c % 3 == 0 ? one : two, c);
    }
    for (char c = 'A'; c != 'G'; c++) {
        assert_int_equal(status_of(b, c), WORKFLOW_RUNNING);
        assert_int_equal(status_of(b, (char)(c + 2)), WORKFLOW_QUEUED);
        finish(b, c);
        assert_int_equal(status_of(b, (char)(c + 2)), WORKFLOW_RUNNING);
    }
    bench_free(b);
}

static void a_limited_runbook_does_not_starve_others(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *limited = RUNBOOK(b, "a.yaml", STEP());
    struct runbook *other = RUNBOOK(b, "b.yaml", STEP());
    limited->max_concurrent = 1;
    b->config.max_concurrent = 2;
    begin(b);
    (void)run(b, limited, 'A');
    (void)run(b, limited, 'B');
    (void)run(b, limited, 'C');
    (void)run(b, other, 'D'); /* passes B and C */
    (void)run(b, other, 'E');
    assert_int_equal(status_of(b, 'B'), WORKFLOW_QUEUED);
    assert_int_equal(status_of(b, 'D'), WORKFLOW_RUNNING);
    assert_int_equal(status_of(b, 'E'), WORKFLOW_QUEUED);
    finish(b, 'A'); /* B is older than E and may start now */
    assert_int_equal(status_of(b, 'B'), WORKFLOW_RUNNING);
    assert_int_equal(status_of(b, 'E'), WORKFLOW_QUEUED);
    finish(b, 'D');
    assert_int_equal(status_of(b, 'C'), WORKFLOW_QUEUED);
    assert_int_equal(status_of(b, 'E'), WORKFLOW_RUNNING);
    bench_free(b);
}

/* The limit belongs to the path; a later version may have another one. */
static void versions_of_a_runbook_share_its_limit(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *old = RUNBOOK(b, "a.yaml", STEP());
    struct runbook *new = RUNBOOK(b, "a.yaml", STEP());
    old->max_concurrent = 2;
    new->max_concurrent = 1;
    begin(b);
    (void)run(b, old, 'A');
    (void)run(b, old, 'B');
    (void)run(b, new, 'C');
    finish(b, 'A');
    assert_int_equal(status_of(b, 'C'), WORKFLOW_QUEUED);
    finish(b, 'B');
    assert_int_equal(status_of(b, 'C'), WORKFLOW_RUNNING);
    bench_free(b);
}

static void backoff_keeps_the_place_and_held_gives_it_back(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        RUNBOOK(b, "a.yaml", STEP(.max_attempts = 2, .backoff_ms = 1000));
    b->config.max_concurrent = 1;
    begin(b);
    (void)run(b, rb, 'A');
    (void)run(b, rb, 'B');
    (void)ended(b, 'A', 0, 1, ATTEMPT_FAILED);
    assert_int_equal(status_of(b, 'A'), WORKFLOW_WAITING);
    assert_int_equal(status_of(b, 'B'), WORKFLOW_QUEUED);
    (void)after(b, 1200);
    (void)lost(b, 'y', 'A', 2);
    assert_int_equal(status_of(b, 'A'), WORKFLOW_HELD);
    assert_int_equal(status_of(b, 'B'), WORKFLOW_RUNNING);
    bench_free(b);
}

static void the_limit_moves(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    b->config.max_concurrent = 3;
    begin(b);
    for (char c = 'A'; c != 'H'; c++) {
        (void)run(b, rb, c);
    }
    b->config.max_concurrent = 1;
    SAYS(take(b, (struct fact){.kind = FACT_CONFIG, .config = b->config}), "");
    finish(b, 'A');
    finish(b, 'B');
    assert_int_equal(engine_count(b->engine).running, 1);
    assert_int_equal(engine_count(b->engine).queued, 4);
    b->config.max_concurrent = 3;
    SAYS(take(b, (struct fact){.kind = FACT_CONFIG, .config = b->config}),
         "set D running; try D 0.1; set E running; try E 0.1; START D 0.1; "
         "START E 0.1");
    bench_free(b);
}

static void too_many_are_refused_and_claims_pause(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    b->config.max_live = 2;
    begin(b);
    (void)run(b, rb, 'A');
    (void)run(b, rb, 'B');
    char expected[32];
    (void)snprintf(expected, sizeof(expected), "REPLY %d", -EAGAIN);
    SAYS(run(b, rb, 'C'), expected);
    assert_null(shadow_find(b, id_of('C')));
    SAYS(take(b, (struct fact){.kind = FACT_BATCH_MATCHED}), "");
    assert_int_equal(engine_count(b->engine).workers_resting, 1);
    SAYS(ended(b, 'A', 0, 1, ATTEMPT_SUCCEEDED),
         "put A 0.1 succeeded; set A succeeded; FORGET A 0.1; CLAIM 0");
    assert_int_equal(engine_count(b->engine).workers_claiming, 1);
    bench_free(b);
}

/* What waits for a person, perhaps for days, does not stop the rest; but it
 * has a bound of its own. */
static void held_ones_leave_room(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    char refused[32];
    (void)snprintf(refused, sizeof(refused), "REPLY %d", -EAGAIN);
    b->config.max_live = 2;
    begin(b);
    (void)run(b, rb, 'A');
    (void)run(b, rb, 'B');
    SAYS(take(b, (struct fact){.kind = FACT_BATCH_MATCHED}), "");
    assert_true(
        str_ends(str_c(ended(b, 'A', 0, 1, ATTEMPT_UNKNOWN)), STR("CLAIM 0")));
    assert_int_equal(engine_count(b->engine).held, 1);
    (void)run(b, rb, 'C');
    assert_non_null(shadow_find(b, id_of('C')));
    SAYS(run(b, rb, 'D'), refused);
    (void)ended(b, 'B', 0, 1, ATTEMPT_UNKNOWN);
    assert_int_equal(engine_count(b->engine).held, 2);
    SAYS(run(b, rb, 'D'), refused);
    (void)stop(b, 'A', STOP_KILL);
    (void)run(b, rb, 'D');
    assert_non_null(shadow_find(b, id_of('D')));
    bench_free(b);
}

/* Every way in which a workflow can end wakes the workers. */
static void each_end_wakes_the_workers(void **state)
{
    (void)state;
    enum { ENDS, TIMES_OUT, IS_STOPPED, IS_LOST, CONFIG, WAYS };
    for (int way = 0; way < WAYS; way++) {
        struct bench *b = bench_new();
        struct runbook *rb = RUNBOOK(b, "a.yaml", STEP(.idempotent = true));
        b->config.max_live = 1;
        begin(b);
        (void)run(b, rb, 'A');
        SAYS(take(b, (struct fact){.kind = FACT_BATCH_MATCHED}), "");
        if (way == TIMES_OUT || way == IS_STOPPED) {
            (void)lost(b, 'y', 'A', 1); /* tries are used up: A is over */
            (void)take(b, (struct fact){.kind = FACT_BATCH_MATCHED});
            (void)down(b);
            (void)run(b, rb, 'B');
            (void)take(b, (struct fact){.kind = FACT_BATCH_MATCHED});
        }
        const char *said = "";
        if (way == ENDS) {
            said = ended(b, 'A', 0, 1, ATTEMPT_FAILED);
        } else if (way == TIMES_OUT) {
            said = after(b, b->config.workflow_timeout_ms);
        } else if (way == IS_STOPPED) {
            said = stop(b, 'B', STOP_KILL);
        } else if (way == IS_LOST) {
            said = lost(b, 'y', 'A', 1);
        } else {
            b->config.max_live = 2;
            said = take(
                b, (struct fact){.kind = FACT_CONFIG, .config = b->config});
        }
        assert_true(str_ends(str_c(said), STR("CLAIM 0")));
        bench_free(b);
    }
}

static void workers_come_and_go(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    begin(b);
    b->config.workers = 3;
    SAYS(take(b, (struct fact){.kind = FACT_CONFIG, .config = b->config}),
         "CLAIM 1; CLAIM 2");
    b->config.workers = 1;
    SAYS(take(b, (struct fact){.kind = FACT_CONFIG, .config = b->config}), "");
    SAYS(take(b, (struct fact){.kind = FACT_BATCH_MATCHED,
                               .batch = {.worker = 2}}),
         "");
    SAYS(take(b, (struct fact){.kind = FACT_BATCH_MATCHED}), "CLAIM 0");
    b->config.workers = ENGINE_WORKERS_MAX;
    (void)take(b, (struct fact){.kind = FACT_CONFIG, .config = b->config});
    assert_int_equal(b->fx.actions.count, ENGINE_WORKERS_MAX - 2);
    bench_free(b);
}

static void a_pause_holds_the_claims(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    begin(b);
    SAYS(take(b, (struct fact){.kind = FACT_PAUSE, .pause = true}), "");
    SAYS(take(b, (struct fact){.kind = FACT_BATCH_MATCHED}), "");
    SAYS(take(b, (struct fact){.kind = FACT_TIME}), "");
    SAYS(take(b, (struct fact){.kind = FACT_PAUSE}), "CLAIM 0");
    SAYS(take(b, (struct fact){.kind = FACT_PAUSE}), "");
    bench_free(b);
}

/* 10,000 queued behind one place: each end starts exactly the next one. The
 * test would take minutes if an end looked at all that wait. */
static void a_long_queue_is_cheap(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    struct engine_config config = ENGINE_CONFIG_DEFAULT;
    config.max_concurrent = 1;
    config.max_live = COUNT;
    struct engine *e = engine_new(&config);
    struct fact fact = {.kind = FACT_START, .now_ms = EPOCH_MS};
    engine_step(e, &fact, &b->fx);
    fact = (struct fact){.kind = FACT_EXECUTOR_UP, .executor = {id_of('x')}};
    engine_step(e, &fact, &b->fx);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct id id = id_of('A');
        memcpy(id.bytes + 4, &i, sizeof(i));
        fact = (struct fact){.kind = FACT_RUN_REQUESTED,
                             .run = {.runbook = rb, .workflow_id = id}};
        engine_step(e, &fact, &b->fx);
        effects_reset(&b->fx);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        struct id id = id_of('A');
        memcpy(id.bytes + 4, &i, sizeof(i));
        fact = (struct fact){
            .kind = FACT_STEP_ENDED,
            .ended = {{.key = {.workflow_id = id, .attempt = 1},
                       .executor = id_of('x'),
                       .state = ATTEMPT_SUCCEEDED}},
        };
        engine_step(e, &fact, &b->fx);
        assert_int_equal(engine_count(e).live, COUNT - i - 1);
        assert_int_equal(engine_count(e).running, i + 1 < COUNT);
        effects_reset(&b->fx);
    }
    engine_check(e);
    engine_free(e);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_come_first_served),
        cmocka_unit_test(a_limited_runbook_does_not_starve_others),
        cmocka_unit_test(versions_of_a_runbook_share_its_limit),
        cmocka_unit_test(backoff_keeps_the_place_and_held_gives_it_back),
        cmocka_unit_test(the_limit_moves),
        cmocka_unit_test(too_many_are_refused_and_claims_pause),
        cmocka_unit_test(held_ones_leave_room),
        cmocka_unit_test(each_end_wakes_the_workers),
        cmocka_unit_test(workers_come_and_go),
        cmocka_unit_test(a_pause_holds_the_claims),
        cmocka_unit_test(a_long_queue_is_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
