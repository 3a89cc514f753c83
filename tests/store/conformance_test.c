/* Every case of every table, over every driver. */
#include "tests/store/fixture.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/vec.h"

static const struct store_driver *const drivers[] = {&store_memory,
                                                     &store_sqlite};

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
    };
    VEC(struct CMUnitTest) tests = {0};
    struct arena names = ARENA_INIT;
    for (size_t d = 0; d < ARRAY_LEN(drivers); d++) {
        for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
            for (size_t c = 0; c < tables[t].count; c++) {
                char *name = arena_alloc(&names, 100, 1);
                (void)snprintf(name, 100, "%s: %s", drivers[d]->name,
                               tables[t].cases[c].name);
                VEC_PUSH(&tests,
                         (struct CMUnitTest){
                             .name = name,
                             .test_func = tables[t].cases[c].run,
                             .setup_func = fixture_setup,
                             .teardown_func = fixture_teardown,
                             .initial_state = (void *)(uintptr_t)drivers[d],
                         });
            }
        }
    }
    int failed = _cmocka_run_group_tests("store conformance", tests.at,
                                         tests.count, NULL, NULL);
    VEC_DEINIT(&tests);
    arena_deinit(&names);
    return failed;
}
