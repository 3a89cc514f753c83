#include "expr/template.h"

#include <errno.h>
#include <string.h>

#include "base/strbuf.h"
#include "base/vec.h"

#define OPEN STR("${{")
#define CLOSE STR("}}")

/* One pass over the source text; `at` only ever moves forward. */
struct scanner {
    struct str text;
    size_t at;
    struct arena *arena;
    struct err *err;
};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name_char(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9');
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_identifier(struct str s)
{
    if (s.len == 0 || !is_letter(s.at[0])) {
        return false;
    }
    for (size_t i = 1; i < s.len; i++) {
        if (!is_name_char(s.at[i])) {
            return false;
        }
    }
    return true;
}

static int fail(struct scanner *sc, size_t at, const char *message)
{
    sc->err->at.column = (uint32_t)at + 1;
    return err_set(sc->err, -EBADMSG, "%s", message);
}

/* The next byte, or NUL at the end (no text that we accept holds NUL). */
static char peek(const struct scanner *sc)
{
    return sc->at < sc->text.len ? sc->text.at[sc->at] : '\0';
}

static bool looks_at(const struct scanner *sc, struct str what)
{
    return str_starts(str_slice(sc->text, sc->at, sc->text.len), what);
}

static void skip_blanks(struct scanner *sc)
{
    while (is_blank(peek(sc))) {
        sc->at++;
    }
}

static int read_identifier(struct scanner *sc, struct str *ret)
{
    size_t start = sc->at;
    if (!is_letter(peek(sc))) {
        return fail(sc, start, "expected a name");
    }
    while (is_name_char(peek(sc))) {
        sc->at++;
    }
    *ret = str_slice(sc->text, start, sc->at);
    return 0;
}

/* ["segment"]; the scanner stands on the bracket. */
static int read_quoted(struct scanner *sc, struct str *ret)
{
    size_t open = sc->at;
    if (!looks_at(sc, STR("[\""))) {
        return fail(sc, open, "expected [\"name\"] with double quotes");
    }
    sc->at += 2;
    size_t start = sc->at;
    while (sc->at < sc->text.len && peek(sc) != '"') {
        unsigned char c = (unsigned char)peek(sc);
        if (c < 0x20 || c == 0x7F || c == '\\') {
            return fail(sc, sc->at,
                        "a quoted name holds no backslash and no control "
                        "character");
        }
        sc->at++;
    }
    *ret = str_slice(sc->text, start, sc->at);
    if (!looks_at(sc, STR("\"]"))) {
        return fail(sc, open, "[\" is not closed with \"]");
    }
    if (ret->len == 0) {
        return fail(sc, open, "[\"\"] names nothing");
    }
    sc->at += 2;
    return 0;
}

static void add_segment(struct strbuf *path, struct str segment)
{
    if (!is_identifier(segment)) {
        strbuf_addc(path, "[\"");
        strbuf_add(path, segment);
        strbuf_addc(path, "\"]");
        return;
    }
    if (path->len != 0) {
        strbuf_addch(path, '.');
    }
    strbuf_add(path, segment);
}

/* A character that can go on no path: say which, and what to write. */
static int fail_character(struct scanner *sc)
{
    if (sc->at >= sc->text.len) {
        return fail(sc, sc->at, "${{ is not closed with }}");
    }
    if (peek(sc) == '-') {
        err_hint(sc->err, "a name that is not letters, digits and _ is "
                          "written as in event.labels[\"a-b\"]");
    } else {
        err_hint(sc->err, "between ${{ and }} stands one path, like "
                          "event.labels.instance or parameters.service");
    }
    return fail(sc, sc->at, "this character has no place in a path");
}

static int read_segments(struct scanner *sc, struct strbuf *path)
{
    struct str segment = STR_NULL;
    int r = read_identifier(sc, &segment);
    while (r == 0) {
        add_segment(path, segment);
        if (peek(sc) == '.') {
            sc->at++;
            r = read_identifier(sc, &segment);
        } else if (peek(sc) == '[') {
            r = read_quoted(sc, &segment);
        } else {
            return 0;
        }
    }
    return r;
}

/* The inside of ${{ }}; the scanner stands behind the opening. */
static int read_path(struct scanner *sc, size_t open, struct str *ret)
{
    CLEANUP(strbuf_deinit)
    struct strbuf path = STRBUF_INIT(TEMPLATE_PATH_MAX_BYTES);
    skip_blanks(sc);
    if (looks_at(sc, CLOSE)) {
        return fail(sc, open, "${{ }} names nothing");
    }
    if (sc->at >= sc->text.len) {
        return fail(sc, open, "${{ is not closed with }}");
    }
    int r = read_segments(sc, &path);
    if (r < 0) {
        return r;
    }
    skip_blanks(sc);
    if (!looks_at(sc, CLOSE)) {
        return fail_character(sc);
    }
    sc->at += CLOSE.len;
    if (strbuf_error(&path) < 0) {
        return fail(sc, open, "this path is too long");
    }
    *ret = arena_str(sc->arena, strbuf_str(&path));
    return 0;
}

/* Literal text up to the next opening or the end. */
static struct str read_literal(struct scanner *sc)
{
    size_t start = sc->at;
    struct str rest = str_slice(sc->text, start, sc->text.len);
    const char *open =
        rest.len == 0 ? NULL : memmem(rest.at, rest.len, OPEN.at, OPEN.len);
    sc->at = open == NULL ? sc->text.len : start + (size_t)(open - rest.at);
    return str_slice(sc->text, start, sc->at);
}

bool template_is_dynamic(struct str text)
{
    return text.len != 0 &&
           memmem(text.at, text.len, OPEN.at, OPEN.len) != NULL;
}

int template_parse(struct str text, struct arena *a, struct template *ret,
                   struct err *reterr)
{
    VEC(struct template_part) parts = {0};
    struct scanner sc = {.text = text, .arena = a, .err = reterr};
    int r = 0;
    while (r == 0 && sc.at < text.len) {
        struct template_part part = {.offset = (uint32_t)sc.at};
        if (looks_at(&sc, OPEN)) {
            part.is_path = true;
            sc.at += OPEN.len;
            r = read_path(&sc, part.offset, &part.text);
        } else {
            part.text = arena_str(a, read_literal(&sc));
        }
        VEC_PUSH(&parts, part);
    }
    if (r == 0 && parts.count != 0) {
        ret->parts = ARENA_ARRAY(a, parts.count, struct template_part);
        memcpy(ret->parts, parts.at, parts.count * sizeof(*parts.at));
    } else if (r == 0) {
        ret->parts = NULL;
    }
    if (r == 0) {
        ret->count = (uint32_t)parts.count;
    }
    VEC_DEINIT(&parts);
    return r;
}

bool template_path_next(struct str *path, struct str *ret_segment)
{
    struct str p = *path;
    if (p.len == 0) {
        return false;
    }
    if (str_starts(p, STR("[\""))) {
        ptrdiff_t end = str_find(str_slice(p, 2, p.len), '"');
        size_t len = end < 0 ? p.len : (size_t)end;
        *ret_segment = str_slice(p, 2, 2 + len);
        *path = str_slice(p, 2 + len + 2, p.len);
        return true;
    }
    size_t start = p.at[0] == '.' ? 1 : 0;
    size_t end = start;
    while (end < p.len && p.at[end] != '.' && p.at[end] != '[') {
        end++;
    }
    *ret_segment = str_slice(p, start, end);
    *path = str_slice(p, end, p.len);
    return true;
}

int template_fill(const struct template *t, const struct template_source *from,
                  size_t limit_bytes, struct arena *a, struct str *ret,
                  struct err *reterr)
{
    CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT(limit_bytes);
    for (uint32_t i = 0; i < t->count; i++) {
        struct str text = t->parts[i].text;
        if (t->parts[i].is_path) {
            int r = from->lookup(from->context, text, a, &text);
            if (r < 0) {
                err_field(reterr, "%.*s", STR_ARG(t->parts[i].text));
                return err_set(reterr, r, "%.*s has no value",
                               STR_ARG(t->parts[i].text));
            }
        }
        strbuf_add(&out, text);
    }
    if (strbuf_error(&out) < 0) {
        return err_set(reterr, -E2BIG,
                       "the text is over its limit of %zu "
                       "bytes",
                       limit_bytes);
    }
    *ret = arena_str(a, strbuf_str(&out));
    return 0;
}
