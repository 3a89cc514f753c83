#include "model/step_cel.h"

#include <errno.h>

#include "base/assert.h"
#include "data/json.h"
#include "expr/cel_json.h"
#include "model/event_cel_priv.h"

/* ---- types --------------------------------------------------------------- */

struct step_scope {
    struct runbook *rb;
    const struct cel_type *parameters;
    struct cel_field *steps; /* those before, by id */
    struct cel_field *loose; /* the same, with outputs that may be absent */
    bool is_loose;
    uint32_t count;
    uint32_t most;
    const struct cel_env *env; /* NULL: to be made */
    struct str *asked;         /* ids, by the next step */
    uint32_t asked_count;
};

static const struct cel_field workflow_fields[] = {
    {.name = "id", .type = &cel_type_string},
    {.name = "runbook", .type = &cel_type_string},
    {.name = "created_at", .type = &cel_type_timestamp},
};

static const struct cel_type workflow_type = {
    .kind = CEL_OBJECT,
    .name = {"workflow", sizeof("workflow") - 1},
    .fields = workflow_fields,
    .field_count = ARRAY_LEN(workflow_fields),
};

static const struct step_cel_row rows[] = {
    {"parameters.NAME", NULL,
     "a value of the workflow, of the type that is declared"},
    {"workflow.id", &cel_type_string, "the workflow: wf-..."},
    {"workflow.runbook", &cel_type_string, "the name of the runbook"},
    {"workflow.created_at", &cel_type_timestamp, "when it was created"},
    {"steps.ID.status", &cel_type_string,
     "what has become of a step before: succeeded, failed, skipped, "
     "not_run..."},
    {"steps.ID.exit_code", &cel_type_int, "of its process; -1: none"},
    {"steps.ID.outputs.NAME", NULL, "what it has told"},
    {"now", &cel_type_timestamp, "when this attempt of the step was decided"},
};

bool step_cel_row(size_t i, struct step_cel_row *ret)
{
    if (i >= ARRAY_LEN(rows)) {
        return false;
    }
    *ret = rows[i];
    return true;
}

static const struct cel_type *param_type(const struct param *p)
{
    switch (p->type) {
    case PARAM_STRING:
    case PARAM_ENUM:
        return &cel_type_string;
    case PARAM_INTEGER:
        return &cel_type_int;
    case PARAM_NUMBER:
        return &cel_type_double;
    case PARAM_BOOLEAN:
        return &cel_type_bool;
    case PARAM_DURATION:
        return &cel_type_duration;
    case PARAM_TYPES:
        break;
    }
    UNREACHABLE();
}

static const struct cel_type *object_type(struct arena *a, const char *name,
                                          const struct cel_field *fields,
                                          uint32_t count)
{
    struct cel_type *type = ARENA_NEW(a, struct cel_type);
    *type = (struct cel_type){.kind = CEL_OBJECT,
                              .name = str_c(name),
                              .fields = fields,
                              .field_count = count};
    return type;
}

static const struct cel_type *parameters_type(struct runbook *rb)
{
    struct cel_field *fields =
        ARENA_ARRAY(&rb->arena, rb->param_count, struct cel_field);
    for (uint32_t i = 0; i < rb->param_count; i++) {
        const struct param *p = &rb->params[i];
        fields[i] = (struct cel_field){
            .name = arena_strdup(&rb->arena, p->name),
            .type = param_type(p),
            .may_be_absent = !p->required && !p->has_default,
        };
    }
    return object_type(&rb->arena, "parameters", fields, rb->param_count);
}

struct step_scope *step_scope_new(struct runbook *rb, uint32_t steps)
{
    struct step_scope *s = ARENA_NEW(&rb->arena, struct step_scope);
    s->rb = rb;
    s->parameters = parameters_type(rb);
    s->steps = ARENA_ARRAY(&rb->arena, steps, struct cel_field);
    s->loose = ARENA_ARRAY(&rb->arena, steps, struct cel_field);
    s->asked = ARENA_ARRAY(&rb->arena, steps, struct str);
    s->most = steps;
    return s;
}

void step_scope_loosen(struct step_scope *s)
{
    s->is_loose = true;
    s->env = NULL;
}

static void ask(struct step_scope *s, struct str id)
{
    bool known = false;
    for (uint32_t i = 0; i < s->asked_count; i++) {
        known = known || str_eq(s->asked[i], id);
    }
    if (!known && s->asked_count < s->most) {
        s->asked[s->asked_count++] = id;
    }
}

void step_scope_note(struct step_scope *s, const struct cel_program *p)
{
    const struct cel_uses *uses = cel_program_uses(p);
    for (uint32_t i = 0; i < uses->count; i++) {
        const struct cel_use *use = &uses->items[i];
        if (!str_eq_c(use->names[0], "steps")) {
            continue;
        }
        for (uint32_t k = 0; k < s->count; k++) {
            struct str id = str_c(s->steps[k].name);
            if (use->count == 1 || str_eq(use->names[1], id)) {
                ask(s, id);
            }
        }
    }
}

/* What a step tells. An output may be absent when those after the step run
 * whatever has become of it. */
