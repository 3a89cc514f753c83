#include "store/sqlite_stmt.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"

void stmt_bind_i64(sqlite3_stmt *st, int at, int64_t value)
{
    ASSERT(sqlite3_bind_int64(st, at, value) == SQLITE_OK);
}

void stmt_bind_u64(sqlite3_stmt *st, int at, uint64_t value)
{
    stmt_bind_i64(st, at, (int64_t)MIN(value, (uint64_t)INT64_MAX));
}

void stmt_bind_text(sqlite3_stmt *st, int at, struct str text)
{
    const char *from = text.len != 0 ? text.at : "";
    ASSERT(sqlite3_bind_text64(st, at, from, text.len, SQLITE_STATIC,
                               SQLITE_UTF8) == SQLITE_OK);
}

void stmt_bind_blob(sqlite3_stmt *st, int at, struct str bytes)
{
    const char *from = bytes.len != 0 ? bytes.at : "";
    ASSERT(sqlite3_bind_blob64(st, at, from, bytes.len, SQLITE_STATIC) ==
           SQLITE_OK);
}

void stmt_bind_id(sqlite3_stmt *st, int at, const struct id *id)
{
    if (id_is_null(*id)) {
        ASSERT(sqlite3_bind_null(st, at) == SQLITE_OK);
    } else {
        stmt_bind_blob(st, at, id_bytes(id));
    }
}

uint64_t stmt_u64(sqlite3_stmt *st, int column)
{
    return (uint64_t)sqlite3_column_int64(st, column);
}

uint32_t stmt_u32(sqlite3_stmt *st, int column)
{
    return (uint32_t)sqlite3_column_int64(st, column);
}

struct str stmt_str(sqlite3_stmt *st, int column, struct arena *a)
{
    const void *from = sqlite3_column_blob(st, column);
    int len = sqlite3_column_bytes(st, column);
    if (len <= 0 || from == NULL) {
        return STR("");
    }
    return arena_str(a, str_n(from, (size_t)len));
}

void stmt_bytes(sqlite3_stmt *st, int column, void *out, size_t len)
{
    const void *from = sqlite3_column_blob(st, column);
    if (from != NULL && sqlite3_column_bytes(st, column) == (int)len) {
        memcpy(out, from, len);
    } else {
        memset(out, 0, len);
    }
}

struct id stmt_id(sqlite3_stmt *st, int column)
{
    struct id id = ID_NULL;
    stmt_bytes(st, column, id.bytes, sizeof(id.bytes));
    return id;
}

int stmt_event(sqlite3_stmt *st, struct arena *a, struct event *ret)
{
    int c = 0;
    struct event e = {.seq = stmt_u64(st, c++)};
    e.id = stmt_id(st, c++);
    e.received_ms = stmt_u64(st, c++);
    e.starts_ms = stmt_u64(st, c++);
    e.ends_ms = stmt_u64(st, c++);
    e.state = (enum event_state)stmt_u32(st, c++);
    e.priority = (uint8_t)stmt_u32(st, c++);
    e.attempt = stmt_u32(st, c++);
    e.type = stmt_str(st, c++, a);
    e.severity = stmt_str(st, c++, a);
    e.source = stmt_str(st, c++, a);
    e.fingerprint = stmt_str(st, c++, a);
    e.dedup_key = stmt_str(st, c++, a);
    struct str labels = stmt_str(st, c++, a);
    e.body = stmt_str(st, c++, a);
    ASSERT(c == STMT_EVENT_COUNT);
    int r = labels_decode(labels, a, &e.labels);
    if (r < 0) {
        return r;
    }
    *ret = e;
    return 0;
}

struct workflow_row stmt_workflow(sqlite3_stmt *st, struct arena *a)
{
    int c = 1;
    struct workflow_row w = {.id = stmt_id(st, c++)};
    w.runbook_path = stmt_str(st, c++, a);
    w.runbook_name = stmt_str(st, c++, a);
    stmt_bytes(st, c++, w.runbook_hash.bytes, sizeof(w.runbook_hash.bytes));
    w.runbook_commit = stmt_str(st, c++, a);
    w.event_id = stmt_id(st, c++);
    w.trigger_no = stmt_u32(st, c++);
    w.parameters = stmt_str(st, c++, a);
    w.requested_by = stmt_str(st, c++, a);
    w.dry_run = stmt_u32(st, c++) != 0;
    w.created_ms = stmt_u64(st, c++);
    w.defaults.step_timeout_ms = stmt_u64(st, c++);
    w.defaults.retry_attempts = stmt_u32(st, c++);
    w.subject = stmt_str(st, c++, a);
    w.status = (enum workflow_status)stmt_u32(st, c++);
    w.result = (enum workflow_result)stmt_u32(st, c++);
    w.stop = (enum stop_request)stmt_u32(st, c++);
    w.stopped_by = stmt_str(st, c++, a);
    w.step_no = stmt_u32(st, c++);
    w.started_ms = stmt_u64(st, c++);
    w.finished_ms = stmt_u64(st, c++);
    w.wake_ms = stmt_u64(st, c++);
    w.deadline_ms = stmt_u64(st, c++);
    w.error = stmt_str(st, c++, a);
    w.rev = stmt_u64(st, c++);
    return w;
}

