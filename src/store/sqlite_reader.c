/*
 * Readers of the SQLite driver: a read-only connection each. Every call is
 * one statement, so it sees one commit; it is reset before the call returns,
 * so that no reader keeps the write-ahead log from starting over.
 */
#include "store/sqlite_reader.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/vec.h"
#include "store/sqlite_changes.h"
#include "store/sqlite_harden.h"
#include "store/sqlite_open.h"
#include "store/sqlite_sums.h"

#define PROGRESS_STEPS 4000 /* of the library's machine, well under 1 ms */

#define NOTICES                                                                \
    "SELECT seq, channel, state, created_ms, tried_ms, attempts, key, body,"   \
    " error FROM notice WHERE channel = ?1 AND state = ?2 AND seq < ?3"

#define TALLY_COLUMNS                                                          \
    "SELECT type, severity, source, status, priority, count(*),"               \
    " min(received_ms)"
#define TALLY_END                                                              \
    " GROUP BY 1, 2, 3, 4, 5 ORDER BY 6 DESC, 1, 2, 3, 4, 5 LIMIT ?3"

/* The first event of the minute of ?1, or of the next that has one. */
#define EVENT_SINCE_SEQ                                                        \
    "(SELECT min(first_seq) FROM event_minute WHERE minute >= ?1 / 60000)"

static const char *const texts[READ_STATEMENTS] = {
    [READ_EVENT] =
        "SELECT " EVENT_VIEW_COLUMNS EVENT_VIEW_FROM " WHERE id = ?1",
    [READ_ALERTS] = "SELECT " EVENT_VIEW_COLUMNS EVENT_VIEW_FROM " WHERE seq IN"
                    " (SELECT seq FROM alert"
                    "  WHERE (ends_ms = 0 OR ends_ms > ?1) AND seq < ?3"
                    "  ORDER BY seq DESC LIMIT ?2) ORDER BY seq DESC",
    [READ_WORKFLOW] =
        "SELECT " STMT_WORKFLOW_COLUMNS " FROM workflow WHERE id = ?1",
    [READ_ATTEMPTS] =
        "SELECT " STMT_ATTEMPT_COLUMNS " FROM attempt WHERE workflow ="
        " (SELECT seq FROM workflow WHERE id = ?1) ORDER BY step_no, attempt",
    [READ_OUTPUT] = "SELECT seq, step_no, attempt, offset, stream, at_ms, data"
                    " FROM output INDEXED BY output_workflow WHERE workflow ="
                    " (SELECT seq FROM workflow WHERE id = ?1) AND seq > ?2"
                    " ORDER BY seq LIMIT ?3",
    [READ_RUNBOOK] = "SELECT path, text FROM runbook WHERE hash = ?1",
    [READ_REQUEST] = "SELECT hash, results FROM request"
                     " WHERE key = ?1 AND expires_ms > ?2",
    [READ_COUNTS] = SQLITE_LEDGER_SQL,
    [READ_USAGE] = "SELECT page_size * (page_count - freelist_count),"
                   " page_size * page_count FROM pragma_page_size,"
                   " pragma_page_count, pragma_freelist_count",
    [READ_TALLY_QUEUED] =
        TALLY_COLUMNS " FROM (SELECT * FROM event_span INDEXED BY event_ready"
                      " CROSS JOIN event WHERE status IN (0, 8) AND"
                      " seq BETWEEN first_seq AND last_seq LIMIT ?2)" TALLY_END,
    [READ_TALLY_SINCE] = TALLY_COLUMNS
    " FROM (SELECT *" EVENT_VIEW_FROM " WHERE received_ms >= ?1"
    " AND seq >= " EVENT_SINCE_SEQ " ORDER BY seq DESC LIMIT ?2)" TALLY_END,
    /* The ledger's row of all that were accepted has the number of the newest,
     * which may have been removed. */
    [READ_ACCEPTED_SINCE] =
        "SELECT (SELECT n FROM ledger WHERE kind = 0 AND status = 0) - seq + 1"
        " FROM event"
        " WHERE received_ms >= ?1 AND seq >= " EVENT_SINCE_SEQ
        " ORDER BY seq LIMIT 1",
    [READ_SETTINGS] = "SELECT key, value, at_ms, by FROM setting"
                      " WHERE substr(key, 1, length(?1)) = ?1"
                      " ORDER BY key LIMIT ?2",
    [READ_AUDIT_DOWN] = "SELECT " SQLITE_AUDIT_COLUMNS " FROM audit"
                        " WHERE seq < ?1 AND seq > ?2 ORDER BY seq DESC"
                        " LIMIT ?3",
    [READ_AUDIT_UP] = "SELECT " SQLITE_AUDIT_COLUMNS " FROM audit"
                      " WHERE seq < ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
    [READ_AUDIT_END] = SQLITE_AUDIT_END,
    [READ_NOTICES_DOWN] = NOTICES " ORDER BY seq DESC LIMIT ?4",
    [READ_NOTICES_UP] = NOTICES " ORDER BY seq LIMIT ?4",
    [READ_NOTICE_COUNTS] =
        "SELECT channel, state, count(*) FROM notice GROUP BY channel, state",
    [READ_VERDICT] = "SELECT subject, kind, about_ms, at_ms, by, note"
                     " FROM verdict WHERE subject = ?1",
    [READ_VERDICTS] = "SELECT subject, kind, about_ms, at_ms, by, note"
                      " FROM verdict WHERE about_ms >= ?1"
                      " AND (?2 < 0 OR kind = ?2)"
                      " ORDER BY about_ms DESC, subject DESC LIMIT ?3",
    [READ_VERDICT_COUNTS] = "SELECT kind, count(*) FROM verdict"
                            " WHERE about_ms >= ?1 GROUP BY kind",
    [READ_MEMORIES] =
        "SELECT runbook_path, trigger_name, key, expires_ms, last_workflow,"
        " events, starts FROM trigger_memory"
        " WHERE (runbook_path, trigger_name, key) > (?1, ?2, ?3)"
        " AND (?4 = '' OR runbook_path = ?4)"
        " ORDER BY runbook_path, trigger_name, key LIMIT ?5",
    [READ_MEMORY] =
        "SELECT runbook_path, trigger_name, key, expires_ms, last_workflow,"
        " events, starts FROM trigger_memory"
        " WHERE runbook_path = ?1 AND trigger_name = ?2 AND key = ?3",
    [READ_WATCHES] = "SELECT " SQLITE_WATCH_COLUMNS " FROM trigger_watch"
                     " WHERE (runbook_path, trigger_name, key) > (?1, ?2, ?3)"
                     " AND (?4 = '' OR runbook_path = ?4)"
                     " ORDER BY runbook_path, trigger_name, key LIMIT ?5",
};

