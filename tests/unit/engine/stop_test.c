/* Cancel and kill, wherever the workflow stands. */
#include <errno.h>

#include "fixture.h"

static void nobody_is_there(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    begin(b);
    char expected[32];
    (void)snprintf(expected, sizeof(expected), "REPLY %d", -ENOENT);
    SAYS(stop(b, 'A', STOP_CANCEL), expected);
    bench_free(b);
}

static void cancel_while_running(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP(.max_attempts = 5));
    begin(b);
    (void)run(b, rb, 'A');
    (void)started(b, 'A', 0, 1);
    SAYS(stop(b, 'A', STOP_CANCEL),
         "set A running; TERM A 0.1; REPLY 0 running");
    assert_true(str_eq_c(shadow_find(b, id_of('A'))->row.stopped_by, "uid:7"));
    SAYS(stop(b, 'A', STOP_CANCEL), "REPLY 0 running");
    SAYS(ended(b, 'A', 0, 1, ATTEMPT_CANCELLED),
         "put A 0.1 cancelled; set A cancelled; FORGET A 0.1");
    bench_free(b);
}

/* However the step ends: the workflow was asked to stop. */
static void a_stop_decides_over_the_outcome(void **state)
{
    (void)state;
    static const enum attempt_state ends[] = {
        ATTEMPT_SUCCEEDED, ATTEMPT_FAILED,  ATTEMPT_TIMED_OUT,
        ATTEMPT_UNKNOWN,   ATTEMPT_REFUSED, ATTEMPT_CANCELLED,
    };
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        struct bench *b = bench_new();
        struct runbook *rb = RUNBOOK(b, "a.yaml", STEP(.max_attempts = 5));
        begin(b);
        (void)run(b, rb, 'A');
        (void)stop(b, 'A', STOP_CANCEL);
        (void)ended(b, 'A', 0, 1, ends[i]);
        assert_int_equal(shadow_find(b, id_of('A'))->row.status,
                         WORKFLOW_CANCELLED);
        assert_int_equal(shadow_find(b, id_of('A'))->attempts[0].state,
                         ends[i]);
        bench_free(b);
    }
}

static void a_kill_escalates(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    begin(b);
    (void)run(b, rb, 'A');
    (void)stop(b, 'A', STOP_CANCEL);
    SAYS(stop(b, 'A', STOP_KILL), "set A running; KILL A 0.1; REPLY 0 running");
    SAYS(stop(b, 'A', STOP_CANCEL), "REPLY 0 running");
    SAYS(stop(b, 'A', STOP_KILL), "REPLY 0 running");
    SAYS(ended(b, 'A', 0, 1, ATTEMPT_CANCELLED),
         "put A 0.1 cancelled; set A killed; FORGET A 0.1");
    bench_free(b);
}

static void without_an_attempt_the_end_is_at_once(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        RUNBOOK(b, "a.yaml", STEP(.max_attempts = 2, .backoff_ms = 1000));
    b->config.max_concurrent = 1;
    begin(b);
    (void)run(b, rb, 'A');
    SAYS(run(b, rb, 'B'), "new B queued; REPLY 0 queued");
    SAYS(stop(b, 'B', STOP_KILL), "set B killed; REPLY 0 killed");
    (void)ended(b, 'A', 0, 1, ATTEMPT_FAILED);
    SAYS(stop(b, 'A', STOP_CANCEL), "set A cancelled; REPLY 0 cancelled");
    (void)down(b);
    (void)run(b, rb, 'C');
    SAYS(stop(b, 'C', STOP_CANCEL), "set C cancelled; REPLY 0 cancelled");
    assert_true(engine_next_deadline_ms(b->engine) == UINT64_MAX);
    bench_free(b);
}

