/* Keys of events, and what a memory means at an instant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/prng.h"
#include "model/event_json.h"
#include "model/trigger_memory.h"

#define LABEL(text)                                                            \
    {                                                                          \
        .field = DEDUP_LABEL, .label = STR(text)                               \
    }

static const struct dedup_part two[] = {LABEL("a"), LABEL("b")};

/* The key of labels a and b, in the arena. */
static struct str key_of(struct arena *a, struct str first, struct str second)
{
    struct label labels[] = {{STR("a"), first}, {STR("b"), second}};
    const struct event e = {.labels = {labels, 2}};
    struct str key = STR_NULL;
    assert_int_equal(trigger_key(two, 2, &e, a, &key), 0);
    assert_true(key.len <= TRIGGER_KEY_MAX_BYTES);
    return key;
}

static void a_key_names_its_parts(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    static const struct dedup_part parts[] = {{.field = DEDUP_TYPE},
                                              {.field = DEDUP_SOURCE},
                                              LABEL("app.service"),
                                              {.field = DEDUP_SEVERITY}};
    struct label labels[] = {{STR("app.service"), STR("a,b\\c\n=")}};
    struct event e = {.type = STR("alert"),
                      .source = STR("prometheus"),
                      .severity = STR("critical"),
                      .labels = {labels, 1}};
    struct str key = STR_NULL;
    assert_int_equal(trigger_key(parts, 4, &e, &a, &key), 0);
    assert_string_equal(key.at, "type=alert,source=prometheus,"
                                "app.service=a\\,b\\\\c\\x0a=,"
                                "severity=critical");
    assert_int_equal(trigger_key(parts, 0, &e, &a, &key), 0);
    assert_int_equal(key.len, 0);
    arena_deinit(&a);
}

/* An empty label is none; neither is ever taken for "all". */
static void what_is_missing_gives_no_key(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    static const struct dedup_part parts[] = {{.field = DEDUP_TYPE},
                                              LABEL("instance")};
    struct label labels[] = {{STR("instance"), STR("")}};
    struct event e = {.type = STR("alert"), .labels = {labels, 1}};
    struct str key = STR_NULL;
    assert_int_equal(trigger_key(parts, 2, &e, &a, &key), -ENOENT);
    assert_string_equal(key.at, "labels.instance");
    e.labels.count = 0;
    assert_int_equal(trigger_key(parts, 2, &e, &a, &key), -ENOENT);
    e.type = STR("");
    assert_int_equal(trigger_key(parts, 2, &e, &a, &key), -ENOENT);
    assert_string_equal(key.at, "type");
    arena_deinit(&a);
}

static void other_parts_are_another_key(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    const struct {
        struct str first, second;
    } pairs[] = {
        {STR("1,b=2"), STR("3")}, {STR("1"), STR("2,b=3")},
        {STR("1\\"), STR("2")},   {STR("1"), STR("\\2")},
        {STR("\n"), STR("2")},    {STR("\\x0a"), STR("2")},
        {STR("x0a"), STR("2")},   {STR("1\\,b=2"), STR("3")},
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        for (size_t k = 0; k < i; k++) {
            assert_false(str_eq(key_of(&a, pairs[i].first, pairs[i].second),
                                key_of(&a, pairs[k].first, pairs[k].second)));
        }
    }
    arena_deinit(&a);
}

/* The longest names and values, all of whose bytes must be shown. */
static void long_keys_are_cut_and_stay_apart(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    static char longest[EVENT_LABEL_VALUE_MAX_BYTES];
    memset(longest, '\n', sizeof(longest));
    struct str whole = str_n(longest, sizeof(longest));
    struct str key = key_of(&a, whole, whole);
    struct str shorter = key_of(&a, whole, str_n(longest, sizeof(longest) - 1));
    assert_false(str_eq(key, shorter));
    assert_true(str_eq(key, key_of(&a, whole, whole)));
    /* Nobody can send the cut key itself. */
    struct str tail = str_slice(key, strlen("a="), key.len);
    struct label labels[] = {{STR("a"), tail}};
    const struct event e = {.labels = {labels, 1}};
    struct str sent = STR_NULL;
    assert_int_equal(trigger_key(two, 1, &e, &a, &sent), 0);
    assert_false(str_eq(sent, key));
    arena_deinit(&a);
}

