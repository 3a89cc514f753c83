/*
 * Restoring, in steps that may each be the last one of this process:
 *
 *   1 the copies are made under other names
 *   2 the note is written          from here on it will be finished
 *   3 the old files are set aside
 *   4 the copies get their names, the store last
 *   5 the engine starts, takes account of the note, removes it
 *
 * A copy without a note was not finished and goes; a copy with a note is put
 * in place by whoever looks next; a note without a copy waits for the engine.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "backup/backup_priv.h"
#include "base/mem.h"
#include "data/json.h"
#include "data/timestamp.h"
#include "os/fd.h"

#define NOTE "restored.json"
#define NOTE_NEW "restored.json.new"
#define NOTE_MAX_BYTES 65536
#define QUARANTINE "quarantine"
#define ENGINE_LOCK "engine.lock" /* as the store's driver calls it */

/* The copies, and what they become; the store last. */
static const struct {
    const char *copy;
    const char *file;
} parts[] = {
    {"restore-metrics.db", BACKUP_METRICS},
    {"restore-engine.db", BACKUP_STORE},
};

#define STORE_PART 1

/* What belongs to a store and is moved together. */
static const char *const store_files[] = {
    "engine.db",  "engine.db-wal",  "engine.db-shm",
    "metrics.db", "metrics.db-wal", "metrics.db-shm",
};

static int fail(int errnum, const char *what, struct err *reterr)
{
    return err_set(reterr, errnum, "cannot %s: %s", what, strerror(-errnum));
}

/* ---- setting aside ------------------------------------------------------- */

static void stamp(uint64_t now_ms, char out[32])
{
    time_t now = (time_t)(now_ms / 1000);
    struct tm utc;
    (void)gmtime_r(&now, &utc);
    (void)strftime(out, 32, "%Y%m%dT%H%M%SZ", &utc);
}

/* Was it made by stamp? A note may have been written by anybody. */
static bool is_stamp(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        bool digit = s.at[i] >= '0' && s.at[i] <= '9';
        if (!digit && s.at[i] != 'T' && s.at[i] != 'Z') {
            return false;
        }
    }
    return s.len > 0 && s.len < 32;
}

