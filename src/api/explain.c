/*
 * GET /api/events/{id}/explain: what the triggers in force say of a stored
 * event, what the guards of those that match would do now, and what was
 * decided then. Everything comes from the store and the generation, so it
 * works after a restart, too; what has changed since is said.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "api/api_priv.h"
#include "api/explain_json.h"
#include "data/json.h"
#include "os/clock.h"
#include "os/zone.h"

#define TEXT_MAX_BYTES 16384

/* One event's explanation under way. */
struct explaining {
    struct call *call;
    struct event_view event;
    struct generation *generation;
    struct controls *controls;
    struct service_status status;
    struct workflow_view *workflows; /* that it started */
    uint32_t workflow_count;
    uint64_t now_ms;
    json_t *decision; /* what is kept of it; NULL: nothing */
    struct explanation explanation;
};

/* ---- what happened ------------------------------------------------------- */

static const struct workflow_row *started_by(const struct explaining *x,
                                             const struct explained_trigger *t)
{
    for (uint32_t i = 0; i < x->workflow_count; i++) {
        const struct workflow_row *w = &x->workflows[i].row;
        if (w->trigger_no == t->trigger_no &&
            str_eq(w->runbook_path, t->runbook->path)) {
            return w;
        }
    }
    return NULL;
}

static void put_workflow(struct strbuf *out, const char *key,
                         const struct workflow_row *w)
{
    put_open(out, key, '{');
    put_id(out, "id", ID_PREFIX_WORKFLOW, w->id);
    put_text(out, "runbook", w->runbook_path);
    put_text_c(out, "status", workflow_status_name(w->status));
    put_close(out, '}');
}

static void put_started(struct strbuf *out, const struct explaining *x,
                        const struct explained_trigger *t)
{
    const struct workflow_row *w = started_by(x, t);
    if (w == NULL) {
        put_null(out, "workflow");
        put_null(out, "changed_since");
        return;
    }
    put_workflow(out, "workflow", w);
    put_bool(out, "changed_since",
             memcmp(w->runbook_hash.bytes, t->runbook->hash.bytes,
                    sizeof(w->runbook_hash.bytes)) != 0);
}

/* The digest of the runbooks that were in force then; "": not known. */
static struct str decided_with(const struct explaining *x)
{
    const json_t *digest = json_object_get(x->decision, "runbooks");
    return json_is_string(digest) ? json_text(digest) : STR("");
}

/* What an event that is over has met, in one sentence. */
static void add_processed(const struct explaining *x, struct strbuf *out)
{
    uint32_t now = x->explanation.of[EXPLAIN_MATCHES] +
                   x->explanation.of[EXPLAIN_UNDECIDED];
    if (x->workflow_count != 0) {
        strbuf_addf(out, "it started %" PRIu32 " workflow%s", x->workflow_count,
                    x->workflow_count == 1 ? "" : "s");
        return;
    }
    strbuf_addc(out, "no trigger of the runbooks that were in force matched "
                     "it, so it started nothing");
    if (now != 0 && call_value(x->call, "runbook")->text.len == 0) {
        strbuf_addf(out, "; of those in force now %" PRIu32 " would match",
                    now);
    }
}

static void add_summary(const struct explaining *x, struct strbuf *out)
{
    char id[ID_TEXT_SIZE];
    switch (x->event.status) {
    case EVENT_QUEUED:
    case EVENT_PROCESSING:
        strbuf_addc(out, "it has not been matched yet: this is what the "
                         "triggers say now");
        break;
    case EVENT_PROCESSED:
        add_processed(x, out);
        break;
    case EVENT_SUPPRESSED:
        strbuf_addc(out, "it matched, and everything that it would have "
                         "started was held back");
        break;
    case EVENT_DEDUPLICATED:
        id_format(x->event.duplicate_of, ID_PREFIX_EVENT, id);
        strbuf_addf(out,
                    "it repeats %s, which was matched in its place: "
                    "adctl explain event %s",
                    id, id);
        break;
    case EVENT_DRAINED:
        strbuf_addc(out, "it was drained from the queue before it was "
                         "matched: adctl queue replay queues it again");
        break;
    case EVENT_POISON:
        strbuf_addc(out, "its processing was given up: adctl poison show has "
                         "the reason");
        break;
    case EVENT_ERROR:
        strbuf_addc(out, "its processing failed and will be tried again");
        break;
    case EVENT_ARCHIVED:
    case EVENT_STATUSES:
        strbuf_addc(out, "it is archived");
        break;
    }
}

static void add_change(const struct explaining *x, struct strbuf *out)
{
    struct str before = decided_with(x);
    if (before.len != 0 && !str_eq(before, x->generation->digest)) {
        strbuf_addf(out,
                    "; it was decided with runbooks %.*s and is explained with "
                    "those in force now, %.*s",
                    STR_ARG(before), STR_ARG(x->generation->digest));
    }
}

/* ---- guards -------------------------------------------------------------- */

