#include "engine/effects.h"

#include "engine/engine_priv.h"

#include <string.h>

#include "base/assert.h"

void effects_init(struct effects *fx)
{
    *fx = (struct effects){0};
    arena_init(&fx->arena);
}

void effects_reset(struct effects *fx)
{
    VEC_EACH (&fx->actions, i) {
        if (fx->actions.at[i].kind == ENGINE_ACT_START) {
            runbook_unref(fx->actions.at[i].start.runbook);
        }
    }
    VEC_CLEAR(&fx->records);
    VEC_CLEAR(&fx->actions);
    arena_reset(&fx->arena);
}

void effects_deinit(struct effects *fx)
{
    effects_reset(fx);
    VEC_DEINIT(&fx->records);
    VEC_DEINIT(&fx->actions);
    arena_deinit(&fx->arena);
}

struct workflow_row effects_row(struct effects *fx,
                                const struct workflow_row *row)
{
    struct workflow_row copy = *row;
    copy.runbook_path = arena_str(&fx->arena, row->runbook_path);
    copy.runbook_name = arena_str(&fx->arena, row->runbook_name);
    copy.runbook_commit = arena_str(&fx->arena, row->runbook_commit);
    copy.subject = arena_str(&fx->arena, row->subject);
    copy.parameters = arena_str(&fx->arena, row->parameters);
    copy.requested_by = arena_str(&fx->arena, row->requested_by);
    copy.stopped_by = arena_str(&fx->arena, row->stopped_by);
    copy.error = arena_str(&fx->arena, row->error);
    return copy;
}

void effects_record(struct effects *fx, enum record_kind kind,
                    const struct workflow_row *row)
{
    ASSERT(kind == RECORD_WORKFLOW_NEW || kind == RECORD_WORKFLOW_SET);
    VEC_PUSH(&fx->records,
             (struct record){.kind = kind, .workflow = effects_row(fx, row)});
}

void effects_attempt(struct effects *fx, enum record_kind kind,
                     const struct attempt_row *row)
{
    ASSERT(kind == RECORD_ATTEMPT_NEW || kind == RECORD_ATTEMPT_SET);
    struct record r = {.kind = kind, .attempt = *row};
    r.attempt.error = arena_str(&fx->arena, row->error);
    r.attempt.outputs = arena_str(&fx->arena, row->outputs);
    VEC_PUSH(&fx->records, r);
}

void effects_audit(struct effects *fx, const struct audit_row *row)
{
    struct record r = {.kind = RECORD_AUDIT, .audit = *row};
    r.audit.who = arena_str(&fx->arena, row->who);
    r.audit.action = arena_str(&fx->arena, row->action);
    r.audit.subject = arena_str(&fx->arena, row->subject);
    r.audit.before = arena_str(&fx->arena, row->before);
    r.audit.after = arena_str(&fx->arena, row->after);
    VEC_PUSH(&fx->records, r);
}

static const uint64_t *instants(struct effects *fx, const uint64_t *at,
                                uint32_t count)
{
    if (count == 0) {
        return NULL;
    }
    uint64_t *copy = ARENA_ARRAY(&fx->arena, count, uint64_t);
    memcpy(copy, at, count * sizeof(*at));
    return copy;
}

void effects_memory(struct effects *fx, enum record_kind kind,
                    const struct memory_row *row)
{
    ASSERT(kind == RECORD_MEMORY_SET || kind == RECORD_MEMORY_DROP);
    struct record r = {.kind = kind, .memory = *row};
    r.memory.runbook_path = arena_str(&fx->arena, row->runbook_path);
    r.memory.trigger = arena_str(&fx->arena, row->trigger);
    r.memory.key = arena_str(&fx->arena, row->key);
    r.memory.events_ms = instants(fx, row->events_ms, row->event_count);
    r.memory.starts_ms = instants(fx, row->starts_ms, row->start_count);
    VEC_PUSH(&fx->records, r);
}

void effects_watch(struct effects *fx, enum record_kind kind,
                   const struct watch_row *row)
{
    ASSERT(kind == RECORD_WATCH_SET || kind == RECORD_WATCH_DROP);
    struct record r = {.kind = kind, .watch = *row};
    r.watch.runbook_path = arena_str(&fx->arena, row->runbook_path);
    r.watch.trigger = arena_str(&fx->arena, row->trigger);
    r.watch.key = arena_str(&fx->arena, row->key);
    r.watch.alert = arena_str(&fx->arena, row->alert);
    r.watch.parameters = arena_str(&fx->arena, row->parameters);
    r.watch.error = arena_str(&fx->arena, row->error);
    r.watch.held = arena_str(&fx->arena, row->held);
    r.watch.changes_ms = instants(fx, row->changes_ms, row->change_count);
    VEC_PUSH(&fx->records, r);
}

void effects_due(struct effects *fx, const struct watch_row *row)
{
    struct action a = {
        .kind = ENGINE_ACT_DUE,
        .due = {.runbook_path = arena_str(&fx->arena, row->runbook_path),
                .trigger = arena_str(&fx->arena, row->trigger),
                .key = arena_str(&fx->arena, row->key),
                .parameters = arena_str(&fx->arena, row->parameters),
                .error = arena_str(&fx->arena, row->error)},
    };
    effects_action(fx, a);
}

void effects_action(struct effects *fx, struct action action)
{
    VEC_PUSH(&fx->actions, action);
}

void effects_start(struct effects *fx, const struct flow *f,
                   const struct engine_config *config)
{
    const struct attempt_row *attempt = flow_attempt(f);
    const struct step *step = &f->runbook->steps[attempt->key.step_no];
    struct action a = {
        .kind = ENGINE_ACT_START,
        .start = {.key = attempt->key,
                  .executor = attempt->executor,
                  .runbook = runbook_ref(f->runbook),
                  .parameters = arena_str(&fx->arena, f->row.parameters),
                  .created_ms = f->row.created_ms,
                  .now_ms = attempt->requested_ms,
                  .timeout_ms = step->timeout_ms,
                  .grace_ms = config->stop_grace_ms},
    };
    struct err err = ERR_INIT;
    int r = gate_told(f, &fx->arena, &a.start.steps, &err);
    ASSERT(r == 0); /* gate_stops lets no other begin */
    VEC_PUSH(&fx->actions, a);
}
