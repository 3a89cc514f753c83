/*
 * What a damaged store had accepted after the backup that took its place: read
 * as far as its pages are whole, and set aside. No event that was acknowledged
 * is lost because of damage elsewhere.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "base/mem.h"
#include "os/clock.h"
#include "runtime/service_priv.h"

#define PIECE_EVENTS 500
#define DEDUP_MS (24UL * 3600 * 1000)

struct salvage {
    struct service *s;
    uint32_t open; /* events in the transaction under way */
    uint64_t kept;
    int failed; /* to keep one: nothing to do with what can be read */
};

static int finish_piece(struct salvage *v)
{
    int r = v->open != 0 ? v->s->driver->commit(v->s->store) : 0;
    v->open = 0;
    v->failed = v->failed < 0 ? v->failed : r;
    return r;
}

static int run(struct service *s, struct store_op *op)
{
    return s->driver->run(s->store, op, os_epoch_ms());
}

/* An operator decides: the page that tells its status may be older than one
 * that is lost, so even what seems to have waited may have been processed. */
static int set_aside(struct service *s, const struct event *e, int status)
{
    char why[160];
    (void)snprintf(why, sizeof(why),
                   "read from a damaged store, where its status was %s: what "
                   "has become of it is not known",
                   status < 0 ? "lost"
                              : event_status_name((enum event_status)status));
    const struct record record = {
        .kind = RECORD_EVENTS_MOVE,
        .move = {.from = EVENT_QUEUED,
                 .to = EVENT_DRAINED,
                 .event_id = e->id,
                 .limit = 1,
                 .at_ms = os_epoch_ms(),
                 .error = str_c(why)},
    };
    struct store_op op = {.kind = STORE_APPLY,
                          .apply = {.records = &record, .count = 1}};
    return run(s, &op);
}

static int keep_one(struct salvage *v, const struct event *e, int status)
{
    struct event copy = *e;
    struct store_ingested result;
    struct store_op op = {
        .kind = STORE_INGEST,
        .ingest = {.events = &copy,
                   .count = 1,
                   .results = &result,
                   .dedup_expires_ms = os_epoch_ms() + DEDUP_MS},
    };
    int r = v->open == 0 ? v->s->driver->begin(v->s->store) : 0;
    if (r < 0) {
        return r;
    }
    v->open++;
    r = run(v->s, &op);
    if (r == -EEXIST) {
        return 0; /* a start that was killed in the middle had it already */
    }
    if (r == 0) {
        v->kept++;
        r = set_aside(v->s, e, status);
    }
    return r;
}

/* An error of ours ends the reading, as what it is to the reader. */
static int keep(void *context, const struct event *e, int status)
{
    struct salvage *v = context;
    v->failed = keep_one(v, e, status);
    if (v->failed == 0 && v->open == PIECE_EVENTS) {
        (void)finish_piece(v);
    }
    return v->failed < 0 ? -ECANCELED : 0;
}

/* The number of the newest event that the backup had. */
static int newest_event(struct service *s, uint64_t *ret, struct err *reterr)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    const struct event_filter newest = {.status = -1, .limit = 1};
    struct reader *reader = NULL;
    struct event_view *views = NULL;
    uint32_t count = 0;
    int r = s->driver->reader_open(s->store, &reader, reterr);
    if (r < 0) {
        return r;
    }
    r = reader->ops->events(reader, &newest, &a, &views, &count);
    *ret = r == 0 && count != 0 ? views[0].event.seq : 0;
    reader->ops->close(reader);
    return r < 0 ? err_set(reterr, r, "cannot read the restored store") : 0;
}

/* What cannot be read keeps no engine from starting; what cannot be kept does:
 * the next start tries again. */
int service_salvage(struct service *s, const struct backup_note *note,
                    struct store_salvaged *ret, struct err *reterr)
{
    struct salvage v = {.s = s};
    struct err err = ERR_INIT;
    uint64_t after_seq = 0;
    *ret = (struct store_salvaged){0};
    if (!note->salvage || note->aside.len == 0) {
        return 0;
    }
    CLEANUP(mem_freep) char *aside = str_dup(note->aside);
    int r = newest_event(s, &after_seq, reterr);
    if (r < 0) {
        return r;
    }
    r = store_salvage(aside, after_seq, keep, &v, ret, &err);
    (void)finish_piece(&v);
    ret->events = v.kept;
    if (v.failed < 0) {
        return err_set(reterr, v.failed, "cannot keep what was read from %s",
                       aside);
    }
    if (r < 0) {
        service_log(s, LOG_ERR, "cannot read what is left in %s: %s", aside,
                    err.message[0] != '\0' ? err.message : strerror(-r));
    }
    return 0;
}
