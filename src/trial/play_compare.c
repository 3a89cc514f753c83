/* What a test expects, and what came of it. */
#include <inttypes.h>
#include <string.h>

#include "base/strbuf.h"
#include "trial/play_priv.h"

#define TEXT_MAX_BYTES (64 * 1024)

static bool contains(struct str text, struct str part)
{
    return part.len == 0 || (text.len != 0 && memmem(text.at, text.len, part.at,
                                                     part.len) != NULL);
}

static void differ_text(struct play *p, const char *what, struct str expected,
                        struct str got)
{
    play_differ(p, str_c(what), expected, got.len != 0 ? got : STR("nothing"));
}

/* ---- of all events ------------------------------------------------------- */

static void compare_matched(struct play *p)
{
    static const struct str words[] = {STR("false"), STR("true")};
    enum test_matched want = p->test->expect.matched;
    if (want != TEST_MATCHED_ANY && (want == TEST_MATCHED_YES) != p->matched) {
        play_differ(p, STR("matched"), words[want == TEST_MATCHED_YES],
                    words[p->matched]);
    }
}

static void differ_count(struct play *p, struct str what, uint64_t expected,
                         uint64_t got)
{
    char a[24];
    char b[24];
    int an = snprintf(a, sizeof(a), "%" PRIu64, expected);
    int bn = snprintf(b, sizeof(b), "%" PRIu64, got);
    play_differ(p, what, str_n(a, (size_t)an), str_n(b, (size_t)bn));
}

static void compare_held_back(struct play *p)
{
    struct str want = p->test->expect.held_back;
    CLEANUP(strbuf_deinit) struct strbuf all = STRBUF_INIT(TEXT_MAX_BYTES);
    bool found = want.len == 0;
    VEC_EACH (&p->reasons, i) {
        found = found || contains(p->reasons.at[i], want);
        strbuf_addf(&all, "%s%.*s", i == 0 ? "" : "; ",
                    STR_ARG(p->reasons.at[i]));
    }
    if (!found) {
        differ_text(p, "held_back", want, strbuf_str(&all));
    }
}

/* ---- of the last workflow ------------------------------------------------ */

static void add_steps(const struct play *p, const uint32_t *steps,
                      uint32_t count, struct strbuf *out)
{
    strbuf_addch(out, '[');
    for (uint32_t i = 0; i < count; i++) {
        strbuf_addf(out, "%s%.*s", i == 0 ? "" : ", ",
                    STR_ARG(play_step_name(p->rb, steps[i])));
    }
    strbuf_addch(out, ']');
}

static void compare_ran(struct play *p, const struct played *w)
{
    const struct test_steps *want = &p->test->expect.ran;
    bool same = want->count == w->order_count;
    for (uint32_t i = 0; same && i < want->count; i++) {
        same = want->steps[i] == w->order[i];
    }
    if (!want->given || same) {
        return;
    }
    CLEANUP(strbuf_deinit) struct strbuf expected = STRBUF_INIT(TEXT_MAX_BYTES);
    CLEANUP(strbuf_deinit) struct strbuf got = STRBUF_INIT(TEXT_MAX_BYTES);
    add_steps(p, want->steps, want->count, &expected);
    add_steps(p, w->order, w->order_count, &got);
    play_differ(p, STR("ran"), strbuf_str(&expected), strbuf_str(&got));
}

static void compare_skipped(struct play *p, const struct played *w)
{
    const struct test_steps *want = &p->test->expect.skipped;
    for (uint32_t i = 0; i < want->count; i++) {
        if (w->steps[want->steps[i]].attempts != 0) {
            CLEANUP(strbuf_deinit)
            struct strbuf text = STRBUF_INIT(TEXT_MAX_BYTES);
            strbuf_addf(&text, "that step %.*s does not run",
                        STR_ARG(play_step_name(p->rb, want->steps[i])));
            play_differ(p, STR("skipped"), strbuf_str(&text), STR("it ran"));
        }
    }
}

static struct str what_of(struct play *p, const char *what, uint32_t step_no)
{
    struct strbuf text = STRBUF_INIT(1024);
    strbuf_addf(&text, "%s of %.*s", what,
                STR_ARG(play_step_name(p->rb, step_no)));
    struct str copy = arena_str(&p->verdict->arena, strbuf_str(&text));
    strbuf_deinit(&text);
    return copy;
}

static void compare_attempts(struct play *p, const struct played *w)
{
    const struct test_expect *x = &p->test->expect;
    for (uint32_t i = 0; i < x->attempt_count; i++) {
        uint32_t step_no = x->attempts[i].step_no;
        if (w->steps[step_no].attempts != x->attempts[i].count) {
            differ_count(p, what_of(p, "attempts", step_no),
                         x->attempts[i].count, w->steps[step_no].attempts);
        }
    }
}

static void compare_end(struct play *p, const struct played *w)
{
    const struct test_expect *x = &p->test->expect;
    if (x->status != WORKFLOW_STATUSES && x->status != w->status) {
        CLEANUP(strbuf_deinit) struct strbuf got = STRBUF_INIT(TEXT_MAX_BYTES);
        strbuf_addf(&got, "%s%s%.*s", workflow_status_name(w->status),
                    w->error.len != 0 ? ": " : "", STR_ARG(w->error));
        play_differ(p, STR("status"), str_c(workflow_status_name(x->status)),
                    strbuf_str(&got));
    }
    if (x->result != WORKFLOW_RESULTS && x->result != w->result) {
        differ_text(p, "result", str_c(workflow_result_name(x->result)),
                    str_c(workflow_result_name(w->result)));
    }
    if (!contains(w->error, x->error)) {
        differ_text(p, "error", x->error, w->error);
    }
}

