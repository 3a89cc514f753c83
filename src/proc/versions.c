/*
 * Runbook versions by the hash of their text. Only text that this process (or
 * an earlier life of it) has itself read from the repository is ever run. Our
 * own copies let a workflow go on with the version it pinned when the file has
 * since been edited, broken or removed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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
#define COPY_MAX_AGE_S (30L * 86400)
#define COPY_NAME_SIZE (64 + 6)

struct versions {
    int folder;
    /* The last ones used, newest last: parsing is dear, memory is too. */
    VEC(struct runbook *) loaded;
};

static void copy_name(const struct runbook_hash *hash, char out[COPY_NAME_SIZE])
{
    for (size_t i = 0; i < sizeof(hash->bytes); i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", hash->bytes[i]);
    }
    memcpy(out + 64, ".yaml", 6);
}

static bool hash_eq(const struct runbook_hash *a, const struct runbook_hash *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* ---- copies
 * --------------------------------------------------------------------- */

/* A copy that nobody has used for a month serves no live workflow. */
static void remove_old(int folder)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        os_close(fd);
        return;
    }
    time_t limit = (time_t)(os_epoch_ms() / 1000) - COPY_MAX_AGE_S;
    for (const struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
        struct stat st;
        if (fstatat(folder, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode) && st.st_mtim.tv_sec < limit) {
            (void)unlinkat(folder, d->d_name, 0);
        }
    }
    (void)closedir(dir);
}

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
    return 0;
}

void versions_close(struct executor *x)
{
    struct versions *v = x->versions;
    if (v == NULL) {
        return;
    }
    VEC_EACH (&v->loaded, i) {
        runbook_unref(v->loaded.at[i]);
    }
    VEC_DEINIT(&v->loaded);
    os_close(v->folder);
    mem_free(v);
    x->versions = NULL;
}

/* Our own copy's text; a copy that was tampered with is none. */
static int read_copy(const struct versions *v, const struct runbook_hash *hash,
                     struct strbuf *out)
{
    char name[COPY_NAME_SIZE];
    copy_name(hash, name);
    int e = os_read_file(v->folder, name, out);
    if (e < 0) {
        return e;
    }
    struct runbook_hash actual = runbook_hash_of(strbuf_str(out));
    if (!hash_eq(&actual, hash)) {
        strbuf_reset(out);
        return -EBADMSG;
    }
    (void)utimensat(v->folder, name, NULL, 0);
    return 0;
}

/* Reads the repository's file, which must be that very version, and keeps a
 * copy of it. */
static int read_repository(struct executor *x, struct str path,
                           const struct runbook_hash *hash, struct strbuf *out,
                           struct err *reterr)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct str text = STR_NULL;
    struct runbook_hash actual;
    int e = repo_read(x->repo, path, &a, &text, &actual, reterr);
    if (e < 0) {
        return e;
    }
    if (!hash_eq(&actual, hash)) {
        return err_set(reterr, -ESTALE,
                       "%.*s is not the version that was asked for: the file "
                       "has changed; reload the runbooks",
                       STR_ARG(path));
    }
    char name[COPY_NAME_SIZE];
    copy_name(hash, name);
    e = os_replace_file(x->versions->folder, name, text);
    if (e < 0) {
        return err_set(reterr, e, "cannot keep a copy of %.*s: %s",
                       STR_ARG(path), strerror(-e));
    }
    strbuf_add(out, text);
    return 0;
}

static int get_text(struct executor *x, struct str path,
                    const struct runbook_hash *hash, struct strbuf *out,
                    struct err *reterr)
{
    int e = repo_path_check(path, reterr);
    if (e < 0) {
        return e;
    }
    if (read_copy(x->versions, hash, out) == 0) {
        return 0;
    }
    return read_repository(x, path, hash, out, reterr);
}

int versions_pin(struct executor *x, struct str path,
                 const struct runbook_hash *hash, struct err *reterr)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(TEXT_MAX_BYTES);
    return get_text(x, path, hash, &text, reterr);
}

/* ---- runbooks
 * ---------------------------------------------------------------------- */

/* Makes a loaded runbook the one that was used last. */
static struct runbook *touch(struct versions *v, size_t i)
{
    struct runbook *rb = v->loaded.at[i];
    VEC_REMOVE(&v->loaded, i);
    VEC_PUSH(&v->loaded, rb);
    return rb;
}

static struct runbook *find_loaded(struct versions *v, struct str path,
                                   const struct runbook_hash *hash)
{
    VEC_EACH (&v->loaded, i) {
        const struct runbook *rb = v->loaded.at[i];
        if (hash_eq(&rb->hash, hash) && str_eq(rb->path, path)) {
            return touch(v, i);
        }
    }
    return NULL;
}

static void remember(struct versions *v, struct runbook *rb)
{
    if (v->loaded.count == LOADED_MAX) {
        runbook_unref(v->loaded.at[0]);
        VEC_REMOVE(&v->loaded, 0);
    }
    VEC_PUSH(&v->loaded, runbook_ref(rb));
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

int versions_get(struct executor *x, struct str path,
                 const struct runbook_hash *hash, struct runbook **ret,
                 struct err *reterr)
{
    struct runbook *loaded = find_loaded(x->versions, path, hash);
    if (loaded != NULL) {
        *ret = runbook_ref(loaded);
        return 0;
    }
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(TEXT_MAX_BYTES);
    int e = get_text(x, path, hash, &text, reterr);
    if (e < 0) {
        return e;
    }
    struct runbook_report report = {0};
    e = runbook_load(path, strbuf_str(&text), &x->defaults, ret, &report);
    if (e < 0) {
        err_set(reterr, e, "%.*s does not load: %s", STR_ARG(path),
                first_error(&report));
    } else {
        remember(x->versions, *ret);
    }
    runbook_report_deinit(&report);
    return e;
}
