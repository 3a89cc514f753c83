#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/strbuf.h"
#include "data/json.h"
#include "model/event_json.h"
#include "model/params.h"
#include "model/runbook_load.h"

#define NOW_MS 1700000000000

#define TEXT                                                                   \
    "name: x\n"                                                                \
    "parameters:\n"                                                            \
    "  service: {type: string, required: true, pattern: \"[a-z-]+\"}\n"        \
    "  free: {type: string}\n"                                                 \
    "  dash: {type: string, allow_leading_dash: true}\n"                       \
    "  count: {type: integer, default: 7}\n"                                   \
    "  ratio: {type: number}\n"                                                \
    "  force: {type: boolean}\n"                                               \
    "  mode: {type: enum, values: [soft, hard]}\n"                             \
    "  wait: {type: duration}\n"                                               \
    "  token: {type: string, secret: true}\n"                                  \
    "triggers:\n"                                                              \
    "  - type: alert\n"                                                        \
    "    parameters:\n"                                                        \
    "      service: ${{ event.labels.svc }}\n"                                 \
    "      free: ${{ event.labels[\"a.b\"] }}/${{ event.severity }}\n"         \
    "      count: ${{ event.annotations.count }}\n"                            \
    "      ratio: ${{ event.value }}\n"                                        \
    "      mode: hard\n"                                                       \
    "steps:\n"                                                                 \
    "  - {name: shell, command: 'echo \"$ADP_PARAM_SERVICE\"'}\n"              \
    "  - name: argv\n"                                                         \
    "    argv: [prog, 'a b', '${{ parameters.service }}',\n"                   \
    "           '${{ parameters.count }}/${{ workflow.id }}']\n"               \
    "    env: {NAME: 'n=${{ parameters.service }}', EMPTY: ''}\n"

static struct runbook *load_text(struct str text)
{
    struct runbook_defaults d = RUNBOOK_DEFAULTS;
    struct runbook_report report;
    struct runbook *rb = NULL;
    int r = runbook_load(STR("a.yaml"), text, &d, &rb, &report);
    if (r < 0) {
        fail_msg("%s", report.problems.at[0].err.message);
    }
    runbook_report_deinit(&report);
    return rb;
}

static struct runbook *load(void)
{
    return load_text(STR(TEXT));
}

static json_t *json(const char *text)
{
    struct err e = ERR_INIT;
    json_t *value = NULL;
    assert_int_equal(json_read(str_c(text), NULL, &value, &e), 0);
    return value;
}

static const struct {
    const char *given;
    const char *json;
} good[] = {
    {"{\"service\":\"nginx\"}", "{\"service\":\"nginx\",\"count\":7}"},
    {"{\"count\":90,\"service\":\"a\"}", "{\"service\":\"a\",\"count\":90}"},
    {"{\"service\":\"a\",\"free\":\"\"}",
     "{\"service\":\"a\",\"free\":\"\",\"count\":7}"},
    {"{\"service\":\"a\",\"free\":\"$(x) `y` \\\" é\"}",
     "{\"service\":\"a\",\"free\":\"$(x) `y` \\\" é\",\"count\":7}"},
    {"{\"service\":\"a\",\"dash\":\"-rf\"}",
     "{\"service\":\"a\",\"dash\":\"-rf\",\"count\":7}"},
    {"{\"service\":\"a\",\"ratio\":0.1}",
     "{\"service\":\"a\",\"count\":7,\"ratio\":0.1}"},
    {"{\"service\":\"a\",\"ratio\":1e300}",
     "{\"service\":\"a\",\"count\":7,\"ratio\":1e+300}"},
    {"{\"service\":\"a\",\"ratio\":5,\"force\":true,\"mode\":\"soft\"}",
     "{\"service\":\"a\",\"count\":7,\"ratio\":5,\"force\":true,"
     "\"mode\":\"soft\"}"},
    {"{\"service\":\"a\",\"wait\":\"1m30s\"}",
     "{\"service\":\"a\",\"count\":7,\"wait\":90}"},
    {"{\"service\":\"a\",\"wait\":90,\"token\":\"t\"}",
     "{\"service\":\"a\",\"count\":7,\"wait\":90,\"token\":\"t\"}"},
};

