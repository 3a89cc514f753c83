/* What triggers remember and watch, in the memory driver. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/strbuf.h"
#include "store/memory_priv.h"

/* The key in the maps: path, trigger and key with a NUL between. */
static struct str name_of(struct arena *a, struct str path, struct str trigger,
                          struct str key)
{
    CLEANUP(strbuf_deinit) struct strbuf name = STRBUF_INIT(65536);
    strbuf_add(&name, path);
    strbuf_addch(&name, '\0');
    strbuf_add(&name, trigger);
    strbuf_addch(&name, '\0');
    strbuf_add(&name, key);
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
    memory_put(
        s, &s->memories,
        name_of(&s->arena, given->runbook_path, given->trigger, given->key),
        row);
}

void memory_memory_drop(struct store *s, const struct memory_row *given)
{
    memory_remove(
        s, &s->memories,
        name_of(&s->arena, given->runbook_path, given->trigger, given->key));
}

static struct watch_row copy_watch(struct arena *a,
                                   const struct watch_row *from)
{
    struct watch_row row = *from;
    row.runbook_path = arena_str(a, from->runbook_path);
    row.trigger = arena_str(a, from->trigger);
    row.key = arena_str(a, from->key);
    row.alert = arena_str(a, from->alert);
    row.parameters = arena_str(a, from->parameters);
    row.error = arena_str(a, from->error);
    row.held = arena_str(a, from->held);
    row.changes_ms = copy_instants(a, from->changes_ms, from->change_count);
    return row;
}

void memory_watch_set(struct store *s, const struct watch_row *given)
{
    struct watch_row *row = ARENA_NEW(&s->arena, struct watch_row);
    *row = copy_watch(&s->arena, given);
    memory_put(
        s, &s->watches,
        name_of(&s->arena, given->runbook_path, given->trigger, given->key),
        row);
}

void memory_watch_drop(struct store *s, const struct watch_row *given)
{
    memory_remove(
        s, &s->watches,
        name_of(&s->arena, given->runbook_path, given->trigger, given->key));
}

/* ---- reading ------------------------------------------------------------- */

/* The names of a row, in the order of the list. */
struct names {
    struct str path, trigger, key;
};

static struct names names_of(const struct memory_row *row)
{
    return (struct names){row->runbook_path, row->trigger, row->key};
}

static struct names watch_names(const struct watch_row *row)
{
    return (struct names){row->runbook_path, row->trigger, row->key};
}

static int compare(struct names x, struct names y)
{
    int c = str_cmp(x.path, y.path);
    c = c != 0 ? c : str_cmp(x.trigger, y.trigger);
    return c != 0 ? c : str_cmp(x.key, y.key);
}

static bool is_wanted(struct names n, const struct memory_filter *f)
{
    const struct names after = {f->after_runbook, f->after_trigger,
                                f->after_key};
    return (f->runbook.len == 0 || str_eq(n.path, f->runbook)) &&
           compare(n, after) > 0;
}

static int in_order(const void *a, const void *b)
{
    return compare(names_of(a), names_of(b));
}

static int watches_in_order(const void *a, const void *b)
{
    return compare(watch_names(a), watch_names(b));
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
        if (is_wanted(names_of(row), f)) {
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
    const struct memory_row *row = map_get(
        &s->memories, name_of(a, name->runbook, name->trigger, name->key));
    if (row == NULL) {
        return -ENOENT;
    }
    *ret = copy_row(a, row);
    return 0;
}

uint32_t memory_watches(const struct store *s, const struct memory_filter *f,
                        struct arena *a, struct watch_row **ret)
{
    struct watch_row *rows = ARENA_ARRAY(
        a, MAX(map_count(&s->watches), (size_t)1), struct watch_row);
    uint32_t count = 0;
    size_t cursor = 0;
    const struct map_entry *e = NULL;
    while ((e = map_next(&s->watches, &cursor)) != NULL) {
        const struct watch_row *row = e->value;
        if (is_wanted(watch_names(row), f)) {
            rows[count++] = copy_watch(a, row);
        }
    }
    if (count != 0) {
        qsort(rows, count, sizeof(*rows), watches_in_order);
    }
    *ret = rows;
    return MIN(count, f->limit);
}
