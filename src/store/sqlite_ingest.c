/* Accepting events, giving them out, and pinning runbooks. The path of every
 * event: each statement here is paid for by all of them. */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "store/sqlite_priv.h"

/* ---- request keys ------------------------------------------------------- */

/* 1: answered from the first request; 0: not known; -EEXIST, or the doom. */
static int replay(struct store *s, struct store_ingest *op, uint64_t now_ms)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_REQUEST_FIND);
    stmt_bind_text(st, 1, op->request_key);
    stmt_bind_u64(st, 2, now_ms);
    int r = sqlite_next(s, st);
    if (r == 1) {
        uint8_t hash[sizeof(op->request_hash)];
        stmt_bytes(st, 0, hash, sizeof(hash));
        size_t bytes = op->count * sizeof(*op->results);
        if (memcmp(hash, op->request_hash, sizeof(hash)) != 0 ||
            sqlite3_column_bytes(st, 1) != (int)bytes) {
            r = -EEXIST;
        } else {
            memcpy(op->results, sqlite3_column_blob(st, 1), bytes);
            op->replayed = true;
        }
    }
    (void)sqlite3_reset(st);
    return r;
}

static int remember(struct store *s, struct str key, const uint8_t hash[32],
                    uint64_t expires_ms, struct str results)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_REQUEST_INSERT);
    stmt_bind_text(st, 1, key);
    stmt_bind_blob(st, 2, str_n((const char *)hash, 32));
    stmt_bind_u64(st, 3, expires_ms);
    stmt_bind_blob(st, 4, results);
    return sqlite_run(s, st);
}

/* The results are kept as they are in memory: ids, statuses, nothing else. */
static int remember_request(struct store *s, const struct store_ingest *op)
{
    struct str results =
        str_n((const char *)op->results, op->count * sizeof(*op->results));
    return remember(s, op->request_key, op->request_hash,
                    op->request_expires_ms, results);
}

int sqlite_request(struct store *s, const struct record_request *r)
{
    return remember(s, r->key, r->hash, r->expires_ms, id_bytes(&r->made));
}

/* ---- ingest ------------------------------------------------------------- */

static int insert_event(struct store *s, const struct event *e)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_EVENT_INSERT);
    strbuf_reset(&s->scratch);
    labels_encode(&e->labels, &s->scratch);
    ASSERT(strbuf_error(&s->scratch) == 0);
    int c = 1;
    stmt_bind_u64(st, c++, e->seq);
    stmt_bind_id(st, c++, &e->id);
    stmt_bind_u64(st, c++, e->received_ms);
    stmt_bind_u64(st, c++, e->starts_ms);
    stmt_bind_u64(st, c++, e->ends_ms);
    stmt_bind_u64(st, c++, e->state);
    stmt_bind_text(st, c++, e->type);
    stmt_bind_text(st, c++, e->severity);
    stmt_bind_text(st, c++, e->source);
    stmt_bind_text(st, c++, e->fingerprint);
    stmt_bind_text(st, c++, e->dedup_key);
    stmt_bind_blob(st, c++, strbuf_str(&s->scratch));
    stmt_bind_text(st, c++, e->body);
    return sqlite_run(s, st);
}

/* Takes the event's dedup key. When it is taken already, *ret_of becomes the
 * event that has it, and this one a duplicate. */
static int deduplicate(struct store *s, const struct event *e,
                       const struct store_ingest *op, uint64_t now_ms,
                       struct id *ret_of)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_DEDUP_TAKE);
    stmt_bind_u64(st, 1, e->seq);
    stmt_bind_text(st, 2, e->dedup_key);
    stmt_bind_u64(st, 3, op->dedup_expires_ms);
    stmt_bind_u64(st, 4, now_ms);
    int r = sqlite_run(s, st);
    if (r < 0 || sqlite3_changes(s->db) != 0) {
        return r;
    }
    st = sqlite_statement(s, SQL_DEDUP_FIND);
    stmt_bind_text(st, 1, e->dedup_key);
    r = sqlite_next(s, st);
    if (r < 0) {
        return r;
    }
    *ret_of = r == 1 ? stmt_id(st, 0) : ID_NULL;
    (void)sqlite3_reset(st);
    return 0;
}

