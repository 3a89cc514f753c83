/*
 * Tries of steps. An attempt is durable before it is asked for (I9), asked
 * for as often as needed (the executor knows it by its key), and has exactly
 * one outcome. An outcome that cannot be known is never taken for success:
 * idempotent steps are tried again, others wait for an operator.
 */
#include "engine/engine_priv.h"

#include <inttypes.h>

#include "base/assert.h"

#define ERROR_MAX_BYTES 1024
#define DETAIL_MAX_BYTES 512

/* The executor sees a kill switch that we do not see (yet): asked again. */
#define DEFERRED_AGAIN_MS 1000

/* How long the executor may be silent about an attempt after being asked to
 * end it, or after being asked again. */
static uint64_t patience_ms(const struct engine *e)
{
    return e->config.stop_grace_ms + e->config.report_margin_ms;
}

/* An undisturbed attempt is over, and reported, by then. */
static uint64_t expected_end_ms(const struct engine *e, const struct flow *f)
{
    const struct attempt_row *a = flow_attempt(f);
    uint64_t begun_ms = MAX(a->requested_ms, a->started_ms);
    return MIN(begun_ms, e->now_ms) + flow_step(f)->timeout_ms + patience_ms(e);
}

static void gated(struct engine *e, struct flow *f);

void attempts_next(struct engine *e, struct flow *f)
{
    INVARIANT("I4", !flow_in_flight(f));
    ASSERT(f->row.status == WORKFLOW_RUNNING && list_empty(&f->place));
    if (flow_expired(e, f)) {
        course_late(e, f);
        return;
    }
    bool waits = flow_step(f)->action == ACTION_WAIT; /* for nobody */
    if ((!e->executor_up && !waits) || e->halted) {
        list_push(&e->parked, &f->place);
        flow_arm(e, f);
        return;
    }
    if (gate_stops(e, f)) {
        gated(e, f);
        return;
    }
    if (waits) {
        flow_wait(e, f, flow_step(f)->wait_ms);
        return;
    }
    const struct attempt_row *last = flow_attempt(f);
    bool again = flow_is_deferred(f);
    uint32_t number = last == NULL ? 1 : last->key.attempt + (again ? 0 : 1);
    ASSERT(number <= MAX(flow_step(f)->max_attempts, 1U));
    struct attempt_row intent = {
        .key = {.workflow_id = f->row.id,
                .step_no = f->row.step_no,
                .attempt = number},
        .state = ATTEMPT_STARTING,
        .executor = e->executor,
        .requested_ms = e->now_ms,
        .exit_code = -1,
    };
    effects_attempt(e->fx, again ? RECORD_ATTEMPT_SET : RECORD_ATTEMPT_NEW,
                    flow_keep(f, &intent));
    f->stop_sent = false;
    f->check_ms = expected_end_ms(e, f);
    list_push(&e->inflight, &f->place);
    effects_start(e->fx, f, &e->config);
    flow_arm(e, f);
}

/* There is no intent: what has happened is that time has passed. */
void attempts_waited(struct engine *e, struct flow *f)
{
    struct attempt_row row = {
        .key = {.workflow_id = f->row.id,
                .step_no = f->row.step_no,
                .attempt = 1},
        .state = ATTEMPT_SUCCEEDED,
        .requested_ms = e->now_ms - flow_step(f)->wait_ms,
        .started_ms = e->now_ms - flow_step(f)->wait_ms,
        .finished_ms = e->now_ms,
        .exit_code = -1,
    };
    effects_attempt(e->fx, RECORD_ATTEMPT_NEW, flow_keep(f, &row));
    course_go(e, f, COURSE_DONE, STR(""));
}

/* Asked of the life of the executor that is connected now? */
static bool is_ours(const struct engine *e, const struct flow *f)
{
    return id_eq(flow_attempt(f)->executor, e->executor);
}

/* Another life of the executor runs nothing of ours: it has been asked what it
 * knows, and there is nothing to be stopped. */
void attempts_stop(struct engine *e, struct flow *f, bool kill)
{
    ASSERT(flow_in_flight(f));
    if (!e->executor_up) {
        return; /* told when it is back: attempts_ask */
    }
    if (is_ours(e, f)) {
        struct action a = {.kind = ENGINE_ACT_STOP,
                           .stop = {.key = flow_attempt(f)->key,
                                    .kill = kill,
                                    .grace_ms = e->config.stop_grace_ms}};
        effects_action(e->fx, a);
    }
    f->stop_sent = true;
    f->check_ms = e->now_ms + patience_ms(e);
    flow_arm(e, f);
}

