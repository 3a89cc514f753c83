#include "api/plan_run.h"

#include <errno.h>
#include <string.h>

#include "data/json.h"
#include "model/guards.h"
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

typedef void live_fn(void *context, const struct workflow_row *row);

/* Each workflow that is not over, of this runbook or ("") of all. */
static int each_live(struct call *c, struct str path, live_fn *fn,
                     void *context)
{
    struct arena a = ARENA_INIT;
    struct workflow_filter f = {
        .runbook = path, .status = -1, .live_only = true, .limit = LIVE_PAGE};
    struct workflow_view *rows = NULL;
    uint32_t count = 0;
    int r = 0;
    do {
        arena_reset(&a);
        r = c->reader->ops->workflows(c->reader, &f, &a, &rows, &count);
        for (uint32_t i = 0; r == 0 && i < count; i++) {
            fn(context, &rows[i].row);
            f.after_seq = rows[i].seq;
        }
    } while (r == 0 && count == LIVE_PAGE);
    arena_deinit(&a);
    return r;
}

static void count_running(void *context, const struct workflow_row *row)
{
    uint32_t *running = context;
    *running +=
        row->status == WORKFLOW_RUNNING || row->status == WORKFLOW_WAITING;
}

static int look_at_concurrency(struct call *c, const struct runbook *rb,
                               struct plan_decisions *ret)
{
    struct strbuf why = STRBUF_INIT(TEXT_MAX_BYTES);
    uint32_t running = 0;
    int r = rb->max_concurrent == 0
                ? 0
                : each_live(c, rb->path, count_running, &running);
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

/* Who is at a target. Of a runbook that has changed since a workflow of it
 * began, the target is taken to be as it is now. */
struct at_target {
    const struct generation *generation;
    struct str target;
    struct id first; /* ID_NULL: nobody */
};

static void find_at_target(void *context, const struct workflow_row *row)
{
    struct at_target *t = context;
    const struct runbook *rb =
        generation_runbook(t->generation, row->runbook_path);
    struct arena a = ARENA_INIT;
    struct err ignored = ERR_INIT;
    struct str target = STR_NULL;
    if (id_is_null(t->first) && rb != NULL &&
        guard_target(rb, row->parameters, &a, &target, &ignored) == 0 &&
        str_eq(target, t->target)) {
        t->first = row->id;
    }
    arena_deinit(&a);
}

static int look_at_target(struct call *c, const struct generation *g,
                          const struct plan_subject *s,
                          struct plan_decisions *ret)
{
    struct at_target at = {.generation = g, .target = STR_NULL};
    struct err e = ERR_INIT;
    char id[ID_TEXT_SIZE];
    int r = guard_target(s->rb, s->parameters, call_arena(c), &at.target, &e);
    if (r < 0) {
        ret->text[PLAN_TARGET] = arena_str(call_arena(c), str_c(e.message));
        return 0;
    }
    if (at.target.len == 0) {
        ret->text[PLAN_TARGET] = STR("the runbook has no target");
        return 0;
    }
    r = each_live(c, STR(""), find_at_target, &at);
    struct strbuf why = STRBUF_INIT(TEXT_MAX_BYTES);
    if (id_is_null(at.first)) {
        strbuf_addc(&why, "no other workflow is at it");
    } else {
        id_format(at.first, ID_PREFIX_WORKFLOW, id);
        strbuf_addf(&why, "%s is at it: it would wait", id);
    }
    ret->target = at.target;
    ret->holds_back[PLAN_TARGET] = !id_is_null(at.first);
    ret->text[PLAN_TARGET] = kept(c, &why);
    return r;
}

int plan_decide(struct call *c, const struct generation *g,
                const struct plan_subject *subject, struct plan_decisions *ret)
{
    *ret = (struct plan_decisions){.target = STR("")};
    look_at_controls(c, subject->rb, ret);
    look_at_switch(c, ret);
    look_at_executor(c, subject->rb, ret);
    int r = look_at_concurrency(c, subject->rb, ret);
    return r < 0 ? r : look_at_target(c, g, subject, ret);
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

bool plan_holds(struct call *c, const struct generation *g,
                const struct runbook *rb, const struct workflow_row *row,
                uint64_t digest)
{
    const struct plan_subject subject = {rb, row->parameters};
    struct err err = ERR_INIT;
    struct plan_decisions now;
    if (memcmp(&rb->hash, &row->runbook_hash, sizeof(rb->hash)) != 0) {
        (void)err_set(&err, -ESTALE, "%.*s has changed since the plan was made",
                      STR_ARG(rb->path));
        answer_changed(c, &err);
        return false;
    }
    int r = plan_decide(c, g, &subject, &now);
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
