/*
 * The configuration of the daemon and of the executor, from a YAML file, the
 * files of the folder config.d beside it, and options of the command line.
 * Every option is a row of one table (config_table.c) with its type, default,
 * range and help; the parser, the sample file and the manual page derive from
 * it. Every key has a default, an empty file is valid, an unknown key is an
 * error with the nearest name, and a bad file reports everything that is
 * wrong with it at once.
 *
 * `${NAME}` in a text is replaced by that environment variable, once: what it
 * holds is never scanned again. `$${` writes `${`.
 *
 * A configuration is immutable after loading and owns all its strings; any
 * thread may read it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "app/config_report.h"
#include "app/log.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "base/vec.h"
#include "engine/engine.h"
#include "integrations/fields.h"
#include "model/runbook_load.h"
#include "proc/executor.h"
#include "runtime/service_request.h"

#define CONFIG_PATH_DEFAULT "/etc/autonomous-devops/config.yaml"
#define CONFIG_MAX_BYTES (1024 * 1024)
#define CONFIG_MAX_PROBLEMS 50
#define CONFIG_MAX_OPTIONS 256
#define CONFIG_MAX_LIST 64         /* elements of one list, tokens included */
#define CONFIG_TEXT_MAX_BYTES 4096 /* one text after ${} */
#define CONFIG_MAX_FILES 64        /* the main file and those of config.d */
#define CONFIG_MAX_OVERRIDES 64    /* --set and --default together */

/* What a bearer token may do: bits of config_token.scopes. */
enum config_scope {
    CONFIG_SCOPE_READ = 1,
    CONFIG_SCOPE_INGEST = 2,
    CONFIG_SCOPE_EXECUTE = 4,
    CONFIG_SCOPE_ADMIN = 8
};

struct config_token {
    const char *name;
    uint32_t scopes;
    uint8_t sha256[32]; /* of the token; the token itself is not kept */
};

/* What an unknown key does to a runbook. */
enum config_validation { VALIDATION_STRICT, VALIDATION_WARN };

/* What happens when the store is damaged. */
enum config_on_damage { ON_DAMAGE_RESTORE, ON_DAMAGE_STOP };

/* Where the value of an option comes from; source NULL: its default. */
struct config_origin {
    const char *source; /* a file, or "--set", "--default", "LOGLEVEL" */
    struct place at;    /* in that file */
    bool literal;       /* the value stands there, it is no ${reference} */
    const char *raw;    /* else what stands there; NULL */
};

/* What a file was when it was read. */
struct config_stamp {
    int64_t changed_ns; /* its time of modification */
    uint64_t inode;
    uint64_t size;
    uint8_t hash[32]; /* of its text */
};

/* Texts are NUL-terminated; NULL means not set. Lists end in NULL. */
struct config {
    struct arena arena;
    struct config_origin *origins;     /* in the order of config_options */
    const char *const *files;          /* that were read, in that order */
    const struct config_stamp *stamps; /* of these files */

    /* engine.event_processing */
    uint32_t workers;
    uint64_t queue_size;
    uint32_t batch_size;
    uint32_t max_attempts;
    uint64_t worker_stuck_ms;
    /* engine.workflow_execution */
    uint32_t max_concurrent;
    uint64_t timeout_ms;
    uint32_t retry_attempts;
    uint64_t step_timeout_ms;
    uint32_t max_live;
    uint64_t stop_grace_ms;
    uint64_t report_margin_ms;
    uint64_t held_timeout_ms;
    uint32_t trigger_memory;
    struct guard_config guards;

    struct integration_config integrations[INTEGRATIONS];
    uint64_t health_interval_ms;
    uint64_t notice_give_up_ms;

    bool config_auto_reload;

    /* runbooks */
    const char *repository;
    bool auto_reload;
    uint32_t validation; /* enum config_validation */

    /* server */
    const char *listen; /* "127.0.0.1:9000", "[::1]:9000"; port 0: any */
    const char *tls_cert;
    const char *tls_key;
    const char *const *allowed_hosts;
    bool insecure;

    /* storage */
    const char *storage_url;
    const char *storage_path;    /* the database file, from the URL */
    const char *state_directory; /* the folder of that file */
    uint32_t on_damage;          /* enum config_on_damage */

    struct service_keep keep;      /* retention, archive */
    const char *archive_directory; /* NULL: beside the state folder */

    /* backup */
    const char *backup_directory;
    uint64_t backup_keep_all_ms;
    uint32_t backup_keep_days;
    uint64_t backup_max_bytes;
    uint64_t backup_warn_ms; /* 0: never */

