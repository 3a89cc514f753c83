#include "app/config_host.h"

#include <errno.h>
#include <grp.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "app/config_value.h"
#include "base/mem.h"
#include "net/http.h"
#include "proc/spawn.h"

#define RECORD_BYTES 65536

struct host {
    const struct config *config;
    struct config_report *report;
};

static void tell(struct host *h, bool warning, const char *key, struct err *e)
{
    const struct config_origin *from =
        &h->config->origins[config_option_named(key) - config_options];
    struct config_reader r = {
        .report = h->report,
        .file = from->source != NULL
                    ? arena_strdup(&h->report->arena, str_c(from->source))
                    : h->report->file,
        .is_file = from->at.line != 0,
    };
    e->at = from->at;
    if (warning) {
        config_warn(&r, key, e);
    } else {
        config_complain(&r, key, e);
    }
}

/* ---- users and groups ---------------------------------------------------- */

/* A database that does not answer now may do so later: only a warning. */
static void check_user(struct host *h, const char *key, const char *name)
{
    struct spawn_user user = {0};
    struct err e = ERR_INIT;
    int r = spawn_user_find(name, &user, &e);
    spawn_user_deinit(&user);
    if (r < 0) {
        tell(h, r != -ENOENT, key, &e);
    }
}

static void check_users(struct host *h)
{
    const struct config *c = h->config;
    if (c->executor_user != NULL) {
        check_user(h, "executor.user", c->executor_user);
    }
    const struct executor_run_as *rule = c->run_as_allowed;
    for (; rule != NULL && rule->user != NULL; rule++) {
        check_user(h, "executor.run_as_allowed", rule->user);
    }
}

/* The default's group is the package's: without it nobody is a member. */
static void check_group(struct host *h)
{
    static const char key[] = "security.group";
    const struct config *c = h->config;
    const struct config_option *o = config_option_named(key);
    struct group entry;
    struct group *found = NULL;
    struct err e = ERR_INIT;
    if (c->group == NULL || c->origins[o - config_options].source == NULL) {
        return;
    }
    CLEANUP(mem_freep) char *buffer = mem_alloc(RECORD_BYTES, 1);
    int r = getgrnam_r(c->group, &entry, buffer, RECORD_BYTES, &found);
    bool unknown = r == 0 || r == ENOENT || r == ESRCH;
    if (found == NULL) {
        (void)err_set(&e, -ENOENT, "cannot find the group '%s': %s", c->group,
                      unknown ? "no such group" : strerror(r));
        tell(h, !unknown, key, &e);
    }
}

/* ---- the key pair -------------------------------------------------------- */

static void check_tls(struct host *h)
{
    const struct config *c = h->config;
    struct err e = ERR_INIT;
    int r = c->tls_cert != NULL && c->tls_key != NULL
                ? http_check_tls(c->tls_cert, c->tls_key, &e)
                : 0;
    if (r < 0) {
        const char *key = strcmp(e.field, "server.tls.cert") == 0
                              ? "server.tls.cert"
                              : "server.tls.key";
        tell(h, r == -EACCES, key, &e); /* the engine's user may be allowed */
    }
}

/* ---- folders ------------------------------------------------------------- */

/* File systems whose folders are the kernel's, not ours to make. */
static bool is_kernels(const char *path)
{
    static const long types[] = {PROC_SUPER_MAGIC,    SYSFS_MAGIC,
                                 CGROUP2_SUPER_MAGIC, CGROUP_SUPER_MAGIC,
                                 DEVPTS_SUPER_MAGIC,  SECURITYFS_MAGIC};
    struct statfs fs;
    bool found = false;
    for (size_t i = 0; statfs(path, &fs) == 0 && i < ARRAY_LEN(types); i++) {
        found = found || (long)fs.f_type == types[i];
    }
    return found;
}

/* Cuts the last name off: "/" above "/a", "" above "a". */
static void cut_name(char *path)
{
    char *slash = strrchr(path, '/');
    size_t len = slash != NULL ? (size_t)(slash - path) : 0;
    path[slash == path ? 1 : len] = '\0';
}

/* Cuts the path to the longest beginning that exists; false: this user may not
 * look. */
static bool cut_to_existing(char *path, struct stat *ret)
{
    while (stat(path, ret) < 0) {
        if (errno != ENOENT && errno != ENOTDIR) {
            return false;
        }
        cut_name(path);
    }
    return true;
}

/* Could it be made, where it is missing? `whole`: the folder itself, else the
 * one of the file that the path names. */
static void check_folder(struct host *h, const char *key, const char *path,
                         bool whole)
{
    CLEANUP(mem_freep) char *folder = str_dup(str_c(path));
    struct stat st;
    struct err e = ERR_INIT;
    if (!whole) {
        cut_name(folder);
    }
    size_t len = strlen(folder);
    if (!cut_to_existing(folder, &st)) {
        return;
    }
    bool missing = strlen(folder) != len;
    if (!S_ISDIR(st.st_mode)) {
        (void)err_set(&e, -ENOTDIR, "%s is not a folder", folder);
        tell(h, false, key, &e);
    } else if (missing && is_kernels(folder)) {
        (void)err_set(&e, -EROFS, "no folder can be made in %s", folder);
        tell(h, false, key, &e);
    } else if (missing && access(folder, W_OK | X_OK) < 0) {
        (void)err_set(&e, -errno,
                      "%.*s is missing and %s may not be written "
                      "to by the user id %u: %s",
                      (int)len, path, folder, (unsigned)geteuid(),
                      strerror(errno));
        tell(h, true, key, &e);
    }
}

