/* Whose the schema of a file is: nothing in it runs that this program has not
 * put there, and a file with anything else is refused. */
#include "tests/store/fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/copy.h"
#include "store/copy_priv.h"
#include "store/sqlite_harden.h"
#include "store/sqlite_reader.h"

static char *path_of(struct fixture *f)
{
    char *path = arena_alloc(&f->arena, 128, 1);
    (void)snprintf(path, 128, "%s/" SQLITE_DB_FILE, f->directory);
    return path;
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

/* Whoever can write a file can put SQL into its schema, which runs whenever
 * rows are written or read, now and after every restore. */
static void a_foreign_schema_is_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *put;
        const char *says;
        const char *undo;
    } cases[] = {
        {"CREATE TRIGGER t AFTER INSERT ON audit BEGIN DELETE FROM setting;"
         " END",
         "it also has the trigger 't'", "DROP TRIGGER t"},
        {"CREATE VIEW v AS SELECT * FROM event", "it also has the view 'v'",
         "DROP VIEW v"},
        {"CREATE TABLE zzz (x)", "it also has the table 'zzz'",
         "DROP TABLE zzz"},
        {"CREATE TABLE aaa (x)", "it also has the table 'aaa'",
         "DROP TABLE aaa"},
        {"CREATE INDEX i ON event (abs(seq))", "it also has the index 'i'",
         "DROP INDEX i"},
        {"DROP INDEX event_ready", "it lacks the index 'event_ready'",
         "CREATE INDEX event_ready ON event_span (priority, first_seq)"
         " WHERE status IN (0, 8)"},
        {"DROP INDEX event_id; CREATE INDEX event_id ON event (id)",
         "it has another index 'event_id'",
         "DROP INDEX event_id; CREATE UNIQUE INDEX event_id ON event (id)"},
        {"PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql ="
         " replace(sql, 'STRICT', 'STRICT/**/') WHERE name = 'setting'",
         "it has another table 'setting'",
         "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql ="
         " replace(sql, '/**/', '') WHERE name = 'setting'"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = ERR_INIT;
        struct store_summary summary;
        fixture_close(f);
        fixture_exec(f, cases[i].put);
        fixture_exec(f, "PRAGMA wal_checkpoint(TRUNCATE)");
        assert_int_equal(try_open(f, &err), -EBADMSG);
        if (strstr(err.message, cases[i].says) == NULL) {
            fail_msg("%s: %s", cases[i].put, err.message);
        }
        err = ERR_INIT;
        assert_int_equal(store_verify(path_of(f), &summary, &err), -EBADMSG);
        assert_non_null(strstr(err.message, cases[i].says));
        fixture_exec(f, cases[i].undo);
        fixture_open(f);
    }
}

/* And if one is there all the same, it does nothing. */
static void no_connection_runs_what_a_schema_says(void **state)
{
    struct fixture *f = *state;
    static const char put[] =
        "CREATE TRIGGER t AFTER INSERT ON setting BEGIN DELETE FROM setting;"
        " END; CREATE VIEW v AS SELECT 1 AS x";
    sqlite3 *db = NULL;
    uint64_t n = 0;
    (void)f;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(sqlite_harden(db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "CREATE TABLE setting (x)", NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, put, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "INSERT INTO setting VALUES (1)", NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite_query_u64(db, "SELECT count(*) FROM setting", &n),
                     SQLITE_OK);
    assert_int_equal(n, 1);
    assert_int_not_equal(sqlite_query_u64(db, "SELECT x FROM v", &n),
                         SQLITE_OK);
    (void)sqlite3_exec(db, "PRAGMA writable_schema = ON", NULL, NULL, NULL);
    assert_int_not_equal(
        sqlite3_exec(db, "DELETE FROM sqlite_schema", NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite_query_u64(db, "PRAGMA trusted_schema", &n),
                     SQLITE_OK);
    assert_int_equal(n, 0);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* The writer, the readers and what copies and verifies are hardened. */
/* A text that ends for C where it does not for the library. */
static void a_schema_is_read_to_its_end(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    fixture_close(f);
    fixture_exec(f, "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql"
                    " = sql || char(0, 32) WHERE name = 'event_ready'");
    assert_int_equal(try_open(f, &err), -EBADMSG);
    fixture_exec(f, "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql"
                    " = substr(sql, 1, length(sql)) WHERE name ="
                    " 'event_ready'");
    fixture_open(f);
}

static void every_connection_is_hardened(void **state)
{
    struct fixture *f = *state;
    int on = 1;
    assert_int_equal(sqlite3_db_config(f->store->db,
                                       SQLITE_DBCONFIG_ENABLE_TRIGGER, -1, &on),
                     SQLITE_OK);
    assert_int_equal(on, 0);
    struct sqlite_reader *r = (struct sqlite_reader *)f->reader;
    on = 1;
    assert_int_equal(
        sqlite3_db_config(r->db, SQLITE_DBCONFIG_ENABLE_VIEW, -1, &on),
        SQLITE_OK);
    assert_int_equal(on, 0);
    struct copy_file c = {0};
    struct err err = ERR_INIT;
    assert_int_equal(
        copy_file_open(&c, path_of(f), "?mode=ro", SQLITE_OPEN_READONLY, &err),
        0);
    on = 1;
    assert_int_equal(
        sqlite3_db_config(c.store.db, SQLITE_DBCONFIG_ENABLE_VIEW, -1, &on),
        SQLITE_OK);
    assert_int_equal(on, 0);
    copy_file_close(&c);
}

/* Two rows of a made-up store that would have one name in the engine. */
static void a_memory_of_two_names_is_refused(void **state)
{
    struct fixture *f = *state;
    static const struct memory_filter all = {.limit = 10};
    static const char *const names[] = {"'a' || char(0) || 'b', 'c'",
                                        "'a', 'b' || char(0) || 'c'"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct memory_row *rows = NULL;
        uint32_t count = 0;
        char sql[256];
        (void)snprintf(sql, sizeof(sql),
                       "INSERT INTO trigger_memory VALUES (%s, 'k', 1, NULL,"
                       " x'', x'0000000000000000')",
                       names[i]);
        fixture_close(f);
        fixture_exec(f, sql);
        fixture_open(f);
        assert_int_equal(
            f->reader->ops->memories(f->reader, &all, &f->arena, &rows, &count),
            -EBADMSG);
        fixture_close(f);
        fixture_exec(f, "DELETE FROM trigger_memory");
        fixture_open(f);
    }
}

static void workflows_of_before_have_no_subject(void **state)
{
    struct fixture *f = *state;
    struct workflow_row w = fixture_workflow(f);
    struct workflow_view v;
    assert_int_equal(fixture_workflow_new(f, &w), 0);
    fixture_close(f);
    fixture_exec(f, FIXTURE_UNDO_AFTER_12 "PRAGMA user_version = 12");
    fixture_open(f);
    assert_int_equal(f->opened.schema_from, 12);
    assert_int_equal(f->reader->ops->workflow(f->reader, w.id, &f->arena, &v),
                     0);
    assert_true(str_eq(v.row.runbook_path, w.runbook_path));
    assert_str(v.row.subject, "");
}

#define CASE(name)                                                             \
    {                                                                          \
#name, name, fixture_setup, fixture_teardown,                          \
            (void *)(uintptr_t)&store_sqlite                                   \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_foreign_schema_is_refused),
        CASE(no_connection_runs_what_a_schema_says),
        CASE(a_schema_is_read_to_its_end),
        CASE(a_memory_of_two_names_is_refused),
        CASE(every_connection_is_hardened),
        CASE(workflows_of_before_have_no_subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