void attempts_ask(struct engine *e, struct flow *f, bool kill)
{
    ASSERT(flow_in_flight(f) && e->executor_up);
    uint64_t end_ms = is_ours(e, f) ? expected_end_ms(e, f) : 0;
    f->stop_sent = false;
    f->check_ms = MAX(end_ms, e->now_ms + patience_ms(e));
    if (kill || course_is_stopped(f) || flow_expired(e, f)) {
        attempts_stop(e, f, kill || f->row.stop == STOP_KILL);
    }
    effects_start(e->fx, f, &e->config);
    flow_arm(e, f);
}

/* ---- outcomes ------------------------------------------------------------ */

/* At most max bytes of text that came from outside, cut between characters. */
static struct str shortened(struct str s, size_t max)
{
    size_t len = MIN(s.len, max);
    while (len > 0 && len < s.len &&
           ((unsigned char)s.at[len] & 0xC0) == 0x80) {
        len--;
    }
    return str_n(s.at, len);
}

static void add_duration(struct strbuf *out, uint64_t ms)
{
    if (ms % 1000 == 0) {
        strbuf_addf(out, "%" PRIu64 " s", ms / 1000);
    } else {
        strbuf_addf(out, "%" PRIu64 " ms", ms);
    }
}

/* "step 'restart' exited with status 3", "step 'undo' of rollback ..." */
void attempts_describe(const struct flow *f, struct strbuf *out)
{
    const struct attempt_row *a = flow_attempt(f);
    const struct step *step = flow_step(f);
    bool plain = step->section == SECTION_STEPS;
    strbuf_addf(out, "step '%.*s' %s%s%s",
                STR_ARG(shortened(step->name, DETAIL_MAX_BYTES / 2)),
                plain ? "" : "of ",
                plain ? "" : step_section_name(step->section),
                plain ? "" : " ");
    switch (a->state) {
    case ATTEMPT_FAILED:
        if (a->term_signal != 0) {
            strbuf_addf(out, "was killed by signal %" PRId32, a->term_signal);
        } else if (a->exit_code > 0) {
            strbuf_addf(out, "exited with status %" PRId32, a->exit_code);
        } else {
            strbuf_addc(out, "failed"); /* its condition, limit or output */
        }
        break;
    case ATTEMPT_TIMED_OUT:
        strbuf_addc(out, "timed out after ");
        add_duration(out, step->timeout_ms);
        return;
    case ATTEMPT_CANCELLED:
        strbuf_addc(out, "was stopped");
        break;
    case ATTEMPT_REFUSED:
        strbuf_addc(out, "could not be started");
        break;
    case ATTEMPT_UNKNOWN:
        strbuf_addc(out, "has an unknown outcome");
        break;
    case ATTEMPT_STARTING:
    case ATTEMPT_RUNNING:
    case ATTEMPT_SUCCEEDED:
    case ATTEMPT_PASSED:
    case ATTEMPT_SKIPPED:
    case ATTEMPT_STATES:
        UNREACHABLE();
    }
    if (a->error.len != 0) {
        strbuf_addf(out, ": %.*s",
                    STR_ARG(shortened(a->error, DETAIL_MAX_BYTES)));
    }
}

/* Doubled with each attempt, a fifth more or less, never above the cap. */
static uint64_t backoff_ms(struct engine *e, const struct flow *f)
{
    const struct step *step = flow_step(f);
    uint64_t cap_ms =
        step->backoff_max_ms != 0 ? step->backoff_max_ms : step->backoff_ms;
    uint64_t delay_ms = MIN(step->backoff_ms, cap_ms);
    uint32_t tries = flow_attempt(f)->key.attempt;
    for (uint32_t i = 1; i < tries && delay_ms < cap_ms; i++) {
        delay_ms = delay_ms > cap_ms / 2 ? cap_ms : delay_ms * 2;
    }
    uint64_t fifth_ms = delay_ms / 5;
    delay_ms += prng_below(&e->prng, fifth_ms * 2 + 1);
    return MIN(delay_ms - fifth_ms, cap_ms);
}

static void retry_later(struct engine *e, struct flow *f)
{
    uint64_t delay_ms = backoff_ms(e, f);
    if (delay_ms == 0) {
        attempts_next(e, f);
        return;
    }
    flow_wait(e, f, delay_ms);
}

static bool may_retry(const struct flow *f)
{
    return flow_attempt(f)->key.attempt < flow_step(f)->max_attempts;
}

static void failed_for_good(struct engine *e, struct flow *f)
{
    if (flow_step(f)->continue_on_error) {
        course_go(e, f, COURSE_DONE, STR(""));
        return;
    }
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(ERROR_MAX_BYTES);
    attempts_describe(f, &text);
    course_go(e, f, COURSE_FAILED, strbuf_str(&text));
}

/* Its attempt was over before it began. */
static void gated(struct engine *e, struct flow *f)
{
    if (flow_attempt(f)->state == ATTEMPT_SKIPPED) {
        course_go(e, f, COURSE_DONE, STR(""));
    } else {
        failed_for_good(e, f);
    }
}

