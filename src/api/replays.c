#include "api/replays.h"

#include <pthread.h>
#include <string.h>

#include "base/assert.h"
#include "base/map.h"
#include "base/mem.h"

struct entry {
    char *key; /* owned */
    uint8_t hash[32];
    uint64_t until_ms;
    unsigned status; /* 0: being answered */
    char *body;      /* owned */
    size_t body_len;
};

struct replays {
    pthread_mutex_t lock;
    struct map entries; /* by key, in the order of arrival */
};

struct replays *replays_new(void)
{
    struct replays *r = MEM_NEW(struct replays);
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

static void entry_free(struct entry *e)
{
    mem_free(e->key);
    mem_free(e->body);
    mem_free(e);
}

static void forget(struct replays *r, struct entry *e)
{
    (void)map_remove(&r->entries, str_c(e->key));
    entry_free(e);
}

void replays_free(struct replays *r)
{
    if (r == NULL) {
        return;
    }
    size_t cursor = 0;
    struct map_entry *it = NULL;
    while ((it = map_next(&r->entries, &cursor)) != NULL) {
        entry_free(it->value);
    }
    map_deinit(&r->entries);
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
}

/* Drops what has expired, and the oldest answer if there is no room. */
static bool make_room(struct replays *r, uint64_t now_ms)
{
    struct entry *oldest = NULL;
    size_t cursor = 0;
    struct map_entry *it = NULL;
    while ((it = map_next(&r->entries, &cursor)) != NULL) {
        struct entry *e = it->value;
        if (e->status == 0) {
            continue;
        }
        if (e->until_ms <= now_ms) {
            forget(r, e);
        } else if (oldest == NULL) {
            oldest = e;
        }
    }
    if (map_count(&r->entries) < REPLAYS_MAX) {
        return true;
    }
    if (oldest != NULL) {
        forget(r, oldest);
    }
    return oldest != NULL;
}

static enum replay meet(const struct entry *e, const uint8_t hash[32],
                        struct arena *a, struct replay_answer *ret)
{
    if (memcmp(e->hash, hash, 32) != 0) {
        return REPLAY_OTHER;
    }
    if (e->status == 0) {
        return REPLAY_BUSY;
    }
    ret->status = e->status;
    ret->body = arena_str(a, str_n(e->body, e->body_len));
    return REPLAY_SAME;
}

enum replay replays_begin(struct replays *r, struct str key,
                          const uint8_t hash[32], uint64_t now_ms,
                          struct arena *a, struct replay_answer *ret)
{
    enum replay result = REPLAY_FULL;
    pthread_mutex_lock(&r->lock);
    struct entry *e = map_get(&r->entries, key);
    if (e != NULL && (e->status == 0 || e->until_ms > now_ms)) {
        result = meet(e, hash, a, ret);
    } else if (make_room(r, now_ms)) {
        e = MEM_NEW(struct entry);
        e->key = str_dup(key);
        memcpy(e->hash, hash, 32);
        e->until_ms = now_ms + REPLAYS_KEEP_MS;
        (void)map_put(&r->entries, str_c(e->key), e);
        result = REPLAY_NEW;
    }
    pthread_mutex_unlock(&r->lock);
    return result;
}

void replays_finish(struct replays *r, struct str key, unsigned status,
                    struct str body)
{
    pthread_mutex_lock(&r->lock);
    struct entry *e = map_get(&r->entries, key);
    ASSERT(e != NULL && e->status == 0);
    if (status == 0) {
        forget(r, e);
    } else {
        e->status = status;
        e->body = mem_dup(body.at, body.len);
        e->body_len = body.len;
    }
    pthread_mutex_unlock(&r->lock);
}
