/*
 * Takes secrets out of what a step writes, before anything else sees it: each
 * becomes "***", also when it comes in pieces. Found are the values as they
 * are and, from REDACT_ENCODED_MIN_BYTES on, in base64 (both alphabets, also
 * inside a longer text), hexadecimal, percent encoding, JSON and shell quoting.
 * What could be the beginning of a secret is held until it is known. A secret
 * that is split, reversed or otherwise changed by a program is not found: who
 * writes a runbook can always show what it is given. The executor's thread
 * only; a redactor without secrets passes everything through.
 */
#pragma once

#include "base/strbuf.h"
#include "base/vec.h"
#include "model/runbook_load.h"

/* Shorter values have no encoded form that is theirs alone. */
#define REDACT_ENCODED_MIN_BYTES 6

#define REDACT_MARK "***"

/* A stream never holds more: six bytes for each of the longest value. */
#define REDACT_HELD_MAX_BYTES ((size_t)RUNBOOK_PARAM_VALUE_MAX_BYTES * 6)

struct redactor {
    VEC(struct strbuf) patterns; /* the longest first */
    bool begins[256];            /* a pattern begins with this byte */
};

/* What one stream holds back. */
struct redact_stream {
    struct strbuf held;
};

/* No secrets yet. */
void redactor_init(struct redactor *r);

/* Wipes and frees it. */
void redactor_deinit(struct redactor *r);

/* Before the first output. An empty value is none. */
void redactor_add(struct redactor *r, struct str secret);

void redact_stream_init(struct redact_stream *s);
void redact_stream_deinit(struct redact_stream *s);

/* Appends to *out what of the stream's held bytes and the new ones is known:
 * all of it when `last`. */
void redact(const struct redactor *r, struct redact_stream *s, struct str data,
            bool last, struct strbuf *out);

/* The same with a text that is all there. */
void redact_text(const struct redactor *r, struct str text, struct strbuf *out);
