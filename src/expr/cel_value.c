#include "expr/cel_value.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "expr/cel_text.h"

#define FEW_ENTRIES 8
#define MESSAGE_SIZE 320

static const struct cel_fault spent_fault = {
    .code = CEL_FAULT_BUDGET,
    .message = {"the expression used up its budget", 33},
};

struct cel_value cel_spent(struct cel_run *run)
{
    run->spent = true;
    return (struct cel_value){.kind = CEL_ERROR, .fault = &spent_fault};
}

bool cel_charge(struct cel_run *run, size_t units)
{
    if (run->spent || run->units < 0 || units > (size_t)run->units) {
        run->spent = true;
        return false;
    }
    run->units -= (int64_t)units;
    return true;
}

void *cel_alloc(struct cel_run *run, size_t n, size_t size)
{
    size_t bytes = 0;
    if (__builtin_mul_overflow(n, size, &bytes) || run->spent ||
        bytes > run->bytes || run->bytes - bytes < 16) {
        run->spent = true;
        return NULL;
    }
    run->bytes -= bytes + 16;
    return arena_alloc(run->arena, n == 0 ? 1 : n, size);
}

struct cel_value cel_fail(struct cel_run *run, enum cel_fault_code code,
                          const char *fmt, ...)
{
    CLEANUP(strbuf_deinit) struct strbuf seen = STRBUF_INIT(MESSAGE_SIZE * 4);
    char line[MESSAGE_SIZE];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    strbuf_add_visible(&seen, str_c(line));
    struct cel_fault *fault = cel_alloc(run, 1, sizeof(*fault));
    char *copy = cel_alloc(run, seen.len + 1, 1);
    if (fault == NULL || copy == NULL || !cel_charge(run, 4)) {
        return cel_spent(run);
    }
    if (seen.len != 0) {
        memcpy(copy, seen.at, seen.len);
    }
    *fault = (struct cel_fault){
        .code = code, .offset = run->offset, .message = {copy, seen.len}};
    return (struct cel_value){.kind = CEL_ERROR, .fault = fault};
}

struct cel_value cel_no_overload(struct cel_run *run, const char *name,
                                 const struct cel_value *args, size_t count)
{
    CLEANUP(strbuf_deinit) struct strbuf types = STRBUF_INIT(200);
    for (size_t i = 0; i < count; i++) {
        if (args[i].kind == CEL_ERROR) {
            return args[i];
        }
        strbuf_addc(&types, i == 0 ? "" : ", ");
        strbuf_add(&types, cel_text_kind(args[i]));
    }
    return cel_fail(run, CEL_FAULT_NO_OVERLOAD, "no such overload: %s(%.*s)",
                    name, STR_ARG(strbuf_str(&types)));
}

struct cel_value cel_some(struct cel_run *run, struct cel_value v)
{
    struct cel_value *some = cel_alloc(run, 1, sizeof(*some));
    if (some == NULL) {
        return cel_spent(run);
    }
    *some = v;
    return (struct cel_value){.kind = CEL_OPTIONAL, .some = some};
}

struct cel_value cel_new_list(struct cel_run *run,
                              const struct cel_value *items, uint32_t count)
{
    struct cel_list *list = cel_alloc(run, 1, sizeof(*list));
    if (list == NULL) {
        return cel_spent(run);
    }
    *list = (struct cel_list){.items = items, .count = count};
    return cel_list_value(list);
}

struct cel_value cel_copy_text(struct cel_run *run, enum cel_kind kind,
                               struct str s)
{
    char *copy = cel_alloc(run, s.len + 1, 1);
    if (copy == NULL || !cel_charge(run, s.len / 16)) {
        return cel_spent(run);
    }
    if (s.len != 0) {
        memcpy(copy, s.at, s.len);
    }
    return (struct cel_value){
        .kind = kind, .more = (uint32_t)s.len, .text = copy};
}

/* A number as the integer that it counts, if it counts one: all numbers that
 * are equal come out the same. */
static bool whole(struct cel_value v, uint64_t *ret, bool *ret_negative)
{
    if (v.kind == CEL_DOUBLE) {
        if (!(v.d >= -9223372036854775808.0 && v.d < 18446744073709551616.0) ||
            trunc(v.d) != v.d) {
            return false;
        }
        *ret_negative = v.d < 0;
        *ret = v.d < 0 ? (uint64_t)(int64_t)v.d : (uint64_t)v.d;
        return true;
    }
    *ret = v.u;
    *ret_negative = v.kind == CEL_INT && v.i < 0;
    return v.kind == CEL_INT || v.kind == CEL_UINT;
}

static bool is_number(struct cel_value v)
{
    return v.kind == CEL_INT || v.kind == CEL_UINT || v.kind == CEL_DOUBLE;
}

