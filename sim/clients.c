/*
 * Clients: they ask again until they are answered, as Alertmanager and good
 * scripts do. An event quotes an idempotency key, so that asking again cannot
 * store it twice.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "data/json.h"
#include "model/event_json.h"
#include "model/params.h"
#include "sim/world.h"

#define PATIENCE_MS 200
#define TRIES_MAX 3000
#define KEY_LIFE_MS (86400 * 1000ULL)

/* A client asks one thing at a time, so it plans one happening. */
static void plan_ask(struct world *w, struct client *c, uint64_t in_ms,
                     happen_fn *ask)
{
    c->ask.run = ask;
    c->ask.subject = c;
    c->ask.embedded = true;
    heap_set(&w->queue, &c->ask.node, w->now_ms + in_ms);
}

void client_new(struct world *w, const struct scn_line *line, happen_fn *ask)
{
    struct client *c = MEM_NEW(struct client);
    c->line = line;
    c->name = line->words[0];
    VEC_PUSH(&w->clients, c);
    plan_ask(w, c, 0, ask);
}

void client_free(struct world *w, struct client *c)
{
    heap_remove(&w->queue, &c->ask.node);
    arena_deinit(&c->arena);
    mem_free(c);
}

/* The one who started something under this name, not those who stop it. */
struct client *client_find(const struct world *w, struct str name)
{
    VEC_EACH (&w->clients, i) {
        struct client *c = w->clients.at[i];
        if (c->how == STOP_NONE && str_eq(c->name, name)) {
            return c;
        }
    }
    return NULL;
}

/* Comes again later; gives up when that has led to nothing for too long. */
static void ask_later(struct world *w, struct client *c, happen_fn *ask)
{
    if (++c->tries > TRIES_MAX) {
        c->state = CLIENT_GAVE_UP;
        return;
    }
    plan_ask(w, c, PATIENCE_MS, ask);
}

/* ---- events ---------------------------------------------------------------
 */

/* key=value: labels, but type, severity, source, state and priority are fields
 * of their own, the last of which is set later, and dedup is not sent. */
static json_t *event_json(const struct client *c)
{
    static const char *const fields[] = {"type", "severity", "source", "state"};
    json_t *labels = json_object();
    json_t *event = json_pack("{s:s, s:o}", "type", "alert", "labels", labels);
    for (uint32_t i = 1; i < c->line->count; i++) {
        struct str key;
        struct str value;
        if (!scenario_pair(c->line->words[i], &key, &value) ||
            str_eq_c(key, "dedup") || str_eq_c(key, "priority")) {
            continue;
        }
        json_t *target = labels;
        for (size_t f = 0; f < ARRAY_LEN(fields); f++) {
            target = str_eq_c(key, fields[f]) ? event : target;
        }
        ASSERT(json_object_setn_new(target, key.at, key.len,
                                    json_stringn(value.at, value.len)) == 0);
    }
    return event;
}

static struct str option(const struct client *c, const char *name)
{
    for (uint32_t i = 1; i < c->line->count; i++) {
        struct str key;
        struct str value;
        if (scenario_pair(c->line->words[i], &key, &value) &&
            str_eq_c(key, name)) {
            return value;
        }
    }
    return STR("");
}

static void make_event(struct world *w, struct client *c)
{
    struct err err = ERR_INIT;
    json_auto_t *json = event_json(c);
    arena_reset(&c->arena);
    if (event_from_json(json, &c->arena, &c->event, &err) < 0) {
        world_violation(w, "line %u: %s", c->line->number, err.message);
    }
    c->event.id = world_id(w);
    c->event.received_ms = world_clock_ms(w);
    c->event.dedup_key = option(c, "dedup");
    struct str priority = option(c, "priority");
    if (priority.len == 1) {
        c->event.priority = (uint8_t)(priority.at[0] - '0');
    }
}

void client_post_event(struct world *w, struct happening *h)
{
    struct client *c = h->subject;
    if (c->state != CLIENT_ASKS || c->op_pending) {
        return;
    }
    if (w->rt == NULL) {
        ask_later(w, c, client_post_event);
        return;
    }
    make_event(w, c);
    c->op = (struct store_op){
        .kind = STORE_INGEST,
        .ingest = {.events = &c->event,
                   .count = 1,
                   .request_key = c->name,
                   .request_expires_ms = w->now_ms + KEY_LIFE_MS,
                   .dedup_expires_ms = w->now_ms + KEY_LIFE_MS,
                   .results = &c->ingested},
        .context = c,
    };
    c->op_pending = true;
    daemon_submit(w, &c->op);
}

