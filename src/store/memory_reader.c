/* Readers of the memory driver: every call looks at the last commit. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "store/memory_priv.h"

struct mem_reader {
    struct reader base;
    struct store *store;
};

static struct store *lock(struct reader *r)
{
    struct store *s = CONTAINER_OF(r, struct mem_reader, base)->store;
    ASSERT(pthread_mutex_lock(&s->lock) == 0);
    return s;
}

static void unlock(struct store *s)
{
    ASSERT(pthread_mutex_unlock(&s->lock) == 0);
}

static void close_reader(struct reader *r)
{
    if (r != NULL) {
        mem_free(CONTAINER_OF(r, struct mem_reader, base));
    }
}

/* ---- events ------------------------------------------------------------- */

static bool is_any_or(struct str wanted, struct str value)
{
    return wanted.len == 0 || str_eq(wanted, value);
}

static bool event_passes(const struct event_filter *f,
                         const struct mem_event *e)
{
    return !e->now.gone && is_any_or(f->type, e->row.type) &&
           is_any_or(f->severity, e->row.severity) &&
           is_any_or(f->source, e->row.source) &&
           (f->status < 0 || f->status == (int)e->now.status) &&
           e->row.received_ms >= f->since_ms &&
           (f->before_seq == 0 || e->row.seq < f->before_seq) &&
           e->row.seq > f->after_seq;
}

static int read_events(struct reader *r, const struct event_filter *f,
                       struct arena *a, struct event_view **ret,
                       uint32_t *ret_count)
{
    struct store *s = lock(r);
    size_t total = s->events.count;
    struct event_view *views =
        ARENA_ARRAY(a, MIN((size_t)f->limit, total), struct event_view);
    uint32_t count = 0;
    for (size_t i = 0; i < total && count < f->limit; i++) {
        const struct mem_event *e =
            s->events.at[f->oldest_first ? i : total - 1 - i];
        if (event_passes(f, e)) {
            views[count++] = memory_copy_view(a, e);
        }
    }
    unlock(s);
    *ret = views;
    *ret_count = count;
    return 0;
}

static int read_event(struct reader *r, struct id id, struct arena *a,
                      struct event_view *ret)
{
    struct store *s = lock(r);
    const struct mem_event *e = map_get(&s->events_by_id, id_bytes(&id));
    if (e != NULL) {
        *ret = memory_copy_view(a, e);
    }
    unlock(s);
    return e != NULL ? 0 : -ENOENT;
}

static int newest_first(const void *a, const void *b)
{
    const struct event_view *x = a;
    const struct event_view *y = b;
    return x->event.seq < y->event.seq ? 1 : -1;
}

static int read_alerts(struct reader *r, uint64_t now_ms, uint64_t before_seq,
                       struct arena *a, struct event_view **ret,
                       uint32_t *ret_count)
{
    struct store *s = lock(r);
    struct event_view *views =
        ARENA_ARRAY(a, map_count(&s->alerts), struct event_view);
    uint32_t count = 0;
    size_t cursor = 0;
    for (const struct map_entry *it = map_next(&s->alerts, &cursor); it != NULL;
         it = map_next(&s->alerts, &cursor)) {
        const struct mem_event *e = it->value;
        if (event_alert_ends_ms(&e->row) > now_ms &&
            (before_seq == 0 || e->row.seq < before_seq)) {
            views[count++] = memory_copy_view(a, e);
        }
    }
    unlock(s);
    if (count != 0) {
        qsort(views, count, sizeof(*views), newest_first);
    }
    *ret = views;
    *ret_count = MIN(count, (uint32_t)STORE_ALERTS_PAGE);
    return 0;
}

/* ---- workflows ---------------------------------------------------------- */

static bool workflow_passes(const struct workflow_filter *f,
                            const struct mem_workflow *w)
{
    bool ended = workflow_status_is_final(w->row.status) &&
                 w->row.finished_ms < f->ended_before_ms &&
                 w->row.created_ms < f->ended_before_ms;
    return !w->gone && (f->ended_before_ms == 0 || ended) &&
           is_any_or(f->runbook, w->row.runbook_path) &&
           (f->status < 0 || f->status == (int)w->row.status) &&
           (!f->live_only || !workflow_status_is_final(w->row.status)) &&
           (id_is_null(f->event_id) || id_eq(f->event_id, w->row.event_id)) &&
           w->row.created_ms >= f->since_ms &&
           (f->before_seq == 0 || w->seq < f->before_seq) &&
           w->seq > f->after_seq;
}

