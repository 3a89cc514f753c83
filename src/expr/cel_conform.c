#include "expr/cel_conform.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "data/json.h"
#include "expr/cel_civil.h"
#include "expr/cel_text.h"

#define PARAMS_MAX 4

/* A case while it is run. */
struct attempt {
    struct arena *arena;
    const json_t *bindings;
    const struct cel_conform_zone *zone;
    VEC(struct cel_variable) variables;
    VEC(struct cel_function) functions;
    bool is_invalid;
};

static const struct cel_type *read_type(struct attempt *t, const json_t *json);

/* Messages are lists of [name, value]; the first value of that name. */
static const json_t *member(const json_t *json, const char *name)
{
    for (size_t i = 0; i < json_array_size(json); i++) {
        const json_t *pair = json_array_get(json, i);
        if (str_eq_c(json_text(json_array_get(pair, 0)), name)) {
            return json_array_get(pair, 1);
        }
    }
    return NULL;
}

static const struct cel_type *read_primitive(struct str name)
{
    static const struct {
        const char *name;
        const struct cel_type *type;
    } known[] = {
        {"BOOL", &cel_type_bool},           {"INT64", &cel_type_int},
        {"UINT64", &cel_type_uint},         {"DOUBLE", &cel_type_double},
        {"STRING", &cel_type_string},       {"BYTES", &cel_type_bytes},
        {"TIMESTAMP", &cel_type_timestamp}, {"DURATION", &cel_type_duration},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (str_eq_c(name, known[i].name)) {
            return known[i].type;
        }
    }
    return &cel_type_dyn;
}

static const struct cel_type *read_abstract(struct attempt *t,
                                            const json_t *json)
{
    const struct cel_type *params[PARAMS_MAX];
    struct cel_type *like = ARENA_NEW(t->arena, struct cel_type);
    like->kind = CEL_OPAQUE;
    for (size_t i = 0; i < json_array_size(json); i++) {
        const json_t *pair = json_array_get(json, i);
        if (str_eq_c(json_text(json_array_get(pair, 0)), "name")) {
            like->name =
                arena_str(t->arena, json_text(json_array_get(pair, 1)));
        } else if (like->param_count < PARAMS_MAX) {
            params[like->param_count++] = read_type(t, json_array_get(pair, 1));
        }
    }
    if (str_eq_c(like->name, "optional_type")) {
        return cel_type_optional(t->arena, params[0]);
    }
    return cel_type_with(t->arena, like, params);
}

static const struct cel_type *read_type(struct attempt *t, const json_t *json)
{
    const json_t *pair = json_array_get(json, 0);
    struct str kind = json_text(json_array_get(pair, 0));
    const json_t *value = json_array_get(pair, 1);
    if (str_eq_c(kind, "primitive") || str_eq_c(kind, "well_known")) {
        return read_primitive(json_text(value));
    }
    if (str_eq_c(kind, "list_type")) {
        return cel_type_list(t->arena,
                             read_type(t, member(value, "elem_type")));
    }
    if (str_eq_c(kind, "map_type")) {
        return cel_type_map(t->arena, read_type(t, member(value, "key_type")),
                            read_type(t, member(value, "value_type")));
    }
    if (str_eq_c(kind, "abstract_type")) {
        return read_abstract(t, value);
    }
    if (str_eq_c(kind, "type_param")) {
        struct cel_type *param = ARENA_NEW(t->arena, struct cel_type);
        param->kind = CEL_PARAM;
        param->name = arena_str(t->arena, json_text(value));
        return param;
    }
    if (str_eq_c(kind, "type")) {
        return cel_type_of_type(t->arena, read_type(t, value));
    }
    if (str_eq_c(kind, "null")) {
        return &cel_type_null;
    }
    if (str_eq_c(kind, "message_type")) {
        const struct cel_type *named = cel_type_named(json_text(value));
        return named != NULL ? named : &cel_type_dyn;
    }
    return &cel_type_dyn;
}

