/* The course of a workflow through the sections of its runbook. */
#include "tests/unit/engine/fixture.h"

/* 0 diagnose, 1 and 2 steps with rollbacks 4 and 5, 3 a step without, 6 and 7
 * on_failure, 8 and 9 finally. */
enum { LOOK, ONE, TWO, THREE, UNDO_ONE, UNDO_TWO, TELL, PAGE, CLEAN, CLOSE };

static struct runbook *whole(struct bench *b)
{
    return RUNBOOK(
        b, "a.yaml", STEP(.section = SECTION_DIAGNOSE),
        STEP(.rollback = UNDO_ONE), STEP(.rollback = UNDO_TWO), STEP(),
        STEP(.section = SECTION_ROLLBACK), STEP(.section = SECTION_ROLLBACK),
        STEP(.section = SECTION_ON_FAILURE),
        STEP(.section = SECTION_ON_FAILURE), STEP(.section = SECTION_FINALLY),
        STEP(.section = SECTION_FINALLY));
}

static struct bench *begun(struct runbook *(*make)(struct bench *))
{
    struct bench *b = bench_new();
    struct runbook *rb = make(b);
    begin(b);
    (void)run(b, rb, 'A');
    return b;
}

static const struct workflow_row *row_of(struct bench *b)
{
    return &shadow_find(b, id_of('A'))->row;
}

/* Ends the first attempt of each of these steps, in that order. */
static void pass(struct bench *b, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i <= to; i++) {
        (void)ended(b, 'A', i, 1, ATTEMPT_SUCCEEDED);
    }
}

static void assert_error(struct bench *b, const char *expected)
{
    struct str error = row_of(b)->error;
    char text[4096];
    (void)snprintf(text, sizeof(text), "%.*s", STR_ARG(error));
    assert_string_equal(text, expected);
}

static void a_success_passes_by_what_is_for_failures(void **state)
{
    (void)state;
    struct bench *b = begun(whole);
    pass(b, LOOK, TWO);
    SAYS(ended(b, 'A', THREE, 1, ATTEMPT_SUCCEEDED),
         "put A 3.1 succeeded; set A running; try A 8.1; FORGET A 3.1; "
         "START A 8.1");
    pass(b, CLEAN, CLEAN);
    SAYS(ended(b, 'A', CLOSE, 1, ATTEMPT_SUCCEEDED),
         "put A 9.1 succeeded; set A succeeded; FORGET A 9.1");
    assert_int_equal(row_of(b)->result, RESULT_UNVERIFIED);
    bench_free(b);
}

static void a_failure_is_taken_back_newest_first(void **state)
{
    (void)state;
    struct bench *b = begun(whole);
    pass(b, LOOK, TWO);
    SAYS(ended(b, 'A', THREE, 1, ATTEMPT_FAILED),
         "put A 3.1 failed; set A running (step 'check' exited with status "
         "3); try A 5.1; FORGET A 3.1; START A 5.1");
    SAYS(ended(b, 'A', UNDO_TWO, 1, ATTEMPT_SUCCEEDED),
         "put A 5.1 succeeded; set A running (step 'check' exited with status "
         "3); try A 4.1; FORGET A 5.1; START A 4.1");
    pass(b, UNDO_ONE, UNDO_ONE);
    pass(b, TELL, CLEAN);
    SAYS(ended(b, 'A', CLOSE, 1, ATTEMPT_SUCCEEDED),
         "put A 9.1 succeeded; set A failed (step 'check' exited with status "
         "3); FORGET A 9.1");
    assert_int_equal(row_of(b)->result, RESULT_NONE);
    bench_free(b);
}

/* Nothing is taken back that has not been done. */
static void only_what_succeeded_is_taken_back(void **state)
{
    (void)state;
    struct bench *b = begun(whole);
    pass(b, LOOK, ONE);
    (void)ended(b, 'A', TWO, 1, ATTEMPT_FAILED);
    assert_int_equal(row_of(b)->step_no, UNDO_ONE);
    bench_free(b);

    b = begun(whole);
    pass(b, LOOK, LOOK);
    (void)ended(b, 'A', ONE, 1, ATTEMPT_FAILED);
    assert_int_equal(row_of(b)->step_no, TELL);
    bench_free(b);
}