static struct workflow_view view_workflow(struct arena *a,
                                          const struct mem_workflow *w)
{
    return (struct workflow_view){
        .row = memory_copy_workflow(a, &w->row),
        .seq = w->seq,
    };
}

static int read_workflows(struct reader *r, const struct workflow_filter *f,
                          struct arena *a, struct workflow_view **ret,
                          uint32_t *ret_count)
{
    struct store *s = lock(r);
    size_t total = s->workflows.count;
    bool up = f->live_only || f->ended_before_ms != 0;
    struct workflow_view *views =
        ARENA_ARRAY(a, MIN((size_t)f->limit, total), struct workflow_view);
    uint32_t count = 0;
    for (size_t i = 0; i < total && count < f->limit; i++) {
        const struct mem_workflow *w = s->workflows.at[up ? i : total - 1 - i];
        if (workflow_passes(f, w)) {
            views[count++] = view_workflow(a, w);
        }
    }
    unlock(s);
    *ret = views;
    *ret_count = count;
    return 0;
}

static int read_workflow(struct reader *r, struct id id, struct arena *a,
                         struct workflow_view *ret)
{
    struct store *s = lock(r);
    const struct mem_workflow *w = map_get(&s->workflows_by_id, id_bytes(&id));
    if (w != NULL) {
        *ret = view_workflow(a, w);
    }
    unlock(s);
    return w != NULL ? 0 : -ENOENT;
}

static int by_step(const void *a, const void *b)
{
    const struct attempt_key *x = &((const struct attempt_row *)a)->key;
    const struct attempt_key *y = &((const struct attempt_row *)b)->key;
    if (x->step_no != y->step_no) {
        return x->step_no < y->step_no ? -1 : 1;
    }
    return x->attempt < y->attempt ? -1 : 1;
}

static int read_attempts(struct reader *r, struct id workflow_id,
                         struct arena *a, struct attempt_row **ret,
                         uint32_t *ret_count)
{
    struct store *s = lock(r);
    const struct mem_workflow *w =
        map_get(&s->workflows_by_id, id_bytes(&workflow_id));
    size_t total = w != NULL ? w->attempts.count : 0;
    struct attempt_row *rows = ARENA_ARRAY(a, total, struct attempt_row);
    for (size_t i = 0; i < total; i++) {
        rows[i] = memory_copy_attempt(a, w->attempts.at[i]);
    }
    unlock(s);
    if (total != 0) {
        qsort(rows, total, sizeof(*rows), by_step);
    }
    *ret = rows;
    *ret_count = (uint32_t)total;
    return 0;
}

static int read_output(struct reader *r, const struct output_filter *f,
                       struct arena *a, struct output_chunk **ret,
                       uint32_t *ret_count, uint64_t *ret_last_seq)
{
    struct store *s = lock(r);
    const struct mem_workflow *w =
        map_get(&s->workflows_by_id, id_bytes(&f->workflow_id));
    size_t total = w != NULL ? w->chunks.count : 0;
    struct output_chunk *rows =
        ARENA_ARRAY(a, MIN((size_t)f->limit, total), struct output_chunk);
    uint32_t count = 0;
    uint64_t last_seq = f->after_seq;
    for (size_t i = 0; i < total && count < f->limit; i++) {
        if (w->chunks.at[i].seq > f->after_seq) {
            rows[count] = memory_copy_chunk(a, &w->chunks.at[i].row);
            last_seq = rows[count++].seq = w->chunks.at[i].seq;
        }
    }
    unlock(s);
    *ret = rows;
    *ret_count = count;
    *ret_last_seq = last_seq;
    return 0;
}

/* ---- the rest ----------------------------------------------------------- */

static int read_runbook(struct reader *r, const struct runbook_hash *hash,
                        struct arena *a, struct str *ret_path,
                        struct str *ret_text)
{
    struct store *s = lock(r);
    const struct mem_runbook *rb = map_get(
        &s->runbooks, str_n((const char *)hash->bytes, sizeof(hash->bytes)));
    if (rb != NULL) {
        *ret_path = arena_str(a, rb->path);
        *ret_text = arena_str(a, rb->text);
    }
    unlock(s);
    return rb != NULL ? 0 : -ENOENT;
}

