/* Opening: the directory, the lock, the file, the session. */
#include "store/sqlite_open.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "os/holder.h"
#include "store/sqlite_harden.h"
#include "store/sqlite_log.h"
#include "store/sqlite_sums.h"

#define LABELS_MAX_BYTES (1024UL * 1024)
#define SESSIONS_KEPT 100
#define KEEP_HINT                                                              \
    "keep " SQLITE_DB_FILE "* for salvage: move all of them away together, "   \
    "then restore a backup"
#define DIRECTORY_MAX_BYTES 400 /* the library's paths end at 512 */

/* ---- the directory ------------------------------------------------------ */

/* Shared memory and locks of the write-ahead log need one machine. */
static bool is_network_filesystem(long type, const char **ret_name)
{
    static const struct {
        unsigned long magic;
        const char *name;
    } refused[] = {
        {NFS_SUPER_MAGIC, "NFS"},
        {SMB_SUPER_MAGIC, "SMB"},
        {CIFS_SUPER_MAGIC, "SMB"},
        {SMB2_SUPER_MAGIC, "SMB"},
    };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        if (((unsigned long)type & 0xFFFFFFFFU) == refused[i].magic) {
            *ret_name = refused[i].name;
            return true;
        }
    }
    return false;
}

static int open_directory(struct store *s, struct err *reterr)
{
    if (mkdir(s->directory, 0700) < 0 && errno != EEXIST) {
        int r = -errno;
        return err_set(reterr, r, "cannot make the directory %s: %m",
                       s->directory);
    }
    struct statfs fs;
    if (statfs(s->directory, &fs) < 0) {
        int r = -errno;
        return err_set(reterr, r, "cannot use the directory %s: %m",
                       s->directory);
    }
    const char *name = NULL;
    if (is_network_filesystem((long)fs.f_type, &name)) {
        err_hint(reterr, "use a local disk");
        return err_set(reterr, -EINVAL,
                       "%s is on %s, where an acknowledged event could be "
                       "lost",
                       s->directory, name);
    }
    return 0;
}

/* ---- the lock ----------------------------------------------------------- */

static int lock_is_held(int fd, const char *directory, struct err *reterr)
{
    struct os_holder holder;
    CLEANUP(strbuf_deinit) struct strbuf who = STRBUF_INIT(256);
    os_holder_read(fd, &holder);
    os_holder_add(&holder, &who);
    err_hint(reterr, "stop that engine first; two would corrupt the store");
    return err_set(reterr, -EBUSY, "another engine (%.*s) uses %s",
                   STR_ARG(strbuf_str(&who)), directory);
}

/* The lock lasts as long as the file is open: it cannot be left over. */
static int take_lock(struct store *s, const char *path, struct err *reterr)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        int r = -errno;
        return err_set(reterr, r, "cannot open %s: %m", path);
    }
    s->lock_fd = fd;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        return lock_is_held(fd, s->directory, reterr);
    }
    char pid[16];
    int len = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)len, 0) != len) {
        int r = errno != 0 ? -errno : -EIO;
        return err_set(reterr, r, "cannot write %s: %m", path);
    }
    return 0;
}

/* ---- the file ----------------------------------------------------------- */

void sqlite_add_uri_path(struct strbuf *out, const char *path)
{
    for (const char *c = path; *c != '\0'; c++) {
        if (*c == '?' || *c == '#' || *c == '%' || *c == '&') {
            strbuf_addf(out, "%%%02X", (unsigned)(unsigned char)*c);
        } else {
            strbuf_addch(out, *c);
        }
    }
}

/* The library's own statistics of memory, which nobody reads, take a lock for
 * each allocation. Has no effect when somebody has used the library before. */
