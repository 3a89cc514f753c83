#include "store/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/fd.h"
#include "store/copy_priv.h"
#include "store/sqlite_harden.h"
#include "store/sqlite_sums.h"

/* Pages a step: half a megabyte, then others get the disk for a moment. */
#define STEP_PAGES 128
#define PAUSE_NS 500000L
#define BUSY_TRIES 100

int copy_file_error(struct copy_file *h, int rc, const char *doing,
                    struct err *reterr)
{
    if (rc == SQLITE_CANTOPEN_SYMLINK) {
        return err_set(reterr, -ELOOP, "%s is a symbolic link",
                       h->store.db_path);
    }
    if (rc == SQLITE_CANTOPEN) {
        return err_set(reterr, -ENOENT, "cannot open %s", h->store.db_path);
    }
    return sqlite_open_error(&h->store, rc, doing, reterr);
}

void copy_file_close(struct copy_file *h)
{
    (void)sqlite3_close_v2(h->store.db);
    arena_deinit(&h->store.arena);
}

/* The folder may be reached over symlinks; the file is none: a command of
 * root's reads files of others with this. */
static int open_unfollowed(struct copy_file *h, const char *path,
                           const char *how, int flags)
{
    CLEANUP(strbuf_deinit)
    struct strbuf uri = STRBUF_INIT((size_t)PATH_MAX * 6);
    CLEANUP(strbuf_deinit)
    struct strbuf real = STRBUF_INIT((size_t)PATH_MAX * 2);
    if (os_resolve_folder(path, &real) < 0) {
        return SQLITE_CANTOPEN;
    }
    strbuf_addc(&uri, "file:");
    sqlite_add_uri_path(&uri, real.at);
    strbuf_addc(&uri, how);
    return strbuf_error(&uri) < 0 ? SQLITE_CANTOPEN
                                  : sqlite3_open_v2(uri.at, &h->store.db,
                                                    flags | SQLITE_OPEN_URI |
                                                        SQLITE_OPEN_NOFOLLOW |
                                                        SQLITE_OPEN_NOMUTEX |
                                                        SQLITE_OPEN_EXRESCODE,
                                                    sqlite_sums_vfs());
}

int copy_file_open(struct copy_file *h, const char *path, const char *how,
                   int flags, struct err *reterr)
{
    /* Only read; the driver's own path is to be freed. */
    h->store.db_path = (char *)(uintptr_t)path;
    int rc = open_unfollowed(h, path, how, flags);
    if (rc == SQLITE_OK) {
        rc = sqlite_harden(h->store.db);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_busy_timeout(h->store.db, SQLITE_BUSY_MS);
    }
    return rc == SQLITE_OK ? 0 : copy_file_error(h, rc, "open", reterr);
}

/* ---- copying ------------------------------------------------------------ */

/* Holds the state of now: without it the copy would begin anew with each
 * commit. */
