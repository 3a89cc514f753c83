#include "runtime/retention.h"

#include <errno.h>

#include "base/assert.h"
#include "base/mem.h"

/* A pause is so many times what the piece has taken, within bounds. */
#define PAUSE_TIMES 4
#define PAUSE_MIN_MS 5
#define PAUSE_MAX_MS 1000

enum phase { IDLE, OLD_EVENTS, OLD_WORKFLOWS, TOO_LARGE };

struct retention {
    struct retention_ports ports;
    struct reader *reader;
    struct retention_policy policy;
    bool renewed; /* the policy, while a round was under way */
    enum phase phase;
    uint64_t now_ms;                  /* of the round */
    uint64_t seq;                     /* of events: looked at so far */
    bool events_left, workflows_left; /* TOO_LARGE: there may be more */
    bool workflows_turn;
    struct id unmoved; /* first workflow of a piece that removed nothing */
    struct store_counts before;
    struct arena arena; /* of the piece */
    struct runtime_op ro;
    struct record records[RETENTION_WORKFLOWS];
    bool busy;
    uint64_t submitted_ms;
};

struct retention *retention_new(const struct retention_ports *ports,
                                struct reader *reader,
                                const struct retention_policy *policy)
{
    struct retention *r = MEM_NEW(struct retention);
    r->ports = *ports;
    r->reader = reader;
    r->policy = *policy;
    return r;
}

void retention_free(struct retention *r)
{
    if (r != NULL) {
        ASSERT(!r->busy);
        arena_deinit(&r->arena);
        mem_free(r);
    }
}

void retention_set_policy(struct retention *r,
                          const struct retention_policy *policy)
{
    r->policy = *policy;
    r->renewed = r->phase != IDLE;
}

bool retention_is_busy(const struct retention *r)
{
    return r->busy;
}

/* ---- pieces: 1 when one is on its way, 0 when there is none, or what the
 * reader says ------------------------------------------------------------- */

static int submit(struct retention *r, uint32_t count)
{
    r->ro.op = (struct store_op){
        .kind = STORE_APPLY,
        .unhurried = true,
        .apply = {.records = r->records, .count = count},
    };
    r->busy = true;
    r->submitted_ms = r->ports.now_ms(r->ports.context);
    r->ports.submit(r->ports.context, &r->ro);
    return 1;
}

static int drop_events(struct retention *r, uint64_t before_ms)
{
    struct event_filter f = {
        .status = -1, .after_seq = r->seq, .oldest_first = true, .limit = 1};
    struct event_view *rows = NULL;
    uint32_t count = 0;
    int n = r->reader->ops->events(r->reader, &f, &r->arena, &rows, &count);
    if (n < 0 || count == 0 || rows[0].event.received_ms >= before_ms) {
        return n;
    }
    r->records[0] = (struct record){
        .kind = RECORD_EVENTS_DROP,
        .drop = {.first_seq = rows[0].event.seq,
                 .limit = RETENTION_EVENTS,
                 .before_ms = before_ms,
                 .live_alerts = r->phase == OLD_EVENTS,
                 .now_ms = r->now_ms},
    };
    r->seq = rows[0].event.seq + RETENTION_EVENTS - 1;
    return submit(r, 1);
}

/* The time before which things of this age are; 0 when nothing is. */
static uint64_t before(const struct retention *r, uint64_t age_ms)
{
    return age_ms != 0 && age_ms < r->now_ms ? r->now_ms - age_ms : 0;
}

/* What is left of a workflow with much output comes again. */
static int drop_workflows(struct retention *r, uint64_t before_ms)
{
    struct workflow_filter f = {.status = -1,
                                .ended_before_ms = before_ms,
                                .limit = RETENTION_WORKFLOWS};
    struct workflow_view *rows = NULL;
    uint32_t count = 0;
    int n = r->reader->ops->workflows(r->reader, &f, &r->arena, &rows, &count);
    if (n < 0 || count == 0) {
        return n;
    }
    for (uint32_t i = 0; i < count; i++) {
        r->records[i] = (struct record){
            .kind = RECORD_WORKFLOW_DROP,
            .workflow_drop = {.workflow_id = rows[i].row.id,
                              .output_limit = RETENTION_CHUNKS,
                              .verdicts_before_ms = before(r, VERDICT_KEEP_MS)},
        };
    }
    return submit(r, count);
}

/* In turns, until five percent are free, so that it does not begin again at
 * once. */
