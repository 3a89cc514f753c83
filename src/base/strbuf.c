#include "base/strbuf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

void strbuf_init(struct strbuf *b, size_t limit_bytes)
{
    *b = STRBUF_INIT(limit_bytes);
}

void strbuf_deinit(struct strbuf *b)
{
    mem_free(b->at);
    *b = STRBUF_INIT(b->limit_bytes);
}

void strbuf_reset(struct strbuf *b)
{
    b->len = 0;
    b->full = false;
    if (b->at != NULL) {
        b->at[0] = '\0';
    }
}

/* Room for `more` bytes and the NUL; false (and full) past the limit. */
static bool reserve(struct strbuf *b, size_t more)
{
    size_t need = 0;
    if (b->full || __builtin_add_overflow(b->len, more, &need) ||
        need > b->limit_bytes) {
        b->full = true;
        return false;
    }
    if (need + 1 > b->cap) {
        size_t cap = b->cap != 0 ? b->cap : 64;
        while (cap < need + 1) {
            cap *= 2;
        }
        b->at = mem_realloc(b->at, cap, 1);
        b->cap = cap;
    }
    return true;
}

void strbuf_add(struct strbuf *b, struct str s)
{
    if (!reserve(b, s.len)) {
        return;
    }
    if (s.len != 0) {
        memcpy(b->at + b->len, s.at, s.len);
    }
    b->len += s.len;
    b->at[b->len] = '\0';
}

void strbuf_addc(struct strbuf *b, const char *c)
{
    strbuf_add(b, str_c(c));
}

void strbuf_addch(struct strbuf *b, char c)
{
    strbuf_add(b, str_n(&c, 1));
}

/* Formats into the room that is there; returns the length that it takes. */
PRINTF_LIKE(2, 0)
static size_t try_format(struct strbuf *b, const char *fmt, va_list args)
{
    char *end = b->cap != 0 ? b->at + b->len : NULL;
    int len = vsnprintf(end, b->cap - b->len, fmt, args);
    ASSERT(len >= 0);
    return (size_t)len;
}

void strbuf_addv(struct strbuf *b, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    /* Mostly there is room already; then formatting once is enough. */
    size_t room = b->cap - b->len;
    size_t len = try_format(b, fmt, args);
    bool fits = reserve(b, len);
    if (fits && len >= room) {
        (void)try_format(b, fmt, again);
    }
    b->len += fits ? len : 0;
    if (b->cap != 0) {
        b->at[b->len] = '\0';
    }
    va_end(again);
}

void strbuf_addf(struct strbuf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    strbuf_addv(b, fmt, args);
    va_end(args);
}

/* The two-character escape of c, or NULL. */
static const char *short_escape(unsigned char c)
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    case '\b':
        return "\\b";
    case '\f':
        return "\\f";
    default:
        return NULL;
    }
}

void strbuf_add_json(struct strbuf *b, struct str s)
{
    size_t plain = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        const char *escape = short_escape(c);
        bool separator = c == 0xE2 && i + 2 < s.len &&
                         (unsigned char)s.at[i + 1] == 0x80 &&
                         ((unsigned char)s.at[i + 2] & 0xFE) == 0xA8;
        if (escape == NULL && c >= 0x20 && c != 0x7F && !separator) {
            continue;
        }
        strbuf_add(b, str_slice(s, plain, i));
        if (escape != NULL) {
            strbuf_addc(b, escape);
        } else if (separator) {
            strbuf_addf(b, "\\u20%02x", (unsigned char)s.at[i + 2] - 0x80);
            i += 2;
        } else {
            strbuf_addf(b, "\\u%04x", c);
        }
        plain = i + 1;
    }
    strbuf_add(b, str_slice(s, plain, s.len));
}

void strbuf_add_json_quoted(struct strbuf *b, struct str s)
{
    strbuf_addch(b, '"');
    strbuf_add_json(b, s);
    strbuf_addch(b, '"');
}

/* Bidi controls, line and paragraph separators, BOM: all three bytes long. */
static bool is_invisible(const unsigned char *p)
{
    unsigned cp = ((unsigned)(p[0] & 0x0F) << 12) |
                  ((unsigned)(p[1] & 0x3F) << 6) | (p[2] & 0x3F);
    return (cp >= 0x200B && cp <= 0x200F) || (cp >= 0x2028 && cp <= 0x202E) ||
           (cp >= 0x2066 && cp <= 0x2069) || cp == 0xFEFF;
}

/* Length of the sequence that may be shown as it is, or 0. */
static size_t visible_sequence(struct str rest)
{
    const unsigned char *p = (const unsigned char *)rest.at;
    if (p[0] < 0x80) {
        return p[0] >= 0x20 && p[0] != 0x7F ? 1 : 0;
    }
    for (size_t n = 2; n <= 4 && n <= rest.len; n++) {
        if (!str_is_utf8(str_n(rest.at, n))) {
            continue;
        }
        if (n == 2 && p[0] == 0xC2 && p[1] < 0xA0) {
            return 0; /* C1 control */
        }
        return n == 3 && is_invisible(p) ? 0 : n;
    }
    return 0;
}

void strbuf_add_visible(struct strbuf *b, struct str s)
{
    for (size_t i = 0; i < s.len;) {
        size_t n = visible_sequence(str_slice(s, i, s.len));
        if (n == 0) {
            strbuf_addf(b, "\\x%02x", (unsigned char)s.at[i]);
            i++;
        } else {
            strbuf_add(b, str_slice(s, i, i + n));
            i += n;
        }
    }
}

int strbuf_error(const struct strbuf *b)
{
    return b->full ? -E2BIG : 0;
}

struct str strbuf_str(const struct strbuf *b)
{
    return (struct str){.at = b->at != NULL ? b->at : "", .len = b->len};
}

char *strbuf_take(struct strbuf *b)
{
    char *at = b->at != NULL ? b->at : mem_dup("", 0);
    size_t limit = b->limit_bytes;
    *b = STRBUF_INIT(limit);
    return at;
}
