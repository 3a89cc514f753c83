#include "api/plan_run.h"

#include <errno.h>
#include <string.h>

#include "data/json.h"
#include "model/params.h"
#include "os/clock.h"

#define TEXT_MAX_BYTES 2048
#define LIVE_PAGE 1000

static struct str kept(struct call *c, struct strbuf *text)
{
    struct str copy = arena_str(call_arena(c), strbuf_str(text));
    strbuf_deinit(text);
    return copy;
}

static void look_at_controls(struct call *c, const struct runbook *rb,
                             struct plan_decisions *ret)
{
    struct controls *controls = service_controls(c->api->service);
    const struct setting_row *row = controls_disabled(controls, rb->path);
    struct strbuf why = STRBUF_INIT(TEXT_MAX_BYTES);
    if (row != NULL) {
        controls_add_disabled(&why, rb->path, row);
    } else {
        strbuf_addc(&why, "the runbook is enabled");
    }
    ret->holds_back[PLAN_DISABLED] = row != NULL;
    ret->text[PLAN_DISABLED] = kept(c, &why);
    controls_unref(controls);
}

static void look_at_switch(struct call *c, struct plan_decisions *ret)
{
    const struct service_status status = service_status(c->api->service);
    struct strbuf why = STRBUF_INIT(TEXT_MAX_BYTES);
    strbuf_addc(&why, status.killed ? "the kill switch is on" : "it is off");
    if (status.killed && status.killed_text[0] != '\0') {
        strbuf_addf(&why, ": %s", status.killed_text);
    }
    ret->holds_back[PLAN_KILL_SWITCH] = status.killed;
    ret->text[PLAN_KILL_SWITCH] = kept(c, &why);
}

static void look_at_executor(struct call *c, const struct runbook *rb,
                             struct plan_decisions *ret)
{
    struct str refusal = service_refusal(c->api->service, rb, call_arena(c));
    ret->holds_back[PLAN_EXECUTOR] = refusal.len != 0;
    ret->text[PLAN_EXECUTOR] =
        refusal.len != 0 ? refusal : STR("it has refused no step of it");
}

/* Workflows of this runbook that hold a place. */
static int count_running(struct call *c, struct str path, uint32_t *ret)
{
    struct arena a = ARENA_INIT;
    struct workflow_filter f = {
        .runbook = path, .status = -1, .live_only = true, .limit = LIVE_PAGE};
    struct workflow_view *rows = NULL;
    uint32_t count = 0;
    uint32_t running = 0;
    int r = 0;
    do {
        arena_reset(&a);
        r = c->reader->ops->workflows(c->reader, &f, &a, &rows, &count);
        for (uint32_t i = 0; r == 0 && i < count; i++) {
            running += rows[i].row.status == WORKFLOW_RUNNING ||
                       rows[i].row.status == WORKFLOW_WAITING;
            f.after_seq = rows[i].seq;
        }
    } while (r == 0 && count == LIVE_PAGE);
    arena_deinit(&a);
    *ret = running;
    return r;
}

static int look_at_concurrency(struct call *c, const struct runbook *rb,
                               struct plan_decisions *ret)
{
    struct strbuf why = STRBUF_INIT(TEXT_MAX_BYTES);
    uint32_t running = 0;
    int r = rb->max_concurrent == 0 ? 0 : count_running(c, rb->path, &running);
    bool waits = rb->max_concurrent != 0 && running >= rb->max_concurrent;
    if (rb->max_concurrent == 0) {
        strbuf_addc(&why, "the runbook has no limit of its own");
    } else {
        strbuf_addf(&why, "%u of %u workflows of it run%s", (unsigned)running,
                    (unsigned)rb->max_concurrent,
                    waits ? ": it would wait" : "");
    }
    ret->holds_back[PLAN_CONCURRENCY] = waits;
    ret->text[PLAN_CONCURRENCY] = kept(c, &why);
    return r;
}

