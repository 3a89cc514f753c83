/* The keys of a trigger that watch over a time: on_resolve, for, absent,
 * flapping. */
#include "model/runbook_watch.h"

static const struct {
    const char *name;
    enum on_resolve what;
} resolves[] = {
    {"let_finish", RESOLVE_LET_FINISH},
    {"cancel", RESOLVE_CANCEL},
};

const char *trigger_resolve_word(size_t i)
{
    return i < ARRAY_LEN(resolves) ? resolves[i].name : NULL;
}

void trigger_read_on_resolve(struct loader *l, const struct yaml_node *n,
                             void *object)
{
    struct trigger *t = object;
    struct str text = yaml_text(n);
    for (size_t i = 0; i < ARRAY_LEN(resolves); i++) {
        if (str_eq_c(text, resolves[i].name)) {
            t->watch.on_resolve = resolves[i].what;
            return;
        }
    }
    err_hint(loader_error(l, n, "expected let_finish or cancel, got '%.*s'",
                          (int)MIN(text.len, 60U),
                          text.at != NULL ? text.at : ""),
             "to run something when it resolves, give another trigger "
             "state: resolved");
}

void trigger_read_absent(struct loader *l, const struct yaml_node *n,
                         void *object)
{
    loader_read_map(l, n, &runbook_absent_keys, object);
}

void trigger_read_flapping(struct loader *l, const struct yaml_node *n,
                           void *object)
{
    loader_read_map(l, n, &runbook_flapping_keys, object);
}

/* ---- what does not go together ------------------------------------------- */

static const struct {
    const char *key;
    const char *other;
    const char *why;
} apart[] = {
    {"absent", "for", "what is absent does not fire"},
    {"absent", "on_resolve", "what is absent does not resolve"},
    {"absent", "flapping", "what is absent does not change"},
    {"absent", "count", "what is absent cannot be counted"},
    {"for", "count", "one waits for a time, the other for further events"},
    {"flapping", "count", "events that are held back would count"},
};

static void check_pairs(struct loader *l, const struct yaml_node *n)
{
    for (size_t i = 0; i < ARRAY_LEN(apart); i++) {
        const struct yaml_node *key = yaml_get(n, str_c(apart[i].key));
        if (key != NULL && yaml_get(n, str_c(apart[i].other)) != NULL) {
            err_hint(loader_error(l, key, "'%s' and '%s' do not go together",
                                  apart[i].key, apart[i].other),
                     "%s: make two triggers of it", apart[i].why);
        }
    }
}

/* The first of its keys that needs to know when an alert is over. */
static const char *resolving_key(const struct trigger *t)
{
    return t->watch.for_ms != 0         ? "for"
           : t->watch.changes_most != 0 ? "flapping"
                                        : "on_resolve";
}

void trigger_check_watch(struct loader *l, const struct yaml_node *n,
                         const struct trigger *t)
{
    const char *key = resolving_key(t);
    check_pairs(l, n);
    if (!trigger_watch_resolves(&t->watch)) {
        return;
    }
    if (t->state != TRIGGER_ON_FIRING) {
        err_hint(loader_error(l, yaml_get(n, str_c(key)),
                              "'%s' is about alerts that fire", key),
                 "leave 'state' away, or make two triggers of it");
    }
    if (t->type.len != 0 && !str_eq_c(t->type, "alert") && t->when == NULL) {
        err_hint(loader_warning(l, t->at,
                                "'%s': nothing ends what events of type "
                                "'%.*s' begin",
                                key, STR_ARG(t->type)),
                 "add a condition: an event for which it is false ends it, "
                 "such as when: event.value > 90");
    }
}
