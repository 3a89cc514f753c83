#include "expr/cel_text.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "expr/cel_civil.h"
#include "expr/utf8.h"

struct str cel_text_kind(struct cel_value v)
{
    switch (v.kind) {
    case CEL_TIMESTAMP:
        return STR("timestamp");
    case CEL_DURATION:
        return STR("duration");
    case CEL_OPTIONAL:
        return STR("optional");
    default:
        return cel_type_of(v)->name;
    }
}

/* The digits and the exponent of "d.ddde[+-]xx", without the point. */
static int split_digits(double d, char digits[32], int *ret_exponent)
{
    char text[40];
    for (int precision = 0; precision <= 16; precision++) {
        (void)snprintf(text, sizeof(text), "%.*e", precision, d);
        if (strtod(text, NULL) == d) {
            break;
        }
    }
    int count = 0;
    const char *p = text;
    for (; *p != 'e'; p++) {
        if (*p != '.') {
            digits[count++] = *p;
        }
    }
    while (count > 1 && digits[count - 1] == '0') {
        count--;
    }
    *ret_exponent = (int)strtol(p + 1, NULL, 10);
    return count;
}

static void zeros(struct strbuf *out, int n)
{
    for (int i = 0; i < n; i++) {
        strbuf_addch(out, '0');
    }
}

void cel_text_double(double d, struct strbuf *out)
{
    char digits[32];
    int exponent = 0;
    if (isnan(d)) {
        strbuf_addc(out, "NaN");
        return;
    }
    if (signbit(d)) {
        strbuf_addch(out, '-');
        d = -d;
    }
    if (isinf(d)) {
        strbuf_addc(out, "Infinity");
        return;
    }
    int count = split_digits(d, digits, &exponent);
    if (exponent < -6 || exponent > 20) {
        strbuf_addch(out, digits[0]);
        if (count > 1) {
            strbuf_addch(out, '.');
            strbuf_add(out, str_n(digits + 1, (size_t)count - 1));
        }
        strbuf_addf(out, "e%+03d", exponent);
        return;
    }
    if (exponent < 0) {
        strbuf_addc(out, "0.");
        zeros(out, -exponent - 1);
        strbuf_add(out, str_n(digits, (size_t)count));
        return;
    }
    int whole = MIN(count, exponent + 1);
    strbuf_add(out, str_n(digits, (size_t)whole));
    zeros(out, exponent + 1 - whole);
    if (count > whole) {
        strbuf_addch(out, '.');
        strbuf_add(out, str_n(digits + whole, (size_t)(count - whole)));
    }
}

static void add_fraction(uint32_t ns, struct strbuf *out)
{
    char text[16];
    if (ns == 0) {
        return;
    }
    (void)snprintf(text, sizeof(text), ".%09u", (unsigned)ns);
    size_t len = strlen(text);
    while (text[len - 1] == '0') {
        len--;
    }
    strbuf_add(out, str_n(text, len));
}

void cel_text_timestamp(struct cel_value v, struct strbuf *out)
{
    struct cel_civil c = cel_civil_of(v.i);
    strbuf_addf(out, "%04d-%02d-%02dT%02d:%02d:%02d", (int)c.year, c.month,
                c.day, c.hour, c.minute, c.second);
    add_fraction(v.more, out);
    strbuf_addch(out, 'Z');
}

void cel_text_duration(int64_t ns, struct strbuf *out)
{
    uint64_t size = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    strbuf_addf(out, "%s%llu", ns < 0 ? "-" : "",
                (unsigned long long)(size / 1000000000));
    add_fraction((uint32_t)(size % 1000000000), out);
    strbuf_addch(out, 's');
}

void cel_text_net(struct cel_value v, struct strbuf *out)
{
    char text[INET6_ADDRSTRLEN] = "";
    const struct cel_net *n = v.net;
    (void)inet_ntop(n->is_v4 ? AF_INET : AF_INET6,
                    n->bytes + (n->is_v4 ? 12 : 0), text, sizeof(text));
    strbuf_addc(out, text);
    if (v.kind == CEL_CIDR) {
        strbuf_addf(out, "/%u", (unsigned)n->prefix);
    }
}

void cel_text_quoted(struct str s, struct strbuf *out)
{
    static const char escapes[] = "\aa\bb\ff\nn\rr\tt\vv\"\"\\\\";
    size_t at = 0;
    strbuf_addch(out, '"');
    while (at < s.len) {
        size_t from = at;
        uint32_t c = utf8_next(s, &at);
        const char *escape = NULL;
        for (size_t i = 0; i + 1 < sizeof(escapes) && c < 0x80; i += 2) {
            if ((uint32_t)escapes[i] == c) {
                escape = &escapes[i + 1];
            }
        }
        if (escape != NULL) {
            strbuf_addch(out, '\\');
            strbuf_addch(out, *escape);
        } else if (c == UTF8_BAD) {
            strbuf_addc(out, "\xEF\xBF\xBD");
        } else {
            strbuf_add(out, str_slice(s, from, at));
        }
    }
    strbuf_addch(out, '"');
}

static void add_bytes_literal(struct str s, struct strbuf *out)
{
    strbuf_addc(out, "b\"");
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if (c == '"' || c == '\\') {
            strbuf_addf(out, "\\%c", c);
        } else if (c < 0x20 || c >= 0x7F) {
            strbuf_addf(out, "\\x%02x", c);
        } else {
            strbuf_addch(out, (char)c);
        }
    }
    strbuf_addch(out, '"');
}

