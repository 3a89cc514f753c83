/*
 * The schema and its versions. Forward only: a released step is never edited,
 * a change is another step. The numbers in conditions are those of the enums
 * in model/, which are never renumbered.
 */
#include <errno.h>

#include "base/assert.h"
#include "store/sqlite_open.h"
#include "store/sqlite_sums.h"

/* In the file's header: "ADPS" for a file whose pages have checksums, so that
 * damage cannot make it look like one without, and "ADPE". */
#define APPLICATION_ID 0x41445045
#define APPLICATION_ID_SUMS 0x41445053

_Static_assert(EVENT_QUEUED == 0 && EVENT_PROCESSING == 1 &&
                   EVENT_PROCESSED == 2 && EVENT_ERROR == 8,
               "the SQL below says these numbers");
_Static_assert(WORKFLOW_QUEUED == 0 && WORKFLOW_RUNNING == 1 &&
                   WORKFLOW_WAITING == 2 && WORKFLOW_HELD == 7,
               "the SQL below says these numbers");
_Static_assert(ATTEMPT_STARTING == 0 && ATTEMPT_RUNNING == 1 &&
                   ATTEMPT_SUCCEEDED == 2,
               "the SQL below says these numbers");
_Static_assert(WORKFLOW_SUCCEEDED == 3 && WORKFLOW_KILLED == 6,
               "the SQL below says these numbers");
_Static_assert(EVENT_FIRING == 1, "the SQL below says this number");

/* Events: a row is written once and never again. What becomes of events is in
 * event_span, a row for each range of events that share it (sqlite_spans.c).
 * An event costs its row and one index entry when it comes; everything else
 * that could be an index is not worth its price on that path. alert has the
 * newest firing alert of each fingerprint, so that nobody has to look for it
 * (ends_ms 0, of earlier versions: it is not known when it is over by itself);
 * event_minute the first event of each minute, so that lists by time start
 * near the right place (and although the clock may have been set back).
 * dedup and request rows are in order of age, so trimming looks only at the
 * oldest. attempt and output name their workflow by its seq. */
