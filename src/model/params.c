#include "model/params.h"

#include <errno.h>
#include <stdio.h>

#include "base/assert.h"
#include "data/json.h"
#include "model/event_json.h"
#include "model/params_value.h"
#include "model/runbook_load.h"

/* A value in JSON: each byte may become six, and the name stands in front. */
#define JSON_MAX_BYTES                                                         \
    ((size_t)RUNBOOK_MAX_PARAMS * (RUNBOOK_PARAM_VALUE_MAX_BYTES * 6 + 128))
#define MASK STR(PARAM_MASK)

/* The values of all parameters, by their number; at is NULL for those that
 * have none. */
struct values {
    struct str at[RUNBOOK_MAX_PARAMS];
    bool masked[RUNBOOK_MAX_PARAMS]; /* in a preview: given, but not to us */
};

static const struct param *find_param(const struct runbook *rb, struct str name,
                                      uint32_t *ret_no)
{
    for (uint32_t i = 0; i < rb->param_count; i++) {
        if (str_eq(rb->params[i].name, name)) {
            *ret_no = i;
            return &rb->params[i];
        }
    }
    return NULL;
}

/* Says which parameter an error is about. */
static int name_param(const struct param *p, struct err *reterr)
{
    err_field(reterr, "%.*s", STR_ARG(p->name));
    return err_wrap(reterr, "parameter '%.*s'", STR_ARG(p->name));
}

static int unknown_param(const struct runbook *rb, struct str name,
                         struct err *reterr)
{
    const char *names[RUNBOOK_MAX_PARAMS];
    for (uint32_t i = 0; i < rb->param_count; i++) {
        names[i] = rb->params[i].name.at;
    }
    const char *nearest = str_nearest(name, names, rb->param_count);
    struct strbuf shown = STRBUF_INIT(sizeof(reterr->field) - 1);
    strbuf_add_visible(&shown, str_slice(name, 0, 64));
    err_field(reterr, "%s", shown.len != 0 ? shown.at : "");
    if (nearest != NULL) {
        err_hint(reterr, "did you mean '%s'?", nearest);
    } else if (rb->param_count == 0) {
        err_hint(reterr, "it declares no parameters");
    }
    int r = err_set(reterr, -EINVAL, "the runbook has no parameter '%s'",
                    shown.len != 0 ? shown.at : "");
    strbuf_deinit(&shown);
    return r;
}

/* In a preview a secret stands as its mask, whatever its type. */
static bool is_masked(const struct param *p, const json_t *value)
{
    return p->secret && json_is_string(value) &&
           str_eq(str_n(json_string_value(value), json_string_length(value)),
                  MASK);
}

/* Checks every value that is given. */
static int read_values(const struct runbook *rb, const json_t *given,
                       bool preview, struct arena *a, struct values *v,
                       struct err *reterr)
{
    if (!json_is_object(given)) {
        return err_set(reterr, -EINVAL,
                       "parameters: expected an object, got %s",
                       json_kind_text(given));
    }
    /* jansson's iterators take no const, but do not change the object. */
    json_t *object = (json_t *)(uintptr_t)given;
    for (void *it = json_object_iter(object); it != NULL;
         it = json_object_iter_next(object, it)) {
        struct str name =
            str_n(json_object_iter_key(it), json_object_iter_key_len(it));
        uint32_t no = 0;
        const struct param *p = find_param(rb, name, &no);
        if (p == NULL) {
            return unknown_param(rb, name, reterr);
        }
        const json_t *value = json_object_iter_value(it);
        if (preview && is_masked(p, value)) {
            v->masked[no] = true;
            continue;
        }
        if (param_from_json(p, value, a, &v->at[no], reterr) < 0) {
            return name_param(p, reterr);
        }
    }
    return 0;
}

/* `missing` NULL: a required parameter without a value is an error. */
static int add_defaults(const struct runbook *rb, struct values *v,
                        struct params_missing *missing, struct err *reterr)
{
    for (uint32_t i = 0; i < rb->param_count; i++) {
        const struct param *p = &rb->params[i];
        if (v->at[i].at != NULL || v->masked[i]) {
            continue;
        }
        if (p->has_default) {
            v->at[i] = p->default_text;
        } else if (p->required && missing != NULL) {
            missing->names[missing->count++] = p->name;
        } else if (p->required) {
            (void)err_set(reterr, -EINVAL, "it is required and has no value");
            return name_param(p, reterr);
        }
    }
    return 0;
}

