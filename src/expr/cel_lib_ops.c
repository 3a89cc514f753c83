#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "data/json.h"
#include "expr/cel_json.h"
#include "expr/cel_lib_priv.h"
#include "expr/utf8.h"

/* What operators' expressions need beyond CEL's own extensions. */

/* Bytes of JSON that one call decodes. */
#define JSON_TEXT_MAX_BYTES 65536
/* What a byte of JSON can become in memory, at most. */
#define JSON_BYTE_COST 48

/* [a-z] and [!a-z]; the pattern stands behind the [. False if it is not
 * closed: then the bracket stands for itself. */
static bool glob_class(struct str p, size_t *at, uint32_t c, bool *ret)
{
    size_t i = *at;
    bool negated = i < p.len && (p.at[i] == '!' || p.at[i] == '^');
    bool found = false;
    i += negated ? 1 : 0;
    for (size_t first = i; i < p.len && (p.at[i] != ']' || i == first);) {
        uint32_t low = utf8_next(p, &i);
        uint32_t high = low;
        if (i + 1 < p.len && p.at[i] == '-' && p.at[i + 1] != ']') {
            i++;
            high = utf8_next(p, &i);
        }
        found = found || (c >= low && c <= high);
    }
    if (i >= p.len) {
        return false;
    }
    *at = i + 1;
    *ret = found != negated;
    return true;
}

/* One part of the pattern that is no star, against one character. */
static bool glob_one(struct str p, size_t *at, uint32_t c)
{
    bool matches = false;
    uint32_t part = utf8_next(p, at);
    if (part == '?') {
        return true;
    }
    if (part == '[' && glob_class(p, at, c, &matches)) {
        return matches;
    }
    if (part == '\\' && *at < p.len) {
        part = utf8_next(p, at);
    }
    return part == c;
}

/* A star that fails gives back to the last star only: never more than length
 * times length steps, and the budget is asked for each. */
static struct cel_value glob(struct cel_run *run, const struct cel_value *args)
{
    struct str s = cel_text(args[0]);
    struct str p = cel_text(args[1]);
    size_t at = 0;
    size_t in = 0;
    size_t star = SIZE_MAX;
    size_t mark = 0;
    while (at < s.len) {
        size_t next = at;
        size_t behind = in;
        if (!cel_charge(run, 1)) {
            return cel_spent(run);
        }
        if (in < p.len && p.at[in] == '*') {
            star = ++in;
            mark = at;
        } else if (in < p.len && glob_one(p, &behind, utf8_next(s, &next))) {
            in = behind;
            at = next;
        } else if (star != SIZE_MAX) {
            in = star;
            (void)utf8_next(s, &mark);
            at = mark;
        } else {
            return cel_bool(false);
        }
    }
    while (in < p.len && p.at[in] == '*') {
        in++;
    }
    return cel_bool(in == p.len);
}

/* In single quotes, so that a shell takes it as one word as it is. */
static struct cel_value shell_quote(struct cel_run *run,
                                    const struct cel_value *args)
{
    struct str s = cel_text(args[0]);
    CLEANUP(strbuf_deinit) struct strbuf out = cel_text_buffer(run);
    strbuf_addch(&out, '\'');
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == '\'') {
            strbuf_addc(&out, "'\\''");
        } else {
            strbuf_addch(&out, s.at[i]);
        }
    }
    strbuf_addch(&out, '\'');
    return cel_take_text(run, &out);
}

static struct cel_value json_decode(struct cel_run *run,
                                    const struct cel_value *args)
{
    struct str s = cel_text(args[0]);
    struct json_limits limits = JSON_LIMITS_DEFAULT;
    struct err e = ERR_INIT;
    json_t *json = NULL;
    limits.bytes = JSON_TEXT_MAX_BYTES;
    if (s.len <= JSON_TEXT_MAX_BYTES && (s.len * JSON_BYTE_COST > run->bytes ||
                                         !cel_charge(run, 10 + s.len / 8))) {
        return cel_spent(run);
    }
    if (json_read(s, &limits, &json, &e) < 0) {
        return cel_fail(run, CEL_FAULT_ARGUMENT, "not JSON: %u:%u: %s",
                        e.at.line, e.at.column, e.message);
    }
    size_t before = run->arena->total_bytes;
    struct cel_value v = cel_json_read(json, run->arena);
    size_t used = run->arena->total_bytes - before;
    run->bytes -= MIN(run->bytes, used);
    json_decref(json);
    return v;
}

