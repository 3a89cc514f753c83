/*
 * struct arena: what is parsed together dies together. Allocations are zeroed,
 * aligned for any object, and freed all at once. One thread at a time.
 */
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "base/str.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    size_t used_bytes;          /* of the newest block */
    size_t total_bytes;         /* handed out since init or reset */
};

#define ARENA_INIT ((struct arena){0})

void arena_init(struct arena *a);
void arena_deinit(struct arena *a);

/* Overwrites everything that was handed out, then frees it: for secrets. */
void arena_wipe(struct arena *a);

/* Frees everything but keeps one block for the next use. */
void arena_reset(struct arena *a);

/* Zeroed room for n objects of size bytes; lives until reset or deinit. */
NODISCARD RETURNS_NONNULL void *arena_alloc(struct arena *a, size_t n,
                                            size_t size);

/* A NUL-terminated copy of s inside the arena. */
struct str arena_str(struct arena *a, struct str s);
char *arena_strdup(struct arena *a, struct str s);

/* A copy of n elements of so many bytes each; at may be NULL when n is 0. */
NODISCARD RETURNS_NONNULL void *arena_copy(struct arena *a, const void *at,
                                           size_t n, size_t size);

#define ARENA_NEW(a, type) ((type *)arena_alloc((a), 1, sizeof(type)))
#define ARENA_ARRAY(a, n, type) ((type *)arena_alloc((a), (n), sizeof(type)))
#define ARENA_COPY(a, at, n)                                                   \
    ((__typeof__(at))arena_copy((a), (at), (n), sizeof(*(at))))
