#include "api/ingest.h"

#include <errno.h>
#include <stdio.h>

#include <sodium.h>

#include "os/clock.h"

#define RESUME "adctl queue resume"
#define PAUSED_SIZE 384 /* of a sentence with who has paused */

struct ingest {
    struct store_op op;
    struct call *call;
    enum ingest_shape shape;
    const char *complaint;
    struct webhook_alerts alerts; /* of INGEST_WEBHOOK */
};

/* ---- answering, on the committer's thread
 * --------------------------------------- */

static void answer_one(struct call *c, const struct store_ingested *result)
{
    char id[ID_TEXT_SIZE];
    id_format(result->id, ID_PREFIX_EVENT, id);
    struct strbuf *out = call_out(c);
    strbuf_add(out, STR("{\"id\":\""));
    strbuf_addc(out, id);
    strbuf_add(out, STR("\",\"status\":\""));
    strbuf_addc(out, event_status_name(result->status));
    strbuf_add(out, STR("\"}"));
    answer_json(c, 202);
}

static void put_left_out(struct strbuf *out,
                         const struct webhook_alerts *alerts)
{
    put_u64(out, "refused", alerts->refused);
    put_u64(out, "truncated", alerts->truncated);
    put_open(out, "errors", '[');
    for (uint32_t i = 0; i < alerts->problem_count; i++) {
        put_text(out, NULL, alerts->problems[i]);
    }
    put_close(out, ']');
}

static void answer_many(struct call *c, const struct ingest *g)
{
    const struct store_ingest *in = &g->op.ingest;
    struct strbuf *out = call_out(c);
    uint32_t duplicates = 0;
    put_open(out, NULL, '{');
    put_open(out, "ids", '[');
    for (uint32_t i = 0; i < in->count; i++) {
        put_id(out, NULL, ID_PREFIX_EVENT, in->results[i].id);
        duplicates += in->results[i].status == EVENT_DEDUPLICATED;
    }
    put_close(out, ']');
    put_u64(out, "count", in->count);
    if (g->shape == INGEST_LIST) {
        put_text_c(out, "status", event_status_name(EVENT_QUEUED));
    } else {
        put_u64(out, "deduplicated", duplicates);
        put_left_out(out, &g->alerts);
    }
    put_close(out, '}');
    answer_json(c, 202);
}

static void answer_accepted(struct ingest *g)
{
    switch (g->shape) {
    case INGEST_ONE:
        answer_one(g->call, &g->op.ingest.results[0]);
        break;
    case INGEST_LIST:
    case INGEST_WEBHOOK:
        answer_many(g->call, g);
        break;
    case INGEST_ALERTS:
        strbuf_reset(call_out(g->call));
        answer_as(g->call, 200, HTTP_JSON);
        break;
    case INGEST_REFUSED:
        answer_string(g->call, 400, g->complaint);
        break;
    }
}

static const struct outcome {
    int result;
    unsigned status;
    const char *code;
    const char *sentence;
} outcomes[] = {
    {-EAGAIN, 503, "queue_full",
     "the event queue is full; nothing was stored, try again"},
    {-ENOSPC, 507, "disk_full",
     "the disk is full; nothing was stored, make room and try again"},
    {-EEXIST, 422, "idempotency_mismatch",
     "this Idempotency-Key was used for another body"},
    {-ECANCELED, 503, "stopping",
     "the engine is stopping; nothing was stored, try again"},
    /* Unknown whether it was stored: the sender must not take it for done. */
    {0, 503, "store_failed", "the store failed; try again"},
};

/* A queue that rests gets no room by waiting: the sentence that says so, in
 * room; NULL when it does not rest. */
static const char *why_full(struct call *c, char room[PAUSED_SIZE])
{
    struct controls *controls = service_controls(c->api->service);
    const struct setting_row *pause = controls_pause(controls);
    if (pause != NULL) {
        (void)snprintf(room, PAUSED_SIZE,
                       "the event queue is full, and paused by %.*s; nothing "
                       "was stored, and nothing will be until: " RESUME,
                       STR_ARG(pause->by));
    }
    controls_unref(controls);
    return pause != NULL ? room : NULL;
}

