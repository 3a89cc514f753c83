/*
 * Runbook versions by path and hash of their text. Only text that this process
 * (or an earlier life of it) has itself read from the repository, under that
 * very path, is ever run. Our own copies let a workflow go on with the version
 * it pinned when the file has since been edited, broken or removed: for as
 * long as a workflow may wait, not for ever, and not any other workflow
 * (bindings.c).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "model/runbook_load.h"
#include "os/clock.h"
#include "os/fd.h"
#include "proc/executor_priv.h"

#define TEXT_MAX_BYTES ((size_t)RUNBOOK_MAX_BYTES)
#define LOADED_MAX 64
#define COPY_NAME_SIZE (64 + 6)

/* How long a copy may be used after it was last seen in the repository. A
 * held workflow waits 7 days for an operator unless configured otherwise. */
#define WITHDRAWN_MAX_S (8L * 86400)

/* How long a parsed runbook is used without looking at the disk again. */
#define LOADED_FRESH_MS 60000

/* The version of a path that was seen in the repository last. */
struct seen {
    struct runbook_hash path;
    struct runbook_hash hash;
    char *text;         /* the path in words */
    struct timespec at; /* the kernel's change time of the file then */
};

/* So often the executor looks by itself at what it has seen, and at most so
 * often when it is asked for something: an engine that keeps silent must not
 * decide when a withdrawn version is missed. */
#define LOOK_MS 60000
#define LOOK_LEAST_MS 100

struct loaded {
    struct version version;
    uint64_t checked_ms; /* on the monotonic clock */
    bool stale;          /* it was withdrawn since, or is back */
};

struct versions {
    int folder;
    /* The last ones used, newest last: parsing is dear, memory is too. */
    VEC(struct loaded) loaded;
    struct map seen; /* hash of a path -> struct seen */
    sd_event_source *timer;
    uint64_t looked_ms; /* on the monotonic clock */
};

/* The name of a copy holds its path as well: what may run as whom depends on
 * the path, so a text is not to be had under another one's. Its end says
 * whether only root could have written the file that it was made from. */
static void copy_name(struct str path, const struct runbook_hash *hash,
                      bool root, char out[COPY_NAME_SIZE])
{
    struct strbuf both = STRBUF_INIT(REPO_PATH_MAX_BYTES + 64);
    strbuf_add(&both, path);
    strbuf_addch(&both, '/');
    strbuf_add(&both, str_n((const char *)hash->bytes, sizeof(hash->bytes)));
    struct runbook_hash name = runbook_hash_of(strbuf_str(&both));
    strbuf_deinit(&both);
    for (size_t i = 0; i < sizeof(name.bytes); i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", name.bytes[i]);
    }
    memcpy(out + 64, root ? ".root" : ".yaml", 6);
}

/* The name of the mark beside both. */
static void gone_name(struct str path, const struct runbook_hash *hash,
                      char out[COPY_NAME_SIZE])
{
    copy_name(path, hash, true, out);
    memcpy(out + 64, ".gone", 6);
}

static bool hash_eq(const struct runbook_hash *a, const struct runbook_hash *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* ---- copies
 * --------------------------------------------------------------------- */

/* A copy that is too old to be used. */
static void remove_old(int folder)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        os_close(fd);
        return;
    }
    time_t limit = (time_t)(os_epoch_ms() / 1000) - WITHDRAWN_MAX_S;
    for (const struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
        struct stat st;
        if (fstatat(folder, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode) && st.st_mtim.tv_sec < limit) {
            (void)unlinkat(folder, d->d_name, 0);
        }
    }
    (void)closedir(dir);
}

static void seen_free(struct seen *s)
{
    mem_free(s->text);
    mem_free(s);
}

static int on_timer(sd_event_source *source, uint64_t now_us UNUSED,
                    void *context);

