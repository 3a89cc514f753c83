/* What triggers watch over a time: for, on_resolve, absent, flapping; how it
 * outlives restarts, reloads and changes of the clock; what is newer. */
#include "base/prng.h"
#include "fixture.h"

#define MINUTE_MS 60000ULL

struct said {
    char workflow;
    const char *key;
    bool over;          /* it has resolved */
    uint64_t seq;       /* 0: 7 */
    uint64_t starts_ms; /* since when it fires */
    uint64_t over_ms;   /* 0: in 24 h */
};

#define SAID(w, k, ...)                                                        \
    ((struct said){.workflow = (w), .key = (k), __VA_ARGS__})

/* An event for the runbook's first trigger. */
static const char *tell(struct bench *b, struct runbook *rb, struct said s)
{
    const struct fact_match match = {.runbook = rb,
                                     .workflow_id = id_of(s.workflow),
                                     .key = str_c(s.key),
                                     .subject = str_c(s.key),
                                     .parameters = STR("{\"a\":1}")};
    const struct fact_end end = {.runbook = rb, .subject = str_c(s.key)};
    const struct fact_event event = {
        .seq = s.seq != 0 ? s.seq : 7,
        .id = id_of('e'),
        .received_ms = b->now_ms,
        .alert = STR("fp"),
        .starts_ms = s.starts_ms,
        .over_ms =
            s.over_ms != 0 ? s.over_ms : b->now_ms + EVENT_ALERT_SILENT_MS,
        .matches = &match,
        .match_count = s.over ? 0 : 1,
        .ends = &end,
        .end_count = s.over ? 1 : 0,
    };
    return take(b, (struct fact){.kind = FACT_BATCH_MATCHED,
                                 .batch = {.events = &event, .count = 1}});
}

static const char *fire(struct bench *b, struct runbook *rb, char workflow)
{
    return tell(b, rb, SAID(workflow, "k=1"));
}

static const char *resolve(struct bench *b, struct runbook *rb)
{
    return tell(b, rb, SAID('?', "k=1", .over = true));
}

static struct fact due_fact(struct runbook *rb, char workflow)
{
    return (struct fact){.kind = FACT_DUE,
                         .due = {.runbook_path = STR("a.yaml"),
                                 .trigger = STR("#1"),
                                 .key = STR("k=1"),
                                 .runbook = rb,
                                 .commit = STR("c1"),
                                 .workflow_id = id_of(workflow),
                                 .parameters = STR("{\"a\":1}"),
                                 .error = STR(""),
                                 .held_back = STR("")}};
}

/* The runtime's answer to DUE. */
static const char *answer(struct bench *b, struct runbook *rb, char workflow)
{
    return take(b, due_fact(rb, workflow));
}

static struct runbook *watching(struct bench *b, struct trigger_watch watch)
{
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP());
    rb->triggers[0].watch = watch;
    rb->triggers[0].dedup_count = 1;
    return rb;
}

/* Events are taken for so long that nothing is waited for any more. */
static void listen(struct bench *b)
{
    begin(b);
    b->now_ms += 24 * 60 * MINUTE_MS;
}

static void restart(struct bench *b)
{
    engine_free(b->engine);
    b->engine = shadow_restore(b);
    (void)take(b, (struct fact){.kind = FACT_START});
    (void)up(b, 'x');
}

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* ---- for ----------------------------------------------------------------- */