static void a_held_workflow_keeps_its_story(void **state)
{
    (void)state;
    static const enum stop_request how[] = {STOP_CANCEL, STOP_KILL};
    static const enum workflow_status end[] = {WORKFLOW_CANCELLED,
                                               WORKFLOW_KILLED};
    for (size_t i = 0; i < ARRAY_LEN(how); i++) {
        struct bench *b = bench_new();
        struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
        begin(b);
        (void)run(b, rb, 'A');
        (void)lost(b, 'y', 'A', 1);
        (void)stop(b, 'A', how[i]);
        const struct workflow_row *w = &shadow_find(b, id_of('A'))->row;
        assert_int_equal(w->status, end[i]);
        assert_true(str_has_nocase(w->error, STR("unknown outcome")));
        bench_free(b);
    }
}

/* The stop is durable, its action was lost with the daemon: it is repeated
 * before the question that would start the step. */
static void a_stop_outlives_the_connection(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    begin(b);
    (void)run(b, rb, 'A');
    (void)down(b);
    SAYS(stop(b, 'A', STOP_CANCEL), "set A running; REPLY 0 running");
    SAYS(up(b, 'x'), "TERM A 0.1; START A 0.1");
    (void)down(b);
    (void)stop(b, 'A', STOP_KILL);
    SAYS(up(b, 'x'), "KILL A 0.1; START A 0.1");
    (void)down(b);
    SAYS(lost(b, 'y', 'A', 1), "put A 0.1 unknown; set A killed; FORGET A 0.1");
    bench_free(b);
}

/* The start was told after the stop: told again, in case it crossed. */
static void a_late_start_is_stopped(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    begin(b);
    (void)run(b, rb, 'A');
    (void)stop(b, 'A', STOP_KILL);
    SAYS(started(b, 'A', 0, 1), "put A 0.1 running; KILL A 0.1");
    bench_free(b);
}

static void the_place_is_free_for_the_next(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    b->config.max_concurrent = 1;
    begin(b);
    (void)run(b, rb, 'A');
    (void)run(b, rb, 'B');
    (void)run(b, rb, 'C');
    SAYS(stop(b, 'B', STOP_CANCEL), "set B cancelled; REPLY 0 cancelled");
    (void)stop(b, 'A', STOP_CANCEL);
    SAYS(ended(b, 'A', 0, 1, ATTEMPT_CANCELLED),
         "put A 0.1 cancelled; set A cancelled; set C running; try C 0.1; "
         "FORGET A 0.1; START C 0.1");
    bench_free(b);
}

/* With the change, in the same commit; once for each change. */
static void a_stop_leaves_a_row_in_the_trail(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    struct fact fact = {.kind = FACT_STOP_REQUESTED,
                        .stop = {.workflow_id = id_of('A'),
                                 .how = STOP_CANCEL,
                                 .requested_by = STR("uid:7"),
                                 .audit = STR("stop")}};
    begin(b);
    (void)run(b, rb, 'A');
    SAYS(take(b, fact),
         "set A running; "
         "audit uid:7 stop {\"status\":\"running\",\"stop_requested\":null} -> "
         "{\"status\":\"running\",\"stop_requested\":\"cancel\"}; "
         "TERM A 0.1; REPLY 0 running");
    SAYS(take(b, fact), "REPLY 0 running");
    fact.stop.how = STOP_KILL;
    SAYS(take(b, fact),
         "set A running; "
         "audit uid:7 stop {\"status\":\"running\",\"stop_requested\":"
         "\"cancel\"} -> "
         "{\"status\":\"running\",\"stop_requested\":\"kill\"}; "
         "KILL A 0.1; REPLY 0 running");
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_there),
        cmocka_unit_test(cancel_while_running),
        cmocka_unit_test(a_stop_decides_over_the_outcome),
        cmocka_unit_test(a_kill_escalates),
        cmocka_unit_test(without_an_attempt_the_end_is_at_once),
        cmocka_unit_test(a_held_workflow_keeps_its_story),
        cmocka_unit_test(a_stop_outlives_the_connection),
        cmocka_unit_test(a_late_start_is_stopped),
        cmocka_unit_test(the_place_is_free_for_the_next),
        cmocka_unit_test(a_stop_leaves_a_row_in_the_trail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
