#include "trial/backtest.h"

#include <string.h>

#include "base/assert.h"
#include "base/map.h"
#include "model/runbook_load.h"

/* What comes after the last event: long enough for what waits. */
#define END_MS (24ULL * 3600 * 1000)
#define STEPS_MAX 10000000ULL
#define WAIT_MS 1000
#define GUARD_NAME_MAX_BYTES 40

/* What is known of an event that started something, then or now. */
struct seen {
    struct id event_id;
    bool then;
    bool now;
};

struct backtest {
    struct backtest_options options;
    struct trial *trial;
    struct generation *generation;
    struct arena arena;
    struct backtest_report report;
    struct map seen; /* event id -> struct seen */
    struct map keys; /* key -> index + 1 in report.keys */
    struct id event_id;
    uint64_t first_ms;
    struct str keys_now[RUNBOOK_MAX_TRIGGERS]; /* per trigger, of this event */
    bool matched;
    bool in_event; /* the keys are there */
};

/* ---- telling ------------------------------------------------------------- */

static struct seen *seen_of(struct backtest *b, struct id event_id)
{
    struct seen *s = map_get(&b->seen, id_bytes(&event_id));
    if (s == NULL && map_count(&b->seen) < BACKTEST_COMPARED_MAX) {
        s = ARENA_NEW(&b->arena, struct seen);
        s->event_id = event_id;
        (void)map_put(&b->seen, id_bytes(&s->event_id), s);
    }
    return s;
}

void backtest_did_run(struct backtest *b, struct id event_id)
{
    struct seen *s = seen_of(b, event_id);
    if (s != NULL) {
        s->then = true;
    }
}

static struct backtest_key *key_of(struct backtest *b, struct str key)
{
    size_t index = (size_t)(uintptr_t)map_get(&b->keys, key);
    if (index != 0) {
        return &b->report.keys.at[index - 1];
    }
    if (b->report.keys.count >= BACKTEST_KEYS_MAX) {
        return NULL;
    }
    struct str copy = arena_str(&b->arena, key);
    VEC_PUSH(
        &b->report.keys,
        (struct backtest_key){.key = copy, .first_ms = trial_now_ms(b->trial)});
    (void)map_put(&b->keys, copy, (void *)(uintptr_t)b->report.keys.count);
    return &b->report.keys.at[b->report.keys.count - 1];
}

static void note_key(struct backtest *b, struct str key, bool started)
{
    struct backtest_key *k = key_of(b, key);
    if (k != NULL) {
        k->starts += started;
        k->held += !started;
        k->last_ms = trial_now_ms(b->trial);
    }
}

/* "a.yaml, trigger #1: cooldown: 2m of 30m have passed...": cooldown. */
static struct str guard_of(struct str reason)
{
    static const char marker[] = ", trigger ";
    const char *at = memmem(reason.at, reason.len, marker, sizeof(marker) - 1);
    struct str rest = reason;
    if (at != NULL) {
        rest = str_slice(reason, (size_t)(at - reason.at) + sizeof(marker) - 1,
                         reason.len);
        ptrdiff_t colon = str_find(rest, ':');
        rest = str_trim(str_slice(rest, (size_t)(colon + 1), rest.len));
    }
    ptrdiff_t end = str_find(rest, ':');
    return end > 0 && end <= GUARD_NAME_MAX_BYTES
               ? str_slice(rest, 0, (size_t)end)
               : STR("other");
}

static void note_reason(struct backtest *b, struct str reason)
{
    struct str guard = guard_of(reason);
    VEC_EACH (&b->report.reasons, i) {
        if (str_eq(b->report.reasons.at[i].guard, guard)) {
            b->report.reasons.at[i].count++;
            return;
        }
    }
    if (b->report.reasons.count < BACKTEST_REASONS_MAX) {
        VEC_PUSH(
            &b->report.reasons,
            (struct backtest_reason){.guard = arena_str(&b->arena, guard),
                                     .count = 1,
                                     .example = arena_str(&b->arena, reason),
                                     .event_id = b->event_id,
                                     .at_ms = trial_now_ms(b->trial)});
    }
}

/* ---- what the trial tells ------------------------------------------------ */

static void on_start(struct backtest *b, const struct workflow_row *row)
{
    const struct runbook *rb = b->options.rb;
    struct str key = b->in_event && row->trigger_no < rb->trigger_count
                         ? b->keys_now[row->trigger_no]
                         : STR("");
    struct seen *s = seen_of(b, row->event_id);
    b->report.started++;
    b->report.refused += row->status == WORKFLOW_FAILED;
    note_key(b, key, true);
    if (s != NULL) {
        s->now = true;
    }
    if (b->report.starts.count < BACKTEST_STARTS_MAX) {
        VEC_PUSH(
            &b->report.starts,
            (struct backtest_start){
                .at_ms = row->created_ms,
                .event_id = row->event_id,
                .key = arena_str(&b->arena, key),
                .trigger = row->trigger_no < rb->trigger_count
                               ? rb->triggers[row->trigger_no].name
                               : STR(""),
                .parameters = params_masked(rb, row->parameters, &b->arena),
                .error = arena_str(&b->arena, row->error)});
    }
}