static struct runbook *lenient(struct bench *b)
{
    return RUNBOOK(b, "a.yaml", STEP(.rollback = 2, .continue_on_error = true),
                   STEP(), STEP(.section = SECTION_ROLLBACK));
}

static void a_forgiven_failure_is_not_taken_back(void **state)
{
    (void)state;
    struct bench *b = begun(lenient);
    (void)ended(b, 'A', 0, 1, ATTEMPT_FAILED);
    SAYS(ended(b, 'A', 1, 1, ATTEMPT_FAILED),
         "put A 1.1 failed; set A failed (step 'check' exited with status 3); "
         "FORGET A 1.1");
    bench_free(b);
}

/* S28: no rollback of a rollback, and what is left is for people. */
static void a_rollback_that_fails_stops(void **state)
{
    (void)state;
    static const enum attempt_state ways[] = {ATTEMPT_FAILED, ATTEMPT_TIMED_OUT,
                                              ATTEMPT_REFUSED, ATTEMPT_UNKNOWN};
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct bench *b = begun(whole);
        pass(b, LOOK, TWO);
        (void)ended(b, 'A', THREE, 1, ATTEMPT_FAILED);
        (void)ended(b, 'A', UNDO_TWO, 1, ways[i]);
        assert_int_equal(row_of(b)->step_no, TELL);
        pass(b, TELL, CLOSE);
        assert_int_equal(row_of(b)->status, WORKFLOW_FAILED);
        bench_free(b);
    }
}

static void every_failure_is_told(void **state)
{
    (void)state;
    struct bench *b = begun(whole);
    pass(b, LOOK, TWO);
    (void)ended(b, 'A', THREE, 1, ATTEMPT_FAILED);
    (void)ended(b, 'A', UNDO_TWO, 1, ATTEMPT_FAILED);
    (void)ended(b, 'A', TELL, 1, ATTEMPT_FAILED); /* the next is tried */
    pass(b, PAGE, PAGE);
    (void)ended(b, 'A', CLEAN, 1, ATTEMPT_UNKNOWN);
    (void)ended(b, 'A', CLOSE, 1, ATTEMPT_SUCCEEDED);
    assert_int_equal(row_of(b)->status, WORKFLOW_FAILED);
    assert_error(b, "step 'check' exited with status 3; then step 'check' of "
                    "rollback exited with status 3; then step 'check' of "
                    "on_failure exited with status 3; then step 'check' of "
                    "finally has an unknown outcome");
    bench_free(b);
}

static void a_failed_end_is_a_failure(void **state)
{
    (void)state;
    struct bench *b = begun(whole);
    pass(b, LOOK, THREE);
    (void)ended(b, 'A', CLEAN, 1, ATTEMPT_FAILED);
    (void)ended(b, 'A', CLOSE, 1, ATTEMPT_SUCCEEDED);
    assert_int_equal(row_of(b)->status, WORKFLOW_FAILED);
    assert_error(b, "step 'check' of finally exited with status 3");
    bench_free(b);
}

static void a_diagnosis_changes_nothing(void **state)
{
    (void)state;
    static const enum attempt_state ways[] = {ATTEMPT_FAILED, ATTEMPT_TIMED_OUT,
                                              ATTEMPT_REFUSED, ATTEMPT_UNKNOWN};
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct bench *b = begun(whole);
        (void)ended(b, 'A', LOOK, 1, ways[i]);
        assert_int_equal(row_of(b)->step_no, ONE);
        assert_error(b, "");
        pass(b, ONE, THREE);
        pass(b, CLEAN, CLOSE);
        assert_int_equal(row_of(b)->status, WORKFLOW_SUCCEEDED);
        bench_free(b);
    }
}

/* ---- stopping ------------------------------------------------------------ */