/* ---- the connection ----------------------------------------------------- */

static uint64_t monotonic_ms(void)
{
    struct timespec t;
    ASSERT(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int is_overdue(void *arg)
{
    const struct sqlite_reader *r = arg;
    return monotonic_ms() >= r->deadline_ms ? 1 : 0;
}

static int read_error(int rc)
{
    if (rc == SQLITE_IOERR_DATA) {
        return -EBADMSG;
    }
    switch (rc & 0xFF) {
    case SQLITE_INTERRUPT:
        return -ETIMEDOUT;
    case SQLITE_BUSY:
        return -EAGAIN;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    default:
        return -EIO;
    }
}

sqlite3_stmt *sqlite_read_begin(struct reader *reader, enum sqlite_read which)
{
    struct sqlite_reader *r = CONTAINER_OF(reader, struct sqlite_reader, base);
    r->deadline_ms = monotonic_ms() + r->limit_ms;
    return r->statements[which];
}

int sqlite_read_prepare(struct reader *reader, const struct strbuf *sql,
                        sqlite3_stmt **ret)
{
    struct sqlite_reader *r = CONTAINER_OF(reader, struct sqlite_reader, base);
    ASSERT(strbuf_error(sql) == 0);
    r->deadline_ms = monotonic_ms() + r->limit_ms;
    int rc = sqlite3_prepare_v2(r->db, sql->at, -1, ret, NULL);
    return rc == SQLITE_OK ? 0 : read_error(rc);
}

int sqlite_read_next(sqlite3_stmt *st)
{
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
        return rc == SQLITE_ROW ? 1 : 0;
    }
    return read_error(rc);
}

/* Ends a call that wanted one row: what sqlite_read_next gave becomes 0 or
 * -ENOENT. */
static int end_single(sqlite3_stmt *st, int r)
{
    (void)sqlite3_reset(st);
    if (r < 0) {
        return r;
    }
    return r == 1 ? 0 : -ENOENT;
}

/* ---- single rows and small lists ---------------------------------------- */

static int read_event(struct reader *r, struct id id, struct arena *a,
                      struct event_view *ret)
{
    sqlite3_stmt *st = sqlite_read_begin(r, READ_EVENT);
    stmt_bind_blob(st, 1, id_bytes(&id));
    int n = sqlite_read_next(st);
    if (n == 1) {
        int decoded = sqlite_read_event_view(st, a, ret);
        n = decoded < 0 ? decoded : n;
    }
    return end_single(st, n);
}

static int read_workflow(struct reader *r, struct id id, struct arena *a,
                         struct workflow_view *ret)
{
    sqlite3_stmt *st = sqlite_read_begin(r, READ_WORKFLOW);
    stmt_bind_blob(st, 1, id_bytes(&id));
    int n = sqlite_read_next(st);
    if (n == 1) {
        ret->seq = stmt_u64(st, 0);
        ret->row = stmt_workflow(st, a);
    }
    return end_single(st, n);
}

static int read_runbook(struct reader *r, const struct runbook_hash *hash,
                        struct arena *a, struct str *ret_path,
                        struct str *ret_text)
{
    sqlite3_stmt *st = sqlite_read_begin(r, READ_RUNBOOK);
    stmt_bind_blob(st, 1,
                   str_n((const char *)hash->bytes, sizeof(hash->bytes)));
    int n = sqlite_read_next(st);
    if (n == 1) {
        *ret_path = stmt_str(st, 0, a);
        *ret_text = stmt_str(st, 1, a);
    }
    return end_single(st, n);
}

static int read_request(struct reader *r, struct str key,
                        const uint8_t hash[32], uint64_t now_ms, struct id *ret)
{
    sqlite3_stmt *st = sqlite_read_begin(r, READ_REQUEST);
    stmt_bind_text(st, 1, key);
    stmt_bind_u64(st, 2, now_ms);
    int n = sqlite_read_next(st);
    uint8_t known[32] = {0};
    struct id made = ID_NULL;
    if (n == 1) {
        stmt_bytes(st, 0, known, sizeof(known));
        made = stmt_id(st, 1);
    }
    int e = end_single(st, n);
    if (e < 0) {
        return e;
    }
    if (memcmp(known, hash, sizeof(known)) != 0 || id_is_null(made)) {
        return -EEXIST;
    }
    *ret = made;
    return 0;
}

static int read_counts(struct reader *r, struct store_counts *ret)
{
    sqlite3_stmt *st = sqlite_read_begin(r, READ_COUNTS);
    struct store_counts counts;
    int rc = sqlite_ledger_read(st, &counts);
    (void)sqlite3_reset(st);
    if (rc != SQLITE_OK) {
        return read_error(rc);
    }
    *ret = counts;
    return 0;
}

static int read_usage(struct reader *r, struct store_usage *ret)
{
    sqlite3_stmt *st = sqlite_read_begin(r, READ_USAGE);
    int n = sqlite_read_next(st);
    if (n == 1) {
        ret->used_bytes = stmt_u64(st, 0);
        ret->file_bytes = stmt_u64(st, 1);
    }
    return end_single(st, n);
}

static struct event_group group_of(sqlite3_stmt *st, struct arena *a)
{
    return (struct event_group){
        .type = stmt_str(st, 0, a),
        .severity = stmt_str(st, 1, a),
        .source = stmt_str(st, 2, a),
        .status = (enum event_status)stmt_u32(st, 3),
        .priority = (uint8_t)stmt_u32(st, 4),
        .count = stmt_u64(st, 5),
        .oldest_ms = stmt_u64(st, 6),
    };
}

static int read_groups(sqlite3_stmt *st, uint64_t since_ms, struct arena *a,
                       struct event_tally *ret)
{
    uint64_t seen = 0;
    bool more = false;
    stmt_bind_u64(st, 1, since_ms); /* of no use in the queue */
    stmt_bind_u64(st, 2, STORE_TALLY_EVENTS_MAX);
    stmt_bind_u64(st, 3, STORE_TALLY_GROUPS_MAX + 1);
    ret->groups = ARENA_ARRAY(a, STORE_TALLY_GROUPS_MAX, struct event_group);
    int n = sqlite_read_next(st);
    while (n == 1 && !more) {
        struct event_group g = group_of(st, a);
        seen += g.count;
        more = ret->group_count == STORE_TALLY_GROUPS_MAX;
        if (!more) {
            ret->groups[ret->group_count++] = g;
            n = sqlite_read_next(st);
        }
    }
    (void)sqlite3_reset(st);
    ret->complete = !more && seen < STORE_TALLY_EVENTS_MAX;
    return MIN(n, 0);
}

static int read_tally(struct reader *r, const struct tally_filter *f,
                      struct arena *a, struct event_tally *ret)
{
    struct event_tally tally = {0};
    int n = 0;
    if (!f->queued) {
        sqlite3_stmt *st = sqlite_read_begin(r, READ_ACCEPTED_SINCE);
        stmt_bind_u64(st, 1, f->since_ms);
        n = sqlite_read_next(st);
        tally.accepted = n == 1 ? stmt_u64(st, 0) : 0;
        (void)sqlite3_reset(st);
    }
    if (n >= 0) {
        sqlite3_stmt *st = sqlite_read_begin(r, f->queued ? READ_TALLY_QUEUED
                                                          : READ_TALLY_SINCE);
        n = read_groups(st, f->since_ms, a, &tally);
    }
    if (n == 0) {
        *ret = tally;
    }
    return n;
}

static int read_attempts(struct reader *r, struct id workflow_id,
                         struct arena *a, struct attempt_row **ret,
                         uint32_t *ret_count)
{
    sqlite3_stmt *st = sqlite_read_begin(r, READ_ATTEMPTS);
    stmt_bind_blob(st, 1, id_bytes(&workflow_id));
    VEC(struct attempt_row) rows = {0};
    int n = sqlite_read_next(st);
    while (n == 1) {
        struct attempt_row row = stmt_attempt(st, a);
        row.key.workflow_id = workflow_id;
        VEC_PUSH(&rows, row);
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

static struct output_chunk chunk_of(sqlite3_stmt *st, struct id workflow_id,
                                    struct arena *a)
{
    return (struct output_chunk){
        .seq = stmt_u64(st, 0),
        .key = {.workflow_id = workflow_id,
                .step_no = stmt_u32(st, 1),
                .attempt = stmt_u32(st, 2)},
        .offset = stmt_u64(st, 3),
        .stream = (enum output_stream)stmt_u32(st, 4),
        .at_ms = stmt_u64(st, 5),
        .data = stmt_str(st, 6, a),
    };
}

static int read_output(struct reader *r, const struct output_filter *f,
                       struct arena *a, struct output_chunk **ret,
                       uint32_t *ret_count, uint64_t *ret_last_seq)
{
    sqlite3_stmt *st = sqlite_read_begin(r, READ_OUTPUT);
    stmt_bind_blob(st, 1, id_bytes(&f->workflow_id));
    stmt_bind_u64(st, 2, f->after_seq);
    stmt_bind_u64(st, 3, f->limit);
    VEC(struct output_chunk) rows = {0};
    uint64_t last_seq = f->after_seq;
    int n = sqlite_read_next(st);
    while (n == 1) {
        last_seq = stmt_u64(st, 0);
        VEC_PUSH(&rows, chunk_of(st, f->workflow_id, a));
        n = sqlite_read_next(st);
    }
    (void)sqlite3_reset(st);
    if (n == 0) {
        *ret = ARENA_COPY(a, rows.at, rows.count);
        *ret_count = (uint32_t)rows.count;
        *ret_last_seq = last_seq;
    }
    VEC_DEINIT(&rows);
    return n;
}

static int read_alerts(struct reader *r, uint64_t now_ms, uint64_t before_seq,
                       struct arena *a, struct event_view **ret,
                       uint32_t *ret_count)
{
    sqlite3_stmt *st = sqlite_read_begin(r, READ_ALERTS);
    stmt_bind_u64(st, 1, now_ms);
    stmt_bind_u64(st, 2, STORE_ALERTS_PAGE);
    stmt_bind_u64(st, 3, before_seq != 0 ? before_seq : INT64_MAX);
    int n = sqlite_read_event_views(st, a, ret, ret_count);
    (void)sqlite3_reset(st);
    return n;
}

/* ---- opening and closing ------------------------------------------------ */

static void close_reader(struct reader *reader)
{
    if (reader == NULL) {
        return;
    }
    struct sqlite_reader *r = CONTAINER_OF(reader, struct sqlite_reader, base);
    for (size_t i = 0; i < READ_STATEMENTS; i++) {
        (void)sqlite3_finalize(r->statements[i]);
    }
    (void)sqlite3_close_v2(r->db);
    mem_free(r);
}

static const struct reader_ops ops = {
    .close = close_reader,
    .events = sqlite_read_events,
    .event = read_event,
    .workflows = sqlite_read_workflows,
    .workflow = read_workflow,
    .attempts = read_attempts,
    .output = read_output,
    .runbook = read_runbook,
    .request = read_request,
    .counts = read_counts,
    .tally = read_tally,
    .usage = read_usage,
    .alerts = read_alerts,
    .settings = sqlite_read_settings,
    .audit = sqlite_read_audit,
    .audit_end = sqlite_read_audit_end,
    .notices = sqlite_read_notices,
    .notice_counts = sqlite_read_notice_counts,
    .verdict = sqlite_read_verdict,
    .verdicts = sqlite_read_verdicts,
    .verdict_counts = sqlite_read_verdict_counts,
    .memories = sqlite_read_memories,
    .memory = sqlite_read_memory,
    .watches = sqlite_read_watches,
};

static int connect_file(struct sqlite_reader *r, const char *path)
{
    int rc = sqlite3_open_v2(path, &r->db,
                             SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX |
                                 SQLITE_OPEN_EXRESCODE,
                             sqlite_sums_vfs());
    if (rc == SQLITE_OK) {
        rc = sqlite_harden(r->db);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_busy_timeout(r->db, SQLITE_BUSY_MS);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(r->db,
                          "PRAGMA query_only = ON;"
                          "PRAGMA cell_size_check = ON;"
                          "PRAGMA temp_store = MEMORY;"
                          "PRAGMA cache_size = -8192;",
                          NULL, NULL, NULL);
    }
    return rc;
}

static int prepare_all(struct sqlite_reader *r)
{
    int rc = SQLITE_OK;
    for (size_t i = 0; rc == SQLITE_OK && i < READ_STATEMENTS; i++) {
        rc = sqlite3_prepare_v3(r->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                &r->statements[i], NULL);
    }
    return rc;
}

static int connect(struct sqlite_reader *r, const char *path)
{
    int rc = connect_file(r, path);
    return rc == SQLITE_OK ? prepare_all(r) : rc;
}

int sqlite_reader_open(struct store *s, struct reader **ret, struct err *reterr)
{
    struct sqlite_reader *r = MEM_NEW(struct sqlite_reader);
    r->base.ops = &ops;
    r->limit_ms = STORE_READ_DEADLINE_MS;
    int rc = connect(r, s->db_path);
    if (rc == SQLITE_OK && sqlite_sums_used(r->db) != s->sums) {
        rc = SQLITE_IOERR_DATA; /* the header has changed */
    }
    if (rc != SQLITE_OK) {
        close_reader(&r->base);
        return err_set(reterr, read_error(rc), "cannot read %s: %s", s->db_path,
                       sqlite3_errstr(rc));
    }
    sqlite3_progress_handler(r->db, PROGRESS_STEPS, is_overdue, r);
    *ret = &r->base;
    return 0;
}

/* A store of another version has other columns. */
static int check_version(struct sqlite_reader *r, const char *path,
                         struct err *reterr)
{
    uint64_t version = 0;
    uint32_t newest = sqlite_schema_newest();
    int rc = sqlite_query_u64(r->db, "PRAGMA user_version", &version);
    if (rc != SQLITE_OK) {
        return err_set(reterr, read_error(rc), "cannot read %s: %s", path,
                       sqlite3_errstr(rc));
    }
    if (version != newest) {
        err_hint(reterr, version < newest
                             ? "start the engine of this version once"
                             : "use the adctl of the engine's version");
        return err_set(reterr, -EINVAL,
                       "%s has schema %llu, this program reads %u", path,
                       (unsigned long long)version, newest);
    }
    return 0;
}

static int open_beside(struct sqlite_reader *r, const char *path,
                       struct err *reterr)
{
    if (access(path, R_OK) < 0) {
        return err_set(reterr, -errno, "cannot read %s: %s", path,
                       strerror(errno));
    }
    int rc = connect_file(r, path);
    int e = rc == SQLITE_OK
                ? check_version(r, path, reterr)
                : err_set(reterr, read_error(rc), "cannot read %s: %s", path,
                          sqlite3_errstr(rc));
    if (e < 0) {
        return e;
    }
    rc = prepare_all(r);
    return rc == SQLITE_OK
               ? 0
               : err_set(reterr, read_error(rc), "cannot read %s: %s", path,
                         sqlite3_errstr(rc));
}

int store_reader_open(const char *path, uint64_t limit_ms, struct reader **ret,
                      struct err *reterr)
{
    struct sqlite_reader *r = MEM_NEW(struct sqlite_reader);
    r->base.ops = &ops;
    r->limit_ms = limit_ms;
    int e = open_beside(r, path, reterr);
    if (e < 0) {
        close_reader(&r->base);
        return e;
    }
    sqlite3_progress_handler(r->db, PROGRESS_STEPS, is_overdue, r);
    *ret = &r->base;
    return 0;
}
