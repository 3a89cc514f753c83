/* Making a backup: everything goes into a folder with another name, which gets
 * its own when all of it is verified and durable. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backup/backup_priv.h"
#include "base/map.h"
#include "os/fd.h"
#include "os/remove.h"

#define NAMES_MAX 100

struct making {
    const struct backup_make_options *options;
    struct arena *arena;
    int all;  /* the folder of all backups */
    int lock; /* held while we are at it */
    int own;  /* the folder of this one */
    char partial[BACKUP_NAME_SIZE];
    struct backup_manifest manifest;
};

/* ---- folders ------------------------------------------------------------- */

/* What an earlier one has not finished: we have the lock, so it is dead. */
static void remove_partial(int all)
{
    int fd = openat(all, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        os_close(fd);
        return;
    }
    for (const struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
        if (str_starts(str_c(d->d_name), STR(BACKUP_PARTIAL))) {
            (void)!os_remove_tree(all, d->d_name);
        }
    }
    (void)closedir(dir);
}

static int begin(struct making *m, struct err *reterr)
{
    const struct backup_make_options *o = m->options;
    int r = backup_open_directory(o->directory, true, &m->all, reterr);
    if (r == 0) {
        r = backup_lock(m->all, BACKUP_LOCK,
                        "another backup is being made or restored", &m->lock,
                        reterr);
    }
    if (r < 0) {
        return r;
    }
    remove_partial(m->all);
    (void)snprintf(m->partial, sizeof(m->partial), BACKUP_PARTIAL "%ld",
                   (long)getpid());
    r = os_open_folder(m->all, m->partial, 0700, &m->own);
    return r < 0 ? err_set(reterr, r, "cannot make a folder in %s: %s",
                           o->directory, strerror(-r))
                 : 0;
}

/* ---- content ------------------------------------------------------------- */

static void add_path(struct making *m, struct str path)
{
    VEC_PUSH(&m->manifest.files,
             (struct backup_file){.path = arena_str(m->arena, path)});
}

/* Where this file of the backup stands now. */
static const char *path_in(struct making *m, const char *file)
{
    return backup_join(m->arena,
                       backup_join(m->arena, m->options->directory, m->partial),
                       file);
}

static int copy_store(struct making *m, struct err *reterr)
{
    const struct backup_make_options *o = m->options;
    struct store_summary s = {0};
    struct backup_info *info = &m->manifest.info;
    const char *to = path_in(m, BACKUP_STORE);
    int r = store_copy(backup_join(m->arena, o->state_directory, BACKUP_STORE),
                       to, &o->progress, reterr);
    if (r == 0) {
        r = store_verify(to, &s, reterr);
    }
    if (r < 0) {
        return r;
    }
    info->trail = arena_str(m->arena, str_c(s.trail));
    info->schema = s.schema;
    info->accepted = s.counts.accepted;
    info->last_event_seq = s.last_event_seq;
    info->last_event_ms = s.last_event_ms;
    for (size_t i = 0; i < WORKFLOW_STATUSES; i++) {
        info->workflows += s.counts.workflows[i];
    }
    add_path(m, STR(BACKUP_STORE));
    return 0;
}

/* The history of metrics is nice to have: one that is damaged, locked by
 * somebody, or not a file of its own is left out. */
static int copy_metrics(struct making *m, struct err *reterr)
{
    struct err damage = ERR_INIT;
    const char *from =
        backup_join(m->arena, m->options->state_directory, BACKUP_METRICS);
    const char *to = path_in(m, BACKUP_METRICS);
    int r = store_copy(from, to, NULL, &damage);
    if (r == 0) {
        r = store_verify_other(to, &damage);
    }
    if (r == 0) {
        add_path(m, STR(BACKUP_METRICS));
    } else if (r == -ENOENT || r == -EBADMSG || r == -EBUSY || r == -ELOOP) {
        (void)unlinkat(m->own, BACKUP_METRICS, 0);
        if (r != -ENOENT) {
            backup_add_missing(&m->manifest, m->arena, STR(BACKUP_METRICS),
                               &damage, true);
        }
        r = 0;
    } else {
        *reterr = damage;
    }
    return r;
}

static int copy_runbooks(struct making *m, struct err *reterr)
{
    const struct backup_runbook_copy copy = {.repository =
                                                 m->options->repository,
                                             .own = m->own,
                                             .now_ms = m->options->now_ms};
    return copy.repository == NULL
               ? 0
               : backup_copy_runbooks(&copy, m->arena, &m->manifest, reterr);
}

static int copy_config(struct making *m, struct err *reterr)
{
    if (m->options->config.len == 0) {
        return 0;
    }
    add_path(m, STR(BACKUP_CONFIG));
    return backup_write_file(m->own, BACKUP_CONFIG, m->options->config, reterr);
}

/* After the store: a workflow that is archived meanwhile stands in both, and
 * never in neither. */
static int copy_archive(struct making *m, struct err *reterr)
{
    const struct backup_archive_copy copy = {
        .directory = m->options->archive, .all = m->all, .own = m->own};
    return copy.directory == NULL
               ? 0
               : backup_copy_archive(&copy, m->arena, &m->manifest, reterr);
}

