#include "model/params.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/strbuf.h"
#include "data/json.h"
#include "model/runbook_load_priv.h"
#include "model/runbook_paths.h"
#include "model/step_cel.h"

/* The kernel's limits are 128 KiB for one text and, with the usual stack
 * limit, 2 MiB for all: a step that would meet them is refused here, with a
 * message. */
#define TEXT_MAX_BYTES (64 * 1024)
#define TOTAL_MAX_BYTES (1024 * 1024)
#define ENV_NAME_MAX_BYTES 128

/* What the expressions of one step may use together. */
#define STEP_BUDGET                                                            \
    ((struct cel_budget){.units = 1000000, .bytes = 4096UL * 1024})

struct render {
    const struct runbook *rb;
    struct str params_json;
    bool preview;
    char workflow_id[ID_TEXT_SIZE];
    struct arena *arena;
    size_t total_bytes;
    struct step_input input; /* when the step has expressions */
    struct cel_budget budget;
};

/* As params_text; in a preview a secret is its mask. */
static int param_text(struct render *r, struct str name, struct arena *a,
                      struct str *ret)
{
    const char *nearest = NULL;
    const struct param *p = runbook_param(r->rb, name, &nearest);
    if (!r->preview || p == NULL || !p->secret) {
        return params_text(r->rb, r->params_json, name, a, ret);
    }
    json_auto_t *object = NULL;
    struct err ignored = ERR_INIT;
    if (json_read(r->params_json, NULL, &object, &ignored) < 0 ||
        json_object_get(object, p->name.at) == NULL) {
        return -ENOENT;
    }
    *ret = STR(PARAM_MASK);
    return 0;
}

static int lookup(struct render *r, struct str path, struct arena *a,
                  struct str *ret)
{
    struct str root = STR_NULL;
    struct str name = STR_NULL;
    if (str_eq(path, STR("workflow.id"))) {
        *ret = str_c(r->workflow_id);
        return 0;
    }
    if (!template_path_next(&path, &root) || !str_eq_c(root, "parameters") ||
        !template_path_next(&path, &name)) {
        return -ENOENT;
    }
    return param_text(r, name, a, ret);
}

/* Has it no value in this preview, but will have one? */
static bool is_awaited(struct render *r, const struct cel_use *use)
{
    const char *nearest = NULL;
    struct str ignored = STR_NULL;
    if (!str_eq_c(use->names[0], "parameters")) {
        return str_eq_c(use->names[0], "steps") ||
               str_eq_c(use->names[0], "now");
    }
    const struct param *p =
        use->count > 1 ? runbook_param(r->rb, use->names[1], &nearest) : NULL;
    return p != NULL && p->required &&
           param_text(r, p->name, r->arena, &ignored) < 0;
}

/* What a preview shows instead of a value that it has not or must not show;
 * STR_NULL when it has it. */
static struct str stand_in(struct render *r, const struct template_part *part)
{
    const struct cel_uses *uses = cel_program_uses(part->program);
    for (uint32_t i = 0; i < uses->count; i++) {
        if (is_awaited(r, &uses->items[i])) {
            return part->source;
        }
    }
    return exprs_secret(r->rb, part->program) != NULL ? STR(PARAM_MASK)
                                                      : STR_NULL;
}

static int part_text(void *context, const struct template_part *part,
                     struct arena *a, struct str *ret, struct err *reterr)
{
    struct render *r = context;
    if (part->program == NULL) {
        int rc = lookup(r, part->text, a, ret);
        if (rc == -ENOENT && r->preview) {
            *ret = part->source;
            rc = 0;
        }
        return rc;
    }
    struct str shown = r->preview ? stand_in(r, part) : STR_NULL;
    if (shown.at != NULL) {
        *ret = shown;
        return 0;
    }
    struct cel_value v = cel_null();
    int rc = template_eval(part, &r->input.input, &r->budget, a, &v, reterr);
    return rc < 0 ? rc : template_value_text(v, a, ret, reterr);
}

static int fill(struct render *r, const struct template *t, struct str *ret,
                struct err *reterr)
{
    const struct template_source from = {.text = part_text, .context = r};
    int rc = template_fill(t, &from, TEXT_MAX_BYTES, r->arena, ret, reterr);
    if (rc < 0) {
        return rc;
    }
    if (str_find(*ret, '\0') >= 0) {
        return err_set(reterr, -EINVAL,
                       "an expression gives a text with a NUL, which no "
                       "argument or variable can hold");
    }
    r->total_bytes += ret->len + 1;
    if (r->total_bytes > TOTAL_MAX_BYTES) {
        return err_set(reterr, -E2BIG,
                       "the arguments and variables of the step are over "
                       "their limit of %d bytes",
                       TOTAL_MAX_BYTES);
    }
    return 0;
}

/* A program would take what an expression gives for an option. (The value of
 * a parameter was checked by its declaration.) */
static int check_option(const struct template *t, struct str text,
                        bool options_over, struct err *reterr)
{
    bool is_given = t->count != 0 && t->parts[0].kind != TEMPLATE_TEXT;
    bool is_checked = true;
    for (uint32_t i = 0; i < t->count; i++) {
        is_checked = is_checked && t->parts[i].program == NULL;
    }
    if (options_over || !is_given || is_checked || text.len == 0 ||
        text.at[0] != '-') {
        return 0;
    }
    err_hint(reterr, "put \"--\" in front of it if the program ends its "
                     "options there");
    return err_set(reterr, -EINVAL,
                   "an expression gives an argument that starts with '-'");
}

