/* The writer's statements, and what it counts in memory. */
#include <errno.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "store/sqlite_changes.h"
#include "store/sqlite_open.h"

/* The last claimable statuses and the like are written as numbers so that the
 * partial indexes apply: sqlite_schema.c checks them. */
static const char *const texts[SQL_STATEMENTS] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_SAVEPOINT] = "SAVEPOINT op",
    [SQL_RELEASE] = "RELEASE op",
    [SQL_UNDO] = "ROLLBACK TO op",
    [SQL_LEDGER_SET] = "INSERT INTO ledger VALUES (?1, ?2, ?3)"
                       " ON CONFLICT DO UPDATE SET n = excluded.n",
    [SQL_EVENT_INSERT] =
        "INSERT INTO event (seq, id, received_ms, starts_ms, ends_ms, state,"
        " type, severity, source, fingerprint, dedup_key, labels, body)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    [SQL_EVENT_READ] =
        "SELECT " STMT_EVENT_COLUMNS " FROM event_span CROSS JOIN event"
        " ON seq BETWEEN first_seq AND last_seq WHERE first_seq = ?1"
        " ORDER BY seq LIMIT ?2",
    [SQL_EVENT_IDS] =
        "SELECT id FROM event WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq",
    [SQL_SPAN_PUT] =
        "INSERT OR REPLACE INTO event_span (" SQLITE_SPAN_COLUMNS ")"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [SQL_SPAN_FIND] = "SELECT " SQLITE_SPAN_COLUMNS " FROM event_span"
                      " WHERE first_seq <= ?1 ORDER BY first_seq DESC LIMIT 1",
    [SQL_MINUTE_INSERT] = "INSERT OR IGNORE INTO event_minute VALUES (?1, ?2)",
    /* Taken only if it is new or has expired: one row changes, or none. */
    [SQL_DEDUP_TAKE] =
        "INSERT INTO dedup VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE"
        " SET seq = excluded.seq, expires_ms = excluded.expires_ms"
        " WHERE dedup.expires_ms <= ?4",
    [SQL_DEDUP_FIND] = "SELECT id FROM dedup JOIN event USING (seq)"
                       " WHERE key = ?1",
    [SQL_REQUEST_FIND] = "SELECT hash, results FROM request"
                         " WHERE key = ?1 AND expires_ms > ?2",
    [SQL_REQUEST_INSERT] = "INSERT OR REPLACE INTO request"
                           " (key, hash, expires_ms, results)"
                           " VALUES (?1, ?2, ?3, ?4)",
    [SQL_ALERT_SET] =
        "INSERT INTO alert VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE"
        " SET seq = excluded.seq, ends_ms = excluded.ends_ms",
    [SQL_ALERT_REPEAT] =
        "UPDATE alert SET seq = ?2, ends_ms = ?3"
        " WHERE fingerprint = ?1 AND (ends_ms = 0 OR ends_ms > ?4)",
    [SQL_ALERT_CLEAR] = "DELETE FROM alert WHERE fingerprint = ?1",
    [SQL_READY] = "SELECT " SQLITE_SPAN_COLUMNS " FROM event_span"
                  " INDEXED BY event_ready WHERE status IN (0, 8)"
                  " ORDER BY priority, first_seq LIMIT ?1",
    [SQL_RUNBOOK_INSERT] = "INSERT OR IGNORE INTO runbook (hash, path, text)"
                           " VALUES (?1, ?2, ?3)",
    [SQL_WORKFLOW_FIND] =
        "SELECT seq, owner, rev, status, dry_run FROM workflow WHERE id = ?1",
    [SQL_WORKFLOW_INSERT] =
        "INSERT INTO workflow (" STMT_WORKFLOW_COLUMNS ", owner) VALUES (?1,"
        " ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,"
        " ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27)",
    /* Numbered as in STMT_WORKFLOW_COLUMNS: the changing half. */
    [SQL_WORKFLOW_SET] =
        "UPDATE workflow SET status = ?16, result = ?17, stop = ?18,"
        " stopped_by = ?19, step_no = ?20, started_ms = ?21,"
        " finished_ms = ?22, wake_ms = ?23, deadline_ms = ?24, error = ?25,"
        " rev = ?26 WHERE seq = ?1",
    [SQL_ATTEMPT_FIND] =
        "SELECT state, executor, requested_ms FROM attempt"
        " WHERE workflow = ?1 AND step_no = ?2 AND attempt = ?3",
    [SQL_ATTEMPT_INSERT] =
        "INSERT INTO attempt (workflow, " STMT_ATTEMPT_COLUMNS ") VALUES (?1,"
        " ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,"
        " ?16)",
    /* Numbered as in the insert. */
    [SQL_ATTEMPT_SET] =
        "UPDATE attempt SET state = ?4, executor = ?5, pid = ?6,"
        " requested_ms = ?7, started_ms = ?8, finished_ms = ?9, exit_code = "
        "?10,"
        " term_signal = ?11, output_bytes = ?12, output_truncated = ?13,"
        " survivors = ?14, error = ?15, outputs = ?16"
        " WHERE workflow = ?1 AND step_no = ?2 AND attempt = ?3",
    [SQL_OUTPUT_INSERT] =
        "INSERT OR IGNORE INTO output (workflow, step_no, attempt, offset,"
        " stream, at_ms, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [SQL_SPAN_OF_CLAIM] = "SELECT " SQLITE_SPAN_COLUMNS " FROM event_span"
                          " WHERE status = 1 AND claim = ?1 LIMIT 1",
    /* The status is compared twice so that the partial index applies. */
    [SQL_SPAN_OLDEST] = "SELECT " SQLITE_SPAN_COLUMNS " FROM event_span"
                        " WHERE status = ?1 AND status <> 2"
                        " ORDER BY first_seq LIMIT 1",
    [SQL_SPAN_OF_EVENT] =
        "SELECT " SQLITE_SPAN_COLUMNS ", seq FROM event CROSS JOIN event_span"
        " ON first_seq = (SELECT max(first_seq) FROM event_span"
        " WHERE first_seq <= seq) WHERE id = ?1",
    [SQL_SPAN_RANKED] = "SELECT " SQLITE_SPAN_COLUMNS " FROM event_span"
                        " WHERE status IN (0, 8) AND last_seq >= ?1"
                        " AND first_seq <= ?2 AND priority <> ?3"
                        " ORDER BY first_seq LIMIT 1",
    [SQL_EVENTS_ALIKE] =
        "SELECT seq FROM event WHERE seq BETWEEN ?1 AND ?2"
        " AND (?3 = '' OR type = ?3) AND (?4 = '' OR severity = ?4)"
        " ORDER BY seq",
    [SQL_SETTING_SET] = "INSERT OR REPLACE INTO setting VALUES"
                        " (?1, ?2, ?3, ?4)",
    [SQL_SETTING_CLEAR] = "DELETE FROM setting WHERE key = ?1",
    [SQL_AUDIT_END] = SQLITE_AUDIT_END,
    [SQL_AUDIT_END_SET] = "INSERT OR REPLACE INTO audit_end VALUES (1, ?1, ?2)",
    [SQL_AUDIT_INSERT] = "INSERT INTO audit (" SQLITE_AUDIT_COLUMNS ")"
                         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [SQL_NOTICE_INSERT] =
        "INSERT INTO notice (channel, state, created_ms, tried_ms, attempts,"
        " key, body, error) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [SQL_NOTICE_SET] = "UPDATE notice SET state = ?2, attempts = ?3,"
                       " tried_ms = ?4, error = ?5"
                       " WHERE seq = ?1 AND state = 0",
    [SQL_NOTICE_REMOVE] = "DELETE FROM notice WHERE seq = ?1 AND state = 0",
    [SQL_NOTICE_TRIM] =
        "DELETE FROM notice WHERE state = 1 AND seq <= (SELECT seq FROM notice"
        " WHERE state = 1 ORDER BY seq DESC LIMIT 1 OFFSET ?1)",
    [SQL_VERDICT_SET] = "INSERT OR REPLACE INTO verdict VALUES"
                        " (?1, ?2, ?3, ?4, ?5, ?6)",
    [SQL_VERDICT_CLEAR] = "DELETE FROM verdict WHERE subject = ?1",
    [SQL_MEMORY_SET] = "INSERT OR REPLACE INTO trigger_memory VALUES"
                       " (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [SQL_MEMORY_DROP] = "DELETE FROM trigger_memory WHERE runbook_path = ?1"
                        " AND trigger_name = ?2 AND key = ?3",
    [SQL_WATCH_SET] = "INSERT OR REPLACE INTO trigger_watch VALUES"
                      " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,"
                      " ?13, ?14, ?15, ?16, ?17)",
    [SQL_WATCH_DROP] = "DELETE FROM trigger_watch WHERE runbook_path = ?1"
                       " AND trigger_name = ?2 AND key = ?3",
    /* The rows are in order of age: looks at the oldest only, and at more
     * than one only if that has expired. */
    [SQL_SPAN_NEXT] = "SELECT " SQLITE_SPAN_COLUMNS " FROM event_span"
                      " WHERE last_seq >= ?1 AND first_seq >= coalesce((SELECT"
                      " max(first_seq) FROM event_span WHERE first_seq <= ?1),"
                      " 0) ORDER BY first_seq LIMIT 1",
    [SQL_SPAN_REMOVE] = "DELETE FROM event_span WHERE first_seq = ?1",
    [SQL_EVENTS_KEPT] =
        "SELECT seq FROM event WHERE seq BETWEEN ?1 AND ?2 AND"
        " (received_ms >= ?3 OR (?5 = 0 AND EXISTS (SELECT 1 FROM alert WHERE"
        " alert.fingerprint = event.fingerprint AND alert.seq = event.seq"
        " AND (alert.ends_ms = 0 OR alert.ends_ms > ?4)))"
        " OR EXISTS (SELECT 1 FROM workflow WHERE event_id = event.id"
        " AND status IN (0, 1, 2, 7))) ORDER BY seq",
    [SQL_EVENTS_REMOVE] = "DELETE FROM event WHERE seq BETWEEN ?1 AND ?2",
    [SQL_ALERTS_REMOVE] =
        "DELETE FROM alert WHERE seq BETWEEN ?1 AND ?2 AND fingerprint IN"
        " (SELECT fingerprint FROM event WHERE seq BETWEEN ?1 AND ?2)",
    [SQL_DEDUP_REMOVE] = "DELETE FROM dedup WHERE seq BETWEEN ?1 AND ?2",
    [SQL_EVENT_FIRST] = "SELECT min(seq) FROM event",
    /* A minute can go when the next one begins at or before the first event
     * that there is. Looks at the oldest few only. */
    [SQL_MINUTES_REMOVE] =
        "DELETE FROM event_minute WHERE minute IN (SELECT minute FROM"
        " event_minute WHERE minute < ?1 / 60000 ORDER BY minute LIMIT 60)"
        " AND (SELECT n.first_seq FROM event_minute AS n WHERE n.minute >"
        " event_minute.minute ORDER BY n.minute LIMIT 1) <= ?2"
        " AND first_seq < ?2",
    [SQL_OUTPUT_REMOVE] =
        "DELETE FROM output WHERE seq IN (SELECT seq FROM output INDEXED BY"
        " output_workflow WHERE workflow = ?1 ORDER BY seq DESC LIMIT ?2)",
    [SQL_ATTEMPTS_REMOVE] = "DELETE FROM attempt WHERE workflow = ?1",
    [SQL_WORKFLOW_REMOVE] = "DELETE FROM workflow WHERE seq = ?1",
    [SQL_RUNBOOK_REMOVE] =
        "DELETE FROM runbook WHERE hash = (SELECT runbook_hash FROM workflow"
        " WHERE seq = ?1) AND NOT EXISTS (SELECT 1 FROM workflow WHERE"
        " runbook_hash = runbook.hash AND seq <> ?1)",
    [SQL_VERDICT_REMOVE] =
        "DELETE FROM verdict WHERE subject = (SELECT id FROM workflow"
        " WHERE seq = ?1) AND about_ms < ?2",
    [SQL_TRIM_DEDUP] =
        "DELETE FROM dedup WHERE expires_ms <= ?1 AND ?1 >="
        " (SELECT expires_ms FROM dedup ORDER BY seq LIMIT 1)"
        " AND seq IN (SELECT seq FROM dedup ORDER BY seq LIMIT ?2)",
    [SQL_TRIM_REQUEST] =
        "DELETE FROM request WHERE expires_ms <= ?1 AND ?1 >="
        " (SELECT expires_ms FROM request ORDER BY no LIMIT 1)"
        " AND no IN (SELECT no FROM request ORDER BY no LIMIT ?2)",
    [SQL_TRIM_ALERT] = "DELETE FROM alert WHERE ends_ms <> 0 AND ends_ms <= ?1",
};

