#include "model/params_value.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/assert.h"
#include "data/duration.h"
#include "data/json.h"
#include "expr/cel_text.h"
#include "model/runbook_load.h"

#define SHOWN_MAX_BYTES 40
#define CANONICAL_MAX_BYTES 64 /* of a number */

static const struct {
    const char *name;
    const char *expected;
} types[PARAM_TYPES] = {
    [PARAM_STRING] = {"string", "a string"},
    [PARAM_INTEGER] = {"integer", "an integer"},
    [PARAM_NUMBER] = {"number", "a number"},
    [PARAM_BOOLEAN] = {"boolean", "true or false"},
    [PARAM_ENUM] = {"enum", "one of its values"},
    [PARAM_DURATION] = {"duration", "a duration in whole seconds"},
};

const char *param_type_name(enum param_type t)
{
    return types[t].name;
}

const char *param_type_expected(enum param_type t)
{
    return types[t].expected;
}

int param_type_parse(struct str text, enum param_type *ret)
{
    for (unsigned i = 0; i < PARAM_TYPES; i++) {
        if (str_eq_c(text, types[i].name)) {
            *ret = (enum param_type)i;
            return 0;
        }
    }
    return -EINVAL;
}

/* "expected an integer, got 'x'", without the value if it is a secret or has
 * no place in a message. */
static int refuse(const struct param *p, struct str text, struct err *reterr)
{
    const char *expected = types[p->type].expected;
    if (p->secret || text.len > SHOWN_MAX_BYTES) {
        return err_set(reterr, -EINVAL, "expected %s", expected);
    }
    return err_set(reterr, -EINVAL, "expected %s, got '%.*s'", expected,
                   STR_ARG(text));
}

/* C0, DEL and the two-byte forms of C1. */
static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        bool c1 =
            c == 0xC2 && i + 1 < s.len && (unsigned char)s.at[i + 1] < 0xA0;
        if (c < 0x20 || c == 0x7F || c1) {
            return true;
        }
    }
    return false;
}

/* What no value may be, whatever its type. */
static int check_bytes(struct str text, struct err *reterr)
{
    if (text.len > RUNBOOK_PARAM_VALUE_MAX_BYTES) {
        return err_set(reterr, -E2BIG,
                       "a value has at most %d bytes, this "
                       "has %zu",
                       RUNBOOK_PARAM_VALUE_MAX_BYTES, text.len);
    }
    if (!str_is_utf8(text)) {
        return err_set(reterr, -EINVAL, "a value is valid UTF-8");
    }
    if (has_control(text)) {
        return err_set(reterr, -EINVAL,
                       "a value has no control characters "
                       "(newlines and tabs are some)");
    }
    return 0;
}

/* A program would take the value for an option. */
static int check_dash(const struct param *p, struct str text,
                      struct err *reterr)
{
    if (p->allow_leading_dash || text.len == 0 || text.at[0] != '-') {
        return 0;
    }
    err_hint(reterr, "declare the parameter with allow_leading_dash: true if "
                     "such a value is meant");
    return err_set(reterr, -EINVAL, "a value does not start with '-'");
}

static int check_string(const struct param *p, struct str text, struct str *ret,
                        struct err *reterr)
{
    if (p->pattern != NULL) {
        int r = pattern_matches(p->pattern, text);
        if (r < 0) {
            return err_set(reterr, r,
                           "the pattern ran into its limit on this "
                           "value");
        }
        if (r == 0) {
            return err_set(reterr, -EINVAL,
                           "the value does not match the "
                           "pattern");
        }
    }
    *ret = text;
    return 0;
}

static int check_enum(const struct param *p, struct str text, struct str *ret,
                      struct err *reterr)
{
    struct strbuf all = STRBUF_INIT(sizeof(reterr->hint) - 1);
    for (uint32_t i = 0; i < p->value_count; i++) {
        if (str_eq(p->values[i], text)) {
            *ret = text;
            strbuf_deinit(&all);
            return 0;
        }
        strbuf_addf(&all, "%s%.*s", i == 0 ? "one of: " : ", ",
                    STR_ARG(p->values[i]));
    }
    err_hint(reterr, "%s", strbuf_str(&all).at);
    strbuf_deinit(&all);
    return refuse(p, text, reterr);
}

