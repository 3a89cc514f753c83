/*
 * What triggers remember: when the events of a key that count were received,
 * and when workflows were started for it. Whether another one may start
 * follows from these instants and the trigger as it is now
 * (model/trigger_memory.h); there is no counter that could be lost or has to
 * be given back. A memory is changed in the step, hence the commit, that
 * starts the workflow, and forgotten when nothing of it matters any more.
 */
#include "engine/engine_priv.h"

#include <inttypes.h>

#include "base/assert.h"
#include "engine/guards.h"
#include "engine/share.h"

/* Memories that end in the same second are forgotten in one commit, and at
 * most so many at a time: the next FACT_TIME comes at once. */
#define EXPIRY_UNIT_MS 1000
#define EXPIRED_MAX 1000

/* Reasons are told until they are so long: an event can meet many triggers. */
#define WHY_MAX_BYTES 2048

/* ---- life ---------------------------------------------------------------- */

/* Path, trigger and key; none of them has a NUL inside. */
struct str memory_name(struct strbuf *out, struct str path, struct str trigger,
                       struct str key)
{
    strbuf_add(out, path);
    strbuf_addch(out, '\0');
    strbuf_add(out, trigger);
    strbuf_addch(out, '\0');
    strbuf_add(out, key);
    ASSERT(strbuf_error(out) == 0);
    return strbuf_str(out);
}

struct memory *memory_find(const struct engine *e, struct str path,
                           struct str trigger, struct str key)
{
    CLEANUP(strbuf_deinit) struct strbuf room = STRBUF_INIT(65536);
    return map_get(&e->memories, memory_name(&room, path, trigger, key));
}

struct memory *memory_new(struct engine *e, struct str path, struct str trigger,
                          struct str key)
{
    CLEANUP(strbuf_deinit) struct strbuf room = STRBUF_INIT(65536);
    struct memory *m = MEM_NEW(struct memory);
    struct str name = memory_name(&room, path, trigger, key);
    m->name = str_n(str_dup(name), name.len);
    m->row.runbook_path = str_slice(m->name, 0, path.len);
    m->row.trigger =
        str_slice(m->name, path.len + 1, path.len + 1 + trigger.len);
    m->row.key = str_slice(m->name, name.len - key.len, name.len);
    list_init(&m->touched);
    e->guard_memories += guard_is_row(&m->row) ? 1 : 0;
    INVARIANT("I8", map_put(&e->memories, m->name, m) == NULL);
    if (!guard_is_row(&m->row)) {
        share_add(e, m->row.runbook_path, m->row.trigger);
    }
    return m;
}

static void memory_free(struct engine *e, struct memory *m)
{
    if (!guard_is_row(&m->row)) {
        share_remove(e, m->row.runbook_path, m->row.trigger);
    }
    heap_remove(&e->expiries, &m->expiry);
    list_remove(&m->touched);
    e->guard_memories -= guard_is_row(&m->row) ? 1 : 0;
    (void)map_remove(&e->memories, m->name);
    VEC_DEINIT(&m->events);
    VEC_DEINIT(&m->starts);
    mem_free((char *)(uintptr_t)m->name.at);
    mem_free(m);
}

void memory_free_all(struct engine *e)
{
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&e->memories, &cursor)) != NULL) {
        memory_free(e, entry->value);
    }
    map_deinit(&e->memories);
    share_free_all(e);
    heap_deinit(&e->expiries);
}

void memory_touch(struct engine *e, struct memory *m)
{
    if (list_empty(&m->touched)) {
        list_push(&e->remembered, &m->touched);
    }
    m->row.events_ms = m->events.at;
    m->row.event_count = (uint32_t)m->events.count;
    m->row.starts_ms = m->starts.at;
    m->row.start_count = (uint32_t)m->starts.count;
    heap_set(&e->expiries, &m->expiry, m->row.expires_ms);
}

static bool is_empty(const struct memory *m)
{
    return m->events.count == 0 && m->starts.count == 0;
}

void memory_flush(struct engine *e)
{
#ifdef ADP_PLANT_LATE_MEMORY
    /* For the test of the simulator: with the next commit, not with this. */
    if (e->fx->records.count != 0) {
        return;
    }
#endif
    struct list *node = NULL;
    while ((node = list_pop(&e->remembered)) != NULL) {
        struct memory *m = CONTAINER_OF(node, struct memory, touched);
        if (!is_empty(m)) {
            effects_memory(e->fx, RECORD_MEMORY_SET, &m->row);
            m->stored = true;
            continue;
        }
        if (m->stored) {
            effects_memory(e->fx, RECORD_MEMORY_DROP, &m->row);
        }
        memory_free(e, m);
    }
}

