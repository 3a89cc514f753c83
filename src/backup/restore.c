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
 * The folder for the old files has a name that none had before, and the copies
 * are called after it, so a copy belongs to one note only. Nothing is ever
 * renamed over something that is set aside.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backup/backup_priv.h"
#include "base/mem.h"
#include "data/json.h"
#include "data/timestamp.h"
#include "os/fd.h"
#include "os/holder.h"

#define NOTE "restored.json"
#define NOTE_NEW "restored.json.new"
#define NOTE_MAX_BYTES 65536
#define QUARANTINE "quarantine"
#define ENGINE_LOCK "engine.lock" /* as the store's driver calls it */
#define COPY_PREFIX "restore-"
#define NAME_SIZE 32
#define NAMES_MAX 1000 /* folders of one second */

/* What is restored; the store last. */
enum part { METRICS_PART, STORE_PART, PARTS };
static const char *const parts[PARTS] = {BACKUP_METRICS, BACKUP_STORE};

/* What belongs to a store and is moved together. */
static const struct {
    enum part part;
    const char *name;
} store_files[] = {
    {STORE_PART, "engine.db"},        {STORE_PART, "engine.db-wal"},
    {STORE_PART, "engine.db-shm"},    {METRICS_PART, "metrics.db"},
    {METRICS_PART, "metrics.db-wal"}, {METRICS_PART, "metrics.db-shm"},
};

/* "restore-20261128T033000Z-2-engine.db" */
struct copy_name {
    char text[sizeof(COPY_PREFIX) + NAME_SIZE + sizeof(BACKUP_METRICS)];
};

static int fail(int errnum, const char *what, struct err *reterr)
{
    return err_set(reterr, errnum, "cannot %s: %s", what, strerror(-errnum));
}

/* ---- setting aside ------------------------------------------------------- */

static struct copy_name copy_name(const char *aside_name, enum part part)
{
    struct copy_name n;
    (void)snprintf(n.text, sizeof(n.text), COPY_PREFIX "%s-%s", aside_name,
                   parts[part]);
    return n;
}

static void stamp(uint64_t now_ms, char out[NAME_SIZE])
{
    time_t now = (time_t)(now_ms / 1000);
    struct tm utc;
    (void)gmtime_r(&now, &utc);
    (void)strftime(out, NAME_SIZE, "%Y%m%dT%H%M%SZ", &utc);
}

/* Was it made by new_name? A note may have been written by anybody. */
static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        bool digit = s.at[i] >= '0' && s.at[i] <= '9';
        if (!digit && s.at[i] != 'T' && s.at[i] != 'Z' && s.at[i] != '-') {
            return false;
        }
    }
    return s.len > 0 && s.len < NAME_SIZE;
}

static bool is_there(int folder, const char *name)
{
    return faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A name for a folder of this second: none of those that are there, nor the
 * one that the last note names. */
static int new_name(int state, uint64_t now_ms, const char *taken,
                    char out[NAME_SIZE], struct err *reterr)
{
    char base[NAME_SIZE];
    char below[sizeof(QUARANTINE) + NAME_SIZE];
    stamp(now_ms, base);
    for (int i = 1; i < NAMES_MAX; i++) {
        if (i == 1) {
            (void)snprintf(out, NAME_SIZE, "%s", base);
        } else {
            (void)snprintf(out, NAME_SIZE, "%.20s-%d", base, i);
        }
        (void)snprintf(below, sizeof(below), QUARANTINE "/%s", out);
        if (strcmp(out, taken) != 0 && !is_there(state, below)) {
            return 0;
        }
    }
    return err_set(reterr, -EEXIST, QUARANTINE " has too many stores of %s",
                   base);
}

static int open_aside(int state, const char *name, int *ret)
{
    CLEANUP(os_closep) int quarantine = -1;
    int r = os_open_folder(state, QUARANTINE, 0700, &quarantine);
    if (r == 0) {
        r = backup_take_owner(state, quarantine);
    }
    if (r == 0) {
        r = os_open_folder(quarantine, name, 0700, ret);
    }
    return r < 0 ? r : backup_take_owner(state, *ret);
}

static int move_file(int state, int aside, const char *name, struct err *reterr)
{
    if (is_there(aside, name)) {
        return err_set(reterr, -EEXIST,
                       "cannot set %s aside: " QUARANTINE
                       " has one of this restore already; move it elsewhere",
                       name);
    }
    if (renameat(state, name, aside, name) < 0) {
        return fail(-errno, "set the old store aside", reterr);
    }
    return 0;
}

/* Moves what is there into the folder of this name; false: there was nothing.
 * A part in `keep` stays. */
static int move_aside(int state, const char *name, const bool keep[PARTS],
                      bool *ret_moved, struct err *reterr)
{
    CLEANUP(os_closep) int aside = -1;
    int r = 0;
    *ret_moved = false;
    for (size_t i = 0; i < ARRAY_LEN(store_files) && r == 0; i++) {
        if (keep[store_files[i].part] ||
            !is_there(state, store_files[i].name)) {
            continue;
        }
        if (aside < 0 && (r = open_aside(state, name, &aside)) < 0) {
            return fail(r, "make a folder for the old store", reterr);
        }
        r = move_file(state, aside, store_files[i].name, reterr);
        *ret_moved = true;
    }
    if (r == 0 && aside >= 0 && (fsync(aside) < 0 || fsync(state) < 0)) {
        r = fail(-errno, "set the old store aside", reterr);
    }
    return r;
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
        r = fd < 0 ? -errno : backup_take_owner(state, fd);
        r = r == 0 && renameat(state, NOTE_NEW, state, NOTE) < 0 ? -errno : r;
        r = r < 0 ? fail(r, "write the note of the restore", reterr) : 0;
    }
    return r == 0 ? backup_sync_folder(state, reterr) : r;
}

