/*
 * Drives an engine by hand. Every step checks the engine's invariants, applies
 * its records to a shadow of the store (legal transitions, revisions without
 * gaps), restores a second engine from that shadow and compares the hashes
 * (I8). What a step gave is rendered as one line of text:
 *
 *   event 7 processed       a record: the event is done
 *   new A running           a record: workflow A is born
 *   set A waiting +5000     a record: its row changed (wakes in 5 s)
 *   try A 0.1 starting      a record: attempt 1 of step 0
 *   put A 0.1 failed        a record: that attempt changed
 *   keep k 2+1              a record: of key k, 2 events and 1 start are known
 *   forget k                a record: nothing is, any more
 *   watch k firing due +5000  a record: of key k, due in 5 s
 *   unwatch k               a record: nothing is watched of it
 *   CLAIM 0 / START A 0.1 / TERM A 0.1 / KILL A 0.1 / FORGET A 0.1
 *   REPLY 0 running / DUE k actions
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "engine/engine.h"

#define EPOCH_MS 1700000000000ULL
#define SHADOW_MAX 64
#define SHADOW_ATTEMPTS_MAX 64
#define SHADOW_MEMORIES_MAX 64
#define TRIGGERS 4 /* of each runbook */

struct shadow {
    struct workflow_row row;
    struct runbook *runbook;
    struct attempt_row attempts[SHADOW_ATTEMPTS_MAX];
    uint32_t attempt_count;
};

struct bench {
    struct engine_config config;
    struct engine *engine;
    struct effects fx;
    uint64_t now_ms;
    uint64_t entropy;
    struct id executor;
    struct arena arena; /* strings of the shadow */
    struct shadow shadow[SHADOW_MAX];
    uint32_t shadow_count;
    struct memory_row memories[SHADOW_MEMORIES_MAX];
    uint32_t memory_count;
    struct watch_row watches[SHADOW_MEMORIES_MAX];
    uint32_t watch_count;
    struct strbuf text;
    struct runbook *runbooks[8];
    uint32_t runbook_count;
};

/* A step; unless told otherwise it tries once, for 60 s. */
#define STEP(...) ((struct step){__VA_ARGS__})

/* Workflows and executors are called by one letter. */
static inline struct id id_of(char letter)
{
    struct id id = ID_NULL;
    id.bytes[0] = 1;
    id.bytes[15] = (uint8_t)letter;
    return id;
}

static inline struct runbook *bench_runbook(struct bench *b, const char *path,
                                            const struct step *steps,
                                            uint32_t count)
{
    struct runbook *rb = MEM_NEW(struct runbook);
    rb->refs = 1;
    arena_init(&rb->arena);
    rb->path = arena_str(&rb->arena, str_c(path));
    rb->name = rb->path;
    rb->hash.bytes[0] = (uint8_t)(b->runbook_count + 1);
    rb->steps = ARENA_ARRAY(&rb->arena, count, struct step);
    memcpy(rb->steps, steps, count * sizeof(*steps));
    rb->step_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct step *step = &rb->steps[i];
        step->name = STR("check");
        step->timeout_ms = step->timeout_ms != 0 ? step->timeout_ms : 60000;
        step->max_attempts = MAX(step->max_attempts, 1U);
        if (step->section == SECTION_STEPS && step->rollback != 0) {
            rb->steps[step->rollback].rollback = i;
        }
    }
    static const char *const names[TRIGGERS] = {"#1", "#2", "#3", "#4"};
    rb->triggers = ARENA_ARRAY(&rb->arena, TRIGGERS, struct trigger);
    rb->trigger_count = TRIGGERS;
    for (uint32_t i = 0; i < TRIGGERS; i++) {
        rb->triggers[i].name = str_c(names[i]);
    }
    assert_true(b->runbook_count < ARRAY_LEN(b->runbooks));
    b->runbooks[b->runbook_count++] = rb;
    return rb;
}

#define RUNBOOK(b, path, ...)                                                  \
    bench_runbook((b), (path), (const struct step[]){__VA_ARGS__},             \
                  ARRAY_LEN(((const struct step[]){__VA_ARGS__})))