static void it_starts_when_it_has_been_firing_long_enough(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        watching(b, (struct trigger_watch){.for_ms = 5 * MINUTE_MS});
    listen(b);
    SAYS(fire(b, rb, 'A'),
         "event 7 suppressed (a.yaml, trigger #1: for: it has been firing for "
         "0s of 5m; due at 2023-11-15T22:18:20.000Z unless it resolves; key "
         "k=1); watch k=1 firing due +300000; CLAIM 0");
    assert_int_equal(next_in(b), 5 * MINUTE_MS);
    b->now_ms += MINUTE_MS;
    assert_true(has(fire(b, rb, 'B'), "for: it has been firing for 1m of 5m"));
    SAYS(after(b, 4 * MINUTE_MS - 1), "");
    SAYS(after(b, 1), "DUE k=1");
    SAYS(answer(b, rb, 'C'),
         "new C running; try C 0.1; watch k=1 firing; START C 0.1");
    assert_true(str_eq_c(shadow_find(b, id_of('C'))->row.subject, "k=1"));
    assert_true(id_eq(shadow_find(b, id_of('C'))->row.event_id, id_of('e')));
    /* It still fires: what it says from now on starts at once. */
    assert_true(has(fire(b, rb, 'D'), "new D running"));
    bench_free(b);
}

static void what_resolves_before_starts_nothing(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        watching(b, (struct trigger_watch){.for_ms = 5 * MINUTE_MS});
    listen(b);
    (void)fire(b, rb, 'A');
    b->now_ms += 5 * MINUTE_MS - 1;
    SAYS(resolve(b, rb), "event 7 processed; watch k=1 resolved; CLAIM 0");
    SAYS(after(b, 1), "");
    /* The time begins anew. */
    assert_true(has(fire(b, rb, 'B'), "firing due +300000"));
    SAYS(after(b, 5 * MINUTE_MS), "DUE k=1");
    assert_true(has(answer(b, rb, 'B'), "new B running"));
    bench_free(b);
}

/* It resolves while the question is out: the answer starts nothing. */
static void an_answer_that_comes_too_late_starts_nothing(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        watching(b, (struct trigger_watch){.for_ms = 5 * MINUTE_MS});
    listen(b);
    (void)fire(b, rb, 'A');
    SAYS(after(b, 5 * MINUTE_MS), "DUE k=1");
    (void)resolve(b, rb);
    SAYS(answer(b, rb, 'A'), "");
    /* Nor does one that nobody has asked for. */
    SAYS(answer(b, rb, 'A'), "");
    bench_free(b);
}

static void what_is_over_by_itself_starts_nothing(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        watching(b, (struct trigger_watch){.for_ms = 5 * MINUTE_MS});
    listen(b);
    (void)tell(b, rb, SAID('A', "k=1", .over_ms = b->now_ms + 4 * MINUTE_MS));
    SAYS(after(b, 4 * MINUTE_MS), "unwatch k=1");
    SAYS(after(b, MINUTE_MS), "");
    assert_int_equal(engine_count(b->engine).memories, 0);
    bench_free(b);
}

static void a_pending_start_survives_restarts(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        watching(b, (struct trigger_watch){.for_ms = 5 * MINUTE_MS});
    listen(b);
    (void)fire(b, rb, 'A');
    b->now_ms += MINUTE_MS;
    restart(b);
    assert_int_equal(next_in(b), 4 * MINUTE_MS);
    SAYS(after(b, 4 * MINUTE_MS), "DUE k=1");
    restart(b); /* the question is asked again, after a grace */
    assert_int_equal(next_in(b), 30000);
    SAYS(after(b, 30000), "DUE k=1");
    assert_true(has(answer(b, rb, 'A'), "new A running"));
    (void)ended(b, 'A', 0, 1, ATTEMPT_SUCCEEDED);
    restart(b);
    SAYS(after(b, 10 * MINUTE_MS), "");
    bench_free(b);
}

