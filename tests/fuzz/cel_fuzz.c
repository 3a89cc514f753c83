/*
 * Any bytes as an expression, checked and unchecked, and as a pattern: what
 * compiles ends within a small budget, what does not has a message with a
 * place in the text, a value's text is UTF-8 that reads back, and explaining
 * it gives the same value.
 */
#include "tests/fuzz/fuzz.h"

#include "base/assert.h"
#include "expr/cel_explain.h"
#include "expr/cel_text.h"
#include "expr/re.h"

#define TEXT_MAX 65536

static const struct cel_field event_fields[] = {
    {.name = "source", .type = &cel_type_string},
    {.name = "value", .type = &cel_type_double},
    {.name = "labels", .type = &cel_type_labels},
};
static const struct cel_type event_type = {.kind = CEL_OBJECT,
                                           .name = {"event", 5},
                                           .fields = event_fields,
                                           .field_count = 3};
static const struct cel_variable variables[] = {
    {{"event", 5}, &event_type},
    {{"x", 1}, &cel_type_dyn},
};

/* Of other kinds than declared, too: nothing is taken on trust. */
static struct cel_value variable(void *context, uint32_t index,
                                 struct cel_run *run)
{
    const struct cel_value *x = context;
    struct cel_entry *e = cel_alloc(run, 2, sizeof(*e));
    if (e == NULL) {
        return cel_spent(run);
    }
    if (index == 1) {
        return *x;
    }
    e[0] = (struct cel_entry){cel_string(STR("source")), *x};
    e[1] = (struct cel_entry){cel_string(STR("labels")), cel_int(3)};
    return cel_new_map(run, e, 2);
}

/* Every term lies in the text, and the value is the same. */
static void explain(const struct cel_program *p, const struct cel_input *input,
                    struct cel_budget budget, struct str wanted)
{
    struct arena a = ARENA_INIT;
    struct cel_explanation e;
    struct strbuf out = STRBUF_INIT(TEXT_MAX);
    cel_program_explain(p, input, &budget, &a, &e);
    cel_text_literal(e.value, &out);
    ASSERT(out.full || str_eq(strbuf_str(&out), wanted));
    for (uint32_t i = 0; i < e.term_count; i++) {
        ASSERT(e.terms[i].text.len != 0);
        ASSERT(str_is_utf8(e.terms[i].text));
    }
    strbuf_deinit(&out);
    arena_deinit(&a);
}

static void run(const struct cel_env *env, struct str text)
{
    struct arena a = ARENA_INIT;
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct cel_program *p = NULL;
    struct strbuf out = STRBUF_INIT(TEXT_MAX);
    struct cel_value x = cel_string(str_slice(text, 0, 32));
    if (!str_is_utf8(cel_text(x))) {
        x = cel_bytes(cel_text(x));
    }
    struct cel_input input = {.variable = variable, .context = &x};
    struct cel_budget budget = {.units = 5000, .bytes = 65536};
    if (cel_program_new(env, text, &a, &p, &issue) < 0) {
        ASSERT(issue.err.message[0] != '\0' && issue.offset <= text.len);
        cel_issue_print(&issue, text, &out);
    } else {
        struct cel_value v = cel_program_run(p, &input, budget, &a);
        cel_text_literal(v, &out);
        ASSERT(v.kind != CEL_ERROR || v.fault->message.len != 0);
        explain(p, &input, budget, strbuf_str(&out));
        if (v.kind == CEL_ERROR) {
            cel_program_issue(p, v, &issue);
            cel_issue_print(&issue, text, &out);
        }
    }
    ASSERT(out.full || str_is_utf8(strbuf_str(&out)));
    strbuf_deinit(&out);
    arena_deinit(&a);
}

static void match(struct str pattern)
{
    struct arena a = ARENA_INIT;
    struct err e = ERR_INIT;
    struct re_program *p = NULL;
    struct cel_run run = {.arena = &a, .units = 5000, .bytes = 65536};
    if (re_compile(pattern, RE_PROGRAM_MAX, &a, &p, &e) == 0) {
        bool found = false;
        bool located = false;
        struct re_match m;
        if (re_search(p, pattern, &run, &found) &&
            re_find(p, pattern, 0, &run, &located, &m)) {
            ASSERT(found == located);
            ASSERT(!located || (m.from[0] >= 0 && m.from[0] <= m.to[0] &&
                                (size_t)m.to[0] <= pattern.len));
        }
    } else {
        ASSERT(e.message[0] != '\0');
    }
    arena_deinit(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cel_env env = {.variables = variables,
                          .variable_count = 2,
                          .limits = CEL_LIMITS_DEFAULT};
    struct str text = str_n((const char *)data, size);
    run(&env, text);
    env.is_unchecked = true;
    run(&env, text);
    match(text);
    return 0;
}
