#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/prng.h"
#include "base/strbuf.h"
#include "match/index.h"
#include "model/runbook_load.h"

static const struct match_input input = {.now_ms = 1795465700000};

static struct runbook *load(const char *path, struct str text)
{
    struct runbook_defaults d = RUNBOOK_DEFAULTS;
    struct runbook_report report;
    struct runbook *rb = NULL;
    int r = runbook_load(str_c(path), text, &d, &rb, &report);
    if (r < 0) {
        fail_msg("%s: %s", path, report.problems.at[0].err.message);
    }
    runbook_report_deinit(&report);
    return rb;
}

/* A runbook with these triggers (YAML, without the key). */
static struct generation_file file(const char *path, const char *triggers)
{
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    strbuf_addf(&text, "name: x\nsteps: [{name: a, command: x}]\ntriggers:\n%s",
                triggers);
    struct generation_file f = {.path = str_c(path), .state = FILE_LOADED};
    f.runbook = load(path, strbuf_str(&text));
    strbuf_deinit(&text);
    return f;
}

static bool matches(const struct generation *g, const struct event *e,
                    const char *path, uint32_t trigger_no)
{
    struct matches m = {0};
    bool found = false;
    generation_match(g, e, &input, &m);
    VEC_EACH (&m.found, i) {
        found = found || (str_eq_c(m.found.at[i].runbook->path, path) &&
                          m.found.at[i].trigger_no == trigger_no);
    }
    matches_deinit(&m);
    return found;
}

static void each_condition_counts(void **state)
{
    (void)state;
    struct generation_file f =
        file("a.yaml", "- {type: alert, severity: [a, b, a], source: s,\n"
                       "   labels: {x: '1', gone: ''}, matchers: ['y!=2']}\n"
                       "- {type: alert, state: resolved}\n"
                       "- {type: alert, state: any}\n"
                       "- {severity: a}\n"
                       "- {matchers: ['x=~[0-9]+']}\n");
    struct generation *g = generation_new(&f, 1, STR("abc"), 3, 4);
    struct label labels[] = {{STR("x"), STR("1")}};
    struct event e = {.type = STR("alert"),
                      .state = EVENT_FIRING,
                      .severity = STR("b"),
                      .source = STR("s"),
                      .labels = {labels, 1}};
    assert_true(matches(g, &e, "a.yaml", 0));
    assert_false(matches(g, &e, "a.yaml", 1));
    assert_true(matches(g, &e, "a.yaml", 2));
    assert_false(matches(g, &e, "a.yaml", 3));
    assert_true(matches(g, &e, "a.yaml", 4));
    e.state = EVENT_RESOLVED;
    assert_false(matches(g, &e, "a.yaml", 0));
    assert_true(matches(g, &e, "a.yaml", 1));
    e.state = EVENT_STATE_NONE;
    assert_true(matches(g, &e, "a.yaml", 0));
    e.severity = STR("c");
    assert_false(matches(g, &e, "a.yaml", 0));
    e.severity = STR("a");
    assert_true(matches(g, &e, "a.yaml", 3));
    e.source = STR("t");
    assert_false(matches(g, &e, "a.yaml", 0));
    e.source = STR("s");
    e.type = STR("metric");
    assert_false(matches(g, &e, "a.yaml", 0));
    e.type = STR("alert");
    labels[0].value = STR("z");
    assert_false(matches(g, &e, "a.yaml", 0));
    assert_false(matches(g, &e, "a.yaml", 4));
    assert_int_equal(g->number, 3);
    assert_true(str_eq_c(g->commit, "abc"));
    generation_unref(g);
}

