/* /api/admin. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/api_priv.h"
#include "api/runbook_json.h"

struct reloading {
    struct service_request request;
    struct call *call;
};

/* The problem before is a warning, or it is none. */
static void put_is_warning(struct strbuf *out, bool warning)
{
    out->len--; /* its closing brace: one more field follows */
    put_bool(out, "warning", warning);
    put_close(out, '}');
}

static void put_file(struct strbuf *out, const struct generation_file *f)
{
    for (uint32_t i = 0; i < f->problem_count; i++) {
        put_problem(out, f->path, &f->problems[i]);
        put_is_warning(out, f->state == FILE_LOADED);
    }
}

static void put_problems(struct call *c, const struct generation *g)
{
    struct strbuf *out = call_out(c);
    struct controls *controls = service_controls(c->api->service);
    put_open(out, "problems", '[');
    for (uint32_t i = 0; i < g->file_count; i++) {
        const struct runbook_view view = {g, &g->files[i], controls, STR("")};
        put_file(out, &g->files[i]);
        if (runbook_put_twin(out, &view)) {
            put_is_warning(out, true);
        }
    }
    put_close(out, ']');
    controls_unref(controls);
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

/* What the executor will not run of the new generation; how many. */
static uint64_t put_refused(struct call *c, const struct generation *g)
{
    struct strbuf *out = call_out(c);
    uint64_t count = 0;
    put_open(out, "refused", '[');
    for (uint32_t i = 0; i < g->file_count; i++) {
        const struct runbook *rb = g->files[i].runbook;
        struct str why =
            rb != NULL ? service_refusal(c->api->service, rb, call_arena(c))
                       : STR("");
        if (why.len != 0) {
            put_open(out, NULL, '{');
            put_text(out, "path", rb->path);
            put_text(out, "refusal", why);
            put_close(out, '}');
            count++;
        }
    }
    put_close(out, ']');
    return count;
}

static uint64_t put_files(struct call *c, const struct generation *before,
                          const struct generation *after)
{
    struct strbuf *out = call_out(c);
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
    uint64_t refused = put_refused(c, after);
    put_close(out, '}');
    return refused;
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
    uint64_t refused = put_files(c, request->before, g);
    put_u64(out, "refused", refused);
    put_problems(c, g);
    put_close(out, '}');
    answer_json(c, 200);
}

static void reloaded(struct service_request *request)
{
    struct reloading *x = CONTAINER_OF(request, struct reloading, request);
    if (request->result == -ENOSPC) {
        answer_disk_full(x->call);
    } else if (request->result == -ECANCELED) {
        answer_busy(x->call, "stopping", "the engine is stopping; try again");
    } else if (request->result < 0) {
        answer_err(x->call, 500, "reload_failed", &request->err);
    } else {
        answer_reloaded(x->call, request);
    }
}

/* Paths of the trail's row; "more" counts the others. */
#define ROW_PATHS_MAX 200

static bool is_same_there(const struct generation *g,
                          const struct generation *other, struct str path)
{
    const struct runbook *a = runbook_in(g, path);
    const struct runbook *b = runbook_in(other, path);
    return a == b || (a != NULL && b != NULL &&
                      memcmp(&a->hash, &b->hash, sizeof(a->hash)) == 0);
}

static void put_version(struct strbuf *out, const struct generation *g,
                        struct str path)
{
    const struct runbook *rb = runbook_in(g, path);
    put_element(out);
    strbuf_add_json_quoted(out, path);
    strbuf_addch(out, ':');
    if (rb != NULL) {
        put_hash_value(out, rb->hash.bytes);
    } else {
        strbuf_addc(out, "null");
    }
}

/* What of g is not as in the other one: path and hash, null for what is not
 * in force. */
static void put_versions(struct strbuf *out, const struct generation *g,
                         const struct generation *other)
{
    const struct generation *both[] = {g, other};
    uint64_t more = 0;
    uint32_t count = 0;
    put_open(out, "runbooks", '{');
    for (size_t k = 0; k < ARRAY_LEN(both); k++) {
        for (uint32_t i = 0; i < both[k]->file_count; i++) {
            struct str path = both[k]->files[i].path;
            bool seen = k == 1 && generation_file(g, path) != NULL;
            if (seen || is_same_there(g, other, path)) {
                continue;
            }
            if (count++ < ROW_PATHS_MAX) {
                put_version(out, g, path);
            }
        }
    }
    more = count > ROW_PATHS_MAX ? count - ROW_PATHS_MAX : 0;
    put_close(out, '}');
    put_u64(out, "more", more);
}

static struct str describe_one(struct call *c, const struct generation *g,
                               const struct generation *other)
{
    struct strbuf out = STRBUF_INIT(HTTP_ANSWER_MAX_BYTES);
    put_open(&out, NULL, '{');
    put_u64(&out, "generation", g->number);
    put_text_or_null(&out, "commit", g->commit);
    put_versions(&out, g, other);
    put_close(&out, '}');
    struct str kept = arena_str(call_arena(c), strbuf_str(&out));
    strbuf_deinit(&out);
    return kept;
}

static void describe(struct service_request *request, struct audit_row *row)
{
    struct reloading *x = CONTAINER_OF(request, struct reloading, request);
    row->before = describe_one(x->call, request->before, request->after);
    row->after = describe_one(x->call, request->after, request->before);
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
    x->request = (struct service_request){
        .kind = SERVICE_RELOAD,
        .requested_by = str_c(c->who.name),
        .reload = {.audit = str_c(c->route->audit), .describe = describe},
        .done = reloaded};
    service_post(c->api->service, &x->request);
}

/* ---- the configuration --------------------------------------------------- */

/* Somebody has asked for it: without the row it is not done. On a reading
 * thread, which may wait. */
static int record(void *context, struct str before, struct str after)
{
    struct call *c = context;
    struct service_request request = {
        .kind = SERVICE_CHANGE,
        .requested_by = str_c(c->who.name),
        .change = {.audit = {.action = str_c(c->route->audit),
                             .before = before,
                             .after = after}},
    };
    return service_post_and_wait(c->api->service, &request);
}

static void answer_not_reloaded(struct call *c, const struct err *err,
                                struct str detail)
{
    char sentence[512];
    (void)snprintf(sentence, sizeof(sentence),
                   "Configuration not reloaded, the old one stays: %s",
                   err->message);
    answer_error(c, 422, "config_invalid", sentence, detail);
}

void admin_reload_config(struct call *c)
{
    const struct api_config *config = &c->api->config;
    const struct api_config_recorder recorder = {.record = record,
                                                 .context = c};
    struct err err = ERR_INIT;
    struct strbuf members = STRBUF_INIT(1024UL * 1024);
    json_t *body = call_read_object(c, NULL, 0);
    if (body == NULL) {
        return;
    }
    json_decref(body);
    int r = config->reload(config->context, &recorder, &members, &err);
    struct str said =
        strbuf_error(&members) == 0 ? strbuf_str(&members) : STR("");
    if (r == 0) {
        strbuf_addc(call_out(c), "{\"status\":\"reloaded\",");
        strbuf_add(call_out(c), said);
        strbuf_addch(call_out(c), '}');
        answer_json(c, 200);
    } else if (r == -EINVAL) {
        answer_not_reloaded(c, &err, said);
    } else if (r == -ENOSPC) {
        answer_disk_full(c);
    } else {
        answer_busy(c, "store_failed",
                    "the store did not take the change; try again");
    }
    strbuf_deinit(&members);
}