static bool is_there(int folder, const char *name)
{
    return faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The owner of what is made here: the folder's own. */
static int take_owner(int folder, int fd)
{
    struct stat st;
    if (fstat(folder, &st) < 0) {
        return -errno;
    }
    return geteuid() == 0 && fchown(fd, st.st_uid, st.st_gid) < 0 ? -errno : 0;
}

static int open_aside(int state, const char *name, int *ret)
{
    CLEANUP(os_closep) int quarantine = -1;
    int r = os_open_folder(state, QUARANTINE, 0700, &quarantine);
    if (r == 0) {
        r = take_owner(state, quarantine);
    }
    if (r == 0) {
        r = os_open_folder(quarantine, name, 0700, ret);
    }
    return r < 0 ? r : take_owner(state, *ret);
}

/* Moves what is there into the folder of this name; false: there was
 * nothing. */
static int move_aside(int state, const char *name, bool *ret_moved,
                      struct err *reterr)
{
    CLEANUP(os_closep) int aside = -1;
    int r = 0;
    *ret_moved = false;
    for (size_t i = 0; i < ARRAY_LEN(store_files) && r == 0; i++) {
        if (!is_there(state, store_files[i])) {
            continue;
        }
        if (aside < 0) {
            r = open_aside(state, name, &aside);
        }
        if (r == 0 &&
            renameat(state, store_files[i], aside, store_files[i]) < 0) {
            r = -errno;
        }
        *ret_moved = true;
    }
    if (r == 0 && aside >= 0 && (fsync(aside) < 0 || fsync(state) < 0)) {
        r = -errno;
    }
    return r < 0 ? fail(r, "set the old store aside", reterr) : 0;
}

static struct str aside_path(const char *state_directory, const char *name,
                             bool moved, struct arena *a)
{
    char below[64];
    if (!moved) {
        return STR("");
    }
    (void)snprintf(below, sizeof(below), QUARANTINE "/%s", name);
    return str_c(backup_join(a, state_directory, below));
}

int backup_set_aside(const char *state_directory, uint64_t now_ms,
                     struct arena *a, struct str *ret_folder,
                     struct err *reterr)
{
    CLEANUP(os_closep) int state = -1;
    CLEANUP(os_closep) int lock = -1;
    char name[32];
    bool moved = false;
    stamp(now_ms, name);
    int r = backup_open_directory(state_directory, false, &state, reterr);
    r = r < 0 ? r
              : backup_lock(state, ENGINE_LOCK,
                            "an engine uses the store: stop it first", &lock,
                            reterr);
    r = r < 0 ? r : move_aside(state, name, &moved, reterr);
    if (r == 0) {
        *ret_folder = aside_path(state_directory, name, moved, a);
    }
    return r;
}

/* ---- the note ------------------------------------------------------------ */

static int write_note(int state, const struct backup_note *n,
                      const char *aside_name, struct err *reterr)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(NOTE_MAX_BYTES);
    strbuf_addc(&text, "{\"backup\": ");
    strbuf_add_json_quoted(&text, n->backup);
    strbuf_addc(&text, ", \"why\": ");
    strbuf_add_json_quoted(&text, n->why);
    strbuf_addf(&text,
                ", \"made_ms\": %llu, \"restored_ms\": %llu, "
                "\"aside\": \"%s\", \"salvage\": %s}\n",
                (unsigned long long)n->made_ms,
                (unsigned long long)n->restored_ms, aside_name,
                n->salvage ? "true" : "false");
    (void)unlinkat(state, NOTE_NEW, 0);
    int r = backup_write_file(state, NOTE_NEW, strbuf_str(&text), reterr);
    CLEANUP(os_closep) int fd = -1;
    if (r == 0) {
        fd = openat(state, NOTE_NEW, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        r = fd < 0 ? -errno : take_owner(state, fd);
        r = r == 0 && renameat(state, NOTE_NEW, state, NOTE) < 0 ? -errno : r;
        r = r < 0 ? fail(r, "write the note of the restore", reterr) : 0;
    }
    return r == 0 ? backup_sync_folder(state, reterr) : r;
}

static uint64_t number_of(const json_t *o, const char *name)
{
    int64_t n = 0;
    struct err unused = ERR_INIT;
    const struct json_range range = {.min = 0, .max = TIMESTAMP_MAX_MS};
    (void)!json_get_int(o, name, range, &n, &unused);
    return (uint64_t)n;
}

static struct str text_of(const json_t *o, const char *name, struct arena *a)
{
    return arena_str(a, json_text(json_object_get(o, name)));
}

/* 1, or 0: there is none. One that cannot be read still says that there was a
 * restore. */
static int read_note(int state, struct arena *a, struct backup_note *ret,
                     char aside[32], struct err *reterr)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(NOTE_MAX_BYTES);
    struct err unused = ERR_INIT;
    int r = os_read_file(state, NOTE, &text);
    if (r == -ENOENT) {
        return 0;
    }
    if (r < 0) {
        return fail(r, "read the note of a restore", reterr);
    }
    json_t *o = NULL;
    (void)!json_read(strbuf_str(&text), NULL, &o, &unused);
    *ret = (struct backup_note){
        .backup = text_of(o, "backup", a),
        .why = text_of(o, "why", a),
        .made_ms = number_of(o, "made_ms"),
        .restored_ms = number_of(o, "restored_ms"),
        .aside = STR(""),
        .salvage = json_is_true(json_object_get(o, "salvage")),
    };
    struct str name = json_text(json_object_get(o, "aside"));
    stamp(ret->restored_ms, aside);
    if (is_stamp(name)) {
        (void)snprintf(aside, 32, "%.*s", STR_ARG(name));
    }
    json_decref(o);
    return 1;
}

/* ---- the copies ---------------------------------------------------------- */

static void remove_copies(int state)
{
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        (void)unlinkat(state, parts[i].copy, 0);
    }
}

