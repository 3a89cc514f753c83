#include "expr/cel_lib_priv.h"

static struct cel_value of(struct cel_run *run, const struct cel_value *args)
{
    return cel_some(run, args[0]);
}

static struct cel_value none(struct cel_run *run, const struct cel_value *args)
{
    (void)run;
    (void)args;
    return cel_none();
}

static struct cel_value of_non_zero(struct cel_run *run,
                                    const struct cel_value *args)
{
    return cel_is_zero(args[0]) ? cel_none() : cel_some(run, args[0]);
}

static struct cel_value has_value(struct cel_run *run,
                                  const struct cel_value *args)
{
    (void)run;
    return cel_bool(args[0].some != NULL);
}

static struct cel_value value(struct cel_run *run, const struct cel_value *args)
{
    return args[0].some != NULL ? *args[0].some
                                : cel_fail(run, CEL_FAULT_ARGUMENT,
                                           "optional.none() dereference");
}

static struct cel_value or_other(struct cel_run *run,
                                 const struct cel_value *args)
{
    (void)run;
    return args[0].some != NULL ? args[0] : args[1];
}

static struct cel_value or_value(struct cel_run *run,
                                 const struct cel_value *args)
{
    (void)run;
    return args[0].some != NULL ? *args[0].some : args[1];
}

/* All values that are there. */
static struct cel_value unwrap(struct cel_run *run,
                               const struct cel_value *args)
{
    const struct cel_list *list = args[0].list;
    struct cel_value *items = cel_alloc(run, list->count, sizeof(*items));
    uint32_t count = 0;
    if (items == NULL || !cel_charge(run, list->count)) {
        return cel_spent(run);
    }
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->items[i].kind != CEL_OPTIONAL) {
            return cel_no_overload(run, "optional.unwrap", &list->items[i], 1);
        }
        if (list->items[i].some != NULL) {
            items[count++] = *list->items[i].some;
        }
    }
    return cel_new_list(run, items, count);
}

#define A &cel_type_a
#define O &cel_type_optional_a

static const struct cel_type *const optional_param[] = {O};
static const struct cel_type list_of_optional = {.kind = CEL_LIST,
                                                 .name = {"list", 4},
                                                 .param_count = 1,
                                                 .params = optional_param};

static const struct cel_function rows[] = {
    {"optional.of", CEL_G, 1, {A}, O, of, "An optional that has the value."},
    {"optional.none", CEL_G, 0, {0}, O, none, "An optional without a value."},
    {"optional.ofNonZeroValue",
     CEL_G,
     1,
     {A},
     O,
     of_non_zero,
     "Without a value if it is empty, 0, false or null."},
    {"hasValue",
     CEL_M,
     1,
     {O},
     &cel_type_bool,
     has_value,
     "True if there is a value."},
    {"value", CEL_M, 1, {O}, A, value, "The value; an error without one."},
    {"or", CEL_M, 2, {O, O}, O, or_other, "The other one if it has no value."},
    {"orValue", CEL_M, 2, {O, A}, A, or_value, "Its value, or else this one."},
    {"optional.unwrap",
     CEL_G,
     1,
     {&list_of_optional},
     &cel_type_list_a,
     unwrap,
     "All values that are there."},
    {"unwrapOpt",
     CEL_M,
     1,
     {&list_of_optional},
     &cel_type_list_a,
     unwrap,
     "All values that are there."},
};

const struct cel_library cel_lib_optional = CEL_LIBRARY(rows);
