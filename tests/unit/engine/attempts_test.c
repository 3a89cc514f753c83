/* Steps, tries, retries, and what an outcome means. */
#include "fixture.h"

static void one_step_succeeds(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    begin(b);
    SAYS(run(b, rb, 'A'),
         "new A running; try A 0.1; START A 0.1; REPLY 0 running");
    SAYS(started(b, 'A', 0, 1), "put A 0.1 running");
    SAYS(ended(b, 'A', 0, 1, ATTEMPT_SUCCEEDED),
         "put A 0.1 succeeded; set A succeeded; FORGET A 0.1");
    assert_int_equal(shadow_find(b, id_of('A'))->row.result, RESULT_UNVERIFIED);
    assert_int_equal(engine_count(b->engine).live, 0);
    bench_free(b);
}

/* The start message says exactly what the runbook says. */
static void a_start_carries_its_orders(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP(.timeout_ms = 1234));
    begin(b);
    (void)run(b, rb, 'A');
    const struct action *a = &b->fx.actions.at[0];
    assert_int_equal(a->kind, ENGINE_ACT_START);
    assert_ptr_equal(a->start.runbook, rb);
    assert_int_equal(a->start.timeout_ms, 1234);
    assert_int_equal(a->start.grace_ms, b->config.stop_grace_ms);
    assert_true(id_eq(a->start.executor, id_of('x')));
    assert_true(str_eq(a->start.parameters, STR("{\"a\":1}")));
    bench_free(b);
}

static void steps_follow_each_other_in_one_commit(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP(), STEP());
    begin(b);
    (void)run(b, rb, 'A');
    SAYS(ended(b, 'A', 0, 1, ATTEMPT_SUCCEEDED),
         "put A 0.1 succeeded; set A running; try A 1.1; FORGET A 0.1; "
         "START A 1.1");
    SAYS(ended(b, 'A', 1, 1, ATTEMPT_SUCCEEDED),
         "put A 1.1 succeeded; set A succeeded; FORGET A 1.1");
    bench_free(b);
}

static void a_retry_waits_longer_each_time(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(
        b, "a.yaml",
        STEP(.max_attempts = 9, .backoff_ms = 1000, .backoff_max_ms = 5000));
    b->config.workflow_timeout_ms = 3600000;
    begin(b);
    (void)run(b, rb, 'A');
    static const uint64_t plain_ms[] = {1000, 2000, 4000, 5000, 5000};
    for (uint32_t i = 0; i < ARRAY_LEN(plain_ms); i++) {
        b->entropy = UINT64_C(7919) * i;
        (void)ended(b, 'A', 0, i + 1, ATTEMPT_FAILED);
        uint64_t delay_ms = next_in(b);
        assert_true(delay_ms >= plain_ms[i] * 8 / 10);
        assert_true(delay_ms <= MIN(plain_ms[i] * 12 / 10, 5000));
        assert_true(after(b, delay_ms - 1)[0] == '\0');
        char expected[96];
        (void)snprintf(expected, sizeof(expected),
                       "set A running; try A 0.%u; START A 0.%u", i + 2, i + 2);
        SAYS(after(b, 1), expected);
    }
    bench_free(b);
}

static void jitter_comes_from_the_fact(void **state)
{
    (void)state;
    uint64_t seen[40];
    for (uint64_t i = 0; i < ARRAY_LEN(seen); i++) {
        struct bench *b = bench_new();
        struct runbook *rb = RUNBOOK(b, "a.yaml",
                                     STEP(.max_attempts = 2, .backoff_ms = 1000,
                                          .backoff_max_ms = 9000));
        begin(b);
        (void)run(b, rb, 'A');
        b->entropy = i / 2;
        (void)ended(b, 'A', 0, 1, ATTEMPT_FAILED);
        seen[i] = next_in(b);
        assert_in_range(seen[i], 800, 1200);
        bench_free(b);
    }
    bool differ = false;
    for (uint64_t i = 0; i < ARRAY_LEN(seen); i += 2) {
        assert_int_equal(seen[i], seen[i + 1]);
        differ = differ || seen[i] != seen[0];
    }
    assert_true(differ);
}

