#include "api/runbook_json.h"

#include "api/put.h"
#include "match/twins.h"
#include "model/params.h"
#include "model/params_value.h"

static void put_default(struct strbuf *out, const struct param *p)
{
    if (!p->has_default) {
        put_null(out, "default");
    } else if (p->secret) {
        put_text_c(out, "default", "***");
    } else {
        put_raw(out, "default", STR(""));
        param_add_json(p, p->default_text, out);
    }
}

static void put_param(struct strbuf *out, const struct param *p)
{
    put_open(out, NULL, '{');
    put_text(out, "name", p->name);
    put_text_c(out, "type", param_type_name(p->type));
    put_bool(out, "required", p->required);
    put_default(out, p);
    put_text_or_null(out, "description", p->description);
    if (p->secret) {
        put_bool(out, "secret", true);
    }
    if (p->type == PARAM_ENUM) {
        put_open(out, "values", '[');
        for (uint32_t i = 0; i < p->value_count; i++) {
            put_text(out, NULL, p->values[i]);
        }
        put_close(out, ']');
    }
    put_close(out, '}');
}

/* disabled: the setting that says so, or NULL. */
static void put_enabled(struct strbuf *out, const struct setting_row *disabled)
{
    struct str reason = STR("null");
    if (disabled != NULL && !str_eq_c(disabled->value, "\"\"")) {
        reason = disabled->value;
    }
    put_bool(out, "enabled", disabled == NULL);
    put_instant(out, "disabled_at", disabled != NULL ? disabled->at_ms : 0);
    put_text_or_null(out, "disabled_by",
                     disabled != NULL ? disabled->by : STR(""));
    put_raw(out, "disabled_reason", reason);
}

/* One that is disabled starts with no event. */
static bool is_enabled(const void *controls, struct str path)
{
    return controls_disabled(controls, path) == NULL;
}

bool runbook_put_twin(struct strbuf *out, const struct runbook_view *v)
{
    struct err e = ERR_INIT;
    struct twin t =
        generation_twin(v->generation, v->file, is_enabled, v->controls);
    if (t.kind == TWIN_NONE) {
        return false;
    }
    twin_explain(&t, &e);
    put_problem(out, v->file->path, &e);
    return true;
}

static void put_warnings(struct strbuf *out, const struct runbook_view *v)
{
    const struct generation_file *f = v->file;
    put_open(out, "warnings", '[');
    for (uint32_t i = 0; f->state == FILE_LOADED && i < f->problem_count; i++) {
        put_problem(out, f->path, &f->problems[i]);
    }
    (void)runbook_put_twin(out, v);
    put_close(out, ']');
}

/* One that the executor will not run is not well, whatever else it is. */
static const char *state_of(const struct runbook_view *v)
{
    return v->refusal.len != 0             ? "refused"
           : v->file->state == FILE_LOADED ? "loaded"
                                           : "last_known_good";
}

void runbook_put(struct strbuf *out, const struct runbook_view *v)
{
    const struct runbook *rb = v->file->runbook;
    put_open(out, NULL, '{');
    put_text(out, "path", rb->path);
    put_text(out, "name", rb->name);
    put_text_or_null(out, "category", rb->category);
    put_text_or_null(out, "description", rb->description);
    put_hash(out, "hash", rb->hash.bytes);
    put_text_c(out, "state", state_of(v));
    put_text_or_null(out, "refusal", v->refusal);
    put_u64(out, "steps", rb->step_count);
    put_u64(out, "triggers", rb->trigger_count);
    put_open(out, "parameters", '[');
    for (uint32_t i = 0; i < rb->param_count; i++) {
        put_param(out, &rb->params[i]);
    }
    put_close(out, ']');
    put_u64(out, "concurrency", rb->max_concurrent);
    if (rb->timeout_ms != 0) {
        put_seconds(out, "timeout_seconds", rb->timeout_ms);
    } else {
        put_null(out, "timeout_seconds");
    }
    put_enabled(out, controls_disabled(v->controls, v->file->path));
    put_warnings(out, v);
    put_close(out, '}');
}

