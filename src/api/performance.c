/*
 * GET /api/metrics/runbook-performance: how the newest workflows went, by
 * runbook and by step. Of the steps only those of a runbook's newest version
 * that ran are counted, for another version may have others in their place.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/filter.h"
#include "api/pinned.h"
#include "base/map.h"

#define LIST_PAGE 200

/* Workflows that are looked at, the newest. */
#define WORKFLOWS_MAX 5000

struct times {
    VEC(uint64_t) ms;
};

struct step_sum {
    uint64_t attempts;
    uint64_t succeeded;
    struct times times;
};

struct runbook_sum {
    struct workflow_row newest; /* its strings in the report's arena */
    uint64_t ended[WORKFLOW_STATUSES];
    struct times times;
    VEC(struct step_sum) steps;
};

struct report {
    struct call *call;
    struct arena arena;
    struct map runbooks; /* path -> struct runbook_sum in the arena */
    uint64_t looked_at;
    bool complete;
};

/* ---- collecting ---------------------------------------------------------- */

static struct runbook_sum *sum_of(struct report *p,
                                  const struct workflow_row *row)
{
    struct runbook_sum *sum = map_get(&p->runbooks, row->runbook_path);
    if (sum == NULL) {
        sum = ARENA_NEW(&p->arena, struct runbook_sum);
        sum->newest = *row;
        sum->newest.runbook_path = arena_str(&p->arena, row->runbook_path);
        sum->newest.runbook_name = arena_str(&p->arena, row->runbook_name);
        (void)map_put(&p->runbooks, sum->newest.runbook_path, sum);
    }
    return sum;
}

static void add_time(struct times *t, uint64_t from_ms, uint64_t to_ms)
{
    if (from_ms != 0 && to_ms >= from_ms) {
        VEC_PUSH(&t->ms, to_ms - from_ms);
    }
}

static void add_attempt(struct runbook_sum *sum, const struct attempt_row *t)
{
    if (!attempt_state_is_final(t->state) ||
        t->key.step_no >= RUNBOOK_MAX_STEPS) {
        return;
    }
    while (sum->steps.count <= t->key.step_no) {
        VEC_PUSH(&sum->steps, (struct step_sum){0});
    }
    struct step_sum *step = &sum->steps.at[t->key.step_no];
    step->attempts++;
    step->succeeded += t->state == ATTEMPT_SUCCEEDED ? 1 : 0;
    add_time(&step->times, t->started_ms, t->finished_ms);
}

static int add_workflow(struct report *p, const struct workflow_row *row,
                        struct arena *page)
{
    struct reader *reader = p->call->reader;
    p->looked_at++;
    if (!workflow_status_is_final(row->status) || row->dry_run) {
        return 0;
    }
    struct runbook_sum *sum = sum_of(p, row);
    sum->ended[row->status]++;
    if (row->status != WORKFLOW_CANCELLED) {
        add_time(&sum->times, row->started_ms, row->finished_ms);
    }
    if (memcmp(&row->runbook_hash, &sum->newest.runbook_hash,
               sizeof(row->runbook_hash)) != 0) {
        return 0;
    }
    struct attempt_row *rows = NULL;
    uint32_t count = 0;
    int r = reader->ops->attempts(reader, row->id, page, &rows, &count);
    for (uint32_t i = 0; r == 0 && i < count; i++) {
        add_attempt(sum, &rows[i]);
    }
    return r;
}

static int collect(struct report *p, struct workflow_filter *f)
{
    struct reader *reader = p->call->reader;
    struct arena page = ARENA_INIT;
    int r = 0;
    f->limit = LIST_PAGE;
    while (r == 0 && !p->complete && p->looked_at < WORKFLOWS_MAX) {
        struct workflow_view *rows = NULL;
        uint32_t count = 0;
        arena_reset(&page);
        r = reader->ops->workflows(reader, f, &page, &rows, &count);
        for (uint32_t i = 0; r == 0 && i < count; i++) {
            r = add_workflow(p, &rows[i].row, &page);
            f->before_seq = rows[i].seq;
        }
        p->complete = r == 0 && count < LIST_PAGE;
    }
    arena_deinit(&page);
    return r;
}

/* ---- telling ------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* The least one that so many percent do not exceed. */
static uint64_t percentile(const struct times *t, uint64_t percent)
{
    return t->ms.at[(t->ms.count * percent + 99) / 100 - 1];
}

static void put_times(struct strbuf *out, struct times *t)
{
    if (t->ms.count == 0) {
        put_null(out, "p50_seconds");
        put_null(out, "p95_seconds");
        put_null(out, "max_seconds");
        return;
    }
    qsort(t->ms.at, t->ms.count, sizeof(*t->ms.at), by_number);
    put_seconds(out, "p50_seconds", percentile(t, 50));
    put_seconds(out, "p95_seconds", percentile(t, 95));
    put_seconds(out, "max_seconds", percentile(t, 100));
}

