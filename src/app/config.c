#include "app/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "app/config_value.h"
#include "backup/archive.h"
#include "base/assert.h"
#include "base/mem.h"

#define KEY_MAX_BYTES 120 /* a dotted path; longer ones are unknown anyway */

/* ---- walking the file --------------------------------------------------- */

/* What stands behind "prefix." in the key, or NULL; the empty prefix stands
 * before every key. */
static const char *below(const char *key, const char *prefix)
{
    size_t len = strlen(prefix);
    if (len == 0) {
        return key;
    }
    return strncmp(key, prefix, len) == 0 && key[len] == '.' ? key + len + 1
                                                             : NULL;
}

static bool is_section(const char *key)
{
    for (size_t i = 0; i < config_option_count; i++) {
        if (below(config_options[i].key, key) != NULL) {
            return true;
        }
    }
    return false;
}

/* The names that may stand in the section, for "did you mean". */
static const char *nearest_in(struct arena *a, const char *section,
                              struct str name)
{
    const char **names = ARENA_ARRAY(a, config_option_count, const char *);
    size_t count = 0;
    for (size_t i = 0; i < config_option_count; i++) {
        struct str rest = str_c(below(config_options[i].key, section));
        if (rest.len == 0) {
            continue;
        }
        ptrdiff_t dot = str_find(rest, '.');
        names[count++] = arena_strdup(
            a, str_slice(rest, 0, dot >= 0 ? (size_t)dot : rest.len));
    }
    return str_nearest(name, names, count);
}

static void complain_unknown(struct config_reader *r, const char *section,
                             const struct yaml_node *key, const char *path)
{
    struct err e = ERR_INIT;
    struct arena a = ARENA_INIT;
    struct str name = yaml_text(key);
    const char *near = nearest_in(&a, section, name);
    if (near != NULL) {
        err_hint(&e, "did you mean \"%s\"?", near);
    }
    (void)yaml_err(&e, key, -EINVAL, "unknown key \"%.*s\"",
                   STR_ARG(str_slice(name, 0, KEY_MAX_BYTES)));
    config_complain(r, path, &e);
    arena_deinit(&a);
}

static void note_integration(struct config *c, const char *path)
{
    for (int i = 0; i < INTEGRATIONS; i++) {
        if (strcmp(path, config_integration_key((enum integration)i)) == 0) {
            c->integrations[i].configured = true;
        }
    }
}

static bool is_literal(const struct yaml_node *n)
{
    struct str text = yaml_kind(n) == YAML_SCALAR ? yaml_text(n) : STR_NULL;
    for (size_t i = 0; i < text.len; i++) {
        if (str_starts(str_slice(text, i, text.len), STR("${"))) {
            return false;
        }
    }
    return true;
}

/* Sets the option and notes who did, unless the value is refused. */
static void set_option(struct config_reader *r, const struct config_option *o,
                       const struct yaml_node *key,
                       const struct yaml_node *value)
{
    uint32_t errors = r->report->error_count;
    config_value_set(r, o, value);
    if (r->report->error_count == errors) {
        r->config->origins[o - config_options] = (struct config_origin){
            .source = r->source,
            .at =
                key != NULL && r->is_file ? yaml_place(key) : (struct place){0},
            .literal = is_literal(value),
            .raw = is_literal(value)
                       ? NULL
                       : arena_strdup(&r->config->arena, yaml_text(value)),
        };
    }
}

/* Depth is bounded by the table: only a section is entered. */
static void walk(struct config_reader *r, const char *section,
                 const struct yaml_node *n)
{
    struct err e = ERR_INIT;
    if (n == NULL || yaml_is_null(n)) {
        return;
    }
    if (yaml_kind(n) != YAML_MAPPING) {
        (void)yaml_err(&e, n, -EINVAL, "expected a mapping, got %s",
                       yaml_kind_text(n));
        config_complain(r, section, &e);
        return;
    }
    for (size_t i = 0; i < yaml_count(n); i++) {
        const struct yaml_node *key = yaml_key(n, i);
        char path[KEY_MAX_BYTES];
        (void)snprintf(path, sizeof(path), "%s%s%.*s", section,
                       section[0] != '\0' ? "." : "", STR_ARG(yaml_text(key)));
        /* A dot inside a key is not the dot between two keys. */
        bool dotted = str_find(yaml_text(key), '.') >= 0;
        const struct config_option *o = config_option_named(path);
        if (!dotted && o != NULL) {
            set_option(r, o, key, yaml_value(n, i));
        } else if (!dotted && is_section(path)) {
            note_integration(r->config, path);
            walk(r, path, yaml_value(n, i));
        } else {
            complain_unknown(r, section, key, path);
        }
    }
}

