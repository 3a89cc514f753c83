/*
 * What may hold back a workflow that a trigger would start: too many starts of
 * all runbooks or of this one, an event that is too old, a breaker that has
 * opened. All of it follows from instants that are kept like what triggers
 * remember (memory.c) and from the workflows that are live; there is no counter
 * that has to be given back. What a person asks for is neither held back nor
 * counted.
 */
#include "engine/guards.h"

#include "base/assert.h"

/* ---- age ----------------------------------------------------------------- */

bool guards_too_old(const struct engine *e, const struct fact_match *match,
                    uint64_t received_ms, struct strbuf *why)
{
    uint64_t max_ms =
        guard_max_age_ms(&e->config.guards, &match->runbook->guards);
    uint64_t age_ms = e->now_ms - MIN(received_ms, e->now_ms);
    if (max_ms == 0 || age_ms <= max_ms) {
        return false;
    }
    if (memory_begin_reason(why, match)) {
        guard_explain_age(age_ms, max_ms, why);
    }
    return true;
}

/* ---- rates --------------------------------------------------------------- */

static bool rate_allows(const struct engine *e, const struct fact_match *match,
                        struct str path, const struct guard_rate *rate,
                        struct strbuf *why)
{
    const struct memory *m = memory_find(e, path, GUARD_STARTS, STR(""));
    struct trigger_limits l = guard_rate_limits(rate);
    if (rate->most == 0 || m == NULL) {
        return true;
    }
    struct memory_state s = memory_state_at(&l, &m->row, e->now_ms, e->now_ms);
    if (memory_hold_of(&l, &s) == MEMORY_FREE) {
        return true;
    }
    if (memory_begin_reason(why, match)) {
        guard_explain_rate(path, rate, s.runs, s.runs_until_ms, why);
    }
    return false;
}

static void rate_counts(struct engine *e, struct str path,
                        const struct guard_rate *rate, struct id workflow)
{
    struct trigger_limits l = guard_rate_limits(rate);
    if (rate->most == 0) {
        return;
    }
    struct memory *m = memory_find(e, path, GUARD_STARTS, STR(""));
    if (m == NULL) {
        m = memory_new(e, path, GUARD_STARTS, STR(""));
    }
    memory_start(e, m, &l, workflow);
}

/* ---- the breaker --------------------------------------------------------- */

static bool probe_is_live(const struct engine *e, const struct memory *m)
{
    return m->starts.count != 0 && flow_find(e, m->row.last_workflow) != NULL;
}

static bool breaker_allows(const struct engine *e,
                           const struct fact_match *match, struct strbuf *why)
{
    const struct runbook *rb = match->runbook;
    const struct memory *m = memory_find(e, rb->path, GUARD_BREAKER, STR(""));
    struct guard_breaker b = guard_breaker_of(&e->config.guards, &rb->guards);
    if (m == NULL) {
        return true;
    }
    struct breaker_view v = breaker_at(&b, &m->row, e->now_ms);
    if (v.state == BREAKER_CLOSED ||
        (v.state == BREAKER_HALF_OPEN && !probe_is_live(e, m))) {
        return true;
    }
    if (memory_begin_reason(why, match)) {
        guard_explain_breaker(&b, &v, &m->row, why);
    }
    return false;
}

/* When nothing of it matters any more: an open one is forgotten when it could
 * have been probed for as long as failures count. */
static void breaker_keep(struct engine *e, struct memory *m,
                         const struct guard_breaker *b)
{
    uint64_t last_ms =
        m->events.count != 0 ? m->events.at[m->events.count - 1] : e->now_ms;
    uint64_t until_ms = last_ms + b->open_ms + b->within_ms;
    m->row.expires_ms = (MAX(until_ms, e->now_ms) / 1000 + 1) * 1000;
    memory_touch(e, m);
}

/* In the half-open state what starts is the probe. */
static void breaker_counts(struct engine *e, const struct runbook *rb,
                           struct id workflow)
{
    struct memory *m = memory_find(e, rb->path, GUARD_BREAKER, STR(""));
    struct guard_breaker b = guard_breaker_of(&e->config.guards, &rb->guards);
    if (m == NULL ||
        breaker_at(&b, &m->row, e->now_ms).state != BREAKER_HALF_OPEN) {
        return;
    }
    VEC_CLEAR(&m->starts);
    VEC_PUSH(&m->starts, e->now_ms);
    m->row.last_workflow = workflow;
    breaker_keep(e, m, &b);
}

