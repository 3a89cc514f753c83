/*
 * The history's thread: every HISTORY_STEP_S a sample of everything. And the
 * way back, at the start: the windows get what the last process counted, and
 * for what no sample has (the seconds before a kill; everything, when the
 * history is new) what the store says.
 */
#include <errno.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "base/assert.h"
#include "base/mem.h"
#include "history/history.h"
#include "os/clock.h"
#include "runtime/objectives.h"
#include "runtime/service_priv.h"
#include "store/audit_walk.h"
#include "telemetry/series.h"

#define HOUR_MS UINT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)

/* What a new history gets to know of the past. */
#define IMPORT_MS (30 * DAY_MS)
#define IMPORT_ROWS_MAX 20000

/* What is read before the service is ready, after a kill. */
#define GAP_ROWS_MAX 2000

/* Workflows are read by when they began, wanted by when they ended. */
#define IMPORT_SLACK_MS HOUR_MS
#define IMPORT_PAGE 500

/* The timings that objectives are about. */
static const struct {
    enum telemetry_timing timing;
    enum objectives_timing no;
} kept[] = {{TIMING_EVENT_TO_WORKFLOW, OBJECTIVES_LATENCY},
            {TIMING_EXECUTION, OBJECTIVES_EXECUTION}};

enum { KEPT_LATENCY, KEPT_EXECUTION };

/* Samples between two looks at the objectives, and at folders. */
#define OBJECTIVES_EVERY 6

struct service_history {
    struct service *service;
    struct history *history;
    struct history_keep keep; /* as the history has it */
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;                   /* under the lock */
    bool failed;                     /* told once, until it works again */
    bool import;                     /* the thread begins with that */
    struct reader *reader;           /* the thread's own */
    uint64_t flows[TELEMETRY_FLOWS]; /* as of the last sample */
    uint64_t timings[ARRAY_LEN(kept)][HISTOGRAM_BUCKETS_MAX + 1];
};

/* ---- samples --------------------------------------------------------------
 */

struct timing_list {
    struct history_timing at[ARRAY_LEN(kept) * (HISTOGRAM_BUCKETS_MAX + 1)];
    uint32_t count;
};

static void add_timing(struct timing_list *list, struct history_timing t)
{
    if (t.count != 0) {
        list->at[list->count++] = t;
    }
}

static void take_timings(struct service_history *x,
                         uint64_t totals[][HISTOGRAM_BUCKETS_MAX + 1],
                         struct timing_list *ret)
{
    for (uint32_t k = 0; k < ARRAY_LEN(kept); k++) {
        const uint64_t *bounds = NULL;
        uint32_t n = telemetry_timing_counts(
            x->service->telemetry, kept[k].timing, totals[k], &bounds);
        for (uint32_t i = 0; i < n; i++) {
            add_timing(ret, (struct history_timing){
                                .which = kept[k].no,
                                .bound_us = i + 1 < n ? bounds[i] : UINT64_MAX,
                                .count = totals[k][i] - x->timings[k][i]});
        }
    }
}

/* Errors are told once, and so is the end of it. */
static void tell(struct service_history *x, int r, const struct err *err)
{
    if (r < 0 && !x->failed) {
        service_log(x->service, LOG_WARNING,
                    "history of metrics: %s; it goes on when that works again",
                    err->message);
    } else if (r == 1) {
        service_log(x->service, LOG_WARNING,
                    "history of metrics: begun anew, the old file is gone");
    }
    x->failed = r < 0;
}

/* What is kept may have been configured anew. */
static void look_at_keep(struct service_history *x)
{
    struct history_keep keep = service_keep(x->service).history;
    if (memcmp(&keep, &x->keep, sizeof(keep)) != 0) {
        x->keep = keep;
        history_set_keep(x->history, &keep);
    }
}

