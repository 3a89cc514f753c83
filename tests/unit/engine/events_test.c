/* From claimed events and requests to workflows. */
#include <errno.h>

#include "fixture.h"

static const char *batch(struct bench *b, const struct fact_event *events,
                         uint32_t count)
{
    return take(b, (struct fact){.kind = FACT_BATCH_MATCHED,
                                 .batch = {.claim = 42,
                                           .events = events,
                                           .count = count,
                                           .commit = STR("c0ffee")}});
}

/* Running straight away: one commit has the event's end, the workflow and
 * the intent to run its first step. */
static void an_event_starts_what_it_matches(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *one = RUNBOOK(b, "a.yaml", STEP());
    struct runbook *two = RUNBOOK(b, "b.yaml", STEP());
    const struct fact_match matches[] = {
        {.runbook = one,
         .trigger_no = 0,
         .workflow_id = id_of('A'),
         .parameters = STR("{}")},
        {.runbook = one,
         .trigger_no = 2,
         .workflow_id = id_of('B'),
         .parameters = STR("{}")},
        {.runbook = two,
         .trigger_no = 0,
         .workflow_id = id_of('C'),
         .parameters = STR("{\"x\":2}")},
    };
    const struct fact_event event = {
        .seq = 7, .id = id_of('e'), .matches = matches, .match_count = 3};
    b->config.max_concurrent = 2;
    begin(b);
    SAYS(batch(b, &event, 1),
         "new A running; new B running; new C queued; event 7 processed; "
         "try A 0.1; try B 0.1; START A 0.1; START B 0.1; CLAIM 0");
    const struct workflow_row *w = &shadow_find(b, id_of('C'))->row;
    assert_true(id_eq(w->event_id, id_of('e')));
    assert_true(str_eq_c(w->requested_by, "trigger"));
    assert_true(str_eq_c(w->runbook_commit, "c0ffee"));
    assert_true(str_eq_c(w->runbook_path, "b.yaml"));
    assert_true(str_eq_c(w->parameters, "{\"x\":2}"));
    assert_int_equal(w->created_ms, EPOCH_MS);
    assert_int_equal(w->deadline_ms, 0);
    w = &shadow_find(b, id_of('B'))->row;
    assert_int_equal(w->trigger_no, 2);
    assert_int_equal(w->started_ms, EPOCH_MS);
    assert_int_equal(w->deadline_ms, EPOCH_MS + b->config.workflow_timeout_ms);
    assert_int_equal(b->fx.records.at[3].event_done.claim, 42);
    assert_int_equal(b->fx.records.at[3].event_done.at_ms, EPOCH_MS);
    bench_free(b);
}

/* A trigger whose condition has no value starts nothing, and the event says
 * why, whatever else it starts. */
static void the_event_says_what_was_not_decided(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    const struct fact_match match = {
        .runbook = rb, .workflow_id = id_of('A'), .parameters = STR("{}")};
    const struct fact_held held = {.runbook = rb,
                                   .kind = HOLD_DISABLED,
                                   .why = STR("disabled"),
                                   .told = STR("disabled")};
    const struct fact_event events[] = {
        {.seq = 7,
         .id = id_of('e'),
         .matches = &match,
         .match_count = 1,
         .remark = STR("no env")},
        {.seq = 8, .id = id_of('f'), .remark = STR("no env")},
        {.seq = 9,
         .id = id_of('g'),
         .held = &held,
         .held_count = 1,
         .remark = STR("no env")},
        {.seq = 10, .id = id_of('h')},
    };
    static const char *const errors[] = {"no env", "no env", "disabled; no env",
                                         ""};
    size_t done = 0;
    begin(b);
    SAYS(batch(b, events, 4),
         "new A running; event 7 processed; event 8 processed; "
         "event 9 suppressed (disabled; no env); event 10 processed; "
         "try A 0.1; START A 0.1; CLAIM 0");
    VEC_EACH (&b->fx.records, i) {
        const struct record *r = &b->fx.records.at[i];
        if (r->kind == RECORD_EVENT_DONE) {
            assert_true(str_eq_c(r->event_done.error, errors[done]));
            assert_int_equal(r->event_done.undecided, done != 3);
            done++;
        }
    }
    assert_int_equal(done, ARRAY_LEN(errors));
    bench_free(b);
}

static void a_lost_batch_frees_its_worker(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    begin(b);
    SAYS(take(b, (struct fact){.kind = FACT_BATCH_LOST,
                               .batch = {.worker = 0, .claim = 42}}),
         "free 42; CLAIM 0");
    bench_free(b);
}

