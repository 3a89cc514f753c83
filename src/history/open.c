/* The file: opening, its schema, setting it aside, closing. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "history/history_priv.h"
#include "os/fd.h"
#include "store/sqlite_harden.h"

#define APPLICATION_ID 0x4144504D /* "ADPM" */
#define SCHEMA_VERSION 1

#define LATER_VERSION SQLITE_NOTICE /* the library itself never says so */

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

/* From version i to i + 1, each a transaction that sets user_version. A change
 * of the schema is a new element, and the number above: a file that has been
 * written somewhere is never begun anew for it.
 *
 * point is written at its end (by level); a metric is read by passing over the
 * others, which is cheap, and seldom. run: when the engine was up. */
static const char *const migrations[SCHEMA_VERSION] = {
    "BEGIN IMMEDIATE;"
    "CREATE TABLE metric ("
    " no INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;"
    "CREATE TABLE point ("
    " level INTEGER NOT NULL, slot INTEGER NOT NULL, metric INTEGER NOT NULL,"
    " n INTEGER NOT NULL, sum REAL NOT NULL, min REAL NOT NULL,"
    " max REAL NOT NULL, PRIMARY KEY (level, slot, metric)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE timing ("
    " hour INTEGER NOT NULL, which INTEGER NOT NULL,"
    " bound_us INTEGER NOT NULL, n INTEGER NOT NULL,"
    " PRIMARY KEY (hour, which, bound_us)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE run ("
    " no INTEGER PRIMARY KEY, from_ms INTEGER NOT NULL,"
    " last_ms INTEGER NOT NULL, closed INTEGER NOT NULL,"
    " accepted INTEGER NOT NULL, processed INTEGER NOT NULL) STRICT;"
    "PRAGMA application_id = " TEXT(APPLICATION_ID) ";"
                                                    "PRAGMA user_version = 1;"
                                                    "COMMIT;",
};

/* Before the first access. Not locked for ourselves alone: adctl backup reads
 * it while we write. Synchronous NORMAL: a power cut may take the last samples,
 * not the file. */
static const char settings[] =
    "PRAGMA locking_mode = NORMAL; PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = NORMAL; PRAGMA cell_size_check = ON;"
    "PRAGMA temp_store = MEMORY;"
    "PRAGMA cache_size = -512; PRAGMA journal_size_limit = 4194304;";

int history_error(struct history *h, int rc, struct err *reterr)
{
    int code = rc & 0xFF;
    if (rc == SQLITE_OK) {
        return 0;
    }
    if (code == LATER_VERSION) {
        err_hint(reterr, "install that version, or move the file away");
        return err_set(reterr, -ENOTSUP,
                       "%s was written by a later version: it is left as it "
                       "is, and nothing is kept",
                       h->path);
    }
    int r = code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? -EBADMSG
            : code == SQLITE_FULL                           ? -ENOSPC
                                                            : -EIO;
    return err_set(reterr, r, "%s: %s", h->path, sqlite3_errstr(rc));
}

sqlite3_stmt *history_prepare(struct history *h, const char *sql)
{
    sqlite3_stmt *st = NULL;
    return sqlite3_prepare_v2(h->db, sql, -1, &st, NULL) == SQLITE_OK ? st
                                                                      : NULL;
}