static const char schema_1[] =
    "CREATE TABLE session ("
    " no INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, node TEXT NOT NULL,"
    " opened_ms INTEGER NOT NULL, lease_ms INTEGER, closed_ms INTEGER"
    ") STRICT;"
    "CREATE TABLE ledger ("
    " kind INTEGER NOT NULL, status INTEGER NOT NULL, n INTEGER NOT NULL,"
    " PRIMARY KEY (kind, status)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE event ("
    " seq INTEGER PRIMARY KEY, id BLOB NOT NULL, state INTEGER NOT NULL,"
    " received_ms INTEGER NOT NULL, starts_ms INTEGER NOT NULL,"
    " ends_ms INTEGER NOT NULL, type TEXT NOT NULL,"
    " severity TEXT NOT NULL, source TEXT NOT NULL,"
    " fingerprint TEXT NOT NULL, dedup_key TEXT NOT NULL,"
    " labels BLOB NOT NULL, body TEXT NOT NULL"
    ") STRICT;"
    "CREATE UNIQUE INDEX event_id ON event (id);"
    "CREATE TABLE event_span ("
    " first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL,"
    " status INTEGER NOT NULL, priority INTEGER NOT NULL,"
    " attempt INTEGER NOT NULL, claim INTEGER NOT NULL,"
    " processed_ms INTEGER NOT NULL, error TEXT NOT NULL,"
    " duplicate_of BLOB"
    ") STRICT;"
    "CREATE INDEX event_ready ON event_span (priority, first_seq)"
    " WHERE status IN (0, 8);"
    "CREATE INDEX event_span_status ON event_span (status, first_seq)"
    " WHERE status <> 2;"
    "CREATE TABLE event_minute ("
    " minute INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE alert ("
    " fingerprint TEXT NOT NULL PRIMARY KEY, seq INTEGER NOT NULL,"
    " ends_ms INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE dedup ("
    " seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE,"
    " expires_ms INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE request ("
    " no INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, hash BLOB NOT NULL,"
    " expires_ms INTEGER NOT NULL, results BLOB NOT NULL"
    ") STRICT;"
    "CREATE TABLE runbook ("
    " no INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE,"
    " path TEXT NOT NULL, text TEXT NOT NULL"
    ") STRICT;"
    "CREATE TABLE workflow ("
    " seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE,"
    " owner INTEGER NOT NULL, rev INTEGER NOT NULL,"
    " status INTEGER NOT NULL, result INTEGER NOT NULL,"
    " stop INTEGER NOT NULL, step_no INTEGER NOT NULL,"
    " created_ms INTEGER NOT NULL, started_ms INTEGER NOT NULL,"
    " finished_ms INTEGER NOT NULL, wake_ms INTEGER NOT NULL,"
    " deadline_ms INTEGER NOT NULL, event_id BLOB,"
    " trigger_no INTEGER NOT NULL, dry_run INTEGER NOT NULL,"
    " runbook_hash BLOB NOT NULL, runbook_path TEXT NOT NULL,"
    " runbook_name TEXT NOT NULL, runbook_commit TEXT NOT NULL,"
    " requested_by TEXT NOT NULL, stopped_by TEXT NOT NULL,"
    " error TEXT NOT NULL, parameters TEXT NOT NULL"
    ") STRICT;"
    "CREATE UNIQUE INDEX workflow_start" /* I2 */
    " ON workflow (event_id, runbook_path, trigger_no)"
    " WHERE event_id IS NOT NULL;"
    "CREATE INDEX workflow_live ON workflow (seq)"
    " WHERE status IN (0, 1, 2, 7);"
    "CREATE INDEX workflow_status ON workflow (status, seq);"
    "CREATE INDEX workflow_runbook ON workflow (runbook_path, seq);"
    "CREATE TABLE attempt ("
    " workflow INTEGER NOT NULL, step_no INTEGER NOT NULL,"
    " attempt INTEGER NOT NULL, state INTEGER NOT NULL, executor BLOB,"
    " pid INTEGER NOT NULL, requested_ms INTEGER NOT NULL,"
    " started_ms INTEGER NOT NULL, finished_ms INTEGER NOT NULL,"
    " exit_code INTEGER NOT NULL, term_signal INTEGER NOT NULL,"
    " output_bytes INTEGER NOT NULL, output_truncated INTEGER NOT NULL,"
    " survivors INTEGER NOT NULL, error TEXT NOT NULL,"
    " PRIMARY KEY (workflow, step_no, attempt)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE UNIQUE INDEX attempt_in_flight" /* I4 */
    " ON attempt (workflow, step_no) WHERE state IN (0, 1);"
    "CREATE UNIQUE INDEX attempt_success" /* I4 */
    " ON attempt (workflow, step_no) WHERE state = 2;"
    "CREATE TABLE output ("
    " seq INTEGER PRIMARY KEY, workflow INTEGER NOT NULL,"
    " step_no INTEGER NOT NULL, attempt INTEGER NOT NULL,"
    " offset INTEGER NOT NULL, stream INTEGER NOT NULL,"
    " at_ms INTEGER NOT NULL, data BLOB NOT NULL,"
    " UNIQUE (workflow, step_no, attempt, offset)"
    ") STRICT;"
    "CREATE INDEX output_workflow ON output (workflow);";

static const char schema_2[] =
    "CREATE TABLE setting ("
    " key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL,"
    " at_ms INTEGER NOT NULL, by TEXT NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE audit ("
    " seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, who TEXT NOT NULL,"
    " action TEXT NOT NULL, subject TEXT NOT NULL, before TEXT NOT NULL,"
    " after TEXT NOT NULL, hash BLOB NOT NULL"
    ") STRICT;";

/* From here on rows may be removed: the ledger's kind 3 counts those. */
static const char schema_3[] =
    "CREATE INDEX workflow_created ON workflow (created_ms);";

static const char schema_4[] =
    "ALTER TABLE workflow ADD COLUMN"
    " default_timeout_ms INTEGER NOT NULL DEFAULT 60000;"
    "ALTER TABLE workflow ADD COLUMN"
    " default_attempts INTEGER NOT NULL DEFAULT 3;";

