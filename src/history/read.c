/* Reading: points of one metric, sums, timings, when the engine was up. */
#include <errno.h>

#include "base/assert.h"
#include "base/vec.h"
#include "history/history_priv.h"

/* About so many points when no step is asked for. */
#define POINTS_WANTED 360

unsigned history_level_for(uint64_t from_s, uint64_t now_s)
{
    unsigned level = 0;
    while (level + 1 < HISTORY_LEVELS &&
           from_s + history_levels[level].kept_s < now_s) {
        level++;
    }
    return level;
}

uint64_t history_step(const struct history_range *r)
{
    uint64_t kept_s =
        history_levels[history_level_for(r->from_s, r->now_s)].step_s;
    uint64_t length_s = r->to_s > r->from_s ? r->to_s - r->from_s : 0;
    uint64_t step_s = r->step_s != 0 ? r->step_s : length_s / POINTS_WANTED;
    return MAX((step_s + kept_s - 1) / kept_s, 1) * kept_s;
}

/* Runs a query whose parameters are bound: `row` for each row. */
static int each_row(struct history *h, sqlite3_stmt *st,
                    void (*row)(void *context, sqlite3_stmt *st), void *context)
{
    struct err err = ERR_INIT;
    int rc = sqlite3_step(st);
    while (rc == SQLITE_ROW) {
        row(context, st);
        rc = sqlite3_step(st);
    }
    int r = history_error(h, history_finish(st, rc), &err);
    if (r == -EBADMSG) {
        history_set_aside(h, NULL);
    }
    return r < 0 ? -EIO : 0;
}

/* Takes the lock; NULL when there is nothing to read from. */
static sqlite3_stmt *begin(struct history *h, const char *sql)
{
    ASSERT(pthread_mutex_lock(&h->lock) == 0);
    return h->db != NULL ? history_prepare(h, sql) : NULL;
}

static int end(struct history *h, int r)
{
    ASSERT(pthread_mutex_unlock(&h->lock) == 0);
    return r;
}

/* ---- points ----------------------------------------------------------------
 */

typedef VEC(struct history_point) point_vec;

static void take_point(void *context, sqlite3_stmt *st)
{
    point_vec *points = context;
    VEC_PUSH(points, (struct history_point){
                         .at_s = stmt_u64(st, 0),
                         .samples = stmt_u64(st, 1),
                         .sum = sqlite3_column_double(st, 2),
                         .min = sqlite3_column_double(st, 3),
                         .max = sqlite3_column_double(st, 4),
                     });
}

int history_points(struct history *h, const char *name,
                   const struct history_range *r, struct arena *a,
                   struct history_point **ret, uint32_t *ret_count)
{
    unsigned level = history_level_for(r->from_s, r->now_s);
    uint64_t kept_s = history_levels[level].step_s;
    uint64_t step_s = history_step(r);
    if (r->to_s > r->from_s &&
        (r->to_s - r->from_s) / step_s > HISTORY_POINTS_MAX) {
        return -E2BIG;
    }
    sqlite3_stmt *st =
        begin(h, "SELECT slot * ?5 / ?6 * ?6, sum(n), sum(sum), min(min),"
                 " max(max) FROM point WHERE level = ?1 AND slot >= ?2 AND"
                 " slot < ?3 AND metric = (SELECT no FROM metric WHERE"
                 " name = ?4) GROUP BY 1 ORDER BY 1 LIMIT ?7");
    if (st == NULL) {
        return end(h, -EIO);
    }
    stmt_bind_u64(st, 1, level);
    stmt_bind_u64(st, 2, r->from_s / kept_s);
    stmt_bind_u64(st, 3, (r->to_s + kept_s - 1) / kept_s);
    stmt_bind_text(st, 4, str_c(name));
    stmt_bind_u64(st, 5, kept_s);
    stmt_bind_u64(st, 6, step_s);
    stmt_bind_u64(st, 7, HISTORY_POINTS_MAX + 2);
    point_vec points = {0};
    int result = end(h, each_row(h, st, take_point, &points));
    if (result == 0) {
        *ret = ARENA_ARRAY(a, points.count, struct history_point);
        VEC_EACH (&points, i) {
            (*ret)[i] = points.at[i];
        }
        *ret_count = (uint32_t)points.count;
    }
    VEC_DEINIT(&points);
    return result;
}

