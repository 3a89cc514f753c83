/* Between groups: checkpoints, the ballast, rows that have expired. */
#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/assert.h"
#include "store/sqlite_priv.h"

/* A log of this many pages (16 MiB) is copied at once: the fewer times, the
 * more often a page has changed in between, and the stall is still short. The
 * log keeps its size, for a sync of what is overwritten costs the file system
 * no transaction of its own. Past the second number (256 MiB) readers have kept
 * the log from starting over for too long: the writer waits for them, which
 * their deadline bounds, and if that did not help, again after the third. */
#define CHECKPOINT_FRAMES 4000
#define RESTART_FRAMES (64 * 1024)
#define RESTART_STEP_FRAMES (16 * 1024)

/* Expired rows go every so many groups: twice as many as can have come in
 * between and some more, so that trimming always wins. */
#define TRIM_GROUPS 16
#define TRIM_ROWS 256

/* The ballast: this much, but not more than a share of a small disk. */
#define BALLAST_BYTES (64ULL * 1024 * 1024)
#define BALLAST_LEAST_BYTES (4ULL * 1024 * 1024)
#define BALLAST_SHARE 20

/* ---- checkpoints -------------------------------------------------------- */

static int checkpoint(struct store *s, int mode, int patience_ms)
{
    (void)sqlite3_busy_timeout(s->db, patience_ms);
    int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, mode, NULL, NULL);
    (void)sqlite3_busy_timeout(s->db, SQLITE_BUSY_MS);
    switch (rc & 0xFF) {
    case SQLITE_OK:
        s->copied_frames = s->wal_frames;
        if (mode != SQLITE_CHECKPOINT_PASSIVE) {
            s->wal_frames = 0;
        }
        return 0;
    case SQLITE_BUSY:
        return -EBUSY; /* a reader is in the way */
    case SQLITE_FULL:
        sqlite_ballast_release(s);
        return 0;
    default:
        /* What the kernel still held may be gone, and a later success would
         * not bring it back: only a restart tells what is on the disk. */
        s->broken = true;
        return -EIO;
    }
}

static int checkpoint_if_due(struct store *s, bool idle)
{
    if (s->wal_frames < s->copied_frames) { /* the log has started over */
        s->copied_frames = 0;
        s->restart_frames = RESTART_FRAMES;
    }
    int r = 0;
    if (idle && s->wal_frames != 0) {
        r = checkpoint(s, SQLITE_CHECKPOINT_RESTART, 0);
    } else if (s->wal_frames >= MAX(s->restart_frames, RESTART_FRAMES)) {
        s->restart_frames = s->wal_frames + RESTART_STEP_FRAMES;
        r = checkpoint(s, SQLITE_CHECKPOINT_RESTART,
                       STORE_READ_DEADLINE_MS + 500);
    } else if (s->wal_frames - s->copied_frames >= CHECKPOINT_FRAMES) {
        r = checkpoint(s, SQLITE_CHECKPOINT_PASSIVE, 0);
    }
    return r == -EBUSY ? 0 : r;
}

/* ---- ballast ------------------------------------------------------------ */

/* As much again stays free beside it. */
static bool is_spacious(const struct store *s)
{
    struct statvfs fs;
    if (statvfs(s->directory, &fs) < 0) {
        return false;
    }
    return fs.f_bavail * fs.f_frsize >= s->ballast_bytes * 2;
}

uint64_t sqlite_ballast_bytes(const char *directory)
{
    struct statvfs fs;
    if (statvfs(directory, &fs) < 0) {
        return BALLAST_BYTES;
    }
    uint64_t share = fs.f_blocks * fs.f_frsize / BALLAST_SHARE;
    return MAX(MIN(share, BALLAST_BYTES), BALLAST_LEAST_BYTES);
}

bool sqlite_has_room(const struct store *s)
{
    return s->has_ballast;
}

void sqlite_ballast_make(struct store *s)
{
    int fd =
        open(s->ballast_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return;
    }
    off_t size = lseek(fd, 0, SEEK_END);
    s->has_ballast = size >= (off_t)s->ballast_bytes ||
                     (is_spacious(s) &&
                      posix_fallocate(fd, 0, (off_t)s->ballast_bytes) == 0);
    (void)close(fd);
    if (!s->has_ballast) {
        (void)unlink(s->ballast_path);
    }
}

void sqlite_ballast_release(struct store *s)
{
    (void)unlink(s->ballast_path);
    s->has_ballast = false;
}

/* ---- trimming ----------------------------------------------------------- */

static int trim_table(struct store *s, enum sqlite_statement which)
{
    sqlite3_stmt *st = sqlite_statement(s, which);
    stmt_bind_u64(st, 1,
                  which == SQL_TRIM_ALERT
                      ? store_alerts_since_ms(s->last_now_ms)
                      : s->last_now_ms);
    if (which != SQL_TRIM_ALERT) {
        uint64_t came = s->tally.last_seq - s->trimmed_seq;
        stmt_bind_u64(st, 2, came * 2 + TRIM_ROWS);
    }
    return sqlite_run(s, st);
}

static int trim(struct store *s, bool idle)
{
    int r = store_sqlite.begin(s);
    if (r < 0) {
        return r;
    }
    /* Errors doom the transaction, and commit tells. */
    (void)(trim_table(s, SQL_TRIM_DEDUP) == 0 &&
           trim_table(s, SQL_TRIM_REQUEST) == 0 && idle &&
           trim_table(s, SQL_TRIM_ALERT) == 0);
    r = store_sqlite.commit(s);
    s->trimmed_groups = s->groups;
    s->trimmed_seq = s->tally.last_seq;
    return r == -ENOSPC ? 0 : r;
}

int sqlite_maintain(struct store *s, bool idle)
{
    ASSERT(!s->in_transaction);
    if (s->broken) {
        return -EIO;
    }
    uint64_t groups = s->groups - s->trimmed_groups;
    int r = 0;
    if (groups >= TRIM_GROUPS || (idle && groups != 0)) {
        r = trim(s, idle);
    }
    if (!s->has_ballast && (idle || groups >= TRIM_GROUPS)) {
        sqlite_ballast_make(s);
    }
    return r < 0 ? r : checkpoint_if_due(s, idle);
}