int versions_open(struct executor *x, struct err *reterr)
{
    struct versions *v = MEM_NEW(struct versions);
    x->versions = v;
    int e = os_open_folder(x->spool, "runbooks", 0700, &v->folder);
    if (e < 0) {
        v->folder = -1;
        return err_set(reterr, e, "cannot open %s/runbooks: %s",
                       x->options.spool, strerror(-e));
    }
    remove_old(v->folder);
    e = sd_event_add_time_relative(x->event, &v->timer, CLOCK_MONOTONIC, 0, 0,
                                   on_timer, x);
    return e < 0 ? err_set(reterr, e, "cannot make a timer: %s", strerror(-e))
                 : 0;
}

void versions_close(struct executor *x)
{
    struct versions *v = x->versions;
    if (v == NULL) {
        return;
    }
    VEC_EACH (&v->loaded, i) {
        runbook_unref(v->loaded.at[i].version.runbook);
    }
    VEC_DEINIT(&v->loaded);
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&v->seen, &cursor)) != NULL) {
        seen_free(entry->value);
    }
    map_deinit(&v->seen);
    v->timer = sd_event_source_disable_unref(v->timer);
    os_close(v->folder);
    mem_free(v);
    x->versions = NULL;
}

static bool is_too_old(const struct versions *v, const char *name)
{
    struct stat st;
    time_t limit = (time_t)(os_epoch_ms() / 1000) - WITHDRAWN_MAX_S;
    return fstatat(v->folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
           st.st_mtim.tv_sec < limit;
}

/* Our own copy's text; a copy that was tampered with is none. */
static int read_copy(const struct versions *v, const char *name,
                     const struct runbook_hash *hash, struct strbuf *out)
{
    int e = os_read_file(v->folder, name, out);
    if (e < 0) {
        return e;
    }
    struct runbook_hash actual = runbook_hash_of(strbuf_str(out));
    if (!hash_eq(&actual, hash)) {
        strbuf_reset(out);
        return -EBADMSG;
    }
    return 0;
}

/* The copy's time is when the repository last had this version. */
static int keep_copy(const struct versions *v, const char *name,
                     struct str path, struct str text, struct err *reterr)
{
    if (utimensat(v->folder, name, NULL, 0) == 0) {
        return 0;
    }
    int e = os_replace_file(v->folder, name, text);
    return e < 0 ? err_set(reterr, e, "cannot keep a copy of %.*s: %s",
                           STR_ARG(path), strerror(-e))
                 : 0;
}

/* ---- withdrawn versions -------------------------------------------------- */

/* Notes since when the repository has it no more, unless that is noted. */
static void mark_gone(const struct versions *v, struct str path,
                      const struct runbook_hash *hash, uint64_t at_ms)
{
    char name[COPY_NAME_SIZE];
    gone_name(path, hash, name);
    CLEANUP(os_closep)
    int fd = openat(v->folder, name,
                    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    const struct timespec at = {
        .tv_sec = (time_t)(at_ms / 1000),
        .tv_nsec = (long)(at_ms % 1000) * 1000000,
    };
    if (fd >= 0 && futimens(fd, (const struct timespec[2]){at, at}) < 0) {
        (void)unlinkat(v->folder, name, 0);
    }
}

static uint64_t time_ms(const struct timespec *t)
{
    return (uint64_t)t->tv_sec * 1000 + (uint64_t)t->tv_nsec / 1000000;
}

/* The kernel's change time of the file at the path; zeros: there is none. */
static struct timespec file_time(const struct executor *x, struct str path)
{
    char full[PATH_MAX];
    struct stat st;
    int n = snprintf(full, sizeof(full), "%s/%.*s", x->options.repository,
                     STR_ARG(path));
    return n > 0 && (size_t)n < sizeof(full) && lstat(full, &st) == 0
               ? st.st_ctim
               : (struct timespec){.tv_sec = 0};
}

/* When the repository last changed at this path: the kernel's time of what
 * stands there, or of the folder from which it is missing. */
static uint64_t changed_ms(const struct executor *x, struct str path)
{
    char full[PATH_MAX];
    struct stat st;
    int n = snprintf(full, sizeof(full), "%s/%.*s", x->options.repository,
                     STR_ARG(path));
    char *end = n < 0 || (size_t)n >= sizeof(full) ? NULL : full + n;
    while (end != NULL && end > full + strlen(x->options.repository)) {
        if (lstat(full, &st) == 0) {
            return time_ms(&st.st_ctim);
        }
        end = strrchr(full, '/');
        *end = '\0';
    }
    return stat(x->options.repository, &st) == 0 ? time_ms(&st.st_ctim)
                                                 : os_epoch_ms();
}

static struct seen *find_seen(const struct versions *v,
                              const struct runbook_hash *path)
{
    return map_get(&v->seen,
                   str_n((const char *)path->bytes, sizeof(path->bytes)));
}

/* So that it counts as seen anew when it is back. */
static void forget_seen(struct versions *v, struct str path,
                        const struct runbook_hash *hash)
{
    struct runbook_hash key = runbook_hash_of(path);
    struct seen *seen = find_seen(v, &key);
    if (seen != NULL && hash_eq(&seen->hash, hash)) {
        (void)map_remove(&v->seen, str_n((const char *)seen->path.bytes,
                                         sizeof(seen->path.bytes)));
        seen_free(seen);
    }
}

/* Since when the repository does not have it. Whoever asks decides when that
 * is noticed, so the first evidence counts, and is kept. */
static uint64_t gone_since(const struct executor *x, struct str path,
                           const struct runbook_hash *hash)
{
    char name[COPY_NAME_SIZE];
    struct stat st;
    forget_seen(x->versions, path, hash);
    gone_name(path, hash, name);
    if (fstatat(x->versions->folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        uint64_t at_ms = changed_ms(x, path);
        mark_gone(x->versions, path, hash, at_ms);
        return at_ms;
    }
    return time_ms(&st.st_mtim);
}

/* What is known of this version is to be looked at again. */
static void make_stale(struct versions *v, struct str path,
                       const struct runbook_hash *hash)
{
    VEC_EACH (&v->loaded, i) {
        struct loaded *l = &v->loaded.at[i];
        if (hash_eq(&l->version.runbook->hash, hash) &&
            str_eq(l->version.runbook->path, path)) {
            l->stale = true;
        }
    }
}

/* What was seen and is not there any more, or has been changed since, is gone
 * from now on, before anybody asks for it. If it is the same after all, it is
 * back as soon as it is read. */
static void look_around(struct executor *x)
{
    struct versions *v = x->versions;
    VEC(struct seen *) changed = {0};
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&v->seen, &cursor)) != NULL) {
        struct seen *s = entry->value;
        struct timespec now = file_time(x, str_c(s->text));
        if (now.tv_sec != s->at.tv_sec || now.tv_nsec != s->at.tv_nsec) {
            VEC_PUSH(&changed, s);
        }
    }
    VEC_EACH (&changed, i) {
        struct str path = str_c(changed.at[i]->text);
        struct runbook_hash hash = changed.at[i]->hash;
        mark_gone(v, path, &hash, changed_ms(x, path));
        make_stale(v, path, &hash);
        forget_seen(v, path, &hash);
    }
    VEC_DEINIT(&changed);
    v->looked_ms = os_monotonic_ms();
}

