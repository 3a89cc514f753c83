/*
 * Where workflows come from: claimed events and requests. Everything that an
 * event starts is born in the same effects, hence the same commit, as the
 * event's own end: that is all there is to "at most once per trigger" (I2).
 * What triggers remember of it is in the same commit, too.
 */
#include "engine/engine_priv.h"

#include <errno.h>

#include "base/assert.h"
#include "engine/decided.h"
#include "engine/guards.h"

/* For why an event was held back; memory.c tells no more than fits. */
#define HELD_BACK_ROOM 8192

static struct workflow_row new_row(const struct engine *e,
                                   const struct runbook *rb, struct id id)
{
    return (struct workflow_row){
        .id = id,
        .runbook_path = rb->path,
        .runbook_name = rb->name,
        .runbook_hash = rb->hash,
        .created_ms = e->now_ms,
        .defaults = rb->defaults,
        .status = WORKFLOW_QUEUED,
    };
}

static struct flow *enqueue(struct engine *e, const struct workflow_row *row,
                            struct runbook *rb)
{
    struct flow *f = flow_new(e, row, rb);
    flow_touch(e, f);
    lane_enqueue(e, f);
    return f;
}

/* A workflow that is over when it is born: only its row exists. */
static void born_final(struct engine *e, struct workflow_row *row,
                       enum workflow_status status)
{
    row->status = status;
    row->finished_ms = e->now_ms;
    row->rev = 1;
    effects_record(e->fx, RECORD_WORKFLOW_NEW, row);
}

void events_start(struct engine *e, struct str commit, struct id event_id,
                  const struct fact_match *match)
{
    struct workflow_row row = new_row(e, match->runbook, match->workflow_id);
    row.runbook_commit = commit;
    row.event_id = event_id;
    row.subject = match->subject;
    row.trigger_no = match->trigger_no;
    row.requested_by = STR("trigger");
    if (match->error.len != 0) {
        /* The visible answer to "why did nothing run?". */
        row.parameters = STR("{}");
        row.error = match->error;
        born_final(e, &row, WORKFLOW_FAILED);
        return;
    }
    row.parameters = match->parameters;
    (void)enqueue(e, &row, match->runbook);
}

/* Nothing is tried any more: a workflow that has failed says so to people. */
static void tell_people(struct engine *e, const struct fact *fact,
                        const struct fact_event *event,
                        const struct fact_match *match, struct str text)
{
    struct workflow_row row = new_row(e, match->runbook, match->workflow_id);
    row.runbook_commit = fact->batch.commit;
    row.event_id = event->id;
    row.trigger_no = match->trigger_no;
    row.requested_by = STR("trigger");
    row.parameters = match->error.len != 0 ? STR("{}") : match->parameters;
    row.result = RESULT_ESCALATED;
    row.error = text;
    born_final(e, &row, WORKFLOW_FAILED);
}

/* What is to be told of an event. */
struct told {
    struct strbuf why;  /* workflows were not started */
    struct strbuf note; /* of what else has come of it */
};

/* How many workflows were started; why the others were not, in t->why. */
static uint32_t start_matches(struct engine *e, const struct fact *fact,
                              const struct fact_event *event,
                              struct decision *d, struct told *t)
{
    CLEANUP(strbuf_deinit) struct strbuf one = STRBUF_INIT(HELD_BACK_ROOM);
    uint32_t started = 0;
    for (uint32_t i = 0; i < event->match_count; i++) {
        const struct fact_match *m = &event->matches[i];
        /* They come sorted by path and trigger: each pair once. */
        INVARIANT("I2", i == 0 || m[-1].runbook != m->runbook ||
                            m[-1].trigger_no != m->trigger_no);
        struct str text = STR_NULL;
        bool may = !guards_too_old(e, m, event->received_ms, &one) &&
                   !guards_escalated(e, m, &one) &&
                   watch_admit(e, event, m, &one, &t->note);
        if (may && memory_admit(e, m, event->received_ms, &one)) {
            events_start(e, fact->batch.commit, event->id, m);
            started++;
            continue;
        }
        if (may && guards_escalate(e, m, &one, &text)) {
            tell_people(e, fact, event, m, text);
        }
        if (one.len != 0) {
            decided_held(d, m, strbuf_str(&one));
            decided_tell(&t->why, strbuf_str(&one));
        }
        strbuf_reset(&one);
    }
    return started;
}

static void add_part(struct strbuf *out, struct str part)
{
    strbuf_addc(out, out->len != 0 && part.len != 0 ? "; " : "");
    strbuf_add(out, part);
}

/* The visible answer for triggers that started no workflow: what was held back
 * when nothing else was started, what else came of it, and conditions without
 * a value. */
static void say_why(struct engine *e, const struct fact_event *event,
                    bool starts_none, struct told *t,
                    struct record_event_done *done)
{
    struct strbuf *why = &t->why;
    if (starts_none && why->len != 0) {
        done->status = EVENT_SUPPRESSED;
    } else {
        strbuf_reset(why);
    }
    add_part(why, strbuf_str(&t->note));
    add_part(why, event->remark);
    done->error = arena_str(&e->fx->arena, strbuf_str(why));
    done->undecided = event->remark.len != 0;
}

