/*
 * struct err: an error that a person will read, with the place it is about.
 * Fixed size, so reporting an error never allocates. Functions return
 * negative errno; those whose failure is shown to a user also fill one of
 * these (last parameter, `reterr`, may not be NULL). Control bytes of what is
 * quoted in a message become blanks, bytes that are not UTF-8 question marks.
 *
 * What we mean by the codes: -EINVAL bad input, -EBADMSG malformed syntax,
 * -E2BIG a limit, -ERANGE a number out of range, -ENOENT not found, -EEXIST
 * already there, -ESTALE superseded (fenced, changed since), -EAGAIN queue
 * full, -ENOSPC disk full, -EIO the store failed, -EPERM not allowed,
 * -ECANCELED shutting down.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* Where in a text: 1-based; 0 means unknown. */
struct place {
    uint32_t line;
    uint32_t column;
};

struct err {
    int errnum;        /* negative errno */
    struct place at;   /* in the text that was read, if any */
    char field[128];   /* dotted path of the field, "" if none */
    char message[384]; /* one sentence, no newline, no trailing full stop */
    char hint[192];    /* what to do, "" if there is nothing to add */
};

#define ERR_INIT ((struct err){0})

/* Fills message and code; keeps place, field and hint. Returns errnum. */
int err_set(struct err *e, int errnum, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts "what: " in front of the message. Returns e->errnum. */
int err_wrap(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

void err_field(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
void err_hint(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