static void files_are_sorted_and_found(void **state)
{
    (void)state;
    struct err problem = ERR_INIT;
    (void)err_set(&problem, -EINVAL, "bad");
    struct generation_file files[] = {
        file("b.yaml", "- {type: t}\n- {type: t}\n"),
        {.path = STR("c.yaml"),
         .state = FILE_REJECTED,
         .problems = &problem,
         .problem_count = 1},
        file("a.yaml", "- {type: t}\n"),
    };
    struct generation *g = generation_new(files, 3, STR(""), 1, 1);
    assert_ptr_equal(generation_ref(g), g);
    generation_unref(g);
    (void)err_set(&problem, -EINVAL, "changed"); /* it was copied */
    assert_true(str_eq_c(g->files[0].path, "a.yaml"));
    assert_string_equal(g->files[2].problems[0].message, "bad");
    assert_non_null(generation_runbook(g, STR("b.yaml")));
    assert_null(generation_runbook(g, STR("c.yaml")));
    assert_non_null(generation_file(g, STR("c.yaml")));
    assert_null(generation_file(g, STR("d.yaml")));
    struct event e = {.type = STR("t")};
    struct matches m = {0};
    generation_match(g, &e, &input, &m);
    assert_int_equal(m.found.count, 3);
    assert_true(str_eq_c(m.found.at[0].runbook->path, "a.yaml"));
    assert_int_equal(m.found.at[1].trigger_no, 0);
    assert_int_equal(m.found.at[2].trigger_no, 1);
    matches_deinit(&m);
    generation_unref(g);
    generation_unref(NULL);
}

static void an_empty_generation_matches_nothing(void **state)
{
    (void)state;
    struct generation *g = generation_new(NULL, 0, STR(""), 1, 1);
    struct event e = {.type = STR("t")};
    struct matches m = {0};
    generation_match(g, &e, &input, &m);
    assert_int_equal(m.found.count, 0);
    assert_null(generation_file(g, STR("a.yaml")));
    generation_unref(g);
}

static void a_runaway_regex_hides_no_other_trigger(void **state)
{
    (void)state;
    static char many[2000];
    memset(many, 'a', sizeof(many));
    struct generation_file files[] = {
        file("a.yaml", "- {type: t}\n"),
        file("b.yaml", "- {matchers: ['x=~(a+)+[0-9]']}\n"),
        file("c.yaml", "- {type: t}\n"),
    };
    struct generation *g = generation_new(files, 3, STR(""), 1, 1);
    struct label label = {STR("x"), str_n(many, sizeof(many))};
    struct event e = {.type = STR("t"), .labels = {&label, 1}};
    struct matches m = {0};
    generation_match(g, &e, &input, &m);
    assert_int_equal(m.found.count, 3);
    assert_null(m.found.at[0].undecided);
    assert_non_null(m.found.at[1].undecided);
    assert_true(str_eq_c(m.found.at[1].runbook->path, "b.yaml"));
    assert_null(m.found.at[2].undecided);
    struct arena a = ARENA_INIT;
    struct str text = match_undecided_text(&m.found.at[1], &a);
    assert_non_null(strstr(text.at, "label 'x'"));
    arena_deinit(&a);
    matches_deinit(&m);
    generation_unref(g);
}

/* What the conditions of c.yaml's triggers make of an event. */
static void expect_conditions(const struct generation *g, const struct event *e,
                              const char *found, const char *failed)
{
    struct matches m = {0};
    struct strbuf text = STRBUF_INIT(1024);
    generation_match(g, e, &input, &m);
    VEC_EACH (&m.found, i) {
        strbuf_addf(&text, "%u ", m.found.at[i].trigger_no);
    }
    strbuf_addc(&text, "");
    assert_string_equal(text.len == 0 ? "" : text.at, found);
    strbuf_reset(&text);
    VEC_EACH (&m.failed, i) {
        strbuf_addf(&text, "%u %.*s;", m.failed.at[i].trigger_no,
                    STR_ARG(m.failed.at[i].reason));
    }
    assert_string_equal(text.len == 0 ? "" : text.at, failed);
    matches_deinit(&m);
    strbuf_deinit(&text);
}