/* What comes out goes in again unchanged: the executor checks it once more. */
static void good_values(void **state)
{
    (void)state;
    struct runbook *rb = load();
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct arena a = ARENA_INIT;
        struct err e = ERR_INIT;
        struct str out = STR_NULL;
        json_t *given = json(good[i].given);
        for (unsigned round = 0; round < 2; round++) {
            if (params_check(rb, given, &a, &out, &e) < 0) {
                fail_msg("%s: %s", good[i].given, e.message);
            }
            assert_string_equal(out.at, good[i].json);
            json_decref(given);
            given = json(out.at);
        }
        json_decref(given);
        arena_deinit(&a);
    }
    runbook_unref(rb);
}

static void preview_lists_what_is_missing(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct err e = ERR_INIT;
    struct str out = STR_NULL;
    struct params_missing missing;
    struct rendered_step step;
    struct runbook *rb = load();
    json_t *given = json("{\"free\":\"x\"}");
    assert_int_equal(params_preview(rb, given, &a, &out, &missing, &e), 0);
    assert_string_equal(out.at, "{\"free\":\"x\",\"count\":7}");
    assert_int_equal(missing.count, 1);
    assert_true(str_eq_c(missing.names[0], "service"));
    struct step_values values = {.params_json = out, .preview = true};
    assert_int_equal(step_render(rb, 1, &values, &a, &step, &e), 0);
    assert_string_equal(step.argv[2], "${{ parameters.service }}");
    assert_string_equal(step.env[0], "ADP_PARAM_FREE=x");
    values.preview = false; /* what runs is never a preview */
    assert_int_equal(step_render(rb, 1, &values, &a, &step, &e), -EINVAL);
    json_decref(given);
    given = json("{\"service\":\"A\"}"); /* what is given is checked */
    assert_int_equal(params_preview(rb, given, &a, &out, &missing, &e),
                     -EINVAL);
    json_decref(given);
    arena_deinit(&a);
    runbook_unref(rb);
}

static const struct {
    const char *given;
    const char *field;
    const char *message; /* or hint */
} bad[] = {
    {"{}", "service", "required"},
    {"[]", "", "expected an object"},
    {"{\"servce\":\"a\"}", "servce", "did you mean 'service'"},
    {"{\"service\":1}", "service", "expected a string, got a number"},
    {"{\"service\":null}", "service", "got null"},
    {"{\"service\":\"A\"}", "service", "pattern"},
    {"{\"service\":\"a\\n\"}", "service", "control"},
    {"{\"service\":\"a\\u0085\"}", "service", "control"},
    {"{\"service\":\"a\\u007f\"}", "service", "control"},
    {"{\"service\":\"-a\"}", "service", "'-'"},
    {"{\"service\":\"a\",\"free\":\"-x\"}", "free", "'-'"},
    {"{\"service\":\"a\",\"count\":-1}", "count", "'-'"},
    {"{\"service\":\"a\",\"count\":1.5}", "count", "integer"},
    {"{\"service\":\"a\",\"count\":\"1\"}", "count", "integer"},
    {"{\"service\":\"a\",\"ratio\":\"1\"}", "ratio", "number"},
    {"{\"service\":\"a\",\"force\":1}", "force", "true or false"},
    {"{\"service\":\"a\",\"force\":\"true\"}", "force", "true or false"},
    {"{\"service\":\"a\",\"mode\":\"x\"}", "mode", "soft, hard"},
    {"{\"service\":\"a\",\"wait\":\"x\"}", "wait", "duration"},
    {"{\"service\":\"a\",\"wait\":\"1ms\"}", "wait", "whole seconds"},
    {"{\"service\":\"a\",\"wait\":[]}", "wait", "duration"},
    {"{\"service\":{\"a\":1}}", "service", "expected a string"},
};

