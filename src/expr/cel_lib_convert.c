#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "expr/cel_civil.h"
#include "expr/cel_lib_priv.h"

static struct cel_value out_of_range(struct cel_run *run, const char *type)
{
    return cel_fail(run, CEL_FAULT_RANGE, "%s out of range", type);
}

static struct cel_value not_a(struct cel_run *run, const char *type,
                              struct cel_value text)
{
    return cel_fail(run, CEL_FAULT_ARGUMENT,
                    "Type conversion error: '%.*s' is no %s",
                    STR_ARG(str_slice(cel_text(text), 0, 60)), type);
}

static struct cel_value identity(struct cel_run *run,
                                 const struct cel_value *args)
{
    (void)run;
    return args[0];
}

static struct cel_value int_of_uint(struct cel_run *run,
                                    const struct cel_value *args)
{
    return args[0].u > INT64_MAX ? out_of_range(run, "int")
                                 : cel_int((int64_t)args[0].u);
}

static struct cel_value int_of_double(struct cel_run *run,
                                      const struct cel_value *args)
{
    double d = args[0].d;
    if (!(d > -9223372036854775808.0 && d < 9223372036854775808.0)) {
        return out_of_range(run, "int");
    }
    return cel_int((int64_t)d);
}

/* Digits with an optional sign; false if there is anything else. */
static bool read_integer(struct str s, bool *ret_negative, uint64_t *ret)
{
    uint64_t value = 0;
    size_t i = s.len != 0 && (s.at[0] == '-' || s.at[0] == '+') ? 1 : 0;
    *ret_negative = i == 1 && s.at[0] == '-';
    if (i == s.len) {
        return false;
    }
    for (; i < s.len; i++) {
        if (s.at[i] < '0' || s.at[i] > '9' ||
            __builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.at[i] - '0'), &value)) {
            return false;
        }
    }
    *ret = value;
    return true;
}

static struct cel_value int_of_string(struct cel_run *run,
                                      const struct cel_value *args)
{
    bool negative = false;
    uint64_t value = 0;
    if (!read_integer(cel_text(args[0]), &negative, &value) ||
        value > (uint64_t)INT64_MAX + (negative ? 1 : 0)) {
        return not_a(run, "int", args[0]);
    }
    return cel_int((int64_t)(negative ? 0 - value : value));
}

static struct cel_value int_of_timestamp(struct cel_run *run,
                                         const struct cel_value *args)
{
    (void)run;
    return cel_int(args[0].i);
}

static struct cel_value uint_of_int(struct cel_run *run,
                                    const struct cel_value *args)
{
    return args[0].i < 0 ? out_of_range(run, "uint") : cel_uint(args[0].u);
}

static struct cel_value uint_of_double(struct cel_run *run,
                                       const struct cel_value *args)
{
    double d = args[0].d;
    if (!(d >= 0.0 && d < 18446744073709551616.0)) {
        return out_of_range(run, "uint");
    }
    return cel_uint((uint64_t)d);
}

static struct cel_value uint_of_string(struct cel_run *run,
                                       const struct cel_value *args)
{
    bool negative = false;
    uint64_t value = 0;
    if (!read_integer(cel_text(args[0]), &negative, &value) || negative) {
        return not_a(run, "uint", args[0]);
    }
    return cel_uint(value);
}

static struct cel_value double_of_int(struct cel_run *run,
                                      const struct cel_value *args)
{
    (void)run;
    return cel_double((double)args[0].i);
}

static struct cel_value double_of_uint(struct cel_run *run,
                                       const struct cel_value *args)
{
    (void)run;
    return cel_double((double)args[0].u);
}

static struct cel_value double_of_string(struct cel_run *run,
                                         const struct cel_value *args)
{
    char text[128];
    char *end = NULL;
    struct str s = cel_text(args[0]);
    /* strtod also reads blanks, hexadecimal and nan(...). */
    bool odd = s.len == 0 || s.len >= sizeof(text);
    for (size_t i = 0; i < s.len && !odd; i++) {
        odd = strchr("xXpP() \t\n\r\v\f", s.at[i]) != NULL;
    }
    if (odd) {
        return not_a(run, "double", args[0]);
    }
    memcpy(text, s.at, s.len);
    text[s.len] = '\0';
    double d = strtod(text, &end);
    if (end != text + s.len) {
        return not_a(run, "double", args[0]);
    }
    return cel_double(d);
}

static struct cel_value bool_of_string(struct cel_run *run,
                                       const struct cel_value *args)
{
    static const char *const yes[] = {"true", "TRUE", "True", "t", "T", "1"};
    static const char *const no[] = {"false", "FALSE", "False", "f", "F", "0"};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (str_eq_c(cel_text(args[0]), yes[i])) {
            return cel_bool(true);
        }
        if (str_eq_c(cel_text(args[0]), no[i])) {
            return cel_bool(false);
        }
    }
    return not_a(run, "bool", args[0]);
}

