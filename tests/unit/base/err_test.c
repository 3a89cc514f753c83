#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

static void keeps_code_and_adds_context(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    assert_int_equal(err_set(&e, -EINVAL, "%d is bad", 7), -EINVAL);
    assert_int_equal(err_wrap(&e, "list[%d]", 3), -EINVAL);
    assert_string_equal(e.message, "list[3]: 7 is bad");
}

static void quoted_text_cannot_break_the_line(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    (void)err_set(&e, -EINVAL, "'%s'", "a\nb\x1b[2J\x7f");
    err_field(&e, "%s", "x\ty");
    err_hint(&e, "%s", "h\r");
    assert_string_equal(e.message, "'a b [2J '");
    assert_string_equal(e.field, "x y");
    assert_string_equal(e.hint, "h ");
}

static void cut_characters_do_not_break_utf8(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    (void)err_set(&e, -EINVAL, "'%.*s' is unknown", 3, "ab\xC3\xBC");
    assert_string_equal(e.message, "'ab?' is unknown");
    char longer[1024];
    memset(longer, 'x', sizeof(longer));
    for (size_t i = 1; i + 3 < sizeof(longer); i += 3) {
        memcpy(longer + i, "\xE2\x82\xAC", 3);
    }
    longer[sizeof(longer) - 1] = '\0';
    (void)err_set(&e, -EINVAL, "%s", longer);
    assert_int_equal(strlen(e.message), sizeof(e.message) - 1);
    assert_true(str_is_utf8(str_c(e.message)));
    (void)err_wrap(&e, "%s", "\xC3\xBC");
    assert_true(str_is_utf8(str_c(e.message)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_code_and_adds_context),
        cmocka_unit_test(quoted_text_cannot_break_the_line),
        cmocka_unit_test(cut_characters_do_not_break_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
