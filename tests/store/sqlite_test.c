/* What only the SQLite driver promises: one engine per directory, damage and
 * versions told apart, a bounded log, readers that are never in the way. */
#include "tests/store/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/sqlite_open.h"
#include "store/sqlite_reader.h"

static char *path_of(struct fixture *f, const char *file)
{
    char *path = arena_alloc(&f->arena, 128, 1);
    (void)snprintf(path, 128, "%s/%s", f->directory, file);
    return path;
}

static off_t size_of(struct fixture *f, const char *file)
{
    struct stat st;
    return stat(path_of(f, file), &st) == 0 ? st.st_size : -1;
}

static int try_open(struct fixture *f, struct err *err)
{
    struct store *s = NULL;
    struct store_opened opened;
    *err = ERR_INIT;
    f->options.session = fixture_id(f);
    int r = store_sqlite.open(&f->options, &s, &opened, err);
    if (r == 0) {
        store_sqlite.close(s);
    }
    return r;
}

static uint64_t query(struct fixture *f, const char *sql)
{
    uint64_t n = 0;
    assert_int_equal(sqlite_query_u64(f->store->db, sql, &n), SQLITE_OK);
    return n;
}

/* ---- the directory ------------------------------------------------------ */

static void a_second_engine_is_refused(void **state)
{
    struct fixture *f = *state;
    struct err err;
    char pid[32];
    (void)snprintf(pid, sizeof(pid), "pid %ld", (long)getpid());
    assert_int_equal(try_open(f, &err), -EBUSY);
    assert_non_null(strstr(err.message, pid));
    assert_non_null(strstr(err.message, f->directory));
    /* And the first one goes on. */
    fixture_fill(f, 1);
    fixture_close(f);
    assert_int_equal(try_open(f, &err), 0);
}

static void impossible_directories_are_refused(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    struct err err;
    char longest[600];
    memset(longest, 'x', sizeof(longest));
    f->options.directory = str_n(longest, sizeof(longest));
    assert_int_equal(try_open(f, &err), -EINVAL);
    f->options.directory = STR("");
    assert_int_equal(try_open(f, &err), -EINVAL);
    f->options.directory = str_c(path_of(f, "no/such"));
    assert_int_equal(try_open(f, &err), -ENOENT);
    f->options.directory = str_c(path_of(f, SQLITE_DB_FILE));
    assert_int_equal(try_open(f, &err), -ENOTDIR);
}

/* Names that mean something in a URI are only names. */
static void a_strange_name_is_only_a_name(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    char *strange = path_of(f, "a?mode=memory&b#c%41 d");
    f->options.directory = str_c(strange);
    struct err err;
    assert_int_equal(try_open(f, &err), 0);
    char file[256];
    (void)snprintf(file, sizeof(file), "%s/%s", strange, SQLITE_DB_FILE);
    assert_int_equal(access(file, F_OK), 0);
    fixture_remove_directory(strange);
}