/* Kinds of rows in the ledger table. */
enum {
    LEDGER_ACCEPTED = 0,
    LEDGER_EVENTS = 1,
    LEDGER_WORKFLOWS = 2,
    LEDGER_REMOVED = 3, /* status 0: events, 1: workflows */
    LEDGER_DRY_RUNS = 4
};

/* ---- statements --------------------------------------------------------- */

int sqlite_doom(struct store *s, int rc)
{
    bool full = (rc & 0xFF) == SQLITE_FULL;
    if (s->doomed == 0 || !full) {
        s->doomed = full ? -ENOSPC : -EIO;
    }
    return s->doomed;
}

sqlite3_stmt *sqlite_statement(struct store *s, enum sqlite_statement which)
{
    return s->statements[which];
}

int sqlite_run(struct store *s, sqlite3_stmt *st)
{
    int rc = sqlite3_step(st);
    (void)sqlite3_reset(st);
    if (rc == SQLITE_DONE) {
        return 0;
    }
    if (rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY) {
        return -EEXIST;
    }
    return sqlite_doom(s, rc);
}

int sqlite_next(struct store *s, sqlite3_stmt *st)
{
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
        return rc == SQLITE_ROW ? 1 : 0;
    }
    (void)sqlite3_reset(st);
    return sqlite_doom(s, rc);
}

