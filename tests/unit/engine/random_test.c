/*
 * Random facts, legal and senseless: the fixture checks every step. The same
 * seed gives the same hashes, and replacing the engine by one that is restored
 * from the shadow changes nothing that it decides.
 */
#include "base/prng.h"
#include "fixture.h"

#define ROUNDS 400

struct dice {
    struct prng prng;
    struct runbook *runbooks[3];
    char next;
    bool halted;
};

static uint32_t roll(struct dice *d, uint32_t sides)
{
    return (uint32_t)prng_below(&d->prng, sides);
}

static char any_workflow(struct dice *d)
{
    return (char)('A' + roll(d, (uint32_t)(d->next - 'A') + 2));
}

static void random_end(struct bench *b, struct dice *d)
{
    static const enum attempt_state states[] = {
        ATTEMPT_SUCCEEDED, ATTEMPT_FAILED,  ATTEMPT_TIMED_OUT, ATTEMPT_UNKNOWN,
        ATTEMPT_CANCELLED, ATTEMPT_REFUSED, ATTEMPT_RUNNING,
    };
    struct shadow *s = shadow_find(b, id_of(any_workflow(d)));
    if (s == NULL || s->attempt_count == 0) {
        return;
    }
    const struct attempt_row *a =
        &s->attempts[roll(d, 3) != 0 ? s->attempt_count - 1
                                     : roll(d, s->attempt_count)];
    (void)ended(b, (char)s->row.id.bytes[15], a->key.step_no, a->key.attempt,
                states[roll(d, ARRAY_LEN(states))]);
}

static void restart(struct bench *b)
{
    engine_free(b->engine);
    b->engine = shadow_restore(b);
    (void)take(b, (struct fact){.kind = FACT_START});
}

static void random_config(struct bench *b, struct dice *d)
{
    b->config.workers = 1 + roll(d, 4);
    b->config.max_concurrent = 1 + roll(d, 4);
    b->config.max_live = 1 + roll(d, 20);
    (void)take(b, (struct fact){.kind = FACT_CONFIG, .config = b->config});
}

/* Has the first worker a claim out? Whenever one may be. */
static bool takes_events(const struct bench *b, const struct dice *d)
{
    struct engine_counts n = engine_count(b->engine);
    return !d->halted && n.live - n.held < b->config.max_live &&
           n.held < b->config.max_live;
}

/* Of the first runbook, whose triggers watch each something else. */
static void random_event(struct bench *b, struct dice *d)
{
    if (!takes_events(b, d)) {
        return;
    }
    static const char *const keys[] = {"", "k=1", "k=2"};
    uint32_t trigger_no = roll(d, TRIGGERS);
    struct str key = str_c(keys[roll(d, ARRAY_LEN(keys))]);
    uint32_t over = d->next == '~' ? 1 : roll(d, 2);
    const struct fact_match match = {
        .runbook = d->runbooks[0],
        .trigger_no = trigger_no,
        .workflow_id = id_of(over == 0 ? d->next++ : '?'),
        .key = key,
        .subject = key,
        .parameters = STR("{}"),
        .error = roll(d, 8) == 0 ? STR("no label") : STR(""),
    };
    const struct fact_end end = {d->runbooks[0], trigger_no, key};
    const struct fact_event event = {
        .seq = roll(d, 50) + 1,
        .id = id_of('e'),
        .received_ms = b->now_ms,
        .alert = STR("fp"),
        .starts_ms = roll(d, 2) * (EPOCH_MS + roll(d, 3)),
        .over_ms = b->now_ms + roll(d, 100000),
        .matches = &match,
        .match_count = 1 - over,
        .ends = &end,
        .end_count = trigger_no == 2 ? 0 : over, /* it does not resolve */
    };
    (void)take(b, (struct fact){.kind = FACT_BATCH_MATCHED,
                                .batch = {.events = &event, .count = 1}});
}

/* An answer about something that is watched, asked for or not. */
static void random_answer(struct bench *b, struct dice *d)
{
    if (b->watch_count == 0 || d->next == '~') {
        return;
    }
    const struct watch_row *row = &b->watches[roll(d, b->watch_count)];
    bool gone = roll(d, 8) == 0;
    (void)take(
        b, (struct fact){
               .kind = FACT_DUE,
               .due = {.runbook_path = row->runbook_path,
                       .trigger = row->trigger,
                       .key = row->key,
                       .runbook = gone ? NULL : d->runbooks[0],
                       .trigger_no = (uint32_t)(row->trigger.at[1] - '1'),
                       .commit = STR("c1"),
                       .workflow_id = id_of(d->next++),
                       .parameters = STR("{}"),
                       .error = STR(""),
                       .held_back = roll(d, 4) == 0 ? STR("no") : STR("")}});
}