/* Every way to fail, with retries used up. */
static void failures_say_why(void **state)
{
    (void)state;
    static const struct {
        struct attempt_row row;
        const char *error;
    } cases[] = {
        {{.state = ATTEMPT_FAILED, .exit_code = 3},
         "step 'check' exited with status 3"},
        {{.state = ATTEMPT_FAILED, .exit_code = -1, .term_signal = 9},
         "step 'check' was killed by signal 9"},
        {{.state = ATTEMPT_TIMED_OUT, .exit_code = -1},
         "step 'check' timed out after 60 s"},
        {{.state = ATTEMPT_REFUSED, .exit_code = -1, .error = STR("busy")},
         "step 'check' could not be started: busy"},
        {{.state = ATTEMPT_REFUSED, .exit_code = -1},
         "step 'check' could not be started"},
        {{.state = ATTEMPT_CANCELLED, .exit_code = -1},
         "step 'check' was stopped"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench *b = bench_new();
        struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
        begin(b);
        (void)run(b, rb, 'A');
        struct attempt_row row = cases[i].row;
        row.key = key_of('A', 0, 1);
        (void)ended_row(b, row);
        const struct workflow_row *w = &shadow_find(b, id_of('A'))->row;
        assert_int_equal(w->status, WORKFLOW_FAILED);
        assert_true(str_eq_c(w->error, cases[i].error));
        bench_free(b);
    }
}

/* The executor's words are cut to fit, between characters. */
static void a_long_reason_is_shortened(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    char reason[3001] = "";
    for (size_t i = 0; i + 2 < sizeof(reason); i += 2) {
        reason[i] = (char)0xC3; /* an e acute, from an odd place */
        reason[i + 1] = (char)0xA9;
    }
    reason[0] = '-';
    reason[1] = '-';
    begin(b);
    (void)run(b, rb, 'A');
    (void)ended_row(b, (struct attempt_row){.key = key_of('A', 0, 1),
                                            .state = ATTEMPT_REFUSED,
                                            .exit_code = -1,
                                            .error = str_c(reason + 1)});
    const struct workflow_row *w = &shadow_find(b, id_of('A'))->row;
    assert_true(w->error.len > 500 && w->error.len < 700);
    assert_true(str_is_utf8(w->error));
    bench_free(b);
}

static void every_failure_is_retried_while_tries_are_left(void **state)
{
    (void)state;
    static const enum attempt_state failures[] = {
        ATTEMPT_FAILED, ATTEMPT_TIMED_OUT, ATTEMPT_REFUSED, ATTEMPT_CANCELLED};
    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        struct bench *b = bench_new();
        struct runbook *rb =
            RUNBOOK(b, "a.yaml", STEP(.max_attempts = 2, .backoff_ms = 1000));
        begin(b);
        (void)run(b, rb, 'A');
        (void)ended(b, 'A', 0, 1, failures[i]);
        assert_int_equal(shadow_find(b, id_of('A'))->row.status,
                         WORKFLOW_WAITING);
        SAYS(after(b, 1200), "set A running; try A 0.2; START A 0.2");
        (void)ended(b, 'A', 0, 2, failures[i]);
        assert_int_equal(shadow_find(b, id_of('A'))->row.status,
                         WORKFLOW_FAILED);
        bench_free(b);
    }
}

static void without_backoff_a_retry_is_immediate(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP(.max_attempts = 2));
    begin(b);
    (void)run(b, rb, 'A');
    SAYS(ended(b, 'A', 0, 1, ATTEMPT_FAILED),
         "put A 0.1 failed; try A 0.2; FORGET A 0.1; START A 0.2");
    bench_free(b);
}

static void continue_on_error_goes_on(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP(.continue_on_error = true),
                                 STEP(.continue_on_error = true));
    begin(b);
    (void)run(b, rb, 'A');
    SAYS(ended(b, 'A', 0, 1, ATTEMPT_FAILED),
         "put A 0.1 failed; set A running; try A 1.1; FORGET A 0.1; "
         "START A 1.1");
    SAYS(ended(b, 'A', 1, 1, ATTEMPT_TIMED_OUT),
         "put A 1.1 timed_out; set A succeeded; FORGET A 1.1");
    bench_free(b);
}

