/* What triggers remember, in the SQLite driver. */
#include <errno.h>
#include <string.h>

#include "base/vec.h"
#include "store/sqlite_changes.h"
#include "store/sqlite_reader.h"

/* ---- instants ------------------------------------------------------------ */

static struct str encode(struct arena *a, const uint64_t *at, uint32_t count)
{
    char *bytes = ARENA_ARRAY(a, MAX(count * 8, 1U), char);
    for (size_t i = 0; i < (size_t)count * 8; i++) {
        bytes[i] = (char)(at[i / 8] >> (8 * (i % 8)) & 0xFF);
    }
    return str_n(bytes, (size_t)count * 8);
}

/* 0, or -EBADMSG: these are no instants. */
static int decode(sqlite3_stmt *st, int column, struct arena *a,
                  const uint64_t **ret, uint32_t *ret_count)
{
    struct str bytes = stmt_str(st, column, a);
    size_t count = bytes.len / 8;
    if (bytes.len % 8 != 0 || count > MEMORY_INSTANTS_MAX) {
        return -EBADMSG;
    }
    uint64_t *at = ARENA_ARRAY(a, MAX(count, (size_t)1), uint64_t);
    for (size_t i = 0; i < bytes.len; i++) {
        at[i / 8] |= (uint64_t)(unsigned char)bytes.at[i] << (8 * (i % 8));
    }
    *ret = at;
    *ret_count = (uint32_t)count;
    return 0;
}

/* ---- writing ------------------------------------------------------------- */

static void bind_name(sqlite3_stmt *st, const struct memory_row *row)
{
    stmt_bind_text(st, 1, row->runbook_path);
    stmt_bind_text(st, 2, row->trigger);
    stmt_bind_text(st, 3, row->key);
}

int sqlite_memory_set(struct store *s, const struct memory_row *row)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_MEMORY_SET);
    bind_name(st, row);
    stmt_bind_u64(st, 4, row->expires_ms);
    stmt_bind_id(st, 5, &row->last_workflow);
    stmt_bind_blob(st, 6, encode(&s->arena, row->events_ms, row->event_count));
    stmt_bind_blob(st, 7, encode(&s->arena, row->starts_ms, row->start_count));
    return sqlite_run(s, st);
}

int sqlite_memory_drop(struct store *s, const struct memory_row *row)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_MEMORY_DROP);
    bind_name(st, row);
    return sqlite_run(s, st);
}

/* ---- reading ------------------------------------------------------------- */

static bool has_nul(struct str s)
{
    return s.len != 0 && memchr(s.at, '\0', s.len) != NULL;
}

static int memory_of(sqlite3_stmt *st, struct arena *a, struct memory_row *ret)
{
    ret->runbook_path = stmt_str(st, 0, a);
    ret->trigger = stmt_str(st, 1, a);
    ret->key = stmt_str(st, 2, a);
    ret->expires_ms = stmt_u64(st, 3);
    ret->last_workflow = stmt_id(st, 4);
    /* The engine knows a memory by all three with a NUL between them: no row
     * of its own has one there, and two that had would be one. */
    if (has_nul(ret->runbook_path) || has_nul(ret->trigger)) {
        return -EBADMSG;
    }
    int r = decode(st, 5, a, &ret->events_ms, &ret->event_count);
    return r < 0 ? r : decode(st, 6, a, &ret->starts_ms, &ret->start_count);
}

int sqlite_read_memories(struct reader *r, const struct memory_filter *f,
                         struct arena *a, struct memory_row **ret,
                         uint32_t *ret_count)
{
    sqlite3_stmt *st = sqlite_read_begin(r, READ_MEMORIES);
    stmt_bind_text(st, 1, f->after_runbook);
    stmt_bind_text(st, 2, f->after_trigger);
    stmt_bind_text(st, 3, f->after_key);
    stmt_bind_text(st, 4, f->runbook);
    stmt_bind_u64(st, 5, f->limit);
    VEC(struct memory_row) rows = {0};
    int n = sqlite_read_next(st);
    while (n == 1) {
        struct memory_row row = {0};
        int decoded = memory_of(st, a, &row);
        VEC_PUSH(&rows, row);
        n = decoded < 0 ? decoded : sqlite_read_next(st);
    }
    (void)sqlite3_reset(st);
    if (n == 0) {
        *ret = ARENA_ARRAY(a, rows.count, struct memory_row);
        VEC_EACH (&rows, i) {
            (*ret)[i] = rows.at[i];
        }
        *ret_count = (uint32_t)rows.count;
    }
    VEC_DEINIT(&rows);
    return n;
}

int sqlite_read_memory(struct reader *r, const struct memory_name *name,
                       struct arena *a, struct memory_row *ret)
{
    sqlite3_stmt *st = sqlite_read_begin(r, READ_MEMORY);
    stmt_bind_text(st, 1, name->runbook);
    stmt_bind_text(st, 2, name->trigger);
    stmt_bind_text(st, 3, name->key);
    int n = sqlite_read_next(st);
    if (n == 1) {
        n = memory_of(st, a, ret);
    } else if (n == 0) {
        n = -ENOENT;
    }
    (void)sqlite3_reset(st);
    return n;
}