void stmt_bind_workflow(sqlite3_stmt *st, const struct workflow_row *w)
{
    int c = 2;
    stmt_bind_id(st, c++, &w->id);
    stmt_bind_text(st, c++, w->runbook_path);
    stmt_bind_text(st, c++, w->runbook_name);
    stmt_bind_blob(st, c++,
                   str_n((const char *)w->runbook_hash.bytes,
                         sizeof(w->runbook_hash.bytes)));
    stmt_bind_text(st, c++, w->runbook_commit);
    stmt_bind_id(st, c++, &w->event_id);
    stmt_bind_u64(st, c++, w->trigger_no);
    stmt_bind_text(st, c++, w->parameters);
    stmt_bind_text(st, c++, w->requested_by);
    stmt_bind_u64(st, c++, w->dry_run ? 1 : 0);
    stmt_bind_u64(st, c++, w->created_ms);
    stmt_bind_u64(st, c++, w->defaults.step_timeout_ms);
    stmt_bind_u64(st, c++, w->defaults.retry_attempts);
    stmt_bind_text(st, c++, w->subject);
    stmt_bind_u64(st, c++, w->status);
    stmt_bind_u64(st, c++, w->result);
    stmt_bind_u64(st, c++, w->stop);
    stmt_bind_text(st, c++, w->stopped_by);
    stmt_bind_u64(st, c++, w->step_no);
    stmt_bind_u64(st, c++, w->started_ms);
    stmt_bind_u64(st, c++, w->finished_ms);
    stmt_bind_u64(st, c++, w->wake_ms);
    stmt_bind_u64(st, c++, w->deadline_ms);
    stmt_bind_text(st, c++, w->error);
    stmt_bind_u64(st, c++, w->rev);
}

struct attempt_row stmt_attempt(sqlite3_stmt *st, struct arena *a)
{
    int c = 0;
    struct attempt_row t = {.key.step_no = stmt_u32(st, c++)};
    t.key.attempt = stmt_u32(st, c++);
    t.state = (enum attempt_state)stmt_u32(st, c++);
    t.executor = stmt_id(st, c++);
    t.pid = stmt_u32(st, c++);
    t.requested_ms = stmt_u64(st, c++);
    t.started_ms = stmt_u64(st, c++);
    t.finished_ms = stmt_u64(st, c++);
    t.exit_code = (int32_t)sqlite3_column_int64(st, c++);
    t.term_signal = (int32_t)sqlite3_column_int64(st, c++);
    t.output_bytes = stmt_u64(st, c++);
    t.output_truncated = stmt_u32(st, c++) != 0;
    t.survivors = stmt_u32(st, c++);
    t.error = stmt_str(st, c++, a);
    t.outputs = stmt_str(st, c++, a);
    return t;
}

void stmt_bind_attempt(sqlite3_stmt *st, const struct attempt_row *t)
{
    int c = 2;
    stmt_bind_u64(st, c++, t->key.step_no);
    stmt_bind_u64(st, c++, t->key.attempt);
    stmt_bind_u64(st, c++, t->state);
    stmt_bind_id(st, c++, &t->executor);
    stmt_bind_u64(st, c++, t->pid);
    stmt_bind_u64(st, c++, t->requested_ms);
    stmt_bind_u64(st, c++, t->started_ms);
    stmt_bind_u64(st, c++, t->finished_ms);
    stmt_bind_i64(st, c++, t->exit_code);
    stmt_bind_i64(st, c++, t->term_signal);
    stmt_bind_u64(st, c++, t->output_bytes);
    stmt_bind_u64(st, c++, t->output_truncated ? 1 : 0);
    stmt_bind_u64(st, c++, t->survivors);
    stmt_bind_text(st, c++, t->error);
    stmt_bind_text(st, c++, t->outputs);
}
