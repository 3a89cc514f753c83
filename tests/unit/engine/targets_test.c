/* One workflow at a time for each target (I5), and on_limit. */
#include "base/prng.h"
#include "fixture.h"

static struct runbook *aimed(struct bench *b, const char *path)
{
    struct runbook *rb = RUNBOOK(b, path, STEP());
    struct template *t = ARENA_NEW(&rb->arena, struct template);
    struct cel_issue issue = {0};
    rb->params = ARENA_NEW(&rb->arena, struct param);
    rb->params->name = STR("t");
    rb->param_count = 1;
    assert_int_equal(
        template_parse(STR("${{ parameters.t }}"), &rb->arena, t, &issue), 0);
    rb->guards.target = t;
    return rb;
}

static const char *event(struct bench *b, struct runbook *rb, char workflow,
                         const char *parameters)
{
    const struct fact_match match = {.runbook = rb,
                                     .workflow_id = id_of(workflow),
                                     .parameters = str_c(parameters)};
    const struct fact_event event = {.seq = 7,
                                     .id = id_of('e'),
                                     .received_ms = b->now_ms,
                                     .matches = &match,
                                     .match_count = 1};
    return take(b, (struct fact){.kind = FACT_BATCH_MATCHED,
                                 .batch = {.events = &event, .count = 1}});
}

#define ON(target) "{\"t\":\"" target "\"}"

static const char *done(struct bench *b, char workflow)
{
    return ended(b, workflow, 0, 1, ATTEMPT_SUCCEEDED);
}

static void restart(struct bench *b)
{
    engine_free(b->engine);
    b->engine = shadow_restore(b);
    (void)take(b, (struct fact){.kind = FACT_START});
    (void)up(b, 'x');
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("'%s' lacks '%s'", text, part);
    }
}

static void assert_lacks(const char *text, const char *part)
{
    if (strstr(text, part) != NULL) {
        fail_msg("'%s' has '%s'", text, part);
    }
}

static void two_of_a_target_run_one_after_the_other(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *one = aimed(b, "a.yaml");
    struct runbook *two = aimed(b, "b.yaml");
    begin(b);
    assert_has(event(b, one, 'A', ON("web-1")), "new A running");
    const char *said = event(b, two, 'B', ON("web-1"));
    assert_has(said, "new B queued (target web-1: waits for its turn behind "
                     "wf-");
    assert_has(said, " (a.yaml))");
    assert_has(event(b, one, 'C', ON("web-1")), " (a.yaml) and 1 more)");
    assert_has(event(b, one, 'D', ON("web-2")), "new D running");
    restart(b);
    said = done(b, 'A');
    assert_has(said, "set B running;");
    assert_lacks(said, "set C");
    restart(b);
    assert_has(done(b, 'B'), "set C running;");
    (void)done(b, 'C');
    (void)done(b, 'D');
    assert_int_equal(engine_count(b->engine).live, 0);
    bench_free(b);
}

/* The line of one target does not stand in the way of another, and who comes
 * from it is as old as it is. */
static void a_line_holds_up_nobody_else(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = aimed(b, "a.yaml");
    rb->max_concurrent = 2;
    begin(b);
    assert_has(event(b, rb, 'A', ON("x")), "new A running");
    assert_has(event(b, rb, 'B', ON("x")), "new B queued");
    assert_has(event(b, rb, 'C', ON("y")), "new C running");
    assert_has(event(b, rb, 'D', ON("z")), "new D queued");
    const char *said = done(b, 'A');
    assert_has(said, "set B running"); /* older than D */
    assert_lacks(said, "set D");
    bench_free(b);
}

