/*
 * What operators change: the queue, priorities, workers, runbooks in and out
 * of force. Each is one change of the service (durable and in the audit trail
 * before it takes effect) and one answer.
 */
#include <errno.h>
#include <stdio.h>

#include "api/filter.h"
#include "data/json.h"
#include "repo/repo.h"

struct changing {
    struct service_request request;
    struct call *call;
    void (*put)(struct changing *x, struct strbuf *out); /* inside of {} */
};

static void answer_not_changed(struct call *c,
                               const struct service_request *request)
{
    if (request->result == -ENOENT) {
        answer_err(c, 404, "not_found", &request->err);
    } else if (request->result == -EDQUOT) {
        answer_err(c, 409, "too_many_rules", &request->err);
    } else if (request->err.message[0] != '\0') {
        answer_err(c, 503, "not_possible", &request->err);
    } else if (request->change.stored) {
        answer_error(c, request->result == -ENOSPC ? 507 : 500, "not_finished",
                     "the change is stored, but not all of it could be done; "
                     "try again",
                     STR(""));
    } else if (request->result == -ENOSPC) {
        answer_disk_full(c);
    } else {
        answer_busy(c, "store_failed",
                    "the store did not take the change; try again");
    }
}

static void changed(struct service_request *request)
{
    struct changing *x = CONTAINER_OF(request, struct changing, request);
    struct call *c = x->call;
    struct strbuf *out = call_out(c);
    if (request->result < 0) {
        answer_not_changed(c, request);
        return;
    }
    put_open(out, NULL, '{');
    x->put(x, out);
    put_close(out, '}');
    answer_json(c, c->route->status);
}

/* A change with the route's action for the audit trail; the caller says the
 * rest and posts it. */
static struct changing *
change_new(struct call *c, void (*put)(struct changing *x, struct strbuf *out))
{
    struct changing *x = ARENA_NEW(call_arena(c), struct changing);
    x->call = c;
    x->put = put;
    x->request = (struct service_request){
        .kind = SERVICE_CHANGE,
        .requested_by = str_c(c->who.name),
        .change = {.audit = {.action = str_c(c->route->audit)}},
        .done = changed,
    };
    return x;
}

static void post(struct changing *x)
{
    service_post(x->call->api->service, &x->request);
}

/* "PREFIX" and the name, in the arena. */
static struct str key_of(struct call *c, const char *prefix, struct str name)
{
    struct strbuf key = STRBUF_INIT(8192);
    strbuf_addc(&key, prefix);
    strbuf_add(&key, name);
    struct str kept = arena_str(call_arena(c), strbuf_str(&key));
    strbuf_deinit(&key);
    return kept;
}

/* The body's one object, without fields; false when it has answered. */
static bool read_nothing(struct call *c)
{
    json_t *body = call_read_object(c, NULL, 0);
    json_decref(body);
    return body != NULL;
}

/* ---- the queue ---------------------------------------------------------- */

static void put_processing(struct changing *x, struct strbuf *out)
{
    struct service_status s = service_status(x->call->api->service);
    put_text_c(out, "status", s.paused ? "paused" : "processing");
    put_bool(out, "paused", s.paused);
    if (x->request.change.sweep == CHANGE_DRAIN) {
        put_u64(out, "drained", x->request.change.moved);
    }
    put_u64(out, "event_queue_depth", s.queue_depth);
}

static void set_paused(struct call *c, const char *value,
                       enum change_sweep sweep)
{
    if (read_nothing(c)) {
        struct changing *x = change_new(c, put_processing);
        x->request.change.setting = (struct setting_row){
            .key = STR(CONTROL_PAUSED), .value = str_c(value)};
        x->request.change.sweep = sweep;
        post(x);
    }
}

void control_drain(struct call *c)
{
    set_paused(c, "true", CHANGE_DRAIN);
}

void control_pause(struct call *c)
{
    set_paused(c, "true", CHANGE_SWEEP_NONE);
}

void control_resume(struct call *c)
{
    set_paused(c, "", CHANGE_SWEEP_NONE);
}

static void put_moved(struct changing *x, struct strbuf *out)
{
    static const char *const words[CHANGE_SWEEPS] = {
        [CHANGE_REPLAY] = "replayed",
        [CHANGE_CLEAR_DRAINED] = "cleared",
        [CHANGE_REQUEUE_POISON] = "requeued",
        [CHANGE_CLEAR_POISON] = "cleared",
    };
    put_u64(out, words[x->request.change.sweep], x->request.change.moved);
}

static void sweep_events(struct call *c, enum change_sweep sweep)
{
    if (read_nothing(c)) {
        struct changing *x = change_new(c, put_moved);
        x->request.change.sweep = sweep;
        post(x);
    }
}

