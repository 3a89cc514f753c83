/* Lists with filters. The text of a list has only the conditions that are
 * asked for; values are always bound. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/vec.h"
#include "store/sqlite_changes.h"
#include "store/sqlite_reader.h"

#define SQL_MAX_BYTES 4096

/* ---- events ------------------------------------------------------------- */

int sqlite_read_event_view(sqlite3_stmt *st, struct arena *a,
                           struct event_view *ret)
{
    struct event_view v = {0};
    int r = stmt_event(st, a, &v.event);
    if (r < 0) {
        return r;
    }
    v.status = (enum event_status)stmt_u32(st, STMT_EVENT_COUNT);
    v.error = stmt_str(st, STMT_EVENT_COUNT + 1, a);
    v.duplicate_of = stmt_id(st, STMT_EVENT_COUNT + 2);
    v.processed_ms = stmt_u64(st, STMT_EVENT_COUNT + 3);
    v.decision = stmt_str(st, STMT_EVENT_COUNT + 4, a);
    *ret = v;
    return 0;
}

int sqlite_read_event_views(sqlite3_stmt *st, struct arena *a,
                            struct event_view **ret, uint32_t *ret_count)
{
    VEC(struct event_view) rows = {0};
    int n = sqlite_read_next(st);
    while (n == 1) {
        struct event_view v;
        n = sqlite_read_event_view(st, a, &v);
        if (n == 0) {
            VEC_PUSH(&rows, v);
            n = sqlite_read_next(st);
        }
    }
    if (n == 0) {
        *ret = ARENA_COPY(a, rows.at, rows.count);
        *ret_count = (uint32_t)rows.count;
    }
    VEC_DEINIT(&rows);
    return n;
}

#define SINCE_SEQ                                                              \
    "(SELECT min(first_seq) FROM event_minute WHERE minute >= ?4 / 60000)"

/* Events of one status are read span by span, in the same order; nearly all
 * are processed in the end, so those have no index. The status is a literal:
 * the planner must see that the index applies. */
static void from_spans(const struct event_filter *f, struct strbuf *sql)
{
    strbuf_addc(sql, " FROM event_span");
    strbuf_addc(sql, f->status != EVENT_PROCESSED
                         ? " INDEXED BY event_span_status CROSS JOIN event"
                           " WHERE status <> 2 AND"
                         : " CROSS JOIN event WHERE");
    strbuf_addf(sql,
                " status = %d AND seq BETWEEN event_span.first_seq"
                " AND last_seq AND event_span.first_seq >="
                " coalesce((SELECT max(first_seq) FROM event_span"
                " WHERE first_seq <= %s), 0) AND",
                f->status, f->since_ms != 0 ? SINCE_SEQ : "?6 + 1");
    if (f->before_seq != 0) {
        strbuf_addc(sql, " event_span.first_seq < ?5 AND");
    }
}

/* ?1 type, ?2 severity, ?3 source, ?4 since, ?5 before, ?6 after, ?7 limit */
static void events_sql(const struct event_filter *f, struct strbuf *sql)
{
    bool by_status = f->status >= 0;
    strbuf_addc(sql, "SELECT " EVENT_VIEW_COLUMNS);
    if (by_status) {
        from_spans(f, sql);
    } else {
        strbuf_addc(sql, EVENT_VIEW_FROM " WHERE");
    }
    const struct {
        bool wanted;
        const char *text;
    } conditions[] = {
        {f->type.len != 0, " type = ?1 AND"},
        {f->severity.len != 0, " severity = ?2 AND"},
        {f->source.len != 0, " source = ?3 AND"},
        {f->since_ms != 0, " received_ms >= ?4 AND seq >= " SINCE_SEQ " AND"},
        {f->before_seq != 0, " seq < ?5 AND"},
    };
    for (size_t i = 0; i < ARRAY_LEN(conditions); i++) {
        if (conditions[i].wanted) {
            strbuf_addc(sql, conditions[i].text);
        }
    }
    const char *order = f->oldest_first ? "ASC" : "DESC";
    strbuf_addc(sql, " seq > ?6 ORDER BY ");
    if (by_status) {
        strbuf_addf(sql, "event_span.first_seq %s, ", order);
    }
    strbuf_addf(sql, "seq %s LIMIT ?7", order);
}