static void nothing_runs_without_a_target(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = aimed(b, "a.yaml");
    static const char *const bad[] = {
        "{}", ON(""), ON(" "), ON("*"), ON(" ** "), "{\"u\":\"web-1\"}",
    };
    begin(b);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const char *said = event(b, rb, 'A', bad[i]);
        assert_has(said, "event 7 suppressed (a.yaml, trigger #1: target: ");
        assert_lacks(said, "new");
    }
    assert_has(event(b, rb, 'A', "{}"),
               "parameters.t has no value, and nothing runs without a target");
    assert_has(event(b, rb, 'A', ON("*")),
               "'*' names nothing, and is not taken for all");
    /* Nor for a person. */
    assert_has(run(b, rb, 'A'), "REPLY -22");
    assert_int_equal(b->shadow_count, 0);
    bench_free(b);
}

/* Whoever names it, and whether or not it is called a target. */
static void the_platform_itself_is_no_target(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rbs[] = {aimed(b, "a.yaml"), RUNBOOK(b, "b.yaml", STEP())};
    static const char *const own[] = {
        ON("autonomous-devops"),
        ON("autonomous-devops.service"),
        ON("autonomous-devops-executor.service"),
        ON("autonomous-devops-executor.socket"),
        ON("autonomous-devops*"),
        ON("/var/lib/autonomous-devops"),
        ON("/var/lib/autonomous-devops/state"),
        ON("/var/lib/autonomous-devops/state/engine.db"),
        ON("/run/autonomous-devops/executor.sock"),
        "{\"a\":1,\"unit\":\"autonomous-devops\",\"t\":\"web-1\"}",
    };
    static const char *const other[] = {
        ON("autonomous-devops is down"),
        ON("/etc/autonomous-devops.d"),
        ON("/var/lib/autonomous-devops/state2"),
        ON("/var/lib/autonomous-devops/backups"),
        ON("my-autonomous-devops"),
    };
    begin(b);
    for (size_t i = 0; i < ARRAY_LEN(own) * 2; i++) {
        const char *said = event(b, rbs[i % 2], 'Z', own[i / 2]);
        assert_has(said, "suppressed");
        assert_has(said, " is the platform itself, which no workflow may "
                         "change; do that by hand)");
        assert_lacks(said, "new");
    }
    for (size_t i = 0; i < ARRAY_LEN(other); i++) {
        assert_has(event(b, rbs[0], (char)('A' + i), other[i]), "new");
    }
    bench_free(b);
}

static struct step unsure(void)
{
    return STEP(.max_attempts = 1);
}

/* Nobody knows what was done to it. */
static void a_held_workflow_keeps_its_target(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = aimed(b, "a.yaml");
    rb->steps[0] = unsure();
    rb->steps[0].name = STR("check");
    rb->steps[0].timeout_ms = 60000;
    begin(b);
    (void)event(b, rb, 'A', ON("x"));
    assert_has(lost(b, 'y', 'A', 1), "set A held");
    assert_has(event(b, rb, 'B', ON("x")), "new B queued");
    restart(b);
    assert_has(stop(b, 'A', STOP_CANCEL), "set B running");
    bench_free(b);
}

static void one_in_the_line_can_be_cancelled(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = aimed(b, "a.yaml");
    begin(b);
    (void)event(b, rb, 'A', ON("x"));
    (void)event(b, rb, 'B', ON("x"));
    (void)event(b, rb, 'C', ON("x"));
    assert_has(stop(b, 'B', STOP_CANCEL), "set B cancelled");
    assert_has(done(b, 'A'), "set C running");
    bench_free(b);
}

/* After a restore everything is in doubt, those in the line as well. */
static void doubt_lets_nobody_past(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = aimed(b, "a.yaml");
    begin(b);
    (void)event(b, rb, 'A', ON("x"));
    (void)event(b, rb, 'B', ON("x"));
    engine_free(b->engine);
    b->engine = shadow_restore(b);
    (void)take(b, (struct fact){.kind = FACT_START, .doubt = STR("doubt")});
    (void)up(b, 'x');
    assert_has(event(b, rb, 'C', ON("x")), "new C queued");
    assert_lacks(stop(b, 'A', STOP_CANCEL), "set C");
    restart(b);
    assert_has(stop(b, 'B', STOP_CANCEL), "set C running");
    bench_free(b);
}

