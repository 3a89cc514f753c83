/*
 * Commit before acting, in order:
 *
 *   fact -> engine_step -> records ---> store ... durable ---> actions
 *                                \                         /
 *                                 `-- struct commit waits -'
 *
 * The engine runs ahead of the disk: its memory is what the store will hold
 * once every submitted commit is durable. Nothing leaves the process on the
 * strength of that memory alone (I9); if a commit fails, the process ends and
 * recovers what is on disk.
 */
#include "runtime/runtime.h"

#include <errno.h>

#include "base/assert.h"
#include "base/mem.h"
#include "runtime/runtime_priv.h"

/* A jump of the wall clock; less is a correction in passing. */
#define CLOCK_SET_MS 1000

struct runtime *runtime_new(const struct runtime_ports *ports,
                            const struct engine_config *config,
                            uint32_t max_attempts)
{
    struct runtime *rt = MEM_NEW(struct runtime);
    uint64_t seed = 0;
    rt->ports = *ports;
    rt->engine = engine_new(config);
    rt->max_attempts = max_attempts;
    list_init(&rt->commits);
    ports->random(ports->context, &seed, sizeof(seed));
    prng_seed(&rt->prng, seed);
    return rt;
}

static void commit_free(struct commit *c)
{
    list_remove(&c->link);
    effects_deinit(&c->fx);
    mem_free(c);
}

void runtime_free(struct runtime *rt)
{
    if (rt == NULL) {
        return;
    }
    LIST_EACH_SAFE (&rt->commits, it, after) {
        commit_free(CONTAINER_OF(it, struct commit, link));
    }
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&rt->pins, &cursor)) != NULL) {
        struct pin *pin = entry->value;
        runbook_unref(pin->runbook);
        mem_free(pin);
    }
    map_deinit(&rt->pins);
    generation_unref(rt->generation);
    controls_unref(rt->controls);
    VEC_DEINIT(&rt->dues);
    arena_deinit(&rt->due_arena);
    engine_free(rt->engine);
    mem_free(rt->doubt);
    mem_free(rt);
}

struct id runtime_mint_id(struct runtime *rt)
{
    uint8_t random[10];
    rt->ports.random(rt->ports.context, random, sizeof(random));
    return id_make(rt->ports.now_ms(rt->ports.context), random);
}

void runtime_fail(struct runtime *rt, int errnum)
{
    if (!rt->failed) {
        rt->failed = true;
        rt->ports.fatal(rt->ports.context, errnum);
    }
}

static void submit(struct runtime *rt, struct store_op *op)
{
    rt->ops_in_flight++;
    rt->ports.submit(rt->ports.context, op);
}

static void act_all(struct runtime *rt, const struct effects *fx)
{
    VEC_EACH (&fx->actions, i) {
        runtime_act(rt, &fx->actions.at[i]);
    }
}

/* Performs what is due: the oldest commits, as far as they are durable. */
static void act_on_durable(struct runtime *rt)
{
    while (!list_empty(&rt->commits) && !rt->failed) {
        struct commit *c = CONTAINER_OF(rt->commits.next, struct commit, link);
        if (!c->durable) {
            return;
        }
        list_remove(&c->link);
        if (c->fx.records.count != 0 && rt->ports.committed != NULL) {
            rt->ports.committed(rt->ports.context, c->fx.records.at,
                                c->fx.records.count);
        }
#ifndef ADP_PLANT_ACT_BEFORE_COMMIT
        act_all(rt, &c->fx);
#endif
        commit_free(c);
    }
}

void runtime_commit(struct runtime *rt, struct effects *fx)
{
    if (rt->ports.enrich != NULL && fx->records.count != 0) {
        rt->ports.enrich(rt->ports.context, fx);
    }
    struct commit *c = MEM_NEW(struct commit);
    c->rt = rt;
    c->fx = *fx;
    effects_init(fx);
    list_push(&rt->commits, &c->link);
#ifdef ADP_PLANT_ACT_BEFORE_COMMIT
    act_all(rt, &c->fx); /* the bug that the simulator must find */
#endif
    if (c->fx.records.count == 0) {
        c->durable = true;
        act_on_durable(rt);
        return;
    }
    ASSERT(c->fx.records.count <= UINT32_MAX);
    c->ro.op = (struct store_op){
        .kind = STORE_APPLY,
        .unhurried = c->fx.actions.count == 0,
        .apply = {.records = c->fx.records.at,
                  .count = (uint32_t)c->fx.records.count},
    };
    submit(rt, &c->ro.op);
}

