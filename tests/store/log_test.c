/* Damage to the write-ahead log of an engine that was killed is told from a log
 * that a crash has cut off. */
#include "tests/store/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/fd.h"
#include "store/sqlite_log.h"
#include "store/sqlite_priv.h"

#define HEADER 32
#define FRAME (24 + 4096)
#define LOG SQLITE_DB_FILE "-wal"

/* A store as a killed engine leaves it: its files, copied while it is open. */
struct dead {
    struct fixture *f;
    char directory[64];
    char *log; /* as it was */
    size_t bytes;
};

static char *read_all(const char *directory, const char *name, size_t *ret)
{
    char path[160];
    struct strbuf text = STRBUF_INIT(64UL * 1024 * 1024);
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    assert_int_equal(os_read_file(AT_FDCWD, path, &text), 0);
    *ret = text.len;
    return strbuf_take(&text);
}

static void write_all(const char *directory, const char *name, const char *at,
                      size_t bytes)
{
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(os_write_all(fd, str_n(at, bytes)), 0);
    (void)close(fd);
}

/* Copies the database and this log. */
static void place(struct dead *d, const char *log, size_t bytes)
{
    size_t len = 0;
    char *db = read_all(d->f->directory, SQLITE_DB_FILE, &len);
    fixture_remove_directory(d->directory);
    fixture_make_directory(d->directory);
    write_all(d->directory, SQLITE_DB_FILE, db, len);
    write_all(d->directory, LOG, log, bytes);
    mem_free(db);
}

static void kill_it(struct fixture *f, struct dead *d)
{
    *d = (struct dead){.f = f};
    fixture_make_directory(d->directory);
    d->log = read_all(f->directory, LOG, &d->bytes);
    assert_true(d->bytes > HEADER + 20 * FRAME);
}

static void bury(struct dead *d)
{
    fixture_remove_directory(d->directory);
    mem_free(d->log);
}

/* 0 and how many events it has, or what opening says. */
static int open_it(struct dead *d, uint64_t *ret_accepted, struct err *err)
{
    struct store_options options = d->f->options;
    struct store_opened opened;
    struct store_counts counts;
    struct store *s = NULL;
    struct reader *reader = NULL;
    *err = ERR_INIT;
    options.directory = str_c(d->directory);
    options.session = fixture_id(d->f);
    int r = store_sqlite.open(&options, &s, &opened, err);
    if (r < 0) {
        return r;
    }
    assert_int_equal(store_sqlite.reader_open(s, &reader, err), 0);
    assert_int_equal(reader->ops->counts(reader, &counts), 0);
    reader->ops->close(reader);
    store_sqlite.close(s);
    *ret_accepted = counts.accepted;
    return 0;
}

static bool is_commit(const struct dead *d, size_t frame)
{
    static const char zero[4];
    return memcmp(d->log + HEADER + frame * FRAME + 4, zero, 4) != 0;
}

/* The first frame of the last commit. */
static size_t last_commit(const struct dead *d)
{
    size_t i = (d->bytes - HEADER) / FRAME - 1;
    assert_true(is_commit(d, i));
    while (i > 0 && !is_commit(d, i - 1)) {
        i--;
    }
    return i;
}

static void fill(struct fixture *f)
{
    fixture_restart(f); /* the log begins anew */
    for (int i = 0; i < 12; i++) {
        fixture_fill(f, 3);
    }
}

static void a_whole_log_is_used(void **state)
{
    struct fixture *f = *state;
    struct dead d;
    struct err err;
    uint64_t accepted = 0;
    fill(f);
    kill_it(f, &d);
    place(&d, d.log, d.bytes);
    assert_int_equal(open_it(&d, &accepted, &err), 0);
    assert_int_equal(accepted, 36);
    bury(&d);
}

/* A bit of each frame in turn, in its head and in its page. */
static void a_flipped_bit_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct dead d;
    struct err err;
    uint64_t accepted = 0;
    fill(f);
    kill_it(f, &d);
    size_t last = last_commit(&d);
    assert_true(last > 15);
    for (size_t frame = 0; frame < last; frame++) {
        /* Of the head: all but the sums of the last commit but one's end,
         * which nothing intact follows. */
        size_t in_head = prng_below(&f->prng, frame + 1 < last ? 24 : 16);
        size_t in_page = 24 + prng_below(&f->prng, 4096);
        for (int i = 0; i < 2; i++) {
            size_t at = HEADER + frame * FRAME + (i == 0 ? in_head : in_page);
            char bit = (char)(1U << prng_below(&f->prng, 8));
            d.log[at] = (char)(d.log[at] ^ bit);
            place(&d, d.log, d.bytes);
            int r = open_it(&d, &accepted, &err);
            if (r != -EBADMSG || strstr(err.message, LOG) == NULL) {
                fail_msg("frame %zu of %zu, byte %zu: %d %s", frame, last,
                         (at - HEADER) % FRAME, r, err.message);
            }
            d.log[at] = (char)(d.log[at] ^ bit);
        }
    }
    bury(&d);
}