/* Interleavings: engine_check looks after every step (I5), and in the end
 * nobody is left. */
static void random_interleavings(void **state)
{
    (void)state;
    struct prng p;
    prng_seed(&p, 11);
    for (uint32_t round = 0; round < 200; round++) {
        struct bench *b = bench_new();
        struct runbook *rbs[2] = {aimed(b, "a.yaml"), aimed(b, "b.yaml")};
        rbs[0]->max_concurrent = 1 + (uint32_t)(prng_next(&p) % 2);
        b->config.max_concurrent = 1 + (uint32_t)(prng_next(&p) % 3);
        begin(b);
        for (char c = 'A'; c <= 'Z'; c++) {
            static const char *const targets[] = {ON("x"), ON("y"), ON("z")};
            (void)event(b, rbs[prng_next(&p) % 2], c,
                        targets[prng_next(&p) % 3]);
            if (prng_next(&p) % 3 == 0) {
                (void)stop(b, (char)('A' + prng_next(&p) % 26), STOP_CANCEL);
            }
            if (prng_next(&p) % 2 == 0) {
                (void)done(b, (char)('A' + prng_next(&p) % 26));
            }
            if (prng_next(&p) % 8 == 0) {
                restart(b);
            }
        }
        for (int i = 0; i < 26; i++) {
            for (char c = 'A'; c <= 'Z'; c++) {
                (void)done(b, c);
            }
        }
        assert_int_equal(engine_count(b->engine).live, 0);
        bench_free(b);
    }
}

/* ---- on_limit ------------------------------------------------------------ */

static void drop_starts_none(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    rb->max_concurrent = 1;
    rb->guards.on_limit = ON_LIMIT_DROP;
    begin(b);
    assert_has(event(b, rb, 'A', "{}"), "new A running");
    assert_has(
        event(b, rb, 'B', "{}"),
        "event 7 suppressed (a.yaml, trigger #1: concurrency: 1 of 1 "
        "workflows of this runbook are under way, and on_limit is drop)");
    restart(b);
    assert_lacks(event(b, rb, 'B', "{}"), "new");
    assert_has(run(b, rb, 'P'), "new P queued"); /* a person waits */
    (void)done(b, 'A');
    assert_lacks(event(b, rb, 'B', "{}"), "new");
    (void)done(b, 'P');
    assert_has(event(b, rb, 'B', "{}"), "new B running");
    bench_free(b);
}

static void replace_cancels_the_oldest(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    rb->max_concurrent = 1;
    rb->guards.on_limit = ON_LIMIT_REPLACE;
    begin(b);
    assert_has(event(b, rb, 'A', "{}"), "new A running");
    const char *said = event(b, rb, 'B', "{}");
    assert_has(said, "new B queued");
    assert_has(said, "TERM A 0.1");
    said = event(b, rb, 'C', "{}"); /* A is on its way out: B is not needed */
    assert_has(said, "set B cancelled");
    assert_has(said, "new C queued");
    restart(b);
    assert_has(ended(b, 'A', 0, 1, ATTEMPT_CANCELLED), "set C running");
    (void)done(b, 'C');
    assert_int_equal(engine_count(b->engine).live, 0);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_of_a_target_run_one_after_the_other),
        cmocka_unit_test(a_line_holds_up_nobody_else),
        cmocka_unit_test(nothing_runs_without_a_target),
        cmocka_unit_test(the_platform_itself_is_no_target),
        cmocka_unit_test(a_held_workflow_keeps_its_target),
        cmocka_unit_test(one_in_the_line_can_be_cancelled),
        cmocka_unit_test(doubt_lets_nobody_past),
        cmocka_unit_test(random_interleavings),
        cmocka_unit_test(drop_starts_none),
        cmocka_unit_test(replace_cancels_the_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
