#include "expr/cel_env.h"

#include "base/vec.h"
#include "expr/cel_lib_priv.h"

static const struct cel_library *const libraries[] = {
    &cel_lib_operators, &cel_lib_core,     &cel_lib_convert, &cel_lib_time,
    &cel_lib_strings,   &cel_lib_pattern,  &cel_lib_math,    &cel_lib_net,
    &cel_lib_encode,    &cel_lib_optional, &cel_lib_lists,   &cel_lib_ops,
};

const struct cel_function *cel_library_next(size_t *cursor)
{
    size_t at = (*cursor)++;
    for (size_t i = 0; i < ARRAY_LEN(libraries); i++) {
        if (at < libraries[i]->count) {
            return &libraries[i]->rows[at];
        }
        at -= libraries[i]->count;
    }
    return NULL;
}

/* The host's rows come behind those of the library. */
static const struct cel_function *next_row(const struct cel_env *env,
                                           size_t *cursor)
{
    size_t total = 0;
    for (size_t i = 0; i < ARRAY_LEN(libraries); i++) {
        total += libraries[i]->count;
    }
    if (*cursor < total) {
        return cel_library_next(cursor);
    }
    size_t at = (*cursor)++ - total;
    return at < env->function_count ? &env->functions[at] : NULL;
}

const struct cel_function *cel_env_function(const struct cel_env *env,
                                            struct str name,
                                            enum cel_style style,
                                            size_t *cursor)
{
    for (;;) {
        const struct cel_function *row = next_row(env, cursor);
        if (row == NULL ||
            ((row->style & style) != 0 && str_eq_c(name, row->name))) {
            return row;
        }
    }
}

void cel_function_print(const struct cel_function *row, bool as_member,
                        struct strbuf *out)
{
    uint32_t first = as_member ? 1 : 0;
    if (as_member) {
        cel_type_print(row->args[0], out);
        strbuf_addch(out, '.');
    }
    strbuf_addf(out, "%s(", row->name);
    if (row->arg_count == CEL_VARIADIC) {
        strbuf_addc(out, "number, ...");
    }
    for (uint32_t i = first; i < row->arg_count && i < CEL_ARGS_MAX; i++) {
        if (row->arg_count != CEL_VARIADIC) {
            strbuf_addc(out, i == first ? "" : ", ");
            cel_type_print(row->args[i], out);
        }
    }
    strbuf_addch(out, ')');
}

int cel_env_variable(const struct cel_env *env, struct str name)
{
    for (uint32_t i = 0; i < env->variable_count; i++) {
        if (str_eq(env->variables[i].name, name)) {
            return (int)i;
        }
    }
    return -1;
}

const char *cel_env_nearest(const struct cel_env *env, struct str name,
                            bool is_function, struct arena *a)
{
    VEC(const char *) names = {0};
    size_t cursor = 0;
    for (uint32_t i = 0; i < env->variable_count && !is_function; i++) {
        VEC_PUSH(&names, arena_strdup(a, env->variables[i].name));
    }
    while (is_function) {
        const struct cel_function *row = next_row(env, &cursor);
        if (row == NULL) {
            break;
        }
        if (row->doc != NULL || cursor > env->function_count) {
            VEC_PUSH(&names, row->name);
        }
    }
    const char *nearest = str_nearest(name, names.at, names.count);
    VEC_DEINIT(&names);
    return nearest;
}