static void read_overload(struct attempt *t, struct str name,
                          const json_t *overload)
{
    const json_t *is_member = member(overload, "is_instance_function");
    struct cel_function f = {
        .name = arena_strdup(t->arena, name),
        .style = is_member != NULL ? CEL_STYLE_MEMBER : CEL_STYLE_GLOBAL,
        .result = &cel_type_dyn,
    };
    for (size_t i = 0; i < json_array_size(overload); i++) {
        const json_t *pair = json_array_get(overload, i);
        struct str key = json_text(json_array_get(pair, 0));
        const json_t *value = json_array_get(pair, 1);
        if (str_eq_c(key, "params") && f.arg_count < CEL_ARGS_MAX) {
            f.args[f.arg_count++] = read_type(t, value);
        } else if (str_eq_c(key, "result_type")) {
            f.result = read_type(t, value);
        }
    }
    VEC_PUSH(&t->functions, f);
}

static void read_declaration(struct attempt *t, const json_t *json)
{
    struct str name = json_text(member(json, "name"));
    const json_t *ident = member(json, "ident");
    const json_t *function = member(json, "function");
    if (ident != NULL) {
        struct cel_variable v = {name, read_type(t, member(ident, "type"))};
        VEC_PUSH(&t->variables, v);
    }
    for (size_t i = 0; i < json_array_size(function); i++) {
        const json_t *pair = json_array_get(function, i);
        if (str_eq_c(json_text(json_array_get(pair, 0)), "overloads")) {
            read_overload(t, name, json_array_get(pair, 1));
        }
    }
}

/* Variables that are bound without being declared are of any type. */
static void declare_bindings(struct attempt *t)
{
    json_t *bindings = (json_t *)(uintptr_t)t->bindings;
    for (void *it = json_object_iter(bindings); it != NULL;
         it = json_object_iter_next(bindings, it)) {
        struct cel_variable v = {
            str_n(json_object_iter_key(it), json_object_iter_key_len(it)),
            &cel_type_dyn};
        bool known = false;
        VEC_EACH (&t->variables, i) {
            known = known || str_eq(t->variables.at[i].name, v.name);
        }
        if (!known) {
            VEC_PUSH(&t->variables, v);
        }
    }
}

/* Values */

static struct cel_value read_value(struct cel_run *run, const json_t *json);

static struct cel_value read_items(struct cel_run *run, const json_t *json)
{
    size_t count = json_array_size(json);
    struct cel_value *items = cel_alloc(run, count, sizeof(*items));
    for (size_t i = 0; i < count && items != NULL; i++) {
        items[i] = read_value(run, json_array_get(json, i));
    }
    return items == NULL ? cel_spent(run)
                         : cel_new_list(run, items, (uint32_t)count);
}

static struct cel_value read_entries(struct cel_run *run, const json_t *json)
{
    size_t count = json_array_size(json);
    struct cel_entry *entries = cel_alloc(run, count, sizeof(*entries));
    for (size_t i = 0; i < count && entries != NULL; i++) {
        const json_t *pair = json_array_get(json, i);
        entries[i].key = read_value(run, json_array_get(pair, 0));
        entries[i].value = read_value(run, json_array_get(pair, 1));
    }
    return entries == NULL ? cel_spent(run)
                           : cel_new_map(run, entries, (uint32_t)count);
}

static struct cel_value read_hex(struct cel_run *run, struct str s)
{
    char *bytes = cel_alloc(run, s.len / 2 + 1, 1);
    for (size_t i = 0; bytes != NULL && i + 1 < s.len; i += 2) {
        char pair[3] = {s.at[i], s.at[i + 1], '\0'};
        bytes[i / 2] = (char)strtoul(pair, NULL, 16);
    }
    return bytes == NULL ? cel_spent(run) : cel_bytes(str_n(bytes, s.len / 2));
}

static struct cel_value read_type_name(struct cel_run *run, struct str name)
{
    const struct cel_type *t = cel_type_named(name);
    if (t == NULL) {
        return cel_fail(run, CEL_FAULT_ARGUMENT, "no type %.*s", STR_ARG(name));
    }
    return cel_type_value(t);
}

