#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>

#include "base/strbuf.h"
#include "model/runbook_load.h"

static const struct runbook_defaults defaults = {.step_timeout_ms = 60000,
                                                 .retry_attempts = 3};

static struct runbook *load(const char *text, struct runbook_report *report)
{
    struct runbook *rb = NULL;
    int r = runbook_load(STR("a/b.yaml"), str_c(text), &defaults, &rb, report);
    assert_int_equal(r == 0, report->error_count == 0);
    assert_int_equal(r == 0, rb != NULL);
    return rb;
}

static struct runbook *load_good(const char *text)
{
    struct runbook_report report;
    struct runbook *rb = load(text, &report);
    for (size_t i = 0; i < report.problems.count; i++) {
        print_message("%s\n", report.problems.at[i].err.message);
    }
    assert_non_null(rb);
    runbook_report_deinit(&report);
    return rb;
}

/* The text must be refused with this somewhere in a message or hint. */
static void assert_refused(const char *text, const char *why)
{
    struct runbook_report report;
    bool said = false;
    assert_null(load(text, &report));
    for (size_t i = 0; i < report.problems.count; i++) {
        const struct err *e = &report.problems.at[i].err;
        said = said || strstr(e->message, why) != NULL ||
               strstr(e->hint, why) != NULL;
    }
    if (!said) {
        fail_msg("'%s' is not said of: %s (but: %s)", why, text,
                 report.problems.at[0].err.message);
    }
    runbook_report_deinit(&report);
}

static void unknown_keys_can_be_warnings(void **state)
{
    static const char text[] = "name: x\nauthor: me\n"
                               "steps: [{name: a, command: x, comand: y}]\n";
    static const struct runbook_defaults lenient = {.step_timeout_ms = 60000,
                                                    .retry_attempts = 3,
                                                    .unknown_keys_warn = true};
    struct runbook_report report;
    struct runbook *rb = NULL;
    (void)state;
    assert_refused(text, "has no key 'author'");
    assert_refused(text, "did you mean 'command'?");
    assert_int_equal(
        runbook_load(STR("a.yaml"), str_c(text), &lenient, &rb, &report), 0);
    assert_int_equal(report.error_count, 0);
    assert_int_equal(report.problems.count, 2);
    assert_true(report.problems.at[0].warning);
    assert_int_equal(report.problems.at[0].err.at.line, 2);
    assert_non_null(strstr(report.problems.at[1].err.message, "is ignored"));
    runbook_unref(rb);
    runbook_report_deinit(&report);
    assert_int_equal(runbook_load(STR("a.yaml"), STR("name: x\nsteps: []\n"),
                                  &lenient, &rb, &report),
                     -EINVAL);
    runbook_report_deinit(&report);
}

/* ---- fixtures ----------------------------------------------------------- */

static char *read_fixture(const char *folder, const char *name)
{
    struct strbuf path = STRBUF_INIT(4096);
    const char *root = getenv("ADP_SOURCE_ROOT");
    strbuf_addf(&path, "%s/tests/fixtures/runbooks/%s/%s",
                root != NULL ? root : ".", folder, name);
    FILE *f = fopen(path.at, "re");
    assert_non_null(f);
    strbuf_deinit(&path);
    static char text[65536];
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    (void)fclose(f);
    return text;
}

typedef void fixture_fn(const char *name, const char *text);

static void each_fixture(const char *folder, fixture_fn *fn)
{
    struct strbuf path = STRBUF_INIT(4096);
    const char *root = getenv("ADP_SOURCE_ROOT");
    strbuf_addf(&path, "%s/tests/fixtures/runbooks/%s",
                root != NULL ? root : ".", folder);
    DIR *dir = opendir(path.at);
    assert_non_null(dir);
    unsigned count = 0;
    for (const struct dirent *d; (d = readdir(dir)) != NULL;) {
        if (str_ends(str_c(d->d_name), STR(".yaml"))) {
            fn(d->d_name, read_fixture(folder, d->d_name));
            count++;
        }
    }
    assert_true(count > 2);
    (void)closedir(dir);
    strbuf_deinit(&path);
}

static void is_good(const char *name, const char *text)
{
    struct runbook_report report;
    struct runbook *rb = load(text, &report);
    if (rb == NULL || report.problems.count != 0) {
        fail_msg("%s: %s", name, report.problems.at[0].err.message);
    }
    runbook_report_deinit(&report);
    runbook_unref(rb);
}

static void good_fixtures_load_without_a_word(void **state)
{
    (void)state;
    each_fixture("good", is_good);
}

