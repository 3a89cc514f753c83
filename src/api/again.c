/*
 * POST /api/workflows/{id}/retry and /rerun: a workflow that has ended is
 * begun anew, as another workflow. A retry goes on with the step that failed
 * and takes over what those before it have done, so it needs the very same
 * text; a rerun does everything again, with the runbook as it is now.
 */
#include <errno.h>
#include <string.h>

#include "api/execute.h"
#include "data/json.h"
#include "model/params.h"

struct again {
    struct service_request request;
    struct call *call;
    struct generation *generation; /* a reference */
    struct workflow_view old;
    struct fact_resume resume;
};

static void let_go(struct call *c)
{
    struct again *x = c->state;
    generation_unref(x->generation);
}

/* ---- the answer, on the service's thread --------------------------------- */

static void started(struct service_request *request)
{
    struct again *x = CONTAINER_OF(request, struct again, request);
    struct call *c = x->call;
    struct strbuf *out = call_out(c);
    if (request->result == -EAGAIN) {
        answer_busy(c, "busy", "too many workflows are live; try again later");
    } else if (request->result == -ENOSPC) {
        answer_disk_full(c);
    } else if (request->result == -EINVAL) {
        answer_error(c, 409, "conflict",
                     "its parameters do not name a target any more", STR(""));
    } else if (request->result < 0) {
        answer_busy(c, "stopping",
                    "the engine does not take new workflows; try again");
    } else {
        const struct runbook *rb = request->run.runbook;
        put_open(out, NULL, '{');
        put_id(out, "workflow_id", ID_PREFIX_WORKFLOW, request->workflow_id);
        put_text_c(out, "status", workflow_status_name(request->status));
        put_text(out, "runbook", rb->path);
        put_id(out, "again", ID_PREFIX_WORKFLOW, x->old.row.id);
        put_text(out, "from", rb->steps[x->resume.step_no].name);
        put_close(out, '}');
        answer_json(c, 202);
    }
}

/* ---- may it? ------------------------------------------------------------- */

static void refuse(struct call *c, const char *code, const char *hint,
                   const char *why)
{
    struct err err = ERR_INIT;
    char id[ID_TEXT_SIZE];
    id_format(c->id, ID_PREFIX_WORKFLOW, id);
    err_hint(&err, "%s %s", hint, id);
    (void)err_set(&err, -EPERM, "%s", why);
    answer_err(c, 409, code, &err);
}

static bool find_old(struct call *c, struct again *x)
{
    int r = c->reader->ops->workflow(c->reader, c->id, call_arena(c), &x->old);
    if (r == -ENOENT) {
        archive_answer_absent(c);
    } else if (r < 0) {
        answer_read_error(c, r);
    } else if (!workflow_status_is_final(x->old.row.status)) {
        refuse(c, "not_final", "wait, or end it: adctl workflow cancel",
               "this workflow has not ended yet");
    } else if (x->old.row.dry_run) {
        refuse(c, "conflict", "see what it planned: adctl workflow show",
               "this workflow was a dry run: it has done nothing");
    } else {
        return true;
    }
    return false;
}

static bool is_same_text(const struct again *x, const struct runbook *rb)
{
    return memcmp(&rb->hash, &x->old.row.runbook_hash, sizeof(rb->hash)) == 0;
}

/* The runbook as it is in force, or NULL when it has answered. */
static struct runbook *find_runbook(struct call *c, struct again *x)
{
    struct str path = x->old.row.runbook_path;
    const struct generation_file *f = generation_file(x->generation, path);
    if (f == NULL || f->runbook == NULL || f->state != FILE_LOADED) {
        refuse(c, "conflict", "see what it was: adctl workflow show",
               "its runbook is not there any more, or has an error");
        return NULL;
    }
    return execute_is_disabled(c, path) ? NULL : f->runbook;
}

/* ---- a retry ------------------------------------------------------------- */

/* The newest attempt of the step among rows in order, or NULL. */
static const struct attempt_row *newest(const struct attempt_row *rows,
                                        uint32_t count, uint32_t step_no)
{
    const struct attempt_row *found = NULL;
    for (uint32_t i = 0; i < count; i++) {
        found = rows[i].key.step_no == step_no ? &rows[i] : found;
    }
    return found;
}

