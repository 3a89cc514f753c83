/*
 * adctl doctor: folders and backups of the service. What a unit's sandbox
 * allows is asked of systemd, since a folder that an operator has moved is
 * writable for the operator, and not for the service.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <systemd/sd-bus.h>

#include "app/cli_doctor.h"
#include "app/cli_output.h"
#include "backup/backup.h"
#include "base/mem.h"
#include "os/fd.h"
#include "os/holder.h"
#include "os/process.h"

#define ENGINE_UNIT "autonomous-devops.service"
#define BACKUP_UNIT "autonomous-devops-backup.service"
#define TIMER_UNIT "autonomous-devops-backup.timer"
#define HOST "/var/lib/"
#define SYSTEMD "org.freedesktop.systemd1"
#define STATE_ROOT "/var/lib/"

/* ---- what a sandbox allows ----------------------------------------------- */

/* How much of the path the folder covers; 0: it does not. */
static size_t covers(const char *prefix, const char *folder, const char *path)
{
    size_t before = strlen(prefix);
    while (before == 0 && (*folder == '-' || *folder == '+')) {
        folder++;
    }
    size_t len = strlen(folder);
    while (len > 1 && folder[len - 1] == '/') {
        len--;
    }
    if (strncmp(path, prefix, before) != 0 ||
        strncmp(path + before, folder, len) != 0) {
        return 0;
    }
    char next = path[before + len];
    bool is_root = before == 0 && len == 1 && folder[0] == '/';
    return is_root || next == '/' || next == '\0' ? before + len : 0;
}

static size_t longest(const char *prefix, const char *const *folders,
                      const char *path)
{
    size_t most = 0;
    for (size_t i = 0; folders != NULL && folders[i] != NULL; i++) {
        size_t n = covers(prefix, folders[i], path);
        most = n > most ? n : most;
    }
    return most;
}

/* What ProtectSystem= takes away. */
static size_t protects(const char *protect, const char *path)
{
    static const char *const all[] = {"/", NULL};
    static const char *const some[] = {"/usr", "/boot", "/efi", NULL};
    static const char *const etc[] = {"/etc", NULL};
    if (strcmp(protect, "strict") == 0) {
        return longest("", all, path);
    }
    bool full = strcmp(protect, "full") == 0;
    size_t n =
        full || strcmp(protect, "yes") == 0 ? longest("", some, path) : 0;
    return n != 0 || !full ? n : longest("", etc, path);
}

bool doctor_unit_may_write(const struct doctor_unit_paths *u, const char *path)
{
    size_t yes = longest("", u->writable, path);
    size_t state = longest(STATE_ROOT, u->state, path);
    size_t no = longest("", u->read_only, path);
    size_t taken = protects(u->protect_system, path);
    yes = state > yes ? state : yes;
    no = taken > no ? taken : no;
    return no == 0 || yes > no;
}

/* ---- what systemd says --------------------------------------------------- */

struct unit {
    char *load_state;
    char *active_state;
    uint32_t main_pid;
    char *user;
    char *protect_system;
    char **writable;
    char **state;
    char **read_only;
    char **inaccessible;
};

static void free_list(char **list)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
        free(list[i]); /* the library's */
    }
    free(list);
}

static void unit_deinit(struct unit *u)
{
    free(u->load_state);
    free(u->active_state);
    free(u->user);
    free(u->protect_system);
    free_list(u->writable);
    free_list(u->state);
    free_list(u->read_only);
    free_list(u->inaccessible);
}

static int read_unit(sd_bus *bus, const char *path, struct unit *u)
{
    const struct {
        const char *name;
        char **to;
    } texts[] = {{"User", &u->user}, {"ProtectSystem", &u->protect_system}};
    const struct {
        const char *name;
        char ***to;
    } lists[] = {{"ReadWritePaths", &u->writable},
                 {"StateDirectory", &u->state},
                 {"ReadOnlyPaths", &u->read_only},
                 {"InaccessiblePaths", &u->inaccessible}};
    int r = sd_bus_get_property_string(bus, SYSTEMD, path, SYSTEMD ".Unit",
                                       "LoadState", NULL, &u->load_state);
    if (r < 0 || strcmp(u->load_state, "loaded") != 0) {
        return r;
    }
    for (size_t i = 0; i < ARRAY_LEN(texts) && r >= 0; i++) {
        r = sd_bus_get_property_string(bus, SYSTEMD, path, SYSTEMD ".Service",
                                       texts[i].name, NULL, texts[i].to);
    }
    for (size_t i = 0; i < ARRAY_LEN(lists) && r >= 0; i++) {
        r = sd_bus_get_property_strv(bus, SYSTEMD, path, SYSTEMD ".Service",
                                     lists[i].name, NULL, lists[i].to);
    }
    return r;
}

