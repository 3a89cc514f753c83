#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/prng.h"
#include "data/timestamp.h"

struct instant {
    const char *text;
    uint64_t ms;
};

static void reads_rfc3339(void **state)
{
    (void)state;
    static const struct instant cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-23T20:28:19.152024884Z", 1795465699152},
        {"2026-11-23T20:28:19.1Z", 1795465699100},
        {"2026-11-23T20:28:19.12Z", 1795465699120},
        {"2026-11-23t20:28:19z", 1795465699000},
        {"2026-11-23T22:28:19+02:00", 1795465699000},
        {"2026-11-23T14:58:19-05:30", 1795465699000},
        {"2026-11-24T19:28:19+23:00", 1795465699000},
        {"2024-02-29T12:00:00Z", 1709208000000},
        {"2000-02-29T00:00:00Z", 951782400000},
        {"2016-12-31T23:59:60Z", 1483228800000},
        {"1969-12-31T23:00:00-01:00", 0},
        {"9999-12-31T23:59:59.999Z", TIMESTAMP_MAX_MS},
        {"0001-01-01T00:00:00Z", 0},
        {"0001-01-01T00:00:00.000Z", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t ms = 1;
        assert_int_equal(timestamp_parse(str_c(cases[i].text), &ms), 0);
        assert_int_equal(ms, cases[i].ms);
    }
}

static void refuses_what_is_no_instant(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "2026",
        "2026-11-23",
        "2026-11-23T20:28:19",
        "2026-11-23 20:28:19Z",
        "2026-11-23T20:28Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T20:60:00Z",
        "2026-11-23T20:28:61Z",
        "2026-11-23T20:28:19.Z",
        "2026-11-23T20:28:19.1234567890Z",
        "2026-11-23T20:28:19+0200",
        "2026-11-23T20:28:19+24:00",
        "2026-11-23T20:28:19+02:60",
        "2026-11-23T20:28:19ZZ",
        "2026-11-23T20:28:19Z ",
        "-026-11-23T20:28:19Z",
        "+2026-11-23T20:28:19Z",
        "0000-01-01T00:00:00Z",
        "20261123T202819Z",
        "2026-1-23T20:28:19Z",
        "2026-11-23T20:28:19,5Z",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t ms = 77;
        assert_int_equal(timestamp_parse(str_c(cases[i]), &ms), -EINVAL);
        assert_int_equal(ms, 77);
    }
}

static void refuses_instants_out_of_range(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "1969-12-31T23:59:59Z",      "1970-01-01T00:00:00+01:00",
        "0002-01-01T00:00:00Z",      "9999-12-31T23:59:60Z",
        "9999-12-31T23:59:59-00:01",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t ms = 77;
        assert_int_equal(timestamp_parse(str_c(cases[i]), &ms), -ERANGE);
        assert_int_equal(ms, 77);
    }
}

static void reads_a_cut_instant_without_reading_past_it(void **state)
{
    (void)state;
    const char *whole = "2026-11-23T20:28:19.152+02:00";
    for (size_t len = 0; len < strlen(whole); len++) {
        char *copy = str_dup(str_n(whole, len));
        uint64_t ms = 0;
        assert_int_equal(timestamp_parse(str_n(copy, len), &ms), -EINVAL);
        mem_free(copy);
    }
}

