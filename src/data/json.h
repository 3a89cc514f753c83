/*
 * JSON behind one header, on jansson: reading with limits and strict rules,
 * compact writing, splitting of batches, and field access with errors that a
 * sender understands. Strict means RFC 8259 and RFC 7493: valid UTF-8 without
 * byte order mark, no lone surrogates, no U+0000, no duplicate names, integers
 * within 64 bits, finite numbers; nothing wraps and nothing is guessed.
 *
 * Objects keep the order of their text. A json_t is owned by whoever holds
 * its reference (json_decref, or json_auto_t in a scope); slices given out
 * borrow from it. Pure; any thread, a json_t by one thread at a time.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strbuf.h"

#define JSON_DEPTH_MAX 64

/* Met by one pass over the text before anything is allocated. */
struct json_limits {
    size_t bytes;        /* of the whole text */
    uint32_t depth;      /* of nested arrays and objects: <= JSON_DEPTH_MAX */
    uint32_t keys;       /* in one object */
    uint32_t values;     /* in the whole text: bounds the memory it becomes */
    size_t string_bytes; /* of one string as it is written */
    size_t number_bytes; /* of one number as it is written */
};

#define JSON_LIMITS_DEFAULT                                                    \
    ((struct json_limits){.bytes = 1024UL * 1024,                              \
                          .depth = JSON_DEPTH_MAX,                             \
                          .keys = 10000,                                       \
                          .values = 100000,                                    \
                          .string_bytes = 256UL * 1024,                        \
                          .number_bytes = 128})

/* Reads one JSON value with nothing but blanks around it; limits NULL means
 * the default ones. Returns 0 and a new reference, or -EBADMSG (not JSON as
 * above) or -E2BIG (a limit) with line and column in reterr. */
NODISCARD int json_read(struct str text, const struct json_limits *limits,
                        json_t **ret, struct err *reterr);

/* Appends the value without blanks. Strings are escaped as strbuf_add_json
 * does; a real is written with the fewest digits that read back the same. */
void json_write(const json_t *json, struct strbuf *out);

/* A batch: the elements of a JSON array, or the lines of NDJSON (blank lines
 * skipped). The splitter only finds where elements end; json_read each. */
enum json_form { JSON_FORM_ARRAY, JSON_FORM_LINES };

struct json_split {
    struct str text;
    size_t offset;
    enum json_form form;
    uint32_t index; /* of the element given last, from 0 */
    bool started;
    bool ended;
};

/* The form that the first character that is not blank tells. */
enum json_form json_form_of(struct str text);

void json_split_init(struct json_split *s, struct str text,
                     enum json_form form);

/* Returns 1 with the next element in *ret, 0 at the end, or -EBADMSG (no
 * array, an element missing, text behind the end) with the place. */
NODISCARD int json_split_next(struct json_split *s, struct str *ret,
                              struct err *reterr);

/* Where a byte stands, in lines and characters from 1. */
struct place json_place(struct str text, size_t offset);

/* "a string", "a number", "an object", "null"... for messages. */
const char *json_kind_text(const json_t *json);

/* The string's bytes; STR_NULL for anything else. */
struct str json_text(const json_t *json);

/* Fields of an object. All return 1 with the value, 0 when the field is
 * absent or null (*ret untouched), or -EINVAL (wrong type) or -ERANGE (out of
 * range) with reterr->field set and a message that names the field. */
NODISCARD int json_get_str(const json_t *object, const char *name,
                           struct str *ret, struct err *reterr);
NODISCARD int json_get_bool(const json_t *object, const char *name, bool *ret,
                            struct err *reterr);
/* A real without a fraction ("3.0") is an integer, too. */
struct json_range {
    int64_t min;
    int64_t max;
};
NODISCARD int json_get_int(const json_t *object, const char *name,
                           struct json_range range, int64_t *ret,
                           struct err *reterr);
NODISCARD int json_get_object(const json_t *object, const char *name,
                              const json_t **ret, struct err *reterr);
NODISCARD int json_get_array(const json_t *object, const char *name,
                             const json_t **ret, struct err *reterr);

/* 0 if every name of the object is one of these; else -EINVAL for the first
 * that is not, with the nearest one as the hint. */
NODISCARD int json_check_names(const json_t *object, const char *const *names,
                               size_t count, struct err *reterr);

/* -EINVAL "FIELD: expected EXPECTED, got a number", with the field set. */
int json_wrong_type(struct err *e, const char *field, const char *expected,
                    const json_t *got);
