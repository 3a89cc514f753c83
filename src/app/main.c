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
#include "app/log.h"
#include "app/serve.h"
#include "base/assert.h"
#include "base/mem.h"

struct command {
    const char *name;
    const char *arguments;
    const char *help;
    int (*run)(const char *config_path);
};

/* Loads the configuration and prints what is wrong with it. */
static int load(const char *path, struct config **ret)
{
    struct config_report report = {0};
    struct strbuf text = STRBUF_INIT(256 * 1024);
    int r = config_load(path, ret, &report);
    config_report_add_text(&report, &text);
    if (text.len != 0) {
        (void)fprintf(stderr, "%s", text.at);
    }
    strbuf_deinit(&text);
    config_report_deinit(&report);
    return r;
}

static int run_serve(const char *path)
{
    struct config *config = NULL;
    if (load(path, &config) < 0) {
        return EX_CONFIG;
    }
    return serve(path, config);
}

static int run_executor(const char *path)
{
    CLEANUP(config_freep) struct config *config = NULL;
    if (load(path, &config) < 0) {
        return EX_CONFIG;
    }
    struct executor_options options = config_executor(config);
    struct err err = ERR_INIT;
    if (serve_make_folders(config, &err) < 0 ||
        executor_run(&options, &err) < 0) {
        (void)fprintf(stderr, "autonomous-devops executor: %s\n", err.message);
        return err.errnum == -EADDRINUSE ? EX_TEMPFAIL : EX_OSERR;
    }
    return EX_OK;
}

static int run_check_config(const char *path)
{
    CLEANUP(config_freep) struct config *config = NULL;
    if (load(path, &config) < 0) {
        return EX_CONFIG;
    }
    (void)printf("%s: OK\n", path != NULL ? path : "the defaults");
    return EX_OK;
}

static int run_print_config(const char *path)
{
    (void)path;
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    config_add_sample(&text);
    (void)fputs(text.at, stdout);
    strbuf_deinit(&text);
    return EX_OK;
}

static const struct command commands[] = {
    {"serve", "[--config FILE]",
     "run the engine in the foreground; starts an executor if none runs",
     run_serve},
    {"executor", "[--config FILE]",
     "run the process that starts steps; the engine connects to it",
     run_executor},
    {"check-config", "[--config FILE | FILE]",
     "check a configuration file and start nothing", run_check_config},
    {"print-config", "",
     "print the sample configuration, every option "
     "with its default",
     run_print_config},
};

static void print_help(FILE *to)
{
    (void)fprintf(to, "Usage: autonomous-devops COMMAND [OPTIONS]\n\n"
                      "Turns alerts, metrics and webhooks into verified "
                      "remediations, and never loses one.\n\nCommands:\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        (void)fprintf(to, "  %s %s\n        %s\n", commands[i].name,
                      commands[i].arguments, commands[i].help);
    }
    (void)fprintf(
        to,
        "\nOptions:\n"
        "  -c, --config FILE   default: " CONFIG_PATH_DEFAULT
        " where that exists, else\n                      the built-in "
        "defaults\n"
        "  -h, --help          this text\n"
        "      --version       the version\n\n"
        "Signals: SIGHUP reloads configuration and runbooks, SIGTERM stops.\n"
        "Environment: LOGLEVEL (DEBUG, INFO, WARNING, ERROR).\n"
        "Exit status: 0 stopped, 64 wrong usage, 71 or 74 the system or the\n"
        "store failed, 75 another engine runs here, 78 bad configuration.\n\n"
        "Examples:\n"
        "  autonomous-devops check-config /etc/autonomous-devops/config.yaml\n"
        "  autonomous-devops serve --config ./config.yaml\n"
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

struct arguments {
    const struct command *command;
    const char *config;
    bool done; /* help or version was printed */
};

/* Reads argv; EX_OK or the status to exit with. */
static int parse(int argc, char **argv, struct arguments *ret)
{
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            print_help(stdout);
            ret->done = true;
            return EX_OK;
        }
        if (strcmp(word, "--version") == 0) {
            (void)printf("autonomous-devops " ADP_VERSION "\n");
            ret->done = true;
            return EX_OK;
        }
        if (strcmp(word, "--config") == 0 || strcmp(word, "-c") == 0) {
            if (i + 1 == argc) {
                return usage_error("a file must follow", word);
            }
            ret->config = argv[++i];
        } else if (strncmp(word, "--config=", 9) == 0) {
            ret->config = word + 9;
        } else if (word[0] == '-') {
            return usage_error("unknown option", word);
        } else if (ret->command == NULL) {
            ret->command = find_command(word);
            if (ret->command == NULL) {
                return usage_error("unknown command", word);
            }
        } else if (ret->command->run == run_check_config &&
                   ret->config == NULL) {
            ret->config = word;
        } else {
            return usage_error("unexpected argument", word);
        }
    }
    return EX_OK;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    assert_set_hook(on_assert);
    int status = parse(argc, argv, &arguments);
    if (status != EX_OK || arguments.done) {
        return status;
    }
    if (arguments.command == NULL) {
        print_help(stderr);
        return EX_USAGE;
    }
    if (arguments.config == NULL && access(CONFIG_PATH_DEFAULT, R_OK) == 0) {
        arguments.config = CONFIG_PATH_DEFAULT;
    }
    return arguments.command->run(arguments.config);
}
