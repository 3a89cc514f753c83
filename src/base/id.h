/*
 * 128-bit identifiers in the form of RFC 9562 version 7: the first 48 bits
 * are milliseconds since the epoch, so ids sort by time. As text: a kind
 * prefix and 26 characters of Crockford's base 32, lower case
 * ("wf-01jc…"). Ids are always minted by the server. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct id {
    uint8_t bytes[16];
};

#define ID_NULL ((struct id){{0}})
#define ID_TEXT_LEN 26
#define ID_TEXT_SIZE (ID_TEXT_LEN + 5) /* prefix, dash, NUL */

#define ID_PREFIX_EVENT "evt"
#define ID_PREFIX_WORKFLOW "wf"
#define ID_PREFIX_MISSED "mis" /* an incident that nothing noticed */

/* A version 7 id of this time with these random bytes. */
struct id id_make(uint64_t epoch_ms, const uint8_t random[10]);

/* The smallest id of that millisecond: a lower bound for ranges by time. */
struct id id_floor(uint64_t epoch_ms);

uint64_t id_epoch_ms(struct id id);
bool id_eq(struct id a, struct id b);
int id_cmp(struct id a, struct id b);
bool id_is_null(struct id id);
struct str id_bytes(const struct id *id);

/* "wf-01jc…" into out (ID_TEXT_SIZE bytes are enough for 3-letter kinds). */
void id_format(struct id id, const char *prefix, char out[ID_TEXT_SIZE]);

/* Reads what id_format wrote; 0 or -EINVAL (wrong prefix, length, digit). */
NODISCARD int id_parse(struct str text, const char *prefix, struct id *ret);
