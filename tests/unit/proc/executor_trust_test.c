/* Whose runbooks an executor runs that serves more than its own user. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/proc/executor_lab.h"

#define NOBODY 65534

static const char *const every[] = {"*", "*/*", NULL};
static const struct executor_run_as root_allowed[] = {{"root", every},
                                                      {NULL, NULL}};

static char *at(const struct lab *l, const char *path)
{
    static char full[256];
    (void)snprintf(full, sizeof(full), "%s%s%s", l->repository,
                   path[0] != '\0' ? "/" : "", path);
    return full;
}

static void own(const struct lab *l, const char *path, uid_t uid)
{
    assert_int_equal(chown(at(l, path), uid, uid), 0);
}

static void set_mode(const struct lab *l, const char *path, mode_t mode)
{
    assert_int_equal(chmod(at(l, path), mode), 0);
}

static void add_folder(const struct lab *l, const char *path)
{
    assert_int_equal(mkdir(at(l, path), 0755), 0);
}

static void relaunch(struct lab *l, const char *default_user)
{
    lab_stop(l);
    l->options.default_user = default_user;
    l->options.run_as_allowed = root_allowed;
    lab_launch(l);
    lab_connect(l);
}

static void expect_refused(struct lab *l, uint32_t no, const char *path,
                           const struct runbook_hash *hash, const char *why)
{
    lab_start(l, no, path, hash);
    const struct lab_attempt *a = lab_wait_ended(l, no);
    assert_int_equal(a->row.state, ATTEMPT_REFUSED);
    assert_int_equal(a->started, 0);
    if (strstr(a->error, why) == NULL) {
        fail_msg("'%s' does not say '%s'", a->error, why);
    }
}

static void expect_runs(struct lab *l, uint32_t no, const char *path,
                        const struct runbook_hash *hash)
{
    lab_start(l, no, path, hash);
    const struct lab_attempt *a = lab_wait_ended(l, no);
    assert_string_equal(a->error, "");
    assert_int_equal(a->row.state, ATTEMPT_SUCCEEDED);
}

/* The answer to PIN begins so; "": nothing would be refused. */
static void expect_pin(struct lab *l, const char *path,
                       const struct runbook_hash *hash, const char *why)
{
    const char *answer = lab_pin(l, path, hash);
    if (why[0] == '\0' ? answer[0] != '\0' : strstr(answer, why) == NULL) {
        fail_msg("%s: '%s' does not say '%s'", path, answer, why);
    }
}

/* The hole: rb/ is 0755 root, rb/sub is 0777. */
static void a_folder_that_others_write_to_is_refused(void **state)
{
    struct lab *l = *state;
    char why[300];
    add_folder(l, "sub");
    struct runbook_hash hash = lab_write_step(l, "sub/own.yaml", "id", "");
    expect_runs(l, 1, "sub/own.yaml", &hash);
    relaunch(l, "nobody");
    static const mode_t modes[] = {0777, 0775, 01777, 0757};
    for (uint32_t i = 0; i < ARRAY_LEN(modes); i++) {
        set_mode(l, "sub", modes[i]);
        (void)snprintf(why, sizeof(why), "chmod go-w %s", at(l, "sub"));
        hash = lab_write_step(l, "sub/own.yaml", "id", "");
        expect_refused(l, 2 + i, "sub/own.yaml", &hash, why);
        assert_non_null(strstr(lab_pin(l, "sub/own.yaml", &hash), why));
    }
    set_mode(l, "sub", 0755);
    expect_runs(l, 20, "sub/own.yaml", &hash);
}

static void a_file_that_others_write_to_is_refused(void **state)
{
    struct lab *l = *state;
    struct runbook_hash hash = lab_write_step(l, "a.yaml", "id", "");
    set_mode(l, "a.yaml", 0664);
    expect_refused(l, 1, "a.yaml", &hash, "a.yaml: chmod go-w");
    set_mode(l, "a.yaml", 0646);
    expect_refused(l, 2, "a.yaml", &hash, "chmod go-w");
    set_mode(l, "a.yaml", 0644);
    expect_runs(l, 3, "a.yaml", &hash);
}