static void a_cancel_runs_only_what_is_for_the_end(void **state)
{
    (void)state;
    for (uint32_t at = LOOK; at <= THREE; at++) {
        struct bench *b = begun(whole);
        for (uint32_t i = LOOK; i < at; i++) {
            pass(b, i, i);
        }
        (void)stop(b, 'A', STOP_CANCEL);
        (void)ended(b, 'A', at, 1, ATTEMPT_CANCELLED);
        assert_int_equal(row_of(b)->step_no, CLEAN);
        assert_int_equal(row_of(b)->status, WORKFLOW_RUNNING);
        pass(b, CLEAN, CLEAN);
        SAYS(ended(b, 'A', CLOSE, 1, ATTEMPT_SUCCEEDED),
             "put A 9.1 succeeded; set A cancelled; FORGET A 9.1");
        bench_free(b);
    }
}

static void a_cancel_ends_a_rollback_and_keeps_its_story(void **state)
{
    (void)state;
    struct bench *b = begun(whole);
    pass(b, LOOK, TWO);
    (void)ended(b, 'A', THREE, 1, ATTEMPT_FAILED);
    assert_non_null(strstr(stop(b, 'A', STOP_CANCEL), "TERM A 5.1"));
    (void)ended(b, 'A', UNDO_TWO, 1, ATTEMPT_CANCELLED);
    assert_int_equal(row_of(b)->step_no, CLEAN);
    pass(b, CLEAN, CLOSE);
    assert_int_equal(row_of(b)->status, WORKFLOW_CANCELLED);
    assert_error(b, "step 'check' exited with status 3");
    bench_free(b);
}

static void a_cancel_lets_the_end_run(void **state)
{
    (void)state;
    struct bench *b = begun(whole);
    pass(b, LOOK, THREE);
    SAYS(stop(b, 'A', STOP_CANCEL), "set A running; REPLY 0 running");
    (void)down(b);
    SAYS(up(b, 'x'), "START A 8.1"); /* asked again, and not stopped */
    SAYS(started(b, 'A', CLEAN, 1), "put A 8.1 running");
    pass(b, CLEAN, CLOSE);
    assert_int_equal(row_of(b)->status, WORKFLOW_CANCELLED);
    bench_free(b);
}

static void a_kill_runs_nothing_more(void **state)
{
    (void)state;
    struct bench *b = begun(whole);
    pass(b, LOOK, TWO);
    (void)stop(b, 'A', STOP_KILL);
    SAYS(ended(b, 'A', THREE, 1, ATTEMPT_CANCELLED),
         "put A 3.1 cancelled; set A killed; FORGET A 3.1");
    bench_free(b);

    b = begun(whole); /* and ends what a cancel has begun */
    (void)stop(b, 'A', STOP_CANCEL);
    (void)ended(b, 'A', LOOK, 1, ATTEMPT_CANCELLED);
    assert_non_null(strstr(stop(b, 'A', STOP_KILL), "KILL A 8.1"));
    (void)ended(b, 'A', CLEAN, 1, ATTEMPT_CANCELLED);
    assert_int_equal(row_of(b)->status, WORKFLOW_KILLED);
    bench_free(b);
}

static struct runbook *patient(struct bench *b)
{
    return RUNBOOK(
        b, "a.yaml",
        STEP(.max_attempts = 2, .backoff_ms = 5000, .backoff_max_ms = 5000),
        STEP(.section = SECTION_FINALLY));
}

static void a_cancel_ends_a_backoff(void **state)
{
    (void)state;
    struct bench *b = begun(patient);
    (void)ended(b, 'A', 0, 1, ATTEMPT_FAILED);
    assert_int_equal(row_of(b)->status, WORKFLOW_WAITING);
    const char *said = stop(b, 'A', STOP_CANCEL);
    assert_non_null(strstr(said, "set A running; "));
    assert_non_null(strstr(said, "START A 1.1"));
    pass(b, 1, 1);
    assert_int_equal(row_of(b)->status, WORKFLOW_CANCELLED);
    bench_free(b);
}

/* An attempt that met the kill switch has not begun, and never will. */
static void a_cancel_gives_up_what_was_deferred(void **state)
{
    (void)state;
    struct bench *b = begun(whole);
    pass(b, LOOK, LOOK);
    (void)take(b, (struct fact){.kind = FACT_STEP_DEFERRED,
                                .deferred = {.key = key_of('A', ONE, 1),
                                             .executor = b->executor,
                                             .why = STR("the switch")}});
    assert_int_equal(row_of(b)->step_no, ONE);
    const char *said = stop(b, 'A', STOP_CANCEL);
    assert_non_null(strstr(said, "put A 1.1 cancelled"));
    assert_non_null(strstr(said, "START A 8.1"));
    bench_free(b);
}