    /* executor */
    bool executor_autostart;
    const char *executor_socket;
    const char *executor_spool;
    const char *executor_work;
    const char *executor_user;
    const struct executor_run_as *run_as_allowed; /* ends in user NULL */
    uint32_t max_running;                         /* 0: max_concurrent */
    uint64_t output_keep_bytes;
    struct step_limits step_limits;
    uint64_t idle_exit_ms;

    /* security */
    const char *group;
    const char *secrets_key; /* NULL: beside the state folder */
    const char *kill_switch; /* the same */
    struct config_token *tokens;
    uint32_t token_count;

    /* limits */
    uint32_t connections;
    uint32_t connections_per_source;
    uint64_t header_timeout_ms;
    uint64_t body_timeout_ms;
    uint64_t idle_timeout_ms;
    uint32_t stream_clients;

    /* log */
    enum log_level log_level;
};

/* What a configuration is made of. What comes later wins, key by key (a list
 * is replaced as a whole): the table's defaults, `defaults`, the file, the
 * files FOLDER/config.d/NAME.yaml beside it by name, `sets`. */
struct config_sources {
    const char *path;            /* NULL: no file, and no folder */
    const char *const *defaults; /* "section.key=value", value as YAML */
    size_t default_count;
    const char *const *sets; /* the same */
    size_t set_count;
    /* Another process reads: variables and credentials for what only the engine
     * uses may be missing; such an option stays unset. Nothing is said of what
     * only the engine uses. */
    bool beside_engine;
    /* A file of variables for what this process was not given: a shell looks at
     * the service's configuration (config_environment.h). NULL: none. */
    const char *environment;
};

/* Reads and checks all sources. The LOGLEVEL environment variable overrides
 * log.level. Returns 0 and a new configuration in *ret, or -EINVAL (-ENOENT,
 * -EACCES, -E2BIG for a file itself) with at least one error in the report.
 * The report is filled in both cases (there may be warnings) and must be
 * deinit'ed. Reads the token files and credentials that the configuration
 * names; changes nothing. */
NODISCARD int config_load_from(const struct config_sources *sources,
                               struct config **ret,
                               struct config_report *report);

/* The same for a file (NULL: the defaults) and what is in its config.d, as its
 * engine reads it: what the service is given in its environment file counts
 * when the file is the service's. */
NODISCARD int config_load(const char *path, struct config **ret,
                          struct config_report *report);

/* The environment file of a configuration's engine; NULL: it has none. */
const char *config_environment_of(const char *path);

/* The same for a text; `name` is what the report calls it. */
NODISCARD int config_parse(struct str text, const char *name,
                           struct config **ret, struct config_report *report);

void config_free(struct config *c); /* wipes secrets; NULL is fine */
void config_freep(struct config **c);

/* The keys that differ between two configurations, in the order of the table:
 * all of them, or those that take effect only at a restart. */
struct config_keys {
    const char *keys[CONFIG_MAX_OPTIONS];
    uint32_t count;
};
struct config_keys config_changed(const struct config *before,
                                  const struct config *after, bool restart);

/* Appends the sample file: every option with its help and default. */
void config_add_sample(struct strbuf *out);

/* Appends the configuration in force as a file that would give it again:
 * references stay references. Secrets that stand in a file are left out, each
 * with a line that ends in CONFIG_LEFT_OUT; so are options that are not set,
 * and integrations that the file does not name. */
#define CONFIG_LEFT_OUT ": a secret, left out; set it again"
void config_add_values(const struct config *c, struct strbuf *out);

/* Appends every option with its value and where that comes from, one per line
 * ("KEY: VALUE  # ORIGIN"), or as a JSON object. A secret is shown as "***". */
void config_add_origins(const struct config *c, struct strbuf *out);
void config_add_origins_json(const struct config *c, struct strbuf *out);

/* Appends the values of these keys as a JSON object; secrets as "***". */
void config_add_changed_json(const struct config *c,
                             const struct config_keys *keys,
                             struct strbuf *out);

/* Appends the options as a section of a manual page (scdoc). */
void config_add_man(struct strbuf *out);

/* The parts that other modules take, pointing into the configuration. */
struct engine_config config_engine(const struct config *c);
struct runbook_defaults config_runbook_defaults(const struct config *c);
struct executor_options config_executor(const struct config *c);

/* The folder of archived workflows, the file with the key of stored secrets
 * and that of the kill switch, in the arena. */
const char *config_archive_directory(const struct config *c, struct arena *a);
const char *config_secrets_key(const struct config *c, struct arena *a);
const char *config_kill_switch(const struct config *c, struct arena *a);

/* A second one, beside the configuration's main file: only who may change the
 * configuration can put it on and off, whoever the engine is by then. NULL:
 * there is no such file. */
const char *config_root_switch(const struct config *c, struct arena *a);
