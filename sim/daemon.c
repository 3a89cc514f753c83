/*
 * The daemon: the real runtime behind ports that lead into this world. When it
 * dies, what had left it is on its way, what was committed is committed, and
 * everything else is gone.
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "sim/world.h"

#define COMMIT_MS 1
#define MATCH_MS 1
#define SWITCH_LOOK_MS 250
#define SWITCH_STORED_MS 20

/* ---- the store ---------------------------------------------------------- */

static void deliver(struct world *w, struct store_op *op)
{
    if (op->kind == STORE_INGEST) {
        client_ingested(w, op);
    } else if (op->context == w) { /* only the sweep sets it */
        retention_op_done(w->retention);
    } else {
        runtime_op_done(w->rt, op);
    }
}

static void tell_next(struct world *w, struct happening *h)
{
    (void)h;
    struct list *link = list_pop(&w->done);
    if (link == NULL) {
        return; /* the daemon died since */
    }
    deliver(w, CONTAINER_OF(link, struct store_op, link));
    if (!list_empty(&w->done)) {
        (void)world_plan(w, 0, tell_next, NULL);
    }
}

static void choose_store_fault(struct world *w)
{
    if (world_chance(w, w->faults.store_fails)) {
        world_say(w, "the commit fails");
        store_memory_fail(w->store, MEMORY_FAULT_IO, 1);
        w->allowed_errnum = -EIO;
    } else if (world_chance(w, w->faults.store_lies)) {
        world_say(w, "the commit works, but says it failed");
        store_memory_fail(w->store, MEMORY_FAULT_UNKNOWN, 1);
        w->allowed_errnum = -EIO;
    } else if (world_chance(w, w->faults.disk_full)) {
        world_say(w, "the disk is full for a moment");
        store_memory_fail(w->store, MEMORY_FAULT_NOSPC, 1);
    }
}

/* As the committer has it: operations, or a claim that could be served. */
static bool has_work(const struct world *w)
{
    return !list_empty(&w->group.ops) ||
           (!list_empty(&w->group.claims) && store_memory.queued(w->store) > 0);
}

static void commit_now(struct world *w, struct happening *h)
{
    (void)h;
    w->commit_planned = false;
    if (world_boundary(w, "before a commit")) {
        return;
    }
    if (world_boundary(w, "inside a transaction")) {
        store_memory_fail(w->store, MEMORY_FAULT_IO, 1);
    } else {
        choose_store_fault(w);
    }
    bool idle = list_empty(&w->done);
    w->commits++;
    (void)commit_group_run(&store_memory, w->store, &w->group, w->now_ms);
    list_splice(&w->done, &w->group.finished);
    check_births(w);
    if (world_boundary(w, "after a commit")) {
        return;
    }
    if (idle && !list_empty(&w->done)) {
        (void)world_plan(w, 0, tell_next, NULL);
    }
    if (has_work(w)) {
        w->commit_planned = true;
        (void)world_plan(w, world_delay(w, COMMIT_MS), commit_now, NULL);
    }
}

void daemon_submit(struct world *w, struct store_op *op)
{
    list_push(&w->group.ops, &op->link);
    if (!w->commit_planned) {
        w->commit_planned = true;
        (void)world_plan(w, world_delay(w, COMMIT_MS), commit_now, NULL);
    }
}

/* ---- ports --------------------------------------------------------------- */

static uint64_t port_now_ms(void *context)
{
    const struct world *w = context;
    return world_clock_ms(w);
}

static uint64_t port_elapsed_ms(void *context)
{
    const struct world *w = context;
    return w->now_ms;
}

static void port_random(void *context, void *buf, size_t len)
{
    struct world *w = context;
    uint8_t *bytes = buf;
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)prng_below(&w->prng, 256);
    }
}

/* Given back at once when the process is about to be buried: daemon_die. */
static void port_submit(void *context, struct store_op *op)
{
    daemon_submit(context, op);
}

