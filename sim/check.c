/*
 * What must be true, whatever happens. The numbers are those of
 * ARCHITECTURE.md; the engine and the store assert others themselves.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "sim/world.h"

#define ALL 100000

static uint32_t all_workflows(const struct world *w, struct arena *a,
                              struct workflow_view **ret)
{
    struct workflow_filter filter = {.status = -1, .limit = ALL};
    uint32_t count = 0;
    ASSERT(w->reader->ops->workflows(w->reader, &filter, a, ret, &count) == 0);
    return count;
}

uint32_t check_attempts(const struct world *w, struct id workflow,
                        struct arena *a, struct attempt_row **ret)
{
    uint32_t count = 0;
    ASSERT(w->reader->ops->attempts(w->reader, workflow, a, ret, &count) == 0);
    return count;
}

/* ---- after every happening --------------------------------------------------
 */

static void check_events(struct world *w, struct arena *a)
{
    struct err err = ERR_INIT;
    if (store_memory.check(w->store, &err) < 0) {
        world_violation(w, "I1: %s", err.message);
    }
    struct store_counts counts;
    ASSERT(w->reader->ops->counts(w->reader, &counts) == 0);
    VEC_EACH (&w->clients, i) {
        const struct client *c = w->clients.at[i];
        struct event_view view;
        if (!id_is_null(c->event_id) &&
            w->reader->ops->event(w->reader, c->event_id, a, &view) < 0 &&
            counts.removed_events-- == 0) {
            world_violation(w, "I1: event %.*s was accepted and is lost",
                            STR_ARG(c->name));
        }
    }
}

static void check_once_per_trigger(const struct world *w,
                                   const struct workflow_view *views,
                                   uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct workflow_row *x = &views[i].row;
        for (uint32_t k = i + 1; k < count && !id_is_null(x->event_id); k++) {
            const struct workflow_row *y = &views[k].row;
            if (id_eq(x->event_id, y->event_id) &&
                x->trigger_no == y->trigger_no &&
                str_eq(x->runbook_path, y->runbook_path)) {
                world_violation(w, "I2: an event started %.*s twice",
                                STR_ARG(x->runbook_path));
            }
        }
    }
}

static bool holds_place(const struct workflow_row *row)
{
    return row->status == WORKFLOW_RUNNING || row->status == WORKFLOW_WAITING;
}

static const struct runbook *runbook_of(const struct world *w,
                                        const struct workflow_row *row)
{
    VEC_EACH (&w->scenario->versions, i) {
        const struct runbook *rb = w->scenario->versions.at[i].runbook;
        if (memcmp(&rb->hash, &row->runbook_hash, sizeof(rb->hash)) == 0) {
            return rb;
        }
    }
    world_violation(w, "a workflow pins a runbook that nobody loaded");
}

static uint32_t limit_of(const struct world *w, const struct workflow_row *row)
{
    uint32_t limit = runbook_of(w, row)->max_concurrent;
    return limit != 0 ? limit : UINT32_MAX;
}

/* I5: of those that run, none has this one's target. */
static void check_target(struct world *w, const struct workflow_view *views,
                         uint32_t count, const struct workflow_row *of)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct str target = STR("");
    struct err err = ERR_INIT;
    if (guard_target(runbook_of(w, of), of->parameters, &a, &target, &err) <
        0) {
        world_violation(w, "a workflow runs without a target");
    }
    for (uint32_t i = 0; i < count && target.len != 0; i++) {
        const struct workflow_row *row = &views[i].row;
        struct str other = STR("");
        if (holds_place(row) && !id_eq(row->id, of->id) &&
            guard_target(runbook_of(w, row), row->parameters, &a, &other,
                         &err) == 0 &&
            str_eq(other, target)) {
            world_violation(w, "I5: two workflows of target '%.*s' run",
                            STR_ARG(target));
        }
    }
}

static void check_lane(const struct world *w, const struct workflow_row *of,
                       const struct workflow_view *views, uint32_t count)
{
    uint32_t running = 0;
    uint32_t limit = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct workflow_row *row = &views[i].row;
        if (holds_place(row) && str_eq(row->runbook_path, of->runbook_path)) {
            running++;
            limit = MAX(limit, limit_of(w, row));
        }
    }
    if (running > limit) {
        world_violation(w, "I6: %u workflows of %.*s run", running,
                        STR_ARG(of->runbook_path));
    }
}

