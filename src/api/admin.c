/* /api/admin. */
#include <stdio.h>
#include <string.h>

#include "api/api_priv.h"
#include "api/runbook_json.h"

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

typedef bool listed_fn(const struct generation_file *f,
                       const struct generation *other);

static const struct runbook *runbook_in(const struct generation *g,
                                        struct str path)
{
    const struct generation_file *f = generation_file(g, path);
    return f != NULL ? f->runbook : NULL;
}

/* Added, looked at from the new one; removed, looked at from the old one. */
static bool is_only_here(const struct generation_file *f,
                         const struct generation *other)
{
    return f->runbook != NULL && runbook_in(other, f->path) == NULL;
}

static bool is_other_there(const struct generation_file *f,
                           const struct generation *other)
{
    const struct runbook *old = runbook_in(other, f->path);
    return f->runbook != NULL && old != NULL &&
           memcmp(&old->hash, &f->runbook->hash, sizeof(old->hash)) != 0;
}

static void put_paths(struct strbuf *out, const char *key,
                      const struct generation *g,
                      const struct generation *other, listed_fn *listed)
{
    put_open(out, key, '[');
    for (uint32_t i = 0; i < g->file_count; i++) {
        if (listed(&g->files[i], other)) {
            put_text(out, NULL, g->files[i].path);
        }
    }
    put_close(out, ']');
}

static void put_files(struct strbuf *out, const struct generation *before,
                      const struct generation *after)
{
    put_open(out, "files", '{');
    put_paths(out, "added", after, before, is_only_here);
    put_paths(out, "changed", after, before, is_other_there);
    put_paths(out, "removed", before, after, is_only_here);
    put_open(out, "rejected", '[');
    for (uint32_t i = 0; i < after->file_count; i++) {
        if (after->files[i].state != FILE_LOADED) {
            runbook_put_rejected(out, &after->files[i]);
        }
    }
    put_close(out, ']');
    put_close(out, '}');
}

static void answer_reloaded(struct call *c,
                            const struct service_request *request)
{
    const struct generation *g = request->after;
    const struct repo_changes *changes = &request->changes;
    struct strbuf *out = call_out(c);
    uint64_t loaded = 0;
    for (uint32_t i = 0; i < g->file_count; i++) {
        loaded += g->files[i].runbook != NULL;
    }
    put_open(out, NULL, '{');
    put_u64(out, "generation", g->number);
    if (g->commit.len != 0) {
        put_text(out, "commit", g->commit);
    } else {
        put_null(out, "commit");
    }
    put_u64(out, "loaded", loaded);
    put_u64(out, "added", changes->added);
    put_u64(out, "changed", changes->changed);
    put_u64(out, "removed", changes->removed);
    put_u64(out, "rejected", changes->rejected);
    put_files(out, request->before, g);
    put_open(out, "problems", '[');
    for (uint32_t i = 0; i < g->file_count; i++) {
        put_file(out, &g->files[i]);
    }
    put_close(out, ']');
    put_close(out, '}');
    answer_json(c, 200);
}

static void reloaded(struct service_request *request)
{
    struct reloading *x = CONTAINER_OF(request, struct reloading, request);
    if (request->result < 0) {
        answer_err(x->call, 500, "reload_failed", &request->err);
    } else {
        answer_reloaded(x->call, request);
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

/* ---- the configuration --------------------------------------------------- */

struct reconfiguring {
    struct service_request request;
    struct call *call;
    struct str answer; /* members of an object */
};

/* It is in force whether or not the trail could be written, and the answer
 * says what is. */
static void reconfigured(struct service_request *request)
{
    struct reconfiguring *x =
        CONTAINER_OF(request, struct reconfiguring, request);
    struct strbuf *out = call_out(x->call);
    strbuf_addf(out, "{\"status\":\"%s\",",
                request->result == 0 ? "reloaded" : "reloaded, not audited");
    strbuf_add(out, x->answer);
    strbuf_addch(out, '}');
    answer_json(x->call, 200);
}

static void answer_reconfigured(struct call *c, struct str members)
{
    struct reconfiguring *x = ARENA_NEW(call_arena(c), struct reconfiguring);
    struct strbuf after = STRBUF_INIT(API_OTHER_BODY_MAX_BYTES);
    x->call = c;
    x->answer = arena_str(call_arena(c), members);
    strbuf_addch(&after, '{');
    strbuf_add(&after, members);
    strbuf_addch(&after, '}');
    x->request = (struct service_request){
        .kind = SERVICE_CHANGE,
        .requested_by = str_c(c->who.name),
        .change = {.audit = {.action = STR("config.reload"),
                             .after = strbuf_error(&after) == 0
                                          ? arena_str(call_arena(c),
                                                      strbuf_str(&after))
                                          : STR("{}")}},
        .done = reconfigured,
    };
    strbuf_deinit(&after);
    service_post(c->api->service, &x->request);
}

void admin_reload_config(struct call *c)
{
    const struct api_config *config = &c->api->config;
    struct err err = ERR_INIT;
    struct strbuf members = STRBUF_INIT(1024UL * 1024);
    json_t *body = call_read_object(c, NULL, 0);
    if (body == NULL) {
        return;
    }
    json_decref(body);
    if (config->reload(config->context, &members, &err) == 0) {
        answer_reconfigured(c, strbuf_str(&members));
    } else {
        char sentence[512];
        (void)snprintf(sentence, sizeof(sentence),
                       "Configuration not reloaded, the old one stays: %s",
                       err.message);
        answer_error(c, 422, "config_invalid", sentence,
                     strbuf_error(&members) == 0 ? strbuf_str(&members)
                                                 : STR(""));
    }
    strbuf_deinit(&members);
}
