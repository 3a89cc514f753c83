/*
 * The rows of what triggers watch. A row is changed in the step, hence the
 * commit, that handles what changes it. Something due stands in the heap of
 * dues with the time that it is looked at: not before events have been taken
 * for a while, because who did not listen has not heard that it is over.
 */
#include "engine/watch.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "engine/engine_priv.h"
#include "engine/share.h"

/* As memory.c: in one commit, and at most so many at a time. */
#define EXPIRY_UNIT_MS 1000
#define EXPIRED_MAX 1000

/* After a start the end of an alert may still be on its way to us. */
#define GRACE_MS 30000

/* ---- life ---------------------------------------------------------------- */

struct watch *watch_find(const struct engine *e, struct str path,
                         struct str trigger, struct str key)
{
    CLEANUP(strbuf_deinit) struct strbuf room = STRBUF_INIT(65536);
    struct watch *w =
        map_get(&e->watches.rows, memory_name(&room, path, trigger, key));
    return w == NULL || w->dropped ? NULL : w;
}

static struct watch *watch_new(struct engine *e, struct str path,
                               struct str trigger, struct str key)
{
    CLEANUP(strbuf_deinit) struct strbuf room = STRBUF_INIT(65536);
    struct str name = memory_name(&room, path, trigger, key);
    struct watch *w = map_get(&e->watches.rows, name);
    if (w != NULL) { /* dropped in this very step */
        w->dropped = false;
        return w;
    }
    w = MEM_NEW(struct watch);
    w->name = str_n(str_dup(name), name.len);
    w->row.runbook_path = str_slice(w->name, 0, path.len);
    w->row.trigger =
        str_slice(w->name, path.len + 1, path.len + 1 + trigger.len);
    w->row.key = str_slice(w->name, name.len - key.len, name.len);
    list_init(&w->touched);
    watch_set_alert(w, STR(""));
    watch_set_held(w, STR(""));
    watch_keep(w, ID_NULL, STR(""), STR(""));
    INVARIANT("I8", map_put(&e->watches.rows, w->name, w) == NULL);
    share_add(e, path, trigger);
    return w;
}

struct watch *watch_of(struct engine *e, const struct runbook *rb,
                       uint32_t trigger_no, struct str key, struct strbuf *why)
{
    struct str trigger = rb->triggers[trigger_no].name;
    struct watch *w = watch_find(e, rb->path, trigger, key);
    if (w != NULL) {
        return w;
    }
    if (share_has_room(e, rb->path, trigger)) {
        return watch_new(e, rb->path, trigger, key);
    }
    share_refuse(e, rb->path, trigger,
                 memory_begin_reason_of(why, rb, trigger_no) ? why : NULL);
    return NULL;
}

static void watch_free(struct engine *e, struct watch *w)
{
    heap_remove(&e->watches.dues, &w->due);
    heap_remove(&e->watches.expiries, &w->expiry);
    list_remove(&w->touched);
    (void)map_remove(&e->watches.rows, w->name);
    share_remove(e, w->row.runbook_path, w->row.trigger);
    VEC_DEINIT(&w->changes);
    mem_free(w->alert);
    mem_free(w->parameters);
    mem_free(w->error);
    mem_free(w->held);
    mem_free((char *)(uintptr_t)w->name.at);
    mem_free(w);
}

void watches_free_all(struct engine *e)
{
    struct watches *all = &e->watches;
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&all->rows, &cursor)) != NULL) {
        watch_free(e, entry->value);
    }
    map_deinit(&all->rows);
    map_deinit(&all->subjects);
    heap_deinit(&all->dues);
    heap_deinit(&all->expiries);
}

void watch_keep(struct watch *w, struct id event_id, struct str parameters,
                struct str error)
{
    w->row.event_id = event_id;
    w->row.parameters = flow_own(&w->parameters, parameters);
    w->row.error = flow_own(&w->error, error);
}

void watch_set_held(struct watch *w, struct str why)
{
    w->row.held = flow_own(&w->held, why);
}