static void a_stranger_owns_nothing(void **state)
{
    struct lab *l = *state;
    add_folder(l, "sub");
    struct runbook_hash hash = lab_write_step(l, "sub/a.yaml", "id", "");
    own(l, "sub/a.yaml", NOBODY);
    expect_refused(l, 1, "sub/a.yaml", &hash, "sub/a.yaml belongs to nobody");
    own(l, "sub/a.yaml", 0);
    own(l, "sub", NOBODY);
    expect_refused(l, 2, "sub/a.yaml", &hash, "/sub belongs to nobody");
}

/* As the manual has it: chown -R autonomous-devops the repository. */
static void its_owner_decides_for_all_but_root(void **state)
{
    struct lab *l = *state;
    relaunch(l, "nobody");
    struct runbook_hash user = lab_write_step(l, "u.yaml", "id", "");
    struct runbook_hash root =
        lab_write_step(l, "r.yaml", "id", "    run_as: root\n");
    expect_runs(l, 1, "u.yaml", &user);
    expect_runs(l, 2, "r.yaml", &root);
    own(l, "", NOBODY);
    own(l, "u.yaml", NOBODY);
    relaunch(l, "nobody");
    expect_runs(l, 3, "u.yaml", &user);
    expect_refused(l, 4, "r.yaml", &root, "belongs to nobody");
    expect_pin(l, "u.yaml", &user, "");
    expect_pin(l, "r.yaml", &root, "step 1: a step runs as root only from");
    own(l, "", 0);
    relaunch(l, "nobody");
    expect_pin(l, "r.yaml", &root, "");
    expect_runs(l, 5, "r.yaml", &root);
}

/* Without executor.user the steps of a root executor are root's. */
static void its_owner_does_not_get_a_root_default(void **state)
{
    struct lab *l = *state;
    struct runbook_hash hash = lab_write_step(l, "u.yaml", "id", "");
    own(l, "", NOBODY);
    expect_refused(l, 1, "u.yaml", &hash, "only root can write");
}

/* The detour: have the executor make its copy, then take the file away. */
static void a_copy_is_as_trusted_as_its_file_was(void **state)
{
    struct lab *l = *state;
    add_folder(l, "sub");
    relaunch(l, "nobody");
    struct runbook_hash evil =
        lab_write_step(l, "sub/r.yaml", "id", "    run_as: root\n");
    struct runbook_hash good =
        lab_write_step(l, "good.yaml", "id", "    run_as: root\n");
    assert_string_equal(lab_pin(l, "good.yaml", &good), "");
    assert_int_equal(unlink(at(l, "good.yaml")), 0);
    own(l, "", NOBODY);
    expect_pin(l, "sub/r.yaml", &evil, "only root can write");
    assert_int_equal(unlink(at(l, "sub/r.yaml")), 0);
    relaunch(l, "nobody");
    expect_refused(l, 1, "sub/r.yaml", &evil, "only root can write");
    expect_runs(l, 2, "good.yaml", &good);
}

/* Whoever can rename the repository away can put another in its place. */
static void the_way_to_it_counts(void **state)
{
    struct lab *l = *state;
    struct runbook_hash hash = lab_write_step(l, "a.yaml", "id", "");
    assert_int_equal(chmod(l->folder, 0777), 0);
    expect_refused(l, 1, "a.yaml", &hash, l->folder);
    lab_stop(l);
    lab_launch(l);
    assert_int_not_equal(lab_wait_exit(l), 0);
    assert_int_equal(chmod(l->folder, 01777), 0);
    lab_launch(l);
    lab_connect(l);
    expect_runs(l, 2, "a.yaml", &hash);
    assert_int_equal(chown(l->folder, NOBODY, NOBODY), 0);
    hash = lab_write_step(l, "b.yaml", "id", "");
    expect_refused(l, 3, "b.yaml", &hash, "belongs to nobody");
    assert_int_equal(chown(l->folder, 0, 0), 0);
    assert_int_equal(chmod(l->folder, 0755), 0);
}

