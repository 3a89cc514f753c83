#include "api/workflow_json.h"

#include <jansson.h>

#include "api/put.h"
#include "data/json.h"
#include "model/params.h"

/* Without the declarations every value may be a secret. */
static void put_hidden(struct strbuf *out, struct str json)
{
    json_t *object = NULL;
    struct err ignored = ERR_INIT;
    put_open(out, "parameters", '{');
    if (json_read(json, NULL, &object, &ignored) == 0) {
        const char *name = NULL;
        json_t *value = NULL;
        json_object_foreach (object, name, value) {
            put_element(out);
            strbuf_add_json_quoted(out, str_c(name));
            strbuf_addc(out, ":\"***\"");
        }
        json_decref(object);
    }
    put_close(out, '}');
}

static void put_parameters(struct strbuf *out, const struct workflow_row *w,
                           const struct runbook *rb, struct arena *a)
{
    if (w->parameters.len == 0) {
        put_raw(out, "parameters", STR("{}"));
    } else if (rb == NULL) {
        put_hidden(out, w->parameters);
    } else {
        put_raw(out, "parameters", params_masked(rb, w->parameters, a));
    }
}

static void put_duration(struct strbuf *out, uint64_t from_ms, uint64_t to_ms)
{
    if (from_ms == 0 || to_ms == 0) {
        put_null(out, "duration_seconds");
    } else {
        put_seconds(out, "duration_seconds",
                    to_ms > from_ms ? to_ms - from_ms : 0);
    }
}

static void put_step(struct strbuf *out, const struct workflow_row *w,
                     const struct runbook *rb)
{
    if (workflow_status_is_final(w->status)) {
        put_null(out, "current_step");
        put_null(out, "current_step_index");
        return;
    }
    put_text_or_null(out, "current_step",
                     rb != NULL && w->step_no < rb->step_count
                         ? rb->steps[w->step_no].name
                         : STR(""));
    put_u64(out, "current_step_index", w->step_no);
}

void workflow_put(struct strbuf *out, const struct workflow_row *w,
                  const struct runbook *rb, struct arena *a)
{
    put_open(out, NULL, '{');
    put_id(out, "id", ID_PREFIX_WORKFLOW, w->id);
    put_text(out, "runbook", w->runbook_path);
    put_text(out, "runbook_name", w->runbook_name);
    put_hash(out, "runbook_hash", w->runbook_hash.bytes);
    put_text_or_null(out, "commit", w->runbook_commit);
    put_id(out, "event_id", ID_PREFIX_EVENT, w->event_id);
    /* An absence starts without any event. */
    if (id_is_null(w->event_id) && !str_eq_c(w->requested_by, "trigger")) {
        put_null(out, "trigger");
    } else {
        put_u64(out, "trigger", w->trigger_no);
    }
    put_text_or_null(out, "trigger_key", w->subject);
    put_text_c(out, "status", workflow_status_name(w->status));
    put_text_or_null(out, "result", str_c(workflow_result_name(w->result)));
    put_parameters(out, w, rb, a);
    put_text(out, "requested_by", w->requested_by);
    put_bool(out, "dry_run", w->dry_run);
    put_instant(out, "created_at", w->created_ms);
    put_instant(out, "started_at", w->started_ms);
    put_instant(out, "finished_at", w->finished_ms);
    put_duration(out, w->started_ms, w->finished_ms);
    put_step(out, w, rb);
    put_text_or_null(out, "error", w->error);
    put_text_or_null(out, "stop_requested", str_c(workflow_stop_name(w->stop)));
    put_text_or_null(out, "stopped_by", w->stopped_by);
}

/* ---- steps
 * -------------------------------------------------------------------- */

