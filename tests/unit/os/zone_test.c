#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <unistd.h>

#include "os/zone.h"

/* 2024-01-15 and 2024-07-15, noon UTC. */
#define WINTER 1705320000
#define SUMMER 1721044800

static void assert_rule(const char *rule, int64_t seconds, int32_t wanted)
{
    int32_t offset = -1;
    assert_int_equal(zone_rule_offset(str_c(rule), seconds, &offset), 0);
    assert_int_equal(offset, wanted);
}

static void test_rules(void **state)
{
    (void)state;
    assert_rule("UTC0", WINTER, 0);
    assert_rule("<+0545>-5:45", SUMMER, 20700);
    assert_rule("CET-1CEST,M3.5.0,M10.5.0/3", WINTER, 3600);
    assert_rule("CET-1CEST,M3.5.0,M10.5.0/3", SUMMER, 7200);
    /* The second of the change, and the one before: 2024-03-31T01:00Z. */
    assert_rule("CET-1CEST,M3.5.0,M10.5.0/3", 1711846799, 3600);
    assert_rule("CET-1CEST,M3.5.0,M10.5.0/3", 1711846800, 7200);
    /* And back: 2024-10-27T01:00Z. */
    assert_rule("CET-1CEST,M3.5.0,M10.5.0/3", 1729990799, 7200);
    assert_rule("CET-1CEST,M3.5.0,M10.5.0/3", 1729990800, 3600);
    /* South of the equator, and half an hour of difference. */
    assert_rule("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", WINTER, 39600);
    assert_rule("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", SUMMER, 37800);
    assert_rule("EST5EDT,J60,J300", SUMMER, -14400);
    assert_rule("EST5EDT,59,299", WINTER, -18000);
}

static void test_bad_rules(void **state)
{
    static const char *const bad[] = {"",
                                      "X",
                                      "CET",
                                      "CET-1CEST",
                                      "CET-1CEST,M3.5.0",
                                      "CET-1CEST,M13.5.0,M10.5.0",
                                      "CET-999",
                                      "<+03-3",
                                      "CET-1CEST,M3.5.0,M10.5.0/3x"};
    int32_t offset = 0;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(zone_rule_offset(str_c(bad[i]), 0, &offset), -EBADMSG);
    }
}

static void test_names_stay_in_the_folder(void **state)
{
    static const char *const bad[] = {
        "",   "/etc/passwd", "../../etc/passwd", "a//b",
        "a/", "a b",         "Europe/../x"};
    int32_t offset = 0;
    struct zones *z = zones_new(ZONES_FOLDER);
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(zones_offset(z, str_c(bad[i]), 0, &offset), -EINVAL);
    }
    assert_int_equal(zones_offset(z, STR("No/Where"), 0, &offset), -ENOENT);
    zones_free(z);
}

static void test_the_zones_of_this_machine(void **state)
{
    static const struct {
        const char *name;
        int64_t at;
        int32_t offset;
    } cases[] = {
        {"Europe/Vienna", WINTER, 3600},
        {"Europe/Vienna", SUMMER, 7200},
        {"America/New_York", SUMMER, -14400},
        {"Asia/Kolkata", 0, 19800},
        {"Australia/Sydney", 1234567890, 39600},
        {"Europe/Vienna", -2000000000, 3600},
        {"Europe/Vienna", 4102444800, 3600}, /* 2100: by the rule */
        {"Europe/Vienna", 4118083200, 7200},
    };
    struct zones *z = zones_new(ZONES_FOLDER);
    (void)state;
    if (access(ZONES_FOLDER "/Europe/Vienna", R_OK) != 0) {
        zones_free(z);
        print_message("# skipped: no zone files here, install tzdata\n");
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int32_t offset = 0;
        assert_int_equal(
            zones_offset(z, str_c(cases[i].name), cases[i].at, &offset), 0);
        assert_int_equal(offset, cases[i].offset);
    }
    zones_free(z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_bad_rules),
        cmocka_unit_test(test_names_stay_in_the_folder),
        cmocka_unit_test(test_the_zones_of_this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
