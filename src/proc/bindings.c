/*
 * Which workflow began with which version of a runbook and which parameters,
 * in memory and in the file spool/workflows: records of one size, appended, the
 * last one of a workflow counts, rewritten when most of them are outdated.
 *
 * A version that was withdrawn from the repository, because it did harm for
 * instance, must not be run by an engine that was taken over; a workflow that
 * began with it must be able to end. Not synced: what a power cut takes from
 * the file matters only to workflows whose version has been withdrawn, which
 * are refused then.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "os/clock.h"
#include "os/fd.h"
#include "proc/executor_priv.h"
#include "proc/say.h"

#define FILE_NAME "workflows"
#define BOUND_MAX 32768
#define SPARE_RECORDS 16384 /* outdated ones, before the file is rewritten */
#define RECORDS_MAX (2UL * BOUND_MAX + SPARE_RECORDS)

/* As long as a workflow may be held, and a day (versions.c). */
#define KEPT_MS (8ULL * 86400 * 1000)
/* So old may the time of a record be that is still in use. */
#define REFRESH_MS (86400ULL * 1000)

struct record_bytes {
    struct id workflow;
    struct runbook_hash what; /* path, version and parameters */
    uint64_t used_ms;         /* epoch; 0: the workflow is over */
    uint64_t check;           /* of all before */
};

_Static_assert(sizeof(struct record_bytes) == 64, "records have no padding");

struct bindings {
    struct map all; /* workflow -> struct record_bytes, oldest first */
    int file;
    size_t count; /* records in the file */
    bool told;    /* that the file cannot be written */
};

static uint64_t check_of(const struct record_bytes *r)
{
    struct str bytes =
        str_n((const char *)r, offsetof(struct record_bytes, check));
    return str_hash(bytes, STR_HASH_SEED);
}

static struct runbook_hash what_of(const struct exec_message *start)
{
    struct strbuf all = STRBUF_INIT(EXEC_MESSAGE_MAX_BYTES + 64);
    const struct runbook_hash *hash = &start->start.hash;
    strbuf_add(&all, start->start.path);
    strbuf_addch(&all, '/');
    strbuf_add(&all, str_n((const char *)hash->bytes, sizeof(hash->bytes)));
    strbuf_add(&all, start->start.parameters);
    ASSERT(strbuf_error(&all) == 0);
    struct runbook_hash what = runbook_hash_of(strbuf_str(&all));
    explicit_bzero(all.at, all.len); /* parameters may be secret */
    strbuf_deinit(&all);
    return what;
}

static bool is_same(const struct runbook_hash *a, const struct runbook_hash *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* ---- in memory ----------------------------------------------------------- */

static void forget(struct bindings *b, struct id workflow)
{
    mem_free(map_remove(&b->all, id_bytes(&workflow)));
}

/* Past the limit the oldest gives way. */
static void remember(struct bindings *b, const struct record_bytes *r)
{
    size_t cursor = 0;
    forget(b, r->workflow);
    if (map_count(&b->all) >= BOUND_MAX) {
        const struct record_bytes *oldest = map_next(&b->all, &cursor)->value;
        forget(b, oldest->workflow);
    }
    struct record_bytes *copy = MEM_NEW(struct record_bytes);
    *copy = *r;
    ASSERT(map_put(&b->all, id_bytes(&copy->workflow), copy) == NULL);
}

/* ---- the file ------------------------------------------------------------ */

static void tell(struct executor *x, int e)
{
    if (e < 0 && !x->bindings->told) {
        executor_say(LOG_WARNING,
                     "cannot write %s/" FILE_NAME
                     ": %s; workflows whose runbook is withdrawn may not "
                     "outlive this executor",
                     x->options.spool, strerror(-e));
    }
    x->bindings->told = e < 0;
}

static int open_file(struct executor *x)
{
    struct bindings *b = x->bindings;
    os_closep(&b->file);
    b->file = openat(x->spool, FILE_NAME, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    return b->file < 0 ? -errno : 0;
}

static int rewrite(struct executor *x)
{
    struct bindings *b = x->bindings;
    CLEANUP(strbuf_deinit)
    struct strbuf text = STRBUF_INIT(BOUND_MAX * sizeof(struct record_bytes));
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&b->all, &cursor)) != NULL) {
        strbuf_add(&text, str_n(entry->value, sizeof(struct record_bytes)));
    }
    ASSERT(strbuf_error(&text) == 0);
    int e = os_replace_file(x->spool, FILE_NAME, strbuf_str(&text));
    e = e < 0 ? e : open_file(x);
    b->count = e < 0 ? b->count : map_count(&b->all);
    return e;
}

