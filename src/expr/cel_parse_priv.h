/*
 * Between the parser and the macros. One thread.
 */
#pragma once

#include "expr/cel_lex.h"
#include "expr/cel_parse.h"

struct cel_parser {
    struct cel_lex lex;
    struct cel_token token; /* the next one, not taken yet */
    uint32_t end;           /* of the last one that was taken */
    struct cel_limits limits;
    uint32_t depth;
    struct cel_issue *issue;
};

/* A new node; its height is set by cel_node_done. */
struct cel_node *cel_node_new(struct cel_parser *p, enum cel_node_kind kind,
                              uint32_t offset);

/* Sets the height and the bytes from the children's and from what has been
 * read; -E2BIG over the limit. */
NODISCARD int cel_node_done(struct cel_parser *p, struct cel_node *n);

/* Turns a call into what it means if it is a macro's: 0 with *call replaced
 * or not, negative with the issue set. */
NODISCARD int cel_macro_expand(struct cel_parser *p, struct cel_node **call);

/* Records a message at the offset; -EBADMSG. */
int cel_parser_fail(struct cel_parser *p, uint32_t offset, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
