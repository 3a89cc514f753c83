/* The file of variables that a unit is given, as systemd reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/config_environment.h"
#include "base/mem.h"

#define VALUE_MAX_BYTES 256

static void values_are_those_of_systemd(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *value; /* of A; NULL: it has none */
    } rows[] = {
        {"", NULL},
        {"B=1\n", NULL},
        {"A\n", NULL},
        {"#A=1\n;A=2\n  # A=3\n", NULL},
        {"AA=1\n", NULL},
        {"A=1", "1"},
        {"A=\n", ""},
        {"A=1\nA=2\n", "2"},
        {"  A = 1 2 \t\r\n", "1 2"},
        {"A=a#b;c\n", "a#b;c"},
        {"A=\"a b \"\n", "a b "},
        {"A='a \\ \"b\" '\n", "a \\ \"b\" "},
        {"A=\"\\\"\\$\\n\"\n", "\"$\\n"},
        {"A=a\\ b\\\\\n", "a b\\"},
        {"A=it's \"b\"\n", "it's \"b\""},
        {"A='a' \"b\" c\n", "abc"},
        {"A=one\\\ntwo\n", "onetwo"},
        {"A='one\ntwo'\n", "one\ntwo"},
        {"B='\nA=1\n'\n", NULL},
        {"B=\\\nA=1\n", NULL},
        {"A='open", "open"},
        {"A=\\", ""},
        {"B=2\nA=a=b\nC=3\n", "a=b"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct strbuf value = STRBUF_INIT(VALUE_MAX_BYTES);
        int r = config_environment_find(str_c(rows[i].text), STR("A"), &value);
        assert_int_equal(r, rows[i].value != NULL ? 0 : -ENOENT);
        const char *wanted = rows[i].value != NULL ? rows[i].value : "";
        if (!str_eq(strbuf_str(&value), str_c(wanted))) {
            print_error("%s: got \"%.*s\"\n", rows[i].text,
                        STR_ARG(strbuf_str(&value)));
            fail();
        }
        strbuf_deinit(&value);
    }
}

static void a_long_file_meets_its_limit(void **state)
{
    (void)state;
    char path[] = "/tmp/adp-environment-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    assert_non_null(f);
    assert_true(fputs("A=1\n", f) >= 0);
    assert_int_equal(fflush(f), 0);
    struct strbuf value = STRBUF_INIT(VALUE_MAX_BYTES);
    assert_int_equal(config_environment_read(path, STR("A"), &value), 0);
    assert_string_equal(value.at, "1");
    for (size_t i = 0; i < CONFIG_ENVIRONMENT_MAX_BYTES; i++) {
        assert_int_equal(fputc('#', f), '#');
    }
    assert_int_equal(fclose(f), 0);
    assert_int_equal(config_environment_read(path, STR("A"), &value), -E2BIG);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(config_environment_read(path, STR("A"), &value), -ENOENT);
    strbuf_deinit(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_those_of_systemd),
        cmocka_unit_test(a_long_file_meets_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