void watch_set_alert(struct watch *w, struct str alert)
{
    w->row.alert = flow_own(&w->alert, alert);
}

/* ---- times --------------------------------------------------------------- */

/* When what is due is looked at: see above. */
static uint64_t look_ms(const struct engine *e, const struct watch *w)
{
    bool absent = w->row.state == EVENT_STATE_NONE;
    uint64_t grace_ms =
        absent ? w->row.within_ms : MIN(w->row.within_ms, GRACE_MS);
    return MAX(w->row.due_ms, e->watches.listening_ms + grace_ms);
}

static void arm(struct engine *e, struct watch *w)
{
    struct watches *all = &e->watches;
    if (w->row.due_ms == 0 || w->asked || w->dropped) {
        heap_remove(&all->dues, &w->due);
    } else {
        heap_set(&all->dues, &w->due, look_ms(e, w));
    }
    if (w->row.expires_ms == 0 || w->dropped) {
        heap_remove(&all->expiries, &w->expiry);
        return;
    }
    w->row.expires_ms = (w->row.expires_ms + EXPIRY_UNIT_MS - 1) /
                        EXPIRY_UNIT_MS * EXPIRY_UNIT_MS;
    heap_set(&all->expiries, &w->expiry, w->row.expires_ms);
}

void watch_touch(struct engine *e, struct watch *w)
{
    if (list_empty(&w->touched)) {
        list_push(&e->watches.touched, &w->touched);
    }
    w->row.changes_ms = w->changes.at;
    w->row.change_count = (uint32_t)w->changes.count;
    arm(e, w);
}

void watch_drop(struct engine *e, struct watch *w)
{
    w->dropped = true;
    w->asked = false;
    w->row = (struct watch_row){.runbook_path = w->row.runbook_path,
                                .trigger = w->row.trigger,
                                .key = w->row.key};
    watch_set_alert(w, STR(""));
    watch_set_held(w, STR(""));
    watch_keep(w, ID_NULL, STR(""), STR(""));
    VEC_CLEAR(&w->changes);
    watch_touch(e, w);
}

void watches_listen(struct engine *e)
{
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    e->watches.listening_ms = e->now_ms;
    while ((entry = map_next(&e->watches.rows, &cursor)) != NULL) {
        arm(e, entry->value);
    }
}

uint64_t watches_next_ms(const struct engine *e)
{
    const struct heap_node *due = heap_min(&e->watches.dues);
    const struct heap_node *expiry = heap_min(&e->watches.expiries);
    bool may = !e->halted && !e->paused && !engine_is_full(e);
    return MIN(may && due != NULL ? due->key : UINT64_MAX,
               expiry != NULL ? expiry->key : UINT64_MAX);
}

void watches_flush(struct engine *e)
{
    struct list *node = NULL;
    while ((node = list_pop(&e->watches.touched)) != NULL) {
        struct watch *w = CONTAINER_OF(node, struct watch, touched);
        if (!w->dropped) {
            effects_watch(e->fx, RECORD_WATCH_SET, &w->row);
            w->stored = true;
            continue;
        }
        if (w->stored) {
            effects_watch(e->fx, RECORD_WATCH_DROP, &w->row);
        }
        watch_free(e, w);
    }
}

void watches_expire(struct engine *e)
{
    for (uint32_t i = 0; i < EXPIRED_MAX; i++) {
        struct heap_node *node = heap_min(&e->watches.expiries);
        if (node == NULL || node->key > e->now_ms) {
            return;
        }
        watch_drop(e, CONTAINER_OF(node, struct watch, expiry));
    }
}

void engine_restore_watch(struct engine *e, const struct watch_row *row)
{
    ASSERT(!e->started);
    struct watch *w = watch_new(e, row->runbook_path, row->trigger, row->key);
    struct watch_row names = w->row;
    w->row = *row;
    w->row.runbook_path = names.runbook_path;
    w->row.trigger = names.trigger;
    w->row.key = names.key;
    watch_set_alert(w, row->alert);
    watch_set_held(w, row->held);
    watch_keep(w, row->event_id, row->parameters, row->error);
    for (uint32_t i = 0; i < row->change_count; i++) {
        VEC_PUSH(&w->changes, row->changes_ms[i]);
    }
    w->stored = true;
    watch_touch(e, w);
    list_remove(&w->touched);
}