/* One value of either style; lists and maps come back to it. */
static void add_value(struct cel_value v, bool literal, struct strbuf *out);

static void add_list(const struct cel_list *l, bool literal, struct strbuf *out)
{
    strbuf_addch(out, '[');
    for (uint32_t i = 0; i < l->count && !out->full; i++) {
        strbuf_addc(out, i == 0 ? "" : ", ");
        add_value(l->items[i], literal, out);
    }
    strbuf_addch(out, ']');
}

struct named {
    char *key;
    uint32_t index;
};

static int by_key(const void *a, const void *b)
{
    const struct named *x = a;
    const struct named *y = b;
    return strcmp(x->key, y->key);
}

static char *text_of(struct cel_value v, bool literal, size_t limit)
{
    struct strbuf b = STRBUF_INIT(limit);
    add_value(v, literal, &b);
    return strbuf_take(&b);
}

/* Sorted by the text of the keys, so that a map has one text. */
static void add_map(const struct cel_map *m, bool literal, struct strbuf *out)
{
    uint32_t count = cel_map_count(m);
    /* Every entry takes four bytes at least. */
    if ((size_t)count * 4 > out->limit_bytes) {
        out->full = true;
        return;
    }
    CLEANUP(mem_freep)
    struct named *names = mem_alloc(count + 1, sizeof(*names));
    for (uint32_t i = 0; i < count; i++) {
        names[i].key = text_of(cel_map_at(m, i).key, literal, out->limit_bytes);
        names[i].index = i;
    }
    qsort(names, count, sizeof(*names), by_key);
    strbuf_addch(out, '{');
    for (uint32_t i = 0; i < count; i++) {
        if (!out->full) {
            strbuf_addf(out, "%s%s: ", i == 0 ? "" : ", ", names[i].key);
            add_value(cel_map_at(m, names[i].index).value, literal, out);
        }
        mem_free(names[i].key);
    }
    strbuf_addch(out, '}');
}

static void add_optional(const struct cel_value *some, bool literal,
                         struct strbuf *out)
{
    if (some == NULL) {
        strbuf_addc(out, "optional.none()");
        return;
    }
    strbuf_addc(out, "optional.of(");
    add_value(*some, literal, out);
    strbuf_addch(out, ')');
}

static void add_wrapped(struct cel_value v, struct strbuf *out)
{
    if (v.kind == CEL_IP || v.kind == CEL_CIDR) {
        strbuf_addc(out, v.kind == CEL_IP ? "ip(\"" : "cidr(\"");
        cel_text_net(v, out);
    } else if (v.kind == CEL_TIMESTAMP) {
        strbuf_addc(out, "timestamp(\"");
        cel_text_timestamp(v, out);
    } else {
        strbuf_addc(out, "duration(\"");
        cel_text_duration(v.i, out);
    }
    strbuf_addc(out, "\")");
}

static void add_double(double d, bool literal, struct strbuf *out)
{
    size_t before = out->len;
    cel_text_double(d, out);
    if (literal && isfinite(d) && !out->full &&
        strpbrk(out->at + before, ".e") == NULL) {
        strbuf_addc(out, ".0");
    }
}

static void add_plain(struct cel_value v, struct strbuf *out)
{
    switch (v.kind) {
    case CEL_STRING:
    case CEL_BYTES:
        strbuf_add(out, cel_text(v));
        break;
    case CEL_TIMESTAMP:
        cel_text_timestamp(v, out);
        break;
    case CEL_DURATION:
        cel_text_duration(v.i, out);
        break;
    default:
        cel_text_net(v, out);
    }
}

static void add_scalar(struct cel_value v, bool literal, struct strbuf *out)
{
    switch (v.kind) {
    case CEL_NULL:
        strbuf_addc(out, "null");
        break;
    case CEL_BOOL:
        strbuf_addc(out, v.boolean ? "true" : "false");
        break;
    case CEL_INT:
        strbuf_addf(out, "%lld", (long long)v.i);
        break;
    case CEL_UINT:
        strbuf_addf(out, "%llu%s", (unsigned long long)v.u, literal ? "u" : "");
        break;
    case CEL_DOUBLE:
        add_double(v.d, literal, out);
        break;
    case CEL_TYPE:
        strbuf_add(out, cel_type_name(v.type));
        break;
    case CEL_ERROR:
        strbuf_addc(out, "error: ");
        strbuf_add(out, v.fault->message);
        break;
    default:
        if (literal) {
            add_wrapped(v, out);
        } else {
            add_plain(v, out);
        }
    }
}

static void add_value(struct cel_value v, bool literal, struct strbuf *out)
{
    if (v.kind == CEL_LIST) {
        add_list(v.list, literal, out);
    } else if (v.kind == CEL_MAP) {
        add_map(v.map, literal, out);
    } else if (v.kind == CEL_OPTIONAL) {
        add_optional(v.some, literal, out);
    } else if (literal && v.kind == CEL_STRING) {
        cel_text_quoted(cel_text(v), out);
    } else if (literal && v.kind == CEL_BYTES) {
        add_bytes_literal(cel_text(v), out);
    } else {
        add_scalar(v, literal, out);
    }
}

void cel_text_plain(struct cel_value v, struct strbuf *out)
{
    add_value(v, false, out);
}

void cel_text_literal(struct cel_value v, struct strbuf *out)
{
    add_value(v, true, out);
}
