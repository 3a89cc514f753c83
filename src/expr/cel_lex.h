/*
 * CEL text to tokens, one at a time. Literals come with their value, escapes
 * resolved into the arena. Pure; one thread.
 */
#pragma once

#include "base/arena.h"
#include "expr/cel_issue.h"
#include "expr/cel_value.h"

enum cel_token_kind {
    CEL_TOKEN_END,
    CEL_TOKEN_NAME,
    CEL_TOKEN_QUOTED_NAME, /* `content-type`, after a dot only */
    CEL_TOKEN_LITERAL,     /* value: int, uint, double, string, bytes */
    CEL_TOKEN_SIGN,        /* text: an operator or a bracket */
};

struct cel_token {
    enum cel_token_kind kind;
    uint32_t offset;
    struct str text; /* as it is written; a quoted name without its quotes */
    struct cel_value value;
    bool overflows; /* the int 9223372036854775808, right only behind a - */
};

struct cel_lex {
    struct str text;
    size_t at;
    struct arena *arena;
    struct cel_issue *issue;
};

/* The next token: 0, or negative with the issue set. */
NODISCARD int cel_lex_next(struct cel_lex *lx, struct cel_token *ret);