/* Calls fn with the bus and the object of a unit, whether it is there or not.
 * What fn said, or why systemd cannot be asked. */
static int with_unit(const char *name,
                     int (*fn)(sd_bus *bus, const char *path, struct unit *u),
                     struct unit *u)
{
    sd_bus *bus = NULL;
    sd_bus_message *answer = NULL;
    const char *path = NULL;
    int r = sd_bus_open_system(&bus);
    if (r >= 0) {
        r = sd_bus_call_method(bus, SYSTEMD, "/org/freedesktop/systemd1",
                               SYSTEMD ".Manager", "LoadUnit", NULL, &answer,
                               "s", name);
    }
    if (r >= 0) {
        r = sd_bus_message_read(answer, "o", &path);
    }
    if (r >= 0) {
        r = fn(bus, path, u);
    }
    (void)sd_bus_message_unref(answer);
    (void)sd_bus_flush_close_unref(bus);
    return r < 0 ? r : 0;
}

/* 0 also for a unit that is not there. */
static int ask_systemd(const char *name, struct unit *u)
{
    return with_unit(name, read_unit, u);
}

/* ---- whose engine it is ---------------------------------------------------
 */

enum doctor_service_state doctor_judge_service(const char *active,
                                               pid_t main_pid, pid_t holder)
{
    if (holder != 0) {
        return holder == main_pid ? DOCTOR_SERVICE_OURS
                                  : DOCTOR_SERVICE_FOREIGN;
    }
    return strcmp(active, "active") == 0 || main_pid != 0
               ? DOCTOR_SERVICE_STARTS
               : DOCTOR_SERVICE_DOWN;
}

static int read_state(sd_bus *bus, const char *path, struct unit *u)
{
    int r = sd_bus_get_property_string(bus, SYSTEMD, path, SYSTEMD ".Unit",
                                       "LoadState", NULL, &u->load_state);
    if (r >= 0) {
        r = sd_bus_get_property_string(bus, SYSTEMD, path, SYSTEMD ".Unit",
                                       "ActiveState", NULL, &u->active_state);
    }
    if (r >= 0 && strcmp(u->load_state, "loaded") == 0) {
        r = sd_bus_get_property_trivial(bus, SYSTEMD, path, SYSTEMD ".Service",
                                        "MainPID", NULL, 'u', &u->main_pid);
    }
    return r;
}

/* Who has the store. The lock itself is not tried: that would keep an engine
 * from starting. False: it cannot be looked at. */
static bool find_holder(struct visit *v, struct os_holder *ret)
{
    const char *path =
        cli_text(v->cli, "%s/engine.lock", v->config->state_directory);
    struct os_process p;
    CLEANUP(os_closep)
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    *ret = (struct os_holder){.pid = 0};
    if (fd < 0) {
        return errno == ENOENT;
    }
    os_holder_read(fd, ret);
    if (ret->pid != 0 &&
        (os_process_read(ret->pid, &p) < 0 || ret->command[0] == '\0')) {
        ret->pid = 0; /* it has ended */
    }
    return true;
}

static void say_foreign(struct visit *v, const struct unit *u,
                        const struct os_holder *holder)
{
    CLEANUP(strbuf_deinit) struct strbuf who = STRBUF_INIT(256);
    os_holder_add(holder, &who);
    doctor_say(v, BAD,
               cli_text(v->cli,
                        "sudo kill %d, then sudo systemctl restart "
                        "autonomous-devops",
                        (int)holder->pid),
               "an engine that is not the unit's (%s) has the store; the unit "
               "is %s",
               strbuf_str(&who).at, u->active_state);
}

