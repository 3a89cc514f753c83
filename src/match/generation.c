#include "match/generation.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "match/conditions.h"
#include "match/twins.h"

static int by_path(const void *a, const void *b)
{
    return str_cmp(((const struct generation_file *)a)->path,
                   ((const struct generation_file *)b)->path);
}

static void copy_file(struct arena *a, const struct generation_file *from,
                      struct generation_file *to)
{
    *to = *from;
    to->path = arena_str(a, from->path);
    to->problems = NULL;
    if (from->problem_count != 0) {
        to->problems = ARENA_ARRAY(a, from->problem_count, struct err);
        memcpy(to->problems, from->problems,
               from->problem_count * sizeof(*to->problems));
    }
}

/* 16 digits: the same for the same runbooks, whoever loads them. */
static struct str digest_of(const struct generation *g, struct arena *a)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(32);
    uint64_t hash = STR_HASH_SEED;
    for (uint32_t i = 0; i < g->file_count; i++) {
        const struct runbook *rb = g->files[i].runbook;
        if (rb != NULL) {
            hash = str_hash(rb->path, hash);
            hash = str_hash(
                str_n((const char *)rb->hash.bytes, sizeof(rb->hash.bytes)),
                hash);
        }
    }
    strbuf_addf(&text, "%016" PRIx64, hash);
    return arena_str(a, strbuf_str(&text));
}

struct generation *generation_new(const struct generation_file *files,
                                  uint32_t count, struct str commit,
                                  uint64_t number, uint64_t loaded_ms)
{
    struct generation *g = MEM_NEW(struct generation);
    atomic_init(&g->refs, 1);
    arena_init(&g->arena);
    g->number = number;
    g->loaded_ms = loaded_ms;
    g->commit = arena_str(&g->arena, commit);
    g->files = ARENA_ARRAY(&g->arena, MAX(count, 1U), struct generation_file);
    g->file_count = count;
    for (uint32_t i = 0; i < count; i++) {
        copy_file(&g->arena, &files[i], &g->files[i]);
    }
    qsort(g->files, count, sizeof(*g->files), by_path);
    for (uint32_t i = 1; i < count; i++) {
        ASSERT(!str_eq(g->files[i - 1].path, g->files[i].path));
    }
    g->digest = digest_of(g, &g->arena);
    generation_find_twins(g);
    g->index = match_index_new(g->files, count);
    return g;
}

struct generation *generation_ref(struct generation *g)
{
    uint32_t before =
        atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
    ASSERT(before != 0);
    return g;
}

void generation_unref(struct generation *g)
{
    if (g == NULL) {
        return;
    }
    uint32_t before =
        atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel);
    ASSERT(before != 0);
    if (before != 1) {
        return;
    }
    for (uint32_t i = 0; i < g->file_count; i++) {
        runbook_unref(g->files[i].runbook);
    }
    match_index_free(g->index);
    arena_deinit(&g->arena);
    mem_free(g);
}

const struct generation_file *generation_file(const struct generation *g,
                                              struct str path)
{
    struct generation_file key = {.path = path};
    return bsearch(&key, g->files, g->file_count, sizeof(*g->files), by_path);
}

struct runbook *generation_runbook(const struct generation *g, struct str path)
{
    const struct generation_file *f = generation_file(g, path);
    return f == NULL ? NULL : f->runbook;
}

/* Does the event end what others began, so that a trigger that watches must
 * hear of it? */
static bool ends(const struct trigger *t, const struct event *e)
{
    return trigger_watch_resolves(&t->watch) && t->state == TRIGGER_ON_FIRING &&
           (e->state == EVENT_RESOLVED ||
            (e->state == EVENT_STATE_NONE && t->when != NULL));
}

struct matching {
    const struct event *event;
    const struct match_input *input;
    struct conditions *conditions; /* few events need them */
    struct matches *ret;
};

/* Is its condition true as well? False too if it has no value: *ret_known. */
static bool condition_holds(struct matching *m,
                            const struct indexed_trigger *it, bool *ret_known)
{
    size_t failed = m->ret->failed.count;
    if (m->conditions == NULL) {
        m->conditions = conditions_new(m->event, m->input, &m->ret->arena);
    }
    bool holds = conditions_hold(m->conditions, it, m->ret);
    *ret_known = m->ret->failed.count == failed;
    return holds;
}

static void match_one(struct matching *m, const struct indexed_trigger *it)
{
    const struct trigger *t = &it->runbook->triggers[it->trigger_no];
    struct match found = {.runbook = it->runbook, .trigger_no = it->trigger_no};
    bool wanted = trigger_wants_state(t, m->event);
    bool may_end = ends(t, m->event);
    bool known = true;
    if ((!wanted && !may_end) ||
        trigger_fits(t, m->event, &found.undecided) == 0) {
        return;
    }
    if (wanted && (t->when == NULL || condition_holds(m, it, &known))) {
        VEC_PUSH(&m->ret->found, found);
    } else if (may_end && known && found.undecided == NULL) {
        VEC_PUSH(&m->ret->ended, found);
    }
}

void generation_match(const struct generation *g, const struct event *e,
                      const struct match_input *input, struct matches *ret)
{
    struct candidates c = {0};
    struct matching m = {.event = e, .input = input, .ret = ret};
    match_index_candidates(g->index, e, &c);
    VEC_EACH (&c.numbers, i) {
        match_one(&m, match_index_trigger(g->index, c.numbers.at[i]));
    }
    conditions_free(m.conditions);
    VEC_DEINIT(&c.numbers);
}

void matches_deinit(struct matches *m)
{
    VEC_DEINIT(&m->found);
    VEC_DEINIT(&m->ended);
    VEC_DEINIT(&m->failed);
    arena_deinit(&m->arena);
}

struct str match_undecided_text(const struct match *m, struct arena *a)
{
    struct strbuf text = STRBUF_INIT(4096);
    strbuf_addf(&text,
                "trigger %u cannot be decided: the regular expression for "
                "label '%.*s' ran into its limit on this event's value; write "
                "it without nested repetition",
                (unsigned)m->trigger_no + 1, STR_ARG(m->undecided->name));
    struct str copy = arena_str(a, strbuf_str(&text));
    strbuf_deinit(&text);
    return copy;
}
