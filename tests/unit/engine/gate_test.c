/* What decides before the first attempt of a step: `when:`, and what the steps
 * before have told. */
#include "fixture.h"

#include "model/runbook_load.h"

static struct runbook *loaded(struct bench *b, const char *text)
{
    struct runbook_defaults d = RUNBOOK_DEFAULTS;
    struct runbook_report report;
    struct runbook *rb = NULL;
    if (runbook_load(STR("a.yaml"), str_c(text), &d, &rb, &report) < 0) {
        fail_msg("%s", report.problems.at[0].err.message);
    }
    runbook_report_deinit(&report);
    rb->hash.bytes[0] = (uint8_t)(b->runbook_count + 1);
    b->runbooks[b->runbook_count++] = rb;
    return rb;
}

static const char *told(struct bench *b, uint32_t step, const char *outputs)
{
    return ended_row(b, (struct attempt_row){.key = key_of('A', step, 1),
                                             .state = ATTEMPT_SUCCEEDED,
                                             .finished_ms = b->now_ms,
                                             .exit_code = 0,
                                             .outputs = str_c(outputs)});
}

static const struct attempt_row *attempt_of(struct bench *b, uint32_t i)
{
    return &shadow_find(b, id_of('A'))->attempts[i];
}

#define LOOK                                                                   \
    "name: x\n"                                                                \
    "parameters:\n"                                                            \
    "  a: {type: integer, default: 0}\n"                                       \
    "steps:\n"                                                                 \
    "  - {name: look, id: look, command: x, outputs: {used: int(stdout)}}\n"

static void a_false_condition_skips_the_step_and_says_why(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        loaded(b, LOOK "  - {name: clean, id: clean, command: x, when: "
                       "steps.look.outputs.used > 85}\n"
                       "  - {name: after, command: x, when: "
                       "steps.clean.status == 'skipped'}\n");
    begin(b);
    (void)run(b, rb, 'A');
    SAYS(told(b, 0, "{\"used\":40}"),
         "put A 0.1 succeeded; set A running; try A 1.1; try A 2.1; "
         "FORGET A 0.1; START A 2.1");
    const struct attempt_row *skipped = attempt_of(b, 1);
    assert_int_equal(skipped->state, ATTEMPT_SKIPPED);
    assert_true(str_eq_c(skipped->error,
                         "steps.look.outputs.used > 85 is false: "
                         "steps.look.outputs.used is 40"));
    SAYS(ended(b, 'A', 2, 1, ATTEMPT_SUCCEEDED),
         "put A 2.1 succeeded; set A succeeded; FORGET A 2.1");
    bench_free(b);
}

static void a_true_condition_runs_it_with_what_it_asks_for(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = loaded(
        b, LOOK "  - {name: clean, argv: [x, '${{ steps.look.outputs.used + "
                "1 }}'], when: steps.look.outputs.used > 85}\n");
    begin(b);
    (void)run(b, rb, 'A');
    assert_int_equal(b->fx.actions.at[0].start.steps.len, 0);
    SAYS(told(b, 0, "{\"used\":90}"),
         "put A 0.1 succeeded; set A running; try A 1.1; FORGET A 0.1; "
         "START A 1.1");
    const struct action *start = &b->fx.actions.at[1];
    assert_int_equal(start->kind, ENGINE_ACT_START);
    assert_true(str_eq_c(start->start.steps,
                         "{\"look\":{\"status\":\"succeeded\","
                         "\"exit_code\":0,\"outputs\":{\"used\":90}}}"));
    assert_int_equal(start->start.now_ms, b->now_ms);
    assert_int_equal(start->start.created_ms, EPOCH_MS);
    bench_free(b);
}

/* Never skipped in silence. */
static void a_condition_without_a_value_fails_the_step(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        loaded(b, LOOK "  - {name: clean, command: x, retry: 3, when: 100 / "
                       "steps.look.outputs.used > 1}\n");
    begin(b);
    (void)run(b, rb, 'A');
    const char *said = told(b, 0, "{\"used\":0}");
    assert_non_null(strstr(said, "set A failed (step 'clean' failed: its "
                                 "condition has no value: division by zero)"));
    assert_int_equal(attempt_of(b, 1)->state, ATTEMPT_FAILED);
    bench_free(b);
}

static void the_last_step_may_be_skipped(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = loaded(b, "name: x\nsteps:\n"
                                   "  - {name: a, command: x, when: now < "
                                   "workflow.created_at}\n");
    begin(b);
    SAYS(run(b, rb, 'A'), "new A succeeded; try A 0.1; REPLY 0 succeeded");
    assert_int_equal(attempt_of(b, 0)->state, ATTEMPT_SKIPPED);
    bench_free(b);
}

/* Asked for again after a restart, START says the same. */
static void a_start_is_repeated_with_the_same_values(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = loaded(
        b, LOOK "  - {name: b, argv: [x, '${{ steps.look.outputs.used }}', "
                "'${{ now }}']}\n");
    begin(b);
    (void)run(b, rb, 'A');
    (void)told(b, 0, "{\"used\":90}");
    uint64_t then_ms = b->now_ms;
    b->now_ms += 5000;
    (void)up(b, 'y');
    const struct action *start = &b->fx.actions.at[b->fx.actions.count - 1];
    assert_int_equal(start->kind, ENGINE_ACT_START);
    assert_int_equal(start->start.now_ms, then_ms);
    assert_non_null(strstr(start->start.steps.at, "\"used\":90"));
    bench_free(b);
}

static void too_much_to_hand_on_fails_the_step(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        loaded(b, "name: x\nsteps:\n"
                  "  - {name: a, id: a, command: x, outputs: {o: stdout}}\n"
                  "  - {name: b, id: b, command: x, outputs: {o: stdout}}\n"
                  "  - {name: c, id: c, command: x, outputs: {o: stdout}}\n"
                  "  - {name: d, command: x, env: {V: '${{ steps.a.outputs.o + "
                  "steps.b.outputs.o + steps.c.outputs.o }}'}}\n");
    static char big[16000];
    struct strbuf text = STRBUF_INIT(sizeof(big));
    begin(b);
    (void)run(b, rb, 'A');
    memset(big, 'a', sizeof(big) - 1);
    strbuf_addf(&text, "{\"o\":\"%.*s\"}", 15900, big);
    (void)told(b, 0, strbuf_str(&text).at);
    (void)told(b, 1, strbuf_str(&text).at);
    const char *said = told(b, 2, strbuf_str(&text).at);
    assert_non_null(strstr(said, "over the limit of 32768 bytes"));
    assert_null(strstr(said, "START"));
    assert_int_equal(attempt_of(b, 3)->state, ATTEMPT_FAILED);
    strbuf_deinit(&text);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_false_condition_skips_the_step_and_says_why),
        cmocka_unit_test(a_true_condition_runs_it_with_what_it_asks_for),
        cmocka_unit_test(a_condition_without_a_value_fails_the_step),
        cmocka_unit_test(the_last_step_may_be_skipped),
        cmocka_unit_test(a_start_is_repeated_with_the_same_values),
        cmocka_unit_test(too_much_to_hand_on_fails_the_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
