/* Writing: a sample goes into every level at once, so nothing has to be made
 * coarser later; what is too old is removed now and then. */
#include <errno.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "history/history_priv.h"

#define TRIM_EVERY_MS (UINT64_C(10) * 60 * 1000)
#define HOUR_S 3600
#define DAY_S (24 * HOUR_S)

/* Of runs and timings, which are few: objectives are about 30 days. */
#define LONGEST_WINDOW_S (90 * DAY_S)

/* Days that make room at a time. */
#define ROOM_DAYS_MAX 8

const struct history_level history_levels[HISTORY_LEVELS] = {
    {.step_s = HISTORY_STEP_S, .kept_s = 6 * HOUR_S},
    {.step_s = 60, .kept_s = 3 * DAY_S},
    {.step_s = 600, .kept_s = 3 * DAY_S},
};

#define COARSEST (HISTORY_LEVELS - 1)

static uint64_t kept_s(const struct history *h, unsigned level)
{
    uint64_t least_s = history_levels[level].kept_s;
    return level == COARSEST ? MAX(h->keep.points_ms / 1000, least_s) : least_s;
}

static int find_metric(struct history *h, const char *name, uint64_t *ret)
{
    sqlite3_stmt *st =
        history_prepare(h, "SELECT no FROM metric WHERE name = ?1");
    if (st == NULL) {
        return sqlite3_extended_errcode(h->db);
    }
    stmt_bind_text(st, 1, str_c(name));
    int rc = sqlite3_step(st);
    *ret = rc == SQLITE_ROW ? stmt_u64(st, 0) : 0;
    return history_finish(st, rc);
}

/* 0 when there are too many names already. */
static int metric_no(struct history *h, const char *name, uint64_t *ret)
{
    int rc = find_metric(h, name, ret);
    if (rc != SQLITE_OK || *ret != 0) {
        return rc;
    }
    sqlite3_stmt *st =
        history_prepare(h, "INSERT INTO metric (name) SELECT ?1 WHERE"
                           " (SELECT count(*) FROM metric) < ?2");
    if (st == NULL) {
        return sqlite3_extended_errcode(h->db);
    }
    stmt_bind_text(st, 1, str_c(name));
    stmt_bind_u64(st, 2, HISTORY_METRICS_MAX);
    rc = history_finish(st, sqlite3_step(st));
    return rc == SQLITE_OK ? find_metric(h, name, ret) : rc;
}

