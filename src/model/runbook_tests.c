/* Reads `tests:`: events, parameters and mocks. What is expected is read in
 * runbook_test_expect.c. */
#include "model/runbook_test.h"

#include "base/map.h"
#include "base/strbuf.h"
#include "data/json.h"
#include "data/timestamp.h"
#include "model/event_json.h"
#include "model/params.h"
#include "model/params_value.h"
#include "model/runbook_load_priv.h"

#define STEP_WORDS_MAX (2U * RUNBOOK_MAX_STEPS)

/* ---- YAML as JSON -------------------------------------------------------- */

static json_t *text_json(struct str text)
{
    return json_stringn(text.at != NULL ? text.at : "", text.len);
}

static json_t *plain_json(const struct yaml_node *n)
{
    struct err ignored = ERR_INIT;
    bool truth = false;
    int64_t number = 0;
    json_t *value = NULL;
    struct str text = yaml_text(n);
    if (yaml_is_null(n)) {
        return json_null();
    }
    if (yaml_bool(n, &truth, &ignored) == 0) {
        return json_boolean(truth);
    }
    if (yaml_int(n, INT64_MIN, INT64_MAX, &number, &ignored) == 0) {
        return json_integer(number);
    }
    if (json_read(text, NULL, &value, &ignored) == 0) {
        if (json_is_real(value)) {
            return value;
        }
        json_decref(value);
    }
    return text_json(text);
}

json_t *loader_json(const struct yaml_node *n, bool texts)
{
    json_t *all = NULL;
    switch (yaml_kind(n)) {
    case YAML_SCALAR:
        return yaml_is_plain(n) && !(texts && !yaml_is_null(n))
                   ? plain_json(n)
                   : text_json(yaml_text(n));
    case YAML_SEQUENCE:
        all = json_array();
        for (size_t i = 0; i < yaml_count(n); i++) {
            (void)json_array_append_new(all,
                                        loader_json(yaml_item(n, i), texts));
        }
        break;
    case YAML_MAPPING:
        all = json_object();
        for (size_t i = 0; i < yaml_count(n); i++) {
            struct str key = yaml_text(yaml_key(n, i));
            (void)json_object_setn_new(all, key.at, key.len,
                                       loader_json(yaml_value(n, i), texts));
        }
        break;
    }
    return all;
}

/* ---- steps by name ------------------------------------------------------- */

uint32_t loader_find_step(struct loader *l, const struct yaml_node *n,
                          struct str word)
{
    const struct runbook *rb = l->rb;
    const char *words[STEP_WORDS_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < rb->step_count; i++) {
        const struct step *s = &rb->steps[i];
        bool named =
            word.len != 0 && (str_eq(s->id, word) || str_eq(s->name, word));
        if (named) {
            return i;
        }
        if (s->id.len != 0 && count < STEP_WORDS_MAX) {
            words[count++] = s->id.at;
        }
        if (s->name.len != 0 && count < STEP_WORDS_MAX) {
            words[count++] = s->name.at;
        }
    }
    const char *nearest = str_nearest(word, words, count);
    struct err *e =
        loader_error(l, n, "no step has the id or name '%.*s'",
                     (int)MIN(word.len, 64U), word.at != NULL ? word.at : "");
    if (nearest != NULL) {
        err_hint(e, "did you mean '%s'?", nearest);
    } else if (count != 0) {
        err_hint(e, "there is '%s'%s", words[0], count > 1 ? " and more" : "");
    }
    return UINT32_MAX;
}

/* ---- event: -------------------------------------------------------------- */

static bool is_text_field(struct str name)
{
    size_t count = 0;
    const struct event_field *fields = event_fields(&count);
    for (size_t i = 0; i < count; i++) {
        if (str_eq_c(name, fields[i].name)) {
            return str_eq_c(str_c(fields[i].type), "string") ||
                   str_eq_c(str_c(fields[i].type), "object");
        }
    }
    return false;
}

/* Fields that hold texts take any scalar as it is written: `code: 500`. */
static json_t *event_json(const struct yaml_node *n)
{
    json_t *event = json_object();
    for (size_t i = 0; i < yaml_count(n); i++) {
        struct str key = yaml_text(yaml_key(n, i));
        if (!str_eq_c(key, "at")) {
            (void)json_object_setn_new(
                event, key.at, key.len,
                loader_json(yaml_value(n, i), is_text_field(key)));
        }
    }
    return event;
}

static void read_event(struct loader *l, const struct yaml_node *n,
                       struct test_event *ev)
{
    struct err e = ERR_INIT;
    if (!loader_is_map(l, n, SIZE_MAX)) {
        return;
    }
    const struct yaml_node *at = yaml_get(n, STR("at"));
    if (at != NULL) {
        size_t mark = loader_enter(l, ".at");
        (void)loader_read_duration(l, at, 0, RUNBOOK_TEST_AT_MAX_MS,
                                   &ev->at_ms);
        loader_leave(l, mark);
    }
    json_auto_t *json = event_json(n);
    if (event_from_json(json, &l->rb->arena, &ev->event, &e) < 0) {
        loader_report(l, n, &e);
    }
}