static void configure_library(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/* modeof: the file and its companions get the access mode of the lock file,
 * whatever the umask is, and we never open the database by other means (that
 * would drop the library's POSIX locks). */
static int open_file(struct store *s, const char *lock_path, struct err *reterr)
{
    struct strbuf uri = STRBUF_INIT((size_t)PATH_MAX * 6);
    strbuf_addc(&uri, "file:");
    sqlite_add_uri_path(&uri, s->db_path);
    strbuf_addc(&uri, "?modeof=");
    sqlite_add_uri_path(&uri, lock_path);
    ASSERT(strbuf_error(&uri) == 0);
    configure_library();
    int rc = sqlite3_open_v2(uri.at, &s->db,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                                 SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX |
                                 SQLITE_OPEN_EXRESCODE,
                             sqlite_sums_vfs());
    strbuf_deinit(&uri);
    if (rc == SQLITE_OK) {
        rc = sqlite_harden(s->db);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite_sums_reserve(s->db);
    }
    if (rc != SQLITE_OK) {
        return sqlite_open_error(s, rc, "open", reterr);
    }
    return 0;
}

static const char file_settings[] =
    "PRAGMA cell_size_check = ON;"
    "PRAGMA auto_vacuum = INCREMENTAL;" /* counts when the file is new */
    "PRAGMA temp_store = MEMORY;";

static const char wal_settings[] =
    "PRAGMA synchronous = FULL;" /* one fsync a commit: survives power loss */
    "PRAGMA wal_autocheckpoint = 0;"
    "PRAGMA secure_delete = OFF;"
    "PRAGMA journal_size_limit = 33554432;" /* what the log grew past it goes */
    "PRAGMA cache_size = -65536;";

static int set_up_file(struct store *s, struct err *reterr)
{
    int rc = sqlite3_busy_timeout(s->db, SQLITE_BUSY_MS);
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(s->db, file_settings, NULL, NULL, NULL);
    }
    sqlite3_stmt *st = NULL;
    if (rc == SQLITE_OK) {
        rc = sqlite3_prepare_v2(s->db, "PRAGMA journal_mode = WAL", -1, &st,
                                NULL);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(st);
    }
    const char *mode =
        rc == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : NULL;
    bool is_wal = mode != NULL && str_eq_c(STR("wal"), mode);
    rc = rc == SQLITE_ROW ? SQLITE_OK : rc;
    (void)sqlite3_finalize(st);
    if (rc == SQLITE_OK && !is_wal) {
        return err_set(reterr, -EIO,
                       "the file system of %s has no shared memory for the "
                       "write-ahead log",
                       s->directory);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(s->db, wal_settings, NULL, NULL, NULL);
    }
    return rc == SQLITE_OK ? 0 : sqlite_open_error(s, rc, "set up", reterr);
}

static int count_frames(void *arg, sqlite3 *db, const char *name, int frames)
{
    (void)db;
    (void)name;
    struct store *s = arg;
    s->wal_frames = frames;
    return SQLITE_OK;
}

/* ---- the session -------------------------------------------------------- */

/* Did the last session end without closing? */
static int was_unclean(struct store *s, uint32_t version, bool *ret,
                       struct err *reterr)
{
    uint64_t open_sessions = 0;
    if (version > 0) {
        int rc = sqlite_query_u64(
            s->db,
            "SELECT count(*) FROM (SELECT closed_ms FROM session"
            " ORDER BY no DESC LIMIT 1) WHERE closed_ms IS NULL",
            &open_sessions);
        if (rc != SQLITE_OK) {
            return sqlite_open_error(s, rc, "read", reterr);
        }
    }
    *ret = open_sessions != 0;
    return 0;
}