static void files_are_private(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    char other[64];
    fixture_make_directory(other);
    f->options.directory = str_c(other);
    mode_t mask = umask(0);
    struct err err;
    struct store *s = NULL;
    assert_int_equal(store_sqlite.open(&f->options, &s, &f->opened, &err), 0);
    static const char *const files[] = {SQLITE_DB_FILE, SQLITE_DB_FILE "-wal",
                                        SQLITE_LOCK_FILE, SQLITE_BALLAST_FILE};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char path[128];
        struct stat st;
        (void)snprintf(path, sizeof(path), "%s/%s", other, files[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    store_sqlite.close(s);
    (void)umask(mask);
    fixture_remove_directory(other);
}

/* ---- versions ----------------------------------------------------------- */

static void opening_tells_what_it_did(void **state)
{
    struct fixture *f = *state;
    assert_true(f->opened.created);
    assert_false(f->opened.unclean);
    assert_false(f->opened.checked);
    assert_int_equal(f->opened.schema_from, 0);
    uint32_t newest = f->opened.schema_to;
    assert_true(newest >= 1);
    f->options.full_check = true;
    fixture_restart(f);
    assert_false(f->opened.created);
    assert_false(f->opened.unclean);
    assert_true(f->opened.checked);
    assert_int_equal(f->opened.schema_from, newest);
    assert_int_equal(f->opened.schema_to, newest);
}

static void version_1_can_be_read(void **state)
{
    struct fixture *f = *state;
    fixture_load_version_1(f);
    fixture_open(f);
    assert_false(f->opened.created);
    assert_int_equal(f->opened.schema_from, 1);
    assert_true(f->opened.unclean);
    assert_int_equal(f->opened.events_requeued, 1);
    fixture_check(f);
    struct store_counts c = fixture_counts(f);
    assert_int_equal(c.accepted, 5);
    assert_int_equal(c.events[EVENT_QUEUED], 2);
    assert_int_equal(c.workflows[WORKFLOW_RUNNING], 1);

    struct event_view *views = NULL;
    uint32_t count = 0;
    assert_int_equal(
        f->reader->ops->alerts(f->reader, T0_MS, 0, &f->arena, &views, &count),
        0);
    assert_int_equal(count, 1);
    assert_int_equal(views[0].event.seq, 4);
    struct event_filter since = {
        .status = -1, .since_ms = T0_MS + 60000, .limit = 10};
    assert_int_equal(
        f->reader->ops->events(f->reader, &since, &f->arena, &views, &count),
        0);
    assert_int_equal(count, 2);
}

static void a_failed_migration_changes_nothing(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    /* A row that the last part of the eighth step cannot take over. */
    fixture_exec(f, "DROP TABLE audit_end;" FIXTURE_UNDO_AFTER_9
                    "PRAGMA user_version = 7; PRAGMA writable_schema = ON;"
                    "UPDATE sqlite_schema SET sql = replace(sql, 'hash BLOB NOT"
                    " NULL', 'hash BLOB') WHERE name = 'audit'");
    fixture_exec(f,
                 "INSERT INTO audit VALUES (1, 1, '', '', '', '', '', NULL);"
                 "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql ="
                 " replace(sql, 'hash BLOB', 'hash BLOB NOT NULL')"
                 " WHERE name = 'audit'");
    struct err err = ERR_INIT;
    assert_int_equal(try_open(f, &err), -EIO);
    assert_non_null(strstr(err.message, "migrate"));
    fixture_exec(f, "DELETE FROM audit");
    fixture_open(f); /* it would fail if `audit_end` had been left */
    assert_int_equal(f->opened.schema_from, 7);
}

static void a_newer_schema_is_refused(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    fixture_exec(f, "PRAGMA user_version = 99");
    struct err err;
    assert_int_equal(try_open(f, &err), -EINVAL);
    assert_non_null(strstr(err.message, "newer version"));
    assert_non_null(strstr(err.message, "99"));
    assert_true(err.hint[0] != '\0');
    fixture_exec(f, "PRAGMA user_version = 1");
}

static void another_programs_database_is_refused(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    fixture_exec(f, "PRAGMA application_id = 7");
    struct err err;
    assert_int_equal(try_open(f, &err), -EINVAL);
    assert_non_null(strstr(err.message, "another program"));
    assert_int_equal(unlink(path_of(f, SQLITE_DB_FILE)), 0);
    fixture_exec(f, "CREATE TABLE theirs (x)");
    assert_int_equal(try_open(f, &err), -EINVAL);
}

/* ---- damage ------------------------------------------------------------- */

static void overwrite(struct fixture *f, off_t from, off_t to)
{
    int fd = open(path_of(f, SQLITE_DB_FILE), O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    char garbage[512];
    memset(garbage, 0x5A, sizeof(garbage));
    for (off_t at = from; at < to; at += (off_t)sizeof(garbage)) {
        assert_int_equal(pwrite(fd, garbage, sizeof(garbage), at),
                         sizeof(garbage));
    }
    (void)close(fd);
}

static void damage_is_found_and_nothing_deleted(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 500);
    fixture_close(f);
    off_t size = size_of(f, SQLITE_DB_FILE);
    overwrite(f, size / 2, size / 2 + 8192);
    f->options.full_check = true;
    struct err err;
    assert_int_equal(try_open(f, &err), -EBADMSG);
    assert_non_null(strstr(err.message, "damaged"));
    assert_non_null(strstr(err.hint, "backup"));
    assert_int_equal(size_of(f, SQLITE_DB_FILE), size);

    overwrite(f, 0, 512); /* not even a database any more */
    f->options.full_check = false;
    assert_int_equal(try_open(f, &err), -EBADMSG);
    assert_int_equal(size_of(f, SQLITE_DB_FILE), size);
}

static void an_unclean_stop_leads_to_a_check(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 500);
    f->store->broken = true; /* as after an I/O error: no clean mark */
    fixture_restart(f);
    assert_true(f->opened.unclean);
    assert_true(f->opened.checked);
    f->store->broken = true;
    fixture_close(f);
    off_t size = size_of(f, SQLITE_DB_FILE);
    overwrite(f, size / 2, size / 2 + 8192);
    struct err err;
    assert_int_equal(try_open(f, &err), -EBADMSG);
}

static void the_check_sees_a_wrong_ledger(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 3);
    fixture_close(f);
    fixture_exec(f,
                 "UPDATE ledger SET n = n + 1 WHERE kind = 0;"
                 "UPDATE ledger SET n = n + 1 WHERE kind = 1 AND status = 0");
    fixture_open(f);
    struct err err = ERR_INIT;
    assert_int_equal(store_sqlite.check(f->store, &err), -EBADMSG);
    assert_non_null(strstr(err.message, "ledger"));
    fixture_close(f);
    fixture_exec(f,
                 "UPDATE ledger SET n = n - 1 WHERE kind = 0;"
                 "UPDATE ledger SET n = n - 1 WHERE kind = 1 AND status = 0");
    fixture_open(f);
}

