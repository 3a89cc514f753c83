#include "model/runbook_paths.h"

#include <string.h>

#include "model/event_json.h"
#include "model/params_value.h"
#include "model/runbook_watch.h"

static const struct {
    const char *name;
    enum trigger_state state;
} states[] = {
    {"firing", TRIGGER_ON_FIRING},
    {"resolved", TRIGGER_ON_RESOLVED},
    {"any", TRIGGER_ON_ANY},
};

const char *trigger_state_word(size_t i)
{
    return i < ARRAY_LEN(states) ? states[i].name : NULL;
}

void trigger_read_state(struct loader *l, const struct yaml_node *n,
                        void *object)
{
    struct trigger *t = object;
    struct str text = yaml_text(n);
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        if (str_eq_c(text, states[i].name)) {
            t->state = states[i].state;
            return;
        }
    }
    (void)loader_error(l, n, "expected firing, resolved or any, got '%.*s'",
                       (int)MIN(text.len, 60U), text.at != NULL ? text.at : "");
}

/* Room for `more` matchers; false after reporting when there are too many. */
static bool grow_matchers(struct loader *l, const struct yaml_node *n,
                          struct trigger *t, size_t more)
{
    if (t->matcher_count + more > RUNBOOK_MAX_MATCHERS) {
        (void)loader_error(l, n,
                           "a trigger has at most %d labels and "
                           "matchers",
                           RUNBOOK_MAX_MATCHERS);
        return false;
    }
    struct matcher *at = ARENA_ARRAY(
        &l->rb->arena, MAX(t->matcher_count + more, (size_t)1), struct matcher);
    if (t->matcher_count != 0) {
        memcpy(at, t->matchers, t->matcher_count * sizeof(*at));
    }
    t->matchers = at;
    return true;
}

/* A label name or value: any text, also an empty value (the label is absent
 * or empty). */
static bool read_label_text(struct loader *l, const struct yaml_node *n,
                            size_t min, size_t max, struct str *ret)
{
    struct err e = ERR_INIT;
    struct str text = STR_NULL;
    if (yaml_string(n, &text, &e) < 0) {
        loader_report(l, n, &e);
        return false;
    }
    if (text.len < min || text.len > max) {
        (void)loader_error(l, n, "expected %zu to %zu bytes, got %zu", min, max,
                           text.len);
        return false;
    }
    *ret = arena_str(&l->rb->arena, text);
    return true;
}

void trigger_read_labels(struct loader *l, const struct yaml_node *n,
                         void *object)
{
    struct trigger *t = object;
    if (!loader_is_map(l, n, RUNBOOK_MAX_MATCHERS) ||
        !grow_matchers(l, n, t, yaml_count(n))) {
        return;
    }
    for (size_t i = 0; i < yaml_count(n); i++) {
        const struct yaml_node *key = yaml_key(n, i);
        const struct yaml_node *value = yaml_value(n, i);
        struct matcher m = {.op = MATCH_EQ};
        struct str name = yaml_text(key);
        size_t mark =
            loader_enter(l, ".%.*s", (int)MIN(name.len, 64U), name.at);
        if (template_is_dynamic(yaml_text(value))) {
            (void)loader_error(l, value, "a label to match is constant text");
        }
        if (read_label_text(l, key, 1, EVENT_LABEL_NAME_MAX_BYTES, &m.name) &&
            read_label_text(l, value, 0, EVENT_LABEL_VALUE_MAX_BYTES,
                            &m.value)) {
            t->matchers[t->matcher_count++] = m;
        }
        loader_leave(l, mark);
    }
}

static void read_matcher(struct loader *l, const struct yaml_node *n,
                         struct trigger *t)
{
    struct err e = ERR_INIT;
    struct str text = STR_NULL;
    int r = yaml_string(n, &text, &e);
    if (r == 0) {
        r = matcher_parse(text, &l->rb->arena, &t->matchers[t->matcher_count],
                          &e);
        if (r < 0 && e.at.column != 0) {
            (void)err_wrap(&e, "at character %u", (unsigned)e.at.column);
        }
    }
    if (r < 0) {
        loader_report(l, n, &e);
        return;
    }
    t->matcher_count++;
}

void trigger_read_matchers(struct loader *l, const struct yaml_node *n,
                           void *object)
{
    struct trigger *t = object;
    bool is_list = yaml_kind(n) == YAML_SEQUENCE;
    size_t count = is_list ? yaml_count(n) : 1;
    if (!grow_matchers(l, n, t, count)) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        size_t mark = is_list ? loader_enter(l, "[%zu]", i) : l->field_len;
        read_matcher(l, is_list ? yaml_item(n, i) : n, t);
        loader_leave(l, mark);
    }
}

/* ---- parameters: -------------------------------------------------------- */

/* A text without paths is a constant: it can be checked now. */
static void check_constant(struct loader *l, const struct yaml_node *n,
                           const struct param *p, const struct template *t)
{
    if (t->count > 1 || (t->count == 1 && t->parts[0].kind != TEMPLATE_TEXT)) {
        return;
    }
    struct str text = t->count == 1 ? t->parts[0].text : STR("");
    struct err e = ERR_INIT;
    struct str canonical = STR_NULL;
    if (param_from_text(p, text, &l->rb->arena, &canonical, &e) < 0) {
        loader_report(l, n, &e);
    }
}

