/* Rules about the keys of a step. */
#include "lint/lint_priv.h"

void lint_run_as_root(struct lint *l, const struct yaml_node *step)
{
    const struct yaml_node *user = yaml_get(step, STR("run_as"));
    if (user != NULL && str_eq_c(yaml_text(user), "root")) {
        (void)lint_add(l, yaml_place(user), "the step runs as root");
    }
}

/* More than one attempt? `retry:` without `attempts:` means several. */
static bool repeats(const struct yaml_node *retry)
{
    struct err ignored = ERR_INIT; /* the loader says it */
    int64_t attempts = 0;
    const struct yaml_node *n = yaml_kind(retry) == YAML_MAPPING
                                    ? yaml_get(retry, STR("attempts"))
                                    : retry;
    if (n == NULL) {
        return true;
    }
    return yaml_int(n, 1, RUNBOOK_MAX_STEPS, &attempts, &ignored) == 0 &&
           attempts > 1;
}

void lint_retry(struct lint *l, const struct yaml_node *step)
{
    struct err ignored = ERR_INIT;
    const struct yaml_node *retry = yaml_get(step, STR("retry"));
    const struct yaml_node *node = yaml_get(step, STR("idempotent"));
    bool idempotent = false;
    if (node != NULL && yaml_bool(node, &idempotent, &ignored) < 0) {
        return;
    }
    if (retry != NULL && !idempotent && repeats(retry)) {
        (void)lint_add(l, yaml_place(retry),
                       "the step is tried again, and does not say that this "
                       "does no harm");
    }
}

void lint_untested(struct lint *l)
{
    const struct yaml_node *tests = yaml_get(l->root, STR("tests"));
    if (yaml_get(l->root, STR("steps")) != NULL &&
        (tests == NULL || yaml_count(tests) == 0)) {
        (void)lint_add(l, yaml_place(l->root), "the runbook has no tests");
    }
}

void lint_timeout(struct lint *l, const struct yaml_node *step)
{
    if (yaml_get(step, STR("timeout")) == NULL) {
        (void)lint_add(l, yaml_place(step),
                       "the step has no timeout of its own: the configured one "
                       "ends it, 1m unless changed");
    }
}