static int on_timer(sd_event_source *source, uint64_t now_us UNUSED,
                    void *context)
{
    struct executor *x = context;
    uint64_t every_ms = x->options.look_ms != 0 ? x->options.look_ms : LOOK_MS;
    look_around(x);
    int r = sd_event_source_set_time_relative(source, every_ms * 1000);
    ASSERT(r >= 0);
    r = sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    ASSERT(r >= 0);
    return 0;
}

/* The repository has this version, with this change time: an earlier one of
 * the path has gone. */
static void note_seen(struct versions *v, struct str path,
                      const struct runbook_hash *hash, struct timespec at)
{
    char name[COPY_NAME_SIZE];
    struct runbook_hash key = runbook_hash_of(path);
    struct seen *seen = find_seen(v, &key);
    if (seen != NULL && hash_eq(&seen->hash, hash)) {
        seen->at = at;
        return;
    }
    gone_name(path, hash, name);
    (void)unlinkat(v->folder, name, 0); /* it is back */
    make_stale(v, path, hash);
    if (seen == NULL) {
        seen = MEM_NEW(struct seen);
        seen->path = key;
        seen->text = str_dup(path);
        (void)map_put(
            &v->seen,
            str_n((const char *)seen->path.bytes, sizeof(seen->path.bytes)),
            seen);
    } else {
        mark_gone(v, path, &seen->hash, os_epoch_ms());
        make_stale(v, path, &seen->hash);
    }
    seen->hash = *hash;
    seen->at = at;
}