static void bad_values(void **state)
{
    (void)state;
    struct runbook *rb = load();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct arena a = ARENA_INIT;
        struct err e = ERR_INIT;
        struct str out = STR_NULL;
        json_t *given = json(bad[i].given);
        int r = params_check(rb, given, &a, &out, &e);
        if (r != -EINVAL || strcmp(e.field, bad[i].field) != 0 ||
            (strstr(e.message, bad[i].message) == NULL &&
             strstr(e.hint, bad[i].message) == NULL)) {
            fail_msg("%s: %d [%s] %s (%s)", bad[i].given, r, e.field, e.message,
                     e.hint);
        }
        assert_null(out.at);
        json_decref(given);
        arena_deinit(&a);
    }
    runbook_unref(rb);
}

static void a_value_has_a_limit(void **state)
{
    (void)state;
    struct runbook *rb = load();
    static char text[RUNBOOK_PARAM_VALUE_MAX_BYTES + 1];
    memset(text, 'a', sizeof(text));
    for (size_t extra = 0; extra < 2; extra++) {
        struct arena a = ARENA_INIT;
        struct err e = ERR_INIT;
        struct str out = STR_NULL;
        json_t *given = json_object();
        json_object_set_new(
            given, "service",
            json_stringn(text, RUNBOOK_PARAM_VALUE_MAX_BYTES + extra));
        assert_int_equal(params_check(rb, given, &a, &out, &e),
                         extra == 0 ? 0 : -E2BIG);
        json_decref(given);
        arena_deinit(&a);
    }
    runbook_unref(rb);
}

/* The value of a secret is in no message and no answer. */
static void secrets_stay_secret(void **state)
{
    (void)state;
    struct runbook *rb = load();
    struct arena a = ARENA_INIT;
    struct err e = ERR_INIT;
    struct str out = STR_NULL;
    json_t *given = json("{\"service\":\"a\",\"token\":\"-canary\"}");
    assert_int_equal(params_check(rb, given, &a, &out, &e), -EINVAL);
    assert_null(strstr(e.message, "canary"));
    json_decref(given);
    out = params_masked(
        rb, STR("{\"service\":\"a\",\"token\":\"canary\",\"old\":\"canary\"}"),
        &a);
    assert_string_equal(
        out.at, "{\"service\":\"a\",\"token\":\"***\",\"old\":\"***\"}");
    out = params_masked(rb, STR("{canary"), &a);
    assert_true(str_eq_c(out, "{}"));
    arena_deinit(&a);
    runbook_unref(rb);
}

/* ---- from an event ------------------------------------------------------ */

static int fill(struct runbook *rb, const char *event, struct arena *a,
                struct str *ret, struct err *e)
{
    struct event ev = {0};
    json_t *body = json(event);
    assert_int_equal(event_from_json(body, a, &ev, e), 0);
    json_decref(body);
    const struct params_source from = {.event = &ev, .now_ms = NOW_MS};
    return params_from_event(rb, 0, &from, a, ret, e);
}

static const struct {
    const char *event;
    const char *json;  /* or */
    const char *error; /* part of it */
} events[] = {
    {"{\"type\":\"alert\",\"severity\":\"bad\",\"value\":2.5,"
     "\"labels\":{\"svc\":\"web\",\"a.b\":\"c\"},"
     "\"annotations\":{\"count\":\"12\"}}",
     "{\"service\":\"web\",\"free\":\"c/bad\",\"count\":12,\"ratio\":2.5,"
     "\"mode\":\"hard\"}",
     NULL},
    {"{\"type\":\"alert\",\"labels\":{\"svc\":\"${{ event.id }}\"}}", NULL,
     "pattern"},
    {"{\"type\":\"alert\",\"labels\":{\"svc\":\"web\"}}",
     "{\"service\":\"web\",\"count\":7,\"mode\":\"hard\"}", NULL},
    {"{\"type\":\"alert\",\"labels\":{\"x\":\"web\"}}", NULL,
     "parameter 'service': the event has no labels.svc"},
    {"{\"type\":\"alert\",\"labels\":{\"svc\":\"web; rm -rf /\"}}", NULL,
     "parameter 'service': the value does not match the pattern"},
    {"{\"type\":\"alert\",\"labels\":{\"svc\":\"web\"},"
     "\"annotations\":{\"count\":\"12x\"}}",
     NULL, "parameter 'count': expected an integer, got '12x'"},
    {"{\"type\":\"alert\",\"labels\":{\"svc\":\"web\"},"
     "\"annotations\":{\"count\":\"0x10\"}}",
     NULL, "expected an integer"},
    {"{\"type\":\"alert\",\"labels\":{\"svc\":\"web\"},"
     "\"annotations\":{\"count\":\"99999999999999999999\"}}",
     NULL, "64 bits"},
};

