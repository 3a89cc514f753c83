/*
 * adctl doctor: what can be seen on this machine, with or without the engine.
 */
#include "app/cli_doctor.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include "app/cli_output.h"
#include "app/config_host.h"
#include "os/fd.h"
#include "os/process.h"

#define MIB (1024ULL * 1024)
#define FREE_LOW_BYTES (1024 * MIB)
#define FREE_TOO_LOW_BYTES (64 * MIB)
#define SKEW_MAX_SECONDS 5
#define COMMAND_MAX_BYTES (1024UL * 1024)

static const char *folder_of(struct cli *cli, const char *file)
{
    const char *slash = strrchr(file, '/');
    if (slash == NULL) {
        return ".";
    }
    return slash == file ? "/"
                         : cli_text(cli, "%.*s", (int)(slash - file), file);
}

/* Whoever writes a runbook, the state or the configuration decides what the
 * executor runs. */
void doctor_permissions(struct visit *v)
{
    const struct config *c = v->config;
    if (c == NULL) {
        doctor_say(v, SKIPPED, NULL, "the configuration is not known");
        return;
    }
    const char *file = c->files[0];
    const char *folder =
        folder_of(v->cli, file != NULL ? file : CONFIG_PATH_DEFAULT);
    const char *paths[] = {c->repository, c->state_directory, folder, file};
    unsigned findings = v->warnings + v->bad;
    unsigned seen = 0;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        const char *who =
            paths[i] != NULL ? config_host_writers(paths[i]) : NULL;
        seen += who != NULL;
        if (who != NULL && who[0] != '\0') {
            doctor_say(v, strcmp(who, "everybody") == 0 ? BAD : WARNING,
                       cli_text(v->cli, "chmod go-w %s", paths[i]),
                       "%s may write to %s", who, paths[i]);
        }
    }
    if (seen == 0) {
        doctor_say(v, SKIPPED, NULL, "the folders are not here");
    } else if (v->warnings + v->bad == findings) {
        doctor_say(v, GOOD, NULL,
                   "only owners write runbooks, state and configuration");
    }
}

/* ---- whom steps run as ---------------------------------------------------
 */

/* What an executor was given on its command line. */
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

/* The words of `autonomous-devops executor ...`; false: it is another. */
static bool read_command(struct cli *cli, pid_t pid, struct given *g)
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
            good = strcmp(word, "executor") == 0;
        } else {
            take_word(cli, g, word, next < end ? next : NULL);
        }
        word = next;
    }
    return good && all.len != 0;
}

/* A relative name counts from the executor's folder, which is not ours. */
static void place_config(struct cli *cli, pid_t pid, struct given *g)
{
    if (g->from.path == NULL) {
        g->from.path =
            access(CONFIG_PATH_DEFAULT, F_OK) == 0 ? CONFIG_PATH_DEFAULT : NULL;
    } else if (g->from.path[0] != '/') {
        g->from.path = cli_text(cli, "/proc/%d/cwd/%s", (int)pid, g->from.path);
    }
}

/* Is this an executor of the configuration that is looked at? */
static struct config *configured(struct visit *v, pid_t pid)
{
    struct given g = {.from = {.path = NULL}};
    struct config_report report = {0};
    struct config *c = NULL;
    g.from.defaults = g.defaults;
    g.from.sets = g.sets;
    if (!read_command(v->cli, pid, &g)) {
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
    struct config *c = configured(v, p->pid);
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
        doctor_say(v, SKIPPED, NULL, "the configuration is not known");
        return;
    }
    if (os_process_each(look, v) < 0 || json_array_size(v->items) == before) {
        doctor_say(v, SKIPPED, NULL, "no executor of it runs here");
    }
}

/* ---- the machine ---------------------------------------------------------
 */

void doctor_space(struct visit *v)
{
    const char *folder = v->config != NULL ? v->config->state_directory : NULL;
    struct statvfs fs;
    if (doctor_is_known(v) && !doctor_is_well(v, "disk")) {
        doctor_say(v, BAD,
                   "df -h, then make room: events are taken again by itself",
                   "the disk is full: the engine refuses events (507)");
        return;
    }
    if (folder == NULL || statvfs(folder, &fs) < 0) {
        doctor_say(v, SKIPPED, NULL, "the folder of the state is not here");
        return;
    }
    uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    enum finding verdict = free_bytes < FREE_TOO_LOW_BYTES ? BAD
                           : free_bytes < FREE_LOW_BYTES   ? WARNING
                                                           : GOOD;
    doctor_say(v, verdict,
               verdict == GOOD ? NULL : cli_text(v->cli, "df -h %s", folder),
               "%llu MiB free for %s", (unsigned long long)(free_bytes / MIB),
               folder);
}

void doctor_clock(struct visit *v)
{
    struct timex t = {.modes = 0};
    int64_t now = (int64_t)(v->cli->now_ms / 1000);
    int64_t skew = v->health.date > 0 ? now - v->health.date : 0;
    if (skew > SKEW_MAX_SECONDS || skew < -SKEW_MAX_SECONDS) {
        doctor_say(v, WARNING, "timedatectl status, on both sides",
                   "this clock and the engine's differ by %lld s",
                   (long long)skew);
    } else if (adjtimex(&t) == TIME_ERROR) {
        doctor_say(v, WARNING, "timedatectl set-ntp true",
                   "nothing keeps the clock: ages may be wrong");
    } else {
        doctor_say(v, GOOD, NULL, "it is kept in step");
    }
}
