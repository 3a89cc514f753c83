/*
 * Between the parser, the compiler and the runner of regular expressions.
 * One thread while a pattern is compiled, any afterwards.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "expr/re.h"

/* Brackets inside brackets. */
#define RE_DEPTH_MAX 64
/* Largest n of {n}. */
#define RE_REPEAT_MAX 1000
#define RE_CLASS_MAX 512
#define RE_LAST_CHARACTER 0x10FFFFU
#define RE_UNLIMITED UINT32_MAX

struct re_range {
    uint32_t low;
    uint32_t high;
};

enum re_assert {
    RE_BEGIN_TEXT,
    RE_END_TEXT,
    RE_BEGIN_LINE,
    RE_END_LINE,
    RE_WORD_EDGE,
    RE_NO_WORD_EDGE,
};

enum re_kind {
    RE_EMPTY,
    RE_CHARACTER, /* low of range[0] */
    RE_CLASS,
    RE_ASSERT,
    RE_SEQUENCE,
    RE_CHOICE,
    RE_REPEAT, /* of parts[0] */
    RE_GROUP,  /* of parts[0], kept as number `group` */
};

struct re_node {
    enum re_kind kind;
    uint32_t character;
    const struct re_range *ranges; /* sorted, apart from each other */
    uint32_t range_count;
    enum re_assert assertion;
    struct re_node **parts;
    uint32_t part_count;
    uint32_t min;
    uint32_t max; /* RE_UNLIMITED */
    bool is_lazy;
    uint32_t group;
};

struct re_flags {
    bool no_case;   /* i */
    bool lines;     /* m: ^ and $ at lines, too */
    bool dot_all;   /* s: . takes newlines */
    bool swap_lazy; /* U */
};

struct re_parser {
    struct str text;
    size_t at;
    struct arena *arena;
    struct err *err;
    struct re_flags flags;
    uint32_t depth;
    uint32_t groups;
};

/* A set of characters that grows while it is read. */
struct re_set {
    struct re_range ranges[RE_CLASS_MAX];
    uint32_t count;
    bool is_full;
};

/* Parses the whole pattern. */
NODISCARD int re_parse(struct re_parser *p, struct re_node **ret);

/* Records a message with the column; -EBADMSG. */
int re_parser_fail(struct re_parser *p, size_t at, const char *message);

/* Adds a range, with the other case of its letters if no_case. */
void re_set_add(struct re_set *s, uint32_t low, uint32_t high, bool no_case);

/* Everything but what is in the set. */
void re_set_negate(struct re_set *s);

/* The set of \d \w \s, or of a POSIX name such as "alpha"; false if there is
 * no such. Capital letters give the rest. */
bool re_set_add_perl(struct re_set *s, char letter);
bool re_set_add_posix(struct re_set *s, struct str name);

/* A class node of the set: sorted and merged. */
struct re_node *re_set_node(struct re_parser *p, struct re_set *s);

/* The character of an escape behind the backslash, which moves on. */
NODISCARD int re_parse_escape(struct re_parser *p, uint32_t *ret);

/* A class in brackets; the parser stands on the [. */
NODISCARD int re_parse_class(struct re_parser *p, struct re_node **ret);

enum re_op {
    RE_OP_CHARACTER,
    RE_OP_CLASS,
    RE_OP_SPLIT, /* to x, or rather less gladly to y */
    RE_OP_JUMP,
    RE_OP_SAVE, /* slot x */
    RE_OP_ASSERT,
    RE_OP_MATCH,
};

struct re_instruction {
    enum re_op op;
    uint32_t x; /* character, target, slot, enum re_assert, range count */
    uint32_t y;
    const struct re_range *ranges;
};

struct re_program {
    struct re_instruction *code;
    uint32_t count;
    uint32_t groups;
};