static void sample(struct service_history *x)
{
    const struct telemetry *t = x->service->telemetry;
    struct service_status status = service_status(x->service);
    struct telemetry_state state;
    struct history_value values[TELEMETRY_SERIES_MAX];
    uint64_t flows[TELEMETRY_FLOWS];
    uint64_t totals[ARRAY_LEN(kept)][HISTOGRAM_BUCKETS_MAX + 1] = {0};
    struct timing_list timings = {.count = 0};
    uint64_t now_ms = os_epoch_ms();
    size_t count = telemetry_series_count();
    look_at_keep(x);
    service_state(&status, &state);
    for (size_t i = 0; i < count; i++) {
        struct telemetry_series series = telemetry_series(i);
        values[i].name = series.name;
        if (series.is_flow) {
            flows[i] = telemetry_flow_total(t, series.flow);
            values[i].value = (double)(flows[i] - x->flows[i]);
        } else {
            values[i].value = telemetry_series_value(t, &state, now_ms, i);
        }
    }
    take_timings(x, totals, &timings);
    struct history_sample s = {
        .at_ms = now_ms,
        .now_ms = now_ms,
        .values = values,
        .value_count = (uint32_t)count,
        .timings = timings.at,
        .timing_count = timings.count,
        .is_now = true,
        .accepted = status.counts.accepted,
        .processed = status.counts.events[EVENT_PROCESSED] +
                     status.counts.events[EVENT_SUPPRESSED],
    };
    struct err err = ERR_INIT;
    int r = history_add(x->history, &s, &err);
    if (r >= 0) {
        memcpy(x->flows, flows, sizeof(flows));
        memcpy(x->timings, totals, sizeof(totals));
    }
    tell(x, r, &err);
}

/* ---- from the store --------------------------------------------------------
 * Workflows that ended within a span of time, a minute at a time. */

struct import {
    struct service_history *x;
    uint64_t from_ms; /* ended after that, */
    uint64_t to_ms;   /* and not later than that */
    uint64_t now_ms;
    uint64_t minute;
    uint64_t flows[TELEMETRY_FLOWS];
    struct timing_list timings;
};

static void flush(struct import *m)
{
    struct history_value values[TELEMETRY_FLOWS];
    struct err err = ERR_INIT;
    uint32_t count = 0;
    for (unsigned i = 0; i < TELEMETRY_FLOWS; i++) {
        if (m->flows[i] != 0) {
            values[count++] = (struct history_value){telemetry_series(i).name,
                                                     (double)m->flows[i]};
        }
    }
    struct history_sample s = {
        .at_ms = m->minute * 60000,
        .now_ms = m->now_ms,
        .values = values,
        .value_count = count,
        .timings = m->timings.at,
        .timing_count = m->timings.count,
    };
    if (count != 0 || m->timings.count != 0) {
        tell(m->x, history_add(m->x->history, &s, &err), &err);
    }
    memset(m->flows, 0, sizeof(m->flows));
    m->timings.count = 0;
}

static void at(struct import *m, uint64_t at_ms)
{
    bool full = m->timings.count + ARRAY_LEN(kept) > ARRAY_LEN(m->timings.at);
    if (at_ms / 60000 != m->minute || full) {
        flush(m);
        m->minute = at_ms / 60000;
    }
}

static void import_flow(struct import *m, enum telemetry_flow which,
                        uint64_t at_ms, uint64_t n)
{
    m->flows[which] += n;
    telemetry_restore(m->x->service->telemetry, which, at_ms, m->now_ms, n,
                      TELEMETRY_HOUR | TELEMETRY_DAY);
}

static void import_timing(struct import *m, size_t k, uint64_t from_ms,
                          uint64_t to_ms)
{
    uint64_t counts[HISTOGRAM_BUCKETS_MAX + 1];
    const uint64_t *bounds = NULL;
    uint32_t n = telemetry_timing_counts(m->x->service->telemetry,
                                         kept[k].timing, counts, &bounds);
    uint64_t us = to_ms > from_ms ? (to_ms - from_ms) * 1000 : 0;
    uint32_t i = 0;
    while (i + 1 < n && us > bounds[i]) {
        i++;
    }
    add_timing(&m->timings, (struct history_timing){
                                .which = kept[k].no,
                                .bound_us = i + 1 < n ? bounds[i] : UINT64_MAX,
                                .count = 1});
}