static int insert_session(struct store *s, const struct store_options *options)
{
    uint64_t last = 0;
    int rc = sqlite_query_u64(s->db, "SELECT max(no) FROM session", &last);
    if (rc != SQLITE_OK) {
        return rc;
    }
    s->session = last + 1;
    s->last_claim = s->session << 40;
    sqlite3_stmt *st = NULL;
    rc = sqlite3_prepare_v2(s->db,
                            "INSERT INTO session (no, id, node, opened_ms)"
                            " VALUES (?1, ?2, ?3, ?4)",
                            -1, &st, NULL);
    if (rc == SQLITE_OK) {
        stmt_bind_u64(st, 1, s->session);
        stmt_bind_blob(st, 2, id_bytes(&options->session));
        stmt_bind_text(st, 3, options->node);
        stmt_bind_u64(st, 4, options->now_ms);
        rc = sqlite3_step(st);
    }
    (void)sqlite3_finalize(st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

_Static_assert(VERDICT_MISSED == 3, "the SQL below says this number");

/* The lock proves that nobody else is alive, so everything that is owned is
 * ours at once: claimed events are queued again with their attempts counted,
 * live workflows change hands. Runbook versions without a workflow (pinned for
 * one that was never stored, or kept by an earlier version of this program) and
 * verdicts on workflows that were removed long ago are left to nobody. */
static int take_over(struct store *s, const struct store_options *options)
{
    int rc = sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc == SQLITE_OK) {
        rc = insert_session(s, options);
    }
    if (rc != SQLITE_OK) {
        return rc;
    }
    char sql[1024];
    (void)snprintf(sql, sizeof(sql),
                   "UPDATE workflow SET owner = %llu"
                   " WHERE status IN (0, 1, 2, 7);"
                   "DELETE FROM session WHERE no <= %lld;"
                   "UPDATE event_span SET status = 0, claim = 0"
                   " WHERE status <> 2 AND status = 1;"
                   "DELETE FROM runbook WHERE NOT EXISTS (SELECT 1 FROM"
                   " workflow WHERE runbook_hash = runbook.hash);"
                   "DELETE FROM verdict WHERE about_ms < %lld AND kind <> 3"
                   " AND NOT EXISTS (SELECT 1 FROM workflow"
                   " WHERE id = verdict.subject);",
                   (unsigned long long)s->session,
                   (long long)s->session - SESSIONS_KEPT,
                   (long long)options->now_ms - (long long)VERDICT_KEEP_MS);
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL);
}

static int open_session(struct store *s, const struct store_options *options,
                        struct store_opened *opened, struct err *reterr)
{
    int rc = sqlite_writer_prepare(s);
    if (rc == SQLITE_OK) {
        rc = take_over(s, options);
    }
    if (rc != SQLITE_OK) {
        return sqlite_open_error(s, rc, "open a session in", reterr);
    }
    uint64_t requeued = s->tally.counts.events[EVENT_PROCESSING];
    sqlite_count_events(s, EVENT_PROCESSING, EVENT_QUEUED, requeued);
    s->at_begin = s->tally;
    s->in_transaction = true;
    int r = store_sqlite.commit(s);
    if (r < 0) {
        return sqlite_open_error(s, r == -ENOSPC ? SQLITE_FULL : SQLITE_IOERR,
                                 "open a session in", reterr);
    }
    opened->events_requeued = requeued;
    return 0;
}

/* ---- all together ------------------------------------------------------- */

int sqlite_open_error(struct store *s, int rc, const char *doing,
                      struct err *reterr)
{
    const char *why = s->db != NULL && sqlite3_extended_errcode(s->db) == rc
                          ? sqlite3_errmsg(s->db)
                          : sqlite3_errstr(rc);
    if (rc == SQLITE_IOERR_DATA) {
        rc = SQLITE_CORRUPT;
        why = "a page has changed since it was written";
    }
    switch (rc & 0xFF) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        err_hint(reterr, KEEP_HINT);
        return err_set(reterr, -EBADMSG, "%s is damaged (%s)", s->db_path, why);
    case SQLITE_FULL:
        err_hint(reterr, "free some space on that disk");
        return err_set(reterr, -ENOSPC, "cannot %s %s: the disk is full", doing,
                       s->db_path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        err_hint(reterr, "no other program may write to it");
        return err_set(reterr, -EBUSY, "cannot %s %s: it is locked", doing,
                       s->db_path);
    default:
        return err_set(reterr, -EIO, "cannot %s %s: %s (%d)", doing, s->db_path,
                       why, rc);
    }
}

