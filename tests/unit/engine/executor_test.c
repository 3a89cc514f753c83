/* The executor comes, goes and is lost; outcomes that nobody knows. */
#include "fixture.h"

static void a_workflow_waits_for_the_executor(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP(), STEP());
    begin(b);
    SAYS(down(b), "");
    SAYS(run(b, rb, 'A'), "new A running; REPLY 0 running");
    SAYS(up(b, 'x'), "try A 0.1; START A 0.1");
    SAYS(down(b), "");
    /* A report that was on its way: the next step waits. */
    SAYS(ended(b, 'A', 0, 1, ATTEMPT_SUCCEEDED),
         "put A 0.1 succeeded; set A running; FORGET A 0.1");
    SAYS(up(b, 'y'), "try A 1.1; START A 1.1");
    bench_free(b);
}

static const char *turn(struct bench *b, bool on)
{
    return take(b, (struct fact){.kind = FACT_HALT, .halt = {.on = on}});
}

/* While the kill switch is on: no step after the one that runs, no workflow,
 * no claim; what is in flight is still asked about. */
static void the_kill_switch_lets_nothing_begin(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP(), STEP());
    begin(b);
    SAYS(run(b, rb, 'A'),
         "new A running; try A 0.1; START A 0.1; REPLY 0 running");
    SAYS(turn(b, true), "");
    SAYS(run(b, rb, 'B'), "new B queued; REPLY 0 queued");
    SAYS(take(b, (struct fact){.kind = FACT_BATCH_MATCHED}), "");
    SAYS(down(b), "");
    SAYS(up(b, 'x'), "START A 0.1");
    SAYS(ended(b, 'A', 0, 1, ATTEMPT_SUCCEEDED),
         "put A 0.1 succeeded; set A running; FORGET A 0.1");
    SAYS(take(b, (struct fact){.kind = FACT_TIME}), "");
    SAYS(turn(b, true), "");
    SAYS(turn(b, false), "try A 1.1; set B running; try B 0.1; START A 1.1; "
                         "START B 0.1; CLAIM 0");
    bench_free(b);
}

static const char *deferred(struct bench *b, char letter, uint32_t step,
                            uint32_t attempt)
{
    return take(b, (struct fact){.kind = FACT_STEP_DEFERRED,
                                 .deferred = {key_of(letter, step, attempt),
                                              b->executor, STR("a storm")}});
}

/* Asked for in the moment before the engine looks: the step has not begun, so
 * it costs no try, and continue_on_error does not pass it over. It is the same
 * attempt that begins later, in the name of whoever is there then. */
static void what_met_the_kill_switch_waits(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(
        b, "a.yaml", STEP(.continue_on_error = true, .max_attempts = 1));
    begin(b);
    (void)run(b, rb, 'A');
    SAYS(deferred(b, 'A', 0, 1), "put A 0.1 starting");
    SAYS(deferred(b, 'A', 0, 1), "");
    assert_int_equal(engine_next_deadline_ms(b->engine), b->now_ms + 1000);
    SAYS(turn(b, true), "");
    SAYS(after(b, 5000), "");
    SAYS(down(b), "");
    SAYS(up(b, 'y'), "");
    SAYS(turn(b, false), "set A running; put A 0.1 starting; START A 0.1");
    assert_true(id_eq(b->fx.actions.at[0].start.executor, id_of('y')));
    SAYS(ended(b, 'A', 0, 1, ATTEMPT_SUCCEEDED),
         "put A 0.1 succeeded; set A succeeded; FORGET A 0.1");
    bench_free(b);
}

/* A switch that only the executor sees: it is asked again, second by second. */
static void a_switch_of_the_executor_is_tried_again(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    begin(b);
    (void)run(b, rb, 'A');
    SAYS(deferred(b, 'A', 0, 1), "put A 0.1 starting");
    SAYS(after(b, 1000), "put A 0.1 starting; START A 0.1");
    SAYS(deferred(b, 'A', 0, 1), "put A 0.1 starting");
    SAYS(stop(b, 'A', STOP_CANCEL),
         "set A cancelled; put A 0.1 cancelled; REPLY 0 cancelled");
    bench_free(b);
}

