/* What triggers remember: cooldown, count, max_runs, and how they outlive
 * restarts, reloads and changes of the clock. */
#include <inttypes.h>

#include "base/prng.h"
#include "fixture.h"

/* One event for the runbook's first trigger; it came `ago_ms` ago. Workflows
 * of one step are over at once, so nothing else is in the way. */
static const char *event_ago(struct bench *b, struct runbook *rb, char workflow,
                             const char *key, uint64_t ago_ms)
{
    const struct fact_match match = {.runbook = rb,
                                     .workflow_id = id_of(workflow),
                                     .key = str_c(key),
                                     .parameters = STR("{}")};
    const struct fact_event event = {.seq = 7,
                                     .id = id_of('e'),
                                     .received_ms = b->now_ms - ago_ms,
                                     .matches = &match,
                                     .match_count = 1};
    return take(b, (struct fact){.kind = FACT_BATCH_MATCHED,
                                 .batch = {.events = &event, .count = 1}});
}

static const char *event(struct bench *b, struct runbook *rb, char workflow,
                         const char *key)
{
    return event_ago(b, rb, workflow, key, 0);
}

/* Does the event start a workflow? */
static bool starts(struct bench *b, struct runbook *rb, char workflow,
                   const char *key)
{
    bool started = strstr(event(b, rb, workflow, key), "new ") != NULL;
    if (started) {
        (void)ended(b, workflow, 0, 1, ATTEMPT_SUCCEEDED);
    }
    return started;
}

static bool starts_again(struct bench *b, struct runbook *rb, char workflow,
                         const char *key, uint64_t ago_ms)
{
    bool started =
        strstr(event_ago(b, rb, workflow, key, ago_ms), "new ") != NULL;
    if (started) {
        (void)ended(b, workflow, 0, 1, ATTEMPT_SUCCEEDED);
    }
    return started;
}

static struct runbook *limited(struct bench *b, struct trigger_limits limits)
{
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    rb->triggers[0].limits = limits;
    return rb;
}

static void restart(struct bench *b)
{
    engine_free(b->engine);
    b->engine = shadow_restore(b);
    (void)take(b, (struct fact){.kind = FACT_START});
    (void)up(b, 'x');
}

static void clock_by(struct bench *b, int64_t by_ms)
{
    b->now_ms = (uint64_t)((int64_t)b->now_ms + by_ms);
    (void)take(b, (struct fact){.kind = FACT_CLOCK, .clock_shift_ms = by_ms});
}

/* What is held back is kept with the event, although another trigger starts. */
static void what_is_held_back_is_kept(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        limited(b, (struct trigger_limits){.cooldown_ms = 1800000});
    struct runbook *other = RUNBOOK(b, "b.yaml", STEP());
    const struct fact_match matches[] = {
        {.runbook = rb, .workflow_id = id_of('B'), .parameters = STR("{}")},
        {.runbook = other, .workflow_id = id_of('C'), .parameters = STR("{}")}};
    const struct fact_event event = {.seq = 8,
                                     .id = id_of('f'),
                                     .received_ms = b->now_ms,
                                     .matches = matches,
                                     .match_count = 2};
    begin(b);
    assert_true(starts(b, rb, 'A', ""));
    (void)take(
        b, (struct fact){
               .kind = FACT_BATCH_MATCHED,
               .batch = {.events = &event, .count = 1, .digest = STR("00ff")}});
    bool found = false;
    VEC_EACH (&b->fx.records, i) {
        const struct record *r = &b->fx.records.at[i];
        if (r->kind == RECORD_EVENT_DONE) {
            const struct record_event_done *d = &r->event_done;
            assert_int_equal(d->status, EVENT_PROCESSED);
            assert_int_equal(d->error.len, 0);
            assert_true(str_starts(
                d->decision,
                STR("{\"runbooks\":\"00ff\",\"held\":[{\"runbook\":\"a.yaml\","
                    "\"trigger\":\"#1\",\"guard\":\"cooldown\",\"reason\":"
                    "\"0s of 30m have passed since wf-")));
            assert_int_equal(d->held[HOLD_COOLDOWN], 1);
            assert_int_equal(d->held[HOLD_OTHER], 0);
            found = true;
        }
    }
    assert_true(found);
    bench_free(b);
}

