/* `when:` of a trigger: a condition in CEL, checked when it is loaded. */
#include "model/event_cel.h"
#include "model/runbook_paths.h"

static const struct cel_env *environment(struct loader *l)
{
    if (l->when_env == NULL) {
        l->when_env = event_cel_env(&l->rb->arena, EVENT_CEL_WHEN);
    }
    return l->when_env;
}

static struct cel_value no_value(void *context, uint32_t index,
                                 struct cel_run *run)
{
    (void)context;
    (void)index;
    return cel_fail(run, CEL_FAULT_UNDECLARED, "no event");
}

/* One that has a value without any event is the same for all of them. */
static void warn_constant(struct loader *l, const struct yaml_node *n,
                          const struct cel_program *p)
{
    const struct cel_input input = {.variable = no_value};
    struct arena scratch = ARENA_INIT;
    struct cel_value v =
        cel_program_run(p, &input, CEL_BUDGET_DEFAULT, &scratch);
    if (v.kind == CEL_BOOL) {
        (void)loader_warning(l, yaml_place(n),
                             "the condition is %s whatever the event",
                             v.boolean ? "true" : "false");
    }
    arena_deinit(&scratch);
}

void trigger_read_when(struct loader *l, const struct yaml_node *n,
                       void *object)
{
    struct trigger *t = object;
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct cel_program *p = NULL;
    struct err e = ERR_INIT;
    struct str text = STR_NULL;
    if (yaml_string(n, &text, &e) < 0) {
        loader_report(l, n, &e);
        return;
    }
    if (template_is_dynamic(text)) {
        err_hint(loader_error(l, n, "a condition is an expression already"),
                 "write it without ${{ }}: when: event.value > 90");
        return;
    }
    if (cel_program_new(environment(l), text, &l->rb->arena, &p, &issue) < 0) {
        loader_issue(l, n, &issue);
        return;
    }
    const struct cel_warnings *w = cel_program_warnings(p);
    for (uint32_t i = 0; i < w->count; i++) {
        loader_issue_warning(l, n, &w->items[i]);
    }
    warn_constant(l, n, p);
    t->when = p;
}
