/* What people change: events moved by hand, priorities, settings, the audit
 * trail. Rare, so nothing here is tuned; each looks before it changes. */
#include "store/sqlite_changes.h"

#include "base/assert.h"

/* ---- giving up a claim --------------------------------------------------- */

int sqlite_events_free(struct store *s, uint64_t claim, uint64_t *moved)
{
    int r = sqlite_span_flush(s);
    while (r == 0) {
        sqlite3_stmt *st = sqlite_statement(s, SQL_SPAN_OF_CLAIM);
        stmt_bind_u64(st, 1, claim);
        int found = sqlite_next(s, st);
        struct sqlite_span span = {0};
        if (found == 1) {
            span = sqlite_span_read(st, &s->arena);
        }
        (void)sqlite3_reset(st);
        if (found <= 0) {
            return found;
        }
        struct sqlite_span part = span;
        part.status = EVENT_QUEUED;
        part.claim = 0;
        r = sqlite_span_change(s, &span, &part);
        *moved += sqlite_span_count(&part);
    }
    return r;
}

/* ---- moving ------------------------------------------------------------- */

/* The oldest span with events to move, or the one of the event that is asked
 * for, and which of its events. 1, 0, or the doom. */
static int find_from(struct store *s, const struct record_events_move *m,
                     struct sqlite_span *ret, uint64_t *ret_seq)
{
    bool one = !id_is_null(m->event_id);
    sqlite3_stmt *st =
        sqlite_statement(s, one ? SQL_SPAN_OF_EVENT : SQL_SPAN_OLDEST);
    if (one) {
        stmt_bind_id(st, 1, &m->event_id);
    } else {
        stmt_bind_u64(st, 1, m->from);
    }
    int r = sqlite_next(s, st);
    if (r == 1) {
        *ret = sqlite_span_read(st, &s->arena);
        *ret_seq =
            one ? stmt_u64(st, SQLITE_SPAN_COLUMN_COUNT) : ret->first_seq;
        r = ret->status == m->from ? 1 : 0;
    }
    (void)sqlite3_reset(st);
    return r;
}

static int move_part(struct store *s, const struct record_events_move *m,
                     const struct sqlite_span *span, uint64_t seq,
                     uint64_t count)
{
    bool queued = m->to == EVENT_QUEUED;
    struct sqlite_span part = *span;
    part.first_seq = seq;
    part.last_seq = seq + count - 1;
    part.status = m->to;
    part.attempt = queued ? 0 : part.attempt;
    part.processed_ms = queued ? 0 : m->at_ms;
    part.error = m->error;
    part.decision = STR("");
    return sqlite_span_change(s, span, &part);
}

int sqlite_events_move(struct store *s, const struct record_events_move *m,
                       uint64_t *moved)
{
    ASSERT(m->from != EVENT_PROCESSING && m->from != m->to);
    INVARIANT("I3", event_status_may(m->from, m->to));
    int r = sqlite_span_flush(s);
    uint64_t left = m->limit;
    while (r == 0 && left > 0) {
        struct sqlite_span span = {0};
        uint64_t seq = 0;
        int found = find_from(s, m, &span, &seq);
        if (found <= 0) {
            return found;
        }
        bool one = !id_is_null(m->event_id);
        uint64_t count = one ? 1 : MIN(sqlite_span_count(&span), left);
        r = move_part(s, m, &span, seq, count);
        left = one ? 0 : left - count;
        *moved += count;
    }
    return r;
}

/* ---- priorities --------------------------------------------------------- */

/* The first run of matching events in this span, from `from` on: 1 and its
 * bounds, 0, or the doom. */
static int find_run(struct store *s, const struct record_events_rank *k,
                    uint64_t from, uint64_t to, struct sqlite_span *ret)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_EVENTS_ALIKE);
    stmt_bind_u64(st, 1, from);
    stmt_bind_u64(st, 2, to);
    stmt_bind_text(st, 3, k->type);
    stmt_bind_text(st, 4, k->severity);
    int r = sqlite_next(s, st);
    int found = r;
    if (r == 1) {
        ret->first_seq = ret->last_seq = stmt_u64(st, 0);
        r = sqlite_next(s, st);
    }
    while (r == 1 && stmt_u64(st, 0) == ret->last_seq + 1) {
        ret->last_seq++;
        r = sqlite_next(s, st);
    }
    (void)sqlite3_reset(st);
    return r < 0 ? r : found;
}

static int rank_span(struct store *s, const struct record_events_rank *k,
                     struct sqlite_span rest, uint64_t from, uint64_t to,
                     uint64_t *moved)
{
    to = MIN(to, rest.last_seq);
    from = MAX(from, rest.first_seq);
    while (from <= to) {
        struct sqlite_span part = rest;
        int found = find_run(s, k, from, to, &part);
        if (found <= 0) {
            return found;
        }
        part.priority = k->priority;
        int r = sqlite_span_change(s, &rest, &part);
        if (r < 0) {
            return r;
        }
        *moved += sqlite_span_count(&part);
        rest.first_seq = from = part.last_seq + 1;
    }
    return 0;
}

