/* Ingest, claim and pin of the memory driver. */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "store/memory_priv.h"

/* ---- ingest ------------------------------------------------------------- */

/* 1: answered from the first request; 0: not known; -EEXIST. */
static int replay(const struct store *s, struct store_ingest *op,
                  uint64_t now_ms)
{
    const struct mem_request *known = map_get(&s->requests, op->request_key);
    if (known == NULL || known->expires_ms <= now_ms) {
        return 0;
    }
    if (memcmp(known->hash, op->request_hash, sizeof(known->hash)) != 0 ||
        known->count != op->count) {
        return -EEXIST;
    }
    memcpy(op->results, known->results, op->count * sizeof(*op->results));
    op->replayed = true;
    return 1;
}

static void remember_request(struct store *s, const struct store_ingest *op)
{
    struct mem_request *q = ARENA_NEW(&s->arena, struct mem_request);
    q->key = arena_str(&s->arena, op->request_key);
    memcpy(q->hash, op->request_hash, sizeof(q->hash));
    q->expires_ms = op->request_expires_ms;
    q->count = op->count;
    q->results = ARENA_ARRAY(&s->arena, op->count, struct store_ingested);
    memcpy(q->results, op->results, op->count * sizeof(*op->results));
    memory_put(s, &s->requests, q->key, q);
}

void memory_request(struct store *s, const struct record_request *r)
{
    struct mem_request *q = ARENA_NEW(&s->arena, struct mem_request);
    q->key = arena_str(&s->arena, r->key);
    memcpy(q->hash, r->hash, sizeof(q->hash));
    q->expires_ms = r->expires_ms;
    q->made = r->made;
    memory_put(s, &s->requests, q->key, q);
}

/* The earlier event with this dedup key, ID_NULL if there is none; then the
 * key is this event's from now on. */
static struct id deduplicate(struct store *s, const struct mem_event *e,
                             uint64_t expires_ms, uint64_t now_ms)
{
    if (e->row.dedup_key.len == 0) {
        return ID_NULL;
    }
    const struct mem_dedup *known = map_get(&s->dedup, e->row.dedup_key);
    if (known != NULL && known->expires_ms > now_ms) {
        return known->event_id;
    }
    struct mem_dedup *d = ARENA_NEW(&s->arena, struct mem_dedup);
    *d = (struct mem_dedup){
        .key = e->row.dedup_key,
        .event_id = e->row.id,
        .expires_ms = expires_ms,
    };
    memory_put(s, &s->dedup, d->key, d);
    return ID_NULL;
}

/* A repeated delivery keeps alive what has not been resolved since. */
static void note_alert(struct store *s, struct mem_event *e, uint64_t now_ms)
{
    if (e->row.fingerprint.len == 0) {
        return;
    }
    bool repeated = !id_is_null(e->duplicate_of);
    const struct mem_event *before = map_get(&s->alerts, e->row.fingerprint);
    bool active = before != NULL && event_alert_ends_ms(&before->row) >
                                        store_alerts_since_ms(now_ms);
    if (e->row.state == EVENT_FIRING && (!repeated || active)) {
        memory_put(s, &s->alerts, e->row.fingerprint, e);
    } else if (e->row.state == EVENT_RESOLVED && !repeated) {
        memory_remove(s, &s->alerts, e->row.fingerprint);
    }
}

static int ingest_one(struct store *s, struct store_ingest *op, uint32_t i,
                      uint64_t now_ms)
{
    struct event *given = &op->events[i];
    if (map_get(&s->events_by_id, id_bytes(&given->id)) != NULL) {
        return -EEXIST;
    }
    struct mem_event *e = ARENA_NEW(&s->arena, struct mem_event);
    e->row = memory_copy_event(&s->arena, given);
    e->row.seq = s->events.count + 1;
    e->row.attempt = 0;
    MEMORY_PUSH(s, &s->events, e);
    memory_put(s, &s->events_by_id, id_bytes(&e->row.id), e);
    /* Undone as a final one, it leaves the queue. */
    e->now.status = EVENT_DEDUPLICATED;
    memory_save_event(s, e);
    e->duplicate_of = deduplicate(s, e, op->dedup_expires_ms, now_ms);
    e->now.status =
        id_is_null(e->duplicate_of) ? EVENT_QUEUED : EVENT_DEDUPLICATED;
    memory_ready(s, e);
    note_alert(s, e, now_ms);
    s->counts.accepted++;
    s->counts.events[e->now.status]++;
    given->seq = e->row.seq;
    op->results[i] = (struct store_ingested){
        .id = e->row.id,
        .status = e->now.status,
        .duplicate_of = e->duplicate_of,
    };
    return 0;
}

