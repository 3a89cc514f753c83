/*
 * The executor as wire/exec_proto.h promises it: it outlives the daemon, knows
 * its attempts by key, keeps outcomes until they are forgotten. Steps behave
 * as the scenario's scripts say. Every message goes through the real codec.
 */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "model/step_outputs.h"
#include "sim/world.h"

#define MESSAGE_MS 2
#define STOP_MS 10 /* what a step needs to die of TERM */

struct sim_attempt {
    struct list link;
    struct attempt_row row;
    struct scn_script script;
    uint64_t grace_ms;
    const struct step *step; /* NULL: it has never run */
    struct arena arena;      /* of what it tells */
    struct happening end;    /* planned while it runs */
    enum attempt_state end_state;
    int32_t end_code;
    int32_t end_signal;
};

void executor_init(struct world *w)
{
    struct sim_executor *x = &w->executor;
    x->life = world_id(w);
    x->reachable = true;
    x->next_pid = 100;
    list_init(&x->attempts);
}

static void attempt_free(struct world *w, struct sim_attempt *a)
{
    heap_remove(&w->queue, &a->end.node);
    list_remove(&a->link);
    arena_deinit(&a->arena);
    mem_free(a);
}

/* All, or all but the outcomes that a life leaves to the next. */
static void free_attempts(struct world *w, bool keep_outcomes)
{
    LIST_EACH_SAFE (&w->executor.attempts, it, after) {
        struct sim_attempt *a = CONTAINER_OF(it, struct sim_attempt, link);
        if (!keep_outcomes || !attempt_state_is_final(a->row.state)) {
            attempt_free(w, a);
        }
    }
}

void executor_deinit(struct world *w)
{
    free_attempts(w, false);
    VEC_DEINIT(&w->executor.starts);
}

static struct sim_attempt *find(const struct world *w,
                                const struct attempt_key *key)
{
    LIST_EACH (&w->executor.attempts, it) {
        struct sim_attempt *a = CONTAINER_OF(it, struct sim_attempt, link);
        if (id_eq(a->row.key.workflow_id, key->workflow_id) &&
            a->row.key.step_no == key->step_no &&
            a->row.key.attempt == key->attempt) {
            return a;
        }
    }
    return NULL;
}

/* ---- to the daemon --------------------------------------------------------
 */

/* Breaks the connection; both sides come together again after a while. */
static void reconnect(struct world *w, struct happening *h)
{
    (void)h;
    executor_connect(w);
}

void executor_drop(struct world *w)
{
    world_say(w, "the connection to the executor breaks");
    executor_disconnect(w);
    if (w->rt != NULL) {
        runtime_executor_message(w->rt, NULL);
    }
    (void)world_plan(w, world_delay(w, 20), reconnect, NULL);
}

static void reach_daemon(struct world *w, struct happening *h)
{
    struct exec_message m;
    if (h->epoch != w->executor.connection || !w->executor.connected ||
        w->rt == NULL) {
        return;
    }
    if (world_chance(w, w->faults.disconnect)) {
        executor_drop(w);
        return;
    }
    if (world_chance(w, w->faults.executor_lost)) {
        executor_lose(w, world_chance(w, 32768));
        return;
    }
    ASSERT(exec_decode(strbuf_str(&h->datagram), &m) == 0);
    runtime_executor_message(w->rt, &m);
}

static void tell(struct world *w, const struct exec_message *m,
                 uint64_t extra_ms)
{
    struct sim_executor *x = &w->executor;
    if (!x->connected) {
        return;
    }
    uint64_t at_ms = w->now_ms + world_delay(w, MESSAGE_MS) + extra_ms;
    if (extra_ms == 0) {
        at_ms = MAX(at_ms, x->to_daemon_ms);
        x->to_daemon_ms = at_ms;
    }
    struct happening *h = world_plan(w, at_ms - w->now_ms, reach_daemon, NULL);
    h->epoch = x->connection;
    h->datagram = STRBUF_INIT((size_t)EXEC_MESSAGE_MAX_BYTES);
    ASSERT(exec_encode(m, &h->datagram) == 0);
}