void memory_expire(struct engine *e)
{
    for (uint32_t i = 0; i < EXPIRED_MAX; i++) {
        struct heap_node *node = heap_min(&e->expiries);
        if (node == NULL || node->key > e->now_ms) {
            return;
        }
        struct memory *m = CONTAINER_OF(node, struct memory, expiry);
        if (m->stored) {
            effects_memory(e->fx, RECORD_MEMORY_DROP, &m->row);
        }
        memory_free(e, m);
    }
}

void engine_restore_memory(struct engine *e, const struct memory_row *row)
{
    ASSERT(!e->started);
    struct memory *m = memory_new(e, row->runbook_path, row->trigger, row->key);
    for (uint32_t i = 0; i < row->event_count; i++) {
        VEC_PUSH(&m->events, row->events_ms[i]);
    }
    for (uint32_t i = 0; i < row->start_count; i++) {
        VEC_PUSH(&m->starts, row->starts_ms[i]);
    }
    m->row.last_workflow = row->last_workflow;
    m->row.expires_ms = row->expires_ms;
    m->stored = true;
    memory_touch(e, m);
    list_remove(&m->touched);
}

/* ---- counting ------------------------------------------------------------ */

/* In order, although a more urgent event may have overtaken it; of the oldest,
 * no more than can count stay. */
static void count_event(struct memory *m, const struct trigger_limits *l,
                        uint64_t received_ms)
{
    VEC_PUSH(&m->events, received_ms);
    size_t i = m->events.count - 1;
    while (i > 0 && m->events.at[i - 1] > received_ms) {
        m->events.at[i] = m->events.at[i - 1];
        i--;
    }
    m->events.at[i] = received_ms;
    uint64_t newest_ms = m->events.at[m->events.count - 1];
    while (m->events.count > l->count_least ||
           m->events.at[0] + l->count_within_ms <= newest_ms) {
        VEC_REMOVE(&m->events, 0);
    }
}

static void remember_start(struct engine *e, struct memory *m,
                           const struct trigger_limits *l, struct id workflow)
{
    uint64_t matters_ms = trigger_limits_starts_ms(l);
    uint32_t most = MAX(l->runs_most, (uint32_t)TRIGGER_MEMORY_MAX);
    VEC_CLEAR(&m->events);
    while (m->starts.count != 0 && (m->starts.at[0] + matters_ms <= e->now_ms ||
                                    m->starts.count >= most)) {
        VEC_REMOVE(&m->starts, 0);
    }
    if (matters_ms != 0) {
        VEC_PUSH(&m->starts, e->now_ms);
    }
    m->row.last_workflow = workflow;
    m->limits = *l;
}

/* When nothing of it will matter, as far as its trigger goes now. */
static uint64_t expires_ms(const struct engine *e, const struct memory *m,
                           const struct trigger_limits *l)
{
    uint64_t at_ms = e->now_ms;
    if (m->starts.count != 0) {
        at_ms = MAX(at_ms, m->starts.at[m->starts.count - 1] +
                               trigger_limits_starts_ms(l));
    }
    if (m->events.count != 0) {
        at_ms = MAX(at_ms, e->now_ms + l->count_within_ms);
    }
    return (at_ms / EXPIRY_UNIT_MS + 1) * EXPIRY_UNIT_MS;
}

/* ---- deciding ------------------------------------------------------------ */

bool memory_begin_reason_of(struct strbuf *why, const struct runbook *rb,
                            uint32_t trigger_no)
{
    if (why->len >= WHY_MAX_BYTES) {
        return false;
    }
    strbuf_addf(why, "%s%.*s, trigger %.*s: ", why->len != 0 ? "; " : "",
                STR_ARG(rb->path), STR_ARG(rb->triggers[trigger_no].name));
    return true;
}

bool memory_begin_reason(struct strbuf *why, const struct fact_match *match)
{
    return memory_begin_reason_of(why, match->runbook, match->trigger_no);
}

/* What cannot be remembered could not be limited: it does not start. */
static struct memory *
memory_of(struct engine *e, const struct fact_match *match, struct strbuf *why)
{
    struct str path = match->runbook->path;
    struct str trigger = match->runbook->triggers[match->trigger_no].name;
    struct memory *m = memory_find(e, path, trigger, match->key);
    if (m != NULL) {
        return m;
    }
    if (share_has_room(e, path, trigger)) {
        return memory_new(e, path, trigger, match->key);
    }
    share_refuse(e, path, trigger,
                 memory_begin_reason(why, match) ? why : NULL);
    return NULL;
}

