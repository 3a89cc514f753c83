/*
 * autonomous-devops: the daemon, the executor, and the checks that need no
 * running engine. One table of commands; --help derives from it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "app/config.h"
#include "app/config_host.h"
#include "app/log.h"
#include "app/serve.h"
#include "base/assert.h"
#include "base/mem.h"
#include "proc/say.h"

/* What the command line says. */
struct arguments {
    const struct command *command;
    struct config_sources from;
    const char *defaults[CONFIG_MAX_OVERRIDES];
    const char *sets[CONFIG_MAX_OVERRIDES];
    bool json;
    bool done; /* help or version was printed */
};

struct command {
    const char *name;
    const char *arguments;
    const char *help;
    int (*run)(const struct arguments *arguments);
};

static void print(struct strbuf *text, FILE *to)
{
    (void)fputs(strbuf_str(text).at, to);
    strbuf_deinit(text);
}

/* Loads the configuration and prints what is wrong with it; with on_host also
 * what is wrong with it on this machine. */
static int load_from(const struct config_sources *from, bool on_host,
                     struct config **ret)
{
    struct config_report report = {0};
    struct strbuf text = STRBUF_INIT(256 * 1024);
    int r = config_load_from(from, ret, &report);
    if (r == 0 && on_host) {
        r = config_check_host(*ret, &report);
    }
    config_report_add_text(&report, &text);
    if (text.len != 0) {
        (void)fprintf(stderr, "%s", text.at);
    }
    strbuf_deinit(&text);
    config_report_deinit(&report);
    return r;
}

/* As somebody in a shell looks at it, who was not given what the service is. */
static struct config_sources from_shell(const struct arguments *arguments)
{
    struct config_sources from = arguments->from;
    from.environment = config_environment_of(from.path);
    return from;
}

/* As the executor reads it, which the engine's own secrets are not given to. */
static int load_beside(const struct arguments *arguments, struct config **ret)
{
    struct config_sources from = arguments->from;
    from.beside_engine = true;
    return load_from(&from, false, ret);
}

static int run_serve(const struct arguments *arguments)
{
    CLEANUP(config_freep) struct config *config = NULL;
    if (load_from(&arguments->from, true, &config) < 0) {
        return EX_CONFIG;
    }
    return serve(&arguments->from, TAKE(config));
}

/* Who can write the configuration of an executor that is root decides who else
 * is root. Looked at after reading: what was not there yet is not read, and
 * whoever is trusted now was so before. */
static bool trusts_writers(const struct config *config)
{
    struct err err = ERR_INIT;
    bool ok = true;
    for (const char *const *file = config->files;
         geteuid() == 0 && file != NULL && *file != NULL; file++) {
        if (executor_trusts_file(*file, &err) < 0) {
            executor_say(LOG_ERR, "the configuration is not trusted: %s",
                         err.message);
            ok = false;
        }
    }
    return ok;
}

/* The configuration that the executor read last; the first one is kept beside
 * it, for the paths. */
struct executor_config {
    const struct arguments *arguments;
    struct config *current; /* NULL: still the first */
};

/* The first place of a life is always looked at. */
static void set_switches(struct executor_options *o, struct config *c)
{
    o->kill_switches[EXECUTOR_SWITCH_ROOT] = config_root_switch(c, &c->arena);
    o->kill_switches[EXECUTOR_SWITCH_NOW] = config_kill_switch(c, &c->arena);
    o->kill_switches[EXECUTOR_SWITCH_FIRST] =
        o->kill_switches[EXECUTOR_SWITCH_NOW];
}

static int refresh_executor(void *context, struct executor_options *ret)
{
    struct executor_config *c = context;
    struct config *next = NULL;
    if (load_beside(c->arguments, &next) < 0 || !trusts_writers(next)) {
        config_free(next);
        executor_say(LOG_WARNING,
                     "the configuration is not read again, the old one stays");
        return -EINVAL;
    }
    config_free(c->current);
    c->current = next;
    *ret = config_executor(next);
    set_switches(ret, next);
    return 0;
}

static int run_executor(const struct arguments *arguments)
{
    CLEANUP(config_freep) struct config *config = NULL;
    if (load_beside(arguments, &config) < 0 || !trusts_writers(config)) {
        return EX_CONFIG;
    }
    static const int priorities[] = {[LOG_LEVEL_ERROR] = LOG_ERR,
                                     [LOG_LEVEL_WARNING] = LOG_WARNING,
                                     [LOG_LEVEL_INFO] = LOG_INFO,
                                     [LOG_LEVEL_DEBUG] = LOG_DEBUG};
    executor_say_up_to(priorities[config->log_level]);
    struct executor_config c = {.arguments = arguments};
    struct executor_options options = config_executor(config);
    set_switches(&options, config);
    options.refresh = refresh_executor;
    options.context = &c;
    struct err err = ERR_INIT;
    int r = serve_make_executor_folders(config, &err);
    r = r < 0 ? r : executor_run(&options, &err);
    config_free(c.current);
    if (r < 0) {
        (void)fprintf(stderr, "autonomous-devops executor: %s\n", err.message);
        return r == -EADDRINUSE ? EX_TEMPFAIL : EX_OSERR;
    }
    return EX_OK;
}

