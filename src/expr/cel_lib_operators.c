#include <math.h>
#include <string.h>

#include "expr/cel_civil.h"
#include "expr/cel_lib_priv.h"

#define NS 1000000000LL

/* Arithmetic: one function per operator; every row of it calls the same. */

static struct cel_value overflow(struct cel_run *run, const char *sign)
{
    return cel_fail(run, CEL_FAULT_RANGE,
                    "integer overflow: the result of %s is out of range", sign);
}

static struct cel_value shift_time(struct cel_run *run, struct cel_value time,
                                   int64_t ns)
{
    int64_t seconds = time.i + ns / NS;
    int64_t rest = (int64_t)time.more + ns % NS;
    if (rest < 0) {
        rest += NS;
        seconds--;
    } else if (rest >= NS) {
        rest -= NS;
        seconds++;
    }
    if (seconds < CEL_SECONDS_MIN || seconds > CEL_SECONDS_MAX) {
        return cel_fail(run, CEL_FAULT_RANGE,
                        "timestamp out of range: years 1 to 9999");
    }
    return cel_timestamp(seconds, (uint32_t)rest);
}

static struct cel_value join_texts(struct cel_run *run, struct cel_value a,
                                   struct cel_value b)
{
    size_t len = (size_t)a.more + b.more;
    char *text = len > UINT32_MAX ? NULL : cel_alloc(run, len + 1, 1);
    if (text == NULL || !cel_charge(run, len / 16)) {
        return cel_spent(run);
    }
    if (a.more != 0) {
        memcpy(text, a.text, a.more);
    }
    if (b.more != 0) {
        memcpy(text + a.more, b.text, b.more);
    }
    return (struct cel_value){
        .kind = a.kind, .more = (uint32_t)len, .text = text};
}

static struct cel_value join_lists(struct cel_run *run,
                                   const struct cel_list *a,
                                   const struct cel_list *b)
{
    size_t count = (size_t)a->count + b->count;
    struct cel_value *items = cel_alloc(run, count, sizeof(*items));
    if (items == NULL || !cel_charge(run, count / 8)) {
        return cel_spent(run);
    }
    if (a->count != 0) {
        memcpy(items, a->items, a->count * sizeof(*items));
    }
    if (b->count != 0) {
        memcpy(items + a->count, b->items, b->count * sizeof(*items));
    }
    return cel_new_list(run, items, (uint32_t)count);
}

static struct cel_value op_add(struct cel_run *run,
                               const struct cel_value *args)
{
    struct cel_value a = args[0];
    struct cel_value b = args[1];
    int64_t i = 0;
    uint64_t u = 0;
    if (a.kind == CEL_TIMESTAMP && b.kind == CEL_DURATION) {
        return shift_time(run, a, b.i);
    }
    if (a.kind == CEL_DURATION && b.kind == CEL_TIMESTAMP) {
        return shift_time(run, b, a.i);
    }
    if (a.kind != b.kind) {
        return cel_no_overload(run, "_+_", args, 2);
    }
    switch (a.kind) {
    case CEL_INT:
    case CEL_DURATION:
        if (__builtin_add_overflow(a.i, b.i, &i)) {
            return overflow(run, "+");
        }
        return a.kind == CEL_INT ? cel_int(i) : cel_duration(i);
    case CEL_UINT:
        return __builtin_add_overflow(a.u, b.u, &u) ? overflow(run, "+")
                                                    : cel_uint(u);
    case CEL_DOUBLE:
        return cel_double(a.d + b.d);
    case CEL_STRING:
    case CEL_BYTES:
        return join_texts(run, a, b);
    case CEL_LIST:
        return join_lists(run, a.list, b.list);
    default:
        return cel_no_overload(run, "_+_", args, 2);
    }
}

static struct cel_value time_between(struct cel_run *run, struct cel_value a,
                                     struct cel_value b)
{
    __int128 ns = ((__int128)a.i - b.i) * NS + a.more - b.more;
    if (ns > INT64_MAX || ns < INT64_MIN) {
        return overflow(run, "-");
    }
    return cel_duration((int64_t)ns);
}

