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

void generation_match(const struct generation *g, const struct event *e,
                      const struct match_input *input, struct matches *ret)
{
    struct candidates c = {0};
    struct conditions *conditions = NULL; /* few events need them */
    match_index_candidates(g->index, e, &c);
    VEC_EACH (&c.numbers, i) {
        const struct indexed_trigger *it =
            match_index_trigger(g->index, c.numbers.at[i]);
        const struct trigger *t = &it->runbook->triggers[it->trigger_no];
        struct match m = {.runbook = it->runbook, .trigger_no = it->trigger_no};
        bool holds = trigger_holds(t, e, &m.undecided) != 0;
        if (holds && t->when != NULL) {
            conditions = conditions != NULL
                             ? conditions
                             : conditions_new(e, input, &ret->arena);
            holds = conditions_hold(conditions, it, ret);
        }
        if (holds) {
            VEC_PUSH(&ret->found, m);
        }
    }
    conditions_free(conditions);
    VEC_DEINIT(&c.numbers);
}

void matches_deinit(struct matches *m)
{
    VEC_DEINIT(&m->found);
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
