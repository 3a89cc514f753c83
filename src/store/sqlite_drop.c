/* Removing events that are over for long, span by span. */
#include "base/assert.h"
#include "store/sqlite_changes.h"

/* The first span with an event at or after seq. 1, 0, or the doom. */
static int next_span(struct store *s, uint64_t seq, struct sqlite_span *ret)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_SPAN_NEXT);
    stmt_bind_u64(st, 1, seq);
    int r = sqlite_next(s, st);
    if (r == 1) {
        *ret = sqlite_span_read(st, &s->arena);
    }
    (void)sqlite3_reset(st);
    return r;
}

/* The events of this range that must stay: how many, or the doom. */
static int64_t find_kept(struct store *s, const struct record_events_drop *d,
                         uint64_t first, uint64_t last, uint64_t *kept)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_EVENTS_KEPT);
    stmt_bind_u64(st, 1, first);
    stmt_bind_u64(st, 2, last);
    stmt_bind_u64(st, 3, d->before_ms);
    stmt_bind_u64(st, 4, d->now_ms);
    stmt_bind_u64(st, 5, d->live_alerts ? 1 : 0);
    int64_t count = 0;
    int r = sqlite_next(s, st);
    while (r == 1) {
        kept[count++] = stmt_u64(st, 0);
        r = sqlite_next(s, st);
    }
    (void)sqlite3_reset(st);
    return r < 0 ? r : count;
}

/* Takes first..last out of the span, which becomes what is behind it. */
static int take_out(struct store *s, struct sqlite_span *span, uint64_t first,
                    uint64_t last, uint64_t *moved)
{
    if (first > last) {
        return 0;
    }
    struct sqlite_span part = *span;
    part.first_seq = first;
    part.last_seq = last;
    int r = sqlite_span_remove(s, span, &part);
    span->first_seq = last + 1;
    *moved += sqlite_span_count(&part);
    return r;
}

static int drop_part(struct store *s, const struct record_events_drop *d,
                     struct sqlite_span span, uint64_t first, uint64_t last,
                     uint64_t *moved)
{
    uint64_t *kept = ARENA_ARRAY(&s->arena, last - first + 1, uint64_t);
    int64_t count = find_kept(s, d, first, last, kept);
    int r = count < 0 ? (int)count : 0;
    for (int64_t i = 0; r == 0 && i < count; i++) {
        r = take_out(s, &span, first, kept[i] - 1, moved);
        first = kept[i] + 1;
    }
    return r == 0 ? take_out(s, &span, first, last, moved) : r;
}

/* The minutes before the first event are of no use any more. */
static int forget_minutes(struct store *s, uint64_t before_ms)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_EVENT_FIRST);
    int r = sqlite_next(s, st);
    uint64_t first = r == 1 ? stmt_u64(st, 0) : 0;
    (void)sqlite3_reset(st);
    if (r < 0) {
        return r;
    }
    st = sqlite_statement(s, SQL_MINUTES_REMOVE);
    stmt_bind_u64(st, 1, before_ms);
    stmt_bind_u64(st, 2, first != 0 ? first : s->tally.last_seq + 1);
    return sqlite_run(s, st);
}

int sqlite_events_drop(struct store *s, const struct record_events_drop *d,
                       uint64_t *moved)
{
    uint64_t seq = MAX(d->first_seq, 1);
    uint64_t last = seq + d->limit - 1;
    uint64_t before = *moved;
    int r = sqlite_span_flush(s);
    while (r == 0 && seq <= last) {
        struct sqlite_span span = {0};
        int found = next_span(s, seq, &span);
        if (found < 0) {
            return found;
        }
        if (found == 0 || span.first_seq > last) {
            break;
        }
        uint64_t from = MAX(span.first_seq, seq);
        uint64_t to = MIN(span.last_seq, last);
        if (event_status_is_over(span.status)) {
            r = drop_part(s, d, span, from, to, moved);
        }
        seq = to + 1;
    }
    return r == 0 && *moved != before ? forget_minutes(s, d->before_ms) : r;
}
