#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "expr/cel_lib_priv.h"
#include "expr/utf8.h"

/* Digits behind the point that a clause may ask for. */
#define PRECISION_MAX 100
#define PRECISION_DEFAULT 6

struct clause {
    char letter;
    int precision; /* -1: none given */
};

static struct cel_value refuse(struct cel_run *run, const char *what,
                               struct cel_value v)
{
    return cel_fail(run, CEL_FAULT_ARGUMENT,
                    "error during formatting: %s, was given %.*s", what,
                    STR_ARG(cel_type_of(v)->name));
}

static bool add_special(double d, struct strbuf *out)
{
    if (isfinite(d)) {
        return false;
    }
    strbuf_addc(out, isnan(d) ? "NaN" : d < 0 ? "-Infinity" : "Infinity");
    return true;
}

static struct cel_value put_decimal(struct cel_run *run, struct cel_value v,
                                    struct strbuf *out)
{
    if (v.kind == CEL_INT || v.kind == CEL_UINT || v.kind == CEL_DOUBLE) {
        cel_text_plain(v, out);
        return cel_null();
    }
    return refuse(run, "decimal clause can only be used on integers", v);
}

/* %f and %e; numbers of any kind. */
static struct cel_value put_real(struct cel_run *run, const struct clause *c,
                                 struct cel_value v, struct strbuf *out)
{
    char text[512];
    double d = v.kind == CEL_INT    ? (double)v.i
               : v.kind == CEL_UINT ? (double)v.u
                                    : v.d;
    if (v.kind != CEL_INT && v.kind != CEL_UINT && v.kind != CEL_DOUBLE) {
        return refuse(run,
                      c->letter == 'f'
                          ? "fixed-point clause can only be used on doubles"
                          : "scientific clause can only be used on doubles",
                      v);
    }
    if (!add_special(d, out)) {
        int digits = c->precision < 0 ? PRECISION_DEFAULT : c->precision;
        int len = c->letter == 'f'
                      ? snprintf(text, sizeof(text), "%.*f", digits, d)
                      : snprintf(text, sizeof(text), "%.*e", digits, d);
        strbuf_add(out, str_n(text, (size_t)MAX(len, 0)));
    }
    return cel_null();
}

static void add_digits(uint64_t value, unsigned base, bool upper,
                       struct strbuf *out)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[65];
    size_t at = sizeof(text);
    do {
        text[--at] = digits[value % base];
        value /= base;
    } while (value != 0);
    strbuf_add(out, str_n(text + at, sizeof(text) - at));
}

static void add_integer(struct cel_value v, unsigned base, bool upper,
                        struct strbuf *out)
{
    bool negative = v.kind == CEL_INT && v.i < 0;
    strbuf_addc(out, negative ? "-" : "");
    add_digits(negative ? 0 - v.u : v.u, base, upper, out);
}

static struct cel_value put_binary(struct cel_run *run, struct cel_value v,
                                   struct strbuf *out)
{
    if (v.kind == CEL_BOOL) {
        strbuf_addch(out, v.boolean ? '1' : '0');
    } else if (v.kind == CEL_INT || v.kind == CEL_UINT) {
        add_integer(v, 2, false, out);
    } else {
        return refuse(run, "only integers and bools can be formatted as binary",
                      v);
    }
    return cel_null();
}

static struct cel_value put_octal(struct cel_run *run, struct cel_value v,
                                  struct strbuf *out)
{
    if (v.kind != CEL_INT && v.kind != CEL_UINT) {
        return refuse(run, "octal clause can only be used on integers", v);
    }
    add_integer(v, 8, false, out);
    return cel_null();
}

static struct cel_value put_hex(struct cel_run *run, const struct clause *c,
                                struct cel_value v, struct strbuf *out)
{
    bool upper = c->letter == 'X';
    if (v.kind == CEL_INT || v.kind == CEL_UINT) {
        add_integer(v, 16, upper, out);
        return cel_null();
    }
    if (v.kind != CEL_STRING && v.kind != CEL_BYTES) {
        return refuse(run,
                      "only integers, byte buffers, and strings can be "
                      "formatted as hex",
                      v);
    }
    for (uint32_t i = 0; i < v.more && !out->full; i++) {
        strbuf_addf(out, upper ? "%02X" : "%02x",
                    (unsigned)(unsigned char)v.text[i]);
    }
    return cel_null();
}