static inline struct bench *bench_new(void)
{
    struct bench *b = MEM_NEW(struct bench);
    b->config = ENGINE_CONFIG_DEFAULT;
    b->config.workers = 1;
    b->now_ms = EPOCH_MS;
    b->executor = id_of('x');
    b->text = STRBUF_INIT(65536);
    effects_init(&b->fx);
    return b;
}

static inline void bench_free(struct bench *b)
{
    engine_free(b->engine);
    effects_deinit(&b->fx);
    arena_deinit(&b->arena);
    strbuf_deinit(&b->text);
    for (uint32_t i = 0; i < b->runbook_count; i++) {
        assert_int_equal(b->runbooks[i]->refs, 1); /* all given back */
        runbook_unref(b->runbooks[i]);
    }
    mem_free(b);
}

/* ---- the shadow store ---------------------------------------------------- */

static inline struct shadow *shadow_find(struct bench *b, struct id id)
{
    for (uint32_t i = 0; i < b->shadow_count; i++) {
        if (id_eq(b->shadow[i].row.id, id)) {
            return &b->shadow[i];
        }
    }
    return NULL;
}

static inline struct str kept(struct bench *b, struct str s)
{
    return arena_str(&b->arena, s);
}

static inline void shadow_workflow(struct bench *b, const struct record *r)
{
    const struct workflow_row *row = &r->workflow;
    struct shadow *s = shadow_find(b, row->id);
    if (r->kind == RECORD_WORKFLOW_NEW) {
        assert_null(s);
        assert_int_equal(row->rev, 1);
        assert_true(b->shadow_count < SHADOW_MAX);
        s = &b->shadow[b->shadow_count++];
        for (uint32_t i = 0; i < b->runbook_count; i++) {
            if (memcmp(&b->runbooks[i]->hash, &row->runbook_hash,
                       sizeof(row->runbook_hash)) == 0) {
                s->runbook = b->runbooks[i];
            }
        }
        assert_non_null(s->runbook);
    } else {
        assert_non_null(s);
        assert_int_equal(row->rev, s->row.rev + 1);
        assert_true(workflow_status_may(s->row.status, row->status));
        assert_true(row->stop >= s->row.stop);
    }
    s->row = *row;
    s->row.runbook_path = kept(b, row->runbook_path);
    s->row.runbook_name = kept(b, row->runbook_name);
    s->row.runbook_commit = kept(b, row->runbook_commit);
    s->row.parameters = kept(b, row->parameters);
    s->row.subject = kept(b, row->subject);
    s->row.requested_by = kept(b, row->requested_by);
    s->row.stopped_by = kept(b, row->stopped_by);
    s->row.error = kept(b, row->error);
}

static inline void shadow_attempt(struct bench *b, const struct record *r)
{
    const struct attempt_row *row = &r->attempt;
    struct shadow *s = shadow_find(b, row->key.workflow_id);
    assert_non_null(s);
    struct attempt_row *at = NULL;
    for (uint32_t i = 0; i < s->attempt_count; i++) {
        struct attempt_row *a = &s->attempts[i];
        if (a->key.step_no == row->key.step_no &&
            a->key.attempt == row->key.attempt) {
            at = a;
        }
        /* I4: none of the others is in flight. */
        assert_true(at == a || attempt_state_is_final(a->state));
    }
    if (r->kind == RECORD_ATTEMPT_NEW) {
        assert_null(at);
        assert_true(s->attempt_count < SHADOW_ATTEMPTS_MAX);
        at = &s->attempts[s->attempt_count++];
    } else if (at == NULL || !attempt_state_may(at->state, row->state)) {
        fail();
        return;
    }
    *at = *row;
    at->error = kept(b, row->error);
    at->outputs = kept(b, row->outputs);
}

static inline const uint64_t *kept_instants(struct bench *b, const uint64_t *at,
                                            uint32_t count)
{
    uint64_t *copy = ARENA_ARRAY(&b->arena, MAX(count, 1U), uint64_t);
    for (uint32_t i = 0; i < count; i++) {
        copy[i] = at[i];
    }
    return copy;
}