static int remove_note(int state, struct err *reterr)
{
    if (unlinkat(state, NOTE, 0) < 0 && errno != ENOENT) {
        return fail(-errno, "remove the note of the restore", reterr);
    }
    return backup_sync_folder(state, reterr);
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
                     char aside[NAME_SIZE], struct err *reterr)
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
    if (is_name(name)) {
        (void)snprintf(aside, NAME_SIZE, "%.*s", STR_ARG(name));
    }
    json_decref(o);
    return 1;
}

/* ---- the copies ---------------------------------------------------------- */

/* Those that no note names, or no longer. */
static void remove_copies(int state)
{
    int fd = openat(state, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        os_close(fd);
        return;
    }
    for (const struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
        if (str_starts(str_c(d->d_name), STR(COPY_PREFIX))) {
            (void)unlinkat(state, d->d_name, 0);
        }
    }
    (void)closedir(dir);
}

/* Copies a file of the backup, which must be what the manifest says. */
static int make_copy(int own, int state, const char *name,
                     const struct backup_file *wanted, struct err *reterr)
{
    struct backup_file is = {.path = wanted->path};
    CLEANUP(os_closep)
    int fd = openat(state, name,
                    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r = fd < 0 ? -errno : backup_take_owner(state, fd);
    if (r < 0) {
        return fail(r, "make a file in the state folder", reterr);
    }
    r = backup_read_file(own, &is, fd, reterr);
    if (r == 0 && !backup_file_is_same(&is, wanted)) {
        r = err_set(reterr, -EBADMSG, "%.*s is not what the manifest says",
                    STR_ARG(wanted->path));
    }
    if (r == 0 && fsync(fd) < 0) {
        r = fail(-errno, "sync the copy", reterr);
    }
    return r;
}

static int make_copies(int own, int state, const char *aside_name,
                       const struct backup_manifest *m, struct err *reterr)
{
    int r = 0;
    bool has_store = false;
    VEC_EACH (&m->files, i) {
        for (enum part p = 0; p < PARTS && r == 0; p++) {
            if (str_eq_c(m->files.at[i].path, parts[p])) {
                r = make_copy(own, state, copy_name(aside_name, p).text,
                              &m->files.at[i], reterr);
                has_store = has_store || p == STORE_PART;
            }
        }
    }
    return r == 0 && !has_store
               ? err_set(reterr, -EBADMSG, "the backup has no " BACKUP_STORE)
               : r;
}

/* Steps 3 and 4. Done again for a restore that was killed (`again`): metrics
 * that have no copy may be in place already. */
static int put_in_place(int state, const char *aside_name, bool again,
                        bool *ret_moved, struct err *reterr)
{
    struct copy_name metrics = copy_name(aside_name, METRICS_PART);
    const bool keep[PARTS] = {[METRICS_PART] =
                                  again && !is_there(state, metrics.text)};
    int r = move_aside(state, aside_name, keep, ret_moved, reterr);
    for (enum part p = 0; p < PARTS && r == 0; p++) {
        struct copy_name copy = copy_name(aside_name, p);
        if (is_there(state, copy.text) &&
            renameat(state, copy.text, state, parts[p]) < 0) {
            r = fail(-errno, "put the copy in place", reterr);
        }
    }
    return r == 0 ? backup_sync_folder(state, reterr) : r;
}

/* Finishes what a killed restore has begun. 1 and the note (all but where the
 * old store is), or 0: there is none. */
static int finish_begun(int state, struct arena *a, struct backup_note *ret,
                        char aside[NAME_SIZE], struct err *reterr)
{
    bool moved = false;
    int r = read_note(state, a, ret, aside, reterr);
    if (r == 1 && is_there(state, copy_name(aside, STORE_PART).text) &&
        put_in_place(state, aside, true, &moved, reterr) < 0) {
        r = reterr->errnum;
    }
    if (r >= 0) {
        remove_copies(state); /* of a restore that was never decided */
    }
    return r;
}

/* ---- all together -------------------------------------------------------- */

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
    r = r < 0 ? r : backup_open_owned(o->state_directory, &x->state, reterr);
    r = r < 0 ? r
              : backup_lock(x->state, ENGINE_LOCK,
                            "an engine uses the store: stop it first",
                            &x->engine_lock, reterr);
    r = r == 0 ? backup_take_owner(x->state, x->engine_lock) : r;
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

static void close_all(struct restoring *x)
{
    backup_manifest_deinit(&x->manifest);
    os_close(x->engine_lock);
    os_close(x->state);
    os_close(x->own);
    os_close(x->backup_lock);
    os_close(x->all);
}

/* All steps; everything is open and locked. */
static int restore(struct restoring *x, const struct backup_restore_options *o,
                   struct arena *a, struct str *ret_aside, struct err *reterr)
{
    struct backup_note last;
    char last_name[NAME_SIZE] = "";
    char name[NAME_SIZE];
    bool moved = false;
    int r = finish_begun(x->state, a, &last, last_name, reterr);
    r = r < 0 ? r : new_name(x->state, o->now_ms, last_name, name, reterr);
    if (r < 0) {
        return r;
    }
    r = make_copies(x->own, x->state, name, &x->manifest, reterr);
    if (r == 0) {
        const struct backup_note note = {
            .backup = str_c(o->name),
            .why = o->why,
            .made_ms = x->manifest.info.made_ms,
            .restored_ms = o->now_ms,
            .salvage = o->salvage,
        };
        r = write_note(x->state, &note, name, reterr);
    } else {
        remove_copies(x->state);
    }
    r = r < 0 ? r : put_in_place(x->state, name, false, &moved, reterr);
    if (r == 0) {
        *ret_aside = aside_path(o->state_directory, name, moved, a);
    }
    return r;
}

int backup_restore(const struct backup_restore_options *options,
                   struct arena *a, struct str *ret_aside, struct err *reterr)
{
    struct restoring x = {.all = -1,
                          .own = -1,
                          .state = -1,
                          .backup_lock = -1,
                          .engine_lock = -1};
    int r = open_all(&x, options, a, reterr);
    r = r < 0 ? r : restore(&x, options, a, ret_aside, reterr);
    close_all(&x);
    return r;
}

/* An empty store is not one that was restored: the note goes, last. */
int backup_set_aside(const char *state_directory, uint64_t now_ms,
                     struct arena *a, struct str *ret_folder,
                     struct err *reterr)
{
    static const bool keep_none[PARTS] = {false};
    CLEANUP(os_closep) int state = -1;
    CLEANUP(os_closep) int lock = -1;
    struct backup_note last;
    char last_name[NAME_SIZE] = "";
    char name[NAME_SIZE];
    bool moved = false;
    int r = backup_open_directory(state_directory, false, &state, reterr);
    r = r < 0 ? r
              : backup_lock(state, ENGINE_LOCK,
                            "an engine uses the store: stop it first", &lock,
                            reterr);
    r = r < 0 ? r : finish_begun(state, a, &last, last_name, reterr);
    r = r < 0 ? r : new_name(state, now_ms, last_name, name, reterr);
    r = r < 0 ? r : move_aside(state, name, keep_none, &moved, reterr);
    r = r < 0 ? r : remove_note(state, reterr);
    if (r == 0) {
        *ret_folder = aside_path(state_directory, name, moved, a);
    }
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
    char aside[NAME_SIZE];
    int r = backup_open_directory(state_directory, false, &state, reterr);
    r = r < 0 ? r : read_note(state, a, ret, aside, reterr);
    if (r == 1) {
        ret->aside = find_aside(state, state_directory, aside, a);
    }
    return r;
}

/* Which engine it is that holds the lock. */
static int engine_is_there(int state, const char *state_directory,
                           struct err *reterr)
{
    struct os_holder holder = {.pid = 0};
    CLEANUP(strbuf_deinit) struct strbuf who = STRBUF_INIT(256);
    CLEANUP(os_closep)
    int fd = openat(state, ENGINE_LOCK,
                    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0) {
        os_holder_read(fd, &holder);
    }
    os_holder_add(&holder, &who);
    err_hint(reterr, "stop that engine first; two would corrupt the store");
    return err_set(reterr, -EBUSY, "another engine (%.*s) uses %s",
                   STR_ARG(strbuf_str(&who)), state_directory);
}

int backup_pending(const char *state_directory, struct arena *a,
                   struct backup_note *ret, struct err *reterr)
{
    CLEANUP(os_closep) int state = -1;
    CLEANUP(os_closep) int lock = -1;
    char aside[NAME_SIZE];
    if (access(state_directory, F_OK) < 0) {
        return 0;
    }
    int r = backup_open_directory(state_directory, false, &state, reterr);
    r = r < 0 ? r
              : backup_lock(state, ENGINE_LOCK, "another engine uses the store",
                            &lock, reterr);
    r = r == -EBUSY ? engine_is_there(state, state_directory, reterr) : r;
    r = r < 0 ? r : finish_begun(state, a, ret, aside, reterr);
    if (r == 1) {
        ret->aside = find_aside(state, state_directory, aside, a);
    }
    return r;
}

int backup_settle(const char *state_directory, struct err *reterr)
{
    CLEANUP(os_closep) int state = -1;
    int r = backup_open_directory(state_directory, false, &state, reterr);
    return r < 0 ? r : remove_note(state, reterr);
}
