/* Inside the SQLite readers: the connection (sqlite_reader.c) and the lists
 * with filters (sqlite_lists.c). */
#pragma once

#include "base/strbuf.h"
#include "store/reader.h"
#include "store/sqlite_stmt.h"

enum sqlite_read {
    READ_EVENT,
    READ_ALERTS,
    READ_WORKFLOW,
    READ_ATTEMPTS,
    READ_OUTPUT,
    READ_RUNBOOK,
    READ_REQUEST,
    READ_COUNTS,
    READ_USAGE,
    READ_TALLY_QUEUED,
    READ_TALLY_SINCE,
    READ_ACCEPTED_SINCE,
    READ_SETTINGS,
    READ_AUDIT_DOWN,
    READ_AUDIT_UP,
    READ_AUDIT_END,
    READ_NOTICES_DOWN,
    READ_NOTICES_UP,
    READ_NOTICE_COUNTS,
    READ_VERDICT,
    READ_VERDICTS,
    READ_VERDICT_COUNTS,
    READ_MEMORIES,
    READ_MEMORY,
    READ_WATCHES,
    READ_STATEMENTS
};

struct sqlite_reader {
    struct reader base;
    sqlite3 *db;
    sqlite3_stmt *statements[READ_STATEMENTS];
    uint64_t limit_ms;    /* for a call: STORE_READ_DEADLINE_MS */
    uint64_t deadline_ms; /* of this call, monotonic */
};

#define EVENT_VIEW_COLUMNS                                                     \
    STMT_EVENT_COLUMNS ", status, error, duplicate_of, processed_ms, decision"

/* Each event with the one span that it is in. */
#define EVENT_VIEW_FROM                                                        \
    " FROM event CROSS JOIN event_span ON first_seq = (SELECT max(first_seq)"  \
    " FROM event_span WHERE first_seq <= seq)"

/* Starts a call: its statement, and its deadline. */
sqlite3_stmt *sqlite_read_begin(struct reader *reader, enum sqlite_read which);

/* The same for a statement made for this call; finalize it after. */
NODISCARD int sqlite_read_prepare(struct reader *reader,
                                  const struct strbuf *sql, sqlite3_stmt **ret);

/* 1: a row, 0: the end, or what the reader's caller gets. */
NODISCARD int sqlite_read_next(sqlite3_stmt *st);

/* The row as a view: 0 or -EBADMSG. */
NODISCARD int sqlite_read_event_view(sqlite3_stmt *st, struct arena *a,
                                     struct event_view *ret);

/* All rows as views; the statement is left for the caller to reset. */
NODISCARD int sqlite_read_event_views(sqlite3_stmt *st, struct arena *a,
                                      struct event_view **ret,
                                      uint32_t *ret_count);

/* See struct reader_ops. */
int sqlite_read_events(struct reader *r, const struct event_filter *f,
                       struct arena *a, struct event_view **ret,
                       uint32_t *ret_count);
int sqlite_read_settings(struct reader *r, struct str prefix, struct arena *a,
                         struct setting_row **ret, uint32_t *ret_count);
int sqlite_read_audit_end(struct reader *r, struct audit_end *ret);
int sqlite_read_audit(struct reader *r, const struct audit_filter *f,
                      struct arena *a, struct audit_row **ret,
                      uint32_t *ret_count);
int sqlite_read_notices(struct reader *r, const struct notice_filter *f,
                        struct arena *a, struct notice_row **ret,
                        uint32_t *ret_count);
int sqlite_read_notice_counts(struct reader *r, struct notice_counts *ret);
int sqlite_read_verdict(struct reader *r, struct id subject, struct arena *a,
                        struct verdict_row *ret);
int sqlite_read_verdicts(struct reader *r, const struct verdict_filter *f,
                         struct arena *a, struct verdict_row **ret,
                         uint32_t *ret_count);
int sqlite_read_verdict_counts(struct reader *r, uint64_t since_ms,
                               uint64_t ret[VERDICTS]);
int sqlite_read_memories(struct reader *r, const struct memory_filter *f,
                         struct arena *a, struct memory_row **ret,
                         uint32_t *ret_count);
int sqlite_read_memory(struct reader *r, const struct memory_name *name,
                       struct arena *a, struct memory_row *ret);
int sqlite_read_watches(struct reader *r, const struct memory_filter *f,
                        struct arena *a, struct watch_row **ret,
                        uint32_t *ret_count);
int sqlite_read_workflows(struct reader *r, const struct workflow_filter *f,
                          struct arena *a, struct workflow_view **ret,
                          uint32_t *ret_count);
