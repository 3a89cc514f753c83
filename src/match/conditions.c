#include "match/conditions.h"

#include <inttypes.h>

/* Of a reason, and of all that failed for one event. */
#define REASON_MAX_BYTES 512
#define REASONS_SHOWN 3

struct conditions {
    struct event_input input;
    struct arena scratch; /* of one evaluation */
    int64_t units;        /* left for all of them */
    /* The runbook whose triggers are being asked, and what it has used. */
    const struct runbook *runbook;
    int64_t used;
    /* The one that has used most of all so far. */
    const struct runbook *costliest;
    int64_t most;
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

/* Whose conditions left too little for this one: people must know where to
 * look, and it need not be here. */
static void add_spender(const struct conditions *c, struct strbuf *out)
{
    if (c->used >= MATCH_RUNBOOK_UNITS_MAX) {
        strbuf_addf(out,
                    " (the conditions of one runbook share %d units for an "
                    "event, and those of its triggers before this one used "
                    "them up)",
                    MATCH_RUNBOOK_UNITS_MAX);
    } else if (c->units < MATCH_TRIGGER_UNITS_MAX && c->costliest != NULL) {
        strbuf_addf(out,
                    " (all conditions share %d units for an event; those of "
                    "%.*s used most: %" PRId64 ")",
                    MATCH_EVENT_UNITS_MAX, STR_ARG(c->costliest->path),
                    c->most);
    }
}

static struct str reason_of(const struct conditions *c,
                            const struct cel_program *p, struct cel_value v,
                            bool is_short, struct arena *a)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(REASON_MAX_BYTES);
    struct cel_issue issue = CEL_ISSUE_INIT;
    if (cel_is_error(v)) {
        cel_program_issue(p, v, &issue);
        strbuf_addf(&text, "%u:%u: %s", issue.err.at.line, issue.err.at.column,
                    issue.err.message);
        if (is_short) {
            add_spender(c, &text);
        }
    } else {
        strbuf_addf(&text, "it gives %.*s, not true or false",
                    STR_ARG(cel_type_name(cel_type_of(v))));
    }
    return arena_str(a, strbuf_str(&text));
}

/* What the next condition may use: one runbook cannot use up what others need,
 * and many together leave each enough for a condition as people write them. */
int64_t conditions_share(const struct conditions *c, const struct runbook *rb)
{
    int64_t used = rb == c->runbook ? c->used : 0;
    int64_t share =
        MIN((int64_t)MATCH_TRIGGER_UNITS_MAX, MATCH_RUNBOOK_UNITS_MAX - used);
    return MAX(MIN(share, c->units), (int64_t)MATCH_TRIGGER_UNITS_MIN);
}

static void note_used(struct conditions *c, int64_t used)
{
    c->used += used;
    c->units -= MIN(c->units, used);
    if (c->used > c->most) {
        c->most = c->used;
        c->costliest = c->runbook;
    }
}

static struct cel_value evaluate(struct conditions *c,
                                 const struct cel_program *p, bool *ret_short)
{
    struct cel_budget budget = CEL_BUDGET_DEFAULT;
    int64_t share = conditions_share(c, c->runbook);
    budget.units = share;
    arena_reset(&c->scratch);
    struct cel_value v =
        cel_program_spend(p, &c->input.input, &budget, &c->scratch);
    note_used(c, share - budget.units);
    *ret_short = budget.units == 0 && share < MATCH_TRIGGER_UNITS_MAX;
    return v;
}

bool conditions_hold(struct conditions *c, const struct indexed_trigger *it,
                     struct matches *ret)
{
    const struct cel_program *p = it->runbook->triggers[it->trigger_no].when;
    bool is_short = false;
    if (it->runbook != c->runbook) {
        c->runbook = it->runbook;
        c->used = 0;
    }
    struct cel_value v = evaluate(c, p, &is_short);
    if (v.kind == CEL_BOOL) {
        return v.boolean;
    }
    VEC_PUSH(&ret->failed,
             (struct match_failure){
                 .runbook = it->runbook,
                 .trigger_no = it->trigger_no,
                 .reason = reason_of(c, p, v, is_short, &ret->arena)});
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
