#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "model/event.h"

static void names_read_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < EVENT_STATUSES; i++) {
        enum event_status back = EVENT_STATUSES;
        const char *name = event_status_name((enum event_status)i);
        assert_int_equal(event_status_parse(str_c(name), &back), 0);
        assert_int_equal(back, i);
    }
    enum event_status s = EVENT_QUEUED;
    assert_int_equal(event_status_parse(STR("Queued"), &s), -EINVAL);
    assert_int_equal(event_status_parse(STR(""), &s), -EINVAL);
    assert_string_equal(event_status_name(EVENT_DEDUPLICATED), "deduplicated");
    assert_string_equal(event_state_name(EVENT_STATE_NONE), "");
    assert_string_equal(event_state_name(EVENT_FIRING), "firing");
    assert_string_equal(event_state_name(EVENT_RESOLVED), "resolved");
}

/* The table, written out once more by hand: from, then where to. */
static void only_these_moves_are_legal(void **state)
{
    (void)state;
    static const struct {
        enum event_status from;
        enum event_status to[6];
        size_t count;
    } legal[] = {
        {EVENT_QUEUED, {EVENT_PROCESSING, EVENT_DRAINED, EVENT_POISON}, 3},
        {EVENT_PROCESSING,
         {EVENT_PROCESSED, EVENT_SUPPRESSED, EVENT_QUEUED, EVENT_ERROR,
          EVENT_POISON},
         5},
        {EVENT_PROCESSED, {EVENT_ARCHIVED}, 1},
        {EVENT_SUPPRESSED, {EVENT_ARCHIVED}, 1},
        {EVENT_DEDUPLICATED, {EVENT_ARCHIVED}, 1},
        {EVENT_DRAINED, {EVENT_QUEUED, EVENT_ARCHIVED}, 2},
        {EVENT_POISON, {EVENT_QUEUED, EVENT_ARCHIVED}, 2},
        {EVENT_ARCHIVED, {EVENT_ARCHIVED}, 0},
        {EVENT_ERROR, {EVENT_PROCESSING, EVENT_DRAINED, EVENT_POISON}, 3},
    };
    assert_int_equal(ARRAY_LEN(legal), EVENT_STATUSES);
    for (size_t i = 0; i < ARRAY_LEN(legal); i++) {
        for (unsigned to = 0; to < EVENT_STATUSES; to++) {
            bool expected = false;
            for (size_t n = 0; n < legal[i].count; n++) {
                expected = expected || legal[i].to[n] == to;
            }
            assert_int_equal(
                event_status_may(legal[i].from, (enum event_status)to),
                expected);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_read_back),
        cmocka_unit_test(only_these_moves_are_legal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