/* With another file at hand as `kept`: the store takes no tables of others. */
static void exec_beside(struct fixture *f, const char *sql)
{
    char text[1024];
    (void)snprintf(text, sizeof(text), "ATTACH '%s' AS kept; %s",
                   path_of(f, "kept.db"), sql);
    fixture_exec(f, text);
}

/* By somebody who keeps the checksums of pages right. */
static void the_check_sees_a_changed_trail(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *damage;
        const char *says;
    } cases[] = {
        {"UPDATE audit SET who = 'nobody' WHERE seq = 3", "row 3 "},
        {"UPDATE audit SET at_ms = at_ms + 1 WHERE seq = 1", "row 1 "},
        {"UPDATE audit SET hash = zeroblob(32) WHERE seq = 5", "row 5 "},
        {"DELETE FROM audit WHERE seq = 2", "row 2 "},
        {"UPDATE audit SET seq = -seq WHERE seq IN (2, 3);"
         "UPDATE audit SET seq = seq + 5 WHERE seq < 0",
         "row 2 "},
        {"DELETE FROM audit WHERE seq = 1;"
         "UPDATE audit SET seq = seq - 1",
         "row 1 "},
        {"DELETE FROM audit WHERE seq > 3",
         "ends with row 3 and should end with row 5"},
        {"DELETE FROM audit", "ends with row 0 and should end with row 5"},
        {"UPDATE audit_end SET hash = zeroblob(32)", "ends with row 5"},
    };
    for (uint64_t i = 0; i < 5; i++) {
        struct record row = {.kind = RECORD_AUDIT,
                             .audit = {.at_ms = T0_MS + i,
                                       .who = STR("uid:0"),
                                       .action = STR("queue.drain")}};
        assert_int_equal(fixture_apply(f, &row, 1), 0);
    }
    fixture_close(f);
    exec_beside(f, "CREATE TABLE kept.audit AS SELECT * FROM main.audit;"
                   "CREATE TABLE kept.end AS SELECT * FROM main.audit_end");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fixture_exec(f, cases[i].damage);
        fixture_open(f);
        struct err err = ERR_INIT;
        assert_int_equal(store_sqlite.check(f->store, &err), -EBADMSG);
        if (strstr(err.message, cases[i].says) == NULL) {
            fail_msg("%s: %s", cases[i].damage, err.message);
        }
        fixture_close(f);
        exec_beside(f, "DELETE FROM main.audit; DELETE FROM main.audit_end;"
                       "INSERT INTO main.audit SELECT * FROM kept.audit;"
                       "INSERT INTO main.audit_end SELECT * FROM kept.end");
        fixture_open(f);
        assert_int_equal(store_sqlite.check(f->store, &err), 0);
        fixture_close(f);
    }
    fixture_open(f);
}