static bool key_equal(struct cel_value a, struct cel_value b)
{
    if (a.kind == CEL_STRING || b.kind == CEL_STRING) {
        return a.kind == b.kind && a.more == b.more &&
               (a.more == 0 || memcmp(a.text, b.text, a.more) == 0);
    }
    if (a.kind == CEL_BOOL || b.kind == CEL_BOOL) {
        return a.kind == b.kind && a.boolean == b.boolean;
    }
    uint64_t x = 0;
    uint64_t y = 0;
    bool x_negative = false;
    bool y_negative = false;
    return is_number(a) && is_number(b) && whole(a, &x, &x_negative) &&
           whole(b, &y, &y_negative) && x == y && x_negative == y_negative;
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdULL;
    return x ^ (x >> 29);
}

static uint64_t key_hash(struct cel_value key)
{
    uint64_t n = 0;
    bool negative = false;
    if (key.kind == CEL_STRING) {
        return str_hash(cel_text(key), STR_HASH_SEED);
    }
    if (key.kind == CEL_BOOL) {
        return key.boolean ? 11 : 7;
    }
    return whole(key, &n, &negative) ? mix(n + (negative ? 1 : 0)) : 0;
}

static bool find_entry(const struct cel_map *m, struct cel_value key,
                       uint32_t *ret)
{
    if (m->slot_count == 0) {
        for (uint32_t i = 0; i < m->count; i++) {
            if (key_equal(m->entries[i].key, key)) {
                *ret = i;
                return true;
            }
        }
        return false;
    }
    uint64_t at = key_hash(key);
    for (uint32_t i = 0; i < m->slot_count; i++, at++) {
        uint32_t slot = m->slots[at & (m->slot_count - 1)];
        if (slot == 0) {
            return false;
        }
        if (key_equal(m->entries[slot - 1].key, key)) {
            *ret = slot - 1;
            return true;
        }
    }
    return false;
}

static bool is_key(struct cel_value v)
{
    return v.kind == CEL_BOOL || v.kind == CEL_INT || v.kind == CEL_UINT ||
           v.kind == CEL_STRING;
}

static struct cel_value refuse_key(struct cel_run *run, struct cel_value key)
{
    if (!is_key(key)) {
        return cel_fail(run, CEL_FAULT_ARGUMENT,
                        "unsupported key type %.*s: a key is a string, an "
                        "int, a uint or a bool",
                        STR_ARG(cel_text_kind(key)));
    }
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(100);
    cel_text_literal(key, &text);
    return cel_fail(run, CEL_FAULT_ARGUMENT, "the key %.*s stands twice",
                    STR_ARG(strbuf_str(&text)));
}

