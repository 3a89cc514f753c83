#include "expr/cel_type.h"

#include <string.h>

#define NAMED(k, text)                                                         \
    {                                                                          \
        .kind = (k), .name = {(text), sizeof(text) - 1 }                       \
    }
#define PARAMS(...) ((const struct cel_type *const[]){__VA_ARGS__})

const struct cel_type cel_type_error = NAMED(CEL_ERROR, "error");
const struct cel_type cel_type_null = NAMED(CEL_NULL, "null_type");
const struct cel_type cel_type_bool = NAMED(CEL_BOOL, "bool");
const struct cel_type cel_type_int = NAMED(CEL_INT, "int");
const struct cel_type cel_type_uint = NAMED(CEL_UINT, "uint");
const struct cel_type cel_type_double = NAMED(CEL_DOUBLE, "double");
const struct cel_type cel_type_string = NAMED(CEL_STRING, "string");
const struct cel_type cel_type_bytes = NAMED(CEL_BYTES, "bytes");
const struct cel_type cel_type_timestamp =
    NAMED(CEL_TIMESTAMP, "google.protobuf.Timestamp");
const struct cel_type cel_type_duration =
    NAMED(CEL_DURATION, "google.protobuf.Duration");
const struct cel_type cel_type_ip = NAMED(CEL_IP, "net.IP");
const struct cel_type cel_type_cidr = NAMED(CEL_CIDR, "net.CIDR");
const struct cel_type cel_type_dyn = NAMED(CEL_DYN, "dyn");
const struct cel_type cel_type_a = NAMED(CEL_PARAM, "A");
const struct cel_type cel_type_b = NAMED(CEL_PARAM, "B");
const struct cel_type cel_type_list_a = {.kind = CEL_LIST,
                                         .name = {"list", 4},
                                         .param_count = 1,
                                         .params = PARAMS(&cel_type_a)};
const struct cel_type cel_type_map_ab = {.kind = CEL_MAP,
                                         .name = {"map", 3},
                                         .param_count = 2,
                                         .params =
                                             PARAMS(&cel_type_a, &cel_type_b)};
const struct cel_type cel_type_optional_a = {.kind = CEL_OPTIONAL,
                                             .name = {"optional_type", 13},
                                             .param_count = 1,
                                             .params = PARAMS(&cel_type_a)};
const struct cel_type cel_type_optional_b = {.kind = CEL_OPTIONAL,
                                             .name = {"optional_type", 13},
                                             .param_count = 1,
                                             .params = PARAMS(&cel_type_b)};
const struct cel_type cel_type_type_a = {.kind = CEL_TYPE,
                                         .name = {"type", 4},
                                         .param_count = 1,
                                         .params = PARAMS(&cel_type_a)};
const struct cel_type cel_type_list_dyn = {.kind = CEL_LIST,
                                           .name = {"list", 4},
                                           .param_count = 1,
                                           .params = PARAMS(&cel_type_dyn)};
const struct cel_type cel_type_list_string = {.kind = CEL_LIST,
                                              .name = {"list", 4},
                                              .param_count = 1,
                                              .params =
                                                  PARAMS(&cel_type_string)};
const struct cel_type cel_type_map_dyn = {
    .kind = CEL_MAP,
    .name = {"map", 3},
    .param_count = 2,
    .params = PARAMS(&cel_type_dyn, &cel_type_dyn)};
const struct cel_type cel_type_labels = {
    .kind = CEL_MAP,
    .name = {"map", 3},
    .param_count = 2,
    .params = PARAMS(&cel_type_string, &cel_type_string),
    .has_loose_keys = true};

static const struct cel_type optional_dyn = {.kind = CEL_OPTIONAL,
                                             .name = {"optional_type", 13},
                                             .param_count = 1,
                                             .params = PARAMS(&cel_type_dyn)};
static const struct cel_type type_dyn = {.kind = CEL_TYPE,
                                         .name = {"type", 4},
                                         .param_count = 1,
                                         .params = PARAMS(&cel_type_dyn)};

