/*
 * YAML 1.2 read strictly into an immutable tree that knows the line and
 * column of every node. One document of plain data: anchors, aliases, tags,
 * merge keys, directives, several documents, duplicate keys and keys that are
 * not scalars are errors, so what a reader of the file sees is what it means.
 * Limits are met while parsing, before anything is built.
 *
 * A document owns its nodes and their text (the text that was parsed need not
 * be kept); nodes and slices live until yaml_doc_free. Pure. A document may
 * be read by any thread; nothing changes it after yaml_parse.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct yaml_doc;
struct yaml_node;

struct yaml_limits {
    size_t bytes;
    uint32_t depth; /* of nested sequences and mappings */
    uint32_t nodes; /* scalars (keys too), sequences and mappings */
};

#define YAML_LIMITS_DEFAULT                                                    \
    ((struct yaml_limits){.bytes = 1024UL * 1024, .depth = 32, .nodes = 10000})

enum yaml_kind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };

/* Parses one document; limits NULL means the default ones. Returns 0, or
 * -EBADMSG (not YAML), -EINVAL (YAML that we refuse) or -E2BIG (a limit) with
 * the place in reterr. */
NODISCARD int yaml_parse(struct str text, const struct yaml_limits *limits,
                         struct yaml_doc **ret, struct err *reterr);
void yaml_doc_free(struct yaml_doc *doc);
void yaml_doc_freep(struct yaml_doc **doc); /* for CLEANUP */

/* Frees it after overwriting its texts: a document that may hold secrets. */
void yaml_doc_wipe(struct yaml_doc *doc);

/* The top node; NULL when the text holds nothing but blanks and comments. */
const struct yaml_node *yaml_root(const struct yaml_doc *doc);

enum yaml_kind yaml_kind(const struct yaml_node *n);

/* "a text", "a list", "a mapping", "nothing", "a number" or "true or false":
 * what the node looks like, for messages ("expected a list, got a text"). */
const char *yaml_kind_text(const struct yaml_node *n);

/* Where the node starts: line and column, 1-based, columns in characters. For
 * a block scalar that is the first line of its text; for an empty value, its
 * key. */
struct place yaml_place(const struct yaml_node *n);

/* Where byte `offset` of a scalar's text stands in the source that was parsed,
 * through quotes, escapes, folding and indentation: for messages about what
 * is inside. The node's own place where that cannot be followed. */
struct place yaml_where(const struct yaml_node *n, struct str source,
                        size_t offset);

/* Text of a scalar after quotes and folding, valid UTF-8 without NUL, also
 * NUL-terminated. STR_NULL for a sequence or mapping. */
struct str yaml_text(const struct yaml_node *n);

/* True for an unquoted scalar, whose text may mean null, a boolean or a
 * number; false for quoted and block scalars, which are always text. */
bool yaml_is_plain(const struct yaml_node *n);

/* True for a plain scalar that is empty, ~, null, Null or NULL. */
bool yaml_is_null(const struct yaml_node *n);

/* Elements of a sequence or pairs of a mapping; 0 for a scalar. */
size_t yaml_count(const struct yaml_node *n);

/* Element i of a sequence; i < yaml_count(n). */
const struct yaml_node *yaml_item(const struct yaml_node *n, size_t i);

/* Key (always a scalar, unique) and value of pair i of a mapping, in the
 * order of the text; i < yaml_count(n). */
const struct yaml_node *yaml_key(const struct yaml_node *n, size_t i);
const struct yaml_node *yaml_value(const struct yaml_node *n, size_t i);

/* The value of a key; NULL when it is absent or n is no mapping. */
const struct yaml_node *yaml_get(const struct yaml_node *n, struct str key);

/* Typed scalars by the YAML 1.2 core schema; a quoted scalar is never one of
 * these. Booleans: true True TRUE false False FALSE (yes, on and y are text;
 * the hint says so). Integers: decimal with an optional sign, 0x and 0o. Return
 * 0, or -EINVAL (not one) or -ERANGE with place and message in reterr. */
NODISCARD int yaml_bool(const struct yaml_node *n, bool *ret,
                        struct err *reterr);
NODISCARD int yaml_int(const struct yaml_node *n, int64_t min, int64_t max,
                       int64_t *ret, struct err *reterr);

/* Any non-null scalar as text (a number or boolean as it is written). Returns
 * 0, or -EINVAL for a list, mapping or null. */
NODISCARD int yaml_string(const struct yaml_node *n, struct str *ret,
                          struct err *reterr);

/* err_set with the place of the node. Returns errnum. */
int yaml_err(struct err *e, const struct yaml_node *n, int errnum,
             const char *fmt, ...) PRINTF_LIKE(4, 5);
