/*
 * POST /api/runbooks/execute: find the runbook, check the parameters, have
 * the engine start it. A dry run is recorded like any other and shows what
 * each step would do, which required parameters have no value, and what would
 * hold it back; it is a plan, which can be run as long as all that is so.
 */
#include "api/execute.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "api/plan_run.h"
#include "api/replays.h"
#include "api/runbook_json.h"
#include "data/json.h"
#include "model/params.h"
#include "os/clock.h"

/* Keys of this route among those that the store keeps. */
#define KEY_PREFIX "execute "
#define KEY_ROOM (sizeof(KEY_PREFIX) + 1)

struct execution {
    struct service_request request;
    struct call *call;
    struct generation *generation; /* a reference */
    bool dry_run;
    struct params_missing missing;   /* of a dry run, like the next two */
    struct plan_decisions decisions; /* now */
    uint64_t digest;                 /* for its id */
    struct str key;                  /* "": no Idempotency-Key */
    bool key_open;                   /* replays_finish is owed */
    struct record_request kept;      /* the key, as the store keeps it */
};

static void let_go(struct call *c)
{
    struct execution *x = c->state;
    generation_unref(x->generation);
    if (x->key_open) {
        replays_finish(c->api->replays, x->key, 0, STR(""));
    }
}

/* ---- the answer, on the service's thread
 * --------------------------------------- */

static void put_plan_id(struct strbuf *out, const struct execution *x)
{
    char id[PLAN_ID_SIZE];
    plan_id_format(x->request.workflow_id, x->digest, id);
    put_text_c(out, "plan_id", id);
    plan_put_guards(out, &x->decisions);
}

static void put_outcome(struct call *c, const struct execution *x,
                        struct str path)
{
    const struct service_request *request = &x->request;
    struct strbuf *out = call_out(c);
    put_open(out, NULL, '{');
    put_id(out, "workflow_id", ID_PREFIX_WORKFLOW, request->workflow_id);
    put_text_c(out, "status", workflow_status_name(request->status));
    put_text(out, "runbook", path);
    put_bool(out, "dry_run", request->run.dry_run);
    if (request->run.dry_run) {
        put_open(out, "missing_parameters", '[');
        for (uint32_t i = 0; i < x->missing.count; i++) {
            put_text(out, NULL, x->missing.names[i]);
        }
        put_close(out, ']');
        put_plan_id(out, x);
    }
}

static void answer_started(struct execution *x)
{
    struct call *c = x->call;
    struct err err = ERR_INIT;
    const struct runbook *rb = x->request.run.runbook;
    bool dry_run = x->request.run.dry_run;
    put_outcome(c, x, rb->path);
    if (dry_run && runbook_put_plan(call_out(c), rb, x->request.workflow_id,
                                    x->request.run.parameters, &err) < 0) {
        strbuf_reset(call_out(c));
        answer_err(c, 400, "parameters_invalid", &err);
        return;
    }
    put_close(call_out(c), '}');
    unsigned status = dry_run ? 200 : 202;
    if (x->key_open) {
        x->key_open = false;
        replays_finish(c->api->replays, x->key, status,
                       strbuf_str(call_out(c)));
    }
    answer_json(c, status);
}

static void started(struct service_request *request)
{
    struct execution *x = CONTAINER_OF(request, struct execution, request);
    if (request->result == 0) {
        answer_started(x);
    } else if (request->result == -EAGAIN) {
        answer_busy(x->call, "busy",
                    "too many workflows are live; try again later");
    } else if (request->result == -ENOSPC) {
        answer_disk_full(x->call);
    } else {
        answer_busy(x->call, "stopping",
                    "the engine does not take new workflows; try again");
    }
}

/* ---- checks
 * --------------------------------------------------------------------- */

struct order {
    struct str path;
    const json_t *parameters; /* NULL: none given */
    bool dry_run;
    struct str plan; /* "": none; else nothing but the path may be given */
};

/* A plan has its own values. */
static int read_plan(const json_t *body, struct order *o, struct err *reterr)
{
    int r = json_get_str(body, "plan", &o->plan, reterr);
    if (r > 0 && (o->parameters != NULL || o->dry_run)) {
        err_field(reterr, "plan");
        err_hint(reterr, "leave parameters and dry_run out");
        r = err_set(reterr, -EINVAL, "a plan is run as it was made");
    }
    return r;
}