int memory_ingest(struct store *s, struct store_ingest *op, uint64_t now_ms)
{
    ASSERT(op->count >= 1 && op->count <= STORE_BATCH_MAX);
    op->replayed = false;
    if (op->request_key.len != 0) {
        int r = replay(s, op, now_ms);
        if (r != 0) {
            return MIN(r, 0);
        }
    }
    if (s->queue.count + op->count > s->queue_limit) {
        return -EAGAIN;
    }
    for (uint32_t i = 0; i < op->count; i++) {
        int r = ingest_one(s, op, i, now_ms);
        if (r < 0) {
            return r;
        }
    }
    if (op->request_key.len != 0) {
        remember_request(s, op);
    }
    return 0;
}

/* ---- claim -------------------------------------------------------------- */

void memory_event_set(struct store *s, struct mem_event *e,
                      enum event_status status)
{
    memory_save_event(s, e);
    s->counts.events[e->now.status]--;
    e->now.status = status;
    e->now.claim = 0;
    s->counts.events[status]++;
    memory_ready(s, e);
}

static struct mem_event *first_ready(const struct store *s)
{
    struct heap_node *node = heap_min(&s->queue);
    return node != NULL ? CONTAINER_OF(node, struct mem_event, ready) : NULL;
}

static void poison(struct store *s, struct mem_event *e, uint64_t now_ms)
{
    memory_event_set(s, e, EVENT_POISON);
    e->now.processed_ms = now_ms;
    if (e->now.error.len == 0) {
        e->now.error = STR(STORE_POISON_ERROR);
    }
}

static void give(struct store *s, struct store_claim *op, struct mem_event *e)
{
    memory_event_set(s, e, EVENT_PROCESSING);
    e->now.claim = op->claim;
    e->now.attempt++;
    struct event *given = &op->events[op->count++];
    *given = memory_copy_event(op->arena, &e->row);
    given->attempt = e->now.attempt;
}

int memory_claim(struct store *s, struct store_claim *op, uint64_t now_ms)
{
    ASSERT(op->limit > 0 && op->max_attempts > 0);
    op->count = 0;
    struct mem_event *e = first_ready(s);
    while (e != NULL && e->now.attempt >= op->max_attempts) {
        poison(s, e, now_ms);
        e = first_ready(s);
    }
    if (e == NULL) {
        return -EAGAIN;
    }
    op->claim = ++s->last_claim;
    op->events = ARENA_ARRAY(op->arena, op->limit, struct event);
    bool alone = e->now.attempt > 0;
    do {
        give(s, op, e);
        e = first_ready(s);
    } while (!alone && op->count < op->limit && e != NULL &&
             e->now.attempt == 0);
    return 0;
}

/* ---- pin ---------------------------------------------------------------- */

int memory_pin(struct store *s, const struct store_pin *op)
{
    struct str key =
        str_n((const char *)op->hash.bytes, sizeof(op->hash.bytes));
    if (map_get(&s->runbooks, key) != NULL) {
        return 0;
    }
    struct mem_runbook *rb = ARENA_NEW(&s->arena, struct mem_runbook);
    rb->hash = op->hash;
    rb->path = arena_str(&s->arena, op->path);
    rb->text = arena_str(&s->arena, op->text);
    key.at = (const char *)rb->hash.bytes;
    memory_put(s, &s->runbooks, key, rb);
    return 0;
}