static void a_stop_that_crosses_the_kill_switch_ends_it(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    begin(b);
    (void)run(b, rb, 'A');
    SAYS(stop(b, 'A', STOP_CANCEL),
         "set A running; TERM A 0.1; REPLY 0 running");
    SAYS(deferred(b, 'A', 0, 1),
         "put A 0.1 starting; put A 0.1 cancelled; set A cancelled");
    bench_free(b);
}

/* What waits for the switch is not late. */
static void time_limits_stand_still_while_the_switch_is_on(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP(), STEP());
    rb->timeout_ms = 50000;
    begin(b);
    (void)run(b, rb, 'A');
    SAYS(after(b, 20000), "");
    SAYS(turn(b, true), "");
    SAYS(ended(b, 'A', 0, 1, ATTEMPT_SUCCEEDED),
         "put A 0.1 succeeded; set A running; FORGET A 0.1");
    assert_int_equal(engine_next_deadline_ms(b->engine), UINT64_MAX);
    SAYS(after(b, 100000), "");
    SAYS(turn(b, false), "set A running; try A 1.1; START A 1.1");
    SAYS(after(b, 29000), "");
    SAYS(after(b, 1000), "TERM A 1.1");
    bench_free(b);
}

static void the_same_life_is_asked_again(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    begin(b);
    (void)run(b, rb, 'A');
    (void)run(b, rb, 'B');
    (void)started(b, 'A', 0, 1);
    SAYS(down(b), "");
    SAYS(up(b, 'x'), "START A 0.1; START B 0.1");
    SAYS(up(b, 'x'), "START A 0.1; START B 0.1");
    SAYS(started(b, 'A', 0, 1), "");
    SAYS(ended(b, 'A', 0, 1, ATTEMPT_SUCCEEDED),
         "put A 0.1 succeeded; set A succeeded; FORGET A 0.1");
    bench_free(b);
}

/* It is asked in the name of the life that was to run it. */
static void another_life_is_asked_what_it_knows(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP(), STEP());
    begin(b);
    (void)run(b, rb, 'A');
    SAYS(up(b, 'y'), "START A 0.1");
    assert_true(id_eq(b->fx.actions.at[0].start.executor, id_of('x')));
    /* An outcome that was kept; the next step is for the new life. */
    SAYS(ended_row(b, (struct attempt_row){.key = key_of('A', 0, 1),
                                           .executor = id_of('x'),
                                           .state = ATTEMPT_SUCCEEDED}),
         "put A 0.1 succeeded; set A running; try A 1.1; FORGET A 0.1; "
         "START A 1.1");
    assert_true(id_eq(b->fx.actions.at[1].start.executor, id_of('y')));
    bench_free(b);
}

/* It cannot stop what it does not run: it is only asked, now and then. */
static void another_life_is_not_told_to_stop(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    rb->timeout_ms = 50000;
    begin(b);
    (void)run(b, rb, 'A');
    SAYS(up(b, 'y'), "START A 0.1");
    SAYS(stop(b, 'A', STOP_KILL), "set A running; REPLY 0 running");
    SAYS(after(b, 40000), "START A 0.1");
    SAYS(after(b, 40000), "START A 0.1");
    SAYS(up(b, 'z'), "START A 0.1");
    b->executor = id_of('x');
    SAYS(ended(b, 'A', 0, 1, ATTEMPT_UNKNOWN),
         "put A 0.1 unknown; set A killed; FORGET A 0.1");
    bench_free(b);
}

static void a_lost_attempt_is_retried_if_idempotent(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        RUNBOOK(b, "a.yaml", STEP(.idempotent = true, .max_attempts = 3));
    begin(b);
    (void)run(b, rb, 'A');
    SAYS(lost(b, 'y', 'A', 1),
         "put A 0.1 unknown; try A 0.2; FORGET A 0.1; START A 0.2");
    assert_true(id_eq(b->fx.actions.at[1].start.executor, id_of('y')));
    SAYS(lost(b, 'z', 'A', 2),
         "put A 0.2 unknown; try A 0.3; FORGET A 0.2; START A 0.3");
    SAYS(lost(b, 'w', 'A', 3),
         "put A 0.3 unknown; set A failed (step 'check' has an unknown "
         "outcome: it is gone); FORGET A 0.3");
    bench_free(b);
}

