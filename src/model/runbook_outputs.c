/* `when:` and `outputs:` of a step. */
#include "model/runbook_paths.h"
#include "model/step_cel.h"
#include "model/step_outputs.h"

static bool read_expression(struct loader *l, const struct yaml_node *n,
                            struct str *ret)
{
    struct err e = ERR_INIT;
    if (yaml_string(n, ret, &e) < 0) {
        loader_report(l, n, &e);
        return false;
    }
    if (template_is_dynamic(*ret)) {
        err_hint(loader_error(l, n, "this is an expression already"),
                 "write it without ${{ }}");
        return false;
    }
    return true;
}

static bool compile(struct loader *l, const struct yaml_node *n,
                    const struct cel_env *env, struct cel_program **ret)
{
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct str text = STR_NULL;
    if (!read_expression(l, n, &text)) {
        return false;
    }
    if (cel_program_new(env, text, &l->rb->arena, ret, &issue) < 0) {
        exprs_explain_event(&issue);
        loader_issue(l, n, &issue);
        return false;
    }
    const struct cel_warnings *w = cel_program_warnings(*ret);
    if (w->count != 0) {
        loader_issue(l, n, &w->items[0]);
        return false;
    }
    return true;
}

void step_read_when(struct loader *l, const struct yaml_node *n, void *object)
{
    struct step *s = object;
    struct cel_program *p = NULL;
    struct cel_env *env = ARENA_NEW(&l->rb->arena, struct cel_env);
    *env = *step_scope_env(exprs_scope(l));
    env->result = &cel_type_bool;
    if (!compile(l, n, env, &p)) {
        return;
    }
    const struct param *secret = exprs_secret(l->rb, p);
    if (secret != NULL) {
        (void)loader_error(l, n,
                           "'%.*s' is secret: a condition is decided and "
                           "explained where secrets are not known",
                           STR_ARG(secret->name));
        return;
    }
    step_scope_note(exprs_scope(l), p);
    s->when = p;
}

/* ---- outputs: ------------------------------------------------------------ */

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        bool lower = (s.at[i] >= 'a' && s.at[i] <= 'z') || s.at[i] == '_';
        bool digit = s.at[i] >= '0' && s.at[i] <= '9';
        if (!lower && (i == 0 || !digit)) {
            return false;
        }
    }
    return s.len != 0 && s.len <= RUNBOOK_WORD_MAX_BYTES;
}

/* What travels as JSON and comes back as it was. */
static void check_type(struct loader *l, const struct yaml_node *n,
                       const struct cel_program *p)
{
    const struct cel_type *type = cel_program_type(p);
    const char *hint = NULL;
    switch (type->kind) {
    case CEL_BOOL:
    case CEL_INT:
    case CEL_DOUBLE:
    case CEL_STRING:
    case CEL_LIST:
    case CEL_MAP:
    case CEL_DYN:
        return;
    case CEL_UINT:
        hint = "write int(x)";
        break;
    case CEL_OPTIONAL:
        hint = "add .orValue(...)";
        break;
    case CEL_ERROR:
    case CEL_NULL:
    case CEL_BYTES:
    case CEL_TIMESTAMP:
    case CEL_DURATION:
    case CEL_TYPE:
    case CEL_IP:
    case CEL_CIDR:
    case CEL_PARAM:
    case CEL_OPAQUE:
    case CEL_OBJECT:
        hint = "write string(x)";
        break;
    }
    struct strbuf text = STRBUF_INIT(120);
    cel_type_print(type, &text);
    err_hint(loader_error(l, n, "an output cannot be of type %s",
                          strbuf_str(&text).at),
             "%s", hint);
    strbuf_deinit(&text);
}

static void read_output(struct loader *l, const struct yaml_node *key,
                        const struct yaml_node *value, struct step_output *o)
{
    struct cel_program *p = NULL;
    struct str name = yaml_text(key);
    o->name = arena_str(&l->rb->arena, name);
    if (!is_name(name)) {
        (void)loader_error(l, key,
                           "'%.*s' is not a name: lower-case letters, digits "
                           "and _, a letter first",
                           (int)MIN(name.len, 64U), name.at);
    }
    if (compile(l, value, step_outputs_env(), &p)) {
        check_type(l, value, p);
        o->value = p;
    }
}

void step_read_outputs(struct loader *l, const struct yaml_node *n,
                       void *object)
{
    struct step *s = object;
    if (!loader_is_map(l, n, STEP_OUTPUTS_MAX)) {
        return;
    }
    if (s->id.len == 0) {
        err_hint(loader_error(l, n, "a step with outputs needs an id"),
                 "others name it by that: steps.ID.outputs.NAME");
    }
    s->output_count = (uint32_t)yaml_count(n);
    s->outputs =
        ARENA_ARRAY(&l->rb->arena, s->output_count, struct step_output);
    for (uint32_t i = 0; i < s->output_count; i++) {
        struct str name = yaml_text(yaml_key(n, i));
        size_t mark =
            loader_enter(l, ".%.*s", (int)MIN(name.len, 64U), name.at);
        read_output(l, yaml_key(n, i), yaml_value(n, i), &s->outputs[i]);
        loader_leave(l, mark);
    }
}