static void conditions_decide_last(void **state)
{
    (void)state;
    struct generation_file f =
        file("c.yaml", "- {type: t, when: event.value > 90}\n"
                       "- {type: t, when: 'event.labels.env == \"prod\"'}\n"
                       "- {type: other, when: 1 / 0 == 1}\n"
                       "- {type: t, when: 'has(event.labels.env) && "
                       "event.labels.env == \"prod\"'}\n"
                       "- {when: now - event.received_at > duration(\"1m\")}\n"
                       "- {type: t, when: dyn(event.type)}\n"
                       "- {type: t, when: now.getHours(\"No/Where\") < 24}\n");
    struct generation *g = generation_new(&f, 1, STR(""), 1, 1);
    struct label label = {STR("env"), STR("prod")};
    struct event e = {.type = STR("t"),
                      .labels = {&label, 1},
                      .received_ms = input.now_ms - 61000,
                      .body = STR("{\"value\":95}")};
    static const char both[] =
        "5 it gives string, not true or false;"
        "6 1:5: there is no time zone 'No/Where': write a name like "
        "Europe/Vienna or an offset like +02:00;";
    expect_conditions(g, &e, "0 1 3 4 ", both);
    e.labels.count = 0;
    e.received_ms = input.now_ms;
    e.body = STR("{\"value\":90}");
    struct matches m = {0};
    generation_match(g, &e, &input, &m);
    assert_int_equal(m.found.count, 0);
    assert_int_equal(m.failed.count, 3);
    struct arena a = ARENA_INIT;
    assert_string_equal(m.failed.at[0].reason.at, "1:14: no such key: 'env'");
    assert_non_null(strstr(
        match_failures_text(&m, &a).at,
        "trigger 2 of c.yaml starts nothing, because its condition has no "
        "value: 1:14: no such key: 'env'; trigger 6 of c.yaml"));
    arena_deinit(&a);
    matches_deinit(&m);
    generation_unref(g);
}

/* A trigger whose condition uses up what it is given. */
static void add_endless(struct strbuf *out)
{
    static const char list[] = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]";
    strbuf_addf(out,
                "- type: t\n  when: \"%s.all(a, %s.all(b, %s.all(c, %s.all(d, "
                "%s.all(e, a + b + c + d + e >= event.priority)))))\"\n",
                list, list, list, list, list);
}

/* One that people would write, of some hundred units. */
#define USUAL                                                                  \
    "- {type: t, when: '[1, 2, 3, 4, 5, 6, 7, 8, 9].all(x, x < 10)"            \
    " && event.type == \"t\"'}\n"

/* One that never ends costs what it may, and hides no other trigger; many of
 * them together have a limit as well, behind which each gets its least. */
static void conditions_are_bounded(void **state)
{
    (void)state;
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    add_endless(&text);
    struct generation_file f[122];
    char path[122][16];
    for (unsigned i = 0; i < 121; i++) {
        (void)snprintf(path[i], sizeof(path[i]), "f%03u.yaml", i);
        f[i] = file(path[i], text.at);
    }
    f[121] = file("last.yaml", USUAL);
    struct generation *some = generation_new(&f[120], 2, STR(""), 1, 1);
    struct event e = {.type = STR("t")};
    struct matches m = {0};
    generation_match(some, &e, &input, &m);
    assert_int_equal(m.found.count, 1);
    assert_int_equal(m.failed.count, 1);
    assert_non_null(strstr(m.failed.at[0].reason.at, "budget"));
    assert_null(strstr(m.failed.at[0].reason.at, "share"));
    matches_deinit(&m);
    m = (struct matches){0};
    for (unsigned i = 120; i < 122; i++) {
        (void)runbook_ref(f[i].runbook);
    }
    generation_unref(some);
    struct generation *all = generation_new(f, 122, STR(""), 1, 1);
    generation_match(all, &e, &input, &m);
    assert_int_equal(m.found.count, 1);
    assert_true(str_eq_c(m.found.at[0].runbook->path, "last.yaml"));
    assert_int_equal(m.failed.count, 121);
    assert_null(strstr(m.failed.at[99].reason.at, "share"));
    assert_non_null(strstr(m.failed.at[120].reason.at,
                           "(all conditions share 10000000 units for an event; "
                           "those of f000.yaml used most: 100000)"));
    struct arena a = ARENA_INIT;
    struct str said = match_failures_text(&m, &a);
    assert_non_null(strstr(said.at, "; and 118 more"));
    assert_true(said.len < 2048);
    arena_deinit(&a);
    matches_deinit(&m);
    generation_unref(all);
    strbuf_deinit(&text);
}