static bool read_order(struct call *c, const json_t *body, struct order *ret)
{
    struct err err = ERR_INIT;
    int r = json_get_str(body, "runbook", &ret->path, &err);
    if (r >= 0) {
        r = json_get_object(body, "parameters", &ret->parameters, &err);
    }
    if (r >= 0) {
        r = json_get_bool(body, "dry_run", &ret->dry_run, &err);
    }
    if (r >= 0) {
        r = read_plan(body, ret, &err);
    }
    if (r >= 0 && ret->path.len == 0 && ret->plan.len == 0) {
        err_field(&err, "runbook");
        err_hint(&err, "as in {\"runbook\": \"remediation/x.yaml\"}");
        r = err_set(&err, -EINVAL, "say which runbook to execute");
    }
    if (r < 0) {
        answer_err(c, 400, "bad_request", &err);
    }
    return r >= 0;
}

static void answer_absent(struct call *c, const struct generation *g,
                          struct str path)
{
    struct err err = ERR_INIT;
    if (repo_path_check(path, &err) < 0) {
        err_field(&err, "runbook");
        answer_err(c, 400, "bad_request", &err);
        return;
    }
    const char **known =
        ARENA_ARRAY(call_arena(c), g->file_count, const char *);
    for (uint32_t i = 0; i < g->file_count; i++) {
        known[i] = arena_strdup(call_arena(c), g->files[i].path);
    }
    const char *near = str_nearest(path, known, g->file_count);
    if (near != NULL) {
        err_hint(&err, "did you mean %s?", near);
    } else {
        err_hint(&err, "if the file is new, reload the runbooks");
    }
    (void)err_set(&err, -ENOENT, "there is no runbook %.*s", STR_ARG(path));
    answer_err(c, 404, "not_found", &err);
}

/* The manual's words for a text that is no YAML; where and why is in the
 * detail. */
static const char *reason_of(const struct generation_file *f)
{
    if (f->problem_count == 0) {
        return "the file could not be loaded";
    }
    return f->problems[0].errnum == -EBADMSG ? "Invalid YAML syntax"
                                             : f->problems[0].message;
}

static void answer_rejected(struct call *c, const struct generation_file *f)
{
    char sentence[512];
    struct strbuf detail = STRBUF_INIT(256UL * 1024);
    (void)snprintf(sentence, sizeof(sentence), "Runbook validation failed: %s",
                   reason_of(f));
    runbook_put_errors(&detail, f);
    answer_error(c, 422, "runbook_invalid", sentence,
                 strbuf_error(&detail) == 0 ? strbuf_str(&detail) : STR(""));
    strbuf_deinit(&detail);
}

/* The file as it is now, when no reload has seen that yet and it does not load:
 * whoever has just saved it wants to know. True when it has answered. */
static bool is_broken_now(struct call *c, struct str path,
                          const struct runbook *known)
{
    struct arena *a = call_arena(c);
    struct str text = STR_NULL;
    struct runbook_hash hash;
    struct err err = ERR_INIT;
    struct runbook *rb = NULL;
    struct runbook_report report = {0};
    if (service_read_runbook(c->api->service, path, a, &text, &hash, &err) <
            0 ||
        (known != NULL && memcmp(&hash, &known->hash, sizeof(hash)) == 0)) {
        return false;
    }
    int r = runbook_load(path, text, service_defaults(c->api->service), &rb,
                         &report);
    if (r < 0) {
        struct generation_file f = {
            .path = path,
            .state = FILE_REJECTED,
            .problems = ARENA_ARRAY(a, report.problems.count, struct err),
        };
        VEC_EACH (&report.problems, i) {
            if (!report.problems.at[i].warning) {
                f.problems[f.problem_count++] = report.problems.at[i].err;
            }
        }
        answer_rejected(c, &f);
    }
    runbook_unref(rb);
    runbook_report_deinit(&report);
    return r < 0;
}

/* The runbook as it stands on disk, or NULL when it has answered. */
static struct runbook *find(struct call *c, const struct generation *g,
                            struct str path)
{
    const struct generation_file *f = generation_file(g, path);
    if (is_broken_now(c, path, f != NULL ? f->runbook : NULL)) {
        return NULL;
    }
    if (f == NULL) {
        answer_absent(c, g, path);
        return NULL;
    }
    if (f->state != FILE_LOADED) {
        answer_rejected(c, f);
        return NULL;
    }
    return f->runbook;
}

static void replay(struct call *c, const struct replay_answer *first)
{
    strbuf_add(call_out(c), first->body);
    answer_json(c, first->status);
}

