/*
 * VEC(T): a growing array of T, owned by whoever declared it, zero-initialised
 * to be empty. Elements may move when it grows: keep indexes, not pointers.
 *
 *     VEC(int) numbers = { 0 };
 *     VEC_PUSH(&numbers, 42);
 *     VEC_EACH (&numbers, i) { use(numbers.at[i]); }
 *     VEC_DEINIT(&numbers);
 */
#pragma once

#include <stddef.h>

#include "base/mem.h"

#define VEC(T)                                                                 \
    struct {                                                                   \
        T *at;                                                                 \
        size_t count;                                                          \
        size_t cap;                                                            \
    }

#define VEC_RESERVE(v, n)                                                      \
    ((void)((v)->at = mem_grow((v)->at, &(v)->cap, (n),                        \
                               sizeof(__typeof__(*(v)->at)))))

#define VEC_PUSH(v, ...)                                                       \
    do {                                                                       \
        VEC_RESERVE(v, (v)->count + 1);                                        \
        (v)->at[(v)->count++] = (__VA_ARGS__);                                 \
    } while (0)

/* Removes element i by moving the later ones down: the order is kept. */
#define VEC_REMOVE(v, i)                                                       \
    do {                                                                       \
        for (size_t i_ = (i); i_ + 1 < (v)->count; i_++) {                     \
            (v)->at[i_] = (v)->at[i_ + 1];                                     \
        }                                                                      \
        (v)->count--;                                                          \
    } while (0)

#define VEC_CLEAR(v) ((void)((v)->count = 0))

#define VEC_DEINIT(v)                                                          \
    do {                                                                       \
        mem_free((v)->at);                                                     \
        (v)->at = NULL;                                                        \
        (v)->count = (v)->cap = 0;                                             \
    } while (0)

#define VEC_EACH(v, i) for (size_t i = 0; i < (v)->count; i++)
