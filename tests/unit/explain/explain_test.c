/* What explain says of an event, and that its verdicts are the matcher's. */
#include "explain/explain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/prng.h"
#include "expr/cel_text.h"
#include "model/runbook_load.h"

#define NOW_MS 1795465700000

static struct generation_file file(const char *path, const char *triggers)
{
    struct runbook_defaults d = RUNBOOK_DEFAULTS;
    struct runbook_report report;
    struct generation_file f = {.path = str_c(path), .state = FILE_LOADED};
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    strbuf_addf(&text, "name: x\nsteps: [{name: a, command: x}]\ntriggers:\n%s",
                triggers);
    if (runbook_load(f.path, strbuf_str(&text), &d, &f.runbook, &report) < 0) {
        fail_msg("%s: %s", path, report.problems.at[0].err.message);
    }
    runbook_report_deinit(&report);
    strbuf_deinit(&text);
    return f;
}

static void explain(const struct generation *g, const struct event *e,
                    uint32_t first, uint32_t limit, struct explanation *ret)
{
    struct explain_query q = {.generation = g,
                              .event = e,
                              .input = {.now_ms = NOW_MS},
                              .first = first,
                              .limit = limit};
    explain_event(&q, ret);
}

/* ---- what is said -------------------------------------------------------- */

/* "path#n verdict" with a line per condition and term. */
static void print(const struct explanation *x, struct strbuf *out)
{
    for (uint32_t i = 0; i < x->count; i++) {
        const struct explained_trigger *t = &x->triggers[i];
        strbuf_addf(out, "%.*s#%u %s\n", STR_ARG(t->runbook->path),
                    t->trigger_no, explain_verdict_name(t->verdict));
        for (uint32_t k = 0; k < t->condition_count; k++) {
            const struct explain_condition *c = &t->conditions[k];
            strbuf_addf(out, " %d %.*s is '%.*s', wanted %.*s\n", c->holds,
                        STR_ARG(c->what), STR_ARG(c->actual),
                        STR_ARG(c->wanted));
        }
        for (uint32_t k = 0; k < t->when.term_count; k++) {
            const struct cel_term *term = &t->when.terms[k];
            strbuf_addf(out, " %*s%.*s: ", (int)term->depth, "",
                        STR_ARG(term->text));
            if (term->times != 0) {
                cel_text_literal(term->value, out);
            }
            strbuf_addch(out, '\n');
        }
        if (t->when_error.len != 0) {
            strbuf_addf(out, " ! %.*s\n", STR_ARG(t->when_error));
        }
    }
}

static void expect(const struct generation *g, const struct event *e,
                   const char *wanted)
{
    struct explanation x = {0};
    struct strbuf text = STRBUF_INIT(65536);
    explain(g, e, 0, EXPLAIN_TRIGGERS_MAX, &x);
    print(&x, &text);
    assert_string_equal(strbuf_str(&text).at, wanted);
    strbuf_deinit(&text);
    explanation_deinit(&x);
}

static void every_condition_has_its_values(void **state)
{
    (void)state;
    struct generation_file files[] = {
        file("far.yaml", "- {type: metric, severity: [high, low, mid],"
                         " source: s, state: resolved}\n"),
        file("near.yaml",
             "- {type: alert, labels: {env: prod}, matchers: "
             "['instance=~db-.*', 'gone=\"\"'], when: event.value > 90}\n"),
        file("starts.yaml", "- {type: alert, matchers: ['instance!=x'], when: "
                            "'event.value > 90 && event.severity == \"c\"'}\n"),
    };
    struct generation *g = generation_new(files, 3, STR(""), 1, 1);
    struct label labels[] = {{STR("env"), STR("prod")},
                             {STR("instance"), STR("web-1")}};
    struct event e = {.type = STR("alert"),
                      .severity = STR("c"),
                      .state = EVENT_FIRING,
                      .labels = {labels, 2},
                      .body = STR("{\"value\":95}")};
    expect(g, &e,
           "starts.yaml#0 matches\n"
           " 1 type is 'alert', wanted alert\n"
           " 1 state is 'firing', wanted not resolved\n"
           " 1 label instance is 'web-1', wanted != x\n"
           " event.value > 90 && event.severity == \"c\": true\n"
           "  event.value > 90: true\n"
           "   event.value: 95.0\n"
           "  event.severity == \"c\": true\n"
           "   event.severity: \"c\"\n"
           "near.yaml#0 misses\n"
           " 1 type is 'alert', wanted alert\n"
           " 1 state is 'firing', wanted not resolved\n"
           " 1 label env is 'prod', wanted = prod\n"
           " 0 label instance is 'web-1', wanted =~ db-.*\n"
           " 1 label gone is '', wanted = \"\"\n"
           " event.value > 90: true\n"
           "  event.value: 95.0\n"
           "far.yaml#0 misses\n"
           " 0 type is 'alert', wanted metric\n"
           " 0 state is 'firing', wanted resolved\n"
           " 0 severity is 'c', wanted high, low or mid\n"
           " 0 source is '', wanted s\n");
    generation_unref(g);
}

