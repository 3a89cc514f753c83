/*
 * adctl doctor: what the processes of the engine and the executor say, as far
 * as /proc shows them.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/cli_doctor.h"
#include "app/cli_output.h"
#include "os/fd.h"
#include "os/process.h"

#define COMMAND_MAX_BYTES (1024UL * 1024)
#define LINK_MAX_BYTES 4096

/* ---- which they are ------------------------------------------------------ */
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

/* Is this an engine ("serve") or executor of the configuration that is looked
 * at? */
static struct config *configured(struct visit *v, pid_t pid, const char *verb)
{
    struct given g = {.from = {.path = NULL}};
    struct config_report report = {0};
    struct config *c = NULL;
    g.from.defaults = g.defaults;
    g.from.sets = g.sets;
    if (!read_command(v->cli, pid, verb, &g)) {
        return NULL;
    }
    place_config(v->cli, pid, &g);
    if (config_load_from(&g.from, &c, &report) == 0 &&
        strcmp(c->executor_socket, v->config->executor_socket) != 0) {
        config_free(c);
        c = NULL;
    }
    config_report_deinit(&report);
    return c;
}

static bool look(void *context, const struct os_process *p)
{
    struct visit *v = context;
    struct stat st;
    struct config *c = configured(v, p->pid, "executor");
    if (c == NULL) {
        return true;
    }
    const char *path = cli_text(v->cli, "/proc/%d", (int)p->pid);
    bool root = stat(path, &st) == 0 && st.st_uid == 0;
    if (root && c->executor_user == NULL) {
        doctor_say(v, WARNING,
                   cli_text(v->cli, "set executor.user in %s",
                            v->config->files[0] != NULL ? v->config->files[0]
                                                        : CONFIG_PATH_DEFAULT),
                   "they run as root");
    } else {
        doctor_say(v, GOOD, NULL, "they run as %s",
                   c->executor_user != NULL ? c->executor_user
                                            : "the executor's user");
    }
    config_free(c);
    return false;
}

void doctor_steps(struct visit *v)
{
    size_t before = json_array_size(v->items);
    if (v->config == NULL) {
        doctor_say(v, SKIPPED, NULL, "%s", v->no_config);
        return;
    }
    if (os_process_each(look, v) < 0 || json_array_size(v->items) == before) {
        doctor_say(v, SKIPPED, NULL, "no executor of it runs here");
    }
}

/* ---- which programs they run ----------------------------------------------
 */

struct programs {
    struct visit *visit;
    const char *verb;
    const char *name;
    const char *unit;
    bool seen;
    bool hidden;
};

/* The link of a program whose file was replaced ends so. */
static bool was_replaced(const char *link)
{
    return str_ends(str_c(link), STR(" (deleted)"));
}

static bool look_at_program(void *context, const struct os_process *p)
{
    struct programs *x = context;
    struct visit *v = x->visit;
    char link[LINK_MAX_BYTES];
    struct config *c = configured(v, p->pid, x->verb);
    if (c == NULL) {
        return true;
    }
    config_free(c);
    x->seen = true;
    const char *path = cli_text(v->cli, "/proc/%d/exe", (int)p->pid);
    ssize_t len = readlink(path, link, sizeof(link) - 1);
    link[len > 0 ? len : 0] = '\0';
    x->hidden = len < 0;
    if (was_replaced(link)) {
        doctor_say(v, WARNING,
                   cli_text(v->cli, "sudo systemctl restart %s", x->unit),
                   "the %s (pid %d) runs an older program than the installed "
                   "one",
                   x->name, (int)p->pid);
    }
    return false;
}

void doctor_programs(struct visit *v)
{
    struct programs both[] = {
        {.verb = "serve", .name = "engine", .unit = "autonomous-devops"},
        {.verb = "executor",
         .name = "executor",
         .unit = "autonomous-devops-executor, when no step runs"},
    };
    size_t before = json_array_size(v->items);
    bool seen = false;
    bool hidden = false;
    if (v->config == NULL) {
        doctor_say(v, SKIPPED, NULL, "%s", v->no_config);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        both[i].visit = v;
        if (os_process_each(look_at_program, &both[i]) < 0) {
            both[i].hidden = true;
        }
        seen = seen || both[i].seen;
        hidden = hidden || both[i].hidden;
    }
    if (json_array_size(v->items) != before) {
        return;
    }
    if (hidden) {
        doctor_say(v, SKIPPED, "sudo adctl doctor",
                   "what engine and executor run is not shown to you");
    } else if (!seen) {
        doctor_say(v, SKIPPED, NULL, "no engine or executor of it runs here");
    } else {
        doctor_say(v, GOOD, NULL, "what runs is what is installed");
    }
}