int plan_decide(struct call *c, const struct runbook *rb,
                struct plan_decisions *ret)
{
    *ret = (struct plan_decisions){0};
    look_at_controls(c, rb, ret);
    look_at_switch(c, ret);
    look_at_executor(c, rb, ret);
    return look_at_concurrency(c, rb, ret);
}

/* ---- is it still so? ----------------------------------------------------- */

static void answer_changed(struct call *c, struct err *err)
{
    err_hint(err, "make a new one: adctl runbook run RUNBOOK --dry-run");
    answer_err(c, 409, "plan_changed", err);
}

bool plan_find(struct call *c, struct str plan, struct workflow_view *ret,
               uint64_t *ret_digest)
{
    struct err err = ERR_INIT;
    struct id id = ID_NULL;
    if (plan_id_parse(plan, &id, ret_digest) < 0) {
        err_field(&err, "plan");
        err_hint(&err, "a dry run answers with it, as plan_id");
        (void)err_set(&err, -EINVAL, "%.*s is not the id of a plan",
                      (int)MIN(plan.len, 60U), plan.at);
        answer_err(c, 400, "bad_request", &err);
        return false;
    }
    int r = c->reader->ops->workflow(c->reader, id, call_arena(c), ret);
    if (r == -ENOENT || (r == 0 && !ret->row.dry_run)) {
        err_hint(&err, "a dry run answers with it, as plan_id");
        (void)err_set(&err, -ENOENT, "there is no plan of this id");
        answer_err(c, 404, "not_found", &err);
        return false;
    }
    if (r < 0) {
        answer_read_error(c, r);
        return false;
    }
    if (ret->row.created_ms + PLAN_KEEP_MS < os_epoch_ms()) {
        (void)err_set(&err, -ESTALE, "the plan is older than %llu hours",
                      PLAN_KEEP_MS / 3600000);
        answer_changed(c, &err);
        return false;
    }
    return true;
}

/* A required parameter that the plan has no value for, or NULL. */
static const struct param *missing(const struct runbook *rb,
                                   struct str parameters)
{
    struct err ignored = ERR_INIT;
    json_auto_t *object = NULL;
    if (json_read(parameters, NULL, &object, &ignored) < 0) {
        return NULL;
    }
    for (uint32_t i = 0; i < rb->param_count; i++) {
        const struct param *p = &rb->params[i];
        if (p->required &&
            json_object_getn(object, p->name.at, p->name.len) == NULL) {
            return p;
        }
    }
    return NULL;
}

static bool has_all(struct call *c, const struct runbook *rb,
                    struct str parameters)
{
    struct err err = ERR_INIT;
    const struct param *p = missing(rb, parameters);
    if (p == NULL) {
        return true;
    }
    err_hint(&err, "plan again with -p %.*s=VALUE", STR_ARG(p->name));
    (void)err_set(&err, -EINVAL, "the plan has no value for parameter '%.*s'",
                  STR_ARG(p->name));
    answer_err(c, 400, "parameters_invalid", &err);
    return false;
}

bool plan_holds(struct call *c, const struct runbook *rb,
                const struct workflow_row *row, uint64_t digest)
{
    struct err err = ERR_INIT;
    struct plan_decisions now;
    if (memcmp(&rb->hash, &row->runbook_hash, sizeof(rb->hash)) != 0) {
        (void)err_set(&err, -ESTALE, "%.*s has changed since the plan was made",
                      STR_ARG(rb->path));
        answer_changed(c, &err);
        return false;
    }
    int r = plan_decide(c, rb, &now);
    if (r < 0) {
        answer_read_error(c, r);
        return false;
    }
    if (plan_digest(rb, row->parameters, &now) != digest) {
        struct strbuf told = STRBUF_INIT(TEXT_MAX_BYTES);
        plan_tell(&now, &told);
        (void)err_set(&err, -ESTALE,
                      "the guards decide otherwise than when the plan was "
                      "made; now: %s",
                      strbuf_str(&told).at);
        strbuf_deinit(&told);
        answer_changed(c, &err);
        return false;
    }
    return has_all(c, rb, row->parameters);
}
