#include "match/twins.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/map.h"
#include "base/strbuf.h"

/* A list is written out with its quotes: at most six bytes for each. */
#define KEY_MAX_BYTES ((size_t)64 * 1024 * 1024)

/* ---- what makes two sets of triggers the same ---------------------------- */

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* The texts in order, each once: order and repetition mean nothing. */
static void add_set(struct strbuf *out, struct str *texts, uint32_t count)
{
    if (count != 0) {
        qsort(texts, count, sizeof(*texts), by_text);
    }
    strbuf_addch(out, '[');
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || !str_eq(texts[i - 1], texts[i])) {
            strbuf_add_json_quoted(out, texts[i]);
        }
    }
    strbuf_addch(out, ']');
}

static void add_words(struct strbuf *out, const struct str *words,
                      uint32_t count, struct arena *a)
{
    struct str *copy = ARENA_ARRAY(a, MAX(count, 1U), struct str);
    for (uint32_t i = 0; i < count; i++) {
        copy[i] = words[i];
    }
    add_set(out, copy, count);
}

static struct str matcher_text(const struct matcher *m, struct arena *a)
{
    struct strbuf out = STRBUF_INIT(KEY_MAX_BYTES);
    strbuf_addf(&out, "%d", (int)m->op);
    strbuf_add_json_quoted(&out, m->name);
    strbuf_add_json_quoted(&out, m->value);
    struct str text = arena_str(a, strbuf_str(&out));
    strbuf_deinit(&out);
    return text;
}

/* Every condition of a trigger, not what it gives to the workflow. */
static struct str trigger_text(const struct trigger *t, struct arena *a)
{
    struct strbuf out = STRBUF_INIT(KEY_MAX_BYTES);
    struct str *matchers =
        ARENA_ARRAY(a, MAX(t->matcher_count, 1U), struct str);
    for (uint32_t i = 0; i < t->matcher_count; i++) {
        matchers[i] = matcher_text(&t->matchers[i], a);
    }
    strbuf_addf(&out, "%d", (int)t->state);
    strbuf_add_json_quoted(&out, t->type);
    add_words(&out, t->severities, t->severity_count, a);
    add_words(&out, t->sources, t->source_count, a);
    add_set(&out, matchers, t->matcher_count);
    if (t->when != NULL) {
        strbuf_add_json_quoted(&out, str_trim(cel_program_text(t->when)));
    }
    struct str text = arena_str(a, strbuf_str(&out));
    strbuf_deinit(&out);
    return text;
}

static struct str triggers_text(const struct runbook *rb, struct arena *a)
{
    struct strbuf out = STRBUF_INIT(KEY_MAX_BYTES);
    struct str *texts = ARENA_ARRAY(a, rb->trigger_count, struct str);
    for (uint32_t i = 0; i < rb->trigger_count; i++) {
        texts[i] = trigger_text(&rb->triggers[i], a);
    }
    add_set(&out, texts, rb->trigger_count);
    struct str text = arena_str(a, strbuf_str(&out));
    strbuf_deinit(&out);
    return text;
}

/* ---- rings ---------------------------------------------------------------
 * Files with the same key stand in a ring of indices. */

static void join(const struct generation *g, uint32_t *next, uint32_t i,
                 struct map *heads, struct str key)
{
    const struct generation_file *head = map_get(heads, key);
    if (head == NULL) {
        (void)map_put(heads, key, &g->files[i]);
        return;
    }
    uint32_t h = (uint32_t)(head - g->files);
    next[i] = next[h];
    next[h] = i;
}

void generation_find_twins(struct generation *g)
{
    struct arena keys = ARENA_INIT;
    struct map triggers = MAP_INIT;
    struct map names = MAP_INIT;
    uint32_t room = MAX(g->file_count, 1U);
    g->same_triggers = ARENA_ARRAY(&g->arena, room, uint32_t);
    g->same_name = ARENA_ARRAY(&g->arena, room, uint32_t);
    for (uint32_t i = 0; i < g->file_count; i++) {
        const struct runbook *rb = g->files[i].runbook;
        g->same_triggers[i] = i;
        g->same_name[i] = i;
        if (rb != NULL) {
            join(g, g->same_name, i, &names, rb->name);
        }
        if (rb != NULL && rb->trigger_count != 0) {
            join(g, g->same_triggers, i, &triggers, triggers_text(rb, &keys));
        }
    }
    map_deinit(&triggers);
    map_deinit(&names);
    arena_deinit(&keys);
}

/* The first by path of the others in the ring that counts; NULL: none. */
static const struct generation_file *
first_other(const struct generation *g, const uint32_t *next, uint32_t self,
            twin_counts_fn *counts, const void *context)
{
    uint32_t best = self;
    for (uint32_t i = next[self]; i != self; i = next[i]) {
        if ((best == self || i < best) &&
            (counts == NULL || counts(context, g->files[i].path))) {
            best = i;
        }
    }
    return best == self ? NULL : &g->files[best];
}

struct twin generation_twin(const struct generation *g,
                            const struct generation_file *f,
                            twin_counts_fn *counts, const void *context)
{
    uint32_t self = (uint32_t)(f - g->files);
    ASSERT(self < g->file_count);
    struct twin t = {.kind = TWIN_NONE};
    if (f->runbook == NULL || (counts != NULL && !counts(context, f->path))) {
        return t;
    }
    t.other = first_other(g, g->same_triggers, self, counts, context);
    if (t.other != NULL) {
        bool copy = memcmp(t.other->runbook->hash.bytes, f->runbook->hash.bytes,
                           sizeof(f->runbook->hash.bytes)) == 0;
        t.kind = copy ? TWIN_COPY : TWIN_TRIGGERS;
        return t;
    }
    t.other = first_other(g, g->same_name, self, counts, context);
    t.kind = t.other != NULL ? TWIN_NAME : TWIN_NONE;
    return t;
}

void twin_explain(const struct twin *t, struct err *ret)
{
    struct str path = t->other->path;
    switch (t->kind) {
    case TWIN_COPY:
    case TWIN_TRIGGERS:
        err_field(ret, "triggers");
        err_hint(ret, "remove one, or: adctl runbook disable %.*s",
                 STR_ARG(path));
        (void)err_set(ret, -EEXIST, "%s as %.*s: one event would start both",
                      t->kind == TWIN_COPY ? "the same text"
                                           : "the same triggers",
                      STR_ARG(path));
        return;
    case TWIN_NAME:
        err_field(ret, "name");
        err_hint(ret, "lists show names: give each its own");
        (void)err_set(ret, -EEXIST, "the same name as %.*s", STR_ARG(path));
        return;
    case TWIN_NONE:
        break;
    }
    UNREACHABLE();
}
