/* /api/admin. */
#include "api/api_priv.h"

struct reloading {
    struct service_request request;
    struct call *call;
};

static void put_file(struct strbuf *out, const struct generation_file *f)
{
    for (uint32_t i = 0; i < f->problem_count; i++) {
        put_problem(out, f->path, &f->problems[i]);
        out->len--; /* its closing brace: one more field follows */
        put_bool(out, "warning", f->state == FILE_LOADED);
        put_close(out, '}');
    }
}

static void answer_reloaded(struct call *c, const struct repo_changes *changes)
{
    struct generation *g = service_generation(c->api->service);
    struct strbuf *out = call_out(c);
    uint64_t loaded = 0;
    for (uint32_t i = 0; i < g->file_count; i++) {
        loaded += g->files[i].runbook != NULL;
    }
    put_open(out, NULL, '{');
    put_u64(out, "generation", g->number);
    put_u64(out, "loaded", loaded);
    put_u64(out, "added", changes->added);
    put_u64(out, "changed", changes->changed);
    put_u64(out, "removed", changes->removed);
    put_u64(out, "rejected", changes->rejected);
    put_open(out, "problems", '[');
    for (uint32_t i = 0; i < g->file_count; i++) {
        put_file(out, &g->files[i]);
    }
    put_close(out, ']');
    put_close(out, '}');
    generation_unref(g);
    answer_json(c, 200);
}

static void reloaded(struct service_request *request)
{
    struct reloading *x = CONTAINER_OF(request, struct reloading, request);
    if (request->result < 0) {
        answer_err(x->call, 500, "reload_failed", &request->err);
    } else {
        answer_reloaded(x->call, &request->changes);
    }
}

void admin_reload(struct call *c)
{
    json_t *body = call_read_object(c, NULL, 0);
    if (body == NULL) {
        return;
    }
    json_decref(body);
    struct reloading *x = ARENA_NEW(call_arena(c), struct reloading);
    x->call = c;
    x->request = (struct service_request){.kind = SERVICE_RELOAD,
                                          .requested_by = str_c(c->who.name),
                                          .done = reloaded};
    service_post(c->api->service, &x->request);
}