/* As timestamp() and duration() read them. */
static struct cel_value read_time(struct cel_run *run, const char *kind,
                                  struct str s)
{
    int64_t n = 0;
    uint32_t ns = 0;
    if (strcmp(kind, "timestamp") == 0) {
        return cel_civil_parse(s, &n, &ns) < 0
                   ? cel_fail(run, CEL_FAULT_ARGUMENT, "no timestamp")
                   : cel_timestamp(n, ns);
    }
    return cel_civil_duration(s, &n) < 0
               ? cel_fail(run, CEL_FAULT_ARGUMENT, "no duration")
               : cel_duration(n);
}

/* {kind: payload} */
static struct cel_value read_value(struct cel_run *run, const json_t *json)
{
    void *it = json_object_iter((json_t *)(uintptr_t)json);
    const char *kind = it == NULL ? "" : json_object_iter_key(it);
    const json_t *v = it == NULL ? NULL : json_object_iter_value(it);
    const char *text = json_is_string(v) ? json_string_value(v) : "";
    struct str s = json_is_string(v) ? json_text(v) : STR("");
    if (strcmp(kind, "null") == 0) {
        return cel_null();
    }
    if (strcmp(kind, "bool") == 0) {
        return cel_bool(json_is_true(v));
    }
    if (strcmp(kind, "int") == 0) {
        return cel_int(strtoll(text, NULL, 10));
    }
    if (strcmp(kind, "uint") == 0) {
        return cel_uint(strtoull(text, NULL, 10));
    }
    if (strcmp(kind, "double") == 0) {
        return cel_double(strtod(text, NULL));
    }
    if (strcmp(kind, "string") == 0) {
        return cel_string(s);
    }
    if (strcmp(kind, "bytes") == 0) {
        return read_hex(run, s);
    }
    if (strcmp(kind, "list") == 0) {
        return read_items(run, v);
    }
    if (strcmp(kind, "map") == 0) {
        return read_entries(run, v);
    }
    if (strcmp(kind, "type") == 0) {
        return read_type_name(run, s);
    }
    if (strcmp(kind, "timestamp") == 0 || strcmp(kind, "duration") == 0) {
        return read_time(run, kind, s);
    }
    return cel_fail(run, CEL_FAULT_ARGUMENT, "unknown kind of value %s", kind);
}

/* The same value of the same kind, all the way down; NaN is itself. */
static bool is_identical(struct cel_run *run, struct cel_value a,
                         struct cel_value b)
{
    if (a.kind != b.kind) {
        return false;
    }
    if (a.kind == CEL_DOUBLE && isnan(a.d)) {
        return isnan(b.d);
    }
    if (a.kind == CEL_LIST) {
        for (uint32_t i = 0; i < a.list->count && i < b.list->count; i++) {
            if (!is_identical(run, a.list->items[i], b.list->items[i])) {
                return false;
            }
        }
        return a.list->count == b.list->count;
    }
    if (a.kind == CEL_MAP) {
        for (uint32_t i = 0; i < cel_map_count(a.map); i++) {
            struct cel_entry e = cel_map_at(a.map, i);
            struct cel_value other;
            if (!cel_map_get(b.map, e.key, CEL_NO_HINT, &other) ||
                !is_identical(run, e.value, other)) {
                return false;
            }
        }
        return cel_map_count(a.map) == cel_map_count(b.map);
    }
    return cel_equal(run, a, b);
}

static struct cel_value give_binding(void *context, uint32_t index,
                                     struct cel_run *run)
{
    struct attempt *t = context;
    char name[256];
    struct str s = t->variables.at[index].name;
    size_t len = MIN(s.len, sizeof(name) - 1);
    memcpy(name, s.at, len);
    name[len] = '\0';
    const json_t *value = json_object_get(t->bindings, name);
    if (value == NULL) {
        return cel_fail(run, CEL_FAULT_UNDECLARED, "%s is not bound", name);
    }
    return read_value(run, value);
}

/* What is to come and what came. */
static enum cel_verdict differ(const char *wanted, struct cel_value want,
                               struct cel_value got, struct strbuf *why)
{
    strbuf_addc(why, "want ");
    if (wanted != NULL) {
        strbuf_addc(why, wanted);
    } else {
        cel_text_literal(want, why);
    }
    strbuf_addc(why, ", got ");
    cel_text_literal(got, why);
    return CEL_VERDICT_FAIL;
}

