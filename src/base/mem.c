#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

void *mem_alloc(size_t n, size_t size)
{
    void *p = calloc(n != 0 ? n : 1, size != 0 ? size : 1);
    ASSERT(p != NULL);
    return p;
}

void *mem_realloc(void *p, size_t n, size_t size)
{
    size_t bytes = 0;
    ASSERT(!__builtin_mul_overflow(n, size, &bytes));
    p = realloc(p, bytes != 0 ? bytes : 1);
    ASSERT(p != NULL);
    return p;
}

void *mem_grow(void *p, size_t *cap, size_t n, size_t size)
{
    if (n <= *cap) {
        return p;
    }
    size_t wanted = MAX(*cap * 2, (size_t)8);
    *cap = MAX(wanted, n);
    return mem_realloc(p, *cap, size);
}

char *mem_dup(const void *from, size_t len)
{
    char *copy = mem_alloc(len + 1, 1);
    if (len != 0) {
        memcpy(copy, from, len);
    }
    return copy;
}

void mem_free(void *p)
{
    free(p);
}

void mem_freep(void *pp)
{
    void *p = NULL;
    memcpy(&p, pp, sizeof(p));
    free(p);
}
