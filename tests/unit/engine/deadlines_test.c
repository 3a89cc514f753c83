/* Time limits of attempts, workflows and decisions; the clock itself. */
#include "fixture.h"

#define MARGIN_MS 40000 /* grace and margin by default */

static void a_workflow_times_out_while_a_step_runs(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP(), STEP());
    rb->timeout_ms = 30000;
    begin(b);
    (void)run(b, rb, 'A');
    assert_int_equal(next_in(b), 30000);
    SAYS(after(b, 29999), "");
    SAYS(after(b, 1), "TERM A 0.1");
    SAYS(after(b, 1), "");
    SAYS(ended(b, 'A', 0, 1, ATTEMPT_CANCELLED),
         "put A 0.1 cancelled; set A failed (workflow timed out after 30 s); "
         "FORGET A 0.1");
    bench_free(b);
}

/* The default applies to runbooks without a limit of their own. */
static void the_default_limit(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    b->config.workflow_timeout_ms = 5000;
    begin(b);
    (void)run(b, rb, 'A');
    SAYS(after(b, 5000), "TERM A 0.1");
    bench_free(b);
}

/* A success that comes too late for the steps behind it. The last step's
 * success is the workflow's, whatever the clock says. */
static void a_late_success(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *one = RUNBOOK(b, "a.yaml", STEP());
    struct runbook *two = RUNBOOK(b, "b.yaml", STEP(), STEP());
    one->timeout_ms = two->timeout_ms = 1000;
    begin(b);
    (void)run(b, one, 'A');
    (void)run(b, two, 'B');
    b->now_ms += 1000;
    SAYS(ended(b, 'A', 0, 1, ATTEMPT_SUCCEEDED),
         "put A 0.1 succeeded; set A succeeded; FORGET A 0.1");
    SAYS(ended(b, 'B', 0, 1, ATTEMPT_SUCCEEDED),
         "put B 0.1 succeeded; set B failed (workflow timed out after 1 s); "
         "FORGET B 0.1");
    bench_free(b);
}

static void a_workflow_times_out_in_its_backoff(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        RUNBOOK(b, "a.yaml", STEP(.max_attempts = 2, .backoff_ms = 60000));
    rb->timeout_ms = 10000;
    begin(b);
    (void)run(b, rb, 'A');
    (void)ended(b, 'A', 0, 1, ATTEMPT_FAILED);
    SAYS(after(b, 10000), "set A failed (workflow timed out after 10 s)");
    bench_free(b);
}

static void a_workflow_times_out_without_the_executor(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    rb->timeout_ms = 10000;
    begin(b);
    (void)down(b);
    (void)run(b, rb, 'A');
    SAYS(after(b, 10000), "set A failed (workflow timed out after 10 s)");
    /* And when the executor comes before the timer's fact. */
    (void)run(b, rb, 'B');
    b->now_ms += 10000;
    SAYS(up(b, 'y'), "set B failed (workflow timed out after 10 s)");
    bench_free(b);
}

/* With an attempt in flight and no executor there is nothing to do but wait
 * for it: no timer spins. */
static void a_deadline_waits_for_the_executor(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    rb->timeout_ms = 10000;
    begin(b);
    (void)run(b, rb, 'A');
    (void)down(b);
    SAYS(after(b, 10000), "");
    assert_true(engine_next_deadline_ms(b->engine) == UINT64_MAX);
    SAYS(up(b, 'x'), "TERM A 0.1; START A 0.1");
    bench_free(b);
}

static void silence_is_asked_about_now_and_then(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    rb->timeout_ms = 86400000;
    begin(b);
    (void)run(b, rb, 'A');
    assert_int_equal(next_in(b), 60000 + MARGIN_MS);
    SAYS(after(b, 60000 + MARGIN_MS - 1), "");
    SAYS(after(b, 1), "KILL A 0.1; START A 0.1");
    for (int i = 0; i < 5; i++) {
        assert_int_equal(next_in(b), MARGIN_MS);
        SAYS(after(b, MARGIN_MS), "KILL A 0.1; START A 0.1");
    }
    SAYS(ended(b, 'A', 0, 1, ATTEMPT_SUCCEEDED),
         "put A 0.1 succeeded; set A succeeded; FORGET A 0.1");
    bench_free(b);
}

/* The step's time runs from its start, as the executor tells it. */
static void a_slow_start_is_no_silence(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    begin(b);
    (void)run(b, rb, 'A');
    b->now_ms += 25000;
    (void)started(b, 'A', 0, 1);
    assert_int_equal(next_in(b), 60000 + MARGIN_MS);
    bench_free(b);
}

static void after_a_reconnect_there_is_time_to_answer(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    rb->timeout_ms = 86400000;
    begin(b);
    (void)run(b, rb, 'A');
    (void)down(b);
    b->now_ms += 3600000;
    SAYS(up(b, 'x'), "START A 0.1");
    assert_int_equal(next_in(b), MARGIN_MS);
    SAYS(after(b, MARGIN_MS), "KILL A 0.1; START A 0.1");
    bench_free(b);
}

static void an_unheeded_stop_is_repeated_as_a_kill(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    begin(b);
    (void)run(b, rb, 'A');
    (void)stop(b, 'A', STOP_CANCEL);
    assert_int_equal(next_in(b), MARGIN_MS);
    SAYS(after(b, MARGIN_MS), "KILL A 0.1; START A 0.1");
    assert_int_equal(next_in(b), MARGIN_MS);
    bench_free(b);
}

static void nobody_decides(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    b->config.held_timeout_ms = 7200000;
    begin(b);
    (void)run(b, rb, 'A');
    (void)lost(b, 'y', 'A', 1);
    (void)after(b, 7200000);
    const struct workflow_row *w = &shadow_find(b, id_of('A'))->row;
    assert_int_equal(w->status, WORKFLOW_FAILED);
    assert_true(str_ends(w->error, STR("; nobody decided within 7200 s")));
    bench_free(b);
}

static void the_clock_never_goes_back(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    begin(b);
    b->now_ms += 5000;
    (void)run(b, rb, 'A');
    b->now_ms -= 4000;
    (void)run(b, rb, 'B');
    assert_int_equal(shadow_find(b, id_of('B'))->row.created_ms,
                     EPOCH_MS + 5000);
    bench_free(b);
}

/* Many timers at one instant, one fact; none is left behind. */
static void everything_that_is_due_happens(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    rb->timeout_ms = 10000;
    begin(b);
    (void)run(b, rb, 'A');
    (void)run(b, rb, 'B');
    (void)run(b, rb, 'C');
    SAYS(after(b, 10000), "TERM A 0.1; TERM B 0.1; TERM C 0.1");
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_workflow_times_out_while_a_step_runs),
        cmocka_unit_test(the_default_limit),
        cmocka_unit_test(a_late_success),
        cmocka_unit_test(a_workflow_times_out_in_its_backoff),
        cmocka_unit_test(a_workflow_times_out_without_the_executor),
        cmocka_unit_test(a_deadline_waits_for_the_executor),
        cmocka_unit_test(silence_is_asked_about_now_and_then),
        cmocka_unit_test(a_slow_start_is_no_silence),
        cmocka_unit_test(after_a_reconnect_there_is_time_to_answer),
        cmocka_unit_test(an_unheeded_stop_is_repeated_as_a_kill),
        cmocka_unit_test(nobody_decides),
        cmocka_unit_test(the_clock_never_goes_back),
        cmocka_unit_test(everything_that_is_due_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
