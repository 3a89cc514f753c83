/*
 * The runtime's side of the executor: actions become messages, messages
 * become facts. Output goes to the store without passing the engine: it
 * decides nothing.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "runtime/runtime_priv.h"

/* ---- actions to messages ------------------------------------------------- */

static void act_claim(struct runtime *rt, const struct action *action)
{
    struct match_job *job = MEM_NEW(struct match_job);
    job->worker = action->claim.worker;
    job->runtime = rt;
    job->claim.op = (struct store_op){
        .kind = STORE_CLAIM,
        .claim = {.limit = action->claim.limit,
                  .max_attempts = rt->max_attempts,
                  .arena = &job->arena},
    };
    rt->ports.submit(rt->ports.context, &job->claim.op);
}

static void send(struct runtime *rt, const struct exec_message *m)
{
    rt->ports.execute(rt->ports.context, m);
}

static void act_start(struct runtime *rt, const struct action *action)
{
    const struct runbook *rb = action->start.runbook;
    struct exec_message m = {
        .kind = EXEC_START,
        .start = {.key = action->start.key,
                  .executor = action->start.executor,
                  .path = rb->path,
                  .hash = rb->hash,
                  .parameters = action->start.parameters,
                  .steps = action->start.steps,
                  .created_ms = action->start.created_ms,
                  .now_ms = action->start.now_ms,
                  .timeout_ms = action->start.timeout_ms,
                  .grace_ms = action->start.grace_ms},
    };
    if (rt->ports.start != NULL) {
        rt->ports.start(rt->ports.context, rb, &m);
    } else {
        send(rt, &m);
    }
}

void runtime_act(struct runtime *rt, const struct action *action)
{
    struct exec_message m = {0};
    switch (action->kind) {
    case ENGINE_ACT_CLAIM:
        act_claim(rt, action);
        return;
    case ENGINE_ACT_START:
        act_start(rt, action);
        return;
    case ENGINE_ACT_STOP:
        m.kind = EXEC_STOP;
        m.stop.key = action->stop.key;
        m.stop.kill = action->stop.kill;
        m.stop.grace_ms = action->stop.grace_ms;
        send(rt, &m);
        return;
    case ENGINE_ACT_FORGET:
        m.kind = EXEC_FORGET;
        m.forget.key = action->forget.key;
        send(rt, &m);
        return;
    case ENGINE_ACT_REPLY:
        rt->ports.reply(rt->ports.context, action->reply.reply,
                        action->reply.result, action->reply.workflow_id,
                        action->reply.status);
        return;
    case ENGINE_ACT_DUE:
        runtime_ask_due(rt, action);
        return;
    case ENGINE_ACT_KINDS:
        break;
    }
    UNREACHABLE();
}

/* The executor keeps its own copy of every version in force, so that a file
 * edited or broken later cannot hurt what was decided on the old one. */
void runtime_exec_pin_more(struct runtime *rt)
{
    if (!rt->executor_up || rt->generation == NULL) {
        return;
    }
    while (rt->exec_pin_next < rt->generation->file_count &&
           rt->exec_pins_open < EXEC_PIN_WINDOW) {
        const struct runbook *rb =
            rt->generation->files[rt->exec_pin_next++].runbook;
        if (rb == NULL) {
            continue;
        }
        struct exec_message m = {
            .kind = EXEC_PIN,
            .pin = {.path = rb->path, .hash = rb->hash},
        };
        rt->exec_pins_open++;
        send(rt, &m);
    }
}

bool runtime_exec_pins_settled(const struct runtime *rt)
{
    return !rt->executor_up || rt->generation == NULL ||
           (rt->exec_pins_open == 0 &&
            rt->exec_pin_next == rt->generation->file_count);
}

/* ---- messages to facts --------------------------------------------------- */

static void executor_up(struct runtime *rt, struct id executor)
{
    rt->executor_up = true;
    rt->executor = executor;
    rt->exec_pin_next = 0;
    rt->exec_pins_open = 0;
    struct fact fact = {.kind = FACT_EXECUTOR_UP,
                        .executor = {.executor = executor}};
    runtime_take(rt, &fact);
    runtime_exec_pin_more(rt);
}

static void executor_down(struct runtime *rt)
{
    if (!rt->executor_up) {
        return;
    }
    rt->executor_up = false;
    struct fact fact = {.kind = FACT_EXECUTOR_DOWN};
    runtime_take(rt, &fact);
}

/* A chunk belongs to an attempt that the store already knows (its intent was
 * durable before the executor heard of it), and is durable before the outcome
 * that follows it on the same connection. */
static void output_came(struct runtime *rt, const struct output_chunk *chunk)
{
    struct effects fx;
    effects_init(&fx);
    struct record record = {.kind = RECORD_OUTPUT, .output = *chunk};
    record.output.data = arena_str(&fx.arena, chunk->data);
    VEC_PUSH(&fx.records, record);
    runtime_commit(rt, &fx);
    effects_deinit(&fx);
}

void runtime_executor_message(struct runtime *rt, const struct exec_message *m)
{
    struct fact fact = {0};
    if (rt->failed) {
        return;
    }
    if (m == NULL) {
        executor_down(rt);
        return;
    }
    switch (m->kind) {
    case EXEC_WELCOME:
        executor_up(rt, m->hello.executor);
        return;
    case EXEC_STARTED:
        fact.kind = FACT_STEP_STARTED;
        fact.started.key = m->started.key;
        fact.started.executor = rt->executor;
        fact.started.pid = m->started.pid;
        fact.started.started_ms = m->started.started_ms;
        runtime_take(rt, &fact);
        return;
    case EXEC_ENDED:
        fact.kind = FACT_STEP_ENDED;
        fact.ended.row = m->ended;
        runtime_take(rt, &fact);
        return;
    case EXEC_DEFERRED:
        fact.kind = FACT_STEP_DEFERRED;
        fact.deferred.key = m->deferred.key;
        fact.deferred.executor = rt->executor;
        fact.deferred.why = m->deferred.error;
        runtime_take(rt, &fact);
        return;
    case EXEC_OUTPUT:
        output_came(rt, &m->output);
        return;
    case EXEC_PINNED:
        if (rt->exec_pins_open > 0) {
            rt->exec_pins_open--;
        }
        runtime_exec_pin_more(rt);
        return;
    case EXEC_HELLO:
    case EXEC_START:
    case EXEC_STOP:
    case EXEC_FORGET:
    case EXEC_PIN:
    case EXEC_KINDS:
        break; /* not an executor's words: ignored */
    }
}
