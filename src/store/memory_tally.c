/* Counting events by what they are, in the memory driver. */
#include <stdlib.h>

#include "base/assert.h"
#include "store/memory_priv.h"

static bool is_of(const struct event_group *g, const struct mem_event *e)
{
    return g->status == e->now.status && g->priority == e->row.priority &&
           str_eq(g->type, e->row.type) &&
           str_eq(g->severity, e->row.severity) &&
           str_eq(g->source, e->row.source);
}

static void count_in(struct event_group *groups, uint32_t *count,
                     const struct mem_event *e)
{
    uint32_t i = 0;
    while (i < *count && !is_of(&groups[i], e)) {
        i++;
    }
    if (i == *count) {
        groups[(*count)++] = (struct event_group){
            .type = e->row.type,
            .severity = e->row.severity,
            .source = e->row.source,
            .status = e->now.status,
            .priority = e->row.priority,
            .oldest_ms = UINT64_MAX,
        };
    }
    groups[i].count++;
    groups[i].oldest_ms = MIN(groups[i].oldest_ms, e->row.received_ms);
}

static int by_size(const void *a, const void *b)
{
    const struct event_group *x = a;
    const struct event_group *y = b;
    int c = x->count != y->count ? (x->count > y->count ? -1 : 1) : 0;
    c = c != 0 ? c : str_cmp(x->type, y->type);
    c = c != 0 ? c : str_cmp(x->severity, y->severity);
    c = c != 0 ? c : str_cmp(x->source, y->source);
    c = c != 0 ? c : (int)x->status - (int)y->status;
    return c != 0 ? c : (int)x->priority - (int)y->priority;
}

static bool is_wanted(const struct tally_filter *f, const struct mem_event *e)
{
    bool queued = e->now.status == EVENT_QUEUED || e->now.status == EVENT_ERROR;
    return !e->now.gone &&
           (f->queued ? queued : e->row.received_ms >= f->since_ms);
}

void memory_tally(struct store *s, const struct tally_filter *f,
                  struct arena *a, struct event_tally *ret)
{
    struct event_group *groups =
        ARENA_ARRAY(a, s->events.count, struct event_group);
    uint64_t first = 0;
    uint64_t seen = 0;
    uint32_t count = 0;
    for (size_t i = s->events.count; i-- > 0;) {
        const struct mem_event *e = s->events.at[i];
        if (is_wanted(f, e) && ++seen <= STORE_TALLY_EVENTS_MAX) {
            count_in(groups, &count, e);
            first = i + 1;
        }
    }
    if (count != 0) {
        qsort(groups, count, sizeof(*groups), by_size);
    }
    for (uint32_t i = 0; i < count; i++) {
        groups[i].type = arena_str(a, groups[i].type);
        groups[i].severity = arena_str(a, groups[i].severity);
        groups[i].source = arena_str(a, groups[i].source);
    }
    *ret = (struct event_tally){
        .groups = groups,
        .group_count = MIN(count, (uint32_t)STORE_TALLY_GROUPS_MAX),
        .accepted = f->queued || first == 0 ? 0 : s->events.count - first + 1,
        .complete =
            count <= STORE_TALLY_GROUPS_MAX && seen < STORE_TALLY_EVENTS_MAX,
    };
}
