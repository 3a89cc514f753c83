#include <string.h>

#include "base/assert.h"
#include "expr/cel_lib_priv.h"
#include "expr/cel_op_priv.h"
#include "expr/re.h"

struct cel_value cel_eval_literal(const struct cel_op *op, struct cel_run *run)
{
    (void)run;
    return op->value;
}

struct cel_value cel_eval_local(const struct cel_op *op, struct cel_run *run)
{
    return run->locals[op->index];
}

struct cel_value cel_eval_unknown(const struct cel_op *op, struct cel_run *run)
{
    run->offset = op->offset;
    return cel_fail(run, CEL_FAULT_UNDECLARED, "undeclared reference to '%s'",
                    op->name);
}

struct cel_value cel_eval_variable(const struct cel_op *op, struct cel_run *run)
{
    run->offset = op->offset;
    if (run->input == NULL || run->input->variable == NULL) {
        return cel_fail(run, CEL_FAULT_UNDECLARED, "%s has no value here",
                        op->name);
    }
    return run->input->variable(run->input->context, op->index, run);
}

static struct cel_value no_key(const struct cel_op *op, struct cel_run *run)
{
    run->offset = op->offset;
    return cel_fail(run, CEL_FAULT_NO_KEY, "no such key: '%s'", op->name);
}

static struct cel_value no_fields(const struct cel_op *op, struct cel_run *run,
                                  struct cel_value target)
{
    run->offset = op->offset;
    return cel_fail(run, CEL_FAULT_NO_OVERLOAD,
                    "type '%.*s' does not support field selection",
                    STR_ARG(cel_text_kind(target)));
}

/* target.name where one of the two is optional: an optional again. */
static struct cel_value select_optional(const struct cel_op *op,
                                        struct cel_run *run,
                                        struct cel_value target)
{
    struct cel_value found;
    if (target.kind == CEL_OPTIONAL) {
        if (target.some == NULL) {
            return target;
        }
        target = *target.some;
    }
    if (target.kind != CEL_MAP) {
        return no_fields(op, run, target);
    }
    if (!cel_map_get(target.map, op->value, op->index, &found)) {
        return cel_none();
    }
    return cel_some(run, found);
}

struct cel_value cel_eval_select(const struct cel_op *op, struct cel_run *run)
{
    struct cel_value found;
    struct cel_value target = cel_op_eval(op->target, run);
    if (target.kind == CEL_MAP && !op->is_optional) {
        return cel_map_get(target.map, op->value, op->index, &found)
                   ? found
                   : no_key(op, run);
    }
    if (target.kind == CEL_ERROR) {
        return target;
    }
    if (op->is_optional || target.kind == CEL_OPTIONAL) {
        return select_optional(op, run, target);
    }
    return no_fields(op, run, target);
}

struct cel_value cel_eval_test(const struct cel_op *op, struct cel_run *run)
{
    struct cel_value found;
    struct cel_value target = cel_op_eval(op->target, run);
    if (target.kind == CEL_OPTIONAL) {
        if (target.some == NULL) {
            return cel_bool(false);
        }
        target = *target.some;
    }
    if (target.kind == CEL_ERROR) {
        return target;
    }
    if (target.kind != CEL_MAP) {
        return no_fields(op, run, target);
    }
    return cel_bool(cel_map_get(target.map, op->value, op->index, &found));
}

/* && and ||: the value that decides wins over errors on either side. */
static struct cel_value logic(const struct cel_op *op, struct cel_run *run,
                              bool decides)
{
    struct cel_value error = cel_null();
    for (uint32_t i = 0; i < op->arg_count; i++) {
        struct cel_value v = cel_op_eval(op->args[i], run);
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
                v.kind == CEL_ERROR ? v : cel_no_overload(run, op->name, &v, 1);
        }
    }
    return error.kind == CEL_ERROR ? error : cel_bool(!decides);
}

struct cel_value cel_eval_and(const struct cel_op *op, struct cel_run *run)
{
    return logic(op, run, false);
}

struct cel_value cel_eval_or(const struct cel_op *op, struct cel_run *run)
{
    return logic(op, run, true);
}

struct cel_value cel_eval_choice(const struct cel_op *op, struct cel_run *run)
{
    struct cel_value v = cel_op_eval(op->args[0], run);
    if (v.kind != CEL_BOOL) {
        run->offset = op->offset;
        return cel_no_overload(run, "_?_:_", &v, 1);
    }
    return cel_op_eval(op->args[v.boolean ? 1 : 2], run);
}

/* What an element behind ? contributes: 1 a value, 0 none, -1 an error. */
static int unwrap(const struct cel_op *op, struct cel_run *run,
                  struct cel_value *v)
{
    if (v->kind == CEL_ERROR) {
        return -1;
    }
    if (v->kind != CEL_OPTIONAL) {
        run->offset = op->offset;
        *v = cel_no_overload(run, "?_", v, 1);
        return -1;
    }
    if (v->some == NULL) {
        return 0;
    }
    *v = *v->some;
    return 1;
}

struct cel_value cel_eval_list(const struct cel_op *op, struct cel_run *run)
{
    uint32_t count = 0;
    struct cel_value *items = cel_alloc(run, op->arg_count, sizeof(*items));
    if (items == NULL) {
        return cel_spent(run);
    }
    for (uint32_t i = 0; i < op->arg_count; i++) {
        struct cel_value v = cel_op_eval(op->args[i], run);
        int use = op->maybe[i] ? unwrap(op->args[i], run, &v) : 1;
        if (use < 0 || v.kind == CEL_ERROR) {
            return v;
        }
        items[count] = v;
        count += use == 1 ? 1 : 0;
    }
    return cel_new_list(run, items, count);
}

