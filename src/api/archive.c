/*
 * POST /api/admin/archive-workflows: old workflows leave the store for a file
 * of lines, one JSON object each, with steps, attempts and output. The file is
 * on the disk, under its final name, before the first of them is removed, and
 * exactly those that stand in it are. A crash in between leaves some in both
 * places; asking again makes another file. One at a time: another one would
 * write the same workflows to a second file, and take the second of the threads
 * that read.
 */
#include <errno.h>
#include <string.h>

#include "api/api_priv.h"
#include "api/pinned.h"
#include "api/workflow_json.h"
#include "backup/archive.h"
#include "os/clock.h"
#include "os/fd.h"

#define PAGE 100
#define CHUNKS 200

/* Workflows of one file; "more" says that there are others. */
#define ARCHIVE_MAX 50000

/* Bytes after which a file takes no further page. */
#define ARCHIVE_FILE_BYTES (512ULL * 1024 * 1024)

/* What is collected before it is written; one page of output is smaller. */
#define WRITE_BYTES (1024UL * 1024)
#define BUFFER_BYTES (64UL * 1024 * 1024)

struct archiving {
    struct service_request request;
    struct call *call;
    uint64_t before_ms;
    int folder;
    int fd;
    const char *folder_path; /* the service's */
    char name[ARCHIVE_NAME_SIZE];
    uint64_t bytes; /* of the file so far */
    struct strbuf out;
    struct generation *generation;
    VEC(struct id) ids;
    bool more;
};

/* ---- the file ------------------------------------------------------------ */

/* All but the last byte, which tells whether a comma is due. */
static int write_out(struct archiving *x, bool last)
{
    size_t len = last ? x->out.len : x->out.len - 1;
    int r = strbuf_error(&x->out);
    if (r == 0 && len != 0) {
        char kept = x->out.at[x->out.len - 1];
        r = os_write_all(x->fd, str_n(x->out.at, len));
        x->bytes += len;
        strbuf_reset(&x->out);
        if (!last) {
            strbuf_addch(&x->out, kept);
        }
    }
    return r;
}

static int put_logs(struct archiving *x, const struct workflow_row *row,
                    const struct runbook *rb)
{
    struct reader *reader = x->call->reader;
    struct output_filter f = {.workflow_id = row->id, .limit = CHUNKS};
    struct arena page = ARENA_INIT;
    uint32_t count = CHUNKS;
    int r = 0;
    put_open(&x->out, "logs", '[');
    while (r == 0 && count == CHUNKS) {
        struct output_chunk *chunks = NULL;
        arena_reset(&page);
        r = reader->ops->output(reader, &f, &page, &chunks, &count,
                                &f.after_seq);
        for (uint32_t i = 0; r == 0 && i < count; i++) {
            workflow_put_chunk(&x->out, &chunks[i], rb);
        }
        if (r == 0 && x->out.len >= WRITE_BYTES) {
            r = write_out(x, false);
        }
    }
    put_close(&x->out, ']');
    arena_deinit(&page);
    return r;
}

static int put_line(struct archiving *x, const struct workflow_row *row,
                    struct arena *a)
{
    struct call *c = x->call;
    struct pinned_source from = {.generation = x->generation,
                                 .reader = c->reader};
    struct attempt_row *attempts = NULL;
    uint32_t count = 0;
    int r = c->reader->ops->attempts(c->reader, row->id, a, &attempts, &count);
    if (r < 0) {
        return r;
    }
    struct runbook *rb = pinned_get(c->api->pinned, &from, row);
    workflow_put(&x->out, row, rb, a);
    workflow_put_steps(&x->out, row, rb, attempts, count);
    r = put_logs(x, row, rb);
    runbook_unref(rb);
    put_close(&x->out, '}');
    strbuf_addch(&x->out, '\n');
    return r == 0 ? write_out(x, true) : r;
}