/* ---- the clock ----------------------------------------------------------- */

static void shift(struct engine *e, struct watch *w, int64_t shift_ms)
{
    VEC_EACH (&w->changes, i) {
        w->changes.at[i] = clock_moved(w->changes.at[i], shift_ms);
    }
    w->row.since_ms = clock_moved(w->row.since_ms, shift_ms);
    w->row.seen_ms = clock_moved(w->row.seen_ms, shift_ms);
    w->row.due_ms = clock_moved(w->row.due_ms, shift_ms);
    w->row.expires_ms = clock_moved(w->row.expires_ms, shift_ms);
    watch_touch(e, w);
}

void watches_clock_set(struct engine *e, int64_t shift_ms)
{
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    e->watches.listening_ms = clock_moved(e->watches.listening_ms, shift_ms);
    while ((entry = map_next(&e->watches.rows, &cursor)) != NULL) {
        shift(e, entry->value, shift_ms);
    }
}

void watches_clock_check(struct engine *e)
{
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&e->watches.rows, &cursor)) != NULL) {
        struct watch *w = entry->value;
        uint64_t newest_ms = MAX(w->row.since_ms, w->row.seen_ms);
        if (newest_ms > e->now_ms) {
            shift(e, w, -(int64_t)(newest_ms - e->now_ms));
        }
    }
}

/* ---- the checks ---------------------------------------------------------- */

static void check_row(const struct watch *w)
{
    const struct watch_row *row = &w->row;
    bool in_dues = row->due_ms != 0 && !w->asked;
    INVARIANT("I7", in_dues == (w->due.place != 0));
    INVARIANT("I7", row->due_ms != 0 || row->expires_ms != 0 ||
                        row->state == EVENT_STATE_NONE);
    INVARIANT("I7", (row->expires_ms != 0) == (w->expiry.place != 0));
    INVARIANT("I7", row->expires_ms == w->expiry.key || row->expires_ms == 0);
    INVARIANT("I7", row->state != EVENT_RESOLVED || row->due_ms == 0);
    INVARIANT("I6", w->changes.count <= TRIGGER_MEMORY_MAX);
    INVARIANT("I8", w->stored && !w->dropped && list_empty(&w->touched));
    for (size_t i = 1; i < w->changes.count; i++) {
        INVARIANT("I6", w->changes.at[i - 1] <= w->changes.at[i]);
    }
}

void watches_check(const struct engine *e)
{
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&e->watches.rows, &cursor)) != NULL) {
        check_row(entry->value);
    }
    subjects_check(e);
}

static uint64_t mix_numbers(uint64_t hash, const uint64_t *at, size_t count)
{
    return count == 0
               ? str_hash(STR("-"), hash)
               : str_hash(str_n((const char *)at, count * sizeof(*at)), hash);
}

static uint64_t hash_row(const struct watch_row *row, uint64_t hash)
{
    const uint64_t numbers[] = {
        row->state,     row->newest_seq, row->starts_ms,     row->since_ms,
        row->seen_ms,   row->due_ms,     row->within_ms,     row->expires_ms,
        row->alert.len, row->held.len,   row->parameters.len};
    hash = mix_numbers(hash, numbers, ARRAY_LEN(numbers));
    hash = mix_numbers(hash, row->changes_ms, row->change_count);
    hash = str_hash(id_bytes(&row->event_id), hash);
    hash = str_hash(row->alert, hash);
    hash = str_hash(row->held, hash);
    hash = str_hash(row->parameters, hash);
    return str_hash(row->error, hash);
}

uint64_t watches_hash(const struct engine *e)
{
    uint64_t sum = 0;
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&e->watches.rows, &cursor)) != NULL) {
        const struct watch *w = entry->value;
        sum += hash_row(&w->row, str_hash(w->name, STR_HASH_SEED));
    }
    return sum;
}