struct cel_value cel_eval_map(const struct cel_op *op, struct cel_run *run)
{
    uint32_t count = 0;
    struct cel_entry *entries =
        cel_alloc(run, op->arg_count / 2, sizeof(*entries));
    if (entries == NULL) {
        return cel_spent(run);
    }
    for (uint32_t i = 0; i < op->arg_count; i += 2) {
        struct cel_value key = cel_op_eval(op->args[i], run);
        struct cel_value v = cel_op_eval(op->args[i + 1], run);
        if (key.kind == CEL_ERROR) {
            return key;
        }
        int use = op->maybe[i] ? unwrap(op->args[i + 1], run, &v) : 1;
        if (use < 0 || v.kind == CEL_ERROR) {
            return v;
        }
        entries[count] = (struct cel_entry){key, v};
        count += use == 1 ? 1 : 0;
    }
    run->offset = op->offset;
    return cel_new_map(run, entries, count);
}

struct cel_value cel_eval_one(const struct cel_op *op, struct cel_run *run)
{
    struct cel_value v = cel_op_eval(op->args[0], run);
    if (v.kind == CEL_ERROR) {
        return v;
    }
    run->offset = op->offset;
    return op->call(run, &v);
}

struct cel_value cel_eval_two(const struct cel_op *op, struct cel_run *run)
{
    struct cel_value args[2];
    args[0] = cel_op_eval(op->args[0], run);
    if (args[0].kind == CEL_ERROR) {
        return args[0];
    }
    args[1] = cel_op_eval(op->args[1], run);
    if (args[1].kind == CEL_ERROR) {
        return args[1];
    }
    run->offset = op->offset;
    return op->call(run, args);
}

/* Can a value of this kind stand where the row wants this type? */
static bool takes(const struct cel_type *t, struct cel_value v)
{
    return t->kind == v.kind || t->kind == CEL_DYN || t->kind == CEL_PARAM;
}

static const struct cel_function *
choose(const struct cel_op *op, const struct cel_value *args, uint32_t count)
{
    for (uint32_t i = 0; i < op->row_count; i++) {
        const struct cel_function *row = op->rows[i];
        uint32_t k = 0;
        while (k < count && takes(row->args[k], args[k])) {
            k++;
        }
        if (k == count && row->call != NULL) {
            return row;
        }
    }
    return NULL;
}

/* The receiver and the arguments: how many, or -1 with an error in args[0]. */
static int eval_args(const struct cel_op *op, struct cel_run *run,
                     struct cel_value args[CEL_ARGS_MAX])
{
    int count = 0;
    for (uint32_t i = 0; i < op->arg_count + (op->is_member ? 1 : 0); i++) {
        const struct cel_op *arg = op->is_member && i == 0
                                       ? op->target
                                       : op->args[i - (op->is_member ? 1 : 0)];
        struct cel_value v = cel_op_eval(arg, run);
        if (v.kind == CEL_ERROR) {
            args[0] = v;
            return -1;
        }
        if (count < CEL_ARGS_MAX) {
            args[count++] = v;
        }
    }
    return count;
}

struct cel_value cel_eval_call(const struct cel_op *op, struct cel_run *run)
{
    struct cel_value args[CEL_ARGS_MAX];
    int count = eval_args(op, run, args);
    if (count < 0) {
        return args[0];
    }
    run->offset = op->offset;
    const struct cel_function *row =
        op->row_count == 0 ? NULL : choose(op, args, (uint32_t)count);
    if (row == NULL) {
        return cel_no_overload(run, op->name, args, (size_t)count);
    }
    return row->call(run, args);
}

struct cel_value cel_eval_variadic(const struct cel_op *op, struct cel_run *run)
{
    struct cel_value list = cel_eval_list(op, run);
    if (list.kind == CEL_ERROR) {
        return list;
    }
    if (op->arg_count == 1 && list.list->items[0].kind == CEL_LIST) {
        list = list.list->items[0];
    }
    run->offset = op->offset;
    return op->rows[0]->call(run, &list);
}

struct cel_value cel_eval_pattern(const struct cel_op *op, struct cel_run *run)
{
    struct cel_value text =
        cel_op_eval(op->is_member ? op->target : op->args[0], run);
    if (text.kind != CEL_STRING) {
        run->offset = op->offset;
        return cel_no_overload(run, op->name, &text, 1);
    }
    bool found = false;
    if (!re_search(op->pattern, cel_text(text), run, &found)) {
        return cel_spent(run);
    }
    return cel_bool(found);
}

struct cel_value cel_eval_bind(const struct cel_op *op, struct cel_run *run)
{
    run->locals[op->local] = cel_op_eval(op->target, run);
    return cel_op_eval(op->args[0], run);
}

struct cel_value cel_eval_opt_map(const struct cel_op *op, struct cel_run *run)
{
    struct cel_value v = cel_op_eval(op->target, run);
    if (v.kind != CEL_OPTIONAL) {
        run->offset = op->offset;
        return cel_no_overload(run, op->is_optional ? "optFlatMap" : "optMap",
                               &v, 1);
    }
    if (v.some == NULL) {
        return v;
    }
    run->locals[op->local] = *v.some;
    v = cel_op_eval(op->args[0], run);
    if (v.kind == CEL_ERROR || (op->is_optional && v.kind == CEL_OPTIONAL)) {
        return v;
    }
    if (op->is_optional) {
        run->offset = op->offset;
        return cel_no_overload(run, "optFlatMap", &v, 1);
    }
    return cel_some(run, v);
}
