#include "trial/trial.h"

#include <string.h>

#include "base/assert.h"
#include "base/heap.h"
#include "base/mem.h"
#include "model/step_outputs.h"
#include "runtime/runtime.h"

#define ANSWER_MS 1000

/* An attempt that the executor runs. */
struct running {
    struct attempt_key key;
    struct id executor;
    uint64_t started_ms;
    enum attempt_state state; /* as it will end */
    int32_t exit_code;
    char *error;
    char *outputs;
    struct heap_node end; /* never in the heap: it hangs */
    struct running *next;
};

struct trial {
    struct trial_options options;
    struct engine *engine;
    struct effects fx;
    struct match_job job; /* made anew for each event */
    struct event event;
    uint64_t now_ms;
    uint64_t minted;
    uint64_t claims; /* a bit for each worker that waits for events */
    uint64_t claim_no;
    uint64_t event_seq;
    struct id executor;
    struct heap ends;
    struct running *running;
    VEC(struct due_question) dues; /* to be answered */
    struct arena due_arena;
};

uint64_t trial_now_ms(const struct trial *t)
{
    return t->now_ms;
}

const struct engine *trial_engine(const struct trial *t)
{
    return t->engine;
}

struct id trial_mint_id(struct trial *t)
{
    uint8_t number[10] = {0};
    uint64_t n = ++t->minted;
    for (size_t i = 0; i < 8; i++) {
        number[9 - i] = (uint8_t)(n >> (8 * i));
    }
    return id_make(t->now_ms, number);
}

/* ---- the executor -------------------------------------------------------- */

static bool is_key(const struct attempt_key *a, const struct attempt_key *b)
{
    return id_eq(a->workflow_id, b->workflow_id) && a->step_no == b->step_no &&
           a->attempt == b->attempt;
}

static struct running *find(struct trial *t, const struct attempt_key *key)
{
    struct running *r = t->running;
    while (r != NULL && !is_key(&r->key, key)) {
        r = r->next;
    }
    return r;
}

static void drop(struct trial *t, struct running *gone)
{
    struct running **at = &t->running;
    while (*at != gone) {
        at = &(*at)->next;
    }
    *at = gone->next;
    heap_remove(&t->ends, &gone->end);
    mem_free(gone->error);
    mem_free(gone->outputs);
    mem_free(gone);
}

/* The executor's render, or its refusal. */
static void render(const struct action *a, struct arena *arena,
                   struct rendered_step *step, struct trial_attempt *attempt)
{
    struct err e = ERR_INIT;
    const struct step_values values = {
        .workflow_id = a->start.key.workflow_id,
        .params_json = a->start.parameters,
        .steps_json = a->start.steps,
        .created_ms = a->start.created_ms,
        .now_ms = a->start.now_ms,
    };
    if (step_render(a->start.runbook, a->start.key.step_no, &values, arena,
                    step, &e) == 0) {
        attempt->rendered = step;
    } else {
        attempt->refused = arena_str(arena, str_c(e.message));
    }
}

/* What the step tells, as the executor would have it. */
static void tell(const struct action *a, struct running *r,
                 const struct trial_answer *answer)
{
    const struct step *step = &a->start.runbook->steps[a->start.key.step_no];
    const struct step_ending end = {
        .exit_code = r->exit_code, .out = answer->out, .err = answer->err};
    bool failed = r->state == ATTEMPT_FAILED;
    struct arena arena = ARENA_INIT;
    struct str json = STR("");
    struct err e = ERR_INIT;
    if (step_outputs_eval(step, &end, failed, &arena, &json, &e) == 0) {
        r->outputs = str_dup(json);
    } else {
        r->state = ATTEMPT_FAILED;
        r->error = str_dup(str_c(e.message));
    }
    arena_deinit(&arena);
}

/* An attempt is over when its answer says, or when its own time is. */
static void plan(struct trial *t, const struct action *a, struct running *r,
                 const struct trial_answer *answer)
{
    uint64_t limit_ms = a->start.timeout_ms;
    bool over = answer->hangs || answer->after_ms > limit_ms;
    r->exit_code = over ? -1 : answer->exit_code;
    r->state = over                     ? ATTEMPT_TIMED_OUT
               : answer->exit_code == 0 ? ATTEMPT_SUCCEEDED
                                        : ATTEMPT_FAILED;
    if (!over) {
        tell(a, r, answer);
    }
    heap_set(&t->ends, &r->end,
             t->now_ms + (over ? limit_ms : answer->after_ms));
}