/* "# error: LINE FIELD | TEXT" as its parts. */
struct expected {
    bool warning;
    unsigned line;
    struct str field;
    struct str text;
};

static bool read_expected(struct str line, struct expected *ret)
{
    uint64_t number = 0;
    struct str rest = line;
    if (str_starts(line, STR("# error: "))) {
        rest = str_slice(line, 9, line.len);
        ret->warning = false;
    } else if (str_starts(line, STR("# warning: "))) {
        rest = str_slice(line, 11, line.len);
        ret->warning = true;
    } else {
        return false;
    }
    size_t space = (size_t)str_find(rest, ' ');
    size_t bar = (size_t)str_find(rest, '|');
    assert_int_equal(str_to_u64(str_slice(rest, 0, space), 1, 1000, &number),
                     0);
    ret->line = (unsigned)number;
    ret->field = str_trim(str_slice(rest, space, bar));
    ret->text = str_trim(str_slice(rest, bar + 1, rest.len));
    return true;
}

static bool fits(const struct runbook_problem *p, const struct expected *x)
{
    return p->warning == x->warning && p->err.at.line == x->line &&
           p->err.at.column != 0 && str_eq_c(x->field, p->err.field) &&
           (memmem(p->err.message, strlen(p->err.message), x->text.at,
                   x->text.len) != NULL ||
            memmem(p->err.hint, strlen(p->err.hint), x->text.at, x->text.len) !=
                NULL);
}

static void says_what_it_expects(const char *name, const char *text)
{
    struct runbook_report report;
    assert_null(load(text, &report));
    struct str rest = str_c(text);
    size_t count = 0;
    for (;;) {
        ptrdiff_t end = str_find(rest, '\n');
        struct expected x;
        struct str line = str_slice(rest, 0, (size_t)end);
        if (end < 0 || !read_expected(line, &x)) {
            break;
        }
        bool found = false;
        VEC_EACH (&report.problems, i) {
            found = found || fits(&report.problems.at[i], &x);
        }
        if (!found) {
            fail_msg("%s: nothing says '%.*s'", name, STR_ARG(line));
        }
        count++;
        rest = str_slice(rest, (size_t)end + 1, rest.len);
    }
    if (count != report.problems.count) {
        fail_msg("%s: %zu problems expected, %zu found", name, count,
                 report.problems.count);
    }
    for (size_t i = 1; i < report.problems.count; i++) {
        assert_true(report.problems.at[i - 1].err.at.line <=
                    report.problems.at[i].err.at.line);
    }
    runbook_report_deinit(&report);
}

static void bad_fixtures_say_every_problem(void **state)
{
    (void)state;
    each_fixture("bad", says_what_it_expects);
}

/* ---- what is read ------------------------------------------------------- */

static void the_manuals_example(void **state)
{
    (void)state;
    struct runbook *rb = load_good(read_fixture("good", "custom-fix.yaml"));
    assert_true(str_eq_c(rb->path, "a/b.yaml"));
    assert_true(str_eq_c(rb->name, "Custom Fix"));
    assert_true(str_eq_c(rb->description, "Custom remediation workflow"));
    assert_true(str_eq_c(rb->category, "remediation"));
    assert_int_equal(rb->trigger_count, 1);
    assert_true(str_eq_c(rb->triggers[0].type, "alert"));
    assert_int_equal(rb->triggers[0].state, TRIGGER_ON_FIRING);
    assert_int_equal(rb->triggers[0].matcher_count, 1);
    assert_true(str_eq_c(rb->triggers[0].matchers[0].name, "alertname"));
    assert_true(str_eq_c(rb->triggers[0].matchers[0].value, "CustomAlert"));
    assert_int_equal(rb->step_count, 3);
    assert_true(str_eq_c(rb->steps[1].name, "Restart if needed"));
    assert_true(str_eq_c(rb->steps[1].command, "systemctl restart myservice"));
    assert_int_equal(rb->steps[1].timeout_ms, 60000);
    assert_int_equal(rb->steps[1].max_attempts, 1);
    assert_false(rb->steps[1].idempotent);
    runbook_unref(rb);
}

