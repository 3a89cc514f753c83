/*
 * Any bytes as a runbook: the loader never crashes, says why it refuses, and
 * what it accepts renders or refuses every step without touching anything
 * outside its arena.
 */
#include "tests/fuzz/fuzz.h"

#include "base/assert.h"
#include "model/params.h"
#include "model/runbook_load.h"

/* Each message is one line of UTF-8 with a place or without, never half. */
static void check_report(const struct runbook_report *report, int r)
{
    uint32_t errors = 0;
    VEC_EACH (&report->problems, i) {
        const struct runbook_problem *p = &report->problems.at[i];
        errors += p->warning ? 0 : 1;
        ASSERT(p->err.message[0] != '\0');
        ASSERT(str_is_utf8(str_c(p->err.message)));
        ASSERT(str_is_utf8(str_c(p->err.hint)));
        ASSERT(str_find(str_c(p->err.message), '\n') < 0);
    }
    ASSERT(errors == report->error_count);
    ASSERT((r == 0) == (errors == 0));
}

static void render_steps(const struct runbook *rb)
{
    struct arena a = ARENA_INIT;
    struct err e = ERR_INIT;
    struct str json = STR_NULL;
    int r = params_check(rb, NULL, &a, &json, &e);
    for (uint32_t i = 0; r == 0 && i < rb->step_count; i++) {
        struct step_values v = {.params_json = json};
        struct rendered_step s = {0};
        if (step_render(rb, i, &v, &a, &s, &e) == 0) {
            ASSERT(s.argv != NULL && s.argv[0] != NULL && s.env != NULL);
        }
    }
    arena_deinit(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct runbook_defaults d = RUNBOOK_DEFAULTS;
    struct runbook_report report;
    struct runbook *rb = NULL;
    int r = runbook_load(STR("fuzz.yaml"), str_n((const char *)data, size), &d,
                         &rb, &report);
    check_report(&report, r);
    if (r == 0) {
        ASSERT(rb->name.len != 0 && rb->step_count != 0);
        render_steps(rb);
    }
    runbook_report_deinit(&report);
    runbook_unref(rb);
    return 0;
}