static void step(struct runtime *rt, struct fact *fact)
{
    struct effects fx;
    effects_init(&fx);
    fact->now_ms = rt->ports.now_ms(rt->ports.context);
    fact->entropy = prng_next(&rt->prng);
    engine_step(rt->engine, fact, &fx);
    if (fx.records.count != 0 || fx.actions.count != 0) {
        runtime_commit(rt, &fx);
    }
    effects_deinit(&fx);
}

/* Has the wall clock been set since the last look? Corrections in passing are
 * left alone: the engine's time only waits for them. */
static void look_at_clock(struct runtime *rt)
{
    int64_t ahead_ms = (int64_t)rt->ports.now_ms(rt->ports.context) -
                       (int64_t)rt->ports.elapsed_ms(rt->ports.context);
    int64_t shift_ms = ahead_ms - rt->clock_ahead_ms;
    bool set = rt->clock_known &&
               (shift_ms >= CLOCK_SET_MS || shift_ms <= -CLOCK_SET_MS);
    rt->clock_known = true;
    rt->clock_ahead_ms = ahead_ms;
    if (set) {
        struct fact fact = {.kind = FACT_CLOCK, .clock_shift_ms = shift_ms};
        step(rt, &fact);
    }
}

void runtime_take(struct runtime *rt, struct fact *fact)
{
    if (rt->failed) {
        return;
    }
    look_at_clock(rt);
    step(rt, fact);
    runtime_answer_dues(rt);
    rt->ports.wake(rt->ports.context, engine_next_deadline_ms(rt->engine));
}

void runtime_tick(struct runtime *rt)
{
    struct fact fact = {.kind = FACT_TIME};
    runtime_take(rt, &fact);
}

void runtime_pause(struct runtime *rt, bool pause)
{
    struct fact fact = {.kind = FACT_PAUSE, .pause = pause};
    runtime_take(rt, &fact);
}

void runtime_switch(struct runtime *rt, bool on, uint64_t since_ms)
{
    struct fact fact = {.kind = FACT_HALT,
                        .halt = {.on = on, .since_ms = since_ms}};
    runtime_take(rt, &fact);
}

void runtime_halt(struct runtime *rt)
{
    rt->failed = true;
}

void runtime_set_config(struct runtime *rt, const struct engine_config *c)
{
    struct fact fact = {.kind = FACT_CONFIG, .config = *c};
    runtime_take(rt, &fact);
}

/* ---- runbook versions ---------------------------------------------------- */

void runtime_pin(struct runtime *rt, struct runbook *rb)
{
    struct str hash =
        str_n((const char *)rb->hash.bytes, sizeof(rb->hash.bytes));
    if (map_get(&rt->pins, hash) != NULL) {
        return;
    }
    struct pin *pin = MEM_NEW(struct pin);
    pin->hash = rb->hash;
    pin->runbook = runbook_ref(rb);
    pin->rt = rt;
    pin->ro.op = (struct store_op){
        .kind = STORE_PIN,
        .pin = {.hash = rb->hash, .path = rb->path, .text = rb->text},
    };
    struct str key =
        str_n((const char *)pin->hash.bytes, sizeof(pin->hash.bytes));
    ASSERT(map_put(&rt->pins, key, pin) == NULL);
    submit(rt, &pin->ro.op);
}

static void pin_done(struct runtime *rt, struct pin *pin)
{
    int r = pin->ro.op.result;
    runbook_unref(pin->runbook);
    pin->runbook = NULL;
    if (pin->forgotten) {
        mem_free(pin);
    }
    if (r != 0 && r != -ECANCELED) {
        runtime_fail(rt, r);
    }
}

void runtime_forget_pins(struct runtime *rt)
{
    size_t cursor = 0;
    struct map_entry *entry;
    while ((entry = map_next(&rt->pins, &cursor)) != NULL) {
        struct pin *pin = entry->value;
        (void)map_remove(&rt->pins, entry->key);
        pin->forgotten = true;
        if (pin->runbook == NULL) {
            mem_free(pin);
        }
    }
}

void runtime_set_generation(struct runtime *rt, struct generation *g)
{
    generation_unref(rt->generation);
    rt->generation = g;
    rt->exec_pin_next = 0;
    runtime_exec_pin_more(rt);
    runtime_tell_generation(rt);
}

void runtime_set_controls(struct runtime *rt, struct controls *c)
{
    controls_unref(rt->controls);
    rt->controls = c;
}

/* ---- completions --------------------------------------------------------- */

static void claim_done(struct runtime *rt, struct store_op *op)
{
    struct match_job *job = CONTAINER_OF(op, struct match_job, claim.op);
    if (op->result == 0 && !rt->failed) {
        job->generation = generation_ref(rt->generation);
        job->controls =
            rt->controls != NULL ? controls_ref(rt->controls) : NULL;
        job->input.now_ms = rt->ports.now_ms(rt->ports.context);
        rt->ports.match(rt->ports.context, job);
        return;
    }
    if (op->result != 0 && op->result != -ECANCELED) {
        runtime_fail(rt, op->result);
    }
    arena_deinit(&job->arena);
    mem_free(job);
}

