/* What a unit's sandbox allows, as adctl doctor understands it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/cli_doctor.h"

static const char *const none[] = {NULL};

static void a_strict_unit_writes_where_it_is_told(void **state)
{
    (void)state;
    static const char *const writable[] = {"-/data/backups/", "+/srv/x", NULL};
    static const char *const folders[] = {"autonomous-devops/state", "b", NULL};
    static const char *const read_only[] = {"-/srv/x/inner", NULL};
    const struct doctor_unit_paths u = {"strict", writable, folders, read_only};
    static const char *const yes[] = {"/data/backups",
                                      "/data/backups/a/b",
                                      "/srv/x",
                                      "/srv/x/y",
                                      "/var/lib/autonomous-devops/state",
                                      "/var/lib/b/c"};
    static const char *const no[] = {"/",
                                     "/data",
                                     "/data/backups2",
                                     "/srv/x/inner",
                                     "/srv/x/inner/y",
                                     "/var/lib/autonomous-devops",
                                     "/var/lib/autonomous-devops/archive",
                                     "/var/lib/bc",
                                     "/b"};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        assert_true(doctor_unit_may_write(&u, yes[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(no); i++) {
        assert_false(doctor_unit_may_write(&u, no[i]));
    }
}

static void other_units_protect_less(void **state)
{
    (void)state;
    struct doctor_unit_paths u = {"no", none, none, none};
    assert_true(doctor_unit_may_write(&u, "/usr/x"));
    u.protect_system = "yes";
    assert_false(doctor_unit_may_write(&u, "/usr/x"));
    assert_true(doctor_unit_may_write(&u, "/etc/x"));
    assert_true(doctor_unit_may_write(&u, "/data"));
    u.protect_system = "full";
    assert_false(doctor_unit_may_write(&u, "/boot"));
    assert_false(doctor_unit_may_write(&u, "/etc/x"));
    assert_true(doctor_unit_may_write(&u, "/data"));
    static const char *const all[] = {"/", NULL};
    u.protect_system = "strict";
    u.writable = all;
    assert_false(doctor_unit_may_write(&u, "/data"));
    u.read_only = NULL;
    u.state = NULL;
    u.writable = NULL;
    assert_false(doctor_unit_may_write(&u, "/data"));
}

static void an_engine_that_is_not_the_unit_s_is_noticed(void **state)
{
    (void)state;
    static const struct {
        const char *active;
        pid_t main_pid, holder;
        enum doctor_service_state is;
    } rows[] = {
        {"active", 7, 7, DOCTOR_SERVICE_OURS},
        {"reloading", 7, 7, DOCTOR_SERVICE_OURS},
        {"failed", 0, 9, DOCTOR_SERVICE_FOREIGN},
        {"inactive", 0, 9, DOCTOR_SERVICE_FOREIGN},
        {"activating", 7, 9, DOCTOR_SERVICE_FOREIGN},
        {"active", 7, 9, DOCTOR_SERVICE_FOREIGN},
        {"activating", 7, 0, DOCTOR_SERVICE_STARTS},
        {"active", 7, 0, DOCTOR_SERVICE_STARTS},
        {"failed", 0, 0, DOCTOR_SERVICE_DOWN},
        {"activating", 0, 0, DOCTOR_SERVICE_DOWN}, /* waits for a restart */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(doctor_judge_service(rows[i].active, rows[i].main_pid,
                                              rows[i].holder),
                         rows[i].is);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_strict_unit_writes_where_it_is_told),
        cmocka_unit_test(other_units_protect_less),
        cmocka_unit_test(an_engine_that_is_not_the_unit_s_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
