#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/seal.h"

static char folder[64];
static char path[96];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/adp-seal-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/secrets.key", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
        (void)unlinkat(dirfd(dir), d->d_name, 0);
    }
    (void)closedir(dir);
    return rmdir(folder);
}

static struct seal *opened(void)
{
    struct seal *s = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(seal_open(path, true, &s, &err), 0);
    return s;
}

static void the_key_is_made_once_and_private(void **state)
{
    (void)state;
    struct seal *s = NULL;
    struct err err = ERR_INIT;
    struct stat st;
    assert_int_equal(seal_open(path, false, &s, &err), -ENOENT);
    seal_free(opened());
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, SEAL_KEY_BYTES);
    assert_int_equal(seal_open(path, false, &s, &err), 0);
    seal_free(s);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(seal_open(path, true, &s, &err), -EINVAL);
    assert_non_null(strstr(err.hint, "chmod 600"));
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(truncate(path, 31), 0);
    assert_int_equal(seal_open(path, true, &s, &err), -EINVAL);
}

static void a_secret_opens_in_its_place_only(void **state)
{
    (void)state;
    struct seal *s = opened();
    struct strbuf one = STRBUF_INIT(SEAL_TEXT_MAX_BYTES);
    struct strbuf two = STRBUF_INIT(SEAL_TEXT_MAX_BYTES);
    char *text = NULL;
    seal_add(s, STR("s3cret"), STR("here"), &one);
    seal_add(s, STR("s3cret"), STR("here"), &two);
    assert_string_not_equal(one.at, two.at);
    assert_null(strstr(one.at, "s3cret"));
    assert_int_equal(seal_get(s, strbuf_str(&one), STR("here"), &text), 0);
    assert_string_equal(text, "s3cret");
    seal_wipe(text);
    assert_int_equal(seal_get(s, strbuf_str(&one), STR("there"), &text),
                     -EBADMSG);
    one.at[12] = one.at[12] == 'A' ? 'B' : 'A';
    assert_int_equal(seal_get(s, strbuf_str(&one), STR("here"), &text),
                     -EBADMSG);
    assert_int_equal(seal_get(s, STR(""), STR("here"), &text), -EBADMSG);
    assert_int_equal(seal_get(s, STR("%%%"), STR("here"), &text), -EBADMSG);
    strbuf_deinit(&one);
    strbuf_deinit(&two);
    seal_free(s);
}

static void another_key_opens_nothing(void **state)
{
    (void)state;
    struct seal *s = opened();
    struct strbuf sealed = STRBUF_INIT(SEAL_TEXT_MAX_BYTES);
    char mac[SEAL_MAC_SIZE];
    char other[SEAL_MAC_SIZE];
    char *text = NULL;
    seal_add(s, STR("x"), STR("c"), &sealed);
    seal_mac(s, STR("section"), mac);
    seal_free(s);
    assert_int_equal(unlink(path), 0);
    s = opened();
    seal_mac(s, STR("section"), other);
    assert_string_not_equal(mac, other);
    assert_int_equal(seal_get(s, strbuf_str(&sealed), STR("c"), &text),
                     -EBADMSG);
    seal_free(s);
    strbuf_deinit(&sealed);
}

/* The kernel ends the process that writes past the limit: a crash in the
 * middle of making the key, after so many of its bytes. */
static void a_crash_leaves_no_part_of_a_key(void **state)
{
    (void)state;
    for (rlim_t bytes = 0; bytes < SEAL_KEY_BYTES; bytes += 8) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct seal *s = NULL;
            struct err err = ERR_INIT;
            struct rlimit limit = {bytes, bytes};
            (void)setrlimit(RLIMIT_FSIZE, &limit);
            (void)signal(SIGXFSZ, SIG_DFL);
            _exit(seal_open(path, true, &s, &err) == 0 ? 0 : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
        assert_int_equal(access(path, F_OK), -1);
    }
    seal_free(opened());
}

#define RACERS 4
#define RACES 50

/* What a racer knows its key by. */
static void race(int gate, int out)
{
    struct seal *s = NULL;
    struct err err = ERR_INIT;
    char mac[SEAL_MAC_SIZE];
    char c;
    (void)!read(gate, &c, 1); /* ends when all are there */
    if (seal_open(path, true, &s, &err) == 0) {
        seal_mac(s, STR("x"), mac);
        (void)!write(out, mac, sizeof(mac));
    }
    _exit(0);
}

static void racers_get_one_key(void **state)
{
    (void)state;
    for (int i = 0; i < RACES; i++) {
        int gate[2];
        int out[2];
        char first[SEAL_MAC_SIZE];
        char next[SEAL_MAC_SIZE];
        assert_int_equal(pipe(gate), 0);
        assert_int_equal(pipe(out), 0);
        for (int k = 0; k < RACERS; k++) {
            pid_t pid = fork();
            assert_true(pid >= 0);
            if (pid == 0) {
                close(gate[1]);
                race(gate[0], out[1]);
            }
        }
        close(gate[0]);
        close(gate[1]);
        close(out[1]);
        assert_int_equal(read(out[0], first, sizeof(first)), sizeof(first));
        for (int k = 1; k < RACERS; k++) {
            assert_int_equal(read(out[0], next, sizeof(next)), sizeof(next));
            assert_string_equal(next, first);
        }
        close(out[0]);
        while (wait(NULL) > 0) {
        }
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(folder), 0); /* nothing else was left */
        assert_int_equal(mkdir(folder, 0700), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_key_is_made_once_and_private,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_secret_opens_in_its_place_only,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_key_opens_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_crash_leaves_no_part_of_a_key, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(racers_get_one_key, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
