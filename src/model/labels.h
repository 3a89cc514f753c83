/*
 * Label sets: name=value pairs sorted by name (byte order), each name once.
 * Pure; any thread; the strings are borrowed from whatever was decoded.
 */
#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/strbuf.h"

struct label {
    struct str name;
    struct str value;
};

struct labels {
    struct label *at; /* sorted by name */
    uint32_t count;
};

/* The value of a label; the empty string when it is absent. */
struct str labels_get(const struct labels *l, struct str name);

/* Absent and empty differ here: NULL when absent. */
const struct label *labels_find(const struct labels *l, struct str name);

/* Sorts the pairs by name; -EEXIST if a name stands twice. */
NODISCARD int labels_sort(struct labels *l);

/* The compact form kept in the store: name NUL value NUL, repeated. */
void labels_encode(const struct labels *l, struct strbuf *out);

/* Reads the compact form without copying the text: the result borrows from
 * blob, its array lives in the arena. 0 or -EBADMSG. */
NODISCARD int labels_decode(struct str blob, struct arena *a,
                            struct labels *ret);

/* Prometheus' fingerprint of a label set (FNV-1a over name 0xFF value 0xFF in
 * name order; labels with an empty value must be removed before), as 16 lower
 * case hexadecimal digits and a NUL. */
void labels_fingerprint(const struct labels *l, char out[17]);
