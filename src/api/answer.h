/*
 * Answers: JSON pieces with commas in the right places, and the error shape
 * {"error", "code", "detail"}. Whoever answers a call uses its own `out`
 * buffer; see api_priv.h for whose turn it is.
 */
#pragma once

#include "base/err.h"
#include "base/id.h"
#include "base/strbuf.h"

struct call;
struct http_answer;

/* ---- pieces: "key":value, with a comma unless it is the first ------------ */

void put_open(struct strbuf *out, const char *key, char bracket);
void put_close(struct strbuf *out, char bracket);

/* An element of an array: only the comma. */
void put_element(struct strbuf *out);

void put_text(struct strbuf *out, const char *key, struct str s);
void put_text_c(struct strbuf *out, const char *key, const char *s);
void put_text_or_null(struct strbuf *out, const char *key, struct str s);
void put_u64(struct strbuf *out, const char *key, uint64_t n);
void put_i64(struct strbuf *out, const char *key, int64_t n);
void put_bool(struct strbuf *out, const char *key, bool b);
void put_null(struct strbuf *out, const char *key);
void put_raw(struct strbuf *out, const char *key, struct str json);

/* Text that may not be UTF-8: bytes that are not, as \xNN. */
void put_bytes(struct strbuf *out, const char *key, struct str s);

/* Milliseconds as seconds; null for 0. */
void put_seconds(struct strbuf *out, const char *key, uint64_t ms);

/* "key" in epoch seconds and "key_iso"; both null for 0. */
void put_instant(struct strbuf *out, const char *key, uint64_t ms);

/* "wf-…", null for the null id. */
void put_id(struct strbuf *out, const char *key, const char *prefix,
            struct id id);

/* 64 hexadecimal digits. */
void put_hash(struct strbuf *out, const char *key, const uint8_t hash[32]);

/* "next_cursor": the number as text; null for 0. */
void put_cursor(struct strbuf *out, uint64_t number);

/* {file, line, column, field, message, hint} as an element of an array. */
void put_problem(struct strbuf *out, struct str file, const struct err *e);

/* ---- whole answers: each ends the caller's turn -------------------------- */

/* What `out` holds, as JSON. A list over the server's limit is a 500. */
void answer_json(struct call *c, unsigned status);

/* What `out` holds, as this type (a literal). */
void answer_as(struct call *c, unsigned status, const char *type);

/* Any answer. Adds what belongs to its status, and counts it. */
void answer_with(struct call *c, struct http_answer *answer);

/* The error shape; detail is a JSON object's inside or "". */
void answer_error(struct call *c, unsigned status, const char *code,
                  const char *sentence, struct str detail);

/* The same from e: its message and hint are the sentence, its field and place
 * the detail. */
void answer_err(struct call *c, unsigned status, const char *code,
                const struct err *e);

/* 503 with Retry-After: queue_full, stopping, busy. */
void answer_busy(struct call *c, const char *code, const char *sentence);

/* What a reader's result means; r < 0. */
void answer_read_error(struct call *c, int r);