int sqlite_read_events(struct reader *r, const struct event_filter *f,
                       struct arena *a, struct event_view **ret,
                       uint32_t *ret_count)
{
    struct strbuf sql = STRBUF_INIT(SQL_MAX_BYTES);
    events_sql(f, &sql);
    sqlite3_stmt *st = NULL;
    int n = sqlite_read_prepare(r, &sql, &st);
    if (n == 0) {
        stmt_bind_text(st, 1, f->type);
        stmt_bind_text(st, 2, f->severity);
        stmt_bind_text(st, 3, f->source);
        stmt_bind_u64(st, 4, f->since_ms);
        stmt_bind_u64(st, 5, f->before_seq);
        stmt_bind_u64(st, 6, f->after_seq);
        stmt_bind_u64(st, 7, f->limit);
        n = sqlite_read_event_views(st, a, ret, ret_count);
    }
    (void)sqlite3_finalize(st);
    strbuf_deinit(&sql);
    return n;
}

/* ---- workflows ---------------------------------------------------------- */

#define CREATED "workflow INDEXED BY workflow_created WHERE created_ms"

/* ?1 runbook, ?2 event, ?3 since, ?4 before, ?5 after, ?6 ended
 * before, ?7 limit. Times become bounds of seq first, so that a list never
 * looks at more rows than it must. */
static void workflows_sql(const struct workflow_filter *f, struct strbuf *sql)
{
    strbuf_addc(sql, "SELECT " STMT_WORKFLOW_COLUMNS " FROM workflow");
    strbuf_addc(sql, f->live_only ? " INDEXED BY workflow_live"
                                    " WHERE status IN (0, 1, 2, 7) AND"
                                  : " WHERE");
    if (f->status >= 0) {
        strbuf_addf(sql, " status = %d AND", f->status);
    }
    const struct {
        bool wanted;
        const char *text;
    } conditions[] = {
        {f->runbook.len != 0, " runbook_path = ?1 AND"},
        {!id_is_null(f->event_id), " event_id = ?2 AND"},
        {f->since_ms != 0, " created_ms >= ?3 AND seq >= (SELECT min(seq) FROM"
                           " " CREATED " >= ?3) AND"},
        {f->before_seq != 0, " seq < ?4 AND"},
        {f->ended_before_ms != 0,
         " status IN (3, 4, 5, 6) AND finished_ms < ?6 AND seq <="
         " (SELECT max(seq) FROM " CREATED " < ?6) AND"},
    };
    for (size_t i = 0; i < ARRAY_LEN(conditions); i++) {
        if (conditions[i].wanted) {
            strbuf_addc(sql, conditions[i].text);
        }
    }
    strbuf_addf(sql, " seq > ?5 ORDER BY seq %s LIMIT ?7",
                f->live_only || f->ended_before_ms != 0 ? "ASC" : "DESC");
}

static int read_views(sqlite3_stmt *st, struct arena *a,
                      struct workflow_view **ret, uint32_t *ret_count)
{
    VEC(struct workflow_view) rows = {0};
    int n = sqlite_read_next(st);
    while (n == 1) {
        struct workflow_view v = {.row = stmt_workflow(st, a),
                                  .seq = stmt_u64(st, 0)};
        VEC_PUSH(&rows, v);
        n = sqlite_read_next(st);
    }
    if (n == 0) {
        *ret = ARENA_COPY(a, rows.at, rows.count);
        *ret_count = (uint32_t)rows.count;
    }
    VEC_DEINIT(&rows);
    return n;
}

int sqlite_read_workflows(struct reader *r, const struct workflow_filter *f,
                          struct arena *a, struct workflow_view **ret,
                          uint32_t *ret_count)
{
    struct strbuf sql = STRBUF_INIT(SQL_MAX_BYTES);
    workflows_sql(f, &sql);
    sqlite3_stmt *st = NULL;
    int n = sqlite_read_prepare(r, &sql, &st);
    if (n == 0) {
        stmt_bind_text(st, 1, f->runbook);
        stmt_bind_id(st, 2, &f->event_id);
        stmt_bind_u64(st, 3, f->since_ms);
        stmt_bind_u64(st, 4, f->before_seq);
        stmt_bind_u64(st, 5, f->after_seq);
        stmt_bind_u64(st, 6, f->ended_before_ms);
        stmt_bind_u64(st, 7, f->limit);
        n = read_views(st, a, ret, ret_count);
    }
    (void)sqlite3_finalize(st);
    strbuf_deinit(&sql);
    return n;
}

/* ---- changes ------------------------------------------------------------ */

static void *to_arena(struct arena *a, const void *rows, size_t count,
                      size_t bytes)
{
    void *copy = arena_alloc(a, count, bytes);
    if (count != 0) {
        memcpy(copy, rows, count * bytes);
    }
    return copy;
}