static int read_request(struct reader *r, struct str key,
                        const uint8_t hash[32], uint64_t now_ms, struct id *ret)
{
    struct store *s = lock(r);
    const struct mem_request *q = map_get(&s->requests, key);
    int e = 0;
    if (q == NULL || q->expires_ms <= now_ms) {
        e = -ENOENT;
    } else if (memcmp(q->hash, hash, sizeof(q->hash)) != 0 ||
               id_is_null(q->made)) {
        e = -EEXIST;
    } else {
        *ret = q->made;
    }
    unlock(s);
    return e;
}

static int read_counts(struct reader *r, struct store_counts *ret)
{
    struct store *s = lock(r);
    *ret = s->counts;
    unlock(s);
    return 0;
}

static int read_tally(struct reader *r, const struct tally_filter *f,
                      struct arena *a, struct event_tally *ret)
{
    struct store *s = lock(r);
    memory_tally(s, f, a, ret);
    unlock(s);
    return 0;
}

/* As if every row took this much. */
#define ROW_BYTES 1024

static int read_usage(struct reader *r, struct store_usage *ret)
{
    struct store *s = lock(r);
    uint64_t rows = s->events.count - s->counts.removed_events +
                    s->workflows.count - s->counts.removed_workflows;
    unlock(s);
    *ret = (struct store_usage){.used_bytes = rows * ROW_BYTES,
                                .file_bytes = rows * ROW_BYTES};
    return 0;
}

static int by_key(const void *a, const void *b)
{
    const struct setting_row *x = a;
    const struct setting_row *y = b;
    return str_cmp(x->key, y->key);
}

static int read_settings(struct reader *r, struct str prefix, struct arena *a,
                         struct setting_row **ret, uint32_t *ret_count)
{
    struct store *s = lock(r);
    struct setting_row *rows =
        ARENA_ARRAY(a, map_count(&s->settings), struct setting_row);
    uint32_t count = 0;
    size_t cursor = 0;
    const struct map_entry *e = map_next(&s->settings, &cursor);
    for (; e != NULL; e = map_next(&s->settings, &cursor)) {
        if (str_starts(e->key, prefix) && count < STORE_SETTINGS_MAX) {
            rows[count++] = memory_copy_setting(a, e->value);
        }
    }
    unlock(s);
    qsort(rows, count, sizeof(*rows), by_key);
    *ret = rows;
    *ret_count = count;
    return 0;
}

static int read_audit(struct reader *r, const struct audit_filter *f,
                      struct arena *a, struct audit_row **ret,
                      uint32_t *ret_count)
{
    struct store *s = lock(r);
    size_t total = s->audit.count;
    struct audit_row *rows =
        ARENA_ARRAY(a, MIN((size_t)f->limit, total), struct audit_row);
    uint32_t count = 0;
    for (size_t i = 0; i < total && count < f->limit; i++) {
        const struct audit_row *row =
            s->audit.at[f->oldest_first ? i : total - 1 - i];
        if ((f->before_seq == 0 || row->seq < f->before_seq) &&
            row->seq > f->after_seq) {
            rows[count++] = memory_copy_audit(a, row);
        }
    }
    unlock(s);
    *ret = rows;
    *ret_count = count;
    return 0;
}

static int read_notices(struct reader *r, const struct notice_filter *f,
                        struct arena *a, struct notice_row **ret,
                        uint32_t *ret_count)
{
    struct store *s = lock(r);
    *ret = ARENA_ARRAY(a, MIN((size_t)f->limit, s->notices.count),
                       struct notice_row);
    *ret_count = memory_notices(s, f, a, *ret);
    unlock(s);
    return 0;
}

static int read_notice_counts(struct reader *r, struct notice_counts *ret)
{
    struct store *s = lock(r);
    *ret = memory_notice_counts(s);
    unlock(s);
    return 0;
}

/* ---- verdicts ------------------------------------------------------------ */

