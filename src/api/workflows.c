/* /api/workflows: lists, one with its steps, its output, stopping it. */
#include <errno.h>

#include "api/filter.h"
#include "api/pinned.h"
#include "api/verdicts.h"
#include "api/workflow_json.h"

static struct pinned_source source(const struct call *c, struct generation *g)
{
    return (struct pinned_source){
        .generation = g,
        .reader = c->reader,
    };
}

static void put_row(struct call *c, const struct pinned_source *from,
                    const struct workflow_row *row, struct arena *a)
{
    struct runbook *rb = pinned_get(c->api->pinned, from, row);
    workflow_put(call_out(c), row, rb, a);
    put_close(call_out(c), '}');
    runbook_unref(rb);
}

struct workflow_list {
    struct workflow_filter *filter;
    struct pinned_source from;
    struct workflow_view *rows;
    struct arena *page;
};

static int read_rows(void *context, struct filter *f, uint32_t limit,
                     struct arena *page, uint32_t *ret_count)
{
    struct workflow_list *l = context;
    struct reader *reader = f->call->reader;
    l->filter->limit = limit;
    l->page = page;
    return reader->ops->workflows(reader, l->filter, page, &l->rows, ret_count);
}

static bool put_one(void *context, struct filter *f, uint32_t i)
{
    struct workflow_list *l = context;
    size_t start = call_out(f->call)->len;
    put_row(f->call, &l->from, &l->rows[i].row, l->page);
    l->filter->before_seq = l->rows[i].seq;
    return filter_keeps_row(f, start);
}

/* Sets *ret_next to the cursor of the next page, or 0. */
static int put_rows(struct filter *filter, struct workflow_filter *f,
                    uint32_t limit, uint64_t *ret_next)
{
    struct call *c = filter->call;
    struct generation *g = service_generation(c->api->service);
    struct workflow_list l = {.filter = f, .from = source(c, g)};
    const struct filter_list list = {read_rows, put_one, &l};
    uint32_t given = 0;
    bool more = false;
    int r = filter_pages(filter, &list, limit, &given, &more);
    generation_unref(g);
    *ret_next = more ? f->before_seq : 0;
    return r;
}

void workflows_list(struct call *c)
{
    const struct value *status = call_value(c, "status");
    struct workflow_filter f = {
        .runbook = call_value(c, "runbook")->text,
        .status = status->given ? (int)status->number : -1,
        .event_id = call_value(c, "event")->id,
        .since_ms = call_number(c, "since"),
        .before_seq = call_number(c, "cursor"),
    };
    struct strbuf *out = call_out(c);
    struct filter filter;
    uint64_t next = 0;
    if (filter_open(c, &filter)) {
        put_open(out, NULL, '{');
        put_open(out, "workflows", '[');
        int r = put_rows(&filter, &f, call_export_limit(c), &next);
        put_close(out, ']');
        put_u64(out, "active_workflows",
                service_status(c->api->service).engine.live);
        put_cursor(out, next);
        filter_put(&filter);
        put_close(out, '}');
        filter_answer(&filter, r);
    }
    filter_close(&filter);
}

static void answer_absent(struct call *c, int r)
{
    if (r == -ENOENT) {
        archive_answer_absent(c);
    } else {
        answer_read_error(c, r);
    }
}

void workflows_get(struct call *c)
{
    struct arena *a = call_arena(c);
    struct workflow_view v = {0};
    struct attempt_row *attempts = NULL;
    uint32_t count = 0;
    int r = c->reader->ops->workflow(c->reader, c->id, a, &v);
    if (r == 0) {
        r = c->reader->ops->attempts(c->reader, c->id, a, &attempts, &count);
    }
    struct verdict_row verdict = {.verdict = VERDICT_NONE};
    if (r == 0) {
        r = c->reader->ops->verdict(c->reader, c->id, a, &verdict);
        r = r == -ENOENT ? 0 : r;
    }
    if (r < 0) {
        answer_absent(c, r);
        return;
    }
    struct strbuf *out = call_out(c);
    struct generation *g = service_generation(c->api->service);
    struct pinned_source from = source(c, g);
    struct runbook *rb = pinned_get(c->api->pinned, &from, &v.row);
    workflow_put(out, &v.row, rb, a);
    workflow_put_steps(out, &v.row, rb, attempts, count);
    if (verdict.verdict != VERDICT_NONE) {
        put_verdict(out, "verdict", &verdict);
    } else {
        put_null(out, "verdict");
    }
    put_close(out, '}');
    runbook_unref(rb);
    generation_unref(g);
    answer_json(c, 200);
}

