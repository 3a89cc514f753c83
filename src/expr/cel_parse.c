#include "expr/cel_parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/vec.h"
#include "expr/cel_parse_priv.h"

/* All the arguments, elements or entries that are read at once. */
struct nodes {
    VEC(struct cel_node *) v;
};

static int parse_expression(struct cel_parser *p, struct cel_node **ret);

int cel_parser_fail(struct cel_parser *p, uint32_t offset, const char *fmt, ...)
{
    char line[200];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    return cel_issue_set(p->issue, p->lex.text, offset, "%s", line);
}

struct cel_node *cel_node_new(struct cel_parser *p, enum cel_node_kind kind,
                              uint32_t offset)
{
    struct cel_node *n = ARENA_NEW(p->lex.arena, struct cel_node);
    n->kind = kind;
    n->offset = offset;
    n->begin = offset;
    return n;
}

int cel_node_done(struct cel_parser *p, struct cel_node *n)
{
    uint32_t height = 0;
    if (n->target != NULL) {
        height = n->target->height;
        n->begin = MIN(n->begin, n->target->begin);
    }
    for (uint32_t i = 0; i < n->arg_count; i++) {
        if (n->args[i] != NULL) {
            height = MAX(height, n->args[i]->height);
            n->begin = MIN(n->begin, n->args[i]->begin);
        }
    }
    n->height = height + 1;
    n->end = p->end;
    if (n->height > p->limits.height) {
        return cel_issue_limit(p->issue, p->lex.text, n->offset,
                               "this expression is too long a chain or too "
                               "deep: at most %u levels",
                               (unsigned)p->limits.height);
    }
    return 0;
}

static int advance(struct cel_parser *p)
{
    p->end = (uint32_t)p->lex.at;
    return cel_lex_next(&p->lex, &p->token);
}

static bool at_sign(const struct cel_parser *p, const char *sign)
{
    return p->token.kind == CEL_TOKEN_SIGN && str_eq_c(p->token.text, sign);
}

static bool at_name(const struct cel_parser *p, const char *name)
{
    return p->token.kind == CEL_TOKEN_NAME && str_eq_c(p->token.text, name);
}

/* Takes the sign if it is next: 1, 0 if it is not, negative on an error. */
static int accept(struct cel_parser *p, const char *sign)
{
    if (!at_sign(p, sign)) {
        return 0;
    }
    int r = advance(p);
    return r < 0 ? r : 1;
}

/* What stands where something else was expected. */
static int fail_here(struct cel_parser *p, const char *expected)
{
    if (p->token.kind == CEL_TOKEN_END) {
        return cel_parser_fail(p, p->token.offset,
                               "the expression ends here; expected %s",
                               expected);
    }
    return cel_parser_fail(
        p, p->token.offset, "expected %s, not %.*s", expected,
        STR_ARG(p->token.kind == CEL_TOKEN_LITERAL ? STR("a literal")
                                                   : p->token.text));
}

static int expect(struct cel_parser *p, const char *sign)
{
    char expected[16];
    int r = accept(p, sign);
    if (r == 0) {
        (void)snprintf(expected, sizeof(expected), "\"%s\"", sign);
        return fail_here(p, expected);
    }
    return r < 0 ? r : 0;
}

static int enter(struct cel_parser *p)
{
    if (++p->depth > p->limits.depth) {
        return cel_issue_limit(p->issue, p->lex.text, p->token.offset,
                               "this is nested too deep: at most %u levels",
                               (unsigned)p->limits.depth);
    }
    return 0;
}

static void set_args(struct cel_parser *p, struct cel_node *n,
                     struct cel_node **args, size_t count)
{
    n->args = ARENA_ARRAY(p->lex.arena, count, struct cel_node *);
    n->arg_count = (uint32_t)count;
    if (count != 0) {
        memcpy(n->args, args, count * sizeof(*args));
    }
}

