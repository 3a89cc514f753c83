/* Reads `expect:` of a test. */
#include "model/params_value.h"
#include "model/runbook_load_priv.h"
#include "model/runbook_test.h"

void test_read_expect(struct loader *l, const struct yaml_node *n, void *object)
{
    struct runbook_test *t = object;
    loader_read_map(l, n, &runbook_expect_keys, &t->expect);
    if (yaml_kind(n) == YAML_MAPPING && yaml_count(n) == 0) {
        err_hint(loader_error(l, n, "the test expects nothing"),
                 "write at least {started: 1} or {matched: false}");
    }
}

void expect_read_matched(struct loader *l, const struct yaml_node *n,
                         void *object)
{
    struct test_expect *x = object;
    struct err e = ERR_INIT;
    bool matched = false;
    if (yaml_bool(n, &matched, &e) < 0) {
        loader_report(l, n, &e);
        return;
    }
    x->matched = matched ? TEST_MATCHED_YES : TEST_MATCHED_NO;
}

/* ---- steps --------------------------------------------------------------- */

static void read_steps(struct loader *l, const struct yaml_node *n,
                       struct test_steps *ret)
{
    if (!loader_is_list(l, n, RUNBOOK_TEST_LIST_MAX)) {
        return;
    }
    size_t count = yaml_count(n);
    ret->given = true;
    ret->count = (uint32_t)count;
    ret->steps = ARENA_ARRAY(&l->rb->arena, count + 1, uint32_t);
    for (size_t i = 0; i < count; i++) {
        const struct yaml_node *item = yaml_item(n, i);
        size_t mark = loader_enter(l, "[%zu]", i);
        ret->steps[i] = loader_find_step(l, item, yaml_text(item));
        loader_leave(l, mark);
    }
}

void expect_read_ran(struct loader *l, const struct yaml_node *n, void *object)
{
    read_steps(l, n, &((struct test_expect *)object)->ran);
}

void expect_read_skipped(struct loader *l, const struct yaml_node *n,
                         void *object)
{
    read_steps(l, n, &((struct test_expect *)object)->skipped);
}

void expect_read_attempts(struct loader *l, const struct yaml_node *n,
                          void *object)
{
    struct test_expect *x = object;
    if (!loader_is_map(l, n, RUNBOOK_TEST_LIST_MAX)) {
        return;
    }
    size_t count = yaml_count(n);
    x->attempts = ARENA_ARRAY(&l->rb->arena, count + 1, struct test_count);
    x->attempt_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        const struct yaml_node *key = yaml_key(n, i);
        struct str name = yaml_text(key);
        struct err e = ERR_INIT;
        int64_t number = 0;
        size_t mark =
            loader_enter(l, ".%.*s", (int)MIN(name.len, 64U), name.at);
        x->attempts[i].step_no = loader_find_step(l, key, name);
        if (yaml_int(yaml_value(n, i), 0, RUNBOOK_TEST_ATTEMPTS_MAX, &number,
                     &e) < 0) {
            loader_report(l, yaml_value(n, i), &e);
        }
        x->attempts[i].count = (uint32_t)number;
        loader_leave(l, mark);
    }
}

/* ---- status:, result: ---------------------------------------------------- */

typedef const char *name_fn(unsigned value);

static const char *status_name(unsigned value)
{
    return workflow_status_name((enum workflow_status)value);
}

static const char *result_name(unsigned value)
{
    return workflow_result_name((enum workflow_result)value);
}

/* The value of this name, or `end` after reporting. */
static unsigned read_word(struct loader *l, const struct yaml_node *n,
                          name_fn *name_of, unsigned end)
{
    enum { MOST = 32 };
    const char *names[MOST];
    size_t count = 0;
    struct str word = yaml_text(n);
    for (unsigned i = 0; i < end && count < MOST; i++) {
        if (word.len != 0 && str_eq_c(word, name_of(i))) {
            return i;
        }
        if (name_of(i)[0] != '\0') {
            names[count++] = name_of(i);
        }
    }
    const char *nearest = str_nearest(word, names, count);
    struct strbuf all = STRBUF_INIT(sizeof(((struct err *)NULL)->hint) - 1);
    for (size_t i = 0; i < count; i++) {
        strbuf_addf(&all, "%s%s", i == 0 ? "" : ", ", names[i]);
    }
    struct err *e =
        loader_error(l, n, "expected one of the words, got '%.*s'",
                     (int)MIN(word.len, 64U), word.at != NULL ? word.at : "");
    if (nearest != NULL) {
        err_hint(e, "did you mean '%s'?", nearest);
    } else {
        err_hint(e, "%s", strbuf_str(&all).at);
    }
    strbuf_deinit(&all);
    return end;
}

void expect_read_status(struct loader *l, const struct yaml_node *n,
                        void *object)
{
    struct test_expect *x = object;
    x->status =
        (enum workflow_status)read_word(l, n, status_name, WORKFLOW_STATUSES);
}