static void reads_epoch_seconds(void **state)
{
    (void)state;
    uint64_t ms = 0;
    assert_int_equal(timestamp_from_seconds(1795465699.152, &ms), 0);
    assert_int_equal(ms, 1795465699152);
    assert_int_equal(timestamp_from_seconds(0.0, &ms), 0);
    assert_int_equal(ms, 0);
    assert_int_equal(timestamp_from_seconds(-0.5, &ms), -ERANGE);
    assert_int_equal(timestamp_from_seconds(1795465699152.0, &ms), -ERANGE);
    assert_int_equal(timestamp_from_seconds(253402300799.999, &ms), 0);
    assert_int_equal(ms, TIMESTAMP_MAX_MS);
    assert_int_equal(timestamp_from_seconds(253402300799.9999, &ms), -ERANGE);
    assert_int_equal(timestamp_from_seconds(1e300, &ms), -ERANGE);
    assert_int_equal(timestamp_from_seconds((double)NAN, &ms), -ERANGE);
    assert_int_equal(timestamp_from_seconds((double)INFINITY, &ms), -ERANGE);
    assert_int_equal(timestamp_parse_any(STR("1795465699.152"), &ms), 0);
    assert_int_equal(ms, 1795465699152);
    assert_int_equal(timestamp_parse_any(STR("1795465699"), &ms), 0);
    assert_int_equal(ms, 1795465699000);
    assert_int_equal(timestamp_parse_any(STR("1795465699152"), &ms), -ERANGE);
    assert_int_equal(timestamp_parse_any(STR("1795465699."), &ms), -EINVAL);
    assert_int_equal(timestamp_parse_any(STR(".5"), &ms), -EINVAL);
    assert_int_equal(timestamp_parse_any(STR("1e9"), &ms), -EINVAL);
    assert_int_equal(timestamp_parse_any(STR("2000-02-29T00:00:00Z"), &ms), 0);
    assert_int_equal(ms, 951782400000);
}

static void formats_what_it_reads(void **state)
{
    (void)state;
    struct prng p;
    char text[TIMESTAMP_TEXT_SIZE];
    prng_seed(&p, 7);
    for (int i = 0; i < 20000; i++) {
        uint64_t ms = prng_below(&p, TIMESTAMP_MAX_MS + 1);
        uint64_t back = 0;
        timestamp_format(ms, text);
        assert_int_equal(timestamp_parse(str_c(text), &back), 0);
        assert_int_equal(back, ms);
    }
    timestamp_format(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    timestamp_format(1795465699152, text);
    assert_string_equal(text, "2026-11-23T20:28:19.152Z");
    timestamp_format(951782400000, text);
    assert_string_equal(text, "2000-02-29T00:00:00.000Z");
    timestamp_format(TIMESTAMP_MAX_MS, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
}

static void agrees_with_the_c_library(void **state)
{
    (void)state;
    for (time_t day = 0; day < 120000; day++) {
        time_t seconds = day * 86400 + 45296;
        struct tm tm;
        char expected[64];
        char text[TIMESTAMP_TEXT_SIZE];
        assert_non_null(gmtime_r(&seconds, &tm));
        assert_true(strftime(expected, sizeof(expected),
                             "%Y-%m-%dT%H:%M:%S.000Z", &tm) > 0);
        timestamp_format((uint64_t)seconds * 1000, text);
        assert_string_equal(text, expected);
    }
}

static void since_counts_back(void **state)
{
    (void)state;
    const uint64_t now = 1795465699152;
    uint64_t ms = 0;
    assert_int_equal(timestamp_parse_since(STR("1h"), now, &ms), 0);
    assert_int_equal(ms, now - 3600000);
    assert_int_equal(timestamp_parse_since(STR("7d"), now, &ms), 0);
    assert_int_equal(ms, now - 7ULL * 86400 * 1000);
    assert_int_equal(timestamp_parse_since(STR("1795460000"), now, &ms), 0);
    assert_int_equal(ms, 1795460000000);
    assert_int_equal(
        timestamp_parse_since(STR("2000-02-29T00:00:00Z"), now, &ms), 0);
    assert_int_equal(ms, 951782400000);
    assert_int_equal(timestamp_parse_since(STR("200y"), now, &ms), 0);
    assert_int_equal(ms, 0);
    assert_int_equal(timestamp_parse_since(STR("999y"), now, &ms), -ERANGE);
    assert_int_equal(timestamp_parse_since(STR(""), now, &ms), -EINVAL);
    assert_int_equal(timestamp_parse_since(STR("yesterday"), now, &ms),
                     -EINVAL);
    assert_int_equal(timestamp_parse_since(STR("-1h"), now, &ms), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_rfc3339),
        cmocka_unit_test(refuses_what_is_no_instant),
        cmocka_unit_test(refuses_instants_out_of_range),
        cmocka_unit_test(reads_a_cut_instant_without_reading_past_it),
        cmocka_unit_test(reads_epoch_seconds),
        cmocka_unit_test(formats_what_it_reads),
        cmocka_unit_test(agrees_with_the_c_library),
        cmocka_unit_test(since_counts_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