static const struct cel_type *told_type(struct arena *a,
                                        const struct step *step, bool is_sure)
{
    struct cel_field *outputs =
        ARENA_ARRAY(a, step->output_count, struct cel_field);
    struct cel_field *fields = ARENA_ARRAY(a, 3, struct cel_field);
    for (uint32_t i = 0; i < step->output_count; i++) {
        const struct step_output *o = &step->outputs[i];
        outputs[i] = (struct cel_field){.name = arena_strdup(a, o->name),
                                        .type = o->value != NULL
                                                    ? cel_program_type(o->value)
                                                    : &cel_type_dyn,
                                        .may_be_absent = !is_sure};
    }
    fields[0] = (struct cel_field){.name = "status", .type = &cel_type_string};
    fields[1] = (struct cel_field){.name = "exit_code", .type = &cel_type_int};
    fields[2] = (struct cel_field){
        .name = "outputs",
        .type = object_type(a, "outputs", outputs, step->output_count)};
    return object_type(a, arena_strdup(a, step->id), fields, 3);
}

void step_scope_add(struct step_scope *s, struct step *step)
{
    struct arena *a = &s->rb->arena;
    step->scope = s->env;
    step->asks = ARENA_ARRAY(a, s->asked_count, struct str);
    step->ask_count = s->asked_count;
    for (uint32_t i = 0; i < s->asked_count; i++) {
        step->asks[i] = s->asked[i];
    }
    s->asked_count = 0;
    s->env = NULL;
    bool is_sure = step->when == NULL && !step->continue_on_error &&
                   step->section == SECTION_STEPS;
    if (step->id.len != 0 && s->count < s->most) {
        const char *name = arena_strdup(a, step->id);
        s->steps[s->count] = (struct cel_field){
            .name = name, .type = told_type(a, step, is_sure)};
        s->loose[s->count] =
            (struct cel_field){.name = name, .type = told_type(a, step, false)};
        s->count++;
    }
}

const struct cel_env *step_scope_env(struct step_scope *s)
{
    struct arena *a = &s->rb->arena;
    if (s->env != NULL) {
        return s->env;
    }
    struct cel_variable *list =
        ARENA_ARRAY(a, STEP_CEL_VARIABLES, struct cel_variable);
    struct cel_env *env = ARENA_NEW(a, struct cel_env);
    list[STEP_CEL_PARAMETERS] =
        (struct cel_variable){STR("parameters"), s->parameters};
    list[STEP_CEL_WORKFLOW] =
        (struct cel_variable){STR("workflow"), &workflow_type};
    list[STEP_CEL_STEPS] = (struct cel_variable){
        STR("steps"),
        object_type(a, "steps", s->is_loose ? s->loose : s->steps, s->count)};
    list[STEP_CEL_NOW] = (struct cel_variable){STR("now"), &cel_type_timestamp};
    *env = (struct cel_env){.variables = list,
                            .variable_count = STEP_CEL_VARIABLES,
                            .limits = CEL_LIMITS_DEFAULT};
    s->env = env;
    return env;
}

/* ---- values -------------------------------------------------------------- */

static struct cel_value give(void *context, uint32_t index, struct cel_run *run)
{
    const struct step_input *x = context;
    (void)run;
    return x->values[index];
}

static int read_object(struct str text, const char *what, json_t **ret,
                       struct err *reterr)
{
    struct str json = text.len != 0 ? text : STR("{}");
    int r = json_read(json, NULL, ret, reterr);
    if (r == 0 && !json_is_object(*ret)) {
        r = err_set(reterr, -EINVAL, "%s: expected an object, got %s", what,
                    json_kind_text(*ret));
    }
    return r < 0 ? -EINVAL : 0;
}

static struct cel_value workflow_value(const struct runbook *rb,
                                       const struct step_facts *facts,
                                       struct arena *a)
{
    enum { FIELDS = ARRAY_LEN(workflow_fields) };
    struct cel_run run = {.arena = a, .units = INT64_MAX, .bytes = SIZE_MAX};
    struct cel_entry *entries = ARENA_ARRAY(a, FIELDS, struct cel_entry);
    char id[ID_TEXT_SIZE];
    id_format(facts->workflow_id, ID_PREFIX_WORKFLOW, id);
    for (size_t i = 0; i < FIELDS; i++) {
        entries[i].key = cel_string(str_c(workflow_fields[i].name));
    }
    entries[0].value = cel_string(arena_str(a, str_c(id)));
    entries[1].value = cel_string(rb->name);
    entries[2].value = event_cel_instant(facts->created_ms);
    return cel_new_map(&run, entries, FIELDS);
}

int step_input_init(struct step_input *ret, const struct runbook *rb,
                    const struct cel_env *env, const struct step_facts *facts,
                    struct arena *a, struct err *reterr)
{
    *ret = (struct step_input){.input = {.variable = give, .context = ret}};
    int r = read_object(facts->params_json, "parameters", &ret->params, reterr);
    r = r < 0 ? r
              : read_object(facts->steps_json, "steps", &ret->steps, reterr);
    if (r < 0) {
        return r;
    }
    ret->values[STEP_CEL_PARAMETERS] =
        cel_json_as(env->variables[STEP_CEL_PARAMETERS].type, ret->params, a);
    ret->values[STEP_CEL_STEPS] =
        cel_json_as(env->variables[STEP_CEL_STEPS].type, ret->steps, a);
    ret->values[STEP_CEL_WORKFLOW] = workflow_value(rb, facts, a);
    ret->values[STEP_CEL_NOW] = event_cel_instant(facts->now_ms);
    return 0;
}

void step_input_release(struct step_input *x)
{
    json_decref(x->params);
    json_decref(x->steps);
    x->params = NULL;
    x->steps = NULL;
}
