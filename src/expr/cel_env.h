/*
 * What an expression may use: the variables that a host declares, its own
 * functions, and the library. One table of functions serves the checker, the
 * evaluator, the documentation and "did you mean". Owned by the host and
 * immutable; it must outlive the programs made with it. Pure; any thread.
 */
#pragma once

#include "expr/cel_parse.h"
#include "expr/cel_value.h"

#define CEL_ARGS_MAX 4

/* A function's work. The kinds of the arguments are those of its row; what is
 * inside lists and maps it must check itself. */
typedef struct cel_value cel_call_fn(struct cel_run *run,
                                     const struct cel_value *args);

enum cel_style {
    CEL_STYLE_GLOBAL = 1, /* name(a, b) */
    CEL_STYLE_MEMBER = 2, /* a.name(b) */
    CEL_STYLE_BOTH = 3,
};

/* One overload. */
struct cel_function {
    const char *name;
    enum cel_style style;
    uint32_t arg_count; /* the receiver included; CEL_VARIADIC */
    const struct cel_type *args[CEL_ARGS_MAX];
    const struct cel_type *result;
    cel_call_fn *call; /* NULL: to be checked, not to be called */
    const char *doc;   /* one sentence; NULL for operators */
};

/* Any number of numbers, or one list of them: args are {a list}. */
#define CEL_VARIADIC UINT32_MAX

struct cel_variable {
    struct str name; /* may hold dots: com.example.x */
    const struct cel_type *type;
};

struct cel_env {
    const struct cel_variable *variables;
    uint32_t variable_count;
    const struct cel_function *functions; /* the host's own */
    uint32_t function_count;
    struct str container; /* names are looked up in here first */
    struct cel_limits limits;
    bool is_unchecked; /* no types: what is wrong shows when it is evaluated */
    const struct cel_type *result; /* what it must give; NULL: anything */
};

/* The library's rows, one after the other; NULL at the end. Start at 0. */
const struct cel_function *cel_library_next(size_t *cursor);

/* Appends the row as it is called: "string.split(string, int)". */
void cel_function_print(const struct cel_function *row, bool as_member,
                        struct strbuf *out);

/* The rows of the library and of the host with this name that can be called
 * this way, one after the other; NULL at the end. */
const struct cel_function *cel_env_function(const struct cel_env *env,
                                            struct str name,
                                            enum cel_style style,
                                            size_t *cursor);

/* The variable's number, or -1. */
int cel_env_variable(const struct cel_env *env, struct str name);

/* The name of a variable or function nearest to this one, or NULL. */
const char *cel_env_nearest(const struct cel_env *env, struct str name,
                            bool is_function, struct arena *a);