/* A reload changes the trigger while it waits. */
static void it_is_due_as_the_trigger_says_by_then(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        watching(b, (struct trigger_watch){.for_ms = 5 * MINUTE_MS});
    listen(b);
    (void)fire(b, rb, 'A');
    SAYS(after(b, 5 * MINUTE_MS), "DUE k=1");
    rb->triggers[0].watch.for_ms = 7 * MINUTE_MS;
    SAYS(answer(b, rb, 'A'), "watch k=1 firing due +120000");
    SAYS(after(b, 2 * MINUTE_MS), "DUE k=1");
    rb->triggers[0].watch = (struct trigger_watch){0};
    assert_true(has(answer(b, rb, 'A'), "new A running"));
    (void)ended(b, 'A', 0, 1, ATTEMPT_SUCCEEDED);
    /* And one that is gone starts nothing. */
    rb->triggers[0].watch.for_ms = MINUTE_MS;
    (void)resolve(b, rb);
    (void)fire(b, rb, 'B');
    SAYS(after(b, MINUTE_MS), "DUE k=1");
    SAYS(answer(b, NULL, 'B'), "unwatch k=1");
    bench_free(b);
}

/* Another guard: it says why, and is looked at again. */
static void what_is_held_back_when_it_is_due_is_looked_at_again(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        watching(b, (struct trigger_watch){.for_ms = 5 * MINUTE_MS});
    rb->triggers[0].limits.cooldown_ms = 12 * MINUTE_MS;
    listen(b);
    (void)fire(b, rb, 'A');
    SAYS(after(b, 5 * MINUTE_MS), "DUE k=1");
    struct fact disabled = due_fact(rb, 'A');
    disabled.due.held_back = STR("it is disabled");
    SAYS(take(b, disabled), "watch k=1 firing due +300000 (it is disabled)");
    SAYS(after(b, 5 * MINUTE_MS), "DUE k=1");
    assert_true(has(answer(b, rb, 'A'), "new A running"));
    (void)ended(b, 'A', 0, 1, ATTEMPT_SUCCEEDED);
    (void)resolve(b, rb);
    (void)fire(b, rb, 'B');
    SAYS(after(b, 5 * MINUTE_MS), "DUE k=1");
    assert_true(has(answer(b, rb, 'B'), "cooldown: 5m of 12m have passed"));
    SAYS(after(b, 5 * MINUTE_MS), "DUE k=1");
    (void)answer(b, rb, 'B');
    assert_true(has(after(b, 5 * MINUTE_MS), "DUE k=1"));
    assert_true(has(answer(b, rb, 'B'), "new B running"));
    bench_free(b);
}

static void nothing_is_due_while_nothing_may_begin(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        watching(b, (struct trigger_watch){.for_ms = 5 * MINUTE_MS});
    listen(b);
    (void)fire(b, rb, 'A');
    (void)take(b, (struct fact){.kind = FACT_HALT, .halt = {.on = true}});
    SAYS(after(b, 6 * MINUTE_MS), "");
    assert_true(engine_next_deadline_ms(b->engine) > b->now_ms);
    /* Its end may still be on its way. */
    assert_true(!has(take(b, (struct fact){.kind = FACT_HALT}), "DUE"));
    SAYS(after(b, 30000), "DUE k=1");
    (void)answer(b, rb, 'A');
    bench_free(b);
}

static void a_clock_that_is_set_makes_nothing_due(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        watching(b, (struct trigger_watch){.for_ms = 5 * MINUTE_MS});
    listen(b);
    (void)fire(b, rb, 'A');
    b->now_ms += 3600000;
    assert_true(!has(
        take(b, (struct fact){.kind = FACT_CLOCK, .clock_shift_ms = 3600000}),
        "DUE"));
    SAYS(after(b, 5 * MINUTE_MS - 1), "");
    SAYS(after(b, 1), "DUE k=1");
    (void)answer(b, rb, 'A');
    bench_free(b);
}

static void what_cannot_be_watched_does_not_start(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        watching(b, (struct trigger_watch){.for_ms = 5 * MINUTE_MS});
    b->config.max_memories = 1;
    listen(b);
    (void)fire(b, rb, 'A');
    assert_true(has(tell(b, rb, SAID('B', "k=2")),
                    "suppressed (a.yaml, trigger #1: limits.trigger_memory: 1 "
                    "keys are remembered"));
    assert_int_equal(engine_count(b->engine).memories_refused, 1);
    bench_free(b);
}

