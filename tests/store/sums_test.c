/* Checksums of pages: whatever changes in the file is noticed, and a file of an
 * earlier version gets them, whenever that is interrupted. */
#include "tests/store/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/sqlite_open.h"
#include "store/sqlite_priv.h"
#include "store/sqlite_sums.h"
#include "tests/store/fault_vfs.h"

#define PAGE 4096

/* ---- the function ------------------------------------------------------- */

static void every_bit_counts(void **state)
{
    (void)state;
    struct prng p;
    char page[PAGE];
    prng_seed(&p, 1);
    for (size_t i = 0; i < sizeof(page); i++) {
        page[i] = (char)prng_below(&p, 256);
    }
    size_t bytes = sizeof(page) - SQLITE_SUM_BYTES;
    uint64_t sum = sqlite_sum(page, bytes, 7);
    assert_true(sum == sqlite_sum(page, bytes, 7));
    assert_true(sum != sqlite_sum(page, bytes, 8));
    for (size_t i = 0; i < bytes * 8; i++) {
        page[i / 8] = (char)(page[i / 8] ^ 1 << i % 8);
        assert_true(sum != sqlite_sum(page, bytes, 7));
        page[i / 8] = (char)(page[i / 8] ^ 1 << i % 8);
    }
    memset(page, 0, sizeof(page));
    assert_true(sqlite_sum(page, bytes, 1) != 0); /* a page that got lost */
}

/* ---- files -------------------------------------------------------------- */

static int open_db(struct fixture *f)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/" SQLITE_DB_FILE, f->directory);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
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

/* A database with all kinds of pages: overflow, free, full, of indexes. */
static void fill(struct fixture *f)
{
    fixture_fill(f, 300);
    struct event big = fixture_event(f, "big");
    char *body = arena_alloc(&f->arena, 100000, 1);
    memset(body, 'x', 99999);
    big.body = str_n(body, 99999);
    assert_int_equal(fixture_ingest(f, &big, 1), 0);
    for (int i = 0; i < 20; i++) {
        struct workflow_row w = fixture_workflow(f);
        assert_int_equal(fixture_workflow_new(f, &w), 0);
    }
    fixture_close(f);
    fixture_exec(f, "CREATE TABLE gone (x);"
                    "INSERT INTO gone VALUES (zeroblob(50000));"
                    "DROP TABLE gone");
}

static void flip(int fd, off_t at, unsigned bit)
{
    unsigned char c = 0;
    assert_int_equal(pread(fd, &c, 1, at), 1);
    c = (unsigned char)(c ^ 1U << bit);
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
}

/* How many pages of a kind there are. */
static uint64_t count_pages(sqlite3 *db, const char *sql)
{
    uint64_t n = 0;
    assert_int_equal(sqlite_query_u64(db, sql, &n), SQLITE_OK);
    return n;
}

/* What is flipped below is of every kind: the library says so itself. */
static void there_are_pages_of_every_kind(void **state)
{
    struct fixture *f = *state;
    static const char *const kinds[] = {
        "SELECT count(*) FROM dbstat WHERE pagetype = 'internal' AND name IN "
        "(SELECT name FROM sqlite_schema WHERE type = 'table')",
        "SELECT count(*) FROM dbstat WHERE pagetype = 'leaf' AND name IN "
        "(SELECT name FROM sqlite_schema WHERE type = 'table')",
        "SELECT count(*) FROM dbstat WHERE pagetype = 'internal' AND name IN "
        "(SELECT name FROM sqlite_schema WHERE type = 'index')",
        "SELECT count(*) FROM dbstat WHERE pagetype = 'leaf' AND name IN "
        "(SELECT name FROM sqlite_schema WHERE type = 'index')",
        "SELECT count(*) FROM dbstat WHERE pagetype = 'overflow'",
        "SELECT freelist_count FROM pragma_freelist_count",
        /* With auto_vacuum the second page says whose the others are. */
        "SELECT 2 NOT IN (SELECT pageno FROM dbstat)",
    };
    char path[128];
    sqlite3 *db = NULL;
    struct err err;
    fill(f);
    assert_int_equal(try_open(f, &err), 0);
    (void)snprintf(path, sizeof(path), "%s/" SQLITE_DB_FILE, f->directory);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_compileoption_used("ENABLE_DBSTAT_VTAB") == 0) {
        (void)sqlite3_close(db);
        skip();
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (count_pages(db, kinds[i]) == 0) {
            fail_msg("no page: %s", kinds[i]);
        }
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* One bit of each page in turn. */
static void a_flipped_bit_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct err err;
    fill(f);
    assert_int_equal(try_open(f, &err), 0);
    int fd = open_db(f);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(st.st_size / PAGE > 50);
    for (off_t page = 0; page < st.st_size / PAGE; page++) {
        off_t at = page * PAGE + (off_t)prng_below(&f->prng, PAGE);
        unsigned bit = (unsigned)prng_below(&f->prng, 8);
        flip(fd, at, bit);
        int r = try_open(f, &err);
        if (r != -EBADMSG || strstr(err.message, "damaged") == NULL) {
            fail_msg("page %lld, byte %lld: %d %s", (long long)page + 1,
                     (long long)(at % PAGE), r, err.message);
        }
        flip(fd, at, bit);
    }
    (void)close(fd);
    assert_int_equal(try_open(f, &err), 0);
}

