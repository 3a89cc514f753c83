/*
 * Answers, among them the error shape {"error", "code", "detail"}. Whoever
 * answers a call uses its own `out` buffer; see api_priv.h for whose turn it
 * is.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct call;
struct http_answer;

/* Each ends the caller's turn. */

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

/* 507: the store did not take a change. */
void answer_disk_full(struct call *c);

/* What a reader's result means; r < 0. */
void answer_read_error(struct call *c, int r);
