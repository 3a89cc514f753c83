/* What else holds workflows back: rates, the age of an event, the breaker; and
 * that none of it is lost with a restart. */
#include "fixture.h"

static const char *event_ago(struct bench *b, struct runbook *rb, char workflow,
                             uint64_t ago_ms)
{
    const struct fact_match match = {.runbook = rb,
                                     .workflow_id = id_of(workflow),
                                     .key = STR("k=1"),
                                     .parameters = STR("{}")};
    const struct fact_event event = {.seq = 7,
                                     .id = id_of('e'),
                                     .received_ms = b->now_ms - ago_ms,
                                     .matches = &match,
                                     .match_count = 1};
    return take(b, (struct fact){.kind = FACT_BATCH_MATCHED,
                                 .batch = {.events = &event, .count = 1}});
}

static const char *event(struct bench *b, struct runbook *rb, char workflow)
{
    return event_ago(b, rb, workflow, 0);
}

static bool begins(struct bench *b, struct runbook *rb, char workflow)
{
    return strstr(event(b, rb, workflow), "new ") != NULL;
}

/* Does an event start a workflow? If so, that ends in this state. */
static bool starts(struct bench *b, struct runbook *rb, char workflow,
                   enum attempt_state end)
{
    bool started = begins(b, rb, workflow);
    if (started) {
        (void)ended(b, workflow, 0, 1, end);
    }
    return started;
}

static bool works(struct bench *b, struct runbook *rb, char workflow)
{
    return starts(b, rb, workflow, ATTEMPT_SUCCEEDED);
}