/* What was read, and who could have written it. */
struct text {
    struct strbuf bytes;
    struct trust trust;
    bool withdrawn;   /* from a copy: the repository has it no more */
    uint64_t gone_ms; /* epoch: since then */
};

/* Reads the repository's file, which must be that very version, and keeps a
 * copy of it. -EPERM: its folder or itself can be written by the wrong people.
 * -ESTALE: the repository has another version. */
static int read_repository(struct executor *x, struct str path,
                           const struct runbook_hash *hash, struct text *out,
                           struct err *reterr)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    char name[COPY_NAME_SIZE];
    struct str text = STR_NULL;
    struct runbook_hash actual;
    /* Before it is read: what changes in between is looked at again. */
    struct timespec at = file_time(x, path);
    int e = trust_check(x, path, &out->trust, reterr);
    e = e < 0 ? e : repo_read(x->repo, path, &a, &text, &actual, reterr);
    if (e < 0) {
        return e;
    }
    if (!hash_eq(&actual, hash)) {
        return err_set(reterr, -ESTALE,
                       "%.*s is not the version that was asked for: the file "
                       "has changed; reload the runbooks",
                       STR_ARG(path));
    }
    copy_name(path, hash, out->trust.root, name);
    e = keep_copy(x->versions, name, path, text, reterr);
    if (e == 0) {
        note_seen(x->versions, path, hash, at);
        strbuf_add(&out->bytes, text);
    }
    return e;
}

/* A copy of ours, the one that root alone could have written first. */
static bool find_copy(const struct versions *v, struct str path,
                      const struct runbook_hash *hash, struct text *out)
{
    char name[COPY_NAME_SIZE];
    copy_name(path, hash, true, name);
    if (!is_too_old(v, name) && read_copy(v, name, hash, &out->bytes) == 0) {
        out->trust = (struct trust){.root = true};
        return true;
    }
    copy_name(path, hash, false, name);
    out->trust = (struct trust){.is_copy = true};
    return !is_too_old(v, name) && read_copy(v, name, hash, &out->bytes) == 0;
}

/* What can be written by the wrong people is mended, not gone around. */
static int get_text(struct executor *x, struct str path,
                    const struct runbook_hash *hash, struct text *out,
                    struct err *reterr)
{
    int e = repo_path_check(path, reterr);
    if (e < 0) {
        return e;
    }
    if (os_monotonic_ms() - x->versions->looked_ms >= LOOK_LEAST_MS) {
        look_around(x);
    }
    e = read_repository(x, path, hash, out, reterr);
    if (e == 0 || e == -EPERM || !find_copy(x->versions, path, hash, out)) {
        return e;
    }
    out->withdrawn = true;
    out->gone_ms = gone_since(x, path, hash);
    return 0;
}

/* ---- runbooks
 * ---------------------------------------------------------------------- */

/* Makes a loaded runbook the one that was used last. */
static struct loaded *touch(struct versions *v, size_t i)
{
    struct loaded l = v->loaded.at[i];
    VEC_REMOVE(&v->loaded, i);
    VEC_PUSH(&v->loaded, l);
    return &v->loaded.at[v->loaded.count - 1];
}

static struct loaded *find_loaded(struct versions *v, struct str path,
                                  const struct runbook_hash *hash)
{
    VEC_EACH (&v->loaded, i) {
        const struct runbook *rb = v->loaded.at[i].version.runbook;
        if (hash_eq(&rb->hash, hash) && str_eq(rb->path, path)) {
            return touch(v, i);
        }
    }
    return NULL;
}

static void remember(struct versions *v, const struct version *version)
{
    if (v->loaded.count == LOADED_MAX) {
        runbook_unref(v->loaded.at[0].version.runbook);
        VEC_REMOVE(&v->loaded, 0);
    }
    struct loaded l = {.version = *version, .checked_ms = os_monotonic_ms()};
    (void)runbook_ref(version->runbook);
    VEC_PUSH(&v->loaded, l);
}