/* Nothing was begun, so there is nothing to be ended. */
static void what_has_not_begun_just_ends(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = whole(b);
    begin(b);
    (void)down(b);
    (void)run(b, rb, 'A'); /* waits for the executor */
    SAYS(stop(b, 'A', STOP_CANCEL), "set A cancelled; REPLY 0 cancelled");
    bench_free(b);
}

/* What a held step has done is not known: nothing more is done about it. */
static void a_held_workflow_runs_nothing_more(void **state)
{
    (void)state;
    struct bench *b = begun(whole);
    pass(b, LOOK, TWO);
    (void)ended(b, 'A', THREE, 1, ATTEMPT_UNKNOWN);
    assert_int_equal(row_of(b)->status, WORKFLOW_HELD);
    (void)stop(b, 'A', STOP_CANCEL);
    assert_int_equal(row_of(b)->status, WORKFLOW_CANCELLED);
    bench_free(b);
}

/* Nor beside what may still be running, wherever that is. */
static void what_may_still_run_is_held(void **state)
{
    (void)state;
    struct bench *b = begun(whole);
    pass(b, LOOK, TWO);
    (void)ended(b, 'A', THREE, 1, ATTEMPT_FAILED);
    struct attempt_row report = {.key = key_of('A', UNDO_TWO, 1),
                                 .state = ATTEMPT_UNKNOWN,
                                 .maybe_alive = true};
    (void)ended_row(b, report);
    assert_int_equal(row_of(b)->status, WORKFLOW_HELD);
    assert_non_null(strstr(row_of(b)->error.at, "exited with status 3; then"));
    bench_free(b);
}

/* ---- time ---------------------------------------------------------------- */

static void a_late_workflow_is_taken_back_in_a_time_of_its_own(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    b->config.workflow_timeout_ms = 90000;
    struct runbook *rb = whole(b);
    begin(b);
    (void)run(b, rb, 'A');
    pass(b, LOOK, TWO);
    assert_non_null(strstr(after(b, 90000), "TERM A 3.1"));
    (void)ended(b, 'A', THREE, 1, ATTEMPT_CANCELLED);
    assert_int_equal(row_of(b)->step_no, UNDO_TWO);
    assert_int_equal(row_of(b)->deadline_ms, b->now_ms + RUNBOOK_SECTION_MS);
    assert_error(b, "workflow timed out after 90 s");
    bench_free(b);
}

/* Each section that is too slow gives way to the next. */
static void each_section_has_its_time(void **state)
{
    (void)state;
    struct bench *b = begun(whole);
    pass(b, LOOK, TWO);
    b->now_ms += 590000; /* of 600 s */
    (void)ended(b, 'A', THREE, 1, ATTEMPT_FAILED);
    assert_int_equal(row_of(b)->deadline_ms, b->now_ms + RUNBOOK_SECTION_MS);
    static const uint32_t slow[] = {UNDO_TWO, TELL, CLEAN};
    for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
        assert_int_equal(row_of(b)->step_no, slow[i]);
        b->now_ms = row_of(b)->deadline_ms;
        (void)ended(b, 'A', slow[i], 1, ATTEMPT_FAILED);
    }
    assert_int_equal(row_of(b)->status, WORKFLOW_FAILED);
    assert_error(b, "step 'check' exited with status 3; then rollback timed "
                    "out after 300 s; then on_failure timed out after 300 s; "
                    "then finally timed out after 300 s");
    bench_free(b);
}

/* The time that is left is not taken away. */
static void a_section_has_the_rest_of_the_time(void **state)
{
    (void)state;
    struct bench *b = begun(whole);
    uint64_t deadline_ms = row_of(b)->deadline_ms;
    pass(b, LOOK, THREE);
    assert_int_equal(row_of(b)->deadline_ms, deadline_ms);
    pass(b, CLEAN, CLOSE);
    bench_free(b);
}

