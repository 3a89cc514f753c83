#include "model/runbook_paths.h"

#include <string.h>

#include "model/event_json.h"

#define SEGMENTS_MAX 16
#define ENV_PREFIX STR("ADP_PARAM_")

struct path {
    const struct template_part *part;
    struct str text;
    struct str segments[SEGMENTS_MAX];
    size_t count; /* all of them, also past the array */
};

static struct path split(const struct template_part *part)
{
    struct path p = {.part = part, .text = part->text};
    struct str rest = part->text;
    struct str segment = STR_NULL;
    while (template_path_next(&rest, &segment)) {
        if (p.count < SEGMENTS_MAX) {
            p.segments[p.count] = segment;
        }
        p.count++;
    }
    return p;
}

static bool begins_with(const struct path *p, const char *name)
{
    return p->count != 0 && str_eq_c(p->segments[0], name);
}

static void suggest(struct err *e, const char *nearest)
{
    if (nearest != NULL) {
        err_hint(e, "did you mean '%s'?", nearest);
    }
}

static void unknown_param(struct loader *l, struct err *e, const char *nearest)
{
    if (nearest == NULL && l->rb->param_count == 0) {
        err_hint(e, "declare it under 'parameters:'");
    }
    suggest(e, nearest);
}

/* ---- in triggers -------------------------------------------------------- */

/* What every event has besides the fields that its sender gives. */
static const struct event_field given_fields[] = {
    {"id", "string", "the event's id"},
    {"received_at", "string", "when it was accepted, RFC 3339"},
};

static const struct event_field *find_field(struct str name,
                                            const char **ret_nearest)
{
    enum { MOST = 32 };
    size_t count = 0;
    const struct event_field *fields = event_fields(&count);
    const char *names[MOST];
    for (size_t i = 0; i < ARRAY_LEN(given_fields); i++) {
        if (str_eq_c(name, given_fields[i].name)) {
            return &given_fields[i];
        }
    }
    for (size_t i = 0; i < count && i < MOST; i++) {
        if (str_eq_c(name, fields[i].name)) {
            return &fields[i];
        }
        names[i] = fields[i].name;
    }
    *ret_nearest = str_nearest(name, names, MIN(count, (size_t)MOST));
    return NULL;
}

/* labels and annotations hold texts by name; a name with dots is quoted. */
static void check_named_text(struct loader *l, const struct yaml_node *n,
                             const char *field, const struct path *p)
{
    if (p->count == 2) {
        err_hint(loader_error_in(l, n, p->part->inside,
                                 "event.%s has several values", field),
                 "name one of them: event.%s.NAME", field);
    } else if (p->count > 3) {
        err_hint(loader_error_in(l, n, p->part->inside,
                                 "event.%s.NAME is one value, it has no "
                                 "parts",
                                 field),
                 "a name with dots is written event.%s[\"a.b\"]", field);
    }
}

/* event_lookup takes the dots of a payload path for separators. */
static void check_payload(struct loader *l, const struct yaml_node *n,
                          const struct path *p)
{
    for (size_t i = 2; i < p->count; i++) {
        if (str_find(p->segments[i], '.') >= 0) {
            (void)loader_error_in(l, n, p->part->inside,
                                  "the names in a payload path have no "
                                  "dots");
        }
    }
}

static void check_event_path(struct loader *l, const struct yaml_node *n,
                             const struct path *p)
{
    const char *nearest = NULL;
    const struct event_field *f = find_field(p->segments[1], &nearest);
    if (f == NULL) {
        suggest(loader_error_in(l, n, p->part->inside + sizeof("event"),
                                "an event has no field '%.*s'",
                                STR_ARG(p->segments[1])),
                nearest);
    } else if (strcmp(f->type, "object") == 0) {
        check_named_text(l, n, f->name, p);
    } else if (strcmp(f->type, "any") == 0) {
        check_payload(l, n, p);
    } else if (p->count > 2) {
        (void)loader_error_in(l, n, p->part->inside,
                              "event.%s is one value, it has no parts",
                              f->name);
    }
}

