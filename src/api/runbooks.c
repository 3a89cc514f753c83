/* /api/runbooks: lists and validation. Starting one is in execute.c. */
#include <errno.h>
#include <string.h>

#include "api/filter.h"
#include "api/runbook_json.h"
#include "data/json.h"
#include "model/runbook_load.h"
#include "model/runbook_schema.h"

/* ---- lists
 * ------------------------------------------------------------------- */

typedef bool wanted_fn(const struct runbook *rb, struct str what);

static bool in_category(const struct runbook *rb, struct str category)
{
    return category.len == 0 || str_eq(rb->category, category);
}

static bool has_text(const struct runbook *rb, struct str q)
{
    return str_has_nocase(rb->path, q) || str_has_nocase(rb->name, q) ||
           str_has_nocase(rb->description, q) ||
           str_has_nocase(rb->category, q);
}

static void answer_list(struct call *c, wanted_fn *wanted, struct str what)
{
    struct strbuf *out = call_out(c);
    struct filter filter;
    uint64_t count = 0;
    if (!filter_open(c, &filter)) {
        filter_close(&filter);
        return;
    }
    struct generation *g = service_generation(c->api->service);
    struct controls *controls = service_controls(c->api->service);
    put_open(out, NULL, '{');
    put_open(out, "runbooks", '[');
    for (uint32_t i = 0; i < g->file_count; i++) {
        const struct runbook *rb = g->files[i].runbook;
        if (rb != NULL && wanted(rb, what)) {
            const struct runbook_view view = {
                g, &g->files[i], controls,
                service_refusal(c->api->service, rb, call_arena(c))};
            size_t start = out->len;
            runbook_put(out, &view);
            count += filter_keeps_row(&filter, start) ? 1 : 0;
        }
    }
    put_close(out, ']');
    put_u64(out, "count", count);
    put_open(out, "rejected", '[');
    for (uint32_t i = 0; i < g->file_count; i++) {
        if (g->files[i].state != FILE_LOADED) {
            runbook_put_rejected(out, &g->files[i]);
        }
    }
    put_close(out, ']');
    filter_put(&filter);
    put_close(out, '}');
    controls_unref(controls);
    generation_unref(g);
    filter_close(&filter);
    answer_json(c, 200);
}

void runbooks_list(struct call *c)
{
    answer_list(c, in_category, call_value(c, "category")->text);
}

void runbooks_search(struct call *c)
{
    const struct value *q = call_value(c, "q");
    if (!q->given || q->text.len == 0) {
        answer_error(c, 400, "bad_request",
                     "say what to look for: /api/runbooks/search?q=memory",
                     STR("\"field\":\"q\""));
        return;
    }
    answer_list(c, has_text, q->text);
}

/* ---- validation
 * --------------------------------------------------------------- */

struct candidate {
    struct str path;
    struct str text;
    bool is_file; /* of the repository */
};

static bool read_file(struct call *c, struct str path, struct candidate *ret)
{
    struct err err = ERR_INIT;
    struct runbook_hash hash;
    ret->path = path;
    ret->is_file = true;
    int r = service_read_runbook(c->api->service, path, call_arena(c),
                                 &ret->text, &hash, &err);
    if (r == 0) {
        return true;
    }
    if (r == -ENOENT) {
        answer_err(c, 404, "not_found", &err);
    } else {
        err_field(&err, "runbook_path");
        answer_err(c, r == -E2BIG ? 413 : 400,
                   r == -E2BIG ? "too_large" : "bad_request", &err);
    }
    return false;
}

/* Either a path or a text; false when it has answered. */
static bool read_candidate(struct call *c, const json_t *body,
                           struct candidate *ret)
{
    struct err err = ERR_INIT;
    struct str path = STR_NULL;
    int has_path = json_get_str(body, "runbook_path", &path, &err);
    int has_text =
        has_path < 0 ? 0 : json_get_str(body, "text", &ret->text, &err);
    if (has_path < 0 || has_text < 0) {
        answer_err(c, 400, "bad_request", &err);
        return false;
    }
    if (has_path + has_text != 1) {
        answer_error(c, 400, "bad_request", "give either runbook_path or text",
                     STR(""));
        return false;
    }
    ret->path = STR("text.yaml");
    return has_text == 1 || read_file(c, path, ret);
}

/* What is known of the candidate when it is what stands in force. */
struct standing {
    struct generation *generation;
    struct controls *controls;
    struct runbook_view view; /* file NULL: it is not */
};

static void find_standing(struct call *c, const struct candidate *what,
                          const struct runbook *rb, struct standing *ret)
{
    struct service *service = c->api->service;
    *ret = (struct standing){.generation = service_generation(service),
                             .controls = service_controls(service)};
    const struct generation_file *f =
        generation_file(ret->generation, what->path);
    if (rb == NULL || !what->is_file || f == NULL || f->runbook == NULL ||
        memcmp(f->runbook->hash.bytes, rb->hash.bytes,
               sizeof(rb->hash.bytes)) != 0) {
        return;
    }
    ret->view = (struct runbook_view){
        ret->generation, f, ret->controls,
        service_refusal(service, f->runbook, call_arena(c))};
}

static void standing_deinit(struct standing *s)
{
    generation_unref(s->generation);
    controls_unref(s->controls);
}

static void put_report(struct strbuf *out, const struct candidate *what,
                       const struct runbook_report *report,
                       const struct standing *s, bool warnings)
{
    put_open(out, warnings ? "warnings" : "errors", '[');
    VEC_EACH (&report->problems, i) {
        if (report->problems.at[i].warning == warnings) {
            put_problem(out, what->path, &report->problems.at[i].err);
        }
    }
    if (!warnings && s->view.refusal.len != 0) {
        struct err e = ERR_INIT;
        err_hint(&e, "then: adctl reload");
        (void)err_set(&e, -EPERM, "the executor refuses it: %.*s",
                      STR_ARG(s->view.refusal));
        put_problem(out, what->path, &e);
    }
    if (warnings && s->view.file != NULL) {
        (void)runbook_put_twin(out, &s->view);
    }
    put_close(out, ']');
}

static void validate(struct call *c, const struct candidate *what)
{
    struct runbook_report report = {0};
    struct runbook *rb = NULL;
    struct standing standing;
    struct strbuf *out = call_out(c);
    int r = runbook_load(what->path, what->text,
                         service_defaults(c->api->service), &rb, &report);
    find_standing(c, what, rb, &standing);
    put_open(out, NULL, '{');
    put_bool(out, "valid", r == 0 && standing.view.refusal.len == 0);
    put_text(out, "path", what->path);
    put_report(out, what, &report, &standing, false);
    put_report(out, what, &report, &standing, true);
    put_close(out, '}');
    standing_deinit(&standing);
    runbook_report_deinit(&report);
    runbook_unref(rb);
    answer_json(c, 200);
}

void runbooks_validate(struct call *c)
{
    static const char *const names[] = {"runbook_path", "text"};
    struct candidate what = {.path = STR_NULL};
    json_t *body = call_read_object(c, names, ARRAY_LEN(names));
    if (body == NULL) {
        return;
    }
    if (read_candidate(c, body, &what)) {
        /* The path is shown in the answer, after the body is gone. */
        what.path = arena_str(call_arena(c), what.path);
        what.text = arena_str(call_arena(c), what.text);
        json_decref(body);
        validate(c, &what);
        return;
    }
    json_decref(body);
}

/* ---- for editors --------------------------------------------------------- */

void runbooks_schema(struct call *c)
{
    json_t *schema = runbook_schema();
    json_write(schema, call_out(c));
    json_decref(schema);
    answer_json(c, 200);
}