struct cel_value cel_new_map(struct cel_run *run,
                             const struct cel_entry *entries, uint32_t count)
{
    struct cel_map *m = cel_alloc(run, 1, sizeof(*m));
    if (m == NULL || !cel_charge(run, count)) {
        return cel_spent(run);
    }
    m->entries = entries;
    if (count > FEW_ENTRIES) {
        m->slot_count = 16;
        while (m->slot_count < count * 2) {
            m->slot_count *= 2;
        }
        m->slots = cel_alloc(run, m->slot_count, sizeof(*m->slots));
        if (m->slots == NULL) {
            return cel_spent(run);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t twin = 0;
        if (!is_key(entries[i].key) || find_entry(m, entries[i].key, &twin)) {
            return refuse_key(run, entries[i].key);
        }
        m->count = i + 1;
        if (m->slot_count != 0) {
            uint64_t at = key_hash(entries[i].key);
            while (m->slots[at & (m->slot_count - 1)] != 0) {
                at++;
            }
            m->slots[at & (m->slot_count - 1)] = i + 1;
        }
    }
    return cel_map_value(m);
}

uint32_t cel_map_count(const struct cel_map *m)
{
    return m->ops != NULL ? m->ops->count(m) : m->count;
}

struct cel_entry cel_map_at(const struct cel_map *m, uint32_t i)
{
    return m->ops != NULL ? m->ops->at(m, i) : m->entries[i];
}

bool cel_map_get(const struct cel_map *m, struct cel_value key, uint32_t hint,
                 struct cel_value *ret)
{
    if (m->ops != NULL) {
        return m->ops->get(m, key, hint, ret);
    }
    uint32_t i = 0;
    if (!find_entry(m, key, &i)) {
        return false;
    }
    *ret = m->entries[i].value;
    return true;
}

static enum cel_order order_of(bool less, bool more)
{
    return less ? CEL_LESS : more ? CEL_MORE : CEL_SAME;
}

/* An integer against a double: as doubles, as all implementations do, except
 * that nothing is equal to what is outside the integers' range. */
static enum cel_order compare_double(struct cel_value n, double d)
{
    if (isnan(d)) {
        return CEL_UNORDERED;
    }
    double low = n.kind == CEL_INT ? -9223372036854775808.0 : 0.0;
    double high =
        n.kind == CEL_INT ? 9223372036854775808.0 : 18446744073709551616.0;
    if (d < low) {
        return CEL_MORE;
    }
    if (d > high) {
        return CEL_LESS;
    }
    double as_double = n.kind == CEL_INT ? (double)n.i : (double)n.u;
    return order_of(as_double<d, as_double> d);
}

static enum cel_order compare_numbers(struct cel_value a, struct cel_value b)
{
    if (a.kind == CEL_DOUBLE && b.kind == CEL_DOUBLE) {
        if (isnan(a.d) || isnan(b.d)) {
            return CEL_UNORDERED;
        }
        return order_of(a.d<b.d, a.d> b.d);
    }
    if (b.kind == CEL_DOUBLE) {
        return compare_double(a, b.d);
    }
    if (a.kind == CEL_DOUBLE) {
        enum cel_order order = compare_double(b, a.d);
        return order == CEL_LESS   ? CEL_MORE
               : order == CEL_MORE ? CEL_LESS
                                   : order;
    }
    bool a_negative = a.kind == CEL_INT && a.i < 0;
    bool b_negative = b.kind == CEL_INT && b.i < 0;
    if (a_negative != b_negative) {
        return a_negative ? CEL_LESS : CEL_MORE;
    }
    if (a_negative) {
        return order_of(a.i<b.i, a.i> b.i);
    }
    return order_of(a.u<b.u, a.u> b.u);
}

enum cel_order cel_compare(struct cel_value a, struct cel_value b)
{
    if (is_number(a) && is_number(b)) {
        return compare_numbers(a, b);
    }
    if (a.kind != b.kind) {
        return CEL_UNLIKE;
    }
    if (a.kind == CEL_STRING || a.kind == CEL_BYTES) {
        int c = str_cmp(cel_text(a), cel_text(b));
        return order_of(c<0, c> 0);
    }
    if (a.kind == CEL_BOOL) {
        return order_of(!a.boolean && b.boolean, a.boolean && !b.boolean);
    }
    if (a.kind == CEL_TIMESTAMP) {
        return order_of(a.i < b.i || (a.i == b.i && a.more < b.more),
                        a.i > b.i || (a.i == b.i && a.more > b.more));
    }
    if (a.kind == CEL_DURATION) {
        return order_of(a.i<b.i, a.i> b.i);
    }
    return CEL_UNLIKE;
}

static bool equal_lists(struct cel_run *run, const struct cel_list *a,
                        const struct cel_list *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (uint32_t i = 0; i < a->count; i++) {
        if (!cel_equal(run, a->items[i], b->items[i])) {
            return false;
        }
    }
    return true;
}

static bool equal_maps(struct cel_run *run, const struct cel_map *a,
                       const struct cel_map *b)
{
    uint32_t count = cel_map_count(a);
    if (count != cel_map_count(b)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct cel_entry entry = cel_map_at(a, i);
        struct cel_value other;
        if (!cel_map_get(b, entry.key, CEL_NO_HINT, &other) ||
            !cel_equal(run, entry.value, other)) {
            return false;
        }
    }
    return true;
}

static bool equal_optionals(struct cel_run *run, const struct cel_value *a,
                            const struct cel_value *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return cel_equal(run, *a, *b);
}

static bool equal_nets(const struct cel_net *a, const struct cel_net *b)
{
    return a->is_v4 == b->is_v4 && a->prefix == b->prefix &&
           memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static bool equal_types(const struct cel_type *a, const struct cel_type *b)
{
    return a->kind == b->kind && str_eq(a->name, b->name);
}

bool cel_equal(struct cel_run *run, struct cel_value a, struct cel_value b)
{
    if (!cel_charge(run, 1)) {
        return false;
    }
    if (is_number(a) && is_number(b)) {
        return compare_numbers(a, b) == CEL_SAME;
    }
    if (a.kind != b.kind) {
        return false;
    }
    switch (a.kind) {
    case CEL_NULL:
        return true;
    case CEL_LIST:
        return equal_lists(run, a.list, b.list);
    case CEL_MAP:
        return equal_maps(run, a.map, b.map);
    case CEL_OPTIONAL:
        return equal_optionals(run, a.some, b.some);
    case CEL_TYPE:
        return equal_types(a.type, b.type);
    case CEL_IP:
    case CEL_CIDR:
        return equal_nets(a.net, b.net);
    default:
        return cel_compare(a, b) == CEL_SAME;
    }
}

bool cel_is_zero(struct cel_value v)
{
    switch (v.kind) {
    case CEL_NULL:
        return true;
    case CEL_DOUBLE:
        return v.d == 0;
    case CEL_BOOL:
        return !v.boolean;
    case CEL_STRING:
    case CEL_BYTES:
        return v.more == 0;
    case CEL_LIST:
        return v.list->count == 0;
    case CEL_MAP:
        return cel_map_count(v.map) == 0;
    case CEL_OPTIONAL:
        return v.some == NULL;
    case CEL_INT:
    case CEL_UINT:
    case CEL_DURATION:
        return v.u == 0;
    case CEL_TIMESTAMP:
        return v.i == 0 && v.more == 0;
    default:
        return false;
    }
}

const struct cel_type *cel_type_of(struct cel_value v)
{
    return cel_type_of_kind((enum cel_kind)v.kind);
}
