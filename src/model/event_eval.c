#include "model/event_eval.h"

#include "expr/cel_json.h"
#include "expr/cel_text.h"
#include "model/step_try.h"

struct zone_host {
    struct event_cel values;
    struct step_try step;
    const struct event_eval *what;
};

static void put_key(struct strbuf *out, const char *key)
{
    strbuf_addf(out, ",\"%s\":", key);
}

static void put_issue(struct strbuf *out, const struct cel_issue *issue,
                      struct str expr)
{
    CLEANUP(strbuf_deinit) struct strbuf picture = STRBUF_INIT(4096);
    cel_issue_print(issue, expr, &picture);
    strbuf_addf(out, "{\"line\":%u,\"column\":%u,\"offset\":%u",
                issue->err.at.line, issue->err.at.column, issue->offset);
    put_key(out, "message");
    strbuf_add_json_quoted(out, str_c(issue->err.message));
    put_key(out, "hint");
    strbuf_add_json_quoted(out, str_c(issue->err.hint));
    put_key(out, "picture");
    strbuf_add_json_quoted(out, strbuf_str(&picture));
    strbuf_addch(out, '}');
}

static void put_refused(struct strbuf *out, const struct cel_issue *issue,
                        struct str expr)
{
    strbuf_addc(out, "{\"valid\":false,\"type\":null,\"value\":null,"
                     "\"text\":null,\"error\":");
    put_issue(out, issue, expr);
    strbuf_addc(out, ",\"warnings\":[]}");
}

static void put_warnings(struct strbuf *out, const struct cel_program *p)
{
    const struct cel_warnings *w = cel_program_warnings(p);
    put_key(out, "warnings");
    strbuf_addch(out, '[');
    for (uint32_t i = 0; i < w->count; i++) {
        strbuf_addc(out, i == 0 ? "" : ",");
        put_issue(out, &w->items[i], cel_program_text(p));
    }
    strbuf_addc(out, "]}");
}

/* The value twice, as JSON and as an expression; false if it is too large. */
static bool put_value(struct strbuf *out, struct cel_value v)
{
    CLEANUP(strbuf_deinit)
    struct strbuf json = STRBUF_INIT(EVENT_EVAL_VALUE_MAX_BYTES);
    CLEANUP(strbuf_deinit)
    struct strbuf text = STRBUF_INIT(EVENT_EVAL_VALUE_MAX_BYTES);
    cel_json_write(v, &json);
    cel_text_literal(v, &text);
    bool fits = !json.full && !text.full;
    bool shows = fits && v.kind != CEL_ERROR;
    put_key(out, "value");
    strbuf_add(out, shows ? strbuf_str(&json) : STR("null"));
    put_key(out, "text");
    if (shows) {
        strbuf_add_json_quoted(out, strbuf_str(&text));
    } else {
        strbuf_addc(out, "null");
    }
    return fits;
}

static void put_result(struct strbuf *out, const struct cel_program *p,
                       struct cel_value v)
{
    CLEANUP(strbuf_deinit) struct strbuf type = STRBUF_INIT(4096);
    struct cel_issue issue = CEL_ISSUE_INIT;
    cel_type_print(cel_program_type(p), &type);
    strbuf_addc(out, "{\"valid\":true,\"type\":");
    strbuf_add_json_quoted(out, strbuf_str(&type));
    bool fits = put_value(out, v);
    if (v.kind == CEL_ERROR) {
        cel_program_issue(p, v, &issue);
    } else if (!fits) {
        (void)cel_issue_limit(&issue, cel_program_text(p), 0,
                              "the value is too large to be shown: more than "
                              "%u bytes",
                              EVENT_EVAL_VALUE_MAX_BYTES);
    }
    put_key(out, "error");
    if (issue.err.errnum != 0) {
        put_issue(out, &issue, cel_program_text(p));
    } else {
        strbuf_addc(out, "null");
    }
    put_warnings(out, p);
}

static int ask_zone(void *context, struct str name, int64_t seconds,
                    int32_t *ret)
{
    const struct zone_host *h = context;
    return h->what->zone(h->what->zone_context, name, seconds, ret);
}

static struct cel_value ask_variable(void *context, uint32_t index,
                                     struct cel_run *run)
{
    struct zone_host *h = context;
    if (h->what->step != NULL) {
        return step_try_variable(&h->step, index, run);
    }
    return h->values.input.variable(h->values.input.context, index, run);
}

/* Where the values come from, and the environment of the expression. */
static int open_values(struct zone_host *h, struct arena *a,
                       const struct cel_env **ret, struct err *reterr)
{
    const struct event_eval *what = h->what;
    if (what->step != NULL) {
        *ret = step_try_env();
        return step_try_init(&h->step, what->step, what->now_ms, a, reterr);
    }
    *ret = event_cel_env(a, EVENT_CEL_TRY);
    return event_cel_fill(&h->values, what->event, what->parameters,
                          what->now_ms, a, reterr);
}

int event_eval(const struct event_eval *what, struct strbuf *out,
               struct err *reterr)
{
    struct arena a = ARENA_INIT;
    struct zone_host h = {.what = what};
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct cel_program *p = NULL;
    const struct cel_env *env = NULL;
    struct cel_input input = {.variable = ask_variable,
                              .zone = what->zone == NULL ? NULL : ask_zone,
                              .context = &h};
    int r = open_values(&h, &a, &env, reterr);
    if (r == 0 && cel_program_new(env, what->expr, &a, &p, &issue) < 0) {
        put_refused(out, &issue, what->expr);
    } else if (r == 0) {
        put_result(out, p, cel_program_run(p, &input, CEL_BUDGET_DEFAULT, &a));
    }
    arena_deinit(&a);
    return r;
}