static void a_trigger_without_limits_remembers_nothing(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = limited(b, (struct trigger_limits){0});
    begin(b);
    SAYS(event(b, rb, 'A', "k=1"),
         "new A running; event 7 processed; try A 0.1; START A 0.1; CLAIM 0");
    assert_int_equal(engine_count(b->engine).memories, 0);
    bench_free(b);
}

/* The start and what is remembered of it are one commit. */
static void a_key_cools_down(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        limited(b, (struct trigger_limits){.cooldown_ms = 1800000});
    begin(b);
    SAYS(event(b, rb, 'A', "instance=web-1"),
         "new A running; event 7 processed; try A 0.1; "
         "keep instance=web-1 0+1; START A 0.1; CLAIM 0");
    (void)ended(b, 'A', 0, 1, ATTEMPT_SUCCEEDED);
    b->now_ms += 12 * 60000 + 30000;
    const char *said = event(b, rb, 'B', "instance=web-1");
    assert_non_null(strstr(said, "event 7 suppressed (a.yaml, trigger #1: "
                                 "cooldown: 12m of 30m have passed since wf-"));
    assert_non_null(strstr(said, " started; key instance=web-1); CLAIM 0"));
    assert_null(strstr(said, "keep"));
    assert_true(starts(b, rb, 'C', "instance=web-2")); /* another key */
    b->now_ms = EPOCH_MS + 1800000 - 1;
    assert_false(starts(b, rb, 'D', "instance=web-1"));
    b->now_ms++;
    assert_true(starts(b, rb, 'D', "instance=web-1"));
    bench_free(b);
}

static void no_window_has_more_runs(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = limited(
        b, (struct trigger_limits){.runs_most = 3, .runs_within_ms = 3600000});
    begin(b);
    assert_true(starts(b, rb, 'A', ""));
    b->now_ms += 60000;
    assert_true(starts(b, rb, 'B', ""));
    b->now_ms += 60000;
    assert_true(starts(b, rb, 'C', ""));
    SAYS(event(b, rb, 'D', ""),
         "event 7 suppressed (a.yaml, trigger #1: max_runs: 3 of 3 workflows "
         "were started within 1h); CLAIM 0");
    restart(b);
    b->now_ms = EPOCH_MS + 3600000 - 1;
    assert_false(starts(b, rb, 'D', ""));
    b->now_ms++;
    assert_true(starts(b, rb, 'D', ""));
    assert_false(starts(b, rb, 'E', "")); /* B and C are still in it */
    bench_free(b);
}

static void starts_at_the_third_event_and_counts_anew(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        limited(b, (struct trigger_limits){.count_least = 3,
                                           .count_within_ms = 600000});
    begin(b);
    SAYS(event(b, rb, 'A', "k=1"),
         "event 7 suppressed (a.yaml, trigger #1: count: 1 of 3 events have "
         "come within 10m; key k=1); keep k=1 1+0; CLAIM 0");
    b->now_ms += 600000; /* the first one does not count any more */
    assert_false(starts(b, rb, 'A', "k=1"));
    restart(b);
    assert_false(starts(b, rb, 'A', "k=1"));
    SAYS(event(b, rb, 'A', "k=1"),
         "new A running; event 7 processed; try A 0.1; forget k=1; "
         "START A 0.1; CLAIM 0");
    (void)ended(b, 'A', 0, 1, ATTEMPT_SUCCEEDED);
    assert_false(starts(b, rb, 'B', "k=1"));
    assert_false(starts(b, rb, 'B', "k=1"));
    assert_true(starts(b, rb, 'B', "k=1"));
    bench_free(b);
}