/* AUTOINCREMENT: rows go, and a number must not come back. */
static const char schema_5[] =
    "CREATE TABLE notice ("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT, channel INTEGER NOT NULL,"
    " state INTEGER NOT NULL, created_ms INTEGER NOT NULL,"
    " tried_ms INTEGER NOT NULL, attempts INTEGER NOT NULL,"
    " key TEXT NOT NULL, body TEXT NOT NULL, error TEXT NOT NULL"
    ") STRICT;"
    "CREATE INDEX notice_channel ON notice (channel, state, seq);"
    "CREATE INDEX notice_dead ON notice (seq) WHERE state = 1;";

static const char schema_6[] =
    "CREATE TABLE verdict ("
    " subject BLOB NOT NULL PRIMARY KEY, kind INTEGER NOT NULL,"
    " about_ms INTEGER NOT NULL, at_ms INTEGER NOT NULL, by TEXT NOT NULL,"
    " note TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE INDEX verdict_about ON verdict (about_ms, kind);";

/* To see whether a workflow is the last of its runbook version. */
static const char schema_7[] =
    "CREATE INDEX workflow_version ON workflow (runbook_hash);";

/* I10: where the trail ends, so that rows missing there are noticed, too. */
static const char schema_8[] =
    "CREATE TABLE audit_end ("
    " one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL,"
    " hash BLOB NOT NULL) STRICT;"
    "INSERT INTO audit_end SELECT 1, seq, hash FROM audit"
    " ORDER BY seq DESC LIMIT 1;";

/* The ledger's kind 4: dry runs, which are counted apart. */
static const char schema_9[] =
    "INSERT OR REPLACE INTO ledger"
    " SELECT 4, 0, count(*) FROM workflow WHERE dry_run <> 0;";

/* In the order of its columns it is read when the engine starts. events and
 * starts are instants of 8 bytes, the lowest first. */
static const char schema_10[] =
    "CREATE TABLE trigger_memory ("
    " runbook_path TEXT NOT NULL, trigger_name TEXT NOT NULL,"
    " key TEXT NOT NULL, expires_ms INTEGER NOT NULL, last_workflow BLOB,"
    " events BLOB NOT NULL, starts BLOB NOT NULL,"
    " PRIMARY KEY (runbook_path, trigger_name, key)"
    ") STRICT, WITHOUT ROWID;";

/* What a step has computed for later ones. */
static const char schema_11[] =
    "ALTER TABLE attempt ADD COLUMN outputs TEXT NOT NULL DEFAULT '';";

/* With which runbooks an event was decided, and what was held back: JSON. */
static const char schema_12[] =
    "ALTER TABLE event_span ADD COLUMN decision TEXT NOT NULL DEFAULT '';";

/* The same for what triggers watch; state is that of enum event_state, changes
 * are instants. And whose workflow a watched one is. */
static const char schema_13[] =
    "CREATE TABLE trigger_watch ("
    " runbook_path TEXT NOT NULL, trigger_name TEXT NOT NULL,"
    " key TEXT NOT NULL, state INTEGER NOT NULL, alert TEXT NOT NULL,"
    " newest_seq INTEGER NOT NULL, starts_ms INTEGER NOT NULL,"
    " since_ms INTEGER NOT NULL, seen_ms INTEGER NOT NULL,"
    " due_ms INTEGER NOT NULL, within_ms INTEGER NOT NULL,"
    " expires_ms INTEGER NOT NULL, event_id BLOB, parameters TEXT NOT NULL,"
    " error TEXT NOT NULL, held TEXT NOT NULL, changes BLOB NOT NULL,"
    " PRIMARY KEY (runbook_path, trigger_name, key)"
    ") STRICT, WITHOUT ROWID;"
    "ALTER TABLE workflow ADD COLUMN subject TEXT NOT NULL DEFAULT '';";

static const char *const steps[] = {
    schema_1, schema_2, schema_3,  schema_4,  schema_5,  schema_6, schema_7,
    schema_8, schema_9, schema_10, schema_11, schema_12, schema_13};

const char *sqlite_schema_step(uint32_t version)
{
    ASSERT(version > 0 && version <= ARRAY_LEN(steps));
    return steps[version - 1];
}

uint32_t sqlite_schema_newest(void)
{
    return (uint32_t)ARRAY_LEN(steps);
}

int sqlite_query_u64(sqlite3 *db, const char *sql, uint64_t *ret)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(st);
        *ret = rc == SQLITE_ROW ? stmt_u64(st, 0) : 0;
        rc = rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
    }
    (void)sqlite3_finalize(st);
    return rc;
}