static void answer_mismatch(struct call *c)
{
    answer_error(c, 422, "idempotency_mismatch",
                 "this Idempotency-Key was used for another body", STR(""));
}

/* What an earlier engine has started for this key: the same answer, with the
 * workflow as it is now. */
static void answer_kept(struct call *c, struct execution *x)
{
    struct workflow_view view;
    int r =
        c->reader->ops->workflow(c->reader, x->kept.made, call_arena(c), &view);
    if (r < 0) {
        answer_read_error(c, r);
        return;
    }
    x->request.workflow_id = view.row.id;
    x->request.status = view.row.status;
    put_outcome(c, x, view.row.runbook_path);
    put_close(call_out(c), '}');
    answer_json(c, 202);
}

/* In memory there are the keys of this engine's life, with those whose request
 * is under way; the store has those of earlier ones. False when the key was met
 * before and is answered. */
static bool look_into_store(struct call *c, struct execution *x)
{
    struct record_request *kept = &x->kept;
    char *key = arena_alloc(call_arena(c), KEY_ROOM + x->key.len, 1);
    uint64_t now_ms = os_epoch_ms();
    int n = snprintf(key, KEY_ROOM + x->key.len, KEY_PREFIX "%.*s",
                     STR_ARG(x->key));
    kept->key = str_n(key, (size_t)n);
    kept->expires_ms = now_ms + REPLAYS_KEEP_MS;
    int r = c->reader->ops->request(c->reader, kept->key, kept->hash, now_ms,
                                    &kept->made);
    if (r == -ENOENT) {
        return true;
    }
    if (r == -EEXIST) {
        answer_mismatch(c);
    } else if (r < 0) {
        answer_read_error(c, r);
    } else {
        answer_kept(c, x);
    }
    return false;
}

/* False when the key was met before and is answered. */
static bool take_key(struct call *c, struct execution *x)
{
    if (!call_read_key(c, &x->key)) {
        return false;
    }
    if (x->key.len == 0) {
        return true;
    }
    uint8_t *hash = x->kept.hash;
    struct replay_answer first = {.status = 0};
    (void)crypto_hash_sha256(hash, (const unsigned char *)c->http->body.at,
                             c->http->body.len);
    switch (replays_begin(c->api->replays, x->key, hash, os_monotonic_ms(),
                          call_arena(c), &first)) {
    case REPLAY_NEW:
        x->key_open = true;
        return look_into_store(c, x);
    case REPLAY_SAME:
        replay(c, &first);
        return false;
    case REPLAY_OTHER:
        answer_mismatch(c);
        return false;
    case REPLAY_BUSY:
        answer_error(c, 409, "conflict",
                     "the first request with this Idempotency-Key is still "
                     "being answered",
                     STR(""));
        return false;
    case REPLAY_FULL:
        break;
    }
    answer_busy(c, "busy", "too many requests with an Idempotency-Key");
    return false;
}

bool execute_is_disabled(struct call *c, struct str path)
{
    struct err err = ERR_INIT;
    struct controls *controls = service_controls(c->api->service);
    const struct setting_row *row = controls_disabled(controls, path);
    bool disabled = row != NULL;
    if (disabled) {
        struct strbuf why = STRBUF_INIT(1024);
        controls_add_disabled(&why, path, row);
        err_hint(&err, "a dry run is possible; adctl runbook enable puts it "
                       "in force again");
        (void)err_set(&err, -EPERM, "%s", why.at);
        strbuf_deinit(&why);
        answer_err(c, 409, "runbook_disabled", &err);
    }
    controls_unref(controls);
    return disabled;
}

/* A dry run without a plan is refused before it is stored; false when that is
 * answered. */
static bool can_be_planned(struct call *c, const struct runbook *rb,
                           struct str parameters)
{
    struct err err = ERR_INIT;
    const struct id any = {{0}};
    struct strbuf plan = STRBUF_INIT(HTTP_ANSWER_MAX_BYTES);
    int r = runbook_put_plan(&plan, rb, any, parameters, &err);
    strbuf_deinit(&plan);
    if (r < 0) {
        answer_err(c, 400, "parameters_invalid", &err);
    }
    return r == 0;
}

struct str execute_tell(struct call *c, const struct runbook *rb,
                        struct str parameters, struct str more)
{
    struct strbuf text = STRBUF_INIT(HTTP_ANSWER_MAX_BYTES);
    put_open(&text, NULL, '{');
    put_text(&text, "runbook", rb->path);
    put_hash(&text, "runbook_hash", rb->hash.bytes);
    put_raw(&text, "parameters", parameters);
    strbuf_add(&text, more);
    put_close(&text, '}');
    struct str kept = arena_str(call_arena(c), strbuf_str(&text));
    strbuf_deinit(&text);
    return kept;
}

