/*
 * What is due by the time: the engine asks for the trigger as it is now, and
 * gets it as the next fact. The questions wait until nothing else is being
 * done, so that the answers cannot overtake other actions.
 */
#include "runtime/due.h"

#include "base/mem.h"
#include "model/params.h"
#include "runtime/runtime_priv.h"

/* ---- the answer ---------------------------------------------------------- */

struct due_question due_question_of(const struct action *action,
                                    struct arena *a)
{
    return (struct due_question){
        .runbook_path = arena_str(a, action->due.runbook_path),
        .trigger = arena_str(a, action->due.trigger),
        .key = arena_str(a, action->due.key),
        .parameters = arena_str(a, action->due.parameters),
        .error = arena_str(a, action->due.error),
    };
}

static bool find_trigger(const struct runbook *rb, struct str name,
                         uint32_t *ret_no)
{
    for (uint32_t i = 0; rb != NULL && i < rb->trigger_count; i++) {
        if (str_eq(rb->triggers[i].name, name)) {
            *ret_no = i;
            return true;
        }
    }
    return false;
}

/* The values that were kept, as the runbook wants them now; without an event
 * there are only constants and defaults. */
static void fill_parameters(const struct due_question *q, uint64_t now_ms,
                            struct arena *a, struct fact *fact)
{
    struct err err = ERR_INIT;
    const struct runbook *rb = fact->due.runbook;
    int r = 0;
    fact->due.parameters = STR("{}");
    fact->due.error = q->error;
    if (q->error.len != 0) {
        return;
    }
    if (q->parameters.len == 0) {
        const struct event none = {.type =
                                       rb->triggers[fact->due.trigger_no].type};
        const struct params_source from = {.event = &none, .now_ms = now_ms};
        r = params_from_event(rb, fact->due.trigger_no, &from, a,
                              &fact->due.parameters, &err);
    } else {
        json_auto_t *given = json_loadb(q->parameters.at, q->parameters.len,
                                        JSON_REJECT_DUPLICATES, NULL);
        r = params_check(rb, given, a, &fact->due.parameters, &err);
    }
    if (r < 0) {
        fact->due.parameters = STR("{}");
        fact->due.error = arena_str(a, str_c(err.message));
    }
}

static void fill_held_back(const struct controls *controls, struct arena *a,
                           struct fact *fact)
{
    const struct setting_row *row =
        controls != NULL ? controls_disabled(controls, fact->due.runbook_path)
                         : NULL;
    if (row == NULL) {
        return;
    }
    CLEANUP(strbuf_deinit) struct strbuf why = STRBUF_INIT(1024);
    controls_add_disabled(&why, fact->due.runbook_path, row);
    fact->due.held_back = arena_str(a, strbuf_str(&why));
}

struct fact due_answer(const struct due_question *q,
                       const struct due_source *from, struct arena *a)
{
    const struct generation *g = from->generation;
    struct fact fact = {.kind = FACT_DUE,
                        .due = {.runbook_path = q->runbook_path,
                                .trigger = q->trigger,
                                .key = q->key,
                                .commit = g->commit,
                                .held_back = STR("")}};
    struct runbook *rb = generation_runbook(g, q->runbook_path);
    if (find_trigger(rb, q->trigger, &fact.due.trigger_no)) {
        fact.due.runbook = rb;
        fill_parameters(q, from->now_ms, a, &fact);
        fill_held_back(from->controls, a, &fact);
    }
    return fact;
}

void due_absent(const struct generation *g, struct absent_triggers *ret)
{
    for (uint32_t i = 0; i < g->file_count; i++) {
        struct runbook *rb = g->files[i].runbook;
        for (uint32_t k = 0; rb != NULL && k < rb->trigger_count; k++) {
            const struct trigger *t = &rb->triggers[k];
            if (t->watch.absent_ms != 0 && t->dedup_count == 0) {
                VEC_PUSH(&ret->items, (struct fact_absent){rb, k});
            }
        }
    }
}

/* ---- of the runtime ------------------------------------------------------ */

void runtime_ask_due(struct runtime *rt, const struct action *action)
{
    VEC_PUSH(&rt->dues, due_question_of(action, &rt->due_arena));
}

static void answer(struct runtime *rt, const struct due_question *q)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    const struct due_source from = {rt->generation, rt->controls,
                                    rt->ports.now_ms(rt->ports.context)};
    struct fact fact = due_answer(q, &from, &a);
    if (fact.due.runbook != NULL) {
        fact.due.workflow_id = runtime_mint_id(rt);
        runtime_pin(rt, fact.due.runbook);
    }
    runtime_take(rt, &fact);
}

void runtime_answer_dues(struct runtime *rt)
{
    if (rt->answering || rt->generation == NULL) {
        return;
    }
    rt->answering = true;
    for (size_t i = 0; i < rt->dues.count && !rt->failed; i++) {
        const struct due_question q = rt->dues.at[i];
        answer(rt, &q);
    }
    VEC_CLEAR(&rt->dues);
    arena_reset(&rt->due_arena);
    rt->answering = false;
}

void runtime_tell_generation(struct runtime *rt)
{
    struct absent_triggers absent = {0};
    if (rt->generation == NULL || !rt->recovered) {
        return;
    }
    due_absent(rt->generation, &absent);
    struct fact fact = {
        .kind = FACT_GENERATION,
        .generation = {absent.items.at, (uint32_t)absent.items.count}};
    runtime_take(rt, &fact);
    VEC_DEINIT(&absent.items);
}