static bool is_within(const struct import *m, uint64_t at_ms)
{
    return at_ms > m->from_ms && at_ms <= m->to_ms;
}

static void import_end(struct import *m, const struct workflow_row *w)
{
    bool counts = w->status != WORKFLOW_CANCELLED;
    bool ok = w->status == WORKFLOW_SUCCEEDED;
    uint64_t end_ms = w->finished_ms;
    at(m, end_ms);
    if (counts) {
        import_flow(m, ok ? FLOW_WORKFLOWS_SUCCEEDED : FLOW_WORKFLOWS_FAILED,
                    end_ms, 1);
        import_flow(m, FLOW_WORKFLOW_MS, end_ms,
                    end_ms > w->created_ms ? end_ms - w->created_ms : 0);
    }
    if (counts && w->started_ms != 0) {
        import_timing(m, KEPT_EXECUTION, w->started_ms, end_ms);
    }
    if (!id_is_null(w->event_id)) {
        import_flow(m, FLOW_REMEDIATIONS_ENDED, end_ms, 1);
        import_flow(m, FLOW_REMEDIATIONS_SUCCEEDED, end_ms, ok);
    }
}

static void import_row(struct import *m, const struct workflow_row *w)
{
    if (w->dry_run) {
        return;
    }
    if (workflow_status_is_final(w->status) && is_within(m, w->finished_ms)) {
        import_end(m, w);
    }
    if (!id_is_null(w->event_id) && is_within(m, w->created_ms)) {
        at(m, w->created_ms);
        import_flow(m, FLOW_WORKFLOWS_TRIGGERED, w->created_ms, 1);
        import_timing(m, KEPT_LATENCY, id_epoch_ms(w->event_id), w->created_ms);
    }
}

static bool is_ending(struct service_history *x)
{
    ASSERT(pthread_mutex_lock(&x->lock) == 0);
    bool ending = x->stopping;
    ASSERT(pthread_mutex_unlock(&x->lock) == 0);
    return ending;
}

/* Newest first, at most so many rows. */
static void import(struct import *m, struct reader *reader, uint32_t rows_max)
{
    struct workflow_filter f = {.status = -1, .limit = IMPORT_PAGE};
    bool more = true;
    m->minute = m->to_ms / 60000;
    for (uint32_t seen = 0; more && seen < rows_max && !is_ending(m->x);) {
        CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
        struct workflow_view *rows = NULL;
        uint32_t count = 0;
        int r = reader->ops->workflows(reader, &f, &a, &rows, &count);
        if (r < 0) {
            service_log(m->x->service, LOG_WARNING,
                        "history of metrics: cannot read past workflows (%s)",
                        strerror(-r));
            break;
        }
        for (uint32_t i = 0; i < count; i++) {
            import_row(m, &rows[i].row);
            f.before_seq = rows[i].seq;
            more = rows[i].row.created_ms + IMPORT_SLACK_MS >= m->from_ms;
        }
        more = more && count == IMPORT_PAGE;
        seen += count;
    }
    flush(m);
}

/* ---- the thread ------------------------------------------------------------
 */

static void import_all(struct service_history *x)
{
    struct service *s = x->service;
    struct import m = {
        .x = x, .to_ms = s->status.started_ms, .now_ms = os_epoch_ms()};
    m.from_ms = m.to_ms > IMPORT_MS ? m.to_ms - IMPORT_MS : 0;
    import(&m, x->reader, IMPORT_ROWS_MAX);
}

#define TRAIL_EVERY (24 * 3600 / HISTORY_STEP_S) /* rounds */

/* Held ones wait for a person, so they do not count; they are few. */
#define OLDEST_ROWS 50