static void put_attempt(struct strbuf *out, const struct attempt_row *t)
{
    put_open(out, NULL, '{');
    put_u64(out, "attempt", t->key.attempt);
    put_text_c(out, "status", attempt_state_name(t->state));
    if (t->exit_code >= 0 && attempt_state_is_final(t->state)) {
        put_i64(out, "exit_code", t->exit_code);
    } else {
        put_null(out, "exit_code");
    }
    if (t->term_signal != 0) {
        put_i64(out, "signal", t->term_signal);
    } else {
        put_null(out, "signal");
    }
    if (t->pid != 0) {
        put_u64(out, "pid", t->pid);
    } else {
        put_null(out, "pid");
    }
    put_instant(out, "requested_at", t->requested_ms);
    put_instant(out, "started_at", t->started_ms);
    put_instant(out, "finished_at", t->finished_ms);
    put_duration(out, t->started_ms, t->finished_ms);
    put_u64(out, "output_bytes", t->output_bytes);
    put_bool(out, "output_truncated", t->output_truncated);
    put_u64(out, "survivors", t->survivors);
    put_text_or_null(out, "error", t->error);
    if (t->outputs.len != 0) {
        put_raw(out, "outputs", t->outputs);
    } else {
        put_null(out, "outputs");
    }
    put_close(out, '}');
}

/* Without an attempt it waits for its turn, or never had one. */
static const char *state_of_step(const struct workflow_row *w,
                                 const struct attempt_row *attempts,
                                 uint32_t count)
{
    if (count != 0) {
        return attempt_state_name(attempts[count - 1].state);
    }
    return workflow_status_is_final(w->status)
               ? attempt_state_name(ATTEMPT_SKIPPED)
               : "pending";
}

/* The caller has opened the object and closes it. */
static void put_step_is(struct strbuf *out, const struct runbook *rb,
                        uint32_t no)
{
    const struct step *step =
        rb != NULL && no < rb->step_count ? &rb->steps[no] : NULL;
    put_text_or_null(out, "name", step != NULL ? step->name : STR(""));
    put_u64(out, "index", no);
    put_text_or_null(out, "section",
                     step != NULL ? str_c(step_section_name(step->section))
                                  : STR(""));
}

static void put_attempts(struct strbuf *out, const struct attempt_row *attempts,
                         uint32_t count)
{
    put_open(out, "attempts", '[');
    for (uint32_t i = 0; i < count; i++) {
        put_attempt(out, &attempts[i]);
    }
    put_close(out, ']');
}

void workflow_put_steps(struct strbuf *out, const struct workflow_row *w,
                        const struct runbook *rb,
                        const struct attempt_row *attempts, uint32_t count)
{
    uint32_t steps = rb != NULL ? rb->step_count : 0;
    if (count != 0) {
        steps = MAX(steps, attempts[count - 1].key.step_no + 1);
    }
    uint32_t at = 0;
    put_open(out, "steps", '[');
    for (uint32_t no = 0; no < steps; no++) {
        uint32_t from = at;
        while (at < count && attempts[at].key.step_no == no) {
            at++;
        }
        put_open(out, NULL, '{');
        put_step_is(out, rb, no);
        put_text_c(out, "status", state_of_step(w, attempts + from, at - from));
        put_attempts(out, attempts + from, at - from);
        put_close(out, '}');
    }
    put_close(out, ']');
}

void workflow_put_chunk(struct strbuf *out, const struct output_chunk *chunk,
                        const struct runbook *rb)
{
    uint32_t no = chunk->key.step_no;
    put_open(out, NULL, '{');
    put_u64(out, "seq", chunk->seq);
    put_text_or_null(out, "step",
                     rb != NULL && no < rb->step_count ? rb->steps[no].name
                                                       : STR(""));
    put_u64(out, "step_index", no);
    put_u64(out, "attempt", chunk->key.attempt);
    put_text_c(out, "stream",
               chunk->stream == OUTPUT_STDERR ? "stderr" : "stdout");
    put_instant(out, "at", chunk->at_ms);
    put_bytes(out, "text", chunk->data);
    put_close(out, '}');
}
