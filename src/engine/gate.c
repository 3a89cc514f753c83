#include "engine/gate.h"

#include <errno.h>

#include "engine/engine_priv.h"
#include "expr/cel_explain.h"
#include "expr/cel_text.h"
#include "model/step_cel.h"

/* As much as the executor's START can say (wire/exec_proto.h). */
#define TOLD_MAX_BYTES (32UL * 1024)
#define WHY_MAX_BYTES 512
#define TERMS_SHOWN 5
#define TERM_MAX_BYTES 80

/* ---- what others have told ----------------------------------------------- */

/* The step of this id; the loader has made sure that there is one. */
static uint32_t find_step(const struct runbook *rb, struct str id)
{
    uint32_t no = 0;
    while (no < rb->step_count && !str_eq(rb->steps[no].id, id)) {
        no++;
    }
    return no;
}

static void add_told(const struct flow *f, struct str id, struct strbuf *out)
{
    uint32_t no = find_step(f->runbook, id);
    const struct attempt_row *a =
        no < f->runbook->step_count ? flow_result(f, no) : NULL;
    strbuf_add_json_quoted(out, id);
    strbuf_addf(out, ":{\"status\":\"%s\",\"exit_code\":%d,\"outputs\":",
                a != NULL ? attempt_state_name(a->state) : STEP_NOT_RUN,
                a != NULL ? (int)a->exit_code : -1);
    strbuf_add(out, a != NULL && a->outputs.len != 0 ? a->outputs : STR("{}"));
    strbuf_addch(out, '}');
}

int gate_told(const struct flow *f, struct arena *a, struct str *ret,
              struct err *reterr)
{
    const struct step *step = flow_step(f);
    CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT(TOLD_MAX_BYTES);
    if (step->ask_count == 0) {
        *ret = STR("");
        return 0;
    }
    strbuf_addch(&out, '{');
    for (uint32_t i = 0; i < step->ask_count; i++) {
        strbuf_addc(&out, i != 0 ? "," : "");
        add_told(f, step->asks[i], &out);
    }
    strbuf_addch(&out, '}');
    if (strbuf_error(&out) < 0) {
        return err_set(reterr, -E2BIG,
                       "the outputs of other steps that it uses are over the "
                       "limit of %lu bytes together",
                       TOLD_MAX_BYTES);
    }
    *ret = arena_str(a, strbuf_str(&out));
    return 0;
}

/* ---- when: --------------------------------------------------------------- */

static void add_cut(struct strbuf *out, struct str s)
{
    struct str shown = str_slice(s, 0, TERM_MAX_BYTES);
    while (shown.len != 0 && !str_is_utf8(shown)) {
        shown.len--;
    }
    strbuf_add_visible(out, shown);
    strbuf_addc(out, shown.len < s.len ? "..." : "");
}

/* The values that have decided: "steps.look.outputs.used is 40". */
static void add_terms(struct strbuf *out, const struct cel_explanation *x)
{
    unsigned shown = 0;
    for (uint32_t i = 1; i < x->term_count && shown < TERMS_SHOWN; i++) {
        const struct cel_term *t = &x->terms[i];
        if (t->times == 0 || cel_is_error(t->value)) {
            continue;
        }
        CLEANUP(strbuf_deinit) struct strbuf value = STRBUF_INIT(4096);
        cel_text_literal(t->value, &value);
        strbuf_addc(out, shown == 0 ? ": " : ", ");
        add_cut(out, t->text);
        strbuf_addc(out, " is ");
        add_cut(out, strbuf_str(&value));
        shown++;
    }
}

enum gate { GO, SKIP, FAIL };

static enum gate judge(struct step_input *x, const struct step *step,
                       struct arena *a, struct strbuf *why)
{
    struct cel_explanation explained;
    struct cel_budget budget = CEL_BUDGET_DEFAULT;
    struct cel_value v = cel_program_run(step->when, &x->input, budget, a);
    if (v.kind == CEL_BOOL && v.boolean) {
        return GO;
    }
    if (v.kind != CEL_BOOL) {
        strbuf_addc(why, "its condition has no value: ");
        if (cel_is_error(v)) {
            add_cut(why, v.fault->message);
        } else {
            strbuf_addf(why, "it gives a %.*s", STR_ARG(cel_text_kind(v)));
        }
        return FAIL;
    }
    cel_program_explain(step->when, &x->input, &budget, a, &explained);
    add_cut(why, cel_program_text(step->when));
    strbuf_addc(why, " is false");
    add_terms(why, &explained);
    return SKIP;
}

static enum gate decide(struct engine *e, const struct flow *f, struct arena *a,
                        struct strbuf *why)
{
    const struct step *step = flow_step(f);
    struct step_facts facts = {.workflow_id = f->row.id,
                               .created_ms = f->row.created_ms,
                               .now_ms = e->now_ms,
                               .params_json = f->row.parameters};
    struct step_input input = {0};
    struct err err = ERR_INIT;
    enum gate gate = FAIL;
    int r = gate_told(f, a, &facts.steps_json, &err);
    if (r == 0 && step->when == NULL) {
        return GO;
    }
    r = r < 0
            ? r
            : step_input_init(&input, f->runbook, step->scope, &facts, a, &err);
    if (r < 0) {
        strbuf_addc(why, err.message);
    } else {
        gate = judge(&input, step, a, why);
    }
    step_input_release(&input);
    return gate;
}

bool gate_stops(struct engine *e, struct flow *f)
{
    const struct step *step = flow_step(f);
    if ((step->when == NULL && step->ask_count == 0) ||
        flow_attempt(f) != NULL) {
        return false; /* a further attempt was decided with the first */
    }
    struct arena a = ARENA_INIT;
    CLEANUP(strbuf_deinit) struct strbuf why = STRBUF_INIT(WHY_MAX_BYTES);
    enum gate gate = decide(e, f, &a, &why);
    if (gate != GO) {
        struct attempt_row row = {
            .key = {.workflow_id = f->row.id,
                    .step_no = f->row.step_no,
                    .attempt = 1},
            .state = gate == SKIP ? ATTEMPT_SKIPPED : ATTEMPT_FAILED,
            .requested_ms = e->now_ms,
            .finished_ms = e->now_ms,
            .exit_code = -1,
            .error = strbuf_str(&why),
        };
        effects_attempt(e->fx, RECORD_ATTEMPT_NEW, flow_keep(f, &row));
    }
    arena_deinit(&a);
    return gate != GO;
}
