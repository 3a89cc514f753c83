/*
 * What triggers watch, from the truth: the events that were really processed,
 * and when. Only while the clock is right: what is due moves with it.
 */
#include <inttypes.h>

#include "base/assert.h"
#include "match/index.h"
#include "sim/world.h"

struct heard {
    struct event_view view;
    bool fits;
    bool over;
};

/* The event of a client, if it has been processed. */
static bool heard_from(const struct world *w, const struct client *c,
                       const struct trigger *t, struct arena *a,
                       struct heard *ret)
{
    const struct matcher *undecided = NULL;
    if (id_is_null(c->event_id) ||
        w->reader->ops->event(w->reader, c->event_id, a, &ret->view) < 0 ||
        (ret->view.status != EVENT_PROCESSED &&
         ret->view.status != EVENT_SUPPRESSED)) {
        return false;
    }
    const struct event *e = &ret->view.event;
    ret->fits = trigger_fits(t, e, &undecided) == 1;
    ret->over = e->state == EVENT_RESOLVED;
    return true;
}

static bool is_same_subject(const struct trigger *t, const struct event *x,
                            const struct event *y, struct arena *a)
{
    struct str of_x = STR("");
    struct str of_y = STR("");
    return trigger_subject(&t->watch, t->dedup, t->dedup_count, x, a, &of_x) ==
               0 &&
           trigger_subject(&t->watch, t->dedup, t->dedup_count, y, a, &of_y) ==
               0 &&
           str_eq(of_x, of_y);
}

/* It began to fire long enough ago, and what was known of it last is not that
 * it has ended. The newest counts, in whatever order they were processed: an
 * end that one which came after it has overtaken ends nothing. */
static void check_fires(const struct world *w, const struct trigger *t,
                        const struct workflow_row *row,
                        const struct event *event, struct arena *a)
{
    uint64_t first_ms = event->received_ms;
    uint64_t end_seq = 0;
    uint64_t fires_seq = event->seq;
    VEC_EACH (&w->clients, i) {
        struct heard h;
        if (!heard_from(w, w->clients.at[i], t, a, &h) || !h.fits ||
            !is_same_subject(t, event, &h.view.event, a)) {
            continue;
        }
        if (h.view.processed_ms < row->created_ms) {
            uint64_t *newest = h.over ? &end_seq : &fires_seq;
            *newest = MAX(*newest, h.view.event.seq);
        }
        if (!h.over) {
            first_ms = MIN(first_ms, h.view.event.received_ms);
        }
    }
    if (end_seq > fires_seq) {
        world_violation(w,
                        "I6: %.*s starts after event %" PRIu64 " has ended it",
                        STR_ARG(row->runbook_path), end_seq);
    }
    if (row->created_ms < first_ms + t->watch.for_ms) {
        world_violation(w, "I6: %.*s starts before it has been firing so long",
                        STR_ARG(row->runbook_path));
    }
}

static void check_absent(const struct world *w, const struct trigger *t,
                         const struct workflow_row *row, struct arena *a)
{
    VEC_EACH (&w->clients, i) {
        struct heard h;
        if (!heard_from(w, w->clients.at[i], t, a, &h) || !h.fits ||
            !trigger_wants_state(t, &h.view.event)) {
            continue;
        }
        uint64_t at_ms = h.view.processed_ms;
        if (t->dedup_count == 0 && at_ms < row->created_ms &&
            at_ms + t->watch.absent_ms > row->created_ms) {
            world_violation(w, "I6: %.*s starts although something has come",
                            STR_ARG(row->runbook_path));
        }
    }
}

/* Somebody took the runbook away for a while: what ended meanwhile was told to
 * nobody. */
static bool was_removed(const struct world *w, struct str path)
{
    VEC_EACH (&w->scenario->story, i) {
        const struct scn_line *line = &w->scenario->story.at[i];
        if (str_eq_c(str_c(line->verb->name), "remove") &&
            str_eq(line->words[0], path)) {
            return true;
        }
    }
    return false;
}

/* Some events are not there any more to be asked. */
static bool was_swept(const struct world *w)
{
    struct store_counts counts;
    ASSERT(w->reader->ops->counts(w->reader, &counts) == 0);
    return counts.removed_events != 0;
}

void check_watched(const struct world *w, const struct trigger *t,
                   const struct workflow_row *row)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct event_view of;
    if (!trigger_watch_any(&t->watch) || w->clocks.count > 1 || was_swept(w) ||
        was_removed(w, row->runbook_path)) {
        return;
    }
    if (t->watch.absent_ms != 0) {
        check_absent(w, t, row, &a);
    } else if (w->reader->ops->event(w->reader, row->event_id, &a, &of) == 0) {
        check_fires(w, t, row, &of.event, &a);
    }
}
