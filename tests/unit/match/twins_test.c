/* Copies of runbooks: one event would start both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/strbuf.h"
#include "match/twins.h"
#include "model/runbook_load.h"

#define FILES_MAX 8

struct set {
    struct generation_file files[FILES_MAX];
    uint32_t count;
    struct generation *g;
};

static void add(struct set *s, const char *path, const char *name,
                const char *triggers)
{
    struct runbook_defaults d = RUNBOOK_DEFAULTS;
    struct runbook_report report;
    struct strbuf text = STRBUF_INIT(64 * 1024);
    struct generation_file *f = &s->files[s->count++];
    strbuf_addf(&text, "name: %s\nsteps: [{name: a, command: x}]\n%s%s", name,
                triggers[0] != '\0' ? "triggers:\n" : "", triggers);
    *f = (struct generation_file){.path = str_c(path), .state = FILE_LOADED};
    if (runbook_load(f->path, strbuf_str(&text), &d, &f->runbook, &report) <
        0) {
        fail_msg("%s: %s", path, report.problems.at[0].err.message);
    }
    runbook_report_deinit(&report);
    strbuf_deinit(&text);
}

static void make(struct set *s)
{
    s->g = generation_new(s->files, s->count, STR(""), 1, 1);
}

static bool is_not(const void *context, struct str path)
{
    return !str_eq_c(path, context);
}

/* disabled: a path, or "". */
static void expect(const struct set *s, const char *path, const char *disabled,
                   enum twin_kind kind, const char *other)
{
    const struct generation_file *f = generation_file(s->g, str_c(path));
    struct twin t = generation_twin(s->g, f, is_not, disabled);
    assert_int_equal(t.kind, kind);
    if (kind != TWIN_NONE) {
        struct err e = ERR_INIT;
        assert_true(str_eq_c(t.other->path, other));
        twin_explain(&t, &e);
        assert_non_null(strstr(e.message, other));
    }
}

static void a_copy_is_found(void **state)
{
    (void)state;
    struct set s = {.count = 0};
    add(&s, "b.yaml", "x", "- {type: alert}\n");
    add(&s, "a.yaml", "x", "- {type: alert}\n");
    add(&s, "c.yaml", "y", "- {type: metric}\n");
    make(&s);
    expect(&s, "a.yaml", "", TWIN_COPY, "b.yaml");
    expect(&s, "b.yaml", "", TWIN_COPY, "a.yaml");
    expect(&s, "c.yaml", "", TWIN_NONE, "");
    generation_unref(s.g);
}

/* Order, repetition and what a trigger gives make no difference; each
 * condition does. */
static void the_same_conditions_are_the_same_set(void **state)
{
    (void)state;
    static const char first[] =
        "- {type: alert, severity: [a, b], source: s, labels: {x: '1'},\n"
        "   matchers: ['y!=2']}\n"
        "- {type: metric}\n";
    static const char same[] =
        "- {type: metric}\n"
        "- {type: alert, severity: [b, a, a], source: [s],\n"
        "   matchers: ['y!=2', 'x=1']}\n"
        "- {type: metric}\n";
    static const char *const others[] = {
        "- {type: metric}\n",
        "- {type: alert, severity: [a, b], source: s, matchers: ['y!=2']}\n"
        "- {type: metric}\n",
        "- {type: alert, severity: [a, b], source: s, labels: {x: '1'},\n"
        "   matchers: ['y=2']}\n"
        "- {type: metric}\n",
        "- {type: alert, state: any, severity: [a, b], source: s,\n"
        "   labels: {x: '1'}, matchers: ['y!=2']}\n"
        "- {type: metric}\n",
        "- {type: alert, severity: [a, b], source: s, labels: {x: '1'},\n"
        "   matchers: ['y!=2'], when: event.value > 1}\n"
        "- {type: metric}\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct set s = {.count = 0};
        add(&s, "a.yaml", "a", first);
        add(&s, "b.yaml", "b", same);
        add(&s, "c.yaml", "c", others[i]);
        make(&s);
        expect(&s, "a.yaml", "", TWIN_TRIGGERS, "b.yaml");
        expect(&s, "b.yaml", "", TWIN_TRIGGERS, "a.yaml");
        expect(&s, "c.yaml", "", TWIN_NONE, "");
        generation_unref(s.g);
    }
}

static void what_is_disabled_does_not_count(void **state)
{
    (void)state;
    struct set s = {.count = 0};
    add(&s, "a.yaml", "a", "- {type: alert}\n");
    add(&s, "b.yaml", "b", "- {type: alert}\n");
    add(&s, "c.yaml", "c", "- {type: alert}\n");
    make(&s);
    expect(&s, "c.yaml", "", TWIN_TRIGGERS, "a.yaml");
    expect(&s, "c.yaml", "a.yaml", TWIN_TRIGGERS, "b.yaml");
    expect(&s, "a.yaml", "a.yaml", TWIN_NONE, "");
    generation_unref(s.g);
}

static void a_name_is_told_when_nothing_worse_is(void **state)
{
    (void)state;
    struct set s = {.count = 0};
    add(&s, "a.yaml", "same", "");
    add(&s, "b.yaml", "same", "");
    add(&s, "c.yaml", "same", "- {type: alert}\n");
    add(&s, "d.yaml", "other", "- {type: alert}\n");
    s.files[s.count++] =
        (struct generation_file){.path = STR("e.yaml"), .state = FILE_REJECTED};
    make(&s);
    expect(&s, "a.yaml", "", TWIN_NAME, "b.yaml");
    expect(&s, "b.yaml", "", TWIN_NAME, "a.yaml");
    expect(&s, "c.yaml", "", TWIN_TRIGGERS, "d.yaml");
    expect(&s, "e.yaml", "", TWIN_NONE, "");
    generation_unref(s.g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_is_found),
        cmocka_unit_test(the_same_conditions_are_the_same_set),
        cmocka_unit_test(what_is_disabled_does_not_count),
        cmocka_unit_test(a_name_is_told_when_nothing_worse_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
