#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/fd.h"
#include "os/holder.h"

/* A lock file that holds the text. */
static int lock_with(const char *text)
{
    char path[] = "/tmp/adp-holder-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    return fd;
}

static const char *said(const struct os_holder *h)
{
    static char room[256];
    struct strbuf text = STRBUF_INIT(256);
    os_holder_add(h, &text);
    (void)snprintf(room, sizeof(room), "%.*s", STR_ARG(strbuf_str(&text)));
    strbuf_deinit(&text);
    return room;
}

static void numbers_that_are_none_are_unknown(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "\n", "x", "-1\n", "0\n", "99999999999999999999\n", " 12\n"};
    struct os_holder h;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        int fd = lock_with(texts[i]);
        os_holder_read(fd, &h);
        assert_int_equal(h.pid, 0);
        assert_string_equal(said(&h), "pid unknown");
        os_close(fd);
    }
    os_holder_read(-1, &h);
    assert_int_equal(h.pid, 0);
}

/* A process of another's is told by its number only: it may have been reused.
 */
static void another_program_is_not_named(void **state)
{
    (void)state;
    char text[32];
    struct os_holder h;
    (void)snprintf(text, sizeof(text), "%d\n", (int)getpid());
    int fd = lock_with(text);
    os_holder_read(fd, &h);
    os_close(fd);
    assert_int_equal(h.pid, getpid());
    assert_true(h.since_ms > 1600000000000ULL);
    assert_string_equal(h.command, "");
    assert_non_null(strstr(said(&h), ", since 20"));
}

static void one_of_ours_is_named(void **state)
{
    (void)state;
    int ends[2];
    char text[64];
    struct os_holder h;
    assert_int_equal(os_pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) { /* cat, under our name, until its input ends */
        char name[] = "/x/autonomous-devops";
        char word[] = "-";
        char *const argv[] = {name, word, NULL};
        (void)dup2(ends[0], STDIN_FILENO);
        (void)execv("/bin/cat", argv);
        _exit(127);
    }
    (void)snprintf(text, sizeof(text), "%d\n", (int)child);
    int fd = lock_with(text);
    do { /* until it has become that program */
        os_holder_read(fd, &h);
    } while (h.command[0] == '\0' && waitpid(child, NULL, WNOHANG) == 0);
    os_close(fd);
    os_close(ends[1]);
    os_close(ends[0]);
    assert_string_equal(h.command, "autonomous-devops -");
    (void)snprintf(text, sizeof(text), "pid %d, autonomous-devops -, since ",
                   (int)child);
    assert_non_null(strstr(said(&h), text));
    assert_int_equal(waitpid(child, NULL, 0), child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_that_are_none_are_unknown),
        cmocka_unit_test(another_program_is_not_named),
        cmocka_unit_test(one_of_ours_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