/* A row that comes later does not cover up that the last ones are missing. */
static void a_missing_end_stays_visible(void **state)
{
    struct fixture *f = *state;
    struct record row = {
        .kind = RECORD_AUDIT,
        .audit = {.who = STR("uid:0"), .action = STR("queue.drain")}};
    struct err err = ERR_INIT;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fixture_apply(f, &row, 1), 0);
    }
    fixture_close(f);
    fixture_exec(f, "DELETE FROM audit WHERE seq = 3");
    fixture_open(f);
    assert_int_equal(fixture_apply(f, &row, 1), 0);
    assert_int_equal(query(f, "SELECT max(seq) FROM audit"), 4);
    assert_int_equal(store_sqlite.check(f->store, &err), -EBADMSG);
    assert_non_null(strstr(err.message, "row 3 "));
    fixture_close(f);
    fixture_exec(f, "DELETE FROM audit; DELETE FROM audit_end");
    fixture_open(f);
}

/* Its end is where it is. */
static void a_trail_of_before_gets_an_end(void **state)
{
    struct fixture *f = *state;
    struct record row = {
        .kind = RECORD_AUDIT,
        .audit = {.who = STR("uid:0"), .action = STR("queue.drain")}};
    struct err err = ERR_INIT;
    assert_int_equal(fixture_apply(f, &row, 1), 0);
    assert_int_equal(fixture_apply(f, &row, 1), 0);
    fixture_close(f);
    fixture_exec(f, "DROP TABLE audit_end;" FIXTURE_UNDO_AFTER_9
                    "PRAGMA user_version = 7");
    fixture_open(f);
    assert_int_equal(f->opened.schema_from, 7);
    assert_int_equal(store_sqlite.check(f->store, &err), 0);
    assert_int_equal(fixture_apply(f, &row, 1), 0);
    assert_int_equal(query(f, "SELECT seq FROM audit_end"), 3);
    assert_int_equal(store_sqlite.check(f->store, &err), 0);
}

static void dry_runs_of_before_are_counted(void **state)
{
    struct fixture *f = *state;
    struct workflow_row w = fixture_workflow(f);
    struct err err = ERR_INIT;
    w.dry_run = true;
    w.status = WORKFLOW_SUCCEEDED;
    assert_int_equal(fixture_workflow_new(f, &w), 0);
    fixture_close(f);
    fixture_exec(f, "DELETE FROM ledger WHERE kind = 4;" FIXTURE_UNDO_AFTER_9
                    "PRAGMA user_version = 8");
    fixture_open(f);
    assert_int_equal(f->opened.schema_from, 8);
    assert_int_equal(store_sqlite.check(f->store, &err), 0);
    assert_int_equal(fixture_counts(f).dry_runs, 1);
}