/* ---- on_resolve ---------------------------------------------------------- */

static void what_has_resolved_is_cancelled_wherever_it_stands(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    b->config.max_concurrent = 1;
    struct runbook *rb =
        watching(b, (struct trigger_watch){.on_resolve = RESOLVE_CANCEL});
    listen(b);
    assert_true(has(fire(b, rb, 'A'), "new A running"));
    assert_true(has(fire(b, rb, 'B'), "new B queued"));
    assert_true(has(tell(b, rb, SAID('C', "k=2")), "new C queued"));
    const char *text = resolve(b, rb);
    assert_true(has(text, "TERM A 0.1"));
    assert_true(has(text, "set B cancelled"));
    assert_true(has(text, "audit resolved workflow.cancel"));
    assert_true(!has(text, "set C"));
    assert_true(str_eq_c(b->fx.records.at[2].event_done.error,
                         "a.yaml, trigger #1: resolved: 2 workflows "
                         "cancelled") ||
                has(text, "event 7 processed"));
    assert_true(
        str_eq_c(shadow_find(b, id_of('B'))->row.stopped_by, "resolved"));
    text = ended(b, 'A', 0, 1, ATTEMPT_CANCELLED);
    assert_true(has(text, "set A cancelled"));
    assert_true(has(text, "set C running")); /* another subject's */
    bench_free(b);
}

/* A backoff is a wait, too; what waits for an operator stays. */
static void what_waits_is_cancelled_what_is_held_is_not(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        RUNBOOK(b, "a.yaml", STEP(.max_attempts = 2, .backoff_ms = 5000));
    rb->triggers[0].watch.on_resolve = RESOLVE_CANCEL;
    listen(b);
    (void)fire(b, rb, 'A');
    assert_true(has(ended(b, 'A', 0, 1, ATTEMPT_FAILED), "set A waiting"));
    (void)fire(b, rb, 'B');
    assert_true(has(lost(b, 'y', 'B', 1), "set B held"));
    const char *text = resolve(b, rb);
    assert_true(has(text, "set A cancelled"));
    assert_true(!has(text, "set B"));
    bench_free(b);
}

static void what_lets_finish_finishes(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        watching(b, (struct trigger_watch){.on_resolve = RESOLVE_LET_FINISH});
    listen(b);
    (void)fire(b, rb, 'A');
    SAYS(resolve(b, rb), "event 7 processed; watch k=1 resolved; CLAIM 0");
    assert_true(has(ended(b, 'A', 0, 1, ATTEMPT_SUCCEEDED), "A succeeded"));
    bench_free(b);
}

/* After a restart it is known whose workflow it is. */
static void it_is_cancelled_after_a_restart(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        watching(b, (struct trigger_watch){.on_resolve = RESOLVE_CANCEL});
    listen(b);
    (void)fire(b, rb, 'A');
    restart(b);
    assert_true(has(resolve(b, rb), "TERM A 0.1"));
    bench_free(b);
}

static void what_is_older_than_its_end_starts_nothing(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        watching(b, (struct trigger_watch){.on_resolve = RESOLVE_LET_FINISH});
    listen(b);
    uint64_t then = b->now_ms - MINUTE_MS;
    (void)tell(b, rb,
               SAID('?', "k=1", .over = true, .seq = 9, .starts_ms = then));
    restart(b);
    const char *text =
        tell(b, rb, SAID('A', "k=1", .seq = 10, .starts_ms = then));
    assert_true(has(text, "suppressed (a.yaml, trigger #1: stale: it fires "
                          "since "));
    assert_true(has(text, " is over; key k=1)"));
    text = tell(b, rb, SAID('A', "k=1", .seq = 11, .starts_ms = then - 1));
    assert_true(has(text, "stale"));
    /* Without an instant of its own: accepted before its end. */
    assert_true(has(tell(b, rb, SAID('A', "k=1", .seq = 8)), "stale"));
    text = tell(b, rb, SAID('A', "k=1", .seq = 12, .starts_ms = then + 1));
    assert_true(has(text, "new A running"));
    (void)ended(b, 'A', 0, 1, ATTEMPT_SUCCEEDED);
    /* And the end of an earlier time ends nothing of this one. */
    rb->triggers[0].watch.on_resolve = RESOLVE_CANCEL;
    text = tell(b, rb,
                SAID('?', "k=1", .over = true, .seq = 13, .starts_ms = then));
    SAYS(text, "event 13 processed; CLAIM 0");
    /* What is remembered of an end goes. */
    (void)tell(
        b, rb,
        SAID('?', "k=1", .over = true, .seq = 14, .starts_ms = then + 1));
    SAYS(after(b, WATCH_RESOLVED_MS), "unwatch k=1");
    bench_free(b);
}

