/* Expressions of ${{ }}: compiled, and refused where they can give nothing. */
#include <string.h>

#include "model/event_cel.h"
#include "model/params_value.h"
#include "model/runbook_paths.h"
#include "model/step_cel.h"

#define EVENT_HINT                                                             \
    "declare a parameter, fill it in the trigger's 'parameters:' and use "     \
    "${{ parameters.NAME }} here"

static const struct cel_env *fill_env(struct loader *l)
{
    if (l->fill_env == NULL) {
        l->fill_env = event_cel_env(&l->rb->arena, EVENT_CEL_FILL);
    }
    return l->fill_env;
}

struct step_scope *exprs_scope(struct loader *l)
{
    if (l->scope == NULL) {
        l->scope = step_scope_new(l->rb, RUNBOOK_MAX_STEPS);
    }
    return l->scope;
}

void exprs_explain_event(struct cel_issue *issue)
{
    if (strstr(issue->err.message, "reference to 'event'") != NULL) {
        err_hint(&issue->err, EVENT_HINT);
    }
}

static bool compile(struct loader *l, const struct yaml_node *n,
                    struct template_part *part, const struct cel_env *env,
                    struct str text)
{
    struct cel_issue issue = CEL_ISSUE_INIT;
    if (template_compile(part, env, text, &l->rb->arena, &issue) < 0) {
        if (env != l->fill_env) {
            exprs_explain_event(&issue);
        }
        loader_issue(l, n, &issue);
        return false;
    }
    return true;
}

static const char *type_text(struct loader *l, const struct cel_type *type)
{
    CLEANUP(strbuf_deinit) struct strbuf b = STRBUF_INIT(120);
    cel_type_print(type, &b);
    return arena_strdup(&l->rb->arena, strbuf_str(&b));
}

/* What the expression gives when it gives something. */
static const struct cel_type *value_type(const struct template_part *part)
{
    const struct cel_type *type = cel_program_type(part->program);
    while (type->kind == CEL_OPTIONAL) {
        type = type->params[0];
    }
    return type;
}

/* Text has room for one value. */
static bool check_text(struct loader *l, const struct yaml_node *n,
                       const struct template_part *part)
{
    const struct cel_type *type = value_type(part);
    if (template_kind_fits(type->kind)) {
        return true;
    }
    struct err *e = loader_error_in(l, n, part->inside,
                                    "the expression gives %s, which is not "
                                    "one value",
                                    type_text(l, type));
    if (type->kind == CEL_LIST) {
        err_hint(e, "take one of them, [0], or join texts: .join(\",\")");
    } else if (type->kind == CEL_BYTES) {
        err_hint(e, "write string(x) or base64.encode(x)");
    } else {
        err_hint(e, "name the one that is meant, or write json.encode(x)");
    }
    return false;
}

/* An entry that is nothing but ${{ }} keeps its type. */
static bool check_param(struct loader *l, const struct yaml_node *n,
                        const struct template_part *part, const struct param *p)
{
    const struct cel_type *type = value_type(part);
    if (param_fits_kind(p, type->kind)) {
        return true;
    }
    struct err *e = loader_error_in(
        l, n, part->inside,
        "parameter '%.*s' takes %s, the expression gives "
        "%s",
        STR_ARG(p->name), param_type_expected(p->type), type_text(l, type));
    if (p->type == PARAM_INTEGER && type->kind == CEL_DOUBLE) {
        err_hint(e, "write int(x), or declare it as a number");
    } else if (p->type == PARAM_DURATION && type->kind == CEL_DOUBLE) {
        err_hint(e, "write int(x): whole seconds");
    }
    return false;
}

bool exprs_compile_trigger(struct loader *l, const struct yaml_node *n,
                           const struct template *t, struct template_part *part,
                           struct str text, const struct param *p)
{
    if (!compile(l, n, part, fill_env(l), text)) {
        return false;
    }
    const struct cel_warnings *w = cel_program_warnings(part->program);
    for (uint32_t i = 0; i < w->count; i++) {
        struct cel_issue issue = w->items[i];
        template_issue_move(&issue, part, text);
        loader_issue_warning(l, n, &issue);
    }
    if (template_single(t) == NULL) {
        return check_text(l, n, part);
    }
    return p == NULL || check_param(l, n, part, p);
}

bool exprs_compile_step(struct loader *l, const struct yaml_node *n,
                        struct template_part *part, struct str text)
{
    if (!compile(l, n, part, step_scope_env(exprs_scope(l)), text)) {
        return false;
    }
    step_scope_note(exprs_scope(l), part->program);
    const struct cel_warnings *w = cel_program_warnings(part->program);
    if (w->count != 0) {
        struct cel_issue issue = w->items[0];
        template_issue_move(&issue, part, text);
        loader_issue(l, n, &issue);
        return false;
    }
    if (cel_program_type(part->program)->kind == CEL_OPTIONAL) {
        err_hint(loader_error_in(l, n, part->inside,
                                 "the expression may have no value here"),
                 "add .orValue(...)");
        return false;
    }
    return check_text(l, n, part);
}

const struct param *exprs_secret(const struct runbook *rb,
                                 const struct cel_program *p)
{
    const struct cel_uses *uses = cel_program_uses(p);
    for (uint32_t i = 0; i < uses->count; i++) {
        const struct cel_use *use = &uses->items[i];
        for (uint32_t k = 0; k < rb->param_count; k++) {
            if (str_eq_c(use->names[0], "parameters") && rb->params[k].secret &&
                (use->count == 1 ||
                 str_eq(use->names[1], rb->params[k].name))) {
                return &rb->params[k];
            }
        }
    }
    return NULL;
}

/* In the other sections nothing is sure of what has run. */
void exprs_step_begin(struct loader *l, const struct step *s)
{
    if (l->scope != NULL && s->section != SECTION_STEPS) {
        step_scope_loosen(l->scope);
    }
}

void exprs_step_done(struct loader *l, struct step *s)
{
    if (l->scope != NULL || s->id.len != 0) {
        step_scope_add(exprs_scope(l), s);
    }
}