void doctor_service(struct visit *v)
{
    const char *path = doctor_config_path(v);
    CLEANUP(unit_deinit) struct unit u = {0};
    struct os_holder holder;
    if (v->config == NULL) {
        doctor_say(v, SKIPPED, NULL, "%s", v->no_config);
        return;
    }
    if (path == NULL || strcmp(path, CONFIG_PATH_DEFAULT) != 0) {
        doctor_say(v, SKIPPED, NULL, "not the configuration of a service");
        return;
    }
    int r = with_unit(ENGINE_UNIT, read_state, &u);
    if (r < 0 || strcmp(u.load_state, "loaded") != 0) {
        doctor_say(v, SKIPPED, NULL, ENGINE_UNIT ": %s",
                   r < 0 ? "systemd cannot be asked" : "not installed");
        return;
    }
    if (!find_holder(v, &holder)) {
        doctor_say(v, SKIPPED, "sudo adctl doctor",
                   "who has the store is not shown to you");
        return;
    }
    switch (
        doctor_judge_service(u.active_state, (pid_t)u.main_pid, holder.pid)) {
    case DOCTOR_SERVICE_OURS:
        doctor_say(v, GOOD, NULL, "the unit's engine has the store");
        break;
    case DOCTOR_SERVICE_FOREIGN:
        say_foreign(v, &u, &holder);
        break;
    case DOCTOR_SERVICE_STARTS:
        doctor_say(v, WARNING, "journalctl -u autonomous-devops -n 50",
                   "the unit is %s, and has not taken the store yet",
                   u.active_state);
        break;
    case DOCTOR_SERVICE_DOWN:
        doctor_say(v, BAD,
                   "sudo systemctl start autonomous-devops, or journalctl -u "
                   "autonomous-devops -n 50",
                   "the unit is %s", u.active_state);
        break;
    }
}

/* ---- folders ------------------------------------------------------------- */

static bool may_write(const struct unit *u, const char *path)
{
    const char *const *writable = (const char *const *)u->writable;
    struct doctor_unit_paths paths = {.protect_system = u->protect_system,
                                      .writable = writable,
                                      .state = (const char *const *)u->state};
    paths.read_only = (const char *const *)u->read_only;
    bool ok = doctor_unit_may_write(&paths, path);
    paths.read_only = (const char *const *)u->inaccessible;
    return ok && doctor_unit_may_write(&paths, path);
}

/* Whose folder it must be. */
static bool is_users(struct visit *v, const struct unit *u, const char *key,
                     const char *path)
{
    const char *name = u->user != NULL && u->user[0] != '\0' ? u->user : "root";
    const struct passwd *user = getpwnam(name);
    struct stat st;
    if (user == NULL || stat(path, &st) < 0 || st.st_uid == user->pw_uid) {
        return true;
    }
    doctor_say(v, BAD, cli_text(v->cli, "sudo chown -R %s: %s", name, path),
               "%s: %s is not %s's", key, path, name);
    return false;
}

static bool check_unit(struct visit *v, const char *name, const struct unit *u)
{
    struct arena *a = &v->cli->arena;
    const struct {
        const char *key;
        const char *path;
        bool engine_only;
    } folders[] = {
        {"storage.url", v->config->state_directory, false},
        {"backup.directory", v->config->backup_directory, false},
        {"archive.directory", config_archive_directory(v->config, a), true},
    };
    bool engine = strcmp(name, ENGINE_UNIT) == 0;
    bool well = true;
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        if (folders[i].engine_only && !engine) {
            continue;
        }
        if (!may_write(u, folders[i].path)) {
            well = false;
            doctor_say(v, BAD,
                       cli_text(v->cli,
                                "sudo systemctl edit %s, with [Service] "
                                "and ReadWritePaths=%s",
                                name, folders[i].path),
                       "%s: %s may not write in %s", folders[i].key, name,
                       folders[i].path);
        } else if (engine) {
            well = is_users(v, u, folders[i].key, folders[i].path) && well;
        }
    }
    return well;
}