/* S06: in whatever order the events of an alert come, the newest decides. */
static void the_newest_wins_in_any_order(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct prng p;
        struct said order[8];
        prng_seed(&p, seed);
        struct bench *b = bench_new();
        struct runbook *rb =
            watching(b, (struct trigger_watch){.for_ms = 5 * MINUTE_MS});
        listen(b);
        for (uint64_t i = 0; i < 8; i++) {
            order[i] = SAID('A', "k=1", .over = i % 2 == 1, .seq = 20 + i,
                            .starts_ms = b->now_ms - 9000 + i / 2 * 1000);
        }
        uint64_t count = 7 + seed % 2; /* the last one fires, or is over */
        for (uint64_t i = count; i > 1; i--) {
            uint64_t k = prng_below(&p, i);
            struct said other = order[i - 1];
            order[i - 1] = order[k];
            order[k] = other;
        }
        for (uint64_t i = 0; i < count; i++) {
            (void)tell(b, rb, order[i]);
        }
        const char *text = after(b, 5 * MINUTE_MS);
        assert_string_equal(text, count == 7 ? "DUE k=1" : "");
        bench_free(b);
    }
}

/* ---- absent -------------------------------------------------------------- */

static struct runbook *absent_for(struct bench *b, uint64_t ms)
{
    struct runbook *rb = watching(b, (struct trigger_watch){.absent_ms = ms});
    return rb;
}

static void it_starts_when_nothing_has_come(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = absent_for(b, 10 * MINUTE_MS);
    listen(b);
    SAYS(fire(b, rb, 'A'), "event 7 processed; watch k=1 due +600000; CLAIM 0");
    assert_true(str_eq_c(b->fx.records.at[0].event_done.error,
                         "a.yaml, trigger #1: absent: nothing has come for 0s "
                         "of 10m; due at 2023-11-15T22:23:20.000Z; key k=1"));
    b->now_ms += 9 * MINUTE_MS;
    (void)fire(b, rb, 'B');
    SAYS(after(b, 10 * MINUTE_MS - 1), "");
    SAYS(after(b, 1), "DUE k=1");
    SAYS(answer(b, rb, 'C'),
         "new C running; try C 0.1; unwatch k=1; START C 0.1");
    (void)ended(b, 'C', 0, 1, ATTEMPT_SUCCEEDED);
    /* Once per absence. */
    SAYS(after(b, 60 * MINUTE_MS), "");
    assert_true(has(fire(b, rb, 'D'), "watch k=1 due +600000"));
    bench_free(b);
}

/* A reload makes another watch of it under the same name. */
static void a_trigger_may_begin_to_watch_something_else(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb =
        watching(b, (struct trigger_watch){.for_ms = 5 * MINUTE_MS});
    listen(b);
    (void)fire(b, rb, 'A');
    (void)resolve(b, rb);
    rb->triggers[0].watch = (struct trigger_watch){.absent_ms = 10 * MINUTE_MS};
    assert_true(has(fire(b, rb, 'A'), "watch k=1 due +600000"));
    rb->triggers[0].watch = (struct trigger_watch){.for_ms = 5 * MINUTE_MS};
    assert_true(has(fire(b, rb, 'A'), "watch k=1 firing due +300000"));
    rb->triggers[0].watch = (struct trigger_watch){.absent_ms = 10 * MINUTE_MS};
    SAYS(after(b, 5 * MINUTE_MS), "DUE k=1");
    SAYS(answer(b, rb, 'A'), "unwatch k=1");
    bench_free(b);
}