static void hold(struct engine *e, struct flow *f, struct str why)
{
    list_remove(&f->place);
    flow_move(e, f, WORKFLOW_HELD);
    course_blame(f, why);
    f->row.wake_ms = 0;
    f->row.deadline_ms = e->now_ms + e->config.held_timeout_ms;
    flow_arm(e, f);
}

static void hold_unknown(struct engine *e, struct flow *f, const char *why)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(ERROR_MAX_BYTES);
    attempts_describe(f, &text);
    strbuf_addf(&text, "; %s and then cancel this workflow", why);
    hold(e, f, strbuf_str(&text));
}

/* Nothing runs beside what may still be running, idempotent or not. */
static void hold_alive(struct engine *e, struct flow *f)
{
    hold_unknown(e, f,
                 "processes of it may still run, so an operator must "
                 "end them");
    if (f->row.stop != STOP_NONE) {
        stop_finish(e, f);
    }
}

/* Retried at once: the step has not failed, its executor has. */
static void unknown(struct engine *e, struct flow *f)
{
    bool harmless =
        course_is_closing(f) || flow_step(f)->section == SECTION_DIAGNOSE;
    if (!flow_step(f)->idempotent && harmless) {
        failed_for_good(e, f);
    } else if (!flow_step(f)->idempotent) {
        hold_unknown(e, f,
                     "it is not idempotent, so an operator must see what "
                     "it did");
    } else if (may_retry(f)) {
        attempts_next(e, f);
    } else {
        failed_for_good(e, f);
    }
}

/* What the outcome of the current attempt means for the workflow. */
static void decide(struct engine *e, struct flow *f)
{
    enum attempt_state state = flow_attempt(f)->state;
    if (course_is_stopped(f)) {
        course_stop(e, f);
    } else if (flow_step(f)->section == SECTION_VERIFY) {
        verify_decide(e, f);
    } else if (state == ATTEMPT_SUCCEEDED) {
        course_go(e, f, COURSE_DONE, STR(""));
    } else if (flow_expired(e, f)) {
        course_late(e, f);
    } else if (state == ATTEMPT_UNKNOWN) {
        unknown(e, f);
    } else if (may_retry(f)) {
        retry_later(e, f);
    } else {
        failed_for_good(e, f);
    }
}

/* Merges a report into the attempt in flight, which becomes final. */
static void conclude(struct engine *e, struct flow *f,
                     const struct attempt_row *report)
{
    struct attempt_row a = *flow_attempt(f);
    INVARIANT("I3", attempt_state_may(a.state, report->state) &&
                        attempt_state_is_final(report->state));
    a.state = report->state;
    if (a.state == ATTEMPT_SUCCEEDED &&
        flow_step(f)->section == SECTION_VERIFY) {
        a.state = ATTEMPT_PASSED;
    }
    a.pid = report->pid != 0 ? report->pid : a.pid;
    a.started_ms = report->started_ms != 0 ? report->started_ms : a.started_ms;
    a.finished_ms = report->finished_ms != 0 ? report->finished_ms : e->now_ms;
    a.exit_code = report->exit_code;
    a.term_signal = report->term_signal;
    a.output_bytes = report->output_bytes;
    a.output_truncated = report->output_truncated;
    a.survivors = report->survivors;
    a.error = report->error;
    a.outputs = report->outputs;
    list_remove(&f->place);
    effects_attempt(e->fx, RECORD_ATTEMPT_SET, flow_keep(f, &a));
}

/* Its attempt in flight is not asked for any more: the executor may have
 * forgotten its outcome, and would take it for one that never ran. */
void attempts_doubt_all(struct engine *e, struct str why)
{
    size_t cursor = 0;
    for (struct map_entry *entry = map_next(&e->flows, &cursor); entry != NULL;
         entry = map_next(&e->flows, &cursor)) {
        struct flow *f = entry->value;
        if (flow_in_flight(f)) {
            struct attempt_row report = *flow_attempt(f);
            report.state = ATTEMPT_UNKNOWN;
            report.error = shortened(why, DETAIL_MAX_BYTES);
            conclude(e, f, &report);
        }
        if (f->row.status != WORKFLOW_HELD) {
            hold(e, f, shortened(why, ERROR_MAX_BYTES));
        }
        if (f->row.stop != STOP_NONE) {
            stop_finish(e, f);
        }
    }
}

/* ---- facts --------------------------------------------------------------- */

/* The flow whose attempt in flight has this key, or NULL. */
static struct flow *find_in_flight(const struct engine *e,
                                   const struct attempt_key *key)
{
    struct flow *f = flow_find(e, key->workflow_id);
    bool current = f != NULL && flow_in_flight(f) &&
                   f->row.step_no == key->step_no &&
                   flow_attempt(f)->key.attempt == key->attempt;
    return current ? f : NULL;
}