static void three_events_of_one_batch_are_counted(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = limited(
        b, (struct trigger_limits){.count_least = 3, .count_within_ms = 1000});
    struct fact_match match = {
        .runbook = rb, .workflow_id = id_of('A'), .parameters = STR("{}")};
    struct fact_event events[3];
    for (uint32_t i = 0; i < 3; i++) {
        events[i] = (struct fact_event){.seq = i,
                                        .id = id_of((char)('e' + i)),
                                        .received_ms = b->now_ms,
                                        .matches = &match,
                                        .match_count = 1};
    }
    begin(b);
    const char *said =
        take(b, (struct fact){.kind = FACT_BATCH_MATCHED,
                              .batch = {.events = events, .count = 3}});
    assert_non_null(strstr(said, "new A running; event 2 processed"));
    assert_null(strstr(said, "keep"));
    assert_null(strstr(said, "forget"));
    bench_free(b);
}

/* An urgent event overtakes; what was received counts, not when its turn came.
 */
static void what_was_received_earlier_counts_at_its_time(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = limited(
        b, (struct trigger_limits){.count_least = 3, .count_within_ms = 60000});
    begin(b);
    assert_false(starts(b, rb, 'A', ""));
    assert_false(starts_again(b, rb, 'A', "", 120000)); /* long before */
    assert_false(starts_again(b, rb, 'A', "", 59999));
    assert_true(starts(b, rb, 'A', ""));
    /* A backlog, all of it from one minute an hour ago. */
    assert_false(starts_again(b, rb, 'B', "", 3600000));
    (void)after(b, 30000);
    assert_false(starts_again(b, rb, 'B', "", 3600000));
    assert_true(starts_again(b, rb, 'B', "", 3600000));
    bench_free(b);
}

static void events_count_while_it_cools_down(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        limited(b, (struct trigger_limits){.cooldown_ms = 60000,
                                           .count_least = 2,
                                           .count_within_ms = 600000});
    begin(b);
    assert_false(starts(b, rb, 'A', ""));
    assert_true(starts(b, rb, 'A', ""));
    for (int i = 0; i < 5; i++) {
        assert_false(starts(b, rb, 'B', ""));
    }
    assert_int_equal(b->memories[0].event_count, 1); /* bounded */
    b->now_ms += 60000;
    assert_true(starts(b, rb, 'B', ""));
    bench_free(b);
}

static void a_born_failure_is_a_start(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        limited(b, (struct trigger_limits){.cooldown_ms = 60000});
    const struct fact_match match = {
        .runbook = rb, .workflow_id = id_of('A'), .error = STR("no label")};
    const struct fact_event one = {
        .seq = 1, .id = id_of('e'), .matches = &match, .match_count = 1};
    begin(b);
    SAYS(take(b, (struct fact){.kind = FACT_BATCH_MATCHED,
                               .batch = {.events = &one, .count = 1}}),
         "new A failed (no label); event 1 processed; keep  0+1; CLAIM 0");
    assert_false(starts(b, rb, 'B', ""));
    bench_free(b);
}