int sqlite_events_rank(struct store *s, const struct record_events_rank *k,
                       uint64_t *moved)
{
    uint64_t seq = MAX(k->first_seq, 1);
    uint64_t last = seq + k->limit - 1;
    int r = sqlite_span_flush(s);
    while (r == 0 && seq <= last) {
        sqlite3_stmt *st = sqlite_statement(s, SQL_SPAN_RANKED);
        stmt_bind_u64(st, 1, seq);
        stmt_bind_u64(st, 2, last);
        stmt_bind_u64(st, 3, k->priority);
        int found = sqlite_next(s, st);
        struct sqlite_span span = {0};
        if (found == 1) {
            span = sqlite_span_read(st, &s->arena);
        }
        (void)sqlite3_reset(st);
        if (found <= 0) {
            return found;
        }
        r = rank_span(s, k, span, seq, last, moved);
        seq = span.last_seq + 1;
    }
    return r;
}

/* ---- settings and the audit trail --------------------------------------- */

int sqlite_setting(struct store *s, const struct setting_row *row)
{
    bool gone = row->value.len == 0;
    sqlite3_stmt *st =
        sqlite_statement(s, gone ? SQL_SETTING_CLEAR : SQL_SETTING_SET);
    stmt_bind_text(st, 1, row->key);
    if (!gone) {
        stmt_bind_text(st, 2, row->value);
        stmt_bind_u64(st, 3, row->at_ms);
        stmt_bind_text(st, 4, row->by);
    }
    return sqlite_run(s, st);
}

struct audit_row sqlite_audit_read(sqlite3_stmt *st, struct arena *a)
{
    int c = 0;
    struct audit_row row = {.seq = stmt_u64(st, c++)};
    row.at_ms = stmt_u64(st, c++);
    row.who = stmt_str(st, c++, a);
    row.action = stmt_str(st, c++, a);
    row.subject = stmt_str(st, c++, a);
    row.before = stmt_str(st, c++, a);
    row.after = stmt_str(st, c++, a);
    stmt_bytes(st, c++, row.hash, sizeof(row.hash));
    return row;
}

struct audit_end sqlite_audit_end_read(sqlite3_stmt *st)
{
    struct audit_end end = {.seq = stmt_u64(st, 0)};
    stmt_bytes(st, 1, end.hash, sizeof(end.hash));
    return end;
}

static int set_end(struct store *s, const struct audit_row *row)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_AUDIT_END_SET);
    stmt_bind_u64(st, 1, row->seq);
    stmt_bind_blob(st, 2, str_n((const char *)row->hash, sizeof(row->hash)));
    return sqlite_run(s, st);
}

/* It follows what was the last one, whether or not that is still there. */
int sqlite_audit(struct store *s, const struct audit_row *given)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_AUDIT_END);
    struct audit_end before = {0};
    int r = sqlite_next(s, st);
    if (r == 1) {
        before = sqlite_audit_end_read(st);
    }
    (void)sqlite3_reset(st);
    if (r < 0) {
        return r;
    }
    struct audit_row row = *given;
    row.seq = before.seq + 1;
    audit_hash(before.hash, &row, row.hash);
    st = sqlite_statement(s, SQL_AUDIT_INSERT);
    int c = 1;
    stmt_bind_u64(st, c++, row.seq);
    stmt_bind_u64(st, c++, row.at_ms);
    stmt_bind_text(st, c++, row.who);
    stmt_bind_text(st, c++, row.action);
    stmt_bind_text(st, c++, row.subject);
    stmt_bind_text(st, c++, row.before);
    stmt_bind_text(st, c++, row.after);
    stmt_bind_blob(st, c++, str_n((const char *)row.hash, sizeof(row.hash)));
    r = sqlite_run(s, st);
    return r < 0 ? r : set_end(s, &row);
}

int sqlite_verdict(struct store *s, const struct verdict_row *row)
{
    bool gone = row->verdict == VERDICT_NONE;
    sqlite3_stmt *st =
        sqlite_statement(s, gone ? SQL_VERDICT_CLEAR : SQL_VERDICT_SET);
    stmt_bind_id(st, 1, &row->subject);
    if (!gone) {
        stmt_bind_u64(st, 2, row->verdict);
        stmt_bind_u64(st, 3, row->about_ms);
        stmt_bind_u64(st, 4, row->at_ms);
        stmt_bind_text(st, 5, row->by);
        stmt_bind_text(st, 6, row->note);
    }
    return sqlite_run(s, st);
}
