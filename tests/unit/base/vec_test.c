#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/vec.h"

static void grows_and_keeps_what_it_has(void **state)
{
    (void)state;
    VEC(int) v = {0};
    for (int i = 0; i < 1000; i++) {
        VEC_PUSH(&v, i);
        assert_true(v.cap >= v.count);
    }
    assert_int_equal(v.count, 1000);
    VEC_EACH (&v, i) {
        assert_int_equal(v.at[i], i);
    }
    VEC_DEINIT(&v);
    assert_null(v.at);
    assert_int_equal(v.cap, 0);
}

static void reserving_never_shrinks(void **state)
{
    (void)state;
    VEC(char) v = {0};
    VEC_RESERVE(&v, 0);
    assert_null(v.at);
    VEC_RESERVE(&v, 1);
    assert_int_equal(v.cap, 8);
    VEC_RESERVE(&v, 1000);
    assert_int_equal(v.cap, 1000);
    char *at = v.at;
    VEC_RESERVE(&v, 10);
    assert_ptr_equal(v.at, at);
    assert_int_equal(v.cap, 1000);
    VEC_RESERVE(&v, 1001);
    assert_int_equal(v.cap, 2000);
    VEC_DEINIT(&v);
}

static void removing_keeps_the_order(void **state)
{
    (void)state;
    VEC(int) v = {0};
    for (int i = 0; i < 4; i++) {
        VEC_PUSH(&v, i);
    }
    VEC_REMOVE(&v, 1);
    VEC_REMOVE(&v, 2);
    assert_int_equal(v.count, 2);
    assert_int_equal(v.at[0], 0);
    assert_int_equal(v.at[1], 2);
    VEC_DEINIT(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_keeps_what_it_has),
        cmocka_unit_test(reserving_never_shrinks),
        cmocka_unit_test(removing_keeps_the_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