static void what_has_no_value_says_why(void **state)
{
    (void)state;
    struct generation_file f =
        file("a.yaml", "- {type: t, when: 'event.labels.env == \"prod\"'}\n"
                       "- {type: t, when: dyn(event.type)}\n");
    struct generation *g = generation_new(&f, 1, STR(""), 1, 1);
    struct event e = {.type = STR("t"), .body = STR("{}")};
    expect(g, &e,
           "a.yaml#0 no_value\n"
           " 1 type is 't', wanted t\n"
           " 1 state is '', wanted not resolved\n"
           " event.labels.env == \"prod\": error: no such key: 'env'\n"
           "  event.labels.env: error: no such key: 'env'\n"
           " ! 1:14: no such key: 'env'\n"
           "a.yaml#1 no_value\n"
           " 1 type is 't', wanted t\n"
           " 1 state is '', wanted not resolved\n"
           " dyn(event.type): \"t\"\n"
           "  event.type: \"t\"\n"
           " ! it gives string, not true or false\n");
    generation_unref(g);
}

static void pages_follow_the_ranking(void **state)
{
    (void)state;
    struct generation_file f = file("a.yaml", "- {type: x, source: y}\n"
                                              "- {type: t}\n"
                                              "- {type: t, source: y}\n"
                                              "- {type: x}\n");
    struct generation *g = generation_new(&f, 1, STR(""), 1, 1);
    struct event e = {.type = STR("t"), .body = STR("{}")};
    /* The state holds everywhere; 2 has one condition more that is met. */
    static const uint32_t order[] = {1, 2, 3, 0};
    for (uint32_t first = 0; first < 6; first++) {
        struct explanation x = {0};
        explain(g, &e, first, 2, &x);
        assert_int_equal(x.considered, 4);
        assert_int_equal(x.of[EXPLAIN_MATCHES], 1);
        assert_int_equal(x.of[EXPLAIN_MISSES], 3);
        assert_int_equal(x.count, first < 3 ? 2 : first == 3 ? 1 : 0);
        assert_int_equal(x.more, first < 2);
        for (uint32_t i = 0; i < x.count; i++) {
            assert_int_equal(x.triggers[i].trigger_no, order[first + i]);
        }
        explanation_deinit(&x);
    }
    struct explanation x = {0};
    struct explain_query q = {.generation = g,
                              .event = &e,
                              .runbook = STR("a.yaml"),
                              .only_starts = true,
                              .limit = 10};
    explain_event(&q, &x);
    assert_int_equal(x.count, 1);
    assert_int_equal(x.considered, 4);
    assert_false(x.more);
    explanation_deinit(&x);
    x = (struct explanation){0};
    q.runbook = STR("b.yaml");
    explain_event(&q, &x);
    assert_int_equal(x.considered, 0);
    explanation_deinit(&x);
    generation_unref(g);
}

/* A hostile event and ten thousand patterns: they are tried where the matcher
 * would, and to rank what misses only until the limit. */
static void patterns_are_bounded(void **state)
{
    static char many[2000];
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    struct generation_file files[200];
    char path[200][16];
    (void)state;
    memset(many, 'a', sizeof(many));
    for (unsigned i = 0; i < 50; i++) {
        strbuf_addc(&text, "- {type: x, matchers: ['x=~(a+)+[0-9]']}\n");
    }
    for (unsigned i = 0; i < 200; i++) {
        (void)snprintf(path[i], sizeof(path[i]), "f%03u.yaml", i);
        files[i] = file(path[i], strbuf_str(&text).at);
    }
    struct generation *g = generation_new(files, 200, STR(""), 1, 1);
    struct label label = {STR("x"), str_n(many, sizeof(many))};
    struct event e = {
        .type = STR("t"), .labels = {&label, 1}, .body = STR("{}")};
    struct explanation x = {0};
    explain(g, &e, 0, 1, &x);
    assert_int_equal(x.considered, 10000);
    assert_int_equal(x.of[EXPLAIN_MISSES], 10000);
    assert_int_equal(x.triggers[0].conditions[2].holds, -E2BIG);
    explanation_deinit(&x);
    generation_unref(g);
    strbuf_deinit(&text);
}

/* ---- the verdicts are the matcher's -------------------------------------- */

#define ROUNDS 200
#define EVENTS 20

static const char *const values[] = {"", "a", "b", "c"};

