#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/fd.h"
#include "os/remove.h"
#include "proc/executor_priv.h"

#define PAUSE_US 50000
#define LOOKS_MAX 400

struct fixture {
    char path[32];
    int work;
    struct folder_pool pool;
};

static int set_up(void **state)
{
    static struct fixture f;
    memcpy(f.path, "/tmp/folder-test-XXXXXX", 24);
    assert_non_null(mkdtemp(f.path));
    f.work = open(f.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f.work >= 0);
    folder_pool_init(&f.pool, f.work);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    folder_pool_deinit(&f->pool);
    os_close(f->work);
    assert_int_equal(rmdir(f->path), 0);
    return 0;
}

/* One that has been idle for so long that a change of it shows in its times. */
static struct folder take_old(struct fixture *f)
{
    struct folder folder;
    for (int i = 0; i < LOOKS_MAX; i++) {
        assert_int_equal(folder_take(&f->pool, NULL, &folder), 0);
        if (folder.shows_change) {
            return folder;
        }
        folder_give_back(&f->pool, &folder);
        (void)usleep(PAUSE_US);
    }
    fail_msg("no folder became old");
    return folder;
}

static void an_old_folder_serves_while_nobody_touches_it(void **state)
{
    struct fixture *f = *state;
    struct folder first = take_old(f);
    struct folder again;
    folder_give_back(&f->pool, &first);
    assert_int_equal(folder_take(&f->pool, NULL, &again), 0);
    assert_int_equal(again.slot, first.slot);
    assert_true(again.shows_change);
    folder_give_back(&f->pool, &again);
}

static void an_old_folder_is_not_handed_on_with_anything_in_it(void **state)
{
    struct fixture *f = *state;
    struct folder dirty = take_old(f);
    struct folder next;
    assert_int_equal(mkdirat(dirty.fd, "left", 0700), 0);
    folder_give_back(&f->pool, &dirty);
    assert_int_equal(folder_take(&f->pool, NULL, &next), 0);
    assert_int_equal(faccessat(next.fd, "left", F_OK, 0), -1);
    folder_give_back(&f->pool, &next);
}

/* What is made and removed again leaves it empty, but its times are new: the
 * next look must be a whole one. */
static void a_touched_folder_is_young_again(void **state)
{
    struct fixture *f = *state;
    struct folder touched = take_old(f);
    struct folder next;
    assert_int_equal(mkdirat(touched.fd, "left", 0700), 0);
    assert_int_equal(unlinkat(touched.fd, "left", AT_REMOVEDIR), 0);
    folder_give_back(&f->pool, &touched);
    assert_int_equal(folder_take(&f->pool, NULL, &next), 0);
    assert_int_equal(next.slot, touched.slot);
    assert_false(next.shows_change);
    folder_give_back(&f->pool, &next);
}

#define CASE(function)                                                         \
    cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_old_folder_serves_while_nobody_touches_it),
        CASE(an_old_folder_is_not_handed_on_with_anything_in_it),
        CASE(a_touched_folder_is_young_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
