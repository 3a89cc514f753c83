#include "api/pinned.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"

/* What a workflow has pinned: the text, and what its gaps are filled with. */
struct version {
    struct runbook_hash hash;
    struct runbook_defaults defaults;
};

struct slot {
    struct version version;
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

static bool same_version(const struct version *a, const struct version *b)
{
    return memcmp(a->hash.bytes, b->hash.bytes, sizeof(a->hash.bytes)) == 0 &&
           a->defaults.step_timeout_ms == b->defaults.step_timeout_ms &&
           a->defaults.retry_attempts == b->defaults.retry_attempts;
}

static struct runbook *ref(struct runbook *rb)
{
    return rb != NULL ? runbook_ref(rb) : NULL;
}

/* True if the cache knows the version; *ret is then a reference or NULL. */
static bool recall(struct pinned *p, const struct version *version,
                   struct runbook **ret)
{
    bool found = false;
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < PINNED_MAX && !found; i++) {
        struct slot *s = &p->slots[i];
        found = s->used != 0 && same_version(&s->version, version);
        if (found) {
            s->used = ++p->clock;
            *ret = ref(s->runbook);
        }
    }
    pthread_mutex_unlock(&p->lock);
    return found;
}

/* In place of the one that was not asked for the longest. */
static void remember(struct pinned *p, const struct version *version,
                     struct runbook *rb)
{
    pthread_mutex_lock(&p->lock);
    struct slot *oldest = &p->slots[0];
    for (size_t i = 1; i < PINNED_MAX; i++) {
        oldest = p->slots[i].used < oldest->used ? &p->slots[i] : oldest;
    }
    runbook_unref(oldest->runbook);
    *oldest = (struct slot){
        .version = *version, .runbook = ref(rb), .used = ++p->clock};
    pthread_mutex_unlock(&p->lock);
}

static struct runbook *load(const struct pinned_source *from,
                            const struct version *version)
{
    struct arena arena = ARENA_INIT;
    struct str path = STR_NULL;
    struct str text = STR_NULL;
    struct runbook *rb = NULL;
    if (from->reader->ops->runbook(from->reader, &version->hash, &arena, &path,
                                   &text) == 0) {
        struct runbook_report report = {0};
        /* It was good enough when it was stored. */
        struct runbook_defaults defaults = version->defaults;
        defaults.unknown_keys_warn = true;
        if (runbook_load(path, text, &defaults, &rb, &report) < 0) {
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
    const struct version version = {row->runbook_hash, row->defaults};
    struct runbook *rb =
        from->generation != NULL
            ? generation_runbook(from->generation, row->runbook_path)
            : NULL;
    if (rb != NULL) {
        const struct version current = {rb->hash, rb->defaults};
        if (same_version(&current, &version)) {
            return runbook_ref(rb);
        }
    }
    rb = NULL;
    if (!recall(p, &version, &rb)) {
        rb = load(from, &version);
        remember(p, &version, rb);
    }
    return rb;
}