/* Defaults are texts of the table and go the way of every value. */
static void set_defaults(struct config_reader *r)
{
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *o = &config_options[i];
        struct err e = ERR_INIT;
        struct yaml_doc *doc = NULL;
        if (o->initial == NULL) {
            continue;
        }
        int result = yaml_parse(str_c(o->initial), NULL, &doc, &e);
        ASSERT(result == 0);
        config_value_set(r, o, yaml_root(doc));
        yaml_doc_free(doc);
    }
    ASSERT(r->report->error_count == 0);
}

/* ---- what no single option can know ------------------------------------- */

static bool is_loopback(const char *listen)
{
    return strncmp(listen, "127.", 4) == 0 || strncmp(listen, "[::1]:", 6) == 0;
}

static void check_server(struct config_reader *r)
{
    const struct config *c = r->config;
    struct err e = ERR_INIT;
    if (r->beside_engine) {
        return;
    }
    if ((c->tls_cert == NULL) != (c->tls_key == NULL)) {
        (void)err_set(&e, -EINVAL,
                      "a certificate needs its key, and a key its "
                      "certificate");
        config_complain(r, "server.tls", &e);
    }
    if (is_loopback(c->listen) || c->insecure) {
        return;
    }
    if (c->token_count == 0 || c->tls_cert == NULL) {
        err_hint(&e, "set security.tokens and server.tls, or server.insecure: "
                     "true to do without");
        (void)err_set(&e, -EINVAL,
                      "%s can be reached from elsewhere, which needs tokens "
                      "and TLS",
                      c->listen);
        config_complain(r, "server.listen", &e);
    }
}

static void check_limits(struct config_reader *r)
{
    const struct config *c = r->config;
    struct err e = ERR_INIT;
    if (c->connections_per_source > c->connections) {
        (void)err_set(&e, -EINVAL, "more than limits.connections (%u)",
                      c->connections);
        config_complain(r, "limits.connections_per_source", &e);
    }
    if (c->max_running != 0 && c->max_running < c->max_concurrent) {
        (void)err_set(&e, -EINVAL,
                      "fewer than engine.workflow_execution.max_concurrent "
                      "(%u): the steps beyond it would be refused and fail",
                      c->max_concurrent);
        config_complain(r, "executor.max_running", &e);
    }
    if (c->step_timeout_ms > c->timeout_ms) {
        (void)err_set(&e, -EINVAL,
                      "a step may not take longer than its workflow "
                      "(timeout)");
        config_warn(r, "engine.workflow_execution.step_timeout", &e);
    }
}

static const struct {
    const char *name; /* lower case */
    enum log_level level;
} loglevels[] = {
    {"debug", LOG_LEVEL_DEBUG},     {"info", LOG_LEVEL_INFO},
    {"notice", LOG_LEVEL_INFO},     {"warn", LOG_LEVEL_WARNING},
    {"warning", LOG_LEVEL_WARNING}, {"error", LOG_LEVEL_ERROR},
    {"critical", LOG_LEVEL_ERROR},
};

/* The manual starts the engine with LOGLEVEL=DEBUG. */
static void apply_loglevel(struct config_reader *r)
{
    struct str value = str_c(getenv("LOGLEVEL"));
    if (value.len == 0) {
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(loglevels); i++) {
        struct str name = str_c(loglevels[i].name);
        if (name.len == value.len && str_has_nocase(value, name)) {
            r->config->log_level = loglevels[i].level;
            r->config
                ->origins[config_option_named("log.level") - config_options] =
                (struct config_origin){.source = "LOGLEVEL"};
            return;
        }
    }
    struct err e = ERR_INIT;
    err_hint(&e, "use DEBUG, INFO, WARNING or ERROR");
    (void)err_set(&e, -EINVAL,
                  "the environment variable LOGLEVEL has an unknown value, "
                  "which is ignored");
    config_warn(r, "log.level", &e);
}

