#include "expr/cel_lex.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "expr/utf8.h"

#define NUMBER_MAX_BYTES 400

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static int hex_digit(char c)
{
    return is_digit(c)            ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static char peek(const struct cel_lex *lx, size_t ahead)
{
    return lx->at + ahead < lx->text.len ? lx->text.at[lx->at + ahead] : '\0';
}

static int fail(struct cel_lex *lx, size_t at, const char *message)
{
    return cel_issue_set(lx->issue, lx->text, (uint32_t)at, "%s", message);
}

static void skip_blanks(struct cel_lex *lx)
{
    for (;;) {
        char c = peek(lx, 0);
        if (c == '/' && peek(lx, 1) == '/') {
            while (lx->at < lx->text.len && peek(lx, 0) != '\n') {
                lx->at++;
            }
        } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r' ||
                   c == '\f') {
            lx->at++;
        } else {
            return;
        }
    }
}

/* Strings */

struct literal {
    size_t start; /* of the token */
    char quote;
    bool triple;
    bool raw;
    bool bytes;
};

static void put_character(struct strbuf *out, uint32_t c)
{
    char utf8[4];
    strbuf_add(out, str_n(utf8, utf8_put(c, utf8)));
}

/* \xHH \uHHHH \UHHHHHHHH; the lexer stands behind the letter. */
static int read_hex(struct cel_lex *lx, const struct literal *l, char letter,
                    struct strbuf *out)
{
    size_t digits = letter == 'u' ? 4 : letter == 'U' ? 8 : 2;
    uint32_t value = 0;
    for (size_t i = 0; i < digits; i++, lx->at++) {
        int digit = hex_digit(peek(lx, 0));
        if (digit < 0) {
            return cel_issue_set(lx->issue, lx->text, (uint32_t)lx->at,
                                 "\\%c takes %zu hexadecimal digits", letter,
                                 digits);
        }
        value = value * 16 + (uint32_t)digit;
    }
    if (l->bytes && digits > 2) {
        return fail(lx, lx->at - digits - 2,
                    "bytes hold no \\u and \\U: write \\x or the character");
    }
    if (l->bytes) {
        strbuf_addch(out, (char)value);
        return 0;
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
        return fail(lx, lx->at - digits - 2, "there is no such character");
    }
    put_character(out, value);
    return 0;
}

/* \OOO; the lexer stands on the first digit. */
static int read_octal(struct cel_lex *lx, const struct literal *l,
                      struct strbuf *out)
{
    uint32_t value = 0;
    for (int i = 0; i < 3; i++, lx->at++) {
        char c = peek(lx, 0);
        if (c < '0' || c > '7' || (i == 0 && c > '3')) {
            return fail(lx, lx->at,
                        "\\ and an octal number: from \\000 to "
                        "\\377, three digits");
        }
        value = value * 8 + (uint32_t)(c - '0');
    }
    if (l->bytes) {
        strbuf_addch(out, (char)value);
    } else {
        put_character(out, value);
    }
    return 0;
}

static int read_escape(struct cel_lex *lx, const struct literal *l,
                       struct strbuf *out)
{
    static const char simple[] = "a\ab\bf\fn\nr\rt\tv\v\\\\??\"\"''``";
    char c = peek(lx, 1);
    for (size_t i = 0; i + 1 < sizeof(simple); i += 2) {
        if (simple[i] == c && c != '\0') {
            lx->at += 2;
            strbuf_addch(out, simple[i + 1]);
            return 0;
        }
    }
    if (c == 'x' || c == 'X' || c == 'u' || c == 'U') {
        lx->at += 2;
        return read_hex(lx, l, c, out);
    }
    if (is_digit(c)) {
        lx->at++;
        return read_octal(lx, l, out);
    }
    (void)fail(lx, lx->at, "this is no escape");
    err_hint(&lx->issue->err, "a backslash itself is \\\\; in r\"...\" "
                              "backslashes stand for themselves");
    return -EBADMSG;
}

static bool closes(const struct cel_lex *lx, const struct literal *l)
{
    return peek(lx, 0) == l->quote &&
           (!l->triple || (peek(lx, 1) == l->quote && peek(lx, 2) == l->quote));
}