static void a_late_end_of_the_steps_still_succeeds(void **state)
{
    (void)state;
    struct bench *b = begun(whole);
    pass(b, LOOK, TWO);
    b->now_ms += 600000;
    (void)ended(b, 'A', THREE, 1, ATTEMPT_SUCCEEDED);
    assert_int_equal(row_of(b)->step_no, CLEAN);
    pass(b, CLEAN, CLOSE);
    assert_int_equal(row_of(b)->status, WORKFLOW_SUCCEEDED);
    bench_free(b);
}

/* ---- has it helped? ------------------------------------------------------ */

/* 0 a step, 1 its rollback, 2 the probe, 3 finally. */
enum { DO, UNDO, PROBE, AFTER };

static struct runbook *verified(struct bench *b)
{
    return RUNBOOK(
        b, "a.yaml", STEP(.rollback = UNDO), STEP(.section = SECTION_ROLLBACK),
        STEP(.section = SECTION_VERIFY, .within_ms = 60000, .hold_ms = 20000,
             .interval_ms = 10000, .max_attempts = 9),
        STEP(.section = SECTION_FINALLY));
}

/* Ends probe number n; the next one is due in 10 s. */
static void probe(struct bench *b, uint32_t n, enum attempt_state state)
{
    (void)ended(b, 'A', PROBE, n, state);
    assert_int_equal(row_of(b)->status, WORKFLOW_WAITING);
    assert_int_equal(next_in(b), 10000);
    (void)after(b, 10000);
    assert_int_equal(row_of(b)->status, WORKFLOW_RUNNING);
}

static void a_probe_must_pass_and_go_on_to(void **state)
{
    (void)state;
    struct bench *b = begun(verified);
    pass(b, DO, DO);
    assert_int_equal(row_of(b)->step_no, PROBE);
    probe(b, 1, ATTEMPT_FAILED);
    probe(b, 2, ATTEMPT_SUCCEEDED);
    probe(b, 3, ATTEMPT_SUCCEEDED);
    probe(b, 4, ATTEMPT_UNKNOWN); /* begins anew */
    probe(b, 5, ATTEMPT_SUCCEEDED);
    probe(b, 6, ATTEMPT_SUCCEEDED);
    (void)ended(b, 'A', PROBE, 7, ATTEMPT_SUCCEEDED);
    assert_int_equal(row_of(b)->step_no, AFTER);
    assert_int_equal(row_of(b)->result, RESULT_VERIFIED);
    pass(b, AFTER, AFTER);
    assert_int_equal(row_of(b)->status, WORKFLOW_SUCCEEDED);
    assert_int_equal(row_of(b)->result, RESULT_VERIFIED);
    bench_free(b);
}

static void what_does_not_help_has_failed(void **state)
{
    (void)state;
    struct bench *b = begun(verified);
    pass(b, DO, DO);
    for (uint32_t n = 1; n <= 7; n++) {
        probe(b, n, ATTEMPT_FAILED);
    }
    b->now_ms += 10000;
    (void)ended(b, 'A', PROBE, 8, ATTEMPT_FAILED);
    assert_int_equal(row_of(b)->result, RESULT_INEFFECTIVE);
    assert_int_equal(row_of(b)->step_no, UNDO);
    assert_error(b, "the steps ran, but were not seen to help: step 'check' of "
                    "verify exited with status 3; it had to hold within 60 s "
                    "and for 20 s");
    pass(b, UNDO, UNDO);
    pass(b, AFTER, AFTER);
    assert_int_equal(row_of(b)->status, WORKFLOW_FAILED);
    bench_free(b);
}

/* Nobody has seen that it did not help. */
static void a_probe_that_cannot_run_says_nothing(void **state)
{
    (void)state;
    struct bench *b = begun(verified);
    (void)down(b);
    (void)ended(b, 'A', DO, 1, ATTEMPT_SUCCEEDED);
    (void)after(b, 80000);
    assert_int_equal(row_of(b)->result, RESULT_UNVERIFIED);
    assert_error(b, "the steps ran, but were not seen to help: no probe could "
                    "run: it held 0 of 3 times; it had to hold within 60 s and "
                    "for 20 s");
    assert_int_equal(row_of(b)->step_no, UNDO);
    bench_free(b);
}