/* ---- the end ------------------------------------------------------------- */

static int sum_up(struct making *m, struct err *reterr)
{
    int r = 0;
    for (size_t i = 0; i < m->manifest.files.count && r == 0; i++) {
        struct backup_file *f = &m->manifest.files.at[i];
        r = f->is_summed ? 0 : backup_read_file(m->own, f, -1, reterr);
        m->manifest.info.bytes += f->bytes;
        m->manifest.info.runbooks +=
            str_starts(f->path, STR(BACKUP_RUNBOOKS "/"));
        m->manifest.info.archives +=
            str_starts(f->path, STR(BACKUP_ARCHIVE "/"));
    }
    m->manifest.info.files = (uint32_t)m->manifest.files.count;
    backup_manifest_take_missing(&m->manifest, m->arena);
    return r;
}

/* Every folder that holds a file, once. */
static int sync_folders(struct making *m, struct err *reterr)
{
    struct map seen = MAP_INIT;
    int r = backup_sync_folder(m->own, reterr);
    for (size_t i = 0; i < m->manifest.files.count && r == 0; i++) {
        struct str path = m->manifest.files.at[i].path;
        for (size_t n = 0; n < path.len && r == 0; n++) {
            struct str folder = str_slice(path, 0, n);
            if (path.at[n] != '/' || map_put(&seen, folder, m) != NULL) {
                continue;
            }
            CLEANUP(os_closep)
            int fd = openat(m->own, arena_strdup(m->arena, folder),
                            O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
            r = fd < 0 ? err_set(reterr, -errno, "cannot open a folder: %s",
                                 strerror(errno))
                       : backup_sync_folder(fd, reterr);
        }
    }
    map_deinit(&seen);
    return r;
}

/* Gives it the name of now, or the next one that is free. */
static int give_name(struct making *m, struct err *reterr)
{
    char stamp[24];
    char name[BACKUP_NAME_SIZE];
    time_t now = (time_t)(m->manifest.info.made_ms / 1000);
    struct tm utc;
    (void)gmtime_r(&now, &utc);
    (void)strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &utc);
    (void)snprintf(name, sizeof(name), BACKUP_PREFIX "%s", stamp);
    for (int i = 2; i < NAMES_MAX; i++) {
        if (faccessat(m->all, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
            errno == ENOENT) {
            m->manifest.info.name = arena_str(m->arena, str_c(name));
            return 0;
        }
        (void)snprintf(name, sizeof(name), BACKUP_PREFIX "%s-%d", stamp, i);
    }
    return err_set(reterr, -EEXIST, "%s has too many backups of this second",
                   m->options->directory);
}

static int finish(struct making *m, struct err *reterr)
{
    CLEANUP(strbuf_deinit)
    struct strbuf text = STRBUF_INIT(BACKUP_MANIFEST_MAX_BYTES);
    int r = give_name(m, reterr);
    if (r < 0) {
        return r;
    }
    backup_manifest_write(&m->manifest, &text);
    r = strbuf_error(&text) < 0
            ? err_set(reterr, -E2BIG, "the manifest would be too large")
            : backup_write_file(m->own, BACKUP_MANIFEST, strbuf_str(&text),
                                reterr);
    if (r == 0) {
        r = sync_folders(m, reterr);
    }
    if (r == 0 &&
        renameat(m->all, m->partial, m->all, m->manifest.info.name.at) < 0) {
        r = err_set(reterr, -errno, "cannot name the backup: %s",
                    strerror(errno));
    }
    return r == 0 ? backup_sync_folder(m->all, reterr) : r;
}

static void describe(struct making *m)
{
    char host[256] = "";
    struct backup_info *i = &m->manifest.info;
    (void)gethostname(host, sizeof(host) - 1);
    i->made_ms = m->options->now_ms;
    i->version = STR(ADP_VERSION);
    i->host = arena_str(m->arena, str_c(host));
    i->runbook_commit = STR("");
    i->broken = STR("");
}

int backup_make(const struct backup_make_options *options, struct arena *a,
                struct backup_info *ret, struct err *reterr)
{
    struct making m = {
        .options = options, .arena = a, .all = -1, .lock = -1, .own = -1};
    describe(&m);
    int r = begin(&m, reterr);
    r = r < 0 ? r : copy_store(&m, reterr);
    r = r < 0 ? r : copy_metrics(&m, reterr);
    r = r < 0 ? r : copy_archive(&m, reterr);
    r = r < 0 ? r : copy_runbooks(&m, reterr);
    r = r < 0 ? r : copy_config(&m, reterr);
    r = r < 0 ? r : sum_up(&m, reterr);
    r = r < 0 ? r : finish(&m, reterr);
    if (r == 0) {
        *ret = m.manifest.info;
    } else if (m.own >= 0) {
        (void)!os_remove_tree(m.all, m.partial);
    }
    os_close(m.own);
    os_close(m.lock);
    os_close(m.all);
    backup_manifest_deinit(&m.manifest);
    return r;
}