static void a_damaged_header_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct dead d;
    struct err err;
    uint64_t accepted = 0;
    fill(f);
    kill_it(f, &d);
    for (size_t at = 0; at < HEADER; at++) {
        d.log[at] = (char)(d.log[at] ^ 4);
        place(&d, d.log, d.bytes);
        assert_int_equal(open_it(&d, &accepted, &err), -EBADMSG);
        d.log[at] = (char)(d.log[at] ^ 4);
    }
    bury(&d);
}

/* A crash leaves a beginning, and of the last commit any of its frames: that
 * is no damage, and what was committed before is there. */
static void a_log_that_was_cut_off_is_no_damage(void **state)
{
    struct fixture *f = *state;
    struct dead d;
    struct err err;
    uint64_t accepted = 0;
    uint64_t before = 0;
    fill(f);
    kill_it(f, &d);
    for (size_t bytes = 0; bytes < d.bytes; bytes += FRAME / 2 + 7) {
        place(&d, d.log, bytes);
        assert_int_equal(open_it(&d, &accepted, &err), 0);
        assert_true(accepted >= before);
        before = accepted;
    }
    size_t last = last_commit(&d);
    for (size_t frame = last; frame < (d.bytes - HEADER) / FRAME; frame++) {
        char *page = d.log + HEADER + frame * FRAME + 24;
        page[77] = (char)(page[77] ^ 1);
        place(&d, d.log, d.bytes);
        assert_int_equal(open_it(&d, &accepted, &err), 0);
        assert_int_equal(accepted, 33);
        page[77] = (char)(page[77] ^ 1);
    }
    bury(&d);
}

/* Frames of an earlier round, and of a commit that a crash has cut off before
 * another engine went on, stand behind the end. */
static void what_is_older_is_no_damage(void **state)
{
    struct fixture *f = *state;
    struct dead d;
    struct err err;
    uint64_t accepted = 0;
    for (int i = 0; i < 30; i++) {
        fixture_fill(f, 3);
    }
    assert_int_equal(store_sqlite.maintain(f->store, true), 0);
    fixture_fill(f, 1);
    kill_it(f, &d);
    place(&d, d.log, d.bytes);
    assert_int_equal(open_it(&d, &accepted, &err), 0);
    assert_int_equal(accepted, 91);
    bury(&d);
}

/* All of it is in the database: its header may be anything. */
static void a_header_of_nothing_new_is_no_damage(void **state)
{
    struct fixture *f = *state;
    struct dead d;
    struct err err;
    uint64_t accepted = 0;
    fill(f);
    assert_int_equal(store_sqlite.maintain(f->store, true), 0);
    kill_it(f, &d);
    memset(d.log, 0, 16); /* torn, as the next round's was written */
    place(&d, d.log, d.bytes);
    assert_int_equal(open_it(&d, &accepted, &err), 0);
    assert_int_equal(accepted, 36);
    bury(&d);
}

static void there_may_be_no_log(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    static const char garbage[2 * FRAME];
    char path[160];
    char db[160];
    (void)snprintf(db, sizeof(db), "%s/none", f->directory);
    (void)snprintf(path, sizeof(path), "%s/none-wal", f->directory);
    assert_int_equal(sqlite_log_check(db, &err), 0);
    write_all(f->directory, "none-wal", "", 0);
    assert_int_equal(sqlite_log_check(db, &err), 0);
    write_all(f->directory, "none-wal", garbage, sizeof(garbage));
    assert_int_equal(sqlite_log_check(db, &err), 0);
    write_all(f->directory, "none", "", 0);
    assert_int_equal(sqlite_log_check(db, &err), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(sqlite_log_check(db, &err), -EIO);
}

#define CASE(name)                                                             \
    {                                                                          \
#name, name, fixture_setup, fixture_teardown,                          \
            (void *)(uintptr_t)&store_sqlite                                   \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_whole_log_is_used),
        CASE(a_flipped_bit_is_noticed),
        CASE(a_damaged_header_is_noticed),
        CASE(a_log_that_was_cut_off_is_no_damage),
        CASE(what_is_older_is_no_damage),
        CASE(a_header_of_nothing_new_is_no_damage),
        CASE(there_may_be_no_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