/* Characters are not cut in half, wherever the cut falls. */
static void cut_keys_are_utf8(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    for (size_t pad = 0; pad < 8; pad++) {
        char text[400] = "aaaaaaaa";
        for (size_t at = pad; at + 4 < sizeof(text); at += 4) {
            memcpy(text + at, "\xf0\x9f\x94\xa5", 5);
        }
        struct str key = key_of(&a, str_c(text), STR("x"));
        assert_true(str_is_utf8(key));
        assert_true(key.len > 200);
    }
    arena_deinit(&a);
}

static const uint64_t at[] = {1000, 2000, 3000};

static void states_and_the_first_reason(void **state)
{
    (void)state;
    const struct trigger_limits l = {.cooldown_ms = 500,
                                     .count_least = 3,
                                     .count_within_ms = 1500,
                                     .runs_most = 3,
                                     .runs_within_ms = 2500};
    const struct memory_row row = {
        .events_ms = at, .event_count = 3, .starts_ms = at, .start_count = 3};
    struct memory_state s = memory_state_at(&l, &row, 3499, 3000);
    assert_int_equal(memory_hold_of(&l, &s), MEMORY_COOLS);
    assert_int_equal(s.cool_passed_ms, 499);
    assert_int_equal(s.cool_until_ms, 3500);
    assert_int_equal(s.runs, 3);
    assert_int_equal(s.runs_until_ms, 3500);
    assert_int_equal(s.events, 2); /* the first is 2000 before the last */
    s = memory_state_at(&l, &row, 3500, 2400);
    assert_int_equal(s.runs, 2);
    assert_int_equal(s.runs_until_ms, 4500);
    assert_int_equal(s.events, 3);
    assert_int_equal(memory_hold_of(&l, &s), MEMORY_FREE);
    s = memory_state_at(&l, &row, 3500, 3000);
    assert_int_equal(memory_hold_of(&l, &s), MEMORY_COUNTS);
    /* A limit that was higher before: two have to leave, not one. */
    const struct trigger_limits lower = {.runs_most = 2,
                                         .runs_within_ms = 2500};
    s = memory_state_at(&lower, &row, 3400, 3000);
    assert_int_equal(s.runs, 3);
    assert_int_equal(s.runs_until_ms, 4500);
    /* A clock that was set back a little: no time has passed. */
    s = memory_state_at(&l, &row, 2900, 3000);
    assert_int_equal(s.cool_passed_ms, 0);
    assert_int_equal(memory_hold_of(&l, &s), MEMORY_COOLS);
}

static void nothing_is_remembered_of_nothing(void **state)
{
    (void)state;
    const struct trigger_limits none = {0};
    const struct memory_row row = {.starts_ms = at, .start_count = 3};
    struct memory_state s = memory_state_at(&none, &row, 3000, 0);
    assert_int_equal(memory_hold_of(&none, &s), MEMORY_FREE);
    assert_false(trigger_limits_any(&none));
    assert_int_equal(trigger_limits_starts_ms(&none), 0);
    struct strbuf text = STRBUF_INIT(1024);
    memory_explain(&none, &row, &s, &text);
    assert_int_equal(text.len, 0);
    strbuf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_names_its_parts),
        cmocka_unit_test(what_is_missing_gives_no_key),
        cmocka_unit_test(other_parts_are_another_key),
        cmocka_unit_test(long_keys_are_cut_and_stay_apart),
        cmocka_unit_test(cut_keys_are_utf8),
        cmocka_unit_test(states_and_the_first_reason),
        cmocka_unit_test(nothing_is_remembered_of_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