static int render_argv(struct render *r, const struct step *s, char ***ret,
                       struct err *reterr)
{
    if (s->action == ACTION_WAIT) {
        *ret = ARENA_ARRAY(r->arena, 1, char *);
        return r->preview ? 0
                          : err_set(reterr, -EINVAL, "this step runs nothing");
    }
    if (s->argc == 0) {
        char **argv = ARENA_ARRAY(r->arena, 4, char *);
        argv[0] = arena_strdup(r->arena, STR("/bin/sh"));
        argv[1] = arena_strdup(r->arena, STR("-c"));
        argv[2] = arena_strdup(r->arena, s->command);
        *ret = argv;
        return 0;
    }
    char **argv = ARENA_ARRAY(r->arena, s->argc + 1, char *);
    bool options_over = false;
    for (uint32_t i = 0; i < s->argc; i++) {
        struct str text = STR_NULL;
        int rc = fill(r, &s->argv[i], &text, reterr);
        rc =
            rc < 0 ? rc : check_option(&s->argv[i], text, options_over, reterr);
        if (rc < 0) {
            (void)err_wrap(reterr, "argv[%u]", (unsigned)i);
            return rc;
        }
        options_over =
            options_over ||
            (s->argv[i].count == 1 && str_eq_c(s->argv[i].parts[0].text, "--"));
        argv[i] = arena_strdup(r->arena, text);
    }
    *ret = argv;
    return 0;
}

static char *env_entry(struct render *r, struct str name, struct str value)
{
    char *entry = ARENA_ARRAY(r->arena, name.len + value.len + 2, char);
    memcpy(entry, name.at, name.len);
    entry[name.len] = '=';
    if (value.len != 0) {
        memcpy(entry + name.len + 1, value.at, value.len);
    }
    return entry;
}

/* ADP_PARAM_SERVICE=nginx for service; NULL for a parameter without value, so
 * that `set -u` in a script finds it unset. */
static char *param_entry(struct render *r, const struct param *p)
{
    struct str value = STR_NULL;
    if (param_text(r, p->name, r->arena, &value) < 0) {
        return NULL;
    }
    CLEANUP(strbuf_deinit) struct strbuf name = STRBUF_INIT(ENV_NAME_MAX_BYTES);
    strbuf_addc(&name, "ADP_PARAM_");
    for (size_t i = 0; i < p->name.len; i++) {
        char c = p->name.at[i];
        strbuf_addch(&name, c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c);
    }
    return env_entry(r, strbuf_str(&name), value);
}

static int render_env(struct render *r, const struct step *s, char ***ret,
                      struct err *reterr)
{
    size_t most = (size_t)r->rb->param_count + s->env_count;
    char **env = ARENA_ARRAY(r->arena, most + 1, char *);
    size_t count = 0;
    for (uint32_t i = 0; i < r->rb->param_count; i++) {
        char *entry = param_entry(r, &r->rb->params[i]);
        if (entry != NULL) {
            env[count++] = entry;
        }
    }
    for (uint32_t i = 0; i < s->env_count; i++) {
        struct str text = STR_NULL;
        int rc = fill(r, &s->env[i].value, &text, reterr);
        if (rc < 0) {
            (void)err_wrap(reterr, "env %.*s", STR_ARG(s->env[i].name));
            return rc;
        }
        env[count++] = env_entry(r, s->env[i].name, text);
    }
    *ret = env;
    return 0;
}

/* The values are checked again, whoever sent them: this runs in the executor,
 * which believes nothing that it is told. */
static int check_values(const struct runbook *rb,
                        const struct step_values *values, struct arena *a,
                        struct str *ret, struct err *reterr)
{
    json_auto_t *object = NULL;
    struct params_missing missing;
    int r = json_read(values->params_json, NULL, &object, reterr);
    if (r == 0 && values->preview) {
        return params_preview(rb, object, a, ret, &missing, reterr);
    }
    return r < 0 ? r : params_check(rb, object, a, ret, reterr);
}

static int open_input(struct render *r, const struct step *step,
                      const struct step_values *values, struct err *reterr)
{
    const struct step_facts facts = {
        .workflow_id = values->workflow_id,
        .created_ms = values->created_ms,
        .now_ms = values->now_ms,
        .params_json = r->params_json,
        .steps_json = values->steps_json,
    };
    return step->scope == NULL ? 0
                               : step_input_init(&r->input, r->rb, step->scope,
                                                 &facts, r->arena, reterr);
}

int step_render(const struct runbook *rb, uint32_t step_no,
                const struct step_values *values, struct arena *a,
                struct rendered_step *ret, struct err *reterr)
{
    if (step_no >= rb->step_count) {
        return err_set(reterr, -EINVAL, "the runbook has %u steps, not %llu",
                       (unsigned)rb->step_count,
                       (unsigned long long)step_no + 1);
    }
    const struct step *step = &rb->steps[step_no];
    struct render r = {.rb = rb,
                       .arena = a,
                       .preview = values->preview,
                       .budget = STEP_BUDGET};
    struct rendered_step rendered = {0};
    id_format(values->workflow_id, ID_PREFIX_WORKFLOW, r.workflow_id);
    int rc = check_values(rb, values, a, &r.params_json, reterr);
    rc = rc < 0 ? rc : open_input(&r, step, values, reterr);
    rc = rc < 0 ? rc : render_argv(&r, step, &rendered.argv, reterr);
    rc = rc < 0 ? rc : render_env(&r, step, &rendered.env, reterr);
    step_input_release(&r.input);
    if (rc == 0) {
        *ret = rendered;
    }
    return rc;
}