/* Keeps the live alerts: the newest event of a fingerprint decides. A repeated
 * delivery says nothing new about what has been resolved since; what is still
 * active it keeps so for longer. */
static int note_alert(struct store *s, const struct event *e, bool repeated,
                      uint64_t now_ms)
{
    if (e->fingerprint.len == 0 || e->state == EVENT_STATE_NONE) {
        return 0;
    }
    if (e->state == EVENT_RESOLVED) {
        if (repeated) {
            return 0;
        }
        sqlite3_stmt *st = sqlite_statement(s, SQL_ALERT_CLEAR);
        stmt_bind_text(st, 1, e->fingerprint);
        return sqlite_run(s, st);
    }
    sqlite3_stmt *st =
        sqlite_statement(s, repeated ? SQL_ALERT_REPEAT : SQL_ALERT_SET);
    stmt_bind_text(st, 1, e->fingerprint);
    stmt_bind_u64(st, 2, e->seq);
    stmt_bind_u64(st, 3, event_alert_ends_ms(e));
    if (repeated) {
        stmt_bind_u64(st, 4, store_alerts_since_ms(now_ms));
    }
    return sqlite_run(s, st);
}

static int note_minute(struct store *s, const struct event *e)
{
    uint64_t minute = e->received_ms / 60000;
    if (minute == s->tally.last_minute) {
        return 0;
    }
    s->tally.last_minute = minute;
    sqlite3_stmt *st = sqlite_statement(s, SQL_MINUTE_INSERT);
    stmt_bind_u64(st, 1, minute);
    stmt_bind_u64(st, 2, e->seq);
    return sqlite_run(s, st);
}

static int queue(struct store *s, const struct event *e, struct id duplicate_of)
{
    return id_is_null(duplicate_of)
               ? sqlite_span_accept(s, e->seq, e->priority)
               : sqlite_span_duplicate(s, e->seq, e->priority, duplicate_of);
}

static int ingest_one(struct store *s, struct store_ingest *op, uint32_t i,
                      uint64_t now_ms)
{
    struct event e = op->events[i];
    e.seq = s->tally.last_seq + 1;
    int r = insert_event(s, &e);
    if (r < 0) {
        return r;
    }
    struct id duplicate_of = ID_NULL;
    if (e.dedup_key.len != 0) {
        r = deduplicate(s, &e, op, now_ms, &duplicate_of);
    }
    bool repeated = !id_is_null(duplicate_of);
    if (r < 0 || (r = note_alert(s, &e, repeated, now_ms)) < 0 ||
        (r = note_minute(s, &e)) < 0 || (r = queue(s, &e, duplicate_of)) < 0) {
        return r;
    }
    s->tally.last_seq = e.seq;
    op->events[i].seq = e.seq;
    op->results[i] = (struct store_ingested){
        .id = e.id,
        .status = id_is_null(duplicate_of) ? EVENT_QUEUED : EVENT_DEDUPLICATED,
        .duplicate_of = duplicate_of,
    };
    sqlite_count_events(s, -1, op->results[i].status, 1);
    return 0;
}

int sqlite_ingest(struct store *s, struct store_ingest *op, uint64_t now_ms)
{
    ASSERT(op->count >= 1 && op->count <= STORE_BATCH_MAX);
    op->replayed = false;
    if (op->request_key.len != 0) {
        int r = replay(s, op, now_ms);
        if (r != 0) {
            return MIN(r, 0);
        }
    }
    if (!s->has_ballast) {
        return -ENOSPC;
    }
    if (store_sqlite.queued(s) + op->count > s->queue_limit) {
        return -EAGAIN;
    }
    /* Kept as bytes for replays: no padding may hold what was here before. */
    memset(op->results, 0, op->count * sizeof(*op->results));
    for (uint32_t i = 0; i < op->count; i++) {
        int r = ingest_one(s, op, i, now_ms);
        if (r < 0) {
            return r;
        }
    }
    return op->request_key.len != 0 ? remember_request(s, op) : 0;
}

/* ---- claim -------------------------------------------------------------- */

/* A span that a claim gives, or the first `count` events of it. */
struct given {
    struct sqlite_span span;
    uint32_t count;
};