/* What waits for a place was let in when nobody knew. What a person has asked
 * for stays. */
static void breaker_opens(struct engine *e, struct flow *f,
                          const struct guard_breaker *b, struct memory *m)
{
    CLEANUP(strbuf_deinit) struct strbuf why = STRBUF_INIT(1024);
    struct breaker_view v = breaker_at(b, &m->row, e->now_ms);
    guard_explain_breaker(b, &v, &m->row, &why);
    VEC(struct flow *) waiting = {0};
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&e->flows, &cursor)) != NULL) {
        struct flow *waits = entry->value;
        if (waits->lane == f->lane && waits->row.status == WORKFLOW_QUEUED &&
            !id_is_null(waits->row.event_id)) {
            VEC_PUSH(&waiting, waits);
        }
    }
    VEC_EACH (&waiting, i) {
        struct flow *waits = waiting.at[i];
        waits->row.stop = STOP_CANCEL;
        waits->row.stopped_by = flow_own(&waits->stopped_by, STR("breaker"));
        flow_finish(e, waits, WORKFLOW_CANCELLED, strbuf_str(&why));
    }
    VEC_DEINIT(&waiting);
}

static void breaker_failed(struct engine *e, struct flow *f,
                           const struct guard_breaker *b)
{
    struct str path = f->runbook->path;
    struct memory *m = memory_find(e, path, GUARD_BREAKER, STR(""));
    if (m == NULL) {
        m = memory_new(e, path, GUARD_BREAKER, STR(""));
    }
    VEC_PUSH(&m->events, e->now_ms);
    while (m->events.count > b->failures ||
           m->events.at[0] + b->within_ms <= e->now_ms) {
        VEC_REMOVE(&m->events, 0);
    }
    breaker_keep(e, m, b);
    if (breaker_at(b, &m->row, e->now_ms).state != BREAKER_CLOSED) {
        breaker_opens(e, f, b, m);
    }
}

void guards_finished(struct engine *e, struct flow *f)
{
    struct guard_breaker b =
        guard_breaker_of(&e->config.guards, &f->runbook->guards);
    if (id_is_null(f->row.event_id) || b.failures == 0) {
        return;
    }
    if (f->row.status == WORKFLOW_FAILED) {
        breaker_failed(e, f, &b);
        return;
    }
    struct memory *m = memory_find(e, f->runbook->path, GUARD_BREAKER, STR(""));
    if (f->row.status == WORKFLOW_SUCCEEDED && m != NULL &&
        m->starts.count != 0 && id_eq(m->row.last_workflow, f->row.id)) {
        VEC_CLEAR(&m->events); /* the probe has shown that it works again */
        VEC_CLEAR(&m->starts);
        memory_touch(e, m);
    }
}

/* ---- all of them --------------------------------------------------------- */

/* Nothing runs without a target where one is asked for. A match that cannot
 * start anyhow has a reason of its own. */
static bool has_target(const struct fact_match *match, struct strbuf *why)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct err err = ERR_INIT;
    struct str target = STR_NULL;
    if (match->error.len != 0 || guard_target(match->runbook, match->parameters,
                                              &a, &target, &err) == 0) {
        return true;
    }
    if (memory_begin_reason(why, match)) {
        strbuf_addc(why, err.message);
    }
    return false;
}

bool guards_admit(struct engine *e, const struct fact_match *match,
                  struct strbuf *why)
{
    const struct runbook *rb = match->runbook;
    const struct guard_rate *all = &e->config.guards.starts;
    const struct guard_rate *own = &rb->guards.starts;
    if (!has_target(match, why) || !breaker_allows(e, match, why) ||
        !lane_admits(e, match, why) ||
        !rate_allows(e, match, rb->path, own, why) ||
        !rate_allows(e, match, STR(""), all, why)) {
        return false;
    }
    rate_counts(e, STR(""), all, match->workflow_id);
    rate_counts(e, rb->path, own, match->workflow_id);
    breaker_counts(e, rb, match->workflow_id);
    if (match->error.len == 0) {
        lane_replace(e, match);
    }
    return true;
}
