/* `guards:` and `concurrency:` of a runbook: what may hold its workflows back.
 */
#include "model/runbook_guards.h"

void runbook_read_guards(struct loader *l, const struct yaml_node *n,
                         void *object)
{
    loader_read_map(l, n, &runbook_guard_keys, object);
}

void guard_read_max_starts(struct loader *l, const struct yaml_node *n,
                           void *object)
{
    loader_read_map(l, n, &runbook_max_starts_keys, object);
}

/* What is left away is as in the configuration's defaults. */
void guard_read_breaker(struct loader *l, const struct yaml_node *n,
                        void *object)
{
    struct runbook *rb = object;
    if (yaml_kind(n) == YAML_SCALAR && str_eq_c(yaml_text(n), "false")) {
        rb->guards.breaker_off = true;
        return;
    }
    if (yaml_kind(n) != YAML_MAPPING) {
        err_hint(loader_error(l, n, "this is no breaker"),
                 "write {failures: 5, within: 30m, open_for: 15m}, or false "
                 "for none");
        return;
    }
    rb->guards.breaker = GUARD_BREAKER_DEFAULT;
    rb->guards.breaker_given = true;
    loader_read_map(l, n, &runbook_breaker_keys, object);
}

/* A number, or a mapping that also says what becomes of what is too much. */
void runbook_read_concurrency(struct loader *l, const struct yaml_node *n,
                              void *object)
{
    struct runbook *rb = object;
    int64_t limit = 0;
    struct err e = ERR_INIT;
    if (yaml_kind(n) == YAML_MAPPING) {
        loader_read_map(l, n, &runbook_concurrency_keys, object);
    } else if (yaml_int(n, 1, RUNBOOK_MAX_CONCURRENT, &limit, &e) < 0) {
        loader_report(l, n, &e);
    } else {
        rb->max_concurrent = (uint32_t)limit;
    }
}

void guard_read_on_limit(struct loader *l, const struct yaml_node *n,
                         void *object)
{
    struct runbook *rb = object;
    struct str word = STR_NULL;
    const char *names[ON_LIMITS];
    if (!loader_read_text(l, n, RUNBOOK_WORD_MAX_BYTES, false, &word)) {
        return;
    }
    for (size_t i = 0; i < ON_LIMITS; i++) {
        names[i] = guard_on_limit_name(i);
        if (str_eq_c(word, names[i])) {
            rb->guards.on_limit = (enum guard_on_limit)i;
            return;
        }
    }
    const char *nearest = str_nearest(word, names, ON_LIMITS);
    struct err *e =
        loader_error(l, n, "'%.*s' is not one of them", STR_ARG(word));
    if (nearest != NULL) {
        err_hint(e, "did you mean '%s'?", nearest);
    } else {
        err_hint(e, "write queue, drop or replace");
    }
}

static void check_part(struct loader *l, const struct yaml_node *n,
                       const struct template_part *part)
{
    struct str path = part->text;
    struct str root = STR_NULL;
    struct str name = STR_NULL;
    const char *nearest = NULL;
    if (part->kind != TEMPLATE_PATH || !template_path_next(&path, &root) ||
        !str_eq_c(root, "parameters") || !template_path_next(&path, &name) ||
        path.len != 0) {
        err_hint(loader_error(l, n, "%.*s has no place in a target",
                              STR_ARG(part->source)),
                 "name what a workflow changes: ${{ parameters.NAME }}");
        return;
    }
    const struct param *p = runbook_param(l->rb, name, &nearest);
    if (p != NULL && p->secret) {
        (void)loader_error(l, n, "'%.*s' is secret, and a target is shown",
                           STR_ARG(name));
    } else if (p == NULL) {
        struct err *e =
            loader_error(l, n, "there is no parameter '%.*s'", STR_ARG(name));
        if (nearest != NULL) {
            err_hint(e, "did you mean '%s'?", nearest);
        }
    }
}

/* Only parameters: what a workflow is about must follow from what it is given,
 * also after a restart. */
void guard_read_target(struct loader *l, const struct yaml_node *n,
                       void *object)
{
    struct runbook *rb = object;
    struct template *t = ARENA_NEW(&rb->arena, struct template);
    if (!loader_read_template(l, n, t)) {
        return;
    }
    rb->guards.target = t;
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->parts[i].kind != TEMPLATE_TEXT) {
            check_part(l, n, &t->parts[i]);
        }
    }
}