void control_replay_drained(struct call *c)
{
    sweep_events(c, CHANGE_REPLAY);
}

void control_clear_drained(struct call *c)
{
    sweep_events(c, CHANGE_CLEAR_DRAINED);
}

void control_requeue_poison(struct call *c)
{
    sweep_events(c, CHANGE_REQUEUE_POISON);
}

void control_clear_poison(struct call *c)
{
    sweep_events(c, CHANGE_CLEAR_POISON);
}

/* ---- after a restore ------------------------------------------------------
 */

static void put_acknowledged(struct changing *x, struct strbuf *out)
{
    put_bool(out, "restored", service_status(x->call->api->service).restored);
}

/* Nothing to acknowledge is no change, and no row of the audit trail. */
void control_acknowledge_restore(struct call *c)
{
    if (!read_nothing(c)) {
        return;
    }
    if (!service_status(c->api->service).restored) {
        answer_error(c, 409, "not_restored",
                     "no restore waits to be acknowledged", STR(""));
    } else {
        struct changing *x = change_new(c, put_acknowledged);
        x->request.change.setting = (struct setting_row){
            .key = STR(CONTROL_RESTORED), .value = STR("")};
        post(x);
    }
}

/* ---- one event ---------------------------------------------------------- */

static void put_replayed(struct changing *x, struct strbuf *out)
{
    bool cleared = x->request.change.sweep == CHANGE_CLEAR_POISON;
    put_id(out, "id", ID_PREFIX_EVENT, x->request.change.event_id);
    put_text_c(out, "status",
               event_status_name(cleared ? EVENT_ARCHIVED : EVENT_QUEUED));
}

static void move_one(struct call *c, enum change_sweep sweep)
{
    char id[ID_TEXT_SIZE];
    id_format(c->id, ID_PREFIX_EVENT, id);
    struct changing *x = change_new(c, put_replayed);
    x->request.change.audit.subject = arena_str(call_arena(c), str_c(id));
    x->request.change.event_id = c->id;
    x->request.change.sweep = sweep;
    post(x);
}

/* Queues it again, if it was set aside. */
void events_replay(struct call *c)
{
    struct event_view v;
    if (!read_nothing(c)) {
        return;
    }
    int r = c->reader->ops->event(c->reader, c->id, call_arena(c), &v);
    if (r < 0) {
        answer_read_error(c, r);
        return;
    }
    if (v.status != EVENT_DRAINED && v.status != EVENT_POISON) {
        char sentence[128];
        (void)snprintf(sentence, sizeof(sentence),
                       "this event is %s: only drained and poison events can "
                       "be queued again",
                       event_status_name(v.status));
        answer_error(c, 409, "conflict", sentence, STR(""));
        return;
    }
    move_one(c,
             v.status == EVENT_DRAINED ? CHANGE_REPLAY : CHANGE_REQUEUE_POISON);
}

static void move_poison(struct call *c, enum change_sweep sweep)
{
    struct event_view v;
    if (read_nothing(c) && call_read_poison(c, &v)) {
        move_one(c, sweep);
    }
}

void control_requeue_one(struct call *c)
{
    move_poison(c, CHANGE_REQUEUE_POISON);
}

void control_clear_one(struct call *c)
{
    move_poison(c, CHANGE_CLEAR_POISON);
}

/* ---- priorities --------------------------------------------------------- */

static void put_priority(struct changing *x, struct strbuf *out)
{
    put_text_or_null(out, "type", x->request.change.type);
    put_text_or_null(out, "severity", x->request.change.severity);
    if (x->request.change.setting.value.len == 0) {
        put_null(out, "priority");
    } else {
        put_u64(out, "priority", x->request.change.priority);
    }
    put_u64(out, "reordered", x->request.change.moved);
}

/* A part of a key: at most 64 bytes, no slash. */
static int read_word(const json_t *body, const char *name, struct str *ret,
                     struct err *reterr)
{
    int r = json_get_str(body, name, ret, reterr);
    if (r >= 0 && (ret->len > 64 || str_find(*ret, '/') >= 0)) {
        err_field(reterr, "%s", name);
        return err_set(reterr, -EINVAL,
                       "at most 64 bytes, and no slash, expected");
    }
    return r;
}

static bool withdraws(const json_t *body)
{
    return json_is_null(json_object_get(body, "priority"));
}

