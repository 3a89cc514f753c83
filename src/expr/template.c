#include "expr/template.h"

#include <errno.h>
#include <string.h>

#include "base/strbuf.h"
#include "base/vec.h"
#include "expr/cel_lex.h"
#include "expr/cel_text.h"

#define OPEN STR("${{")
#define CLOSE STR("}}")
#define VALUE_TEXT_MAX_BYTES (64UL * 1024)

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name_char(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9');
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

/* ---- plain paths --------------------------------------------------------- */

/* What is left of an expression that may be a path. */
struct path_reader {
    struct str rest;
    struct strbuf path;
};

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

static bool read_identifier(struct path_reader *r)
{
    size_t len = 0;
    while (len < r->rest.len && is_name_char(r->rest.at[len])) {
        len++;
    }
    struct str segment = str_slice(r->rest, 0, len);
    if (!is_identifier(segment)) {
        return false;
    }
    add_segment(&r->path, segment);
    r->rest = str_slice(r->rest, len, r->rest.len);
    return true;
}

/* ["segment"]; the rest begins with the bracket. */
static bool read_quoted(struct path_reader *r)
{
    size_t at = 2;
    if (!str_starts(r->rest, STR("[\""))) {
        return false;
    }
    while (at < r->rest.len && r->rest.at[at] != '"') {
        unsigned char c = (unsigned char)r->rest.at[at];
        if (c < 0x20 || c == 0x7F || c == '\\') {
            return false;
        }
        at++;
    }
    struct str end = str_slice(r->rest, at, r->rest.len);
    if (at == 2 || !str_starts(end, STR("\"]"))) {
        return false;
    }
    add_segment(&r->path, str_slice(r->rest, 2, at));
    r->rest = str_slice(end, 2, end.len);
    return true;
}

/* The path in normal form; false if the expression is none. */
static bool read_path(struct str expr, struct arena *a, struct str *ret)
{
    struct path_reader r = {.rest = expr,
                            .path = STRBUF_INIT(TEMPLATE_PATH_MAX_BYTES)};
    bool is_path = read_identifier(&r);
    while (is_path && r.rest.len != 0) {
        if (r.rest.at[0] == '.') {
            r.rest = str_slice(r.rest, 1, r.rest.len);
            is_path = read_identifier(&r);
        } else {
            is_path = read_quoted(&r);
        }
    }
    is_path = is_path && strbuf_error(&r.path) == 0;
    if (is_path) {
        *ret = arena_str(a, strbuf_str(&r.path));
    }
    strbuf_deinit(&r.path);
    return is_path;
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

/* ---- parsing ------------------------------------------------------------- */

/* One pass over the source text; `at` only ever moves forward. */
struct scanner {
    struct str text;
    size_t at;
    struct arena *arena;
    struct cel_issue *issue;
};

static int fail(struct scanner *sc, size_t at, const char *message)
{
    return cel_issue_set(sc->issue, sc->text, (uint32_t)at, "%s", message);
}

static bool looks_at(const struct scanner *sc, size_t at, struct str what)
{
    return str_starts(str_slice(sc->text, at, sc->text.len), what);
}

/* Where the expression behind `open` ends: at the first }} that is neither in
 * a text of the language nor closes a {. */
static int find_close(struct scanner *sc, size_t open, size_t *ret)
{
    struct cel_lex lx = {.text = sc->text,
                         .at = open + OPEN.len,
                         .arena = sc->arena,
                         .issue = sc->issue};
    struct cel_token t;
    unsigned depth = 0;
    for (;;) {
        int r = cel_lex_next(&lx, &t);
        if (r < 0 && looks_at(sc, sc->issue->offset, OPEN)) {
            err_hint(&sc->issue->err, "${{ }} does not nest: write the name "
                                      "alone");
        }
        if (r < 0) {
            return r;
        }
        if (t.kind == CEL_TOKEN_END) {
            return fail(sc, open, "${{ is not closed with }}");
        }
        if (t.kind != CEL_TOKEN_SIGN) {
            continue;
        }
        if (depth == 0 && looks_at(sc, t.offset, CLOSE)) {
            *ret = t.offset;
            return 0;
        }
        depth += str_eq_c(t.text, "{") ? 1 : 0;
        depth -= depth != 0 && str_eq_c(t.text, "}") ? 1 : 0;
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Without the blanks around it, new lines among them. */
static struct str trimmed(struct str s)
{
    while (s.len != 0 && is_blank(s.at[0])) {
        s = str_slice(s, 1, s.len);
    }
    while (s.len != 0 && is_blank(s.at[s.len - 1])) {
        s = str_slice(s, 0, s.len - 1);
    }
    return s;
}

static int read_expr(struct scanner *sc, struct template_part *part)
{
    size_t open = sc->at;
    size_t close = 0;
    int r = find_close(sc, open, &close);
    if (r < 0) {
        return r;
    }
    struct str inside = str_slice(sc->text, open + OPEN.len, close);
    struct str expr = trimmed(inside);
    if (expr.len == 0) {
        return fail(sc, open, "${{ }} names nothing");
    }
    sc->at = close + CLOSE.len;
    part->inside = (uint32_t)(expr.at - sc->text.at);
    part->expr = arena_str(sc->arena, expr);
    part->source = arena_str(sc->arena, str_slice(sc->text, open, sc->at));
    part->kind =
        read_path(expr, sc->arena, &part->text) ? TEMPLATE_PATH : TEMPLATE_EXPR;
    return 0;
}

/* Constant text up to the next opening or the end. */
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
                   struct cel_issue *issue)
{
    VEC(struct template_part) parts = {0};
    struct scanner sc = {.text = text, .arena = a, .issue = issue};
    int r = 0;
    while (r == 0 && sc.at < text.len) {
        struct template_part part = {.offset = (uint32_t)sc.at};
        if (looks_at(&sc, sc.at, OPEN)) {
            r = read_expr(&sc, &part);
        } else {
            part.text = arena_str(a, read_literal(&sc));
        }
        VEC_PUSH(&parts, part);
    }
    if (r == 0) {
        ret->count = (uint32_t)parts.count;
        ret->parts = ARENA_ARRAY(a, parts.count, struct template_part);
        if (parts.count != 0) {
            memcpy(ret->parts, parts.at, parts.count * sizeof(*parts.at));
        }
    }
    VEC_DEINIT(&parts);
    return r;
}

/* ---- compiling ----------------------------------------------------------- */

void template_issue_move(struct cel_issue *issue,
                         const struct template_part *part, struct str text)
{
    issue->offset += part->inside;
    issue->err.at = cel_issue_place(text, issue->offset);
}

/* event.labels.a-b is a difference, and rarely meant. */
static bool has_dashed_name(struct str expr)
{
    bool has_dash = false;
    for (size_t i = 0; i < expr.len; i++) {
        char c = expr.at[i];
        if (!is_name_char(c) && c != '.' && c != '-') {
            return false;
        }
        has_dash = has_dash || c == '-';
    }
    return has_dash && str_find(expr, '.') > 0;
}

int template_compile(struct template_part *part, const struct cel_env *env,
                     struct str text, struct arena *a, struct cel_issue *issue)
{
    struct cel_program *p = NULL;
    struct cel_issue found = CEL_ISSUE_INIT;
    int r = cel_program_new(env, part->expr, a, &p, &found);
    if (r == 0) {
        part->program = p;
        return 0;
    }
    template_issue_move(&found, part, text);
    if (has_dashed_name(part->expr)) {
        err_hint(&found.err, "a name that is not letters, digits and _ is "
                             "written as in event.labels[\"a-b\"]");
    }
    *issue = found;
    return r;
}

const struct template_part *template_single(const struct template *t)
{
    return t->count == 1 && t->parts[0].kind != TEMPLATE_TEXT ? &t->parts[0]
                                                              : NULL;
}

/* ---- values -------------------------------------------------------------- */

int template_eval(const struct template_part *part,
                  const struct cel_input *input, struct cel_budget *budget,
                  struct arena *a, struct cel_value *ret, struct err *reterr)
{
    struct cel_value v = cel_program_spend(part->program, input, budget, a);
    while (v.kind == CEL_OPTIONAL && v.some != NULL) {
        v = *v.some;
    }
    if (v.kind == CEL_OPTIONAL || v.kind == CEL_NULL) {
        return -ENOENT;
    }
    if (cel_is_error(v)) {
        return err_set(reterr, -ENODATA, "%.*s has no value: %.*s",
                       (int)MIN(part->source.len, 200U), part->source.at,
                       STR_ARG(v.fault->message));
    }
    *ret = v;
    return 0;
}

bool template_kind_fits(enum cel_kind kind)
{
    switch (kind) {
    case CEL_BOOL:
    case CEL_INT:
    case CEL_UINT:
    case CEL_DOUBLE:
    case CEL_STRING:
    case CEL_TIMESTAMP:
    case CEL_DURATION:
    case CEL_IP:
    case CEL_CIDR:
    case CEL_DYN:
        return true;
    case CEL_ERROR:
    case CEL_NULL:
    case CEL_BYTES:
    case CEL_LIST:
    case CEL_MAP:
    case CEL_TYPE:
    case CEL_OPTIONAL:
    case CEL_PARAM:
    case CEL_OPAQUE:
    case CEL_OBJECT:
        break;
    }
    return false;
}

/* What sleep and timeout take: seconds, without a unit. */
static void add_seconds(int64_t ns, struct strbuf *out)
{
    struct strbuf text = STRBUF_INIT(64);
    cel_text_duration(ns, &text);
    strbuf_add(out, str_slice(strbuf_str(&text), 0, text.len - 1));
    strbuf_deinit(&text);
}

int template_value_text(struct cel_value v, struct arena *a, struct str *ret,
                        struct err *reterr)
{
    if (v.kind == CEL_STRING) {
        *ret = arena_str(a, cel_text(v));
        return 0;
    }
    if (!template_kind_fits((enum cel_kind)v.kind)) {
        return err_set(reterr, -EINVAL, "it gives a %.*s, not one value",
                       STR_ARG(cel_text_kind(v)));
    }
    CLEANUP(strbuf_deinit)
    struct strbuf text = STRBUF_INIT(VALUE_TEXT_MAX_BYTES);
    if (v.kind == CEL_DURATION) {
        add_seconds(v.i, &text);
    } else {
        cel_text_plain(v, &text);
    }
    *ret = arena_str(a, strbuf_str(&text));
    return 0;
}

/* ---- filling ------------------------------------------------------------- */

static int refuse_part(const struct template_part *part, int r,
                       struct err *reterr)
{
    struct str name = part->kind == TEMPLATE_PATH ? part->text : part->expr;
    err_field(reterr, "%.*s", (int)MIN(name.len, 100U), name.at);
    if (reterr->message[0] == '\0') {
        return err_set(reterr, r, "%.*s has no value", (int)MIN(name.len, 200U),
                       name.at);
    }
    return r;
}

int template_fill(const struct template *t, const struct template_source *from,
                  size_t limit_bytes, struct arena *a, struct str *ret,
                  struct err *reterr)
{
    CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT(limit_bytes);
    for (uint32_t i = 0; i < t->count; i++) {
        struct str text = t->parts[i].text;
        if (t->parts[i].kind != TEMPLATE_TEXT) {
            int r = from->text(from->context, &t->parts[i], a, &text, reterr);
            if (r < 0) {
                return refuse_part(&t->parts[i], r, reterr);
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