/* An operator with its operands as a call. */
static int make_call(struct cel_parser *p, const char *name, uint32_t offset,
                     struct cel_node *const operands[2], struct cel_node **ret)
{
    struct cel_node *args[2] = {operands[0], operands[1]};
    struct cel_node *n = cel_node_new(p, CEL_NODE_CALL, offset);
    n->name = str_c(name);
    n->is_operator = true;
    set_args(p, n, args, args[1] != NULL ? 2 : 1);
    *ret = n;
    return cel_node_done(p, n);
}

/* Reads expressions up to the closing sign; a comma may end the list. With
 * is_map they come as key: value. */
static int read_nodes(struct cel_parser *p, const char *close, bool is_map,
                      bool may_be_optional, struct nodes *out)
{
    int r = accept(p, close);
    while (r == 0) {
        struct cel_node *n = NULL;
        struct cel_node *value = NULL;
        int optional = may_be_optional ? accept(p, "?") : 0;
        r = optional < 0 ? optional : parse_expression(p, &n);
        if (r == 0 && is_map) {
            r = expect(p, ":");
            r = r < 0 ? r : parse_expression(p, &value);
        }
        if (r < 0) {
            return r;
        }
        n->is_maybe = optional == 1;
        VEC_PUSH(&out->v, n);
        if (value != NULL) {
            VEC_PUSH(&out->v, value);
        }
        int comma = accept(p, ",");
        if (comma == 1 && !may_be_optional && at_sign(p, close)) {
            return fail_here(p, "an argument");
        }
        r = comma < 0 ? comma : accept(p, close);
        if (r == 0 && comma == 0) {
            return expect(p, close);
        }
    }
    return r < 0 ? r : 0;
}

static int parse_nodes(struct cel_parser *p, const char *close,
                       struct cel_node *owner)
{
    struct nodes out = {0};
    bool is_map = owner->kind == CEL_NODE_MAP;
    int r = read_nodes(p, close, is_map, owner->kind != CEL_NODE_CALL, &out);
    if (r == 0) {
        set_args(p, owner, out.v.at, out.v.count);
    }
    VEC_DEINIT(&out.v);
    return r;
}

static bool is_reserved(struct str name)
{
    static const char *const words[] = {
        "as",        "break",  "const",  "continue", "else",  "for",
        "function",  "if",     "import", "let",      "loop",  "package",
        "namespace", "return", "var",    "void",     "while", "in",
        "null",      "true",   "false"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_eq_c(name, words[i])) {
            return true;
        }
    }
    return false;
}

static int parse_literal_name(struct cel_parser *p, struct cel_node **ret)
{
    struct cel_node *n = cel_node_new(p, CEL_NODE_LITERAL, p->token.offset);
    n->value = at_name(p, "null") ? cel_null() : cel_bool(at_name(p, "true"));
    *ret = n;
    int r = advance(p);
    return r < 0 ? r : cel_node_done(p, n);
}

/* What a macro becomes is written as the call was. */
static int expand(struct cel_parser *p, struct cel_node **call)
{
    const struct cel_node *written = *call;
    uint32_t begin = written->begin;
    int r = cel_macro_expand(p, call);
    (*call)->begin = begin;
    (*call)->end = p->end;
    return r;
}

/* A name, or a call of a function. */
static int parse_name(struct cel_parser *p, bool is_absolute,
                      struct cel_node **ret)
{
    struct str name = p->token.text;
    uint32_t offset = p->token.offset;
    if (p->token.kind != CEL_TOKEN_NAME) {
        return fail_here(p, "a name");
    }
    if (is_reserved(name)) {
        return cel_parser_fail(p, offset, "%.*s is a reserved word",
                               STR_ARG(name));
    }
    int r = advance(p);
    int call = r < 0 ? r : accept(p, "(");
    if (call < 0) {
        return call;
    }
    struct cel_node *n =
        cel_node_new(p, call == 1 ? CEL_NODE_CALL : CEL_NODE_NAME, offset);
    n->name = name;
    n->is_absolute = is_absolute;
    *ret = n;
    if (call == 1) {
        r = parse_nodes(p, ")", n);
        r = r < 0 ? r : cel_node_done(p, n);
        return r < 0 ? r : expand(p, ret);
    }
    return cel_node_done(p, n);
}