static int read_rule(const json_t *body, struct changing *x, struct err *reterr)
{
    int64_t priority = 0;
    const struct json_range range = {.min = 0, .max = EVENT_PRIORITY_MAX};
    int r = read_word(body, "type", &x->request.change.type, reterr);
    if (r >= 0) {
        r = read_word(body, "severity", &x->request.change.severity, reterr);
    }
    if (r >= 0 && withdraws(body)) {
        r = 1;
    } else if (r >= 0) {
        r = json_get_int(body, "priority", range, &priority, reterr);
    }
    if (r == 0) {
        err_field(reterr, "priority");
        err_hint(reterr, "0 is the most urgent, %d the least, null for none",
                 EVENT_PRIORITY_MAX);
        return err_set(reterr, -EINVAL, "a priority is needed");
    }
    if (r > 0 && x->request.change.type.len == 0 &&
        x->request.change.severity.len == 0) {
        err_hint(reterr, "as in {\"type\": \"alert\", \"severity\": "
                         "\"critical\", \"priority\": 1}");
        return err_set(reterr, -EINVAL,
                       "say which events: a type, a severity, or both");
    }
    x->request.change.priority = (uint8_t)priority;
    return r;
}

void control_set_priority(struct call *c)
{
    static const char *const names[] = {"type", "severity", "priority"};
    struct err err = ERR_INIT;
    json_t *body = call_read_object(c, names, ARRAY_LEN(names));
    if (body == NULL) {
        return;
    }
    struct changing *x = change_new(c, put_priority);
    int r = read_rule(body, x, &err);
    if (r < 0) {
        answer_err(c, 400, "bad_request", &err);
        json_decref(body);
        return;
    }
    struct arena *a = call_arena(c);
    bool withdrawn = withdraws(body);
    char name[160];
    char value[8];
    (void)snprintf(name, sizeof(name), "%.*s/%.*s",
                   STR_ARG(x->request.change.type),
                   STR_ARG(x->request.change.severity));
    (void)snprintf(value, sizeof(value), "%u", x->request.change.priority);
    x->request.change.type = arena_str(a, x->request.change.type);
    x->request.change.severity = arena_str(a, x->request.change.severity);
    x->request.change.setting = (struct setting_row){
        .key = key_of(c, CONTROL_PRIORITY, str_c(name)),
        .value = withdrawn ? STR("") : arena_str(a, str_c(value)),
    };
    x->request.change.audit.subject = arena_str(a, str_c(name));
    x->request.change.sweep = withdrawn ? CHANGE_SWEEP_NONE : CHANGE_RANK;
    json_decref(body);
    post(x);
}

/* ---- workers ------------------------------------------------------------ */

/* How many the configuration has, and who has set another number. */
static void put_workers_origin(struct call *c, struct strbuf *out)
{
    struct controls *controls = service_controls(c->api->service);
    const struct setting_row *row = controls_scaled(controls);
    put_u64(out, "configured",
            service_status(c->api->service).workers_configured);
    put_text_or_null(out, "set_by", row != NULL ? row->by : STR(""));
    put_instant(out, "set_at", row != NULL ? row->at_ms : 0);
    controls_unref(controls);
}

static void put_workers(struct changing *x, struct strbuf *out)
{
    put_u64(out, "workers", service_status(x->call->api->service).workers);
    put_workers_origin(x->call, out);
}

/* The number, null for that of the configuration: 0. */
static int read_workers(const json_t *body, int64_t *ret, struct err *reterr)
{
    const struct json_range range = {.min = 1, .max = ENGINE_WORKERS_MAX};
    if (json_is_null(json_object_get(body, "workers"))) {
        return 0;
    }
    int r = json_get_int(body, "workers", range, ret, reterr);
    if (r == 0) {
        err_field(reterr, "workers");
        err_hint(reterr, "as in {\"workers\": 8}; null is the number of the "
                         "configuration");
        r = err_set(reterr, -EINVAL, "say how many workers there are to be");
    }
    return r;
}

void control_scale_workers(struct call *c)
{
    static const char *const names[] = {"workers"};
    struct err err = ERR_INIT;
    int64_t workers = 0;
    json_t *body = call_read_object(c, names, ARRAY_LEN(names));
    if (body == NULL) {
        return;
    }
    int r = read_workers(body, &workers, &err);
    json_decref(body);
    if (r < 0) {
        answer_err(c, 400, "bad_request", &err);
        return;
    }
    char value[8] = "";
    if (workers != 0) {
        (void)snprintf(value, sizeof(value), "%d", (int)workers);
    }
    struct changing *x = change_new(c, put_workers);
    x->request.change.setting = (struct setting_row){
        .key = STR(CONTROL_WORKERS),
        .value = arena_str(call_arena(c), str_c(value)),
    };
    post(x);
}

static void put_restarted(struct changing *x, struct strbuf *out)
{
    put_text_c(out, "status",
               x->request.change.moved != 0 ? "restarted" : "none_stuck");
    put_u64(out, "workers", service_status(x->call->api->service).workers);
    put_u64(out, "stuck", x->request.change.moved);
}