/* Reports may come twice, the second time at once or a long time after. */
static void report(struct world *w, const struct exec_message *m)
{
    tell(w, m, 0);
    if (world_chance(w, w->faults.repeat_report)) {
        tell(w, m, world_chance(w, 32768) ? 0 : 1 + world_delay(w, 5000));
    }
}

static void report_start(struct world *w, const struct sim_attempt *a)
{
    report(w, &(struct exec_message){
                  .kind = EXEC_STARTED,
                  .started = {.key = a->row.key,
                              .pid = a->row.pid,
                              .started_ms = a->row.started_ms}});
}

static void report_end(struct world *w, const struct sim_attempt *a)
{
    report(w, &(struct exec_message){.kind = EXEC_ENDED, .ended = a->row});
}

/* All that is known of an attempt, as on re-attaching. */
static void report_all(struct world *w, const struct sim_attempt *a)
{
    if (a->row.started_ms != 0) {
        report_start(w, a);
    }
    if (attempt_state_is_final(a->row.state)) {
        report_end(w, a);
    }
}

/* ---- steps ----------------------------------------------------------------
 */

static struct sim_start *truth_of(struct world *w,
                                  const struct attempt_key *key)
{
    VEC_EACH (&w->executor.starts, i) {
        struct sim_start *s = &w->executor.starts.at[i];
        if (id_eq(s->key.workflow_id, key->workflow_id) &&
            s->key.step_no == key->step_no && s->key.attempt == key->attempt) {
            return s;
        }
    }
    UNREACHABLE();
}

/* Its outputs, over its exit status: it writes nothing here. */
static void evaluate_outputs(struct sim_attempt *a)
{
    const struct step_ending end = {.exit_code = a->end_code};
    bool failed = a->end_state == ATTEMPT_FAILED;
    struct err err = ERR_INIT;
    if (!failed && a->end_state != ATTEMPT_SUCCEEDED) {
        return;
    }
    if (step_outputs_eval(a->step, &end, failed, &a->arena, &a->row.outputs,
                          &err) < 0) {
        a->end_state = ATTEMPT_FAILED;
        a->row.error = arena_str(&a->arena, str_c(err.message));
    }
}

static void step_ends(struct world *w, struct happening *h)
{
    struct sim_attempt *a = CONTAINER_OF(h, struct sim_attempt, end);
    evaluate_outputs(a);
    a->row.state = a->end_state;
    a->row.finished_ms = w->now_ms;
    a->row.exit_code = a->end_code;
    a->row.term_signal = a->end_signal;
    struct sim_start *truth = truth_of(w, &a->row.key);
    truth->ended = true;
    truth->state = a->end_state;
    world_say(w, "step %.*s ends: %s", STR_ARG(truth->step),
              attempt_state_name(a->end_state));
    report_end(w, a);
}

/* Plans an end, unless an earlier one is planned. */
static void plan_end(struct world *w, struct sim_attempt *a, uint64_t in_ms,
                     enum attempt_state state, int32_t number)
{
    uint64_t at_ms = w->now_ms + in_ms;
    if (a->end.node.place != 0 && a->end.node.key <= at_ms) {
        return;
    }
    a->end_state = state;
    a->end_code =
        state == ATTEMPT_TIMED_OUT || state == ATTEMPT_CANCELLED ? -1 : number;
    a->end_signal = 0;
    if (a->script.end == SCRIPT_DIES && state == ATTEMPT_FAILED) {
        a->end_code = -1;
        a->end_signal = number;
    }
    a->end.run = step_ends;
    a->end.embedded = true;
    heap_set(&w->queue, &a->end.node, at_ms);
}