static void a_lost_attempt_is_held_if_not(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP(.max_attempts = 3));
    begin(b);
    (void)run(b, rb, 'A');
    SAYS(lost(b, 'y', 'A', 1),
         "put A 0.1 unknown; set A held (step 'check' has an unknown outcome: "
         "it is gone; it is not idempotent, so an operator must see what it "
         "did and then cancel this workflow); FORGET A 0.1");
    assert_int_equal(next_in(b), b->config.held_timeout_ms);
    assert_int_equal(engine_count(b->engine).held, 1);
    assert_int_equal(engine_count(b->engine).running, 0);
    bench_free(b);
}

/* Used-up tries of an unknown outcome count as a failure like others. */
static void unknown_then_continue_on_error(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        RUNBOOK(b, "a.yaml",
                STEP(.idempotent = true, .continue_on_error = true), STEP());
    begin(b);
    (void)run(b, rb, 'A');
    SAYS(lost(b, 'y', 'A', 1),
         "put A 0.1 unknown; set A running; try A 1.1; FORGET A 0.1; "
         "START A 1.1");
    bench_free(b);
}

/* Not even an idempotent step runs beside what may still be running. */
static void what_may_be_alive_is_held(void **state)
{
    (void)state;
    struct attempt_row row = {.key = key_of('A', 0, 1),
                              .state = ATTEMPT_UNKNOWN,
                              .executor = id_of('x'),
                              .exit_code = -1,
                              .maybe_alive = true,
                              .error = STR("2 do not end")};
    struct bench *b = bench_new();
    struct runbook *rb =
        RUNBOOK(b, "a.yaml", STEP(.idempotent = true, .max_attempts = 3));
    begin(b);
    (void)run(b, rb, 'A');
    SAYS(ended_row(b, row),
         "put A 0.1 unknown; set A held (step 'check' has an unknown outcome: "
         "2 do not end; processes of it may still run, so an operator must end "
         "them and then cancel this workflow); FORGET A 0.1");
    assert_true(next_in(b) > 0 && next_in(b) < UINT64_MAX / 2); /* I7 */
    bench_free(b);
}

static void what_may_be_alive_is_said_of_a_stop(void **state)
{
    (void)state;
    struct attempt_row row = {.key = key_of('A', 0, 1),
                              .state = ATTEMPT_UNKNOWN,
                              .executor = id_of('x'),
                              .exit_code = -1,
                              .maybe_alive = true};
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    begin(b);
    (void)run(b, rb, 'A');
    (void)started(b, 'A', 0, 1);
    (void)stop(b, 'A', STOP_KILL);
    const char *said = ended_row(b, row);
    assert_non_null(strstr(said, "set A killed (step 'check'"));
    assert_non_null(strstr(said, "may still run"));
    bench_free(b);
}

/* Whatever another life says of the attempt, it cannot know. */
static void another_life_is_not_believed(void **state)
{
    (void)state;
    static const enum attempt_state said[] = {
        ATTEMPT_UNKNOWN, ATTEMPT_SUCCEEDED, ATTEMPT_CANCELLED, ATTEMPT_FAILED};
    for (size_t i = 0; i < ARRAY_LEN(said); i++) {
        struct bench *b = bench_new();
        struct runbook *rb =
            RUNBOOK(b, "a.yaml", STEP(.idempotent = true, .max_attempts = 2));
        begin(b);
        (void)run(b, rb, 'A');
        SAYS(ended_row(b, (struct attempt_row){.key = key_of('A', 0, 1),
                                               .executor = id_of('y'),
                                               .exit_code = -1,
                                               .state = said[i]}),
             "put A 0.1 unknown; try A 0.2; FORGET A 0.1; START A 0.2");
        bench_free(b);
    }
}

