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

static void another_life_retries_what_is_idempotent(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        RUNBOOK(b, "a.yaml", STEP(.idempotent = true, .max_attempts = 3));
    begin(b);
    (void)run(b, rb, 'A');
    SAYS(up(b, 'y'), "put A 0.1 unknown; try A 0.2; START A 0.2");
    assert_true(id_eq(b->fx.actions.at[0].start.executor, id_of('y')));
    SAYS(up(b, 'z'), "put A 0.2 unknown; try A 0.3; START A 0.3");
    SAYS(up(b, 'w'),
         "put A 0.3 unknown; set A failed (step 'check' has an unknown "
         "outcome: the executor that ran it was lost)");
    bench_free(b);
}

static void another_life_holds_what_is_not_idempotent(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP(.max_attempts = 3));
    begin(b);
    (void)run(b, rb, 'A');
    SAYS(up(b, 'y'),
         "put A 0.1 unknown; set A held (step 'check' has an unknown outcome: "
         "the executor that ran it was lost; it is not idempotent, so an "
         "operator must see what it did and then cancel this workflow)");
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
    SAYS(up(b, 'y'), "put A 0.1 unknown; set A running; try A 1.1; "
                     "START A 1.1");
    bench_free(b);
}

/* A START that reached another life is answered "unknown" by it. */
static void a_foreign_life_says_unknown(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        RUNBOOK(b, "a.yaml", STEP(.idempotent = true, .max_attempts = 2));
    begin(b);
    (void)run(b, rb, 'A');
    SAYS(ended_row(b, (struct attempt_row){.key = key_of('A', 0, 1),
                                           .executor = id_of('y'),
                                           .exit_code = -1,
                                           .state = ATTEMPT_UNKNOWN}),
         "put A 0.1 unknown; try A 0.2; FORGET A 0.1; START A 0.2");
    bench_free(b);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_workflow_waits_for_the_executor),
        cmocka_unit_test(the_same_life_is_asked_again),
        cmocka_unit_test(another_life_retries_what_is_idempotent),
        cmocka_unit_test(another_life_holds_what_is_not_idempotent),
        cmocka_unit_test(unknown_then_continue_on_error),
        cmocka_unit_test(a_foreign_life_says_unknown),
        cmocka_unit_test(a_foreign_start_is_ignored),
        cmocka_unit_test(the_same_life_goes_on_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
