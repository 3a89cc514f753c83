#include "engine/share.h"

#include <inttypes.h>

#include "base/assert.h"
#include "engine/engine_priv.h"

/* Keys that a trigger may always remember: so many, or a tenth of the limit.
 * All of them together may thus pass the limit, by so many for each trigger. */
#define SHARE_LEAST 100U

/* What is smaller is not shared out. */
#define SHARED_LIMIT_LEAST 20U

struct share {
    char *name;
    uint32_t keys;
};

/* Path and trigger; a NUL is in neither. */
static struct str name_of(struct strbuf *room, struct str path,
                          struct str trigger)
{
    strbuf_add(room, path);
    strbuf_addch(room, '\0');
    strbuf_add(room, trigger);
    ASSERT(strbuf_error(room) == 0);
    return strbuf_str(room);
}

static struct share *find(const struct engine *e, struct str path,
                          struct str trigger)
{
    CLEANUP(strbuf_deinit) struct strbuf room = STRBUF_INIT(65536);
    return map_get(&e->shares, name_of(&room, path, trigger));
}

void share_add(struct engine *e, struct str path, struct str trigger)
{
    struct share *s = find(e, path, trigger);
    if (s == NULL) {
        CLEANUP(strbuf_deinit) struct strbuf room = STRBUF_INIT(65536);
        struct str name = name_of(&room, path, trigger);
        s = MEM_NEW(struct share);
        s->name = str_dup(name);
        (void)map_put(&e->shares, str_n(s->name, name.len), s);
    }
    s->keys++;
}

void share_remove(struct engine *e, struct str path, struct str trigger)
{
    struct share *s = find(e, path, trigger);
    INVARIANT("I8", s != NULL && s->keys != 0);
    if (--s->keys == 0) {
        CLEANUP(strbuf_deinit) struct strbuf room = STRBUF_INIT(65536);
        (void)map_remove(&e->shares, name_of(&room, path, trigger));
        mem_free(s->name);
        mem_free(s);
    }
}

/* Triggers' own: guards' memories have no limit but the number of runbooks. */
static uint32_t total(const struct engine *e)
{
    return (uint32_t)(map_count(&e->memories) + map_count(&e->watches.rows)) -
           e->guard_memories;
}

static uint32_t keys_of(const struct engine *e, struct str path,
                        struct str trigger)
{
    const struct share *s = find(e, path, trigger);
    return s != NULL ? s->keys : 0;
}

static uint32_t most_of(const struct engine *e)
{
    uint32_t limit = e->config.max_memories;
    return limit < SHARED_LIMIT_LEAST ? limit : limit / 2;
}

bool share_has_room(const struct engine *e, struct str path, struct str trigger)
{
    uint32_t keys = keys_of(e, path, trigger);
    uint32_t limit = e->config.max_memories;
    return keys < MIN(SHARE_LEAST, limit / 10) ||
           (keys < most_of(e) && total(e) < limit);
}

void share_refuse(struct engine *e, struct str path, struct str trigger,
                  struct strbuf *why)
{
    uint32_t limit = e->config.max_memories;
    uint32_t keys = keys_of(e, path, trigger);
    e->memories_refused++;
    e->memories_refused_ms = e->now_ms;
    if (why != NULL && keys >= most_of(e) && total(e) < limit) {
        strbuf_addf(why,
                    "limits.trigger_memory: this trigger remembers %" PRIu32
                    " keys, as many as one may of %" PRIu32
                    ", so that others have room",
                    keys, limit);
    } else if (why != NULL) {
        strbuf_addf(why,
                    "limits.trigger_memory: %" PRIu32
                    " keys are remembered, there is no room for another one",
                    limit);
    }
}

void share_check(const struct engine *e)
{
    size_t cursor = 0;
    uint32_t keys = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&e->shares, &cursor)) != NULL) {
        const struct share *s = entry->value;
        INVARIANT("I8", s->keys != 0);
        keys += s->keys;
    }
    INVARIANT("I8", keys == total(e));
}

void share_free_all(struct engine *e)
{
    ASSERT(map_count(&e->shares) == 0);
    map_deinit(&e->shares);
}