/* Only a report by the life that was asked counts as a start. */
static void a_foreign_start_is_ignored(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    begin(b);
    (void)run(b, rb, 'A');
    b->executor = id_of('q');
    SAYS(started(b, 'A', 0, 1), "");
    bench_free(b);
}

static void the_same_life_goes_on_after_a_restart(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP(), STEP());
    begin(b);
    (void)run(b, rb, 'A');
    (void)started(b, 'A', 0, 1);
    engine_free(b->engine);
    b->engine = shadow_restore(b);
    SAYS(take(b, (struct fact){.kind = FACT_START}), "CLAIM 0");
    SAYS(up(b, 'x'), "START A 0.1");
    SAYS(ended(b, 'A', 0, 1, ATTEMPT_SUCCEEDED),
         "put A 0.1 succeeded; set A running; try A 1.1; FORGET A 0.1; "
         "START A 1.1");
    bench_free(b);
}

/* The store is from a backup: the executor may have done more than it says,
 * and forgotten it. Nothing goes on by itself, nothing is asked. */
static void doubtful_workflows_are_held(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    b->config.max_concurrent = 4;
    struct runbook *one = RUNBOOK(b, "one.yaml", STEP());
    one->max_concurrent = 1;
    struct runbook *rb =
        RUNBOOK(b, "a.yaml",
                STEP(.idempotent = true, .max_attempts = 3, .backoff_ms = 10));
    begin(b);
    (void)run(b, one, 'A'); /* in flight */
    (void)run(b, one, 'Q'); /* queued */
    (void)run(b, rb, 'W');
    (void)ended(b, 'W', 0, 1, ATTEMPT_FAILED); /* waiting */
    (void)run(b, rb, 'C');
    (void)stop(b, 'C', STOP_CANCEL); /* is being cancelled */
    (void)run(b, rb, 'H');
    struct engine *before = b->engine;
    b->engine = shadow_restore(b);
    engine_free(before);
    SAYS(take(b, (struct fact){.kind = FACT_START, .doubt = STR("old")}),
         "put A 0.1 unknown; set A held (old); set Q held (old); "
         "set W held (old); put C 0.1 unknown; set C cancelled (old); "
         "put H 0.1 unknown; set H held (old); CLAIM 0");
    assert_int_equal(engine_count(b->engine).held, 4);
    SAYS(up(b, 'x'), "");
    SAYS(ended(b, 'A', 0, 1, ATTEMPT_SUCCEEDED), "FORGET A 0.1");
    SAYS(stop(b, 'Q', STOP_CANCEL), "set Q cancelled (old); REPLY 0 cancelled");
    assert_int_equal(next_in(b), b->config.held_timeout_ms);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_workflow_waits_for_the_executor),
        cmocka_unit_test(the_kill_switch_lets_nothing_begin),
        cmocka_unit_test(what_met_the_kill_switch_waits),
        cmocka_unit_test(a_switch_of_the_executor_is_tried_again),
        cmocka_unit_test(a_stop_that_crosses_the_kill_switch_ends_it),
        cmocka_unit_test(time_limits_stand_still_while_the_switch_is_on),
        cmocka_unit_test(the_same_life_is_asked_again),
        cmocka_unit_test(another_life_is_asked_what_it_knows),
        cmocka_unit_test(another_life_is_not_told_to_stop),
        cmocka_unit_test(a_lost_attempt_is_retried_if_idempotent),
        cmocka_unit_test(a_lost_attempt_is_held_if_not),
        cmocka_unit_test(doubtful_workflows_are_held),
        cmocka_unit_test(unknown_then_continue_on_error),
        cmocka_unit_test(what_may_be_alive_is_held),
        cmocka_unit_test(what_may_be_alive_is_said_of_a_stop),
        cmocka_unit_test(another_life_is_not_believed),
        cmocka_unit_test(a_foreign_start_is_ignored),
        cmocka_unit_test(the_same_life_goes_on_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
