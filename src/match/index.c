#include "match/index.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/map.h"

struct bucket {
    VEC(uint32_t) triggers; /* ascending */
    uint32_t uses;          /* conditions that ask for this value */
};

/* Buckets by value; a label's, or one of severity, source and type. */
struct value_map {
    struct map by_value;
};

struct match_index {
    struct arena arena; /* buckets and value maps */
    VEC(struct indexed_trigger) triggers;
    VEC(struct bucket *) buckets;       /* all, for freeing */
    VEC(struct value_map *) label_maps; /* all, for freeing */
    struct map labels;                  /* name to struct value_map */
    struct value_map severities;
    struct value_map sources;
    struct value_map types;
    struct bucket rest;
};

static struct bucket *bucket_of(struct match_index *ix, struct value_map *m,
                                struct str value)
{
    struct bucket *b = map_get(&m->by_value, value);
    if (b == NULL) {
        b = ARENA_NEW(&ix->arena, struct bucket);
        (void)map_put(&m->by_value, value, b);
        VEC_PUSH(&ix->buckets, b);
    }
    return b;
}

static struct bucket *label_bucket(struct match_index *ix,
                                   const struct matcher *m)
{
    struct value_map *values = map_get(&ix->labels, m->name);
    if (values == NULL) {
        values = ARENA_NEW(&ix->arena, struct value_map);
        (void)map_put(&ix->labels, m->name, values);
        VEC_PUSH(&ix->label_maps, values);
    }
    return bucket_of(ix, values, m->value);
}

/* An empty value also holds when the label is absent: it selects nothing. */
static bool is_selective(const struct matcher *m)
{
    return m->op == MATCH_EQ && m->value.len != 0;
}

static void count_uses(struct match_index *ix, const struct trigger *t)
{
    for (uint32_t i = 0; i < t->matcher_count; i++) {
        if (is_selective(&t->matchers[i])) {
            label_bucket(ix, &t->matchers[i])->uses++;
        }
    }
}

static struct bucket *rarest_label(struct match_index *ix,
                                   const struct trigger *t)
{
    struct bucket *rarest = NULL;
    for (uint32_t i = 0; i < t->matcher_count; i++) {
        if (!is_selective(&t->matchers[i])) {
            continue;
        }
        struct bucket *b = label_bucket(ix, &t->matchers[i]);
        if (rarest == NULL || b->uses < rarest->uses) {
            rarest = b;
        }
    }
    return rarest;
}

/* A value that a list has twice must not give the trigger twice. */
static void add(struct bucket *b, uint32_t number)
{
    size_t count = b->triggers.count;
    if (count == 0 || b->triggers.at[count - 1] != number) {
        VEC_PUSH(&b->triggers, number);
    }
}

static void add_any_of(struct match_index *ix, struct value_map *m,
                       const struct str *values, uint32_t count,
                       uint32_t number)
{
    for (uint32_t i = 0; i < count; i++) {
        add(bucket_of(ix, m, values[i]), number);
    }
}

static void place(struct match_index *ix, const struct trigger *t,
                  uint32_t number)
{
    struct bucket *label = rarest_label(ix, t);
    if (label != NULL) {
        add(label, number);
    } else if (t->severity_count != 0) {
        add_any_of(ix, &ix->severities, t->severities, t->severity_count,
                   number);
    } else if (t->source_count != 0) {
        add_any_of(ix, &ix->sources, t->sources, t->source_count, number);
    } else if (t->type.len != 0) {
        add(bucket_of(ix, &ix->types, t->type), number);
    } else {
        add(&ix->rest, number);
    }
}

static const struct trigger *trigger_of(const struct indexed_trigger *it)
{
    return &it->runbook->triggers[it->trigger_no];
}

struct match_index *match_index_new(const struct generation_file *files,
                                    uint32_t count)
{
    struct match_index *ix = MEM_NEW(struct match_index);
    for (uint32_t i = 0; i < count; i++) {
        struct runbook *rb = files[i].runbook;
        for (uint32_t j = 0; rb != NULL && j < rb->trigger_count; j++) {
            VEC_PUSH(&ix->triggers,
                     (struct indexed_trigger){.runbook = rb, .trigger_no = j});
            count_uses(ix, &rb->triggers[j]);
        }
    }
    VEC_EACH (&ix->triggers, i) {
        place(ix, trigger_of(&ix->triggers.at[i]), (uint32_t)i);
    }
    return ix;
}