static int parse_collection(struct cel_parser *p, struct cel_node **ret)
{
    bool is_list = at_sign(p, "[");
    struct cel_node *n = cel_node_new(p, is_list ? CEL_NODE_LIST : CEL_NODE_MAP,
                                      p->token.offset);
    int r = advance(p);
    r = r < 0 ? r : parse_nodes(p, is_list ? "]" : "}", n);
    *ret = n;
    return r < 0 ? r : cel_node_done(p, n);
}

static int parse_primary(struct cel_parser *p, struct cel_node **ret)
{
    if (p->token.kind == CEL_TOKEN_LITERAL) {
        struct cel_node *n = cel_node_new(p, CEL_NODE_LITERAL, p->token.offset);
        n->value = p->token.value;
        if (p->token.overflows) {
            return cel_parser_fail(p, n->offset,
                                   "this number is too large for an int");
        }
        *ret = n;
        int r = advance(p);
        return r < 0 ? r : cel_node_done(p, n);
    }
    if (at_sign(p, "(")) {
        uint32_t begin = p->token.offset;
        int r = advance(p);
        r = r < 0 ? r : parse_expression(p, ret);
        r = r < 0 ? r : expect(p, ")");
        if (r == 0) {
            (*ret)->begin = begin;
            (*ret)->end = p->end;
        }
        return r;
    }
    if (at_sign(p, "[") || at_sign(p, "{")) {
        return parse_collection(p, ret);
    }
    if (at_name(p, "true") || at_name(p, "false") || at_name(p, "null")) {
        return parse_literal_name(p, ret);
    }
    int absolute = accept(p, ".");
    if (absolute < 0) {
        return absolute;
    }
    if (absolute == 1 || p->token.kind == CEL_TOKEN_NAME) {
        return parse_name(p, absolute == 1, ret);
    }
    return fail_here(p, "a value");
}

/* .name, .?name, .name(args) behind a value; the dot is taken. */
static int parse_member(struct cel_parser *p, struct cel_node **node)
{
    uint32_t offset = p->token.offset;
    int optional = accept(p, "?");
    if (optional < 0) {
        return optional;
    }
    bool is_quoted = p->token.kind == CEL_TOKEN_QUOTED_NAME;
    struct str name = p->token.text;
    if (!is_quoted && (p->token.kind != CEL_TOKEN_NAME ||
                       str_eq_c(name, "in") || str_eq_c(name, "true") ||
                       str_eq_c(name, "false") || str_eq_c(name, "null"))) {
        return fail_here(p, "the name of a field or function");
    }
    int r = advance(p);
    int call = r < 0 || is_quoted || optional == 1 ? 0 : accept(p, "(");
    if (r < 0 || call < 0) {
        return r < 0 ? r : call;
    }
    struct cel_node *n =
        cel_node_new(p, call == 1 ? CEL_NODE_CALL : CEL_NODE_SELECT, offset);
    n->target = *node;
    n->name = name;
    n->is_optional = optional == 1;
    *node = n;
    if (call == 1) {
        r = parse_nodes(p, ")", n);
        r = r < 0 ? r : cel_node_done(p, n);
        return r < 0 ? r : expand(p, node);
    }
    return cel_node_done(p, n);
}

/* [index] or [?index] behind a value; the bracket is taken. */
static int parse_index(struct cel_parser *p, uint32_t offset,
                       struct cel_node **node)
{
    struct cel_node *index = NULL;
    int optional = accept(p, "?");
    int r = optional < 0 ? optional : parse_expression(p, &index);
    r = r < 0 ? r : expect(p, "]");
    if (r < 0) {
        return r;
    }
    struct cel_node *const operands[2] = {*node, index};
    return make_call(p, optional == 1 ? "_[?_]" : "_[_]", offset, operands,
                     node);
}