int sqlite_read_settings(struct reader *r, struct str prefix, struct arena *a,
                         struct setting_row **ret, uint32_t *ret_count)
{
    sqlite3_stmt *st = sqlite_read_begin(r, READ_SETTINGS);
    stmt_bind_text(st, 1, prefix);
    stmt_bind_u64(st, 2, STORE_SETTINGS_MAX);
    VEC(struct setting_row) rows = {0};
    int n = sqlite_read_next(st);
    while (n == 1) {
        VEC_PUSH(&rows, (struct setting_row){.key = stmt_str(st, 0, a),
                                             .value = stmt_str(st, 1, a),
                                             .at_ms = stmt_u64(st, 2),
                                             .by = stmt_str(st, 3, a)});
        n = sqlite_read_next(st);
    }
    (void)sqlite3_reset(st);
    if (n == 0) {
        *ret = to_arena(a, rows.at, rows.count, sizeof(*rows.at));
        *ret_count = (uint32_t)rows.count;
    }
    VEC_DEINIT(&rows);
    return n;
}

int sqlite_read_audit(struct reader *r, const struct audit_filter *f,
                      struct arena *a, struct audit_row **ret,
                      uint32_t *ret_count)
{
    sqlite3_stmt *st =
        sqlite_read_begin(r, f->oldest_first ? READ_AUDIT_UP : READ_AUDIT_DOWN);
    stmt_bind_u64(st, 1, f->before_seq != 0 ? f->before_seq : INT64_MAX);
    stmt_bind_u64(st, 2, f->after_seq);
    stmt_bind_u64(st, 3, f->limit);
    VEC(struct audit_row) rows = {0};
    int n = sqlite_read_next(st);
    while (n == 1) {
        VEC_PUSH(&rows, sqlite_audit_read(st, a));
        n = sqlite_read_next(st);
    }
    (void)sqlite3_reset(st);
    if (n == 0) {
        *ret = to_arena(a, rows.at, rows.count, sizeof(*rows.at));
        *ret_count = (uint32_t)rows.count;
    }
    VEC_DEINIT(&rows);
    return n;
}

int sqlite_read_audit_end(struct reader *r, struct audit_end *ret)
{
    sqlite3_stmt *st = sqlite_read_begin(r, READ_AUDIT_END);
    int n = sqlite_read_next(st);
    *ret = n == 1 ? sqlite_audit_end_read(st) : (struct audit_end){0};
    (void)sqlite3_reset(st);
    return MIN(n, 0);
}

/* ---- verdicts ------------------------------------------------------------ */

static struct verdict_row verdict_of(sqlite3_stmt *st, struct arena *a)
{
    return (struct verdict_row){
        .subject = stmt_id(st, 0),
        .verdict = (enum verdict)stmt_u32(st, 1),
        .about_ms = stmt_u64(st, 2),
        .at_ms = stmt_u64(st, 3),
        .by = stmt_str(st, 4, a),
        .note = stmt_str(st, 5, a),
    };
}

int sqlite_read_verdict(struct reader *r, struct id subject, struct arena *a,
                        struct verdict_row *ret)
{
    sqlite3_stmt *st = sqlite_read_begin(r, READ_VERDICT);
    stmt_bind_id(st, 1, &subject);
    int n = sqlite_read_next(st);
    if (n == 1) {
        *ret = verdict_of(st, a);
    }
    (void)sqlite3_reset(st);
    return n == 1 ? 0 : n == 0 ? -ENOENT : n;
}

int sqlite_read_verdicts(struct reader *r, const struct verdict_filter *f,
                         struct arena *a, struct verdict_row **ret,
                         uint32_t *ret_count)
{
    sqlite3_stmt *st = sqlite_read_begin(r, READ_VERDICTS);
    stmt_bind_u64(st, 1, f->since_ms);
    stmt_bind_i64(st, 2, f->verdict);
    stmt_bind_u64(st, 3, f->limit);
    VEC(struct verdict_row) rows = {0};
    int n = sqlite_read_next(st);
    while (n == 1) {
        VEC_PUSH(&rows, verdict_of(st, a));
        n = sqlite_read_next(st);
    }
    (void)sqlite3_reset(st);
    if (n == 0) {
        *ret = to_arena(a, rows.at, rows.count, sizeof(*rows.at));
        *ret_count = (uint32_t)rows.count;
    }
    VEC_DEINIT(&rows);
    return n;
}

int sqlite_read_verdict_counts(struct reader *r, uint64_t since_ms,
                               uint64_t ret[VERDICTS])
{
    sqlite3_stmt *st = sqlite_read_begin(r, READ_VERDICT_COUNTS);
    uint64_t counts[VERDICTS] = {0};
    stmt_bind_u64(st, 1, since_ms);
    int n = sqlite_read_next(st);
    while (n == 1) {
        uint32_t kind = stmt_u32(st, 0);
        if (kind < VERDICTS) {
            counts[kind] = stmt_u64(st, 1);
        }
        n = sqlite_read_next(st);
    }
    (void)sqlite3_reset(st);
    if (n == 0) {
        memcpy(ret, counts, sizeof(counts));
    }
    return n;
}
