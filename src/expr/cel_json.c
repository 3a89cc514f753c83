#include "expr/cel_json.h"

#include <math.h>

#include "data/json.h"
#include "expr/cel_text.h"

static struct cel_value read_array(const json_t *json, struct arena *a)
{
    size_t count = json_array_size(json);
    struct cel_list *list = ARENA_NEW(a, struct cel_list);
    struct cel_value *items = ARENA_ARRAY(a, count, struct cel_value);
    for (size_t i = 0; i < count; i++) {
        items[i] = cel_json_read(json_array_get(json, i), a);
    }
    *list = (struct cel_list){.items = items, .count = (uint32_t)count};
    return cel_list_value(list);
}

static struct cel_value read_object(const json_t *json, struct arena *a)
{
    /* jansson's iterators take no const, but do not change the object. */
    json_t *object = (json_t *)(uintptr_t)json;
    size_t count = json_object_size(json);
    struct cel_entry *entries = ARENA_ARRAY(a, count, struct cel_entry);
    /* Room for this map; names are unique already. */
    struct cel_run run = {.arena = a, .units = INT64_MAX, .bytes = SIZE_MAX};
    uint32_t i = 0;
    for (void *it = json_object_iter(object); it != NULL;
         it = json_object_iter_next(object, it), i++) {
        struct str key =
            str_n(json_object_iter_key(it), json_object_iter_key_len(it));
        entries[i].key = cel_string(arena_str(a, key));
        entries[i].value = cel_json_read(json_object_iter_value(it), a);
    }
    return cel_new_map(&run, entries, i);
}

struct cel_value cel_json_read(const json_t *json, struct arena *a)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return read_object(json, a);
    case JSON_ARRAY:
        return read_array(json, a);
    case JSON_STRING:
        return cel_string(arena_str(a, json_text(json)));
    case JSON_INTEGER:
        return cel_int(json_integer_value(json));
    case JSON_REAL:
        return cel_double(json_real_value(json));
    case JSON_TRUE:
        return cel_bool(true);
    case JSON_FALSE:
        return cel_bool(false);
    case JSON_NULL:
        break;
    }
    return cel_null();
}

static void write_quoted(struct cel_value v, struct strbuf *out)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(out->limit_bytes);
    cel_text_plain(v, &text);
    strbuf_add_json_quoted(out, strbuf_str(&text));
    out->full = out->full || text.full;
}

static void write_bytes(struct str s, struct strbuf *out)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    strbuf_addch(out, '"');
    for (size_t i = 0; i < s.len; i += 3) {
        uint32_t bits = 0;
        size_t have = MIN(s.len - i, (size_t)3);
        for (size_t k = 0; k < 3; k++) {
            bits = bits << 8 | (k < have ? (unsigned char)s.at[i + k] : 0U);
        }
        for (size_t k = 0; k < 4; k++) {
            strbuf_addch(out,
                         k <= have ? digits[bits >> (18 - 6 * k) & 63] : '=');
        }
    }
    strbuf_addch(out, '"');
}

static void write_map(const struct cel_map *m, struct strbuf *out)
{
    uint32_t count = cel_map_count(m);
    strbuf_addch(out, '{');
    for (uint32_t i = 0; i < count && !out->full; i++) {
        struct cel_entry e = cel_map_at(m, i);
        strbuf_addc(out, i == 0 ? "" : ",");
        write_quoted(e.key, out);
        strbuf_addch(out, ':');
        cel_json_write(e.value, out);
    }
    strbuf_addch(out, '}');
}

static void write_list(const struct cel_list *l, struct strbuf *out)
{
    strbuf_addch(out, '[');
    for (uint32_t i = 0; i < l->count && !out->full; i++) {
        strbuf_addc(out, i == 0 ? "" : ",");
        cel_json_write(l->items[i], out);
    }
    strbuf_addch(out, ']');
}

void cel_json_write(struct cel_value v, struct strbuf *out)
{
    switch (v.kind) {
    case CEL_ERROR:
    case CEL_NULL:
        strbuf_addc(out, "null");
        break;
    case CEL_LIST:
        write_list(v.list, out);
        break;
    case CEL_MAP:
        write_map(v.map, out);
        break;
    case CEL_OPTIONAL:
        cel_json_write(v.some == NULL ? cel_null() : *v.some, out);
        break;
    case CEL_BYTES:
        write_bytes(cel_text(v), out);
        break;
    case CEL_BOOL:
    case CEL_INT:
    case CEL_UINT:
        cel_text_plain(v, out);
        break;
    case CEL_DOUBLE:
        if (isfinite(v.d)) {
            cel_text_literal(v, out);
        } else {
            write_quoted(v, out);
        }
        break;
    default:
        write_quoted(v, out);
    }
}
