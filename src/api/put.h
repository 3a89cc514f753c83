/*
 * Pieces of JSON text with commas in the right places: "key":value, preceded
 * by a comma unless it is the first of its object or array. In an array the
 * key is NULL. Pure.
 */
#pragma once

#include "base/err.h"
#include "base/id.h"
#include "base/strbuf.h"

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

/* Whole numbers without a point, others with at most nine digits behind it;
 * null for what is no number. */
void put_number(struct strbuf *out, const char *key, double value);

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

/* The same without a key, and without a comma. */
void put_hash_value(struct strbuf *out, const uint8_t hash[32]);

/* "next_cursor": the number as text; null for 0. */
void put_cursor(struct strbuf *out, uint64_t number);

/* "line" and "column" of an error; null when unknown. */
void put_place(struct strbuf *out, const struct err *e);

/* {file, line, column, field, message, hint} as an element of an array. */
void put_problem(struct strbuf *out, struct str file, const struct err *e);