/* By kind of value. */
static const struct cel_type *const by_kind[] = {
    [CEL_ERROR] = &cel_type_error,
    [CEL_NULL] = &cel_type_null,
    [CEL_BOOL] = &cel_type_bool,
    [CEL_INT] = &cel_type_int,
    [CEL_UINT] = &cel_type_uint,
    [CEL_DOUBLE] = &cel_type_double,
    [CEL_STRING] = &cel_type_string,
    [CEL_BYTES] = &cel_type_bytes,
    [CEL_LIST] = &cel_type_list_dyn,
    [CEL_MAP] = &cel_type_map_dyn,
    [CEL_TIMESTAMP] = &cel_type_timestamp,
    [CEL_DURATION] = &cel_type_duration,
    [CEL_TYPE] = &type_dyn,
    [CEL_OPTIONAL] = &optional_dyn,
    [CEL_IP] = &cel_type_ip,
    [CEL_CIDR] = &cel_type_cidr,
};

const struct cel_type *cel_type_with(struct arena *a,
                                     const struct cel_type *like,
                                     const struct cel_type **params)
{
    struct cel_type *t = ARENA_NEW(a, struct cel_type);
    const struct cel_type **copy =
        ARENA_ARRAY(a, like->param_count, const struct cel_type *);
    *t = *like;
    memcpy(copy, params, like->param_count * sizeof(*copy));
    t->params = copy;
    return t;
}

const struct cel_type *cel_type_list(struct arena *a, const struct cel_type *of)
{
    return cel_type_with(a, &cel_type_list_a, &of);
}

const struct cel_type *cel_type_map(struct arena *a, const struct cel_type *key,
                                    const struct cel_type *value)
{
    const struct cel_type *params[] = {key, value};
    return cel_type_with(a, &cel_type_map_ab, params);
}

const struct cel_type *cel_type_optional(struct arena *a,
                                         const struct cel_type *of)
{
    return cel_type_with(a, &cel_type_optional_a, &of);
}

const struct cel_type *cel_type_of_type(struct arena *a,
                                        const struct cel_type *of)
{
    return cel_type_with(a, &cel_type_type_a, &of);
}

bool cel_type_equal(const struct cel_type *a, const struct cel_type *b)
{
    if (a == b) {
        return true;
    }
    if (a->kind != b->kind || a->variable != b->variable ||
        !str_eq(a->name, b->name) || a->param_count != b->param_count) {
        return false;
    }
    for (uint32_t i = 0; i < a->param_count; i++) {
        if (!cel_type_equal(a->params[i], b->params[i])) {
            return false;
        }
    }
    return true;
}

struct str cel_type_name(const struct cel_type *t)
{
    return t->name;
}

void cel_type_print(const struct cel_type *t, struct strbuf *out)
{
    if (t->kind == CEL_OPTIONAL) {
        strbuf_addc(out, "optional");
    } else if (t->kind == CEL_TIMESTAMP || t->kind == CEL_DURATION) {
        strbuf_addc(out, t->kind == CEL_TIMESTAMP ? "timestamp" : "duration");
    } else {
        strbuf_add(out, t->name);
    }
    for (uint32_t i = 0; i < t->param_count; i++) {
        strbuf_addc(out, i == 0 ? "(" : ", ");
        cel_type_print(t->params[i], out);
    }
    if (t->param_count != 0) {
        strbuf_addch(out, ')');
    }
}

const struct cel_type *cel_type_of_kind(enum cel_kind kind)
{
    return kind < ARRAY_LEN(by_kind) ? by_kind[kind] : &cel_type_dyn;
}

const struct cel_type *cel_type_named(struct str name)
{
    for (size_t i = CEL_NULL; i < ARRAY_LEN(by_kind); i++) {
        if (str_eq(by_kind[i]->name, name)) {
            return by_kind[i];
        }
    }
    return NULL;
}

int cel_type_field(const struct cel_type *object, struct str name)
{
    for (uint32_t i = 0; i < object->field_count; i++) {
        if (str_eq_c(name, object->fields[i].name)) {
            return (int)i;
        }
    }
    return -1;
}