/* Copies a file of the backup, which must be what the manifest says. */
static int make_copy(int own, int state, size_t part,
                     const struct backup_file *wanted, struct err *reterr)
{
    struct backup_file is = {.path = wanted->path};
    CLEANUP(os_closep)
    int fd = openat(state, parts[part].copy,
                    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r = fd < 0 ? -errno : take_owner(state, fd);
    if (r < 0) {
        return fail(r, "make a file in the state folder", reterr);
    }
    r = backup_read_file(own, &is, fd, reterr);
    if (r == 0 &&
        (is.bytes != wanted->bytes ||
         sodium_memcmp(is.sha256, wanted->sha256, sizeof(is.sha256)) != 0)) {
        r = err_set(reterr, -EBADMSG, "%.*s is not what the manifest says",
                    STR_ARG(wanted->path));
    }
    if (r == 0 && fsync(fd) < 0) {
        r = fail(-errno, "sync the copy", reterr);
    }
    return r;
}

static int make_copies(int own, int state, const struct backup_manifest *m,
                       struct err *reterr)
{
    int r = 0;
    bool has_store = false;
    remove_copies(state);
    VEC_EACH (&m->files, i) {
        for (size_t p = 0; p < ARRAY_LEN(parts) && r == 0; p++) {
            if (str_eq_c(m->files.at[i].path, parts[p].file)) {
                r = make_copy(own, state, p, &m->files.at[i], reterr);
                has_store = has_store || p == STORE_PART;
            }
        }
    }
    return r == 0 && !has_store
               ? err_set(reterr, -EBADMSG, "the backup has no " BACKUP_STORE)
               : r;
}

/* Steps 3 and 4. */
static int put_in_place(int state, const char *aside_name, bool *ret_moved,
                        struct err *reterr)
{
    int r = move_aside(state, aside_name, ret_moved, reterr);
    for (size_t i = 0; i < ARRAY_LEN(parts) && r == 0; i++) {
        if (is_there(state, parts[i].copy) &&
            renameat(state, parts[i].copy, state, parts[i].file) < 0) {
            r = fail(-errno, "put the copy in place", reterr);
        }
    }
    return r == 0 ? backup_sync_folder(state, reterr) : r;
}

/* ---- all together -------------------------------------------------------- */

/* A folder that had to be made belongs to whom its parent does. */
static int open_state(const char *path, int *ret, struct err *reterr)
{
    bool is_new = access(path, F_OK) < 0;
    int r = backup_open_directory(path, true, ret, reterr);
    if (r < 0 || !is_new) {
        return r;
    }
    CLEANUP(mem_freep) char *copy = str_dup(str_c(path));
    CLEANUP(os_closep)
    int parent = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = parent < 0 ? -errno : take_owner(parent, *ret);
    return r < 0 ? fail(r, "give the state folder its owner", reterr) : 0;
}

struct restoring {
    int all;
    int own;
    int state;
    int backup_lock;
    int engine_lock;
    struct backup_manifest manifest;
};

static int open_all(struct restoring *x, const struct backup_restore_options *o,
                    struct arena *a, struct err *reterr)
{
    CLEANUP(strbuf_deinit)
    struct strbuf text = STRBUF_INIT(BACKUP_MANIFEST_MAX_BYTES);
    int r = backup_open_directory(o->directory, false, &x->all, reterr);
    r = r < 0 ? r
              : backup_lock(x->all, BACKUP_LOCK,
                            "a backup is being made or restored",
                            &x->backup_lock, reterr);
    r = r < 0 ? r : open_state(o->state_directory, &x->state, reterr);
    r = r < 0 ? r
              : backup_lock(x->state, ENGINE_LOCK,
                            "an engine uses the store: stop it first",
                            &x->engine_lock, reterr);
    r = r == 0 ? take_owner(x->state, x->engine_lock) : r;
    if (r == 0 && !backup_name_is_good(str_c(o->name))) {
        r = err_set(reterr, -ENOENT, "%s is not the name of a backup", o->name);
    }
    if (r == 0) {
        x->own = openat(x->all, o->name,
                        O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        r = x->own < 0 ? err_set(reterr, -ENOENT, "there is no %s", o->name)
                       : 0;
    }
    if (r == 0 && os_read_file(x->own, BACKUP_MANIFEST, &text) < 0) {
        r = err_set(reterr, -EBADMSG, "the manifest of %s cannot be read",
                    o->name);
    }
    return r < 0 ? r
                 : backup_manifest_read(strbuf_str(&text), a, &x->manifest,
                                        reterr);
}

int backup_restore(const struct backup_restore_options *options,
                   struct arena *a, struct str *ret_aside, struct err *reterr)
{
    struct restoring x = {.all = -1,
                          .own = -1,
                          .state = -1,
                          .backup_lock = -1,
                          .engine_lock = -1};
    char aside[32];
    bool moved = false;
    stamp(options->now_ms, aside);
    int r = open_all(&x, options, a, reterr);
    r = r < 0 ? r : make_copies(x.own, x.state, &x.manifest, reterr);
    if (r == 0) {
        const struct backup_note note = {
            .backup = str_c(options->name),
            .why = options->why,
            .made_ms = x.manifest.info.made_ms,
            .restored_ms = options->now_ms,
            .salvage = options->salvage,
        };
        r = write_note(x.state, &note, aside, reterr);
    } else if (x.engine_lock >= 0) {
        remove_copies(x.state);
    }
    r = r < 0 ? r : put_in_place(x.state, aside, &moved, reterr);
    if (r == 0) {
        *ret_aside = aside_path(options->state_directory, aside, moved, a);
    }
    backup_manifest_deinit(&x.manifest);
    os_close(x.engine_lock);
    os_close(x.state);
    os_close(x.own);
    os_close(x.backup_lock);
    os_close(x.all);
    return r;
}

/* Where the old store of this note is, if it is there. */
static struct str find_aside(int state, const char *state_directory,
                             const char *name, struct arena *a)
{
    char below[64];
    (void)snprintf(below, sizeof(below), QUARANTINE "/%s", name);
    return aside_path(state_directory, name, is_there(state, below), a);
}

int backup_read_note(const char *state_directory, struct arena *a,
                     struct backup_note *ret, struct err *reterr)
{
    CLEANUP(os_closep) int state = -1;
    char aside[32];
    int r = backup_open_directory(state_directory, false, &state, reterr);
    r = r < 0 ? r : read_note(state, a, ret, aside, reterr);
    if (r == 1) {
        ret->aside = find_aside(state, state_directory, aside, a);
    }
    return r;
}

int backup_pending(const char *state_directory, struct arena *a,
                   struct backup_note *ret, struct err *reterr)
{
    CLEANUP(os_closep) int state = -1;
    CLEANUP(os_closep) int lock = -1;
    char aside[32];
    bool moved = false;
    if (access(state_directory, F_OK) < 0) {
        return 0;
    }
    int r = backup_open_directory(state_directory, false, &state, reterr);
    r = r < 0 ? r
              : backup_lock(state, ENGINE_LOCK, "another engine uses the store",
                            &lock, reterr);
    r = r < 0 ? r : read_note(state, a, ret, aside, reterr);
    if (r == 0) {
        remove_copies(state); /* of a restore that was never decided */
        return 0;
    }
    if (r < 0) {
        return r;
    }
    if (is_there(state, parts[STORE_PART].copy)) {
        r = put_in_place(state, aside, &moved, reterr);
    }
    if (r >= 0) {
        ret->aside = find_aside(state, state_directory, aside, a);
    }
    return r < 0 ? r : 1;
}

int backup_settle(const char *state_directory, struct err *reterr)
{
    CLEANUP(os_closep) int state = -1;
    int r = backup_open_directory(state_directory, false, &state, reterr);
    if (r == 0 && unlinkat(state, NOTE, 0) < 0 && errno != ENOENT) {
        r = fail(-errno, "remove the note of the restore", reterr);
    }
    return r == 0 ? backup_sync_folder(state, reterr) : r;
}