static const char *pick(struct prng *p, const char *const *from, size_t n)
{
    return from[prng_below(p, n)];
}

static void add_when(struct prng *p, struct strbuf *out)
{
    static const char *const conditions[] = {
        "event.value > 1.0",
        "event.labels.l0 == 'a'",
        "has(event.labels.l1) && event.labels.l1 != 'b'",
        "event.labels.?l2.orValue('') == '' || event.value < 2.0",
        "event.type == event.severity ? event.labels.l0 == 'b' : true",
        "event.labels.exists(k, event.labels[k] == 'c')",
        "dyn(event.value)",
        "[0,1,2,3,4,5,6,7,8,9].all(a, [0,1,2,3,4,5,6,7,8,9].all(b, "
        "[0,1,2,3,4,5,6,7,8,9].all(c, [0,1,2,3,4,5,6,7,8,9].all(d, "
        "[0,1,2,3,4,5,6,7,8,9].all(e, a + b + c + d + e >= 0)))))",
    };
    size_t n = ARRAY_LEN(conditions) - (prng_below(p, 8) != 0);
    strbuf_addf(out, ", when: \"%s\"", conditions[prng_below(p, n)]);
}

static void add_trigger(struct prng *p, struct strbuf *out)
{
    static const char *const states[] = {"firing", "resolved", "any"};
    static const char *const ops[] = {"=", "=", "!=", "=~", "!~"};
    strbuf_addf(out, "- {state: %s", pick(p, states, 3));
    if (prng_below(p, 3) != 0) {
        strbuf_addf(out, ", type: %s", pick(p, values + 1, 3));
    }
    if (prng_below(p, 4) == 0) {
        strbuf_addf(out, ", severity: [%s, %s]", pick(p, values + 1, 3),
                    pick(p, values + 1, 3));
    }
    if (prng_below(p, 4) == 0) {
        strbuf_addf(out, ", source: %s", pick(p, values + 1, 3));
    }
    strbuf_addc(out, ", matchers: [");
    uint64_t count = prng_below(p, 3);
    for (uint64_t i = 0; i < count; i++) {
        strbuf_addf(out, "%s'l%u%s%s'", i == 0 ? "" : ", ",
                    (unsigned)prng_below(p, 3), pick(p, ops, 5),
                    prng_below(p, 3) == 0 ? "(a+)+[0-9]" : pick(p, values, 4));
    }
    strbuf_addch(out, ']');
    if (prng_below(p, 2) == 0) {
        add_when(p, out);
    }
    strbuf_addc(out, "}\n");
}

static void random_event(struct prng *p, struct event *e, struct label *labels)
{
    static const char *const names[] = {"l0", "l1", "l2"};
    static const char *const bodies[] = {"{}", "{\"value\":1}",
                                         "{\"value\":5}"};
    static char many[2000];
    memset(many, 'a', sizeof(many));
    *e = (struct event){.type = str_c(pick(p, values, 4)),
                        .severity = str_c(pick(p, values, 4)),
                        .source = str_c(pick(p, values, 4)),
                        .state = (enum event_state)prng_below(p, 3),
                        .body = str_c(pick(p, bodies, 3)),
                        .labels = {labels, 0}};
    for (unsigned i = 0; i < 3; i++) {
        if (prng_below(p, 3) != 0) {
            labels[e->labels.count++] = (struct label){
                str_c(names[i]), prng_below(p, 6) == 0
                                     ? str_n(many, sizeof(many))
                                     : str_c(pick(p, values + 1, 3))};
        }
    }
}

/* What generation_match says of this trigger. */
static enum explain_verdict matched(const struct matches *m,
                                    const struct explained_trigger *t)
{
    VEC_EACH (&m->found, i) {
        if (m->found.at[i].runbook == t->runbook &&
            m->found.at[i].trigger_no == t->trigger_no) {
            return m->found.at[i].undecided != NULL ? EXPLAIN_UNDECIDED
                                                    : EXPLAIN_MATCHES;
        }
    }
    VEC_EACH (&m->failed, i) {
        if (m->failed.at[i].runbook == t->runbook &&
            m->failed.at[i].trigger_no == t->trigger_no) {
            assert_true(str_eq(m->failed.at[i].reason, t->when_error));
            return EXPLAIN_NO_VALUE;
        }
    }
    return EXPLAIN_MISSES;
}

/* What the conditions that are shown say together. */
static enum explain_verdict concluded(const struct explained_trigger *t)
{
    bool undecided = false;
    for (uint32_t i = 0; i < t->condition_count; i++) {
        if (t->conditions[i].holds == 0) {
            return EXPLAIN_MISSES;
        }
        undecided = undecided || t->conditions[i].holds < 0;
    }
    if (t->has_when && t->when.value.kind != CEL_BOOL) {
        return EXPLAIN_NO_VALUE;
    }
    if (t->has_when && !t->when.value.boolean) {
        return EXPLAIN_MISSES;
    }
    return undecided ? EXPLAIN_UNDECIDED : EXPLAIN_MATCHES;
}

