#include "proc/run_plan_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "model/params.h"

#define ENV_MAX 512
#define BASE_PATH                                                              \
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

void run_plan_deinit(struct run_plan *p)
{
    runbook_unref(p->runbook);
    permit_deinit(&p->as);
    arena_deinit(&p->arena);
}

static int plan_folder(struct run *r, struct run_plan *p, struct err *reterr)
{
    int e = folder_take(&r->x->folders, p->as.has_user ? &p->as.user : NULL,
                        &r->folder);
    return e < 0 ? err_set(reterr, e, "cannot make the step's folder: %s",
                           strerror(-e))
                 : 0;
}

static char *entry(struct run_plan *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

static char *entry(struct run_plan *p, const char *fmt, ...)
{
    struct strbuf text = STRBUF_INIT(4096);
    va_list args;
    va_start(args, fmt);
    strbuf_addv(&text, fmt, args);
    va_end(args);
    char *copy = arena_strdup(&p->arena, strbuf_str(&text));
    strbuf_deinit(&text);
    return copy;
}

static bool is_named_like(const char *a, const char *b)
{
    size_t len = strcspn(a, "=");
    return len == strcspn(b, "=") && memcmp(a, b, len) == 0;
}

static bool has_name(char *const *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (is_named_like(list[i], name)) {
            return true;
        }
    }
    return false;
}

static size_t add_env(char **env, size_t count, char *const *more, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!has_name(env, count, more[i])) {
            env[count++] = more[i];
        }
    }
    return count;
}

/* From nothing: what is ours alone, what the runbook gives, and our defaults
 * for what it did not. Each name once, because which of two entries counts is
 * every program's own choice. */
static int plan_env(struct run *r, struct run_plan *p, struct err *reterr)
{
    char id[ID_TEXT_SIZE];
    char folder[FOLDER_NAME_SIZE];
    id_format(r->key.workflow_id, ID_PREFIX_WORKFLOW, id);
    folder_name(&r->folder, folder);
    size_t given = 0;
    while (p->step.env[given] != NULL) {
        given++;
    }
    if (given > ENV_MAX) {
        return err_set(reterr, -E2BIG, "the step has over %d variables",
                       ENV_MAX);
    }
    char *ours[] = {
        entry(p, "ADP_WORKFLOW_ID=%s", id),
        entry(p, "ADP_STEP=%u", r->key.step_no + 1),
        entry(p, "ADP_ATTEMPT=%u", r->key.attempt),
        entry(p, "ADP_IDEMPOTENCY_KEY=%s.%u", id, r->key.step_no + 1),
        entry(p, "%s", r->mark),
        entry(p, "%s", r->x->mark),
    };
    char *defaults[] = {
        entry(p, BASE_PATH),
        entry(p, "LANG=C.UTF-8"),
        entry(p, "TMPDIR=%s/%s", r->x->options.work, folder),
        p->as.has_user ? entry(p, "HOME=%s", p->as.user.home)
                       : entry(p, "HOME=%s/%s", r->x->options.work, folder),
    };
    size_t room = ARRAY_LEN(ours) + given + ARRAY_LEN(defaults) + 1;
    p->env = ARENA_ARRAY(&p->arena, room, char *);
    size_t count = 0;
    count = add_env(p->env, count, ours, ARRAY_LEN(ours));
    count = add_env(p->env, count, p->step.env, given);
    count = add_env(p->env, count, defaults, ARRAY_LEN(defaults));
    ASSERT(count < room);
    return 0;
}

static void plan_secrets(struct run *r, struct run_plan *p, struct str json)
{
    for (uint32_t i = 0; i < p->runbook->param_count; i++) {
        const struct param *param = &p->runbook->params[i];
        struct str value = STR_NULL;
        if (param->secret && params_text(p->runbook, json, param->name,
                                         &p->arena, &value) == 0) {
            redactor_add(&r->redactor, value);
        }
    }
}

static void redact_field(const struct redactor *r, char *text, size_t size)
{
    CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT(size - 1);
    redact_text(r, str_c(text), &out);
    (void)snprintf(text, size, "%.*s", STR_ARG(strbuf_str(&out)));
}

/* What is wrong with an expression quotes what it works on. */
static void redact_error(const struct run *r, struct err *e)
{
    redact_field(&r->redactor, e->message, sizeof(e->message));
    redact_field(&r->redactor, e->hint, sizeof(e->hint));
}

/* The engine's word is only which step of which runbook, and values: text and
 * shape of the command are the runbook's, as we read it ourselves. */
int run_plan_make(struct run *r, const struct exec_message *m,
                  struct run_plan *p, struct err *reterr)
{
    struct version version;
    int e = versions_get(r->x, m->start.path, &m->start.hash, &version, reterr);
    if (e < 0) {
        return e;
    }
    p->runbook = version.runbook;
    p->trust = version.trust;
    /* A step that it does not have is refused below. */
    r->last_step = r->key.step_no < p->runbook->step_count &&
                   runbook_ends_with(p->runbook, r->key.step_no);
    e = bindings_take(r->x, m, &version, reterr);
    if (e < 0) {
        return e;
    }
    struct step_values values = {
        .workflow_id = r->key.workflow_id,
        .created_ms = m->start.created_ms,
        .now_ms = m->start.now_ms,
        .params_json = m->start.parameters,
        .steps_json = m->start.steps,
    };
    plan_secrets(r, p, values.params_json);
    e = step_render(p->runbook, r->key.step_no, &values, &p->arena, &p->step,
                    reterr);
    if (e < 0) {
        redact_error(r, reterr);
    }
    e = e < 0 ? e
              : permit_step(&r->x->options, p->runbook, r->key.step_no,
                            &p->trust, &p->as, reterr);
    e = e < 0 ? e : plan_folder(r, p, reterr);
    return e < 0 ? e : plan_env(r, p, reterr);
}
