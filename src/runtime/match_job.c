/*
 * Matching one claimed batch against the generation in force: pure, so any
 * worker thread may run it while the engine goes on.
 */
#include "base/mem.h"
#include "model/params.h"
#include "runtime/runtime.h"

static struct str err_text(struct arena *a, const struct err *err)
{
    return arena_str(a, str_c(err->message));
}

static void fill_match(struct match_job *job, const struct event *event,
                       const struct match *found, struct fact_match *match)
{
    struct err err = ERR_INIT;
    match->runbook = found->runbook;
    match->trigger_no = found->trigger_no;
    if (found->undecided != NULL) {
        match->parameters = STR("{}");
        match->error = match_undecided_text(found, &job->arena);
        return;
    }
    const struct params_source from = {
        .event = event, .now_ms = job->input.now_ms, .zones = job->input.zones};
    if (params_from_event(found->runbook, found->trigger_no, &from, &job->arena,
                          &match->parameters, &err) < 0) {
        match->parameters = STR("{}");
        match->error = err_text(&job->arena, &err);
    }
}

/* True if an operator has disabled the runbook: then *ret says so. */
static bool is_disabled(struct match_job *job, const struct match *m,
                        struct fact_held *ret)
{
    const struct setting_row *row =
        job->controls != NULL
            ? controls_disabled(job->controls, m->runbook->path)
            : NULL;
    if (row == NULL) {
        return false;
    }
    struct strbuf why = STRBUF_INIT(8192);
    controls_add_disabled(&why, m->runbook->path, row);
    ret->kind = HOLD_DISABLED;
    ret->why = ret->told = arena_str(&job->arena, strbuf_str(&why));
    strbuf_deinit(&why);
    return true;
}

/* The keys of the event under this trigger; true if one is lacking, and why:
 * what is not there is never taken for "all". */
static bool lacks_key(struct match_job *job, const struct event *event,
                      const struct match *m, struct fact_match *match,
                      struct fact_held *ret)
{
    const struct trigger *t = &m->runbook->triggers[m->trigger_no];
    struct str text = STR("");
    int r = 0;
    if (trigger_limits_any(&t->limits)) {
        r = trigger_key(t->dedup, t->dedup_count, event, &job->arena, &text);
        match->key = text;
    }
    if (r == 0 && trigger_watch_any(&t->watch)) {
        r = trigger_subject(&t->watch, t->dedup, t->dedup_count, event,
                            &job->arena, &text);
        match->subject = text;
    }
    if (r == 0) {
        return false;
    }
    struct strbuf why = STRBUF_INIT(8192);
    strbuf_addf(&why, "%.*s, trigger %.*s: ", STR_ARG(m->runbook->path),
                STR_ARG(t->name));
    size_t names = why.len;
    strbuf_addf(&why, "the event has no %.*s, which dedup asks for",
                STR_ARG(text));
    ret->kind = HOLD_DEDUP;
    ret->told = arena_str(&job->arena, strbuf_str(&why));
    ret->why = str_slice(ret->told, names, ret->told.len);
    strbuf_deinit(&why);
    return true;
}

/* Sorts the matches into those that start and those that may not. */
static void take_matches(struct match_job *job, uint32_t i,
                         const struct event *event,
                         const struct matches *matches)
{
    struct fact_event *fact = &job->events[i];
    size_t total = matches->found.count;
    struct fact_held *held = ARENA_ARRAY(&job->arena, total, struct fact_held);
    uint32_t count = 0;
    job->matches[i] = ARENA_ARRAY(&job->arena, total, struct fact_match);
    for (size_t m = 0; m < total; m++) {
        const struct match *found = &matches->found.at[m];
        struct fact_match *match = &job->matches[i][count];
        struct fact_held *hold = &held[fact->held_count];
        if (is_disabled(job, found, hold) ||
            lacks_key(job, event, found, match, hold)) {
            hold->runbook = found->runbook;
            hold->trigger_no = found->trigger_no;
            fact->held_count++;
        } else {
            fill_match(job, event, found, match);
            count++;
        }
    }
    fact->held = held;
    fact->matches = job->matches[i];
    fact->match_count = count;
}

/* One that lacks a part of the key ends nothing. */
static void take_ends(struct match_job *job, uint32_t i,
                      const struct event *event, const struct matches *matches)
{
    size_t total = matches->ended.count;
    struct fact_end *ends = ARENA_ARRAY(&job->arena, total, struct fact_end);
    uint32_t count = 0;
    for (size_t m = 0; m < total; m++) {
        const struct match *found = &matches->ended.at[m];
        const struct trigger *t = &found->runbook->triggers[found->trigger_no];
        struct fact_end *end = &ends[count];
        end->runbook = found->runbook;
        end->trigger_no = found->trigger_no;
        count += trigger_subject(&t->watch, t->dedup, t->dedup_count, event,
                                 &job->arena, &end->subject) == 0;
    }
    job->events[i].ends = ends;
    job->events[i].end_count = count;
}

static void match_event(struct match_job *job, uint32_t i)
{
    const struct event *event = &job->claim.op.claim.events[i];
    struct fact_event *fact = &job->events[i];
    struct matches matches = {0};
    fact->seq = event->seq;
    fact->id = event->id;
    fact->received_ms = event->received_ms;
    fact->alert = event->fingerprint;
    fact->starts_ms = event->starts_ms;
    fact->over_ms = event_alert_ends_ms(event);
    generation_match(job->generation, event, &job->input, &matches);
    if (matches.found.count != 0) {
        take_matches(job, i, event, &matches);
    }
    if (matches.ended.count != 0) {
        take_ends(job, i, event, &matches);
    }
    fact->remark = match_failures_text(&matches, &job->arena);
    matches_deinit(&matches);
}

void match_job_run(struct match_job *job)
{
    uint32_t count = job->claim.op.claim.count;
    job->events = ARENA_ARRAY(&job->arena, count, struct fact_event);
    job->matches = ARENA_ARRAY(&job->arena, count, struct fact_match *);
    for (uint32_t i = 0; i < count; i++) {
        match_event(job, i);
        atomic_store_explicit(&job->matched, i + 1, memory_order_release);
        if (job->progress != NULL) {
            job->progress(job);
        }
    }
}