static int add_point(sqlite3_stmt *st, unsigned level, uint64_t at_s,
                     uint64_t metric, double value)
{
    stmt_bind_u64(st, 1, level);
    stmt_bind_u64(st, 2, at_s / history_levels[level].step_s);
    stmt_bind_u64(st, 3, metric);
    ASSERT(sqlite3_bind_double(st, 4, value) == SQLITE_OK);
    int rc = sqlite3_step(st);
    (void)sqlite3_reset(st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int add_values(struct history *h, const struct history_sample *s)
{
    sqlite3_stmt *st = history_prepare(
        h, "INSERT INTO point VALUES (?1, ?2, ?3, 1, ?4, ?4, ?4)"
           " ON CONFLICT DO UPDATE SET n = n + 1, sum = sum + ?4,"
           " min = min(min, ?4), max = max(max, ?4)");
    if (st == NULL) {
        return sqlite3_extended_errcode(h->db);
    }
    int rc = SQLITE_OK;
    uint64_t at_s = s->at_ms / 1000;
    uint64_t now_s = s->now_ms / 1000;
    for (uint32_t i = 0; rc == SQLITE_OK && i < s->value_count; i++) {
        uint64_t metric = 0;
        rc = metric_no(h, s->values[i].name, &metric);
        for (unsigned l = 0;
             rc == SQLITE_OK && metric != 0 && l < HISTORY_LEVELS; l++) {
            if (at_s + kept_s(h, l) > now_s) {
                rc = add_point(st, l, at_s, metric, s->values[i].value);
            }
        }
    }
    (void)sqlite3_finalize(st);
    return rc;
}

static int add_timings(struct history *h, const struct history_sample *s)
{
    int rc = SQLITE_OK;
    for (uint32_t i = 0; rc == SQLITE_OK && i < s->timing_count; i++) {
        const struct history_timing *t = &s->timings[i];
        sqlite3_stmt *st =
            history_prepare(h, "INSERT INTO timing VALUES (?1, ?2, ?3, ?4)"
                               " ON CONFLICT DO UPDATE SET n = n + ?4");
        if (st == NULL) {
            return sqlite3_extended_errcode(h->db);
        }
        stmt_bind_u64(st, 1, s->at_ms / 1000 / HOUR_S);
        stmt_bind_u64(st, 2, t->which);
        stmt_bind_u64(st, 3, t->bound_us);
        stmt_bind_u64(st, 4, t->count);
        rc = history_finish(st, sqlite3_step(st));
    }
    return rc;
}

static int beat(struct history *h, const struct history_sample *s)
{
    sqlite3_stmt *st = history_prepare(
        h, "UPDATE run SET last_ms = max(last_ms, ?2), accepted = ?3,"
           " processed = ?4 WHERE no = ?1");
    if (st == NULL) {
        return sqlite3_extended_errcode(h->db);
    }
    stmt_bind_u64(st, 1, h->run_no);
    stmt_bind_u64(st, 2, s->at_ms);
    stmt_bind_u64(st, 3, s->accepted);
    stmt_bind_u64(st, 4, s->processed);
    return history_finish(st, sqlite3_step(st));
}

static int trim_with(struct history *h, const char *sql, uint64_t a, uint64_t b)
{
    sqlite3_stmt *st = history_prepare(h, sql);
    if (st == NULL) {
        return sqlite3_extended_errcode(h->db);
    }
    stmt_bind_u64(st, 1, a);
    stmt_bind_u64(st, 2, b);
    return history_finish(st, sqlite3_step(st));
}

/* Too much for the bound? Then the coarsest points of the oldest day go, and
 * of further ones; a few days at a time, so that it never takes long. */
static int make_room(struct history *h)
{
    uint64_t page = 0;
    uint64_t pages = 0;
    uint64_t unused = 0;
    bool removed = true;
    int rc = history_query_u64(h, "PRAGMA page_size", &page);
    for (int i = 0; rc == SQLITE_OK && removed && i < ROOM_DAYS_MAX; i++) {
        rc = history_query_u64(h, "PRAGMA page_count", &pages);
        if (rc == SQLITE_OK) {
            rc = history_query_u64(h, "PRAGMA freelist_count", &unused);
        }
        if (rc != SQLITE_OK ||
            (pages - unused) * page <= h->keep.max_bytes / 20 * 19) {
            return rc;
        }
        rc = trim_with(h,
                       "DELETE FROM point WHERE level = ?1 AND slot < (SELECT"
                       " min(slot) FROM point WHERE level = ?1) + ?2",
                       COARSEST, DAY_S / history_levels[COARSEST].step_s);
        removed = sqlite3_changes(h->db) > 0;
    }
    return rc;
}

static int trim(struct history *h, uint64_t now_ms)
{
    uint64_t now_s = now_ms / 1000;
    uint64_t longest_s = MAX(kept_s(h, COARSEST), (uint64_t)LONGEST_WINDOW_S);
    uint64_t first_s = now_s > longest_s ? now_s - longest_s : 0;
    int rc = SQLITE_OK;
    for (unsigned l = 0; rc == SQLITE_OK && l < HISTORY_LEVELS; l++) {
        const struct history_level *level = &history_levels[l];
        uint64_t from_s = now_s > kept_s(h, l) ? now_s - kept_s(h, l) : 0;
        rc = trim_with(h, "DELETE FROM point WHERE level = ?1 AND slot < ?2", l,
                       from_s / level->step_s);
    }
    if (rc == SQLITE_OK) {
        rc = trim_with(h, "DELETE FROM timing WHERE hour < ?1 AND ?2 = ?2",
                       first_s / HOUR_S, 0);
    }
    if (rc == SQLITE_OK) {
        rc = trim_with(h,
                       "DELETE FROM run WHERE no <> (SELECT max(no) FROM"
                       " run) AND (last_ms < ?1 OR"
                       " no <= (SELECT max(no) FROM run) - ?2)",
                       first_s * 1000, HISTORY_RUNS_MAX);
    }
    return rc == SQLITE_OK ? make_room(h) : rc;
}

void history_set_keep(struct history *h, const struct history_keep *keep)
{
    ASSERT(pthread_mutex_lock(&h->lock) == 0);
    h->keep = *keep;
    h->trimmed_ms = 0;
    if (h->db != NULL && history_set_bound(h) != SQLITE_OK) {
        history_disconnect(h); /* the next history_add connects, and sets it */
    }
    ASSERT(pthread_mutex_unlock(&h->lock) == 0);
}

/* The clock may have been set back: then from there on. */
static bool is_time_to_trim(const struct history *h, uint64_t now_ms)
{
    return h->trimmed_ms == 0 || now_ms < h->trimmed_ms ||
           now_ms - h->trimmed_ms >= TRIM_EVERY_MS;
}

static int write_all(struct history *h, const struct history_sample *s)
{
    int rc = sqlite3_exec(h->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc == SQLITE_OK && is_time_to_trim(h, s->now_ms)) {
        rc = trim(h, s->now_ms);
        h->trimmed_ms = s->now_ms;
    }
    if (rc == SQLITE_OK) {
        rc = add_values(h, s);
    }
    if (rc == SQLITE_OK) {
        rc = add_timings(h, s);
    }
    if (rc == SQLITE_OK && s->is_now) {
        rc = beat(h, s);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(h->db, "COMMIT", NULL, NULL, NULL);
    }
    if (rc != SQLITE_OK) {
        (void)sqlite3_exec(h->db, "ROLLBACK", NULL, NULL, NULL);
    }
    return rc;
}

/* Somebody has emptied the folder under us: what we write would be gone with
 * the process. */
static void notice_removal(struct history *h)
{
    struct stat st;
    if (h->db == NULL) {
        return;
    }
    int r = stat(h->path, &st);
    if (r < 0 ? errno == ENOENT : st.st_ino != h->inode) {
        history_disconnect(h);
    }
}

int history_add(struct history *h, const struct history_sample *s,
                struct err *reterr)
{
    struct history_opened opened = {0};
    ASSERT(pthread_mutex_lock(&h->lock) == 0);
    notice_removal(h);
    int r = 0;
    if (h->db == NULL) {
        r = history_connect(h, s->now_ms, &opened, reterr);
    }
    if (r == 0) {
        r = history_error(h, write_all(h, s), reterr);
    }
    if (r == -EBADMSG) {
        history_set_aside(h, NULL);
    }
    ASSERT(pthread_mutex_unlock(&h->lock) == 0);
    return r == 0 && opened.created ? 1 : r;
}