static void answer_refused(struct ingest *g)
{
    char room[PAUSED_SIZE];
    const struct outcome *o = outcomes;
    while (o->result != 0 && o->result != g->op.result) {
        o++;
    }
    const char *paused = o->result == -EAGAIN ? why_full(g->call, room) : NULL;
    const char *sentence = paused != NULL ? paused : o->sentence;
    if (g->shape == INGEST_ALERTS || g->shape == INGEST_REFUSED) {
        answer_string(g->call, o->status, sentence);
    } else {
        answer_error(g->call, o->status, o->code, sentence,
                     paused != NULL ? STR("\"hint\":\"" RESUME "\"") : STR(""));
    }
}

static void count_accepted(struct ingest *g)
{
    struct telemetry *t = service_telemetry(g->call->api->service);
    const struct store_ingest *in = &g->op.ingest;
    telemetry_observe_us(t, TIMING_INGEST, api_now_us() - g->call->started_us);
    for (uint32_t i = 0; i < in->count && !in->replayed; i++) {
        telemetry_event_accepted(t, in->events[i].received_ms,
                                 in->events[i].type, 1);
    }
}

static void done(struct store_op *op)
{
    struct ingest *g = CONTAINER_OF(op, struct ingest, op);
    if (op->result < 0) {
        answer_refused(g);
        return;
    }
    count_accepted(g);
    api_ingested(g->call->api, &op->ingest);
    answer_accepted(g);
}

/* ---- submitting, on the server's thread
 * ------------------------------------------ */

static bool read_key(struct call *c, struct store_ingest *in, uint64_t now_ms)
{
    if (!call_read_key(c, &in->request_key)) {
        return false;
    }
    if (in->request_key.len != 0) {
        in->request_expires_ms = now_ms + INGEST_KEY_MS;
        (void)crypto_hash_sha256(in->request_hash,
                                 (const unsigned char *)c->http->body.at,
                                 c->http->body.len);
    }
    return true;
}

static void submit(struct call *c, struct ingest *g)
{
    struct store_ingest *in = &g->op.ingest;
    uint64_t now_ms = os_epoch_ms();
    for (uint32_t i = 0; i < in->count; i++) {
        in->events[i].id = api_new_event_id(c->api, now_ms);
        in->events[i].received_ms = now_ms;
        in->events[i].priority =
            service_priority(c->api->service, &in->events[i]);
    }
    in->dedup_expires_ms = now_ms + INGEST_DEDUP_MS;
    in->results = ARENA_ARRAY(call_arena(c), in->count, struct store_ingested);
    g->call = c;
    g->op.kind = STORE_INGEST;
    g->op.done = done;
    list_init(&g->op.link);
    if (read_key(c, in, now_ms)) {
        service_ingest(c->api->service, &g->op);
    }
}

void ingest_submit(struct call *c, struct event *events, uint32_t count,
                   enum ingest_shape shape)
{
    struct ingest *g = ARENA_NEW(call_arena(c), struct ingest);
    g->op.ingest.events = events;
    g->op.ingest.count = count;
    g->shape = shape;
    submit(c, g);
}

void ingest_submit_webhook(struct call *c, const struct webhook_alerts *alerts)
{
    struct ingest *g = ARENA_NEW(call_arena(c), struct ingest);
    g->op.ingest.events = alerts->events;
    g->op.ingest.count = alerts->count;
    g->shape = INGEST_WEBHOOK;
    g->alerts = *alerts;
    submit(c, g);
}

void ingest_submit_partial(struct call *c, struct event *events, uint32_t count,
                           const char *complaint)
{
    struct ingest *g = ARENA_NEW(call_arena(c), struct ingest);
    g->op.ingest.events = events;
    g->op.ingest.count = count;
    g->shape = INGEST_REFUSED;
    g->complaint = arena_strdup(call_arena(c), str_c(complaint));
    submit(c, g);
}

void answer_string(struct call *c, unsigned status, const char *text)
{
    struct strbuf *out = call_out(c);
    strbuf_reset(out);
    put_bytes(out, NULL, str_c(text));
    answer_json(c, status);
}