/* ---- ledger ------------------------------------------------------------- */

void sqlite_count_events(struct store *s, int from, enum event_status to,
                         uint64_t n)
{
    struct store_counts *counts = &s->tally.counts;
    if (from < 0) {
        counts->accepted += n;
    } else {
        counts->events[from] -= n;
    }
    counts->events[to] += n;
}

static int write_count(struct store *s, uint64_t kind, uint64_t status,
                       uint64_t n)
{
    sqlite3_stmt *st = sqlite_statement(s, SQL_LEDGER_SET);
    stmt_bind_u64(st, 1, kind);
    stmt_bind_u64(st, 2, status);
    stmt_bind_u64(st, 3, n);
    return sqlite_run(s, st);
}

/* Once per transaction, only what has changed. */
static int write_ledger(struct store *s)
{
    const struct store_counts *now = &s->tally.counts;
    const struct store_counts *old = &s->written.counts;
    int r = 0;
    uint64_t sum = 0;
    if (now->accepted != old->accepted) {
        r = write_count(s, LEDGER_ACCEPTED, 0, now->accepted);
    }
    for (uint64_t i = 0; r == 0 && i < EVENT_STATUSES; i++) {
        sum += now->events[i];
        if (now->events[i] != old->events[i]) {
            r = write_count(s, LEDGER_EVENTS, i, now->events[i]);
        }
    }
    INVARIANT("I1", r < 0 || sum == now->accepted);
    for (uint64_t i = 0; r == 0 && i < WORKFLOW_STATUSES; i++) {
        if (now->workflows[i] != old->workflows[i]) {
            r = write_count(s, LEDGER_WORKFLOWS, i, now->workflows[i]);
        }
    }
    if (r == 0 && now->removed_events != old->removed_events) {
        r = write_count(s, LEDGER_REMOVED, 0, now->removed_events);
    }
    if (r == 0 && now->removed_workflows != old->removed_workflows) {
        r = write_count(s, LEDGER_REMOVED, 1, now->removed_workflows);
    }
    if (r == 0 && now->dry_runs != old->dry_runs) {
        r = write_count(s, LEDGER_DRY_RUNS, 0, now->dry_runs);
    }
    return r;
}