/* All triggers of one runbook cannot use up what another's need, even for a
 * condition that takes all that one may. */
static void one_runbook_starves_no_other(void **state)
{
    (void)state;
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    struct strbuf large = STRBUF_INIT(4096);
    for (unsigned i = 0; i < 100U; i++) {
        add_endless(&text);
    }
    strbuf_addc(&large, "- {type: t, when: 'lists.range(20000).all(x, true)'}");
    struct generation_file f[] = {file("a.yaml", text.at),
                                  file("z.yaml", large.at)};
    struct generation *g = generation_new(f, 2, STR(""), 1, 1);
    struct event e = {.type = STR("t")};
    struct matches m = {0};
    generation_match(g, &e, &input, &m);
    assert_int_equal(m.found.count, 1);
    assert_true(str_eq_c(m.found.at[0].runbook->path, "z.yaml"));
    assert_int_equal(m.failed.count, 100U);
    assert_null(strstr(m.failed.at[9].reason.at, "share"));
    assert_non_null(strstr(m.failed.at[10].reason.at,
                           "(the conditions of one runbook share 1000000 units "
                           "for an event, and those of its triggers before "
                           "this one used them up)"));
    matches_deinit(&m);
    generation_unref(g);
    strbuf_deinit(&large);
    strbuf_deinit(&text);
}

static void conditions_meet_the_regex_first(void **state)
{
    (void)state;
    static char many[2000];
    memset(many, 'a', sizeof(many));
    struct generation_file f =
        file("c.yaml", "- {matchers: ['x=~(a+)+[0-9]'], when: event.value > 1}"
                       "\n- {matchers: ['x=~(a+)+[0-9]'], when: event.value "
                       "< 1}\n");
    struct generation *g = generation_new(&f, 1, STR(""), 1, 1);
    struct label label = {STR("x"), str_n(many, sizeof(many))};
    struct event e = {
        .type = STR("t"), .labels = {&label, 1}, .body = STR("{\"value\":2}")};
    struct matches m = {0};
    generation_match(g, &e, &input, &m);
    /* Only what all other conditions would start is undecided. */
    assert_int_equal(m.found.count, 1);
    assert_int_equal(m.found.at[0].trigger_no, 0);
    assert_non_null(m.found.at[0].undecided);
    matches_deinit(&m);
    generation_unref(g);
}

/* It fails only what it decides: another condition may say no. */
static void a_runaway_regex_counts_last(void **state)
{
    (void)state;
    static char many[2000];
    memset(many, 'a', sizeof(many));
    struct generation_file files[] = {
        file("a.yaml", "- {matchers: ['x=~(a+)+[0-9]', 'y=~b+']}\n"),
    };
    struct generation *g = generation_new(files, 1, STR(""), 1, 1);
    struct label labels[] = {{STR("x"), str_n(many, sizeof(many))},
                             {STR("y"), STR("c")}};
    struct event e = {.type = STR("t"), .labels = {labels, 2}};
    assert_false(matches(g, &e, "a.yaml", 0));
    labels[1].value = STR("b");
    assert_true(matches(g, &e, "a.yaml", 0));
    generation_unref(g);
}

/* ---- the index against brute force -------------------------------------- */

static const char *const values[] = {"", "a", "b", "c"};
static const char *const ops[] = {"=", "=", "=", "!=", "=~", "!~"};

static const char *pick(struct prng *p, const char *const *from, size_t n)
{
    return from[prng_below(p, n)];
}

