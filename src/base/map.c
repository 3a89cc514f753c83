#include "base/map.h"

#include "base/assert.h"
#include "base/mem.h"

void map_deinit(struct map *m)
{
    mem_free(m->entries);
    mem_free(m->slots);
    *m = MAP_INIT;
}

/* The slot that holds key, or the empty slot where it would go. Slots of
 * removed entries stay occupied until the next rebuild. */
static size_t find_slot(const struct map *m, struct str key, uint64_t hash)
{
    size_t mask = m->slot_count - 1;
    size_t at = (size_t)hash & mask;
    while (m->slots[at] != 0) {
        const struct map_entry *e = &m->entries[m->slots[at] - 1];
        if (e->value != NULL && e->hash == hash && str_eq(e->key, key)) {
            break;
        }
        at = (at + 1) & mask;
    }
    return at;
}

void *map_get(const struct map *m, struct str key)
{
    if (m->slot_count == 0) {
        return NULL;
    }
    size_t at = find_slot(m, key, str_hash(key, STR_HASH_SEED));
    return m->slots[at] != 0 ? m->entries[m->slots[at] - 1].value : NULL;
}

/* Drops the holes and makes the slot table fit twice the live entries. */
static void rebuild(struct map *m)
{
    size_t live = 0;
    for (size_t i = 0; i < m->entry_count; i++) {
        if (m->entries[i].value != NULL) {
            m->entries[live++] = m->entries[i];
        }
    }
    ASSERT(live == m->live_count);
    m->entry_count = live;
    size_t slots = 16;
    while (slots < (live + 1) * 4) {
        slots *= 2;
    }
    mem_free(m->slots);
    m->slots = mem_alloc(slots, sizeof(*m->slots));
    m->slot_count = slots;
    m->entry_cap = slots / 2;
    m->entries = mem_realloc(m->entries, m->entry_cap, sizeof(*m->entries));
    for (size_t i = 0; i < live; i++) {
        size_t at = find_slot(m, m->entries[i].key, m->entries[i].hash);
        m->slots[at] = (uint32_t)(i + 1);
    }
}

void *map_put(struct map *m, struct str key, void *value)
{
    ASSERT(value != NULL);
    if (m->entry_count == m->entry_cap) {
        rebuild(m);
    }
    uint64_t hash = str_hash(key, STR_HASH_SEED);
    size_t at = find_slot(m, key, hash);
    if (m->slots[at] != 0) {
        struct map_entry *e = &m->entries[m->slots[at] - 1];
        void *old = e->value;
        e->key = key;
        e->value = value;
        return old;
    }
    m->entries[m->entry_count] =
        (struct map_entry){.key = key, .value = value, .hash = hash};
    m->entry_count++;
    m->live_count++;
    m->slots[at] = (uint32_t)m->entry_count;
    return NULL;
}

void *map_remove(struct map *m, struct str key)
{
    if (m->slot_count == 0) {
        return NULL;
    }
    size_t at = find_slot(m, key, str_hash(key, STR_HASH_SEED));
    if (m->slots[at] == 0) {
        return NULL;
    }
    struct map_entry *e = &m->entries[m->slots[at] - 1];
    void *old = e->value;
    e->value = NULL;
    e->key = STR_NULL;
    m->live_count--;
    return old;
}

size_t map_count(const struct map *m)
{
    return m->live_count;
}

struct map_entry *map_next(const struct map *m, size_t *cursor)
{
    while (*cursor < m->entry_count) {
        struct map_entry *e = &m->entries[(*cursor)++];
        if (e->value != NULL) {
            return e;
        }
    }
    return NULL;
}
