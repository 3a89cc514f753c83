/*
 * Inside the SQLite driver. One writing connection, which is also the only
 * one that checkpoints (the library has a bug when others do), one lock file,
 * readers with connections of their own.
 *
 * Errors inside a transaction are of two kinds. An operation that fails by
 * itself (-EEXIST, -ESTALE, -EAGAIN) is undone to its savepoint. A hard one
 * (disk full, I/O, damage) dooms the transaction: every later operation gets
 * the same answer and commit rolls back.
 */
#pragma once

#include <sqlite3.h>

#include "base/strbuf.h"
#include "store/reader.h"
#include "store/sqlite_stmt.h"
#include "store/store.h"

/* Every statement of the writer, prepared once; the texts are in
 * sqlite_writer.c. */
enum sqlite_statement {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_SAVEPOINT,
    SQL_RELEASE,
    SQL_UNDO,
    SQL_LEDGER_SET,
    SQL_EVENT_INSERT,
    SQL_EVENT_READ,
    SQL_EVENT_IDS,
    SQL_SPAN_PUT,
    SQL_SPAN_FIND,
    SQL_MINUTE_INSERT,
    SQL_DEDUP_TAKE,
    SQL_DEDUP_FIND,
    SQL_REQUEST_FIND,
    SQL_REQUEST_INSERT,
    SQL_ALERT_SET,
    SQL_ALERT_REPEAT,
    SQL_ALERT_CLEAR,
    SQL_READY,
    SQL_RUNBOOK_INSERT,
    SQL_WORKFLOW_FIND,
    SQL_WORKFLOW_INSERT,
    SQL_WORKFLOW_SET,
    SQL_ATTEMPT_FIND,
    SQL_ATTEMPT_INSERT,
    SQL_ATTEMPT_SET,
    SQL_OUTPUT_INSERT,
    SQL_SPAN_OF_CLAIM,
    SQL_SPAN_OLDEST,
    SQL_SPAN_OF_EVENT,
    SQL_SPAN_RANKED,
    SQL_EVENTS_ALIKE,
    SQL_SETTING_SET,
    SQL_SETTING_CLEAR,
    SQL_AUDIT_END,
    SQL_AUDIT_END_SET,
    SQL_AUDIT_INSERT,
    SQL_VERDICT_SET,
    SQL_VERDICT_CLEAR,
    SQL_MEMORY_SET,
    SQL_MEMORY_DROP,
    SQL_WATCH_SET,
    SQL_WATCH_DROP,
    SQL_SPAN_NEXT,
    SQL_SPAN_REMOVE,
    SQL_EVENTS_KEPT,
    SQL_EVENTS_REMOVE,
    SQL_ALERTS_REMOVE,
    SQL_DEDUP_REMOVE,
    SQL_EVENT_FIRST,
    SQL_MINUTES_REMOVE,
    SQL_OUTPUT_REMOVE,
    SQL_ATTEMPTS_REMOVE,
    SQL_WORKFLOW_REMOVE,
    SQL_RUNBOOK_REMOVE,
    SQL_VERDICT_REMOVE,
    SQL_NOTICE_INSERT,
    SQL_NOTICE_SET,
    SQL_NOTICE_REMOVE,
    SQL_NOTICE_TRIM,
    SQL_TRIM_DEDUP,
    SQL_TRIM_REQUEST,
    SQL_TRIM_ALERT,
    SQL_STATEMENTS
};

/* The span of queued events that new ones are added to; all zero: none. */
struct sqlite_tail {
    uint64_t first_seq;
    uint64_t last_seq;
    uint8_t priority;
    bool changed; /* its row does not say so yet */
};

/* What the writer keeps in memory and a rollback must put back. */
struct sqlite_tally {
    struct store_counts counts;
    struct sqlite_tail tail;
    uint64_t last_seq; /* of events */
    uint64_t last_workflow;
    uint64_t last_minute; /* known to stand in event_minute */
};

struct store {
    sqlite3 *db;
    sqlite3_stmt *statements[SQL_STATEMENTS];
    char *directory;
    char *db_path;
    char *ballast_path;
    int lock_fd;
    bool sums; /* as the file was when it was opened: any thread */
    uint64_t queue_limit;
    uint64_t ballast_bytes;
    uint64_t session;    /* number of this one: never used twice */
    uint64_t last_claim; /* session << 40 | count */
    bool in_transaction;
    int doomed;         /* 0, -ENOSPC or -EIO: what commit will answer */
    bool broken;        /* an I/O error on commit or checkpoint: final */
    bool has_ballast;   /* without it, events are refused */
    int wal_frames;     /* after the last commit */
    int copied_frames;  /* of these, by the last passive checkpoint */
    int restart_frames; /* at which the writer waits for readers */
    uint64_t last_now_ms;
    uint64_t groups;         /* committed since opening */
    uint64_t trimmed_groups; /* groups and last_seq at the last trimming */
    uint64_t trimmed_seq;
    struct sqlite_tally tally;
    struct sqlite_tally at_begin;
    struct sqlite_tally at_savepoint;
    struct sqlite_tally written; /* what the ledger table says */
    struct strbuf scratch;       /* encoded labels */
    struct arena arena;          /* for the length of one operation */
};