static void put_general_guard(struct strbuf *out, const char *name,
                              struct str text)
{
    const struct explain_guard g = {
        .name = name, .holds_back = true, .text = text};
    explain_put_guard(out, &g);
}

/* What holds back whatever the trigger says. */
static void put_general(struct explaining *x, struct str path)
{
    struct strbuf *out = call_out(x->call);
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(TEXT_MAX_BYTES);
    const struct setting_row *row = controls_disabled(x->controls, path);
    if (row != NULL) {
        controls_add_disabled(&text, path, row);
        put_general_guard(out, "disabled", strbuf_str(&text));
        strbuf_reset(&text);
    }
    if (x->status.killed) {
        strbuf_addf(&text, "the kill switch is on (%s): nothing begins",
                    x->status.killed_text);
        put_general_guard(out, "kill_switch", strbuf_str(&text));
    }
    if (x->status.paused) {
        put_general_guard(out, "paused",
                          STR("processing is paused: events wait in the "
                              "queue (adctl queue resume)"));
    }
}

/* How many of the runbook are under way, of so many that may be. */
static int put_concurrency(struct explaining *x, const struct runbook *rb)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(TEXT_MAX_BYTES);
    struct workflow_filter f = {.runbook = rb->path,
                                .status = -1,
                                .live_only = true,
                                .limit = API_PAGE_MAX};
    struct workflow_view *rows = NULL;
    uint32_t count = 0;
    uint32_t running = 0;
    struct reader *reader = x->call->reader;
    if (rb->max_concurrent == 0) {
        return 0;
    }
    int r =
        reader->ops->workflows(reader, &f, call_arena(x->call), &rows, &count);
    for (uint32_t i = 0; r == 0 && i < count; i++) {
        running += rows[i].row.status == WORKFLOW_RUNNING ||
                   rows[i].row.status == WORKFLOW_WAITING;
    }
    strbuf_addf(&text,
                "%" PRIu32 " of %" PRIu32 " workflows of the runbook are under "
                "way; what is more waits in the queue",
                running, rb->max_concurrent);
    const struct explain_guard g = {.name = "concurrency",
                                    .holds_back = running >= rb->max_concurrent,
                                    .text = strbuf_str(&text)};
    if (r == 0) {
        explain_put_guard(call_out(x->call), &g);
    }
    return r;
}

/* The limits of the trigger for the event's key, as they are now. */
static int put_limits(struct explaining *x, const struct explained_trigger *t)
{
    const struct trigger *trigger = &t->runbook->triggers[t->trigger_no];
    struct arena *a = call_arena(x->call);
    struct explain_guard guards[EXPLAIN_GUARDS_MAX];
    struct memory_row row = {0};
    struct memory_name name = {t->runbook->path, trigger->name, STR("")};
    int found = -ENOENT;
    if (trigger_limits_any(&trigger->limits) &&
        trigger_key(trigger->dedup, trigger->dedup_count, &x->event.event, a,
                    &name.key) == 0) {
        found = x->call->reader->ops->memory(x->call->reader, &name, a, &row);
    }
    uint32_t count =
        explain_guards(trigger, &x->event.event, found == 0 ? &row : NULL,
                       x->now_ms, a, guards);
    for (uint32_t i = 0; i < count; i++) {
        explain_put_guard(call_out(x->call), &guards[i]);
    }
    return found == -ENOENT ? 0 : found;
}

/* Of what its conditions would start. */
static int put_guards(struct explaining *x, const struct explained_trigger *t)
{
    struct strbuf *out = call_out(x->call);
    int r = 0;
    put_open(out, "guards", '[');
    if (t->verdict == EXPLAIN_MATCHES || t->verdict == EXPLAIN_UNDECIDED) {
        put_general(x, t->runbook->path);
        r = put_limits(x, t);
        r = r < 0 ? r
                  : explain_put_escalated(x->call, t->runbook,
                                          &t->runbook->triggers[t->trigger_no],
                                          &x->event.event, x->now_ms);
        r = r < 0 ? r
                  : explain_put_guards(x->call, t->runbook, &x->status.guards,
                                       x->now_ms);
        r = r < 0 ? r : put_concurrency(x, t->runbook);
    }
    put_close(out, ']');
    return r;
}

/* ---- the answer ---------------------------------------------------------- */

static int put_trigger(struct explaining *x, const struct explained_trigger *t)
{
    struct strbuf *out = call_out(x->call);
    const struct trigger *trigger = &t->runbook->triggers[t->trigger_no];
    put_open(out, NULL, '{');
    put_text(out, "runbook", t->runbook->path);
    put_text(out, "trigger", trigger->name);
    put_u64(out, "line", trigger->at.line);
    put_text_c(out, "verdict", explain_verdict_name(t->verdict));
    put_u64(out, "failed", t->failed);
    explain_put_conditions(out, t);
    int r = put_guards(x, t);
    explain_put_held_of(out, x->decision, t->runbook->path, trigger->name);
    put_started(out, x, t);
    put_close(out, '}');
    return r;
}

