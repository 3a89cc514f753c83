/* Is the file whole, and do its rows say what the ledger says? */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "store/sqlite_changes.h"
#include "store/sqlite_open.h"
#include "store/sqlite_sums.h"

/* Up to this size the whole check is worth its time: the quick one does not
 * compare indexes with their tables in the library's older versions. */
#define FULL_CHECK_MAX_BYTES (1024ULL * 1024 * 1024)

/* Read in some 0.2 s; what is larger is read by the next backup. */
#define SCAN_MAX_BYTES (256ULL * 1024 * 1024)

/* Runs a check that answers one row "ok". */
static int run_check(struct store *s, const char *sql, struct err *reterr)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(st);
    }
    char what[160] = "";
    if (rc == SQLITE_ROW) {
        (void)snprintf(what, sizeof(what), "%s",
                       (const char *)sqlite3_column_text(st, 0));
    }
    (void)sqlite3_finalize(st);
    if (rc != SQLITE_ROW) {
        return sqlite_open_error(s, rc, "check", reterr);
    }
    if (!str_eq_c(STR("ok"), what)) {
        (void)sqlite_open_error(s, SQLITE_CORRUPT, "check", reterr);
        char *newline = strchr(what, '\n');
        if (newline != NULL) {
            *newline = '\0';
        }
        return err_set(reterr, -EBADMSG, "%s is damaged: %s", s->db_path, what);
    }
    return 0;
}

static int file_bytes(struct store *s, uint64_t *ret)
{
    uint64_t pages = 0;
    uint64_t page_bytes = 0;
    int rc = sqlite_query_u64(s->db, "PRAGMA page_count", &pages);
    if (rc == SQLITE_OK) {
        rc = sqlite_query_u64(s->db, "PRAGMA page_size", &page_bytes);
    }
    *ret = pages * page_bytes;
    return rc;
}

/* The file alone is read, so what is in the log goes there first: we are the
 * only one who has it open. */
static int scan_pages(struct store *s, uint64_t *ret_pages, struct err *reterr)
{
    uint64_t page = 0;
    int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_RESTART,
                                       NULL, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite_sums_scan(s->db, &page);
    }
    if (rc == SQLITE_IOERR_DATA) {
        (void)sqlite_open_error(s, rc, "check", reterr);
        return err_set(reterr, -EBADMSG,
                       "%s is damaged: page %llu has changed since it was "
                       "written",
                       s->db_path, (unsigned long long)page);
    }
    *ret_pages = page;
    return rc == SQLITE_OK ? 0 : sqlite_open_error(s, rc, "check", reterr);
}

int sqlite_check_file(struct store *s, bool full, struct store_opened *opened,
                      struct err *reterr)
{
    uint64_t bytes = 0;
    int rc = file_bytes(s, &bytes);
    if (rc != SQLITE_OK) {
        return sqlite_open_error(s, rc, "check", reterr);
    }
    if (opened->unclean || full) {
        bool whole = full || bytes < FULL_CHECK_MAX_BYTES;
        int r = run_check(
            s, whole ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)",
            reterr);
        if (r < 0) {
            return r;
        }
        opened->checked = true;
    }
    if (!opened->created && bytes < FULL_CHECK_MAX_BYTES) {
        rc = sqlite_schema_add_sums(s);
        if (rc != SQLITE_OK && (rc & 0xFF) != SQLITE_FULL) {
            return sqlite_open_error(s, rc, "rewrite", reterr);
        }
    }
    opened->sums = sqlite_sums_used(s->db);
    return opened->sums && (full || bytes < SCAN_MAX_BYTES)
               ? scan_pages(s, &opened->pages_scanned, reterr)
               : 0;
}

/* Each counts rows that contradict another table; all must give 0. */
static const struct {
    const char *what;
    const char *sql;
} contradictions[] = {
    {"alerts that are not the newest of their fingerprint",
     "SELECT count(*) FROM event AS e JOIN alert AS a USING (fingerprint)"
     " WHERE e.seq > a.seq AND state <> 0 AND NOT EXISTS (SELECT 1 FROM"
     " event_span AS s WHERE s.first_seq = (SELECT max(first_seq) FROM"
     " event_span WHERE first_seq <= e.seq) AND duplicate_of IS NOT NULL)"},
    {"alerts whose event does not fire",
     "SELECT count(*) FROM alert JOIN event USING (seq) WHERE state <> 1"},
    {"events before the first of their minute",
     "SELECT count(*) FROM event WHERE seq < coalesce((SELECT first_seq"
     " FROM event_minute WHERE minute = received_ms / 60000), seq + 1)"},
    {"spans that overlap or are empty",
     "SELECT count(*) FROM event_span AS s WHERE last_seq < first_seq"
     " OR last_seq >= (SELECT min(first_seq) FROM event_span"
     " WHERE first_seq > s.first_seq)"},
    {"spans with events that are not there",
     "SELECT count(*) FROM event_span WHERE last_seq - first_seq + 1 <>"
     " (SELECT count(*) FROM event WHERE seq BETWEEN first_seq AND last_seq)"},
    {"processing spans without a claim, or the other way round",
     "SELECT count(*) FROM event_span WHERE (status = 1) <> (claim <> 0)"},
    {"attempts or outputs without a workflow",
     "SELECT count(*) FROM (SELECT workflow FROM attempt UNION"
     " SELECT workflow FROM output) WHERE workflow NOT IN"
     " (SELECT seq FROM workflow)"},
};

