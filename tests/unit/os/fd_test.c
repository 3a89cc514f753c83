#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/fd.h"
#include "os/random.h"
#include "os/remove.h"

struct fixture {
    char path[32];
    int folder;
};

static int set_up(void **state)
{
    static struct fixture f;
    memcpy(f.path, "/tmp/fd-test-XXXXXX", sizeof("/tmp/fd-test-XXXXXX"));
    if (mkdtemp(f.path) == NULL) {
        return -1;
    }
    *state = &f;
    return os_open_folder(AT_FDCWD, f.path, 0700, &f.folder);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    os_close(f->folder);
    return os_remove_tree(AT_FDCWD, f->path);
}

static void assert_file(int folder, const char *name, struct str expected)
{
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    assert_int_equal(os_read_file(folder, name, &text), 0);
    assert_true(str_eq(strbuf_str(&text), expected));
    strbuf_deinit(&text);
}

static void a_file_is_replaced_whole(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    assert_int_equal(os_replace_file(f->folder, "a", STR("one")), 0);
    assert_file(f->folder, "a", STR("one"));
    assert_int_equal(os_replace_file(f->folder, "a", STR("")), 0);
    assert_file(f->folder, "a", STR(""));
    assert_int_equal(fstatat(f->folder, "a", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    /* A temporary that a crash left behind is no obstacle. */
    int fd = openat(f->folder, ".a.new", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    os_close(fd);
    assert_int_equal(os_replace_file(f->folder, "a", STR("two")), 0);
    assert_file(f->folder, "a", STR("two"));
    assert_int_equal(faccessat(f->folder, ".a.new", F_OK, 0), -1);
}

static void a_name_that_is_too_long_is_refused(void **state)
{
    struct fixture *f = *state;
    char name[300];
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(os_replace_file(f->folder, name, STR("")), -ENAMETOOLONG);
}

static void reading_stops_at_the_limit(void **state)
{
    struct fixture *f = *state;
    char text[10000];
    memset(text, 'a', sizeof(text));
    assert_int_equal(os_replace_file(f->folder, "a", str_n(text, sizeof(text))),
                     0);
    struct strbuf exact = STRBUF_INIT(sizeof(text));
    struct strbuf less = STRBUF_INIT(sizeof(text) - 1);
    assert_int_equal(os_read_file(f->folder, "a", &exact), 0);
    assert_int_equal(exact.len, sizeof(text));
    assert_int_equal(os_read_file(f->folder, "a", &less), -E2BIG);
    strbuf_deinit(&exact);
    strbuf_deinit(&less);
}

static void symlinks_are_not_followed(void **state)
{
    struct fixture *f = *state;
    int fd = -1;
    struct strbuf text = STRBUF_INIT(4096);
    assert_int_equal(symlinkat("/etc/passwd", f->folder, "link"), 0);
    assert_int_equal(symlinkat("/etc", f->folder, "dir"), 0);
    assert_int_equal(os_read_file(f->folder, "link", &text), -ELOOP);
    assert_int_equal(os_read_file(f->folder, "none", &text), -ENOENT);
    assert_int_equal(os_open_folder(f->folder, "dir", 0700, &fd), -ENOTDIR);
    /* Replacing a link replaces the link, not what it points to. */
    assert_int_equal(os_replace_file(f->folder, "link", STR("mine")), 0);
    assert_file(f->folder, "link", STR("mine"));
    strbuf_deinit(&text);
}

/* Whoever put a pipe there must not make us wait for ever. */
static void only_regular_files_are_read(void **state)
{
    struct fixture *f = *state;
    struct strbuf text = STRBUF_INIT(4096);
    assert_int_equal(mkfifoat(f->folder, "pipe", 0600), 0);
    assert_int_equal(mkdirat(f->folder, "inner", 0700), 0);
    (void)alarm(10);
    assert_int_equal(os_read_file(f->folder, "pipe", &text), -EINVAL);
    assert_int_equal(os_read_file(f->folder, "inner", &text), -EINVAL);
    assert_int_equal(os_read_file(AT_FDCWD, "/dev/zero", &text), -EINVAL);
    (void)alarm(0);
    assert_int_equal(os_read_file(AT_FDCWD, "/proc/self/stat", &text), 0);
    char path[128];
    int fd = -1;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d/pipe", f->folder);
    assert_int_equal(os_open_regular(path, &fd), -EINVAL);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d/inner", f->folder);
    assert_int_equal(os_open_regular(path, &fd), -EISDIR);
    assert_int_equal(os_open_regular("/dev/zero", &fd), -EINVAL);
    assert_int_equal(os_open_regular("/no/such", &fd), -ENOENT);
    assert_int_equal(fd, -1);
    assert_int_equal(os_open_regular("/proc/self/stat", &fd), 0);
    os_close(fd);
    assert_true(text.len > 0);
    strbuf_deinit(&text);
}

static void a_folder_is_made_once(void **state)
{
    struct fixture *f = *state;
    int a = -1;
    int b = -1;
    assert_int_equal(os_open_folder(f->folder, "d", 0700, &a), 0);
    assert_int_equal(os_open_folder(f->folder, "d", 0700, &b), 0);
    os_close(a);
    os_close(b);
    assert_int_equal(os_replace_file(f->folder, "file", STR("")), 0);
    assert_int_equal(os_open_folder(f->folder, "file", 0700, &a), -ENOTDIR);
    assert_int_equal(os_open_folder(f->folder, "no/such", 0700, &a), -ENOENT);
}

/* As anybody but root one may not even look into one's own folder then. */
static void a_tree_is_removed_whatever_its_modes(void **state)
{
    struct fixture *f = *state;
    int fd = -1;
    assert_int_equal(os_open_folder(f->folder, "t", 0700, &fd), 0);
    assert_int_equal(mkdirat(fd, "read-only", 0700), 0);
    assert_int_equal(mkdirat(fd, "read-only/below", 0700), 0);
    assert_int_equal(os_replace_file(fd, "file", STR("x")), 0);
    assert_int_equal(symlinkat("/etc", fd, "link"), 0);
    assert_int_equal(fchmodat(fd, "read-only/below", 0, 0), 0);
    assert_int_equal(fchmodat(fd, "read-only", 0500, 0), 0);
    assert_int_equal(fchmod(fd, 0), 0);
    os_close(fd);
    assert_int_equal(os_remove_tree(f->folder, "t"), 0);
    assert_int_equal(faccessat(f->folder, "t", F_OK, 0), -1);
    assert_int_equal(access("/etc/passwd", F_OK), 0);
    assert_int_equal(os_remove_tree(f->folder, "t"), 0);
}

static void flags_are_set_and_unset(void **state)
{
    (void)state;
    int p[2];
    assert_int_equal(os_pipe(p), 0);
    assert_int_equal(fcntl(p[0], F_GETFD), FD_CLOEXEC);
    assert_int_equal(os_set_nonblock(p[0]), 0);
    char c;
    assert_int_equal(read(p[0], &c, 1), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(os_write_all(p[1], STR("ab")), 0);
    assert_int_equal(read(p[0], &c, 1), 1);
    os_closep(&p[1]);
    assert_int_equal(p[1], -1);
    os_closep(&p[1]); /* once more is fine */
    os_close(p[0]);
    assert_int_equal(os_set_nonblock(p[0]), -EBADF);
    assert_int_equal(os_write_all(p[0], STR("x")), -EBADF);
}

static void closing_keeps_errno(void **state)
{
    (void)state;
    errno = EXDEV;
    os_close(999999);
    os_close(-1);
    assert_int_equal(errno, EXDEV);
}

static void clocks_go_forward(void **state)
{
    (void)state;
    uint64_t a = os_monotonic_ms();
    assert_true(os_epoch_ms() > 1700000000000U);
    assert_true(os_monotonic_ms() >= a);
}

static void random_bytes_fill_everything(void **state)
{
    (void)state;
    uint8_t sum[64] = {0};
    for (int i = 0; i < 64; i++) {
        uint8_t bytes[64];
        memset(bytes, 0, sizeof(bytes));
        os_random(bytes, sizeof(bytes));
        for (size_t k = 0; k < sizeof(bytes); k++) {
            sum[k] |= bytes[k];
        }
    }
    for (size_t k = 0; k < sizeof(sum); k++) {
        assert_int_not_equal(sum[k], 0);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void only_the_reading_end_does_not_block(void **state)
{
    (void)state;
    int p[2];
    assert_int_equal(os_pipe_nonblock(p), 0);
    assert_int_equal(fcntl(p[0], F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(p[1], F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(p[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    assert_int_equal(fcntl(p[1], F_GETFL) & O_NONBLOCK, 0);
    os_close(p[0]);
    os_close(p[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_file_is_replaced_whole),
        CASE(a_name_that_is_too_long_is_refused),
        CASE(reading_stops_at_the_limit),
        CASE(symlinks_are_not_followed),
        CASE(only_regular_files_are_read),
        CASE(a_folder_is_made_once),
        CASE(a_tree_is_removed_whatever_its_modes),
        cmocka_unit_test(flags_are_set_and_unset),
        cmocka_unit_test(only_the_reading_end_does_not_block),
        cmocka_unit_test(closing_keeps_errno),
        cmocka_unit_test(clocks_go_forward),
        cmocka_unit_test(random_bytes_fill_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