void control_restart_workers(struct call *c)
{
    if (read_nothing(c)) {
        struct changing *x = change_new(c, put_restarted);
        x->request.change.sweep = CHANGE_RESTART;
        post(x);
    }
}

static void put_task(struct strbuf *out, const struct worker_view *w)
{
    if (w->state == WORKER_IDLE) {
        put_null(out, "current_task");
        return;
    }
    put_open(out, "current_task", '{');
    put_id(out, "event", ID_PREFIX_EVENT, w->event);
    put_u64(out, "events", w->events);
    put_u64(out, "done", w->done);
    put_instant(out, "since", w->since_ms);
    put_instant(out, "progress_at", w->progress_ms);
    put_close(out, '}');
}

void control_workers(struct call *c)
{
    static const char *const states[] = {[WORKER_IDLE] = "idle",
                                         [WORKER_BUSY] = "busy",
                                         [WORKER_STUCK] = "stuck"};
    struct worker_view views[ENGINE_WORKERS_MAX];
    uint32_t count = service_workers(c->api->service, views, ARRAY_LEN(views));
    struct strbuf *out = call_out(c);
    struct filter filter;
    uint64_t shown = 0;
    if (!filter_open(c, &filter)) {
        filter_close(&filter);
        return;
    }
    put_open(out, NULL, '{');
    put_open(out, "workers", '[');
    for (uint32_t i = 0; i < count; i++) {
        size_t start = out->len;
        char utilization[16];
        (void)snprintf(utilization, sizeof(utilization), "%.6f",
                       views[i].utilization);
        put_open(out, NULL, '{');
        put_u64(out, "id", i);
        put_text_c(out, "status", states[views[i].state]);
        put_task(out, &views[i]);
        put_u64(out, "events_processed", views[i].processed);
        put_raw(out, "utilization", str_c(utilization));
        put_close(out, '}');
        shown += filter_keeps_row(&filter, start) ? 1 : 0;
    }
    put_close(out, ']');
    put_u64(out, "count", shown);
    put_workers_origin(c, out);
    filter_put(&filter);
    put_close(out, '}');
    filter_close(&filter);
    answer_json(c, 200);
}

/* ---- runbooks in and out of force ---------------------------------------- */

static void put_runbook(struct changing *x, struct strbuf *out)
{
    put_text(out, "runbook", x->request.change.audit.subject);
    put_bool(out, "enabled", x->request.change.setting.value.len == 0);
}

/* A runbook that could not be loaded can be disabled, too; one that is gone
 * can be enabled again. */
static bool may_set(struct call *c, struct str path, bool enable)
{
    struct err err = ERR_INIT;
    if (repo_path_check(path, &err) < 0) {
        err_field(&err, "runbook");
        answer_err(c, 400, "bad_request", &err);
        return false;
    }
    struct generation *g = service_generation(c->api->service);
    bool known = enable || generation_file(g, path) != NULL;
    generation_unref(g);
    if (!known) {
        (void)err_set(&err, -ENOENT, "there is no runbook %.*s", STR_ARG(path));
        answer_err(c, 404, "not_found", &err);
    }
    return known;
}

static void set_enabled(struct call *c, bool enable)
{
    static const char *const names[] = {"runbook", "reason"};
    struct err err = ERR_INIT;
    struct str path = STR_NULL;
    struct str reason = STR("");
    json_t *body = call_read_object(c, names, ARRAY_LEN(names));
    if (body == NULL) {
        return;
    }
    int r = json_get_str(body, "runbook", &path, &err);
    if (r == 0) {
        err_field(&err, "runbook");
        r = err_set(&err, -EINVAL, "say which runbook");
    }
    if (r > 0) {
        r = json_get_str(body, "reason", &reason, &err);
    }
    if (r < 0) {
        answer_err(c, 400, "bad_request", &err);
    } else if (may_set(c, path, enable)) {
        struct changing *x = change_new(c, put_runbook);
        struct strbuf value = STRBUF_INIT(API_OTHER_BODY_MAX_BYTES * 6);
        strbuf_add_json_quoted(&value, reason);
        x->request.change.audit.subject = arena_str(call_arena(c), path);
        x->request.change.setting = (struct setting_row){
            .key = key_of(c, CONTROL_DISABLED, path),
            .value =
                enable ? STR("") : arena_str(call_arena(c), strbuf_str(&value)),
        };
        strbuf_deinit(&value);
        post(x);
    }
    json_decref(body);
}

void runbooks_disable(struct call *c)
{
    set_enabled(c, false);
}

void runbooks_enable(struct call *c)
{
    set_enabled(c, true);
}
