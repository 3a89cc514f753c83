#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/map.h"
#include "base/prng.h"

static void put_get_remove(void **state)
{
    (void)state;
    struct map m = MAP_INIT;
    int one = 1;
    int two = 2;
    assert_null(map_get(&m, STR("a")));
    assert_null(map_put(&m, STR("a"), &one));
    assert_ptr_equal(map_put(&m, STR("a"), &two), &one);
    assert_ptr_equal(map_get(&m, STR("a")), &two);
    assert_ptr_equal(map_remove(&m, STR("a")), &two);
    assert_null(map_remove(&m, STR("a")));
    assert_int_equal(map_count(&m), 0);
    map_deinit(&m);
}

/* Against a plain array: random puts and removes, same content, same order of
 * insertion. */
static void behaves_as_a_model(void **state)
{
    (void)state;
    enum { KEYS = 300 };
    static char names[KEYS][16];
    static int values[KEYS];
    bool in[KEYS] = {false};
    struct map m = MAP_INIT;
    struct prng p;
    prng_seed(&p, 42);
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "key-%d", i);
    }
    for (int round = 0; round < 20000; round++) {
        size_t i = prng_below(&p, KEYS);
        if (prng_below(&p, 2) == 0) {
            void *old = map_put(&m, str_c(names[i]), &values[i]);
            assert_ptr_equal(old, in[i] ? &values[i] : NULL);
            in[i] = true;
        } else {
            void *old = map_remove(&m, str_c(names[i]));
            assert_ptr_equal(old, in[i] ? &values[i] : NULL);
            in[i] = false;
        }
    }
    size_t expected = 0;
    for (int i = 0; i < KEYS; i++) {
        expected += in[i] ? 1 : 0;
        assert_int_equal(map_get(&m, str_c(names[i])) != NULL, in[i]);
    }
    size_t seen = 0;
    size_t cursor = 0;
    while (map_next(&m, &cursor) != NULL) {
        seen++;
    }
    assert_int_equal(seen, expected);
    assert_int_equal(map_count(&m), expected);
    map_deinit(&m);
}

static void iterates_in_insertion_order(void **state)
{
    (void)state;
    struct map m = MAP_INIT;
    static char names[100][8];
    for (int i = 0; i < 100; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "%d", (i * 37) % 100);
        assert_null(map_put(&m, str_c(names[i]), names[i]));
    }
    size_t cursor = 0;
    for (int i = 0; i < 100; i++) {
        struct map_entry *e = map_next(&m, &cursor);
        assert_ptr_equal(e->value, names[i]);
    }
    assert_null(map_next(&m, &cursor));
    map_deinit(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_get_remove),
        cmocka_unit_test(behaves_as_a_model),
        cmocka_unit_test(iterates_in_insertion_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