static const char *first_error(const struct runbook_report *report)
{
    VEC_EACH (&report->problems, i) {
        if (!report->problems.at[i].warning) {
            return report->problems.at[i].err.message;
        }
    }
    return "no reason given";
}

/* A new reference in ret->runbook. */
static int parse(const struct executor *x, struct str path,
                 const struct text *text, struct version *ret,
                 struct err *reterr)
{
    /* What the text leaves open is the engine's to decide, within limits; its
     * time limit comes with each request. */
    const struct runbook_defaults open = {
        .step_timeout_ms = RUNBOOK_STEP_TIMEOUT_MAX_MS,
        .retry_attempts = 1,
        .unknown_keys_warn = x->options.unknown_keys_warn,
    };
    struct runbook_report report = {0};
    struct version version = {
        .trust = text->trust,
        .withdrawn = text->withdrawn,
        .gone_ms = text->gone_ms,
    };
    int e = runbook_load(path, strbuf_str(&text->bytes), &open,
                         &version.runbook, &report);
    if (e < 0) {
        err_set(reterr, e, "%.*s does not load: %s", STR_ARG(path),
                first_error(&report));
    } else {
        *ret = version;
    }
    runbook_report_deinit(&report);
    return e;
}

static int load(struct executor *x, struct str path, const struct text *text,
                struct version *ret, struct err *reterr)
{
    int e = parse(x, path, text, ret, reterr);
    if (e == 0) {
        remember(x->versions, ret);
    }
    return e;
}

static int look_again(struct executor *x, struct str path,
                      const struct runbook_hash *hash, struct loaded *loaded,
                      struct version *ret, struct err *reterr)
{
    struct text text = {.bytes = STRBUF_INIT(TEXT_MAX_BYTES)};
    int e = get_text(x, path, hash, &text, reterr);
    if (e == 0 && loaded == NULL) {
        e = load(x, path, &text, ret, reterr);
    } else if (e == 0) {
        loaded->checked_ms = os_monotonic_ms();
        loaded->stale = false;
        loaded->version.trust = text.trust;
        loaded->version.withdrawn = text.withdrawn;
        loaded->version.gone_ms = text.gone_ms;
        *ret = loaded->version;
        (void)runbook_ref(ret->runbook);
    }
    strbuf_deinit(&text.bytes);
    return e;
}

int versions_get(struct executor *x, struct str path,
                 const struct runbook_hash *hash, struct version *ret,
                 struct err *reterr)
{
    struct loaded *loaded = find_loaded(x->versions, path, hash);
    struct trust now;
    if (loaded == NULL || loaded->stale ||
        os_monotonic_ms() - loaded->checked_ms >= LOADED_FRESH_MS) {
        return look_again(x, path, hash, loaded, ret, reterr);
    }
    struct err err = ERR_INIT;
    if (trust_check(x, path, &now, &err) == -EPERM) {
        *reterr = err;
        return -EPERM;
    }
    *ret = loaded->version;
    (void)runbook_ref(ret->runbook);
    return 0;
}

/* ---- pins ---------------------------------------------------------------- */

/* Can it make a difference who a step runs as? Most texts name nobody and are
 * not parsed for this: a key is spelt out, or has an escape. */
static bool may_be_refused(const struct text *text)
{
    struct str t = strbuf_str(&text->bytes);
    return !text->trust.root || str_find(t, '\\') >= 0 ||
           str_has_nocase(t, STR("run_as"));
}

int versions_pin(struct executor *x, struct str path,
                 const struct runbook_hash *hash, struct err *reterr)
{
    struct text text = {.bytes = STRBUF_INIT(TEXT_MAX_BYTES)};
    int e = get_text(x, path, hash, &text, reterr);
    if (e == 0 && may_be_refused(&text)) {
        struct version v = {0};
        e = parse(x, path, &text, &v, reterr);
        e = e < 0 ? e
                  : permit_runbook(&x->options, v.runbook, &v.trust, false,
                                   reterr);
        runbook_unref(v.runbook);
    }
    strbuf_deinit(&text.bytes);
    return e;
}
