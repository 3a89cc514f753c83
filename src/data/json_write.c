#include "data/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* 17 digits always read back the same; mostly 15 or 16 do, and then "0.1" is
 * what is written for 0.1. */
static void write_real(double value, struct strbuf *out)
{
    char text[32];
    ASSERT(isfinite(value));
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    strbuf_addc(out, text);
    if (strpbrk(text, ".e") == NULL) {
        strbuf_addc(out, ".0"); /* stays a real when it is read again */
    }
}

static void write_array(const json_t *json, struct strbuf *out)
{
    size_t count = json_array_size(json);
    strbuf_addch(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i != 0) {
            strbuf_addch(out, ',');
        }
        json_write(json_array_get(json, i), out);
    }
    strbuf_addch(out, ']');
}

static void write_object(const json_t *json, struct strbuf *out)
{
    /* jansson's iterators take no const, but do not change the object. */
    json_t *object = (json_t *)(uintptr_t)json;
    bool first = true;
    strbuf_addch(out, '{');
    for (void *it = json_object_iter(object); it != NULL;
         it = json_object_iter_next(object, it)) {
        if (!first) {
            strbuf_addch(out, ',');
        }
        first = false;
        strbuf_add_json_quoted(
            out, str_n(json_object_iter_key(it), json_object_iter_key_len(it)));
        strbuf_addch(out, ':');
        json_write(json_object_iter_value(it), out);
    }
    strbuf_addch(out, '}');
}

void json_write(const json_t *json, struct strbuf *out)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        write_object(json, out);
        break;
    case JSON_ARRAY:
        write_array(json, out);
        break;
    case JSON_STRING:
        strbuf_add_json_quoted(out, json_text(json));
        break;
    case JSON_INTEGER:
        strbuf_addf(out, "%lld", (long long)json_integer_value(json));
        break;
    case JSON_REAL:
        write_real(json_real_value(json), out);
        break;
    case JSON_TRUE:
        strbuf_addc(out, "true");
        break;
    case JSON_FALSE:
        strbuf_addc(out, "false");
        break;
    case JSON_NULL:
        strbuf_addc(out, "null");
        break;
    default:
        UNREACHABLE();
    }
}