static int copy_log(struct store *s)
{
    return sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_RESTART,
                                     NULL, NULL);
}

/* Has the file checksums, although its header does not say so yet? We may have
 * been killed when they had just been added, and only the log knows. */
static bool has_sums_after_all(struct store *s)
{
    if (!sqlite_sums_used(s->db)) {
        (void)copy_log(s);
    }
    return sqlite_sums_used(s->db);
}

int sqlite_schema_version(struct store *s, uint32_t *ret_version,
                          struct err *reterr)
{
    uint64_t version = 0;
    uint64_t application = 0;
    int rc = sqlite_query_u64(s->db, "PRAGMA user_version", &version);
    if (rc == SQLITE_OK) {
        rc = sqlite_query_u64(s->db, "PRAGMA application_id", &application);
    }
    uint64_t tables = 0;
    if (rc == SQLITE_OK) {
        rc = sqlite_query_u64(s->db, "SELECT count(*) FROM sqlite_schema",
                              &tables);
    }
    if (rc != SQLITE_OK) {
        return sqlite_open_error(s, rc, "read", reterr);
    }
    bool is_new = version == 0 && application == 0 && tables == 0;
    if (application == APPLICATION_ID_SUMS && !has_sums_after_all(s)) {
        return sqlite_open_error(s, SQLITE_IOERR_DATA, "read", reterr);
    }
    if (!is_new && application != APPLICATION_ID &&
        application != APPLICATION_ID_SUMS) {
        err_hint(reterr, "move it away, or configure another directory");
        return err_set(reterr, -EINVAL, "%s is a database of another program",
                       s->db_path);
    }
    if (version > ARRAY_LEN(steps)) {
        err_hint(reterr, "install the version that wrote it, or a newer one");
        return err_set(reterr, -EINVAL,
                       "%s was written by a newer version of this program "
                       "(schema %llu; this one knows up to %zu)",
                       s->db_path, (unsigned long long)version,
                       ARRAY_LEN(steps));
    }
    *ret_version = (uint32_t)version;
    return 0;
}

static int migrate_step(struct store *s, uint32_t to)
{
    char stamp[96];
    int application =
        sqlite_sums_used(s->db) ? APPLICATION_ID_SUMS : APPLICATION_ID;
    (void)snprintf(stamp, sizeof(stamp),
                   "PRAGMA user_version = %u; PRAGMA application_id = %d;", to,
                   application);
    const char *parts[] = {"BEGIN IMMEDIATE", steps[to - 1], stamp, "COMMIT"};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        int rc = sqlite3_exec(s->db, parts[i], NULL, NULL, NULL);
        if (rc != SQLITE_OK) {
            (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
            return rc;
        }
    }
    return SQLITE_OK;
}

int sqlite_schema_add_sums(struct store *s)
{
    uint64_t application = 0;
    int rc = SQLITE_OK;
    if (!sqlite_sums_used(s->db)) {
        rc = sqlite3_exec(s->db, "VACUUM", NULL, NULL, NULL);
        if (rc == SQLITE_OK) {
            rc = copy_log(s); /* only then does the header say so */
        }
    }
    if (rc == SQLITE_OK) {
        rc = sqlite_query_u64(s->db, "PRAGMA application_id", &application);
    }
    if (rc == SQLITE_OK && sqlite_sums_used(s->db) &&
        application != APPLICATION_ID_SUMS) {
        char stamp[64];
        (void)snprintf(stamp, sizeof(stamp), "PRAGMA application_id = %d",
                       APPLICATION_ID_SUMS);
        rc = sqlite3_exec(s->db, stamp, NULL, NULL, NULL);
    }
    return rc;
}

int sqlite_schema_migrate(struct store *s, uint32_t from, uint32_t *ret_to,
                          struct err *reterr)
{
    for (uint32_t to = from + 1; to <= ARRAY_LEN(steps); to++) {
        int rc = migrate_step(s, to);
        if (rc != SQLITE_OK) {
            return sqlite_open_error(s, rc, "migrate", reterr);
        }
    }
    *ret_to = (uint32_t)ARRAY_LEN(steps);
    return 0;
}