void attempts_started(struct engine *e, const struct fact *fact)
{
    struct flow *f = find_in_flight(e, &fact->started.key);
    struct attempt_row *a = f != NULL ? flow_attempt(f) : NULL;
    if (a == NULL || a->state != ATTEMPT_STARTING ||
        !id_eq(a->executor, fact->started.executor)) {
        return; /* superseded, or told before */
    }
    a->state = ATTEMPT_RUNNING;
    a->pid = fact->started.pid;
    a->started_ms = fact->started.started_ms;
    effects_attempt(e->fx, RECORD_ATTEMPT_SET, a);
    if (course_is_stopped(f) || flow_expired(e, f)) {
        attempts_stop(e, f, f->row.stop == STOP_KILL);
    } else if (!f->stop_sent) {
        f->check_ms = expected_end_ms(e, f);
        flow_arm(e, f);
    }
}

/* It waits, as if it had not been asked for; durably, so that no life of the
 * executor is taken for one that may have begun it. */
void attempts_deferred(struct engine *e, const struct fact *fact)
{
    struct flow *f = find_in_flight(e, &fact->deferred.key);
    struct attempt_row *a = f != NULL ? flow_attempt(f) : NULL;
    if (a == NULL || a->state != ATTEMPT_STARTING ||
        !id_eq(a->executor, fact->deferred.executor)) {
        return; /* superseded, or it has begun after all */
    }
    struct attempt_row waits = *a;
    waits.executor = ID_NULL;
    waits.error = shortened(fact->deferred.why, DETAIL_MAX_BYTES);
    list_remove(&f->place);
    effects_attempt(e->fx, RECORD_ATTEMPT_SET, flow_keep(f, &waits));
    if (course_is_stopped(f)) {
        course_stop(e, f);
        return;
    }
    list_push(&e->parked, &f->place);
    f->check_ms = e->now_ms + DEFERRED_AGAIN_MS;
    flow_arm(e, f);
}

void attempts_drop_deferred(struct engine *e, struct flow *f)
{
    if (flow_is_deferred(f)) {
        struct attempt_row report = *flow_attempt(f);
        report.state = ATTEMPT_CANCELLED;
        conclude(e, f, &report);
    }
}

static void forget(struct engine *e, const struct attempt_key *key)
{
    effects_action(e->fx, (struct action){.kind = ENGINE_ACT_FORGET,
                                          .forget = {.key = *key}});
}

/* What a report says about the attempt in flight. Another life of the executor
 * can have heard of it only by a STOP that came too late, and a report that
 * cannot follow what was said before is no better: neither tells what the step
 * has done. */
static void distrust(const struct flow *f, struct attempt_row *report)
{
    const struct attempt_row *a = flow_attempt(f);
    if (!id_eq(report->executor, a->executor)) {
        report->state = ATTEMPT_UNKNOWN;
        report->error = STR("the executor that ran it was lost");
    } else if (!attempt_state_may(a->state, report->state)) {
        report->state = ATTEMPT_UNKNOWN;
        report->error = STR("the executor contradicts itself");
    }
}

/* A report about anything but the attempt in flight is late. */
void attempts_ended(struct engine *e, const struct fact *fact)
{
    struct attempt_row report = fact->ended.row;
    if (!attempt_state_is_final(report.state)) {
        return;
    }
    forget(e, &report.key);
    struct flow *f = find_in_flight(e, &report.key);
    if (f == NULL) {
        return;
    }
    distrust(f, &report);
    conclude(e, f, &report);
    if (report.state == ATTEMPT_UNKNOWN && report.maybe_alive) {
        hold_alive(e, f);
    } else {
        decide(e, f);
    }
}

/* Every attempt in flight is asked about, whichever life was to run it: its
 * successor may have kept the outcome, and otherwise answers that it is
 * unknown. It cannot start what was asked of another one. */
void attempts_executor_up(struct engine *e, struct id executor)
{
    struct list inflight;
    list_init(&inflight);
    list_splice(&inflight, &e->inflight);
    e->executor_up = true;
    e->executor = executor;
    for (struct list *node = list_pop(&inflight); node != NULL;
         node = list_pop(&inflight)) {
        list_push(&e->inflight, node);
        attempts_ask(e, CONTAINER_OF(node, struct flow, place), false);
    }
    attempts_unpark(e);
}

void attempts_unpark(struct engine *e)
{
    struct list parked;
    list_init(&parked);
    list_splice(&parked, &e->parked);
    for (struct list *node = list_pop(&parked); node != NULL;
         node = list_pop(&parked)) {
        attempts_next(e, CONTAINER_OF(node, struct flow, place));
    }
}
