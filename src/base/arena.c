#include "base/arena.h"

#include <stdalign.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#define BLOCK_BYTES 4000

struct arena_block {
    struct arena_block *next;
    size_t size_bytes;
    alignas(max_align_t) unsigned char data[];
};

void arena_init(struct arena *a)
{
    *a = ARENA_INIT;
}

void arena_deinit(struct arena *a)
{
    while (a->blocks != NULL) {
        struct arena_block *next = a->blocks->next;
        mem_free(a->blocks);
        a->blocks = next;
    }
    *a = ARENA_INIT;
}

void arena_wipe(struct arena *a)
{
    for (struct arena_block *b = a->blocks; b != NULL; b = b->next) {
        explicit_bzero(b->data, b->size_bytes);
    }
    arena_deinit(a);
}

void arena_reset(struct arena *a)
{
    if (a->blocks == NULL) {
        return;
    }
    struct arena_block *kept = a->blocks;
    struct arena rest = {.blocks = kept->next};
    arena_deinit(&rest);
    kept->next = NULL;
    memset(kept->data, 0, a->used_bytes);
    a->used_bytes = 0;
    a->total_bytes = 0;
}

static void add_block(struct arena *a, size_t at_least)
{
    size_t size = MAX((size_t)BLOCK_BYTES, at_least);
    struct arena_block *block = mem_alloc(1, sizeof(struct arena_block) + size);
    block->size_bytes = size;
    block->next = a->blocks;
    a->blocks = block;
    a->used_bytes = 0;
}

void *arena_alloc(struct arena *a, size_t n, size_t size)
{
    size_t bytes = 0;
    ASSERT(!__builtin_mul_overflow(n, size, &bytes));
    ASSERT(!__builtin_add_overflow(bytes, alignof(max_align_t) - 1, &bytes));
    bytes &= ~(alignof(max_align_t) - 1);
    if (a->blocks == NULL || a->blocks->size_bytes - a->used_bytes < bytes) {
        add_block(a, bytes);
    }
    void *p = a->blocks->data + a->used_bytes;
    a->used_bytes += bytes;
    a->total_bytes += bytes;
    return p;
}

char *arena_strdup(struct arena *a, struct str s)
{
    char *copy = arena_alloc(a, s.len + 1, 1);
    if (s.len != 0) {
        memcpy(copy, s.at, s.len);
    }
    return copy;
}

struct str arena_str(struct arena *a, struct str s)
{
    return str_n(arena_strdup(a, s), s.len);
}

void *arena_copy(struct arena *a, const void *at, size_t n, size_t size)
{
    void *copy = arena_alloc(a, n, size);
    if (n != 0) {
        memcpy(copy, at, n * size); /* arena_alloc has checked the product */
    }
    return copy;
}