static void events_fill_parameters(void **state)
{
    (void)state;
    struct runbook *rb = load();
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        struct arena a = ARENA_INIT;
        struct err e = ERR_INIT;
        struct str out = STR_NULL;
        int r = fill(rb, events[i].event, &a, &out, &e);
        if (events[i].json != NULL) {
            if (r < 0) {
                fail_msg("%s: %s", events[i].event, e.message);
            }
            assert_string_equal(out.at, events[i].json);
        } else if (r == 0 || strstr(e.message, events[i].error) == NULL) {
            fail_msg("%s: %d %s", events[i].event, r, e.message);
        }
        arena_deinit(&a);
    }
    runbook_unref(rb);
}

static const char *env_of(char **env, const char *name)
{
    size_t len = strlen(name);
    for (; *env != NULL; env++) {
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=') {
            return *env + len + 1;
        }
    }
    return NULL;
}

/* ---- expressions -------------------------------------------------------- */

#define TYPED_HEAD                                                             \
    "name: x\n"                                                                \
    "parameters:\n"                                                            \
    "  s: {type: string}\n"                                                    \
    "  i: {type: integer, default: 3}\n"                                       \
    "  n: {type: number}\n"                                                    \
    "  b: {type: boolean}\n"                                                   \
    "  e: {type: enum, values: ['1', '2']}\n"                                  \
    "  d: {type: duration}\n"                                                  \
    "  r: {type: string, required: true}\n"                                    \
    "steps: [{name: a, command: x}]\n"                                         \
    "triggers:\n"                                                              \
    "  - type: alert\n"                                                        \
    "    parameters:\n"

static const struct {
    const char *entry; /* of the trigger's parameters */
    const char *json;  /* or */
    const char *error;
} typed[] = {
    {"r: ${{ event.type }}", "{\"i\":3,\"r\":\"alert\"}", NULL},
    {"r: \"${{ event.labels.a + '!' }}\"", "{\"i\":3,\"r\":\"x y!\"}", NULL},
    {"r: \"${{ event.labels.a }}-${{ event.value * 2.0 }}\"",
     "{\"i\":3,\"r\":\"x y-5\"}", NULL},
    {"{r: a, i: \"${{ int(event.value) + 40 }}\"}", "{\"i\":42,\"r\":\"a\"}",
     NULL},
    {"{r: a, i: \"${{ '12' }}\"}", "{\"i\":12,\"r\":\"a\"}", NULL},
    {"{r: a, n: \"${{ event.value * 3.0 }}\"}",
     "{\"i\":3,\"n\":7.5,\"r\":\"a\"}", NULL},
    {"{r: a, n: \"${{ size(event.labels) }}\"}",
     "{\"i\":3,\"n\":2,\"r\":\"a\"}", NULL},
    {"{r: a, b: \"${{ event.value > 2.0 }}\"}",
     "{\"i\":3,\"b\":true,\"r\":\"a\"}", NULL},
    {"{r: a, e: \"${{ size(event.labels) }}\"}",
     "{\"i\":3,\"e\":\"2\",\"r\":\"a\"}", NULL},
    {"{r: a, d: \"${{ duration('90s') }}\"}", "{\"i\":3,\"d\":90,\"r\":\"a\"}",
     NULL},
    {"{r: a, d: \"${{ 2 * 60 }}\"}", "{\"i\":3,\"d\":120,\"r\":\"a\"}", NULL},
    {"r: ${{ now }}", "{\"i\":3,\"r\":\"2023-11-14T22:13:20Z\"}", NULL},
    {"r: \"${{ string(event.payload.list[1] + 1) }}\"", "{\"i\":3,\"r\":\"9\"}",
     NULL},
    {"r: ${{ event.payload.list[1] }}", "{\"i\":3,\"r\":\"8\"}", NULL},
    {"r: ${{ event.labels.?b.orValue('none') }}", "{\"i\":3,\"r\":\"none\"}",
     NULL},
    /* No value leaves an optional parameter as it is. */
    {"{r: a, i: \"${{ event.labels.?b }}\"}", "{\"i\":3,\"r\":\"a\"}", NULL},
    {"{r: a, s: \"${{ event.labels.b }}\"}", "{\"i\":3,\"r\":\"a\"}", NULL},
    {"r: ${{ event.labels.?b }}", NULL,
     "parameter 'r': ${{ event.labels.?b }} has no value"},
    {"r: ${{ event.labels.b }}", NULL,
     "parameter 'r': the event has no labels.b"},
    /* What fails is an error, whatever the parameter is. */
    {"{r: a, s: \"${{ event.labels.b + 'x' }}\"}", NULL,
     "parameter 's': ${{ event.labels.b + 'x' }} has no value: no such key"},
    {"{r: a, i: \"${{ event.payload.list }}\"}", NULL, "a list or an object"},
    {"{r: a, i: \"${{ dyn(event.payload.list) }}\"}", NULL,
     "expected an integer, and the expression gives a list"},
    {"{r: a, s: \"x${{ dyn(event.payload.list) }}\"}", NULL,
     "it gives a list, not one value"},
    {"r: \"${{ 'a\\\\n' }}\"", NULL, "control characters"},
    {"r: \"${{ '-' + 'rf' }}\"", NULL, "does not start with '-'"},
    {"{r: a, d: \"${{ duration('1500ms') }}\"}", NULL, "whole seconds"},
};

