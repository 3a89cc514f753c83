#include "engine/engine.h"

#include "base/assert.h"
#include "engine/engine_priv.h"
#include "engine/guards.h"

static void check_config(const struct engine_config *c)
{
    ASSERT(c->workers >= 1 && c->workers <= ENGINE_WORKERS_MAX);
    ASSERT(c->batch_size >= 1 && c->max_concurrent >= 1 && c->max_live >= 1);
    ASSERT(c->max_memories >= 1);
    ASSERT(c->guards.starts.most <= MEMORY_INSTANTS_MAX);
    ASSERT(c->guards.breaker.failures <= GUARD_BREAKER_MAX);
    ASSERT(c->workflow_timeout_ms > 0 && c->held_timeout_ms > 0);
    ASSERT(c->report_margin_ms > 0); /* or silence would be asked about
                                        without a pause */
}

struct engine *engine_new(const struct engine_config *config)
{
    check_config(config);
    struct engine *e = MEM_NEW(struct engine);
    e->config = *config;
    list_init(&e->inflight);
    list_init(&e->parked);
    list_init(&e->touched);
    list_init(&e->remembered);
    list_init(&e->watches.touched);
    return e;
}

void engine_free(struct engine *e)
{
    if (e == NULL) {
        return;
    }
    size_t cursor = 0;
    for (struct map_entry *entry = map_next(&e->flows, &cursor); entry != NULL;
         entry = map_next(&e->flows, &cursor)) {
        struct flow *f = entry->value;
        list_remove(&f->place);
        if (flow_holds_place(f->row.status)) {
            f->lane->running--;
        }
        flow_free(e, f);
    }
    map_deinit(&e->flows);
    map_deinit(&e->lanes);
    map_deinit(&e->locks);
    heap_deinit(&e->eligible);
    heap_deinit(&e->timers);
    watches_free_all(e);
    memory_free_all(e);
    mem_free(e);
}

static void take_time(struct engine *e)
{
    for (struct heap_node *node = heap_min(&e->timers);
         node != NULL && node->key <= e->now_ms; node = heap_min(&e->timers)) {
        struct flow *f = CONTAINER_OF(node, struct flow, timer);
        flow_due(e, f);
        ASSERT(f->timer.place == 0 || f->timer.key > e->now_ms);
    }
    memory_expire(e);
    watches_expire(e);
}

static void begin(struct engine *e, const struct fact *fact)
{
    ASSERT(!e->started);
    clock_check(e);
    if (fact->doubt.len != 0) {
        attempts_doubt_all(e, fact->doubt);
    }
    e->started = true;
    watches_listen(e);
}

static void take(struct engine *e, const struct fact *fact)
{
    switch (fact->kind) {
    case FACT_START:
        begin(e, fact);
        return;
    case FACT_BATCH_MATCHED:
        events_matched(e, fact);
        return;
    case FACT_BATCH_LOST:
        events_lost(e, fact);
        return;
    case FACT_RUN_REQUESTED:
        events_run(e, fact);
        return;
    case FACT_STOP_REQUESTED:
        stop_requested(e, fact);
        return;
    case FACT_EXECUTOR_UP:
        attempts_executor_up(e, fact->executor.executor);
        return;
    case FACT_EXECUTOR_DOWN:
        e->executor_up = false;
        return;
    case FACT_STEP_STARTED:
        attempts_started(e, fact);
        return;
    case FACT_STEP_ENDED:
        attempts_ended(e, fact);
        return;
    case FACT_STEP_DEFERRED:
        attempts_deferred(e, fact);
        return;
    case FACT_TIME:
        take_time(e);
        return;
    case FACT_CONFIG:
        check_config(&fact->config);
        e->config = fact->config;
        return;
    case FACT_PAUSE:
        e->paused = fact->pause;
        watches_listen(e);
        return;
    case FACT_HALT:
        halt_turn(e, fact);
        watches_listen(e);
        return;
    case FACT_DUE:
        watch_due(e, fact);
        return;
    case FACT_GENERATION:
        watches_arm(e, fact);
        return;
    case FACT_GUARD_RESET:
        guards_reset(e, fact);
        return;
    case FACT_CLOCK:
        clock_set(e, fact->clock_shift_ms);
        return;
    case FACT_KINDS:
        break;
    }
    UNREACHABLE();
}

/* Whatever has happened, places and workers that are free now are used now. */
static void settle(struct engine *e, const struct fact *fact)
{
    lanes_admit(e);
    watches_ask(e);
#ifdef ADP_PLANT_LOST_WAKEUP
    /* For the test of the simulator: the end of a workflow wakes nobody. */
    if (fact->kind == FACT_STEP_ENDED) {
        return;
    }
#else
    (void)fact;
#endif
    if (!e->paused && !e->halted) {
        workers_claim(e);
    }
}

/* One record for each flow that was touched, as it is now. */
static void flush(struct engine *e)
{
    for (struct list *node = list_pop(&e->touched); node != NULL;
         node = list_pop(&e->touched)) {
        struct flow *f = CONTAINER_OF(node, struct flow, touched);
        struct record *r = &e->fx->records.at[f->record - 1];
        f->record = 0;
        f->row.rev++;
        r->workflow = effects_row(e->fx, &f->row);
        if (workflow_status_is_final(f->row.status)) {
            flow_free(e, f);
        } else {
            flow_arm(e, f);
        }
    }
}

void engine_step(struct engine *e, const struct fact *fact, struct effects *fx)
{
    e->now_ms =
        fact->kind == FACT_CLOCK ? fact->now_ms : MAX(e->now_ms, fact->now_ms);
    prng_seed(&e->prng, fact->entropy);
    e->fx = fx;
    take(e, fact);
    if (e->started) {
        settle(e, fact);
    }
    flush(e);
    memory_flush(e);
    watches_flush(e);
    e->fx = NULL;
}

uint64_t engine_next_deadline_ms(const struct engine *e)
{
    const struct heap_node *timer = heap_min(&e->timers);
    const struct heap_node *expiry = heap_min(&e->expiries);
    uint64_t at_ms = MIN(timer != NULL ? timer->key : UINT64_MAX,
                         expiry != NULL ? expiry->key : UINT64_MAX);
    return MIN(at_ms, watches_next_ms(e));
}

struct engine_counts engine_count(const struct engine *e)
{
    uint32_t live = (uint32_t)map_count(&e->flows);
    uint32_t claiming = (uint32_t)__builtin_popcountll(e->claimed);
    return (struct engine_counts){
        .live = live,
        .queued = live - e->running - e->held,
        .running = e->running,
        .held = e->held,
        .workers_claiming = claiming,
        .workers_resting = e->config.workers - MIN(claiming, e->config.workers),
        .memories =
            (uint32_t)(map_count(&e->memories) + map_count(&e->watches.rows)) -
            e->guard_memories,
        .memories_refused = e->memories_refused,
        .memories_refused_ms = e->memories_refused_ms,
    };
}
