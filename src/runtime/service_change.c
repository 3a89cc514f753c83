/*
 * Changes by operators: a setting, events that are moved, and a row of the
 * audit trail. First the setting and the row, in one transaction; when those
 * are durable they take effect; then the events, in pieces that leave room for
 * others between them. One change at a time, so that each finds what the one
 * before has made of it; after a crash in the middle of the pieces the setting
 * is in force and the operator may ask again.
 */
#include <errno.h>
#include <syslog.h>

#include "base/assert.h"
#include "base/mem.h"
#include "os/clock.h"
#include "runtime/service_priv.h"
#include "runtime/service_tell.h"

#define PIECE_EVENTS 5000

/* The moves that a sweep consists of. */
#define MOVES_MAX 2

static const struct {
    struct change_move moves[MOVES_MAX];
    uint32_t count;
    const char *error;
} sweeps[CHANGE_SWEEPS] = {
    [CHANGE_SWEEP_NONE] = {.count = 0},
    [CHANGE_DRAIN] = {.moves = {{EVENT_QUEUED, EVENT_DRAINED},
                                {EVENT_ERROR, EVENT_DRAINED}},
                      .count = 2,
                      .error = "taken out of the queue by an operator"},
    [CHANGE_REPLAY] = {.moves = {{EVENT_DRAINED, EVENT_QUEUED}},
                       .count = 1,
                       .error = ""},
    [CHANGE_CLEAR_DRAINED] = {.moves = {{EVENT_DRAINED, EVENT_ARCHIVED}},
                              .count = 1,
                              .error = "cleared by an operator"},
    [CHANGE_REQUEUE_POISON] = {.moves = {{EVENT_POISON, EVENT_QUEUED}},
                               .count = 1,
                               .error = ""},
    [CHANGE_CLEAR_POISON] = {.moves = {{EVENT_POISON, EVENT_ARCHIVED}},
                             .count = 1,
                             .error = "cleared by an operator"},
    [CHANGE_RESTART] = {.count = 0}, /* take_effect does it */
    [CHANGE_RANK] = {.count = 0},    /* by windows of events: rank_next */
    [CHANGE_ARCHIVE] = {.count = 0}, /* by groups of ids: archive_next */
};

struct change {
    struct runtime_op ro; /* its mail comes back here */
    struct record records[RETENTION_WORKFLOWS];
    uint32_t count; /* of the records of its beginning */
    struct service_request *request;
    struct service *service;
    struct arena arena;
    uint32_t move;     /* of the sweep: the next one */
    uint64_t next_seq; /* CHANGE_RANK: the next window */
    uint64_t last_seq;
    struct pool *spare; /* CHANGE_RESTART: threads, until they are in place */
    uint32_t next_id;   /* CHANGE_ARCHIVE: the next group of workflows */
    bool is_sweeping;
    bool is_beside; /* the next change need not wait for this one */
};

static void begin(struct service *s, struct service_request *request);

static void let_next_begin(struct service *s)
{
    s->changing = false;
    struct list *waiting = list_pop(&s->changes_waiting);
    if (waiting != NULL) {
        begin(s, CONTAINER_OF(waiting, struct service_request, link));
    }
}

static void end(struct change *x, int result)
{
    struct service *s = x->service;
    struct service_request *request = x->request;
    bool beside = x->is_beside;
    request->result = result;
    pool_stop(x->spare);
    arena_deinit(&x->arena);
    mem_free(x);
    request->done(request);
    if (beside) {
        s->archiving--;
    } else {
        let_next_begin(s);
    }
    service_maybe_end(s);
}

static void on_committed(struct mail *mail);

/* On the committer's thread. */
static void op_done(struct store_op *op)
{
    struct change *x = CONTAINER_OF(op, struct change, ro.op);
    mailbox_post(x->service->mailbox, &x->ro.mail);
}

static void submit(struct change *x, uint32_t count)
{
    x->ro.op = (struct store_op){
        .kind = STORE_APPLY,
        .optional = true,
        .apply = {.records = x->records, .count = count},
        .done = op_done,
    };
    mail_init(&x->ro.mail, on_committed);
    ASSERT(x->service != NULL); /* for the analyser: begin has set it */
    committer_submit(x->service->committer, &x->ro.op);
}

/* ---- pieces ------------------------------------------------------------- */