const char *config_host_writers(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0) {
        return NULL;
    }
    return (st.st_mode & S_IWOTH) != 0   ? "everybody"
           : (st.st_mode & S_IWGRP) != 0 ? "its group"
                                         : "";
}

/* Whoever writes there decides what the engine remembers, runs or obeys. */
static void check_writers(struct host *h, const char *key, const char *path)
{
    const char *who = config_host_writers(path);
    struct err e = ERR_INIT;
    if (who == NULL || who[0] == '\0') {
        return;
    }
    bool everybody = strcmp(who, "everybody") == 0;
    err_hint(&e, "chmod %s %s", everybody ? "o-w" : "g-w", path);
    (void)err_set(&e, -EPERM, "%s may write to %s", who, path);
    /* Nobody could say any more what this engine has accepted and done. */
    bool fatal = everybody && strcmp(key, "storage.url") == 0;
    tell(h, !fatal, key, &e);
}

static void check_state(struct host *h)
{
    static const char key[] = "storage.url";
    const char *state = h->config->state_directory;
    struct stat st;
    struct err e = ERR_INIT;
    check_folder(h, key, state, true);
    check_writers(h, key, state);
    if (stat(state, &st) < 0 && errno == ENOENT) {
        err_hint(&e, "on a first start that is right; else see that its disk "
                     "is mounted");
        (void)err_set(&e, -ENOENT,
                      "%s is missing: the engine begins with an "
                      "empty store",
                      state);
        tell(h, true, key, &e);
    }
}

static void check_runbooks(struct host *h)
{
    static const char key[] = "runbooks.repository";
    const char *repository = h->config->repository;
    struct stat st;
    struct err e = ERR_INIT;
    check_writers(h, key, repository);
    if (stat(repository, &st) < 0) {
        if (errno == EACCES) {
            return; /* this user may not look; the engine's may */
        }
        err_hint(&e, "mkdir -p %s", repository);
        (void)err_set(&e, -errno, "%s: %s", repository, strerror(errno));
        tell(h, true, key, &e);
    } else if (!S_ISDIR(st.st_mode)) {
        (void)err_set(&e, -ENOTDIR, "%s is not a folder", repository);
        tell(h, false, key, &e);
    }
}

static void check_source(struct host *h, const char *path)
{
    struct config_reader r = {.report = h->report, .file = h->report->file};
    const char *who = config_host_writers(path);
    struct err e = ERR_INIT;
    if (who != NULL && who[0] != '\0') {
        err_hint(&e, "chmod go-w %s", path);
        (void)err_set(&e, -EPERM, "%s may write to %s", who, path);
        config_warn(&r, "", &e);
    }
}

/* The files that were read, and the one or two folders that they are in. */
static void check_files(struct host *h)
{
    const char *const *files = h->config->files;
    for (size_t i = 0; files[i] != NULL; i++) {
        check_source(h, files[i]);
        if (i <= 1) {
            CLEANUP(mem_freep) char *folder = str_dup(str_c(files[i]));
            cut_name(folder);
            check_source(h, folder[0] != '\0' ? folder : ".");
        }
    }
}

/* A secret that is written out in a file is everybody's who can read that. */
static void check_secrets(struct host *h)
{
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *o = &config_options[i];
        const struct config_origin *from = &h->config->origins[i];
        struct stat st;
        struct err e = ERR_INIT;
        if ((o->flags & CONFIG_CREDENTIAL) == 0 || from->source == NULL ||
            !from->literal || from->at.line == 0 ||
            stat(from->source, &st) < 0 || (st.st_mode & S_IROTH) == 0) {
            continue;
        }
        err_hint(&e, "chmod o= %s, or write ${credential:NAME}", from->source);
        (void)err_set(&e, -EPERM, "a secret that everybody may read");
        tell(h, true, o->key, &e);
    }
}

static void check_folders(struct host *h)
{
    const struct config *c = h->config;
    check_state(h);
    check_runbooks(h);
    check_files(h);
    check_secrets(h);
    check_folder(h, "backup.directory", c->backup_directory, true);
    if (c->archive_directory != NULL) {
        check_folder(h, "archive.directory", c->archive_directory, true);
    }
    if (c->executor_autostart) { /* else they are seen by another unit */
        check_folder(h, "executor.socket", c->executor_socket, false);
        check_folder(h, "executor.spool", c->executor_spool, true);
        check_folder(h, "executor.work", c->executor_work, true);
    }
}

int config_check_host(const struct config *c, struct config_report *report)
{
    struct host h = {c, report};
    uint32_t errors = report->error_count;
    check_users(&h);
    check_group(&h);
    check_tls(&h);
    check_folders(&h);
    return report->error_count != errors ? -EINVAL : 0;
}