static struct str values_json(const struct runbook *rb, const struct values *v,
                              struct arena *a)
{
    CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT(JSON_MAX_BYTES);
    strbuf_addch(&out, '{');
    for (uint32_t i = 0; i < rb->param_count; i++) {
        if (v->at[i].at == NULL && !v->masked[i]) {
            continue;
        }
        if (out.len > 1) {
            strbuf_addch(&out, ',');
        }
        strbuf_add_json_quoted(&out, rb->params[i].name);
        strbuf_addch(&out, ':');
        if (v->masked[i]) {
            strbuf_add_json_quoted(&out, MASK);
        } else {
            param_add_json(&rb->params[i], v->at[i], &out);
        }
    }
    strbuf_addch(&out, '}');
    ASSERT(strbuf_error(&out) == 0);
    return arena_str(a, strbuf_str(&out));
}

static int check(const struct runbook *rb, const json_t *given, struct arena *a,
                 struct str *ret_json, struct params_missing *missing,
                 struct err *reterr)
{
    struct values v = {0};
    int r = given == NULL
                ? 0
                : read_values(rb, given, missing != NULL, a, &v, reterr);
    r = r < 0 ? r : add_defaults(rb, &v, missing, reterr);
    if (r == 0) {
        *ret_json = values_json(rb, &v, a);
    }
    return r;
}

int params_check(const struct runbook *rb, const json_t *given, struct arena *a,
                 struct str *ret_json, struct err *reterr)
{
    return check(rb, given, a, ret_json, NULL, reterr);
}

int params_preview(const struct runbook *rb, const json_t *given,
                   struct arena *a, struct str *ret_json,
                   struct params_missing *ret_missing, struct err *reterr)
{
    struct params_missing missing = {
        .names = ARENA_ARRAY(a, rb->param_count, struct str)};
    int r = check(rb, given, a, ret_json, &missing, reterr);
    if (r == 0) {
        *ret_missing = missing;
    }
    return r;
}

/* ---- from an event ------------------------------------------------------ */

/* The values for one trigger. */
struct filling {
    struct event event; /* a copy: look-ups take a plain context pointer */
    struct event_input input;
    struct cel_budget budget; /* of all entries together */
};

/* event_lookup joins the segments with dots and takes what stands behind
 * "labels." as one name; the loader lets through only paths for which both
 * mean the same. */
static int lookup_event(const struct event *e, struct str path, struct arena *a,
                        struct str *ret)
{
    CLEANUP(strbuf_deinit)
    struct strbuf dotted = STRBUF_INIT(TEMPLATE_PATH_MAX_BYTES);
    struct str segment = STR_NULL;
    bool first = true;
    while (template_path_next(&path, &segment)) {
        if (first) {
            first = false; /* "event" */
            continue;
        }
        if (dotted.len != 0) {
            strbuf_addch(&dotted, '.');
        }
        strbuf_add(&dotted, segment);
    }
    return event_lookup(e, strbuf_str(&dotted), a, ret);
}

static int eval(struct filling *f, const struct template_part *part,
                struct arena *a, struct cel_value *ret, struct err *reterr)
{
    return template_eval(part, &f->input.input, &f->budget, a, ret, reterr);
}

static int part_text(void *context, const struct template_part *part,
                     struct arena *a, struct str *ret, struct err *reterr)
{
    struct filling *f = context;
    if (part->program == NULL) {
        return lookup_event(&f->event, part->text, a, ret);
    }
    struct cel_value v = cel_null();
    int r = eval(f, part, a, &v, reterr);
    return r < 0 ? r : template_value_text(v, a, ret, reterr);
}

/* Text around ${{ }} makes a text of it; alone, it keeps its type. */
static int binding_value(const struct param *p, const struct binding *b,
                         struct filling *f, struct arena *a, struct str *ret,
                         struct err *reterr)
{
    const struct template_part *single = template_single(&b->value);
    struct str text = STR_NULL;
    struct cel_value v = cel_null();
    if (single != NULL && single->program != NULL) {
        int r = eval(f, single, a, &v, reterr);
        return r < 0 ? r : param_from_value(p, v, a, ret, reterr);
    }
    struct err missing = ERR_INIT;
    const struct template_source from = {.text = part_text, .context = f};
    int r = template_fill(&b->value, &from, RUNBOOK_PARAM_VALUE_MAX_BYTES, a,
                          &text, &missing);
    if (r == -EINVAL && str_starts(str_c(missing.field), STR("event."))) {
        return err_set(reterr, r, "%s is a list or an object, not one value",
                       missing.field);
    }
    if (r < 0) {
        *reterr = missing;
        return r;
    }
    return param_from_text(p, text, a, ret, reterr);
}