int history_finish(sqlite3_stmt *st, int rc)
{
    (void)sqlite3_finalize(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int history_query_u64(struct history *h, const char *sql, uint64_t *ret)
{
    sqlite3_stmt *st = history_prepare(h, sql);
    if (st == NULL) {
        return sqlite3_extended_errcode(h->db);
    }
    int rc = sqlite3_step(st);
    *ret = rc == SQLITE_ROW ? stmt_u64(st, 0) : 0;
    return history_finish(st, rc);
}

/* ---- what is in the file --------------------------------------------------
 */

static int read_last(struct history *h, struct history_opened *ret)
{
    sqlite3_stmt *st = history_prepare(
        h, "SELECT last_ms, closed, accepted, processed FROM run"
           " ORDER BY no DESC LIMIT 1");
    if (st == NULL) {
        return sqlite3_extended_errcode(h->db);
    }
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        ret->last_ms = stmt_u64(st, 0);
        ret->unclean = stmt_u64(st, 1) == 0;
        ret->accepted = stmt_u64(st, 2);
        ret->processed = stmt_u64(st, 3);
    }
    return history_finish(st, rc);
}

/* The library's own check, once after each end that was none. */
static int check(struct history *h)
{
    sqlite3_stmt *st = history_prepare(h, "PRAGMA quick_check(1)");
    if (st == NULL) {
        return sqlite3_extended_errcode(h->db);
    }
    int rc = sqlite3_step(st);
    bool fine = rc == SQLITE_ROW &&
                str_eq_c(STR("ok"), (const char *)sqlite3_column_text(st, 0));
    rc = history_finish(st, rc);
    return rc == SQLITE_OK && !fine ? SQLITE_CORRUPT : rc;
}

static int begin_run(struct history *h, uint64_t now_ms)
{
    int rc = history_query_u64(h, "SELECT coalesce(max(no), 0) + 1 FROM run",
                               &h->run_no);
    sqlite3_stmt *st =
        rc == SQLITE_OK
            ? history_prepare(h, "INSERT INTO run VALUES (?1, ?2, ?2, 0, 0, 0)")
            : NULL;
    if (st == NULL) {
        return rc != SQLITE_OK ? rc : sqlite3_extended_errcode(h->db);
    }
    stmt_bind_u64(st, 1, h->run_no);
    stmt_bind_u64(st, 2, now_ms);
    return history_finish(st, sqlite3_step(st));
}

/* What is in the file: its version, 0 when it is empty. */
static int read_version(struct history *h, uint64_t *ret)
{
    uint64_t application = 0;
    uint64_t tables = 0;
    int rc = history_query_u64(h, "PRAGMA user_version", ret);
    if (rc == SQLITE_OK) {
        rc = history_query_u64(h, "PRAGMA application_id", &application);
    }
    if (rc == SQLITE_OK) {
        rc =
            history_query_u64(h, "SELECT count(*) FROM sqlite_schema", &tables);
    }
    if (rc == SQLITE_OK && tables == 0) {
        *ret = 0;
    } else if (rc == SQLITE_OK &&
               (application != APPLICATION_ID || *ret == 0)) {
        rc = SQLITE_NOTADB; /* not ours */
    }
    return rc;
}

static int set_up(struct history *h, struct history_opened *ret)
{
    uint64_t version = 0;
    int rc = sqlite3_exec(h->db, settings, NULL, NULL, NULL);
    if (rc == SQLITE_OK) {
        rc = read_version(h, &version);
    }
    ret->created = rc == SQLITE_OK && version == 0;
    if (rc == SQLITE_OK && version > SCHEMA_VERSION) {
        return LATER_VERSION;
    }
    while (rc == SQLITE_OK && version < SCHEMA_VERSION) {
        rc = sqlite3_exec(h->db, migrations[version++], NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK) {
        rc = read_last(h, ret);
    }
    if (rc == SQLITE_OK && ret->unclean) {
        rc = check(h);
    }
    return rc;
}

int history_set_bound(struct history *h)
{
    uint64_t page = 0;
    int rc = history_query_u64(h, "PRAGMA page_size", &page);
    if (rc == SQLITE_OK && page != 0) {
        char sql[64];
        (void)snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %llu",
                       (unsigned long long)(h->keep.max_bytes / page));
        rc = sqlite3_exec(h->db, sql, NULL, NULL, NULL);
    }
    return rc;
}

/* ---- opening ---------------------------------------------------------------
 */

void history_disconnect(struct history *h)
{
    (void)sqlite3_close_v2(h->db);
    h->db = NULL;
}

void history_set_aside(struct history *h, char ret_name[HISTORY_ASIDE_SIZE])
{
    struct strbuf to = STRBUF_INIT(PATH_MAX * 2);
    char name[HISTORY_ASIDE_SIZE] = HISTORY_FILE ".damaged";
    history_disconnect(h);
    for (int i = 1; i <= HISTORY_ASIDE_MAX; i++) {
        if (i > 1) {
            (void)snprintf(name, sizeof(name), HISTORY_FILE ".damaged-%d", i);
        }
        strbuf_reset(&to);
        strbuf_addf(&to, "%.*s%s",
                    (int)(strlen(h->path) - (sizeof(HISTORY_FILE) - 1)),
                    h->path, name);
        if (access(to.at, F_OK) < 0) {
            break;
        }
    }
    (void)rename(h->path, to.at);
    strbuf_reset(&to);
    strbuf_addf(&to, "%s-wal", h->path);
    (void)unlink(to.at); /* the new file must not take it for its own */
    strbuf_deinit(&to);
    if (ret_name != NULL) {
        memcpy(ret_name, name, sizeof(name));
    }
}

static int try_open(struct history *h, uint64_t now_ms,
                    struct history_opened *ret)
{
    int rc = sqlite3_open_v2(h->path, &h->db,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                                 SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
                                 SQLITE_OPEN_EXRESCODE,
                             NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite_harden(h->db);
    }
    if (rc == SQLITE_OK) {
        rc = set_up(h, ret);
    }
    if (rc == SQLITE_OK) {
        rc = history_set_bound(h);
    }
    if (rc == SQLITE_OK) {
        rc = begin_run(h, now_ms);
    }
    return rc;
}

int history_connect(struct history *h, uint64_t now_ms,
                    struct history_opened *ret, struct err *reterr)
{
    struct history_opened opened = {0};
    int rc = try_open(h, now_ms, &opened);
    int r = history_error(h, rc, reterr);
    if (r == -EBADMSG) {
        opened = (struct history_opened){.set_aside = true};
        history_set_aside(h, opened.aside);
        *reterr = ERR_INIT;
        rc = try_open(h, now_ms, &opened);
        r = history_error(h, rc, reterr);
    }
    struct stat st;
    if (r == 0 && stat(h->path, &st) == 0) {
        h->inode = st.st_ino;
        *ret = opened;
        return 0;
    }
    history_disconnect(h);
    return r < 0 ? r : err_set(reterr, -EIO, "%s: %m", h->path);
}

int history_open(const char *directory, uint64_t now_ms, struct history **ret,
                 struct history_opened *ret_opened, struct err *reterr)
{
    struct history *h = MEM_NEW(struct history);
    struct strbuf path = STRBUF_INIT(PATH_MAX * 2);
    ASSERT(pthread_mutex_init(&h->lock, NULL) == 0);
    CLEANUP(strbuf_deinit)
    struct strbuf real = STRBUF_INIT(PATH_MAX * 2);
    strbuf_addf(&path, "%s/" HISTORY_FILE, directory);
    /* The library refuses symlinks anywhere in a path; ours is only the last
     * name. */
    if (os_resolve_folder(path.at, &real) == 0) {
        strbuf_reset(&path);
        strbuf_add(&path, strbuf_str(&real));
    }
    h->path = strbuf_take(&path);
    h->keep = HISTORY_KEEP_DEFAULT;
    *ret_opened = (struct history_opened){.created = true};
    *ret = h;
    return history_connect(h, now_ms, ret_opened, reterr);
}

void history_close(struct history *h, uint64_t now_ms)
{
    if (h == NULL) {
        return;
    }
    sqlite3_stmt *st =
        h->db != NULL
            ? history_prepare(
                  h, "UPDATE run SET last_ms = max(last_ms, ?2), closed = 1"
                     " WHERE no = ?1")
            : NULL;
    if (st != NULL) {
        stmt_bind_u64(st, 1, h->run_no);
        stmt_bind_u64(st, 2, now_ms);
        (void)history_finish(st, sqlite3_step(st));
    }
    history_disconnect(h);
    (void)pthread_mutex_destroy(&h->lock);
    mem_free(h->path);
    mem_free(h);
}