void match_index_free(struct match_index *ix)
{
    if (ix == NULL) {
        return;
    }
    VEC_EACH (&ix->buckets, i) {
        VEC_DEINIT(&ix->buckets.at[i]->triggers);
    }
    VEC_EACH (&ix->label_maps, i) {
        map_deinit(&ix->label_maps.at[i]->by_value);
    }
    VEC_DEINIT(&ix->rest.triggers);
    VEC_DEINIT(&ix->buckets);
    VEC_DEINIT(&ix->label_maps);
    VEC_DEINIT(&ix->triggers);
    map_deinit(&ix->labels);
    map_deinit(&ix->severities.by_value);
    map_deinit(&ix->sources.by_value);
    map_deinit(&ix->types.by_value);
    arena_deinit(&ix->arena);
    mem_free(ix);
}

/* ---- looking up --------------------------------------------------------- */

static void collect(const struct bucket *b, struct candidates *ret)
{
    for (size_t i = 0; b != NULL && i < b->triggers.count; i++) {
        VEC_PUSH(&ret->numbers, b->triggers.at[i]);
    }
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void match_index_candidates(const struct match_index *ix, const struct event *e,
                            struct candidates *ret)
{
    size_t before = ret->numbers.count;
    for (uint32_t i = 0; i < e->labels.count; i++) {
        const struct label *label = &e->labels.at[i];
        const struct value_map *values = map_get(&ix->labels, label->name);
        if (values != NULL) {
            collect(map_get(&values->by_value, label->value), ret);
        }
    }
    collect(map_get(&ix->severities.by_value, e->severity), ret);
    collect(map_get(&ix->sources.by_value, e->source), ret);
    collect(map_get(&ix->types.by_value, e->type), ret);
    collect(&ix->rest, ret);
    if (ret->numbers.count > before + 1) {
        qsort(ret->numbers.at + before, ret->numbers.count - before,
              sizeof(uint32_t), by_number);
    }
}

const struct indexed_trigger *match_index_trigger(const struct match_index *ix,
                                                  uint32_t number)
{
    ASSERT(number < ix->triggers.count);
    return &ix->triggers.at[number];
}

/* ---- one trigger -------------------------------------------------------- */

static bool is_any_of(struct str s, const struct str *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (str_eq(s, values[i])) {
            return true;
        }
    }
    return count == 0;
}

bool trigger_wants_state(const struct trigger *t, const struct event *e)
{
    switch (t->state) {
    case TRIGGER_ON_FIRING:
        return e->state != EVENT_RESOLVED;
    case TRIGGER_ON_RESOLVED:
        return e->state == EVENT_RESOLVED;
    case TRIGGER_ON_ANY:
        return true;
    }
    UNREACHABLE();
}

/* Cheap conditions first: a regular expression runs only when all the others
 * of the trigger hold. */
int trigger_fits(const struct trigger *t, const struct event *e,
                 const struct matcher **ret_undecided)
{
    int result = 1;
    if ((t->type.len != 0 && !str_eq(t->type, e->type)) ||
        !is_any_of(e->severity, t->severities, t->severity_count) ||
        !is_any_of(e->source, t->sources, t->source_count)) {
        return 0;
    }
    for (unsigned pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < t->matcher_count; i++) {
            const struct matcher *m = &t->matchers[i];
            if ((m->pattern != NULL) != (pass == 1)) {
                continue;
            }
            int r = matcher_holds(m, &e->labels);
            if (r == 0) {
                return 0;
            }
            if (r < 0 && result == 1) {
                result = r;
                *ret_undecided = m;
            }
        }
    }
    return result;
}

int trigger_holds(const struct trigger *t, const struct event *e,
                  const struct matcher **ret_undecided)
{
    return trigger_wants_state(t, e) ? trigger_fits(t, e, ret_undecided) : 0;
}
