/* The real thing: a process that is killed in the middle of its work, and a
 * disk that is really full. */
#include "tests/store/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/vec.h"

/* ---- kill -9 ------------------------------------------------------------ */

/* What the child tells before it is killed: only what is acknowledged. */
struct word {
    struct id event;
    uint32_t processed; /* else: accepted */
};

static void say(int fd, struct id event, uint32_t processed)
{
    struct word w = {.event = event, .processed = processed};
    if (write(fd, &w, sizeof(w)) != (ssize_t)sizeof(w)) {
        _exit(1);
    }
}

/* Works until it is killed. */
static void work(struct fixture *f, int fd)
{
    f->options.queue_limit = 1000000;
    fixture_open(f);
    for (;;) {
        struct event events[20];
        for (int i = 0; i < 20; i++) {
            events[i] = fixture_event(f, "x");
        }
        if (fixture_ingest(f, events, 20) != 0) {
            _exit(2);
        }
        for (int i = 0; i < 20; i++) {
            say(fd, events[i].id, 0);
        }
        struct store_claim claim;
        if (fixture_claim(f, 15, 9, &claim) != 0) {
            _exit(3);
        }
        for (uint32_t i = 0; i < claim.count; i++) {
            if (fixture_done(f, &claim, i, EVENT_PROCESSED) != 0) {
                _exit(4);
            }
            say(fd, claim.events[i].id, 1);
        }
        if (store_sqlite.maintain(f->store, f->now_ms++ % 8 == 0) != 0) {
            _exit(5);
        }
        arena_reset(&f->arena);
    }
}

/* Reads words until the child is gone; kills it after `enough` of them. */
static size_t listen(int fd, pid_t child, size_t enough, struct word *words,
                     size_t limit)
{
    size_t count = 0;
    while (count < limit &&
           read(fd, &words[count], sizeof(*words)) == (ssize_t)sizeof(*words)) {
        if (++count == enough) {
            assert_int_equal(kill(child, SIGKILL), 0);
        }
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return count;
}

static void check_words(struct fixture *f, const struct word *words,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct event_view v = fixture_read(f, words[i].event);
        if (words[i].processed != 0) {
            assert_int_equal(v.status, EVENT_PROCESSED);
        }
    }
}

static void nothing_acknowledged_is_lost_by_kill(void **state)
{
    struct fixture *f = *state;
    enum { ROUNDS = 12, WORDS = 100000 };
    struct word *words = mem_alloc(WORDS, sizeof(*words));
    size_t total = 0;
    for (int round = 0; round < ROUNDS; round++) {
        fixture_close(f);
        int fds[2];
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        f->now_ms += 1000000;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)close(fds[0]);
            work(f, fds[1]);
        }
        (void)close(fds[1]);
        size_t enough = 50 + prng_below(&f->prng, 1500);
        size_t count =
            listen(fds[0], child, enough, words + total, WORDS - total);
        (void)close(fds[0]);
        assert_true(count >= enough);
        total += count;
        f->now_ms += 1000000;
        fixture_open(f);
        assert_true(f->opened.unclean);
        assert_true(f->opened.checked);
        check_words(f, words, total);
        fixture_check(f);
    }
    mem_free(words);
}

/* ---- a full disk -------------------------------------------------------- */

enum { DISK_KIB = 4096 };

/* A small file system that nobody else sees; false if that is not allowed. */
static bool mount_small_disk(const char *directory)
{
    char options[32];
    (void)snprintf(options, sizeof(options), "size=%dk", DISK_KIB);
    return unshare(CLONE_NEWNS) == 0 &&
           mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", directory, "tmpfs", 0, options) == 0;
}

static void write_filler(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(posix_fallocate(fd, 0, DISK_KIB * 1024 / 2), 0);
    (void)close(fd);
}

static int ingest_big(struct fixture *f)
{
    static char body[20000];
    memset(body, 'x', sizeof(body) - 1);
    struct event e = fixture_event(f, "x");
    e.body = str_c(body);
    return fixture_ingest(f, &e, 1);
}

static void a_full_disk_refuses_events_and_serves_the_rest(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    fixture_remove_directory(f->directory);
    fixture_make_directory(f->directory);
    if (!mount_small_disk(f->directory)) {
        skip();
    }
    char filler[128];
    (void)snprintf(filler, sizeof(filler), "%s/filler", f->directory);
    f->options.ballast_bytes = 524288;
    fixture_open(f);
    write_filler(filler);
    fixture_fill(f, 100);
    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 50, 3, &claim), 0);

    int r = 0;
    uint64_t accepted = 100;
    for (; r == 0; accepted += r == 0 ? 1 : 0) {
        r = ingest_big(f);
        assert_int_equal(store_sqlite.maintain(f->store, true), 0);
        assert_true(accepted < 1000);
    }
    assert_int_equal(r, -ENOSPC);
    assert_int_equal(fixture_counts(f).accepted, accepted);
    /* What is running goes on, on what was kept back for it. */
    for (uint32_t i = 0; i < claim.count; i++) {
        assert_int_equal(fixture_done(f, &claim, i, EVENT_PROCESSED), 0);
        struct workflow_row w = fixture_workflow(f);
        assert_int_equal(fixture_workflow_new(f, &w), 0);
        assert_int_equal(store_sqlite.maintain(f->store, i % 10 == 0), 0);
    }
    assert_int_equal(ingest_big(f), -ENOSPC);
    fixture_check(f);

    assert_int_equal(unlink(filler), 0);
    assert_int_equal(store_sqlite.maintain(f->store, true), 0);
    assert_int_equal(ingest_big(f), 0);
    assert_int_equal(fixture_counts(f).accepted, accepted + 1);
    fixture_check(f);
    fixture_close(f);
    assert_int_equal(umount(f->directory), 0);
}

#define CASE(name)                                                             \
    {                                                                          \
#name, name, fixture_setup, fixture_teardown,                          \
            (void *)(uintptr_t)&store_sqlite                                   \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(nothing_acknowledged_is_lost_by_kill),
        CASE(a_full_disk_refuses_events_and_serves_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