static void every_key_is_read(void **state)
{
    (void)state;
    struct runbook *rb = load_good(read_fixture("good", "every-key.yaml"));
    const struct param *p = rb->params;
    const struct trigger *t = &rb->triggers[0];
    const struct step *s = &rb->steps[1];
    assert_int_equal(rb->max_concurrent, 2);
    assert_int_equal(rb->timeout_ms, 600000);
    assert_int_equal(rb->param_count, 7);
    assert_non_null(p[0].pattern);
    assert_true(str_eq_c(p[1].default_text, "-3"));
    assert_true(str_eq_c(p[2].default_text, "0.25"));
    assert_int_equal(p[4].value_count, 2);
    assert_true(str_eq_c(p[5].default_text, "90"));
    assert_true(p[6].secret && !p[6].has_default && !p[6].required);
    assert_int_equal(t->state, TRIGGER_ON_ANY);
    assert_int_equal(t->severity_count, 1);
    assert_int_equal(t->source_count, 2);
    assert_int_equal(t->matcher_count, 3);
    assert_int_equal(t->matchers[1].op, MATCH_RE);
    assert_int_equal(t->matchers[2].op, MATCH_NE);
    assert_int_equal(t->parameter_count, 2);
    assert_true(str_eq_c(t->parameters[0].value.parts[0].text,
                         "event.labels[\"app.service\"]"));
    assert_true(str_eq_c(t->name, "web"));
    assert_int_equal(t->dedup_count, 2);
    assert_int_equal(t->dedup[0].field, DEDUP_LABEL);
    assert_true(str_eq_c(t->dedup[0].label, "instance"));
    assert_int_equal(t->dedup[1].field, DEDUP_SEVERITY);
    assert_int_equal(t->limits.cooldown_ms, 1800000);
    assert_int_equal(t->limits.count_least, 3);
    assert_int_equal(t->limits.count_within_ms, 600000);
    assert_int_equal(t->limits.runs_most, 3);
    assert_int_equal(t->limits.runs_within_ms, 3600000);
    assert_int_equal(rb->triggers[1].state, TRIGGER_ON_RESOLVED);
    assert_true(str_eq_c(rb->triggers[1].name, "#2"));
    assert_false(trigger_limits_any(&rb->triggers[1].limits));
    assert_int_equal(s->argc, 1);
    assert_int_equal(s->env_count, 1);
    assert_int_equal(s->timeout_ms, 250);
    assert_int_equal(s->max_attempts, 2);
    assert_true(str_eq_c(s->run_as, "root"));
    assert_int_equal(s->rollback, 3);
    assert_int_equal(s[1].action, ACTION_WAIT);
    assert_int_equal(s[1].wait_ms, 30000);
    static const enum step_section sections[] = {
        SECTION_DIAGNOSE, SECTION_STEPS,      SECTION_STEPS,  SECTION_ROLLBACK,
        SECTION_VERIFY,   SECTION_ON_FAILURE, SECTION_FINALLY};
    assert_int_equal(rb->step_count, ARRAY_LEN(sections));
    for (uint32_t i = 0; i < rb->step_count; i++) {
        assert_int_equal(rb->steps[i].section, sections[i]);
        assert_int_equal(runbook_section(rb, sections[i]), i == 2 ? 1 : i);
    }
    assert_int_equal(rb->steps[3].rollback, 1);
    assert_true(str_eq_c(rb->steps[3].name, "Only, taken back"));
    assert_int_equal(rb->steps[3].max_attempts, 2);
    assert_int_equal(rb->steps[4].within_ms, 120000);
    assert_int_equal(rb->steps[4].hold_ms, 30000);
    assert_int_equal(rb->steps[4].interval_ms, 15000);
    assert_int_equal(rb->steps[4].max_attempts, 11);
    runbook_unref(rb);
}