static void look_for_oldest(struct service_history *x)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct service *s = x->service;
    struct workflow_filter f = {
        .status = -1, .live_only = true, .limit = OLDEST_ROWS};
    struct workflow_view *rows = NULL;
    uint32_t count = 0;
    uint64_t oldest_ms = 0;
    if (x->reader->ops->workflows(x->reader, &f, &a, &rows, &count) < 0) {
        return;
    }
    for (uint32_t i = 0; i < count && oldest_ms == 0; i++) {
        bool held = rows[i].row.status == WORKFLOW_HELD;
        oldest_ms = held ? 0 : rows[i].row.created_ms;
    }
    pthread_mutex_lock(&s->status_lock);
    s->status.oldest_active_ms = oldest_ms;
    pthread_mutex_unlock(&s->status_lock);
}

/* For /metrics, which does not wait for it. */
static void look_at_objectives(struct service_history *x)
{
    struct service *s = x->service;
    struct slo_result results[SLOS];
    uint64_t now_ms = os_epoch_ms();
    if (objectives_compute(x->history, x->reader, now_ms - SLO_WINDOW_MS,
                           now_ms, results) == 0) {
        pthread_mutex_lock(&s->status_lock);
        memcpy(s->status.slo, results, sizeof(results));
        pthread_mutex_unlock(&s->status_lock);
    }
}

/* Once when it starts, and once a day. It is no damage of the store: what
 * operators must know, and nothing else depends on it. */
static void look_at_trail(struct service_history *x)
{
    struct service *s = x->service;
    struct audit_walk walk = {0};
    int r = audit_walk(x->reader, &walk);
    if (r < 0) {
        service_log(s, LOG_WARNING, "the audit trail could not be checked: %s",
                    strerror(-r));
        return;
    }
    if (walk.broken_at != 0) {
        service_log(s, LOG_ERR,
                    "the audit trail is not whole at row %" PRIu64
                    ": %s; see: adctl audit verify",
                    walk.broken_at, walk.problem);
    }
    pthread_mutex_lock(&s->status_lock);
    s->status.audit_broken_at = walk.broken_at;
    pthread_mutex_unlock(&s->status_lock);
}

/* Waits for the next sample; false at the end. */
static bool wait_until(struct service_history *x, const struct timespec *until)
{
    ASSERT(pthread_mutex_lock(&x->lock) == 0);
    int r = 0;
    while (r == 0 && !x->stopping) {
        r = pthread_cond_timedwait(&x->wake, &x->lock, until);
    }
    bool go_on = !x->stopping;
    ASSERT(pthread_mutex_unlock(&x->lock) == 0);
    return go_on;
}

static void *run_thread(void *context)
{
    struct service_history *x = context;
    struct timespec next;
    struct err err = ERR_INIT;
    unsigned round = 0;
    if (service_reader(x->service, &x->reader, &err) < 0) {
        service_log(x->service, LOG_WARNING, "history of metrics: %s",
                    err.message);
        return NULL;
    }
    ASSERT(clock_gettime(CLOCK_MONOTONIC, &next) == 0);
    if (x->import) {
        import_all(x);
    }
    do {
        sample(x);
        look_for_oldest(x);
        if (round % TRAIL_EVERY == 0) {
            look_at_trail(x);
        }
        if (round++ % OBJECTIVES_EVERY == 0) {
            look_at_objectives(x);
            service_folders_look(x->service);
        }
        next.tv_sec += HISTORY_STEP_S;
    } while (wait_until(x, &next));
    x->reader->ops->close(x->reader);
    return NULL;
}

/* ---- at the start ----------------------------------------------------------
 */

static void restore_flow(struct service_history *x, enum telemetry_flow flow,
                         uint64_t now_ms, unsigned window, uint64_t back_ms)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct history_point *points = NULL;
    uint32_t count = 0;
    if (!telemetry_has_window(flow, window)) {
        return;
    }
    struct history_range range = {
        .from_s = (now_ms - back_ms) / 1000,
        .to_s = now_ms / 1000 + 1,
        .now_s = now_ms / 1000,
        .step_s = window == TELEMETRY_HOUR ? HISTORY_STEP_S : 60,
    };
    int r = history_points(x->history, telemetry_series(flow).name, &range, &a,
                           &points, &count);
    for (uint32_t i = 0; r == 0 && i < count; i++) {
        telemetry_restore(x->service->telemetry, flow, points[i].at_s * 1000,
                          now_ms, (uint64_t)points[i].sum, window);
    }
}