static void check_trigger_path(struct loader *l, const struct yaml_node *n,
                               const struct path *p)
{
    if (p->count > SEGMENTS_MAX) {
        (void)loader_error_in(l, n, p->part->inside,
                              "a path has at most %d parts", SEGMENTS_MAX);
    } else if (p->count >= 2 && begins_with(p, "event")) {
        check_event_path(l, n, p);
    } else {
        err_hint(loader_error_in(l, n, p->part->inside,
                                 "'%.*s' cannot be used in a trigger",
                                 (int)MIN(p->text.len, 80U), p->text.at),
                 "a trigger fills parameters from the event: "
                 "event.labels.NAME, event.severity");
    }
}

void paths_check_trigger(struct loader *l, const struct yaml_node *n,
                         struct template *t, const struct param *param)
{
    for (uint32_t i = 0; i < t->count; i++) {
        struct template_part *part = &t->parts[i];
        if (part->kind == TEMPLATE_TEXT) {
            continue;
        }
        struct path p = split(part);
        if (part->kind == TEMPLATE_PATH && !str_eq_c(p.text, "now")) {
            check_trigger_path(l, n, &p);
        } else if (!exprs_compile_trigger(l, n, t, part, yaml_text(n), param)) {
            return;
        }
    }
}

/* ---- in steps ----------------------------------------------------------- */

static void check_param_path(struct loader *l, const struct yaml_node *n,
                             const struct path *path)
{
    struct str name = path->segments[1];
    const char *nearest = NULL;
    const struct param *p = runbook_param(l->rb, name, &nearest);
    uint32_t at = path->part->inside;
    if (p == NULL) {
        unknown_param(l,
                      loader_error_in(l, n, at + sizeof("parameters"),
                                      "no parameter '%.*s' is declared",
                                      (int)MIN(name.len, 64U), name.at),
                      nearest);
    } else if (!p->required && !p->has_default) {
        err_hint(loader_error_in(l, n, at,
                                 "parameter '%.*s' may have no value here",
                                 STR_ARG(name)),
                 "give it a default, or write required: true, or "
                 "parameters.?%.*s.orValue(...)",
                 STR_ARG(name));
    }
}

static void check_step_path(struct loader *l, const struct yaml_node *n,
                            struct template_part *part)
{
    struct path p = split(part);
    if (p.count == 2 && begins_with(&p, "parameters")) {
        check_param_path(l, n, &p);
        return;
    }
    if (str_eq_c(p.text, "workflow.id")) {
        return;
    }
    if (begins_with(&p, "parameters") || begins_with(&p, "workflow") ||
        begins_with(&p, "steps") || str_eq_c(p.text, "now")) {
        (void)exprs_compile_step(l, n, part, yaml_text(n));
        return;
    }
    struct err *e =
        loader_error_in(l, n, part->inside, "'%.*s' cannot be used in a step",
                        (int)MIN(p.text.len, 80U), p.text.at);
    if (begins_with(&p, "event")) {
        err_hint(e, "declare a parameter, fill it in the trigger's "
                    "'parameters:' and use ${{ parameters.NAME }} here");
    } else {
        err_hint(e, "a step may use parameters.NAME, steps.ID.outputs.NAME, "
                    "workflow.id and now");
    }
}

void paths_check_step(struct loader *l, const struct yaml_node *n,
                      struct template *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        struct template_part *part = &t->parts[i];
        if (part->kind == TEMPLATE_PATH) {
            check_step_path(l, n, part);
        } else if (part->kind == TEMPLATE_EXPR &&
                   !exprs_compile_step(l, n, part, yaml_text(n))) {
            return;
        }
    }
}

/* The name that the variable of a parameter has: SERVICE for service. */
static void add_upper(struct strbuf *out, struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        strbuf_addch(out, c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c);
    }
}

/* The secret parameter that the part may give, or NULL. */
static const struct param *secret_of(struct loader *l,
                                     const struct template_part *part)
{
    const char *nearest = NULL;
    if (part->program != NULL) {
        return exprs_secret(l->rb, part->program);
    }
    if (part->kind != TEMPLATE_PATH) {
        return NULL;
    }
    struct path p = split(part);
    const struct param *param =
        p.count == 2 && begins_with(&p, "parameters")
            ? runbook_param(l->rb, p.segments[1], &nearest)
            : NULL;
    return param != NULL && param->secret ? param : NULL;
}