/* Of two triggers of one event, one is held back: the event is processed. */
static void triggers_remember_for_themselves(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        limited(b, (struct trigger_limits){.cooldown_ms = 60000});
    struct fact_match matches[2] = {
        {.runbook = rb, .workflow_id = id_of('B'), .parameters = STR("{}")},
        {.runbook = rb,
         .trigger_no = 1,
         .workflow_id = id_of('C'),
         .parameters = STR("{}")}};
    const struct fact_event one = {
        .seq = 1, .id = id_of('e'), .matches = matches, .match_count = 2};
    const struct fact fact = {.kind = FACT_BATCH_MATCHED,
                              .batch = {.events = &one, .count = 1}};
    begin(b);
    rb->triggers[1].limits.cooldown_ms = 60000;
    assert_true(starts(b, rb, 'A', ""));
    SAYS(take(b, fact), "new C running; event 1 processed; try C 0.1; "
                        "keep  0+1; START C 0.1; CLAIM 0");
    (void)ended(b, 'C', 0, 1, ATTEMPT_SUCCEEDED);
    matches[0].workflow_id = id_of('D');
    matches[1].workflow_id = id_of('E');
    const char *said = take(b, fact);
    assert_non_null(strstr(said, "(a.yaml, trigger #1: cooldown: 0s of 1m "));
    assert_non_null(strstr(said, "; a.yaml, trigger #2: cooldown: 0s of 1m "));
    bench_free(b);
}

static void what_does_not_matter_is_forgotten(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = limited(
        b, (struct trigger_limits){
               .cooldown_ms = 60000, .runs_most = 5, .runs_within_ms = 300000});
    begin(b);
    assert_true(starts(b, rb, 'A', "k=1"));
    uint64_t left_ms = next_in(b);
    assert_true(left_ms >= 300000 && left_ms <= 301000);
    SAYS(after(b, left_ms - 1), "");
    SAYS(after(b, 1), "forget k=1");
    assert_int_equal(engine_next_deadline_ms(b->engine), UINT64_MAX);
    assert_int_equal(engine_count(b->engine).memories, 0);
    bench_free(b);
}

/* Another rule looks at the same instants. */
static void a_changed_rule_keeps_what_was(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = limited(
        b, (struct trigger_limits){.runs_most = 5, .runs_within_ms = 600000});
    begin(b);
    assert_true(starts(b, rb, 'A', ""));
    assert_true(starts(b, rb, 'B', ""));
    rb->triggers[0].limits.runs_most = 2;
    assert_false(starts(b, rb, 'C', ""));
    rb->triggers[0].limits.runs_most = 3;
    assert_true(starts(b, rb, 'C', ""));
    rb->triggers[0].limits = (struct trigger_limits){.cooldown_ms = 300000};
    assert_false(starts(b, rb, 'D', ""));
    b->now_ms += 300000;
    assert_true(starts(b, rb, 'D', ""));
    /* Under its id it is another one: the number was nobody's name. */
    rb->triggers[0].name = STR("disk");
    assert_true(starts(b, rb, 'E', ""));
    bench_free(b);
}

static void the_clock_ends_no_cooldown(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        limited(b, (struct trigger_limits){.cooldown_ms = 60000,
                                           .count_least = 2,
                                           .count_within_ms = 60000});
    static const int64_t jumps[] = {3600000, -3600000, 315360000000,
                                    -315360000000, -7200000};
    begin(b);
    assert_false(starts(b, rb, 'A', ""));
    assert_true(starts(b, rb, 'A', ""));
    for (size_t i = 0; i < ARRAY_LEN(jumps); i++) {
        clock_by(b, jumps[i]);
        restart(b);
        assert_false(starts(b, rb, 'B', ""));
        assert_true(next_in(b) <= 61000);
    }
    b->now_ms += 59999;
    assert_false(starts(b, rb, 'B', ""));
    b->now_ms += 1;
    assert_true(starts(b, rb, 'B', ""));
    bench_free(b);
}

/* Nobody saw it: the cooldown begins anew, and is not one of an hour. */
static void set_back_while_down_it_begins_anew(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        limited(b, (struct trigger_limits){.cooldown_ms = 60000});
    begin(b);
    assert_true(starts(b, rb, 'A', ""));
    b->now_ms -= 3600000;
    restart(b);
    b->now_ms += 59999;
    assert_false(starts(b, rb, 'B', ""));
    b->now_ms += 1;
    assert_true(starts(b, rb, 'B', ""));
    bench_free(b);
}