/* 1: there may be more, 0: that was all, or the error. */
static int write_page(struct archiving *x, struct workflow_filter *f)
{
    struct reader *reader = x->call->reader;
    struct arena page = ARENA_INIT;
    struct workflow_view *rows = NULL;
    uint32_t count = 0;
    int r = reader->ops->workflows(reader, f, &page, &rows, &count);
    for (uint32_t i = 0; r == 0 && i < count; i++) {
        r = put_line(x, &rows[i].row, &page);
        VEC_PUSH(&x->ids, rows[i].row.id);
        f->after_seq = rows[i].seq;
    }
    arena_deinit(&page);
    return r == 0 && count == PAGE ? 1 : r;
}

static int write_lines(struct archiving *x)
{
    struct workflow_filter f = {
        .status = -1, .ended_before_ms = x->before_ms, .limit = PAGE};
    int r = 1;
    while (r == 1 && x->ids.count < ARCHIVE_MAX &&
           x->bytes < ARCHIVE_FILE_BYTES) {
        r = write_page(x, &f);
    }
    x->more = r == 1;
    return MIN(r, 0);
}

static int open_file(struct archiving *x, struct err *reterr)
{
    x->folder_path = service_archive_directory(x->call->api->service);
    int r = archive_open(x->folder_path, true, &x->folder, reterr);
    return r < 0 ? r
                 : archive_create(x->folder, os_epoch_ms(), x->name, &x->fd,
                                  reterr);
}

static void close_file(struct archiving *x, bool keep)
{
    if (!keep && x->fd >= 0) {
        archive_discard(x->folder, x->name);
    }
    os_close(x->fd);
    os_close(x->folder);
    strbuf_deinit(&x->out);
    generation_unref(x->generation);
}

/* ---- the answer ---------------------------------------------------------- */

static void put_outcome(struct archiving *x, struct strbuf *out)
{
    put_open(out, NULL, '{');
    put_u64(out, "archived", x->ids.count);
    if (x->ids.count == 0) {
        put_null(out, "file");
    } else {
        struct strbuf path = STRBUF_INIT(8192);
        strbuf_addf(&path, "%s/%s", x->folder_path, x->name);
        put_bytes(out, "file", strbuf_str(&path));
        strbuf_deinit(&path);
    }
    put_instant(out, "before", x->before_ms);
    put_bool(out, "more", x->more);
    put_close(out, '}');
}

static void removed(struct service_request *request)
{
    struct archiving *x = CONTAINER_OF(request, struct archiving, request);
    struct call *c = x->call;
    int r = request->result;
    atomic_store(&c->api->archiving, false);
    if (r == 0) {
        put_outcome(x, call_out(c));
    }
    VEC_DEINIT(&x->ids);
    if (r == -ENOSPC) {
        answer_error(c, 507, "disk_full",
                     "the workflows are in the file, but not all were removed: "
                     "the disk is full; make room and try again",
                     STR(""));
    } else if (r < 0) {
        answer_busy(c, "store_failed",
                    "the workflows are in the file, but not all were removed; "
                    "try again");
    } else {
        answer_json(c, c->route->status);
    }
}

static void fail(struct archiving *x, int r, const struct err *why)
{
    struct call *c = x->call;
    struct err err = ERR_INIT;
    VEC_DEINIT(&x->ids);
    atomic_store(&c->api->archiving, false);
    if (r == -ETIMEDOUT || r == -EBADMSG || r == -EAGAIN) {
        answer_read_error(c, r);
        return;
    }
    err_hint(&err, "nothing was removed%s%s", why->hint[0] != '\0' ? "; " : "",
             why->hint);
    (void)err_set(&err, r, "cannot write the archive in %s: %s", x->folder_path,
                  why->message[0] != '\0' ? why->message : strerror(-r));
    answer_err(c, r == -ENOSPC ? 507 : 500,
               r == -ENOSPC ? "disk_full" : "archive_failed", &err);
}