/* A lowered limit ends nothing, but nothing may start above it; what was
 * decided before may still become durable after (story.c: do_limits). */
static void check_limits(struct world *w, const struct workflow_view *views,
                         uint32_t count)
{
    uint32_t places = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (holds_place(&views[i].row)) {
            places++;
            check_lane(w, &views[i].row, views, count);
            check_target(w, views, count, &views[i].row);
        }
    }
    if (places > w->config.max_concurrent && places > w->places_before) {
        world_violation(w, "I6: %u workflows run, %u may", places,
                        w->config.max_concurrent);
    }
    bool quiet = w->rt == NULL || runtime_is_quiet(w->rt);
    w->places_before = quiet ? places : MAX(w->places_before, places);
}

static void check_row(const struct world *w, const struct workflow_row *row)
{
    bool final = workflow_status_is_final(row->status);
    bool named =
        final || row->status == WORKFLOW_QUEUED || row->deadline_ms != 0;
    if (!named || (row->status == WORKFLOW_WAITING) != (row->wake_ms != 0) ||
        final != (row->finished_ms != 0)) {
        world_violation(w, "I7: a %s workflow waits for nothing",
                        workflow_status_name(row->status));
    }
}

static void check_attempt_rows(const struct world *w,
                               const struct workflow_row *row, struct arena *a)
{
    struct attempt_row *rows = NULL;
    uint32_t count = check_attempts(w, row->id, a, &rows);
    uint32_t open = 0;
    for (uint32_t i = 0; i < count; i++) {
        open += attempt_state_is_final(rows[i].state) ? 0 : 1;
    }
    if (open > 1 || (open == 1 && row->status != WORKFLOW_RUNNING)) {
        world_violation(w, "I4: %u attempts of a %s workflow are in flight",
                        open, workflow_status_name(row->status));
    }
}

/* Quiet: nothing waits for a commit, so memory and store must agree. */
static void check_twin(struct world *w)
{
    if (w->rt == NULL || !runtime_is_quiet(w->rt)) {
        return;
    }
    if (daemon_recovered_hash(w) != engine_hash(runtime_engine(w->rt))) {
        world_violation(w, "I8: the engine is not what the store has");
    }
}

/* ---- limits of triggers ---------------------------------------------------
 */

/* When it really was that the wall clock showed this: of several times, the
 * last one. */
static uint64_t real_time(const struct world *w, uint64_t shown_ms)
{
    for (size_t i = w->clocks.count; i-- > 0;) {
        const struct sim_clock *c = &w->clocks.at[i];
        uint64_t at_ms = (uint64_t)((int64_t)shown_ms - c->wrong_ms);
        uint64_t end_ms =
            i + 1 < w->clocks.count ? w->clocks.at[i + 1].from_ms : w->now_ms;
        if (at_ms >= c->from_ms && at_ms <= end_ms) {
            return at_ms;
        }
    }
    world_violation(w, "a workflow was born at a time that never was");
}

static bool is_same(const struct sim_birth *x, const struct sim_birth *y)
{
    return str_eq(x->path, y->path) && str_eq(x->trigger, y->trigger) &&
           str_eq(x->key, y->key);
}

/* The births are in the order in which they were decided. */
static void check_birth(const struct world *w, const struct sim_birth *b,
                        const struct trigger_limits *l)
{
    uint32_t runs = 1;
    VEC_EACH (&w->births, i) {
        const struct sim_birth *before = &w->births.at[i];
        if (!is_same(before, b) || before->at_ms < w->forgiven_ms) {
            continue;
        }
        uint64_t ago_ms = b->at_ms - MIN(before->at_ms, b->at_ms);
        runs += ago_ms < l->runs_within_ms;
        if (ago_ms < l->cooldown_ms) {
            world_violation(
                w, "I6: %.*s starts again for '%.*s' after %" PRIu64 " ms",
                STR_ARG(b->path), STR_ARG(b->key), ago_ms);
        }
    }
    if (l->runs_most != 0 && runs > l->runs_most) {
        world_violation(w, "I6: %.*s starts %u times for '%.*s' in a window",
                        STR_ARG(b->path), runs, STR_ARG(b->key));
    }
}

