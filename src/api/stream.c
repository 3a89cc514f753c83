/*
 * GET /api/stream, and what is told there: one short message per event,
 * workflow change and attempt change.
 */
#include "api/api_priv.h"
#include "api/hub.h"

#define LIVE_MAX_BYTES 8192

/* ---- messages
 * ---------------------------------------------------------------- */

static void add_event(struct api *a, const struct event *e,
                      const struct store_ingested *result)
{
    struct strbuf data = STRBUF_INIT(LIVE_MAX_BYTES);
    put_open(&data, NULL, '{');
    put_id(&data, "id", ID_PREFIX_EVENT, result->id);
    put_text_c(&data, "status", event_status_name(result->status));
    put_text(&data, "type", e->type);
    put_text_or_null(&data, "severity", e->severity);
    put_text_or_null(&data, "source", e->source);
    put_text_or_null(&data, "name", labels_get(&e->labels, STR("alertname")));
    put_instant(&data, "received_at", e->received_ms);
    put_close(&data, '}');
    hub_add(a->hub, "event", strbuf_str(&data));
    strbuf_deinit(&data);
}

static void add_event_done(struct api *a, const struct record_event_done *e)
{
    struct strbuf data = STRBUF_INIT(LIVE_MAX_BYTES);
    put_open(&data, NULL, '{');
    put_id(&data, "id", ID_PREFIX_EVENT, e->event_id);
    put_text_c(&data, "status", event_status_name(e->status));
    put_text_or_null(&data, "error", e->error);
    put_instant(&data, "at", e->at_ms);
    put_close(&data, '}');
    hub_add(a->hub, "event", strbuf_str(&data));
    strbuf_deinit(&data);
}

static void add_workflow(struct api *a, const struct workflow_row *w)
{
    struct strbuf data = STRBUF_INIT(LIVE_MAX_BYTES);
    put_open(&data, NULL, '{');
    put_id(&data, "id", ID_PREFIX_WORKFLOW, w->id);
    put_text(&data, "runbook", w->runbook_path);
    put_text(&data, "runbook_name", w->runbook_name);
    put_id(&data, "event_id", ID_PREFIX_EVENT, w->event_id);
    put_text_c(&data, "status", workflow_status_name(w->status));
    put_text_or_null(&data, "result", str_c(workflow_result_name(w->result)));
    put_u64(&data, "current_step_index", w->step_no);
    put_bool(&data, "dry_run", w->dry_run);
    put_text_or_null(&data, "error", w->error);
    put_instant(&data, "created_at", w->created_ms);
    put_instant(&data, "started_at", w->started_ms);
    put_instant(&data, "finished_at", w->finished_ms);
    put_close(&data, '}');
    hub_add(a->hub, "workflow", strbuf_str(&data));
    strbuf_deinit(&data);
}

static void add_attempt(struct api *a, const struct attempt_row *t)
{
    struct strbuf data = STRBUF_INIT(LIVE_MAX_BYTES);
    put_open(&data, NULL, '{');
    put_id(&data, "workflow_id", ID_PREFIX_WORKFLOW, t->key.workflow_id);
    put_u64(&data, "step_index", t->key.step_no);
    put_u64(&data, "attempt", t->key.attempt);
    put_text_c(&data, "status", attempt_state_name(t->state));
    put_text_or_null(&data, "error", t->error);
    put_instant(&data, "started_at", t->started_ms);
    put_instant(&data, "finished_at", t->finished_ms);
    put_close(&data, '}');
    hub_add(a->hub, "attempt", strbuf_str(&data));
    strbuf_deinit(&data);
}

static void add_record(struct api *a, const struct record *r)
{
    switch (r->kind) {
    case RECORD_EVENT_DONE:
        add_event_done(a, &r->event_done);
        break;
    case RECORD_WORKFLOW_NEW:
    case RECORD_WORKFLOW_SET:
        add_workflow(a, &r->workflow);
        break;
    case RECORD_ATTEMPT_NEW:
    case RECORD_ATTEMPT_SET:
        add_attempt(a, &r->attempt);
        break;
    case RECORD_OUTPUT: /* /logs has it */
    case RECORD_EVENTS_FREE:
    case RECORD_EVENTS_MOVE:
    case RECORD_EVENTS_RANK:
    case RECORD_EVENTS_DROP:
    case RECORD_WORKFLOW_DROP:
    case RECORD_REQUEST:
    case RECORD_SETTING:
    case RECORD_AUDIT:
    case RECORD_NOTICE_NEW:
    case RECORD_NOTICE_TRIED:
    case RECORD_VERDICT:
    case RECORD_MEMORY_SET:
    case RECORD_MEMORY_DROP:
    case RECORD_WATCH_SET:
    case RECORD_WATCH_DROP:
    case RECORD_KINDS:
        break;
    }
}

void api_committed(struct api *a, const struct record *records, size_t count)
{
    if (!hub_watched(a->hub)) {
        hub_skip(a->hub, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        add_record(a, &records[i]);
    }
    hub_wake(a->hub);
}

void api_ingested(struct api *a, const struct store_ingest *ingest)
{
    if (ingest->replayed) {
        return;
    }
    if (!hub_watched(a->hub)) {
        hub_skip(a->hub, ingest->count);
        return;
    }
    for (uint32_t i = 0; i < ingest->count; i++) {
        add_event(a, &ingest->events[i], &ingest->results[i]);
    }
    hub_wake(a->hub);
}

/* ---- the request
 * ------------------------------------------------------------- */

static bool still_welcome(void *context)
{
    struct call *c = context;
    return auth_still(c->api->auth, &c->who);
}

static void leave(struct call *c)
{
    hub_leave(c->state);
}

void stream_open(struct call *c)
{
    const struct hub_follower follower = {
        .owner = str_c(c->who.name),
        .last = c->http->headers[HTTP_LAST_EVENT_ID],
        .still = still_welcome,
        .context = c,
    };
    struct hub_client *client = hub_join(c->api->hub, &follower);
    if (client == NULL) {
        answer_busy(c, "busy", "too many clients follow the stream already");
        return;
    }
    c->state = client;
    c->cleanup = leave;
    if (c->http->method == HTTP_HEAD) {
        struct http_answer head = {.status = 200, .type = HTTP_EVENTS};
        http_respond(c->http, &head);
        return;
    }
    hub_attach(client, c->http);
    http_respond_stream(c->http, HTTP_EVENTS, hub_pull, client);
}