static struct cel_value string_of_any(struct cel_run *run,
                                      const struct cel_value *args)
{
    CLEANUP(strbuf_deinit) struct strbuf b = cel_text_buffer(run);
    cel_text_plain(args[0], &b);
    return cel_take_text(run, &b);
}

static struct cel_value string_of_bytes(struct cel_run *run,
                                        const struct cel_value *args)
{
    if (!cel_charge(run, args[0].more / 16)) {
        return cel_spent(run);
    }
    if (!str_is_utf8(cel_text(args[0]))) {
        return cel_fail(run, CEL_FAULT_ARGUMENT,
                        "invalid UTF-8: these bytes are no text");
    }
    return cel_string(cel_text(args[0]));
}

static struct cel_value string_of_net(struct cel_run *run,
                                      const struct cel_value *args)
{
    CLEANUP(strbuf_deinit) struct strbuf b = cel_text_buffer(run);
    cel_text_net(args[0], &b);
    return cel_take_text(run, &b);
}

static struct cel_value bytes_of_string(struct cel_run *run,
                                        const struct cel_value *args)
{
    (void)run;
    return cel_bytes(cel_text(args[0]));
}

static struct cel_value timestamp_of_int(struct cel_run *run,
                                         const struct cel_value *args)
{
    if (args[0].i < CEL_SECONDS_MIN || args[0].i > CEL_SECONDS_MAX) {
        return out_of_range(run, "timestamp");
    }
    return cel_timestamp(args[0].i, 0);
}

static struct cel_value timestamp_of_string(struct cel_run *run,
                                            const struct cel_value *args)
{
    int64_t seconds = 0;
    uint32_t ns = 0;
    int r = cel_civil_parse(cel_text(args[0]), &seconds, &ns);
    if (r == -ERANGE) {
        return out_of_range(run, "timestamp");
    }
    return r < 0 ? not_a(run, "timestamp, as in 2026-01-31T12:00:00Z", args[0])
                 : cel_timestamp(seconds, ns);
}

static struct cel_value duration_of_string(struct cel_run *run,
                                           const struct cel_value *args)
{
    int64_t ns = 0;
    int r = cel_civil_duration(cel_text(args[0]), &ns);
    if (r == -ERANGE) {
        return out_of_range(run, "duration");
    }
    return r < 0 ? not_a(run, "duration, as in 1h30m", args[0])
                 : cel_duration(ns);
}

#define TO(name_, from_, to_, call_, doc_)                                     \
    {                                                                          \
        (name_), CEL_G, 1, {&cel_type_##from_}, &cel_type_##to_, (call_),      \
            (doc_)                                                             \
    }

static const struct cel_function rows[] = {
    TO("bool", bool, bool, identity, "The value itself."),
    TO("bool", string, bool, bool_of_string,
       "True for true, t and 1, false for false, f and 0."),
    TO("int", int, int, identity, "The value itself."),
    TO("int", uint, int, int_of_uint, "The same number as an int."),
    TO("int", double, int, int_of_double, "Without what is behind the point."),
    TO("int", string, int, int_of_string, "The number that the text writes."),
    TO("int", timestamp, int, int_of_timestamp, "Seconds since 1970."),
    TO("uint", uint, uint, identity, "The value itself."),
    TO("uint", int, uint, uint_of_int, "The same number as a uint."),
    TO("uint", double, uint, uint_of_double,
       "Without what is behind the point."),
    TO("uint", string, uint, uint_of_string,
       "The number that the text writes."),
    TO("double", double, double, identity, "The value itself."),
    TO("double", int, double, double_of_int, "The nearest double."),
    TO("double", uint, double, double_of_uint, "The nearest double."),
    TO("double", string, double, double_of_string,
       "The number that the text writes."),
    TO("string", string, string, identity, "The value itself."),
    TO("string", bool, string, string_of_any, "true or false."),
    TO("string", int, string, string_of_any, "The decimal digits."),
    TO("string", uint, string, string_of_any, "The decimal digits."),
    TO("string", double, string, string_of_any,
       "The shortest digits that read back the same."),
    TO("string", bytes, string, string_of_bytes, "The bytes as UTF-8."),
    TO("string", timestamp, string, string_of_any, "RFC 3339 in UTC."),
    TO("string", duration, string, string_of_any, "In seconds: 90s."),
    TO("string", ip, string, string_of_net, "The canonical text."),
    TO("string", cidr, string, string_of_net, "The canonical text."),
    TO("bytes", bytes, bytes, identity, "The value itself."),
    TO("bytes", string, bytes, bytes_of_string, "The text in UTF-8."),
    TO("timestamp", timestamp, timestamp, identity, "The value itself."),
    TO("timestamp", int, timestamp, timestamp_of_int, "Seconds since 1970."),
    TO("timestamp", string, timestamp, timestamp_of_string,
       "The instant that RFC 3339 text tells."),
    TO("duration", duration, duration, identity, "The value itself."),
    TO("duration", string, duration, duration_of_string,
       "1h30m, 250ms, 7d: units d h m s ms us ns."),
};

const struct cel_library cel_lib_convert = CEL_LIBRARY(rows);