static struct cel_value json_encode(struct cel_run *run,
                                    const struct cel_value *args)
{
    CLEANUP(strbuf_deinit) struct strbuf out = cel_text_buffer(run);
    cel_json_write(args[0], &out);
    return cel_take_text(run, &out);
}

static struct cel_value sha256(struct cel_run *run,
                               const struct cel_value *args)
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    char text[2 * sizeof(hash) + 1];
    struct str s = cel_text(args[0]);
    if (!cel_charge(run, 10 + s.len / 16)) {
        return cel_spent(run);
    }
    (void)crypto_hash_sha256(hash, (const unsigned char *)s.at, s.len);
    (void)sodium_bin2hex(text, sizeof(text), hash, sizeof(hash));
    return cel_copy_text(run, CEL_STRING, str_c(text));
}

/* 10Gi, 1.5k, 250m: what Kubernetes and people write for sizes. */
static struct cel_value quantity(struct cel_run *run,
                                 const struct cel_value *args)
{
    static const struct {
        const char *suffix;
        double factor;
    } units[] = {
        {"", 1},
        {"m", 1e-3},
        {"k", 1e3},
        {"K", 1e3},
        {"M", 1e6},
        {"G", 1e9},
        {"T", 1e12},
        {"P", 1e15},
        {"Ki", 1024.0},
        {"Mi", 1048576.0},
        {"Gi", 1073741824.0},
        {"Ti", 1099511627776.0},
        {"Pi", 1125899906842624.0},
    };
    struct str s = cel_text(args[0]);
    char number[32];
    size_t len = 0;
    while (len < s.len && strchr("0123456789.+-", s.at[len]) != NULL &&
           s.at[len] != '\0') {
        len++;
    }
    for (size_t i = 0; i < ARRAY_LEN(units) && len > 0 && len < sizeof(number);
         i++) {
        char *end = NULL;
        if (!str_eq_c(str_slice(s, len, s.len), units[i].suffix)) {
            continue;
        }
        memcpy(number, s.at, len);
        number[len] = '\0';
        double value = strtod(number, &end);
        if (end == number + len) {
            return cel_double(value * units[i].factor);
        }
    }
    return cel_fail(run, CEL_FAULT_ARGUMENT,
                    "'%.*s' is no quantity, as in 10Gi, 1.5k or 250m",
                    STR_ARG(str_slice(s, 0, 60)));
}

#define S &cel_type_string

static const struct cel_function rows[] = {
    {"glob",
     CEL_M,
     2,
     {S, S},
     &cel_type_bool,
     glob,
     "True if the whole text matches the pattern: * ? [a-z] [!a-z]."},
    {"shell_quote",
     CEL_G,
     1,
     {S},
     S,
     shell_quote,
     "As one word for a shell, whatever is in it."},
    {"json.decode",
     CEL_G,
     1,
     {S},
     &cel_type_dyn,
     json_decode,
     "The value that the JSON text writes."},
    {"json.encode",
     CEL_G,
     1,
     {&cel_type_a},
     S,
     json_encode,
     "The value as JSON text."},
    {"sha256", CEL_G, 1, {S}, S, sha256, "The SHA-256 in hexadecimal digits."},
    {"sha256",
     CEL_G,
     1,
     {&cel_type_bytes},
     S,
     sha256,
     "The SHA-256 in hexadecimal digits."},
    {"quantity",
     CEL_G,
     1,
     {S},
     &cel_type_double,
     quantity,
     "The number of a size: 10Gi, 1.5k, 250m."},
};

const struct cel_library cel_lib_ops = CEL_LIBRARY(rows);