static bool move_next(struct change *x)
{
    enum change_sweep sweep = x->request->change.sweep;
    if (x->move == sweeps[sweep].count) {
        return false;
    }
    x->records[0] = (struct record){
        .kind = RECORD_EVENTS_MOVE,
        .move = {.from = sweeps[sweep].moves[x->move].from,
                 .to = sweeps[sweep].moves[x->move].to,
                 .event_id = x->request->change.event_id,
                 .limit = PIECE_EVENTS,
                 .at_ms = os_epoch_ms(),
                 .error = str_c(sweeps[sweep].error)},
    };
    submit(x, 1);
    return true;
}

static bool rank_next(struct change *x)
{
    if (x->next_seq > x->last_seq) {
        return false;
    }
    x->records[0] = (struct record){
        .kind = RECORD_EVENTS_RANK,
        .rank = {.type = x->request->change.type,
                 .severity = x->request->change.severity,
                 .priority = x->request->change.priority,
                 .first_seq = x->next_seq,
                 .limit = PIECE_EVENTS},
    };
    x->next_seq += PIECE_EVENTS;
    submit(x, 1);
    return true;
}

/* The first (or last) event with this status, 0 if there is none. */
static uint64_t edge_of(struct change *x, enum event_status status, bool first)
{
    struct reader *reader = x->service->reader;
    struct event_filter f = {
        .status = (int)status, .oldest_first = first, .limit = 1};
    struct event_view *rows = NULL;
    uint32_t count = 0;
    int r = reader->ops->events(reader, &f, &x->arena, &rows, &count);
    return r == 0 && count == 1 ? rows[0].event.seq : 0;
}

static void rank_start(struct change *x)
{
    static const enum event_status queued[] = {EVENT_QUEUED, EVENT_ERROR};
    x->next_seq = UINT64_MAX;
    for (size_t i = 0; i < ARRAY_LEN(queued); i++) {
        uint64_t first = edge_of(x, queued[i], true);
        x->next_seq = first != 0 ? MIN(x->next_seq, first) : x->next_seq;
        x->last_seq = MAX(x->last_seq, edge_of(x, queued[i], false));
    }
}

/* A group is done when less was removed than one workflow may leave behind. */
static bool archive_next(struct change *x)
{
    const struct service_request *request = x->request;
    uint32_t left = request->change.id_count - x->next_id;
    uint32_t count = MIN(left, (uint32_t)RETENTION_WORKFLOWS);
    if (count == 0) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        x->records[i] = (struct record){
            .kind = RECORD_WORKFLOW_DROP,
            .workflow_drop = {.workflow_id =
                                  request->change.ids[x->next_id + i],
                              .output_limit = RETENTION_CHUNKS,
                              .verdicts_before_ms =
                                  os_epoch_ms() - VERDICT_KEEP_MS},
        };
    }
    runtime_forget_pins(x->service->runtime);
    submit(x, count);
    return true;
}

static void sweep_next(struct change *x)
{
    enum change_sweep sweep = x->request->change.sweep;
    if (sweep == CHANGE_ARCHIVE && x->service->ending) {
        end(x, -ECANCELED);
        return;
    }
    bool more = sweep == CHANGE_RANK      ? rank_next(x)
                : sweep == CHANGE_ARCHIVE ? archive_next(x)
                                          : move_next(x);
    if (!more) {
        end(x, 0);
    }
}

/* After a piece: where to go on. */
static void advance(struct change *x)
{
    const struct store_apply *done = &x->ro.op.apply;
    enum change_sweep sweep = x->request->change.sweep;
    if (sweep == CHANGE_ARCHIVE) {
        x->next_id += done->moved < RETENTION_CHUNKS ? done->count : 0;
    } else if (sweep != CHANGE_RANK && done->moved < PIECE_EVENTS) {
        x->move++;
    }
}

/* ---- taking effect ------------------------------------------------------- */

void service_set_controls(struct service *s, struct controls *c)
{
    pthread_mutex_lock(&s->generation_lock);
    struct controls *old = s->controls;
    s->controls = c;
    pthread_mutex_unlock(&s->generation_lock);
    atomic_store(&s->has_priorities, controls_has_priorities(c));
    if (old != NULL) { /* what was enabled may start beside another */
        service_tell_twins(s, s->generation, old);
    }
    controls_unref(old);
    runtime_set_controls(s->runtime, controls_ref(c));
    service_hold_claims(s);
    service_configure(s);
    pthread_mutex_lock(&s->status_lock);
    s->status.paused = controls_paused(c);
    s->status.runbooks_disabled = controls_disabled_count(c);
    s->status.restored = controls_restored(c) != NULL;
    pthread_mutex_unlock(&s->status_lock);
}

