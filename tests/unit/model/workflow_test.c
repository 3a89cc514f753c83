#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "model/workflow.h"

static void names_read_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WORKFLOW_STATUSES; i++) {
        enum workflow_status s = WORKFLOW_STATUSES;
        const char *name = workflow_status_name((enum workflow_status)i);
        assert_int_equal(workflow_status_parse(str_c(name), &s), 0);
        assert_int_equal(s, i);
    }
    enum workflow_status s = WORKFLOW_HELD;
    assert_int_equal(workflow_status_parse(STR("Running"), &s), -EINVAL);
    assert_int_equal(workflow_status_parse(STR(""), &s), -EINVAL);
    assert_int_equal(s, WORKFLOW_HELD);
    assert_string_equal(workflow_result_name(RESULT_NONE), "");
    assert_string_equal(workflow_result_name(RESULT_DRY_RUN), "dry_run");
    for (unsigned i = 0; i < ATTEMPT_STATES; i++) {
        assert_non_null(attempt_state_name((enum attempt_state)i));
    }
}

/* The tables as pictures: a row is what may follow. */
static const char *const workflows[WORKFLOW_STATUSES] = {
    /* q r w s f c k h */
    "xx..xxxx",                                                 /* queued */
    ".xxxxxxx",                                                 /* running */
    ".xx.xxxx",                                                 /* waiting */
    "........", "........", "........", "........", ".x..xxxx", /* held */
};

static const char *const attempts[ATTEMPT_STATES] = {
    /* s r s f t u c r s p */
    "xxxxxxxx.x", /* starting */
    ".xxxxxx..x", /* running */
    "..........", "..........", "..........", "..........",
    "..........", "..........", "..........", "..........",
};

static void transitions(void **state)
{
    (void)state;
    for (unsigned from = 0; from < WORKFLOW_STATUSES; from++) {
        for (unsigned to = 0; to < WORKFLOW_STATUSES; to++) {
            assert_int_equal(workflow_status_may((enum workflow_status)from,
                                                 (enum workflow_status)to),
                             workflows[from][to] == 'x');
        }
        assert_int_equal(workflow_status_is_final((enum workflow_status)from),
                         strchr(workflows[from], 'x') == NULL);
    }
    for (unsigned from = 0; from < ATTEMPT_STATES; from++) {
        for (unsigned to = 0; to < ATTEMPT_STATES; to++) {
            assert_int_equal(attempt_state_may((enum attempt_state)from,
                                               (enum attempt_state)to),
                             attempts[from][to] == 'x');
        }
        assert_int_equal(attempt_state_is_final((enum attempt_state)from),
                         strchr(attempts[from], 'x') == NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_read_back),
        cmocka_unit_test(transitions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
