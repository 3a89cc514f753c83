#include "telemetry/telemetry.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "telemetry/telemetry_priv.h"

#define HOUR_SLOTS 3600
#define DAY_SLOTS 1440

static void count(counter *c, uint64_t n)
{
    atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

struct telemetry *telemetry_new(uint64_t now_ms)
{
    struct telemetry *t = MEM_NEW(struct telemetry);
    t->started_ms = now_ms;
    atomic_store_explicit(&t->known_ms, now_ms, memory_order_relaxed);
    atomic_flag_clear(&t->type_lock);
    for (unsigned i = 0; i < WINDOWS; i++) {
        bool minutes = i >= WINDOW_SUCCEEDED_M;
        window_init(&t->windows[i], minutes ? DAY_SLOTS : HOUR_SLOTS,
                    minutes ? 60000 : 1000);
    }
    for (unsigned i = 0; i < TELEMETRY_TIMINGS; i++) {
        histogram_init(&t->timings[i], telemetry_timing_rows[i].bounds_us,
                       telemetry_timing_rows[i].bound_count);
    }
    return t;
}

void telemetry_free(struct telemetry *t)
{
    if (t == NULL) {
        return;
    }
    for (unsigned i = 0; i < WINDOWS; i++) {
        window_deinit(&t->windows[i]);
    }
    mem_free(t);
}

uint32_t telemetry_type_count(const struct telemetry *t)
{
    return atomic_load_explicit(&t->type_count, memory_order_acquire);
}

/* The counter of a type that has a slot, looking from slot *from on; *from is
 * then the number of slots looked at. */
static counter *find_type(struct telemetry *t, struct str type, uint32_t *from)
{
    uint32_t n = telemetry_type_count(t);
    for (uint32_t i = *from; i < n; i++) {
        struct type_slot *slot = &t->types[i];
        if (str_eq(str_n(slot->name, slot->name_len), type)) {
            return &slot->accepted;
        }
    }
    *from = n;
    return NULL;
}

/* Under the lock, which is held for a few instructions and at most
 * TELEMETRY_TYPES_MAX times in the life of the process. */
static counter *enter_type(struct telemetry *t, struct str type, uint32_t seen)
{
    while (atomic_flag_test_and_set_explicit(&t->type_lock,
                                             memory_order_acquire)) {
    }
    counter *found = find_type(t, type, &seen);
    if (found == NULL && seen < TELEMETRY_TYPES_MAX) {
        struct type_slot *slot = &t->types[seen];
        memcpy(slot->name, type.at, type.len);
        slot->name_len = type.len;
        found = &slot->accepted;
        atomic_store_explicit(&t->type_count, seen + 1, memory_order_release);
    }
    atomic_flag_clear_explicit(&t->type_lock, memory_order_release);
    return found;
}

static counter *type_counter(struct telemetry *t, struct str type)
{
    if (type.len == 0 || type.len > sizeof(t->types[0].name) ||
        str_eq_c(type, TELEMETRY_TYPE_OTHER)) {
        return &t->types_other;
    }
    uint32_t seen = 0;
    counter *found = find_type(t, type, &seen);
    if (found == NULL && seen < TELEMETRY_TYPES_MAX) {
        found = enter_type(t, type, seen);
    }
    return found != NULL ? found : &t->types_other;
}

void telemetry_event_accepted(struct telemetry *t, uint64_t now_ms,
                              struct str type, uint64_t n)
{
    count(type_counter(t, type), n);
    telemetry_flow(t, FLOW_EVENTS_ACCEPTED, now_ms, n);
}

void telemetry_event_processed(struct telemetry *t, uint64_t now_ms, uint64_t n)
{
    telemetry_flow(t, FLOW_EVENTS_PROCESSED, now_ms, n);
}

void telemetry_event_error(struct telemetry *t, uint64_t now_ms, uint64_t n)
{
    telemetry_flow(t, FLOW_EVENT_ERRORS, now_ms, n);
}

void telemetry_event_refused(struct telemetry *t, enum telemetry_refusal why,
                             uint64_t n)
{
    ASSERT(why < TELEMETRY_REFUSALS);
    count(&t->refused[why], n);
}

void telemetry_alerts_truncated(struct telemetry *t, uint64_t n)
{
    count(&t->alerts_truncated, n);
}

void telemetry_workflow_started(struct telemetry *t)
{
    count(&t->workflows_started, 1);
}

void telemetry_event_undecided(struct telemetry *t)
{
    count(&t->events_undecided, 1);
}

void telemetry_starts_held(struct telemetry *t, enum hold by, uint64_t n)
{
    count(&t->starts_held[by], n);
}

void telemetry_workflow_unstartable(struct telemetry *t)
{
    count(&t->workflows_unstartable, 1);
}

void telemetry_workflow_finished(struct telemetry *t, uint64_t now_ms,
                                 enum workflow_status status,
                                 uint64_t duration_ms, bool dry_run)
{
    ASSERT(workflow_status_is_final(status));
    unsigned end = dry_run ? TELEMETRY_DRY_RUN : (unsigned)status;
    count(&t->workflows_finished[end], 1);
    if (dry_run || status == WORKFLOW_CANCELLED) {
        return;
    }
    bool ok = status == WORKFLOW_SUCCEEDED;
    telemetry_flow(t, ok ? FLOW_WORKFLOWS_SUCCEEDED : FLOW_WORKFLOWS_FAILED,
                   now_ms, 1);
    telemetry_flow(t, FLOW_WORKFLOW_MS, now_ms, duration_ms);
    telemetry_observe_us(t, TIMING_WORKFLOW, duration_ms * 1000);
}

void telemetry_step_finished(struct telemetry *t, enum attempt_state state,
                             uint64_t duration_ms)
{
    ASSERT(attempt_state_is_final(state));
    count(&t->steps_finished[state], 1);
    if (state != ATTEMPT_REFUSED && state != ATTEMPT_UNKNOWN) {
        telemetry_observe_us(t, TIMING_STEP, duration_ms * 1000);
    }
}

void telemetry_http_answered(struct telemetry *t, unsigned status)
{
    ASSERT(status >= 100 && status < 100 * (HTTP_CLASSES + 1));
    count(&t->http_answers[status / 100 - 1], 1);
}

void telemetry_observe_us(struct telemetry *t, enum telemetry_timing which,
                          uint64_t us)
{
    ASSERT(which < TELEMETRY_TIMINGS);
    histogram_observe(&t->timings[which], us);
}