static int check_as_json(const struct arguments *arguments)
{
    CLEANUP(config_freep) struct config *config = NULL;
    struct config_report report = {0};
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    const struct config_sources from = from_shell(arguments);
    int r = config_load_from(&from, &config, &report);
    r = r == 0 ? config_check_host(config, &report) : r;
    config_report_add_json(&report, config, &text);
    print(&text, stdout);
    config_report_deinit(&report);
    return r < 0 ? EX_CONFIG : EX_OK;
}

static int run_check_config(const struct arguments *arguments)
{
    if (arguments->json) {
        return check_as_json(arguments);
    }
    CLEANUP(config_freep) struct config *config = NULL;
    const struct config_sources from = from_shell(arguments);
    if (load_from(&from, true, &config) < 0) {
        return EX_CONFIG;
    }
    const char *path = arguments->from.path;
    (void)printf("%s: OK\n", path != NULL ? path : "the defaults");
    return EX_OK;
}

static int run_show_config(const struct arguments *arguments)
{
    CLEANUP(config_freep) struct config *config = NULL;
    const struct config_sources from = from_shell(arguments);
    if (load_from(&from, false, &config) < 0) {
        return EX_CONFIG;
    }
    struct strbuf text = STRBUF_INIT(4UL * 1024 * 1024);
    if (arguments->json) {
        config_add_origins_json(config, &text);
    } else {
        config_add_origins(config, &text);
    }
    print(&text, stdout);
    return EX_OK;
}

static int run_print_config(const struct arguments *arguments)
{
    (void)arguments;
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    config_add_sample(&text);
    print(&text, stdout);
    return EX_OK;
}

static int run_print_catalog(const struct arguments *arguments)
{
    (void)arguments;
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    log_messages_add_catalog(&text);
    print(&text, stdout);
    return EX_OK;
}

static const struct command commands[] = {
    {"serve", "[--external-executor]",
     "run the engine in the foreground; starts an executor if none runs",
     run_serve},
    {"executor", "[--default-user NAME]",
     "run the process that starts steps; the engine connects to it",
     run_executor},
    {"check-config", "[--json] [FILE]",
     "check a configuration file and start nothing", run_check_config},
    {"show-config", "[--json] [FILE]",
     "print every option with its value and where that comes from; secrets\n"
     "        are not shown",
     run_show_config},
    {"print-config", "",
     "print the sample configuration, every option "
     "with its default",
     run_print_config},
    {"print-catalog", "",
     "print the messages of the log as a catalogue for journalctl -x",
     run_print_catalog},
};

static bool takes_file(const struct command *c)
{
    return c->run == run_check_config || c->run == run_show_config;
}

static void print_help(FILE *to)
{
    (void)fprintf(to, "Usage: autonomous-devops COMMAND [OPTIONS]\n\n"
                      "Turns alerts, metrics and webhooks into verified "
                      "remediations,\nand never loses one.\n\nCommands:\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        (void)fprintf(to, "  %s %s\n        %s\n", commands[i].name,
                      commands[i].arguments, commands[i].help);
    }
    (void)fprintf(
        to,
        "\nOptions:\n"
        "  -c, --config FILE     default: " CONFIG_PATH_DEFAULT
        " where that\n                        exists, else the built-in "
        "defaults; then the files\n                        config.d/*.yaml "
        "beside it\n"
        "      --set KEY=VALUE   what the configuration says counts less\n"
        "      --default KEY=VALUE\n"
        "                        what the configuration says counts more\n"
        "      --external-executor\n"
        "                        --set executor.autostart=false: wait for an "
        "executor,\n                        never start one\n"
        "      --default-user NAME\n"
        "                        --default executor.user=NAME: who runs steps\n"
        "      --json            print JSON (check-config, show-config)\n"
        "  -h, --help            this text\n"
        "      --version         the version\n\n");
    (void)fprintf(
        to,
        "Signals: SIGHUP reloads configuration and runbooks, SIGTERM stops.\n"
        "Environment: LOGLEVEL (DEBUG, INFO, WARNING, ERROR).\n"
        "Exit status: 0 stopped, 64 wrong usage, 71 or 74 the system or the\n"
        "store failed, 75 another engine runs here or the port is taken, 78 "
        "bad\n"
        "configuration.\n\n"
        "Examples:\n"
        "  autonomous-devops check-config /etc/autonomous-devops/config.yaml\n"
        "  autonomous-devops show-config | grep -v default\n"
        "  autonomous-devops serve --config ./config.yaml --set "
        "log.level=DEBUG\n"
        "  adctl status\n");
}