static void restore_windows(struct service_history *x, uint64_t now_ms)
{
    struct history_up up = {0};
    for (unsigned i = 0; i < TELEMETRY_FLOWS; i++) {
        restore_flow(x, (enum telemetry_flow)i, now_ms, TELEMETRY_HOUR,
                     HOUR_MS);
        restore_flow(x, (enum telemetry_flow)i, now_ms, TELEMETRY_DAY, DAY_MS);
    }
    if (history_up(x->history, 0, now_ms, &up) == 0) {
        telemetry_known_since(x->service->telemetry, now_ms - up.known_ms);
    }
}

/* What happened after the last sample of a process that was killed: events by
 * the ledger, all at the time of that sample; workflows by their rows. */
static void fill_gap(struct service_history *x,
                     const struct history_opened *before, uint64_t now_ms)
{
    struct store_counts counts;
    struct import m = {
        .x = x, .from_ms = before->last_ms, .to_ms = now_ms, .now_ms = now_ms};
    committer_counts(x->service->committer, &counts);
    uint64_t processed =
        counts.events[EVENT_PROCESSED] + counts.events[EVENT_SUPPRESSED];
    m.minute = before->last_ms / 60000;
    if (counts.accepted > before->accepted) {
        import_flow(&m, FLOW_EVENTS_ACCEPTED, before->last_ms,
                    counts.accepted - before->accepted);
    }
    if (processed > before->processed) {
        import_flow(&m, FLOW_EVENTS_PROCESSED, before->last_ms,
                    processed - before->processed);
    }
    flush(&m);
    import(&m, x->service->reader, GAP_ROWS_MAX);
}

static void set_up(struct service_history *x)
{
    pthread_condattr_t attr;
    ASSERT(pthread_condattr_init(&attr) == 0);
    ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    ASSERT(pthread_cond_init(&x->wake, &attr) == 0);
    ASSERT(pthread_mutex_init(&x->lock, NULL) == 0);
    (void)pthread_condattr_destroy(&attr);
}

void service_history_open(struct service *s)
{
    struct service_history *x = MEM_NEW(struct service_history);
    struct history_opened opened = {0};
    struct err err = ERR_INIT;
    uint64_t now_ms = os_epoch_ms();
    x->service = s;
    s->history = x;
    set_up(x);
    int r =
        history_open(s->state_directory, now_ms, &x->history, &opened, &err);
    tell(x, r, &err);
    if (opened.set_aside) {
        service_log(s, LOG_WARNING,
                    "history of metrics: %s/" HISTORY_FILE " was damaged and "
                    "is now %s; begun anew",
                    s->state_directory, opened.aside);
    }
    x->import = opened.created;
    if (opened.last_ms != 0) {
        restore_windows(x, now_ms);
    }
    if (opened.last_ms != 0 && opened.unclean) {
        fill_gap(x, &opened, now_ms);
    }
}

int service_history_start(struct service *s, struct err *reterr)
{
    struct service_history *x = s->history;
    int r = -pthread_create(&x->thread, NULL, run_thread, x);
    if (r < 0) {
        return err_set(reterr, r, "cannot start the history's thread");
    }
    (void)pthread_setname_np(x->thread, "history");
    x->started = true;
    return 0;
}

void service_history_stop(struct service *s)
{
    struct service_history *x = s->history;
    if (x == NULL) {
        return;
    }
    ASSERT(pthread_mutex_lock(&x->lock) == 0);
    x->stopping = true;
    ASSERT(pthread_cond_signal(&x->wake) == 0);
    ASSERT(pthread_mutex_unlock(&x->lock) == 0);
    if (x->started) {
        ASSERT(pthread_join(x->thread, NULL) == 0);
        sample(x);
    }
    history_close(x->history, os_epoch_ms());
    (void)pthread_cond_destroy(&x->wake);
    (void)pthread_mutex_destroy(&x->lock);
    mem_free(x);
    s->history = NULL;
}

struct history *service_history(struct service *s)
{
    return s->history->history;
}