/* What cannot be remembered is not started, and nothing is forgotten for it. */
static void a_full_memory_holds_back(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    b->config.max_memories = 2;
    struct runbook *rb =
        limited(b, (struct trigger_limits){.cooldown_ms = 60000});
    begin(b);
    assert_true(starts(b, rb, 'A', "k=1"));
    assert_true(starts(b, rb, 'B', "k=2"));
    SAYS(event(b, rb, 'C', "k=3"),
         "event 7 suppressed (a.yaml, trigger #1: limits.trigger_memory: 2 "
         "keys are remembered, there is no room for another one); CLAIM 0");
    assert_int_equal(engine_count(b->engine).memories, 2);
    assert_int_equal(engine_count(b->engine).memories_refused, 1);
    assert_false(starts(b, rb, 'C', "k=1"));
    (void)after(b, 61000);
    assert_true(starts(b, rb, 'C', "k=3"));
    bench_free(b);
}

/* Remembers the key, and starts nothing yet: so many more. */
static uint32_t fill(struct bench *b, struct runbook *rb, uint32_t most)
{
    static uint32_t number;
    for (uint32_t i = 0; i < most; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "k=%" PRIu32, number++);
        uint32_t before = engine_count(b->engine).memories;
        (void)event(b, rb, 'A', key);
        if (engine_count(b->engine).memories == before) {
            return i;
        }
    }
    return most;
}

static struct runbook *counting(struct bench *b, const char *path)
{
    struct runbook *rb = RUNBOOK(b, path, STEP());
    rb->triggers[0].limits =
        (struct trigger_limits){.count_least = 2, .count_within_ms = 3600000};
    return rb;
}

/* Whoever sends events with ever new keys fills the memory of the trigger that
 * they meet, and not that of the others; a restart and the end of what is
 * remembered change nothing of it. */
static void a_trigger_leaves_others_room(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    b->config.max_memories = 20;
    struct runbook *one = counting(b, "one.yaml");
    struct runbook *two = counting(b, "two.yaml");
    struct runbook *three = counting(b, "three.yaml");
    begin(b);
    assert_int_equal(fill(b, one, 20), 10);
    SAYS(event(b, one, 'A', "k=new"),
         "event 7 suppressed (one.yaml, trigger #1: limits.trigger_memory: "
         "this trigger remembers 10 keys, as many as one may of 20, so that "
         "others have room); CLAIM 0");
    uint64_t refused_ms = engine_count(b->engine).memories_refused_ms;
    assert_int_equal(refused_ms, b->now_ms);
    assert_int_equal(fill(b, two, 20), 10);
    restart(b);
    assert_int_equal(fill(b, three, 20), 2);
    assert_non_null(strstr(event(b, three, 'A', "k=new"), "there is no room"));
    assert_int_equal(engine_count(b->engine).memories, 22);
    /* What it remembers still counts, and makes room when it is over. */
    assert_int_equal(fill(b, one, 1), 0);
    (void)after(b, 3602000);
    assert_int_equal(engine_count(b->engine).memories, 0);
    assert_int_equal(fill(b, one, 20), 10);
    bench_free(b);
}

static void a_person_is_not_held_back(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        limited(b, (struct trigger_limits){.cooldown_ms = 60000});
    begin(b);
    assert_true(starts(b, rb, 'A', ""));
    assert_non_null(strstr(run(b, rb, 'B'), "new B running"));
    assert_int_equal(b->memories[0].start_count, 1);
    bench_free(b);
}

/* Random events, keys, times, rules, restarts and clocks; the truth is kept
 * here, in time that passes. */
struct truth {
    uint64_t passed_ms; /* when it was started */
    char key;
};

