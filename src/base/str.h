/*
 * struct str: a borrowed run of bytes. Never owned, never assumed to end in
 * NUL, valid only as long as what it points into. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct str {
    const char *at;
    size_t len;
};

#define STR(literal) ((struct str){.at = (literal), .len = sizeof(literal) - 1})
#define STR_NULL ((struct str){.at = NULL, .len = 0})

/* printf("%.*s", STR_ARG(s)) */
#define STR_ARG(s) (int)(s).len, (s).at != NULL ? (s).at : ""

/* The slice of a NUL-terminated string; NULL gives the empty slice. */
struct str str_c(const char *c);

/* The slice of len bytes. */
struct str str_n(const char *at, size_t len);

bool str_eq(struct str a, struct str b);
bool str_eq_c(struct str a, const char *b);
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);

/* Byte order, as memcmp: negative, 0 or positive. */
int str_cmp(struct str a, struct str b);

/* Index of the first byte c, or -1. */
ptrdiff_t str_find(struct str s, char c);

/* True if needle stands in s, ASCII letters compared without case. */
bool str_has_nocase(struct str s, struct str needle);

/* From byte `from` to byte `to` (exclusive), both clamped to the length. */
struct str str_slice(struct str s, size_t from, size_t to);

/* Without blanks and tabs at both ends. */
struct str str_trim(struct str s);

/* An owned NUL-terminated copy; free with mem_free. */
NODISCARD char *str_dup(struct str s);

/* Decimal digits only (no sign, space or prefix), within [min, max]. Returns
 * 0, -EINVAL (not a number) or -ERANGE. */
NODISCARD int str_to_u64(struct str s, uint64_t min, uint64_t max,
                         uint64_t *ret);

/* FNV-1a, 64 bit, continued from seed (start with STR_HASH_SEED). */
#define STR_HASH_SEED 14695981039346656037ULL
uint64_t str_hash(struct str s, uint64_t seed);

/* True if every byte sequence is valid UTF-8 (RFC 3629: no overlong forms, no
 * surrogates, nothing past U+10FFFF). */
bool str_is_utf8(struct str s);

/* Edit distance (insert, delete, replace, swap), for "did you mean"; gives up
 * with a large number on strings over 64 bytes. */
unsigned str_distance(struct str a, struct str b);

/* The candidate nearest to s, if one is near enough to be worth suggesting
 * (at most a third of its length wrong), else NULL. */
const char *str_nearest(struct str s, const char *const *candidates,
                        size_t count);
