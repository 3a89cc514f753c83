#include "match/conditions.h"

/* Of a reason, and of all that failed for one event. */
#define REASON_MAX_BYTES 512
#define REASONS_SHOWN 3

struct conditions {
    struct event_input input;
    struct arena scratch; /* of one evaluation */
    int64_t units;        /* left for all of them */
};

struct conditions *conditions_new(const struct event *e,
                                  const struct match_input *input,
                                  struct arena *a)
{
    struct conditions *c = ARENA_NEW(a, struct conditions);
    event_input_init(&c->input, e, NULL, input->now_ms, a);
    c->input.zones = input->zones;
    c->units = MATCH_EVENT_UNITS_MAX;
    return c;
}

void conditions_free(struct conditions *c)
{
    if (c != NULL) {
        event_input_release(&c->input);
        arena_deinit(&c->scratch);
    }
}

static struct str reason_of(const struct cel_program *p, struct cel_value v,
                            struct arena *a)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(REASON_MAX_BYTES);
    struct cel_issue issue = CEL_ISSUE_INIT;
    if (cel_is_error(v)) {
        cel_program_issue(p, v, &issue);
        strbuf_addf(&text, "%u:%u: %s", issue.err.at.line, issue.err.at.column,
                    issue.err.message);
    } else {
        strbuf_addf(&text, "it gives %.*s, not true or false",
                    STR_ARG(cel_type_name(cel_type_of(v))));
    }
    return arena_str(a, strbuf_str(&text));
}

static struct cel_value evaluate(struct conditions *c,
                                 const struct cel_program *p)
{
    struct cel_budget budget = CEL_BUDGET_DEFAULT;
    budget.units = MIN((int64_t)MATCH_TRIGGER_UNITS_MAX, c->units);
    c->units -= budget.units;
    arena_reset(&c->scratch);
    struct cel_value v =
        cel_program_spend(p, &c->input.input, &budget, &c->scratch);
    c->units += budget.units;
    return v;
}

bool conditions_hold(struct conditions *c, const struct indexed_trigger *it,
                     struct matches *ret)
{
    const struct cel_program *p = it->runbook->triggers[it->trigger_no].when;
    struct cel_value v = evaluate(c, p);
    if (v.kind == CEL_BOOL) {
        return v.boolean;
    }
    VEC_PUSH(&ret->failed,
             (struct match_failure){.runbook = it->runbook,
                                    .trigger_no = it->trigger_no,
                                    .reason = reason_of(p, v, &ret->arena)});
    return false;
}

struct str match_failures_text(const struct matches *m, struct arena *a)
{
    CLEANUP(strbuf_deinit)
    struct strbuf text = STRBUF_INIT((REASONS_SHOWN + 1) * 1024UL);
    VEC_EACH (&m->failed, i) {
        const struct match_failure *f = &m->failed.at[i];
        if (i == REASONS_SHOWN) {
            strbuf_addf(&text, "; and %zu more", m->failed.count - i);
            break;
        }
        strbuf_addf(&text,
                    "%strigger %u of %.*s starts nothing, because its "
                    "condition has no value: %.*s",
                    i != 0 ? "; " : "", (unsigned)f->trigger_no + 1,
                    STR_ARG(f->runbook->path), STR_ARG(f->reason));
    }
    return arena_str(a, strbuf_str(&text));
}