static void play(uint64_t seed)
{
    struct bench *b = bench_new();
    struct prng prng;
    struct truth truth[400];
    uint32_t count = 0;
    uint64_t passed_ms = 0;
    prng_seed(&prng, seed);
    const struct trigger_limits limits = {
        .cooldown_ms = prng_below(&prng, 2) * prng_below(&prng, 60000),
        .count_least = (uint32_t)prng_below(&prng, 2) * 2,
        .count_within_ms = 1000 + prng_below(&prng, 60000),
        .runs_most = 1 + (uint32_t)prng_below(&prng, 3),
        .runs_within_ms = 1000 + prng_below(&prng, 200000)};
    struct runbook *rb = limited(b, limits);
    begin(b);
    for (int i = 0; i < 400; i++) {
        uint64_t ms = prng_below(&prng, 8000);
        passed_ms += ms;
        (void)after(b, ms);
        if (prng_below(&prng, 10) == 0) {
            clock_by(b, (int64_t)prng_below(&prng, 200000) - 100000);
        }
        if (prng_below(&prng, 10) == 0) {
            restart(b);
        }
        char key[] = {(char)('a' + prng_below(&prng, 3)), '\0'};
        if (!starts_again(b, rb, 'A', key, prng_below(&prng, 5000))) {
            continue;
        }
        b->shadow[0] = (struct shadow){0}; /* the letter is free again */
        b->shadow_count = 0;
        uint32_t runs = 1;
        for (uint32_t k = 0; k < count; k++) {
            uint64_t ago_ms = passed_ms - truth[k].passed_ms;
            bool same = truth[k].key == key[0];
            runs += same && ago_ms < limits.runs_within_ms;
            assert_false(same && ago_ms < limits.cooldown_ms);
        }
        assert_true(runs <= limits.runs_most);
        truth[count++] = (struct truth){passed_ms, key[0]};
    }
    assert_true(count > 0);
    bench_free(b);
}

static void random_histories_keep_every_limit(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        play(seed);
    }
}

static void the_hash_sees_what_is_remembered(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    const uint64_t at[] = {5, 6, 7};
    uint64_t hashes[8];
    for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
        const struct memory_row row = {
            .runbook_path = STR("a.yaml"),
            .trigger = i == 1 ? STR("#2") : STR("#1"),
            .key = i == 2 ? STR("k=2") : STR("k=1"),
            .expires_ms = i == 3 ? 90 : 91,
            .last_workflow = id_of(i == 4 ? 'A' : 'B'),
            .events_ms = at,
            .event_count = i == 5 ? 1 : 2,
            .starts_ms = at + (i == 6),
            .start_count = i == 7 ? 1 : 2};
        struct engine *e = engine_new(&b->config);
        engine_restore_memory(e, &row);
        hashes[i] = engine_hash(e);
        engine_free(e);
        for (size_t k = 0; k < i; k++) {
            assert_true(hashes[k] != hashes[i]);
        }
    }
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_held_back_is_kept),
        cmocka_unit_test(a_trigger_without_limits_remembers_nothing),
        cmocka_unit_test(a_key_cools_down),
        cmocka_unit_test(no_window_has_more_runs),
        cmocka_unit_test(starts_at_the_third_event_and_counts_anew),
        cmocka_unit_test(three_events_of_one_batch_are_counted),
        cmocka_unit_test(what_was_received_earlier_counts_at_its_time),
        cmocka_unit_test(events_count_while_it_cools_down),
        cmocka_unit_test(a_born_failure_is_a_start),
        cmocka_unit_test(triggers_remember_for_themselves),
        cmocka_unit_test(what_does_not_matter_is_forgotten),
        cmocka_unit_test(a_changed_rule_keeps_what_was),
        cmocka_unit_test(the_clock_ends_no_cooldown),
        cmocka_unit_test(set_back_while_down_it_begins_anew),
        cmocka_unit_test(a_full_memory_holds_back),
        cmocka_unit_test(a_trigger_leaves_others_room),
        cmocka_unit_test(a_person_is_not_held_back),
        cmocka_unit_test(random_histories_keep_every_limit),
        cmocka_unit_test(the_hash_sees_what_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
