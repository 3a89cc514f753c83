#include <math.h>

#include "expr/cel_lib_priv.h"

static bool is_number(struct cel_value v)
{
    return v.kind == CEL_INT || v.kind == CEL_UINT || v.kind == CEL_DOUBLE;
}

/* The one that all others are in this order to; the first among equals. */
static struct cel_value extreme(struct cel_run *run,
                                const struct cel_list *list,
                                enum cel_order wanted, const char *name)
{
    if (list->count == 0) {
        return cel_fail(run, CEL_FAULT_ARGUMENT,
                        "%s() takes at least one number", name);
    }
    struct cel_value best = list->items[0];
    for (uint32_t i = 0; i < list->count; i++) {
        if (!is_number(list->items[i])) {
            return cel_no_overload(run, name, &list->items[i], 1);
        }
        if (!cel_charge(run, 1)) {
            return cel_spent(run);
        }
        if (cel_compare(list->items[i], best) == wanted) {
            best = list->items[i];
        }
    }
    return best;
}

static struct cel_value greatest(struct cel_run *run,
                                 const struct cel_value *args)
{
    return extreme(run, args[0].list, CEL_MORE, "math.greatest");
}

static struct cel_value least(struct cel_run *run, const struct cel_value *args)
{
    return extreme(run, args[0].list, CEL_LESS, "math.least");
}

#define OF_DOUBLE(fn_, expression_)                                            \
    static struct cel_value fn_(struct cel_run *run,                           \
                                const struct cel_value *args)                  \
    {                                                                          \
        double d = args[0].d;                                                  \
        (void)run;                                                             \
        return (expression_);                                                  \
    }

OF_DOUBLE(do_ceil, cel_double(ceil(d)))
OF_DOUBLE(do_floor, cel_double(floor(d)))
OF_DOUBLE(do_round, cel_double(round(d)))
OF_DOUBLE(do_trunc, cel_double(trunc(d)))
OF_DOUBLE(abs_double, cel_double(fabs(d)))
OF_DOUBLE(sign_double, cel_double(isnan(d) ? d
                                  : d > 0  ? 1.0
                                  : d < 0  ? -1.0
                                           : d))
OF_DOUBLE(sqrt_double, cel_double(sqrt(d)))
OF_DOUBLE(is_nan, cel_bool(isnan(d)))
OF_DOUBLE(is_inf, cel_bool(isinf(d)))
OF_DOUBLE(is_finite, cel_bool(isfinite(d)))

static struct cel_value sqrt_int(struct cel_run *run,
                                 const struct cel_value *args)
{
    (void)run;
    return cel_double(sqrt((double)args[0].i));
}

static struct cel_value sqrt_uint(struct cel_run *run,
                                  const struct cel_value *args)
{
    (void)run;
    return cel_double(sqrt((double)args[0].u));
}

static struct cel_value abs_int(struct cel_run *run,
                                const struct cel_value *args)
{
    if (args[0].i == INT64_MIN) {
        return cel_fail(run, CEL_FAULT_RANGE,
                        "integer overflow: the result of math.abs is out of "
                        "range");
    }
    return cel_int(args[0].i < 0 ? -args[0].i : args[0].i);
}

static struct cel_value abs_uint(struct cel_run *run,
                                 const struct cel_value *args)
{
    (void)run;
    return args[0];
}

static struct cel_value sign_int(struct cel_run *run,
                                 const struct cel_value *args)
{
    (void)run;
    return cel_int((args[0].i > 0) - (args[0].i < 0));
}

static struct cel_value sign_uint(struct cel_run *run,
                                  const struct cel_value *args)
{
    (void)run;
    return cel_uint(args[0].u > 0 ? 1 : 0);
}

/* Bits are the same for int and uint; the result is what the first is. */

static struct cel_value same_kind(struct cel_value like, uint64_t bits)
{
    like.u = bits;
    return like;
}

static struct cel_value bit_and(struct cel_run *run,
                                const struct cel_value *args)
{
    (void)run;
    return same_kind(args[0], args[0].u & args[1].u);
}

static struct cel_value bit_or(struct cel_run *run,
                               const struct cel_value *args)
{
    (void)run;
    return same_kind(args[0], args[0].u | args[1].u);
}

static struct cel_value bit_xor(struct cel_run *run,
                                const struct cel_value *args)
{
    (void)run;
    return same_kind(args[0], args[0].u ^ args[1].u);
}

static struct cel_value bit_not(struct cel_run *run,
                                const struct cel_value *args)
{
    (void)run;
    return same_kind(args[0], ~args[0].u);
}