/* Takes the job off the list; false if it died with its daemon. */
static bool take_job(struct world *w, const struct match_job *job)
{
    size_t i = 0;
    while (i < w->jobs.count && w->jobs.at[i] != job) {
        i++;
    }
    if (i == w->jobs.count) {
        return false;
    }
    VEC_REMOVE(&w->jobs, i);
    return true;
}

static void job_done(struct world *w, struct happening *h)
{
    if (h->epoch == w->daemon_epoch && take_job(w, h->subject)) {
        runtime_job_done(w->rt, h->subject);
    }
}

static bool is_unmatchable(const struct world *w, const struct event *event)
{
    struct str alertname = labels_get(&event->labels, STR("alertname"));
    VEC_EACH (&w->scenario->unmatchable, i) {
        if (str_eq(w->scenario->unmatchable.at[i], alertname)) {
            return true;
        }
    }
    return false;
}

static void port_match(void *context, struct match_job *job)
{
    struct world *w = context;
    match_job_run(job);
    for (uint32_t i = 0; i < job->claim.op.claim.count; i++) {
        if (is_unmatchable(w, &job->claim.op.claim.events[i])) {
            job->events[i].error = STR("the scenario says so");
        }
    }
    VEC_PUSH(&w->jobs, job);
    struct happening *h =
        world_plan(w, world_delay(w, MATCH_MS), job_done, job);
    h->epoch = w->daemon_epoch;
}

static void port_execute(void *context, const struct exec_message *m)
{
    struct world *w = context;
    if (!world_boundary(w, "before a message to the executor")) {
        check_message(w, m);
        executor_send(w, m);
    }
}

static void ticked(struct world *w, struct happening *h)
{
    (void)h;
    if (w->rt != NULL) {
        runtime_tick(w->rt);
    }
}

/* The alarm is one of the wall clock, and sounds when that is set. */
static void port_wake(void *context, uint64_t at_ms)
{
    struct world *w = context;
    if (at_ms == UINT64_MAX) {
        heap_remove(&w->queue, &w->tick.node);
        return;
    }
    int64_t in_ms = (int64_t)at_ms - (int64_t)world_clock_ms(w);
    at_ms = w->now_ms + (in_ms > 0 ? (uint64_t)in_ms : 0);
    if (w->tick.node.place == 0 || w->tick.node.key != at_ms) {
        w->tick.run = ticked;
        w->tick.embedded = true;
        heap_set(&w->queue, &w->tick.node, MAX(at_ms, w->now_ms));
    }
}

static void port_reply(void *context, void *token, int result,
                       struct id workflow, enum workflow_status status)
{
    struct world *w = context;
    (void)status;
    if (!world_boundary(w, "before a reply")) {
        client_replied(w, token, result, workflow);
    }
}

static void port_fatal(void *context, int errnum)
{
    struct world *w = context;
    if (w->dying) {
        return;
    }
    if (errnum != w->allowed_errnum) {
        world_violation(w, "the daemon gave up: %s", strerror(-errnum));
    }
    world_say(w, "the daemon gives up: %s", strerror(-errnum));
    w->dying = true;
}

/* ---- life ---------------------------------------------------------------- */

static const struct runtime_ports ports_template = {
    .now_ms = port_now_ms,
    .elapsed_ms = port_elapsed_ms,
    .random = port_random,
    .submit = port_submit,
    .match = port_match,
    .execute = port_execute,
    .wake = port_wake,
    .reply = port_reply,
    .fatal = port_fatal,
};

