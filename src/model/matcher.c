#include "model/matcher.h"

#include <errno.h>

#include "base/assert.h"
#include "base/strbuf.h"

/*
 * Alertmanager has two grammars for one matcher. Where both accept a text
 * they must agree; where they do not, the older one decides, as Alertmanager
 * itself does in its compatible mode:
 *
 *   classic: a bare name of letters, digits, _ and :; the value is the rest of
 *     the text, quoted or not, with the escapes \" \\ \n; another backslash
 *     stands for itself (so "\d+" needs no doubling).
 *   UTF-8: the name or the value may be any quoted Go string, or a bare word
 *     without blanks and reserved characters.
 *
 * So a text with a classic name is read as classic, and all others as UTF-8.
 */

#define TEXT_MAX_BYTES 8192

struct cursor {
    struct str text;
    size_t at;
    struct err *err;
};

static int fail(struct cursor *c, size_t at, const char *message)
{
    c->err->at.column = (uint32_t)at + 1;
    return err_set(c->err, -EBADMSG, "%s", message);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_classic_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == ':' || is_digit(c);
}

/* Reserved in bare words of the UTF-8 grammar. */
static bool is_reserved(char c)
{
    return is_blank(c) || str_find(STR("{}!=~,\\\"'`"), c) >= 0;
}

static char peek(const struct cursor *c)
{
    return c->at < c->text.len ? c->text.at[c->at] : '\0';
}

static bool take(struct cursor *c, struct str what)
{
    if (!str_starts(str_slice(c->text, c->at, c->text.len), what)) {
        return false;
    }
    c->at += what.len;
    return true;
}

static void skip_blanks(struct cursor *c)
{
    while (is_blank(peek(c))) {
        c->at++;
    }
}

/* ---- the quoted strings of the UTF-8 grammar ---------------------------- */

static void add_utf8(struct strbuf *out, uint32_t rune)
{
    if (rune < 0x80) {
        strbuf_addch(out, (char)rune);
    } else if (rune < 0x800) {
        strbuf_addch(out, (char)(0xC0 | (rune >> 6)));
        strbuf_addch(out, (char)(0x80 | (rune & 0x3F)));
    } else if (rune < 0x10000) {
        strbuf_addch(out, (char)(0xE0 | (rune >> 12)));
        strbuf_addch(out, (char)(0x80 | ((rune >> 6) & 0x3F)));
        strbuf_addch(out, (char)(0x80 | (rune & 0x3F)));
    } else {
        strbuf_addch(out, (char)(0xF0 | (rune >> 18)));
        strbuf_addch(out, (char)(0x80 | ((rune >> 12) & 0x3F)));
        strbuf_addch(out, (char)(0x80 | ((rune >> 6) & 0x3F)));
        strbuf_addch(out, (char)(0x80 | (rune & 0x3F)));
    }
}

/* Value of a digit in base 8 or 16; a large number when it is none. */
static uint32_t digit_value(char c)
{
    if (is_digit(c)) {
        return (uint32_t)(c - '0');
    }
    if (c >= 'a' && c <= 'f') {
        return (uint32_t)(c - 'a') + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return (uint32_t)(c - 'A') + 10;
    }
    return 99;
}

/* Exactly `digits` digits of the base. */
static int read_number(struct cursor *c, unsigned digits, unsigned base,
                       uint32_t *ret)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < digits; i++) {
        uint32_t d = digit_value(peek(c));
        if (d >= base) {
            return fail(c, c->at, "this escape has too few digits");
        }
        n = n * base + d;
        c->at++;
    }
    *ret = n;
    return 0;
}

/* Escapes that stand for one fixed byte. */
static char simple_escape(char c)
{
    static const struct {
        char letter;
        char byte;
    } escapes[] = {{'a', '\a'}, {'b', '\b'},  {'f', '\f'},
                   {'n', '\n'}, {'r', '\r'},  {'t', '\t'},
                   {'v', '\v'}, {'\\', '\\'}, {'"', '"'}};
    for (size_t i = 0; i < ARRAY_LEN(escapes); i++) {
        if (escapes[i].letter == c) {
            return escapes[i].byte;
        }
    }
    return '\0';
}