/* Every local user can read the arguments of a process. */
void paths_check_argument(struct loader *l, const struct yaml_node *n,
                          struct template *t)
{
    paths_check_step(l, n, t);
    for (uint32_t i = 0; i < t->count; i++) {
        const struct param *param = secret_of(l, &t->parts[i]);
        if (param == NULL) {
            continue;
        }
        struct err *e = loader_error_in(l, n, t->parts[i].inside,
                                        "'%.*s' is secret: everybody on the "
                                        "host can read the arguments of a "
                                        "process",
                                        STR_ARG(param->name));
        struct strbuf name = STRBUF_INIT(RUNBOOK_WORD_MAX_BYTES);
        add_upper(&name, param->name);
        err_hint(e, "have the step read the variable $ADP_PARAM_%s",
                 strbuf_str(&name).len != 0 ? name.at : "NAME");
        strbuf_deinit(&name);
    }
}

/* ---- in shell text ------------------------------------------------------ */

/* The first path in the command, if it can be read: the hint names it. */
static void hint_for_command(struct err *e, struct loader *l,
                             struct str command)
{
    struct template t = {0};
    struct cel_issue ignored = CEL_ISSUE_INIT;
    struct path p = {0};
    if (template_parse(command, &l->rb->arena, &t, &ignored) == 0) {
        for (uint32_t i = 0; p.count == 0 && i < t.count; i++) {
            p = t.parts[i].kind == TEMPLATE_PATH ? split(&t.parts[i]) : p;
        }
    }
    if (p.count == 2 && str_eq_c(p.segments[0], "parameters")) {
        struct strbuf name = STRBUF_INIT(64);
        add_upper(&name, p.segments[1]);
        err_hint(e, "write \"$ADP_PARAM_%s\" in the command, or use argv:",
                 strbuf_str(&name).len != 0 ? name.at : "NAME");
        strbuf_deinit(&name);
    } else if (str_eq_c(p.text, "workflow.id")) {
        err_hint(e, "set a variable under env: (WORKFLOW_ID: "
                    "${{ workflow.id }}) and write \"$WORKFLOW_ID\"");
    } else {
        err_hint(e, "declare a parameter, fill it in the trigger's "
                    "'parameters:' and write \"$ADP_PARAM_NAME\", or use "
                    "argv:");
    }
}

static size_t variable_len(struct str s)
{
    size_t n = 0;
    while (n < s.len &&
           ((s.at[n] >= 'A' && s.at[n] <= 'Z') ||
            (s.at[n] >= '0' && s.at[n] <= '9') || s.at[n] == '_')) {
        n++;
    }
    return n;
}

static void check_variable(struct loader *l, const struct yaml_node *n,
                           struct str upper)
{
    struct strbuf name = STRBUF_INIT(RUNBOOK_WORD_MAX_BYTES);
    for (size_t i = 0; i < upper.len; i++) {
        char c = upper.at[i];
        strbuf_addch(&name, c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
    }
    const char *nearest = NULL;
    if (runbook_param(l->rb, strbuf_str(&name), &nearest) == NULL) {
        unknown_param(l,
                      loader_error(l, n, "no parameter '%.*s' is declared",
                                   (int)MIN(name.len, 64U), name.at),
                      nearest);
    }
    strbuf_deinit(&name);
}

void paths_check_command(struct loader *l, const struct yaml_node *n,
                         struct str command)
{
    if (template_is_dynamic(command)) {
        hint_for_command(loader_error(l, n,
                                      "a shell command is constant "
                                      "text: ${{ }} has no place in "
                                      "it"),
                         l, command);
    }
    struct str rest = command;
    for (;;) {
        const char *at =
            memmem(rest.at, rest.len, ENV_PREFIX.at, ENV_PREFIX.len);
        if (at == NULL) {
            return;
        }
        size_t start = (size_t)(at - rest.at) + ENV_PREFIX.len;
        rest = str_slice(rest, start, rest.len);
        size_t len = variable_len(rest);
        if (len != 0) {
            check_variable(l, n, str_slice(rest, 0, len));
        }
    }
}