/* %s: what has no text of its own inside is refused. */
static struct cel_value put_text(struct cel_run *run, struct cel_value v,
                                 struct strbuf *out)
{
    if (v.kind == CEL_OPTIONAL) {
        return refuse(run,
                      "string clause can only be used on strings, bools, "
                      "bytes, ints, doubles, maps, lists, types, durations, "
                      "and timestamps",
                      v);
    }
    cel_text_plain(v, out);
    return cel_null();
}

static struct cel_value put(struct cel_run *run, const struct clause *c,
                            struct cel_value v, struct strbuf *out)
{
    switch (c->letter) {
    case 's':
        return put_text(run, v, out);
    case 'd':
        return put_decimal(run, v, out);
    case 'f':
    case 'e':
        return put_real(run, c, v, out);
    case 'b':
        return put_binary(run, v, out);
    case 'o':
        return put_octal(run, v, out);
    case 'x':
    case 'X':
        return put_hex(run, c, v, out);
    default:
        return cel_fail(run, CEL_FAULT_ARGUMENT,
                        "could not parse formatting clause: unrecognized "
                        "formatting clause \"%c\"",
                        c->letter);
    }
}

/* .3f behind the %; the letter ends it. */
static bool read_clause(struct str s, size_t *at, struct clause *ret)
{
    *ret = (struct clause){.precision = -1};
    if (*at < s.len && s.at[*at] == '.') {
        ret->precision = 0;
        (*at)++;
        size_t first = *at;
        while (*at < s.len && s.at[*at] >= '0' && s.at[*at] <= '9' &&
               ret->precision <= PRECISION_MAX) {
            ret->precision = ret->precision * 10 + (s.at[*at] - '0');
            (*at)++;
        }
        if (*at == first) {
            return false;
        }
    }
    if (*at >= s.len || ret->precision > PRECISION_MAX) {
        return false;
    }
    ret->letter = s.at[(*at)++];
    return (unsigned char)ret->letter < 0x80;
}

/* One clause with its argument; the place is behind the %. */
static struct cel_value fill(struct cel_run *run, struct str s, size_t *at,
                             const struct cel_value *arg, struct strbuf *out)
{
    struct clause c;
    if (!read_clause(s, at, &c)) {
        return cel_fail(run, CEL_FAULT_ARGUMENT,
                        "could not parse formatting clause: %% goes on with "
                        "one of s d f e b o x X, or a precision up to .100");
    }
    if (arg == NULL) {
        return cel_fail(run, CEL_FAULT_ARGUMENT,
                        "index out of range: fewer arguments than clauses");
    }
    if (arg->kind == CEL_ERROR || !cel_charge(run, 2)) {
        return arg->kind == CEL_ERROR ? *arg : cel_spent(run);
    }
    return put(run, &c, *arg, out);
}

struct cel_value cel_format(struct cel_run *run, const struct cel_value *args)
{
    struct str s = cel_text(args[0]);
    const struct cel_list *list = args[1].list;
    CLEANUP(strbuf_deinit) struct strbuf out = cel_text_buffer(run);
    uint32_t used = 0;
    size_t at = 0;
    while (at < s.len && !out.full) {
        const char *percent = memchr(s.at + at, '%', s.len - at);
        size_t stop = percent == NULL ? s.len : (size_t)(percent - s.at);
        strbuf_add(&out, str_slice(s, at, stop));
        at = stop + 1;
        if (percent == NULL) {
            break;
        }
        if (at < s.len && s.at[at] == '%') {
            strbuf_addch(&out, '%');
            at++;
            continue;
        }
        struct cel_value v = fill(
            run, s, &at, used < list->count ? &list->items[used] : NULL, &out);
        used++;
        if (v.kind == CEL_ERROR) {
            return v;
        }
    }
    return cel_take_text(run, &out);
}