static void rows_of_before_have_no_outputs_or_decision(void **state)
{
    struct fixture *f = *state;
    struct workflow_row w = fixture_workflow(f);
    struct attempt_row t = fixture_attempt(f, w.id);
    struct attempt_row *rows = NULL;
    uint32_t count = 0;
    struct event e = fixture_event(f, "x");
    t.error = STR("kept");
    assert_int_equal(fixture_ingest(f, &e, 1), 0);
    assert_int_equal(fixture_workflow_new(f, &w), 0);
    assert_int_equal(fixture_attempt_new(f, &t), 0);
    fixture_close(f);
    fixture_exec(f, FIXTURE_UNDO_AFTER_10 "PRAGMA user_version = 10");
    fixture_open(f);
    assert_int_equal(f->opened.schema_from, 10);
    assert_int_equal(
        f->reader->ops->attempts(f->reader, w.id, &f->arena, &rows, &count), 0);
    assert_int_equal(count, 1);
    assert_str(rows[0].error, "kept");
    assert_str(rows[0].outputs, "");
    struct event_view v = fixture_read(f, e.id);
    assert_int_equal(v.status, EVENT_QUEUED);
    assert_str(v.decision, "");
    fixture_check(f);
}

/* Two spans of two events each; in all but the last case their sum stays what
 * it was, so that the ledger alone would not tell. */
static void the_check_sees_wrong_spans(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *damage;
        const char *repair;
        const char *complaint;
    } cases[] = {
        {"UPDATE event_span SET first_seq = 2, last_seq = 3 WHERE first_seq = "
         "3",
         "UPDATE event_span SET first_seq = 3, last_seq = 4 WHERE first_seq = "
         "2",
         "overlap"},
        {"UPDATE event_span SET first_seq = 4, last_seq = 5 WHERE first_seq = "
         "3",
         "UPDATE event_span SET first_seq = 3, last_seq = 4 WHERE first_seq = "
         "4",
         "not there"},
        {"UPDATE event_span SET claim = 7 WHERE first_seq = 1",
         "UPDATE event_span SET claim = 0 WHERE first_seq = 1", "claim"},
        {"UPDATE event_span SET last_seq = 1 WHERE first_seq = 1",
         "UPDATE event_span SET last_seq = 2 WHERE first_seq = 1", "ledger"},
    };
    fixture_fill(f, 2);
    struct event urgent[2] = {fixture_event(f, "x"), fixture_event(f, "y")};
    urgent[0].priority = urgent[1].priority = 1;
    assert_int_equal(fixture_ingest(f, urgent, 2), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fixture_close(f);
        fixture_exec(f, cases[i].damage);
        fixture_open(f);
        struct err err = ERR_INIT;
        assert_int_equal(store_sqlite.check(f->store, &err), -EBADMSG);
        assert_non_null(strstr(err.message, cases[i].complaint));
        fixture_close(f);
        fixture_exec(f, cases[i].repair);
        fixture_open(f);
        fixture_check(f);
    }
}

/* ---- readers and the log ------------------------------------------------ */

static void readers_see_commits_only(void **state)
{
    struct fixture *f = *state;
    struct event e = fixture_event(f, "x");
    struct store_op op = {
        .kind = STORE_INGEST,
        .ingest = {.events = &e, .count = 1, .results = f->results},
    };
    assert_int_equal(store_sqlite.begin(f->store), 0);
    assert_int_equal(store_sqlite.run(f->store, &op, f->now_ms), 0);
    assert_int_equal(fixture_counts(f).accepted, 0);
    assert_int_equal(store_sqlite.commit(f->store), 0);
    assert_int_equal(fixture_counts(f).accepted, 1);
}

static sqlite3 *raw_reader(struct fixture *f)
{
    return CONTAINER_OF(f->reader, struct sqlite_reader, base)->db;
}

static void hold_snapshot(sqlite3 *db)
{
    assert_int_equal(
        sqlite3_exec(db, "BEGIN; SELECT count(*) FROM event", NULL, NULL, NULL),
        SQLITE_OK);
}

