#include "api/pinned.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"

struct slot {
    struct runbook_hash hash;
    struct runbook *runbook; /* NULL: known to be unusable */
    uint64_t used;           /* 0: empty slot */
};

struct pinned {
    pthread_mutex_t lock;
    struct slot slots[PINNED_MAX];
    uint64_t clock;
};

struct pinned *pinned_new(void)
{
    struct pinned *p = MEM_NEW(struct pinned);
    pthread_mutex_init(&p->lock, NULL);
    return p;
}

void pinned_free(struct pinned *p)
{
    if (p == NULL) {
        return;
    }
    for (size_t i = 0; i < PINNED_MAX; i++) {
        runbook_unref(p->slots[i].runbook);
    }
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}

static bool same_hash(const struct runbook_hash *a,
                      const struct runbook_hash *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static struct runbook *ref(struct runbook *rb)
{
    return rb != NULL ? runbook_ref(rb) : NULL;
}

/* True if the cache knows the version; *ret is then a reference or NULL. */
static bool recall(struct pinned *p, const struct runbook_hash *hash,
                   struct runbook **ret)
{
    bool found = false;
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < PINNED_MAX && !found; i++) {
        struct slot *s = &p->slots[i];
        found = s->used != 0 && same_hash(&s->hash, hash);
        if (found) {
            s->used = ++p->clock;
            *ret = ref(s->runbook);
        }
    }
    pthread_mutex_unlock(&p->lock);
    return found;
}

/* In place of the one that was not asked for the longest. */
static void remember(struct pinned *p, const struct runbook_hash *hash,
                     struct runbook *rb)
{
    pthread_mutex_lock(&p->lock);
    struct slot *oldest = &p->slots[0];
    for (size_t i = 1; i < PINNED_MAX; i++) {
        oldest = p->slots[i].used < oldest->used ? &p->slots[i] : oldest;
    }
    runbook_unref(oldest->runbook);
    *oldest =
        (struct slot){.hash = *hash, .runbook = ref(rb), .used = ++p->clock};
    pthread_mutex_unlock(&p->lock);
}

static struct runbook *load(const struct pinned_source *from,
                            const struct runbook_hash *hash)
{
    struct arena arena = ARENA_INIT;
    struct str path = STR_NULL;
    struct str text = STR_NULL;
    struct runbook *rb = NULL;
    if (from->reader->ops->runbook(from->reader, hash, &arena, &path, &text) ==
        0) {
        struct runbook_report report = {0};
        if (runbook_load(path, text, from->defaults, &rb, &report) < 0) {
            rb = NULL;
        }
        runbook_report_deinit(&report);
    }
    arena_deinit(&arena);
    return rb;
}

struct runbook *pinned_get(struct pinned *p, const struct pinned_source *from,
                           const struct workflow_row *row)
{
    struct runbook *rb =
        from->generation != NULL
            ? generation_runbook(from->generation, row->runbook_path)
            : NULL;
    if (rb != NULL && same_hash(&rb->hash, &row->runbook_hash)) {
        return runbook_ref(rb);
    }
    rb = NULL;
    if (!recall(p, &row->runbook_hash, &rb)) {
        rb = load(from, &row->runbook_hash);
        remember(p, &row->runbook_hash, rb);
    }
    return rb;
}