/* It ends when its time is over, also between two probes. */
static void a_pause_of_a_probe_ends_with_its_time(void **state)
{
    (void)state;
    struct bench *b = begun(verified);
    pass(b, DO, DO);
    b->now_ms += 75000;
    (void)ended(b, 'A', PROBE, 1, ATTEMPT_SUCCEEDED);
    assert_int_equal(next_in(b), 5000);
    (void)after(b, 5000);
    assert_int_equal(row_of(b)->result, RESULT_INEFFECTIVE);
    assert_error(b, "the steps ran, but were not seen to help: the probe held "
                    "1 of 3 times; it had to hold within 60 s and for 20 s");
    bench_free(b);
}

static void a_failure_is_not_verified(void **state)
{
    (void)state;
    struct bench *b = begun(verified);
    (void)ended(b, 'A', DO, 1, ATTEMPT_FAILED);
    assert_int_equal(row_of(b)->step_no, AFTER);
    assert_int_equal(row_of(b)->result, RESULT_NONE);
    bench_free(b);
}

static void a_cancel_ends_the_probing(void **state)
{
    (void)state;
    struct bench *b = begun(verified);
    pass(b, DO, DO);
    (void)ended(b, 'A', PROBE, 1, ATTEMPT_FAILED);
    (void)stop(b, 'A', STOP_CANCEL);
    assert_int_equal(row_of(b)->step_no, AFTER);
    pass(b, AFTER, AFTER);
    assert_int_equal(row_of(b)->status, WORKFLOW_CANCELLED);
    bench_free(b);
}

/* Also for an engine that reads it from the store. */
static void a_cancelled_probe_has_not_passed(void **state)
{
    (void)state;
    struct bench *b = begun(verified);
    pass(b, DO, DO);
    probe(b, 1, ATTEMPT_SUCCEEDED);
    (void)stop(b, 'A', STOP_CANCEL);
    (void)ended(b, 'A', PROBE, 2, ATTEMPT_CANCELLED);
    assert_int_equal(row_of(b)->step_no, AFTER);
    pass(b, AFTER, AFTER);
    assert_int_equal(row_of(b)->status, WORKFLOW_CANCELLED);
    bench_free(b);
}

/* ---- waiting ------------------------------------------------------------- */

static struct runbook *waiting(struct bench *b)
{
    return RUNBOOK(b, "a.yaml", STEP(.action = ACTION_WAIT, .wait_ms = 30000),
                   STEP(), STEP(.section = SECTION_FINALLY));
}

static void a_wait_needs_nobody(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = waiting(b);
    begin(b);
    (void)down(b);
    SAYS(run(b, rb, 'A'), "new A waiting +30000; REPLY 0 waiting");
    SAYS(after(b, 29999), "");
    SAYS(after(b, 1), "set A running; try A 0.1");
    SAYS(up(b, 'x'), "try A 1.1; START A 1.1");
    bench_free(b);
}

static void a_wait_can_be_stopped_and_be_late(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    b->config.workflow_timeout_ms = 20000;
    struct runbook *rb = waiting(b);
    begin(b);
    (void)run(b, rb, 'A');
    SAYS(stop(b, 'A', STOP_CANCEL), "set A cancelled; REPLY 0 cancelled");
    (void)run(b, rb, 'B');
    (void)after(b, 20000);
    assert_int_equal(shadow_find(b, id_of('B'))->row.step_no, 2);
    bench_free(b);
}

/* ---- taken up where another one has failed ------------------------------- */

static const char *retry(struct bench *b, struct runbook *rb, char letter,
                         const struct fact_resume *resume)
{
    return take(b, (struct fact){.kind = FACT_RUN_REQUESTED,
                                 .run = {.runbook = rb,
                                         .commit = STR("c0ffee"),
                                         .workflow_id = id_of(letter),
                                         .parameters = STR("{}"),
                                         .requested_by = STR("uid:0"),
                                         .resume = resume,
                                         .reply = b}});
}