void test_read_event(struct loader *l, const struct yaml_node *n, void *object)
{
    struct runbook_test *t = object;
    bool is_list = yaml_kind(n) == YAML_SEQUENCE;
    if (is_list && !loader_is_list(l, n, RUNBOOK_MAX_TEST_EVENTS)) {
        return;
    }
    size_t count = is_list ? yaml_count(n) : 1;
    if (count == 0) {
        (void)loader_error(l, n, "a test needs at least one event");
        return;
    }
    t->events = ARENA_ARRAY(&l->rb->arena, count, struct test_event);
    t->event_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        size_t mark = is_list ? loader_enter(l, "[%zu]", i) : l->field_len;
        const struct yaml_node *item = is_list ? yaml_item(n, i) : n;
        read_event(l, item, &t->events[i]);
        if (i > 0 && t->events[i].at_ms < t->events[i - 1].at_ms) {
            (void)loader_error(l, item,
                               "this event comes before the one above it: "
                               "put them in the order of 'at'");
        }
        loader_leave(l, mark);
    }
}

/* ---- parameters:, now: --------------------------------------------------- */

static void add_parameter(struct loader *l, const struct yaml_node *key,
                          const struct yaml_node *value, struct strbuf *out)
{
    const char *nearest = NULL;
    struct err e = ERR_INIT;
    struct str canonical = STR_NULL;
    struct str name = yaml_text(key);
    struct str text = STR_NULL;
    const struct param *p = runbook_param(l->rb, name, &nearest);
    if (p == NULL) {
        struct err *told =
            loader_error(l, key, "no parameter '%.*s' is declared",
                         (int)MIN(name.len, 64U), name.at);
        if (nearest != NULL) {
            err_hint(told, "did you mean '%s'?", nearest);
        }
        return;
    }
    int r = yaml_string(value, &text, &e);
    r = r == 0 ? param_from_text(p, text, &l->rb->arena, &canonical, &e) : r;
    if (r < 0) {
        loader_report(l, value, &e);
        return;
    }
    strbuf_addc(out, out->len > 1 ? "," : "");
    strbuf_add_json_quoted(out, name);
    strbuf_addch(out, ':');
    param_add_json(p, canonical, out);
}

void test_read_parameters(struct loader *l, const struct yaml_node *n,
                          void *object)
{
    struct runbook_test *t = object;
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(RUNBOOK_MAX_BYTES);
    uint32_t errors_before = l->report->error_count;
    if (!loader_is_map(l, n, RUNBOOK_MAX_PARAMS)) {
        return;
    }
    strbuf_addch(&text, '{');
    for (size_t i = 0; i < yaml_count(n); i++) {
        struct str name = yaml_text(yaml_key(n, i));
        size_t mark =
            loader_enter(l, ".%.*s", (int)MIN(name.len, 64U), name.at);
        add_parameter(l, yaml_key(n, i), yaml_value(n, i), &text);
        loader_leave(l, mark);
    }
    strbuf_addch(&text, '}');
    if (l->report->error_count != errors_before) {
        return;
    }
    struct err e = ERR_INIT;
    json_auto_t *given = NULL;
    int r = json_read(strbuf_str(&text), NULL, &given, &e);
    r = r == 0 ? params_check(l->rb, given, &l->rb->arena, &t->parameters, &e)
               : r;
    if (r < 0) {
        loader_report(l, n, &e);
    }
}

void test_read_now(struct loader *l, const struct yaml_node *n, void *object)
{
    struct runbook_test *t = object;
    uint64_t at_ms = 0;
    if (timestamp_parse(yaml_text(n), &at_ms) < 0 || at_ms == 0) {
        err_hint(loader_error(l, n, "expected an RFC 3339 time"),
                 "write \"2026-01-05T12:00:00Z\"");
        return;
    }
    t->now_ms = at_ms;
}

/* ---- mocks: -------------------------------------------------------------- */

static void read_output(struct loader *l, const struct yaml_node *n,
                        struct str *ret)
{
    struct err e = ERR_INIT;
    struct str text = STR_NULL;
    if (yaml_string(n, &text, &e) < 0) {
        loader_report(l, n, &e);
    } else if (text.len > RUNBOOK_COMMAND_MAX_BYTES) {
        (void)loader_error(l, n, "expected at most %d bytes, got %zu",
                           RUNBOOK_COMMAND_MAX_BYTES, text.len);
    } else {
        *ret = arena_str(&l->rb->arena, text);
    }
}