static int count_rows(struct store *s, struct store_counts *ret)
{
    static const char sql[] =
        "SELECT 0, 0, count(*) FROM event UNION ALL"
        " SELECT 1, status, sum(last_seq - first_seq + 1) FROM event_span"
        " GROUP BY status UNION ALL"
        " SELECT 2, status, count(*) FROM workflow GROUP BY status UNION ALL"
        " SELECT 4, 0, count(*) FROM workflow WHERE dry_run <> 0";
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite_ledger_read(st, ret);
    }
    (void)sqlite3_finalize(st);
    return rc;
}

static int read_end(struct store *s, struct audit_end *ret)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(s->db, SQLITE_AUDIT_END, -1, &st, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(st);
    }
    if (rc == SQLITE_ROW) {
        *ret = sqlite_audit_end_read(st);
        rc = SQLITE_DONE;
    }
    (void)sqlite3_finalize(st);
    return rc;
}

/* I10: no gap, no row that was changed, none missing at the end. */
int sqlite_check_trail(struct store *s, struct err *reterr)
{
    sqlite3_stmt *st = NULL;
    struct audit_chain chain = {0};
    struct audit_end end = {0};
    bool whole = true;
    int rc = read_end(s, &end);
    if (rc == SQLITE_DONE) {
        rc = sqlite3_prepare_v2(
            s->db, "SELECT " SQLITE_AUDIT_COLUMNS " FROM audit ORDER BY seq",
            -1, &st, NULL);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(st);
    }
    while (rc == SQLITE_ROW && whole) {
        arena_reset(&s->arena);
        struct audit_row row = sqlite_audit_read(st, &s->arena);
        whole = audit_chain_take(&chain, &row);
        rc = sqlite3_step(st);
    }
    (void)sqlite3_finalize(st);
    if (!whole) {
        return err_set(reterr, -EBADMSG,
                       "row %llu of the audit trail does not follow from the "
                       "one before it",
                       (unsigned long long)chain.rows + 1);
    }
    if (rc == SQLITE_DONE &&
        (chain.rows != end.seq ||
         memcmp(chain.hash, end.hash, sizeof(end.hash)) != 0)) {
        return err_set(reterr, -EBADMSG,
                       "the audit trail ends with row %llu and should end with "
                       "row %llu",
                       (unsigned long long)chain.rows,
                       (unsigned long long)end.seq);
    }
    return rc == SQLITE_DONE ? 0 : sqlite_open_error(s, rc, "check", reterr);
}

int sqlite_check_structure(struct store *s, struct err *reterr)
{
    return run_check(s, "PRAGMA integrity_check(1)", reterr);
}

/* What the ledger table says is what the rows say; in a file of before, it
 * does not say how many dry runs there are. */
static int check_ledger(struct store *s, uint32_t schema,
                        struct store_counts *ret, struct err *reterr)
{
    struct store_counts written;
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(s->db, SQLITE_LEDGER_SQL, -1, &st, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite_ledger_read(st, &written);
    }
    (void)sqlite3_finalize(st);
    if (rc == SQLITE_OK) {
        rc = count_rows(s, ret);
    }
    if (rc == SQLITE_OK) {
        ret->removed_events = written.removed_events;
        ret->removed_workflows = written.removed_workflows;
        written.dry_runs =
            schema < SCHEMA_DRY_RUNS ? ret->dry_runs : written.dry_runs;
        ret->accepted += written.removed_events;
        ret->events[EVENT_ARCHIVED] += written.removed_events;
    }
    if (rc != SQLITE_OK) {
        return sqlite_open_error(s, rc, "check", reterr);
    }
    return memcmp(ret, &written, sizeof(written)) == 0
               ? 0
               : err_set(reterr, -EBADMSG,
                         "%s is damaged: the ledger differs from the rows",
                         s->db_path);
}

static int check_contradictions(struct store *s, struct err *reterr)
{
    for (size_t i = 0; i < ARRAY_LEN(contradictions); i++) {
        uint64_t n = 0;
        int rc = sqlite_query_u64(s->db, contradictions[i].sql, &n);
        if (rc != SQLITE_OK) {
            return sqlite_open_error(s, rc, "check", reterr);
        }
        if (n != 0) {
            return err_set(reterr, -EBADMSG, "%s is damaged: %llu %s",
                           s->db_path, (unsigned long long)n,
                           contradictions[i].what);
        }
    }
    return 0;
}

int sqlite_check_rows(struct store *s, uint32_t schema,
                      struct store_counts *ret, struct err *reterr)
{
    int r = sqlite_check_structure(s, reterr);
    if (r == 0) {
        r = check_ledger(s, schema, ret, reterr);
    }
    if (r == 0 && schema == sqlite_schema_newest()) {
        r = check_contradictions(s, reterr);
    }
    return r;
}

int sqlite_check(struct store *s, struct err *reterr)
{
    ASSERT(!s->in_transaction);
    struct store_counts real;
    int r = sqlite_check_rows(s, sqlite_schema_newest(), &real, reterr);
    r = r == 0 ? sqlite_check_trail(s, reterr) : r;
    if (r == 0 && (memcmp(&real, &s->tally.counts, sizeof(real)) != 0 ||
                   memcmp(&real, &s->written.counts, sizeof(real)) != 0)) {
        r = err_set(reterr, -EBADMSG, "the tally differs from the ledger");
    }
    return r;
}
