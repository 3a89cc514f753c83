#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "expr/re_priv.h"
#include "expr/utf8.h"

/* Letters in runs whose other case is a fixed distance away. */
static const struct {
    uint32_t low;
    uint32_t high;
    int32_t distance;
} cases[] = {
    {'A', 'Z', 32},      {'a', 'z', -32},     {0xC0, 0xD6, 32},
    {0xD8, 0xDE, 32},    {0xE0, 0xF6, -32},   {0xF8, 0xFE, -32},
    {0x391, 0x3A1, 32},  {0x3A3, 0x3AB, 32},  {0x3B1, 0x3C1, -32},
    {0x3C3, 0x3CB, -32}, {0x400, 0x40F, 80},  {0x410, 0x42F, 32},
    {0x430, 0x44F, -32}, {0x450, 0x45F, -80},
};

static void add(struct re_set *s, uint32_t low, uint32_t high)
{
    if (low > high) {
        return;
    }
    if (s->count == RE_CLASS_MAX) {
        s->is_full = true;
        return;
    }
    s->ranges[s->count++] = (struct re_range){low, high};
}

void re_set_add(struct re_set *s, uint32_t low, uint32_t high, bool no_case)
{
    add(s, low, high);
    for (size_t i = 0; i < ARRAY_LEN(cases) && no_case; i++) {
        uint32_t from = MAX(low, cases[i].low);
        uint32_t to = MIN(high, cases[i].high);
        if (from <= to) {
            add(s, (uint32_t)((int32_t)from + cases[i].distance),
                (uint32_t)((int32_t)to + cases[i].distance));
        }
    }
}

static int by_low(const void *a, const void *b)
{
    const struct re_range *x = a;
    const struct re_range *y = b;
    return x->low < y->low ? -1 : x->low > y->low ? 1 : 0;
}

static void merge(struct re_set *s)
{
    uint32_t kept = 0;
    qsort(s->ranges, s->count, sizeof(s->ranges[0]), by_low);
    for (uint32_t i = 1; i < s->count; i++) {
        if (s->ranges[i].low <= s->ranges[kept].high + 1) {
            s->ranges[kept].high = MAX(s->ranges[kept].high, s->ranges[i].high);
        } else {
            s->ranges[++kept] = s->ranges[i];
        }
    }
    s->count = s->count == 0 ? 0 : kept + 1;
}

void re_set_negate(struct re_set *s)
{
    struct re_range rest[RE_CLASS_MAX + 1];
    uint32_t count = 0;
    uint32_t next = 0;
    merge(s);
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->ranges[i].low > next) {
            rest[count++] = (struct re_range){next, s->ranges[i].low - 1};
        }
        next = s->ranges[i].high + 1;
    }
    if (next <= RE_LAST_CHARACTER) {
        rest[count++] = (struct re_range){next, RE_LAST_CHARACTER};
    }
    s->is_full = s->is_full || count > RE_CLASS_MAX;
    s->count = MIN(count, (uint32_t)RE_CLASS_MAX);
    memcpy(s->ranges, rest, s->count * sizeof(rest[0]));
}

/* Ranges as text: pairs of characters. */
static void add_pairs(struct re_set *s, const char *pairs)
{
    for (; pairs[0] != '\0'; pairs += 2) {
        add(s, (unsigned char)pairs[0], (unsigned char)pairs[1]);
    }
}

bool re_set_add_perl(struct re_set *s, char letter)
{
    const char *pairs = letter == 'd' || letter == 'D'   ? "09"
                        : letter == 'w' || letter == 'W' ? "09AZ__az"
                        : letter == 's' || letter == 'S' ? "\t\n\f\r  "
                                                         : NULL;
    struct re_set rest = {0};
    if (pairs == NULL) {
        return false;
    }
    if (letter >= 'a') {
        add_pairs(s, pairs);
        return true;
    }
    add_pairs(&rest, pairs);
    re_set_negate(&rest);
    for (uint32_t i = 0; i < rest.count; i++) {
        add(s, rest.ranges[i].low, rest.ranges[i].high);
    }
    return true;
}