/* An event that comes while the question is out. */
static void what_comes_at_the_last_moment_counts(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = absent_for(b, 10 * MINUTE_MS);
    listen(b);
    (void)fire(b, rb, 'A');
    SAYS(after(b, 10 * MINUTE_MS), "DUE k=1");
    (void)fire(b, rb, 'B');
    SAYS(answer(b, rb, 'C'), "watch k=1 due +600000");
    SAYS(after(b, 10 * MINUTE_MS), "DUE k=1");
    (void)answer(b, rb, 'C');
    bench_free(b);
}

/* Nobody listened while the engine was away: that is no absence. */
static void the_clock_begins_anew_at_a_start(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = absent_for(b, 10 * MINUTE_MS);
    listen(b);
    (void)fire(b, rb, 'A');
    b->now_ms += 60 * MINUTE_MS;
    restart(b);
    assert_int_equal(next_in(b), 10 * MINUTE_MS);
    SAYS(after(b, 10 * MINUTE_MS), "DUE k=1");
    (void)take(b, (struct fact){.kind = FACT_PAUSE, .pause = true});
    b->now_ms += 60 * MINUTE_MS;
    (void)answer(b, rb, 'A');
    bench_free(b);
}

static void it_begins_anew_when_events_are_taken_again(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = absent_for(b, 10 * MINUTE_MS);
    listen(b);
    (void)fire(b, rb, 'A');
    (void)take(b, (struct fact){.kind = FACT_PAUSE, .pause = true});
    SAYS(after(b, 60 * MINUTE_MS), "");
    assert_true(!has(take(b, (struct fact){.kind = FACT_PAUSE}), "DUE"));
    assert_int_equal(next_in(b), 10 * MINUTE_MS);
    SAYS(after(b, 10 * MINUTE_MS), "DUE k=1");
    (void)answer(b, rb, 'A');
    bench_free(b);
}

static void without_keys_it_is_watched_from_the_beginning(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = absent_for(b, 10 * MINUTE_MS);
    const struct fact_absent absent = {rb, 0};
    const struct fact loaded = {.kind = FACT_GENERATION,
                                .generation = {&absent, 1}};
    rb->triggers[0].dedup_count = 0;
    listen(b);
    SAYS(take(b, loaded), "watch  due +600000");
    b->now_ms += MINUTE_MS;
    SAYS(take(b, loaded), ""); /* a reload changes nothing of it */
    restart(b);
    SAYS(take(b, loaded), "");
    SAYS(after(b, 10 * MINUTE_MS), "DUE ");
    struct fact fact = due_fact(rb, 'A');
    fact.due.key = STR("");
    SAYS(take(b, fact), "new A running; try A 0.1; watch ; START A 0.1");
    assert_true(id_is_null(shadow_find(b, id_of('A'))->row.event_id));
    (void)ended(b, 'A', 0, 1, ATTEMPT_SUCCEEDED);
    /* Once per absence, whatever is loaded. */
    restart(b);
    SAYS(take(b, loaded), "");
    SAYS(after(b, 60 * MINUTE_MS), "");
    assert_true(has(tell(b, rb, SAID('B', "")), "watch  due +600000"));
    /* The trigger is gone. */
    SAYS(take(b, (struct fact){.kind = FACT_GENERATION}), "unwatch ");
    bench_free(b);
}

/* ---- flapping ------------------------------------------------------------ */