static void apply_done(struct runtime *rt, struct commit *c)
{
    if (c->ro.op.result != 0) {
        if (c->ro.op.result != -ECANCELED) {
            runtime_fail(rt, c->ro.op.result);
        }
        rt->failed = true; /* memory is ahead of the disk from here on */
        return;
    }
    c->durable = true;
    act_on_durable(rt);
    runtime_answer_dues(rt);
}

void runtime_op_done(struct runtime *rt, struct store_op *op)
{
    switch (op->kind) {
    case STORE_CLAIM:
        claim_done(rt, op);
        return;
    case STORE_APPLY:
        rt->ops_in_flight--;
        apply_done(rt, CONTAINER_OF(op, struct commit, ro.op));
        return;
    case STORE_PIN:
        rt->ops_in_flight--;
        pin_done(rt, CONTAINER_OF(op, struct pin, ro.op));
        return;
    case STORE_INGEST:
    case STORE_OP_KINDS:
        break;
    }
    UNREACHABLE();
}

static void mint_workflow_ids(struct runtime *rt, struct match_job *job,
                              uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct fact_event *event = &job->events[i];
        for (uint32_t m = 0; m < event->match_count; m++) {
            /* The job made this array; const only for the engine. */
            struct fact_match *match = job->matches[i] + m;
            match->workflow_id = runtime_mint_id(rt);
            runtime_pin(rt, match->runbook);
        }
    }
}

static void take_batch(struct runtime *rt, enum fact_kind kind,
                       struct match_job *job, uint32_t count)
{
    if (!rt->failed) {
        mint_workflow_ids(rt, job, count);
    }
    struct fact fact = {
        .kind = kind,
        .batch = {.worker = job->worker,
                  .claim = job->claim.op.claim.claim,
                  .events = count != 0 ? job->events : NULL,
                  .count = count,
                  .commit = job->generation->commit,
                  .digest = job->generation->digest},
    };
    runtime_take(rt, &fact);
}

void runtime_job_done(struct runtime *rt, struct match_job *job)
{
    take_batch(rt, FACT_BATCH_MATCHED, job, job->claim.op.claim.count);
    runtime_job_drop(job);
}

void runtime_job_drop(struct match_job *job)
{
    generation_unref(job->generation);
    controls_unref(job->controls);
    arena_deinit(&job->arena);
    mem_free(job);
}

/* Its thread may still be at work, but not with what it has counted. */
uint32_t runtime_batch_lost(struct runtime *rt, struct match_job *job)
{
    uint32_t count = atomic_load_explicit(&job->matched, memory_order_acquire);
    take_batch(rt, FACT_BATCH_LOST, job, count);
    return count;
}

/* ---- requests ------------------------------------------------------------ */

void runtime_request_run(struct runtime *rt,
                         const struct runtime_run_request *request)
{
    runtime_pin(rt, request->runbook);
    struct fact fact = {
        .kind = FACT_RUN_REQUESTED,
        .run = {.runbook = request->runbook,
                .commit = request->commit,
                .workflow_id = runtime_mint_id(rt),
                .parameters = request->parameters,
                .requested_by = request->requested_by,
                .dry_run = request->dry_run,
                .request = request->request,
                .resume = request->resume,
                .audit = request->audit,
                .reply = request->reply},
    };
    runtime_take(rt, &fact);
}

void runtime_request_stop(struct runtime *rt, struct id workflow,
                          enum stop_request how, struct str requested_by,
                          struct str audit, void *reply)
{
    struct fact fact = {
        .kind = FACT_STOP_REQUESTED,
        .stop = {.workflow_id = workflow,
                 .how = how,
                 .requested_by = requested_by,
                 .audit = audit,
                 .reply = reply},
    };
    runtime_take(rt, &fact);
}

void runtime_reset_guards(struct runtime *rt,
                          const struct runtime_reset *request)
{
    struct fact fact = {
        .kind = FACT_GUARD_RESET,
        .reset = {.runbook = request->runbook,
                  .trigger = request->trigger,
                  .key = request->key,
                  .any_key = request->any_key,
                  .requested_by = request->requested_by,
                  .audit = request->audit,
                  .reply = request->reply},
    };
    runtime_take(rt, &fact);
}

bool runtime_is_quiet(const struct runtime *rt)
{
    return rt->ops_in_flight == 0;
}

const struct engine *runtime_engine(const struct runtime *rt)
{
    return rt->engine;
}
