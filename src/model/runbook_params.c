#include "model/runbook_load_priv.h"

#include "model/params_value.h"

static bool is_param_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        bool lower = c >= 'a' && c <= 'z';
        bool later = (c >= '0' && c <= '9') || c == '_';
        if (!lower && (i == 0 || !later)) {
            return false;
        }
    }
    return s.len != 0 && s.len <= RUNBOOK_WORD_MAX_BYTES;
}

const struct param *runbook_param(const struct runbook *rb, struct str name,
                                  const char **ret_nearest)
{
    const char *names[RUNBOOK_MAX_PARAMS];
    for (uint32_t i = 0; i < rb->param_count; i++) {
        if (str_eq(rb->params[i].name, name)) {
            return &rb->params[i];
        }
        names[i] = rb->params[i].name.at;
    }
    *ret_nearest = str_nearest(name, names, rb->param_count);
    return NULL;
}

void param_read_type(struct loader *l, const struct yaml_node *n, void *object)
{
    struct param *p = object;
    struct str text = yaml_text(n);
    if (param_type_parse(text, &p->type) == 0) {
        return;
    }
    const char *names[PARAM_TYPES];
    for (unsigned i = 0; i < PARAM_TYPES; i++) {
        names[i] = param_type_name((enum param_type)i);
    }
    const char *nearest = str_nearest(text, names, PARAM_TYPES);
    struct err *e = loader_error(
        l, n,
        "expected string, integer, number, boolean, enum or duration, got "
        "'%.*s'",
        (int)MIN(text.len, 60U), text.at != NULL ? text.at : "");
    if (nearest != NULL) {
        err_hint(e, "did you mean '%s'?", nearest);
    }
}

void param_read_pattern(struct loader *l, const struct yaml_node *n,
                        void *object)
{
    struct param *p = object;
    struct str text = STR_NULL;
    if (p->type != PARAM_STRING) {
        (void)loader_error(l, n, "only a string parameter has a pattern");
        return;
    }
    if (!loader_read_text(l, n, PATTERN_MAX_BYTES, false, &text)) {
        return;
    }
    struct err e = ERR_INIT;
    if (pattern_compile(text, &p->pattern, &e) < 0) {
        (void)err_wrap(&e, "at character %u", (unsigned)e.at.column);
        loader_report(l, n, &e);
    }
}

void param_read_values(struct loader *l, const struct yaml_node *n,
                       void *object)
{
    struct param *p = object;
    if (p->type != PARAM_ENUM) {
        err_hint(loader_error(l, n, "only an enum parameter has values"),
                 "write type: enum");
        return;
    }
    if (!loader_is_list(l, n, RUNBOOK_MAX_VALUES)) {
        return;
    }
    uint32_t count = (uint32_t)yaml_count(n);
    p->values = ARENA_ARRAY(&l->rb->arena, MAX(count, 1U), struct str);
    for (uint32_t i = 0; i < count; i++) {
        const struct yaml_node *item = yaml_item(n, i);
        size_t mark = loader_enter(l, "[%u]", (unsigned)i);
        (void)loader_read_text(l, item, RUNBOOK_PARAM_VALUE_MAX_BYTES, false,
                               &p->values[i]);
        for (uint32_t j = 0; j < i; j++) {
            if (p->values[i].len != 0 && str_eq(p->values[i], p->values[j])) {
                (void)loader_error(l, item, "this value stands twice");
            }
        }
        loader_leave(l, mark);
    }
    p->value_count = count;
}

/* A quoted "90" is a text, not an integer; strings take what is written. */
static bool default_fits(const struct param *p, const struct yaml_node *n)
{
    bool is_text = p->type == PARAM_STRING || p->type == PARAM_ENUM ||
                   p->type == PARAM_DURATION;
    return yaml_kind(n) == YAML_SCALAR && !yaml_is_null(n) &&
           (is_text || yaml_is_plain(n));
}

void param_read_default(struct loader *l, const struct yaml_node *n,
                        void *object)
{
    struct param *p = object;
    if (!default_fits(p, n)) {
        (void)loader_error(l, n, "expected %s, got %s",
                           param_type_expected(p->type), yaml_kind_text(n));
        return;
    }
    struct err e = ERR_INIT;
    if (param_from_text(p, yaml_text(n), &l->rb->arena, &p->default_text, &e) <
        0) {
        loader_report(l, n, &e);
        return;
    }
    p->has_default = true;
}

static void check_declaration(struct loader *l, const struct yaml_node *n,
                              const struct param *p)
{
    if (p->type == PARAM_ENUM && p->value_count == 0) {
        (void)loader_error(l, n, "an enum needs 'values', a list of texts");
    }
    if (p->required && p->has_default) {
        (void)loader_warning(l, yaml_place(n),
                             "a parameter with a default is never missing: "
                             "'required' has no effect");
    }
    if (p->secret && p->has_default) {
        err_hint(loader_error(l, n,
                              "the default of a secret would stand in the "
                              "repository for everyone to read"),
                 "give it when the runbook is executed, or have the step read "
                 "it from a file");
    }
}

void runbook_read_params(struct loader *l, const struct yaml_node *n,
                         void *object)
{
    struct runbook *rb = object;
    if (!loader_is_map(l, n, RUNBOOK_MAX_PARAMS)) {
        return;
    }
    size_t count = yaml_count(n);
    rb->params = ARENA_ARRAY(&rb->arena, MAX(count, (size_t)1), struct param);
    for (size_t i = 0; i < count; i++) {
        struct str name = yaml_text(yaml_key(n, i));
        size_t mark =
            loader_enter(l, ".%.*s", (int)MIN(name.len, 64U), name.at);
        struct param *p = &rb->params[rb->param_count++];
        p->name = arena_str(&rb->arena, name);
        if (!is_param_name(name)) {
            err_hint(loader_error(l, yaml_key(n, i),
                                  "'%.*s' is not a parameter name",
                                  (int)MIN(name.len, 64U), name.at),
                     "lower-case letters, digits and _, a letter first");
        }
        loader_read_map(l, yaml_value(n, i), &runbook_param_keys, p);
        check_declaration(l, yaml_value(n, i), p);
        loader_leave(l, mark);
    }
}
