#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"

/* Whatever room there happens to be, formatted text is whole or absent. */
static void formats_whole_or_not_at_all(void **state)
{
    (void)state;
    static char filler[300];
    memset(filler, 'x', sizeof(filler));
    for (size_t before = 0; before <= 200; before++) {
        for (size_t limit = before; limit <= before + 12; limit++) {
            struct strbuf b = STRBUF_INIT(limit);
            strbuf_add(&b, str_n(filler, before));
            strbuf_addf(&b, "%d-%s", 12345, "abc");
            bool fits = limit >= before + 9;
            assert_int_equal(strbuf_error(&b), fits ? 0 : -E2BIG);
            assert_int_equal(b.len, before + (fits ? 9 : 0));
            assert_string_equal(strbuf_str(&b).at + before,
                                fits ? "12345-abc" : "");
            strbuf_deinit(&b);
        }
    }
}

static void error_is_sticky(void **state)
{
    (void)state;
    struct strbuf b = STRBUF_INIT(4);
    strbuf_addc(&b, "abc");
    strbuf_addc(&b, "de");
    strbuf_addf(&b, "%s", "f");
    strbuf_addch(&b, 'g');
    assert_int_equal(strbuf_error(&b), -E2BIG);
    assert_string_equal(b.at, "abc");
    strbuf_reset(&b);
    strbuf_addf(&b, "%04d", 7);
    assert_int_equal(strbuf_error(&b), 0);
    assert_string_equal(b.at, "0007");
    strbuf_deinit(&b);
}

static void takes_the_text_out(void **state)
{
    (void)state;
    struct strbuf b = STRBUF_INIT(100);
    strbuf_addf(&b, "%s", "");
    char *empty = strbuf_take(&b);
    assert_string_equal(empty, "");
    mem_free(empty);
    strbuf_addf(&b, "%s", "text");
    char *text = strbuf_take(&b);
    assert_string_equal(text, "text");
    assert_int_equal(b.len, 0);
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_whole_or_not_at_all),
        cmocka_unit_test(error_is_sticky),
        cmocka_unit_test(takes_the_text_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