/* Late, repeated, foreign and senseless reports. */
static void reports_that_change_nothing(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP(.max_attempts = 2));
    begin(b);
    (void)run(b, rb, 'A');
    SAYS(ended(b, 'B', 0, 1, ATTEMPT_SUCCEEDED), "FORGET B 0.1");
    SAYS(ended(b, 'A', 1, 1, ATTEMPT_SUCCEEDED), "FORGET A 1.1");
    SAYS(ended(b, 'A', 0, 2, ATTEMPT_SUCCEEDED), "FORGET A 0.2");
    SAYS(ended(b, 'A', 0, 1, ATTEMPT_RUNNING), "");
    SAYS(started(b, 'A', 0, 2), "");
    SAYS(started(b, 'B', 0, 1), "");
    SAYS(started(b, 'A', 0, 1), "put A 0.1 running");
    SAYS(started(b, 'A', 0, 1), "");
    (void)ended(b, 'A', 0, 1, ATTEMPT_FAILED);
    SAYS(ended(b, 'A', 0, 1, ATTEMPT_SUCCEEDED), "FORGET A 0.1");
    SAYS(started(b, 'A', 0, 1), "");
    SAYS(ended(b, 'A', 0, 2, ATTEMPT_SUCCEEDED),
         "put A 0.2 succeeded; set A succeeded; FORGET A 0.2");
    SAYS(ended(b, 'A', 0, 2, ATTEMPT_SUCCEEDED), "FORGET A 0.2");
    bench_free(b);
}

/* Running, then "I would not start it": nobody knows what happened. */
static void a_contradiction_is_an_unknown_outcome(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    begin(b);
    (void)run(b, rb, 'A');
    (void)started(b, 'A', 0, 1);
    (void)ended(b, 'A', 0, 1, ATTEMPT_REFUSED);
    const struct shadow *s = shadow_find(b, id_of('A'));
    assert_int_equal(s->attempts[0].state, ATTEMPT_UNKNOWN);
    assert_int_equal(s->row.status, WORKFLOW_HELD);
    bench_free(b);
}

/* What the executor told is kept, what it left out is filled in. */
static void a_report_is_merged(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP(.max_attempts = 2));
    begin(b);
    (void)run(b, rb, 'A');
    (void)started(b, 'A', 0, 1);
    b->now_ms += 500;
    (void)ended_row(b, (struct attempt_row){.key = key_of('A', 0, 1),
                                            .state = ATTEMPT_FAILED,
                                            .exit_code = 3,
                                            .output_bytes = 99,
                                            .output_truncated = true,
                                            .survivors = 2,
                                            .error = STR("why")});
    const struct attempt_row *a = &shadow_find(b, id_of('A'))->attempts[0];
    assert_int_equal(a->pid, 77);
    assert_int_equal(a->requested_ms, EPOCH_MS);
    assert_int_equal(a->started_ms, EPOCH_MS);
    assert_int_equal(a->finished_ms, EPOCH_MS + 500);
    assert_int_equal(a->exit_code, 3);
    assert_int_equal(a->output_bytes, 99);
    assert_true(a->output_truncated);
    assert_int_equal(a->survivors, 2);
    assert_true(str_eq_c(a->error, "why"));
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_step_succeeds),
        cmocka_unit_test(a_start_carries_its_orders),
        cmocka_unit_test(steps_follow_each_other_in_one_commit),
        cmocka_unit_test(a_retry_waits_longer_each_time),
        cmocka_unit_test(jitter_comes_from_the_fact),
        cmocka_unit_test(failures_say_why),
        cmocka_unit_test(a_long_reason_is_shortened),
        cmocka_unit_test(every_failure_is_retried_while_tries_are_left),
        cmocka_unit_test(without_backoff_a_retry_is_immediate),
        cmocka_unit_test(continue_on_error_goes_on),
        cmocka_unit_test(reports_that_change_nothing),
        cmocka_unit_test(a_contradiction_is_an_unknown_outcome),
        cmocka_unit_test(a_report_is_merged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
