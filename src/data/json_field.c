#include "data/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "base/assert.h"

const char *json_kind_text(const json_t *json)
{
    if (json == NULL) {
        return "nothing";
    }
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        return "null";
    default:
        UNREACHABLE();
    }
}

struct str json_text(const json_t *json)
{
    return json_is_string(json)
               ? str_n(json_string_value(json), json_string_length(json))
               : STR_NULL;
}

int json_wrong_type(struct err *e, const char *field, const char *expected,
                    const json_t *got)
{
    err_field(e, "%s", field);
    return err_set(e, -EINVAL, "%s: expected %s, got %s", field, expected,
                   json_kind_text(got));
}

/* The field's value; NULL when it is absent or null. */
static const json_t *get(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

int json_get_str(const json_t *object, const char *name, struct str *ret,
                 struct err *reterr)
{
    const json_t *value = get(object, name);
    if (value == NULL) {
        return 0;
    }
    if (!json_is_string(value)) {
        return json_wrong_type(reterr, name, "a string", value);
    }
    *ret = json_text(value);
    return 1;
}

int json_get_bool(const json_t *object, const char *name, bool *ret,
                  struct err *reterr)
{
    const json_t *value = get(object, name);
    if (value == NULL) {
        return 0;
    }
    if (!json_is_boolean(value)) {
        return json_wrong_type(reterr, name, "true or false", value);
    }
    *ret = json_is_true(value);
    return 1;
}

/* 2^53: past it a real does not say which integer was meant. */
#define REAL_INTEGER_MAX 9007199254740992.0

int json_get_int(const json_t *object, const char *name,
                 struct json_range range, int64_t *ret, struct err *reterr)
{
    const json_t *value = get(object, name);
    int64_t number = 0;
    if (value == NULL) {
        return 0;
    }
    if (json_is_integer(value)) {
        number = json_integer_value(value);
    } else if (json_is_real(value) &&
               json_real_value(value) == floor(json_real_value(value)) &&
               fabs(json_real_value(value)) <= REAL_INTEGER_MAX) {
        number = (int64_t)json_real_value(value);
    } else {
        return json_wrong_type(reterr, name, "an integer", value);
    }
    if (number < range.min || number > range.max) {
        err_field(reterr, "%s", name);
        return err_set(reterr, -ERANGE, "%s: %lld is not between %lld and %lld",
                       name, (long long)number, (long long)range.min,
                       (long long)range.max);
    }
    *ret = number;
    return 1;
}

int json_get_object(const json_t *object, const char *name, const json_t **ret,
                    struct err *reterr)
{
    const json_t *value = get(object, name);
    if (value == NULL) {
        return 0;
    }
    if (!json_is_object(value)) {
        return json_wrong_type(reterr, name, "an object", value);
    }
    *ret = value;
    return 1;
}

int json_get_array(const json_t *object, const char *name, const json_t **ret,
                   struct err *reterr)
{
    const json_t *value = get(object, name);
    if (value == NULL) {
        return 0;
    }
    if (!json_is_array(value)) {
        return json_wrong_type(reterr, name, "an array", value);
    }
    *ret = value;
    return 1;
}

int json_check_names(const json_t *object, const char *const *names,
                     size_t count, struct err *reterr)
{
    json_t *mutable = (json_t *)(uintptr_t)object; /* only to iterate */
    for (void *it = json_object_iter(mutable); it != NULL;
         it = json_object_iter_next(mutable, it)) {
        struct str key =
            str_n(json_object_iter_key(it), json_object_iter_key_len(it));
        size_t i = 0;
        while (i < count && !str_eq_c(key, names[i])) {
            i++;
        }
        if (i < count) {
            continue;
        }
        int shown = (int)MIN(key.len, 64U);
        const char *nearest = str_nearest(key, names, count);
        if (nearest != NULL) {
            err_hint(reterr, "did you mean '%s'?", nearest);
        }
        err_field(reterr, "%.*s", shown, key.at);
        return err_set(reterr, -EINVAL, "unknown field '%.*s'", shown, key.at);
    }
    return 0;
}