void outcome_read_text(struct loader *l, const struct yaml_node *n,
                       void *object)
{
    read_output(l, n, &((struct test_outcome *)object)->out);
}

void outcome_read_error(struct loader *l, const struct yaml_node *n,
                        void *object)
{
    read_output(l, n, &((struct test_outcome *)object)->err);
}

static void read_outcome(struct loader *l, const struct yaml_node *n,
                         struct test_outcome *o)
{
    o->after_ms = RUNBOOK_TEST_STEP_MS;
    loader_read_map(l, n, &runbook_outcome_keys, o);
}

static void read_mock(struct loader *l, const struct yaml_node *n,
                      struct test_mock *m)
{
    const struct yaml_node *times = yaml_get(n, STR("times"));
    bool is_list = times != NULL;
    if (is_list && yaml_count(n) != 1) {
        (void)loader_error(l, n,
                           "'times' stands alone: what one attempt does "
                           "stands in its list");
        return;
    }
    size_t mark = is_list ? loader_enter(l, ".times") : l->field_len;
    if (is_list && (!loader_is_list(l, times, RUNBOOK_MAX_TEST_TIMES) ||
                    yaml_count(times) == 0)) {
        (void)loader_error(l, times, "expected a list of 1 to %d outcomes",
                           RUNBOOK_MAX_TEST_TIMES);
        loader_leave(l, mark);
        return;
    }
    m->count = is_list ? (uint32_t)yaml_count(times) : 1;
    m->outcomes = ARENA_ARRAY(&l->rb->arena, m->count, struct test_outcome);
    for (uint32_t i = 0; i < m->count; i++) {
        size_t inner = is_list ? loader_enter(l, "[%u]", i) : l->field_len;
        read_outcome(l, is_list ? yaml_item(times, i) : n, &m->outcomes[i]);
        loader_leave(l, inner);
    }
    loader_leave(l, mark);
}

void test_read_mocks(struct loader *l, const struct yaml_node *n, void *object)
{
    struct runbook_test *t = object;
    if (!loader_is_map(l, n, RUNBOOK_TEST_LIST_MAX)) {
        return;
    }
    size_t count = yaml_count(n);
    t->mocks = ARENA_ARRAY(&l->rb->arena, count + 1, struct test_mock);
    t->mock_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        struct str name = yaml_text(yaml_key(n, i));
        size_t mark =
            loader_enter(l, ".%.*s", (int)MIN(name.len, 64U), name.at);
        t->mocks[i].step_no = loader_find_step(l, yaml_key(n, i), name);
        read_mock(l, yaml_value(n, i), &t->mocks[i]);
        loader_leave(l, mark);
    }
}

/* ---- tests: -------------------------------------------------------------- */

static void check_form(struct loader *l, const struct yaml_node *n)
{
    bool event = yaml_get(n, STR("event")) != NULL;
    bool parameters = yaml_get(n, STR("parameters")) != NULL;
    if (event == parameters) {
        err_hint(loader_error(l, n,
                              event ? "a test has 'event' or 'parameters', "
                                      "not both"
                                    : "a test needs 'event', or 'parameters' "
                                      "for a run by hand"),
                 "parameters that an event gives are checked below 'expect'");
    }
}

static void read_test(struct loader *l, const struct yaml_node *n,
                      struct runbook_test *t)
{
    t->at = yaml_place(n);
    t->now_ms = RUNBOOK_TEST_NOW_MS;
    t->expect.started = RUNBOOK_TEST_ANY;
    t->expect.status = WORKFLOW_STATUSES;
    t->expect.result = WORKFLOW_RESULTS;
    loader_read_map(l, n, &runbook_test_keys, t);
    if (yaml_kind(n) == YAML_MAPPING) {
        check_form(l, n);
    }
}

void runbook_read_tests(struct loader *l, const struct yaml_node *n,
                        void *object)
{
    struct runbook *rb = object;
    if (!loader_is_list(l, n, RUNBOOK_MAX_TESTS)) {
        return;
    }
    size_t count = yaml_count(n);
    struct map names = MAP_INIT;
    rb->tests = ARENA_ARRAY(&rb->arena, count + 1, struct runbook_test);
    rb->test_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        struct runbook_test *t = &rb->tests[i];
        size_t mark = loader_enter(l, "[%zu]", i);
        read_test(l, yaml_item(n, i), t);
        struct runbook_test *before =
            t->name.len != 0 ? map_get(&names, t->name) : NULL;
        if (before != NULL) {
            (void)loader_error(l, yaml_item(n, i),
                               "'%.*s' is the test of line %u already",
                               STR_ARG(t->name), (unsigned)before->at.line);
        } else if (t->name.len != 0) {
            (void)map_put(&names, t->name, t);
        }
        loader_leave(l, mark);
    }
    map_deinit(&names);
}