void doctor_folders(struct visit *v)
{
    static const char *const units[] = {ENGINE_UNIT, BACKUP_UNIT};
    const char *path = doctor_config_path(v);
    bool well = true;
    if (v->config == NULL) {
        doctor_say(v, SKIPPED, NULL, "%s", v->no_config);
        return;
    }
    if (path == NULL || strcmp(path, CONFIG_PATH_DEFAULT) != 0) {
        doctor_say(v, SKIPPED, NULL, "not the configuration of a service");
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        CLEANUP(unit_deinit) struct unit u = {0};
        int r = ask_systemd(units[i], &u);
        if (r < 0 || strcmp(u.load_state, "loaded") != 0) {
            doctor_say(v, SKIPPED, NULL, "%s: %s", units[i],
                       r < 0 ? "systemd cannot be asked" : "not installed");
            return;
        }
        well = check_unit(v, units[i], &u) && well;
    }
    if (well) {
        doctor_say(v, GOOD, NULL, "the service may write where it must");
    }
}

/* ---- backups ------------------------------------------------------------- */

/* Do backups go with the disk of the state? Only for a host's service: who
 * tries the engine in a folder of their own knows. */
static bool is_on_the_same_disk(const struct config *c)
{
    struct stat state;
    struct stat backups;
    return c != NULL && str_starts(str_c(c->backup_directory), STR(HOST)) &&
           stat(c->state_directory, &state) == 0 &&
           stat(c->backup_directory, &backups) == 0 &&
           state.st_dev == backups.st_dev;
}

static void tell_age(struct visit *v, bool old, bool any, double age_s)
{
    struct cli *cli = v->cli;
    bool same = is_on_the_same_disk(v->config);
    const char *next =
        old    ? "sudo adctl backup, then systemctl status " TIMER_UNIT
        : same ? "copy the folder elsewhere: man autonomous-devops, BACKUPS "
                 "AND RECOVERY"
               : NULL;
    if (any) {
        doctor_say(v, old ? WARNING : GOOD, next,
                   "the newest was made %s ago%s", cli_span(cli, age_s),
                   same ? ", on the disk of the state" : "");
    } else {
        doctor_say(v, old ? WARNING : GOOD, next,
                   old ? "there is none" : "there is none yet");
    }
}

/* The first that the newest lacks; who may not read it is told nothing. */
static void tell_missing(struct visit *v)
{
    struct backup_info last = {0};
    struct err unused = ERR_INIT;
    if (v->config == NULL || backup_last(v->config->backup_directory,
                                         &v->cli->arena, &last, &unused) < 0) {
        return;
    }
    for (uint32_t i = 0; i < last.missing_count; i++) {
        const struct backup_missing *x = &last.missing[i];
        if (!x->is_harmless) {
            doctor_say(v, WARNING, "sudo adctl backup verify",
                       "the newest lacks %.*s: %.*s", STR_ARG(x->path),
                       STR_ARG(x->why));
            return;
        }
    }
}

/* The folder itself, when the engine cannot be asked. */
static void look_at_backups(struct visit *v)
{
    struct backup_info last = {0};
    struct err err = ERR_INIT;
    uint64_t now_ms = v->cli->now_ms;
    uint64_t warn_ms = v->config->backup_warn_ms;
    int r =
        backup_last(v->config->backup_directory, &v->cli->arena, &last, &err);
    if (r < 0 && r != -ENOENT) {
        doctor_say(v, SKIPPED, "sudo adctl doctor", "%s", err.message);
        return;
    }
    uint64_t age_ms = now_ms - MIN(last.made_ms, now_ms);
    bool old = warn_ms != 0 && (r < 0 || age_ms > warn_ms);
    tell_age(v, old, r == 0, (double)age_ms / 1000);
}

void doctor_backups(struct visit *v)
{
    const json_t *known = doctor_health(v, "backup");
    if (known != NULL) {
        tell_age(v, !json_is_true(json_object_get(known, "ok")),
                 json_is_number(json_object_get(known, "age_seconds")),
                 cli_get_number(known, "age_seconds"));
    } else if (v->config != NULL) {
        look_at_backups(v);
    } else {
        doctor_say(v, SKIPPED, NULL, "%s", v->no_config);
    }
    tell_missing(v);
}