static void begin(struct world *w, struct sim_attempt *a,
                  const struct step *step, uint64_t timeout_ms)
{
    const struct scn_script *script = &a->script;
    struct sim_executor *x = &w->executor;
    check_start(w, &a->row.key, step);
    VEC_PUSH(&x->starts, (struct sim_start){.key = a->row.key,
                                            .section = step->section,
                                            .step = step->name,
                                            .life = x->life});
    world_say(w, "step %.*s starts, attempt %u", STR_ARG(step->name),
              a->row.key.attempt);
    a->step = step;
    a->row.state = ATTEMPT_RUNNING;
    a->row.pid = x->next_pid++;
    a->row.started_ms = w->now_ms;
    plan_end(w, a, timeout_ms + (script->stubborn ? a->grace_ms : STOP_MS),
             ATTEMPT_TIMED_OUT, 0);
    if (script->end == SCRIPT_EXITS || script->end == SCRIPT_DIES) {
        bool good = script->end == SCRIPT_EXITS && script->number == 0;
        plan_end(w, a, script->after_ms,
                 good ? ATTEMPT_SUCCEEDED : ATTEMPT_FAILED, script->number);
    }
    report_start(w, a);
}

/* ---- from the daemon ------------------------------------------------------
 */

static struct runbook *find_version(const struct world *w,
                                    const struct runbook_hash *hash)
{
    VEC_EACH (&w->scenario->versions, i) {
        struct runbook *rb = w->scenario->versions.at[i].runbook;
        if (memcmp(&rb->hash, hash, sizeof(*hash)) == 0) {
            return rb;
        }
    }
    world_violation(w, "START quotes a runbook that nobody ever loaded");
}

static struct sim_attempt *attempt_new(struct world *w,
                                       const struct attempt_key *key)
{
    struct sim_attempt *a = MEM_NEW(struct sim_attempt);
    a->row = (struct attempt_row){
        .key = *key, .executor = w->executor.life, .exit_code = -1};
    list_push(&w->executor.attempts, &a->link);
    return a;
}

/* An attempt for another life, of which nothing was kept. */
static void answer_unknown(struct world *w, const struct exec_message *m)
{
    struct exec_message answer = {
        .kind = EXEC_ENDED,
        .ended = {.key = m->start.key,
                  .state = ATTEMPT_UNKNOWN,
                  .executor = m->start.executor,
                  .finished_ms = w->now_ms,
                  .exit_code = -1,
                  .error = STR("the executor that was asked for it is gone")},
    };
    report(w, &answer);
}

static void take_start(struct world *w, const struct exec_message *m)
{
    struct sim_attempt *a = find(w, &m->start.key);
    if (a != NULL) {
        report_all(w, a);
        return;
    }
    if (!id_eq(m->start.executor, w->executor.life)) {
        answer_unknown(w, m);
        return;
    }
    const struct runbook *rb = find_version(w, &m->start.hash);
    if (m->start.key.step_no >= rb->step_count) {
        world_violation(w, "START quotes a step that its runbook has not");
    }
    const struct step *step = &rb->steps[m->start.key.step_no];
    if (w->halted) {
        report(w, &(struct exec_message){
                      .kind = EXEC_DEFERRED,
                      .deferred = {.key = m->start.key,
                                   .error = STR("the kill switch is on")}});
        return;
    }
    a = attempt_new(w, &m->start.key);
    a->script = scenario_script(w->scenario, step->name, m->start.key.attempt);
    a->grace_ms = m->start.grace_ms;
    if (a->script.end == SCRIPT_REFUSED) {
        a->row.state = ATTEMPT_REFUSED;
        a->row.finished_ms = w->now_ms;
        a->row.error = STR("the scenario says so");
        report_end(w, a);
        return;
    }
    begin(w, a, step, m->start.timeout_ms);
}