/* \xHH, \NNN (bytes) or \uHHHH, \UHHHHHHHH (code points). */
static int read_numeric_escape(struct cursor *c, struct strbuf *out)
{
    size_t start = c->at;
    char kind = peek(c);
    uint32_t n = 0;
    int r = 0;
    if (is_digit(kind)) {
        r = read_number(c, 3, 8, &n);
    } else if (kind == 'x' || kind == 'u' || kind == 'U') {
        c->at++;
        r = read_number(c, kind == 'x' ? 2 : kind == 'u' ? 4 : 8, 16, &n);
    } else {
        return fail(c, start, "a quoted text has no such escape");
    }
    if (r < 0) {
        return r;
    }
    bool is_byte = kind != 'u' && kind != 'U';
    if (is_byte ? n > 0xFF : (n > 0x10FFFF || (n >= 0xD800 && n < 0xE000))) {
        return fail(c, start, "this escape is not a character");
    }
    if (is_byte) {
        strbuf_addch(out, (char)n);
    } else {
        add_utf8(out, n);
    }
    return 0;
}

/* "..." as Go writes it; the cursor stands on the quote. */
static int read_go_string(struct cursor *c, struct strbuf *out)
{
    size_t open = c->at++;
    while (c->at < c->text.len) {
        char byte = peek(c);
        c->at++;
        if (byte == '"') {
            return 0;
        }
        if (byte == '\n') {
            break;
        }
        if (byte != '\\') {
            strbuf_addch(out, byte);
            continue;
        }
        char simple = simple_escape(peek(c));
        if (simple != '\0') {
            c->at++;
            strbuf_addch(out, simple);
            continue;
        }
        int r = read_numeric_escape(c, out);
        if (r < 0) {
            return r;
        }
    }
    return fail(c, open, "the quote that opens here is not closed");
}

/* A word without blanks and reserved characters, or a quoted text. */
static int read_utf8_word(struct cursor *c, struct strbuf *out)
{
    if (peek(c) == '"') {
        return read_go_string(c, out);
    }
    size_t start = c->at;
    while (c->at < c->text.len && !is_reserved(peek(c))) {
        c->at++;
    }
    if (c->at == start) {
        return fail(c, start,
                    c->at < c->text.len ? "put this in double quotes"
                                        : "expected a name or a value");
    }
    strbuf_add(out, str_slice(c->text, start, c->at));
    return 0;
}

/* ---- the classic value -------------------------------------------------- */

/* Everything from the cursor to the end, which has no blanks at its ends. */
static int read_classic_value(struct cursor *c, struct strbuf *out)
{
    size_t open = c->at;
    bool quoted = take(c, STR("\""));
    while (c->at < c->text.len) {
        char byte = c->text.at[c->at++];
        bool last = c->at == c->text.len;
        if (byte == '"') {
            if (quoted && last) {
                return 0;
            }
            return fail(c, c->at - 1,
                        "a double quote inside a value is "
                        "written \\\"");
        }
        char next = peek(c);
        if (byte == '\\' && !last &&
            (next == 'n' || next == '"' || next == '\\')) {
            strbuf_addch(out, next == 'n' ? '\n' : next);
            c->at++;
        } else if (byte == '\\' && !last) {
            /* Not an escape: both stand for themselves, and the second is
             * not looked at again. */
            strbuf_addch(out, byte);
            strbuf_addch(out, next);
            c->at++;
        } else {
            strbuf_addch(out, byte);
        }
    }
    if (quoted) {
        return fail(c, open, "the quote that opens here is not closed");
    }
    return 0;
}

/* ---- one matcher -------------------------------------------------------- */

static int read_op(struct cursor *c, enum matcher_op *ret)
{
    static const struct {
        struct str text;
        enum matcher_op op;
    } ops[] = {{{"=~", 2}, MATCH_RE},
               {{"!~", 2}, MATCH_NRE},
               {{"!=", 2}, MATCH_NE},
               {{"=", 1}, MATCH_EQ}};
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        if (take(c, ops[i].text)) {
            *ret = ops[i].op;
            return 0;
        }
    }
    return fail(c, c->at, "expected =, !=, =~ or !~");
}

/* Length of a classic name at the start; 0 when it does not stand alone in
 * front of an operator. */
static size_t classic_name_len(struct str text)
{
    size_t n = 0;
    while (n < text.len && is_classic_name_char(text.at[n])) {
        n++;
    }
    if (n == 0 || is_digit(text.at[0])) {
        return 0;
    }
    size_t op = n;
    while (op < text.len && is_blank(text.at[op])) {
        op++;
    }
    bool is_op = op < text.len && (text.at[op] == '=' || text.at[op] == '!');
    return is_op ? n : 0;
}