/* S05: 120 changes in an hour. */
static void what_flaps_is_held_back_until_it_is_calm(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = watching(
        b, (struct trigger_watch){.changes_most = 6,
                                  .changes_within_ms = 60 * MINUTE_MS});
    listen(b);
    uint32_t starts = 0;
    const char *text = "";
    for (uint32_t i = 0; i < 60; i++) {
        text = fire(b, rb, 'A' + (char)starts);
        if (has(text, "new ")) {
            (void)ended(b, 'A' + (char)starts, 0, 1, ATTEMPT_SUCCEEDED);
            starts++;
        }
        b->now_ms += 30000;
        if (i + 1 < 60) {
            (void)resolve(b, rb);
            b->now_ms += 30000;
        }
    }
    assert_int_equal(starts, 3);
    assert_true(has(text, "flapping: its state has changed 7 times within 1h, "
                          "more than 6; due at "));
    /* It stays as it is: in the window there are fewer and fewer changes. */
    uint64_t wait_ms = next_in(b);
    assert_true(wait_ms > 50 * MINUTE_MS && wait_ms < 60 * MINUTE_MS);
    restart(b);
    SAYS(after(b, wait_ms - 1), "");
    SAYS(after(b, 1), "DUE k=1");
    assert_true(has(answer(b, rb, 'Z'), "new Z running"));
    bench_free(b);
}

static void another_change_makes_it_later(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = watching(
        b, (struct trigger_watch){.changes_most = 2,
                                  .changes_within_ms = 10 * MINUTE_MS});
    listen(b);
    assert_true(has(fire(b, rb, 'A'), "new A"));
    (void)ended(b, 'A', 0, 1, ATTEMPT_SUCCEEDED);
    b->now_ms += MINUTE_MS;
    (void)resolve(b, rb);
    b->now_ms += MINUTE_MS;
    assert_true(has(fire(b, rb, 'B'), "due +480000"));
    b->now_ms += MINUTE_MS;
    (void)resolve(b, rb);
    b->now_ms += MINUTE_MS;
    assert_true(has(fire(b, rb, 'C'), "due +480000"));
    SAYS(after(b, 8 * MINUTE_MS), "DUE k=1");
    assert_true(has(answer(b, rb, 'C'), "new C"));
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_starts_when_it_has_been_firing_long_enough),
        cmocka_unit_test(what_resolves_before_starts_nothing),
        cmocka_unit_test(an_answer_that_comes_too_late_starts_nothing),
        cmocka_unit_test(what_is_over_by_itself_starts_nothing),
        cmocka_unit_test(a_pending_start_survives_restarts),
        cmocka_unit_test(it_is_due_as_the_trigger_says_by_then),
        cmocka_unit_test(what_is_held_back_when_it_is_due_is_looked_at_again),
        cmocka_unit_test(nothing_is_due_while_nothing_may_begin),
        cmocka_unit_test(a_clock_that_is_set_makes_nothing_due),
        cmocka_unit_test(what_cannot_be_watched_does_not_start),
        cmocka_unit_test(what_has_resolved_is_cancelled_wherever_it_stands),
        cmocka_unit_test(what_waits_is_cancelled_what_is_held_is_not),
        cmocka_unit_test(what_lets_finish_finishes),
        cmocka_unit_test(it_is_cancelled_after_a_restart),
        cmocka_unit_test(what_is_older_than_its_end_starts_nothing),
        cmocka_unit_test(the_newest_wins_in_any_order),
        cmocka_unit_test(it_starts_when_nothing_has_come),
        cmocka_unit_test(a_trigger_may_begin_to_watch_something_else),
        cmocka_unit_test(what_comes_at_the_last_moment_counts),
        cmocka_unit_test(the_clock_begins_anew_at_a_start),
        cmocka_unit_test(it_begins_anew_when_events_are_taken_again),
        cmocka_unit_test(without_keys_it_is_watched_from_the_beginning),
        cmocka_unit_test(what_flaps_is_held_back_until_it_is_calm),
        cmocka_unit_test(another_change_makes_it_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