/* What a disk does besides: each page in turn comes back empty, or half old. */
static void a_lost_or_torn_page_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct err err;
    fill(f);
    assert_int_equal(try_open(f, &err), 0);
    int fd = open_db(f);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    for (off_t page = 0; page < st.st_size / PAGE; page++) {
        static const char nothing[PAGE];
        char kept[PAGE];
        assert_int_equal(pread(fd, kept, PAGE, page * PAGE), PAGE);
        for (size_t whole = 0; whole <= PAGE / 2; whole += PAGE / 2) {
            size_t rest = PAGE - whole;
            assert_int_equal(
                pwrite(fd, nothing, rest, page * PAGE + (off_t)whole), rest);
            int r = try_open(f, &err);
            if (r != -EBADMSG) {
                fail_msg("page %lld from byte %zu: %d", (long long)page + 1,
                         whole, r);
            }
            assert_int_equal(pwrite(fd, kept, PAGE, page * PAGE), PAGE);
        }
    }
    (void)close(fd);
    assert_int_equal(try_open(f, &err), 0);
}

static void a_file_that_was_cut_off_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct err err;
    fill(f);
    assert_int_equal(try_open(f, &err), 0);
    int fd = open_db(f);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    for (off_t cut = 64; cut < st.st_size; cut += PAGE / 2) {
        assert_int_equal(ftruncate(fd, st.st_size - cut), 0);
        int r = try_open(f, &err);
        if (r != -EBADMSG) {
            fail_msg("%lld bytes cut off: %d", (long long)cut, r);
        }
    }
    (void)close(fd);
}

/* Every byte of the header that says what kind of file this is. */
static void a_damaged_header_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct err err;
    fill(f);
    int fd = open_db(f);
    for (off_t at = 0; at < 100; at++) {
        flip(fd, at, 3);
        assert_int_equal(try_open(f, &err), -EBADMSG);
        flip(fd, at, 3);
    }
    (void)close(fd);
    assert_int_equal(try_open(f, &err), 0);
}

static void a_page_in_anothers_place_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct err err;
    fill(f);
    int fd = open_db(f);
    char a[PAGE];
    char b[PAGE];
    assert_int_equal(pread(fd, a, PAGE, 30L * PAGE), PAGE);
    assert_int_equal(pread(fd, b, PAGE, 31L * PAGE), PAGE);
    assert_int_equal(pwrite(fd, b, PAGE, 30L * PAGE), PAGE);
    assert_int_equal(pwrite(fd, a, PAGE, 31L * PAGE), PAGE);
    (void)close(fd);
    assert_int_equal(try_open(f, &err), -EBADMSG);
    assert_non_null(strstr(err.message, "page 31"));
}

static void a_reader_notices(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 500);
    fixture_restart(f); /* the log is empty, nothing is cached */
    int fd = open_db(f);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    for (off_t page = 1; page < st.st_size / PAGE; page++) {
        flip(fd, page * PAGE + 2000, 1);
    }
    struct event_filter filter = {.status = -1, .limit = 100};
    struct event_view *views = NULL;
    uint32_t count = 0;
    assert_int_equal(
        f->reader->ops->events(f->reader, &filter, &f->arena, &views, &count),
        -EBADMSG);
    for (off_t page = 1; page < st.st_size / PAGE; page++) {
        flip(fd, page * PAGE + 2000, 1);
    }
    (void)close(fd);
}

/* ---- files of an earlier version ---------------------------------------- */

static void an_old_file_gets_checksums(void **state)
{
    struct fixture *f = *state;
    fixture_load_version_1(f);
    fixture_open(f);
    assert_true(f->opened.sums);
    assert_true(f->opened.pages_scanned > 5);
    fixture_check(f);
    fixture_restart(f);
    assert_true(f->opened.sums);
    assert_int_equal(fixture_counts(f).accepted, 5);
}

/* For n = 1, 2...: the nth write or sync while they are added fails. */
static void interrupt_it(struct fixture *f, enum fault_kind kind)
{
    bool fired = true;
    uint64_t n = 0;
    while (fired) {
        n++;
        fixture_load_version_1(f);
        fault_vfs_arm(kind, n);
        struct err err = ERR_INIT;
        struct store *s = NULL;
        f->options.session = fixture_id(f);
        int r = store_sqlite.open(&f->options, &s, &f->opened, &err);
        fired = fault_vfs_fired();
        assert_true(r == 0 || (fired && err.message[0] != '\0'));
        if (r == 0) {
            fault_vfs_die();
            store_sqlite.close(s);
        }
        fault_vfs_restore(&f->prng);
        fixture_open(f);
        assert_true(f->opened.sums);
        assert_int_equal(fixture_counts(f).accepted, 5);
        fixture_check(f);
    }
    (void)printf("# %s while checksums are added: %llu places\n",
                 fault_names[kind], (unsigned long long)n - 1);
    assert_true(n > 5);
}

static void adding_them_survives_everything(void **state)
{
    for (int kind = FAULT_NONE + 1; kind < FAULT_KINDS; kind++) {
        interrupt_it(*state, (enum fault_kind)kind);
    }
}

#define CASE(name)                                                             \
    {                                                                          \
#name, name, fixture_setup, fixture_teardown,                          \
            (void *)(uintptr_t)&store_sqlite                                   \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bit_counts),
        CASE(there_are_pages_of_every_kind),
        CASE(a_flipped_bit_is_noticed),
        CASE(a_lost_or_torn_page_is_noticed),
        CASE(a_file_that_was_cut_off_is_noticed),
        CASE(a_damaged_header_is_noticed),
        CASE(a_page_in_anothers_place_is_noticed),
        CASE(a_reader_notices),
        CASE(an_old_file_gets_checksums),
        CASE(adding_them_survives_everything),
    };
    fault_vfs_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