static void put_counts(struct strbuf *out, const struct explanation *e)
{
    put_u64(out, "considered", e->considered);
    for (size_t i = 0; i < EXPLAIN_VERDICTS; i++) {
        put_u64(out, explain_verdict_name(i), e->of[i]);
    }
}

static void put_front(struct explaining *x, uint64_t evaluated_ms)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(TEXT_MAX_BYTES);
    struct strbuf *out = call_out(x->call);
    const struct event_view *v = &x->event;
    put_id(out, "id", ID_PREFIX_EVENT, v->event.id);
    put_text_c(out, "status", event_status_name(v->status));
    put_instant(out, "received_at", v->event.received_ms);
    put_instant(out, "decided_at", v->processed_ms);
    put_instant(out, "evaluated_at", evaluated_ms);
    add_summary(x, &text);
    add_change(x, &text);
    put_text(out, "summary", strbuf_str(&text));
    put_text_or_null(out, "error", v->error);
    put_open(out, "workflows", '[');
    for (uint32_t i = 0; i < x->workflow_count; i++) {
        put_workflow(out, NULL, &x->workflows[i].row);
    }
    put_close(out, ']');
    put_text_or_null(out, "decided_with", decided_with(x));
    put_text(out, "explained_with", x->generation->digest);
    put_text_or_null(out, "commit", x->generation->commit);
    put_instant(out, "loaded_at", x->generation->loaded_ms);
    explain_put_held(out, v->decision);
}

static int put_all(struct explaining *x, uint32_t first, uint64_t evaluated_ms)
{
    struct strbuf *out = call_out(x->call);
    const struct explanation *e = &x->explanation;
    int r = 0;
    put_open(out, NULL, '{');
    put_front(x, evaluated_ms);
    put_counts(out, e);
    put_open(out, "triggers", '[');
    for (uint32_t i = 0; r == 0 && i < e->count; i++) {
        r = put_trigger(x, &e->triggers[i]);
    }
    put_close(out, ']');
    put_cursor(out, e->more ? first + e->count : 0);
    put_close(out, '}');
    return r;
}

static int zone_of(void *context, struct str name, int64_t seconds,
                   int32_t *ret)
{
    return zones_offset(context, name, seconds, ret);
}

/* `now` is what it was when it was decided. */
static int explain(struct explaining *x)
{
    CLEANUP(zones_freep) struct zones *zones = zones_new(ZONES_FOLDER);
    const struct event_zones offsets = {zone_of, zones};
    struct call *c = x->call;
    struct explain_query q = {
        .generation = x->generation,
        .event = &x->event.event,
        .input = {.zones = &offsets},
        .runbook = call_value(c, "runbook")->text,
        .only_starts = call_value(c, "only_starts")->given &&
                       call_number(c, "only_starts") != 0,
        .first = (uint32_t)MIN(call_number(c, "cursor"), (uint64_t)UINT32_MAX),
        .limit = (uint32_t)call_number(c, "limit"),
    };
    q.input.now_ms =
        x->event.processed_ms != 0 ? x->event.processed_ms : x->now_ms;
    explain_event(&q, &x->explanation);
    return put_all(x, q.first, q.input.now_ms);
}

static int read_all(struct explaining *x)
{
    struct reader *reader = x->call->reader;
    struct arena *a = call_arena(x->call);
    struct workflow_filter f = {
        .status = -1, .event_id = x->call->id, .limit = API_PAGE_MAX};
    struct err ignored = ERR_INIT;
    int r = reader->ops->event(reader, x->call->id, a, &x->event);
    if (r == 0 && x->event.decision.len != 0 &&
        json_read(x->event.decision, NULL, &x->decision, &ignored) < 0) {
        x->decision = NULL; /* damaged: it is not known */
    }
    return r < 0 ? r
                 : reader->ops->workflows(reader, &f, a, &x->workflows,
                                          &x->workflow_count);
}

/* False when it has answered: no such runbook is in force. */
static bool check_runbook(struct call *c, const struct generation *g)
{
    struct str path = call_value(c, "runbook")->text;
    struct err err = ERR_INIT;
    if (path.len == 0 || generation_runbook(g, path) != NULL) {
        return true;
    }
    err_field(&err, "runbook");
    err_hint(&err, "GET /api/runbooks lists those that are");
    (void)err_set(&err, -ENOENT, "no runbook %.*s is in force", STR_ARG(path));
    answer_err(c, 404, "not_found", &err);
    return false;
}

void events_explain(struct call *c)
{
    struct explaining x = {.call = c, .now_ms = os_epoch_ms()};
    int r = read_all(&x);
    if (r < 0) {
        answer_read_error(c, r);
        return;
    }
    x.generation = service_generation(c->api->service);
    x.controls = service_controls(c->api->service);
    x.status = service_status(c->api->service);
    if (check_runbook(c, x.generation)) {
        r = explain(&x);
        if (r < 0) {
            answer_read_error(c, r);
        } else {
            answer_json(c, 200);
        }
    }
    explanation_deinit(&x.explanation);
    json_decref(x.decision);
    controls_unref(x.controls);
    generation_unref(x.generation);
}
