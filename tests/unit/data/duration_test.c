#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "data/duration.h"

static void reads_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } cases[] = {
        {"300", 300000},
        {"0", 0},
        {"5m", 300000},
        {"1h30m", 5400000},
        {"250ms", 250},
        {"1m250ms", 60250},
        {"2d", 172800000},
        {"1w", 604800000},
        {"1y", 31536000000},
        {"1y2w3d4h5m6s7ms",
         31536000000 + 1209600000 + 259200000 + 14400000 + 300000 + 6000 + 7},
        {"0s", 0},
        {"90s", 90000},
        {"9223372036854ms", DURATION_MAX_MS},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t ms = 1;
        assert_int_equal(duration_parse(str_c(cases[i].text), &ms), 0);
        assert_int_equal(ms, cases[i].ms);
    }
}

static void refuses_what_is_no_duration(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",      " ",   "s",    "5x",   "m5",  "5m 3s", "5m5m",
        "30m1h", "-5m", "+5m",  "1.5h", "5M",  "5mm",   "1h30",
        "5 m",   "ms5", "5m\n", "0x10", "1e3", "1ms1s",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t ms = 77;
        assert_int_equal(duration_parse(str_c(cases[i]), &ms), -EINVAL);
        assert_int_equal(ms, 77);
    }
}

static void refuses_overflow(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "9223372036855ms",
        "293y",
        "9223372036855",
        "18446744073709551616",
        "18446744073709551615y",
        "292y366d",
        "99999999999999999999999999999999s",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t ms = 77;
        assert_int_equal(duration_parse(str_c(cases[i]), &ms), -ERANGE);
        assert_int_equal(ms, 77);
    }
}

static void writes_what_it_reads(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        const char *text;
    } cases[] = {
        {0, "0s"},
        {1, "1ms"},
        {1000, "1s"},
        {90000, "1m30s"},
        {5400000, "1h30m"},
        {604800000, "7d"},
        {86400000 + 3600000 + 60000 + 1000 + 1, "1d1h1m1s1ms"},
        {DURATION_MAX_MS, "106751d23h47m16s854ms"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[DURATION_TEXT_SIZE];
        uint64_t back = 1;
        duration_format(cases[i].ms, text);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(duration_parse(str_c(text), &back), 0);
        assert_int_equal(back, cases[i].ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_units),
        cmocka_unit_test(refuses_what_is_no_duration),
        cmocka_unit_test(refuses_overflow),
        cmocka_unit_test(writes_what_it_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
