#include <errno.h>
#include <string.h>

#include "base/vec.h"
#include "expr/re_priv.h"
#include "expr/utf8.h"

struct parts {
    VEC(struct re_node *) v;
};

static int parse_choice(struct re_parser *p, struct re_node **ret);

int re_parser_fail(struct re_parser *p, size_t at, const char *message)
{
    p->err->at.column = (uint32_t)at + 1;
    return err_set(p->err, -EBADMSG, "%s (at byte %zu of the pattern)", message,
                   at + 1);
}

static char peek(const struct re_parser *p, size_t ahead)
{
    return p->at + ahead < p->text.len ? p->text.at[p->at + ahead] : '\0';
}

static struct re_node *new_node(struct re_parser *p, enum re_kind kind)
{
    struct re_node *n = ARENA_NEW(p->arena, struct re_node);
    n->kind = kind;
    return n;
}

static struct re_node *new_assert(struct re_parser *p, enum re_assert what)
{
    struct re_node *n = new_node(p, RE_ASSERT);
    n->assertion = what;
    return n;
}

static struct re_node *new_parent(struct re_parser *p, enum re_kind kind,
                                  struct re_node **parts, size_t count)
{
    struct re_node *n = new_node(p, kind);
    n->parts = ARENA_ARRAY(p->arena, count, struct re_node *);
    n->part_count = (uint32_t)count;
    if (count != 0) {
        memcpy(n->parts, parts, count * sizeof(*parts));
    }
    return n;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* \x41 and \x{1F600}; the parser stands behind the x. */
static int read_hex(struct re_parser *p, uint32_t *ret)
{
    size_t start = p->at;
    uint32_t value = 0;
    bool braces = peek(p, 0) == '{';
    p->at += braces ? 1 : 0;
    size_t digits = 0;
    while (hex_digit(peek(p, 0)) >= 0 && digits < (braces ? 6U : 2U)) {
        value = value * 16 + (uint32_t)hex_digit(peek(p, 0));
        digits++;
        p->at++;
    }
    if (digits == 0 || (!braces && digits != 2) ||
        (braces && peek(p, 0) != '}') || value > RE_LAST_CHARACTER) {
        return re_parser_fail(p, start,
                              "\\x takes two hexadecimal digits, or "
                              "more in {}");
    }
    p->at += braces ? 1 : 0;
    *ret = value;
    return 0;
}

int re_parse_escape(struct re_parser *p, uint32_t *ret)
{
    static const char simple[] = "a\af\ft\tn\nr\rv\v";
    char c = peek(p, 0);
    size_t start = p->at;
    if (p->at >= p->text.len) {
        return re_parser_fail(p, start, "a backslash at the end");
    }
    if (c == 'x') {
        p->at++;
        return read_hex(p, ret);
    }
    for (size_t i = 0; i + 1 < sizeof(simple); i += 2) {
        if (simple[i] == c) {
            p->at++;
            *ret = (uint32_t)simple[i + 1];
            return 0;
        }
    }
    if (c == '0') {
        uint32_t value = 0;
        for (int i = 0; i < 3 && peek(p, 0) >= '0' && peek(p, 0) <= '7'; i++) {
            value = value * 8 + (uint32_t)(peek(p, 0) - '0');
            p->at++;
        }
        *ret = value;
        return 0;
    }
    if (c >= '1' && c <= '9') {
        return re_parser_fail(p, start,
                              "backreferences are not supported: "
                              "they have no linear-time form");
    }
    if (c == 'p' || c == 'P') {
        return re_parser_fail(p, start,
                              "\\p classes are not supported: write "
                              "the ranges");
    }
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
        return re_parser_fail(p, start, "this is no escape");
    }
    *ret = utf8_next(p->text, &p->at);
    return 0;
}

/* Both cases of a letter, or NULL if it has no other. Apart from character():
 * the set is large to be made for each. */
static struct re_node *both_cases(struct re_parser *p, uint32_t c)
{
    struct re_set s = {0};
    re_set_add(&s, c, c, true);
    return s.count > 1 ? re_set_node(p, &s) : NULL;
}

static struct re_node *character(struct re_parser *p, uint32_t c)
{
    struct re_node *n = p->flags.no_case ? both_cases(p, c) : NULL;
    if (n != NULL) {
        return n;
    }
    n = new_node(p, RE_CHARACTER);
    n->character = c;
    return n;
}

static struct re_node *dot(struct re_parser *p)
{
    struct re_set s = {0};
    if (p->flags.dot_all) {
        re_set_add(&s, 0, RE_LAST_CHARACTER, false);
    } else {
        re_set_add(&s, 0, '\n' - 1, false);
        re_set_add(&s, '\n' + 1, RE_LAST_CHARACTER, false);
    }
    return re_set_node(p, &s);
}

