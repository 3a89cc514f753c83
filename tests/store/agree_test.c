/* Random operations on both drivers at once: the same results, the same rows.
 * The memory driver is the reference that is easy to believe. */
#include "tests/store/fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/vec.h"

enum { DRIVERS = 2, ROUNDS = 100, OPERATIONS = 250, NAMES = 6 };

struct pair {
    struct fixture *f[DRIVERS];
    struct prng prng;
    VEC(struct workflow_row) workflows;
    VEC(struct attempt_row) attempts;
    VEC(struct store_claim) claims; /* of the memory driver */
    VEC(uint64_t) other_claims;     /* the SQLite driver's tokens for them */
};

static uint64_t below(struct pair *p, uint64_t bound)
{
    return prng_below(&p->prng, bound);
}

static struct str name_of(uint64_t i)
{
    static const char *const names[NAMES] = {"", "a", "b", "c", "d", "e"};
    return str_c(names[i % NAMES]);
}

/* ---- one operation on both ---------------------------------------------- */

static void ingest(struct pair *p)
{
    struct event events[4];
    uint32_t count = (uint32_t)below(p, 4) + 1;
    for (uint32_t i = 0; i < count; i++) {
        events[i] = fixture_event(p->f[0], "x");
        events[i].source = name_of(below(p, NAMES));
        events[i].dedup_key = name_of(below(p, 2ULL * NAMES));
        events[i].fingerprint = name_of(below(p, NAMES));
        events[i].state = (enum event_state)below(p, 3);
        events[i].ends_ms = below(p, 2) * (p->f[0]->now_ms + below(p, 100000));
        events[i].priority = (uint8_t)below(p, 4);
    }
    if (below(p, 20) == 0 && count > 1) {
        events[count - 1].id = events[0].id;
    }
    struct store_op op = {
        .kind = STORE_INGEST,
        .ingest = {.events = events,
                   .count = count,
                   .request_key = name_of(below(p, 3ULL * NAMES)),
                   .request_hash = {(uint8_t)below(p, 2)},
                   .request_expires_ms = p->f[0]->now_ms + 30000,
                   .dedup_expires_ms = p->f[0]->now_ms + 20000},
    };
    int results[DRIVERS];
    for (int d = 0; d < DRIVERS; d++) {
        op.ingest.results = p->f[d]->results;
        results[d] = fixture_run(p->f[d], &op);
    }
    assert_int_equal(results[0], results[1]);
    for (uint32_t i = 0; results[0] == 0 && i < count; i++) {
        const struct store_ingested *a = &p->f[0]->results[i];
        const struct store_ingested *b = &p->f[1]->results[i];
        assert_id(a->id, b->id);
        assert_int_equal(a->status, b->status);
        assert_id(a->duplicate_of, b->duplicate_of);
    }
}

static void claim(struct pair *p)
{
    uint32_t limit = (uint32_t)below(p, 8) + 1;
    struct store_claim c[DRIVERS];
    int results[DRIVERS];
    for (int d = 0; d < DRIVERS; d++) {
        results[d] = fixture_claim(p->f[d], limit, 3, &c[d]);
    }
    assert_int_equal(results[0], results[1]);
    if (results[0] < 0) {
        return;
    }
    assert_int_equal(c[0].count, c[1].count);
    for (uint32_t i = 0; i < c[0].count; i++) {
        assert_id(c[0].events[i].id, c[1].events[i].id);
        assert_int_equal(c[0].events[i].seq, c[1].events[i].seq);
        assert_int_equal(c[0].events[i].attempt, c[1].events[i].attempt);
    }
    VEC_PUSH(&p->claims, c[0]);
    VEC_PUSH(&p->other_claims, c[1].claim);
}

/* Records of a random claim, which may be long over. */
static void finish(struct pair *p)
{
    if (p->claims.count == 0) {
        return;
    }
    static const enum event_status ends[] = {EVENT_PROCESSED, EVENT_SUPPRESSED,
                                             EVENT_ERROR};
    size_t which = below(p, p->claims.count);
    const struct store_claim *c = &p->claims.at[which];
    struct record records[8];
    uint32_t count = (uint32_t)below(p, c->count) + 1;
    for (uint32_t i = 0; i < count; i++) {
        records[i] = (struct record){
            .kind = RECORD_EVENT_DONE,
            .event_done = {.seq = c->events[i].seq,
                           .event_id = c->events[i].id,
                           .status = ends[below(p, ARRAY_LEN(ends))],
                           .at_ms = p->f[0]->now_ms,
                           .error = name_of(below(p, NAMES)),
                           .decision = name_of(below(p, NAMES))},
        };
    }
    int results[DRIVERS];
    for (int d = 0; d < DRIVERS; d++) {
        for (uint32_t i = 0; i < count; i++) {
            records[i].event_done.claim =
                d == 0 ? c->claim : p->other_claims.at[which];
        }
        results[d] = fixture_apply(p->f[d], records, count);
    }
    assert_int_equal(results[0], results[1]);
}

