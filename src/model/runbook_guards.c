/* `guards:` of a runbook: what may hold its workflows back. */
#include "model/runbook_load_priv.h"

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
