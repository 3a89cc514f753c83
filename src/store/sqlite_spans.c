/*
 * What has become of the events. Neighbours mostly share their fate: they are
 * queued together, given to one worker, and done in one transaction. So a row
 * of event_span says it for a range of events, and the wide rows of the
 * events themselves are never written again. The span that newly accepted
 * events are added to grows in memory and is written once a transaction.
 */
#include <errno.h>

#include "base/assert.h"
#include "store/sqlite_priv.h"

uint64_t sqlite_span_count(const struct sqlite_span *span)
{
    return span->last_seq - span->first_seq + 1;
}

static int put(struct store *s, const struct sqlite_span *span)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_SPAN_PUT);
    int c = 1;
    stmt_bind_u64(st, c++, span->first_seq);
    stmt_bind_u64(st, c++, span->last_seq);
    stmt_bind_u64(st, c++, span->status);
    stmt_bind_u64(st, c++, span->priority);
    stmt_bind_u64(st, c++, span->attempt);
    stmt_bind_u64(st, c++, span->claim);
    stmt_bind_u64(st, c++, span->processed_ms);
    stmt_bind_text(st, c++, span->error);
    stmt_bind_id(st, c++, &span->duplicate_of);
    stmt_bind_text(st, c++, span->decision);
    return sqlite_run(s, st);
}

/* ---- the growing one ---------------------------------------------------- */

int sqlite_span_flush(struct store *s)
{
    struct sqlite_tail *tail = &s->tally.tail;
    if (!tail->changed) {
        return 0;
    }
    struct sqlite_span span = {.first_seq = tail->first_seq,
                               .last_seq = tail->last_seq,
                               .status = EVENT_QUEUED,
                               .priority = tail->priority};
    tail->changed = false;
    return put(s, &span);
}

int sqlite_span_accept(struct store *s, uint64_t seq, uint8_t priority)
{
    struct sqlite_tail *tail = &s->tally.tail;
    if (tail->first_seq != 0 && tail->last_seq + 1 == seq &&
        tail->priority == priority) {
        tail->last_seq = seq;
        tail->changed = true;
        return 0;
    }
    int r = sqlite_span_flush(s);
    *tail = (struct sqlite_tail){.first_seq = seq,
                                 .last_seq = seq,
                                 .priority = priority,
                                 .changed = true};
    return r;
}

int sqlite_span_duplicate(struct store *s, uint64_t seq, uint8_t priority,
                          struct id of)
{
    struct sqlite_span span = {.first_seq = seq,
                               .last_seq = seq,
                               .status = EVENT_DEDUPLICATED,
                               .priority = priority,
                               .duplicate_of = of};
    return put(s, &span);
}

/* The growing span lost its first events, or all. */
static void shorten_tail(struct store *s, const struct sqlite_span *old,
                         const struct sqlite_span *part)
{
    struct sqlite_tail *tail = &s->tally.tail;
    if (tail->first_seq == old->first_seq) {
        ASSERT(!tail->changed && tail->last_seq == old->last_seq);
        tail->first_seq = part->last_seq + 1;
        if (part->last_seq == old->last_seq) {
            *tail = (struct sqlite_tail){0};
        }
    }
}

/* ---- changing ----------------------------------------------------------- */

struct sqlite_span sqlite_span_read(sqlite3_stmt *st, struct arena *a)
{
    int c = 0;
    struct sqlite_span span = {.first_seq = stmt_u64(st, c++)};
    span.last_seq = stmt_u64(st, c++);
    span.status = (enum event_status)stmt_u32(st, c++);
    span.priority = (uint8_t)stmt_u32(st, c++);
    span.attempt = stmt_u32(st, c++);
    span.claim = stmt_u64(st, c++);
    span.processed_ms = stmt_u64(st, c++);
    span.error = stmt_str(st, c++, a);
    span.duplicate_of = stmt_id(st, c++);
    span.decision = stmt_str(st, c++, a);
    return span;
}

int sqlite_span_find(struct store *s, uint64_t seq, struct arena *a,
                     struct sqlite_span *ret)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_SPAN_FIND);
    stmt_bind_u64(st, 1, seq);
    int r = sqlite_next(s, st);
    if (r == 1) {
        *ret = sqlite_span_read(st, a);
        r = ret->last_seq >= seq;
    }
    (void)sqlite3_reset(st);
    return r;
}

/* Cuts the part out of the old span: writes what is behind and before it. */
static int cut(struct store *s, const struct sqlite_span *old,
               const struct sqlite_span *part)
{
    ASSERT(part->first_seq >= old->first_seq &&
           part->last_seq <= old->last_seq &&
           part->first_seq <= part->last_seq);
    int r = 0;
    if (part->last_seq < old->last_seq) {
        struct sqlite_span behind = *old;
        behind.first_seq = part->last_seq + 1;
        r = put(s, &behind);
    }
    if (r == 0 && part->first_seq > old->first_seq) {
        struct sqlite_span before = *old;
        before.last_seq = part->first_seq - 1;
        r = put(s, &before);
    }
    return r;
}

int sqlite_span_change(struct store *s, const struct sqlite_span *old,
                       const struct sqlite_span *part)
{
    int r = cut(s, old, part);
    if (r == 0) {
        r = put(s, part);
    }
    if (r == 0) {
        shorten_tail(s, old, part);
        sqlite_count_events(s, (int)old->status, part->status,
                            sqlite_span_count(part));
    }
    return r;
}

static int remove_range(struct store *s, enum sqlite_statement which,
                        const struct sqlite_span *part)
{
    sqlite3_stmt *st = sqlite_statement(s, which);
    stmt_bind_u64(st, 1, part->first_seq);
    stmt_bind_u64(st, 2, part->last_seq);
    return sqlite_run(s, st);
}

int sqlite_span_remove(struct store *s, const struct sqlite_span *old,
                       const struct sqlite_span *part)
{
    ASSERT(event_status_is_over(old->status));
    int r = cut(s, old, part);
    if (r == 0 && part->first_seq == old->first_seq) {
        sqlite3_stmt *st = sqlite_statement(s, SQL_SPAN_REMOVE);
        stmt_bind_u64(st, 1, old->first_seq);
        r = sqlite_run(s, st);
    }
    if (r == 0) {
        r = remove_range(s, SQL_ALERTS_REMOVE, part);
    }
    if (r == 0) {
        r = remove_range(s, SQL_EVENTS_REMOVE, part);
    }
    if (r == 0) {
        r = remove_range(s, SQL_DEDUP_REMOVE, part);
    }
    if (r == 0) {
        uint64_t n = sqlite_span_count(part);
        sqlite_count_events(s, (int)old->status, EVENT_ARCHIVED, n);
        s->tally.counts.removed_events += n;
    }
    return r;
}
