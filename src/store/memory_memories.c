/* What triggers remember, in the memory driver. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/strbuf.h"
#include "store/memory_priv.h"

/* The key in store.memories: path, trigger and key with a NUL between. */
static struct str name_of(struct arena *a, const struct memory_row *row)
{
    CLEANUP(strbuf_deinit) struct strbuf name = STRBUF_INIT(65536);
    strbuf_add(&name, row->runbook_path);
    strbuf_addch(&name, '\0');
    strbuf_add(&name, row->trigger);
    strbuf_addch(&name, '\0');
    strbuf_add(&name, row->key);
    ASSERT(strbuf_error(&name) == 0);
    return arena_str(a, strbuf_str(&name));
}

static const uint64_t *copy_instants(struct arena *a, const uint64_t *at,
                                     uint32_t count)
{
    uint64_t *copy = ARENA_ARRAY(a, MAX(count, 1U), uint64_t);
    if (count != 0) {
        memcpy(copy, at, count * sizeof(*at));
    }
    return copy;
}

static struct memory_row copy_row(struct arena *a,
                                  const struct memory_row *from)
{
    struct memory_row row = *from;
    row.runbook_path = arena_str(a, from->runbook_path);
    row.trigger = arena_str(a, from->trigger);
    row.key = arena_str(a, from->key);
    row.events_ms = copy_instants(a, from->events_ms, from->event_count);
    row.starts_ms = copy_instants(a, from->starts_ms, from->start_count);
    return row;
}

void memory_memory_set(struct store *s, const struct memory_row *given)
{
    struct memory_row *row = ARENA_NEW(&s->arena, struct memory_row);
    *row = copy_row(&s->arena, given);
    memory_put(s, &s->memories, name_of(&s->arena, given), row);
}

void memory_memory_drop(struct store *s, const struct memory_row *given)
{
    memory_remove(s, &s->memories, name_of(&s->arena, given));
}

static int compare(const struct memory_row *x, struct str path,
                   struct str trigger, struct str key)
{
    int c = str_cmp(x->runbook_path, path);
    c = c != 0 ? c : str_cmp(x->trigger, trigger);
    return c != 0 ? c : str_cmp(x->key, key);
}

static int in_order(const void *a, const void *b)
{
    const struct memory_row *y = b;
    return compare(a, y->runbook_path, y->trigger, y->key);
}

uint32_t memory_memories(const struct store *s, const struct memory_filter *f,
                         struct arena *a, struct memory_row **ret)
{
    struct memory_row *rows = ARENA_ARRAY(
        a, MAX(map_count(&s->memories), (size_t)1), struct memory_row);
    uint32_t count = 0;
    size_t cursor = 0;
    const struct map_entry *e = NULL;
    while ((e = map_next(&s->memories, &cursor)) != NULL) {
        const struct memory_row *row = e->value;
        bool wanted =
            f->runbook.len == 0 || str_eq(row->runbook_path, f->runbook);
        if (wanted && compare(row, f->after_runbook, f->after_trigger,
                              f->after_key) > 0) {
            rows[count++] = copy_row(a, row);
        }
    }
    if (count != 0) {
        qsort(rows, count, sizeof(*rows), in_order);
    }
    *ret = rows;
    return MIN(count, f->limit);
}

int memory_memory(const struct store *s, const struct memory_name *name,
                  struct arena *a, struct memory_row *ret)
{
    const struct memory_row names = {.runbook_path = name->runbook,
                                     .trigger = name->trigger,
                                     .key = name->key};
    const struct memory_row *row = map_get(&s->memories, name_of(a, &names));
    if (row == NULL) {
        return -ENOENT;
    }
    *ret = copy_row(a, row);
    return 0;
}
