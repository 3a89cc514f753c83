#include <math.h>

#include "base/assert.h"
#include "data/json.h"
#include "expr/cel_json.h"

/* Seconds that a timestamp can have. */
#define SECONDS_MAX 253402300799.0
/* ... and a duration, in 64 bits of nanoseconds. */
#define DURATION_SECONDS_MAX 9223372036.0

struct view {
    struct cel_map map;
    const struct cel_type *type;
    const json_t *json;
    struct arena *arena;
};

static const struct view *view_of(const struct cel_map *m)
{
    return m->host;
}

/* False: there is no such field in what is shown. */
static bool read_member(const struct view *v, uint32_t field,
                        struct cel_value *ret)
{
    static const struct cel_map no_entries = {0};
    static const struct cel_list no_items = {0};
    const struct cel_field *f = &v->type->fields[field];
    const json_t *json = json_object_get(v->json, f->name);
    if (json != NULL && (!json_is_null(json) || f->type->kind == CEL_DYN)) {
        *ret = cel_json_as(f->type, json, v->arena);
        return true;
    }
    if (f->may_be_absent) {
        return false;
    }
    if (f->type->kind == CEL_STRING) {
        *ret = cel_string(STR(""));
    } else if (f->type->kind == CEL_LIST) {
        *ret = cel_list_value(&no_items);
    } else if (f->type->kind == CEL_MAP) {
        *ret = cel_map_value(&no_entries);
    } else {
        return false;
    }
    return true;
}

static bool get(const struct cel_map *m, struct cel_value key, uint32_t hint,
                struct cel_value *ret)
{
    const struct view *v = view_of(m);
    if (key.kind != CEL_STRING) {
        return false;
    }
    int field = hint < v->type->field_count
                    ? (int)hint
                    : cel_type_field(v->type, cel_text(key));
    return field >= 0 && read_member(v, (uint32_t)field, ret);
}

static uint32_t count(const struct cel_map *m)
{
    const struct view *v = view_of(m);
    struct cel_value ignored;
    uint32_t n = 0;
    for (uint32_t i = 0; i < v->type->field_count; i++) {
        n += read_member(v, i, &ignored) ? 1 : 0;
    }
    return n;
}

static struct cel_entry at(const struct cel_map *m, uint32_t i)
{
    const struct view *v = view_of(m);
    struct cel_entry e = {.key = cel_null()};
    for (uint32_t k = 0; k < v->type->field_count; k++) {
        if (read_member(v, k, &e.value) && i-- == 0) {
            e.key = cel_string(str_c(v->type->fields[k].name));
            return e;
        }
    }
    UNREACHABLE();
}

static const struct cel_map_ops ops = {get, count, at};

static struct cel_value object_as(const struct cel_type *type,
                                  const json_t *json, struct arena *a)
{
    struct view *v = ARENA_NEW(a, struct view);
    *v = (struct view){.type = type, .json = json, .arena = a};
    v->map = (struct cel_map){.ops = &ops, .host = v};
    return cel_map_value(&v->map);
}

static struct cel_value list_as(const struct cel_type *of, const json_t *json,
                                struct arena *a)
{
    size_t size = json_array_size(json);
    struct cel_list *list = ARENA_NEW(a, struct cel_list);
    struct cel_value *items = ARENA_ARRAY(a, size, struct cel_value);
    for (size_t i = 0; i < size; i++) {
        items[i] = cel_json_as(of, json_array_get(json, i), a);
    }
    *list = (struct cel_list){.items = items, .count = (uint32_t)size};
    return cel_list_value(list);
}

struct cel_value cel_json_as(const struct cel_type *type, const json_t *json,
                             struct arena *a)
{
    double number = json_number_value(json);
    if (type->kind == CEL_OBJECT && json_is_object(json)) {
        return object_as(type, json, a);
    }
    if (type->kind == CEL_LIST && json_is_array(json)) {
        return list_as(type->params[0], json, a);
    }
    if (type->kind == CEL_DOUBLE && json_is_number(json)) {
        return cel_double(number);
    }
    if (type->kind == CEL_DURATION && json_is_integer(json) &&
        fabs(number) <= DURATION_SECONDS_MAX) {
        return cel_duration(json_integer_value(json) * 1000000000);
    }
    if (type->kind == CEL_TIMESTAMP && json_is_number(json) &&
        fabs(number) <= SECONDS_MAX) {
        double whole = floor(number);
        uint32_t ms = (uint32_t)floor((number - whole) * 1000 + 0.5);
        return ms < 1000 ? cel_timestamp((int64_t)whole, ms * 1000000)
                         : cel_timestamp((int64_t)whole + 1, 0);
    }
    return cel_json_read(json, a);
}