void runbook_put_errors(struct strbuf *out, const struct generation_file *f)
{
    put_open(out, "errors", '[');
    for (uint32_t i = 0; i < f->problem_count; i++) {
        put_problem(out, f->path, &f->problems[i]);
    }
    put_close(out, ']');
}

void runbook_put_rejected(struct strbuf *out, const struct generation_file *f)
{
    put_open(out, NULL, '{');
    put_text(out, "path", f->path);
    runbook_put_errors(out, f);
    put_close(out, '}');
}

static void put_strings(struct strbuf *out, const char *key, char *const *list)
{
    put_open(out, key, '[');
    for (size_t i = 0; list[i] != NULL; i++) {
        put_bytes(out, NULL, str_c(list[i]));
    }
    put_close(out, ']');
}

/* "NAME=value" entries as an object. */
static void put_env(struct strbuf *out, char *const *env)
{
    put_open(out, "env", '{');
    for (size_t i = 0; env[i] != NULL; i++) {
        struct str entry = str_c(env[i]);
        ptrdiff_t equals = str_find(entry, '=');
        size_t len = equals >= 0 ? (size_t)equals : entry.len;
        put_element(out);
        strbuf_add_json_quoted(out, str_slice(entry, 0, len));
        strbuf_addch(out, ':');
        strbuf_add_json_quoted(out, str_slice(entry, len + 1, entry.len));
    }
    put_close(out, '}');
}

static void put_step(struct strbuf *out, uint32_t no, const struct step *step,
                     const struct rendered_step *r)
{
    put_open(out, NULL, '{');
    put_u64(out, "index", no);
    put_text(out, "name", step->name);
    put_text_c(out, "section", step_section_name(step->section));
    put_text_c(out, "action", step_action_name(step->action));
    if (step->action == ACTION_WAIT) {
        put_seconds(out, "for_seconds", step->wait_ms);
    } else if (step->command.len != 0) {
        put_text(out, "command", step->command);
    } else {
        put_strings(out, "argv", r->argv);
    }
    put_env(out, r->env);
    put_text_or_null(out, "run_as", step->run_as);
    put_seconds(out, "timeout_seconds", step->timeout_ms);
    put_u64(out, "max_attempts", step->max_attempts);
    put_bool(out, "continue_on_error", step->continue_on_error);
    put_text_or_null(out, "when",
                     step->when != NULL ? cel_program_text(step->when)
                                        : STR(""));
    put_open(out, "outputs", '{');
    for (uint32_t i = 0; i < step->output_count; i++) {
        const char *name = step->outputs[i].name.at;
        put_text(out, name, cel_program_text(step->outputs[i].value));
    }
    put_close(out, '}');
    put_close(out, '}');
}

/* As they run when all goes well; then what only runs when it does not. */
static const enum step_section expected_order[] = {
    SECTION_DIAGNOSE, SECTION_STEPS,    SECTION_VERIFY,
    SECTION_FINALLY,  SECTION_ROLLBACK, SECTION_ON_FAILURE};

_Static_assert(ARRAY_LEN(expected_order) == STEP_SECTIONS,
               "every section is in a plan");

int runbook_put_plan(struct strbuf *out, const struct runbook *rb,
                     struct id workflow_id, struct str parameters,
                     struct err *reterr)
{
    struct arena a = ARENA_INIT;
    struct step_values values = {
        .workflow_id = workflow_id,
        .params_json = params_masked(rb, parameters, &a),
        .preview = true,
    };
    int r = 0;
    put_open(out, "plan", '[');
    for (size_t s = 0; s < ARRAY_LEN(expected_order); s++) {
        for (uint32_t i = 0; r == 0 && i < rb->step_count; i++) {
            struct rendered_step rendered;
            if (rb->steps[i].section != expected_order[s]) {
                continue;
            }
            r = step_render(rb, i, &values, &a, &rendered, reterr);
            if (r == 0) {
                put_step(out, i, &rb->steps[i], &rendered);
            }
        }
    }
    put_close(out, ']');
    arena_deinit(&a);
    return r;
}
