/* The id of a plan names all that the plan rests on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/plan.h"

static const struct id some = {.bytes = {1, 2, 3}};

static void ids_are_read_back(void **state)
{
    char text[PLAN_ID_SIZE];
    struct id id = ID_NULL;
    uint64_t digest = 0;
    (void)state;
    plan_id_format(some, 0x0123456789abcdefULL, text);
    assert_int_equal(plan_id_parse(str_c(text), &id, &digest), 0);
    assert_true(id_eq(id, some));
    assert_true(digest == 0x0123456789abcdefULL);
}

static void other_texts_are_no_plans(void **state)
{
    static const char *const texts[] = {
        "",
        ".",
        "wf-000g40r0000000000000000000",
        "wf-000g40r0000000000000000000.",
        "wf-000g40r0000000000000000000.0123456789abcde",
        "wf-000g40r0000000000000000000.0123456789abcdef0",
        "wf-000g40r0000000000000000000.0123456789ABCDEF",
        "evt-000g40r0000000000000000000.0123456789abcdef",
        "wf-000g40r00000000000000000.0123456789abcdef",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct id id = ID_NULL;
        uint64_t digest = 0;
        assert_true(plan_id_parse(str_c(texts[i]), &id, &digest) < 0);
    }
}

static void each_part_changes_the_digest(void **state)
{
    struct runbook rb = {.path = STR("a.yaml")};
    struct plan_decisions d = {0};
    (void)state;
    uint64_t first = plan_digest(&rb, STR("{}"), &d);
    assert_true(plan_digest(&rb, STR("{}"), &d) == first);
    assert_true(plan_digest(&rb, STR("{\"a\":1}"), &d) != first);
    rb.path = STR("b.yaml");
    assert_true(plan_digest(&rb, STR("{}"), &d) != first);
    rb.path = STR("a.yaml");
    rb.hash.bytes[31] = 1;
    assert_true(plan_digest(&rb, STR("{}"), &d) != first);
    rb.hash.bytes[31] = 0;
    for (unsigned i = 0; i < PLAN_GUARDS; i++) {
        d.holds_back[i] = true;
        assert_true(plan_digest(&rb, STR("{}"), &d) != first);
        d.holds_back[i] = false;
        d.text[i] = STR("3 of 4"); /* numbers alone change nothing */
        assert_true(plan_digest(&rb, STR("{}"), &d) == first);
    }
}

static void what_holds_back_is_told(void **state)
{
    struct plan_decisions d = {0};
    struct strbuf out = STRBUF_INIT(1000);
    (void)state;
    plan_tell(&d, &out);
    assert_string_equal(out.at, "nothing holds it back");
    strbuf_reset(&out);
    d.holds_back[PLAN_DISABLED] = d.holds_back[PLAN_CONCURRENCY] = true;
    d.text[PLAN_DISABLED] = STR("x");
    d.text[PLAN_CONCURRENCY] = STR("2 of 2 run");
    plan_tell(&d, &out);
    assert_string_equal(out.at, "disabled: x; concurrency: 2 of 2 run");
    strbuf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_read_back),
        cmocka_unit_test(other_texts_are_no_plans),
        cmocka_unit_test(each_part_changes_the_digest),
        cmocka_unit_test(what_holds_back_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
