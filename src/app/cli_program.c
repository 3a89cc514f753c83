/*
 * Which of the host's processes are an engine or an executor, and with which
 * configuration, by their command lines.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/cli_output.h"
#include "app/cli_site.h"
#include "os/fd.h"
#include "os/process.h"

#define COMMAND_MAX_BYTES (1024UL * 1024)

/* What a process was given on its command line. */
struct given {
    struct config_sources from;
    const char *defaults[CONFIG_MAX_OVERRIDES];
    const char *sets[CONFIG_MAX_OVERRIDES];
};

static const char *value_of(const char *word, const char *next,
                            const char *option)
{
    size_t len = strlen(option);
    if (strncmp(word, option, len) != 0) {
        return NULL;
    }
    return word[len] == '=' ? word + len + 1 : word[len] == '\0' ? next : NULL;
}

static void take_word(struct cli *cli, struct given *g, const char *word,
                      const char *next)
{
    const char *path = value_of(word, next, "--config");
    const char *set = value_of(word, next, "--set");
    const char *initial = value_of(word, next, "--default");
    const char *user = value_of(word, next, "--default-user");
    path = path != NULL ? path : value_of(word, next, "-c");
    if (user != NULL) {
        initial = cli_text(cli, "executor.user=%s", user);
    }
    if (path != NULL) {
        g->from.path = path;
    } else if (set != NULL && g->from.set_count < CONFIG_MAX_OVERRIDES) {
        g->sets[g->from.set_count++] = set;
    } else if (initial != NULL &&
               g->from.default_count < CONFIG_MAX_OVERRIDES) {
        g->defaults[g->from.default_count++] = initial;
    }
}

/* The words of `autonomous-devops VERB ...`; false: it is another. */
static bool read_command(struct cli *cli, pid_t pid, const char *verb,
                         struct given *g)
{
    struct strbuf text = STRBUF_INIT(COMMAND_MAX_BYTES);
    const char *path = cli_text(cli, "/proc/%d/cmdline", (int)pid);
    bool good = os_read_file(AT_FDCWD, path, &text) == 0;
    struct str all = {0};
    all.at = arena_strdup(&cli->arena, strbuf_str(&text));
    all.len = text.len;
    strbuf_deinit(&text);
    const char *word = all.at;
    const char *end = all.at + all.len;
    for (unsigned i = 0; good && word < end; i++) {
        const char *next = word + strlen(word) + 1;
        if (i == 0) {
            const char *slash = strrchr(word, '/');
            good = strcmp(slash != NULL ? slash + 1 : word,
                          "autonomous-devops") == 0;
        } else if (i == 1) {
            good = strcmp(word, verb) == 0;
        } else {
            take_word(cli, g, word, next < end ? next : NULL);
        }
        word = next;
    }
    return good && all.len != 0;
}

/* Root, whoever asks, or the engine's user, whose the state is: anybody may
 * call a process what he likes, and name any file on its command line. */
static bool is_trusted(const struct config *config, pid_t pid)
{
    struct stat st;
    uid_t user = 0;
    if (os_process_user(pid, &user) < 0) {
        return false;
    }
    return user == 0 || user == geteuid() ||
           (stat(config->state_directory, &st) == 0 && st.st_uid == user);
}

/* A relative name counts from the process's folder, which is not ours. */
static void place_config(struct cli *cli, pid_t pid, struct given *g)
{
    if (g->from.path == NULL) {
        g->from.path =
            access(CONFIG_PATH_DEFAULT, F_OK) == 0 ? CONFIG_PATH_DEFAULT : NULL;
    } else if (g->from.path[0] != '/') {
        g->from.path = cli_text(cli, "/proc/%d/cwd/%s", (int)pid, g->from.path);
    }
}

struct config *cli_program_config(struct cli *cli, const struct config *config,
                                  pid_t pid, const char *verb)
{
    struct given g = {.from = {.path = NULL}};
    struct config_report report = {0};
    struct config *c = NULL;
    g.from.defaults = g.defaults;
    g.from.sets = g.sets;
    if (!read_command(cli, pid, verb, &g) || !is_trusted(config, pid)) {
        return NULL;
    }
    place_config(cli, pid, &g);
    if (config_load_from(&g.from, &c, &report) == 0 &&
        strcmp(c->executor_socket, config->executor_socket) != 0) {
        config_free(c);
        c = NULL;
    }
    config_report_deinit(&report);
    return c;
}