static int apply_both(struct pair *p, const struct record *records,
                      uint32_t count)
{
    int first = fixture_apply(p->f[0], records, count);
    assert_int_equal(fixture_apply(p->f[1], records, count), first);
    return first;
}

static void start_workflow(struct pair *p)
{
    struct workflow_row w = fixture_workflow(p->f[0]);
    w.runbook_path = name_of(below(p, 2) + 1);
    w.trigger_no = (uint32_t)below(p, 2);
    w.event_id.bytes[0] = (uint8_t)below(p, 12); /* 0: by hand */
    w.status = WORKFLOW_QUEUED;
    bool repeat = p->workflows.count > 0 && below(p, 8) == 0;
    if (repeat) {
        w = p->workflows.at[below(p, p->workflows.count)];
        w.rev = 1;
    }
    struct record r = {.kind = RECORD_WORKFLOW_NEW, .workflow = w};
    if (apply_both(p, &r, 1) == 0 && !repeat) {
        VEC_PUSH(&p->workflows, w);
    }
}

/* Mostly the right revision and a legal move, and a step's attempt. */
static void move_workflow(struct pair *p)
{
    if (p->workflows.count == 0) {
        return;
    }
    size_t which = below(p, p->workflows.count);
    struct workflow_row w = p->workflows.at[which];
    enum workflow_status to = (enum workflow_status)below(p, WORKFLOW_STATUSES);
    w.status = workflow_status_may(w.status, to) ? to : w.status;
    w.rev += below(p, 5) == 0 ? 2 : 1;
    w.finished_ms = workflow_status_is_final(w.status) ? p->f[0]->now_ms : 0;
    w.error = name_of(below(p, NAMES));
    struct attempt_row t = fixture_attempt(p->f[0], w.id);
    t.key.step_no = (uint32_t)below(p, 2);
    t.key.attempt = (uint32_t)below(p, 3) + 1;
    struct record records[2] = {
        {.kind = RECORD_ATTEMPT_NEW, .attempt = t},
        {.kind = RECORD_WORKFLOW_SET, .workflow = w},
    };
    uint32_t first = (uint32_t)below(p, 2);
    if (apply_both(p, records + first, 2 - first) != 0) {
        return;
    }
    p->workflows.at[which] = w;
    if (first == 0) {
        VEC_PUSH(&p->attempts, t);
    }
}

static void move_attempt(struct pair *p)
{
    if (p->attempts.count == 0) {
        return;
    }
    struct attempt_row t = p->attempts.at[below(p, p->attempts.count)];
    t.state = (enum attempt_state)below(p, ATTEMPT_STATES);
    t.pid = (uint32_t)below(p, 100);
    t.outputs = below(p, 2) == 0 ? STR("{}") : STR("");
    struct record records[2] = {
        {.kind = RECORD_ATTEMPT_SET, .attempt = t},
        {.kind = RECORD_OUTPUT,
         .output = {.key = t.key,
                    .offset = below(p, 4),
                    .stream = OUTPUT_STDOUT,
                    .data = STR("text")}},
    };
    (void)apply_both(p, records, (uint32_t)below(p, 2) + 1);
}

/* Removes what is over: windows of events, and workflows that may be live. */
static void drop(struct pair *p)
{
    struct record records[2] = {
        {.kind = RECORD_EVENTS_DROP,
         .drop = {.first_seq = below(p, 200),
                  .limit = (uint32_t)below(p, 100) + 1,
                  .before_ms = p->f[0]->now_ms - below(p, 50000),
                  .live_alerts = below(p, 4) == 0,
                  .now_ms = p->f[0]->now_ms}},
    };
    uint32_t count = 1;
    if (p->workflows.count > 0) {
        records[count++] = (struct record){
            .kind = RECORD_WORKFLOW_DROP,
            .workflow_drop = {
                .workflow_id = p->workflows.at[below(p, p->workflows.count)].id,
                .output_limit = (uint32_t)below(p, 3) + 1,
                .verdicts_before_ms = p->f[0]->now_ms - below(p, 50000)}};
    }
    struct store_op op = {.kind = STORE_APPLY,
                          .apply = {.records = records, .count = count}};
    uint64_t moved[DRIVERS];
    for (int d = 0; d < DRIVERS; d++) {
        assert_int_equal(fixture_run(p->f[d], &op), 0);
        moved[d] = op.apply.moved;
    }
    assert_int_equal(moved[0], moved[1]);
}