static void load_count(struct store_counts *counts, sqlite3_stmt *st)
{
    uint64_t kind = stmt_u64(st, 0);
    uint64_t status = stmt_u64(st, 1);
    uint64_t n = stmt_u64(st, 2);
    if (kind == LEDGER_ACCEPTED) {
        counts->accepted = n;
    } else if (kind == LEDGER_EVENTS && status < EVENT_STATUSES) {
        counts->events[status] = n;
    } else if (kind == LEDGER_WORKFLOWS && status < WORKFLOW_STATUSES) {
        counts->workflows[status] = n;
    } else if (kind == LEDGER_REMOVED && status == 0) {
        counts->removed_events = n;
    } else if (kind == LEDGER_REMOVED && status == 1) {
        counts->removed_workflows = n;
    } else if (kind == LEDGER_DRY_RUNS) {
        counts->dry_runs = n;
    }
}

int sqlite_ledger_read(sqlite3_stmt *st, struct store_counts *ret)
{
    *ret = (struct store_counts){0};
    int rc = sqlite3_step(st);
    while (rc == SQLITE_ROW) {
        load_count(ret, st);
        rc = sqlite3_step(st);
    }
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Numbers are never given twice, although the newest rows may be gone. */
static void continue_numbers(struct sqlite_tally *t, uint64_t last_workflow)
{
    uint64_t workflows = t->counts.removed_workflows;
    for (size_t i = 0; i < WORKFLOW_STATUSES; i++) {
        workflows += t->counts.workflows[i];
    }
    t->last_seq = MAX(t->last_seq, t->counts.accepted);
    t->last_workflow = MAX(last_workflow, workflows);
}

int sqlite_writer_prepare(struct store *s)
{
    int rc = SQLITE_OK;
    for (size_t i = 0; rc == SQLITE_OK && i < SQL_STATEMENTS; i++) {
        rc = sqlite3_prepare_v3(s->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                &s->statements[i], NULL);
    }
    sqlite3_stmt *ledger = NULL;
    if (rc == SQLITE_OK) {
        rc = sqlite3_prepare_v2(s->db, SQLITE_LEDGER_SQL, -1, &ledger, NULL);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite_ledger_read(ledger, &s->tally.counts);
    }
    (void)sqlite3_finalize(ledger);
    if (rc == SQLITE_OK) {
        rc = sqlite_query_u64(s->db, "SELECT max(seq) FROM event",
                              &s->tally.last_seq);
    }
    uint64_t last_workflow = 0;
    if (rc == SQLITE_OK) {
        rc = sqlite_query_u64(s->db, "SELECT max(seq) FROM workflow",
                              &last_workflow);
    }
    continue_numbers(&s->tally, last_workflow);
    s->written = s->tally;
    return rc;
}

/* ---- transactions ------------------------------------------------------- */

static int begin(struct store *s)
{
    ASSERT(!s->in_transaction);
    if (s->broken) {
        return -EIO;
    }
    s->doomed = 0;
    if (sqlite_run(s, sqlite_statement(s, SQL_BEGIN)) < 0) {
        s->broken = true;
        return -EIO;
    }
    s->in_transaction = true;
    s->at_begin = s->tally;
    return 0;
}

static void rollback(struct store *s)
{
    ASSERT(s->in_transaction);
    /* The library has done it by itself after some errors. */
    if (sqlite3_get_autocommit(s->db) == 0) {
        int ignored = sqlite_run(s, sqlite_statement(s, SQL_ROLLBACK));
        (void)ignored;
    }
    s->in_transaction = false;
    s->tally = s->at_begin;
}

/* Has somebody removed or replaced the files that we have open? What is
 * written to them then nobody will ever find again. */
static bool is_gone(const struct store *s)
{
    int moved = 0;
    int rc =
        sqlite3_file_control(s->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    return (rc == SQLITE_OK && moved != 0) ||
           access(sqlite3_filename_wal(sqlite3_db_filename(s->db, "main")),
                  F_OK) < 0;
}

static int commit(struct store *s)
{
    ASSERT(s->in_transaction);
    if (s->doomed == 0) {
        (void)(sqlite_span_flush(s) == 0 && write_ledger(s) == 0 &&
               sqlite_run(s, sqlite_statement(s, SQL_COMMIT)) == 0);
    }
    if (s->doomed == 0 && is_gone(s)) {
        s->doomed = -EIO;
    }
    if (s->doomed == 0) {
        s->in_transaction = false;
        s->written = s->tally;
        s->groups++;
        return 0;
    }
    int why = s->doomed;
    rollback(s);
    if (why == -ENOSPC) {
        sqlite_ballast_release(s);
    } else {
        s->broken = true;
    }
    return why;
}

/* ---- one operation ------------------------------------------------------ */

/* May it fail after it has changed something? Then it needs a savepoint.
 * Operations of one row check first and change after. */
static bool needs_savepoint(const struct store_op *op)
{
    return (op->kind == STORE_INGEST && op->ingest.count > 1) ||
           (op->kind == STORE_APPLY && op->apply.count > 1);
}

static int run_op(struct store *s, struct store_op *op, uint64_t now_ms)
{
    switch (op->kind) {
    case STORE_INGEST:
        return sqlite_ingest(s, &op->ingest, now_ms);
    case STORE_CLAIM:
        return sqlite_claim(s, &op->claim, now_ms);
    case STORE_APPLY:
        return sqlite_apply(s, &op->apply);
    case STORE_PIN:
        return sqlite_pin(s, &op->pin);
    case STORE_OP_KINDS:
        break;
    }
    UNREACHABLE();
}

static int run(struct store *s, struct store_op *op, uint64_t now_ms)
{
    ASSERT(s->in_transaction);
    s->last_now_ms = MAX(s->last_now_ms, now_ms);
    if (s->doomed != 0) {
        return s->doomed;
    }
    arena_reset(&s->arena);
    if (!needs_savepoint(op)) {
        return run_op(s, op, now_ms);
    }
    s->at_savepoint = s->tally;
    int r = sqlite_run(s, sqlite_statement(s, SQL_SAVEPOINT));
    if (r < 0) {
        return r;
    }
    r = run_op(s, op, now_ms);
    if (r < 0 && s->doomed == 0) {
        s->tally = s->at_savepoint;
        int undone = sqlite_run(s, sqlite_statement(s, SQL_UNDO));
        r = undone < 0 ? undone : r;
    }
    if (s->doomed == 0) {
        int released = sqlite_run(s, sqlite_statement(s, SQL_RELEASE));
        r = released < 0 ? released : r;
    }
    return r;
}

static void counts(const struct store *s, struct store_counts *ret)
{
    *ret = s->tally.counts;
}

static uint64_t queued(const struct store *s)
{
    const struct store_counts *now = &s->tally.counts;
    return now->events[EVENT_QUEUED] + now->events[EVENT_ERROR];
}

/* ---- closing ------------------------------------------------------------ */

/* Only a store that worked to the end is marked as closed: the next opening
 * checks any other. */
static void mark_closed(struct store *s)
{
    char sql[128];
    (void)snprintf(
        sql, sizeof(sql), "UPDATE session SET closed_ms = %llu WHERE no = %llu",
        (unsigned long long)s->last_now_ms, (unsigned long long)s->session);
    (void)sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    (void)sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE,
                                    NULL, NULL);
}

static void close_store(struct store *s)
{
    if (s == NULL) {
        return;
    }
    if (s->in_transaction) {
        rollback(s);
    }
    if (!s->broken) {
        mark_closed(s);
    }
    sqlite_free(s);
}

const struct store_driver store_sqlite = {
    .name = "sqlite",
    .open = sqlite_open,
    .close = close_store,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .run = run,
    .maintain = sqlite_maintain,
    .queued = queued,
    .counts = counts,
    .has_room = sqlite_has_room,
    .check = sqlite_check,
    .reader_open = sqlite_reader_open,
};