static void begin(struct trial *t, const struct action *a)
{
    struct arena arena = ARENA_INIT;
    struct rendered_step step = {0};
    struct trial_answer answer = {.after_ms = ANSWER_MS};
    struct trial_attempt attempt = {.key = a->start.key,
                                    .runbook = a->start.runbook};
    if (find(t, &a->start.key) != NULL) {
        return; /* asked again: it goes on */
    }
    render(a, &arena, &step, &attempt);
    t->options.hooks.attempt(t->options.hooks.context, &attempt, &answer);
    struct running *r = MEM_NEW(struct running);
    r->key = a->start.key;
    r->executor = a->start.executor;
    r->started_ms = t->now_ms;
    r->next = t->running;
    t->running = r;
    if (attempt.rendered == NULL) {
        r->state = ATTEMPT_REFUSED;
        r->exit_code = -1;
        r->error = str_dup(attempt.refused);
        heap_set(&t->ends, &r->end, t->now_ms);
    } else {
        plan(t, a, r, &answer);
    }
    arena_deinit(&arena);
}

/* TERM is always enough here. */
static void stop(struct trial *t, const struct attempt_key *key)
{
    struct running *r = find(t, key);
    if (r != NULL) {
        r->state = ATTEMPT_CANCELLED;
        r->exit_code = -1;
        heap_set(&t->ends, &r->end, t->now_ms);
    }
}

/* ---- the engine ---------------------------------------------------------- */

static void act(struct trial *t, const struct action *a)
{
    switch (a->kind) {
    case ENGINE_ACT_CLAIM:
        t->claims |= UINT64_C(1) << a->claim.worker;
        return;
    case ENGINE_ACT_START:
        begin(t, a);
        return;
    case ENGINE_ACT_STOP:
        stop(t, &a->stop.key);
        return;
    case ENGINE_ACT_DUE:
        VEC_PUSH(&t->dues, due_question_of(a, &t->due_arena));
        return;
    case ENGINE_ACT_FORGET:
    case ENGINE_ACT_REPLY:
        return;
    case ENGINE_ACT_KINDS:
        break;
    }
    UNREACHABLE();
}

static void take(struct trial *t, struct fact *fact)
{
    fact->now_ms = t->now_ms;
    fact->entropy = ++t->minted;
    effects_reset(&t->fx);
    engine_step(t->engine, fact, &t->fx);
    for (size_t i = 0;
         t->options.hooks.record != NULL && i < t->fx.records.count; i++) {
        t->options.hooks.record(t->options.hooks.context, &t->fx.records.at[i]);
    }
    VEC_EACH (&t->fx.actions, i) {
        act(t, &t->fx.actions.at[i]);
    }
}

/* What is due is answered at once, when nothing else is being done. */
static void answer_dues(struct trial *t)
{
    for (size_t i = 0; i < t->dues.count; i++) {
        CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
        const struct due_question q = t->dues.at[i];
        const struct due_source from = {.generation = t->options.generation,
                                        .now_ms = t->now_ms};
        struct fact fact = due_answer(&q, &from, &a);
        fact.due.workflow_id = trial_mint_id(t);
        take(t, &fact);
    }
    VEC_CLEAR(&t->dues);
    arena_reset(&t->due_arena);
}

static void step(struct trial *t, struct fact *fact)
{
    take(t, fact);
    answer_dues(t);
}

static void end(struct trial *t, struct running *r)
{
    struct fact started = {.kind = FACT_STEP_STARTED,
                           .started = {.key = r->key,
                                       .executor = r->executor,
                                       .pid = 2,
                                       .started_ms = r->started_ms}};
    struct fact ended = {
        .kind = FACT_STEP_ENDED,
        .ended = {.row = {.key = r->key,
                          .state = r->state,
                          .executor = r->executor,
                          .pid = r->state == ATTEMPT_REFUSED ? 0 : 2,
                          .started_ms = r->started_ms,
                          .finished_ms = t->now_ms,
                          .exit_code = r->exit_code,
                          .error = str_c(r->error),
                          .outputs = str_c(r->outputs)}},
    };
    if (r->state != ATTEMPT_REFUSED) {
        step(t, &started);
    }
    step(t, &ended);
    drop(t, r);
}