static struct cel_value op_subtract(struct cel_run *run,
                                    const struct cel_value *args)
{
    struct cel_value a = args[0];
    struct cel_value b = args[1];
    int64_t i = 0;
    uint64_t u = 0;
    if (a.kind == CEL_TIMESTAMP && b.kind == CEL_DURATION) {
        return b.i == INT64_MIN ? overflow(run, "-") : shift_time(run, a, -b.i);
    }
    if (a.kind != b.kind) {
        return cel_no_overload(run, "_-_", args, 2);
    }
    switch (a.kind) {
    case CEL_INT:
    case CEL_DURATION:
        if (__builtin_sub_overflow(a.i, b.i, &i)) {
            return overflow(run, "-");
        }
        return a.kind == CEL_INT ? cel_int(i) : cel_duration(i);
    case CEL_UINT:
        return __builtin_sub_overflow(a.u, b.u, &u) ? overflow(run, "-")
                                                    : cel_uint(u);
    case CEL_DOUBLE:
        return cel_double(a.d - b.d);
    case CEL_TIMESTAMP:
        return time_between(run, a, b);
    default:
        return cel_no_overload(run, "_-_", args, 2);
    }
}

static struct cel_value op_multiply(struct cel_run *run,
                                    const struct cel_value *args)
{
    struct cel_value a = args[0];
    struct cel_value b = args[1];
    int64_t i = 0;
    uint64_t u = 0;
    if (a.kind == CEL_INT && b.kind == CEL_INT) {
        return __builtin_mul_overflow(a.i, b.i, &i) ? overflow(run, "*")
                                                    : cel_int(i);
    }
    if (a.kind == CEL_UINT && b.kind == CEL_UINT) {
        return __builtin_mul_overflow(a.u, b.u, &u) ? overflow(run, "*")
                                                    : cel_uint(u);
    }
    if (a.kind == CEL_DOUBLE && b.kind == CEL_DOUBLE) {
        return cel_double(a.d * b.d);
    }
    return cel_no_overload(run, "_*_", args, 2);
}

static struct cel_value op_divide(struct cel_run *run,
                                  const struct cel_value *args)
{
    struct cel_value a = args[0];
    struct cel_value b = args[1];
    if (a.kind == CEL_DOUBLE && b.kind == CEL_DOUBLE) {
        return cel_double(a.d / b.d);
    }
    if (a.kind != b.kind || (a.kind != CEL_INT && a.kind != CEL_UINT)) {
        return cel_no_overload(run, "_/_", args, 2);
    }
    if (b.u == 0) {
        return cel_fail(run, CEL_FAULT_DIVIDE, "division by zero");
    }
    if (a.kind == CEL_UINT) {
        return cel_uint(a.u / b.u);
    }
    return a.i == INT64_MIN && b.i == -1 ? overflow(run, "/")
                                         : cel_int(a.i / b.i);
}

static struct cel_value op_modulo(struct cel_run *run,
                                  const struct cel_value *args)
{
    struct cel_value a = args[0];
    struct cel_value b = args[1];
    if (a.kind != b.kind || (a.kind != CEL_INT && a.kind != CEL_UINT)) {
        return cel_no_overload(run, "_%_", args, 2);
    }
    if (b.u == 0) {
        return cel_fail(run, CEL_FAULT_DIVIDE, "modulus by zero");
    }
    if (a.kind == CEL_UINT) {
        return cel_uint(a.u % b.u);
    }
    return b.i == -1 ? cel_int(0) : cel_int(a.i % b.i);
}

static struct cel_value op_negate(struct cel_run *run,
                                  const struct cel_value *args)
{
    if (args[0].kind == CEL_DOUBLE) {
        return cel_double(-args[0].d);
    }
    if (args[0].kind != CEL_INT) {
        return cel_no_overload(run, "-_", args, 1);
    }
    return args[0].i == INT64_MIN ? overflow(run, "-") : cel_int(-args[0].i);
}

static struct cel_value op_not(struct cel_run *run,
                               const struct cel_value *args)
{
    if (args[0].kind != CEL_BOOL) {
        return cel_no_overload(run, "!_", args, 1);
    }
    return cel_bool(!args[0].boolean);
}

/* Texts, which most comparisons are of, by the shortest way. */
static inline bool equal_operands(struct cel_run *run,
                                  const struct cel_value *args)
{
    if (args[0].kind == CEL_STRING && args[1].kind == CEL_STRING) {
        return args[0].more == args[1].more &&
               (args[0].more == 0 ||
                memcmp(args[0].text, args[1].text, args[0].more) == 0);
    }
    return cel_equal(run, args[0], args[1]);
}

static struct cel_value op_equal(struct cel_run *run,
                                 const struct cel_value *args)
{
    bool equal = equal_operands(run, args);
    return run->spent ? cel_spent(run) : cel_bool(equal);
}

static struct cel_value op_unequal(struct cel_run *run,
                                   const struct cel_value *args)
{
    bool equal = equal_operands(run, args);
    return run->spent ? cel_spent(run) : cel_bool(!equal);
}