/* A link is part of the way: its own folder as well as where it leads. */
static void a_link_on_the_way_counts(void **state)
{
    struct lab *l = *state;
    char open_folder[160];
    char link[200];
    (void)snprintf(open_folder, sizeof(open_folder), "%s/open", l->folder);
    (void)snprintf(link, sizeof(link), "%s/link", open_folder);
    assert_int_equal(mkdir(open_folder, 0755), 0);
    assert_int_equal(symlink("../runbooks", link), 0);
    struct runbook_hash hash = lab_write_step(l, "a.yaml", "id", "");
    l->options.repository = link;
    relaunch(l, NULL);
    expect_runs(l, 1, "a.yaml", &hash);
    assert_int_equal(chmod(open_folder, 0777), 0);
    hash = lab_write_step(l, "b.yaml", "id", "");
    expect_refused(l, 2, "b.yaml", &hash, "/open");
}

/* What a START would be refused for is told when it is pinned; of a key that
 * is spelt with an escape as well. */
static void a_user_that_is_not_permitted_is_told_with_the_pin(void **state)
{
    struct lab *l = *state;
    static const char *const some[] = {"root-*.yaml", NULL};
    static const struct executor_run_as rules[] = {{"root", some},
                                                   {NULL, NULL}};
    l->options.run_as_allowed = rules;
    lab_stop(l);
    lab_launch(l);
    lab_connect(l);
    struct runbook_hash good =
        lab_write_step(l, "root-a.yaml", "id", "    run_as: root\n");
    struct runbook_hash bad =
        lab_write_step(l, "a.yaml", "id", "    run_as: root\n");
    struct runbook_hash escaped =
        lab_write_step(l, "b.yaml", "id", "    \"run\\x5fas\": root\n");
    struct runbook_hash unknown =
        lab_write_step(l, "c.yaml", "id", "    run_as: no-such-user\n");
    expect_pin(l, "root-a.yaml", &good, "");
    expect_pin(l, "a.yaml", &bad,
               "step 1: run_as: executor.run_as_allowed does not permit root "
               "to a.yaml");
    expect_pin(l, "b.yaml", &escaped, "does not permit root to b.yaml");
    expect_pin(l, "c.yaml", &unknown, "does not permit no-such-user");
}

static int set_up(void **state)
{
    if (geteuid() != 0) {
        *state = NULL;
        return 0;
    }
    return lab_set_up(state);
}

static int tear_down(void **state)
{
    return *state == NULL ? 0 : lab_tear_down(state);
}

/* Without root there is nobody else to serve. */
#define AS_ROOT(name)                                                          \
    static void name##_as_root(void **state)                                   \
    {                                                                          \
        if (*state == NULL) {                                                  \
            skip();                                                            \
        }                                                                      \
        name(state);                                                           \
    }

AS_ROOT(a_folder_that_others_write_to_is_refused)
AS_ROOT(a_file_that_others_write_to_is_refused)
AS_ROOT(a_stranger_owns_nothing)
AS_ROOT(its_owner_decides_for_all_but_root)
AS_ROOT(its_owner_does_not_get_a_root_default)
AS_ROOT(a_copy_is_as_trusted_as_its_file_was)
AS_ROOT(the_way_to_it_counts)
AS_ROOT(a_link_on_the_way_counts)
AS_ROOT(a_user_that_is_not_permitted_is_told_with_the_pin)

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name##_as_root, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_folder_that_others_write_to_is_refused),
        TEST(a_file_that_others_write_to_is_refused),
        TEST(a_stranger_owns_nothing),
        TEST(its_owner_decides_for_all_but_root),
        TEST(its_owner_does_not_get_a_root_default),
        TEST(a_copy_is_as_trusted_as_its_file_was),
        TEST(the_way_to_it_counts),
        TEST(a_link_on_the_way_counts),
        TEST(a_user_that_is_not_permitted_is_told_with_the_pin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
