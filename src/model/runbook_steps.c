#include "model/runbook_paths.h"

#define ENV_VALUE_MAX_BYTES RUNBOOK_COMMAND_MAX_BYTES

/* What takes a step back, and what probes, runs something. */
static bool may_wait(const struct step *s)
{
    return s->section != SECTION_ROLLBACK && s->section != SECTION_VERIFY;
}

void step_read_action(struct loader *l, const struct yaml_node *n, void *object)
{
    struct step *s = object;
    struct str text = yaml_text(n);
    for (unsigned i = 0; i < STEP_ACTIONS; i++) {
        enum step_action action = (enum step_action)i;
        if (str_eq_c(text, step_action_name(action)) &&
            (action != ACTION_WAIT || may_wait(s))) {
            s->action = action;
            return;
        }
    }
    err_hint(loader_error(
                 l, n, "no action is called '%.*s'%s", (int)MIN(text.len, 60U),
                 text.at != NULL ? text.at : "", may_wait(s) ? "" : " here"),
             may_wait(s) ? "the actions are exec and wait"
                         : "the only action is exec");
}

void step_read_command(struct loader *l, const struct yaml_node *n,
                       void *object)
{
    struct step *s = object;
    if (yaml_kind(n) == YAML_SEQUENCE) {
        err_hint(loader_error(l, n, "expected a text, got a list"),
                 "a list of arguments is written under argv:");
        return;
    }
    if (loader_read_text(l, n, RUNBOOK_COMMAND_MAX_BYTES, true, &s->command)) {
        paths_check_command(l, n, s->command);
    }
}

void step_read_argv(struct loader *l, const struct yaml_node *n, void *object)
{
    struct step *s = object;
    if (!loader_is_list(l, n, RUNBOOK_MAX_ARGC)) {
        return;
    }
    size_t count = yaml_count(n);
    if (count == 0) {
        (void)loader_error(l, n, "argv needs at least the program");
        return;
    }
    s->argv = ARENA_ARRAY(&l->rb->arena, count, struct template);
    s->argc = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        const struct yaml_node *item = yaml_item(n, i);
        size_t mark = loader_enter(l, "[%zu]", i);
        if (loader_read_template(l, item, &s->argv[i])) {
            paths_check_argument(l, item, &s->argv[i]);
        }
        if (i == 0 && (yaml_text(item).len == 0 ||
                       template_is_dynamic(yaml_text(item)))) {
            (void)loader_error(l, item, "the program is constant text");
        }
        loader_leave(l, mark);
    }
}

/* ---- env: --------------------------------------------------------------- */

/* Variables that change what a shell, a loader or an interpreter runs; a name
 * that ends in * stands for all that begin so. */
static const char *const refused_names[] = {
    "LD_*",           "BASH_ENV", "ENV",          "IFS",
    "PATH",           "PS4",      "SHELLOPTS",    "BASHOPTS",
    "PYTHON*",        "PERL5*",   "NODE_OPTIONS", "GIT_*",
    "ADP_*",          "RUBYOPT",  "RUBYLIB",      "GCONV_PATH",
    "GLIBC_TUNABLES", "CDPATH",   "PERLLIB",      "JAVA_TOOL_OPTIONS",
};

const char *step_refused_variable(size_t i)
{
    return i < ARRAY_LEN(refused_names) ? refused_names[i] : NULL;
}

static bool is_refused(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(refused_names); i++) {
        struct str refused = str_c(refused_names[i]);
        if (str_ends(refused, STR("*"))
                ? str_starts(name, str_slice(refused, 0, refused.len - 1))
                : str_eq(name, refused)) {
            return true;
        }
    }
    return false;
}

static bool is_variable_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        bool upper = c >= 'A' && c <= 'Z';
        bool later = (c >= '0' && c <= '9') || c == '_';
        if (!upper && (i == 0 || !later)) {
            return false;
        }
    }
    return s.len != 0 && s.len <= RUNBOOK_WORD_MAX_BYTES;
}

static void check_variable_name(struct loader *l, const struct yaml_node *key)
{
    struct str name = yaml_text(key);
    int shown = (int)MIN(name.len, 64U);
    if (!is_variable_name(name)) {
        err_hint(loader_error(l, key, "'%.*s' is not a variable name", shown,
                              name.at),
                 "capital letters, digits and _, a letter first");
    } else if (str_starts(name, STR("ADP_"))) {
        err_hint(loader_error(l, key, "the platform sets the ADP_ variables"),
                 "a parameter NAME is in ADP_PARAM_NAME already");
    } else if (is_refused(name)) {
        (void)loader_error(l, key,
                           "a runbook may not set %.*s: it changes "
                           "which code runs",
                           shown, name.at);
    }
}

