#include "proc/redact.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "wire/exec_proto.h"

/* An encoding that is shorter says nothing about the secret. */
#define PATTERN_MIN_BYTES 6

/* base64(1) and others break lines. */
#define BASE64_LINE 76

void redactor_init(struct redactor *r)
{
    *r = (struct redactor){0};
}

static void wipe(struct strbuf *b)
{
    if (b->at != NULL) {
        explicit_bzero(b->at, b->len);
    }
    strbuf_deinit(b);
}

void redactor_deinit(struct redactor *r)
{
    VEC_EACH (&r->patterns, i) {
        wipe(&r->patterns.at[i]);
    }
    VEC_DEINIT(&r->patterns);
    *r = (struct redactor){0};
}

/* ---- patterns ----------------------------------------------------------- */

static void add_pattern(struct redactor *r, struct str text)
{
    size_t place = 0;
    VEC_EACH (&r->patterns, i) {
        struct str other = strbuf_str(&r->patterns.at[i]);
        if (str_eq(other, text)) {
            return;
        }
        place += other.len >= text.len ? 1 : 0;
    }
    struct strbuf pattern = STRBUF_INIT(REDACT_HELD_MAX_BYTES);
    strbuf_add(&pattern, text);
    ASSERT(strbuf_error(&pattern) == 0);
    r->begins[(unsigned char)text.at[0]] = true;
    VEC_PUSH(&r->patterns, pattern);
    /* The longest first; equal ones in the order of coming. */
    for (size_t i = r->patterns.count - 1; i > place; i--) {
        r->patterns.at[i] = r->patterns.at[i - 1];
    }
    r->patterns.at[place] = pattern;
}

static void add_encoding(struct redactor *r, struct str text)
{
    if (text.len >= PATTERN_MIN_BYTES) {
        add_pattern(r, text);
    }
}

/* Six bits, with zeros behind the end. */
static unsigned bit_window(struct str s, size_t bit)
{
    unsigned window = 0;
    for (size_t i = bit; i < bit + 6; i++) {
        unsigned byte = i / 8 < s.len ? (unsigned char)s.at[i / 8] : 0;
        window = window << 1 | (byte >> (7 - i % 8) & 1U);
    }
    return window;
}

/* What base64 makes of the secret when `skip` bytes (0 to 2) of its group of
 * three stand before it: the characters that depend on the secret alone. */
static void add_base64(struct redactor *r, struct str secret,
                       const char *alphabet, size_t skip)
{
    struct strbuf text = STRBUF_INIT(REDACT_HELD_MAX_BYTES);
    size_t first = (8 * skip + 5) / 6 * 6 - 8 * skip; /* bit of the secret */
    size_t bit = first;
    for (; bit + 6 <= 8 * secret.len; bit += 6) {
        strbuf_addch(&text, alphabet[bit_window(secret, bit)]);
    }
    struct str all = strbuf_str(&text);
    add_encoding(r, all);
    if (bit < 8 * secret.len) { /* when nothing stands behind it */
        strbuf_addch(&text, alphabet[bit_window(secret, bit)]);
        all = strbuf_str(&text);
        add_encoding(r, all);
    }
    /* Alone, it starts at the beginning of a line. */
    for (size_t at = 0; skip == 0 && all.len > BASE64_LINE && at < all.len;
         at += BASE64_LINE) {
        add_encoding(r, str_slice(all, at, MIN(at + BASE64_LINE, all.len)));
    }
    wipe(&text);
}