static void what_a_lost_batch_has_matched_counts(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    const struct fact_match match = {
        .runbook = rb, .workflow_id = id_of('A'), .parameters = STR("{}")};
    const struct fact_event events[] = {
        {.seq = 7, .id = id_of('e'), .matches = &match, .match_count = 1},
        {.seq = 8, .id = id_of('f')}};
    begin(b);
    SAYS(take(b, (struct fact){.kind = FACT_BATCH_LOST,
                               .batch = {.worker = 0,
                                         .claim = 42,
                                         .events = events,
                                         .count = 2}}),
         "new A running; event 7 processed; event 8 processed; free 42; "
         "try A 0.1; START A 0.1; CLAIM 0");
    assert_int_equal(b->fx.records.at[1].event_done.claim, 42);
    bench_free(b);
}

static void nothing_matches(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    const struct fact_event events[] = {{.seq = 7, .id = id_of('e')},
                                        {.seq = 9, .id = id_of('f')}};
    begin(b);
    SAYS(batch(b, events, 2), "event 7 processed; event 9 processed; CLAIM 0");
    SAYS(batch(b, NULL, 0), "CLAIM 0");
    bench_free(b);
}

static void a_failed_match_is_tried_again(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    const struct fact_event event = {
        .seq = 7, .id = id_of('e'), .error = STR("regex limit")};
    begin(b);
    SAYS(batch(b, &event, 1), "event 7 error; CLAIM 0");
    assert_true(str_eq_c(b->fx.records.at[0].event_done.error, "regex limit"));
    bench_free(b);
}

static void bad_parameters_are_visible(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    const struct fact_match match = {.runbook = rb,
                                     .workflow_id = id_of('A'),
                                     .error = STR("no labels.host")};
    const struct fact_event event = {
        .seq = 7, .id = id_of('e'), .matches = &match, .match_count = 1};
    begin(b);
    SAYS(batch(b, &event, 1),
         "new A failed (no labels.host); event 7 processed; CLAIM 0");
    const struct workflow_row *w = &shadow_find(b, id_of('A'))->row;
    assert_int_equal(w->finished_ms, EPOCH_MS);
    assert_int_equal(w->started_ms, 0);
    assert_int_equal(engine_count(b->engine).live, 0);
    bench_free(b);
}

static void a_request_says_who_asked(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    begin(b);
    (void)run(b, rb, 'A');
    const struct workflow_row *w = &shadow_find(b, id_of('A'))->row;
    assert_true(str_eq_c(w->requested_by, "uid:0"));
    assert_true(id_is_null(w->event_id));
    assert_int_equal(b->fx.actions.at[1].kind, ENGINE_ACT_REPLY);
    assert_ptr_equal(b->fx.actions.at[1].reply.reply, b);
    assert_true(id_eq(b->fx.actions.at[1].reply.workflow_id, id_of('A')));
    bench_free(b);
}

/* In the records of the workflow's birth, so in the same commit. */
static void a_request_leaves_a_row_in_the_trail(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    char id[ID_TEXT_SIZE];
    b->config.max_live = 1;
    begin(b);
    struct fact fact = {
        .kind = FACT_RUN_REQUESTED,
        .run = {.runbook = rb,
                .workflow_id = id_of('A'),
                .requested_by = STR("uid:0"),
                .audit = {.action = STR("run"), .after = STR("{}")}}};
    SAYS(take(b, fact), "new A running; audit uid:0 run  -> {}; try A 0.1; "
                        "START A 0.1; REPLY 0 running");
    id_format(id_of('A'), ID_PREFIX_WORKFLOW, id);
    assert_true(str_eq_c(b->fx.records.at[1].audit.subject, id));
    assert_int_equal(b->fx.records.at[1].audit.at_ms, b->now_ms);
    /* One that is refused has changed nothing. */
    fact.run.workflow_id = id_of('B');
    char expected[32];
    (void)snprintf(expected, sizeof(expected), "REPLY %d", -EAGAIN);
    SAYS(take(b, fact), expected);
    bench_free(b);
}

static void a_dry_run_touches_nothing(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    begin(b);
    SAYS(take(b, (struct fact){.kind = FACT_RUN_REQUESTED,
                               .run = {.runbook = rb,
                                       .workflow_id = id_of('A'),
                                       .audit = {.action = STR("run")},
                                       .dry_run = true}}),
         "new A succeeded; REPLY 0 succeeded");
    const struct workflow_row *w = &shadow_find(b, id_of('A'))->row;
    assert_int_equal(w->result, RESULT_DRY_RUN);
    assert_int_equal(w->rev, 1);
    assert_true(w->dry_run);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_starts_what_it_matches),
        cmocka_unit_test(the_event_says_what_was_not_decided),
        cmocka_unit_test(a_lost_batch_frees_its_worker),
        cmocka_unit_test(what_a_lost_batch_has_matched_counts),
        cmocka_unit_test(nothing_matches),
        cmocka_unit_test(a_failed_match_is_tried_again),
        cmocka_unit_test(bad_parameters_are_visible),
        cmocka_unit_test(a_request_says_who_asked),
        cmocka_unit_test(a_request_leaves_a_row_in_the_trail),
        cmocka_unit_test(a_dry_run_touches_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
