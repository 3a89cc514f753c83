#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/fd.h"
#include "os/kill_switch.h"
#include "os/remove.h"

static char folder[] = "/tmp/kill-switch-XXXXXX";
static char path[64];

static int set_up(void **state)
{
    (void)state;
    memcpy(folder + sizeof(folder) - 7, "XXXXXX", 6);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/control/switch", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = os_remove_tree(tmp, folder + sizeof("/tmp/") - 1);
    os_close(tmp);
    return r;
}

static void expect(bool on, const char *text)
{
    struct kill_switch k;
    kill_switch_look(path, &k);
    assert_int_equal(k.on, on);
    assert_string_equal(k.text, text);
}

static void put_on(const char *text)
{
    struct err err = ERR_INIT;
    assert_int_equal(kill_switch_set(path, str_c(text), &err), 0);
}

static void it_is_a_file(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    expect(false, "");
    put_on("uid:0: a storm");
    expect(true, "uid:0: a storm");
    put_on("somebody else");
    expect(true, "uid:0: a storm");
    assert_int_equal(kill_switch_clear(path, NULL, &err), 0);
    expect(false, "");
    assert_int_equal(kill_switch_clear(path, NULL, &err), 0);
}

static void write_file(const char *text)
{
    char parent[64];
    (void)snprintf(parent, sizeof(parent), "%s/control", folder);
    assert_int_equal(mkdir(parent, 0755), 0);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void an_empty_file_is_on(void **state)
{
    (void)state;
    write_file("");
    expect(true, "");
}

static void its_text_is_one_harmless_line(void **state)
{
    (void)state;
    write_file("a\tb\x1b[2J\x80\nsecond line\n");
    expect(true, "a?b?[2J?");
}

static void a_long_text_is_cut(void **state)
{
    struct kill_switch k;
    char text[4 * KILL_SWITCH_TEXT_SIZE];
    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    write_file(text);
    kill_switch_look(path, &k);
    assert_true(k.on);
    assert_int_equal(strlen(k.text), KILL_SWITCH_TEXT_SIZE - 1);
}

/* A link, also one that leads nowhere, a folder, a pipe: something is there.
 * None of them is followed or waited for. */
static void whatever_stands_there_is_on(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    put_on("x");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/nonexistent", path), 0);
    expect(true, "");
    put_on("y");
    expect(true, "");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect(true, "");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    expect(true, "");
    assert_true(kill_switch_clear(path, NULL, &err) < 0);
    assert_non_null(strstr(err.message, path));
    expect(true, "");
}

static void what_cannot_be_looked_at_is_on(void **state)
{
    struct kill_switch k;
    char deep[300];
    (void)state;
    memset(deep, 'n', sizeof(deep)); /* longer than a name can be */
    deep[0] = '/';
    deep[sizeof(deep) - 1] = '\0';
    kill_switch_look(deep, &k);
    assert_true(k.on);
    assert_string_equal(k.text, "cannot look at it: File name too long");
}

/* A file where its folder should be: it cannot be put on, so it is. */
static void what_can_never_be_put_on_is_on(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    char parent[64];
    (void)snprintf(parent, sizeof(parent), "%s/control", folder);
    FILE *f = fopen(parent, "we");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    expect(true, "cannot look at it: Not a directory");
    assert_int_equal(kill_switch_set(path, STR("x"), &err), -ENOTDIR);
    assert_int_equal(kill_switch_clear(path, NULL, &err), -ENOTDIR);
}

/* Whoever puts it on, be it on or not, wins over who would take it off and has
 * not seen that. */
static void only_what_was_seen_is_taken_off(void **state)
{
    struct err err = ERR_INIT;
    struct kill_switch seen;
    (void)state;
    put_on("first");
    kill_switch_look(path, &seen);
    assert_true(seen.since_ms != 0);
    (void)usleep(20000); /* so that the file system's clock moves on */
    put_on("second");
    assert_int_equal(kill_switch_clear(path, &seen, &err), -EEXIST);
    assert_non_null(strstr(err.message, "first"));
    expect(true, "first");
    kill_switch_look(path, &seen);
    assert_int_equal(kill_switch_clear(path, &seen, &err), 0);
    expect(false, "");
    assert_int_equal(kill_switch_clear(path, &seen, &err), 0);
    kill_switch_look(path, &seen);
    put_on("after a look at none");
    assert_int_equal(kill_switch_clear(path, &seen, &err), -EEXIST);
}

static void each_of_several_is_enough(void **state)
{
    char other[64];
    struct kill_switch k;
    const char *where = NULL;
    (void)state;
    (void)snprintf(other, sizeof(other), "%s/other", folder);
    const char *const paths[] = {NULL, other, path};
    kill_switch_look_at(paths, 3, &k, &where);
    assert_false(k.on);
    put_on("far");
    kill_switch_look_at(paths, 3, &k, &where);
    assert_true(k.on);
    assert_string_equal(where, path);
    assert_string_equal(k.text, "far");
}

/* Whoever keeps the folder locked can keep nobody from putting it on. */
static void a_lock_keeps_nobody_from_putting_it_on(void **state)
{
    struct err err = ERR_INIT;
    char parent[64];
    (void)state;
    put_on("x");
    (void)snprintf(parent, sizeof(parent), "%s/control", folder);
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(kill_switch_clear(path, NULL, &err), -EAGAIN);
    assert_int_equal(unlink(path), 0);
    put_on("all the same");
    expect(true, "all the same");
    os_close(fd);
}

static void it_says_why_it_cannot_be_put_on(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(kill_switch_set("/proc/self/none/switch", STR("x"), &err),
                     -ENOENT);
    assert_non_null(strstr(err.message, "/proc/self/none/switch"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_a_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_file_is_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(its_text_is_one_harmless_line, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_long_text_is_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(whatever_stands_there_is_on, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_looked_at_is_on, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_can_never_be_put_on_is_on, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(only_what_was_seen_is_taken_off, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(each_of_several_is_enough, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_lock_keeps_nobody_from_putting_it_on,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_says_why_it_cannot_be_put_on, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