void daemon_load(struct world *w)
{
    VEC(struct generation_file) files = {0};
    for (size_t i = 0; i < w->scenario->versions.count; i++) {
        if (w->files[i] != NULL) {
            VEC_PUSH(&files, (struct generation_file){
                                 .path = w->files[i]->path,
                                 .state = FILE_LOADED,
                                 .runbook = runbook_ref(w->files[i]),
                             });
        }
    }
    generation_unref(w->generation);
    w->generation = generation_new(files.at, (uint32_t)files.count, STR("c0"),
                                   ++w->generation_number, w->now_ms);
    VEC_DEINIT(&files);
    if (w->rt != NULL) {
        runtime_set_generation(w->rt, generation_ref(w->generation));
    }
}

/* Behind what it meant for workflows. */
static void store_switch(struct world *w, struct happening *h)
{
    if (w->rt != NULL && (uintptr_t)h->subject == w->daemon_epoch) {
        w->halted_stored = w->halted_seen;
    }
}

static void plan_store(struct world *w)
{
    (void)world_plan(w, SWITCH_STORED_MS, store_switch,
                     (void *)(uintptr_t)w->daemon_epoch);
}

static void see_switch(struct world *w, struct happening *h)
{
    (void)h;
    if (w->rt != NULL && w->halted_seen != w->halted) {
        w->halted_seen = w->halted;
        runtime_switch(w->rt, w->halted, w->halted_ms);
        plan_store(w);
    }
}

void daemon_look(struct world *w)
{
    if (w->halted != w->halted_seen) {
        (void)world_plan(w, SWITCH_LOOK_MS, see_switch, NULL);
    } else if (w->halted_seen != w->halted_stored) {
        plan_store(w);
    }
}

void daemon_boot(struct world *w, struct happening *h)
{
    struct runtime_ports ports = ports_template;
    struct err err = ERR_INIT;
    if (h != NULL) {
        struct store_opened opened;
        struct store_options options = {
            .queue_limit = 10000, .now_ms = w->now_ms, .session = world_id(w)};
        store_memory_crash(w->store, &options, &opened);
    }
    world_say(w, "the daemon starts");
    ports.context = w;
    w->allowed_errnum = 0;
    w->rt = runtime_new(&ports, &w->config, w->scenario->max_attempts);
    /* Before anything can begin; the store knows what the last one saw. */
    w->halted_seen = w->halted || w->halted_stored;
    runtime_switch(w->rt, w->halted_seen, w->halted_ms);
    runtime_set_generation(w->rt, generation_ref(w->generation));
    struct runtime_unloadable unloadable;
    if (runtime_recover(w->rt, w->reader, &unloadable, &err) < 0 ||
        unloadable.count != 0) {
        world_violation(w, "recovery fails: %s", err.message);
    }
    if (w->paused) {
        runtime_pause(w->rt, true);
    }
    daemon_look(w);
    executor_connect(w);
}

static void drop_ops(struct world *w, struct list *ops)
{
    for (struct list *link = list_pop(ops); link != NULL;
         link = list_pop(ops)) {
        struct store_op *op = CONTAINER_OF(link, struct store_op, link);
        op->result = -ECANCELED;
        if (op->kind != STORE_INGEST) {
            deliver(w, op);
        }
    }
}

/* ---- retention ----------------------------------------------------------- */

static void sweep_submit(void *context, struct runtime_op *ro)
{
    struct world *w = context;
    ro->op.context = w;
    runtime_forget_pins(w->rt);
    daemon_submit(w, &ro->op);
}

static void sweep_on(struct world *w, struct happening *h)
{
    if (h->epoch == w->daemon_epoch && w->retention != NULL) {
        retention_next(w->retention);
    }
}

static void sweep_again(void *context, uint64_t in_ms)
{
    struct world *w = context;
    if (!w->dying) {
        world_plan(w, in_ms, sweep_on, NULL)->epoch = w->daemon_epoch;
    }
}

static void sweep_done(void *context, const struct retention_round *round)
{
    struct world *w = context;
    world_say(w, "%u events and %u workflows are removed",
              (unsigned)round->events, (unsigned)round->workflows);
}

