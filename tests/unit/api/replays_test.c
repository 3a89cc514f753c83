#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "api/replays.h"

static const uint8_t hash_a[32] = {1};
static const uint8_t hash_b[32] = {2};

static enum replay begin(struct replays *r, const char *key,
                         const uint8_t hash[32], uint64_t now_ms,
                         struct arena *a, struct replay_answer *ret)
{
    return replays_begin(r, str_c(key), hash, now_ms, a, ret);
}

static void gives_the_first_answer_again(void **state)
{
    (void)state;
    struct replays *r = replays_new();
    struct arena a = ARENA_INIT;
    struct replay_answer first = {0};
    assert_int_equal(begin(r, "k", hash_a, 1, &a, &first), REPLAY_NEW);
    assert_int_equal(begin(r, "k", hash_a, 1, &a, &first), REPLAY_BUSY);
    assert_int_equal(begin(r, "k", hash_b, 1, &a, &first), REPLAY_OTHER);
    replays_finish(r, STR("k"), 202, STR("body"));
    assert_int_equal(begin(r, "k", hash_a, 2, &a, &first), REPLAY_SAME);
    assert_int_equal(first.status, 202);
    assert_true(str_eq(first.body, STR("body")));
    assert_int_equal(begin(r, "k", hash_b, 2, &a, &first), REPLAY_OTHER);
    assert_int_equal(begin(r, "k", hash_b, REPLAYS_KEEP_MS + 1, &a, &first),
                     REPLAY_NEW);
    replays_finish(r, STR("k"), 0, STR(""));
    assert_int_equal(begin(r, "k", hash_a, REPLAYS_KEEP_MS + 1, &a, &first),
                     REPLAY_NEW);
    replays_free(r);
    arena_deinit(&a);
}

static void forgets_the_oldest_answer_first(void **state)
{
    (void)state;
    struct replays *r = replays_new();
    struct arena a = ARENA_INIT;
    struct replay_answer first = {0};
    char key[16];
    assert_int_equal(begin(r, "under way", hash_a, 1, &a, &first), REPLAY_NEW);
    for (int i = 0; i < REPLAYS_MAX; i++) {
        (void)snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(begin(r, key, hash_a, 1, &a, &first), REPLAY_NEW);
        replays_finish(r, str_c(key), 200, STR(""));
    }
    assert_int_equal(begin(r, "k0", hash_a, 1, &a, &first), REPLAY_NEW);
    assert_int_equal(begin(r, "k2", hash_a, 1, &a, &first), REPLAY_SAME);
    assert_int_equal(begin(r, "under way", hash_a, 1, &a, &first), REPLAY_BUSY);
    replays_free(r);
    arena_deinit(&a);
}

static void refuses_when_all_are_under_way(void **state)
{
    (void)state;
    struct replays *r = replays_new();
    struct arena a = ARENA_INIT;
    struct replay_answer first = {0};
    char key[16];
    for (int i = 0; i < REPLAYS_MAX; i++) {
        (void)snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(begin(r, key, hash_a, 1, &a, &first), REPLAY_NEW);
    }
    assert_int_equal(begin(r, "one more", hash_a, 1, &a, &first), REPLAY_FULL);
    replays_free(r);
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_first_answer_again),
        cmocka_unit_test(forgets_the_oldest_answer_first),
        cmocka_unit_test(refuses_when_all_are_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
