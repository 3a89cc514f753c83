/* What triggers remember and watch, in the SQLite driver. */
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

static void bind_name(sqlite3_stmt *st, struct str path, struct str trigger,
                      struct str key)
{
    stmt_bind_text(st, 1, path);
    stmt_bind_text(st, 2, trigger);
    stmt_bind_text(st, 3, key);
}

int sqlite_memory_set(struct store *s, const struct memory_row *row)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_MEMORY_SET);
    bind_name(st, row->runbook_path, row->trigger, row->key);
    stmt_bind_u64(st, 4, row->expires_ms);
    stmt_bind_id(st, 5, &row->last_workflow);
    stmt_bind_blob(st, 6, encode(&s->arena, row->events_ms, row->event_count));
    stmt_bind_blob(st, 7, encode(&s->arena, row->starts_ms, row->start_count));
    return sqlite_run(s, st);
}

int sqlite_memory_drop(struct store *s, const struct memory_row *row)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_MEMORY_DROP);
    bind_name(st, row->runbook_path, row->trigger, row->key);
    return sqlite_run(s, st);
}

int sqlite_watch_set(struct store *s, const struct watch_row *row)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_WATCH_SET);
    int c = 4;
    bind_name(st, row->runbook_path, row->trigger, row->key);
    stmt_bind_u64(st, c++, row->state);
    stmt_bind_text(st, c++, row->alert);
    stmt_bind_u64(st, c++, row->newest_seq);
    stmt_bind_u64(st, c++, row->starts_ms);
    stmt_bind_u64(st, c++, row->since_ms);
    stmt_bind_u64(st, c++, row->seen_ms);
    stmt_bind_u64(st, c++, row->due_ms);
    stmt_bind_u64(st, c++, row->within_ms);
    stmt_bind_u64(st, c++, row->expires_ms);
    stmt_bind_id(st, c++, &row->event_id);
    stmt_bind_text(st, c++, row->parameters);
    stmt_bind_text(st, c++, row->error);
    stmt_bind_text(st, c++, row->held);
    stmt_bind_blob(st, c,
                   encode(&s->arena, row->changes_ms, row->change_count));
    return sqlite_run(s, st);
}

int sqlite_watch_drop(struct store *s, const struct watch_row *row)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_WATCH_DROP);
    bind_name(st, row->runbook_path, row->trigger, row->key);
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

static int watch_of(sqlite3_stmt *st, struct arena *a, struct watch_row *ret)
{
    int c = 0;
    ret->runbook_path = stmt_str(st, c++, a);
    ret->trigger = stmt_str(st, c++, a);
    ret->key = stmt_str(st, c++, a);
    ret->state = (enum event_state)stmt_u32(st, c++);
    ret->alert = stmt_str(st, c++, a);
    ret->newest_seq = stmt_u64(st, c++);
    ret->starts_ms = stmt_u64(st, c++);
    ret->since_ms = stmt_u64(st, c++);
    ret->seen_ms = stmt_u64(st, c++);
    ret->due_ms = stmt_u64(st, c++);
    ret->within_ms = stmt_u64(st, c++);
    ret->expires_ms = stmt_u64(st, c++);
    ret->event_id = stmt_id(st, c++);
    ret->parameters = stmt_str(st, c++, a);
    ret->error = stmt_str(st, c++, a);
    ret->held = stmt_str(st, c++, a);
    return decode(st, c, a, &ret->changes_ms, &ret->change_count);
}

static sqlite3_stmt *begin(struct reader *r, enum sqlite_read which,
                           const struct memory_filter *f)
{
    sqlite3_stmt *st = sqlite_read_begin(r, which);
    bind_name(st, f->after_runbook, f->after_trigger, f->after_key);
    stmt_bind_text(st, 4, f->runbook);
    stmt_bind_u64(st, 5, f->limit);
    return st;
}

int sqlite_read_memories(struct reader *r, const struct memory_filter *f,
                         struct arena *a, struct memory_row **ret,
                         uint32_t *ret_count)
{
    sqlite3_stmt *st = begin(r, READ_MEMORIES, f);
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
        *ret = ARENA_COPY(a, rows.at, rows.count);
        *ret_count = (uint32_t)rows.count;
    }
    VEC_DEINIT(&rows);
    return n;
}

int sqlite_read_memory(struct reader *r, const struct memory_name *name,
                       struct arena *a, struct memory_row *ret)
{
    sqlite3_stmt *st = sqlite_read_begin(r, READ_MEMORY);
    bind_name(st, name->runbook, name->trigger, name->key);
    int n = sqlite_read_next(st);
    if (n == 1) {
        n = memory_of(st, a, ret);
    } else if (n == 0) {
        n = -ENOENT;
    }
    (void)sqlite3_reset(st);
    return n;
}

int sqlite_read_watches(struct reader *r, const struct memory_filter *f,
                        struct arena *a, struct watch_row **ret,
                        uint32_t *ret_count)
{
    sqlite3_stmt *st = begin(r, READ_WATCHES, f);
    VEC(struct watch_row) rows = {0};
    int n = sqlite_read_next(st);
    while (n == 1) {
        struct watch_row row = {0};
        int decoded = watch_of(st, a, &row);
        VEC_PUSH(&rows, row);
        n = decoded < 0 ? decoded : sqlite_read_next(st);
    }
    (void)sqlite3_reset(st);
    if (n == 0) {
        *ret = ARENA_COPY(a, rows.at, rows.count);
        *ret_count = (uint32_t)rows.count;
    }
    VEC_DEINIT(&rows);
    return n;
}