static void alone_an_expression_keeps_its_type(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(typed); i++) {
        struct arena a = ARENA_INIT;
        struct err e = ERR_INIT;
        struct str out = STR_NULL;
        struct strbuf text = STRBUF_INIT(4096);
        strbuf_addc(&text, TYPED_HEAD "      ");
        strbuf_addc(&text, typed[i].entry);
        struct runbook *rb = load_text(strbuf_str(&text));
        int r = fill(rb,
                     "{\"type\":\"alert\",\"value\":2.5,"
                     "\"labels\":{\"a\":\"x y\",\"c\":\"d\"},"
                     "\"payload\":{\"list\":[7,8]}}",
                     &a, &out, &e);
        bool fine = typed[i].json != NULL
                        ? r == 0 && str_eq_c(out, typed[i].json)
                        : r < 0 && strstr(e.message, typed[i].error) != NULL;
        if (!fine) {
            fail_msg("%s: %d %.*s %s", typed[i].entry, r, STR_ARG(out),
                     e.message);
        }
        runbook_unref(rb);
        strbuf_deinit(&text);
        arena_deinit(&a);
    }
}

#define STEP_HEAD                                                              \
    "name: Expr\n"                                                             \
    "parameters:\n"                                                            \
    "  s: {type: string, required: true}\n"                                    \
    "  i: {type: integer, default: 3}\n"                                       \
    "  n: {type: number, default: 0.5}\n"                                      \
    "  d: {type: duration, default: 1m}\n"                                     \
    "  o: {type: string}\n"                                                    \
    "  t: {type: string, secret: true}\n"                                      \
    "  dash: {type: string, default: a, allow_leading_dash: true}\n"           \
    "steps:\n"                                                                 \
    "  - name: a\n"                                                            \
    "    argv: [prog, --, x]\n"                                                \
    "    env: {V: "

static const struct {
    const char *expr;
    const char *value;   /* or, with ! in front, the error */
    const char *preview; /* without s; NULL: the same */
} in_steps[] = {
    {"${{ parameters.i + 1 }}", "4", NULL},
    {"${{ parameters.n * 3.0 }}", "1.5", NULL},
    {"${{ parameters.d + duration('30s') }}", "90", NULL},
    {"${{ parameters.d }}", "60", NULL},
    {"${{ parameters.s + '!' }}", "$(id) ${{ now }}!",
     "${{ parameters.s + '!' }}"},
    {"${{ parameters.?o.orValue('none') }}", "none", NULL},
    {"${{ has(parameters.o) ? parameters.o : '-' }}", "-", NULL},
    {"${{ parameters.?t.orValue('') }}", "secret", "***"},
    {"${{ workflow.runbook }}", "Expr", NULL},
    {"${{ workflow.created_at }}", "2023-11-14T22:13:20Z", NULL},
    {"${{ now - workflow.created_at }}", "60",
     "${{ now - workflow.created_at "
     "}}"},
    {"${{ parameters.i / 0 }}", "!has no value", "!has no value"},
    {"${{ 'a\\\\x00b' }}", "!a NUL", "!a NUL"},
};