/* A random trigger as one YAML line. */
static void add_trigger(struct prng *p, struct strbuf *out)
{
    static const char *const states[] = {"firing", "resolved", "any"};
    strbuf_addf(out, "- {state: %s", pick(p, states, 3));
    if (prng_below(p, 3) != 0) {
        strbuf_addf(out, ", type: %s", pick(p, values + 1, 3));
    }
    if (prng_below(p, 3) == 0) {
        strbuf_addf(out, ", severity: [%s, %s]", pick(p, values + 1, 3),
                    pick(p, values + 1, 3));
    }
    if (prng_below(p, 3) == 0) {
        strbuf_addf(out, ", source: %s", pick(p, values + 1, 3));
    }
    strbuf_addc(out, ", matchers: [");
    uint64_t count = prng_below(p, 4);
    for (uint64_t i = 0; i < count; i++) {
        strbuf_addf(out, "%s'l%u%s%s'", i == 0 ? "" : ", ",
                    (unsigned)prng_below(p, 3), pick(p, ops, 6),
                    pick(p, values, 4));
    }
    strbuf_addc(out, "]}\n");
}

/* How many triggers the event starts, and how many of those that watch hear
 * that it ends something. */
static void assert_ends(const struct generation *g, const struct event *e,
                        size_t starts, size_t ends)
{
    struct matches m = {0};
    generation_match(g, e, &input, &m);
    assert_int_equal(m.found.count, starts);
    assert_int_equal(m.ended.count, ends);
    matches_deinit(&m);
}

static void an_end_is_told_to_triggers_that_watch(void **state)
{
    (void)state;
    struct generation_file f =
        file("a.yaml", "- {type: alert, severity: a, for: 5m,\n"
                       "   when: 'event.severity == \"b\"'}\n"
                       "- {type: alert, severity: a, on_resolve: cancel}\n"
                       "- {type: alert, severity: a}\n"
                       "- {type: alert, severity: a, state: resolved}\n"
                       "- {type: alert, severity: b, for: 5m}\n"
                       "- {type: alert, severity: a, absent: {within: 5m}}\n"
                       "- {type: metric, for: 5m, when: 'event.severity == "
                       "\"a\"'}\n"
                       "- {type: metric, for: 5m, when: 'event.labels.x == "
                       "\"a\"'}\n");
    struct generation *g = generation_new(&f, 1, STR(""), 1, 1);
    struct event e = {
        .type = STR("alert"), .severity = STR("a"), .state = EVENT_RESOLVED};
    assert_ends(g, &e, 1, 2); /* whatever `when` says of it */
    e.state = EVENT_FIRING;
    assert_ends(g, &e, 3, 0); /* one that fires ends nothing */
    e = (struct event){.type = STR("metric"), .severity = STR("b")};
    assert_ends(g, &e, 0, 1); /* the other condition has no value */
    e.severity = STR("a");
    assert_ends(g, &e, 1, 0);
    generation_unref(g);
}

static void random_event(struct prng *p, struct event *e, struct label *labels)
{
    static const char *const names[] = {"l0", "l1", "l2"};
    *e = (struct event){.type = str_c(pick(p, values, 4)),
                        .severity = str_c(pick(p, values, 4)),
                        .source = str_c(pick(p, values, 4)),
                        .state = (enum event_state)prng_below(p, 3),
                        .labels = {labels, 0}};
    for (unsigned i = 0; i < 3; i++) {
        if (prng_below(p, 3) != 0) {
            labels[e->labels.count++] =
                (struct label){str_c(names[i]), str_c(pick(p, values, 4))};
        }
    }
}

/* Every trigger of every file, one after the other. */
static size_t check_brute_force(const struct generation *g,
                                const struct event *e, const struct matches *m)
{
    size_t at = 0;
    for (uint32_t i = 0; i < g->file_count; i++) {
        struct runbook *rb = g->files[i].runbook;
        for (uint32_t j = 0; j < rb->trigger_count; j++) {
            const struct matcher *undecided = NULL;
            if (trigger_holds(&rb->triggers[j], e, &undecided) == 1) {
                assert_true(at < m->found.count);
                assert_ptr_equal(m->found.at[at].runbook, rb);
                assert_int_equal(m->found.at[at].trigger_no, j);
                at++;
            }
        }
    }
    assert_int_equal(at, m->found.count);
    return at;
}