void client_ingested(struct world *w, struct store_op *op)
{
    struct client *c = op->context;
    c->op_pending = false;
    if (op->result != 0) {
        world_say(w, "event %.*s is refused: %s", STR_ARG(c->name),
                  strerror(-op->result));
        ask_later(w, c, client_post_event);
        return;
    }
    if (world_boundary(w, "before an event is acknowledged")) {
        ask_later(w, c, client_post_event);
        return;
    }
    world_say(w, "event %.*s is accepted", STR_ARG(c->name));
    c->state = CLIENT_ANSWERED;
    c->event_id = c->ingested.id;
}

/* ---- runs and stops --------------------------------------------------------
 */

/* What POST /api/runbooks/execute does with an Idempotency-Key: asked again
 * after a lost answer, it finds what the first try has started. */
static bool was_run(struct world *w, struct client *c)
{
    static const uint8_t hash[32];
    return w->reader->ops->request(w->reader, c->name, hash, w->now_ms,
                                   &c->workflow_id) == 0;
}

void client_run(struct world *w, struct happening *h)
{
    struct client *c = h->subject;
    if (c->state != CLIENT_ASKS) {
        return;
    }
    struct runbook *rb =
        w->rt != NULL ? generation_runbook(w->generation, c->line->words[1])
                      : NULL;
    if (rb == NULL) {
        ask_later(w, c, client_run);
        return;
    }
    if (was_run(w, c)) {
        world_say(w, "%.*s was started before", STR_ARG(c->name));
        c->state = CLIENT_ANSWERED;
        return;
    }
    struct err err = ERR_INIT;
    const struct record_request key = {.key = c->name,
                                       .expires_ms = w->now_ms + KEY_LIFE_MS};
    struct runtime_run_request request = {
        .runbook = rb,
        .commit = w->generation->commit,
        .requested_by = c->name,
        .dry_run = c->line->count > 2 && str_eq_c(c->line->words[2], "dry"),
        .request = &key,
        .audit = {.action = STR("runbook.execute"), .after = STR("{}")},
        .reply = c,
    };
    arena_reset(&c->arena);
    if (params_check(rb, NULL, &c->arena, &request.parameters, &err) < 0) {
        world_violation(w, "line %u: %s", c->line->number, err.message);
    }
    runtime_request_run(w->rt, &request);
}

void client_stop(struct world *w, struct happening *h)
{
    struct client *c = h->subject;
    if (c->state != CLIENT_ASKS) {
        return;
    }
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct workflow_row row;
    const struct client *target = client_find(w, c->name);
    struct str path = c->line->count > 1 ? c->line->words[1] : STR("");
    if (w->rt == NULL || target == NULL ||
        client_workflow(w, target, path, &a, &row) < 0) {
        ask_later(w, c, client_stop);
        return;
    }
    c->workflow_id = row.id;
    runtime_request_stop(w->rt, row.id, c->how, STR("uid:0"),
                         STR("workflow.stop"), c);
}

void client_replied(struct world *w, void *token, int result,
                    struct id workflow)
{
    struct client *c = token;
    check_reply(w, c, result, workflow);
    world_say(w, "%.*s is answered: %s", STR_ARG(c->name),
              result == 0 ? "yes" : strerror(-result));
    c->result = result;
    if (result == -EAGAIN) {
        ask_later(w, c, client_run);
        return;
    }
    c->state = CLIENT_ANSWERED;
    c->workflow_id = workflow;
    c->stop_is_promised = c->how != STOP_NONE && result == 0;
    c->promised_after = w->executor.sent;
}

void clients_abandoned(struct world *w)
{
    VEC_EACH (&w->clients, i) {
        struct client *c = w->clients.at[i];
        if (c->state != CLIENT_ASKS) {
            continue;
        }
        happen_fn *ask = c->how != STOP_NONE ? client_stop
                         : str_eq_c(str_c(c->line->verb->name), "event")
                             ? client_post_event
                             : client_run;
        c->op_pending = false;
        ask_later(w, c, ask);
    }
}

/* ---- what came of it -------------------------------------------------------
 */

int client_workflow(const struct world *w, const struct client *c,
                    struct str path, struct arena *a, struct workflow_row *ret)
{
    struct workflow_view view;
    if (id_is_null(c->event_id)) {
        int r = w->reader->ops->workflow(w->reader, c->workflow_id, a, &view);
        if (r == 0) {
            *ret = view.row;
        }
        return r;
    }
    struct workflow_filter filter = {
        .runbook = path, .status = -1, .event_id = c->event_id, .limit = 1};
    struct workflow_view *views = NULL;
    uint32_t count = 0;
    if (w->reader->ops->workflows(w->reader, &filter, a, &views, &count) < 0 ||
        count == 0) {
        return -ENOENT;
    }
    *ret = views[0].row;
    return 0;
}