/* As it was, for the audit trail. */
static struct str in_store(struct archiving *x)
{
    struct strbuf text = STRBUF_INIT(128);
    strbuf_addf(&text, "{\"in_store\":%zu}", x->ids.count);
    struct str kept = arena_str(call_arena(x->call), strbuf_str(&text));
    strbuf_deinit(&text);
    return kept;
}

static void remove_them(struct archiving *x)
{
    struct call *c = x->call;
    struct strbuf after = STRBUF_INIT(16384);
    put_outcome(x, &after);
    x->request = (struct service_request){
        .kind = SERVICE_CHANGE,
        .requested_by = str_c(c->who.name),
        .change = {.audit = {.action = str_c(c->route->audit),
                             .subject = str_c(x->name),
                             .before = in_store(x),
                             .after =
                                 arena_str(call_arena(c), strbuf_str(&after))},
                   .sweep = CHANGE_ARCHIVE,
                   .ids = x->ids.at,
                   .id_count = (uint32_t)x->ids.count},
        .done = removed,
    };
    strbuf_deinit(&after);
    service_post(c->api->service, &x->request);
}

/* `before` is needed, and must be past. */
static bool read_before(struct call *c, uint64_t *ret)
{
    const struct value *before = call_value(c, "before");
    struct err err = ERR_INIT;
    if (!before->given) {
        err_field(&err, "before");
        err_hint(&err, "as in ?before=90d");
        (void)err_set(&err, -EINVAL,
                      "say which workflows: those that ended before when");
        answer_err(c, 400, "bad_request", &err);
    } else if (before->number > os_epoch_ms()) {
        err_field(&err, "before");
        (void)err_set(&err, -ERANGE, "'before' must not be in the future");
        answer_err(c, 400, "out_of_range", &err);
    } else {
        *ret = before->number;
        return true;
    }
    return false;
}

void archive_workflows(struct call *c)
{
    uint64_t before_ms = 0;
    if (!read_before(c, &before_ms)) {
        return;
    }
    json_t *body = call_read_object(c, NULL, 0);
    if (body == NULL) {
        return;
    }
    json_decref(body);
    if (atomic_exchange(&c->api->archiving, true)) {
        answer_error(c, 409, "archiving",
                     "workflows are being archived already; try again when "
                     "that is done",
                     STR(""));
        return;
    }
    struct archiving *x = ARENA_NEW(call_arena(c), struct archiving);
    x->call = c;
    x->before_ms = before_ms;
    x->folder = x->fd = -1;
    x->out = STRBUF_INIT(BUFFER_BYTES);
    x->generation = service_generation(c->api->service);
    struct err err = ERR_INIT;
    int r = open_file(x, &err);
    if (r == 0) {
        r = write_lines(x);
    }
    if (r == 0 && x->ids.count != 0) { /* only now may anything be removed */
        r = archive_finish(x->folder, x->name, x->fd, &err);
    }
    close_file(x, r == 0 && x->ids.count != 0);
    if (r < 0) {
        fail(x, r, &err);
    } else {
        remove_them(x);
    }
}

void archive_answer_absent(struct call *c)
{
    struct store_counts counts = {0};
    int r = c->reader->ops->counts(c->reader, &counts);
    if (r < 0 || counts.removed_workflows == 0) {
        answer_read_error(c, r < 0 ? r : -ENOENT);
        return;
    }
    char id[ID_TEXT_SIZE];
    struct strbuf detail = STRBUF_INIT(8192);
    struct strbuf path = STRBUF_INIT(8192);
    id_format(c->id, ID_PREFIX_WORKFLOW, id);
    const char *folder = service_archive_directory(c->api->service);
    put_bytes(&detail, "archive", str_c(folder));
    strbuf_addf(&path, "look for it: grep -h %s %s/*.ndjson", id, folder);
    put_bytes(&detail, "hint", strbuf_str(&path));
    answer_error(c, 404, "not_found",
                 "there is no such workflow; it may have been archived, or "
                 "removed by retention",
                 strbuf_str(&detail));
    strbuf_deinit(&path);
    strbuf_deinit(&detail);
}
