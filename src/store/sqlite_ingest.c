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

/* The results are kept as they are in memory: ids, statuses, nothing else. */
static int remember_request(struct store *s, const struct store_ingest *op)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_REQUEST_INSERT);
    stmt_bind_text(st, 1, op->request_key);
    stmt_bind_blob(
        st, 2, str_n((const char *)op->request_hash, sizeof(op->request_hash)));
    stmt_bind_u64(st, 3, op->request_expires_ms);
    stmt_bind_blob(
        st, 4,
        str_n((const char *)op->results, op->count * sizeof(*op->results)));
    return sqlite_run(s, st);
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
    stmt_bind_u64(st, c++, e->priority);
    c++; /* attempt: 0 in the text */
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
    st = sqlite_statement(s, SQL_EVENT_DUPLICATE);
    stmt_bind_u64(st, 1, e->seq);
    stmt_bind_id(st, 2, ret_of);
    return sqlite_run(s, st);
}

/* Keeps the live alerts: the newest event of a fingerprint decides. */
static int note_alert(struct store *s, const struct event *e)
{
    if (e->fingerprint.len == 0 || e->state == EVENT_STATE_NONE) {
        return 0;
    }
    bool fires = e->state == EVENT_FIRING;
    sqlite3_stmt *st =
        sqlite_statement(s, fires ? SQL_ALERT_SET : SQL_ALERT_CLEAR);
    stmt_bind_text(st, 1, e->fingerprint);
    if (fires) {
        stmt_bind_u64(st, 2, e->seq);
        stmt_bind_u64(st, 3, e->ends_ms);
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
    if (r < 0 || (r = note_alert(s, &e)) < 0 || (r = note_minute(s, &e)) < 0) {
        return r;
    }
    s->tally.last_seq = e.seq;
    op->events[i].seq = e.seq;
    op->results[i] = (struct store_ingested){
        .id = e.id,
        .status = id_is_null(duplicate_of) ? EVENT_QUEUED : EVENT_DEDUPLICATED,
        .duplicate_of = duplicate_of,
    };
    sqlite_count_event(s, -1, op->results[i].status);
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

static int make_poison(struct store *s, uint64_t seq, enum event_status from,
                       uint64_t now_ms)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_EVENT_POISON);
    stmt_bind_u64(st, 1, seq);
    stmt_bind_u64(st, 2, now_ms);
    int r = sqlite_run(s, st);
    if (r == 0) {
        sqlite_count_event(s, (int)from, EVENT_POISON);
    }
    return r;
}

/* Reads up to limit events that may be given together; statuses[i] is what
 * they are now. */
static int read_ready(struct store *s, struct store_claim *op, uint32_t limit,
                      enum event_status *statuses)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_READY);
    stmt_bind_u64(st, 1, limit);
    op->count = 0;
    int r = sqlite_next(s, st);
    while (r == 1) {
        struct event *e = &op->events[op->count];
        if (stmt_event(st, op->arena, e) < 0) {
            r = sqlite_doom(s, SQLITE_CORRUPT);
            break;
        }
        if (op->count > 0 && e->attempt > 0) {
            break;
        }
        statuses[op->count] = (enum event_status)stmt_u32(st, STMT_EVENT_COUNT);
        op->count++;
        if (e->attempt > 0) {
            break;
        }
        r = sqlite_next(s, st);
    }
    (void)sqlite3_reset(st);
    return MIN(r, 0);
}

static int take(struct store *s, struct store_claim *op, uint32_t i,
                enum event_status from)
{
    struct event *e = &op->events[i];
    e->attempt++;
    sqlite3_stmt *st = sqlite_statement(s, SQL_EVENT_CLAIM);
    stmt_bind_u64(st, 1, e->seq);
    stmt_bind_u64(st, 2, op->claim);
    stmt_bind_u64(st, 3, e->attempt);
    int r = sqlite_run(s, st);
    if (r == 0) {
        sqlite_count_event(s, (int)from, EVENT_PROCESSING);
    }
    return r;
}

int sqlite_claim(struct store *s, struct store_claim *op, uint64_t now_ms)
{
    ASSERT(op->limit > 0 && op->max_attempts > 0);
    op->count = 0;
    if (store_sqlite.queued(s) == 0) {
        return -EAGAIN;
    }
    uint32_t limit = (uint32_t)MIN((uint64_t)op->limit, store_sqlite.queued(s));
    op->events = ARENA_ARRAY(op->arena, limit, struct event);
    enum event_status *statuses =
        ARENA_ARRAY(op->arena, limit, enum event_status);
    int r = read_ready(s, op, limit, statuses);
    while (r == 0 && op->count > 0 &&
           op->events[0].attempt >= op->max_attempts) {
        r = make_poison(s, op->events[0].seq, statuses[0], now_ms);
        if (r == 0) {
            r = read_ready(s, op, limit, statuses);
        }
    }
    if (r < 0) {
        return r;
    }
    if (op->count == 0) {
        return -EAGAIN;
    }
    op->claim = ++s->last_claim;
    for (uint32_t i = 0; r == 0 && i < op->count; i++) {
        r = take(s, op, i, statuses[i]);
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
