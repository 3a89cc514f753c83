/* Notices in the SQLite driver: writing and reading. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/vec.h"
#include "store/sqlite_changes.h"
#include "store/sqlite_reader.h"

int sqlite_notice_new(struct store *s, const struct notice_row *row)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_NOTICE_INSERT);
    int c = 1;
    stmt_bind_u64(st, c++, row->channel);
    stmt_bind_u64(st, c++, row->state);
    stmt_bind_u64(st, c++, row->created_ms);
    stmt_bind_u64(st, c++, row->tried_ms);
    stmt_bind_u64(st, c++, row->attempts);
    stmt_bind_text(st, c++, row->key);
    stmt_bind_text(st, c++, row->body);
    stmt_bind_text(st, c++, row->error);
    return sqlite_run(s, st);
}

static int trim_dead(struct store *s)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_NOTICE_TRIM);
    stmt_bind_u64(st, 1, NOTICE_DEAD_MAX);
    return sqlite_run(s, st);
}

int sqlite_notice_tried(struct store *s, const struct notice_try *t)
{
    if (t->fate == NOTICE_TAKEN) {
        sqlite3_stmt *st = sqlite_statement(s, SQL_NOTICE_REMOVE);
        stmt_bind_u64(st, 1, t->seq);
        return sqlite_run(s, st);
    }
    sqlite3_stmt *st = sqlite_statement(s, SQL_NOTICE_SET);
    stmt_bind_u64(st, 1, t->seq);
    stmt_bind_u64(st, 2,
                  t->fate == NOTICE_GIVEN_UP ? NOTICE_DEAD : NOTICE_PENDING);
    stmt_bind_u64(st, 3, t->attempts);
    stmt_bind_u64(st, 4, t->tried_ms);
    stmt_bind_text(st, 5, t->error);
    int r = sqlite_run(s, st);
    return r == 0 && t->fate == NOTICE_GIVEN_UP ? trim_dead(s) : r;
}

/* ---- reading --------------------------------------------------------------
 */

static struct notice_row read_row(sqlite3_stmt *st, struct arena *a)
{
    int c = 0;
    struct notice_row row = {.seq = stmt_u64(st, c++)};
    row.channel = (enum integration)stmt_u32(st, c++);
    row.state = (enum notice_state)stmt_u32(st, c++);
    row.created_ms = stmt_u64(st, c++);
    row.tried_ms = stmt_u64(st, c++);
    row.attempts = stmt_u32(st, c++);
    row.key = stmt_str(st, c++, a);
    row.body = stmt_str(st, c++, a);
    row.error = stmt_str(st, c++, a);
    return row;
}

int sqlite_read_notices(struct reader *r, const struct notice_filter *f,
                        struct arena *a, struct notice_row **ret,
                        uint32_t *ret_count)
{
    sqlite3_stmt *st = sqlite_read_begin(
        r, f->oldest_first ? READ_NOTICES_UP : READ_NOTICES_DOWN);
    stmt_bind_u64(st, 1, f->channel);
    stmt_bind_u64(st, 2, f->state);
    stmt_bind_u64(st, 3, f->before_seq != 0 ? f->before_seq : INT64_MAX);
    stmt_bind_u64(st, 4, f->limit);
    VEC(struct notice_row) rows = {0};
    int n = sqlite_read_next(st);
    while (n == 1) {
        VEC_PUSH(&rows, read_row(st, a));
        n = sqlite_read_next(st);
    }
    (void)sqlite3_reset(st);
    if (n == 0) {
        *ret = ARENA_COPY(a, rows.at, rows.count);
        *ret_count = (uint32_t)rows.count;
    }
    VEC_DEINIT(&rows);
    return n;
}

int sqlite_read_notice_counts(struct reader *r, struct notice_counts *ret)
{
    sqlite3_stmt *st = sqlite_read_begin(r, READ_NOTICE_COUNTS);
    *ret = (struct notice_counts){0};
    int n = sqlite_read_next(st);
    while (n == 1) {
        uint32_t channel = stmt_u32(st, 0);
        uint32_t state = stmt_u32(st, 1);
        if (channel < INTEGRATIONS && state < NOTICE_STATES) {
            ret->of[channel][state] = stmt_u64(st, 2);
        }
        n = sqlite_read_next(st);
    }
    (void)sqlite3_reset(st);
    return n;
}