/* JSON's grammar of numbers, so that neither hexadecimal nor infinity nor a
 * blank comes through strtod. */
static bool is_number(struct str s, bool *ret_integer)
{
    size_t i = s.len != 0 && s.at[0] == '-' ? 1 : 0;
    size_t start = i;
    while (i < s.len && s.at[i] >= '0' && s.at[i] <= '9') {
        i++;
    }
    if (i == start || (s.at[start] == '0' && i - start > 1)) {
        return false;
    }
    *ret_integer = i == s.len;
    if (i < s.len && s.at[i] == '.') {
        size_t dot = ++i;
        while (i < s.len && s.at[i] >= '0' && s.at[i] <= '9') {
            i++;
        }
        if (i == dot) {
            return false;
        }
    }
    if (i < s.len && (s.at[i] == 'e' || s.at[i] == 'E')) {
        i++;
        i += i < s.len && (s.at[i] == '+' || s.at[i] == '-') ? 1 : 0;
        size_t exponent = i;
        while (i < s.len && s.at[i] >= '0' && s.at[i] <= '9') {
            i++;
        }
        if (i == exponent) {
            return false;
        }
    }
    return i == s.len;
}

static int check_integer(const struct param *p, struct str text,
                         struct arena *a, struct str *ret, struct err *reterr)
{
    bool integer = false;
    if (!is_number(text, &integer) || !integer) {
        return refuse(p, text, reterr);
    }
    errno = 0;
    long long n = strtoll(arena_strdup(a, text), NULL, 10);
    if (errno == ERANGE) {
        return err_set(reterr, -ERANGE, "an integer has at most 64 bits");
    }
    struct strbuf out = STRBUF_INIT(CANONICAL_MAX_BYTES);
    strbuf_addf(&out, "%lld", n);
    *ret = arena_str(a, strbuf_str(&out));
    strbuf_deinit(&out);
    return 0;
}

static int check_number(const struct param *p, struct str text, struct arena *a,
                        struct str *ret, struct err *reterr)
{
    bool integer = false;
    if (!is_number(text, &integer)) {
        return refuse(p, text, reterr);
    }
    double n = strtod(arena_strdup(a, text), NULL);
    if (!isfinite(n)) {
        return err_set(reterr, -ERANGE, "this number is too large");
    }
    struct err too_long = ERR_INIT;
    if (integer && check_integer(p, text, a, ret, &too_long) == 0) {
        return 0;
    }
    struct strbuf out = STRBUF_INIT(CANONICAL_MAX_BYTES);
    json_t *json = json_real(n);
    json_write(json, &out);
    json_decref(json);
    *ret = arena_str(a, strbuf_str(&out));
    strbuf_deinit(&out);
    return 0;
}

static int check_boolean(const struct param *p, struct str text,
                         struct str *ret, struct err *reterr)
{
    if (!str_eq_c(text, "true") && !str_eq_c(text, "false")) {
        return refuse(p, text, reterr);
    }
    *ret = text;
    return 0;
}

static int check_duration(const struct param *p, struct str text,
                          struct arena *a, struct str *ret, struct err *reterr)
{
    uint64_t ms = 0;
    if (duration_parse(text, &ms) < 0 || ms % 1000 != 0) {
        err_hint(reterr, "write seconds (300) or units (5m, 1h30m)");
        return refuse(p, text, reterr);
    }
    struct strbuf out = STRBUF_INIT(CANONICAL_MAX_BYTES);
    strbuf_addf(&out, "%llu", (unsigned long long)(ms / 1000));
    *ret = arena_str(a, strbuf_str(&out));
    strbuf_deinit(&out);
    return 0;
}

