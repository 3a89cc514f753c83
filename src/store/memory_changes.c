/* What people change, in the memory driver. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "store/memory_priv.h"

/* ---- events ------------------------------------------------------------- */

uint64_t memory_events_free(struct store *s, uint64_t claim)
{
    uint64_t moved = 0;
    VEC_EACH (&s->events, i) {
        struct mem_event *e = s->events.at[i];
        if (e->now.status == EVENT_PROCESSING && e->now.claim == claim) {
            memory_event_set(s, e, EVENT_QUEUED);
            moved++;
        }
    }
    return moved;
}

uint64_t memory_events_move(struct store *s, const struct record_events_move *m)
{
    ASSERT(m->from != EVENT_PROCESSING && m->from != m->to);
    INVARIANT("I3", event_status_may(m->from, m->to));
    bool queued = m->to == EVENT_QUEUED;
    uint64_t moved = 0;
    for (size_t i = 0; i < s->events.count && moved < m->limit; i++) {
        struct mem_event *e = s->events.at[i];
        if (e->now.gone || e->now.status != m->from ||
            (!id_is_null(m->event_id) && !id_eq(e->row.id, m->event_id))) {
            continue;
        }
        memory_event_set(s, e, m->to);
        e->now.attempt = queued ? 0 : e->now.attempt;
        e->now.processed_ms = queued ? 0 : m->at_ms;
        e->now.error = arena_str(&s->arena, m->error);
        e->now.decision = STR("");
        moved++;
    }
    return moved;
}

uint64_t memory_events_rank(struct store *s, const struct record_events_rank *k)
{
    uint64_t moved = 0;
    uint64_t first = MAX(k->first_seq, 1);
    for (uint64_t seq = first; seq < first + k->limit && seq <= s->events.count;
         seq++) {
        struct mem_event *e = s->events.at[seq - 1];
        bool queued =
            e->now.status == EVENT_QUEUED || e->now.status == EVENT_ERROR;
        if (!queued || e->row.priority == k->priority ||
            (k->type.len != 0 && !str_eq(k->type, e->row.type)) ||
            (k->severity.len != 0 && !str_eq(k->severity, e->row.severity))) {
            continue;
        }
        memory_save(s, &e->row.priority, sizeof(e->row.priority));
        e->row.priority = k->priority;
        memory_ready(s, e);
        moved++;
    }
    return moved;
}

/* ---- removing ----------------------------------------------------------- */

static bool has_live_workflow(const struct store *s, struct id event_id)
{
    VEC_EACH (&s->workflows, i) {
        const struct mem_workflow *w = s->workflows.at[i];
        if (!w->gone && id_eq(w->row.event_id, event_id) &&
            !workflow_status_is_final(w->row.status)) {
            return true;
        }
    }
    return false;
}

static bool is_live_alert(const struct store *s, const struct mem_event *e,
                          uint64_t now_ms)
{
    return map_get(&s->alerts, e->row.fingerprint) == e &&
           event_alert_ends_ms(&e->row) > now_ms;
}

static bool may_drop(const struct store *s, const struct mem_event *e,
                     const struct record_events_drop *d)
{
    return !e->now.gone && event_status_is_over(e->now.status) &&
           e->row.received_ms < d->before_ms &&
           (d->live_alerts || !is_live_alert(s, e, d->now_ms)) &&
           !has_live_workflow(s, e->row.id);
}

static void drop_event(struct store *s, struct mem_event *e)
{
    const struct mem_dedup *d = map_get(&s->dedup, e->row.dedup_key);
    memory_event_set(s, e, EVENT_ARCHIVED);
    e->now.gone = true;
    memory_remove(s, &s->events_by_id, id_bytes(&e->row.id));
    if (map_get(&s->alerts, e->row.fingerprint) == e) {
        memory_remove(s, &s->alerts, e->row.fingerprint);
    }
    if (d != NULL && id_eq(d->event_id, e->row.id)) {
        memory_remove(s, &s->dedup, e->row.dedup_key);
    }
    s->counts.removed_events++;
}

