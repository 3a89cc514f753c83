#include "store/salvage.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "store/copy_priv.h"

/* A damaged page in the middle of the table hides what is below it: so far is
 * looked beyond it, event by event. */
#define GAP_MAX 100000

struct salvage {
    struct copy_file file;
    sqlite3_stmt *event; /* the first one after ?1 */
    sqlite3_stmt *span;  /* of event ?1 */
    store_salvage_fn *fn;
    void *context;
    struct store_salvaged found;
};

static int open_salvage(struct salvage *v, const char *path, struct err *reterr)
{
    /* By itself, so that a damaged page of spans hides no event. */
    static const char event[] =
        "SELECT " STMT_EVENT_COLUMNS
        " FROM (SELECT *, 0 AS priority, 0 AS attempt FROM event)"
        " WHERE seq > ?1 ORDER BY seq LIMIT 1";
    static const char span[] =
        "SELECT status, priority FROM event_span WHERE first_seq <= ?1"
        " ORDER BY first_seq DESC LIMIT 1";
    uint32_t version = 0;
    /* What was set aside stays as it is. */
    int r = copy_file_open(&v->file, path, "?mode=ro", SQLITE_OPEN_READONLY,
                           reterr);
    if (r == 0) {
        r = sqlite_schema_version(&v->file.store, &version, reterr);
    }
    if (r == 0 && version != sqlite_schema_newest()) {
        r = err_set(reterr, -EINVAL, "%s is of another version", path);
    }
    if (r == 0 && (sqlite3_prepare_v2(v->file.store.db, event, -1, &v->event,
                                      NULL) != SQLITE_OK ||
                   sqlite3_prepare_v2(v->file.store.db, span, -1, &v->span,
                                      NULL) != SQLITE_OK)) {
        r = copy_file_error(&v->file,
                            sqlite3_extended_errcode(v->file.store.db), "read",
                            reterr);
    }
    return r;
}

/* The event's status and priority; -1 and the usual one when they are lost. */
static int read_span(struct salvage *v, struct event *e)
{
    int status = -1;
    e->priority = EVENT_PRIORITY_DEFAULT;
    stmt_bind_u64(v->span, 1, e->seq);
    if (sqlite3_step(v->span) == SQLITE_ROW) {
        uint32_t number = stmt_u32(v->span, 0);
        status = number < EVENT_STATUSES ? (int)number : -1;
        e->priority = (uint8_t)stmt_u32(v->span, 1);
    }
    (void)sqlite3_reset(v->span);
    return status;
}

/* 1: *seq is that of the event given, 0: there is none after it; -EBADMSG:
 * something there cannot be read; or what fn gave. */
static int next_event(struct salvage *v, uint64_t *seq)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct event e;
    stmt_bind_u64(v->event, 1, *seq);
    int rc = sqlite3_step(v->event);
    int r = rc == SQLITE_DONE ? 0 : -EBADMSG;
    if (rc == SQLITE_ROW && stmt_event(v->event, &a, &e) == 0) {
        int status = read_span(v, &e);
        r = v->fn(v->context, &e, status);
        *seq = e.seq;
        v->found.events++;
        r = r < 0 ? r : 1;
    }
    (void)sqlite3_reset(v->event);
    return r;
}

static int read_on(struct salvage *v, uint64_t seq)
{
    uint64_t gap = 0;
    for (;;) {
        int r = next_event(v, &seq);
        if (r == 1) {
            gap = 0;
            continue;
        }
        if (r != -EBADMSG || ++gap > GAP_MAX) {
            return r == -EBADMSG ? 0 : r;
        }
        v->found.gaps += gap == 1;
        seq++;
    }
}

int store_salvage(const char *directory, uint64_t after_seq,
                  store_salvage_fn *fn, void *context,
                  struct store_salvaged *ret, struct err *reterr)
{
    struct salvage v = {.fn = fn, .context = context};
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, SQLITE_DB_FILE);
    int r = open_salvage(&v, path, reterr);
    if (r == 0) {
        r = read_on(&v, after_seq);
        *ret = v.found;
    }
    (void)sqlite3_finalize(v.event);
    (void)sqlite3_finalize(v.span);
    copy_file_close(&v.file);
    return r;
}
