/*
 * Whom a step of a runbook may run as: what our own configuration permits, and
 * what the runbook's writers may decide. Asked for every start, and for whole
 * runbooks when the engine pins them, so that what will be refused is known
 * before somebody needs it.
 */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "proc/trust.h"

#define WHY_SIZE 512

static bool matches(const char *const *globs, const char *path)
{
    for (; *globs != NULL; globs++) {
        if (fnmatch(*globs, path, FNM_PATHNAME | FNM_PERIOD) == 0) {
            return true;
        }
    }
    return false;
}

/* What lets this runbook run a step as the user: a rule that names the runbook,
 * or else one for all runbooks; NULL: nothing does. */
static const struct executor_run_as *
find_rule(const struct executor_run_as *rule, const char *user,
          const char *path)
{
    const struct executor_run_as *general = NULL;
    for (; rule != NULL && rule->user != NULL; rule++) {
        if (strcmp(rule->user, user) != 0) {
            continue;
        }
        if (rule->runbooks == NULL) {
            general = rule;
        } else if (matches(rule->runbooks, path)) {
            return rule;
        }
    }
    return general;
}

/* The user that the step names, if the configuration permits that. */
static int permit_run_as(const struct executor_options *o,
                         const struct runbook *rb, struct str name,
                         struct permit *ret, struct err *reterr)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    const char *user = arena_strdup(&a, name);
    const char *path = arena_strdup(&a, rb->path);
    const struct executor_run_as *rule =
        find_rule(o->run_as_allowed, user, path);
    if (rule == NULL) {
        return err_set(reterr, -EPERM,
                       "run_as: executor.run_as_allowed does not permit %s to "
                       "%s",
                       user, path);
    }
    int e = spawn_user_find(user, &ret->user, reterr);
    ret->has_user = e == 0;
    if (e == 0 && ret->user.uid == 0 && rule->runbooks == NULL) {
        return err_set(reterr, -EPERM,
                       "run_as: %s is root, which executor.run_as_allowed must "
                       "permit to %s by name",
                       user, path);
    }
    return e;
}

static int choose_user(const struct executor_options *o,
                       const struct runbook *rb, uint32_t step_no,
                       struct permit *ret, struct err *reterr)
{
    struct str run_as = rb->steps[step_no].run_as;
    if (run_as.len != 0) {
        return permit_run_as(o, rb, run_as, ret, reterr);
    }
    if (o->default_user == NULL) {
        return 0;
    }
    int e = spawn_user_find(o->default_user, &ret->user, reterr);
    ret->has_user = e == 0;
    return e;
}

void permit_deinit(struct permit *p)
{
    if (p->has_user) {
        spawn_user_deinit(&p->user);
        p->has_user = false;
    }
}

/* What others than root can write does not run as root. */
int permit_step(const struct executor_options *o, const struct runbook *rb,
                uint32_t step_no, const struct trust *trust, struct permit *ret,
                struct err *reterr)
{
    int e = choose_user(o, rb, step_no, ret, reterr);
    uid_t uid = ret->has_user ? ret->user.uid : geteuid();
    if (e == 0 && uid == 0 && !trust->root) {
        char why[WHY_SIZE];
        trust_why(trust, why, sizeof(why));
        return err_set(reterr, -EPERM,
                       "a step runs as root only from a runbook that only root "
                       "can write: %s; chown root, or set %s",
                       why, ret->has_user ? "another run_as" : "executor.user");
    }
    return e;
}

int permit_runbook(const struct executor_options *o, const struct runbook *rb,
                   const struct trust *trust, bool named, struct err *reterr)
{
    int e = 0;
    for (uint32_t i = 0; e == 0 && i < rb->step_count; i++) {
        const struct step *step = &rb->steps[i];
        bool again = i != 0 && str_eq(step->run_as, step[-1].run_as);
        /* Of a runbook that only root can write anybody may run a step. */
        bool plain = step->run_as.len == 0 && (named || trust->root);
        if (again || plain) {
            continue;
        }
        struct permit p = {0};
        e = permit_step(o, rb, i, trust, &p, reterr);
        permit_deinit(&p);
        if (e < 0) {
            (void)err_wrap(reterr, "step %u", (unsigned)i + 1);
        }
    }
    return e;
}