static void random_fact(struct bench *b, struct dice *d)
{
    b->entropy = prng_next(&d->prng);
    b->now_ms += roll(d, 3) == 0 ? roll(d, 20000) : 0;
    switch (roll(d, 15)) {
    case 0:
    case 1:
        if (d->next < '~') {
            (void)run(b, d->runbooks[roll(d, 3)], d->next++);
        }
        return;
    case 2:
        (void)stop(b, any_workflow(d), roll(d, 2) ? STOP_KILL : STOP_CANCEL);
        return;
    case 3:
        (void)up(b, (char)('v' + (roll(d, 4) != 0 ? 0 : roll(d, 3))));
        return;
    case 4:
        (void)down(b);
        return;
    case 5:
        (void)started(b, any_workflow(d), roll(d, 2), 1 + roll(d, 3));
        return;
    case 6:
        random_config(b, d);
        return;
    case 7:
        b->now_ms = MAX(b->now_ms, MIN(engine_next_deadline_ms(b->engine),
                                       b->now_ms + 86400000));
        (void)after(b, 0);
        return;
    case 8:
        if (roll(d, 4) == 0) {
            d->halted = false;
            restart(b);
        }
        return;
    case 9:
    case 10:
        random_event(b, d);
        return;
    case 11:
        random_answer(b, d);
        return;
    case 12:
        d->halted = roll(d, 2) == 0;
        (void)take(b,
                   (struct fact){.kind = FACT_HALT, .halt = {.on = d->halted}});
        return;
    default:
        random_end(b, d);
        return;
    }
}

static void watch(struct runbook *rb)
{
    rb->triggers[0].watch.for_ms = 30000;
    rb->triggers[0].watch.on_resolve = RESOLVE_CANCEL;
    rb->triggers[1].watch.changes_most = 2;
    rb->triggers[1].watch.changes_within_ms = 60000;
    rb->triggers[2].watch.absent_ms = 20000;
    rb->triggers[3].watch.on_resolve = RESOLVE_CANCEL;
}

static uint64_t play(uint64_t seed)
{
    struct bench *b = bench_new();
    struct dice d = {.next = 'A'};
    prng_seed(&d.prng, seed);
    d.runbooks[0] = RUNBOOK(
        b, "a.yaml",
        STEP(.max_attempts = 3, .backoff_ms = 1000, .backoff_max_ms = 8000),
        STEP(.continue_on_error = true), STEP());
    d.runbooks[1] =
        RUNBOOK(b, "b.yaml", STEP(.idempotent = true, .max_attempts = 3));
    d.runbooks[2] = RUNBOOK(b, "c.yaml", STEP(), STEP());
    d.runbooks[1]->max_concurrent = 1;
    d.runbooks[2]->timeout_ms = 15000;
    watch(d.runbooks[0]);
    begin(b);
    uint64_t hash = 0;
    for (int i = 0; i < ROUNDS; i++) {
        random_fact(b, &d);
        hash = hash * 31 + engine_hash(b->engine);
    }
    bench_free(b);
    return hash;
}

static void random_facts(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        (void)play(seed);
    }
}

static void replay_is_identical(void **state)
{
    (void)state;
    assert_true(play(4711) == play(4711));
    assert_true(play(4711) != play(4712));
}

/* The hash sees every field that must survive. */
static void the_hash_sees_each_field(void **state)
{
    (void)state;
    struct bench *b = bench_new();
    struct runbook *rb = RUNBOOK(b, "a.yaml", STEP(), STEP());
    struct workflow_row row = {.id = id_of('A'),
                               .status = WORKFLOW_RUNNING,
                               .started_ms = 5,
                               .deadline_ms = 9000,
                               .rev = 3};
    struct attempt_row other = {.key = key_of('A', 1, 1),
                                .state = ATTEMPT_FAILED,
                                .executor = id_of('x')};
    struct attempt_row attempt = {.key = key_of('A', 0, 1),
                                  .state = ATTEMPT_STARTING,
                                  .executor = id_of('x')};
    uint64_t hashes[16];
    for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
        struct workflow_row r = row;
        struct attempt_row a = attempt;
        r.rev += i == 1;
        r.deadline_ms += i == 2;
        r.stop = i == 3 ? STOP_CANCEL : STOP_NONE;
        r.error = i == 4 ? STR("e") : STR("");
        r.stopped_by = i == 5 ? STR("e") : STR("");
        r.parameters = i == 6 ? STR("e") : STR("");
        r.dry_run = i == 7;
        r.subject = i == 15 ? STR("e") : STR("");
        a.state = i == 8 ? ATTEMPT_RUNNING : ATTEMPT_STARTING;
        a.executor = i == 9 ? id_of('y') : a.executor;
        a.error = i == 10 ? STR("e") : STR("");
        struct engine *e = engine_new(&b->config);
        a.outputs = i == 12 ? STR("e") : STR("");
        /* Attempts of other steps count as well. */
        struct attempt_row rows[] = {a, other};
        rows[1].outputs = i == 14 ? STR("e") : STR("");
        engine_restore(e, &r, rb, rows, i == 11 ? 0 : 1 + (i >= 13));
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
        cmocka_unit_test(random_facts),
        cmocka_unit_test(replay_is_identical),
        cmocka_unit_test(the_hash_sees_each_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