static struct sqlite_span first_of(const struct given *g)
{
    struct sqlite_span part = g->span;
    part.last_seq = part.first_seq + g->count - 1;
    return part;
}

static int make_poison(struct store *s, const struct given *g, uint64_t now_ms)
{
    struct sqlite_span part = first_of(g);
    part.status = EVENT_POISON;
    part.processed_ms = now_ms;
    part.error = part.error.len != 0 ? part.error : STR(STORE_POISON_ERROR);
    return sqlite_span_change(s, &g->span, &part);
}

/* Finds up to limit events that may be given together: how many spans they
 * are in, 0 if there is nothing, or the doom. */
static int find_ready(struct store *s, struct arena *a, uint32_t limit,
                      struct given *given)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_READY);
    stmt_bind_u64(st, 1, limit);
    int count = 0;
    int r = sqlite_next(s, st);
    while (r == 1) {
        struct given g = {.span = sqlite_span_read(st, a)};
        bool was_tried = g.span.attempt > 0;
        if (was_tried && count > 0) {
            break;
        }
        g.count = (uint32_t)MIN(sqlite_span_count(&g.span),
                                was_tried ? 1 : (uint64_t)limit);
        given[count++] = g;
        limit -= g.count;
        if (was_tried || limit == 0) {
            break;
        }
        r = sqlite_next(s, st);
    }
    (void)sqlite3_reset(st);
    return r < 0 ? r : count;
}

static int read_events(struct store *s, const struct given *g,
                       struct store_claim *op)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_EVENT_READ);
    stmt_bind_u64(st, 1, g->span.first_seq);
    stmt_bind_u64(st, 2, g->count);
    uint32_t count = 0;
    int r = sqlite_next(s, st);
    while (r == 1 && count < g->count) {
        struct event *e = &op->events[op->count + count];
        if (stmt_event(st, op->arena, e) < 0) {
            r = sqlite_doom(s, SQLITE_CORRUPT);
            break;
        }
        e->attempt++;
        count++;
        r = sqlite_next(s, st);
    }
    (void)sqlite3_reset(st);
    if (r >= 0 && count != g->count) {
        r = sqlite_doom(s, SQLITE_CORRUPT);
    }
    op->count += count;
    return MIN(r, 0);
}

static int take(struct store *s, const struct given *g, struct store_claim *op)
{
    int r = read_events(s, g, op);
    if (r < 0) {
        return r;
    }
    struct sqlite_span part = first_of(g);
    part.status = EVENT_PROCESSING;
    part.claim = op->claim;
    part.attempt++;
    return sqlite_span_change(s, &g->span, &part);
}

int sqlite_claim(struct store *s, struct store_claim *op, uint64_t now_ms)
{
    ASSERT(op->limit > 0 && op->max_attempts > 0);
    op->count = 0;
    if (store_sqlite.queued(s) == 0) {
        return -EAGAIN;
    }
    uint32_t limit = (uint32_t)MIN((uint64_t)op->limit, store_sqlite.queued(s));
    struct given *given = ARENA_ARRAY(&s->arena, limit, struct given);
    int r = sqlite_span_flush(s);
    int count = r < 0 ? r : find_ready(s, &s->arena, limit, given);
    while (count > 0 && given[0].span.attempt >= op->max_attempts) {
        r = make_poison(s, &given[0], now_ms);
        count = r < 0 ? r : find_ready(s, &s->arena, limit, given);
    }
    if (count <= 0) {
        return count < 0 ? count : -EAGAIN;
    }
    op->events = ARENA_ARRAY(op->arena, limit, struct event);
    op->claim = ++s->last_claim;
    for (int i = 0; r == 0 && i < count; i++) {
        r = take(s, &given[i], op);
    }
    return r;
}

/* ---- pin ---------------------------------------------------------------- */

int sqlite_pin(struct store *s, const struct store_pin *op)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_RUNBOOK_INSERT);
    stmt_bind_blob(st, 1,
                   str_n((const char *)op->hash.bytes, sizeof(op->hash.bytes)));
    stmt_bind_text(st, 2, op->path);
    stmt_bind_text(st, 3, op->text);
    return sqlite_run(s, st);
}