static void take_stop(struct world *w, const struct exec_message *m)
{
    struct sim_attempt *a = find(w, &m->stop.key);
    if (a == NULL) {
        a = attempt_new(w, &m->stop.key);
        a->row.state = ATTEMPT_CANCELLED;
        a->row.finished_ms = w->now_ms;
        report_end(w, a);
    } else if (attempt_state_is_final(a->row.state)) {
        report_end(w, a);
    } else if (m->stop.kill) {
        plan_end(w, a, 1, ATTEMPT_CANCELLED, 0);
    } else {
        plan_end(w, a, a->script.stubborn ? m->stop.grace_ms : STOP_MS,
                 ATTEMPT_CANCELLED, 0);
    }
}

static void take_forget(struct world *w, const struct exec_message *m)
{
    struct sim_attempt *a = find(w, &m->forget.key);
    if (a == NULL) {
        return;
    }
    if (!attempt_state_is_final(a->row.state)) {
        world_violation(w, "I4: FORGET of a step that still runs");
    }
    attempt_free(w, a);
}

static void reach_executor(struct world *w, struct happening *h)
{
    struct exec_message m;
    if (h->epoch != w->executor.epoch) {
        return;
    }
    ASSERT(exec_decode(strbuf_str(&h->datagram), &m) == 0);
    w->executor.reading = h->serial;
    if (m.kind == EXEC_START) {
        take_start(w, &m);
    } else if (m.kind == EXEC_STOP) {
        take_stop(w, &m);
    } else if (m.kind == EXEC_FORGET) {
        take_forget(w, &m);
    } else if (m.kind == EXEC_PIN) {
        report(w, &(struct exec_message){
                      .kind = EXEC_PINNED,
                      .pin = {.path = m.pin.path, .hash = m.pin.hash}});
    } else {
        world_violation(w, "the daemon sends what only executors say");
    }
}

void executor_send(struct world *w, const struct exec_message *m)
{
    struct sim_executor *x = &w->executor;
    if (!x->connected) {
        return;
    }
    uint64_t at_ms = w->now_ms + world_delay(w, MESSAGE_MS);
    at_ms = MAX(at_ms, x->to_executor_ms);
    x->to_executor_ms = at_ms;
    struct happening *h =
        world_plan(w, at_ms - w->now_ms, reach_executor, NULL);
    h->epoch = x->epoch;
    h->serial = ++x->sent;
    h->datagram = STRBUF_INIT((size_t)EXEC_MESSAGE_MAX_BYTES);
    ASSERT(exec_encode(m, &h->datagram) == 0);
}

/* ---- the connection -------------------------------------------------------
 */

void executor_connect(struct world *w)
{
    struct sim_executor *x = &w->executor;
    if (w->rt == NULL || !x->reachable || x->connected) {
        return;
    }
    x->connected = true;
    tell(w,
         &(struct exec_message){
             .kind = EXEC_WELCOME,
             .hello = {.version = EXEC_PROTO_VERSION, .executor = x->life}},
         0);
    LIST_EACH (&x->attempts, it) {
        const struct sim_attempt *a =
            CONTAINER_OF(it, struct sim_attempt, link);
        if (attempt_state_is_final(a->row.state)) {
            report_end(w, a);
        }
    }
}

/* What the daemon had sent is in the socket and will be read; what was sent
 * to it is gone. */
void executor_disconnect(struct world *w)
{
    w->executor.connected = false;
    w->executor.connection++;
    w->executor.to_daemon_ms = 0;
}

void executor_lose(struct world *w, bool in_order)
{
    struct sim_executor *x = &w->executor;
    world_say(w, "the executor ends%s", in_order ? " in order" : "");
    free_attempts(w, in_order);
    executor_disconnect(w);
    x->epoch++;
    x->life = world_id(w);
    if (w->rt != NULL && !w->dying) {
        runtime_executor_message(w->rt, NULL);
    }
    (void)world_plan(w, world_delay(w, 20), reconnect, NULL);
}