static void read_parameter(struct loader *l, const struct yaml_node *key,
                           const struct yaml_node *value, struct binding *b)
{
    const char *nearest = NULL;
    b->name = arena_str(&l->rb->arena, yaml_text(key));
    const struct param *p = runbook_param(l->rb, b->name, &nearest);
    if (p == NULL) {
        struct err *e = loader_error(l, key, "no parameter '%.*s' is declared",
                                     (int)MIN(b->name.len, 64U), b->name.at);
        if (nearest != NULL) {
            err_hint(e, "did you mean '%s'?", nearest);
        } else {
            err_hint(e, "declare it under 'parameters:' of the runbook");
        }
    }
    if (p != NULL && p->secret) {
        err_hint(loader_error(l, key,
                              "a trigger cannot fill the secret '%.*s': events "
                              "and runbooks are stored and shown",
                              STR_ARG(p->name)),
                 "give it when the runbook is executed, or have the step read "
                 "it from a file");
    }
    if (!loader_read_template(l, value, &b->value)) {
        return;
    }
    paths_check_trigger(l, value, &b->value, p);
    if (p != NULL) {
        check_constant(l, value, p, &b->value);
    }
}

void trigger_read_parameters(struct loader *l, const struct yaml_node *n,
                             void *object)
{
    struct trigger *t = object;
    if (!loader_is_map(l, n, RUNBOOK_MAX_PARAMS)) {
        return;
    }
    size_t count = yaml_count(n);
    t->parameters =
        ARENA_ARRAY(&l->rb->arena, MAX(count, (size_t)1), struct binding);
    for (size_t i = 0; i < count; i++) {
        struct str name = yaml_text(yaml_key(n, i));
        size_t mark =
            loader_enter(l, ".%.*s", (int)MIN(name.len, 64U), name.at);
        read_parameter(l, yaml_key(n, i), yaml_value(n, i), &t->parameters[i]);
        loader_leave(l, mark);
    }
    t->parameter_count = (uint32_t)count;
}

/* ---- what can never happen ---------------------------------------------- */

static bool fills(const struct trigger *t, struct str name)
{
    for (uint32_t i = 0; i < t->parameter_count; i++) {
        if (str_eq(t->parameters[i].name, name)) {
            return true;
        }
    }
    return false;
}

static void warn_unfilled(struct loader *l, const struct trigger *t)
{
    for (uint32_t i = 0; i < l->rb->param_count; i++) {
        const struct param *p = &l->rb->params[i];
        if (p->required && !p->has_default && !fills(t, p->name)) {
            err_hint(loader_warning(l, t->at,
                                    "the trigger does not fill the required "
                                    "parameter '%.*s': workflows that it "
                                    "starts will fail",
                                    STR_ARG(p->name)),
                     "add parameters: {%.*s: ${{ event.labels.NAME }}}",
                     STR_ARG(p->name));
        }
    }
}

/* Two "=" conditions on one label that ask for different values. */
static void warn_contradiction(struct loader *l, const struct trigger *t)
{
    for (uint32_t i = 0; i < t->matcher_count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            const struct matcher *a = &t->matchers[j];
            const struct matcher *b = &t->matchers[i];
            if (a->op == MATCH_EQ && b->op == MATCH_EQ &&
                str_eq(a->name, b->name) && !str_eq(a->value, b->value)) {
                (void)loader_warning(l, t->at,
                                     "the trigger never matches: label '%.*s' "
                                     "would need two values",
                                     STR_ARG(a->name));
                return;
            }
        }
    }
}

static void warn_unreachable(struct loader *l, const struct trigger *t)
{
    if (t->state == TRIGGER_ON_RESOLVED && t->type.len != 0 &&
        !str_eq_c(t->type, "alert")) {
        (void)loader_warning(l, t->at,
                             "the trigger never matches: only alerts resolve, "
                             "not events of type '%.*s'",
                             STR_ARG(t->type));
    }
    if (t->type.len == 0 && t->severity_count == 0 && t->source_count == 0 &&
        t->matcher_count == 0 && t->when == NULL) {
        (void)loader_warning(l, t->at,
                             "the trigger has no condition: every "
                             "event starts this runbook");
    }
    warn_contradiction(l, t);
}

static void read_trigger(struct loader *l, const struct yaml_node *n,
                         struct trigger *t)
{
    t->at = yaml_place(n);
    loader_read_map(l, n, &runbook_trigger_keys, t);
    if (yaml_get(n, STR("on")) != NULL && yaml_get(n, STR("state")) != NULL) {
        (void)loader_error(l, yaml_get(n, STR("on")),
                           "'on' and 'state' mean the same: write one of "
                           "them");
    }
    trigger_check_watch(l, n, t);
    warn_unreachable(l, t);
    warn_unfilled(l, t);
}

void runbook_read_triggers(struct loader *l, const struct yaml_node *n,
                           void *object)
{
    struct runbook *rb = object;
    if (!loader_is_list(l, n, RUNBOOK_MAX_TRIGGERS)) {
        return;
    }
    size_t count = yaml_count(n);
    rb->triggers =
        ARENA_ARRAY(&rb->arena, MAX(count, (size_t)1), struct trigger);
    rb->trigger_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        size_t mark = loader_enter(l, "[%zu]", i);
        read_trigger(l, yaml_item(n, i), &rb->triggers[i]);
        loader_leave(l, mark);
    }
    triggers_name(l, n);
}
