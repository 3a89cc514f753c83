/*
 * Values of CEL as text: for string(), for string.format's %s, and as a
 * literal that reads back the same, for people. Pure; any thread.
 */
#pragma once

#include "base/strbuf.h"
#include "expr/cel_value.h"

/* "int", "timestamp": for messages. */
struct str cel_text_kind(struct cel_value v);

/* The shortest decimal that reads back the same, without an exponent where
 * the number is of a usual size; NaN, Infinity, -Infinity. */
void cel_text_double(double d, struct strbuf *out);

/* RFC 3339 in UTC with as many digits of a second as it has. */
void cel_text_timestamp(struct cel_value v, struct strbuf *out);

/* Seconds: "90s", "-1.5s". */
void cel_text_duration(int64_t ns, struct strbuf *out);

/* Appends the canonical text of an ip or a cidr. */
void cel_text_net(struct cel_value v, struct strbuf *out);

/* As %s writes it: strings bare, lists in [], maps in {} by key. */
void cel_text_plain(struct cel_value v, struct strbuf *out);

/* As an expression: strings quoted, 1u, timestamp("..."). */
void cel_text_literal(struct cel_value v, struct strbuf *out);

/* A string in double quotes with its escapes, as strings.quote gives it; bad
 * UTF-8 becomes U+FFFD. */
void cel_text_quoted(struct str s, struct strbuf *out);