static int hold(struct copy_file *h, struct err *reterr)
{
    int rc = sqlite3_exec(h->store.db,
                          "PRAGMA query_only = ON; BEGIN;"
                          "SELECT count(*) FROM sqlite_schema",
                          NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : copy_file_error(h, rc, "read", reterr);
}

/* A new file without a journal: it is nobody's until it is finished. The first
 * page is written at once, so that those behind it get checksums as well. */
static int make_target(struct copy_file *h, bool sums, struct err *reterr)
{
    int rc = SQLITE_OK;
    if (sums) {
        rc = sqlite_sums_reserve(h->store.db);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(h->store.db,
                          "PRAGMA synchronous = OFF;"
                          "PRAGMA journal_mode = MEMORY;"
                          "PRAGMA user_version = 1",
                          NULL, NULL, NULL);
    }
    return rc == SQLITE_OK ? 0 : copy_file_error(h, rc, "make", reterr);
}

static int copy_pages(struct copy_file *from, struct copy_file *to,
                      const struct store_progress *progress, struct err *reterr)
{
    sqlite3_backup *b =
        sqlite3_backup_init(to->store.db, "main", from->store.db, "main");
    if (b == NULL) {
        return copy_file_error(to, sqlite3_extended_errcode(to->store.db),
                               "copy to", reterr);
    }
    int tries = BUSY_TRIES;
    int rc = SQLITE_OK;
    while (rc == SQLITE_OK || (rc == SQLITE_BUSY && --tries > 0)) {
        rc = sqlite3_backup_step(b, STEP_PAGES);
        if (progress->fn != NULL) {
            uint64_t total = (uint64_t)sqlite3_backup_pagecount(b);
            progress->fn(progress->context,
                         total - (uint64_t)sqlite3_backup_remaining(b), total);
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
    (void)sqlite3_backup_finish(b);
    if (rc == SQLITE_DONE) {
        return 0;
    }
    bool theirs = rc == SQLITE_IOERR_DATA || (rc & 0xFF) == SQLITE_CORRUPT;
    return copy_file_error(theirs ? from : to, rc, "copy", reterr);
}

/* The file must be ours alone from its first moment on. */
static int make_empty(const char *path, struct err *reterr)
{
    int fd =
        open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        int r = -errno;
        return err_set(reterr, r, "cannot make %s: %s", path, strerror(-r));
    }
    (void)close(fd);
    return 0;
}

static int sync_file(const char *path, struct err *reterr)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int r = fd < 0 || fsync(fd) < 0 ? -errno : 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return r < 0 ? err_set(reterr, r, "cannot sync %s: %s", path, strerror(-r))
                 : 0;
}

int store_copy(const char *from, const char *to,
               const struct store_progress *progress, struct err *reterr)
{
    static const struct store_progress silent = {0};
    struct copy_file source = {0};
    struct copy_file target = {0};
    int r =
        copy_file_open(&source, from, "?mode=ro", SQLITE_OPEN_READONLY, reterr);
    if (r == 0) {
        r = hold(&source, reterr);
    }
    if (r == 0) {
        r = make_empty(to, reterr);
    }
    if (r == 0) {
        r = copy_file_open(&target, to, "", SQLITE_OPEN_READWRITE, reterr);
    }
    if (r == 0) {
        r = make_target(&target, sqlite_sums_used(source.store.db), reterr);
    }
    if (r == 0) {
        r = copy_pages(&source, &target, progress != NULL ? progress : &silent,
                       reterr);
    }
    copy_file_close(&source);
    copy_file_close(&target);
    return r == 0 ? sync_file(to, reterr) : r;
}

/* ---- verifying ---------------------------------------------------------- */

/* As it is on the disk, whatever it says about a log. */
static int open_alone(struct copy_file *h, const char *path, struct err *reterr)
{
    return copy_file_open(h, path, "?mode=ro&immutable=1", SQLITE_OPEN_READONLY,
                          reterr);
}

static int verify_pages(struct copy_file *h, struct err *reterr)
{
    uint64_t page = 0;
    int rc = sqlite_sums_scan(h->store.db, &page);
    if (rc == SQLITE_IOERR_DATA) {
        return err_set(reterr, -EBADMSG,
                       "%s is damaged: page %llu has changed since it was "
                       "written",
                       h->store.db_path, (unsigned long long)page);
    }
    return rc == SQLITE_OK ? 0 : copy_file_error(h, rc, "read", reterr);
}

static int summarise(struct copy_file *h, struct store_summary *s,
                     struct err *reterr)
{
    const struct {
        const char *sql;
        uint64_t *to;
    } wanted[] = {
        {"SELECT max(seq) FROM event", &s->last_event_seq},
        {"SELECT received_ms FROM event ORDER BY seq DESC LIMIT 1",
         &s->last_event_ms},
        {"SELECT created_ms FROM workflow ORDER BY seq DESC LIMIT 1",
         &s->last_workflow_ms},
    };
    int rc = SQLITE_OK;
    for (size_t i = 0; i < ARRAY_LEN(wanted) && rc == SQLITE_OK; i++) {
        rc = sqlite_query_u64(h->store.db, wanted[i].sql, wanted[i].to);
    }
    return rc == SQLITE_OK ? 0 : copy_file_error(h, rc, "read", reterr);
}

/* Somebody may have changed it, or the file by hand: it is told, and the rest
 * is as good as before. */
static int look_at_trail(struct copy_file *h, struct store_summary *s,
                         struct err *reterr)
{
    struct err broken = ERR_INIT;
    if (s->schema != sqlite_schema_newest()) {
        return 0;
    }
    int r = sqlite_check_trail(&h->store, &broken);
    if (r == -EBADMSG) {
        (void)snprintf(s->trail, sizeof(s->trail), "%s", broken.message);
        return 0;
    }
    *reterr = r < 0 ? broken : *reterr;
    return r;
}

int store_verify(const char *path, struct store_summary *ret,
                 struct err *reterr)
{
    struct copy_file h = {0};
    struct store_summary s = {0};
    int r = open_alone(&h, path, reterr);
    if (r == 0) {
        r = sqlite_schema_version(&h.store, &s.schema, reterr);
    }
    if (r == 0 && s.schema == 0) {
        r = err_set(reterr, -EINVAL, "%s is not a database of an engine", path);
    }
    if (r == 0) {
        r = sqlite_schema_own(&h.store, s.schema, reterr);
    }
    if (r == 0) {
        s.sums = sqlite_sums_used(h.store.db);
        r = s.sums ? verify_pages(&h, reterr) : 0;
    }
    if (r == 0) {
        r = sqlite_check_rows(&h.store, s.schema, &s.counts, reterr);
    }
    if (r == 0) {
        r = look_at_trail(&h, &s, reterr);
    }
    if (r == 0) {
        r = summarise(&h, &s, reterr);
    }
    if (r == 0) {
        *ret = s;
    }
    copy_file_close(&h);
    return r;
}

int store_verify_other(const char *path, struct err *reterr)
{
    struct copy_file h = {0};
    int r = open_alone(&h, path, reterr);
    if (r == 0) {
        r = sqlite_check_structure(&h.store, reterr);
    }
    copy_file_close(&h);
    return r;
}