/* Done, and not taken back since. */
static bool is_done(const struct runbook *rb, uint32_t step_no,
                    const struct attempt_row *rows, uint32_t count)
{
    const struct step *s = &rb->steps[step_no];
    const struct attempt_row *a = newest(rows, count, step_no);
    bool well =
        a != NULL && (a->state == ATTEMPT_SUCCEEDED ||
                      a->state == ATTEMPT_SKIPPED || s->continue_on_error);
    return well &&
           (s->rollback == 0 || newest(rows, count, s->rollback) == NULL);
}

/* The first step that is not done; step_count: there is none. */
static uint32_t first_open(const struct runbook *rb,
                           const struct attempt_row *rows, uint32_t count)
{
    uint32_t i = 0;
    while (i < rb->step_count && (rb->steps[i].section != SECTION_STEPS ||
                                  is_done(rb, i, rows, count))) {
        i++;
    }
    return i;
}

/* A person may leave out what failed, and see to it; not what was undone. */
static bool is_taken_back_before(const struct runbook *rb, uint32_t step_no,
                                 const struct attempt_row *rows, uint32_t count)
{
    for (uint32_t i = 0; i < step_no && i < rb->step_count; i++) {
        uint32_t rollback = rb->steps[i].rollback;
        if (rollback != 0 && newest(rows, count, rollback) != NULL &&
            newest(rows, count, rollback)->state != ATTEMPT_SKIPPED) {
            return true;
        }
    }
    return false;
}

static bool find_named(struct call *c, const struct runbook *rb,
                       struct str word, uint32_t *ret)
{
    const char **names =
        ARENA_ARRAY(call_arena(c), 2 * rb->step_count, const char *);
    size_t count = 0;
    for (uint32_t i = 0; i < rb->step_count; i++) {
        const struct step *s = &rb->steps[i];
        if (s->section != SECTION_STEPS) {
            continue;
        }
        if (str_eq(s->name, word) || (word.len != 0 && str_eq(s->id, word))) {
            *ret = i;
            return true;
        }
        names[count++] = arena_strdup(call_arena(c), s->name);
        names[count++] = arena_strdup(call_arena(c), s->id);
    }
    struct err err = ERR_INIT;
    const char *near = str_nearest(word, names, count);
    err_field(&err, "from");
    if (near != NULL) {
        err_hint(&err, "did you mean '%s'?", near);
    }
    (void)err_set(&err, -EINVAL, "none of its steps is called '%.*s'",
                  (int)MIN(word.len, 60U), word.at);
    answer_err(c, 400, "bad_request", &err);
    return false;
}

/* What the steps before have done is taken over; what has no end, because the
 * engine gave it up, is not. */
static void take_over(struct call *c, struct again *x, const struct runbook *rb,
                      const struct attempt_row *rows, uint32_t count)
{
    struct attempt_row *taken =
        ARENA_ARRAY(call_arena(c), rb->step_count, struct attempt_row);
    x->resume.attempts = taken;
    for (uint32_t i = 0; i < x->resume.step_no; i++) {
        const struct attempt_row *a = newest(rows, count, i);
        if (a != NULL && attempt_state_is_final(a->state)) {
            taken[x->resume.count++] = *a;
        }
    }
}

