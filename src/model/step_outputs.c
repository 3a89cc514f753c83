#include "model/step_outputs.h"

#include <errno.h>
#include <math.h>

#include "base/strbuf.h"
#include "data/json.h"
#include "expr/cel_json.h"
#include "expr/cel_text.h"
#include "expr/template.h"
#include "expr/utf8.h"

/* What all outputs of a step may use together. */
#define OUTPUTS_BUDGET                                                         \
    ((struct cel_budget){.units = 1000000, .bytes = 4096UL * 1024})

#define REPLACEMENT STR("\xEF\xBF\xBD")

enum variable { EXIT_CODE, OUT, ERR, JSON, VARIABLES };

static const struct cel_variable variables[VARIABLES] = {
    [EXIT_CODE] = {{"exit_code", sizeof("exit_code") - 1}, &cel_type_int},
    [OUT] = {{"stdout", sizeof("stdout") - 1}, &cel_type_string},
    [ERR] = {{"stderr", sizeof("stderr") - 1}, &cel_type_string},
    [JSON] = {{"json", sizeof("json") - 1}, &cel_type_dyn},
};

const struct cel_env *step_outputs_env(void)
{
    static const struct cel_env env = {.variables = variables,
                                       .variable_count = VARIABLES,
                                       .limits = CEL_LIMITS_DEFAULT};
    return &env;
}

struct ending {
    const struct step_ending *end;
    struct arena *arena;
    struct cel_value values[VARIABLES];
    bool has_json; /* the value is there, an error or not */
};

/* A character of several bytes at i of the text; 0: there is none. */
static size_t sequence_at(struct str s, size_t i)
{
    for (size_t n = 2; n <= 4 && i + n <= s.len; n++) {
        if (str_is_utf8(str_slice(s, i, i + n))) {
            return n;
        }
    }
    return 0;
}

static struct str readable(struct str s, struct arena *a)
{
    if (str_is_utf8(s) && str_find(s, '\0') < 0) {
        return s;
    }
    struct strbuf out = STRBUF_INIT(3 * STEP_STREAM_MAX_BYTES);
    for (size_t i = 0; i < s.len;) {
        unsigned char c = (unsigned char)s.at[i];
        size_t n = c >= 0x80 ? sequence_at(s, i) : c != 0 ? 1 : 0;
        strbuf_add(&out, n != 0 ? str_slice(s, i, i + n) : REPLACEMENT);
        i += n != 0 ? n : 1;
    }
    struct str copy = arena_str(a, strbuf_str(&out));
    strbuf_deinit(&out);
    return copy;
}

static struct cel_value read_json(struct ending *e, struct cel_run *run)
{
    json_auto_t *json = NULL;
    struct err err = ERR_INIT;
    struct str text = cel_text(e->values[OUT]);
    if (json_read(text, NULL, &json, &err) < 0) {
        return cel_fail(run, CEL_FAULT_ARGUMENT,
                        "stdout is not JSON: %u:%u: %s%s", err.at.line,
                        err.at.column, err.message,
                        e->end->is_cut ? " (only its beginning was kept)" : "");
    }
    return cel_json_read(json, e->arena);
}

static struct cel_value give(void *context, uint32_t index, struct cel_run *run)
{
    struct ending *e = context;
    if (index == JSON && !e->has_json) {
        struct cel_value v = read_json(e, run);
        if (cel_is_error(v)) {
            return v; /* its place is that of the expression that asks */
        }
        e->values[JSON] = v;
        e->has_json = true;
    }
    return e->values[index];
}

/* Only what comes back from JSON as it was. */
static int check_kind(struct cel_value v, struct err *reterr)
{
    bool is_plain = v.kind == CEL_BOOL || v.kind == CEL_INT ||
                    v.kind == CEL_STRING || v.kind == CEL_LIST ||
                    v.kind == CEL_MAP || v.kind == CEL_UINT;
    if (is_plain || (v.kind == CEL_DOUBLE && isfinite(v.d))) {
        return 0;
    }
    return err_set(reterr, -ENODATA, "it gives a %.*s: write string(x)",
                   STR_ARG(cel_text_kind(v)));
}

static int eval(struct ending *e, const struct step_output *o,
                struct cel_budget *budget, struct strbuf *out,
                struct err *reterr)
{
    const struct cel_input input = {.variable = give, .context = e};
    const struct template_part part = {.kind = TEMPLATE_EXPR,
                                       .expr = cel_program_text(o->value),
                                       .source = cel_program_text(o->value),
                                       .program = o->value};
    struct cel_value v = cel_null();
    int r = template_eval(&part, &input, budget, e->arena, &v, reterr);
    if (r == -ENOENT) {
        r = err_set(reterr, -ENODATA, "it gives null or nothing");
    }
    r = r < 0 ? r : check_kind(v, reterr);
    if (r == 0) {
        cel_json_write(v, out);
    }
    return r;
}

static int add_output(struct ending *e, const struct step_output *o,
                      struct cel_budget *budget, struct strbuf *out,
                      struct err *reterr)
{
    CLEANUP(strbuf_deinit)
    struct strbuf value = STRBUF_INIT(STEP_OUTPUTS_MAX_BYTES);
    int r = eval(e, o, budget, &value, reterr);
    json_auto_t *again = NULL;
    struct err err = ERR_INIT;
    if (r == 0 && value.full) {
        r = err_set(reterr, -E2BIG, "it is over the limit of %u bytes",
                    STEP_OUTPUTS_MAX_BYTES);
    } else if (r == 0 &&
               json_read(strbuf_str(&value), NULL, &again, &err) < 0) {
        r = err_set(reterr, -ENODATA, "it cannot be told: %s", err.message);
    }
    if (r < 0) {
        return err_wrap(reterr, "output '%.*s'", STR_ARG(o->name));
    }
    strbuf_addc(out, out->len > 1 ? "," : "");
    strbuf_add_json_quoted(out, o->name);
    strbuf_addch(out, ':');
    strbuf_add(out, strbuf_str(&value));
    return 0;
}

int step_outputs_eval(const struct step *step, const struct step_ending *end,
                      bool lenient, struct arena *a, struct str *ret_json,
                      struct err *reterr)
{
    struct ending e = {.end = end, .arena = a};
    struct cel_budget budget = OUTPUTS_BUDGET;
    CLEANUP(strbuf_deinit)
    struct strbuf out = STRBUF_INIT(STEP_OUTPUTS_MAX_BYTES);
    e.values[EXIT_CODE] = cel_int(end->exit_code);
    e.values[OUT] = cel_string(readable(end->out, a));
    e.values[ERR] = cel_string(readable(end->err, a));
    strbuf_addch(&out, '{');
    for (uint32_t i = 0; i < step->output_count; i++) {
        struct err err = ERR_INIT;
        int r = add_output(&e, &step->outputs[i], &budget, &out, &err);
        if (r < 0 && !lenient) {
            *reterr = err;
            return r;
        }
    }
    strbuf_addch(&out, '}');
    if (strbuf_error(&out) < 0) {
        return err_set(reterr, -E2BIG,
                       "the outputs are over their limit of %u bytes together",
                       STEP_OUTPUTS_MAX_BYTES);
    }
    *ret_json =
        step->output_count != 0 ? arena_str(a, strbuf_str(&out)) : STR("");
    return 0;
}
