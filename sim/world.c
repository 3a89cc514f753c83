#include "sim/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"

/* A world that is still busy after this many happenings never ends. */
#define HAPPENINGS_MAX 200000

/* Only for the last words of a failed assertion, which knows no world. */
static char label_text[256] = "?";

void world_set_label(const char *label)
{
    (void)snprintf(label_text, sizeof(label_text), "%s", label);
}

NORETURN static void end_badly(const char *message)
{
    (void)fprintf(stderr, "violation: %s\n  again with: adp-sim %s --trace\n",
                  message, label_text);
    (void)fflush(NULL);
    _exit(1);
}

static void assertion_failed(const char *what, const char *file, int line)
{
    char text[512];
    (void)snprintf(text, sizeof(text), "%s (%s:%d)", what, file, line);
    end_badly(text);
}

void world_violation(const struct world *w, const char *fmt, ...)
{
    struct strbuf text = STRBUF_INIT(4096);
    va_list args;
    va_start(args, fmt);
    strbuf_addv(&text, fmt, args);
    va_end(args);
    strbuf_addf(&text, " (at %" PRIu64 " ms, %.*s)", w->now_ms - WORLD_EPOCH_MS,
                STR_ARG(w->scenario->file));
    end_badly(strbuf_str(&text).at);
}

void world_say(const struct world *w, const char *fmt, ...)
{
    if (!w->trace) {
        return;
    }
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(64 * 1024);
    va_list args;
    va_start(args, fmt);
    strbuf_addv(&text, fmt, args);
    va_end(args);
    (void)printf("%10" PRIu64 " ms  #%-5" PRIu64 "%s\n",
                 w->now_ms - WORLD_EPOCH_MS, w->boundary, strbuf_str(&text).at);
}

struct world *world_new(const struct scenario *s, uint64_t seed,
                        const struct faults *faults, const struct planned *plan)
{
    struct world *w = MEM_NEW(struct world);
    struct err err = ERR_INIT;
    struct store_opened opened;
    assert_set_hook(assertion_failed);
    w->scenario = s;
    w->faults = *faults;
    w->plan = *plan;
    w->plan_from = plan->at;
    w->calm = plan->kind == PLANNED_NONE && faults->until_ms == 0;
    w->now_ms = WORLD_EPOCH_MS;
    w->config = s->config;
    VEC_EACH (&s->versions, i) {
        const struct runbook *rb = s->versions.at[i].runbook;
        w->limited = w->limited || rb->guards.starts.most != 0 ||
                     s->config.guards.starts.most != 0;
        for (uint32_t t = 0; t < rb->trigger_count; t++) {
            w->limited = w->limited ||
                         trigger_limits_any(&rb->triggers[t].limits) ||
                         trigger_watch_any(&rb->triggers[t].watch);
        }
    }
    VEC_PUSH(&w->clocks, (struct sim_clock){0});
    w->downtime_ms = 50;
    prng_seed(&w->prng, seed);
    w->files =
        mem_alloc(MAX(s->versions.count, (size_t)1), sizeof(struct runbook *));
    list_init(&w->done);
    commit_group_init(&w->group);
    executor_init(w);
    struct store_options options = {
        .queue_limit = 10000, .now_ms = w->now_ms, .session = world_id(w)};
    ASSERT(store_memory.open(&options, &w->store, &opened, &err) == 0);
    ASSERT(store_memory.reader_open(w->store, &w->reader, &err) == 0);
    return w;
}

static void free_happening(struct happening *h)
{
    if (!h->embedded) {
        strbuf_deinit(&h->datagram);
        mem_free(h);
    }
}

void world_free(struct world *w)
{
    if (w->rt != NULL) {
        daemon_die(w);
    }
    VEC_EACH (&w->clients, i) {
        client_free(w, w->clients.at[i]);
    }
    while (w->queue.count != 0) {
        struct heap_node *node = heap_min(&w->queue);
        heap_remove(&w->queue, node);
        free_happening(CONTAINER_OF(node, struct happening, node));
    }
    executor_deinit(w);
    VEC_DEINIT(&w->clients);
    VEC_DEINIT(&w->jobs);
    VEC_DEINIT(&w->births);
    VEC_DEINIT(&w->clocks);
    arena_deinit(&w->birth_arena);
    heap_deinit(&w->queue);
    generation_unref(w->generation);
    w->reader->ops->close(w->reader);
    store_memory.close(w->store);
    mem_free(w->files);
    mem_free(w);
}

