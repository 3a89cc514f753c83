#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/watchdog.h"
#include "base/attr.h"

#define ALLOWED_MS 100

static uint64_t numbers[3];

static uint64_t number_of(void *context)
{
    return *(uint64_t *)context;
}

static const struct watchdog_part parts[] = {
    {"one", number_of, &numbers[0]},
    {"two", number_of, &numbers[1]},
    {"three", number_of, &numbers[2]},
};

static uint64_t now_ms;

static const char *look(struct watchdog_look *w, uint64_t after_ms)
{
    now_ms += after_ms;
    return watchdog_look(w, parts, ARRAY_LEN(parts), now_ms, ALLOWED_MS);
}

static void move(unsigned which)
{
    for (unsigned i = 0; i < ARRAY_LEN(numbers); i++) {
        numbers[i] += (which >> i) & 1U;
    }
}

static void all_must_move(void **state)
{
    (void)state;
    static const char *const first_stuck[] = {"one", "two", "one", "three",
                                              "one", "two", "one"};
    struct watchdog_look w = {.begun = false};
    assert_null(look(&w, 0)); /* there is nothing to compare with yet */
    for (unsigned which = 0; which < 7; which++) {
        move(7);
        assert_null(look(&w, 1));
        move(which);
        assert_null(look(&w, ALLOWED_MS)); /* a moment of patience */
        move(which);
        assert_string_equal(look(&w, 1), first_stuck[which]);
    }
}

static void what_moves_again_is_well(void **state)
{
    (void)state;
    struct watchdog_look w = {.begun = false};
    assert_null(look(&w, 0));
    move(3);
    assert_string_equal(look(&w, 10 * ALLOWED_MS), "three");
    move(3);
    assert_string_equal(look(&w, 1), "three");
    move(7);
    assert_null(look(&w, 1));
    assert_null(look(&w, ALLOWED_MS));
    assert_string_equal(look(&w, 1), "one");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_must_move),
        cmocka_unit_test(what_moves_again_is_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
