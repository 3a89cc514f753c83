/*
 * Attempts that run out: when max_runs holds a trigger's key back and the
 * trigger says so, people are told, once, by a workflow that has failed without
 * a step; partner systems get it like any other. From then on nothing is
 * started for the key until the window has passed again, or somebody resets it.
 * That it was told is kept like the other memories of guards, in the same
 * commit.
 */
#include "base/assert.h"
#include "engine/guards.h"

static struct memory *told_of(struct engine *e, const struct fact_match *match,
                              struct strbuf *key)
{
    guard_escalated_key(match->runbook->triggers[match->trigger_no].name,
                        match->key, key);
    return memory_find(e, match->runbook->path, GUARD_ESCALATED,
                       strbuf_str(key));
}

static const struct trigger_limits *limits_of(const struct fact_match *match)
{
    return &match->runbook->triggers[match->trigger_no].limits;
}

bool guards_escalated(struct engine *e, const struct fact_match *match,
                      struct strbuf *why)
{
    CLEANUP(strbuf_deinit) struct strbuf key = STRBUF_INIT(4096);
    const struct trigger_limits *l = limits_of(match);
    const struct memory *m =
        l->escalate && l->runs_most != 0 ? told_of(e, match, &key) : NULL;
    if (m == NULL || e->now_ms >= m->starts.at[0] + l->runs_within_ms) {
        return false;
    }
    if (memory_begin_reason(why, match)) {
        guard_explain_escalated(m->row.last_workflow,
                                m->starts.at[0] + l->runs_within_ms,
                                match->runbook->path, why);
    }
    return true;
}

static void remember(struct engine *e, const struct fact_match *match)
{
    CLEANUP(strbuf_deinit) struct strbuf key = STRBUF_INIT(4096);
    struct memory *m = told_of(e, match, &key);
    if (m == NULL) {
        m = memory_new(e, match->runbook->path, GUARD_ESCALATED,
                       strbuf_str(&key));
    }
    VEC_CLEAR(&m->starts);
    VEC_PUSH(&m->starts, e->now_ms);
    m->row.last_workflow = match->workflow_id;
    m->row.expires_ms =
        ((e->now_ms + limits_of(match)->runs_within_ms) / 1000 + 1) * 1000;
    memory_touch(e, m);
}

bool guards_escalate(struct engine *e, const struct fact_match *match,
                     struct strbuf *why, struct str *ret)
{
    const struct trigger_limits *l = limits_of(match);
    const struct memory *m = memory_find(
        e, match->runbook->path,
        match->runbook->triggers[match->trigger_no].name, match->key);
    if (!l->escalate || l->runs_most == 0 || m == NULL) {
        return false;
    }
    struct memory_state s = memory_state_at(l, &m->row, e->now_ms, e->now_ms);
    if (s.runs < l->runs_most) {
        return false; /* something else holds it back */
    }
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(4096);
    s.cool_until_ms = 0;
    memory_explain(l, &m->row, &s, &text);
    remember(e, match);
    strbuf_addc(&text, "; ");
    guard_explain_escalated(match->workflow_id, e->now_ms + l->runs_within_ms,
                            match->runbook->path, &text);
    *ret = arena_str(&e->fx->arena, strbuf_str(&text));
    if (memory_begin_reason(why, match)) {
        strbuf_addc(why, "people are told");
    }
    return true;
}

/* ---- reset --------------------------------------------------------------- */

static bool is_meant(const struct fact *fact, const struct memory_row *row)
{
    struct str trigger = row->trigger;
    struct str key = row->key;
    if (!str_eq(row->runbook_path, fact->reset.runbook)) {
        return false;
    }
    if (str_eq(trigger, GUARD_ESCALATED)) {
        guard_escalated_parts(row->key, &trigger, &key);
    }
    return fact->reset.trigger.len == 0 ||
           (str_eq(trigger, fact->reset.trigger) &&
            (fact->reset.any_key || str_eq(key, fact->reset.key)));
}

static int forget_all(struct engine *e, const struct fact *fact)
{
    int count = 0;
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&e->memories, &cursor)) != NULL) {
        struct memory *m = entry->value;
        if (is_meant(fact, &m->row)) {
            VEC_CLEAR(&m->events);
            VEC_CLEAR(&m->starts);
            memory_touch(e, m); /* it goes at the end of the step */
            count++;
        }
    }
    return count;
}

void guards_reset(struct engine *e, const struct fact *fact)
{
    CLEANUP(strbuf_deinit) struct strbuf before = STRBUF_INIT(256);
    int count = forget_all(e, fact);
    struct action answer = {
        .kind = ENGINE_ACT_REPLY,
        .reply = {.reply = fact->reset.reply, .result = count},
    };
    if (count != 0 && fact->reset.audit.len != 0) {
        strbuf_addf(&before, "{\"memories\":%d}", count);
        struct audit_row row = {.at_ms = e->now_ms,
                                .who = fact->reset.requested_by,
                                .action = fact->reset.audit,
                                .subject = fact->reset.runbook,
                                .before = strbuf_str(&before),
                                .after = STR("{\"memories\":0}")};
        effects_audit(e->fx, &row);
    }
    effects_action(e->fx, answer);
}
