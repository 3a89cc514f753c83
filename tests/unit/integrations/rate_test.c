#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/attr.h"
#include "integrations/rate.h"

static const struct rate rate = {.every_ms = 1000, .burst = 40};

/* Takes whenever it may, from `now_ms` to `end_ms`; notes when. */
static uint32_t drain(struct bucket *b, uint64_t now_ms, uint64_t end_ms,
                      uint64_t *taken, uint32_t room)
{
    uint32_t count = 0;
    while (now_ms < end_ms) {
        uint64_t at_ms = bucket_take(b, &rate, now_ms);
        if (at_ms > now_ms) {
            now_ms = at_ms;
            continue;
        }
        assert_true(count < room);
        taken[count++] = now_ms;
    }
    return count;
}

static void any_minute_is_bounded(void **state)
{
    (void)state;
    uint64_t taken[1000];
    struct bucket b = {0};
    uint32_t count = drain(&b, 5000, 605000, taken, ARRAY_LEN(taken));
    assert_int_equal(count, 40 + 599);
    for (uint32_t i = 0; i + 100 < count; i++) {
        assert_true(taken[i + 100] - taken[i] >= 60000);
    }
    assert_int_equal(taken[39], 5000);
    assert_int_equal(taken[40], 6000);
}

static void rest_fills_it_once(void **state)
{
    (void)state;
    uint64_t taken[1000];
    struct bucket b = {0};
    (void)drain(&b, 0, 1, taken, ARRAY_LEN(taken));
    assert_int_equal(drain(&b, 10000, 10001, taken, ARRAY_LEN(taken)), 10);
    assert_int_equal(drain(&b, 900000, 900001, taken, ARRAY_LEN(taken)), 40);
}

static void some_are_taken_together_or_not_at_all(void **state)
{
    (void)state;
    const struct rate three = {.every_ms = 1000, .burst = 3};
    struct bucket b = {0};
    assert_int_equal(bucket_take_some(&b, &three, 2, 5000), 5000);
    assert_int_equal(bucket_take_some(&b, &three, 2, 5000), 6000);
    assert_int_equal(bucket_take(&b, &three, 5000), 5000);
    assert_int_equal(bucket_take(&b, &three, 5000), 6000);
    assert_int_equal(bucket_take_some(&b, &three, 3, 7999), 8000);
    assert_int_equal(bucket_take_some(&b, &three, 3, 8000), 8000);
}

/* Twenty starts a minute are what the unit allows. */
static void starts_give_one_each(void **state)
{
    (void)state;
    uint64_t taken[200];
    struct bucket b = {0};
    uint32_t count = drain(&b, 100000, 100001, taken, ARRAY_LEN(taken));
    for (uint64_t i = 1; i <= 20; i++) {
        uint64_t now_ms = 100000 + i * 2900;
        bucket_start(&b, &rate, now_ms);
        count += drain(&b, now_ms, now_ms + 2900, taken, ARRAY_LEN(taken));
    }
    assert_true(count <= 120);
    assert_int_equal(count, 40 + 20 * 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_minute_is_bounded),
        cmocka_unit_test(rest_fills_it_once),
        cmocka_unit_test(some_are_taken_together_or_not_at_all),
        cmocka_unit_test(starts_give_one_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