/* `parameters` are as they are stored, `shown` without secrets. */
static void post(struct call *c, struct execution *x, struct runbook *rb,
                 struct str parameters, struct str shown)
{
    x->request = (struct service_request){
        .kind = SERVICE_RUN,
        .requested_by = str_c(c->who.name),
        .run = {.runbook = rb, /* the generation's reference holds it */
                .commit = x->generation->commit,
                .parameters = parameters,
                .dry_run = x->dry_run,
                .audit = {.action = str_c(c->route->audit),
                          .after = execute_tell(c, rb, shown, STR(""))},
                .request = x->key.len != 0 ? &x->kept : NULL},
        .done = started,
    };
    service_post(c->api->service, &x->request);
}

static void execute_plan(struct call *c, struct execution *x,
                         const struct order *order)
{
    struct workflow_view dry;
    uint64_t digest = 0;
    if (!plan_find(c, order->plan, &dry, &digest)) {
        return;
    }
    if (order->path.len != 0 && !str_eq(order->path, dry.row.runbook_path)) {
        struct err err = ERR_INIT;
        err_field(&err, "runbook");
        (void)err_set(&err, -EINVAL, "the plan is one of %.*s",
                      STR_ARG(dry.row.runbook_path));
        answer_err(c, 400, "bad_request", &err);
        return;
    }
    struct runbook *rb = find(c, x->generation, dry.row.runbook_path);
    if (rb == NULL || !plan_holds(c, x->generation, rb, &dry.row, digest) ||
        execute_is_disabled(c, rb->path)) {
        return;
    }
    post(c, x, rb, dry.row.parameters,
         params_masked(rb, dry.row.parameters, call_arena(c)));
}

/* What would hold it back, when it is a dry run; false when that is answered.
 */
static bool decide(struct call *c, struct execution *x,
                   const struct runbook *rb, struct str parameters)
{
    const struct plan_subject subject = {rb, parameters};
    int r =
        x->dry_run ? plan_decide(c, x->generation, &subject, &x->decisions) : 0;
    if (r < 0) {
        answer_read_error(c, r);
        return false;
    }
    x->digest = plan_digest(rb, parameters, &x->decisions);
    return true;
}

static void execute(struct call *c, struct execution *x,
                    const struct order *order)
{
    struct err err = ERR_INIT;
    struct str parameters = STR_NULL;
    struct runbook *rb = find(c, x->generation, order->path);
    if (rb == NULL ||
        (!order->dry_run && execute_is_disabled(c, order->path))) {
        return;
    }
    struct arena *a = call_arena(c);
    int r = order->dry_run
                ? params_preview(rb, order->parameters, a, &parameters,
                                 &x->missing, &err)
                : params_check(rb, order->parameters, a, &parameters, &err);
    if (r < 0) {
        answer_err(c, 400, "parameters_invalid", &err);
        return;
    }
    struct str target = STR_NULL;
    if (x->missing.count == 0 &&
        guard_target(rb, parameters, a, &target, &err) < 0) {
        answer_err(c, 400, "parameters_invalid", &err);
        return;
    }
    if (order->dry_run && !can_be_planned(c, rb, parameters)) {
        return;
    }
    struct str shown = params_masked(rb, parameters, a);
    if (service_seal(c->api->service, rb, parameters, a, &parameters, &err) <
        0) {
        answer_err(c, 500, "secrets_unavailable", &err);
        return;
    }
    if (decide(c, x, rb, parameters)) {
        post(c, x, rb, parameters, shown);
    }
}

void runbooks_execute(struct call *c)
{
    static const char *const names[] = {"runbook", "parameters", "dry_run",
                                        "plan"};
    json_t *body = call_read_object(c, names, ARRAY_LEN(names));
    struct order order = {.dry_run = false};
    if (body == NULL) {
        return;
    }
    struct execution *x = ARENA_NEW(call_arena(c), struct execution);
    x->call = c;
    x->generation = service_generation(c->api->service);
    c->state = x;
    c->cleanup = let_go;
    if (read_order(c, body, &order) && take_key(c, x)) {
        x->dry_run = order.dry_run;
        (order.plan.len != 0 ? execute_plan : execute)(c, x, &order);
    }
    json_decref(body);
}