static void put_ratio(struct strbuf *out, uint64_t part, uint64_t all)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%.6f",
                   all != 0 ? (double)part / (double)all : 0);
    put_raw(out, "success_rate", all != 0 ? str_c(text) : STR("null"));
}

static void put_steps(struct strbuf *out, struct runbook_sum *sum,
                      const struct runbook *rb)
{
    put_open(out, "steps", '[');
    VEC_EACH (&sum->steps, i) {
        struct step_sum *step = &sum->steps.at[i];
        bool known = rb != NULL && i < rb->step_count;
        put_open(out, NULL, '{');
        put_text_or_null(out, "step", known ? rb->steps[i].name : STR(""));
        put_u64(out, "step_index", i);
        put_u64(out, "count", step->attempts);
        put_u64(out, "succeeded", step->succeeded);
        put_ratio(out, step->succeeded, step->attempts);
        put_times(out, &step->times);
        put_close(out, '}');
    }
    put_close(out, ']');
}

static void put_runbook(struct report *p, struct runbook_sum *sum,
                        const struct pinned_source *from)
{
    struct strbuf *out = call_out(p->call);
    const uint64_t *n = sum->ended;
    uint64_t judged =
        n[WORKFLOW_SUCCEEDED] + n[WORKFLOW_FAILED] + n[WORKFLOW_KILLED];
    put_open(out, NULL, '{');
    put_text(out, "runbook", sum->newest.runbook_path);
    put_text(out, "name", sum->newest.runbook_name);
    put_hash(out, "newest_hash", sum->newest.runbook_hash.bytes);
    put_u64(out, "count", judged + n[WORKFLOW_CANCELLED]);
    put_u64(out, "succeeded", n[WORKFLOW_SUCCEEDED]);
    put_u64(out, "failed", n[WORKFLOW_FAILED]);
    put_u64(out, "killed", n[WORKFLOW_KILLED]);
    put_u64(out, "cancelled", n[WORKFLOW_CANCELLED]);
    put_ratio(out, n[WORKFLOW_SUCCEEDED], judged);
    put_times(out, &sum->times);
    struct runbook *rb = pinned_get(p->call->api->pinned, from, &sum->newest);
    put_steps(out, sum, rb);
    runbook_unref(rb);
    put_close(out, '}');
}

static int by_path(const void *a, const void *b)
{
    struct runbook_sum *const *x = a;
    struct runbook_sum *const *y = b;
    return str_cmp((*x)->newest.runbook_path, (*y)->newest.runbook_path);
}

static void put_runbooks(struct report *p, struct filter *filter)
{
    struct call *c = p->call;
    size_t total = map_count(&p->runbooks);
    struct runbook_sum **sums =
        ARENA_ARRAY(&p->arena, total, struct runbook_sum *);
    size_t cursor = 0;
    for (size_t i = 0; i < total; i++) {
        sums[i] = map_next(&p->runbooks, &cursor)->value;
    }
    if (total != 0) {
        qsort(sums, total, sizeof(struct runbook_sum *), by_path);
    }
    struct generation *g = service_generation(c->api->service);
    struct pinned_source from = {.generation = g, .reader = c->reader};
    for (size_t i = 0; i < total; i++) {
        size_t start = call_out(c)->len;
        put_runbook(p, sums[i], &from);
        (void)filter_keeps_row(filter, start);
    }
    generation_unref(g);
}

static void forget(struct report *p)
{
    size_t cursor = 0;
    struct map_entry *e = NULL;
    while ((e = map_next(&p->runbooks, &cursor)) != NULL) {
        struct runbook_sum *sum = e->value;
        VEC_EACH (&sum->steps, i) {
            VEC_DEINIT(&sum->steps.at[i].times.ms);
        }
        VEC_DEINIT(&sum->steps);
        VEC_DEINIT(&sum->times.ms);
    }
    map_deinit(&p->runbooks);
    arena_deinit(&p->arena);
}

void performance_show(struct call *c)
{
    struct report p = {.call = c};
    struct workflow_filter f = {.status = -1,
                                .runbook = call_value(c, "runbook")->text,
                                .since_ms = call_number(c, "since")};
    struct strbuf *out = call_out(c);
    struct filter filter;
    int r = collect(&p, &f);
    if (r < 0) {
        answer_read_error(c, r);
    } else if (filter_open(c, &filter)) {
        put_open(out, NULL, '{');
        put_instant(out, "since", f.since_ms);
        put_u64(out, "workflows", p.looked_at);
        put_bool(out, "complete", p.complete);
        put_open(out, "runbooks", '[');
        put_runbooks(&p, &filter);
        put_close(out, ']');
        filter_put(&filter);
        put_close(out, '}');
        answer_json(c, 200);
    }
    if (r == 0) {
        filter_close(&filter);
    }
    forget(&p);
}