/* Where it goes on; false when it has answered. */
static bool resume(struct call *c, struct again *x, const struct runbook *rb,
                   struct str from)
{
    struct attempt_row *rows = NULL;
    uint32_t count = 0;
    int r = c->reader->ops->attempts(c->reader, c->id, call_arena(c), &rows,
                                     &count);
    if (r < 0) {
        answer_read_error(c, r);
        return false;
    }
    if (x->old.row.status == WORKFLOW_SUCCEEDED) {
        refuse(c, "conflict", "do all of it again: adctl workflow rerun",
               "this workflow has succeeded: there is nothing to be retried");
        return false;
    }
    if (!is_same_text(x, rb)) {
        refuse(c, "conflict", "run it as it is now: adctl workflow rerun",
               "its runbook has changed since: a retry would go on with "
               "another text");
        return false;
    }
    x->resume.step_no = first_open(rb, rows, count);
    if (from.len != 0 && !find_named(c, rb, from, &x->resume.step_no)) {
        return false;
    }
    if (is_taken_back_before(rb, x->resume.step_no, rows, count)) {
        refuse(c, "conflict", "to begin with that one: adctl workflow retry",
               "a step before it was taken back since");
        return false;
    }
    if (x->resume.step_no == rb->step_count) {
        refuse(c, "conflict",
               "say which step to begin with: adctl workflow retry --from "
               "STEP",
               "all of its steps have succeeded");
        return false;
    }
    take_over(c, x, rb, rows, count);
    return true;
}

/* ---- a rerun ------------------------------------------------------------- */

/* The same values for another text; false when it has answered. */
static bool check_again(struct call *c, const struct runbook *rb,
                        struct str old, struct str *ret)
{
    struct err err = ERR_INIT;
    json_t *values = NULL;
    for (uint32_t i = 0; i < rb->param_count; i++) {
        if (rb->params[i].secret) {
            refuse(c, "conflict", "its values: adctl workflow show",
                   "its runbook has changed since and takes secrets: run it "
                   "with adctl runbook run");
            return false;
        }
    }
    int r = json_read(old, NULL, &values, &err);
    if (r == 0) {
        r = params_check(rb, values, call_arena(c), ret, &err);
    }
    json_decref(values);
    if (r < 0) {
        answer_err(c, 409, "parameters_invalid", &err);
    }
    return r == 0;
}

/* ---- both ---------------------------------------------------------------- */

static struct str quote(struct call *c, const struct again *x)
{
    struct strbuf text = STRBUF_INIT(256);
    char id[ID_TEXT_SIZE];
    id_format(x->old.row.id, ID_PREFIX_WORKFLOW, id);
    strbuf_addf(&text, ",\"again\":\"%s\",\"from_step\":%u", id,
                (unsigned)x->resume.step_no + 1);
    struct str kept = arena_str(call_arena(c), strbuf_str(&text));
    strbuf_deinit(&text);
    return kept;
}

static void begin(struct call *c, struct again *x, bool retry, struct str from)
{
    struct runbook *rb = find_old(c, x) ? find_runbook(c, x) : NULL;
    struct str parameters = x->old.row.parameters;
    if (rb == NULL || (retry && !resume(c, x, rb, from)) ||
        (!is_same_text(x, rb) &&
         !check_again(c, rb, x->old.row.parameters, &parameters))) {
        return;
    }
    struct str shown = params_masked(rb, parameters, call_arena(c));
    x->request = (struct service_request){
        .kind = SERVICE_RUN,
        .requested_by = str_c(c->who.name),
        .run = {.runbook = rb, /* the generation's reference holds it */
                .commit = x->generation->commit,
                .parameters = parameters,
                .resume = retry ? &x->resume : NULL,
                .audit = {.action = str_c(c->route->audit),
                          .after = execute_tell(c, rb, shown, quote(c, x))}},
        .done = started,
    };
    service_post(c->api->service, &x->request);
}

static void again(struct call *c, bool retry)
{
    static const char *const names[] = {"from"};
    struct err err = ERR_INIT;
    struct str from = STR("");
    json_t *body = call_read_object(c, names, retry ? 1 : 0);
    if (body == NULL) {
        return;
    }
    struct again *x = ARENA_NEW(call_arena(c), struct again);
    x->call = c;
    x->generation = service_generation(c->api->service);
    c->state = x;
    c->cleanup = let_go;
    if (json_get_str(body, "from", &from, &err) < 0) {
        answer_err(c, 400, "bad_request", &err);
    } else {
        begin(c, x, retry, arena_str(call_arena(c), from));
    }
    json_decref(body);
}

void workflows_retry(struct call *c)
{
    again(c, true);
}

void workflows_rerun(struct call *c)
{
    again(c, false);
}