static enum cel_verdict check_type(struct attempt *t, const json_t *deduced,
                                   const struct cel_program *p,
                                   struct strbuf *why)
{
    const struct cel_type *want = read_type(t, deduced);
    if (cel_type_equal(want, cel_program_type(p))) {
        return CEL_VERDICT_PASS;
    }
    strbuf_addc(why, "want the type ");
    cel_type_print(want, why);
    strbuf_addc(why, ", got ");
    cel_type_print(cel_program_type(p), why);
    return CEL_VERDICT_FAIL;
}

static enum cel_verdict check_value(struct attempt *t, const json_t *test,
                                    const struct cel_program *p,
                                    const struct cel_input *input,
                                    struct strbuf *why)
{
    struct cel_run run = {
        .arena = t->arena, .units = INT64_MAX / 2, .bytes = SIZE_MAX / 2};
    struct cel_budget budget = CEL_BUDGET_DEFAULT;
    const json_t *value = json_object_get(test, "value");
    struct cel_value got = cel_program_run(p, input, budget, t->arena);
    if (value == NULL) {
        return got.kind == CEL_ERROR ? CEL_VERDICT_PASS
                                     : differ("an error", cel_null(), got, why);
    }
    struct cel_value want = read_value(&run, value);
    return is_identical(&run, want, got) ? CEL_VERDICT_PASS
                                         : differ(NULL, want, got, why);
}

static enum cel_verdict run_case(struct attempt *t, const json_t *test,
                                 struct cel_input *input, struct strbuf *why)
{
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct cel_program *p = NULL;
    const json_t *deduced = json_object_get(test, "deduced_type");
    struct cel_env env = {
        .variables = t->variables.at,
        .variable_count = (uint32_t)t->variables.count,
        .functions = t->functions.at,
        .function_count = (uint32_t)t->functions.count,
        .container = json_text(json_object_get(test, "container")),
        .limits = CEL_LIMITS_DEFAULT,
        .is_unchecked = json_is_true(json_object_get(test, "disable_check")),
    };
    int r = cel_program_new(&env, json_text(json_object_get(test, "expr")),
                            t->arena, &p, &issue);
    if (r < 0) {
        if (json_object_get(test, "error") != NULL) {
            return CEL_VERDICT_PASS;
        }
        strbuf_addf(why, "%u:%u: %s", issue.err.at.line, issue.err.at.column,
                    issue.err.message);
        return CEL_VERDICT_FAIL;
    }
    enum cel_verdict v =
        deduced == NULL ? CEL_VERDICT_PASS : check_type(t, deduced, p, why);
    if (v != CEL_VERDICT_PASS ||
        json_is_true(json_object_get(test, "check_only"))) {
        return v;
    }
    return check_value(t, test, p, input, why);
}

static int ask_zone(void *context, struct str name, int64_t seconds,
                    int32_t *ret)
{
    const struct attempt *t = context;
    return t->zone->offset(t->zone->context, name, seconds, ret);
}

enum cel_verdict cel_conform(const json_t *test,
                             const struct cel_conform_zone *zone,
                             struct strbuf *why)
{
    struct arena a = ARENA_INIT;
    struct attempt t = {.arena = &a,
                        .bindings = json_object_get(test, "bindings"),
                        .zone = zone};
    struct cel_input input = {.variable = give_binding,
                              .zone = zone == NULL ? NULL : ask_zone,
                              .context = &t};
    const json_t *declarations = json_object_get(test, "type_env");
    if (!json_is_string(json_object_get(test, "expr"))) {
        strbuf_addc(why, "the case has no expr");
        return CEL_VERDICT_INVALID;
    }
    for (size_t i = 0; i < json_array_size(declarations); i++) {
        read_declaration(&t, json_array_get(declarations, i));
    }
    declare_bindings(&t);
    enum cel_verdict v = run_case(&t, test, &input, why);
    VEC_DEINIT(&t.variables);
    VEC_DEINIT(&t.functions);
    arena_deinit(&a);
    return v;
}
