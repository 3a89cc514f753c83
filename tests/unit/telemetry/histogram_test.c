#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdbool.h>

#include "base/attr.h"
#include "telemetry/histogram.h"

static const uint64_t bounds[] = {10, 20, 40};

static void a_bound_belongs_to_its_bucket(void **state)
{
    (void)state;
    struct histogram h;
    histogram_init(&h, bounds, ARRAY_LEN(bounds));
    static const uint64_t us[] = {0, 10, 11, 20, 40, 41, 5000000000};
    for (size_t i = 0; i < ARRAY_LEN(us); i++) {
        histogram_observe(&h, us[i]);
    }
    struct histogram_view v = histogram_view(&h);
    assert_int_equal(v.cumulative[0], 2);
    assert_int_equal(v.cumulative[1], 4);
    assert_int_equal(v.cumulative[2], 5);
    assert_int_equal(v.cumulative[3], 7);
    assert_int_equal(v.count, 7);
    assert_true(v.sum_us == 5000000000 + 122);
}

static bool near(double a, double b)
{
    return fabs(a - b) < 0.001;
}

static void estimates_quantiles(void **state)
{
    (void)state;
    struct histogram h;
    histogram_init(&h, bounds, ARRAY_LEN(bounds));
    struct histogram_view v = histogram_view(&h);
    assert_true(near(histogram_quantile_us(&h, &v, 0.95), 0.0));
    for (unsigned i = 0; i < 100; i++) {
        histogram_observe(&h, 15); /* all in 10..20 */
    }
    v = histogram_view(&h);
    assert_true(near(histogram_quantile_us(&h, &v, 0.0), 10.0));
    assert_true(near(histogram_quantile_us(&h, &v, 0.5), 15.0));
    assert_true(near(histogram_quantile_us(&h, &v, 1.0), 20.0));
    for (unsigned i = 0; i < 100; i++) {
        histogram_observe(&h, 1000); /* above all bounds */
    }
    v = histogram_view(&h);
    assert_true(near(histogram_quantile_us(&h, &v, 0.5), 20.0));
    assert_true(near(histogram_quantile_us(&h, &v, 0.51), 40.0));
    assert_true(near(histogram_quantile_us(&h, &v, 1.0), 40.0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bound_belongs_to_its_bucket),
        cmocka_unit_test(estimates_quantiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