/* Of a runbook, or of all with the path "". */
static void check_rate(const struct world *w, const struct sim_birth *b,
                       struct str path, const struct guard_rate *rate)
{
    uint32_t starts = 1;
    VEC_EACH (&w->births, i) {
        const struct sim_birth *before = &w->births.at[i];
        uint64_t ago_ms = b->at_ms - MIN(before->at_ms, b->at_ms);
        starts += before->at_ms >= w->forgiven_ms && ago_ms < rate->within_ms &&
                  (path.len == 0 || str_eq(before->path, path));
    }
    if (rate->most != 0 && starts > rate->most) {
        world_violation(w, "I6: %u workflows of '%.*s' start in a window",
                        starts, STR_ARG(path));
    }
}

static void note_birth(struct world *w, const struct workflow_row *row)
{
    const struct runbook *rb = runbook_of(w, row);
    const struct trigger *t = &rb->triggers[row->trigger_no];
    struct sim_birth b = {.id = row->id};
    struct event_view view;
    if (row->result == RESULT_ESCALATED) {
        return; /* it starts nothing: it tells people why */
    }
    check_watched(w, t, row);
    if (w->reader->ops->event(w->reader, row->event_id, &w->birth_arena,
                              &view) < 0) {
        return; /* a sweep took it in the same commit */
    }
    if (trigger_limits_any(&t->limits) &&
        trigger_key(t->dedup, t->dedup_count, &view.event, &w->birth_arena,
                    &b.key) < 0) {
        world_violation(w, "an event without a key has started %.*s",
                        STR_ARG(row->runbook_path));
    }
    b.path = arena_str(&w->birth_arena, row->runbook_path);
    b.trigger = t->name;
    b.at_ms = real_time(w, row->created_ms);
    if (trigger_limits_any(&t->limits)) {
        check_birth(w, &b, &t->limits);
    }
    check_rate(w, &b, b.path, &rb->guards.starts);
    check_rate(w, &b, STR(""), &w->config.guards.starts);
    VEC_PUSH(&w->births, b);
}

static bool is_known(const struct world *w, struct id id)
{
    for (size_t i = w->births.count; i-- > 0;) {
        if (id_eq(w->births.at[i].id, id)) {
            return true;
        }
    }
    return false;
}

void check_births(struct world *w)
{
    if (!w->limited) {
        return;
    }
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct workflow_view *views = NULL;
    uint32_t count = all_workflows(w, &a, &views);
    while (count-- > 0) {
        const struct workflow_row *row = &views[count].row;
        if (!id_is_null(row->event_id) && !is_known(w, row->id)) {
            note_birth(w, row);
        }
    }
}

void check_world(struct world *w)
{
    if (w->rt != NULL) {
        engine_check(runtime_engine(w->rt));
        w->ahead_unseen = w->ahead_unseen && !runtime_is_quiet(w->rt);
    }
    if (w->commits == w->checked_commits) {
        return;
    }
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct workflow_view *views = NULL;
    uint32_t count = all_workflows(w, &a, &views);
    check_events(w, &a);
    check_once_per_trigger(w, views, count);
    check_limits(w, views, count);
    for (uint32_t i = 0; i < count; i++) {
        check_row(w, &views[i].row);
        check_attempt_rows(w, &views[i].row, &a);
    }
    check_twin(w);
    if (w->rt == NULL || runtime_is_quiet(w->rt)) {
        w->checked_commits = w->commits;
    }
}

/* ---- before something takes effect
 * -------------------------------------------- */

static const struct attempt_row *find_row(const struct attempt_row *rows,
                                          uint32_t count,
                                          const struct attempt_key *key)
{
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].key.step_no == key->step_no &&
            rows[i].key.attempt == key->attempt) {
            return &rows[i];
        }
    }
    return NULL;
}

/* I4 from the truth: nothing else of this step runs; what is not idempotent
 * has not taken effect before, and nobody is in doubt about that. */
static void check_earlier(const struct world *w, const struct sim_start *s,
                          const struct attempt_key *key, bool idempotent)
{
    if (!id_eq(s->key.workflow_id, key->workflow_id) ||
        s->key.step_no != key->step_no) {
        return;
    }
    if (s->key.attempt == key->attempt) {
        world_violation(w, "I4: attempt %u of step %.*s is started twice",
                        key->attempt, STR_ARG(s->step));
    }
    bool lost = !id_eq(s->life, w->executor.life);
    if (!s->ended && !lost) {
        world_violation(w, "I4: two attempts of step %.*s run at once",
                        STR_ARG(s->step));
    }
    bool probe = s->section == SECTION_VERIFY;
    if (s->ended && s->state == ATTEMPT_SUCCEEDED && !probe &&
        !(idempotent && lost)) {
        world_violation(w, "I4: step %.*s takes effect twice",
                        STR_ARG(s->step));
    }
    if (!s->ended && !idempotent) {
        world_violation(w, "I4: step %.*s may take effect twice",
                        STR_ARG(s->step));
    }
}

