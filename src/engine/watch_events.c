/*
 * What events change of what triggers watch. Of two events of one alert the
 * newer one counts, whichever comes first: that which fires since later, and
 * of the same time the one that says it is over.
 */
#include "engine/watch.h"

#include <inttypes.h>

#include "base/assert.h"
#include "data/timestamp.h"
#include "engine/guards.h"

/* ---- which is newer ------------------------------------------------------ */

static bool is_stale(const struct watch_row *row,
                     const struct fact_event *event, bool over)
{
    if (row->newest_seq == 0) {
        return false;
    }
    bool comparable = event->starts_ms != 0 && row->starts_ms != 0 &&
                      str_eq(event->alert, row->alert);
    if (comparable && event->starts_ms != row->starts_ms) {
        return event->starts_ms < row->starts_ms;
    }
    bool was_over = row->state == EVENT_RESOLVED;
    return was_over != over &&
           (comparable ? was_over : event->seq < row->newest_seq);
}

static void add_instant(struct strbuf *out, uint64_t at_ms)
{
    char text[TIMESTAMP_TEXT_SIZE];
    timestamp_format(at_ms, text);
    strbuf_addc(out, text);
}

static void say_stale(struct strbuf *why, const struct watch_row *row,
                      const struct fact_event *event)
{
    strbuf_addc(why, "stale: ");
    if (event->starts_ms != 0 && row->starts_ms != 0) {
        strbuf_addc(why, "it fires since ");
        add_instant(why, event->starts_ms);
        strbuf_addc(why, ", and a newer event says that the alert of ");
        add_instant(why, row->starts_ms);
        strbuf_addc(why, row->state == EVENT_RESOLVED ? " is over" : " fires");
    } else {
        strbuf_addc(why, "the alert was resolved by an event that came later");
    }
    if (row->key.len != 0) {
        strbuf_addf(why, "; key %.*s", STR_ARG(row->key));
    }
}

/* ---- what has changed ---------------------------------------------------- */

/* As many as can be too many stay. */
static void note_change(struct watch *w, const struct trigger_watch *t,
                        uint64_t at_ms)
{
    VEC_PUSH(&w->changes, at_ms);
    while (w->changes.count != 0 &&
           (w->changes.count > t->changes_most + 1U ||
            w->changes.at[0] + t->changes_within_ms <= at_ms)) {
        VEC_REMOVE(&w->changes, 0);
    }
    w->row.changes_ms = w->changes.at;
    w->row.change_count = (uint32_t)w->changes.count;
}

static void note_event(struct engine *e, struct watch *w,
                       const struct trigger_watch *t,
                       const struct fact_event *event, enum event_state state)
{
    struct watch_row *row = &w->row;
    if (row->state != state &&
        (row->newest_seq != 0 || state != EVENT_RESOLVED)) {
        note_change(w, t, e->now_ms);
    }
    if (state == EVENT_FIRING && row->state != state) {
        row->since_ms = e->now_ms;
    }
    row->state = state;
    row->newest_seq = MAX(row->newest_seq, event->seq);
    row->starts_ms = event->starts_ms;
    row->seen_ms = e->now_ms;
    watch_set_alert(w, event->alert);
}

/* ---- absent -------------------------------------------------------------- */

/* The clock starts anew. */
static void heard(struct engine *e, struct watch *w,
                  const struct trigger_watch *t, const struct fact_event *event,
                  const struct fact_match *match)
{
    /* The trigger may have watched something else under this name. */
    w->row.state = EVENT_STATE_NONE;
    w->row.since_ms = 0;
    VEC_CLEAR(&w->changes);
    w->row.newest_seq = MAX(w->row.newest_seq, event->seq);
    w->row.seen_ms = e->now_ms;
    w->row.within_ms = t->absent_ms;
    w->row.due_ms = e->now_ms + t->absent_ms;
    w->row.expires_ms = 0;
    watch_set_held(w, STR(""));
    watch_keep(w, event->id, match->parameters, match->error);
    watch_touch(e, w);
}

/* ---- firing -------------------------------------------------------------- */