static void on_done(struct backtest *b, const struct record_event_done *done)
{
    b->report.undecided += done->undecided;
    if (done->status != EVENT_SUPPRESSED) {
        return;
    }
    b->report.held++;
    note_reason(b, done->error);
    for (uint32_t i = 0; i < b->options.rb->trigger_count; i++) {
        if (b->keys_now[i].at != NULL) {
            note_key(b, b->keys_now[i], false);
        }
    }
}

static void on_record(void *context, const struct record *r)
{
    struct backtest *b = context;
    if (r->kind == RECORD_WORKFLOW_NEW) {
        on_start(b, &r->workflow);
    } else if (r->kind == RECORD_EVENT_DONE) {
        on_done(b, &r->event_done);
    }
}

/* The keys belong to the match, which lives as long as the event's step. */
static void on_matched(void *context, const struct fact_event *found)
{
    struct backtest *b = context;
    b->matched = found->match_count != 0 || found->held_count != 0;
    memset(b->keys_now, 0,
           sizeof(b->keys_now[0]) * b->options.rb->trigger_count);
    for (uint32_t i = 0; i < found->match_count; i++) {
        const struct fact_match *m = &found->matches[i];
        b->keys_now[m->trigger_no] = m->key.at != NULL ? m->key : STR("");
    }
}

static void on_attempt(void *context, const struct trial_attempt *attempt,
                       struct trial_answer *ret)
{
    const struct backtest *b = context;
    (void)attempt;
    ret->after_ms = b->options.step_ms;
}

/* ---- replaying ----------------------------------------------------------- */

struct backtest *backtest_new(const struct backtest_options *options)
{
    struct backtest *b = MEM_NEW(struct backtest);
    const struct generation_file file = {.path = options->rb->path,
                                         .state = FILE_LOADED,
                                         .runbook = runbook_ref(options->rb)};
    ASSERT(options->rb->trigger_count <= RUNBOOK_MAX_TRIGGERS);
    b->options = *options;
    b->generation = generation_new(&file, 1, STR(""), 1, 0);
    arena_init(&b->arena);
    return b;
}

void backtest_free(struct backtest *b)
{
    if (b == NULL) {
        return;
    }
    trial_free(b->trial);
    generation_unref(b->generation);
    map_deinit(&b->seen);
    map_deinit(&b->keys);
    VEC_DEINIT(&b->report.starts);
    VEC_DEINIT(&b->report.keys);
    VEC_DEINIT(&b->report.reasons);
    arena_deinit(&b->arena);
    mem_free(b);
}

/* The world begins with the first event. */
static void begin(struct backtest *b, uint64_t now_ms)
{
    const struct trial_options options = {
        .generation = b->generation,
        .config = ENGINE_CONFIG_DEFAULT,
        .zones = b->options.zones,
        .now_ms = now_ms,
        .hooks = {.context = b,
                  .attempt = on_attempt,
                  .record = on_record,
                  .matched = on_matched},
    };
    b->trial = trial_new(&options);
    b->report.first_ms = now_ms;
}

static void go_on(struct backtest *b, uint64_t until_ms)
{
    if (!trial_advance(b->trial, until_ms, STEPS_MAX)) {
        b->report.endless = true;
    }
}

void backtest_event(struct backtest *b, const struct event *event)
{
    if (b->report.endless) {
        return;
    }
    if (b->trial == NULL) {
        begin(b, event->received_ms);
    }
    go_on(b, event->received_ms);
    b->event_id = event->id;
    b->matched = false;
    b->in_event = true;
    while (!b->report.endless && !trial_event(b->trial, event)) {
        /* So much is unfinished that it waits in the queue. */
        go_on(b, trial_now_ms(b->trial) + WAIT_MS);
    }
    b->in_event = false;
    b->report.events++;
    b->report.matched += b->matched;
    b->report.last_ms = event->received_ms;
    if (b->matched) {
        b->report.busiest =
            MAX(b->report.busiest, engine_count(trial_engine(b->trial)).live);
    }
}

const struct backtest_report *backtest_finish(struct backtest *b)
{
    size_t cursor = 0;
    if (b->trial != NULL) {
        go_on(b, trial_now_ms(b->trial) + END_MS);
    }
    for (struct map_entry *entry = map_next(&b->seen, &cursor); entry != NULL;
         entry = map_next(&b->seen, &cursor)) {
        const struct seen *s = entry->value;
        b->report.both += s->then && s->now;
        b->report.only_then += s->then && !s->now;
        b->report.only_now += s->now && !s->then;
    }
    return &b->report;
}