struct happening *world_plan(struct world *w, uint64_t in_ms, happen_fn *run,
                             void *subject)
{
    struct happening *h = MEM_NEW(struct happening);
    h->run = run;
    h->subject = subject;
    heap_set(&w->queue, &h->node, w->now_ms + in_ms);
    return h;
}

static bool faults_on(const struct world *w)
{
    return w->now_ms < WORLD_EPOCH_MS + w->faults.until_ms;
}

bool world_chance(struct world *w, uint32_t chance)
{
    return chance != 0 && faults_on(w) && prng_below(&w->prng, 65536) < chance;
}

uint64_t world_delay(struct world *w, uint64_t least_ms)
{
    return least_ms + (w->faults.latency_ms != 0
                           ? prng_below(&w->prng, w->faults.latency_ms + 1)
                           : 0);
}

struct id world_id(struct world *w)
{
    uint8_t random[10];
    for (size_t i = 0; i < sizeof(random); i++) {
        random[i] = (uint8_t)prng_below(&w->prng, 256);
    }
    return id_make(w->now_ms, random);
}

/* Not in the middle of whatever the daemon is doing: right after it. */
static void lose_sight(struct world *w, struct happening *h)
{
    (void)h;
    if (w->plan.kind == PLANNED_LOSS) {
        executor_lose(w, false);
    } else if (w->executor.connected) {
        executor_drop(w);
    }
}

/* What was planned for this boundary; true if it is the daemon's death. */
static bool strike(struct world *w)
{
    if (w->plan.kind == PLANNED_NONE || w->boundary != w->plan.at) {
        return false;
    }
    if (w->plan.kind != PLANNED_CRASH) {
        (void)world_plan(w, 0, lose_sight, NULL);
        return false;
    }
    w->plan.at += w->plan.again; /* 0: the number never comes again */
    w->plan.again = 0;
    return true;
}

bool world_boundary(struct world *w, const char *where)
{
    if (w->rt == NULL || w->dying) {
        return w->dying;
    }
    bool dies = strike(w) || world_chance(w, w->faults.crash);
    w->boundary++;
    if (dies) {
        world_say(w, "the daemon dies %s", where);
        w->dying = true;
    }
    return dies;
}

uint64_t world_clock_ms(const struct world *w)
{
    return (uint64_t)((int64_t)w->now_ms + w->clock_wrong_ms);
}

void world_set_clock(struct world *w, int64_t by_ms)
{
    w->clock_wrong_ms += by_ms;
    VEC_PUSH(&w->clocks, (struct sim_clock){w->now_ms, w->clock_wrong_ms});
    w->ahead_unseen = w->ahead_unseen || by_ms > 0;
    if (w->rt == NULL && w->ahead_unseen) {
        w->forgiven_ms = w->now_ms;
    }
    world_say(w, "the clock is set %s by %" PRId64 " ms",
              by_ms < 0 ? "back" : "ahead", by_ms < 0 ? -by_ms : by_ms);
    if (w->rt != NULL) {
        runtime_tick(w->rt);
    }
}

static void happen(struct world *w, struct happening *h)
{
    w->now_ms = h->node.key;
    heap_remove(&w->queue, &h->node);
    h->run(w, h);
    free_happening(h);
    (void)world_boundary(w, "between two happenings");
    if (w->dying) {
        daemon_die(w);
    }
}

/* Until its fault an exhaustive world is the calm one, seen before. */
static bool is_news(const struct world *w)
{
    return w->plan.kind == PLANNED_NONE || w->boundary > w->plan_from;
}

void world_play(struct world *w)
{
    uint64_t count = 0;
    story_begin(w);
    daemon_boot(w, NULL);
    for (struct heap_node *node = heap_min(&w->queue); node != NULL;
         node = heap_min(&w->queue)) {
        happen(w, CONTAINER_OF(node, struct happening, node));
        if (is_news(w)) {
            check_world(w);
        }
        if (++count > HAPPENINGS_MAX) {
            world_violation(w, "I7: this world never comes to rest");
        }
    }
    check_end(w);
    if (w->plan.kind != PLANNED_LOSS) {
        story_end(w);
    }
}