static struct cel_value shift(struct cel_run *run, const struct cel_value *args,
                              bool left)
{
    int64_t by = args[1].i;
    if (by < 0) {
        return cel_fail(run, CEL_FAULT_ARGUMENT, "%s() negative offset: %lld",
                        left ? "math.bitShiftLeft" : "math.bitShiftRight",
                        (long long)by);
    }
    uint64_t bits = by > 63 ? 0 : left ? args[0].u << by : args[0].u >> by;
    return same_kind(args[0], bits);
}

static struct cel_value shift_left(struct cel_run *run,
                                   const struct cel_value *args)
{
    return shift(run, args, true);
}

static struct cel_value shift_right(struct cel_run *run,
                                    const struct cel_value *args)
{
    return shift(run, args, false);
}

#define I &cel_type_int
#define U &cel_type_uint
#define D &cel_type_double
#define B &cel_type_bool

static const struct cel_function rows[] = {
    {"math.greatest",
     CEL_G,
     CEL_VARIADIC,
     {&cel_type_list_dyn},
     &cel_type_dyn,
     greatest,
     "The greatest of the numbers, or of a list of them."},
    {"math.least",
     CEL_G,
     CEL_VARIADIC,
     {&cel_type_list_dyn},
     &cel_type_dyn,
     least,
     "The least of the numbers, or of a list of them."},
    {"math.ceil", CEL_G, 1, {D}, D, do_ceil, "Rounded up."},
    {"math.floor", CEL_G, 1, {D}, D, do_floor, "Rounded down."},
    {"math.round",
     CEL_G,
     1,
     {D},
     D,
     do_round,
     "Rounded to the nearest; halves away from 0."},
    {"math.trunc",
     CEL_G,
     1,
     {D},
     D,
     do_trunc,
     "Without what is behind the point."},
    {"math.abs", CEL_G, 1, {D}, D, abs_double, "Without its sign."},
    {"math.abs", CEL_G, 1, {I}, I, abs_int, "Without its sign."},
    {"math.abs", CEL_G, 1, {U}, U, abs_uint, "The number itself."},
    {"math.sign", CEL_G, 1, {D}, D, sign_double, "-1, 0 or 1."},
    {"math.sign", CEL_G, 1, {I}, I, sign_int, "-1, 0 or 1."},
    {"math.sign", CEL_G, 1, {U}, U, sign_uint, "0 or 1."},
    {"math.sqrt", CEL_G, 1, {D}, D, sqrt_double, "The square root."},
    {"math.sqrt", CEL_G, 1, {I}, D, sqrt_int, "The square root."},
    {"math.sqrt", CEL_G, 1, {U}, D, sqrt_uint, "The square root."},
    {"math.isNaN", CEL_G, 1, {D}, B, is_nan, "True if it is no number."},
    {"math.isInf", CEL_G, 1, {D}, B, is_inf, "True if it is infinite."},
    {"math.isFinite",
     CEL_G,
     1,
     {D},
     B,
     is_finite,
     "True if it is neither infinite nor no number."},
    {"math.bitAnd", CEL_G, 2, {I, I}, I, bit_and, "The bits of both."},
    {"math.bitAnd", CEL_G, 2, {U, U}, U, bit_and, "The bits of both."},
    {"math.bitOr", CEL_G, 2, {I, I}, I, bit_or, "The bits of either."},
    {"math.bitOr", CEL_G, 2, {U, U}, U, bit_or, "The bits of either."},
    {"math.bitXor", CEL_G, 2, {I, I}, I, bit_xor, "The bits of one only."},
    {"math.bitXor", CEL_G, 2, {U, U}, U, bit_xor, "The bits of one only."},
    {"math.bitNot", CEL_G, 1, {I}, I, bit_not, "The other bits."},
    {"math.bitNot", CEL_G, 1, {U}, U, bit_not, "The other bits."},
    {"math.bitShiftLeft",
     CEL_G,
     2,
     {I, I},
     I,
     shift_left,
     "The bits moved up; 0 past 63."},
    {"math.bitShiftLeft",
     CEL_G,
     2,
     {U, I},
     U,
     shift_left,
     "The bits moved up; 0 past 63."},
    {"math.bitShiftRight",
     CEL_G,
     2,
     {I, I},
     I,
     shift_right,
     "The bits moved down, zeros from above."},
    {"math.bitShiftRight",
     CEL_G,
     2,
     {U, I},
     U,
     shift_right,
     "The bits moved down, zeros from above."},
};

const struct cel_library cel_lib_math = CEL_LIBRARY(rows);