/* One of the four orders: wanted is a set of bits. */
static struct cel_value ordered(struct cel_run *run,
                                const struct cel_value *args, const char *name,
                                bool less, bool same)
{
    enum cel_order order = cel_compare(args[0], args[1]);
    if (order == CEL_UNLIKE) {
        return cel_no_overload(run, name, args, 2);
    }
    if (order == CEL_UNORDERED) {
        return cel_bool(false);
    }
    return cel_bool(order == CEL_SAME ? same : (order == CEL_LESS) == less);
}

static struct cel_value op_less(struct cel_run *run,
                                const struct cel_value *args)
{
    return ordered(run, args, "_<_", true, false);
}

static struct cel_value op_less_equal(struct cel_run *run,
                                      const struct cel_value *args)
{
    return ordered(run, args, "_<=_", true, true);
}

static struct cel_value op_more(struct cel_run *run,
                                const struct cel_value *args)
{
    return ordered(run, args, "_>_", false, false);
}

static struct cel_value op_more_equal(struct cel_run *run,
                                      const struct cel_value *args)
{
    return ordered(run, args, "_>=_", false, true);
}

static struct cel_value op_in(struct cel_run *run, const struct cel_value *args)
{
    struct cel_value ignored;
    if (args[1].kind == CEL_MAP) {
        return cel_bool(
            cel_map_get(args[1].map, args[0], CEL_NO_HINT, &ignored));
    }
    if (args[1].kind != CEL_LIST) {
        return cel_no_overload(run, "@in", args, 2);
    }
    const struct cel_list *list = args[1].list;
    for (uint32_t i = 0; i < list->count; i++) {
        if (cel_equal(run, args[0], list->items[i])) {
            return cel_bool(true);
        }
    }
    return run->spent ? cel_spent(run) : cel_bool(false);
}

/* Indexing */

static bool list_index(struct cel_value key, int64_t *ret)
{
    if (key.kind == CEL_DOUBLE && key.d == trunc(key.d) && fabs(key.d) < 1e15) {
        *ret = (int64_t)key.d;
        return true;
    }
    if (key.kind == CEL_UINT && key.u <= INT64_MAX) {
        *ret = (int64_t)key.u;
        return true;
    }
    *ret = key.i;
    return key.kind == CEL_INT;
}

static struct cel_value missing(struct cel_run *run, struct cel_value key)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(80);
    if (key.kind == CEL_STRING) {
        return cel_fail(run, CEL_FAULT_NO_KEY, "no such key: '%.*s'",
                        STR_ARG(str_slice(cel_text(key), 0, 80)));
    }
    cel_text_literal(key, &text);
    return cel_fail(run, CEL_FAULT_NO_KEY, "no such key: %.*s",
                    STR_ARG(strbuf_str(&text)));
}

static struct cel_value item_of(struct cel_run *run,
                                const struct cel_list *list,
                                struct cel_value key, bool is_optional)
{
    int64_t i = 0;
    if (!list_index(key, &i)) {
        return cel_fail(run, CEL_FAULT_ARGUMENT,
                        "invalid_argument: a list is indexed by an int, not "
                        "by %.*s",
                        STR_ARG(cel_text_kind(key)));
    }
    if (i >= 0 && i < list->count) {
        return is_optional ? cel_some(run, list->items[i]) : list->items[i];
    }
    if (is_optional) {
        return cel_none();
    }
    return cel_fail(run, CEL_FAULT_ARGUMENT,
                    "invalid_argument: index %lld out of bounds of a list "
                    "of %u",
                    (long long)i, (unsigned)list->count);
}

struct cel_value cel_lookup(struct cel_run *run, struct cel_value container,
                            struct cel_value key, bool is_optional)
{
    struct cel_value found;
    if (container.kind == CEL_OPTIONAL) {
        return container.some == NULL
                   ? container
                   : cel_lookup(run, *container.some, key, true);
    }
    if (container.kind == CEL_LIST) {
        return item_of(run, container.list, key, is_optional);
    }
    if (container.kind != CEL_MAP) {
        const struct cel_value args[] = {container, key};
        return cel_no_overload(run, "_[_]", args, 2);
    }
    if (cel_map_get(container.map, key, CEL_NO_HINT, &found)) {
        return is_optional ? cel_some(run, found) : found;
    }
    return is_optional ? cel_none() : missing(run, key);
}

static struct cel_value op_index(struct cel_run *run,
                                 const struct cel_value *args)
{
    return cel_lookup(run, args[0], args[1], false);
}

static struct cel_value op_index_optional(struct cel_run *run,
                                          const struct cel_value *args)
{
    return cel_lookup(run, args[0], args[1], true);
}