uint64_t memory_events_drop(struct store *s, const struct record_events_drop *d)
{
    uint64_t moved = 0;
    uint64_t first = MAX(d->first_seq, 1);
    for (uint64_t seq = first; seq < first + d->limit && seq <= s->events.count;
         seq++) {
        struct mem_event *e = s->events.at[seq - 1];
        if (may_drop(s, e, d)) {
            drop_event(s, e);
            moved++;
        }
    }
    return moved;
}

static bool is_last_of_version(const struct store *s,
                               const struct runbook_hash *hash)
{
    VEC_EACH (&s->workflows, i) {
        const struct mem_workflow *w = s->workflows.at[i];
        if (!w->gone &&
            memcmp(&w->row.runbook_hash, hash, sizeof(*hash)) == 0) {
            return false;
        }
    }
    return true;
}

/* What nothing else refers to now that the workflow is gone. */
static void remove_kin(struct store *s, const struct record_workflow_drop *d,
                       const struct workflow_row *row)
{
    const struct runbook_hash *hash = &row->runbook_hash;
    struct str key = str_n((const char *)hash->bytes, sizeof(hash->bytes));
    if (map_get(&s->runbooks, key) != NULL && is_last_of_version(s, hash)) {
        memory_remove(s, &s->runbooks, key);
    }
    const struct verdict_row *verdict =
        map_get(&s->verdicts, id_bytes(&row->id));
    if (verdict != NULL && verdict->about_ms < d->verdicts_before_ms) {
        memory_remove(s, &s->verdicts, id_bytes(&verdict->subject));
    }
}

/* Chunks are taken from the end: the count is what a rollback restores, and
 * what lies beyond it stays as it is until something is pushed, which a
 * workflow that is being removed has nobody to do. */
uint64_t memory_workflow_drop(struct store *s,
                              const struct record_workflow_drop *d)
{
    struct mem_workflow *w =
        map_get(&s->workflows_by_id, id_bytes(&d->workflow_id));
    if (w == NULL || !workflow_status_is_final(w->row.status)) {
        return 0;
    }
    uint64_t chunks = MIN((uint64_t)d->output_limit, w->chunks.count);
    memory_save(s, &w->chunks.count, sizeof(w->chunks.count));
    w->chunks.count -= chunks;
    if (chunks == d->output_limit) {
        return chunks;
    }
    memory_save(s, &w->gone, sizeof(w->gone));
    w->gone = true;
    memory_remove(s, &s->workflows_by_id, id_bytes(&w->row.id));
    if (!id_is_null(w->row.event_id)) {
        memory_remove(s, &s->starts, memory_start_key(s, &w->row));
    }
    remove_kin(s, d, &w->row);
    s->counts.workflows[w->row.status]--;
    s->counts.dry_runs -= w->row.dry_run;
    s->counts.removed_workflows++;
    return chunks + w->attempts.count + 1;
}

/* ---- settings and the audit trail --------------------------------------- */

void memory_setting(struct store *s, const struct setting_row *given)
{
    if (given->value.len == 0) {
        memory_remove(s, &s->settings, given->key);
        return;
    }
    struct setting_row *row = ARENA_NEW(&s->arena, struct setting_row);
    *row = memory_copy_setting(&s->arena, given);
    memory_put(s, &s->settings, row->key, row);
}

void memory_audit(struct store *s, const struct audit_row *given)
{
    static const uint8_t zeros[AUDIT_HASH_BYTES];
    struct audit_row *row = ARENA_NEW(&s->arena, struct audit_row);
    *row = memory_copy_audit(&s->arena, given);
    row->seq = s->audit.count + 1;
    audit_hash(s->audit.count > 0 ? s->audit.at[s->audit.count - 1]->hash
                                  : zeros,
               row, row->hash);
    MEMORY_PUSH(s, &s->audit, row);
}

/* ---- verdicts ------------------------------------------------------------ */

void memory_verdict(struct store *s, const struct verdict_row *given)
{
    const struct verdict_row *old =
        map_get(&s->verdicts, id_bytes(&given->subject));
    if (given->verdict == VERDICT_NONE) {
        if (old != NULL) {
            memory_remove(s, &s->verdicts, id_bytes(&old->subject));
        }
        return;
    }
    struct verdict_row *row = ARENA_NEW(&s->arena, struct verdict_row);
    *row = memory_copy_verdict(&s->arena, given);
    memory_put(s, &s->verdicts, id_bytes(&row->subject), row);
}