static int no_value(const struct template *t, struct err *reterr)
{
    const struct template_part *single = template_single(t);
    struct str field = str_c(reterr->field);
    if (single != NULL && single->program != NULL) {
        return err_set(reterr, -ENOENT, "%.*s has no value",
                       (int)MIN(single->source.len, 200U), single->source.at);
    }
    if (str_starts(field, STR("event."))) {
        field = str_slice(field, sizeof("event.") - 1, field.len);
        char shown[sizeof(reterr->field)];
        (void)snprintf(shown, sizeof(shown), "%.*s", STR_ARG(field));
        return err_set(reterr, -ENOENT, "the event has no %s", shown);
    }
    return -ENOENT; /* as template_fill says it */
}

static int value_from_event(const struct param *p, const struct binding *b,
                            struct filling *f, struct arena *a, struct str *ret,
                            struct err *reterr)
{
    struct err err = ERR_INIT;
    int r = binding_value(p, b, f, a, ret, &err);
    if (r == -ENOENT && (p->has_default || !p->required)) {
        return 0;
    }
    if (r == -ENOENT) {
        r = no_value(&b->value, &err);
    }
    if (r < 0) {
        *reterr = err;
        return name_param(p, reterr);
    }
    return 0;
}

int params_from_event(const struct runbook *rb, uint32_t trigger_no,
                      const struct params_source *from, struct arena *a,
                      struct str *ret_json, struct err *reterr)
{
    ASSERT(trigger_no < rb->trigger_count);
    const struct trigger *t = &rb->triggers[trigger_no];
    struct filling f = {.event = *from->event, .budget = CEL_BUDGET_DEFAULT};
    struct values v = {0};
    int r = 0;
    event_input_init(&f.input, &f.event, NULL, from->now_ms, a);
    f.input.zones = from->zones;
    for (uint32_t i = 0; r == 0 && i < t->parameter_count; i++) {
        uint32_t no = 0;
        const struct param *p = find_param(rb, t->parameters[i].name, &no);
        ASSERT(p != NULL); /* the loader has checked it */
        r = value_from_event(p, &t->parameters[i], &f, a, &v.at[no], reterr);
    }
    event_input_release(&f.input);
    r = r < 0 ? r : add_defaults(rb, &v, NULL, reterr);
    if (r == 0) {
        *ret_json = values_json(rb, &v, a);
    }
    return r;
}

/* ---- reading back ------------------------------------------------------- */

int params_text(const struct runbook *rb, struct str json, struct str name,
                struct arena *a, struct str *ret)
{
    uint32_t no = 0;
    const struct param *p = find_param(rb, name, &no);
    json_auto_t *object = NULL;
    struct err ignored = ERR_INIT;
    if (p == NULL || json_read(json, NULL, &object, &ignored) < 0) {
        return -ENOENT;
    }
    const json_t *value = json_object_get(object, p->name.at);
    if (value == NULL || param_from_json(p, value, a, ret, &ignored) < 0) {
        return -ENOENT;
    }
    return 0;
}

bool params_is_secret(const struct runbook *rb, struct str name)
{
    uint32_t no = 0;
    const struct param *p = find_param(rb, name, &no);
    return p == NULL || p->secret;
}

/* A name that the runbook does not declare is masked as well: nothing says
 * that it may be shown. */
struct str params_masked(const struct runbook *rb, struct str json,
                         struct arena *a)
{
    json_auto_t *object = NULL;
    struct err ignored = ERR_INIT;
    if (json_read(json, NULL, &object, &ignored) < 0) {
        return STR("{}");
    }
    CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT(JSON_MAX_BYTES);
    strbuf_addch(&out, '{');
    for (void *it = json_object_iter(object); it != NULL;
         it = json_object_iter_next(object, it)) {
        struct str name =
            str_n(json_object_iter_key(it), json_object_iter_key_len(it));
        if (out.len > 1) {
            strbuf_addch(&out, ',');
        }
        strbuf_add_json_quoted(&out, name);
        strbuf_addch(&out, ':');
        if (params_is_secret(rb, name)) {
            strbuf_add_json_quoted(&out, MASK);
        } else {
            json_write(json_object_iter_value(it), &out);
        }
    }
    strbuf_addch(&out, '}');
    return strbuf_error(&out) < 0 ? STR("{}") : arena_str(a, strbuf_str(&out));
}