static void readers_do_not_block_the_writer(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 5);
    hold_snapshot(raw_reader(f));
    for (int i = 0; i < 40; i++) {
        fixture_fill(f, 100);
        assert_int_equal(store_sqlite.maintain(f->store, i % 7 == 0), 0);
    }
    uint64_t seen = 0;
    assert_int_equal(
        sqlite_query_u64(raw_reader(f), "SELECT count(*) FROM event", &seen),
        SQLITE_OK);
    assert_int_equal(seen, 5);
    assert_int_equal(sqlite3_exec(raw_reader(f), "COMMIT", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(fixture_counts(f).accepted, 4005);
    assert_true(f->store->wal_frames > 200);
    assert_int_equal(store_sqlite.maintain(f->store, true), 0);
    fixture_fill(f, 1);
    assert_in_range(f->store->wal_frames, 1, 50); /* from the start again */
}

static void a_reader_cannot_write(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        sqlite3_exec(raw_reader(f), "DELETE FROM event", NULL, NULL, NULL),
        SQLITE_READONLY);
}

static void a_slow_read_is_given_up(void **state)
{
    struct fixture *f = *state;
    struct sqlite_reader *r =
        CONTAINER_OF(f->reader, struct sqlite_reader, base);
    r->deadline_ms = 1; /* long ago */
    struct strbuf sql = STRBUF_INIT(1024);
    strbuf_addc(&sql, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL"
                      " SELECT i + 1 FROM n) SELECT count(*) FROM n");
    sqlite3_stmt *st = NULL;
    assert_int_equal(sqlite_read_prepare(f->reader, &sql, &st), 0);
    r->deadline_ms = 1;
    assert_int_equal(sqlite_read_next(st), -ETIMEDOUT);
    assert_int_equal(sqlite3_finalize(st), SQLITE_INTERRUPT);
    strbuf_deinit(&sql);
    /* The reader is as good as before. */
    assert_int_equal(fixture_counts(f).accepted, 0);
}

static void the_log_does_not_grow_without_bound(void **state)
{
    struct fixture *f = *state;
    f->options.queue_limit = 1000000;
    fixture_restart(f);
    off_t largest = 0;
    for (int i = 0; i < 1200; i++) {
        fixture_fill(f, 100);
        arena_reset(&f->arena);
        assert_int_equal(store_sqlite.maintain(f->store, false), 0);
        largest = MAX(largest, size_of(f, SQLITE_DB_FILE "-wal"));
    }
    /* 120,000 events are more than ten times this much. */
    assert_in_range(largest, 1, 18 * 1024 * 1024);
    assert_int_equal(store_sqlite.maintain(f->store, true), 0);
    fixture_fill(f, 1);
    assert_in_range(f->store->wal_frames, 1, 50);
    /* It keeps its size to be written over. */
    assert_int_equal(size_of(f, SQLITE_DB_FILE "-wal"), largest);
}

/* ---- disk full ---------------------------------------------------------- */

static void a_full_file_refuses_events_and_serves_the_rest(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 200);
    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 100, 3, &claim), 0);
    assert_true(size_of(f, SQLITE_BALLAST_FILE) > 0);
    (void)query(f, "PRAGMA max_page_count = 1"); /* what it is: the least */
    struct event e = fixture_event(f, "x");
    int r = 0;
    for (int i = 0; i < 1000 && r == 0; i++) {
        e.id = fixture_id(f);
        r = fixture_ingest(f, &e, 1);
    }
    assert_int_equal(r, -ENOSPC);
    assert_int_equal(size_of(f, SQLITE_BALLAST_FILE), -1);
    uint64_t accepted = fixture_counts(f).accepted;
    e.id = fixture_id(f);
    assert_int_equal(fixture_ingest(f, &e, 1), -ENOSPC); /* at once */
    for (uint32_t i = 0; i < claim.count; i++) {
        assert_int_equal(fixture_done(f, &claim, i, EVENT_PROCESSED), 0);
    }
    assert_int_equal(fixture_counts(f).accepted, accepted);
    fixture_check(f);
    (void)query(f, "PRAGMA max_page_count = 1000000");
    assert_int_equal(store_sqlite.maintain(f->store, true), 0);
    assert_true(size_of(f, SQLITE_BALLAST_FILE) > 0);
    assert_int_equal(fixture_ingest(f, &e, 1), 0);
}

