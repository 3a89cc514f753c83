#include "integrations/scrape_page.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "os/clock.h"

/* ---- rules ----------------------------------------------------------------
 */

struct rule_set *rule_set_new(const char *const *texts)
{
    struct rule_set *r = MEM_NEW(struct rule_set);
    struct err ignored = ERR_INIT; /* checked when they were set */
    size_t count = 0;
    while (texts != NULL && texts[count] != NULL) {
        count++;
    }
    atomic_init(&r->refs, 1);
    r->rules = ARENA_ARRAY(&r->arena, count + 1, struct sample_rule);
    for (size_t i = 0; i < count; i++) {
        struct str text = arena_str(&r->arena, str_c(texts[i]));
        if (sample_rule_parse(text, &r->arena, &r->rules[r->count], &ignored) ==
            0) {
            r->count++;
        }
    }
    return r;
}

struct rule_set *rule_set_ref(struct rule_set *r)
{
    atomic_fetch_add(&r->refs, 1);
    return r;
}

void rule_set_unref(struct rule_set *r)
{
    if (r == NULL || atomic_fetch_sub(&r->refs, 1) != 1) {
        return;
    }
    for (uint32_t i = 0; i < r->count; i++) {
        sample_rule_deinit(&r->rules[i]);
    }
    arena_deinit(&r->arena);
    mem_free(r);
}

/* ---- one page -------------------------------------------------------------
 */

void page_deinit(struct page *p)
{
    VEC_DEINIT(&p->hits);
    arena_deinit(&p->arena);
}

struct reading {
    struct page *page;
    const atomic_bool *halting;
};

/* The sample's own texts are gone when the next is read. */
static const struct exposition_sample *keep(struct arena *a,
                                            const struct exposition_sample *s)
{
    struct exposition_sample *kept = ARENA_NEW(a, struct exposition_sample);
    struct label *labels = ARENA_ARRAY(a, s->labels.count + 1, struct label);
    *kept = *s;
    kept->name = arena_str(a, s->name);
    for (uint32_t i = 0; i < s->labels.count; i++) {
        labels[i] =
            (struct label){.name = arena_str(a, s->labels.at[i].name),
                           .value = arena_str(a, s->labels.at[i].value)};
    }
    kept->labels.at = labels;
    return kept;
}

/* By its text, so that a series is the same when other rules come and go. */
static const char *key_of(struct arena *a, const struct sample_rule *rule,
                          const struct exposition_sample *s)
{
    char fingerprint[17];
    char key[EXPOSITION_NAME_MAX_BYTES + 64];
    labels_fingerprint(&s->labels, fingerprint);
    (void)snprintf(key, sizeof(key), "%016llx/%s/%.*s",
                   (unsigned long long)str_hash(rule->text, 0), fingerprint,
                   STR_ARG(s->name));
    return arena_strdup(a, str_c(key));
}

static int on_sample(void *context, const struct exposition_sample *s)
{
    struct reading *x = context;
    struct page *p = x->page;
    const struct exposition_sample *kept = NULL;
    if (atomic_load(x->halting)) {
        return -ECANCELED;
    }
    if (++p->samples > p->sample_limit) {
        return -EOVERFLOW;
    }
    for (uint32_t i = 0; i < p->rules->count; i++) {
        const struct sample_rule *rule = &p->rules->rules[i];
        if (!sample_rule_covers(rule, s->name, &s->labels) ||
            !sample_rule_holds(rule, s->value)) {
            continue;
        }
        if (p->hits.count >= p->hits_max) {
            p->over++;
            continue;
        }
        kept = kept != NULL ? kept : keep(&p->arena, s);
        struct hit hit = {
            .rule = rule, .sample = kept, .key = key_of(&p->arena, rule, kept)};
        VEC_PUSH(&p->hits, hit);
    }
    return 0;
}

void page_read(struct page *p, const atomic_bool *halting)
{
    struct err err = ERR_INIT;
    struct reading x = {.page = p, .halting = halting};
    uint64_t started_ms = os_monotonic_ms();
    int r = atomic_load(halting)
                ? -ECANCELED
                : exposition_read(p->text, p->format, on_sample, &x, &err);
    p->took_ms = os_monotonic_ms() - started_ms;
    if (r == -ECANCELED) {
        (void)snprintf(p->why, sizeof(p->why), "the engine is stopping");
    } else if (r == -EOVERFLOW) {
        (void)snprintf(p->why, sizeof(p->why),
                       "more than %llu samples: raise sample_limit, or scrape "
                       "less",
                       (unsigned long long)p->sample_limit);
    } else if (r < 0) {
        (void)snprintf(p->why, sizeof(p->why), "not a page of metrics: %.200s",
                       err.message);
    }
    if (r < 0) {
        p->hits.count = 0; /* a bad page says nothing */
        p->over = 0;
    }
}

/* ---- the thread -----------------------------------------------------------
 */

struct pages {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct list waiting;
    atomic_bool halting;
};

static struct page *take(struct pages *s)
{
    pthread_mutex_lock(&s->lock);
    while (list_empty(&s->waiting) && !atomic_load(&s->halting)) {
        pthread_cond_wait(&s->more, &s->lock);
    }
    struct list *first = list_pop(&s->waiting);
    pthread_mutex_unlock(&s->lock);
    return first != NULL ? CONTAINER_OF(first, struct page, link) : NULL;
}

static void *run(void *context)
{
    struct pages *s = context;
    struct page *p = NULL;
    while ((p = take(s)) != NULL) {
        page_read(p, &s->halting);
        p->done(p);
    }
    return NULL;
}

int pages_new(struct pages **ret)
{
    struct pages *s = MEM_NEW(struct pages);
    ASSERT(pthread_mutex_init(&s->lock, NULL) == 0);
    ASSERT(pthread_cond_init(&s->more, NULL) == 0);
    list_init(&s->waiting);
    int r = -pthread_create(&s->thread, NULL, run, s);
    if (r < 0) {
        mem_free(s);
        return r;
    }
    (void)pthread_setname_np(s->thread, "pages");
    *ret = s;
    return 0;
}

void pages_add(struct pages *s, struct page *p)
{
    list_init(&p->link);
    pthread_mutex_lock(&s->lock);
    list_push(&s->waiting, &p->link);
    pthread_cond_signal(&s->more);
    pthread_mutex_unlock(&s->lock);
}

void pages_free(struct pages *s)
{
    if (s == NULL) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->halting, true);
    pthread_cond_signal(&s->more);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->more);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}
