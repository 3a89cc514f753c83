/*
 * What starts because a time has come. The answer brings the trigger as it is
 * now: one that has changed meanwhile is waited for as it says now, one that
 * is gone starts nothing. What another guard holds back when it is due is
 * looked at again after the same time.
 */
#include "engine/watch.h"

#include "base/assert.h"
#include "engine/guards.h"

/* Asked for in one step; the next FACT_TIME comes at once. */
#define DUE_MAX 100

/* For why nothing was started: as long as memory.c tells. */
#define HELD_ROOM 8192

/* At least so long until it is looked at again. */
#define AGAIN_MS 10000

void watches_ask(struct engine *e)
{
    if (e->halted || e->paused || engine_is_full(e)) {
        return; /* as with claims: events would not be taken either */
    }
    for (uint32_t i = 0; i < DUE_MAX; i++) {
        struct heap_node *node = heap_min(&e->watches.dues);
        if (node == NULL || node->key > e->now_ms) {
            return;
        }
        struct watch *w = CONTAINER_OF(node, struct watch, due);
        heap_remove(&e->watches.dues, node);
        w->asked = true;
        effects_due(e->fx, &w->row);
    }
}

/* ---- the answer ---------------------------------------------------------- */

/* When it is due as its trigger goes now; 0: never. */
static uint64_t due_ms(const struct engine *e, const struct watch *w,
                       const struct trigger_watch *t)
{
    const struct watch_row *row = &w->row;
    if (row->state == EVENT_STATE_NONE) {
        uint64_t due = row->seen_ms + t->absent_ms;
        return t->absent_ms == 0 ? 0 : MAX(due, e->now_ms);
    }
    if (t->absent_ms != 0) {
        return 0; /* it is of another trigger that had this name */
    }
    uint64_t ready = watch_ready_ms(t, row, e->now_ms);
    return MAX(ready, e->now_ms);
}

static void again(struct engine *e, struct watch *w, struct str why)
{
    w->row.due_ms = e->now_ms + MAX(w->row.within_ms, (uint64_t)AGAIN_MS);
    watch_set_held(w, why);
    watch_touch(e, w);
}

/* It has started: the next absence begins with the next event; of an alert
 * that still fires, only what it says itself starts another one. */
static void has_started(struct engine *e, struct watch *w)
{
    if (w->row.state == EVENT_STATE_NONE && w->row.key.len != 0) {
        watch_drop(e, w);
        return;
    }
    w->row.due_ms = 0; /* what is absent without keys stays: the next load
                          would begin to wait again */
    watch_set_held(w, STR(""));
    watch_keep(w, ID_NULL, STR(""), STR(""));
    watch_touch(e, w);
}

static void start(struct engine *e, const struct fact *fact, struct watch *w)
{
    CLEANUP(strbuf_deinit) struct strbuf why = STRBUF_INIT(HELD_ROOM);
    const struct trigger *t =
        &fact->due.runbook->triggers[fact->due.trigger_no];
    const struct fact_match match = {
        .runbook = fact->due.runbook,
        .trigger_no = fact->due.trigger_no,
        .workflow_id = fact->due.workflow_id,
        .key = t->dedup_count != 0 ? w->row.key : STR(""),
        .subject = w->row.key,
        .parameters = fact->due.parameters,
        .error = fact->due.error,
    };
    strbuf_add(&why, fact->due.held_back);
    if (why.len != 0 || guards_escalated(e, &match, &why) ||
        !memory_admit(e, &match, e->now_ms, &why)) {
        again(e, w, strbuf_str(&why));
        return;
    }
    events_start(e, fact->due.commit, w->row.event_id, &match);
    has_started(e, w);
}

void watch_due(struct engine *e, const struct fact *fact)
{
    struct watch *w =
        watch_find(e, fact->due.runbook_path, fact->due.trigger, fact->due.key);
    if (w == NULL || !w->asked) {
        return; /* it is over */
    }
    w->asked = false;
    bool over = w->row.expires_ms != 0 && w->row.expires_ms <= e->now_ms;
    if (fact->due.runbook == NULL || over) {
        watch_drop(e, w);
        return;
    }
    const struct trigger *t =
        &fact->due.runbook->triggers[fact->due.trigger_no];
    uint64_t due = w->row.due_ms == 0 ? 0 : due_ms(e, w, &t->watch);
    if (due == e->now_ms && w->row.due_ms <= e->now_ms) {
        start(e, fact, w);
    } else if (due != 0) {
        w->row.due_ms = MAX(due, w->row.due_ms);
        watch_touch(e, w);
    } else if (w->row.due_ms != 0) {
        watch_drop(e, w);
    }
}

/* ---- from the beginning -------------------------------------------------- */

static bool is_named(const struct fact *fact, const struct watch_row *row)
{
    for (uint32_t i = 0; i < fact->generation.count; i++) {
        const struct fact_absent *f = &fact->generation.absent[i];
        if (str_eq(f->runbook->path, row->runbook_path) &&
            str_eq(f->runbook->triggers[f->trigger_no].name, row->trigger)) {
            return true;
        }
    }
    return false;
}

/* Of triggers that are gone nothing is absent any more. */
static void drop_unnamed(struct engine *e, const struct fact *fact)
{
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&e->watches.rows, &cursor)) != NULL) {
        struct watch *w = entry->value;
        if (w->row.state == EVENT_STATE_NONE && w->row.key.len == 0 &&
            !is_named(fact, &w->row)) {
            watch_drop(e, w);
        }
    }
}

void watches_arm(struct engine *e, const struct fact *fact)
{
    CLEANUP(strbuf_deinit) struct strbuf unsaid = STRBUF_INIT(65536);
    for (uint32_t i = 0; i < fact->generation.count; i++) {
        const struct fact_absent *f = &fact->generation.absent[i];
        const struct trigger *t = &f->runbook->triggers[f->trigger_no];
        if (watch_find(e, f->runbook->path, t->name, STR("")) != NULL) {
            continue;
        }
        struct watch *w =
            watch_of(e, f->runbook, f->trigger_no, STR(""), &unsaid);
        if (w != NULL) {
            w->row.seen_ms = e->now_ms;
            w->row.within_ms = t->watch.absent_ms;
            w->row.due_ms = e->now_ms + t->watch.absent_ms;
            watch_touch(e, w);
        }
    }
    drop_unnamed(e, fact);
}
