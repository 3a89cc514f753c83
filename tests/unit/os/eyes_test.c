#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/eyes.h"

#define NOBODY 65534
#define SOME_GROUP 54321

struct lab {
    char top[64];
    char folder[96];
    char file[128];
};

static int set_up(void **state)
{
    static struct lab l;
    (void)snprintf(l.top, sizeof(l.top), "/tmp/eyes-XXXXXX");
    assert_non_null(mkdtemp(l.top));
    (void)snprintf(l.folder, sizeof(l.folder), "%s/a", l.top);
    (void)snprintf(l.file, sizeof(l.file), "%s/f", l.folder);
    assert_int_equal(chmod(l.top, 0755), 0);
    assert_int_equal(mkdir(l.folder, 0700), 0);
    assert_int_equal(chmod(l.folder, 0755), 0);
    int fd = open(l.file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    *state = &l;
    return 0;
}

static int tear_down(void **state)
{
    struct lab *l = *state;
    (void)unlink(l->file);
    (void)rmdir(l->folder);
    return rmdir(l->top);
}

static void the_path_that_is_closed_is_named(void **state)
{
    const struct lab *l = *state;
    static const gid_t groups[] = {SOME_GROUP};
    struct os_eyes who = {.uid = NOBODY, .gid = NOBODY};
    char where[256] = "";
    bool folder = true;
    if (geteuid() != 0) {
        skip();
    }
    assert_int_equal(os_eyes_read(&who, l->file, where, sizeof(where), &folder),
                     -EACCES);
    assert_string_equal(where, l->file);
    assert_false(folder);
    /* As the hint has it: its group, mode 640. */
    assert_int_equal(chown(l->file, 0, SOME_GROUP), 0);
    assert_int_equal(chmod(l->file, 0640), 0);
    assert_int_equal(os_eyes_read(&who, l->file, where, sizeof(where), &folder),
                     -EACCES);
    who.groups = groups;
    who.group_count = 1;
    assert_int_equal(os_eyes_read(&who, l->file, where, sizeof(where), &folder),
                     0);
    assert_int_equal(chmod(l->folder, 0700), 0);
    assert_int_equal(os_eyes_read(&who, l->file, where, sizeof(where), &folder),
                     -EACCES);
    assert_string_equal(where, l->folder);
    assert_true(folder);
}

static void we_are_ourselves_again(void **state)
{
    const struct lab *l = *state;
    const struct os_eyes who = {.uid = NOBODY, .gid = NOBODY};
    char where[256];
    bool folder = false;
    gid_t before[64];
    gid_t after[64];
    if (geteuid() != 0) {
        skip();
    }
    int count = getgroups(64, before);
    assert_int_equal(os_eyes_read(&who, l->file, where, sizeof(where), &folder),
                     -EACCES);
    assert_int_equal(
        os_eyes_read(&who, "/no/such/file", where, sizeof(where), &folder),
        -ENOENT);
    assert_int_equal(geteuid(), 0);
    assert_int_equal(getegid(), getgid());
    assert_int_equal(getgroups(64, after), count);
    assert_memory_equal(before, after, (size_t)count * sizeof(gid_t));
    int fd = open(l->file, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_path_that_is_closed_is_named,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(we_are_ourselves_again, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