static void compare(const struct generation *g, const struct event *e,
                    uint32_t seen[EXPLAIN_VERDICTS])
{
    static const struct match_input input = {.now_ms = NOW_MS};
    struct matches m = {0};
    struct explanation x = {0};
    generation_match(g, e, &input, &m);
    explain(g, e, 0, EXPLAIN_TRIGGERS_MAX, &x);
    assert_int_equal(x.count, x.considered);
    for (uint32_t i = 0; i < x.count; i++) {
        const struct explained_trigger *t = &x.triggers[i];
        assert_int_equal(t->verdict, matched(&m, t));
        assert_int_equal(t->verdict, concluded(t));
        assert_true(i == 0 || x.triggers[i - 1].verdict <= t->verdict);
        seen[t->verdict]++;
    }
    assert_int_equal(x.of[EXPLAIN_MATCHES] + x.of[EXPLAIN_UNDECIDED],
                     m.found.count);
    assert_int_equal(x.of[EXPLAIN_NO_VALUE], m.failed.count);
    explanation_deinit(&x);
    matches_deinit(&m);
}

static struct generation *random_generation(struct prng *p)
{
    struct generation_file files[4];
    static const char *const paths[] = {"a.yaml", "b.yaml", "c.yaml", "d.yaml"};
    for (unsigned i = 0; i < 4; i++) {
        struct strbuf text = STRBUF_INIT(65536);
        uint64_t count = 1 + prng_below(p, 8);
        for (uint64_t k = 0; k < count; k++) {
            add_trigger(p, &text);
        }
        files[i] = file(paths[i], strbuf_str(&text).at);
        strbuf_deinit(&text);
    }
    return generation_new(files, 4, STR(""), 1, 1);
}

static void verdicts_are_the_matchers(void **state)
{
    uint32_t seen[EXPLAIN_VERDICTS] = {0};
    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct prng p;
        prng_seed(&p, seed);
        struct generation *g = random_generation(&p);
        for (unsigned i = 0; i < EVENTS; i++) {
            struct label labels[3];
            struct event e;
            random_event(&p, &e, labels);
            compare(g, &e, seen);
        }
        generation_unref(g);
    }
    for (size_t i = 0; i < EXPLAIN_VERDICTS; i++) {
        assert_true(seen[i] > 50); /* the test has met them all */
    }
}

/* More conditions than one event may pay for: they run out at the same one. */
static void budgets_run_out_alike(void **state)
{
    struct strbuf text = STRBUF_INIT(65536);
    struct generation_file files[110];
    char path[110][16];
    uint32_t seen[EXPLAIN_VERDICTS] = {0};
    static const char list[] = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]";
    (void)state;
    strbuf_addf(&text,
                "- type: t\n  when: \"%s.all(a, %s.all(b, %s.all(c, %s.all(d, "
                "%s.all(e, a + b + c + d + e >= event.priority)))))\"\n",
                list, list, list, list, list);
    for (unsigned i = 0; i < 110; i++) {
        (void)snprintf(path[i], sizeof(path[i]), "f%03u.yaml", i);
        files[i] = file(path[i], i % 10 == 9 ? "- {type: t, when: "
                                               "'event.type == \"t\"'}\n"
                                             : strbuf_str(&text).at);
    }
    struct generation *g = generation_new(files, 110, STR(""), 1, 1);
    struct event e = {.type = STR("t"), .body = STR("{}")};
    struct matches m = {0};
    static const struct match_input input = {.now_ms = NOW_MS};
    generation_match(g, &e, &input, &m);
    for (uint32_t first = 0; first < 110; first += 10) {
        struct explanation x = {0};
        explain(g, &e, first, 10, &x);
        for (uint32_t i = 0; i < x.count; i++) {
            assert_int_equal(x.triggers[i].verdict,
                             matched(&m, &x.triggers[i]));
            seen[x.triggers[i].verdict]++;
        }
        explanation_deinit(&x);
    }
    assert_true(seen[EXPLAIN_MATCHES] > 5 && seen[EXPLAIN_NO_VALUE] > 90);
    matches_deinit(&m);
    generation_unref(g);
    strbuf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_condition_has_its_values),
        cmocka_unit_test(what_has_no_value_says_why),
        cmocka_unit_test(pages_follow_the_ranking),
        cmocka_unit_test(patterns_are_bounded),
        cmocka_unit_test(verdicts_are_the_matchers),
        cmocka_unit_test(budgets_run_out_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