struct sums {
    const char *const *names;
    size_t count;
    double *ret;
};

static void take_sum(void *context, sqlite3_stmt *st)
{
    const struct sums *s = context;
    const char *name = (const char *)sqlite3_column_text(st, 0);
    for (size_t i = 0; i < s->count; i++) {
        if (str_eq_c(str_c(s->names[i]), name)) {
            s->ret[i] = sqlite3_column_double(st, 1);
        }
    }
}

int history_sums(struct history *h, const struct history_window *w,
                 const char *const *names, size_t count, double *ret)
{
    unsigned level = history_level_for(w->from_ms / 1000, w->now_ms / 1000);
    struct sums sums = {.names = names, .count = count, .ret = ret};
    for (size_t i = 0; i < count; i++) {
        ret[i] = 0;
    }
    sqlite3_stmt *st = begin(
        h, "SELECT (SELECT name FROM metric WHERE no = point.metric), sum(sum)"
           " FROM point WHERE level = ?1 AND slot >= ?2 GROUP BY metric");
    if (st == NULL) {
        return end(h, -EIO);
    }
    stmt_bind_u64(st, 1, level);
    stmt_bind_u64(st, 2, w->from_ms / 1000 / history_levels[level].step_s);
    return end(h, each_row(h, st, take_sum, &sums));
}

/* ---- timings ---------------------------------------------------------------
 */

typedef VEC(struct history_timing) timing_vec;

static void take_timing(void *context, sqlite3_stmt *st)
{
    timing_vec *rows = context;
    uint64_t bound = stmt_u64(st, 0);
    VEC_PUSH(rows, (struct history_timing){
                       .bound_us = bound < INT64_MAX ? bound : UINT64_MAX,
                       .count = stmt_u64(st, 1),
                   });
}

int history_timings(struct history *h, uint32_t which, uint64_t from_ms,
                    struct arena *a, struct history_timing **ret,
                    uint32_t *ret_count)
{
    sqlite3_stmt *st =
        begin(h, "SELECT bound_us, sum(n) FROM timing WHERE hour >= ?1 AND"
                 " which = ?2 GROUP BY bound_us ORDER BY bound_us");
    if (st == NULL) {
        return end(h, -EIO);
    }
    stmt_bind_u64(st, 1, from_ms / 3600000);
    stmt_bind_u64(st, 2, which);
    timing_vec rows = {0};
    int result = end(h, each_row(h, st, take_timing, &rows));
    if (result == 0) {
        *ret = ARENA_ARRAY(a, rows.count, struct history_timing);
        VEC_EACH (&rows, i) {
            (*ret)[i] = rows.at[i];
            (*ret)[i].which = which;
        }
        *ret_count = (uint32_t)rows.count;
    }
    VEC_DEINIT(&rows);
    return result;
}

/* ---- up and down -----------------------------------------------------------
 */

static void take_up(void *context, sqlite3_stmt *st)
{
    struct history_up *up = context;
    up->up_ms = stmt_u64(st, 0);
    up->known_ms = stmt_u64(st, 1); /* the first instant, for now */
    up->runs = stmt_u64(st, 2);
}

int history_up(struct history *h, uint64_t from_ms, uint64_t now_ms,
               struct history_up *ret)
{
    struct history_up up = {0};
    sqlite3_stmt *st = begin(
        h, "SELECT coalesce(sum(max(last_ms - max(from_ms, ?1), 0)), 0),"
           " coalesce(min(max(from_ms, ?1)), 0), count(*)"
           " FROM (SELECT from_ms, CASE no WHEN ?3 THEN ?2 ELSE last_ms END"
           " AS last_ms FROM run) WHERE last_ms >= ?1");
    if (st == NULL) {
        return end(h, -EIO);
    }
    stmt_bind_u64(st, 1, from_ms);
    stmt_bind_u64(st, 2, now_ms);
    stmt_bind_u64(st, 3, h->run_no);
    int r = end(h, each_row(h, st, take_up, &up));
    if (r == 0) {
        up.known_ms =
            up.runs != 0 && now_ms > up.known_ms ? now_ms - up.known_ms : 0;
        *ret = up;
        ret->up_ms = MIN(up.up_ms, up.known_ms);
    }
    return r;
}