void daemon_sweep(struct world *w, uint64_t age_ms)
{
    const struct retention_ports ports = {.context = w,
                                          .now_ms = port_now_ms,
                                          .submit = sweep_submit,
                                          .again = sweep_again,
                                          .done = sweep_done};
    const struct retention_policy policy = {.events_ms = age_ms,
                                            .workflows_ms = age_ms};
    if (w->rt == NULL) {
        return;
    }
    if (w->retention == NULL) {
        w->retention = retention_new(&ports, w->reader, &policy);
    }
    retention_begin(w->retention);
}

/* Memory is given back in ways that a dead process has no need of; nothing of
 * it leaves the process, because w->dying stops every port. */
void daemon_die(struct world *w)
{
    w->dying = true;
    if (w->ahead_unseen) {
        w->forgiven_ms = w->now_ms;
        w->ahead_unseen = false;
    }
    runtime_halt(w->rt);
    executor_disconnect(w);
    VEC_EACH (&w->jobs, i) {
        runtime_job_done(w->rt, w->jobs.at[i]);
    }
    VEC_CLEAR(&w->jobs);
    drop_ops(w, &w->group.ops);
    drop_ops(w, &w->group.claims);
    drop_ops(w, &w->group.finished);
    drop_ops(w, &w->done);
    runtime_free(w->rt);
    w->rt = NULL;
    retention_free(w->retention);
    w->retention = NULL;
    w->dying = false;
    w->daemon_epoch++;
    heap_remove(&w->queue, &w->tick.node);
    clients_abandoned(w);
    (void)world_plan(w, w->downtime_ms, daemon_boot, NULL);
    w->downtime_ms = 50;
}

/* ---- the twin (I8) --------------------------------------------------------
 */

struct twin {
    struct world *world;
    struct list ops;
};

static uint64_t twin_now_ms(void *context)
{
    const struct twin *t = context;
    return world_clock_ms(t->world);
}

static uint64_t twin_elapsed_ms(void *context)
{
    const struct twin *t = context;
    return t->world->now_ms;
}

static void twin_random(void *context, void *buf, size_t len)
{
    (void)context;
    memset(buf, 7, len);
}

static void twin_submit(void *context, struct store_op *op)
{
    struct twin *t = context;
    if (op->kind != STORE_CLAIM) {
        world_violation(t->world, "I8: a recovered engine finds more to do");
    }
    list_push(&t->ops, &op->link);
}

static void twin_wake(void *context, uint64_t at_ms)
{
    (void)context;
    (void)at_ms;
}

static void twin_execute(void *context, const struct exec_message *m)
{
    const struct twin *t = context;
    (void)m;
    world_violation(t->world, "I8: a recovered engine acts without executor");
}

uint64_t daemon_recovered_hash(struct world *w)
{
    struct twin twin = {.world = w};
    struct err err = ERR_INIT;
    struct runtime_ports ports = {.context = &twin,
                                  .now_ms = twin_now_ms,
                                  .elapsed_ms = twin_elapsed_ms,
                                  .random = twin_random,
                                  .submit = twin_submit,
                                  .wake = twin_wake,
                                  .execute = twin_execute};
    list_init(&twin.ops);
    struct runtime *rt =
        runtime_new(&ports, &w->config, w->scenario->max_attempts);
    runtime_switch(rt, w->halted_seen, w->halted_ms);
    struct runtime_unloadable unloadable;
    if (runtime_recover(rt, w->reader, &unloadable, &err) < 0 ||
        unloadable.count != 0) {
        world_violation(w, "I8: recovery fails: %s", err.message);
    }
    uint64_t hash = engine_hash(runtime_engine(rt));
    runtime_halt(rt);
    for (struct list *link = list_pop(&twin.ops); link != NULL;
         link = list_pop(&twin.ops)) {
        struct store_op *op = CONTAINER_OF(link, struct store_op, link);
        op->result = -ECANCELED;
        runtime_op_done(rt, op);
    }
    runtime_free(rt);
    return hash;
}