/* A record that could only be written in part is overwritten by the next. */
static void append(struct executor *x, struct record_bytes *r)
{
    struct bindings *b = x->bindings;
    r->check = check_of(r);
    ssize_t n = pwrite(b->file, r, sizeof(*r), (off_t)(b->count * sizeof(*r)));
    int e = n < 0 ? -errno : -ENOSPC;
    if (n == (ssize_t)sizeof(*r)) {
        b->count++;
        e = b->count >= 2 * map_count(&b->all) + SPARE_RECORDS ? rewrite(x) : 0;
    }
    tell(x, e);
}

static void load(struct bindings *b, struct str text)
{
    uint64_t now_ms = os_epoch_ms();
    while (text.len >= sizeof(struct record_bytes)) {
        struct record_bytes r;
        memcpy(&r, text.at, sizeof(r));
        text = str_slice(text, sizeof(r), text.len);
        if (r.check != check_of(&r)) {
            continue;
        }
        if (r.used_ms == 0 || r.used_ms + KEPT_MS < now_ms) {
            forget(b, r.workflow);
        } else {
            remember(b, &r);
        }
    }
}

int bindings_open(struct executor *x, struct err *reterr)
{
    struct bindings *b = MEM_NEW(struct bindings);
    CLEANUP(strbuf_deinit)
    struct strbuf text =
        STRBUF_INIT(RECORDS_MAX * sizeof(struct record_bytes) + 1);
    b->file = -1;
    x->bindings = b;
    int e = os_read_file(x->spool, FILE_NAME, &text);
    load(b, strbuf_str(&text));
    e = e < 0 && e != -ENOENT ? e : rewrite(x);
    return e < 0 ? err_set(reterr, e, "cannot use %s/" FILE_NAME ": %s",
                           x->options.spool, strerror(-e))
                 : 0;
}

void bindings_close(struct executor *x)
{
    struct bindings *b = x->bindings;
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    if (b == NULL) {
        return;
    }
    while ((entry = map_next(&b->all, &cursor)) != NULL) {
        mem_free(entry->value);
    }
    map_deinit(&b->all);
    os_close(b->file);
    mem_free(b);
    x->bindings = NULL;
}

/* ---- asking -------------------------------------------------------------- */

static int check_withdrawn(const struct executor *x,
                           const struct version *version, uint64_t now_ms,
                           struct err *reterr)
{
    uint64_t since_ms =
        now_ms > version->gone_ms ? now_ms - version->gone_ms : 0;
    uint64_t limit_ms = x->options.withdrawn_ms != 0 ? x->options.withdrawn_ms
                                                     : EXECUTOR_WITHDRAWN_MS;
    if (since_ms <= limit_ms) {
        return 0;
    }
    return err_set(reterr, -EPERM,
                   "this version of %.*s was withdrawn %" PRIu64
                   " minutes ago, and the workflow has not begun with it: run "
                   "the runbook as it is now",
                   STR_ARG(version->runbook->path), since_ms / 60000);
}

int bindings_take(struct executor *x, const struct exec_message *start,
                  const struct version *version, struct err *reterr)
{
    uint64_t now_ms = os_epoch_ms();
    struct record_bytes next = {
        .workflow = start->start.key.workflow_id,
        .what = what_of(start),
        .used_ms = now_ms,
    };
    const struct record_bytes *known =
        map_get(&x->bindings->all, id_bytes(&next.workflow));
    bool bound = known != NULL && is_same(&known->what, &next.what);
    int e = bound || !version->withdrawn
                ? 0
                : check_withdrawn(x, version, now_ms, reterr);
    if (e == 0 && (!bound || known->used_ms + REFRESH_MS < now_ms)) {
        remember(x->bindings, &next);
        append(x, &next);
    }
    return e;
}

void bindings_end(struct executor *x, struct id workflow)
{
    struct record_bytes over = {.workflow = workflow};
    if (map_get(&x->bindings->all, id_bytes(&workflow)) != NULL) {
        forget(x->bindings, workflow);
        append(x, &over);
    }
}