static int usage_error(const char *what, const char *word)
{
    (void)fprintf(stderr,
                  "autonomous-devops: %s '%s'; see autonomous-devops "
                  "--help\n",
                  what, word);
    return EX_USAGE;
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

/* The last words of a failed assertion: what, where, for the journal. */
static void on_assert(const char *what, const char *file, int line)
{
    char text[512];
    int n = snprintf(text, sizeof(text),
                     "assertion failed: %s (%s:%d); the next start recovers "
                     "from the store\n",
                     what, file, line);
    if (n > 0) {
        ssize_t written = write(STDERR_FILENO, text, strlen(text));
        (void)written;
    }
}

/* ---- options ---------------------------------------------------------------
 */

static int take_config(struct arguments *a, const char *value)
{
    a->from.path = value;
    return EX_OK;
}

static int take_override(const char **list, size_t *count, const char *value)
{
    if (*count == CONFIG_MAX_OVERRIDES ||
        strlen(value) > CONFIG_TEXT_MAX_BYTES) {
        return usage_error("too many or too long values at", value);
    }
    list[(*count)++] = value;
    return EX_OK;
}

static int take_set(struct arguments *a, const char *value)
{
    return take_override(a->sets, &a->from.set_count, value);
}

static int take_default(struct arguments *a, const char *value)
{
    return take_override(a->defaults, &a->from.default_count, value);
}

static int take_external_executor(struct arguments *a, const char *value)
{
    (void)value;
    return take_set(a, "executor.autostart=false");
}

static int take_default_user(struct arguments *a, const char *value)
{
    static char text[64];
    if ((size_t)snprintf(text, sizeof(text), "executor.user=%s", value) >=
        sizeof(text)) {
        return usage_error("not a user's name", value);
    }
    return take_default(a, text);
}

static int take_json(struct arguments *a, const char *value)
{
    (void)value;
    a->json = true;
    return EX_OK;
}

static int take_help(struct arguments *a, const char *value)
{
    (void)value;
    print_help(stdout);
    a->done = true;
    return EX_OK;
}

static int take_version(struct arguments *a, const char *value)
{
    (void)value;
    (void)printf("autonomous-devops " ADP_VERSION "\n");
    a->done = true;
    return EX_OK;
}

static const struct option {
    const char *name;
    const char *command; /* NULL: all; else only this one */
    bool has_value;
    int (*take)(struct arguments *a, const char *value);
} options[] = {
    {"--config", NULL, true, take_config},
    {"-c", NULL, true, take_config},
    {"--set", NULL, true, take_set},
    {"--default", NULL, true, take_default},
    {"--external-executor", "serve", false, take_external_executor},
    {"--default-user", "executor", true, take_default_user},
    {"--json", NULL, false, take_json},
    {"--help", NULL, false, take_help},
    {"-h", NULL, false, take_help},
    {"--version", NULL, false, take_version},
};

static const struct option *find_option(const char *word, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (strlen(options[i].name) == len &&
            strncmp(options[i].name, word, len) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

/* Takes the option at argv[*i], and its value behind "=" or in the next word.
 */
static int take_option(struct arguments *a, int argc, char **argv, int *i)
{
    const char *word = argv[*i];
    const struct option *o = find_option(word, strcspn(word, "="));
    const char *value = strchr(word, '=');
    if (o == NULL || (value != NULL && !o->has_value)) {
        return usage_error("unknown option", word);
    }
    if (o->command != NULL &&
        (a->command == NULL || strcmp(a->command->name, o->command) != 0)) {
        return usage_error("not an option of this command:", word);
    }
    if (value != NULL) {
        return o->take(a, value + 1);
    }
    if (o->has_value && ++*i == argc) {
        return usage_error("a value must follow", word);
    }
    return o->take(a, o->has_value ? argv[*i] : NULL);
}

/* Reads argv; EX_OK or the status to exit with. */
static int parse(int argc, char **argv, struct arguments *ret)
{
    int status = EX_OK;
    for (int i = 1; i < argc && status == EX_OK && !ret->done; i++) {
        const char *word = argv[i];
        if (word[0] == '-') {
            status = take_option(ret, argc, argv, &i);
        } else if (ret->command == NULL) {
            ret->command = find_command(word);
            if (ret->command == NULL) {
                return usage_error("unknown command", word);
            }
        } else if (takes_file(ret->command) && ret->from.path == NULL) {
            ret->from.path = word;
        } else {
            return usage_error("unexpected argument", word);
        }
    }
    return status;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    arguments.from.defaults = arguments.defaults;
    arguments.from.sets = arguments.sets;
    assert_set_hook(on_assert);
    int status = parse(argc, argv, &arguments);
    if (status != EX_OK || arguments.done) {
        return status;
    }
    if (arguments.command == NULL) {
        print_help(stderr);
        return EX_USAGE;
    }
    if (arguments.json && !takes_file(arguments.command)) {
        return usage_error("not an option of this command:", "--json");
    }
    if (arguments.from.path == NULL && access(CONFIG_PATH_DEFAULT, F_OK) == 0) {
        arguments.from.path = CONFIG_PATH_DEFAULT;
    }
    return arguments.command->run(&arguments);
}
