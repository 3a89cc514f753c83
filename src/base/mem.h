/*
 * Allocation that cannot fail: out of memory aborts, because every buffer fed
 * from outside has a limit that is met first (-E2BIG) and a crash is recovered
 * from like any other. Any thread.
 */
#pragma once

#include <stddef.h>

#include "base/attr.h"

/* Zeroed memory for n objects of size bytes; free with mem_free. */
NODISCARD RETURNS_NONNULL void *mem_alloc(size_t n, size_t size);

/* Resizes p (may be NULL) to n objects of size bytes; new bytes are not
 * zeroed. The old pointer is invalid afterwards. */
NODISCARD RETURNS_NONNULL void *mem_realloc(void *p, size_t n, size_t size);

/* Room for at least n objects of size bytes where p has room for *cap: p, or
 * a larger block like mem_realloc's; *cap then at least doubles. */
NODISCARD void *mem_grow(void *p, size_t *cap, size_t n, size_t size);

/* A copy of len bytes with a NUL behind them; free with mem_free. */
NODISCARD RETURNS_NONNULL char *mem_dup(const void *from, size_t len);

/* Frees what the functions above gave; NULL is fine. */
void mem_free(void *p);

/* For CLEANUP(mem_freep) on any pointer variable. */
void mem_freep(void *pp);

#define MEM_NEW(type) ((type *)mem_alloc(1, sizeof(type)))