static void add_all_base64(struct redactor *r, struct str secret)
{
    static const char common[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqr"
                                 "stuvwxyz0123456789";
    char alphabet[65];
    for (size_t skip = 0; skip < 3; skip++) {
        (void)snprintf(alphabet, sizeof(alphabet), "%s+/", common);
        add_base64(r, secret, alphabet, skip);
        (void)snprintf(alphabet, sizeof(alphabet), "%s-_", common);
        add_base64(r, secret, alphabet, skip);
    }
}

#define LOWER "0123456789abcdef"
#define UPPER "0123456789ABCDEF"

static void add_digits(struct strbuf *out, char c, const char *digits)
{
    unsigned byte = (unsigned char)c;
    strbuf_addch(out, digits[byte >> 4]);
    strbuf_addch(out, digits[byte & 15U]);
}

static void add_hex(struct redactor *r, struct str secret, const char *digits)
{
    struct strbuf text = STRBUF_INIT(REDACT_HELD_MAX_BYTES);
    for (size_t i = 0; i < secret.len; i++) {
        add_digits(&text, secret.at[i], digits);
    }
    add_encoding(r, strbuf_str(&text));
    wipe(&text);
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

/* `slash`: this encoder leaves it alone; `plus`: it writes blanks so. */
static void add_percent(struct redactor *r, struct str secret, bool slash,
                        bool plus, const char *digits)
{
    struct strbuf text = STRBUF_INIT(REDACT_HELD_MAX_BYTES);
    for (size_t i = 0; i < secret.len; i++) {
        char c = secret.at[i];
        if (plus && c == ' ') {
            strbuf_addch(&text, '+');
        } else if (is_unreserved(c) || (slash && c == '/')) {
            strbuf_addch(&text, c);
        } else {
            strbuf_addch(&text, '%');
            add_digits(&text, c, digits);
        }
    }
    add_encoding(r, strbuf_str(&text));
    wipe(&text);
}

static void add_json(struct redactor *r, struct str secret)
{
    struct strbuf text = STRBUF_INIT(REDACT_HELD_MAX_BYTES + 2);
    strbuf_add_json_quoted(&text, secret);
    if (strbuf_error(&text) == 0) {
        add_encoding(r, str_slice(strbuf_str(&text), 1, text.len - 1));
    }
    wipe(&text);
}

/* 'it'\''s', as sh -x and printf %q write it. */
static void add_shell(struct redactor *r, struct str secret)
{
    struct strbuf quoted = STRBUF_INIT(REDACT_HELD_MAX_BYTES);
    struct strbuf escaped = STRBUF_INIT(REDACT_HELD_MAX_BYTES);
    for (size_t i = 0; i < secret.len; i++) {
        char c = secret.at[i];
        if (c == '\'') {
            strbuf_addc(&quoted, "'\\''");
        } else {
            strbuf_addch(&quoted, c);
        }
        bool plain = is_unreserved(c) || strchr("/:=@%+,", c) != NULL ||
                     (unsigned char)c >= 0x80;
        if (!plain || (c == '~' && i == 0)) {
            strbuf_addch(&escaped, '\\');
        }
        strbuf_addch(&escaped, c);
    }
    add_encoding(r, strbuf_str(&quoted));
    add_encoding(r, strbuf_str(&escaped));
    wipe(&quoted);
    wipe(&escaped);
}

void redactor_add(struct redactor *r, struct str secret)
{
    ASSERT(secret.len <= RUNBOOK_PARAM_VALUE_MAX_BYTES);
    if (secret.len == 0) {
        return;
    }
    add_pattern(r, secret);
    if (secret.len < REDACT_ENCODED_MIN_BYTES) {
        return;
    }
    add_all_base64(r, secret);
    add_hex(r, secret, LOWER);
    add_hex(r, secret, UPPER);
    add_percent(r, secret, false, false, UPPER);
    add_percent(r, secret, false, false, LOWER);
    add_percent(r, secret, false, true, UPPER);
    add_percent(r, secret, true, false, UPPER);
    add_json(r, secret);
    add_shell(r, secret);
}

/* ---- streams ------------------------------------------------------------ */

void redact_stream_init(struct redact_stream *s)
{
    strbuf_init(&s->held, REDACT_HELD_MAX_BYTES + EXEC_CHUNK_MAX_BYTES);
}

void redact_stream_deinit(struct redact_stream *s)
{
    wipe(&s->held);
}

/* How much a pattern takes at the beginning of the text: its length, 0 for
 * none, or SIZE_MAX when that depends on what follows. */
static size_t taken(const struct redactor *r, struct str text, bool last)
{
    size_t found = 0;
    if (!r->begins[(unsigned char)text.at[0]]) {
        return 0;
    }
    VEC_EACH (&r->patterns, i) {
        struct str pattern = strbuf_str(&r->patterns.at[i]);
        size_t len = MIN(pattern.len, text.len);
        if (memcmp(pattern.at, text.at, len) != 0) {
            continue;
        }
        if (len == pattern.len) {
            found = MAX(found, len);
        } else if (!last) {
            return SIZE_MAX;
        }
    }
    return found;
}

void redact(const struct redactor *r, struct redact_stream *s, struct str data,
            bool last, struct strbuf *out)
{
    if (r->patterns.count == 0) {
        strbuf_add(out, data);
        return;
    }
    strbuf_add(&s->held, data);
    ASSERT(strbuf_error(&s->held) == 0);
    struct str rest = strbuf_str(&s->held);
    while (rest.len != 0) {
        size_t n = taken(r, rest, last);
        if (n == SIZE_MAX) {
            break;
        }
        if (n == 0) {
            strbuf_addch(out, rest.at[0]);
        } else {
            strbuf_addc(out, REDACT_MARK);
        }
        rest = str_slice(rest, MAX(n, (size_t)1), rest.len);
    }
    size_t held = rest.len;
    if (held != 0) {
        memmove(s->held.at, rest.at, held);
    }
    explicit_bzero(s->held.at + held, s->held.len - held);
    s->held.len = held;
}

void redact_text(const struct redactor *r, struct str text, struct strbuf *out)
{
    struct redact_stream all;
    redact_stream_init(&all);
    redact(r, &all, text, true, out);
    redact_stream_deinit(&all);
}
