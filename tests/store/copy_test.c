/* Copies: consistent while the engine writes, never of a damaged file, and
 * verified to the last page. */
#include "tests/store/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/copy.h"
#include "store/sqlite_open.h"

#define PAGE 4096

static char *path_of(struct fixture *f, const char *file)
{
    char *path = arena_alloc(&f->arena, 128, 1);
    (void)snprintf(path, 128, "%s/%s", f->directory, file);
    return path;
}

static int copy(struct fixture *f, const char *to, struct err *err)
{
    *err = ERR_INIT;
    return store_copy(path_of(f, SQLITE_DB_FILE), path_of(f, to), NULL, err);
}

static struct store_summary verify(struct fixture *f, const char *file)
{
    struct err err = ERR_INIT;
    struct store_summary s = {0};
    if (store_verify(path_of(f, file), &s, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return s;
}

static void flip(struct fixture *f, const char *file, off_t at)
{
    int fd = open(path_of(f, file), O_RDWR | O_CLOEXEC);
    char c = 0;
    assert_int_equal(pread(fd, &c, 1, at), 1);
    c = (char)(c ^ 0x10);
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
    (void)close(fd);
}

static off_t size_of(struct fixture *f, const char *file)
{
    struct stat st;
    assert_int_equal(stat(path_of(f, file), &st), 0);
    return st.st_size;
}

/* What is only in the log yet belongs to it. */
static void a_copy_is_whole(void **state)
{
    struct fixture *f = *state;
    struct err err;
    fixture_fill(f, 50);
    assert_int_equal(copy(f, "copy.db", &err), 0);
    struct stat st;
    assert_int_equal(stat(path_of(f, "copy.db"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    fixture_fill(f, 1); /* not in the copy */
    struct store_summary s = verify(f, "copy.db");
    assert_true(s.sums);
    assert_int_equal(s.schema, sqlite_schema_newest());
    assert_int_equal(s.counts.accepted, 50);
    assert_int_equal(s.counts.events[EVENT_QUEUED], 50);
    assert_int_equal(s.last_event_seq, 50);
    assert_int_equal(s.last_event_ms, T0_MS);
    assert_int_equal(s.last_workflow_ms, 0);
    /* And an engine can use it. */
    fixture_close(f);
    assert_int_equal(rename(path_of(f, "copy.db"), path_of(f, SQLITE_DB_FILE)),
                     0);
    fixture_open(f);
    assert_true(f->opened.sums);
    assert_int_equal(fixture_counts(f).accepted, 50);
}

struct writer {
    struct fixture *f;
    atomic_bool stop;
    atomic_bool started;
};

static void *write_on(void *arg)
{
    struct writer *w = arg;
    while (!atomic_load(&w->stop)) {
        fixture_fill(w->f, 20);
        (void)store_sqlite.maintain(w->f->store, false);
        atomic_store(&w->started, true);
    }
    return NULL;
}

static void copies_are_made_while_the_engine_writes(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct writer w = {.f = f};
    pthread_t thread;
    const char *from = path_of(f, SQLITE_DB_FILE);
    char *to[5];
    fixture_fill(f, 1000);
    for (size_t i = 0; i < ARRAY_LEN(to); i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "copy-%zu.db", i);
        to[i] = path_of(f, name);
    }
    assert_int_equal(pthread_create(&thread, NULL, write_on, &w), 0);
    while (!atomic_load(&w.started)) {
        (void)usleep(1000);
    }
    for (size_t i = 0; i < ARRAY_LEN(to); i++) {
        if (store_copy(from, to[i], NULL, &err) != 0) {
            fail_msg("%s", err.message);
        }
    }
    atomic_store(&w.stop, true);
    (void)pthread_join(thread, NULL);
    uint64_t before = 0;
    for (size_t i = 0; i < ARRAY_LEN(to); i++) {
        struct store_summary s = {0};
        if (store_verify(to[i], &s, &err) != 0) {
            fail_msg("%s", err.message);
        }
        assert_true(s.counts.accepted >= 1000);
        assert_true(s.counts.accepted >= before);
        before = s.counts.accepted;
    }
}

static void damage_is_not_copied(void **state)
{
    struct fixture *f = *state;
    struct err err;
    fixture_fill(f, 500);
    fixture_close(f);
    flip(f, SQLITE_DB_FILE, size_of(f, SQLITE_DB_FILE) / 2);
    assert_int_equal(copy(f, "copy.db", &err), -EBADMSG);
    assert_non_null(strstr(err.message, "engine.db is damaged"));
}

/* Every page of a copy, one bit each. */
static void verifying_reads_every_page(void **state)
{
    struct fixture *f = *state;
    struct err err;
    fixture_fill(f, 300);
    assert_int_equal(copy(f, "copy.db", &err), 0);
    off_t pages = size_of(f, "copy.db") / PAGE;
    assert_true(pages > 20);
    for (off_t page = 0; page < pages; page++) {
        off_t at = page * PAGE + (off_t)prng_below(&f->prng, PAGE);
        struct store_summary s;
        flip(f, "copy.db", at);
        err = ERR_INIT;
        assert_int_equal(store_verify(path_of(f, "copy.db"), &s, &err),
                         -EBADMSG);
        flip(f, "copy.db", at);
    }
    (void)verify(f, "copy.db");
    /* Cut short. */
    assert_int_equal(truncate(path_of(f, "copy.db"), (pages - 1) * (off_t)PAGE),
                     0);
    struct store_summary s;
    assert_int_equal(store_verify(path_of(f, "copy.db"), &s, &err), -EBADMSG);
}

static void verifying_sees_wrong_rows(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct store_summary s;
    fixture_fill(f, 3);
    fixture_close(f);
    fixture_exec(f, "UPDATE ledger SET n = n + 1 WHERE kind = 0");
    fixture_exec(f, "PRAGMA wal_checkpoint(TRUNCATE)");
    assert_int_equal(store_verify(path_of(f, SQLITE_DB_FILE), &s, &err),
                     -EBADMSG);
    assert_non_null(strstr(err.message, "ledger"));
}

static void what_cannot_be_copied_or_verified(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct store_summary s;
    assert_int_equal(copy(f, "copy.db", &err), 0);
    assert_int_equal(copy(f, "copy.db", &err), -EEXIST);
    err = ERR_INIT;
    assert_int_equal(
        store_copy(path_of(f, "no.db"), path_of(f, "b.db"), NULL, &err),
        -ENOENT);
    assert_int_equal(access(path_of(f, "b.db"), F_OK), -1);
    assert_int_equal(store_verify(path_of(f, "no.db"), &s, &err), -ENOENT);
    assert_int_equal(store_verify_other(path_of(f, "no.db"), &err), -ENOENT);
    int fd = open(path_of(f, "text.db"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd,
                           "no database, but longer than a header; "
                           "no database, but longer than a header; "
                           "no database, but longer than a header; ",
                           117),
                     117);
    (void)close(fd);
    assert_int_equal(store_verify(path_of(f, "text.db"), &s, &err), -EBADMSG);
    assert_int_equal(store_verify_other(path_of(f, "text.db"), &err), -EBADMSG);
    fixture_close(f);
    fixture_exec(f, "PRAGMA application_id = 7;"
                    "PRAGMA wal_checkpoint(TRUNCATE)");
    assert_int_equal(store_verify(path_of(f, SQLITE_DB_FILE), &s, &err),
                     -EINVAL);
    assert_int_equal(store_verify_other(path_of(f, SQLITE_DB_FILE), &err), 0);
}

/* A backup of before an upgrade must be good for something. */
static void an_old_file_can_be_copied_and_verified(void **state)
{
    struct fixture *f = *state;
    struct err err;
    fixture_load_version_1(f);
    assert_int_equal(copy(f, "copy.db", &err), 0);
    struct store_summary s = verify(f, "copy.db");
    assert_int_equal(s.schema, 1);
    assert_false(s.sums);
    assert_int_equal(s.counts.accepted, 5);
}

/* It is told, and is no reason to be without a backup. */
static void a_broken_trail_is_no_damage(void **state)
{
    struct fixture *f = *state;
    struct record row = {
        .kind = RECORD_AUDIT,
        .audit = {.who = STR("uid:0"), .action = STR("queue.drain")}};
    struct err err;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fixture_apply(f, &row, 1), 0);
    }
    assert_int_equal(copy(f, "whole.db", &err), 0);
    assert_string_equal(verify(f, "whole.db").trail, "");
    fixture_close(f);
    fixture_exec(f, "UPDATE audit SET who = 'nobody' WHERE seq = 2");
    assert_int_equal(copy(f, "copy.db", &err), 0);
    assert_non_null(strstr(verify(f, "copy.db").trail, "row 2 "));
    fixture_exec(f, "UPDATE audit SET who = 'uid:0' WHERE seq = 2");
    fixture_open(f);
}

/* There the ledger did not say how many dry runs there were. */
static void one_of_before_dry_runs_were_counted_too(void **state)
{
    struct fixture *f = *state;
    struct workflow_row w = fixture_workflow(f);
    struct err err;
    w.dry_run = true;
    w.status = WORKFLOW_SUCCEEDED;
    assert_int_equal(fixture_workflow_new(f, &w), 0);
    fixture_close(f);
    fixture_exec(f, "DELETE FROM ledger WHERE kind = 4;" FIXTURE_UNDO_AFTER_9
                    "PRAGMA user_version = 8");
    assert_int_equal(copy(f, "copy.db", &err), 0);
    assert_int_equal(verify(f, "copy.db").schema, 8);
    fixture_open(f);
}

#define CASE(name)                                                             \
    {                                                                          \
#name, name, fixture_setup, fixture_teardown,                          \
            (void *)(uintptr_t)&store_sqlite                                   \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_copy_is_whole),
        CASE(copies_are_made_while_the_engine_writes),
        CASE(damage_is_not_copied),
        CASE(verifying_reads_every_page),
        CASE(verifying_sees_wrong_rows),
        CASE(what_cannot_be_copied_or_verified),
        CASE(an_old_file_can_be_copied_and_verified),
        CASE(a_broken_trail_is_no_damage),
        CASE(one_of_before_dry_runs_were_counted_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
