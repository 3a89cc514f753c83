#include "model/step_try.h"

#include <errno.h>

#include "data/json.h"
#include "data/timestamp.h"
#include "expr/cel_json.h"
#include "model/event_cel_priv.h"

#define VARIABLE(name, type)                                                   \
    {                                                                          \
        {(name), sizeof(name) - 1}, &(type)                                    \
    }

static const struct cel_variable variables[STEP_TRY_VARIABLES] = {
    VARIABLE("parameters", cel_type_map_dyn),
    VARIABLE("workflow", cel_type_map_dyn),
    VARIABLE("steps", cel_type_map_dyn),
    VARIABLE("exit_code", cel_type_int),
    VARIABLE("stdout", cel_type_string),
    VARIABLE("stderr", cel_type_string),
    VARIABLE("json", cel_type_dyn),
    VARIABLE("now", cel_type_timestamp),
};

const struct cel_env *step_try_env(void)
{
    static const struct cel_env env = {.variables = variables,
                                       .variable_count = STEP_TRY_VARIABLES,
                                       .limits = CEL_LIMITS_DEFAULT};
    return &env;
}

static int check_names(const json_t *values, struct err *reterr)
{
    const char *names[STEP_TRY_VARIABLES];
    const char *key = NULL;
    json_t *value = NULL;
    if (!json_is_object(values)) {
        return err_set(reterr, -EINVAL, "expected an object, got %s",
                       json_kind_text(values));
    }
    for (size_t i = 0; i < STEP_TRY_VARIABLES; i++) {
        names[i] = variables[i].name.at;
    }
    json_object_foreach ((json_t *)(uintptr_t)values, key, value) {
        if (cel_env_variable(step_try_env(), str_c(key)) < 0) {
            const char *nearest =
                str_nearest(str_c(key), names, STEP_TRY_VARIABLES);
            err_field(reterr, "%s", key);
            err_hint(reterr, nearest != NULL ? "did you mean '%s'?" : "%s",
                     nearest != NULL ? nearest
                                     : "parameters, workflow, steps, "
                                       "exit_code, stdout, stderr, json, now");
            return err_set(reterr, -EINVAL, "a step has no variable '%s'", key);
        }
    }
    return 0;
}

static int read_value(const struct cel_variable *v, const json_t *json,
                      struct arena *a, struct cel_value *ret,
                      struct err *reterr)
{
    uint64_t ms = 0;
    if (v->type->kind == CEL_TIMESTAMP && json_is_string(json) &&
        timestamp_parse(json_text(json), &ms) == 0) {
        *ret = event_cel_instant(ms);
        return 0;
    }
    *ret = cel_json_as(v->type, json, a);
    if (v->type->kind != CEL_DYN && ret->kind != (uint32_t)v->type->kind) {
        err_field(reterr, "%.*s", STR_ARG(v->name));
        return err_set(reterr, -EINVAL,
                       "%.*s: expected a value of type %.*s, "
                       "got %s",
                       STR_ARG(v->name), STR_ARG(cel_type_name(v->type)),
                       json_kind_text(json));
    }
    return 0;
}

int step_try_init(struct step_try *ret, const json_t *values, uint64_t now_ms,
                  struct arena *a, struct err *reterr)
{
    int r = check_names(values, reterr);
    *ret = (struct step_try){0};
    for (size_t i = 0; r == 0 && i < STEP_TRY_VARIABLES; i++) {
        const json_t *json = json_object_get(values, variables[i].name.at);
        if (json != NULL) {
            r = read_value(&variables[i], json, a, &ret->values[i], reterr);
        } else if (variables[i].type->kind == CEL_TIMESTAMP) {
            ret->values[i] = event_cel_instant(now_ms);
        }
    }
    return r;
}

struct cel_value step_try_variable(void *context, uint32_t index,
                                   struct cel_run *run)
{
    const struct step_try *t = context;
    if (t->values[index].kind == CEL_ERROR) {
        return cel_fail(run, CEL_FAULT_UNDECLARED,
                        "the values of the step have no '%.*s'",
                        STR_ARG(variables[index].name));
    }
    return t->values[index];
}