static int read_quoted(struct cel_lex *lx, const struct literal *l,
                       struct strbuf *out)
{
    while (!closes(lx, l)) {
        char c = peek(lx, 0);
        if (lx->at >= lx->text.len ||
            (!l->triple && (c == '\n' || c == '\r'))) {
            return fail(lx, l->start, "this string is not closed");
        }
        if (c == '\\' && !l->raw) {
            int r = read_escape(lx, l, out);
            if (r < 0) {
                return r;
            }
        } else {
            strbuf_addch(out, c);
            lx->at++;
        }
    }
    lx->at += l->triple ? 3 : 1;
    return 0;
}

static int read_string(struct cel_lex *lx, struct literal l,
                       struct cel_token *ret)
{
    CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT(lx->text.len * 4);
    l.quote = peek(lx, 0);
    l.triple = peek(lx, 1) == l.quote && peek(lx, 2) == l.quote;
    lx->at += l.triple ? 3 : 1;
    int r = read_quoted(lx, &l, &out);
    if (r < 0) {
        return r;
    }
    struct str text = arena_str(lx->arena, strbuf_str(&out));
    ret->kind = CEL_TOKEN_LITERAL;
    ret->value = l.bytes ? cel_bytes(text) : cel_string(text);
    return 0;
}

/* How many letters of b, r, br stand before a quote here; -1 for none. */
static int string_prefix(const struct cel_lex *lx, struct literal *ret)
{
    int i = 0;
    *ret = (struct literal){.start = lx->at};
    if (peek(lx, 0) == 'b' || peek(lx, 0) == 'B') {
        ret->bytes = true;
        i++;
    }
    if (peek(lx, (size_t)i) == 'r' || peek(lx, (size_t)i) == 'R') {
        ret->raw = true;
        i++;
    }
    char quote = peek(lx, (size_t)i);
    return quote == '"' || quote == '\'' ? i : -1;
}

/* Numbers */

static int take_integer(struct cel_lex *lx, uint64_t value,
                        struct cel_token *ret)
{
    char suffix = peek(lx, 0);
    ret->kind = CEL_TOKEN_LITERAL;
    if (suffix == 'u' || suffix == 'U') {
        lx->at++;
        ret->value = cel_uint(value);
        return 0;
    }
    if (value > (uint64_t)INT64_MAX + 1) {
        return fail(lx, ret->offset, "this number is too large for an int");
    }
    ret->overflows = value == (uint64_t)INT64_MAX + 1;
    ret->value = cel_int((int64_t)value);
    return 0;
}

static int read_integer(struct cel_lex *lx, unsigned base,
                        struct cel_token *ret)
{
    uint64_t value = 0;
    size_t start = lx->at;
    for (;; lx->at++) {
        int digit = hex_digit(peek(lx, 0));
        if (digit < 0 || (unsigned)digit >= base) {
            break;
        }
        if (__builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value)) {
            return fail(lx, ret->offset, "this number is too large");
        }
    }
    if (lx->at == start) {
        return fail(lx, ret->offset, "0x takes hexadecimal digits");
    }
    return take_integer(lx, value, ret);
}

/* The bytes of a decimal number from here: digits, a fraction, an exponent. */
static size_t number_length(const struct cel_lex *lx, bool *ret_is_real)
{
    size_t n = 0;
    *ret_is_real = false;
    while (is_digit(peek(lx, n))) {
        n++;
    }
    if (peek(lx, n) == '.' && is_digit(peek(lx, n + 1))) {
        *ret_is_real = true;
        n++;
        while (is_digit(peek(lx, n))) {
            n++;
        }
    }
    if (peek(lx, n) == 'e' || peek(lx, n) == 'E') {
        size_t sign = peek(lx, n + 1) == '+' || peek(lx, n + 1) == '-' ? 1 : 0;
        if (is_digit(peek(lx, n + 1 + sign))) {
            *ret_is_real = true;
            n += 1 + sign;
            while (is_digit(peek(lx, n))) {
                n++;
            }
        }
    }
    return n;
}