static void expressions_of_steps(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_LEN(in_steps); i++) {
        const char *expr = in_steps[i / 2].expr;
        bool preview = i % 2 == 1;
        const char *want = preview && in_steps[i / 2].preview != NULL
                               ? in_steps[i / 2].preview
                               : in_steps[i / 2].value;
        struct arena a = ARENA_INIT;
        struct err e = ERR_INIT;
        struct strbuf text = STRBUF_INIT(4096);
        struct rendered_step s = {0};
        strbuf_addf(&text, STEP_HEAD "\"%s\"}\n", expr);
        struct runbook *rb = load_text(strbuf_str(&text));
        struct step_values v = {
            .workflow_id = {{1}},
            .created_ms = NOW_MS,
            .now_ms = NOW_MS + 60000,
            .params_json = preview ? STR("{\"t\":\"***\"}")
                                   : STR("{\"s\":\"$(id) ${{ now }}\","
                                         "\"t\":\"secret\"}"),
            .preview = preview,
        };
        int r = step_render(rb, 0, &v, &a, &s, &e);
        bool fine = want[0] == '!'
                        ? r < 0 && strstr(e.message, want + 1) != NULL
                        : r == 0 && strcmp(env_of(s.env, "V"), want) == 0;
        if (!fine) {
            fail_msg("%s (%d): %d %s %s", expr, preview, r,
                     r == 0 ? env_of(s.env, "V") : "", e.message);
        }
        runbook_unref(rb);
        strbuf_deinit(&text);
        arena_deinit(&a);
    }
}

static const struct {
    const char *argv;
    bool is_fine;
} options[] = {
    {"[p, \"${{ parameters.s + 'x' }}\"]", false},
    {"[p, \"${{ parameters.o }}${{ parameters.s + 'x' }}\"]", false},
    {"[p, \"a${{ parameters.s + 'x' }}\"]", true},
    {"[p, --, \"${{ parameters.s + 'x' }}\"]", true},
    {"[p, \"${{ parameters.s }}\"]", true}, /* as it is declared */
};

static void an_expression_is_no_option(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        struct arena a = ARENA_INIT;
        struct err e = ERR_INIT;
        struct strbuf text = STRBUF_INIT(4096);
        struct rendered_step s = {0};
        strbuf_addf(&text,
                    "name: x\nparameters:\n"
                    "  s: {type: string, allow_leading_dash: true, required: "
                    "true}\n"
                    "  o: {type: string, default: ''}\n"
                    "steps: [{name: a, argv: %s}]\n",
                    options[i].argv);
        struct runbook *rb = load_text(strbuf_str(&text));
        struct step_values v = {.params_json = STR("{\"s\":\"-rf\"}")};
        int r = step_render(rb, 0, &v, &a, &s, &e);
        if ((r == 0) != options[i].is_fine ||
            (r < 0 && strstr(e.message, "starts with '-'") == NULL)) {
            fail_msg("%s: %d %s", options[i].argv, r, e.message);
        }
        runbook_unref(rb);
        strbuf_deinit(&text);
        arena_deinit(&a);
    }
}

/* ---- steps -------------------------------------------------------------- */