void step_read_env(struct loader *l, const struct yaml_node *n, void *object)
{
    struct step *s = object;
    if (!loader_is_map(l, n, RUNBOOK_MAX_ENV)) {
        return;
    }
    size_t count = yaml_count(n);
    s->env = ARENA_ARRAY(&l->rb->arena, MAX(count, (size_t)1), struct binding);
    s->env_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        const struct yaml_node *key = yaml_key(n, i);
        const struct yaml_node *value = yaml_value(n, i);
        struct str name = yaml_text(key);
        size_t mark =
            loader_enter(l, ".%.*s", (int)MIN(name.len, 64U), name.at);
        check_variable_name(l, key);
        s->env[i].name = arena_str(&l->rb->arena, name);
        if (loader_read_template(l, value, &s->env[i].value)) {
            paths_check_step(l, value, &s->env[i].value);
        }
        loader_leave(l, mark);
    }
}

/* ---- retry: ------------------------------------------------------------- */

static void check_backoff(struct loader *l, const struct yaml_node *n,
                          struct step *s)
{
    bool own_backoff = yaml_get(n, STR("backoff")) != NULL;
    if (yaml_get(n, STR("max_backoff")) == NULL) {
        s->backoff_max_ms = MAX(s->backoff_ms, s->backoff_max_ms);
    } else if (!own_backoff) {
        s->backoff_ms = MIN(s->backoff_ms, s->backoff_max_ms);
    } else if (s->backoff_ms > s->backoff_max_ms) {
        (void)loader_error(l, n, "backoff is longer than max_backoff");
    }
    if (own_backoff && s->max_attempts == 1) {
        (void)loader_warning(l, yaml_place(n),
                             "one attempt is never "
                             "repeated: 'backoff' has no "
                             "effect");
    }
}

/* Either a number of attempts or a mapping. */
void step_read_retry(struct loader *l, const struct yaml_node *n, void *object)
{
    struct step *s = object;
    s->max_attempts = l->defaults->retry_attempts;
    if (yaml_kind(n) == YAML_MAPPING) {
        loader_read_map(l, n, &runbook_retry_keys, s);
        check_backoff(l, n, s);
        return;
    }
    struct err e = ERR_INIT;
    int64_t attempts = 0;
    if (yaml_int(n, 1, RUNBOOK_MAX_ATTEMPTS, &attempts, &e) < 0) {
        err_hint(&e, "write a number of attempts, or {attempts: 3, backoff: "
                     "5s, max_backoff: 1m}");
        loader_report(l, n, &e);
        return;
    }
    s->max_attempts = (uint32_t)attempts;
}

/* ---- steps: ------------------------------------------------------------- */

/* A key that has no meaning here. */
static void refuse_key(struct loader *l, const struct yaml_node *n,
                       const char *key, const char *why, const char *hint)
{
    const struct yaml_node *value = yaml_get(n, str_c(key));
    if (value != NULL) {
        size_t mark = loader_enter(l, ".%s", key);
        err_hint(loader_error(l, value, "%s", why), "%s", hint);
        loader_leave(l, mark);
    }
}

static void check_wait(struct loader *l, const struct yaml_node *n)
{
    static const char as_in[] = "as in {name: Settle, action: wait, for: 30s}";
    if (yaml_get(n, STR("for")) == NULL) {
        err_hint(loader_error(l, n, "a wait needs 'for'"), "%s", as_in);
    }
    refuse_key(l, n, "command", "a wait runs nothing", as_in);
    refuse_key(l, n, "argv", "a wait runs nothing", as_in);
}

static void check_one_form(struct loader *l, const struct yaml_node *n,
                           const struct step *s)
{
    bool command = yaml_get(n, STR("command")) != NULL;
    bool argv = yaml_get(n, STR("argv")) != NULL;
    if (s->action == ACTION_WAIT) {
        check_wait(l, n);
        return;
    }
    if (may_wait(s)) {
        refuse_key(l, n, "for", "'for' is how long a wait takes",
                   "write action: wait");
    }
    if (command && argv) {
        (void)loader_error(l, n, "a step has 'command' or 'argv', not both");
    } else if (!command && !argv) {
        (void)loader_error(l, n,
                           "a step needs 'command' (shell text) or "
                           "'argv' (a list)");
    }
}

void step_read(struct loader *l, const struct yaml_node *n,
               const struct key_table *table, struct step *s)
{
    s->at = yaml_place(n);
    s->timeout_ms = l->defaults->step_timeout_ms;
    s->backoff_ms = RUNBOOK_BACKOFF_MS;
    s->backoff_max_ms = RUNBOOK_BACKOFF_MAX_MS;
    exprs_step_begin(l, s);
    loader_read_map(l, n, table, s);
    exprs_step_done(l, s);
    if (yaml_kind(n) != YAML_MAPPING) {
        return;
    }
    check_one_form(l, n, s);
    if (s->max_attempts == 0) {
        s->max_attempts = s->idempotent ? l->defaults->retry_attempts : 1;
    }
}

void runbook_read_steps(struct loader *l, const struct yaml_node *n,
                        void *object)
{
    (void)object;
    sections_append(l, n, SECTION_STEPS);
}