static void compare_parameters(struct play *p, const struct played *w)
{
    const struct test_values *want = &p->test->expect.parameters;
    for (uint32_t i = 0; i < want->count; i++) {
        const struct test_value *v = &want->values[i];
        struct arena *a = &p->verdict->arena;
        struct str got = STR("no value");
        bool has = params_text(p->rb, w->parameters, v->name, a, &got) == 0;
        if (has == v->absent || (has && !str_eq(got, v->text))) {
            CLEANUP(strbuf_deinit) struct strbuf what = STRBUF_INIT(1024);
            strbuf_addf(&what, "parameter %.*s", STR_ARG(v->name));
            if (has && params_is_secret(p->rb, v->name)) {
                got = STR(PARAM_MASK);
            }
            play_differ(p, strbuf_str(&what),
                        v->absent ? STR("no value") : v->text, got);
        }
    }
}

/* ---- of its steps -------------------------------------------------------- */

static void add_argv(struct strbuf *out, struct str text, bool first)
{
    strbuf_addc(out, first ? "[" : ", ");
    strbuf_add_json_quoted(out, text);
}

static void compare_argv(struct play *p, const struct played *w,
                         const struct test_values *want)
{
    char *const *argv = w->steps[want->step_no].argv;
    CLEANUP(strbuf_deinit) struct strbuf expected = STRBUF_INIT(TEXT_MAX_BYTES);
    CLEANUP(strbuf_deinit) struct strbuf got = STRBUF_INIT(TEXT_MAX_BYTES);
    for (uint32_t i = 0; i < want->count; i++) {
        add_argv(&expected, want->values[i].text, i == 0);
    }
    for (uint32_t i = 0; argv != NULL && argv[i] != NULL; i++) {
        add_argv(&got, str_c(argv[i]), i == 0);
    }
    strbuf_addch(&expected, ']');
    strbuf_addch(&got, ']');
    if (argv == NULL) {
        play_differ(p, what_of(p, "argv", want->step_no), strbuf_str(&expected),
                    STR("it was not run"));
    } else if (!str_eq(strbuf_str(&expected), strbuf_str(&got))) {
        play_differ(p, what_of(p, "argv", want->step_no), strbuf_str(&expected),
                    strbuf_str(&got));
    }
}

static const char *variable(char *const *env, struct str name)
{
    for (size_t i = 0; env != NULL && env[i] != NULL; i++) {
        if (strncmp(env[i], name.at, name.len) == 0 &&
            env[i][name.len] == '=') {
            return env[i] + name.len + 1;
        }
    }
    return NULL;
}

static void compare_env(struct play *p, const struct played *w,
                        const struct test_values *want)
{
    const struct played_step *s = &w->steps[want->step_no];
    for (uint32_t i = 0; i < want->count; i++) {
        const struct test_value *v = &want->values[i];
        const char *got = variable(s->env, v->name);
        if ((got == NULL) == v->absent &&
            (got == NULL || str_eq_c(v->text, got)) && s->env != NULL) {
            continue;
        }
        CLEANUP(strbuf_deinit) struct strbuf what = STRBUF_INIT(1024);
        strbuf_addf(&what, "variable %.*s of %.*s", STR_ARG(v->name),
                    STR_ARG(play_step_name(p->rb, want->step_no)));
        play_differ(p, strbuf_str(&what),
                    v->absent ? STR("that it is not set") : v->text,
                    s->env == NULL ? STR("the step was not run")
                    : got == NULL  ? STR("it is not set")
                                   : str_c(got));
    }
}

static bool wants_workflow(const struct test_expect *x)
{
    return x->ran.given || x->skipped.given || x->attempt_count != 0 ||
           x->status != WORKFLOW_STATUSES || x->result != WORKFLOW_RESULTS ||
           x->error.len != 0 || x->parameters.count != 0 ||
           x->argv_count != 0 || x->env_count != 0;
}

static void compare_workflow(struct play *p, const struct played *w)
{
    const struct test_expect *x = &p->test->expect;
    compare_ran(p, w);
    compare_skipped(p, w);
    compare_attempts(p, w);
    compare_end(p, w);
    compare_parameters(p, w);
    for (uint32_t i = 0; i < x->argv_count; i++) {
        compare_argv(p, w, &x->argv[i]);
    }
    for (uint32_t i = 0; i < x->env_count; i++) {
        compare_env(p, w, &x->env[i]);
    }
}

void play_compare(struct play *p)
{
    const struct test_expect *x = &p->test->expect;
    size_t started = p->workflows.count;
    compare_matched(p);
    if (x->started != RUNBOOK_TEST_ANY && x->started != started) {
        differ_count(p, STR("started"), x->started, started);
    }
    compare_held_back(p);
    if (started != 0) {
        compare_workflow(p, &p->workflows.at[started - 1]);
    } else if (wants_workflow(x)) {
        play_differ(p, STR("workflow"), STR("that one is started"),
                    STR("none is started"));
    }
}
