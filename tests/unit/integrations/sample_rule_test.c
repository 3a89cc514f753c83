#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/attr.h"
#include "integrations/sample_rule.h"

static struct arena arena;

static struct sample_rule parsed(const char *text)
{
    struct sample_rule r = {.op = SAMPLE_ANY};
    struct err err = ERR_INIT;
    if (sample_rule_parse(str_c(text), &arena, &r, &err) != 0) {
        fail_msg("%s: %s", text, err.message);
    }
    return r;
}

static void good_ones(void **state)
{
    (void)state;
    struct label pairs[] = {{STR("job"), STR("node")},
                            {STR("mode"), STR("idle, {x}")}};
    struct labels labels = {pairs, 2};
    static const struct {
        const char *rule, *name;
        bool covers;
    } rows[] = {
        {"up", "up", true},
        {"up", "upper", false},
        {"node_*", "node_load1", true},
        {"node_*", "nod", false},
        {" up == 0 ", "up", true},
        {"up{job=\"node\"}", "up", true},
        {"up{job=\"other\"}", "up", false},
        {"up{job=~\"no.*\",mode=\"idle, {x}\"} > 1", "up", true},
        {"up{ job!=\"x\" , } <= -1.5e3", "up", true},
        {"up{} != 1", "up", true},
        {"up{none=\"\"}", "up", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sample_rule r = parsed(rows[i].rule);
        if (sample_rule_covers(&r, str_c(rows[i].name), &labels) !=
            rows[i].covers) {
            fail_msg("%s", rows[i].rule);
        }
        sample_rule_deinit(&r);
    }
}

#define NINE_MATCHERS                                                          \
    ("up{a=\"1\",b=\"1\",c=\"1\",d=\"1\",e=\"1\",f=\"1\",g=\"1\",h=\"1\","     \
     "i=\"1\"}")

static void wrong_ones(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",       "*",        "9a",           "up >",           "up > x",
        "up = 1", "up 1",     "up{",          "up{job}",        "up{job=\"a\"",
        "up } 1", "up > NaN", "up{a=\"\"} x", "up{job=~\"(\"}", NINE_MATCHERS,
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sample_rule r = {.op = SAMPLE_ANY};
        struct err err = ERR_INIT;
        if (sample_rule_parse(str_c(rows[i]), &arena, &r, &err) != -EINVAL) {
            fail_msg("%s", rows[i]);
        }
        assert_true(err.message[0] != '\0');
    }
    char text[SAMPLE_RULE_MAX_BYTES + 2];
    struct sample_rule r = {.op = SAMPLE_ANY};
    struct err err = ERR_INIT;
    memset(text, 'a', sizeof(text));
    assert_int_equal(sample_rule_parse(str_n(text, SAMPLE_RULE_MAX_BYTES + 1),
                                       &arena, &r, &err),
                     -EINVAL);
    assert_int_equal(
        sample_rule_parse(str_n(text, SAMPLE_RULE_MAX_BYTES), &arena, &r, &err),
        0);
}

static void conditions(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        bool below, at, above;
    } rows[] = {
        {"a > 5", false, false, true},  {"a >= 5", false, true, true},
        {"a < 5", true, false, false},  {"a <= 5", true, true, false},
        {"a == 5", false, true, false}, {"a != 5", true, false, true},
        {"a", true, true, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sample_rule r = parsed(rows[i].rule);
        assert_int_equal(sample_rule_holds(&r, 4), rows[i].below);
        assert_int_equal(sample_rule_holds(&r, 5), rows[i].at);
        assert_int_equal(sample_rule_holds(&r, 6), rows[i].above);
        assert_false(sample_rule_holds(&r, (double)NAN));
        assert_false(sample_rule_holds(&r, (double)INFINITY));
        sample_rule_deinit(&r);
    }
}

static int free_arena(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ones),
        cmocka_unit_test(wrong_ones),
        cmocka_unit_test(conditions),
    };
    return cmocka_run_group_tests(tests, NULL, free_arena);
}
