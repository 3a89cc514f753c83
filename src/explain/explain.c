#include "explain/explain.h"

#include <stdlib.h>

#include "base/assert.h"
#include "explain/conditions.h"
#include "match/conditions.h"

#define REASON_MAX_BYTES 512

/* A trigger in the ranking. */
struct ranked {
    struct runbook *runbook;
    uint32_t trigger_no;
    uint32_t number; /* in the order of the index */
    uint32_t failed;
    uint32_t met;
    enum explain_verdict verdict;
    int64_t units;    /* that its `when` had, or would have */
    struct str error; /* why that has no value; "" if it has one */
};

struct ranking {
    const struct explain_query *query;
    struct event_input input;
    VEC(struct ranked) triggers;
    struct conditions *conditions; /* as in the match */
    struct matches failed;         /* conditions without a value */
    int patterns;                  /* left; see EXPLAIN_PATTERNS_MAX */
};

const char *explain_verdict_name(size_t i)
{
    static const char *const names[EXPLAIN_VERDICTS] = {
        [EXPLAIN_MATCHES] = "matches",
        [EXPLAIN_UNDECIDED] = "undecided",
        [EXPLAIN_NO_VALUE] = "no_value",
        [EXPLAIN_MISSES] = "misses",
    };
    return i < EXPLAIN_VERDICTS ? names[i] : NULL;
}

/* ---- verdicts ------------------------------------------------------------ */

/* In the same order and budget as the match, so that one that is used up there
 * is used up here. */
static void look_at_when(struct ranking *r, struct ranked *t)
{
    const struct indexed_trigger it = {t->runbook, t->trigger_no};
    size_t failed = r->failed.failed.count;
    t->units = conditions_share(r->conditions, t->runbook);
    bool holds = conditions_hold(r->conditions, &it, &r->failed);
    if (r->failed.failed.count != failed) {
        t->verdict = EXPLAIN_NO_VALUE;
        t->error = r->failed.failed.at[failed].reason;
    } else if (!holds) {
        t->verdict = EXPLAIN_MISSES;
    }
    t->failed += !holds;
    t->met += holds;
}

static void rank(struct ranking *r, struct runbook *rb, uint32_t trigger_no)
{
    const struct trigger *t = &rb->triggers[trigger_no];
    struct near near = conditions_count(t, r->query->event, &r->patterns);
    struct ranked ranked = {
        .runbook = rb,
        .trigger_no = trigger_no,
        .number = (uint32_t)r->triggers.count,
        .failed = near.failed,
        .met = near.met,
        .verdict = near.failed != 0 ? EXPLAIN_MISSES
                   : near.undecided ? EXPLAIN_UNDECIDED
                                    : EXPLAIN_MATCHES,
        .units = MATCH_TRIGGER_UNITS_MAX,
    };
    if (near.failed == 0 && t->when != NULL) {
        look_at_when(r, &ranked);
    }
    VEC_PUSH(&r->triggers, ranked);
}

/* What starts something first, then what is nearest to it. */
static int nearer(const void *a, const void *b)
{
    const struct ranked *x = a;
    const struct ranked *y = b;
    if (x->verdict != y->verdict) {
        return x->verdict < y->verdict ? -1 : 1;
    }
    if (x->failed != y->failed) {
        return x->failed < y->failed ? -1 : 1;
    }
    if (x->met != y->met) {
        return x->met > y->met ? -1 : 1;
    }
    return x->number < y->number ? -1 : x->number > y->number;
}

/* ---- details ------------------------------------------------------------- */

static struct str reason_of(const struct cel_program *p, struct cel_value v,
                            struct arena *a)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(REASON_MAX_BYTES);
    struct cel_issue issue = CEL_ISSUE_INIT;
    if (v.kind == CEL_BOOL) {
        return STR("");
    }
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

static void tell(struct ranking *r, const struct ranked *from, struct arena *a,
                 struct explained_trigger *ret)
{
    const struct trigger *t = &from->runbook->triggers[from->trigger_no];
    ret->runbook = from->runbook;
    ret->trigger_no = from->trigger_no;
    ret->verdict = from->verdict;
    ret->condition_count =
        conditions_list(t, r->query->event, a, &ret->conditions);
    for (uint32_t i = 0; i < ret->condition_count; i++) {
        ret->failed += ret->conditions[i].holds == 0;
    }
    if (t->when != NULL) {
        struct cel_budget budget = CEL_BUDGET_DEFAULT;
        budget.units = from->units;
        ret->has_when = true;
        cel_program_explain(t->when, &r->input.input, &budget, a, &ret->when);
        ret->when_error = from->error.len != 0
                              ? arena_str(a, from->error)
                              : reason_of(t->when, ret->when.value, a);
        ret->failed +=
            ret->when.value.kind != CEL_BOOL || !ret->when.value.boolean;
    }
}

static void rank_all(struct ranking *r)
{
    const struct generation *g = r->query->generation;
    for (uint32_t i = 0; i < g->file_count; i++) {
        struct runbook *rb = g->files[i].runbook;
        bool wanted =
            rb != NULL && (r->query->runbook.len == 0 ||
                           str_eq(r->query->runbook, g->files[i].path));
        for (uint32_t j = 0; wanted && j < rb->trigger_count; j++) {
            rank(r, rb, j);
        }
    }
    if (r->triggers.count != 0) {
        qsort(r->triggers.at, r->triggers.count, sizeof(*r->triggers.at),
              nearer);
    }
}

static void tell_page(struct ranking *r, struct explanation *ret)
{
    const struct explain_query *q = r->query;
    uint32_t shown = ret->considered;
    if (q->only_starts) {
        shown -= ret->of[EXPLAIN_MISSES];
    }
    uint32_t end = q->first < shown ? q->first + MIN(q->limit, shown - q->first)
                                    : q->first;
    ret->triggers =
        ARENA_ARRAY(&ret->arena, end - q->first, struct explained_trigger);
    for (uint32_t i = q->first; i < end; i++) {
        tell(r, &r->triggers.at[i], &ret->arena, &ret->triggers[ret->count++]);
    }
    ret->more = end < shown;
}

void explain_event(const struct explain_query *q, struct explanation *ret)
{
    struct ranking r = {
        .query = q,
        .conditions = conditions_new(q->event, &q->input, &ret->arena),
        .patterns = EXPLAIN_PATTERNS_MAX,
    };
    ASSERT(q->limit >= 1 && q->limit <= EXPLAIN_TRIGGERS_MAX);
    event_input_init(&r.input, q->event, NULL, q->input.now_ms, &ret->arena);
    r.input.zones = q->input.zones;
    rank_all(&r);
    ret->considered = (uint32_t)r.triggers.count;
    VEC_EACH (&r.triggers, i) {
        ret->of[r.triggers.at[i].verdict]++;
    }
    tell_page(&r, ret);
    event_input_release(&r.input);
    conditions_free(r.conditions);
    matches_deinit(&r.failed);
    VEC_DEINIT(&r.triggers);
}

void explanation_deinit(struct explanation *x)
{
    arena_deinit(&x->arena);
}