static bool begin_reason(struct strbuf *out, const struct fact_match *match)
{
    return memory_begin_reason(out, match);
}

/* Until when this event has to wait; 0: it may start now. What is due starts
 * for the event that began to wait. */
static uint64_t fires(struct engine *e, struct watch *w,
                      const struct trigger_watch *t,
                      const struct fact_event *event,
                      const struct fact_match *match)
{
    note_event(e, w, t, event, EVENT_FIRING);
    uint64_t ready_ms = watch_ready_ms(t, &w->row, e->now_ms);
    if (ready_ms != 0 && w->row.due_ms == 0) {
        watch_keep(w, event->id, match->parameters, match->error);
    }
    w->row.due_ms = ready_ms;
    w->row.within_ms = t->for_ms;
    w->row.expires_ms = MAX(event->over_ms, e->now_ms + 1);
    watch_set_held(w, STR(""));
    watch_touch(e, w);
    return ready_ms;
}

bool watch_admit(struct engine *e, const struct fact_event *event,
                 const struct fact_match *match, struct strbuf *why,
                 struct strbuf *note)
{
    const struct trigger *t = &match->runbook->triggers[match->trigger_no];
    if (!trigger_watch_any(&t->watch)) {
        return true;
    }
    struct watch *w =
        watch_of(e, match->runbook, match->trigger_no, match->subject, why);
    if (w == NULL) {
        return false;
    }
    if (t->watch.absent_ms != 0) {
        heard(e, w, &t->watch, event, match);
        if (begin_reason(note, match)) {
            watch_explain(&t->watch, &w->row, e->now_ms, note);
        }
        return false;
    }
    if (is_stale(&w->row, event, false)) {
        if (begin_reason(why, match)) {
            say_stale(why, &w->row, event);
        }
        return false;
    }
    if (fires(e, w, &t->watch, event, match) == 0) {
        return true;
    }
    if (begin_reason(why, match)) {
        watch_explain(&t->watch, &w->row, e->now_ms, why);
    }
    return false;
}

/* ---- over ---------------------------------------------------------------- */

static void say_end(struct strbuf *note, const struct fact_end *end,
                    bool waited, uint32_t cancelled)
{
    if ((!waited && cancelled == 0) ||
        !memory_begin_reason_of(note, end->runbook, end->trigger_no)) {
        return;
    }
    if (waited) {
        strbuf_addc(note, "resolved: what was due is not started");
    }
    if (cancelled != 0) {
        strbuf_addf(note, "%s%" PRIu32 " workflow%s cancelled",
                    waited ? ", " : "resolved: ", cancelled,
                    cancelled == 1 ? "" : "s");
    }
}

void watch_end(struct engine *e, const struct fact_event *event,
               const struct fact_end *end, struct strbuf *note)
{
    const struct trigger *t = &end->runbook->triggers[end->trigger_no];
    CLEANUP(strbuf_deinit) struct strbuf unsaid = STRBUF_INIT(65536);
    struct watch *w =
        watch_of(e, end->runbook, end->trigger_no, end->subject, &unsaid);
    if (w != NULL && is_stale(&w->row, event, true)) {
        return;
    }
    bool waited = w != NULL && w->row.due_ms != 0;
    uint32_t cancelled =
        t->watch.on_resolve == RESOLVE_CANCEL
            ? subject_cancel(e, end->runbook->path, t->name, end->subject)
            : 0;
    say_end(note, end, waited, cancelled);
    if (w == NULL) {
        return;
    }
    note_event(e, w, &t->watch, event, EVENT_RESOLVED);
#ifdef ADP_PLANT_DEAF_WATCH
    /* For the test of the simulator: what is due stays due. */
    w->row.state = EVENT_FIRING;
    watch_touch(e, w);
    return;
#endif
    w->row.due_ms = 0;
    w->row.since_ms = 0;
    w->row.expires_ms =
        e->now_ms + MAX(WATCH_RESOLVED_MS, t->watch.changes_within_ms);
    watch_set_held(w, STR(""));
    watch_keep(w, ID_NULL, STR(""), STR(""));
    watch_touch(e, w);
}