static inline void shadow_memory(struct bench *b, const struct record *r)
{
    const struct memory_row *row = &r->memory;
    uint32_t i = 0;
    while (i < b->memory_count &&
           !(str_eq(b->memories[i].runbook_path, row->runbook_path) &&
             str_eq(b->memories[i].trigger, row->trigger) &&
             str_eq(b->memories[i].key, row->key))) {
        i++;
    }
    if (r->kind == RECORD_MEMORY_DROP) {
        assert_true(i < b->memory_count);
        b->memories[i] = b->memories[--b->memory_count];
        return;
    }
    assert_true(i < SHADOW_MEMORIES_MAX);
    b->memory_count = MAX(b->memory_count, i + 1);
    b->memories[i] = *row;
    b->memories[i].runbook_path = kept(b, row->runbook_path);
    b->memories[i].trigger = kept(b, row->trigger);
    b->memories[i].key = kept(b, row->key);
    b->memories[i].events_ms =
        kept_instants(b, row->events_ms, row->event_count);
    b->memories[i].starts_ms =
        kept_instants(b, row->starts_ms, row->start_count);
}

static inline void shadow_watch(struct bench *b, const struct record *r)
{
    const struct watch_row *row = &r->watch;
    uint32_t i = 0;
    while (i < b->watch_count &&
           !(str_eq(b->watches[i].runbook_path, row->runbook_path) &&
             str_eq(b->watches[i].trigger, row->trigger) &&
             str_eq(b->watches[i].key, row->key))) {
        i++;
    }
    if (r->kind == RECORD_WATCH_DROP) {
        assert_true(i < b->watch_count);
        b->watches[i] = b->watches[--b->watch_count];
        return;
    }
    assert_true(i < SHADOW_MEMORIES_MAX);
    b->watch_count = MAX(b->watch_count, i + 1);
    b->watches[i] = *row;
    b->watches[i].runbook_path = kept(b, row->runbook_path);
    b->watches[i].trigger = kept(b, row->trigger);
    b->watches[i].key = kept(b, row->key);
    b->watches[i].alert = kept(b, row->alert);
    b->watches[i].parameters = kept(b, row->parameters);
    b->watches[i].error = kept(b, row->error);
    b->watches[i].held = kept(b, row->held);
    b->watches[i].changes_ms =
        kept_instants(b, row->changes_ms, row->change_count);
}

static inline void shadow_apply(struct bench *b)
{
    VEC_EACH (&b->fx.records, i) {
        const struct record *r = &b->fx.records.at[i];
        if (r->kind == RECORD_WORKFLOW_NEW || r->kind == RECORD_WORKFLOW_SET) {
            shadow_workflow(b, r);
        } else if (r->kind == RECORD_ATTEMPT_NEW ||
                   r->kind == RECORD_ATTEMPT_SET) {
            shadow_attempt(b, r);
        } else if (r->kind == RECORD_MEMORY_SET ||
                   r->kind == RECORD_MEMORY_DROP) {
            shadow_memory(b, r);
        } else if (r->kind == RECORD_WATCH_SET ||
                   r->kind == RECORD_WATCH_DROP) {
            shadow_watch(b, r);
        }
    }
}

/* A new engine that has loaded what the shadow holds. */
static inline struct engine *shadow_restore(struct bench *b)
{
    struct engine *e = engine_new(&b->config);
    for (uint32_t i = 0; i < b->shadow_count; i++) {
        const struct shadow *s = &b->shadow[i];
        if (workflow_status_is_final(s->row.status)) {
            continue;
        }
        engine_restore(e, &s->row, s->runbook, s->attempts, s->attempt_count);
    }
    for (uint32_t i = b->memory_count; i-- > 0;) {
        engine_restore_memory(e, &b->memories[i]);
    }
    for (uint32_t i = b->watch_count; i-- > 0;) {
        engine_restore_watch(e, &b->watches[i]);
    }
    engine_check(e);
    return e;
}

/* ---- the rendering ------------------------------------------------------- */

