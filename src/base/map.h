/*
 * struct map: byte strings to pointers, iterated in insertion order, so that
 * everything built on it replays identically. Keys are borrowed: they must
 * outlive their entry (usually they stand inside the value). The map owns
 * only its table. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct map_entry {
    struct str key;
    void *value; /* NULL: removed */
    uint64_t hash;
};

struct map {
    struct map_entry *entries; /* in insertion order, with holes */
    size_t entry_count;        /* holes included */
    size_t entry_cap;
    uint32_t *slots; /* open addressing: index + 1 into entries, 0 empty */
    size_t slot_count;
    size_t live_count;
};

#define MAP_INIT ((struct map){0})

void map_deinit(struct map *m);

/* The value of key, or NULL. */
void *map_get(const struct map *m, struct str key);

/* Sets key to value (not NULL); returns the value it replaces, or NULL. A
 * replaced entry keeps its place and takes the new key pointer. */
void *map_put(struct map *m, struct str key, void *value);

/* Removes key; returns its value, or NULL. */
void *map_remove(struct map *m, struct str key);

size_t map_count(const struct map *m);

/* The first live entry at or after *cursor (start at 0), in insertion order;
 * advances the cursor past it. NULL at the end. Removing while iterating is
 * fine, adding is not. */
struct map_entry *map_next(const struct map *m, size_t *cursor);