static int parse_postfix(struct cel_parser *p, struct cel_node **ret)
{
    int r = parse_primary(p, ret);
    while (r == 0) {
        uint32_t offset = p->token.offset;
        if (at_sign(p, ".")) {
            r = advance(p);
            r = r < 0 ? r : parse_member(p, ret);
        } else if (at_sign(p, "[")) {
            r = advance(p);
            r = r < 0 ? r : parse_index(p, offset, ret);
        } else if (at_sign(p, "{")) {
            return cel_parser_fail(p, offset,
                                   "messages cannot be made here: there are "
                                   "maps, {\"key\": value}");
        } else {
            return 0;
        }
    }
    return r;
}

/* -9223372036854775808 is a number that has no positive. */
static bool fold_minus(struct cel_parser *p)
{
    struct cel_token *t = &p->token;
    if (t->kind != CEL_TOKEN_LITERAL) {
        return false;
    }
    if (t->value.kind == CEL_INT) {
        t->value.u = 0 - t->value.u;
        t->overflows = false;
        return true;
    }
    if (t->value.kind == CEL_DOUBLE) {
        t->value.d = -t->value.d;
        return true;
    }
    return false;
}

/* A run of - or of !: two of a kind cancel each other. */
static int parse_unary(struct cel_parser *p, struct cel_node **ret)
{
    uint32_t offset = p->token.offset;
    const char *sign = at_sign(p, "-") ? "-" : at_sign(p, "!") ? "!" : NULL;
    unsigned count = 0;
    int r = 0;
    while (r == 0 && sign != NULL && at_sign(p, sign)) {
        r = advance(p);
        count++;
    }
    if (r == 0 && count != 0 && sign[0] == '-' && fold_minus(p)) {
        count--;
    }
    if (r == 0 && sign != NULL && (at_sign(p, "-") || at_sign(p, "!"))) {
        r = enter(p);
        r = r < 0 ? r : parse_unary(p, ret);
        p->depth--;
    } else if (r == 0) {
        r = parse_postfix(p, ret);
    }
    if (r < 0) {
        return r;
    }
    if (count % 2 == 0) {
        (*ret)->begin = MIN((*ret)->begin, offset);
        return 0;
    }
    struct cel_node *const operands[2] = {*ret, NULL};
    return make_call(p, sign[0] == '-' ? "-_" : "!_", offset, operands, ret);
}

static const struct {
    const char *sign;
    const char *name;
    int binds;
} binaries[] = {
    {"<", "_<_", 1},   {"<=", "_<=_", 1}, {">", "_>_", 1},  {">=", "_>=_", 1},
    {"==", "_==_", 1}, {"!=", "_!=_", 1}, {"in", "@in", 1}, {"+", "_+_", 2},
    {"-", "_-_", 2},   {"*", "_*_", 3},   {"/", "_/_", 3},  {"%", "_%_", 3},
};

static int binary_here(const struct cel_parser *p)
{
    if (p->token.kind != CEL_TOKEN_SIGN && !at_name(p, "in")) {
        return -1;
    }
    for (size_t i = 0; i < ARRAY_LEN(binaries); i++) {
        if (str_eq_c(p->token.text, binaries[i].sign)) {
            return (int)i;
        }
    }
    return -1;
}

/* Operators that bind at least this tight, from the left. */
static int parse_binary(struct cel_parser *p, int least, struct cel_node **ret)
{
    int r = parse_unary(p, ret);
    while (r == 0) {
        int which = binary_here(p);
        uint32_t offset = p->token.offset;
        if (which < 0 || binaries[which].binds < least) {
            return 0;
        }
        struct cel_node *right = NULL;
        r = advance(p);
        r = r < 0 ? r : parse_binary(p, binaries[which].binds + 1, &right);
        if (r == 0) {
            struct cel_node *const operands[2] = {*ret, right};
            r = make_call(p, binaries[which].name, offset, operands, ret);
        }
    }
    return r;
}

