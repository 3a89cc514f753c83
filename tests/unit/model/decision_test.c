/* What is kept of how an event was decided. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "model/decision.h"

static struct held held(const char *guard, const char *reason)
{
    return (struct held){STR("a.yaml"), STR("#1"), guard, str_c(reason)};
}

static void expect(const struct decision *d, const char *digest,
                   const char *wanted)
{
    struct arena a = ARENA_INIT;
    struct str text = decision_json(d, str_c(digest), &a);
    assert_int_equal(text.len, strlen(wanted));
    assert_memory_equal(text.at, wanted, text.len);
    arena_deinit(&a);
}

static void reasons_are_kept_with_their_guards(void **state)
{
    struct decision d;
    (void)state;
    decision_init(&d);
    expect(&d, "", "");
    expect(&d, "00ff", "{\"runbooks\":\"00ff\"}");
    struct held one = held(NULL, "cooldown: 12m of 30m have passed");
    decision_add(&d, &one);
    one = held("disabled", "runbook a.yaml is disabled: \"no\"");
    decision_add(&d, &one);
    one = held(NULL, "some_guard: 3 of 2");
    decision_add(&d, &one);
    one = held(NULL, "");
    decision_add(&d, &one);
    expect(&d, "00ff",
           "{\"runbooks\":\"00ff\",\"held\":["
           "{\"runbook\":\"a.yaml\",\"trigger\":\"#1\",\"guard\":\"cooldown\","
           "\"reason\":\"12m of 30m have passed\"},"
           "{\"runbook\":\"a.yaml\",\"trigger\":\"#1\",\"guard\":\"disabled\","
           "\"reason\":\"runbook a.yaml is disabled: \\\"no\\\"\"},"
           "{\"runbook\":\"a.yaml\",\"trigger\":\"#1\",\"guard\":"
           "\"some_guard\",\"reason\":\"3 of 2\"},"
           "{\"runbook\":\"a.yaml\",\"trigger\":\"#1\",\"guard\":\"other\","
           "\"reason\":\"\"}],\"left_out\":0}");
    assert_int_equal(d.counts[HOLD_COOLDOWN], 1);
    assert_int_equal(d.counts[HOLD_DISABLED], 1);
    assert_int_equal(d.counts[HOLD_OTHER], 2);
    decision_deinit(&d);
}

static void every_guard_is_known_by_its_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < HOLD_KINDS; i++) {
        struct strbuf text = STRBUF_INIT(128);
        strbuf_addf(&text, "%s: 1 of 2", hold_name(i));
        assert_int_equal(hold_of(strbuf_str(&text)), i);
        strbuf_deinit(&text);
    }
    assert_null(hold_name(HOLD_KINDS));
    assert_int_equal(hold_of(STR("count:")), HOLD_OTHER);
    assert_int_equal(hold_of(STR("Count: x")), HOLD_OTHER);
    assert_int_equal(hold_of(STR("cooldown")), HOLD_OTHER);
    assert_int_equal(hold_of(STR(": x")), HOLD_OTHER);
}

/* Many, and long ones: what is kept is bounded and JSON, all are counted. */
static void what_is_kept_is_bounded(void **state)
{
    static char reason[4 * DECISION_REASON_MAX_BYTES];
    static char path[4096];
    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        struct decision d;
        struct arena a = ARENA_INIT;
        memset(reason, round == 0 ? 'a' : '\x01', sizeof(reason) - 1);
        if (round == 2) {
            for (size_t i = 0; i + 2 < sizeof(reason); i += 2) {
                memcpy(&reason[i], "\xc3\xa9", 2);
            }
        }
        memset(path, 'p', sizeof(path) - 1);
        decision_init(&d);
        for (unsigned i = 0; i < 2 * DECISION_HELD_MAX; i++) {
            struct held h = held("count", reason);
            h.runbook = i == 7 ? str_c(path) : h.runbook;
            decision_add(&d, &h);
        }
        struct str text = decision_json(&d, STR("00ff"), &a);
        assert_true(text.len <= DECISION_MAX_BYTES + 128);
        json_auto_t *json = json_loadb(text.at, text.len, 0, NULL);
        assert_non_null(json);
        assert_int_equal(json_array_size(json_object_get(json, "held")),
                         d.held);
        assert_true(d.held > 2 && d.held <= DECISION_HELD_MAX);
        assert_int_equal(d.held + d.left_out, 2 * DECISION_HELD_MAX);
        assert_int_equal(d.counts[HOLD_COUNT], 2 * DECISION_HELD_MAX);
        decision_deinit(&d);
        arena_deinit(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reasons_are_kept_with_their_guards),
        cmocka_unit_test(every_guard_is_known_by_its_name),
        cmocka_unit_test(what_is_kept_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
