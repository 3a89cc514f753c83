/*
 * Binding and reading the columns of a statement in the project's types.
 * Bound strings are borrowed until the statement has been run. Running out of
 * memory aborts, as everywhere.
 */
#pragma once

#include <sqlite3.h>

#include "base/arena.h"
#include "base/id.h"
#include "model/event.h"
#include "model/workflow.h"

/* Numbers past INT64_MAX become that: as times and cursors they mean the
 * same. */
void stmt_bind_u64(sqlite3_stmt *st, int at, uint64_t value);
void stmt_bind_i64(sqlite3_stmt *st, int at, int64_t value);
void stmt_bind_text(sqlite3_stmt *st, int at, struct str text);
void stmt_bind_blob(sqlite3_stmt *st, int at, struct str bytes);

/* NULL for ID_NULL. */
void stmt_bind_id(sqlite3_stmt *st, int at, const struct id *id);

uint64_t stmt_u64(sqlite3_stmt *st, int column);
uint32_t stmt_u32(sqlite3_stmt *st, int column);

/* A copy in the arena; the empty string for NULL. */
struct str stmt_str(sqlite3_stmt *st, int column, struct arena *a);

/* ID_NULL for NULL and for anything that is not an id. */
struct id stmt_id(sqlite3_stmt *st, int column);

/* Copies exactly len bytes into out; zeroes for anything else. */
void stmt_bytes(sqlite3_stmt *st, int column, void *out, size_t len);

/* The columns of an event, in the order that stmt_event reads them. */
#define STMT_EVENT_COLUMNS                                                     \
    "seq, id, received_ms, starts_ms, ends_ms, state, priority, attempt, "     \
    "type, severity, source, fingerprint, dedup_key, labels, body"
#define STMT_EVENT_COUNT 15

/* The event of this row, in the arena. 0 or -EBADMSG (its labels cannot be
 * read). */
NODISCARD int stmt_event(sqlite3_stmt *st, struct arena *a, struct event *ret);

/* The same for a workflow's columns. */
#define STMT_WORKFLOW_COLUMNS                                                  \
    "seq, id, runbook_path, runbook_name, runbook_hash, runbook_commit, "      \
    "event_id, trigger_no, parameters, requested_by, dry_run, created_ms, "    \
    "default_timeout_ms, default_attempts, subject, "                          \
    "status, result, stop, stopped_by, step_no, started_ms, finished_ms, "     \
    "wake_ms, deadline_ms, error, rev"
struct workflow_row stmt_workflow(sqlite3_stmt *st, struct arena *a);

/* Binds a workflow's columns in the order of STMT_WORKFLOW_COLUMNS, without
 * seq: ?2 is id. */
void stmt_bind_workflow(sqlite3_stmt *st, const struct workflow_row *w);

/* What triggers watch, in the order of the table. */
#define SQLITE_WATCH_COLUMNS                                                   \
    "runbook_path, trigger_name, key, state, alert, newest_seq, starts_ms, "   \
    "since_ms, seen_ms, due_ms, within_ms, expires_ms, event_id, "             \
    "parameters, error, held, changes"

/* The same for an attempt's columns; workflow_id is not among them. */
#define STMT_ATTEMPT_COLUMNS                                                   \
    "step_no, attempt, state, executor, pid, requested_ms, started_ms, "       \
    "finished_ms, exit_code, term_signal, output_bytes, output_truncated, "    \
    "survivors, error, outputs"
struct attempt_row stmt_attempt(sqlite3_stmt *st, struct arena *a);

/* From ?2 on, as in STMT_ATTEMPT_COLUMNS. */
void stmt_bind_attempt(sqlite3_stmt *st, const struct attempt_row *t);