static void a_retry_takes_over_what_was_done(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = whole(b);
    struct attempt_row rows[] = {
        {.key = key_of('A', LOOK, 1),
         .state = ATTEMPT_FAILED,
         .exit_code = 4,
         .error = STR("told")},
        {.key = key_of('A', ONE, 1),
         .state = ATTEMPT_SUCCEEDED,
         .outputs = STR("{\"used\":3}")},
    };
    struct fact_resume resume = {
        .step_no = TWO, .attempts = rows, .count = ARRAY_LEN(rows)};
    begin(b);
    SAYS(retry(b, rb, 'B', &resume),
         "new B running; try B 0.1; try B 1.1; try B 2.1; START B 2.1; "
         "REPLY 0 running");
    const struct shadow *s = shadow_find(b, id_of('B'));
    assert_int_equal(s->attempts[0].state, ATTEMPT_FAILED);
    assert_true(str_eq_c(s->attempts[0].error, "told"));
    assert_true(str_eq_c(s->attempts[1].outputs, "{\"used\":3}"));
    /* What was taken over is taken back like what it has done itself. */
    (void)ended(b, 'B', TWO, 1, ATTEMPT_FAILED);
    assert_int_equal(s->row.step_no, UNDO_ONE);
    bench_free(b);
}

/* It takes over before it waits, too: a restart in between loses nothing. */
static void a_retry_that_waits_has_taken_over(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    b->config.max_concurrent = 1;
    struct runbook *rb = whole(b);
    struct attempt_row row = {.key = key_of('A', ONE, 1),
                              .state = ATTEMPT_SUCCEEDED};
    struct fact_resume resume = {.step_no = TWO, .attempts = &row, .count = 1};
    begin(b);
    (void)run(b, rb, 'A');
    SAYS(retry(b, rb, 'B', &resume), "new B queued; try B 1.1; REPLY 0 queued");
    (void)stop(b, 'A', STOP_KILL);
    assert_non_null(
        strstr(ended(b, 'A', LOOK, 1, ATTEMPT_CANCELLED), "START B 2.1"));
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_success_passes_by_what_is_for_failures),
        cmocka_unit_test(a_failure_is_taken_back_newest_first),
        cmocka_unit_test(only_what_succeeded_is_taken_back),
        cmocka_unit_test(a_forgiven_failure_is_not_taken_back),
        cmocka_unit_test(a_rollback_that_fails_stops),
        cmocka_unit_test(every_failure_is_told),
        cmocka_unit_test(a_failed_end_is_a_failure),
        cmocka_unit_test(a_diagnosis_changes_nothing),
        cmocka_unit_test(a_cancel_runs_only_what_is_for_the_end),
        cmocka_unit_test(a_cancel_ends_a_rollback_and_keeps_its_story),
        cmocka_unit_test(a_cancel_lets_the_end_run),
        cmocka_unit_test(a_kill_runs_nothing_more),
        cmocka_unit_test(a_cancel_ends_a_backoff),
        cmocka_unit_test(a_cancel_gives_up_what_was_deferred),
        cmocka_unit_test(what_has_not_begun_just_ends),
        cmocka_unit_test(a_held_workflow_runs_nothing_more),
        cmocka_unit_test(what_may_still_run_is_held),
        cmocka_unit_test(a_late_workflow_is_taken_back_in_a_time_of_its_own),
        cmocka_unit_test(each_section_has_its_time),
        cmocka_unit_test(a_section_has_the_rest_of_the_time),
        cmocka_unit_test(a_late_end_of_the_steps_still_succeeds),
        cmocka_unit_test(a_probe_must_pass_and_go_on_to),
        cmocka_unit_test(what_does_not_help_has_failed),
        cmocka_unit_test(a_probe_that_cannot_run_says_nothing),
        cmocka_unit_test(a_pause_of_a_probe_ends_with_its_time),
        cmocka_unit_test(a_failure_is_not_verified),
        cmocka_unit_test(a_cancel_ends_the_probing),
        cmocka_unit_test(a_cancelled_probe_has_not_passed),
        cmocka_unit_test(a_wait_needs_nobody),
        cmocka_unit_test(a_wait_can_be_stopped_and_be_late),
        cmocka_unit_test(a_retry_takes_over_what_was_done),
        cmocka_unit_test(a_retry_that_waits_has_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