static int read_number(struct cel_lex *lx, struct cel_token *ret)
{
    char text[NUMBER_MAX_BYTES + 1];
    bool is_real = false;
    int r = 0;
    if (peek(lx, 0) == '0' && (peek(lx, 1) == 'x' || peek(lx, 1) == 'X')) {
        lx->at += 2;
        r = read_integer(lx, 16, ret);
    } else {
        size_t len = number_length(lx, &is_real);
        if (len > NUMBER_MAX_BYTES) {
            return fail(lx, lx->at, "this number is too long");
        }
        if (is_real) {
            memcpy(text, lx->text.at + lx->at, len);
            text[len] = '\0';
            lx->at += len;
            ret->kind = CEL_TOKEN_LITERAL;
            ret->value = cel_double(strtod(text, NULL));
        } else {
            r = read_integer(lx, 10, ret);
        }
    }
    if (r == 0 && is_real && isinf(ret->value.d)) {
        return fail(lx, ret->offset, "this number is too large for a double");
    }
    if (r == 0 && (is_letter(peek(lx, 0)) || is_digit(peek(lx, 0)))) {
        return fail(lx, lx->at, "a number cannot go on like this");
    }
    return r;
}

/* Names and signs */

static int read_quoted_name(struct cel_lex *lx, struct cel_token *ret)
{
    size_t start = ++lx->at;
    while (lx->at < lx->text.len && peek(lx, 0) != '`') {
        char c = peek(lx, 0);
        if (!is_letter(c) && !is_digit(c) && strchr(".-/ ", c) == NULL) {
            return fail(lx, lx->at,
                        "a name between backquotes has letters, digits, "
                        "_ . - / and blanks");
        }
        lx->at++;
    }
    ret->kind = CEL_TOKEN_QUOTED_NAME;
    ret->text = str_slice(lx->text, start, lx->at);
    if (peek(lx, 0) != '`' || ret->text.len == 0) {
        return fail(lx, ret->offset, "this name is not closed with `");
    }
    lx->at++;
    return 0;
}

/* What people write who come from other languages, and what it is here. */
static int refuse_sign(struct cel_lex *lx, size_t at)
{
    static const struct {
        char sign;
        const char *hint;
    } known[] = {
        {'=', "to compare, write =="},
        {'&', "write && for and"},
        {'|', "write || for or"},
        {'$', "names stand bare here: event.labels.severity"},
        {'~', "to match a pattern, write text.matches(\"...\")"},
        {';', "one expression stands alone, without ;"},
    };
    struct str rest = str_slice(lx->text, at, lx->text.len);
    size_t end = 0;
    uint32_t c = utf8_next(rest, &end);
    (void)cel_issue_set(lx->issue, lx->text, (uint32_t)at,
                        c == UTF8_BAD ? "this is not UTF-8"
                                      : "%.*s has no place here",
                        (int)end, rest.at);
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (known[i].sign == rest.at[0]) {
            err_hint(&lx->issue->err, "%s", known[i].hint);
        }
    }
    return -EBADMSG;
}

static int read_sign(struct cel_lex *lx, struct cel_token *ret)
{
    static const char *const pairs[] = {"==", "!=", "<=", ">=", "&&", "||"};
    struct str rest = str_slice(lx->text, lx->at, lx->text.len);
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_LEN(pairs) && len == 0; i++) {
        len = str_starts(rest, str_c(pairs[i])) ? 2 : 0;
    }
    if (len == 0 && strchr("<>+-*/%!?:.,()[]{}", rest.at[0]) != NULL &&
        rest.at[0] != '\0') {
        len = 1;
    }
    if (len == 0) {
        return refuse_sign(lx, lx->at);
    }
    lx->at += len;
    ret->kind = CEL_TOKEN_SIGN;
    ret->text = str_slice(rest, 0, len);
    return 0;
}

int cel_lex_next(struct cel_lex *lx, struct cel_token *ret)
{
    struct literal l;
    skip_blanks(lx);
    *ret = (struct cel_token){.offset = (uint32_t)lx->at};
    if (lx->at >= lx->text.len) {
        return 0;
    }
    char c = peek(lx, 0);
    int prefix = string_prefix(lx, &l);
    if (prefix >= 0) {
        lx->at += (size_t)prefix;
        return read_string(lx, l, ret);
    }
    if (is_digit(c) || (c == '.' && is_digit(peek(lx, 1)))) {
        return read_number(lx, ret);
    }
    if (c == '`') {
        return read_quoted_name(lx, ret);
    }
    if (is_letter(c)) {
        size_t start = lx->at;
        while (is_letter(peek(lx, 0)) || is_digit(peek(lx, 0))) {
            lx->at++;
        }
        ret->kind = CEL_TOKEN_NAME;
        ret->text = str_slice(lx->text, start, lx->at);
        return 0;
    }
    return read_sign(lx, ret);
}