static void event_matched(struct engine *e, const struct fact *fact,
                          const struct fact_event *event)
{
    struct record done = {
        .kind = RECORD_EVENT_DONE,
        .event_done = {.seq = event->seq,
                       .event_id = event->id,
                       .claim = fact->batch.claim,
                       .status = EVENT_PROCESSED,
                       .at_ms = e->now_ms},
    };
    if (event->error.len != 0) {
        done.event_done.status = EVENT_ERROR;
        done.event_done.error = arena_str(&e->fx->arena, event->error);
        VEC_PUSH(&e->fx->records, done);
        return;
    }
    struct told told = {
        .why = STRBUF_INIT(2 * HELD_BACK_ROOM + event->remark.len + 4),
        .note = STRBUF_INIT(HELD_BACK_ROOM)};
    struct decision decision;
    decision_init(&decision);
    decided_before(&decision, event, &told.why);
    for (uint32_t i = 0; i < event->end_count; i++) {
        watch_end(e, event, &event->ends[i], &told.note);
    }
    bool starts_none = start_matches(e, fact, event, &decision, &told) == 0;
    say_why(e, event, starts_none, &told, &done.event_done);
    decided_done(e, &decision, fact->batch.digest, &done.event_done);
    decision_deinit(&decision);
    VEC_PUSH(&e->fx->records, done);
    strbuf_deinit(&told.why);
    strbuf_deinit(&told.note);
}

static void worker_is_free(struct engine *e, uint32_t worker)
{
    ASSERT(worker < ENGINE_WORKERS_MAX &&
           (e->claimed & UINT64_C(1) << worker) != 0);
    e->claimed &= ~(UINT64_C(1) << worker);
}

void events_matched(struct engine *e, const struct fact *fact)
{
    worker_is_free(e, fact->batch.worker);
    for (uint32_t i = 0; i < fact->batch.count; i++) {
        event_matched(e, fact, &fact->batch.events[i]);
    }
}

/* What it had matched is done; the rest of its claim is queued again. */
void events_lost(struct engine *e, const struct fact *fact)
{
    struct record record = {.kind = RECORD_EVENTS_FREE,
                            .free_claim = fact->batch.claim};
    events_matched(e, fact);
    VEC_PUSH(&e->fx->records, record);
}

/* In the same commit as the workflow: it is there with both or with none. */
static void remember_request(struct engine *e, const struct fact *fact)
{
    if (fact->run.request == NULL) {
        return;
    }
    struct record r = {.kind = RECORD_REQUEST, .request = *fact->run.request};
    r.request.key = arena_str(&e->fx->arena, r.request.key);
    r.request.made = fact->run.workflow_id;
    VEC_PUSH(&e->fx->records, r);
}

/* Who has asked for it, in the same commit too. */
static void leave_row(struct engine *e, const struct fact *fact)
{
    struct audit_row row = fact->run.audit;
    char id[ID_TEXT_SIZE];
    if (row.action.len == 0) {
        return;
    }
    id_format(fact->run.workflow_id, ID_PREFIX_WORKFLOW, id);
    row.at_ms = e->now_ms;
    row.who = fact->run.requested_by;
    row.subject = str_c(id);
    effects_audit(e->fx, &row);
}

/* Whoever asks has looked; but nothing runs without a target. */
static bool has_target(const struct fact *fact)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct err ignored = ERR_INIT;
    struct str target = STR_NULL;
    return guard_target(fact->run.runbook, fact->run.parameters, &a, &target,
                        &ignored) == 0;
}

/* Nothing of it is done again: it is there as if this workflow had done it. */
static void take_up(struct engine *e, struct flow *f,
                    const struct fact_resume *resume)
{
    ASSERT(resume->step_no < f->runbook->step_count);
    f->row.step_no = resume->step_no;
    for (uint32_t i = 0; i < resume->count; i++) {
        struct attempt_row row = resume->attempts[i];
        ASSERT(attempt_state_is_final(row.state) &&
               row.key.step_no < resume->step_no &&
               flow_result(f, row.key.step_no) == NULL);
        row.key.workflow_id = f->row.id;
        effects_attempt(e->fx, RECORD_ATTEMPT_NEW, flow_keep(f, &row));
    }
}

void events_run(struct engine *e, const struct fact *fact)
{
    struct action answer = {
        .kind = ENGINE_ACT_REPLY,
        .reply = {.reply = fact->run.reply,
                  .result = 0,
                  .workflow_id = fact->run.workflow_id},
    };
    struct workflow_row row =
        new_row(e, fact->run.runbook, fact->run.workflow_id);
    row.runbook_commit = fact->run.commit;
    row.parameters = fact->run.parameters;
    row.requested_by = fact->run.requested_by;
    row.dry_run = fact->run.dry_run;
    if (row.dry_run) {
        row.result = RESULT_DRY_RUN;
        born_final(e, &row, WORKFLOW_SUCCEEDED);
        answer.reply.status = row.status;
    } else if (!has_target(fact)) {
        answer.reply.result = -EINVAL;
    } else if (engine_is_full(e)) {
        answer.reply.result = -EAGAIN;
    } else {
        struct flow *f = enqueue(e, &row, fact->run.runbook);
        if (fact->run.resume != NULL) {
            take_up(e, f, fact->run.resume);
        }
        remember_request(e, fact);
        leave_row(e, fact);
        lanes_admit(e); /* the answer says whether it waits */
        answer.reply.status = f->row.status;
    }
    effects_action(e->fx, answer);
}