static inline void say(struct bench *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
static inline void say(struct bench *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    if (b->text.len != 0) {
        strbuf_addc(&b->text, "; ");
    }
    strbuf_addv(&b->text, fmt, args);
    va_end(args);
}

static inline void say_key(struct bench *b, const char *verb,
                           const struct attempt_key *k)
{
    say(b, "%s %c %u.%u", verb, k->workflow_id.bytes[15], k->step_no,
        k->attempt);
}

static inline void say_workflow(struct bench *b, const char *verb,
                                const struct workflow_row *row)
{
    say(b, "%s %c %s", verb, row->id.bytes[15],
        workflow_status_name(row->status));
    if (row->wake_ms != 0) {
        strbuf_addf(&b->text, " +%" PRIu64, row->wake_ms - b->now_ms);
    }
    if (row->error.len != 0) {
        strbuf_addf(&b->text, " (%.*s)", STR_ARG(row->error));
    }
}

static inline void say_watch(struct bench *b, const struct record *r)
{
    const struct watch_row *row = &r->watch;
    bool set = r->kind == RECORD_WATCH_SET;
    say(b, "%s %.*s", set ? "watch" : "unwatch", STR_ARG(row->key));
    if (set && row->state != EVENT_STATE_NONE) {
        strbuf_addf(&b->text, " %s", event_state_name(row->state));
    }
    if (set && row->due_ms != 0) {
        strbuf_addf(&b->text, " due +%" PRIu64, row->due_ms - b->now_ms);
    }
    if (set && row->held.len != 0) {
        strbuf_addf(&b->text, " (%.*s)", STR_ARG(row->held));
    }
}

static inline void say_record(struct bench *b, const struct record *r)
{
    switch (r->kind) {
    case RECORD_EVENT_DONE:
        say(b, "event %" PRIu64 " %s", r->event_done.seq,
            event_status_name(r->event_done.status));
        if (r->event_done.status == EVENT_SUPPRESSED) {
            strbuf_addf(&b->text, " (%.*s)", STR_ARG(r->event_done.error));
        }
        return;
    case RECORD_WORKFLOW_NEW:
        say_workflow(b, "new", &r->workflow);
        return;
    case RECORD_WORKFLOW_SET:
        say_workflow(b, "set", &r->workflow);
        return;
    case RECORD_ATTEMPT_NEW:
        say_key(b, "try", &r->attempt.key);
        return;
    case RECORD_ATTEMPT_SET:
        say_key(b, "put", &r->attempt.key);
        strbuf_addf(&b->text, " %s", attempt_state_name(r->attempt.state));
        return;
    case RECORD_EVENTS_FREE:
        say(b, "free %llu", (unsigned long long)r->free_claim);
        return;
    case RECORD_REQUEST:
        strbuf_addf(&b->text, "key %.*s", STR_ARG(r->request.key));
        return;
    case RECORD_AUDIT:
        say(b, "audit %.*s %.*s %.*s -> %.*s", STR_ARG(r->audit.who),
            STR_ARG(r->audit.action), STR_ARG(r->audit.before),
            STR_ARG(r->audit.after));
        return;
    case RECORD_MEMORY_SET:
        say(b, "keep %.*s %u+%u", STR_ARG(r->memory.key), r->memory.event_count,
            r->memory.start_count);
        return;
    case RECORD_MEMORY_DROP:
        say(b, "forget %.*s", STR_ARG(r->memory.key));
        return;
    case RECORD_WATCH_SET:
    case RECORD_WATCH_DROP:
        say_watch(b, r);
        return;
    case RECORD_OUTPUT:
    case RECORD_EVENTS_MOVE:
    case RECORD_EVENTS_RANK:
    case RECORD_EVENTS_DROP:
    case RECORD_WORKFLOW_DROP:
    case RECORD_SETTING:
    case RECORD_NOTICE_NEW:
    case RECORD_NOTICE_TRIED:
    case RECORD_VERDICT:
    case RECORD_KINDS:
        break;
    }
    fail();
}

static inline void say_action(struct bench *b, const struct action *a)
{
    switch (a->kind) {
    case ENGINE_ACT_CLAIM:
        say(b, "CLAIM %u", a->claim.worker);
        return;
    case ENGINE_ACT_START:
        say_key(b, "START", &a->start.key);
        return;
    case ENGINE_ACT_STOP:
        say_key(b, a->stop.kill ? "KILL" : "TERM", &a->stop.key);
        return;
    case ENGINE_ACT_FORGET:
        say_key(b, "FORGET", &a->forget.key);
        return;
    case ENGINE_ACT_REPLY:
        say(b, "REPLY %d", a->reply.result);
        if (a->reply.result == 0) {
            strbuf_addf(&b->text, " %s", workflow_status_name(a->reply.status));
        }
        return;
    case ENGINE_ACT_DUE:
        say(b, "DUE %.*s", STR_ARG(a->due.key));
        return;
    case ENGINE_ACT_KINDS:
        break;
    }
    fail();
}

/* ---- facts --------------------------------------------------------------- */

/* Takes the fact and returns what came of it, as text. */
static inline const char *take(struct bench *b, struct fact fact)
{
    fact.now_ms = b->now_ms;
    fact.entropy = b->entropy;
    effects_reset(&b->fx);
    strbuf_reset(&b->text);
    engine_step(b->engine, &fact, &b->fx);
    engine_check(b->engine);
    shadow_apply(b);
    struct engine *other = shadow_restore(b);
    assert_true(engine_hash(other) == engine_hash(b->engine));
    engine_free(other);
    VEC_EACH (&b->fx.records, i) {
        say_record(b, &b->fx.records.at[i]);
    }
    VEC_EACH (&b->fx.actions, i) {
        say_action(b, &b->fx.actions.at[i]);
    }
    return b->text.len != 0 ? b->text.at : "";
}

static inline const char *up(struct bench *b, char letter)
{
    b->executor = id_of(letter);
    return take(
        b, (struct fact){.kind = FACT_EXECUTOR_UP, .executor = {b->executor}});
}

static inline const char *down(struct bench *b)
{
    return take(b, (struct fact){.kind = FACT_EXECUTOR_DOWN});
}

/* Starts the engine; the only claim is out, the executor 'x' is up. */
static inline void begin(struct bench *b)
{
    b->engine = engine_new(&b->config);
    assert_string_equal(take(b, (struct fact){.kind = FACT_START}), "CLAIM 0");
    assert_string_equal(up(b, 'x'), "");
}

static inline const char *run(struct bench *b, struct runbook *rb, char letter)
{
    return take(b, (struct fact){.kind = FACT_RUN_REQUESTED,
                                 .run = {.runbook = rb,
                                         .commit = STR("c0ffee"),
                                         .workflow_id = id_of(letter),
                                         .parameters = STR("{\"a\":1}"),
                                         .requested_by = STR("uid:0"),
                                         .reply = b}});
}

static inline const char *stop(struct bench *b, char letter,
                               enum stop_request how)
{
    return take(b, (struct fact){.kind = FACT_STOP_REQUESTED,
                                 .stop = {.workflow_id = id_of(letter),
                                          .how = how,
                                          .requested_by = STR("uid:7"),
                                          .reply = b}});
}

static inline struct attempt_key key_of(char letter, uint32_t step,
                                        uint32_t attempt)
{
    return (struct attempt_key){
        .workflow_id = id_of(letter), .step_no = step, .attempt = attempt};
}

static inline const char *started(struct bench *b, char letter, uint32_t step,
                                  uint32_t attempt)
{
    return take(b, (struct fact){.kind = FACT_STEP_STARTED,
                                 .started = {key_of(letter, step, attempt),
                                             b->executor, 77, b->now_ms}});
}

static inline const char *ended_row(struct bench *b, struct attempt_row row)
{
    if (id_is_null(row.executor)) {
        row.executor = b->executor;
    }
    return take(b, (struct fact){.kind = FACT_STEP_ENDED, .ended = {row}});
}

static inline const char *ended(struct bench *b, char letter, uint32_t step,
                                uint32_t attempt, enum attempt_state state)
{
    return ended_row(
        b, (struct attempt_row){.key = key_of(letter, step, attempt),
                                .state = state,
                                .finished_ms = b->now_ms,
                                .exit_code = state == ATTEMPT_FAILED ? 3 : -1});
}

/* Another life of the executor comes and knows nothing of the attempt. */
static inline const char *lost(struct bench *b, char life, char letter,
                               uint32_t attempt)
{
    struct attempt_row row = {.key = key_of(letter, 0, attempt),
                              .state = ATTEMPT_UNKNOWN,
                              .executor = b->executor,
                              .exit_code = -1,
                              .error = STR("it is gone")};
    (void)up(b, life);
    return ended_row(b, row);
}

/* Time passes; FACT_TIME comes. */
static inline const char *after(struct bench *b, uint64_t ms)
{
    b->now_ms += ms;
    return take(b, (struct fact){.kind = FACT_TIME});
}

static inline uint64_t next_in(const struct bench *b)
{
    return engine_next_deadline_ms(b->engine) - b->now_ms;
}

#define SAYS(call, expected) assert_string_equal((call), (expected))