struct controls *service_controls(struct service *s)
{
    pthread_mutex_lock(&s->generation_lock);
    struct controls *c = controls_ref(s->controls);
    pthread_mutex_unlock(&s->generation_lock);
    return c;
}

static int take_effect(struct change *x)
{
    struct controls *c = NULL;
    int r = controls_load(x->service->reader, &c);
    if (r < 0) {
        return r;
    }
    service_set_controls(x->service, c);
    if (x->request->change.sweep == CHANGE_RESTART) {
        x->request->change.moved =
            service_workers_replace(x->service, TAKE(x->spare));
    }
    return 0;
}

static void on_committed(struct mail *mail)
{
    struct change *x = CONTAINER_OF(CONTAINER_OF(mail, struct runtime_op, mail),
                                    struct change, ro);
    struct service_request *request = x->request;
    int r = x->ro.op.result;
    if (r < 0) {
        end(x, r);
        return;
    }
    if (request->change.beside) {
        end(x, 0);
        return;
    }
    if (!x->is_sweeping) {
        request->change.stored = true;
        r = take_effect(x);
        if (r < 0) {
            end(x, r);
            return;
        }
        x->is_sweeping = true;
        if (request->change.sweep == CHANGE_RANK) {
            rank_start(x);
        }
        x->is_beside = request->change.sweep == CHANGE_ARCHIVE;
        if (x->is_beside) {
            x->service->archiving++;
            let_next_begin(x->service);
        }
    } else {
        request->change.moved += x->ro.op.apply.moved;
        advance(x);
    }
    sweep_next(x);
}

/* The setting that goes with a change, and what it says so far. */
static int prepare_setting(struct change *x, struct audit_row *audit)
{
    const struct service_request *request = x->request;
    struct setting_row setting = request->change.setting;
    if (setting.key.len == 0) {
        return 0;
    }
    if (!request->change.told) {
        int r = service_tell_setting(x->service, &setting, &x->arena, audit);
        if (r < 0) {
            return r;
        }
    }
    setting.at_ms = audit->at_ms;
    setting.by = audit->who;
    x->records[x->count++] =
        (struct record){.kind = RECORD_SETTING, .setting = setting};
    return 0;
}

static int prepare_verdict(struct change *x, struct audit_row *audit)
{
    struct verdict_row verdict = x->request->change.verdict;
    if (id_is_null(verdict.subject)) {
        return 0;
    }
    int r = service_tell_verdict(x->service, verdict.subject, &x->arena,
                                 &audit->before);
    verdict.at_ms = audit->at_ms;
    verdict.by = audit->who;
    x->records[x->count++] =
        (struct record){.kind = RECORD_VERDICT, .verdict = verdict};
    return r;
}

static void begin(struct service *s, struct service_request *request)
{
    struct change *x = MEM_NEW(struct change);
    x->service = s;
    x->request = request;
    x->is_beside = request->change.beside;
    s->changing = s->changing || !x->is_beside;
    s->archiving += x->is_beside;
    struct audit_row audit = request->change.audit;
    audit.at_ms = os_epoch_ms();
    audit.who = request->requested_by;
    int r =
        controls_allow(s->controls, &request->change.setting, &request->err);
    if (r == 0) {
        r = prepare_setting(x, &audit);
    }
    if (r == 0) {
        r = prepare_verdict(x, &audit);
    }
    if (r == 0 && request->change.sweep == CHANGE_RESTART) {
        r = service_workers_spare(s, &x->spare, &request->err);
    }
    if (r < 0) {
        end(x, r);
        return;
    }
    const struct change_move *move = sweeps[request->change.sweep].count != 0
                                         ? sweeps[request->change.sweep].moves
                                         : NULL;
    service_tell_sweep(s, request, move, &x->arena, &audit);
    if (audit.action.len != 0) {
        x->records[x->count++] =
            (struct record){.kind = RECORD_AUDIT, .audit = audit};
        service_tell_change(s, &audit);
    }
    submit(x, x->count);
}

void service_change(struct service *s, struct service_request *request)
{
    request->change.moved = 0;
    request->change.stored = false;
    if (s->changing && !request->change.beside) {
        list_push(&s->changes_waiting, &request->link);
    } else {
        begin(s, request);
    }
}