static int read_matcher(struct cursor *c, struct strbuf *name,
                        struct strbuf *value, enum matcher_op *op)
{
    if (peek(c) == '{') {
        err_hint(c->err, "write one matcher per list item, without braces");
        return fail(c, c->at, "a matcher does not start with a brace");
    }
    size_t classic = classic_name_len(str_slice(c->text, c->at, c->text.len));
    int r = 0;
    if (classic != 0) {
        strbuf_add(name, str_slice(c->text, c->at, c->at + classic));
        c->at += classic;
    } else {
        r = read_utf8_word(c, name);
    }
    skip_blanks(c);
    r = r < 0 ? r : read_op(c, op);
    if (r < 0) {
        return r;
    }
    skip_blanks(c);
    if (classic != 0) {
        return read_classic_value(c, value);
    }
    r = read_utf8_word(c, value);
    skip_blanks(c);
    if (r == 0 && c->at < c->text.len) {
        r = fail(c, c->at, "a matcher ends with its value");
    }
    return r;
}

static int check_text(struct str text, struct err *reterr)
{
    if (text.len > TEXT_MAX_BYTES) {
        return err_set(reterr, -E2BIG, "a matcher has at most %d bytes",
                       TEXT_MAX_BYTES);
    }
    if (!str_is_utf8(text) || str_find(text, '\0') >= 0) {
        return err_set(reterr, -EBADMSG, "a matcher is UTF-8 text");
    }
    return 0;
}

/* Takes what was read into *ret; the regular expression is compiled here. */
static int finish(struct cursor *c, struct str name, struct str value,
                  enum matcher_op op, struct arena *a, struct matcher *ret)
{
    if (name.len == 0) {
        return fail(c, 0, "a label name is not empty");
    }
    if (!str_is_utf8(name) || !str_is_utf8(value) ||
        str_find(name, '\0') >= 0 || str_find(value, '\0') >= 0) {
        return fail(c, 0, "name and value are UTF-8 text without NUL");
    }
    struct pattern *pattern = NULL;
    if (op == MATCH_RE || op == MATCH_NRE) {
        int r = pattern_compile(value, &pattern, c->err);
        if (r < 0) {
            /* Its column counts inside the value, which may have escapes. */
            c->err->at.column = 0;
            return r;
        }
    }
    *ret = (struct matcher){.name = arena_str(a, name),
                            .value = arena_str(a, value),
                            .op = op,
                            .pattern = pattern};
    return 0;
}

int matcher_parse(struct str text, struct arena *a, struct matcher *ret,
                  struct err *reterr)
{
    int r = check_text(text, reterr);
    if (r < 0) {
        return r;
    }
    while (text.len != 0 && is_blank(text.at[text.len - 1])) {
        text.len--;
    }
    CLEANUP(strbuf_deinit) struct strbuf name = STRBUF_INIT(TEXT_MAX_BYTES);
    CLEANUP(strbuf_deinit) struct strbuf value = STRBUF_INIT(TEXT_MAX_BYTES);
    struct cursor c = {.text = text, .err = reterr};
    enum matcher_op op = MATCH_EQ;
    skip_blanks(&c);
    r = read_matcher(&c, &name, &value, &op);
    if (r < 0) {
        return r;
    }
    ASSERT(strbuf_error(&name) == 0 && strbuf_error(&value) == 0);
    return finish(&c, strbuf_str(&name), strbuf_str(&value), op, a, ret);
}

void matcher_deinit(struct matcher *m)
{
    pattern_free(m->pattern);
    m->pattern = NULL;
}

int matcher_holds(const struct matcher *m, const struct labels *l)
{
    struct str value = labels_get(l, m->name);
    switch (m->op) {
    case MATCH_EQ:
        return str_eq(value, m->value) ? 1 : 0;
    case MATCH_NE:
        return str_eq(value, m->value) ? 0 : 1;
    case MATCH_RE:
        return pattern_matches(m->pattern, value);
    case MATCH_NRE: {
        int r = pattern_matches(m->pattern, value);
        return r < 0 ? r : 1 - r;
    }
    }
    UNREACHABLE();
}