void expect_read_result(struct loader *l, const struct yaml_node *n,
                        void *object)
{
    struct test_expect *x = object;
    x->result =
        (enum workflow_result)read_word(l, n, result_name, WORKFLOW_RESULTS);
}

/* ---- values -------------------------------------------------------------- */

static void read_text(struct loader *l, const struct yaml_node *n,
                      struct str *ret)
{
    struct err e = ERR_INIT;
    struct str text = STR_NULL;
    if (yaml_string(n, &text, &e) < 0) {
        loader_report(l, n, &e);
        return;
    }
    *ret = arena_str(&l->rb->arena, text);
}

/* NAME: TEXT, or null for what must not be there. */
static void read_pairs(struct loader *l, const struct yaml_node *n, size_t max,
                       struct test_values *ret)
{
    if (!loader_is_map(l, n, max)) {
        return;
    }
    size_t count = yaml_count(n);
    ret->values = ARENA_ARRAY(&l->rb->arena, count + 1, struct test_value);
    ret->count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        const struct yaml_node *value = yaml_value(n, i);
        struct str name = yaml_text(yaml_key(n, i));
        size_t mark =
            loader_enter(l, ".%.*s", (int)MIN(name.len, 64U), name.at);
        ret->values[i].name = arena_str(&l->rb->arena, name);
        ret->values[i].absent = yaml_is_null(value);
        if (!ret->values[i].absent) {
            read_text(l, value, &ret->values[i].text);
        }
        loader_leave(l, mark);
    }
}

/* Canonical, as the workflow has them: `1m` is 60. */
static void read_parameter(struct loader *l, const struct yaml_node *key,
                           const struct yaml_node *node, struct test_value *v)
{
    const char *nearest = NULL;
    struct err e = ERR_INIT;
    const struct param *p = runbook_param(l->rb, v->name, &nearest);
    if (p == NULL) {
        struct err *told =
            loader_error(l, key, "no parameter '%.*s' is declared",
                         (int)MIN(v->name.len, 64U), v->name.at);
        if (nearest != NULL) {
            err_hint(told, "did you mean '%s'?", nearest);
        }
        return;
    }
    if (!v->absent &&
        param_from_text(p, v->text, &l->rb->arena, &v->text, &e) < 0) {
        loader_report(l, node, &e);
    }
}

void expect_read_parameters(struct loader *l, const struct yaml_node *n,
                            void *object)
{
    struct test_expect *x = object;
    read_pairs(l, n, RUNBOOK_MAX_PARAMS, &x->parameters);
    for (uint32_t i = 0; i < x->parameters.count; i++) {
        struct test_value *v = &x->parameters.values[i];
        size_t mark =
            loader_enter(l, ".%.*s", (int)MIN(v->name.len, 64U), v->name.at);
        read_parameter(l, yaml_key(n, i), yaml_value(n, i), v);
        loader_leave(l, mark);
    }
}

static void read_list(struct loader *l, const struct yaml_node *n,
                      struct test_values *ret)
{
    if (!loader_is_list(l, n, RUNBOOK_MAX_ARGC)) {
        return;
    }
    size_t count = yaml_count(n);
    ret->values = ARENA_ARRAY(&l->rb->arena, count + 1, struct test_value);
    ret->count = (uint32_t)count;
    if (count == 0) {
        (void)loader_error(l, n, "argv has at least the program");
    }
    for (size_t i = 0; i < count; i++) {
        size_t mark = loader_enter(l, "[%zu]", i);
        read_text(l, yaml_item(n, i), &ret->values[i].text);
        loader_leave(l, mark);
    }
}

static void read_by_step(struct loader *l, const struct yaml_node *n,
                         bool lists, struct test_values **ret,
                         uint32_t *ret_count)
{
    if (!loader_is_map(l, n, RUNBOOK_TEST_LIST_MAX)) {
        return;
    }
    size_t count = yaml_count(n);
    struct test_values *all =
        ARENA_ARRAY(&l->rb->arena, count + 1, struct test_values);
    for (size_t i = 0; i < count; i++) {
        struct str name = yaml_text(yaml_key(n, i));
        size_t mark =
            loader_enter(l, ".%.*s", (int)MIN(name.len, 64U), name.at);
        all[i].step_no = loader_find_step(l, yaml_key(n, i), name);
        if (lists) {
            read_list(l, yaml_value(n, i), &all[i]);
        } else {
            read_pairs(l, yaml_value(n, i), RUNBOOK_MAX_ENV, &all[i]);
        }
        loader_leave(l, mark);
    }
    *ret = all;
    *ret_count = (uint32_t)count;
}

void expect_read_argv(struct loader *l, const struct yaml_node *n, void *object)
{
    struct test_expect *x = object;
    read_by_step(l, n, true, &x->argv, &x->argv_count);
}

void expect_read_env(struct loader *l, const struct yaml_node *n, void *object)
{
    struct test_expect *x = object;
    read_by_step(l, n, false, &x->env, &x->env_count);
}
