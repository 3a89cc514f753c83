/* Every case of every table, over every driver. */
#include "tests/store/fixture.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/vec.h"

static const struct store_driver *const drivers[] = {&store_memory,
                                                     &store_sqlite};

struct suite {
    VEC(struct CMUnitTest) tests;
    struct arena names;
};

static void add(struct suite *suite, const struct store_driver *driver,
                const struct conformance_case *c)
{
    char *name = arena_alloc(&suite->names, 100, 1);
    (void)snprintf(name, 100, "%s: %s", driver->name, c->name);
    VEC_PUSH(&suite->tests, (struct CMUnitTest){
                                .name = name,
                                .test_func = c->run,
                                .setup_func = fixture_setup,
                                .teardown_func = fixture_teardown,
                                .initial_state = (void *)(uintptr_t)driver,
                            });
}

int main(void)
{
    const struct {
        const struct conformance_case *cases;
        size_t count;
    } tables[] = {
        {event_cases, event_case_count},
        {workflow_cases, workflow_case_count},
        {reader_cases, reader_case_count},
        {committer_cases, committer_case_count},
        {change_cases, change_case_count},
        {notice_cases, notice_case_count},
        {drop_cases, drop_case_count},
        {memory_cases, memory_case_count},
        {watch_cases, watch_case_count},
    };
    struct suite suite = {0};
    for (size_t d = 0; d < ARRAY_LEN(drivers); d++) {
        for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
            for (size_t c = 0; c < tables[t].count; c++) {
                add(&suite, drivers[d], &tables[t].cases[c]);
            }
        }
    }
    int failed = _cmocka_run_group_tests("store conformance", suite.tests.at,
                                         suite.tests.count, NULL, NULL);
    VEC_DEINIT(&suite.tests);
    arena_deinit(&suite.names);
    return failed;
}