static void steps_are_rendered(void **state)
{
    (void)state;
    struct runbook *rb = load();
    struct arena a = ARENA_INIT;
    struct err e = ERR_INIT;
    struct rendered_step s;
    struct step_values v = {
        .workflow_id = {{1}},
        .params_json = STR("{\"service\":\"web\",\"count\":7,\"wait\":90,"
                           "\"free\":\"a b; $(id) ${{ workflow.id }}\"}"),
    };
    char id[ID_TEXT_SIZE];
    id_format(v.workflow_id, ID_PREFIX_WORKFLOW, id);
    assert_int_equal(step_render(rb, 0, &v, &a, &s, &e), 0);
    assert_string_equal(s.argv[0], "/bin/sh");
    assert_string_equal(s.argv[1], "-c");
    assert_string_equal(s.argv[2], "echo \"$ADP_PARAM_SERVICE\"");
    assert_null(s.argv[3]);
    assert_string_equal(env_of(s.env, "ADP_PARAM_SERVICE"), "web");
    assert_string_equal(env_of(s.env, "ADP_PARAM_WAIT"), "90");
    assert_string_equal(env_of(s.env, "ADP_PARAM_FREE"),
                        "a b; $(id) ${{ workflow.id }}");
    assert_null(env_of(s.env, "ADP_PARAM_MODE"));
    assert_null(env_of(s.env, "NAME"));
    assert_int_equal(step_render(rb, 1, &v, &a, &s, &e), 0);
    assert_string_equal(s.argv[1], "a b");
    assert_string_equal(s.argv[2], "web");
    assert_memory_equal(s.argv[3], "7/", 2);
    assert_string_equal(s.argv[3] + 2, id);
    assert_null(s.argv[4]);
    assert_string_equal(env_of(s.env, "NAME"), "n=web");
    assert_string_equal(env_of(s.env, "EMPTY"), "");
    arena_deinit(&a);
    runbook_unref(rb);
}

/* The engine may be taken over: what it says is checked again. */
static void rendering_trusts_nobody(void **state)
{
    (void)state;
    static const char *const hostile[] = {
        "",
        "[]",
        "{}",
        "{\"service\":\"a b\"}",
        "{\"service\":\"-rf\"}",
        "{\"service\":\"a\",\"LD_PRELOAD\":\"x\"}",
        "{\"service\":\"a\\nADP_X=1\"}",
        "{\"service\":\"a\",\"service\":\"b\"}",
    };
    struct runbook *rb = load();
    struct arena a = ARENA_INIT;
    struct rendered_step s;
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        struct err e = ERR_INIT;
        struct step_values v = {.params_json = str_c(hostile[i])};
        assert_true(step_render(rb, 0, &v, &a, &s, &e) < 0);
        assert_true(e.message[0] != '\0');
    }
    struct err e = ERR_INIT;
    struct step_values v = {.params_json = STR("{\"service\":\"a\"}")};
    assert_int_equal(step_render(rb, 2, &v, &a, &s, &e), -EINVAL);
    assert_int_equal(step_render(rb, UINT32_MAX, &v, &a, &s, &e), -EINVAL);
    arena_deinit(&a);
    runbook_unref(rb);
}

static void one_parameter_as_text(void **state)
{
    (void)state;
    struct runbook *rb = load();
    struct arena a = ARENA_INIT;
    struct str out = STR_NULL;
    struct str object = STR("{\"service\":\"a\",\"force\":true,\"ratio\":0.5}");
    assert_int_equal(params_text(rb, object, STR("force"), &a, &out), 0);
    assert_string_equal(out.at, "true");
    assert_int_equal(params_text(rb, object, STR("ratio"), &a, &out), 0);
    assert_string_equal(out.at, "0.5");
    assert_int_equal(params_text(rb, object, STR("mode"), &a, &out), -ENOENT);
    assert_int_equal(params_text(rb, object, STR("none"), &a, &out), -ENOENT);
    arena_deinit(&a);
    runbook_unref(rb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_values),
        cmocka_unit_test(bad_values),
        cmocka_unit_test(preview_lists_what_is_missing),
        cmocka_unit_test(a_value_has_a_limit),
        cmocka_unit_test(secrets_stay_secret),
        cmocka_unit_test(events_fill_parameters),
        cmocka_unit_test(alone_an_expression_keeps_its_type),
        cmocka_unit_test(expressions_of_steps),
        cmocka_unit_test(an_expression_is_no_option),
        cmocka_unit_test(steps_are_rendered),
        cmocka_unit_test(rendering_trusts_nobody),
        cmocka_unit_test(one_parameter_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