static int make_room(struct retention *r)
{
    struct store_usage usage;
    int n = r->reader->ops->usage(r->reader, &usage);
    uint64_t most = r->policy.max_bytes - r->policy.max_bytes / 20;
    while (n == 0 && usage.used_bytes > most &&
           (r->events_left || r->workflows_left)) {
        bool *left = r->workflows_turn ? &r->workflows_left : &r->events_left;
        uint64_t before_ms = before(r, RETENTION_FLOOR_MS);
        if (*left) {
            n = r->workflows_turn ? drop_workflows(r, before_ms)
                                  : drop_events(r, before_ms);
            *left = n == 1;
        }
        r->workflows_turn = !r->workflows_turn;
    }
    return n;
}

/* ---- the round ---------------------------------------------------------- */

static void end(struct retention *r, int result)
{
    struct retention_round round = {.result = result};
    struct store_counts after = r->before;
    struct store_usage usage = {0};
    r->phase = IDLE;
    r->renewed = false;
    if (result == 0) {
        round.result = r->reader->ops->counts(r->reader, &after);
    }
    if (round.result == 0 && r->policy.max_bytes != 0) {
        round.result = r->reader->ops->usage(r->reader, &usage);
        round.too_large = usage.used_bytes > r->policy.max_bytes;
    }
    round.events = after.removed_events - r->before.removed_events;
    round.workflows = after.removed_workflows - r->before.removed_workflows;
    arena_reset(&r->arena);
    r->ports.done(r->ports.context, &round);
}

static bool is_too_large(struct retention *r, int *ret_result)
{
    struct store_usage usage = {0};
    if (r->policy.max_bytes != 0) {
        *ret_result = r->reader->ops->usage(r->reader, &usage);
    }
    return *ret_result == 0 && usage.used_bytes > r->policy.max_bytes;
}

void retention_next(struct retention *r)
{
    int n = 0;
    ASSERT(!r->busy);
    arena_reset(&r->arena);
    if (r->renewed) { /* what it has begun with no longer holds */
        end(r, 0);
        return;
    }
    if (r->phase == OLD_EVENTS) {
        n = drop_events(r, before(r, r->policy.events_ms));
        r->phase = n == 0 ? OLD_WORKFLOWS : OLD_EVENTS;
    }
    if (n == 0 && r->phase == OLD_WORKFLOWS) {
        uint64_t before_ms = before(r, r->policy.workflows_ms);
        n = before_ms != 0 ? drop_workflows(r, before_ms) : 0;
        if (n == 0 && is_too_large(r, &n)) {
            r->phase = TOO_LARGE;
            r->seq = 0;
            r->events_left = r->workflows_left = true;
        }
    }
    if (n == 0 && r->phase == TOO_LARGE) {
        n = make_room(r);
    }
    if (n <= 0 && r->phase != IDLE) {
        end(r, n);
    }
}

void retention_begin(struct retention *r)
{
    if (r->phase != IDLE || r->busy) {
        return;
    }
    r->phase = OLD_EVENTS;
    r->unmoved = ID_NULL;
    r->now_ms = r->ports.now_ms(r->ports.context);
    r->seq = 0;
    int n = r->reader->ops->counts(r->reader, &r->before);
    if (n < 0) {
        end(r, n);
    } else {
        retention_next(r);
    }
}

/* Somebody else may have removed (archived) what was listed: then the next
 * list has others. One that is still listed can be removed: no progress with
 * it is our bug, and must not go round for ever. */
static bool makes_progress(struct retention *r)
{
    if (r->records[0].kind != RECORD_WORKFLOW_DROP) {
        return true;
    }
    struct id first = r->records[0].workflow_drop.workflow_id;
    bool moved = r->ro.op.apply.moved != 0;
    bool again = !moved && id_eq(r->unmoved, first);
    r->unmoved = moved ? ID_NULL : first;
    return !again;
}

void retention_op_done(struct retention *r)
{
    ASSERT(r->busy);
    r->busy = false;
    int result = r->ro.op.result;
    if (result == 0 && !makes_progress(r)) {
        result = -EPROTO;
    }
    if (result < 0) {
        end(r, result);
        return;
    }
    uint64_t now_ms = r->ports.now_ms(r->ports.context);
    uint64_t took_ms = now_ms > r->submitted_ms ? now_ms - r->submitted_ms : 0;
    uint64_t pause_ms = MAX(took_ms * PAUSE_TIMES, (uint64_t)PAUSE_MIN_MS);
    r->ports.again(r->ports.context, MIN(pause_ms, (uint64_t)PAUSE_MAX_MS));
}