/* ---- loading ------------------------------------------------------------ */

void config_read_begin(struct config_reader *r, const char *name,
                       struct config_report *report)
{
    *report = (struct config_report){.arena = ARENA_INIT};
    report->file = arena_strdup(&report->arena, str_c(name));
    *r = (struct config_reader){.config = MEM_NEW(struct config),
                                .report = report,
                                .file = report->file};
    struct arena *a = &r->config->arena;
    arena_init(a);
    r->config->origins =
        ARENA_ARRAY(a, config_option_count, struct config_origin);
    r->config->files = ARENA_ARRAY(a, 1, const char *);
    set_defaults(r);
}

void config_read_source(struct config_reader *r, const char *source,
                        bool is_file)
{
    r->source = arena_strdup(&r->config->arena, str_c(source));
    r->file = arena_strdup(&r->report->arena, str_c(source));
    r->is_file = is_file;
}

void config_read_text(struct config_reader *r, struct str text)
{
    struct yaml_doc *doc = NULL;
    struct err e = ERR_INIT;
    if (yaml_parse(text, NULL, &doc, &e) < 0) {
        config_complain(r, e.field, &e);
    } else {
        walk(r, "", yaml_root(doc));
    }
    yaml_doc_wipe(doc);
}

/* Says which option is meant by the key of an override, or complains. */
static const struct config_option *overridden(struct config_reader *r,
                                              const char *key)
{
    const struct config_option *o = config_option_named(key);
    struct err e = ERR_INIT;
    if (o == NULL) {
        struct arena a = ARENA_INIT;
        const char **names = ARENA_ARRAY(&a, config_option_count, const char *);
        for (size_t i = 0; i < config_option_count; i++) {
            names[i] = config_options[i].key;
        }
        const char *near = str_nearest(str_c(key), names, config_option_count);
        if (near != NULL) {
            err_hint(&e, "did you mean \"%s\"?", near);
        }
        (void)err_set(&e, -EINVAL, "unknown key");
        config_complain(r, key, &e);
        arena_deinit(&a);
    } else if ((o->flags & CONFIG_SECRET) != 0) {
        err_hint(&e, "put it into a file: every user can read the command "
                     "lines of processes");
        (void)err_set(&e, -EPERM, "a secret cannot be given like this");
        config_complain(r, key, &e);
        return NULL;
    }
    return o;
}

static void note_section(struct config *c, const char *key)
{
    CLEANUP(mem_freep)
    char *section =
        str_dup(str_slice(str_c(key), 0, (size_t)(strrchr(key, '.') - key)));
    note_integration(c, section);
}

void config_read_override(struct config_reader *r, const char *assignment)
{
    const char *equals = strchr(assignment, '=');
    struct err e = ERR_INIT;
    if (equals == NULL || equals == assignment) {
        err_hint(&e, "like executor.autostart=false");
        (void)err_set(&e, -EINVAL, "expected section.key=value");
        config_complain(r, "", &e);
        return;
    }
    struct str key = str_n(assignment, (size_t)(equals - assignment));
    CLEANUP(mem_freep) char *name = str_dup(str_slice(key, 0, KEY_MAX_BYTES));
    const struct config_option *o = overridden(r, name);
    CLEANUP(yaml_doc_freep) struct yaml_doc *doc = NULL;
    if (o == NULL) {
        return;
    }
    if (yaml_parse(str_c(equals + 1), NULL, &doc, &e) < 0) {
        config_complain(r, name, &e);
    } else if (yaml_root(doc) == NULL) {
        (void)err_set(&e, -EINVAL, "a value is missing");
        config_complain(r, name, &e);
    } else {
        note_section(r->config, name);
        set_option(r, o, NULL, yaml_root(doc));
    }
}

int config_read_finish(struct config_reader *r, struct config **ret)
{
    r->file = r->report->file;
    r->is_file = false;
    if (r->report->error_count == 0) {
        check_server(r);
        check_limits(r);
        apply_loglevel(r);
        config_check_partners(r);
    }
    if (r->report->error_count != 0) {
        config_free(r->config);
        return -EINVAL;
    }
    *ret = r->config;
    return 0;
}