bool memory_admit(struct engine *e, const struct fact_match *match,
                  uint64_t received_ms, struct strbuf *why)
{
    ASSERT(match->trigger_no < match->runbook->trigger_count);
    const struct trigger *t = &match->runbook->triggers[match->trigger_no];
    const struct trigger_limits *l = &t->limits;
    if (!trigger_limits_any(l)) {
        return guards_admit(e, match, why);
    }
    struct memory *m = memory_of(e, match, why);
    if (m == NULL) {
        return false;
    }
    if (l->count_least != 0) {
        count_event(m, l, MIN(received_ms, e->now_ms));
        memory_touch(e, m);
    }
    uint64_t event_ms =
        m->events.count != 0 ? m->events.at[m->events.count - 1] : 0;
    struct memory_state s = memory_state_at(l, &m->row, e->now_ms, event_ms);
    bool is_free = memory_hold_of(l, &s) == MEMORY_FREE;
    bool may = is_free && guards_admit(e, match, why);
    if (may) {
        remember_start(e, m, l, match->workflow_id);
    } else if (!is_free && memory_begin_reason(why, match)) {
        memory_explain(l, &m->row, &s, why);
    }
    if (m->events.count != 0 && m->events.count == l->count_least) {
        VEC_REMOVE(&m->events, 0); /* the next one makes it so many again */
    }
    if (may || l->count_least != 0 || is_empty(m)) {
        m->row.expires_ms = expires_ms(e, m, l);
        memory_touch(e, m);
    }
    return may;
}

void memory_start(struct engine *e, struct memory *m,
                  const struct trigger_limits *l, struct id workflow)
{
    remember_start(e, m, l, workflow);
    m->row.expires_ms = expires_ms(e, m, l);
    memory_touch(e, m);
}

/* ---- the clock, the checks ----------------------------------------------- */

void memory_shift(struct engine *e, struct memory *m, int64_t shift_ms)
{
    VEC_EACH (&m->events, i) {
        m->events.at[i] = clock_moved(m->events.at[i], shift_ms);
    }
    VEC_EACH (&m->starts, i) {
        m->starts.at[i] = clock_moved(m->starts.at[i], shift_ms);
    }
    m->row.expires_ms = clock_moved(m->row.expires_ms, shift_ms);
    memory_touch(e, m);
}

static bool is_sorted(const uint64_t *at, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (at[i - 1] > at[i]) {
            return false;
        }
    }
    return count <= MEMORY_INSTANTS_MAX;
}

/* The last start was within the limits that it had to keep. Before a clock
 * that shows the first day of all, distances say nothing. */
static void check_limits(const struct memory *m)
{
    size_t n = m->starts.count;
    if (n == 0 || m->starts.at[0] <= 1) {
        return;
    }
    uint64_t last_ms = m->starts.at[n - 1];
    uint32_t runs = 0;
    VEC_EACH (&m->starts, i) {
        runs += m->starts.at[i] + m->limits.runs_within_ms > last_ms;
    }
    INVARIANT("I6", m->limits.runs_most == 0 || runs <= m->limits.runs_most);
    INVARIANT("I6",
              n < 2 || last_ms - m->starts.at[n - 2] >= m->limits.cooldown_ms);
}

void memory_check(const struct engine *e)
{
    share_check(e);
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&e->memories, &cursor)) != NULL) {
        const struct memory *m = entry->value;
        INVARIANT("I6", is_sorted(m->events.at, m->events.count));
        INVARIANT("I6", is_sorted(m->starts.at, m->starts.count));
        INVARIANT("I7",
                  m->expiry.place != 0 && m->expiry.key == m->row.expires_ms);
        check_limits(m);
#ifndef ADP_PLANT_LATE_MEMORY
        INVARIANT("I8", m->stored && !is_empty(m));
        INVARIANT("I8", list_empty(&m->touched));
#endif
    }
}

static uint64_t hash_instants(uint64_t hash, const uint64_t *at, size_t count)
{
    if (count == 0) {
        return str_hash(STR("-"), hash);
    }
    return str_hash(str_n((const char *)at, count * sizeof(*at)), hash + count);
}

uint64_t memory_hash(const struct engine *e)
{
    uint64_t sum = 0;
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&e->memories, &cursor)) != NULL) {
        const struct memory *m = entry->value;
        uint64_t hash = str_hash(m->name, STR_HASH_SEED);
        hash = hash_instants(hash, m->events.at, m->events.count);
        hash = hash_instants(hash, m->starts.at, m->starts.count);
        hash = hash_instants(hash, &m->row.expires_ms, 1);
        sum += str_hash(id_bytes(&m->row.last_workflow), hash);
    }
    return sum;
}