static int parse_and(struct cel_parser *p, struct cel_node **ret)
{
    return parse_binary(p, 1, ret);
}

typedef int parse_fn(struct cel_parser *p, struct cel_node **ret);

/* A chain of && or of ||: one node for all, so that it is flat. */
static int parse_chain(struct cel_parser *p, enum cel_node_kind kind,
                       parse_fn *parse, struct cel_node **ret)
{
    const char *sign = kind == CEL_NODE_AND ? "&&" : "||";
    struct nodes out = {0};
    uint32_t offset = p->token.offset;
    int more = 1;
    int r = 0;
    while (r == 0 && more == 1) {
        r = parse(p, ret);
        VEC_PUSH(&out.v, *ret);
        offset = out.v.count == 1 ? p->token.offset : offset;
        more = r < 0 ? r : accept(p, sign);
        r = more < 0 ? more : r;
    }
    if (r == 0 && out.v.count > 1) {
        struct cel_node *n = cel_node_new(p, kind, offset);
        n->name = str_c(sign);
        set_args(p, n, out.v.at, out.v.count);
        r = cel_node_done(p, n);
        *ret = n;
    }
    VEC_DEINIT(&out.v);
    return r;
}

static int parse_conjunction(struct cel_parser *p, struct cel_node **ret)
{
    return parse_chain(p, CEL_NODE_AND, parse_and, ret);
}

static int parse_disjunction(struct cel_parser *p, struct cel_node **ret)
{
    return parse_chain(p, CEL_NODE_OR, parse_conjunction, ret);
}

static int parse_choice(struct cel_parser *p, struct cel_node *condition,
                        uint32_t offset, struct cel_node **ret)
{
    struct cel_node *args[3] = {condition};
    int r = parse_disjunction(p, &args[1]);
    r = r < 0 ? r : expect(p, ":");
    r = r < 0 ? r : parse_expression(p, &args[2]);
    if (r < 0) {
        return r;
    }
    struct cel_node *n = cel_node_new(p, CEL_NODE_CHOICE, offset);
    n->name = STR("?:");
    set_args(p, n, args, 3);
    *ret = n;
    return cel_node_done(p, n);
}

static int parse_expression(struct cel_parser *p, struct cel_node **ret)
{
    int r = enter(p);
    r = r < 0 ? r : parse_disjunction(p, ret);
    uint32_t offset = p->token.offset;
    int choice = r < 0 ? r : accept(p, "?");
    if (choice == 1) {
        choice = parse_choice(p, *ret, offset, ret);
    }
    p->depth--;
    return choice < 0 ? choice : 0;
}

int cel_parse(struct str text, struct cel_limits limits, struct arena *a,
              struct cel_node **ret, struct cel_issue *issue)
{
    struct cel_parser p = {
        .lex = {.text = text, .arena = a, .issue = issue},
        .limits = limits,
        .issue = issue,
    };
    if (text.len > limits.bytes) {
        return cel_issue_limit(issue, text, 0,
                               "this expression is too long: %zu bytes, at "
                               "most %u",
                               text.len, (unsigned)limits.bytes);
    }
    if (!str_is_utf8(text)) {
        return cel_issue_set(issue, text, 0, "the expression is not UTF-8");
    }
    int r = advance(&p);
    if (r == 0 && p.token.kind == CEL_TOKEN_END) {
        return cel_issue_set(issue, text, 0, "the expression is empty");
    }
    r = r < 0 ? r : parse_expression(&p, ret);
    if (r == 0 && p.token.kind != CEL_TOKEN_END) {
        return fail_here(&p, "an operator or the end");
    }
    return r;
}