/* Before the library opens the file, and cuts the log off where it is bad. */
static int check_log(struct store *s, struct err *reterr)
{
    int r = sqlite_log_check(s->db_path, reterr);
    if (r == -EBADMSG) {
        err_hint(reterr, KEEP_HINT);
    }
    return r;
}

static int open_steps(struct store *s, const struct store_options *options,
                      struct store_opened *opened, struct err *reterr)
{
    CLEANUP(mem_freep) char *lock_path = sqlite_path(s, SQLITE_LOCK_FILE);
    uint32_t version = 0;
    int r = 0;
    if ((r = open_directory(s, reterr)) < 0 ||
        (r = take_lock(s, lock_path, reterr)) < 0 ||
        (r = check_log(s, reterr)) < 0 ||
        (r = open_file(s, lock_path, reterr)) < 0 ||
        (r = sqlite_schema_version(s, &version, reterr)) < 0 ||
        (r = sqlite_schema_own(s, version, reterr)) < 0 ||
        (r = set_up_file(s, reterr)) < 0 ||
        (r = was_unclean(s, version, &opened->unclean, reterr)) < 0) {
        return r;
    }
    opened->created = version == 0;
    opened->schema_from = version;
    r = sqlite_check_file(s, options->full_check, opened, reterr);
    if (r < 0) {
        return r;
    }
    r = sqlite_schema_migrate(s, version, &opened->schema_to, reterr);
    if (r < 0) {
        return r;
    }
    (void)sqlite3_wal_hook(s->db, count_frames, s);
    if (s->ballast_bytes == 0) {
        s->ballast_bytes = sqlite_ballast_bytes(s->directory);
    }
    sqlite_ballast_make(s);
    s->sums = sqlite_sums_used(s->db);
    return open_session(s, options, opened, reterr);
}

int sqlite_open(const struct store_options *options, struct store **ret,
                struct store_opened *ret_opened, struct err *reterr)
{
    if (options->directory.len == 0 ||
        options->directory.len > DIRECTORY_MAX_BYTES) {
        return err_set(reterr, -EINVAL,
                       "the directory of the store has a name of %zu bytes; "
                       "1 to %d are possible",
                       options->directory.len, DIRECTORY_MAX_BYTES);
    }
    struct store *s = MEM_NEW(struct store);
    s->lock_fd = -1;
    s->directory = str_dup(options->directory);
    s->db_path = sqlite_path(s, SQLITE_DB_FILE);
    s->ballast_path = sqlite_path(s, SQLITE_BALLAST_FILE);
    s->queue_limit = options->queue_limit;
    s->ballast_bytes = options->ballast_bytes;
    s->last_now_ms = options->now_ms;
    strbuf_init(&s->scratch, LABELS_MAX_BYTES);
    struct store_opened opened = {0};
    int r = open_steps(s, options, &opened, reterr);
    if (r < 0) {
        sqlite_free(s);
        return r;
    }
    *ret_opened = opened;
    *ret = s;
    return 0;
}

char *sqlite_path(const struct store *s, const char *file)
{
    struct strbuf path = STRBUF_INIT(PATH_MAX * 2);
    strbuf_addf(&path, "%s/%s", s->directory, file);
    ASSERT(strbuf_error(&path) == 0);
    return strbuf_take(&path);
}

void sqlite_free(struct store *s)
{
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < SQL_STATEMENTS; i++) {
        (void)sqlite3_finalize(s->statements[i]);
    }
    (void)sqlite3_close_v2(s->db);
    if (s->lock_fd >= 0) {
        (void)close(s->lock_fd);
    }
    strbuf_deinit(&s->scratch);
    arena_deinit(&s->arena);
    mem_free(s->directory);
    mem_free(s->db_path);
    mem_free(s->ballast_path);
    mem_free(s);
}
