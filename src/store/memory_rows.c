#include "store/memory_priv.h"

/* Empty strings stay empty without a copy: most rows have several. */
static struct str copy(struct arena *a, struct str s)
{
    return s.len != 0 ? arena_str(a, s) : STR("");
}

struct event memory_copy_event(struct arena *a, const struct event *from)
{
    struct event e = *from;
    e.type = copy(a, from->type);
    e.severity = copy(a, from->severity);
    e.source = copy(a, from->source);
    e.fingerprint = copy(a, from->fingerprint);
    e.dedup_key = copy(a, from->dedup_key);
    e.body = copy(a, from->body);
    e.labels.at = ARENA_ARRAY(a, from->labels.count, struct label);
    for (uint32_t i = 0; i < from->labels.count; i++) {
        e.labels.at[i].name = copy(a, from->labels.at[i].name);
        e.labels.at[i].value = copy(a, from->labels.at[i].value);
    }
    return e;
}

struct event_view memory_copy_view(struct arena *a,
                                   const struct mem_event *from)
{
    struct event_view v = {
        .event = memory_copy_event(a, &from->row),
        .status = from->now.status,
        .error = copy(a, from->now.error),
        .duplicate_of = from->duplicate_of,
        .processed_ms = from->now.processed_ms,
        .decision = copy(a, from->now.decision),
    };
    v.event.attempt = from->now.attempt;
    return v;
}

struct workflow_row memory_copy_workflow(struct arena *a,
                                         const struct workflow_row *from)
{
    struct workflow_row w = *from;
    w.runbook_path = copy(a, from->runbook_path);
    w.runbook_name = copy(a, from->runbook_name);
    w.runbook_commit = copy(a, from->runbook_commit);
    w.subject = copy(a, from->subject);
    w.parameters = copy(a, from->parameters);
    w.requested_by = copy(a, from->requested_by);
    w.stopped_by = copy(a, from->stopped_by);
    w.error = copy(a, from->error);
    return w;
}

struct attempt_row memory_copy_attempt(struct arena *a,
                                       const struct attempt_row *from)
{
    struct attempt_row t = *from;
    t.error = copy(a, from->error);
    t.outputs = copy(a, from->outputs);
    return t;
}

struct output_chunk memory_copy_chunk(struct arena *a,
                                      const struct output_chunk *from)
{
    struct output_chunk c = *from;
    c.data = copy(a, from->data);
    return c;
}

struct setting_row memory_copy_setting(struct arena *a,
                                       const struct setting_row *from)
{
    struct setting_row row = *from;
    row.key = arena_str(a, from->key);
    row.value = arena_str(a, from->value);
    row.by = arena_str(a, from->by);
    return row;
}

struct audit_row memory_copy_audit(struct arena *a,
                                   const struct audit_row *from)
{
    struct audit_row row = *from;
    row.who = arena_str(a, from->who);
    row.action = arena_str(a, from->action);
    row.subject = arena_str(a, from->subject);
    row.before = arena_str(a, from->before);
    row.after = arena_str(a, from->after);
    return row;
}

struct notice_row memory_copy_notice(struct arena *a,
                                     const struct notice_row *from)
{
    struct notice_row row = *from;
    row.key = arena_str(a, from->key);
    row.body = arena_str(a, from->body);
    row.error = arena_str(a, from->error);
    return row;
}

struct verdict_row memory_copy_verdict(struct arena *a,
                                       const struct verdict_row *from)
{
    struct verdict_row row = *from;
    row.by = arena_str(a, from->by);
    row.note = arena_str(a, from->note);
    return row;
}