/* In which order sections run. */
static unsigned rank_of(enum step_section section)
{
    static const enum step_section order[] = {
        SECTION_DIAGNOSE, SECTION_STEPS,      SECTION_VERIFY,
        SECTION_ROLLBACK, SECTION_ON_FAILURE, SECTION_FINALLY};
    unsigned rank = 0;
    while (order[rank] != section) {
        rank++;
    }
    return rank;
}

/* Of a workflow that has gone on to a section nothing before it starts any
 * more, and of rollbacks none but those of earlier steps. */
static void check_order(const struct world *w, const struct attempt_key *key,
                        const struct step *step)
{
    bool done = step->section != SECTION_ROLLBACK;
    VEC_EACH (&w->executor.starts, i) {
        const struct sim_start *s = &w->executor.starts.at[i];
        if (!id_eq(s->key.workflow_id, key->workflow_id)) {
            continue;
        }
        bool back = step->section == SECTION_ROLLBACK
                        ? s->key.step_no < key->step_no
                        : s->key.step_no > key->step_no;
        if (rank_of(s->section) > rank_of(step->section) ||
            (s->section == step->section && back)) {
            world_violation(w, "I3: step %.*s starts after %.*s",
                            STR_ARG(step->name), STR_ARG(s->step));
        }
        done = done || (s->key.step_no == step->rollback && s->ended &&
                        s->state == ATTEMPT_SUCCEEDED);
    }
    if (!done) {
        world_violation(w, "I3: %.*s takes back what was not done",
                        STR_ARG(step->name));
    }
}

/* A START that was under way already may still arrive; its STOP is behind it.
 * A cancel lets `finally` run. */
static void check_promises(const struct world *w, const struct attempt_key *key,
                           const struct step *step)
{
    VEC_EACH (&w->clients, i) {
        const struct client *c = w->clients.at[i];
        bool open = c->how == STOP_CANCEL && step->section == SECTION_FINALLY;
        if (c->stop_is_promised && !open &&
            id_eq(c->workflow_id, key->workflow_id) &&
            w->executor.reading > c->promised_after) {
            world_violation(w, "a step starts after its cancel was answered");
        }
    }
}

void check_start(struct world *w, const struct attempt_key *key,
                 const struct step *step)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct attempt_row *rows = NULL;
    uint32_t count = check_attempts(w, key->workflow_id, &a, &rows);
    if (find_row(rows, count, key) == NULL) {
        world_violation(w, "I9: step %.*s starts before its intent is durable",
                        STR_ARG(step->name));
    }
    VEC_EACH (&w->executor.starts, i) {
        check_earlier(w, &w->executor.starts.at[i], key, step->idempotent);
    }
    check_order(w, key, step);
    check_promises(w, key, step);
}

void check_message(struct world *w, const struct exec_message *m)
{
    bool start = m->kind == EXEC_START;
    bool forget = m->kind == EXEC_FORGET;
    if (!start && !forget) {
        return;
    }
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    const struct attempt_key *key = start ? &m->start.key : &m->forget.key;
    struct attempt_row *rows = NULL;
    struct workflow_view view;
    bool known =
        w->reader->ops->workflow(w->reader, key->workflow_id, &a, &view) == 0;
    uint32_t count = check_attempts(w, key->workflow_id, &a, &rows);
    const struct attempt_row *row = find_row(rows, count, key);
    if (start && (!known || row == NULL)) {
        world_violation(w, "I9: START is sent before its intent is durable");
    }
    if (forget && row != NULL && !attempt_state_is_final(row->state)) {
        world_violation(w, "I9: FORGET is sent before the outcome is durable");
    }
}

/* Who has asked for what was done is in the trail by the time of the answer. A
 * stop that was asked for again changes nothing, a dry run neither; the first
 * to ask may have been the end of the alert (on_resolve). */
