#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>

#include "telemetry/window.h"

#define T0 UINT64_C(1700000000000)
#define SECOND UINT64_C(1000)

static void counts_the_last_periods(void **state)
{
    (void)state;
    struct window w;
    window_init(&w, 60, 1000);
    assert_int_equal(window_sum(&w, T0, 60), 0);
    for (uint64_t s = 0; s < 100; s++) {
        window_add(&w, T0 + s * SECOND, s + 1);
    }
    uint64_t now = T0 + 99 * SECOND;
    assert_int_equal(window_sum(&w, now, 1), 100);
    assert_int_equal(window_sum(&w, now, 2), 100 + 99);
    /* 41 to 100: what the ring holds, however much is asked for. */
    uint64_t all = (41 + 100) * 60 / 2;
    assert_int_equal(window_sum(&w, now, 60), all);
    assert_int_equal(window_sum(&w, now, 1000), all);
    window_deinit(&w);
}

static void forgets_with_time_alone(void **state)
{
    (void)state;
    struct window w;
    window_init(&w, 10, 1000);
    window_add(&w, T0, 5);
    assert_int_equal(window_sum(&w, T0 + 999, 10), 5);
    assert_int_equal(window_sum(&w, T0 + 9999, 10), 5);
    assert_int_equal(window_sum(&w, T0 + 10000, 10), 0);
    /* The same slot of a later round. */
    assert_int_equal(window_sum(&w, T0 + 20000, 10), 0);
    window_add(&w, T0 + 20000, 1);
    assert_int_equal(window_sum(&w, T0 + 20000, 10), 1);
    window_deinit(&w);
}

static void heals_after_a_clock_set_back(void **state)
{
    (void)state;
    struct window w;
    window_init(&w, 10, 1000);
    window_add(&w, T0 + 10000000, 7); /* in the future, as it turns out */
    assert_int_equal(window_sum(&w, T0, 10), 0);
    window_add(&w, T0, 1);
    window_add(&w, T0, 1);
    assert_int_equal(window_sum(&w, T0, 10), 2);
    window_deinit(&w);
}

static void saturates(void **state)
{
    (void)state;
    struct window w;
    window_init(&w, 2, 1000);
    window_add(&w, T0, WINDOW_VALUE_MAX - 1);
    window_add(&w, T0, 1);
    window_add(&w, T0, 1);
    window_add(&w, T0, UINT64_MAX);
    assert_true(window_sum(&w, T0, 1) == WINDOW_VALUE_MAX);
    window_deinit(&w);
}

static void begins_at_the_epoch(void **state)
{
    (void)state;
    struct window w;
    window_init(&w, 10, 1000);
    assert_int_equal(window_sum(&w, 0, 10), 0);
    window_add(&w, 0, 3);
    assert_int_equal(window_sum(&w, 0, 10), 3);
    assert_int_equal(window_sum(&w, 5000, 10), 3);
    window_deinit(&w);
}

static void *add_many(void *argument)
{
    for (unsigned i = 0; i < 50000; i++) {
        window_add(argument, T0 + i, 1);
    }
    return NULL;
}

static void loses_nothing_between_threads(void **state)
{
    (void)state;
    struct window w;
    window_init(&w, 3600, 1000);
    pthread_t threads[4];
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, &w), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(window_sum(&w, T0 + 50000, 3600), 4 * 50000);
    window_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_the_last_periods),
        cmocka_unit_test(forgets_with_time_alone),
        cmocka_unit_test(heals_after_a_clock_set_back),
        cmocka_unit_test(saturates),
        cmocka_unit_test(begins_at_the_epoch),
        cmocka_unit_test(loses_nothing_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