bool re_set_add_posix(struct re_set *s, struct str name)
{
    static const struct {
        const char *name;
        const char *pairs;
    } known[] = {
        {"alnum", "09AZaz"},   {"alpha", "AZaz"},
        {"blank", "\t\t  "},   {"cntrl", "\x01\x1F\x7F\x7F"},
        {"digit", "09"},       {"graph", "!~"},
        {"lower", "az"},       {"print", " ~"},
        {"punct", "!/:@[`{~"}, {"space", "\t\r  "},
        {"upper", "AZ"},       {"word", "09AZ__az"},
        {"xdigit", "09AFaf"},  {"ascii", "\x01\x7F"},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (str_eq_c(name, known[i].name)) {
            add_pairs(s, known[i].pairs);
            return true;
        }
    }
    return false;
}

struct re_node *re_set_node(struct re_parser *p, struct re_set *s)
{
    struct re_node *n = ARENA_NEW(p->arena, struct re_node);
    merge(s);
    struct re_range *ranges = ARENA_ARRAY(p->arena, s->count, struct re_range);
    memcpy(ranges, s->ranges, s->count * sizeof(*ranges));
    n->kind = RE_CLASS;
    n->ranges = ranges;
    n->range_count = s->count;
    return n;
}

static char peek(const struct re_parser *p, size_t ahead)
{
    return p->at + ahead < p->text.len ? p->text.at[p->at + ahead] : '\0';
}

/* [:alpha:] and [:^alpha:]; 1 if there was one. */
static int read_posix(struct re_parser *p, struct re_set *s)
{
    size_t start = p->at + 2;
    size_t end = start;
    bool negated = peek(p, 2) == '^';
    struct re_set named = {0};
    while (end < p->text.len && p->text.at[end] != ':' &&
           p->text.at[end] != ']') {
        end++;
    }
    if (peek(p, end - p->at) != ':' || peek(p, end - p->at + 1) != ']') {
        return 0;
    }
    struct str name = str_slice(p->text, start + (negated ? 1 : 0), end);
    if (!re_set_add_posix(&named, name)) {
        return re_parser_fail(p, p->at, "there is no class of this name");
    }
    if (negated) {
        re_set_negate(&named);
    }
    for (uint32_t i = 0; i < named.count; i++) {
        re_set_add(s, named.ranges[i].low, named.ranges[i].high,
                   p->flags.no_case);
    }
    p->at = end + 2;
    return 1;
}

/* One character of a class, escaped or not. */
static int read_member(struct re_parser *p, uint32_t *ret)
{
    if (p->at >= p->text.len) {
        return re_parser_fail(p, p->at, "[ is not closed with ]");
    }
    if (peek(p, 0) == '\\') {
        p->at++;
        return re_parse_escape(p, ret);
    }
    *ret = utf8_next(p->text, &p->at);
    return 0;
}

/* a, a-z, \d or [:alpha:] inside of brackets. */
static int read_part(struct re_parser *p, struct re_set *s)
{
    uint32_t low = 0;
    uint32_t high = 0;
    size_t start = p->at;
    if (peek(p, 0) == '[' && peek(p, 1) == ':') {
        int r = read_posix(p, s);
        if (r != 0) {
            return r < 0 ? r : 0;
        }
    }
    if (peek(p, 0) == '\\' && re_set_add_perl(s, peek(p, 1))) {
        p->at += 2;
        return 0;
    }
    int r = read_member(p, &low);
    high = low;
    if (r == 0 && peek(p, 0) == '-' && peek(p, 1) != ']' &&
        p->at + 1 < p->text.len) {
        p->at++;
        r = read_member(p, &high);
    }
    if (r == 0 && high < low) {
        return re_parser_fail(p, start, "this range goes backwards");
    }
    if (r == 0) {
        re_set_add(s, low, high, p->flags.no_case);
    }
    return r;
}

int re_parse_class(struct re_parser *p, struct re_node **ret)
{
    struct re_set s = {0};
    size_t start = p->at++;
    bool negated = peek(p, 0) == '^';
    p->at += negated ? 1 : 0;
    bool first = true;
    while (first || peek(p, 0) != ']') {
        if (p->at >= p->text.len) {
            return re_parser_fail(p, start, "[ is not closed with ]");
        }
        int r = read_part(p, &s);
        if (r < 0) {
            return r;
        }
        first = false;
    }
    p->at++;
    if (negated) {
        re_set_negate(&s);
    }
    if (s.is_full) {
        return re_parser_fail(p, start, "this class has too many ranges");
    }
    *ret = re_set_node(p, &s);
    return 0;
}
