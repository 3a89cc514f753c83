/* What operators have set, out of the settings of the store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "runtime/controls.h"
#include "store/committer.h"
#include "store/memory.h"

struct bench {
    struct store *store;
    struct reader *reader;
    struct commit_group group;
    struct controls *controls;
};

static int set_up(void **state)
{
    struct bench *b = MEM_NEW(struct bench);
    struct store_options options = {.queue_limit = 10, .now_ms = 1};
    struct store_opened opened;
    struct err err = ERR_INIT;
    commit_group_init(&b->group);
    assert_int_equal(store_memory.open(&options, &b->store, &opened, &err), 0);
    assert_int_equal(store_memory.reader_open(b->store, &b->reader, &err), 0);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    controls_unref(b->controls);
    b->reader->ops->close(b->reader);
    store_memory.close(b->store);
    mem_free(b);
    return 0;
}

static void put(struct bench *b, const char *key, const char *value)
{
    struct record record = {.kind = RECORD_SETTING,
                            .setting = {.key = str_c(key),
                                        .value = str_c(value),
                                        .at_ms = 7,
                                        .by = STR("uid:0")}};
    struct store_op op = {.kind = STORE_APPLY,
                          .apply = {.records = &record, .count = 1}};
    list_push(&b->group.ops, &op.link);
    assert_int_equal(commit_group_run(&store_memory, b->store, &b->group, 1),
                     0);
    list_init(&b->group.finished);
    assert_int_equal(op.result, 0);
}

static const struct controls *load(struct bench *b)
{
    controls_unref(b->controls);
    b->controls = NULL;
    assert_int_equal(controls_load(b->reader, &b->controls), 0);
    return b->controls;
}

static int allow(struct bench *b, const char *key, const char *value)
{
    struct err err = ERR_INIT;
    struct setting_row row = {.key = str_c(key), .value = str_c(value)};
    int r = controls_allow(load(b), &row, &err);
    assert_true((r < 0) == (err.message[0] != '\0'));
    return r;
}

static void the_kill_switch_is_remembered(void **state)
{
    struct bench *b = *state;
    assert_int_equal(controls_switched_ms(load(b)), 0);
    put(b, CONTROL_SWITCHED, "1764342000123");
    assert_int_equal(controls_switched_ms(load(b)), 1764342000123);
    put(b, CONTROL_SWITCHED, "");
    assert_int_equal(controls_switched_ms(load(b)), 0);
}

static void the_rule_that_says_most_comes_first(void **state)
{
    struct bench *b = *state;
    uint32_t count = 0;
    put(b, CONTROL_PRIORITY "/critical", "3");
    put(b, CONTROL_PRIORITY "alert/", "2");
    put(b, CONTROL_PRIORITY "alert/critical", "1");
    put(b, CONTROL_PRIORITY "metric/", "no number");
    const struct control_rule *rules = controls_rules(load(b), &count);
    assert_int_equal(count, 3);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(rules[i].priority, i + 1);
        assert_int_equal(rules[i].row->at_ms, 7);
    }
    assert_int_equal(
        controls_priority(b->controls, STR("alert"), STR("info"), 5), 2);
    put(b, CONTROL_PRIORITY "alert/", "");
    assert_int_equal(controls_priority(load(b), STR("alert"), STR("info"), 5),
                     5);
}

/* Rules come before the others by name, and the store lists so many. */
static void many_rules_hide_nothing_else(void **state)
{
    struct bench *b = *state;
    char key[64];
    for (int i = 0; i < STORE_SETTINGS_MAX + 10; i++) {
        (void)snprintf(key, sizeof(key), CONTROL_PRIORITY "t%d/", i);
        put(b, key, "1");
    }
    put(b, CONTROL_PAUSED, "true");
    put(b, CONTROL_DISABLED "a.yaml", "\"why\"");
    put(b, CONTROL_WORKERS, "8");
    const struct controls *c = load(b);
    assert_true(controls_paused(c));
    assert_int_equal(controls_disabled_count(c), 1);
    assert_int_equal(controls_workers(c), 8);
}

static void a_key_is_not_the_beginning_of_another(void **state)
{
    struct bench *b = *state;
    put(b, CONTROL_WORKERS "x", "8");
    put(b, CONTROL_PAUSED ".x", "true");
    assert_int_equal(controls_workers(load(b)), 0);
    assert_false(controls_paused(b->controls));
}

static void rules_have_a_bound(void **state)
{
    struct bench *b = *state;
    char key[64];
    for (int i = 0; i < CONTROL_PRIORITIES_MAX; i++) {
        (void)snprintf(key, sizeof(key), CONTROL_PRIORITY "t%d/", i);
        assert_int_equal(allow(b, key, "1"), 0);
        put(b, key, "1");
    }
    assert_int_equal(allow(b, CONTROL_PRIORITY "more/", "1"), -EDQUOT);
    assert_int_equal(allow(b, CONTROL_PRIORITY "more/", ""), -ENOENT);
    assert_int_equal(allow(b, CONTROL_PRIORITY "t7/", "2"), 0);
    assert_int_equal(allow(b, CONTROL_PRIORITY "t7/", ""), 0);
    assert_int_equal(allow(b, CONTROL_PAUSED, "true"), 0);
    put(b, CONTROL_PRIORITY "t7/", "");
    assert_int_equal(allow(b, CONTROL_PRIORITY "more/", "1"), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_kill_switch_is_remembered),
        CASE(the_rule_that_says_most_comes_first),
        CASE(many_rules_hide_nothing_else),
        CASE(a_key_is_not_the_beginning_of_another),
        CASE(rules_have_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