/* ---- housekeeping ------------------------------------------------------- */

static void expired_keys_are_trimmed(void **state)
{
    struct fixture *f = *state;
    for (int round = 0; round < 4; round++) {
        struct event events[100];
        char keys[100][16];
        for (int i = 0; i < 100; i++) {
            (void)snprintf(keys[i], sizeof(keys[i]), "%d-%d", round, i);
            events[i] = fixture_event(f, "x");
            events[i].dedup_key = str_c(keys[i]);
        }
        struct store_op op = {
            .kind = STORE_INGEST,
            .ingest = {.events = events,
                       .count = 100,
                       .request_key = str_c(keys[0]),
                       .request_expires_ms = f->now_ms + 60000,
                       .dedup_expires_ms = f->now_ms + 60000,
                       .results = f->results},
        };
        assert_int_equal(fixture_run(f, &op), 0);
        assert_int_equal(store_sqlite.maintain(f->store, true), 0);
        assert_int_equal(query(f, "SELECT count(*) FROM dedup"), 100);
        assert_int_equal(query(f, "SELECT count(*) FROM request"), 1);
        f->now_ms += 60000;
    }
}

static void old_sessions_are_forgotten(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 120; i++) {
        fixture_restart(f);
    }
    assert_int_equal(query(f, "SELECT count(*) FROM session"), 100);
    assert_int_equal(query(f, "SELECT max(no) FROM session"), 121);
    assert_int_equal(
        query(f, "SELECT count(*) FROM session WHERE closed_ms IS NULL"), 1);
}

/* Giving out events neither sorts the queue nor reads more of it than it
 * gives. */
static void claiming_uses_its_index(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 500);
    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 10, 3, &claim), 0);
    sqlite3_stmt *st = sqlite_statement(f->store, SQL_READY);
    assert_int_equal(sqlite3_stmt_status(st, SQLITE_STMTSTATUS_SORT, 0), 0);
    assert_in_range(sqlite3_stmt_status(st, SQLITE_STMTSTATUS_FULLSCAN_STEP, 0),
                    0, 10);
}

/* As an earlier version of this program, a restore or a crash between pinning
 * and storing has left them. */
static void what_belongs_to_no_workflow_goes_at_opening(void **state)
{
    struct fixture *f = *state;
    struct workflow_row w = fixture_workflow(f);
    assert_int_equal(fixture_workflow_new(f, &w), 0);
    f->options.now_ms = T0_MS + 2 * VERDICT_KEEP_MS;
    fixture_close(f);
    fixture_exec(
        f,
        "INSERT INTO runbook (hash, path, text) VALUES (x'01', 'a', 'gone');"
        "INSERT INTO runbook (hash, path, text)"
        " SELECT runbook_hash, 'a', 'used' FROM workflow;"
        "INSERT INTO verdict SELECT id, 1, 0, 0, 'x', 'used' FROM workflow;"
        "INSERT INTO verdict VALUES (x'02', 1, 0, 0, 'x', 'gone');"
        "INSERT INTO verdict VALUES (x'03', 3, 0, 0, 'x', 'missed');"
        "INSERT INTO verdict VALUES (x'04', 1, 1900000000000, 0, 'x', 'new')");
    fixture_open(f);
    assert_int_equal(query(f, "SELECT count(*) FROM runbook"), 1);
    assert_int_equal(query(f, "SELECT count(*) FROM runbook WHERE"
                              " text = 'used'"),
                     1);
    assert_int_equal(query(f, "SELECT count(*) FROM verdict"), 3);
    assert_int_equal(query(f, "SELECT count(*) FROM verdict WHERE"
                              " note = 'gone'"),
                     0);
}