static int check_type(const struct param *p, struct str text, struct arena *a,
                      struct str *ret, struct err *reterr)
{
    switch (p->type) {
    case PARAM_STRING:
        return check_string(p, text, ret, reterr);
    case PARAM_INTEGER:
        return check_integer(p, text, a, ret, reterr);
    case PARAM_NUMBER:
        return check_number(p, text, a, ret, reterr);
    case PARAM_BOOLEAN:
        return check_boolean(p, text, ret, reterr);
    case PARAM_ENUM:
        return check_enum(p, text, ret, reterr);
    case PARAM_DURATION:
        return check_duration(p, text, a, ret, reterr);
    case PARAM_TYPES:
        break;
    }
    UNREACHABLE();
}

int param_from_text(const struct param *p, struct str text, struct arena *a,
                    struct str *ret, struct err *reterr)
{
    int r = check_bytes(text, reterr);
    if (r == 0 && p->type != PARAM_ENUM) {
        r = check_dash(p, text, reterr);
    }
    struct str canonical = STR_NULL;
    r = r < 0 ? r : check_type(p, text, a, &canonical, reterr);
    if (r == 0) {
        *ret = arena_str(a, canonical);
    }
    return r;
}

/* The text of a JSON value whose JSON type fits the parameter's. */
static bool json_fits(const struct param *p, const json_t *value)
{
    switch (p->type) {
    case PARAM_STRING:
    case PARAM_ENUM:
        return json_is_string(value);
    case PARAM_INTEGER:
        return json_is_integer(value);
    case PARAM_NUMBER:
        return json_is_number(value);
    case PARAM_BOOLEAN:
        return json_is_boolean(value);
    case PARAM_DURATION:
        return json_is_string(value) || json_is_integer(value);
    case PARAM_TYPES:
        break;
    }
    UNREACHABLE();
}

int param_from_json(const struct param *p, const json_t *value, struct arena *a,
                    struct str *ret, struct err *reterr)
{
    if (!json_fits(p, value)) {
        return err_set(reterr, -EINVAL, "expected %s, got %s",
                       types[p->type].expected, json_kind_text(value));
    }
    if (json_is_string(value)) {
        return param_from_text(p, json_text(value), a, ret, reterr);
    }
    struct strbuf text = STRBUF_INIT(RUNBOOK_PARAM_VALUE_MAX_BYTES);
    json_write(value, &text);
    int r = param_from_text(p, strbuf_str(&text), a, ret, reterr);
    strbuf_deinit(&text);
    return r;
}

bool param_fits_kind(const struct param *p, enum cel_kind kind)
{
    bool is_whole = kind == CEL_INT || kind == CEL_UINT;
    if (kind == CEL_STRING || kind == CEL_DYN) {
        return true;
    }
    switch (p->type) {
    case PARAM_STRING:
    case PARAM_ENUM:
        return template_kind_fits(kind);
    case PARAM_INTEGER:
        return is_whole;
    case PARAM_NUMBER:
        return is_whole || kind == CEL_DOUBLE;
    case PARAM_BOOLEAN:
        return kind == CEL_BOOL;
    case PARAM_DURATION:
        return is_whole || kind == CEL_DURATION;
    case PARAM_TYPES:
        break;
    }
    UNREACHABLE();
}

int param_from_value(const struct param *p, struct cel_value v, struct arena *a,
                     struct str *ret, struct err *reterr)
{
    struct str text = STR_NULL;
    if (!param_fits_kind(p, (enum cel_kind)v.kind)) {
        return err_set(reterr, -EINVAL,
                       "expected %s, and the expression gives a %.*s",
                       types[p->type].expected, STR_ARG(cel_text_kind(v)));
    }
    int r = template_value_text(v, a, &text, reterr);
    return r < 0 ? r : param_from_text(p, text, a, ret, reterr);
}

void param_add_json(const struct param *p, struct str canonical,
                    struct strbuf *out)
{
    if (p->type == PARAM_STRING || p->type == PARAM_ENUM) {
        strbuf_add_json_quoted(out, canonical);
    } else {
        strbuf_add(out, canonical);
    }
}