/* Whose success is a workflow's end, whatever comes before it. */
static void some_steps_end_a_workflow(void **state)
{
    (void)state;
#define S "steps: [{name: a, command: x}, {name: b, command: x"
    static const struct {
        const char *text;
        const char *ends; /* a letter for each step */
    } cases[] = {
        {S "}]", "ny"},
        {"finally: [{name: c, command: x}]\n" S "}]", "nny"},
        {"on_failure: [{name: c, command: x}]\n" S "}]", "nyy"},
        {"on_failure: [{name: c, command: x}]\n"
         "finally: [{name: d, command: x}]\n" S "}]",
         "nnny"},
        {"verify: {command: x}\n" S "}]", "nnn"},
        /* The rollback of b is the first of several. */
        {"steps: [{name: a, command: x, rollback: {command: x}},"
         "{name: b, command: x, rollback: {command: x}}]",
         "nynn"},
        {"diagnose: [{name: c, command: x}]\n" S "}]", "nny"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[512];
        (void)snprintf(text, sizeof(text), "name: x\n%s\n", cases[i].text);
        struct runbook *rb = load_good(text);
        assert_int_equal(rb->step_count, strlen(cases[i].ends));
        for (uint32_t k = 0; k < rb->step_count; k++) {
            assert_int_equal(runbook_ends_with(rb, k), cases[i].ends[k] == 'y');
        }
        runbook_unref(rb);
    }
}

static void sections_share_the_limit(void **state)
{
    (void)state;
    for (uint32_t more = 0; more < 2; more++) {
        struct runbook_report report;
        struct strbuf text = STRBUF_INIT(65536);
        strbuf_addc(&text, "name: x\nsteps:\n");
        for (uint32_t i = 0; i < 50; i++) {
            strbuf_addf(&text,
                        "  - {name: s%u, command: x, rollback: {command: "
                        "x}}\n",
                        i);
        }
        strbuf_addc(&text, more ? "finally: [{name: c, command: x}]\n" : "");
        struct runbook *rb = load(text.at, &report);
        assert_int_equal(rb == NULL, more);
        if (rb != NULL) {
            assert_int_equal(rb->step_count, 100);
            assert_true(str_eq_c(rb->steps[99].name, "Rollback: s49"));
        }
        runbook_unref(rb);
        runbook_report_deinit(&report);
        strbuf_deinit(&text);
    }
}

/* The first problem of a runbook whose trigger has this condition. */
static struct err problem_of(const char *when, bool warning)
{
    struct strbuf text = STRBUF_INIT(65536);
    struct runbook_report report;
    strbuf_addf(&text,
                "name: x\nsteps: [{name: a, command: x}]\ntriggers:\n"
                "  - type: metric\n    when: %s\n",
                when);
    struct runbook *rb = load(strbuf_str(&text).at, &report);
    assert_true(report.problems.count >= 1);
    struct err e = report.problems.at[0].err;
    assert_int_equal(report.problems.at[0].warning, warning);
    assert_int_equal(rb != NULL, warning);
    runbook_unref(rb);
    runbook_report_deinit(&report);
    strbuf_deinit(&text);
    return e;
}

static void expect_problem(const char *when, bool warning, uint32_t line,
                           uint32_t column, const char *message)
{
    struct err e = problem_of(when, warning);
    if (e.at.line != line || e.at.column != column ||
        strstr(e.message, message) == NULL) {
        fail_msg("%s: %u:%u: %s (%s)", when, e.at.line, e.at.column, e.message,
                 e.hint);
    }
}

static void conditions_are_checked_in_their_place(void **state)
{
    (void)state;
    struct runbook *rb =
        load_good("name: x\nsteps: [{name: a, command: x}]\ntriggers:\n"
                  "  - type: metric\n"
                  "    when: event.value > 90 && event.labels.?env == "
                  "optional.of('prod')\n");
    assert_non_null(rb->triggers[0].when);
    runbook_unref(rb);
    expect_problem("event.valeu > 90", false, 5, 17,
                   "there is no field 'valeu'");
    assert_string_equal(problem_of("event.valeu > 90", false).hint,
                        "did you mean value?");
    expect_problem("'event.type == ''a'' && event.valeu > 90'", false, 5, 41,
                   "there is no field 'valeu'");
    expect_problem("\"event.type == \\\"\\u00e9\\\" && x\"", false, 5, 40, "x");
    expect_problem("|\n      event.type == 'a' &&\n        event.valeu > 90",
                   false, 7, 15, "there is no field 'valeu'");
    expect_problem(">-\n      event.type == 'a' &&\n      event.valeu > 90",
                   false, 7, 13, "there is no field 'valeu'");
    expect_problem("event.type == 'a' &&\n      event.valeu > 90", false, 6, 13,
                   "there is no field 'valeu'");
    expect_problem("event.value", false, 5, 17, "must give bool");
    expect_problem("event.status == 'x'", false, 5, 17, "'status'");
    expect_problem("parameters.x == 1", false, 5, 11, "parameters");
    expect_problem("${{ event.value > 90 }}", false, 5, 11,
                   "an expression already");
    expect_problem("[a]", false, 5, 11, "expected a text");
    /* A label that may be missing; a condition that is none. */
    expect_problem("event.labels.env == 'prod'", true, 5, 24,
                   "unguarded label access: env may be missing");
    expect_problem("2 > 1", true, 5, 11, "true whatever the event");
}

static void retries_and_their_defaults(void **state)
{
    (void)state;
    struct runbook *rb =
        load_good("name: x\nsteps:\n"
                  "- {name: a, command: x, idempotent: true}\n"
                  "- {name: b, command: x, retry: {backoff: 3m}}\n"
                  "- {name: c, command: x, retry: {max_backoff: 200ms}}\n"
                  "- {name: d, command: x, retry: 5, idempotent: true}\n"
                  "- {name: e, command: x, timeout: 3600}\n");
    assert_int_equal(rb->steps[0].max_attempts, 3);
    assert_int_equal(rb->steps[1].max_attempts, 3);
    assert_int_equal(rb->steps[1].backoff_ms, 180000);
    assert_int_equal(rb->steps[1].backoff_max_ms, 180000);
    assert_int_equal(rb->steps[2].backoff_ms, 200);
    assert_int_equal(rb->steps[2].backoff_max_ms, 200);
    assert_int_equal(rb->steps[3].max_attempts, 5);
    assert_int_equal(rb->steps[4].timeout_ms, RUNBOOK_STEP_TIMEOUT_MAX_MS);
    runbook_unref(rb);
}

static void hash_is_of_the_text(void **state)
{
    (void)state;
    struct runbook_hash h = runbook_hash_of(STR("abc"));
    assert_int_equal(h.bytes[0], 0xba);
    assert_int_equal(h.bytes[31], 0xad);
    struct runbook *a = load_good("name: x\nsteps: [{name: a, command: x}]\n");
    struct runbook *b = load_good("name: y\nsteps: [{name: a, command: x}]\n");
    assert_memory_not_equal(&a->hash, &b->hash, sizeof(a->hash));
    assert_ptr_equal(runbook_ref(a), a);
    runbook_unref(a);
    runbook_unref(a);
    runbook_unref(b);
    runbook_unref(NULL);
}

/* ---- limits and hostile texts ------------------------------------------- */

#define STEP "steps: [{name: a, command: x}]\n"

static void refused_texts(void **state)
{
    (void)state;
    assert_refused("", "empty");
    assert_refused("# nothing\n", "empty");
    assert_refused("[]", "expected a mapping");
    assert_refused("a: [", "");
    assert_refused("name: x\nname: y\n" STEP, "");
    assert_refused("name: &a x\ndescription: *a\n" STEP, "");
    assert_refused("name: !!str x\n" STEP, "");
    assert_refused("name: x\n" STEP "---\nname: y\n", "");
    assert_refused("name:\n" STEP, "expected a text");
    assert_refused("name: ''\n" STEP, "1 to 200 bytes");
    assert_refused("name: \"a\\nb\"\n" STEP, "one line");
    assert_refused("name: x\ncategory: two words\n" STEP, "one word");
    assert_refused("name: x\nconcurrency: 0\n" STEP, "between");
    assert_refused("name: x\nconcurrency: many\n" STEP, "integer");
    assert_refused("name: x\ntimeout: 8d\n" STEP, "between");
    assert_refused("name: x\ntimeout: [1]\n" STEP, "expected a duration");
    assert_refused("name: x\nsteps: []\n", "at least one step");
    assert_refused("name: x\nsteps: [{name: a, argv: []}]", "the program");
    assert_refused("name: x\nsteps: [{name: a, argv: x}]", "expected a list");
    assert_refused("name: x\nsteps: [{name: a, command: [x]}]", "argv:");
    assert_refused("name: x\nsteps: [{name: a, command: ''}]", "1 to");
    assert_refused("name: x\nsteps: [{name: a, command: x, retry: 21}]",
                   "not between");
    assert_refused("name: x\nsteps: [{name: a, command: x, retry: 0}]",
                   "not between");
    assert_refused("name: x\nsteps: [{name: a, command: x, id: é}]",
                   "lower-case");
    assert_refused("name: x\ntriggers: [{labels: {a: [1]}}]\n" STEP,
                   "expected a text");
    assert_refused(
        "name: x\ntriggers: [{labels: {a: '${{ event.id }}'}}]\n" STEP,
        "constant text");
    assert_refused("name: x\nparameters: {p: {type: string}}\ntriggers: "
                   "[{type: a, parameters: {p: '${{ event.payload[\"a.b\"] "
                   "}}'}}]\n" STEP,
                   "no dots");
    assert_refused("name: x\nparameters: {p: {type: string}}\ntriggers: "
                   "[{type: a, parameters: {p: '${{ event.type.x }}'}}]\n" STEP,
                   "has no parts");
    assert_refused(
        "name: x\nparameters: {p: {type: string}}\ntriggers: "
        "[{type: a, parameters: {p: '${{ event.labels.a.b }}'}}]\n" STEP,
        "[\"a.b\"]");
}

/* A runbook whose list `head` has `count` entries of `entry`. */
static struct runbook *load_many(const char *head, const char *entry,
                                 unsigned count, const char *tail,
                                 struct runbook_report *report)
{
    struct strbuf text = STRBUF_INIT((size_t)4 * 1024 * 1024);
    strbuf_addc(&text, "name: x\n");
    strbuf_addc(&text, head);
    for (unsigned i = 0; i < count; i++) {
        strbuf_addc(&text, "  ");
        for (const char *c = entry; *c != '\0'; c++) {
            if (*c == '@') {
                strbuf_addf(&text, "%u", i);
            } else {
                strbuf_addch(&text, *c);
            }
        }
        strbuf_addch(&text, '\n');
    }
    strbuf_addc(&text, tail);
    struct runbook *rb = load(strbuf_str(&text).at, report);
    strbuf_deinit(&text);
    return rb;
}

/* At its limit a list is fine, one more is not. */
static void assert_limit(const char *head, const char *entry, unsigned limit,
                         const char *tail)
{
    struct runbook_report report;
    struct runbook *rb = load_many(head, entry, limit, tail, &report);
    if (rb == NULL) {
        fail_msg("%s: %s", head, report.problems.at[0].err.message);
    }
    runbook_report_deinit(&report);
    runbook_unref(rb);
    assert_null(load_many(head, entry, limit + 1, tail, &report));
    assert_int_equal(report.error_count, 1);
    runbook_report_deinit(&report);
}

static void each_list_has_a_limit(void **state)
{
    (void)state;
    assert_limit("steps:\n", "- {name: s@, command: x}", RUNBOOK_MAX_STEPS, "");
    assert_limit("triggers:\n", "- {type: t@}", RUNBOOK_MAX_TRIGGERS, STEP);
    assert_limit("parameters:\n", "p@: {type: string}", RUNBOOK_MAX_PARAMS,
                 STEP);
    assert_limit("triggers:\n- labels:\n", "  l@: x", 64, STEP);
    assert_limit("steps:\n- name: a\n  argv:\n", "- a@", 256, "");
    assert_limit("steps:\n- name: a\n  command: x\n  env:\n", "  E@: x", 64,
                 "");
}

static void a_flood_of_errors_is_bounded(void **state)
{
    (void)state;
    struct runbook_report report;
    assert_null(load_many("steps:\n", "- {name: s@}", 90, "", &report));
    assert_int_equal(report.error_count, RUNBOOK_MAX_ERRORS);
    assert_int_equal(report.problems.count, RUNBOOK_MAX_ERRORS);
    runbook_report_deinit(&report);
    struct runbook *rb =
        load_many("triggers:\n", "- {state: any}", 90, STEP, &report);
    assert_non_null(rb);
    assert_int_equal(report.problems.count, RUNBOOK_MAX_ERRORS);
    runbook_report_deinit(&report);
    runbook_unref(rb);
}

/* Keys and values of any bytes end up in messages: one line of UTF-8 each. */
static void messages_are_one_line_of_utf8(void **state)
{
    (void)state;
    struct runbook_report report;
    assert_null(load("name: x\n\"a\\nb\\x1b[31m\": 1\n"
                     "ööööööööööööööööööööööööööööööööööööööööö: 1\n" STEP,
                     &report));
    VEC_EACH (&report.problems, i) {
        struct str s = str_c(report.problems.at[i].err.message);
        assert_true(str_is_utf8(s));
        assert_true(str_find(s, '\n') < 0 && str_find(s, '\x1b') < 0);
        assert_true(str_is_utf8(str_c(report.problems.at[i].err.field)));
    }
    runbook_report_deinit(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_keys_can_be_warnings),
        cmocka_unit_test(good_fixtures_load_without_a_word),
        cmocka_unit_test(bad_fixtures_say_every_problem),
        cmocka_unit_test(the_manuals_example),
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(some_steps_end_a_workflow),
        cmocka_unit_test(sections_share_the_limit),
        cmocka_unit_test(conditions_are_checked_in_their_place),
        cmocka_unit_test(retries_and_their_defaults),
        cmocka_unit_test(hash_is_of_the_text),
        cmocka_unit_test(refused_texts),
        cmocka_unit_test(each_list_has_a_limit),
        cmocka_unit_test(a_flood_of_errors_is_bounded),
        cmocka_unit_test(messages_are_one_line_of_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
