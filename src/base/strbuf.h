/*
 * struct strbuf: a growing string that refuses to pass its limit. Always
 * NUL-terminated. The error is sticky: append freely, check once at the end
 * with strbuf_error. Owned by whoever declared it. One thread at a time.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct strbuf {
    char *at;
    size_t len;
    size_t cap;
    size_t limit_bytes;
    bool full;
};

/* An empty buffer that never holds more than limit_bytes bytes. */
#define STRBUF_INIT(limit) ((struct strbuf){.limit_bytes = (limit)})

void strbuf_init(struct strbuf *b, size_t limit_bytes);
void strbuf_deinit(struct strbuf *b);
void strbuf_reset(struct strbuf *b);

/* Appends; past the limit nothing is added and the buffer is marked full. */
void strbuf_add(struct strbuf *b, struct str s);
void strbuf_addc(struct strbuf *b, const char *c);
void strbuf_addch(struct strbuf *b, char c);
void strbuf_addf(struct strbuf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void strbuf_addv(struct strbuf *b, const char *fmt, va_list args)
    PRINTF_LIKE(2, 0);

/* Appends s as the inside of a JSON string (without the quotes): RFC 8259
 * escapes, and U+2028/2029 and DEL escaped too. s must be valid UTF-8. */
void strbuf_add_json(struct strbuf *b, struct str s);

/* Appends "s" with the quotes, escaped as above. */
void strbuf_add_json_quoted(struct strbuf *b, struct str s);

/* Appends s for a person's terminal or log: control bytes, DEL, bidi and line
 * separators as \xNN or \u{NNNN}, bad UTF-8 as \xNN. */
void strbuf_add_visible(struct strbuf *b, struct str s);

/* 0, or -E2BIG if anything was refused since init or reset. */
NODISCARD int strbuf_error(const struct strbuf *b);

struct str strbuf_str(const struct strbuf *b);

/* Hands the NUL-terminated string out (never NULL); free with mem_free. The
 * buffer is empty afterwards. */
NODISCARD char *strbuf_take(struct strbuf *b);