/* \Q...\E: as it stands. */
static struct re_node *read_verbatim(struct re_parser *p)
{
    struct parts out = {0};
    p->at += 2;
    while (p->at < p->text.len && !(peek(p, 0) == '\\' && peek(p, 1) == 'E')) {
        struct re_node *n = character(p, utf8_next(p->text, &p->at));
        VEC_PUSH(&out.v, n);
    }
    p->at += p->at < p->text.len ? 2 : 0;
    struct re_node *n = new_parent(p, RE_SEQUENCE, out.v.at, out.v.count);
    VEC_DEINIT(&out.v);
    return n;
}

static int parse_escaped(struct re_parser *p, struct re_node **ret)
{
    static const struct {
        char letter;
        enum re_assert what;
    } asserts[] = {{'A', RE_BEGIN_TEXT},
                   {'z', RE_END_TEXT},
                   {'b', RE_WORD_EDGE},
                   {'B', RE_NO_WORD_EDGE}};
    struct re_set s = {0};
    char c = peek(p, 1);
    uint32_t value = 0;
    for (size_t i = 0; i < ARRAY_LEN(asserts); i++) {
        if (asserts[i].letter == c) {
            p->at += 2;
            *ret = new_assert(p, asserts[i].what);
            return 0;
        }
    }
    if (c == 'Q') {
        *ret = read_verbatim(p);
        return 0;
    }
    if (re_set_add_perl(&s, c)) {
        p->at += 2;
        *ret = re_set_node(p, &s);
        return 0;
    }
    p->at++;
    int r = re_parse_escape(p, &value);
    if (r == 0) {
        *ret = character(p, value);
    }
    return r;
}

/* (?i) (?i: (?-s) (?: ; stands behind the ?. *ret_scoped: a : ended it. */
static int read_flags(struct re_parser *p, bool *ret_scoped)
{
    bool value = true;
    size_t start = p->at;
    for (;; p->at++) {
        switch (peek(p, 0)) {
        case 'i':
            p->flags.no_case = value;
            break;
        case 'm':
            p->flags.lines = value;
            break;
        case 's':
            p->flags.dot_all = value;
            break;
        case 'U':
            p->flags.swap_lazy = value;
            break;
        case '-':
            value = false;
            break;
        case ':':
        case ')':
            *ret_scoped = peek(p, 0) == ':';
            p->at++;
            return 0;
        case '=':
        case '!':
        case '<':
            return re_parser_fail(p, start,
                                  "look-around is not supported: it "
                                  "has no linear-time form");
        default:
            return re_parser_fail(p, start,
                                  "(? goes on with :, with P<name> "
                                  "or with flags of imsU");
        }
    }
}

/* (?P<name> and (?<name>; 1 if there was one. */
static int skip_group_name(struct re_parser *p)
{
    size_t skip = peek(p, 0) == 'P' && peek(p, 1) == '<' ? 2
                  : peek(p, 0) == '<' && peek(p, 1) != '=' && peek(p, 1) != '!'
                      ? 1
                      : 0;
    size_t start = p->at;
    if (skip == 0) {
        return 0;
    }
    p->at += skip;
    size_t first = p->at;
    while (p->at < p->text.len && peek(p, 0) != '>') {
        char c = peek(p, 0);
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
              (c >= '0' && c <= '9'))) {
            return re_parser_fail(p, p->at,
                                  "a group's name has letters, "
                                  "digits and _");
        }
        p->at++;
    }
    if (p->at >= p->text.len || p->at == first) {
        return re_parser_fail(p, start, "this group's name is not closed");
    }
    p->at++;
    return 1;
}

static int parse_group(struct re_parser *p, struct re_node **ret)
{
    struct re_flags outer = p->flags;
    struct re_node *inner = NULL;
    size_t start = p->at++;
    bool keep = true;
    if (peek(p, 0) == '?') {
        bool scoped = false;
        p->at++;
        int named = skip_group_name(p);
        keep = named == 1;
        int r = named == 0 ? read_flags(p, &scoped) : named;
        if (r < 0) {
            return r;
        }
        if (named == 0 && !scoped) {
            *ret = new_node(p, RE_EMPTY);
            return 0;
        }
    }
    uint32_t group = keep ? ++p->groups : 0;
    if (++p->depth > RE_DEPTH_MAX) {
        return re_parser_fail(p, start, "this is nested too deep");
    }
    int r = parse_choice(p, &inner);
    p->depth--;
    if (r < 0) {
        return r;
    }
    if (peek(p, 0) != ')' || p->at >= p->text.len) {
        return re_parser_fail(p, start, "( is not closed with )");
    }
    p->at++;
    p->flags = outer;
    *ret = inner;
    if (keep && group < RE_GROUPS) {
        *ret = new_parent(p, RE_GROUP, &inner, 1);
        (*ret)->group = group;
    }
    return 0;
}