/* ---- output
 * --------------------------------------------------------------------- */

static void put_chunks(struct filter *filter, const struct workflow_row *row,
                       const struct output_chunk *chunks, uint32_t count)
{
    struct call *c = filter->call;
    struct generation *g = service_generation(c->api->service);
    struct pinned_source from = source(c, g);
    struct runbook *rb = pinned_get(c->api->pinned, &from, row);
    put_open(call_out(c), "logs", '[');
    for (uint32_t i = 0; i < count; i++) {
        size_t start = call_out(c)->len;
        workflow_put_chunk(call_out(c), &chunks[i], rb);
        (void)filter_keeps_row(filter, start);
    }
    put_close(call_out(c), ']');
    runbook_unref(rb);
    generation_unref(g);
}

void workflows_logs(struct call *c)
{
    struct workflow_view v = {0};
    struct output_chunk *chunks = NULL;
    uint32_t count = 0;
    uint64_t last = 0;
    struct output_filter f = {.workflow_id = c->id,
                              .after_seq = call_number(c, "after"),
                              .limit = (uint32_t)call_number(c, "limit")};
    /* The row first: what is final then has all its output stored. */
    int r = c->reader->ops->workflow(c->reader, c->id, call_arena(c), &v);
    if (r == 0) {
        r = c->reader->ops->output(c->reader, &f, call_arena(c), &chunks,
                                   &count, &last);
    }
    if (r < 0) {
        answer_absent(c, r);
        return;
    }
    struct strbuf *out = call_out(c);
    struct filter filter;
    if (filter_open(c, &filter)) {
        put_open(out, NULL, '{');
        put_id(out, "workflow_id", ID_PREFIX_WORKFLOW, c->id);
        put_chunks(&filter, &v.row, chunks, count);
        put_u64(out, "next_after", last);
        put_bool(out, "complete",
                 workflow_status_is_final(v.row.status) && count < f.limit);
        filter_put(&filter);
        put_close(out, '}');
        answer_json(c, 200);
    }
    filter_close(&filter);
}

/* ---- stopping
 * ------------------------------------------------------------------- */

struct stopping {
    struct service_request request;
    struct call *call;
};

static void stopped(struct service_request *request)
{
    struct stopping *s = CONTAINER_OF(request, struct stopping, request);
    struct call *c = s->call;
    struct strbuf *out = call_out(c);
    if (request->result == -ENOENT) {
        answer_read_error(c, -ENOENT);
        return;
    }
    if (request->result == -EEXIST) {
        strbuf_addf(out, "this workflow is already %s",
                    workflow_status_name(request->status));
        char *sentence = arena_strdup(call_arena(c), strbuf_str(out));
        answer_error(c, 409, "already_final", sentence, STR(""));
        return;
    }
    if (request->result < 0) {
        answer_busy(c, "stopping", "the engine is stopping; try again");
        return;
    }
    put_open(out, NULL, '{');
    put_id(out, "id", ID_PREFIX_WORKFLOW, request->stop.workflow_id);
    put_text_c(out, "status", workflow_status_name(request->status));
    put_text_c(out, "stop_requested", workflow_stop_name(request->stop.how));
    put_close(out, '}');
    answer_json(c, 202);
}

static void stop(struct call *c, enum stop_request how)
{
    json_t *body = call_read_object(c, NULL, 0);
    if (body == NULL) {
        return;
    }
    json_decref(body);
    struct stopping *s = ARENA_NEW(call_arena(c), struct stopping);
    s->call = c;
    s->request = (struct service_request){
        .kind = SERVICE_STOP,
        .requested_by = str_c(c->who.name),
        .stop = {.workflow_id = c->id,
                 .how = how,
                 .audit = str_c(c->route->audit)},
        .done = stopped,
    };
    service_post(c->api->service, &s->request);
}

void workflows_cancel(struct call *c)
{
    stop(c, STOP_CANCEL);
}

void workflows_kill(struct call *c)
{
    stop(c, STOP_KILL);
}