/* A trigger remembers, or forgets. */
static void remember(struct pair *p)
{
    const uint64_t at[] = {below(p, 1000), below(p, 1000), below(p, 1000)};
    struct record r = {.kind = below(p, 3) == 0 ? RECORD_MEMORY_DROP
                                                : RECORD_MEMORY_SET,
                       .memory = {.runbook_path = name_of(below(p, 3) + 1),
                                  .trigger = name_of(below(p, 2) + 1),
                                  .key = name_of(below(p, NAMES)),
                                  .expires_ms = below(p, 100000),
                                  .events_ms = at,
                                  .event_count = (uint32_t)below(p, 4),
                                  .starts_ms = at,
                                  .start_count = (uint32_t)below(p, 4)}};
    r.memory.last_workflow.bytes[0] = (uint8_t)below(p, 3);
    (void)apply_both(p, &r, 1);
}

/* A trigger watches something, or nothing more of it. */
static void watch(struct pair *p)
{
    const uint64_t at[] = {below(p, 1000), below(p, 1000)};
    struct record r = {.kind = below(p, 3) == 0 ? RECORD_WATCH_DROP
                                                : RECORD_WATCH_SET,
                       .watch = {.runbook_path = name_of(below(p, 3) + 1),
                                 .trigger = name_of(below(p, 2) + 1),
                                 .key = name_of(below(p, NAMES)),
                                 .state = (enum event_state)below(p, 3),
                                 .newest_seq = below(p, 100),
                                 .due_ms = below(p, 100000),
                                 .held = name_of(below(p, NAMES)),
                                 .changes_ms = at,
                                 .change_count = (uint32_t)below(p, 3)}};
    (void)apply_both(p, &r, 1);
}

static void let_time_pass(struct pair *p)
{
    uint64_t ms = below(p, 15000);
    for (int d = 0; d < DRIVERS; d++) {
        p->f[d]->now_ms += ms;
        assert_int_equal(
            p->f[d]->driver->maintain(p->f[d]->store, below(p, 2) == 0), 0);
    }
}

static void restart(struct pair *p)
{
    if (below(p, 10) != 0) {
        return;
    }
    for (int d = 0; d < DRIVERS; d++) {
        fixture_restart(p->f[d]);
    }
    assert_int_equal(p->f[0]->opened.events_requeued,
                     p->f[1]->opened.events_requeued);
}

/* ---- the same rows ------------------------------------------------------ */

static void compare_events(struct pair *p, const struct event_filter *filter)
{
    struct event_view *views[DRIVERS];
    uint32_t counts[DRIVERS];
    for (int d = 0; d < DRIVERS; d++) {
        struct fixture *f = p->f[d];
        assert_int_equal(f->reader->ops->events(f->reader, filter, &f->arena,
                                                &views[d], &counts[d]),
                         0);
    }
    assert_int_equal(counts[0], counts[1]);
    for (uint32_t i = 0; i < counts[0]; i++) {
        const struct event_view *a = &views[0][i];
        const struct event_view *b = &views[1][i];
        assert_id(a->event.id, b->event.id);
        assert_int_equal(a->event.seq, b->event.seq);
        assert_int_equal(a->event.attempt, b->event.attempt);
        assert_int_equal(a->status, b->status);
        assert_int_equal(a->processed_ms, b->processed_ms);
        assert_true(str_eq(a->error, b->error));
        assert_true(str_eq(a->decision, b->decision));
        assert_id(a->duplicate_of, b->duplicate_of);
    }
}

static void compare_alerts(struct pair *p)
{
    struct event_view *views[DRIVERS];
    uint32_t counts[DRIVERS];
    for (int d = 0; d < DRIVERS; d++) {
        struct fixture *f = p->f[d];
        assert_int_equal(f->reader->ops->alerts(f->reader, f->now_ms, 0,
                                                &f->arena, &views[d],
                                                &counts[d]),
                         0);
    }
    assert_int_equal(counts[0], counts[1]);
    for (uint32_t i = 0; i < counts[0]; i++) {
        assert_int_equal(views[0][i].event.seq, views[1][i].event.seq);
    }
}