static bool fails(struct bench *b, struct runbook *rb, char workflow)
{
    return starts(b, rb, workflow, ATTEMPT_FAILED);
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

/* ---- rates --------------------------------------------------------------- */

static void all_runbooks_share_a_rate(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *one = RUNBOOK(b, "a.yaml", STEP());
    struct runbook *two = RUNBOOK(b, "b.yaml", STEP());
    b->config.guards.starts =
        (struct guard_rate){.most = 2, .within_ms = 60000};
    begin(b);
    assert_true(works(b, one, 'A'));
    b->now_ms += 30000;
    assert_true(works(b, two, 'B'));
    assert_has(event(b, two, 'C'),
               "event 7 suppressed (b.yaml, trigger #1: max_starts: 2 of 2 "
               "workflows of all runbooks were started within 1m; the next may "
               "start at 2023-11-14T22:14:20.000Z)");
    restart(b);
    b->now_ms = EPOCH_MS + 59999;
    assert_false(works(b, one, 'C'));
    b->now_ms++;
    assert_true(works(b, one, 'C'));
    assert_false(works(b, one, 'D')); /* B and C are still in it */
    bench_free(b);
}

static void a_runbook_has_a_rate_of_its_own(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *one = RUNBOOK(b, "a.yaml", STEP());
    struct runbook *two = RUNBOOK(b, "b.yaml", STEP());
    one->guards.starts = (struct guard_rate){.most = 1, .within_ms = 3600000};
    begin(b);
    assert_true(works(b, one, 'A'));
    assert_has(event(b, one, 'B'),
               "max_starts: 1 of 1 workflows of this runbook were started "
               "within 1h");
    assert_true(works(b, two, 'B'));
    assert_true(works(b, two, 'C'));
    /* A person decides for himself. */
    assert_has(run(b, one, 'D'), "new D running");
    (void)ended(b, 'D', 0, 1, ATTEMPT_SUCCEEDED);
    restart(b);
    assert_false(works(b, one, 'E'));
    bench_free(b);
}

/* What one guard holds back counts for no other, and for no trigger. */
static void what_is_held_back_uses_up_nothing(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *one = RUNBOOK(b, "a.yaml", STEP());
    struct runbook *two = RUNBOOK(b, "b.yaml", STEP());
    one->triggers[0].limits.cooldown_ms = 3600000;
    one->guards.starts = (struct guard_rate){.most = 5, .within_ms = 3600000};
    b->config.guards.starts = (struct guard_rate){.most = 1, .within_ms = 1000};
    begin(b);
    assert_true(works(b, two, 'A'));
    assert_has(event(b, one, 'B'), "suppressed");
    assert_int_equal(engine_count(b->engine).memories, 0);
    assert_int_equal(b->memory_count, 1); /* the rate of all */
    b->now_ms += 1000;
    assert_true(works(b, one, 'B'));
    bench_free(b);
}

/* A batch has many events; each of them counts for those behind it. */
static void a_storm_of_one_batch_is_cut(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    struct fact_match matches[8];
    struct fact_event events[8];
    b->config.guards.starts =
        (struct guard_rate){.most = 3, .within_ms = 60000};
    for (uint32_t i = 0; i < 8; i++) {
        matches[i] = (struct fact_match){.runbook = rb,
                                         .workflow_id = id_of((char)('A' + i)),
                                         .parameters = STR("{}")};
        events[i] = (struct fact_event){.seq = i,
                                        .id = id_of((char)('a' + i)),
                                        .received_ms = b->now_ms,
                                        .matches = &matches[i],
                                        .match_count = 1};
    }
    begin(b);
    const char *said =
        take(b, (struct fact){.kind = FACT_BATCH_MATCHED,
                              .batch = {.events = events, .count = 8}});
    assert_has(said, "event 2 processed");
    assert_has(said, "event 3 suppressed");
    assert_has(said, "event 7 suppressed");
    assert_int_equal(engine_count(b->engine).live, 3);
    bench_free(b);
}

/* ---- age ----------------------------------------------------------------- */

static void an_old_event_starts_nothing(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    struct runbook *patient = RUNBOOK(b, "b.yaml", STEP());
    b->config.guards.max_age_ms = 900000;
    patient->guards.max_age_ms = 7200000;
    begin(b);
    assert_has(event_ago(b, rb, 'A', 900001 + 65000),
               "event 7 suppressed (a.yaml, trigger #1: max_age: the event is "
               "16m old, of at most 15m; if it still holds, start the runbook "
               "by hand)");
    assert_has(event_ago(b, patient, 'A', 3600000), "new A");
    assert_has(event_ago(b, rb, 'B', 900000), "new B");
    assert_has(event_ago(b, patient, 'C', 7200001), "of at most 2h");
    bench_free(b);
}

/* It counts for nothing either. */
static void an_old_event_is_not_counted(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    rb->guards.max_age_ms = 60000;
    rb->triggers[0].limits =
        (struct trigger_limits){.count_least = 2, .count_within_ms = 3600000};
    begin(b);
    (void)event_ago(b, rb, 'A', 60001);
    assert_false(begins(b, rb, 'A'));
    assert_true(begins(b, rb, 'A'));
    bench_free(b);
}

/* ---- the breaker --------------------------------------------------------- */

static struct runbook *breaking(struct bench *b)
{
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    b->config.guards.breaker = (struct guard_breaker){
        .failures = 3, .within_ms = 1800000, .open_ms = 600000};
    return rb;
}

static void the_third_failure_opens_it(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = breaking(b);
    struct runbook *other = RUNBOOK(b, "b.yaml", STEP());
    begin(b);
    assert_true(fails(b, rb, 'A'));
    assert_true(works(b, rb, 'B'));
    assert_true(fails(b, rb, 'C'));
    restart(b);
    b->now_ms += 1799999; /* the first one still counts */
    assert_true(fails(b, rb, 'D'));
    assert_has(event(b, rb, 'E'),
               "event 7 suppressed (a.yaml, trigger #1: breaker: open, since 3 "
               "of 3 workflows failed within 30m; a probe may start at "
               "2023-11-14T22:53:19.999Z, or: adctl guard reset a.yaml)");
    restart(b);
    assert_false(works(b, rb, 'E'));
    assert_true(works(b, other, 'F'));
    assert_has(run(b, rb, 'G'), "new G running"); /* a person may */
    (void)ended(b, 'G', 0, 1, ATTEMPT_FAILED);    /* and it does not count */
    b->now_ms += 599999;
    assert_false(works(b, rb, 'E'));
    b->now_ms++;
    assert_true(begins(b, rb, 'E'));
    bench_free(b);
}

static void failures_that_are_far_apart_do_not(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = breaking(b);
    begin(b);
    for (char c = 'A'; c < 'K'; c++) {
        assert_true(fails(b, rb, c));
        b->now_ms += 900000;
    }
    bench_free(b);
}

static void open_it(struct bench *b, struct runbook *rb)
{
    for (char c = 'A'; c < 'D'; c++) {
        assert_true(fails(b, rb, c));
    }
    assert_has(event(b, rb, 'D'), "suppressed");
}

static void one_probe_at_a_time(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = breaking(b);
    begin(b);
    open_it(b, rb);
    b->now_ms += 600000;
    assert_true(begins(b, rb, 'P'));
    assert_has(event(b, rb, 'Q'), "breaker: half-open, since 3 of 3 workflows "
                                  "failed within 30m; its probe wf-");
    restart(b);
    assert_false(begins(b, rb, 'Q'));
    (void)ended(b, 'P', 0, 1, ATTEMPT_SUCCEEDED);
    assert_true(fails(b, rb, 'Q')); /* closed, and counts anew */
    assert_true(fails(b, rb, 'R'));
    assert_true(fails(b, rb, 'S'));
    assert_false(begins(b, rb, 'T'));
    bench_free(b);
}

static void a_probe_that_fails_opens_it_again(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = breaking(b);
    begin(b);
    open_it(b, rb);
    b->now_ms += 600000;
    assert_true(fails(b, rb, 'P'));
    b->now_ms += 599999;
    assert_false(begins(b, rb, 'Q'));
    b->now_ms++;
    assert_true(begins(b, rb, 'Q'));
    /* One that was stopped has shown nothing. */
    (void)stop(b, 'Q', STOP_KILL);
    (void)ended(b, 'Q', 0, 1, ATTEMPT_CANCELLED);
    assert_true(works(b, rb, 'R'));
    assert_true(begins(b, rb, 'S'));
    bench_free(b);
}

/* It was let in when nobody knew; a person's request was not let in by it. */
static void what_waits_for_a_place_is_cancelled(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = breaking(b);
    b->config.guards.breaker.failures = 1;
    rb->max_concurrent = 1;
    begin(b);
    assert_true(begins(b, rb, 'A'));
    assert_true(begins(b, rb, 'B'));
    (void)run(b, rb, 'C');
    assert_true(begins(b, rb, 'D'));
    const char *said = ended(b, 'A', 0, 1, ATTEMPT_FAILED);
    assert_has(said, "set B cancelled (breaker: open, since 1 of 1 workflows "
                     "failed within 30m");
    assert_has(said, "set D cancelled");
    assert_has(said, "set C running");
    bench_free(b);
}

static void a_runbook_may_do_without(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = breaking(b);
    struct runbook *own = RUNBOOK(b, "b.yaml", STEP());
    rb->guards.breaker_off = true;
    own->guards.breaker_given = true;
    own->guards.breaker = (struct guard_breaker){
        .failures = 1, .within_ms = 1000, .open_ms = 1000};
    begin(b);
    for (char c = 'A'; c < 'F'; c++) {
        assert_true(fails(b, rb, c));
    }
    assert_true(fails(b, own, 'F'));
    assert_false(begins(b, own, 'G'));
    bench_free(b);
}

/* An open breaker is forgotten one day, and a closed one sooner. */
static void it_is_forgotten(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = breaking(b);
    begin(b);
    open_it(b, rb);
    assert_int_equal(b->memory_count, 1);
    SAYS(after(b, 600000 + 1800000), "");
    SAYS(after(b, 1000), "forget ");
    assert_int_equal(b->memory_count, 0);
    bench_free(b);
}

/* Nobody closes it by setting the clock. */
static void the_clock_does_not_close_it(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = breaking(b);
    begin(b);
    open_it(b, rb);
    b->now_ms += 3600000;
    (void)take(b, (struct fact){.kind = FACT_CLOCK, .clock_shift_ms = 3600000});
    assert_false(begins(b, rb, 'D'));
    b->now_ms += 600000;
    assert_true(begins(b, rb, 'D'));
    bench_free(b);
}

/* ---- attempts that run out ----------------------------------------------- */

static struct runbook *escalating(struct bench *b)
{
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    rb->triggers[0].limits = (struct trigger_limits){
        .runs_most = 3, .runs_within_ms = 3600000, .escalate = true};
    return rb;
}

static bool tells(const char *said)
{
    return strstr(said, " failed (max_runs: 3 of 3 workflows were started "
                        "within 1h; key k=1; escalated by wf-") != NULL;
}

/* A workflow that raises its own alert, every minute of a day. */
static void people_are_told_once(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = escalating(b);
    begin(b);
    for (char c = 'A'; c < 'D'; c++) {
        assert_true(works(b, rb, c));
        b->now_ms += 60000;
    }
    const char *said = event(b, rb, 'D');
    assert_true(tells(said));
    assert_has(said, "event 7 suppressed (a.yaml, trigger #1: max_runs: ");
    assert_has(said, "people are told)");
    assert_int_equal(shadow_find(b, id_of('D'))->row.result, RESULT_ESCALATED);
    uint64_t told_ms = b->now_ms;
    restart(b);
    while (b->now_ms < told_ms + 3600000 - 60000) {
        b->now_ms += 60000;
        said = event(b, rb, 'E');
        assert_has(said, "suppressed (a.yaml, trigger #1: escalated by wf-");
        assert_has(said, "or: adctl guard reset a.yaml)");
        assert_null(strstr(said, "new"));
    }
    b->now_ms = told_ms + 3600000;
    assert_true(works(b, rb, 'E'));
    bench_free(b);
}

static const char *reset(struct bench *b, const char *trigger, const char *key)
{
    return take(b, (struct fact){.kind = FACT_GUARD_RESET,
                                 .reset = {.runbook = STR("a.yaml"),
                                           .trigger = str_c(trigger),
                                           .key = str_c(key != NULL ? key : ""),
                                           .any_key = key == NULL,
                                           .requested_by = STR("uid:0"),
                                           .audit = STR("guard.reset"),
                                           .reply = b}});
}

static void a_reset_forgets_what_it_names(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = escalating(b);
    b->config.guards.breaker = (struct guard_breaker){
        .failures = 3, .within_ms = 1800000, .open_ms = 600000};
    begin(b);
    for (char c = 'A'; c < 'D'; c++) {
        assert_true(fails(b, rb, c));
    }
    assert_true(tells(event(b, rb, 'D')));
    assert_has(reset(b, "other", NULL), "REPLY 0");
    assert_has(reset(b, "#1", "k=2"), "REPLY 0");
    assert_null(strstr(reset(b, "#1", "k=2"), "audit"));
    /* The trigger's own: the breaker stays open. */
    assert_has(reset(b, "#1", "k=1"),
               "audit uid:0 guard.reset {\"memories\":2} -> "
               "{\"memories\":0}");
    assert_has(event(b, rb, 'E'), "breaker: open");
    assert_has(reset(b, "", NULL), "REPLY 1");
    assert_int_equal(b->memory_count, 0);
    assert_true(works(b, rb, 'F'));
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_runbooks_share_a_rate),
        cmocka_unit_test(a_runbook_has_a_rate_of_its_own),
        cmocka_unit_test(what_is_held_back_uses_up_nothing),
        cmocka_unit_test(a_storm_of_one_batch_is_cut),
        cmocka_unit_test(an_old_event_starts_nothing),
        cmocka_unit_test(an_old_event_is_not_counted),
        cmocka_unit_test(the_third_failure_opens_it),
        cmocka_unit_test(failures_that_are_far_apart_do_not),
        cmocka_unit_test(one_probe_at_a_time),
        cmocka_unit_test(a_probe_that_fails_opens_it_again),
        cmocka_unit_test(what_waits_for_a_place_is_cancelled),
        cmocka_unit_test(a_runbook_may_do_without),
        cmocka_unit_test(it_is_forgotten),
        cmocka_unit_test(the_clock_does_not_close_it),
        cmocka_unit_test(people_are_told_once),
        cmocka_unit_test(a_reset_forgets_what_it_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
