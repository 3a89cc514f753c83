/*
 * What is wrong with an expression, with its place, for a person: one
 * sentence, what to do, and a picture that points at it. Pure; any thread.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "base/strbuf.h"

struct cel_issue {
    uint32_t offset; /* byte in the expression */
    struct err err;  /* message, hint, and line and column */
};

#define CEL_ISSUE_INIT ((struct cel_issue){0})

/* Records the first issue at offset of text (later ones are not kept).
 * Returns -EBADMSG, or -E2BIG where a limit is what is wrong. */
int cel_issue_set(struct cel_issue *issue, struct str text, uint32_t offset,
                  const char *fmt, ...) PRINTF_LIKE(4, 5);
int cel_issue_limit(struct cel_issue *issue, struct str text, uint32_t offset,
                    const char *fmt, ...) PRINTF_LIKE(4, 5);

/* Line and column (in characters) of a byte, from 1. */
struct place cel_issue_place(struct str text, uint32_t offset);

/* Appends "1:7: message", the line with a caret under the place, and the
 * hint. What is not printable is escaped. */
void cel_issue_print(const struct cel_issue *issue, struct str text,
                     struct strbuf *out);