static void compare_attempts(struct pair *p, struct id workflow_id)
{
    struct attempt_row *rows[DRIVERS];
    uint32_t counts[DRIVERS];
    for (int d = 0; d < DRIVERS; d++) {
        struct fixture *f = p->f[d];
        assert_int_equal(f->reader->ops->attempts(f->reader, workflow_id,
                                                  &f->arena, &rows[d],
                                                  &counts[d]),
                         0);
    }
    assert_int_equal(counts[0], counts[1]);
    for (uint32_t i = 0; i < counts[0]; i++) {
        assert_int_equal(rows[0][i].key.step_no, rows[1][i].key.step_no);
        assert_int_equal(rows[0][i].key.attempt, rows[1][i].key.attempt);
        assert_int_equal(rows[0][i].state, rows[1][i].state);
        assert_int_equal(rows[0][i].pid, rows[1][i].pid);
        assert_true(str_eq(rows[0][i].outputs, rows[1][i].outputs));
    }
}

static void compare_workflows(struct pair *p,
                              const struct workflow_filter *filter)
{
    struct workflow_view *views[DRIVERS];
    uint32_t counts[DRIVERS];
    for (int d = 0; d < DRIVERS; d++) {
        struct fixture *f = p->f[d];
        assert_int_equal(f->reader->ops->workflows(f->reader, filter, &f->arena,
                                                   &views[d], &counts[d]),
                         0);
    }
    assert_int_equal(counts[0], counts[1]);
    for (uint32_t i = 0; i < counts[0]; i++) {
        const struct workflow_row *a = &views[0][i].row;
        const struct workflow_row *b = &views[1][i].row;
        assert_id(a->id, b->id);
        assert_int_equal(a->status, b->status);
        assert_int_equal(a->rev, b->rev);
        assert_true(str_eq(a->error, b->error));
        compare_attempts(p, a->id);
    }
}

static void compare_tally(struct pair *p, bool queued)
{
    struct tally_filter filter = {
        .queued = queued, .since_ms = p->f[0]->now_ms - below(p, 300000)};
    struct event_tally t[DRIVERS];
    for (int d = 0; d < DRIVERS; d++) {
        struct fixture *f = p->f[d];
        assert_int_equal(
            f->reader->ops->tally(f->reader, &filter, &f->arena, &t[d]), 0);
    }
    assert_int_equal(t[0].group_count, t[1].group_count);
    assert_int_equal(t[0].accepted, t[1].accepted);
    assert_true(t[0].complete && t[1].complete);
    for (uint32_t i = 0; i < t[0].group_count; i++) {
        const struct event_group *a = &t[0].groups[i];
        const struct event_group *b = &t[1].groups[i];
        assert_true(str_eq(a->source, b->source));
        assert_int_equal(a->status, b->status);
        assert_int_equal(a->priority, b->priority);
        assert_int_equal(a->count, b->count);
        assert_int_equal(a->oldest_ms, b->oldest_ms);
    }
}

static void compare_memories(struct pair *p, const struct memory_filter *filter)
{
    struct memory_row *rows[DRIVERS];
    uint32_t counts[DRIVERS];
    for (int d = 0; d < DRIVERS; d++) {
        struct fixture *f = p->f[d];
        assert_int_equal(f->reader->ops->memories(f->reader, filter, &f->arena,
                                                  &rows[d], &counts[d]),
                         0);
    }
    assert_int_equal(counts[0], counts[1]);
    for (uint32_t i = 0; i < counts[0]; i++) {
        const struct memory_row *a = &rows[0][i];
        const struct memory_row *b = &rows[1][i];
        assert_true(str_eq(a->runbook_path, b->runbook_path));
        assert_true(str_eq(a->trigger, b->trigger));
        assert_true(str_eq(a->key, b->key));
        assert_int_equal(a->expires_ms, b->expires_ms);
        assert_id(a->last_workflow, b->last_workflow);
        assert_int_equal(a->event_count, b->event_count);
        assert_int_equal(a->start_count, b->start_count);
        assert_memory_equal(a->events_ms, b->events_ms, a->event_count * 8);
        assert_memory_equal(a->starts_ms, b->starts_ms, a->start_count * 8);
    }
}