static int read_verdict(struct reader *r, struct id subject, struct arena *a,
                        struct verdict_row *ret)
{
    struct store *s = lock(r);
    const struct verdict_row *row = map_get(&s->verdicts, id_bytes(&subject));
    if (row != NULL) {
        *ret = memory_copy_verdict(a, row);
    }
    unlock(s);
    return row != NULL ? 0 : -ENOENT;
}

static int verdict_order(const void *a, const void *b)
{
    const struct verdict_row *x = a;
    const struct verdict_row *y = b;
    if (x->about_ms != y->about_ms) {
        return x->about_ms < y->about_ms ? 1 : -1;
    }
    return id_cmp(y->subject, x->subject);
}

static int read_verdicts(struct reader *r, const struct verdict_filter *f,
                         struct arena *a, struct verdict_row **ret,
                         uint32_t *ret_count)
{
    struct store *s = lock(r);
    struct verdict_row *rows =
        ARENA_ARRAY(a, map_count(&s->verdicts), struct verdict_row);
    uint32_t count = 0;
    size_t cursor = 0;
    const struct map_entry *e = map_next(&s->verdicts, &cursor);
    for (; e != NULL; e = map_next(&s->verdicts, &cursor)) {
        const struct verdict_row *row = e->value;
        if (row->about_ms >= f->since_ms &&
            (f->verdict < 0 || (int)row->verdict == f->verdict)) {
            rows[count++] = memory_copy_verdict(a, row);
        }
    }
    unlock(s);
    qsort(rows, count, sizeof(*rows), verdict_order);
    *ret = rows;
    *ret_count = MIN(count, f->limit);
    return 0;
}

static int read_verdict_counts(struct reader *r, uint64_t since_ms,
                               uint64_t ret[VERDICTS])
{
    struct store *s = lock(r);
    size_t cursor = 0;
    memset(ret, 0, VERDICTS * sizeof(*ret));
    const struct map_entry *e = map_next(&s->verdicts, &cursor);
    for (; e != NULL; e = map_next(&s->verdicts, &cursor)) {
        const struct verdict_row *row = e->value;
        ret[row->verdict] += row->about_ms >= since_ms;
    }
    unlock(s);
    return 0;
}

static int read_audit_end(struct reader *r, struct audit_end *ret)
{
    struct store *s = lock(r);
    *ret = (struct audit_end){.seq = s->audit.count};
    if (s->audit.count != 0) {
        memcpy(ret->hash, s->audit.at[s->audit.count - 1]->hash,
               sizeof(ret->hash));
    }
    unlock(s);
    return 0;
}

static int read_memories(struct reader *r, const struct memory_filter *f,
                         struct arena *a, struct memory_row **ret,
                         uint32_t *ret_count)
{
    struct store *s = lock(r);
    *ret_count = memory_memories(s, f, a, ret);
    unlock(s);
    return 0;
}

static int read_memory(struct reader *r, const struct memory_name *name,
                       struct arena *a, struct memory_row *ret)
{
    struct store *s = lock(r);
    int found = memory_memory(s, name, a, ret);
    unlock(s);
    return found;
}

static int read_watches(struct reader *r, const struct memory_filter *f,
                        struct arena *a, struct watch_row **ret,
                        uint32_t *ret_count)
{
    struct store *s = lock(r);
    *ret_count = memory_watches(s, f, a, ret);
    unlock(s);
    return 0;
}

static const struct reader_ops ops = {
    .close = close_reader,
    .events = read_events,
    .event = read_event,
    .workflows = read_workflows,
    .workflow = read_workflow,
    .attempts = read_attempts,
    .output = read_output,
    .runbook = read_runbook,
    .request = read_request,
    .counts = read_counts,
    .tally = read_tally,
    .usage = read_usage,
    .alerts = read_alerts,
    .settings = read_settings,
    .audit = read_audit,
    .audit_end = read_audit_end,
    .notices = read_notices,
    .notice_counts = read_notice_counts,
    .verdict = read_verdict,
    .verdicts = read_verdicts,
    .verdict_counts = read_verdict_counts,
    .memories = read_memories,
    .memory = read_memory,
    .watches = read_watches,
};

int memory_reader_open(struct store *s, struct reader **ret, struct err *reterr)
{
    (void)reterr;
    struct mem_reader *r = MEM_NEW(struct mem_reader);
    r->base.ops = &ops;
    r->store = s;
    *ret = &r->base;
    return 0;
}