int config_parse(struct str text, const char *name, struct config **ret,
                 struct config_report *report)
{
    struct config_reader r;
    config_read_begin(&r, name, report);
    config_read_source(&r, name, true);
    config_read_text(&r, text);
    return config_read_finish(&r, ret);
}

void config_free(struct config *c)
{
    if (c == NULL) {
        return;
    }
    arena_wipe(&c->arena);
    mem_free(c);
}

void config_freep(struct config **c)
{
    config_free(*c);
    *c = NULL;
}

void config_report_deinit(struct config_report *r)
{
    VEC_DEINIT(&r->problems);
    arena_deinit(&r->arena);
    *r = (struct config_report){0};
}

/* ---- for other modules -------------------------------------------------- */

struct engine_config config_engine(const struct config *c)
{
    return (struct engine_config){
        .workers = c->workers,
        .batch_size = c->batch_size,
        .max_concurrent = c->max_concurrent,
        .max_live = c->max_live,
        .workflow_timeout_ms = c->timeout_ms,
        .stop_grace_ms = c->stop_grace_ms,
        .report_margin_ms = c->report_margin_ms,
        .held_timeout_ms = c->held_timeout_ms,
        .max_memories = c->trigger_memory,
        .guards = c->guards,
    };
}

struct runbook_defaults config_runbook_defaults(const struct config *c)
{
    return (struct runbook_defaults){.step_timeout_ms = c->step_timeout_ms,
                                     .retry_attempts = c->retry_attempts,
                                     .unknown_keys_warn =
                                         c->validation == VALIDATION_WARN};
}

/* What stands beside the state folder. */
static const char *beside_state(const struct config *c, const char *name,
                                struct arena *a)
{
    struct str folder = str_c(c->state_directory);
    while (folder.len > 0 && folder.at[folder.len - 1] != '/') {
        folder.len--;
    }
    struct strbuf path = STRBUF_INIT(CONFIG_TEXT_MAX_BYTES);
    strbuf_add(&path, folder);
    strbuf_addc(&path, name);
    const char *kept = arena_strdup(a, strbuf_str(&path));
    strbuf_deinit(&path);
    return kept;
}

const char *config_secrets_key(const struct config *c, struct arena *a)
{
    return c->secrets_key != NULL ? c->secrets_key
                                  : beside_state(c, "secrets.key", a);
}

const char *config_kill_switch(const struct config *c, struct arena *a)
{
    return c->kill_switch != NULL ? c->kill_switch
                                  : beside_state(c, "control/kill-switch", a);
}

const char *config_root_switch(const struct config *c, struct arena *a)
{
    const char *main_file = c->files != NULL ? c->files[0] : NULL;
    if (main_file == NULL) {
        return NULL;
    }
    const char *slash = strrchr(main_file, '/');
    struct strbuf path = STRBUF_INIT(CONFIG_TEXT_MAX_BYTES);
    strbuf_add(&path, slash != NULL
                          ? str_n(main_file, (size_t)(slash - main_file) + 1)
                          : STR("./"));
    strbuf_addc(&path, "kill-switch");
    const char *kept = arena_strdup(a, strbuf_str(&path));
    strbuf_deinit(&path);
    return kept;
}

const char *config_archive_directory(const struct config *c, struct arena *a)
{
    return c->archive_directory != NULL ? c->archive_directory
                                        : beside_state(c, ARCHIVE_FOLDER, a);
}

struct executor_options config_executor(const struct config *c)
{
    return (struct executor_options){
        .socket_path = c->executor_socket,
        .repository = c->repository,
        .spool = c->executor_spool,
        .work = c->executor_work,
        .default_user = c->executor_user,
        .run_as_allowed = c->run_as_allowed,
        .max_running = c->max_running != 0 ? c->max_running : c->max_concurrent,
        .output_keep_bytes = c->output_keep_bytes,
        .limits = c->step_limits,
        .idle_exit_ms = c->idle_exit_ms,
        .unknown_keys_warn = c->validation == VALIDATION_WARN,
    };
}