static void compare_watches(struct pair *p, const struct memory_filter *filter)
{
    struct watch_row *rows[DRIVERS];
    uint32_t counts[DRIVERS];
    for (int d = 0; d < DRIVERS; d++) {
        struct fixture *f = p->f[d];
        assert_int_equal(f->reader->ops->watches(f->reader, filter, &f->arena,
                                                 &rows[d], &counts[d]),
                         0);
    }
    assert_int_equal(counts[0], counts[1]);
    for (uint32_t i = 0; i < counts[0]; i++) {
        const struct watch_row *a = &rows[0][i];
        const struct watch_row *b = &rows[1][i];
        assert_true(str_eq(a->runbook_path, b->runbook_path));
        assert_true(str_eq(a->trigger, b->trigger));
        assert_true(str_eq(a->key, b->key));
        assert_int_equal(a->state, b->state);
        assert_int_equal(a->newest_seq, b->newest_seq);
        assert_int_equal(a->due_ms, b->due_ms);
        assert_true(str_eq(a->held, b->held));
        assert_int_equal(a->change_count, b->change_count);
        assert_memory_equal(a->changes_ms, b->changes_ms, a->change_count * 8);
    }
}

static void compare(struct pair *p)
{
    struct store_counts counts[DRIVERS] = {fixture_counts(p->f[0]),
                                           fixture_counts(p->f[1])};
    assert_memory_equal(&counts[0], &counts[1], sizeof(counts[0]));
    assert_int_equal(p->f[0]->driver->queued(p->f[0]->store),
                     p->f[1]->driver->queued(p->f[1]->store));
    struct event_filter events = {.status = -1, .limit = 10000};
    compare_events(p, &events);
    events.source = name_of(below(p, NAMES));
    events.status = (int)below(p, EVENT_STATUSES + 1) - 1;
    events.since_ms = p->f[0]->now_ms - below(p, 300000);
    events.oldest_first = below(p, 2) == 0;
    events.before_seq = below(p, 2) * below(p, 300);
    events.after_seq = below(p, 2) * below(p, 300);
    events.limit = (uint32_t)below(p, 20) + 1;
    compare_events(p, &events);
    struct workflow_filter workflows = {.status = -1, .limit = 10000};
    compare_workflows(p, &workflows);
    workflows.status = (int)below(p, WORKFLOW_STATUSES + 1) - 1;
    workflows.live_only = below(p, 2) == 0;
    workflows.runbook = name_of(below(p, 3));
    compare_workflows(p, &workflows);
    workflows = (struct workflow_filter){
        .status = -1,
        .since_ms = below(p, 2) * (p->f[0]->now_ms - below(p, 300000)),
        .ended_before_ms = below(p, 2) * (p->f[0]->now_ms - below(p, 300000)),
        .limit = (uint32_t)below(p, 20) + 1};
    compare_workflows(p, &workflows);
    struct memory_filter memories = {.limit = 10000};
    compare_memories(p, &memories);
    memories = (struct memory_filter){.runbook = name_of(below(p, 4)),
                                      .after_runbook = name_of(below(p, 4)),
                                      .after_trigger = name_of(below(p, 4)),
                                      .after_key = name_of(below(p, NAMES)),
                                      .limit = (uint32_t)below(p, 5) + 1};
    compare_memories(p, &memories);
    compare_watches(p, &memories);
    memories = (struct memory_filter){.limit = 10000};
    compare_watches(p, &memories);
    compare_alerts(p);
    compare_tally(p, true);
    compare_tally(p, false);
    fixture_check(p->f[0]);
    fixture_check(p->f[1]);
}

static void run_round(struct pair *p)
{
    static void (*const operations[])(struct pair *) = {
        ingest,         ingest,        claim,        finish,        finish,
        start_workflow, move_workflow, move_attempt, let_time_pass, restart,
        drop,           remember,      watch};
    for (int i = 0; i < OPERATIONS; i++) {
        operations[below(p, ARRAY_LEN(operations))](p);
    }
    compare(p);
    VEC_DEINIT(&p->workflows);
    VEC_DEINIT(&p->attempts);
    VEC_DEINIT(&p->claims);
    VEC_DEINIT(&p->other_claims);
}

static void both_drivers_agree(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct pair p = {0};
        prng_seed(&p.prng, seed);
        const struct store_driver *drivers[] = {&store_memory, &store_sqlite};
        for (int d = 0; d < DRIVERS; d++) {
            void *f = (void *)(uintptr_t)drivers[d];
            assert_int_equal(fixture_setup(&f), 0);
            p.f[d] = f;
            p.f[d]->options.queue_limit = 40;
            fixture_restart(p.f[d]);
        }
        run_round(&p);
        for (int d = 0; d < DRIVERS; d++) {
            void *f = p.f[d];
            assert_int_equal(fixture_teardown(&f), 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_drivers_agree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