static bool is_in_trail(const struct world *w, const struct client *c,
                        struct id workflow, struct arena *a)
{
    struct audit_filter f = {.limit = 1000};
    struct audit_row *rows = NULL;
    uint32_t count = 0;
    char id[ID_TEXT_SIZE];
    struct str who = c->how != STOP_NONE ? STR("uid:0") : c->name;
    id_format(workflow, ID_PREFIX_WORKFLOW, id);
    int r = w->reader->ops->audit(w->reader, &f, a, &rows, &count);
    for (uint32_t i = 0; r == 0 && i < count; i++) {
        bool asked =
            str_eq(rows[i].who, who) ||
            (c->how == STOP_CANCEL && str_eq_c(rows[i].who, "resolved"));
        if (asked && str_eq_c(rows[i].subject, id)) {
            return true;
        }
    }
    return count == f.limit;
}

void check_reply(struct world *w, const struct client *c, int result,
                 struct id workflow)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct workflow_view view;
    int r = w->reader->ops->workflow(w->reader, workflow, &a, &view);
    if (result == 0 && r < 0) {
        world_violation(w, "I9: %.*s is told of a workflow that is not stored",
                        STR_ARG(c->name));
    }
    if (result == 0 && view.row.stop < c->how) {
        world_violation(w, "I9: %.*s is promised a stop that is not stored",
                        STR_ARG(c->name));
    }
    if (result == 0 && !view.row.dry_run && !is_in_trail(w, c, workflow, &a)) {
        world_violation(w, "I10: the trail does not know of %.*s",
                        STR_ARG(c->name));
    }
    if (result == -ENOENT && r == 0 &&
        !workflow_status_is_final(view.row.status)) {
        world_violation(w, "a stop is refused that could be done");
    }
}

/* ---- at the end
 * ---------------------------------------------------------------- */

static void check_clients_end(const struct world *w)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    VEC_EACH (&w->clients, i) {
        const struct client *c = w->clients.at[i];
        struct event_view view;
        /* A random stop may be for something that never came to be, and a
         * request may meet a full house again and again. */
        bool random = w->faults.until_ms != 0 || w->plan.kind == PLANNED_LOSS;
        bool in_vain = random && c->state == CLIENT_GAVE_UP &&
                       (c->how != STOP_NONE || c->result == -EAGAIN);
        if (c->state != CLIENT_ANSWERED && !in_vain) {
            world_violation(w, "%.*s was never answered", STR_ARG(c->name));
        }
        if (id_is_null(c->event_id)) {
            continue;
        }
        if (w->reader->ops->event(w->reader, c->event_id, &a, &view) < 0) {
            continue; /* removed: check_events has counted it */
        }
        if (view.status == EVENT_QUEUED || view.status == EVENT_PROCESSING ||
            view.status == EVENT_ERROR) {
            world_violation(w, "I7: event %.*s stays %s", STR_ARG(c->name),
                            event_status_name(view.status));
        }
    }
}

/* A request with a key starts one workflow, however often it was asked; a dry
 * run changes nothing and is not kept. */
static void check_runs_end(const struct world *w,
                           const struct workflow_view *views, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct workflow_row *a = &views[i].row;
        for (uint32_t k = i + 1; k < count && id_is_null(a->event_id); k++) {
            const struct workflow_row *b = &views[k].row;
            if (id_is_null(b->event_id) && !a->dry_run &&
                !str_eq_c(a->requested_by, "trigger") &&
                str_eq(a->requested_by, b->requested_by)) {
                world_violation(w, "I2: %.*s was started twice",
                                STR_ARG(a->requested_by));
            }
        }
    }
}

void check_end(struct world *w)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct workflow_view *views = NULL;
    uint32_t count = all_workflows(w, &a, &views);
    for (uint32_t i = 0; i < count; i++) {
        if (!workflow_status_is_final(views[i].row.status)) {
            world_violation(w, "I7: a workflow of %.*s stays %s for ever",
                            STR_ARG(views[i].row.runbook_path),
                            workflow_status_name(views[i].row.status));
        }
    }
    check_runs_end(w, views, count);
    check_clients_end(w);
    if (!list_empty(&w->executor.attempts) && w->executor.connected) {
        world_violation(w, "the executor keeps an outcome for ever");
    }
    if (w->rt != NULL && engine_count(runtime_engine(w->rt)).live != 0) {
        world_violation(w, "I8: the engine holds what is over");
    }
}
