#include <string.h>

#include "expr/cel_lib_priv.h"
#include "expr/cel_op_priv.h"

/* What a macro goes over, one after the other. */
struct range {
    const struct cel_list *list;
    const struct cel_map *map;
    uint32_t count;
};

/* A list that grows in the arena. */
struct growing {
    struct cel_entry *entries;
    struct cel_value *items;
    uint32_t count;
    uint32_t cap;
};

/* The body's value for one element: 1 to use it, 0 to leave the element out,
 * -1 with an error in *ret. */
static int step(const struct cel_op *op, struct cel_run *run,
                const struct range *range, uint32_t i, struct cel_value *ret)
{
    struct cel_value *names = &run->locals[op->local];
    struct cel_entry e =
        range->map != NULL
            ? cel_map_at(range->map, i)
            : (struct cel_entry){cel_int(i), range->list->items[i]};
    names[0] = op->has_second || range->map != NULL ? e.key : e.value;
    if (op->has_second) {
        names[1] = e.value;
    }
    if (op->args[0] != NULL) {
        struct cel_value pass = cel_op_eval(op->args[0], run);
        if (pass.kind != CEL_BOOL) {
            run->offset = op->offset;
            *ret = cel_no_overload(run, "filter", &pass, 1);
            return -1;
        }
        if (!pass.boolean) {
            return 0;
        }
    }
    *ret = cel_op_eval(op->args[1], run);
    return ret->kind == CEL_ERROR ? -1 : 1;
}

/* all and exists: the value that decides wins over errors elsewhere. */
static struct cel_value quantify(const struct cel_op *op, struct cel_run *run,
                                 const struct range *range, bool decides)
{
    struct cel_value error = cel_null();
    for (uint32_t i = 0; i < range->count; i++) {
        struct cel_value v;
        (void)step(op, run, range, i, &v);
        if (v.kind == CEL_BOOL) {
            if (v.boolean == decides) {
                return v;
            }
            continue;
        }
        if (run->spent) {
            return cel_spent(run);
        }
        if (error.kind == CEL_NULL) {
            run->offset = op->offset;
            error =
                v.kind == CEL_ERROR
                    ? v
                    : cel_no_overload(run, decides ? "exists" : "all", &v, 1);
        }
    }
    return error.kind == CEL_ERROR ? error : cel_bool(!decides);
}

static struct cel_value exactly_one(const struct cel_op *op,
                                    struct cel_run *run,
                                    const struct range *range)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < range->count; i++) {
        struct cel_value v;
        if (step(op, run, range, i, &v) < 0) {
            return v;
        }
        if (v.kind != CEL_BOOL) {
            run->offset = op->offset;
            return cel_no_overload(run, "exists_one", &v, 1);
        }
        count += v.boolean ? 1 : 0;
    }
    return cel_bool(count == 1);
}

static bool grow(struct cel_run *run, struct growing *g, size_t size,
                 void **array)
{
    if (g->count < g->cap) {
        return true;
    }
    uint32_t cap = g->cap == 0 ? 8 : g->cap * 2;
    void *bigger = cel_alloc(run, cap, size);
    if (bigger == NULL) {
        return false;
    }
    if (g->count != 0) {
        memcpy(bigger, *array, g->count * size);
    }
    *array = bigger;
    g->cap = cap;
    return true;
}

static struct cel_value make_list(const struct cel_op *op, struct cel_run *run,
                                  const struct range *range)
{
    struct growing g = {0};
    for (uint32_t i = 0; i < range->count; i++) {
        struct cel_value v;
        void *array = g.items;
        int use = step(op, run, range, i, &v);
        if (use < 0) {
            return v;
        }
        if (use == 0) {
            continue;
        }
        if (!grow(run, &g, sizeof(*g.items), &array)) {
            return cel_spent(run);
        }
        g.items = array;
        g.items[g.count++] = v;
    }
    return cel_new_list(run, g.items, g.count);
}

static bool add_entry(struct cel_run *run, struct growing *g,
                      struct cel_entry e)
{
    void *array = g->entries;
    if (!grow(run, g, sizeof(*g->entries), &array)) {
        return false;
    }
    g->entries = array;
    g->entries[g->count++] = e;
    return true;
}

/* transformMapEntry: all entries of the map that the body gave. */
static struct cel_value add_entries(const struct cel_op *op,
                                    struct cel_run *run, struct growing *g,
                                    struct cel_value v)
{
    if (v.kind != CEL_MAP) {
        run->offset = op->offset;
        return cel_no_overload(run, "transformMapEntry", &v, 1);
    }
    uint32_t count = cel_map_count(v.map);
    for (uint32_t i = 0; i < count; i++) {
        if (!cel_charge(run, 1) || !add_entry(run, g, cel_map_at(v.map, i))) {
            return cel_spent(run);
        }
    }
    return cel_null();
}

static struct cel_value make_map(const struct cel_op *op, struct cel_run *run,
                                 const struct range *range)
{
    struct growing g = {0};
    for (uint32_t i = 0; i < range->count; i++) {
        struct cel_value v;
        int use = step(op, run, range, i, &v);
        if (use < 0) {
            return v;
        }
        if (use == 0) {
            continue;
        }
        if (op->loop == CEL_LOOP_MAP_ENTRY) {
            v = add_entries(op, run, &g, v);
            if (v.kind == CEL_ERROR) {
                return v;
            }
            continue;
        }
        struct cel_value key =
            range->map != NULL ? cel_map_at(range->map, i).key : cel_int(i);
        if (!add_entry(run, &g, (struct cel_entry){key, v})) {
            return cel_spent(run);
        }
    }
    run->offset = op->offset;
    return cel_new_map(run, g.entries, g.count);
}

struct cel_value cel_eval_loop(const struct cel_op *op, struct cel_run *run)
{
    struct cel_value v = cel_op_eval(op->target, run);
    struct range range = {0};
    if (v.kind == CEL_LIST) {
        range.list = v.list;
        range.count = v.list->count;
    } else if (v.kind == CEL_MAP) {
        range.map = v.map;
        range.count = cel_map_count(v.map);
    } else {
        run->offset = op->offset;
        return cel_no_overload(run, "a macro over", &v, 1);
    }
    switch (op->loop) {
    case CEL_LOOP_ALL:
        return quantify(op, run, &range, false);
    case CEL_LOOP_EXISTS:
        return quantify(op, run, &range, true);
    case CEL_LOOP_EXISTS_ONE:
        return exactly_one(op, run, &range);
    case CEL_LOOP_LIST:
        return make_list(op, run, &range);
    case CEL_LOOP_MAP:
    case CEL_LOOP_MAP_ENTRY:
        break;
    }
    return make_map(op, run, &range);
}
