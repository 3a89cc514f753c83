#include <stdlib.h>
#include <string.h>

#include "expr/cel_lib_priv.h"

/* Elements of one list.range() and of one sort. */
#define RANGE_MAX 100000

static struct cel_value range(struct cel_run *run, const struct cel_value *args)
{
    int64_t count = args[0].i;
    if (count < 0 || count > RANGE_MAX) {
        return cel_fail(run, CEL_FAULT_RANGE,
                        "lists.range() takes 0 to %d, not %lld", RANGE_MAX,
                        (long long)count);
    }
    struct cel_value *items = cel_alloc(run, (size_t)count, sizeof(*items));
    if (items == NULL || !cel_charge(run, (size_t)count)) {
        return cel_spent(run);
    }
    for (int64_t i = 0; i < count; i++) {
        items[i] = cel_int(i);
    }
    return cel_new_list(run, items, (uint32_t)count);
}

static struct cel_value slice(struct cel_run *run, const struct cel_value *args)
{
    const struct cel_list *list = args[0].list;
    int64_t from = args[1].i;
    int64_t to = args[2].i;
    if (from < 0 || to < from || to > list->count) {
        return cel_fail(run, CEL_FAULT_RANGE,
                        "cannot slice(%lld, %lld) of a list of %u",
                        (long long)from, (long long)to, (unsigned)list->count);
    }
    return cel_new_list(run, list->items + from, (uint32_t)(to - from));
}

static struct cel_value reverse(struct cel_run *run,
                                const struct cel_value *args)
{
    const struct cel_list *list = args[0].list;
    struct cel_value *items = cel_alloc(run, list->count, sizeof(*items));
    if (items == NULL || !cel_charge(run, list->count)) {
        return cel_spent(run);
    }
    for (uint32_t i = 0; i < list->count; i++) {
        items[i] = list->items[list->count - 1 - i];
    }
    return cel_new_list(run, items, list->count);
}

static struct cel_value distinct(struct cel_run *run,
                                 const struct cel_value *args)
{
    const struct cel_list *list = args[0].list;
    struct cel_value *items = cel_alloc(run, list->count, sizeof(*items));
    uint32_t count = 0;
    if (items == NULL) {
        return cel_spent(run);
    }
    for (uint32_t i = 0; i < list->count; i++) {
        uint32_t k = 0;
        while (k < count && !cel_equal(run, items[k], list->items[i])) {
            k++;
        }
        if (run->spent) {
            return cel_spent(run);
        }
        if (k == count) {
            items[count++] = list->items[i];
        }
    }
    return cel_new_list(run, items, count);
}

/* One level, or as many as asked for, by going over the list again. */
static struct cel_value flatten_once(struct cel_run *run,
                                     const struct cel_list *list)
{
    size_t count = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        const struct cel_value *v = &list->items[i];
        count += v->kind == CEL_LIST ? v->list->count : 1;
    }
    struct cel_value *items = cel_alloc(run, count, sizeof(*items));
    if (items == NULL || !cel_charge(run, list->count + count / 8)) {
        return cel_spent(run);
    }
    size_t at = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        struct cel_value v = list->items[i];
        if (v.kind != CEL_LIST) {
            items[at++] = v;
        } else if (v.list->count != 0) {
            memcpy(items + at, v.list->items, v.list->count * sizeof(*items));
            at += v.list->count;
        }
    }
    return cel_new_list(run, items, (uint32_t)count);
}

static struct cel_value flatten(struct cel_run *run,
                                const struct cel_value *args)
{
    return flatten_once(run, args[0].list);
}

static struct cel_value flatten_deep(struct cel_run *run,
                                     const struct cel_value *args)
{
    struct cel_value v = args[0];
    if (args[1].i < 0) {
        return cel_fail(run, CEL_FAULT_ARGUMENT,
                        "flatten() takes a depth of 0 or more");
    }
    for (int64_t i = 0; i < args[1].i && v.kind == CEL_LIST; i++) {
        uint32_t k = 0;
        while (k < v.list->count && v.list->items[k].kind != CEL_LIST) {
            k++;
        }
        if (k == v.list->count) {
            break;
        }
        v = flatten_once(run, v.list);
    }
    return v;
}

static int by_order(const void *a, const void *b)
{
    const struct cel_value *x = a;
    const struct cel_value *y = b;
    enum cel_order order = cel_compare(*x, *y);
    return order == CEL_LESS ? -1 : order == CEL_MORE ? 1 : 0;
}

static struct cel_value sort(struct cel_run *run, const struct cel_value *args)
{
    const struct cel_list *list = args[0].list;
    struct cel_value *items = cel_alloc(run, list->count, sizeof(*items));
    if (items == NULL || !cel_charge(run, (size_t)list->count * 4)) {
        return cel_spent(run);
    }
    for (uint32_t i = 0; i < list->count; i++) {
        items[i] = list->items[i];
        if (items[i].kind != items[0].kind ||
            cel_compare(items[i], items[0]) == CEL_UNLIKE) {
            const struct cel_value pair[] = {items[0], items[i]};
            return cel_no_overload(run, "sort", pair, 2);
        }
    }
    qsort(items, list->count, sizeof(*items), by_order);
    return cel_new_list(run, items, list->count);
}

static struct cel_value first(struct cel_run *run, const struct cel_value *args)
{
    const struct cel_list *list = args[0].list;
    return list->count == 0 ? cel_none() : cel_some(run, list->items[0]);
}

static struct cel_value last(struct cel_run *run, const struct cel_value *args)
{
    const struct cel_list *list = args[0].list;
    return list->count == 0 ? cel_none()
                            : cel_some(run, list->items[list->count - 1]);
}

#define L &cel_type_list_a
#define I &cel_type_int

static const struct cel_type *const int_param[] = {&cel_type_int};
static const struct cel_type list_of_int = {.kind = CEL_LIST,
                                            .name = {"list", 4},
                                            .param_count = 1,
                                            .params = int_param};

static const struct cel_function rows[] = {
    {"lists.range",
     CEL_G,
     1,
     {I},
     &list_of_int,
     range,
     "The numbers from 0 up to it, which is not part of them."},
    {"slice",
     CEL_M,
     3,
     {L, I, I},
     L,
     slice,
     "From the first index to the second, which is not part of it."},
    {"reverse", CEL_M, 1, {L}, L, reverse, "The elements backwards."},
    {"distinct", CEL_M, 1, {L}, L, distinct, "Every element once."},
    {"flatten",
     CEL_M,
     1,
     {&cel_type_list_dyn},
     &cel_type_list_dyn,
     flatten,
     "With lists among the elements replaced by what is in them."},
    {"flatten",
     CEL_M,
     2,
     {&cel_type_list_dyn, I},
     &cel_type_list_dyn,
     flatten_deep,
     "The same, so many levels deep."},
    {"sort", CEL_M, 1, {L}, L, sort, "From the least to the greatest."},
    {"first",
     CEL_M,
     1,
     {L},
     &cel_type_optional_a,
     first,
     "The first element, if there is one."},
    {"last",
     CEL_M,
     1,
     {L},
     &cel_type_optional_a,
     last,
     "The last element, if there is one."},
};

const struct cel_library cel_lib_lists = CEL_LIBRARY(rows);