static int parse_atom(struct re_parser *p, struct re_node **ret)
{
    switch (peek(p, 0)) {
    case '(':
        return parse_group(p, ret);
    case '[':
        return re_parse_class(p, ret);
    case '\\':
        return parse_escaped(p, ret);
    case '.':
        p->at++;
        *ret = dot(p);
        return 0;
    case '^':
        p->at++;
        *ret = new_assert(p, p->flags.lines ? RE_BEGIN_LINE : RE_BEGIN_TEXT);
        return 0;
    case '$':
        p->at++;
        *ret = new_assert(p, p->flags.lines ? RE_END_LINE : RE_END_TEXT);
        return 0;
    case '*':
    case '+':
    case '?':
        return re_parser_fail(p, p->at, "there is nothing to repeat here");
    default:
        *ret = character(p, utf8_next(p->text, &p->at));
        return 0;
    }
}

static bool read_count(struct re_parser *p, size_t *at, uint32_t *ret)
{
    size_t start = *at;
    uint32_t value = 0;
    while (*at < p->text.len && p->text.at[*at] >= '0' &&
           p->text.at[*at] <= '9' && value <= RE_REPEAT_MAX) {
        value = value * 10 + (uint32_t)(p->text.at[*at] - '0');
        (*at)++;
    }
    *ret = value;
    return *at > start;
}

/* {n} {n,} {n,m}; anything else in braces stands for itself. */
static bool read_braces(struct re_parser *p, uint32_t *ret_min,
                        uint32_t *ret_max)
{
    size_t at = p->at + 1;
    if (!read_count(p, &at, ret_min)) {
        return false;
    }
    *ret_max = *ret_min;
    if (at < p->text.len && p->text.at[at] == ',') {
        at++;
        if (!read_count(p, &at, ret_max)) {
            *ret_max = RE_UNLIMITED;
        }
    }
    if (at >= p->text.len || p->text.at[at] != '}') {
        return false;
    }
    p->at = at + 1;
    return true;
}

static bool read_repeat(struct re_parser *p, uint32_t *min, uint32_t *max)
{
    char c = peek(p, 0);
    *min = c == '+' ? 1 : 0;
    *max = c == '?' ? 1 : RE_UNLIMITED;
    if (c == '{') {
        return read_braces(p, min, max);
    }
    if (c != '*' && c != '+' && c != '?') {
        return false;
    }
    p->at++;
    return true;
}

static int parse_repeat(struct re_parser *p, struct re_node **ret)
{
    uint32_t min = 0;
    uint32_t max = 0;
    int r = parse_atom(p, ret);
    size_t start = p->at;
    if (r < 0 || !read_repeat(p, &min, &max)) {
        return r;
    }
    if (min > RE_REPEAT_MAX || (max != RE_UNLIMITED && max > RE_REPEAT_MAX)) {
        return re_parser_fail(p, start, "a count in {} is at most 1000");
    }
    if (max < min) {
        return re_parser_fail(p, start, "this range of counts goes backwards");
    }
    struct re_node *n = new_parent(p, RE_REPEAT, ret, 1);
    n->min = min;
    n->max = max;
    n->is_lazy = p->flags.swap_lazy;
    if (peek(p, 0) == '?') {
        n->is_lazy = !n->is_lazy;
        p->at++;
    }
    *ret = n;
    start = p->at;
    if (read_repeat(p, &min, &max)) {
        return re_parser_fail(p, start,
                              "a repetition cannot be repeated: use "
                              "brackets (?:...)");
    }
    return 0;
}

static int parse_sequence(struct re_parser *p, struct re_node **ret)
{
    struct parts out = {0};
    int r = 0;
    while (r == 0 && p->at < p->text.len && peek(p, 0) != '|' &&
           peek(p, 0) != ')') {
        struct re_node *n = NULL;
        r = parse_repeat(p, &n);
        VEC_PUSH(&out.v, n);
    }
    *ret = new_parent(p, RE_SEQUENCE, out.v.at, r < 0 ? 0 : out.v.count);
    VEC_DEINIT(&out.v);
    return r;
}

static int parse_choice(struct re_parser *p, struct re_node **ret)
{
    struct parts out = {0};
    int r = parse_sequence(p, ret);
    VEC_PUSH(&out.v, *ret);
    while (r == 0 && p->at < p->text.len && peek(p, 0) == '|') {
        p->at++;
        r = parse_sequence(p, ret);
        VEC_PUSH(&out.v, *ret);
    }
    if (r == 0 && out.v.count > 1) {
        *ret = new_parent(p, RE_CHOICE, out.v.at, out.v.count);
    }
    VEC_DEINIT(&out.v);
    return r;
}

int re_parse(struct re_parser *p, struct re_node **ret)
{
    if (!str_is_utf8(p->text)) {
        return re_parser_fail(p, 0, "the pattern is not UTF-8");
    }
    int r = parse_choice(p, ret);
    if (r == 0 && p->at < p->text.len) {
        return re_parser_fail(p, p->at, ") closes nothing");
    }
    return r;
}
