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
    if (params_from_event(found->runbook, found->trigger_no, event, &job->arena,
                          &match->parameters, &err) < 0) {
        match->parameters = STR("{}");
        match->error = err_text(&job->arena, &err);
    }
}

static void match_event(struct match_job *job, uint32_t i)
{
    const struct event *event = &job->claim.op.claim.events[i];
    struct fact_event *fact = &job->events[i];
    struct matches matches = {0};
    struct err err = ERR_INIT;
    fact->seq = event->seq;
    fact->id = event->id;
    if (generation_match(job->generation, event, &matches, &err) < 0) {
        fact->error = err_text(&job->arena, &err);
    } else if (matches.found.count != 0) {
        size_t count = matches.found.count;
        job->matches[i] = ARENA_ARRAY(&job->arena, count, struct fact_match);
        VEC_EACH (&matches.found, m) {
            fill_match(job, event, &matches.found.at[m], &job->matches[i][m]);
        }
        fact->matches = job->matches[i];
        fact->match_count = (uint32_t)count;
    }
    VEC_DEINIT(&matches.found);
}

void match_job_run(struct match_job *job)
{
    uint32_t count = job->claim.op.claim.count;
    job->events = ARENA_ARRAY(&job->arena, count, struct fact_event);
    job->matches = ARENA_ARRAY(&job->arena, count, struct fact_match *);
    for (uint32_t i = 0; i < count; i++) {
        match_event(job, i);
    }
}