#define TWO(name_, a_, b_, result_, call_)                                     \
    {                                                                          \
        (name_), CEL_G, 2, {&cel_type_##a_, &cel_type_##b_},                   \
            &cel_type_##result_, (call_), NULL                                 \
    }
#define ONE(name_, a_, result_, call_)                                         \
    {                                                                          \
        (name_), CEL_G, 1, {&cel_type_##a_}, &cel_type_##result_, (call_),     \
            NULL                                                               \
    }
#define SAME(name_, t_, call_) TWO(name_, t_, t_, t_, call_)
#define ORDER(name_, call_)                                                    \
    TWO(name_, int, int, bool, call_), TWO(name_, uint, uint, bool, call_),    \
        TWO(name_, double, double, bool, call_),                               \
        TWO(name_, int, uint, bool, call_),                                    \
        TWO(name_, uint, int, bool, call_),                                    \
        TWO(name_, int, double, bool, call_),                                  \
        TWO(name_, double, int, bool, call_),                                  \
        TWO(name_, uint, double, bool, call_),                                 \
        TWO(name_, double, uint, bool, call_),                                 \
        TWO(name_, bool, bool, bool, call_),                                   \
        TWO(name_, string, string, bool, call_),                               \
        TWO(name_, bytes, bytes, bool, call_),                                 \
        TWO(name_, timestamp, timestamp, bool, call_),                         \
        TWO(name_, duration, duration, bool, call_)

static const struct cel_type *const list_of_a[] = {&cel_type_list_a};
static const struct cel_type *const map_of_ab[] = {&cel_type_map_ab};
static const struct cel_type optional_list = {.kind = CEL_OPTIONAL,
                                              .name = {"optional_type", 13},
                                              .param_count = 1,
                                              .params = list_of_a};
static const struct cel_type optional_map = {.kind = CEL_OPTIONAL,
                                             .name = {"optional_type", 13},
                                             .param_count = 1,
                                             .params = map_of_ab};

static const struct cel_function rows[] = {
    SAME("_+_", int, op_add),
    SAME("_+_", uint, op_add),
    SAME("_+_", double, op_add),
    SAME("_+_", string, op_add),
    SAME("_+_", bytes, op_add),
    SAME("_+_", list_a, op_add),
    SAME("_+_", duration, op_add),
    TWO("_+_", timestamp, duration, timestamp, op_add),
    TWO("_+_", duration, timestamp, timestamp, op_add),
    SAME("_-_", int, op_subtract),
    SAME("_-_", uint, op_subtract),
    SAME("_-_", double, op_subtract),
    SAME("_-_", duration, op_subtract),
    TWO("_-_", timestamp, timestamp, duration, op_subtract),
    TWO("_-_", timestamp, duration, timestamp, op_subtract),
    SAME("_*_", int, op_multiply),
    SAME("_*_", uint, op_multiply),
    SAME("_*_", double, op_multiply),
    SAME("_/_", int, op_divide),
    SAME("_/_", uint, op_divide),
    SAME("_/_", double, op_divide),
    SAME("_%_", int, op_modulo),
    SAME("_%_", uint, op_modulo),
    ONE("-_", int, int, op_negate),
    ONE("-_", double, double, op_negate),
    ONE("!_", bool, bool, op_not),
    TWO("_==_", a, a, bool, op_equal),
    TWO("_!=_", a, a, bool, op_unequal),
    ORDER("_<_", op_less),
    ORDER("_<=_", op_less_equal),
    ORDER("_>_", op_more),
    ORDER("_>=_", op_more_equal),
    TWO("@in", a, list_a, bool, op_in),
    TWO("@in", a, map_ab, bool, op_in),
    TWO("_[_]", list_a, int, a, op_index),
    TWO("_[_]", map_ab, a, b, op_index),
    {"_[_]",
     CEL_G,
     2,
     {&optional_list, &cel_type_int},
     &cel_type_optional_a,
     op_index,
     NULL},
    {"_[_]",
     CEL_G,
     2,
     {&optional_map, &cel_type_a},
     &cel_type_optional_b,
     op_index,
     NULL},
    TWO("_[?_]", list_a, int, optional_a, op_index_optional),
    TWO("_[?_]", map_ab, a, optional_b, op_index_optional),
    {"_[?_]",
     CEL_G,
     2,
     {&optional_list, &cel_type_int},
     &cel_type_optional_a,
     op_index_optional,
     NULL},
    {"_[?_]",
     CEL_G,
     2,
     {&optional_map, &cel_type_a},
     &cel_type_optional_b,
     op_index_optional,
     NULL},
};

const struct cel_library cel_lib_operators = CEL_LIBRARY(rows);