#define SQLITE_DB_FILE "engine.db"
#define SQLITE_LOCK_FILE "engine.lock"
#define SQLITE_BALLAST_FILE "engine.ballast"
#define SQLITE_BUSY_MS 2000 /* patience with other programs' locks */

/* ---- sqlite_writer.c ---- */

/* Prepares the writer's statements and loads its tally. 0 or a library error
 * code. */
NODISCARD int sqlite_writer_prepare(struct store *s);

/* The statement, ready to be bound. */
sqlite3_stmt *sqlite_statement(struct store *s, enum sqlite_statement which);

/* Runs a statement that gives no rows. 0, -EEXIST (a unique index says no),
 * or the doom of the transaction. */
NODISCARD int sqlite_run(struct store *s, sqlite3_stmt *st);

/* The next row: 1, or 0 at the end, or the doom. Reset it when done. */
NODISCARD int sqlite_next(struct store *s, sqlite3_stmt *st);

/* Remembers a hard error and returns what it means: -ENOSPC or -EIO. */
int sqlite_doom(struct store *s, int rc);

/* Reads the rows of this query. 0 or a library error code. */
#define SQLITE_LEDGER_SQL "SELECT kind, status, n FROM ledger"
NODISCARD int sqlite_ledger_read(sqlite3_stmt *st, struct store_counts *ret);

/* Counts a status change of n events in the ledger; `from` < 0: accepted. */
void sqlite_count_events(struct store *s, int from, enum event_status to,
                         uint64_t n);

/* ---- sqlite_spans.c, inside a transaction ---- */

/* A row of event_span: what is so of all events of a range. Every event is in
 * exactly one (I1). */
struct sqlite_span {
    uint64_t first_seq;
    uint64_t last_seq;
    enum event_status status;
    uint8_t priority;
    uint32_t attempt;
    uint64_t claim; /* 0: none */
    uint64_t processed_ms;
    struct str error;
    struct id duplicate_of;
    struct str decision;
};

#define SQLITE_SPAN_COLUMNS                                                    \
    "first_seq, last_seq, status, priority, attempt, claim, processed_ms, "    \
    "error, duplicate_of, decision"
#define SQLITE_SPAN_COLUMN_COUNT 10

uint64_t sqlite_span_count(const struct sqlite_span *span);

/* The span of this row of SQLITE_SPAN_COLUMNS; its texts in the arena. */
struct sqlite_span sqlite_span_read(sqlite3_stmt *st, struct arena *a);

/* Queues the event that has just been stored. 0 or the doom. */
NODISCARD int sqlite_span_accept(struct store *s, uint64_t seq,
                                 uint8_t priority);

/* The same for a duplicate, which is not queued. */
NODISCARD int sqlite_span_duplicate(struct store *s, uint64_t seq,
                                    uint8_t priority, struct id of);

/* Writes what accept has kept back: before spans are read, and at the end of
 * the transaction. 0 or the doom. */
NODISCARD int sqlite_span_flush(struct store *s);

/* The span that this event is in. 1, 0 (no such event), or the doom. */
NODISCARD int sqlite_span_find(struct store *s, uint64_t seq, struct arena *a,
                               struct sqlite_span *ret);

/* Makes a part (or all) of the old span the new one and counts that in the
 * ledger; what is left of the old one stays as it was. 0 or the doom. */
NODISCARD int sqlite_span_change(struct store *s, const struct sqlite_span *old,
                                 const struct sqlite_span *part);

/* Takes a part (or all) of the old span out, with the part's events; what is
 * left of it stays as it was. The ledger counts them as archived. 0 or
 * the doom. */
NODISCARD int sqlite_span_remove(struct store *s, const struct sqlite_span *old,
                                 const struct sqlite_span *part);

/* ---- operations, inside a transaction; see store_driver.run ---- */

/* Remembers what a request with a key has made (RECORD_REQUEST). */
NODISCARD int sqlite_request(struct store *s, const struct record_request *r);

int sqlite_ingest(struct store *s, struct store_ingest *op, uint64_t now_ms);
int sqlite_claim(struct store *s, struct store_claim *op, uint64_t now_ms);
int sqlite_apply(struct store *s, struct store_apply *op);
int sqlite_pin(struct store *s, const struct store_pin *op);

/* ---- sqlite_maintain.c ---- */

/* store_driver.maintain */
int sqlite_maintain(struct store *s, bool idle);

/* How much is kept back on the disk of this folder. */
uint64_t sqlite_ballast_bytes(const char *directory);

bool sqlite_has_room(const struct store *s);

/* Makes the ballast if the disk has room for it. */
void sqlite_ballast_make(struct store *s);

/* Gives its room to the database. */
void sqlite_ballast_release(struct store *s);

/* ---- sqlite_reader.c ---- */

int sqlite_reader_open(struct store *s, struct reader **ret,
                       struct err *reterr);