static void index_agrees_with_brute_force(void **state)
{
    (void)state;
    struct prng p;
    size_t found = 0;
    prng_seed(&p, 7);
    for (unsigned round = 0; round < 30; round++) {
        struct generation_file files[20];
        char paths[20][16];
        for (unsigned i = 0; i < 20; i++) {
            struct strbuf text = STRBUF_INIT(65536);
            uint64_t count = 1 + prng_below(&p, 6);
            for (uint64_t j = 0; j < count; j++) {
                add_trigger(&p, &text);
            }
            (void)snprintf(paths[i], sizeof(paths[i]), "r%u.yaml", i);
            files[i] = file(paths[i], text.at);
            strbuf_deinit(&text);
        }
        struct generation *g = generation_new(files, 20, STR(""), 1, 1);
        for (unsigned i = 0; i < 200; i++) {
            struct label labels[3];
            struct event e;
            struct matches m = {0};
            random_event(&p, &e, labels);
            generation_match(g, &e, &input, &m);
            found += check_brute_force(g, &e, &m);
            matches_deinit(&m);
        }
        generation_unref(g);
    }
    assert_true(found > 1000); /* the rounds were about something */
}

/* ---- cost --------------------------------------------------------------- */

/* How many triggers one event is held against when `count` runbooks are
 * loaded, each for an alert of its own, as fleets have them. */
static size_t candidates_among(unsigned count)
{
    struct generation_file *files =
        mem_alloc(count, sizeof(struct generation_file));
    char(*paths)[24] = mem_alloc(count, sizeof(*paths));
    for (unsigned i = 0; i < count; i++) {
        char trigger[128];
        (void)snprintf(paths[i], sizeof(paths[i]), "r%05u.yaml", i);
        (void)snprintf(trigger, sizeof(trigger),
                       "- {type: alert, severity: critical, labels: {env: "
                       "prod, team: t%u, alertname: Alert%u}}\n",
                       i % 7, i);
        files[i] = file(paths[i], trigger);
    }
    struct generation *g = generation_new(files, count, STR(""), 1, 1);
    struct label labels[] = {{STR("alertname"), STR("Alert5")},
                             {STR("env"), STR("prod")},
                             {STR("team"), STR("t5")}};
    struct event e = {.type = STR("alert"),
                      .severity = STR("critical"),
                      .labels = {labels, 3}};
    struct candidates c = {0};
    match_index_candidates(g->index, &e, &c);
    size_t n = c.numbers.count;
    assert_true(matches(g, &e, "r00005.yaml", 0));
    VEC_DEINIT(&c.numbers);
    generation_unref(g);
    mem_free(files);
    mem_free(paths);
    return n;
}

static void cost_does_not_grow_with_what_is_loaded(void **state)
{
    (void)state;
    size_t few = candidates_among(10);
    size_t many = candidates_among(10000);
    assert_true(few >= 1);
    assert_true(many <= 2 * few);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_condition_counts),
        cmocka_unit_test(files_are_sorted_and_found),
        cmocka_unit_test(an_empty_generation_matches_nothing),
        cmocka_unit_test(a_runaway_regex_hides_no_other_trigger),
        cmocka_unit_test(conditions_decide_last),
        cmocka_unit_test(conditions_are_bounded),
        cmocka_unit_test(one_runbook_starves_no_other),
        cmocka_unit_test(conditions_meet_the_regex_first),
        cmocka_unit_test(a_runaway_regex_counts_last),
        cmocka_unit_test(index_agrees_with_brute_force),
        cmocka_unit_test(an_end_is_told_to_triggers_that_watch),
        cmocka_unit_test(cost_does_not_grow_with_what_is_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
