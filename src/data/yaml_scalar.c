#include "data/yaml.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* The typed views of a scalar, by the YAML 1.2 core schema. */

int yaml_err(struct err *e, const struct yaml_node *n, int errnum,
             const char *fmt, ...)
{
    char text[sizeof(e->message)];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    e->at = yaml_place(n);
    return err_set(e, errnum, "%s", text);
}

static bool is_one_of(struct str s, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (str_eq_c(s, words[i])) {
            return true;
        }
    }
    return false;
}

static const char *const words_null[] = {"", "~", "null", "Null", "NULL"};
static const char *const words_true[] = {"true", "True", "TRUE"};
static const char *const words_false[] = {"false", "False", "FALSE"};
/* Booleans of YAML 1.1 that people still write. */
static const char *const words_old[] = {
    "yes", "Yes", "YES", "no",  "No", "NO", "on", "On",
    "ON",  "off", "Off", "OFF", "y",  "Y",  "n",  "N"};

bool yaml_is_null(const struct yaml_node *n)
{
    return yaml_is_plain(n) &&
           is_one_of(yaml_text(n), words_null, ARRAY_LEN(words_null));
}

static bool is_bool(const struct yaml_node *n, bool *ret)
{
    if (!yaml_is_plain(n)) {
        return false;
    }
    struct str text = yaml_text(n);
    *ret = is_one_of(text, words_true, ARRAY_LEN(words_true));
    return *ret || is_one_of(text, words_false, ARRAY_LEN(words_false));
}

static size_t digits(struct str s, size_t from)
{
    size_t n = 0;
    while (from + n < s.len && s.at[from + n] >= '0' && s.at[from + n] <= '9') {
        n++;
    }
    return n;
}

/* [-+]? ( digits [. digits?] | . digits ) ( [eE] [-+]? digits )? */
static bool is_decimal(struct str s)
{
    size_t i = s.len != 0 && (s.at[0] == '-' || s.at[0] == '+') ? 1 : 0;
    size_t whole = digits(s, i);
    size_t fraction = 0;
    i += whole;
    if (i < s.len && s.at[i] == '.') {
        fraction = digits(s, i + 1);
        i += 1 + fraction;
    }
    if (whole + fraction == 0) {
        return false;
    }
    if (i < s.len && (s.at[i] == 'e' || s.at[i] == 'E')) {
        i++;
        i += i < s.len && (s.at[i] == '-' || s.at[i] == '+') ? 1 : 0;
        size_t exponent = digits(s, i);
        if (exponent == 0) {
            return false;
        }
        i += exponent;
    }
    return i == s.len;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

/* Digits of one base with a sign in front: 0, -EINVAL or -ERANGE. */
static int read_integer(struct str s, int64_t *ret)
{
    bool negative = s.len != 0 && s.at[0] == '-';
    bool has_sign = negative || (s.len != 0 && s.at[0] == '+');
    struct str body = str_slice(s, has_sign ? 1 : 0, s.len);
    int base = 10;
    if (!has_sign && str_starts(body, STR("0x"))) {
        base = 16;
    } else if (!has_sign && str_starts(body, STR("0o"))) {
        base = 8;
    } else if (body.len > 1 && body.at[0] == '0') {
        return -EINVAL; /* octal to some, decimal to others */
    }
    body = str_slice(body, base == 10 ? 0 : 2, body.len);
    int64_t value = 0;
    bool overflow = false;
    for (size_t i = 0; i < body.len; i++) {
        int digit = digit_value(body.at[i]);
        if (digit >= base) {
            return -EINVAL;
        }
        digit = negative ? -digit : digit;
        overflow = __builtin_mul_overflow(value, (int64_t)base, &value) ||
                   __builtin_add_overflow(value, (int64_t)digit, &value) ||
                   overflow;
    }
    if (body.len == 0) {
        return -EINVAL;
    }
    *ret = value;
    return overflow ? -ERANGE : 0;
}

const char *yaml_kind_text(const struct yaml_node *n)
{
    bool ignored = false;
    int64_t number = 0;
    switch (yaml_kind(n)) {
    case YAML_SEQUENCE:
        return "a list";
    case YAML_MAPPING:
        return "a mapping";
    case YAML_SCALAR:
    default:
        break;
    }
    if (yaml_is_null(n)) {
        return "nothing";
    }
    if (is_bool(n, &ignored)) {
        return "true or false";
    }
    if (yaml_is_plain(n) && (is_decimal(yaml_text(n)) ||
                             read_integer(yaml_text(n), &number) == 0)) {
        return "a number";
    }
    return "a text";
}

static int wrong_kind(const struct yaml_node *n, const char *expected,
                      struct err *reterr)
{
    if (yaml_kind(n) == YAML_SCALAR && !yaml_is_null(n)) {
        struct str text = yaml_text(n);
        return yaml_err(reterr, n, -EINVAL, "expected %s, got %s'%.*s'",
                        expected, yaml_is_plain(n) ? "" : "the text ",
                        (int)MIN(text.len, 60U), text.at);
    }
    return yaml_err(reterr, n, -EINVAL, "expected %s, got %s", expected,
                    yaml_kind_text(n));
}

int yaml_bool(const struct yaml_node *n, bool *ret, struct err *reterr)
{
    bool value = false;
    if (is_bool(n, &value)) {
        *ret = value;
        return 0;
    }
    struct str text = yaml_text(n);
    if (is_one_of(text, words_old, ARRAY_LEN(words_old))) {
        err_hint(reterr, "write true or false: '%.*s' is a text in YAML 1.2",
                 STR_ARG(text));
    }
    return wrong_kind(n, "true or false", reterr);
}

int yaml_int(const struct yaml_node *n, int64_t min, int64_t max, int64_t *ret,
             struct err *reterr)
{
    int64_t value = 0;
    int r = yaml_is_plain(n) ? read_integer(yaml_text(n), &value) : -EINVAL;
    if (r == -EINVAL) {
        return wrong_kind(n, "an integer", reterr);
    }
    if (r < 0 || value < min || value > max) {
        struct str text = yaml_text(n);
        return yaml_err(reterr, n, -ERANGE, "%.*s is not between %lld and %lld",
                        (int)MIN(text.len, 60U), text.at, (long long)min,
                        (long long)max);
    }
    *ret = value;
    return 0;
}

int yaml_string(const struct yaml_node *n, struct str *ret, struct err *reterr)
{
    if (yaml_kind(n) != YAML_SCALAR || yaml_is_null(n)) {
        return wrong_kind(n, "a text", reterr);
    }
    *ret = yaml_text(n);
    return 0;
}
