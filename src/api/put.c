#include "api/put.h"

#include <math.h>
#include <stdio.h>

#include "data/timestamp.h"

void put_element(struct strbuf *out)
{
    bool first = out->len == 0 || out->at[out->len - 1] == '{' ||
                 out->at[out->len - 1] == '[';
    if (!first) {
        strbuf_addch(out, ',');
    }
}

static void put_key(struct strbuf *out, const char *key)
{
    put_element(out);
    if (key != NULL) {
        strbuf_addch(out, '"');
        strbuf_addc(out, key);
        strbuf_add(out, STR("\":"));
    }
}

void put_open(struct strbuf *out, const char *key, char bracket)
{
    put_key(out, key);
    strbuf_addch(out, bracket);
}

void put_close(struct strbuf *out, char bracket)
{
    strbuf_addch(out, bracket);
}

void put_text(struct strbuf *out, const char *key, struct str s)
{
    put_key(out, key);
    strbuf_add_json_quoted(out, s);
}

void put_text_c(struct strbuf *out, const char *key, const char *s)
{
    put_text(out, key, str_c(s));
}

void put_text_or_null(struct strbuf *out, const char *key, struct str s)
{
    if (s.len == 0) {
        put_null(out, key);
    } else {
        put_text(out, key, s);
    }
}

void put_u64(struct strbuf *out, const char *key, uint64_t n)
{
    put_key(out, key);
    strbuf_addf(out, "%llu", (unsigned long long)n);
}

void put_i64(struct strbuf *out, const char *key, int64_t n)
{
    put_key(out, key);
    strbuf_addf(out, "%lld", (long long)n);
}

void put_number(struct strbuf *out, const char *key, double value)
{
    char text[400];
    if (!isfinite(value)) {
        put_null(out, key);
        return;
    }
    (void)snprintf(text, sizeof(text), "%.9f", value);
    struct str s = str_c(text);
    while (s.at[s.len - 1] == '0') {
        s.len--;
    }
    s.len -= s.at[s.len - 1] == '.';
    put_key(out, key);
    strbuf_add(out, str_eq_c(s, "-0") ? STR("0") : s);
}

void put_bool(struct strbuf *out, const char *key, bool b)
{
    put_key(out, key);
    strbuf_addc(out, b ? "true" : "false");
}

void put_null(struct strbuf *out, const char *key)
{
    put_key(out, key);
    strbuf_add(out, STR("null"));
}

void put_raw(struct strbuf *out, const char *key, struct str json)
{
    put_key(out, key);
    strbuf_add(out, json);
}

/* Length of the valid UTF-8 sequence at the start, or 0. */
static size_t sequence(struct str rest)
{
    for (size_t n = 1; n <= 4 && n <= rest.len; n++) {
        if (str_is_utf8(str_n(rest.at, n))) {
            return n;
        }
    }
    return 0;
}

void put_bytes(struct strbuf *out, const char *key, struct str s)
{
    if (str_is_utf8(s)) {
        put_text(out, key, s);
        return;
    }
    put_key(out, key);
    strbuf_addch(out, '"');
    for (size_t i = 0; i < s.len;) {
        size_t n = sequence(str_slice(s, i, s.len));
        if (n != 0) {
            strbuf_add_json(out, str_slice(s, i, i + n));
            i += n;
        } else {
            strbuf_addf(out, "\\\\x%02x", (unsigned char)s.at[i]);
            i++;
        }
    }
    strbuf_addch(out, '"');
}

static void add_seconds(struct strbuf *out, uint64_t ms)
{
    strbuf_addf(out, "%llu.%03u", (unsigned long long)(ms / 1000),
                (unsigned)(ms % 1000));
}

void put_seconds(struct strbuf *out, const char *key, uint64_t ms)
{
    put_key(out, key);
    add_seconds(out, ms);
}

void put_instant(struct strbuf *out, const char *key, uint64_t ms)
{
    if (ms == 0 || ms > TIMESTAMP_MAX_MS) {
        put_null(out, key);
        strbuf_addf(out, ",\"%s_iso\":null", key);
        return;
    }
    char text[TIMESTAMP_TEXT_SIZE];
    timestamp_format(ms, text);
    put_seconds(out, key, ms);
    strbuf_addf(out, ",\"%s_iso\":\"%s\"", key, text);
}

void put_id(struct strbuf *out, const char *key, const char *prefix,
            struct id id)
{
    if (id_is_null(id)) {
        put_null(out, key);
        return;
    }
    char text[ID_TEXT_SIZE];
    id_format(id, prefix, text);
    put_text_c(out, key, text);
}

void put_hash(struct strbuf *out, const char *key, const uint8_t hash[32])
{
    put_key(out, key);
    put_hash_value(out, hash);
}

void put_hash_value(struct strbuf *out, const uint8_t hash[32])
{
    static const char digits[] = "0123456789abcdef";
    char text[65] = "";
    for (size_t i = 0; i < 32; i++) {
        text[2 * i] = digits[hash[i] >> 4];
        text[2 * i + 1] = digits[hash[i] & 15];
    }
    strbuf_addf(out, "\"%s\"", text);
}

void put_cursor(struct strbuf *out, uint64_t number)
{
    if (number == 0) {
        put_null(out, "next_cursor");
    } else {
        put_key(out, "next_cursor");
        strbuf_addf(out, "\"%llu\"", (unsigned long long)number);
    }
}

void put_place(struct strbuf *out, const struct err *e)
{
    if (e->at.line != 0) {
        put_u64(out, "line", e->at.line);
        put_u64(out, "column", e->at.column);
    } else {
        put_null(out, "line");
        put_null(out, "column");
    }
}

/* Texts of errors may be cut in the middle of a character. */
static void put_words(struct strbuf *out, const char *key, const char *words)
{
    if (words[0] != '\0') {
        put_bytes(out, key, str_c(words));
    } else {
        put_null(out, key);
    }
}

void put_problem(struct strbuf *out, struct str file, const struct err *e)
{
    put_open(out, NULL, '{');
    put_text(out, "file", file);
    put_place(out, e);
    put_words(out, "field", e->field);
    put_bytes(out, "message", str_c(e->message));
    put_words(out, "hint", e->hint);
    put_close(out, '}');
}
