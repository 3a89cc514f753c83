#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>

#include "base/attr.h"
#include "proc/limits.h"

static struct step_rlimit find(const struct step_limits *l, int resource)
{
    struct step_rlimit all[STEP_RLIMITS_MAX];
    size_t count = step_rlimits(l, all);
    for (size_t i = 0; i < count; i++) {
        if (all[i].resource == resource) {
            return all[i];
        }
    }
    fail_msg("no limit of the resource %d", resource);
    return all[0];
}

static void each_option_has_its_limit(void **state)
{
    const struct step_limits l = {.address_space_bytes = 1 << 20,
                                  .cpu_ms = 1500,
                                  .file_bytes = 4096,
                                  .open_files = 2000,
                                  .processes = 7};
    (void)state;
    assert_int_equal(find(&l, RLIMIT_AS).soft, 1 << 20);
    assert_int_equal(find(&l, RLIMIT_AS).hard, 1 << 20);
    assert_int_equal(find(&l, RLIMIT_CPU).soft, 2); /* rounded up */
    assert_int_equal(find(&l, RLIMIT_CPU).hard, 7);
    assert_int_equal(find(&l, RLIMIT_FSIZE).hard, 4096);
    assert_int_equal(find(&l, RLIMIT_NOFILE).soft, 1024);
    assert_int_equal(find(&l, RLIMIT_NOFILE).hard, 2000);
    assert_int_equal(find(&l, RLIMIT_NPROC).soft, 7);
    assert_int_equal(find(&l, RLIMIT_CORE).hard, 0);
}

static void nought_is_no_limit(void **state)
{
    const struct step_limits none = {.open_files = 0};
    (void)state;
    assert_true(find(&none, RLIMIT_AS).hard == RLIM_INFINITY);
    assert_true(find(&none, RLIMIT_CPU).soft == RLIM_INFINITY);
    assert_true(find(&none, RLIMIT_CPU).hard == RLIM_INFINITY);
    assert_true(find(&none, RLIMIT_FSIZE).hard == RLIM_INFINITY);
    assert_true(find(&none, RLIMIT_NPROC).hard == RLIM_INFINITY);
    assert_int_equal(find(&none, RLIMIT_NOFILE).soft, 1024);
}

static const struct step_limits some = {
    .cpu_ms = 90 * 1000, .file_bytes = 3ULL << 20, .output_bytes = 1500};

static void what_ended_a_step_is_named(void **state)
{
    static const struct {
        struct step_end end;
        const char *text;
    } rows[] = {
        {{.exit_code = -1, .signal = SIGXCPU},
         "a process of it has used 1m30s of CPU time "
         "(executor.limits.cpu_time)"},
        {{.exit_code = 128 + SIGXCPU},
         "a process of it has used 1m30s of CPU time "
         "(executor.limits.cpu_time)"},
        {{.exit_code = -1, .signal = SIGKILL, .cpu_ms = 95 * 1000},
         "a process of it has used 1m30s of CPU time "
         "(executor.limits.cpu_time)"},
        {{.exit_code = -1, .signal = SIGXFSZ},
         "a process of it wrote a file of more than 3 MiB "
         "(executor.limits.file_size)"},
        {{.exit_code = 128 + SIGXFSZ},
         "a process of it wrote a file of more than 3 MiB "
         "(executor.limits.file_size)"},
        {{.exit_code = -1, .signal = SIGTERM, .wrote_too_much = true},
         "it wrote more than 1500 bytes (executor.limits.output)"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[STEP_LIMIT_TEXT_SIZE] = "";
        assert_true(step_limit_hit(&some, &rows[i].end, text));
        assert_string_equal(text, rows[i].text);
    }
}

static void other_ends_are_not_blamed_on_a_limit(void **state)
{
    static const struct step_end rows[] = {
        {.exit_code = 0},
        {.exit_code = 1},
        {.exit_code = -1, .signal = SIGTERM},
        {.exit_code = -1, .signal = SIGKILL, .cpu_ms = 89 * 1000},
    };
    const struct step_limits none = {.open_files = 0};
    const struct step_end signalled = {.exit_code = -1, .signal = SIGXCPU};
    char text[STEP_LIMIT_TEXT_SIZE] = "";
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_false(step_limit_hit(&some, &rows[i], text));
    }
    assert_false(step_limit_hit(&none, &signalled, text));
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_option_has_its_limit),
        cmocka_unit_test(nought_is_no_limit),
        cmocka_unit_test(what_ended_a_step_is_named),
        cmocka_unit_test(other_ends_are_not_blamed_on_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