/* Nor does removing a workflow look for others of its version for long. */
static void removing_a_workflow_uses_indices(void **state)
{
    struct fixture *f = *state;
    struct workflow_row w = {0};
    for (int i = 0; i < 300; i++) {
        w = fixture_workflow(f);
        w.runbook_hash.bytes[0] = (uint8_t)(i % 2);
        assert_int_equal(fixture_workflow_new(f, &w), 0);
    }
    w.rev = 2;
    w.status = WORKFLOW_FAILED;
    w.finished_ms = f->now_ms;
    assert_int_equal(fixture_workflow_set(f, &w), 0);
    struct record drop = {
        .kind = RECORD_WORKFLOW_DROP,
        .workflow_drop = {.workflow_id = w.id, .output_limit = 10}};
    assert_int_equal(fixture_apply(f, &drop, 1), 0);
    static const enum sqlite_statement which[] = {
        SQL_RUNBOOK_REMOVE, SQL_VERDICT_REMOVE, SQL_WORKFLOW_REMOVE};
    for (size_t i = 0; i < ARRAY_LEN(which); i++) {
        sqlite3_stmt *st = sqlite_statement(f->store, which[i]);
        assert_in_range(
            sqlite3_stmt_status(st, SQLITE_STMTSTATUS_FULLSCAN_STEP, 0), 0, 10);
    }
}

/* Files that are removed while they are open take everything, as if it were
 * well: so nothing more is acknowledged. */
static void remove_file(const struct fixture *f, const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", f->directory, name);
    assert_int_equal(unlink(path), 0);
}

static void nothing_is_acknowledged_into_removed_files(void **state)
{
    struct fixture *f = *state;
    struct event e = fixture_event(f, "x");
    assert_int_equal(fixture_ingest(f, &e, 1), 0);
    remove_file(f, "engine.db");
    e.id = fixture_id(f);
    assert_int_equal(fixture_ingest(f, &e, 1), -EIO);
    assert_int_equal(fixture_ingest(f, &e, 1), -EIO);
    remove_file(f, "engine.db-wal");
    remove_file(f, "engine.db-shm");
    fixture_restart(f);
    assert_true(f->opened.created);
    assert_int_equal(fixture_ingest(f, &e, 1), 0);

    remove_file(f, "engine.db-wal");
    e.id = fixture_id(f);
    assert_int_equal(fixture_ingest(f, &e, 1), -EIO);
    fixture_restart(f);
}

#define CASE(name)                                                             \
    {                                                                          \
#name, name, fixture_setup, fixture_teardown,                          \
            (void *)(uintptr_t)&store_sqlite                                   \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_second_engine_is_refused),
        CASE(impossible_directories_are_refused),
        CASE(a_strange_name_is_only_a_name),
        CASE(files_are_private),
        CASE(opening_tells_what_it_did),
        CASE(version_1_can_be_read),
        CASE(a_failed_migration_changes_nothing),
        CASE(a_newer_schema_is_refused),
        CASE(another_programs_database_is_refused),
        CASE(damage_is_found_and_nothing_deleted),
        CASE(the_check_sees_a_changed_trail),
        CASE(a_missing_end_stays_visible),
        CASE(a_trail_of_before_gets_an_end),
        CASE(dry_runs_of_before_are_counted),
        CASE(rows_of_before_have_no_outputs_or_decision),
        CASE(nothing_is_acknowledged_into_removed_files),
        CASE(an_unclean_stop_leads_to_a_check),
        CASE(the_check_sees_a_wrong_ledger),
        CASE(the_check_sees_wrong_spans),
        CASE(readers_see_commits_only),
        CASE(readers_do_not_block_the_writer),
        CASE(a_reader_cannot_write),
        CASE(a_slow_read_is_given_up),
        CASE(the_log_does_not_grow_without_bound),
        CASE(a_full_file_refuses_events_and_serves_the_rest),
        CASE(expired_keys_are_trimmed),
        CASE(old_sessions_are_forgotten),
        CASE(claiming_uses_its_index),
        CASE(what_belongs_to_no_workflow_goes_at_opening),
        CASE(removing_a_workflow_uses_indices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