/* As runtime_set_generation. */
static void tell_generation(struct trial *t)
{
    struct absent_triggers absent = {0};
    due_absent(t->options.generation, &absent);
    struct fact fact = {
        .kind = FACT_GENERATION,
        .generation = {absent.items.at, (uint32_t)absent.items.count}};
    step(t, &fact);
    VEC_DEINIT(&absent.items);
}

struct trial *trial_new(const struct trial_options *options)
{
    ASSERT(options->hooks.attempt != NULL);
    struct trial *t = MEM_NEW(struct trial);
    t->options = *options;
    t->options.generation = generation_ref(options->generation);
    t->now_ms = options->now_ms;
    t->engine = engine_new(&options->config);
    effects_init(&t->fx);
    arena_init(&t->job.arena);
    arena_init(&t->due_arena);
    t->executor = trial_mint_id(t);
    struct fact up = {.kind = FACT_EXECUTOR_UP,
                      .executor = {.executor = t->executor}};
    struct fact start = {.kind = FACT_START};
    step(t, &start);
    step(t, &up);
    tell_generation(t);
    return t;
}

void trial_free(struct trial *t)
{
    if (t == NULL) {
        return;
    }
    while (t->running != NULL) {
        drop(t, t->running);
    }
    heap_deinit(&t->ends);
    VEC_DEINIT(&t->dues);
    arena_deinit(&t->due_arena);
    arena_deinit(&t->job.arena);
    effects_deinit(&t->fx);
    engine_free(t->engine);
    generation_unref(t->options.generation);
    mem_free(t);
}

/* As runtime_job_done: ids are minted when the match is taken. */
static void mint_workflow_ids(struct trial *t)
{
    for (uint32_t m = 0; m < t->job.events[0].match_count; m++) {
        t->job.matches[0][m].workflow_id = trial_mint_id(t);
    }
}

static uint32_t take_claim(struct trial *t)
{
    uint32_t worker = (uint32_t)__builtin_ctzll(t->claims);
    t->claims &= t->claims - 1;
    return worker;
}

bool trial_event(struct trial *t, const struct event *event)
{
    struct match_job *job = &t->job;
    if (t->claims == 0) {
        return false;
    }
    t->event = *event;
    t->event.seq = ++t->event_seq;
    t->event.attempt = 1;
    arena_reset(&job->arena);
    job->worker = take_claim(t);
    job->generation = t->options.generation;
    job->input =
        (struct match_input){.now_ms = t->now_ms, .zones = t->options.zones};
    job->claim.op.claim.events = &t->event;
    job->claim.op.claim.count = 1;
    match_job_run(job);
    mint_workflow_ids(t);
    if (t->options.hooks.matched != NULL) {
        t->options.hooks.matched(t->options.hooks.context, &job->events[0]);
    }
    struct fact fact = {.kind = FACT_BATCH_MATCHED,
                        .batch = {.worker = job->worker,
                                  .claim = ++t->claim_no,
                                  .events = job->events,
                                  .count = 1,
                                  .commit = t->options.generation->commit}};
    step(t, &fact);
    return true;
}

void trial_run(struct trial *t, struct runbook *rb, struct str parameters)
{
    struct fact fact = {.kind = FACT_RUN_REQUESTED,
                        .run = {.runbook = rb,
                                .commit = t->options.generation->commit,
                                .workflow_id = trial_mint_id(t),
                                .parameters = parameters,
                                .requested_by = STR("trial")}};
    step(t, &fact);
}

bool trial_advance(struct trial *t, uint64_t until_ms, uint64_t steps_max)
{
    struct fact due = {.kind = FACT_TIME};
    uint64_t steps = 0;
    for (;;) {
        struct heap_node *node = heap_min(&t->ends);
        uint64_t end_ms = node != NULL ? node->key : UINT64_MAX;
        uint64_t due_ms = engine_next_deadline_ms(t->engine);
        uint64_t next_ms = MIN(end_ms, due_ms);
        if (next_ms > until_ms) {
            break;
        }
        if (++steps > steps_max) {
            return false;
        }
        t->now_ms = MAX(t->now_ms, next_ms);
        if (end_ms <= due_ms) {
            end(t, CONTAINER_OF(node, struct running, end));
        } else {
            step(t, &due);
        }
    }
    t->now_ms = MAX(t->now_ms, until_ms);
    return true;
}
