#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>

#include "store/committer.h"
#include "tests/unit/api/fake.h"

#define RUNBOOK                                                                \
    "name: Restart\ncategory: remediation\nparameters:\n"                      \
    "  service: {type: string, required: true}\n"                              \
    "  password: {type: string, required: true, secret: true}\n"               \
    "steps:\n"                                                                 \
    "  - {name: Check, action: exec, command: \"true\"}\n"                     \
    "  - {name: Fix, action: exec, command: \"true\"}\n"

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static void apply(const struct record *records, uint32_t count)
{
    struct store_op op = {.kind = STORE_APPLY,
                          .apply = {.records = records, .count = count}};
    list_init(&op.link);
    fake_run(&op);
    assert_int_equal(op.result, 0);
}

static void pin(const struct runbook *rb)
{
    struct store_op op = {
        .kind = STORE_PIN,
        .pin = {.hash = rb->hash, .path = rb->path, .text = rb->text}};
    list_init(&op.link);
    fake_run(&op);
    assert_int_equal(op.result, 0);
}

static struct workflow_row row(uint64_t n, const struct runbook *rb,
                               enum workflow_status status)
{
    return (struct workflow_row){
        .id = id_floor(n),
        .runbook_path = rb->path,
        .runbook_name = rb->name,
        .runbook_hash = rb->hash,
        .parameters = STR("{\"service\":\"nginx\",\"password\":\"hunter2\"}"),
        .requested_by = STR("uid:0"),
        .created_ms = 1764000000000 + n,
        .started_ms = 1764000001000,
        .deadline_ms = 1764000009000,
        .status = status,
        .step_no = 1,
        .rev = 1,
    };
}

static struct record attempt(struct id workflow, uint32_t step,
                             enum attempt_state status)
{
    return (struct record){
        .kind = RECORD_ATTEMPT_NEW,
        .attempt = {
            .key = {.workflow_id = workflow, .step_no = step, .attempt = 1},
            .state = status,
            .requested_ms = 1764000001000,
            .exit_code = -1}};
}

static struct record chunk(struct id workflow, uint64_t offset, struct str data)
{
    return (struct record){
        .kind = RECORD_OUTPUT,
        .output = {.key = {.workflow_id = workflow, .attempt = 1},
                   .offset = offset,
                   .stream = OUTPUT_STDERR,
                   .at_ms = 1764000001500,
                   .data = data}};
}

static struct id first;

/* Three workflows: one runs its second step, of a version that only the store
 * still has; two wait. */
static int set_up(void **state)
{
    (void)fake_start(state);
    struct runbook *rb = fake_load("remediation/restart.yaml", RUNBOOK);
    struct runbook *newer =
        fake_load("remediation/restart.yaml", RUNBOOK "# newer\n");
    struct generation_file file = {
        .path = newer->path, .state = FILE_LOADED, .runbook = newer};
    fake_set_files(&file, 1);
    pin(rb);
    pin(newer);
    first = id_floor(1);
    struct record records[] = {
        {.kind = RECORD_WORKFLOW_NEW, .workflow = row(1, rb, WORKFLOW_RUNNING)},
        {.kind = RECORD_WORKFLOW_NEW,
         .workflow = row(2, newer, WORKFLOW_RUNNING)},
        {.kind = RECORD_WORKFLOW_NEW,
         .workflow = row(3, newer, WORKFLOW_RUNNING)},
        attempt(first, 0, ATTEMPT_STARTING),
        attempt(first, 1, ATTEMPT_STARTING),
        chunk(first, 0, STR("one\n")),
        chunk(first, 4, STR("caf\xe9 \x1b[2J\xc3\xa9\n")),
    };
    apply(records, ARRAY_LEN(records));
    runbook_unref(rb);
    return 0;
}

static json_t *get_first(const char *suffix)
{
    char id[ID_TEXT_SIZE];
    char path[200];
    id_format(first, ID_PREFIX_WORKFLOW, id);
    (void)snprintf(path, sizeof(path), "/api/workflows/%s%s", id, suffix);
    assert_int_equal(get(path), 200);
    return json();
}

static void shows_a_workflow_with_its_steps(void **state)
{
    (void)state;
    json_t *w = get_first("");
    assert_string_equal(text_of(w, "runbook"), "remediation/restart.yaml");
    assert_string_equal(text_of(w, "status"), "running");
    assert_string_equal(text_of(w, "current_step"), "Fix");
    assert_string_equal(text_of(w, "started_at_iso"),
                        "2025-11-24T16:00:01.000Z");
    assert_true(json_is_null(json_object_get(w, "finished_at")));
    assert_true(json_is_null(json_object_get(w, "result")));
    json_t *steps = json_object_get(w, "steps");
    assert_int_equal(json_array_size(steps), 2);
    json_t *step = json_array_get(steps, 0);
    assert_string_equal(text_of(step, "name"), "Check");
    assert_string_equal(text_of(step, "status"), "starting");
    json_t *a = json_array_get(json_object_get(step, "attempts"), 0);
    assert_true(json_is_null(json_object_get(a, "exit_code")));
    assert_true(json_is_null(json_object_get(a, "pid")));
    json_decref(w);
}

static void hides_secrets(void **state)
{
    (void)state;
    json_t *w = get_first("");
    json_t *p = json_object_get(w, "parameters");
    assert_string_equal(text_of(p, "password"), "***");
    assert_string_equal(text_of(p, "service"), "nginx");
    json_decref(w);
    assert_int_equal(get("/api/workflows"), 200);
    assert_null(strstr(answer.body, "hunter2"));
}

/* Then nobody knows which values are secret. */
static void hides_everything_of_an_unknown_version(void **state)
{
    (void)state;
    struct runbook *rb =
        fake_load("remediation/restart.yaml", RUNBOOK "# never pinned\n");
    struct record r = {.kind = RECORD_WORKFLOW_NEW,
                       .workflow = row(4, rb, WORKFLOW_RUNNING)};
    apply(&r, 1);
    runbook_unref(rb);
    first = id_floor(4);
    json_t *w = get_first("");
    json_t *p = json_object_get(w, "parameters");
    assert_string_equal(text_of(p, "password"), "***");
    assert_string_equal(text_of(p, "service"), "***");
    assert_true(json_is_null(json_object_get(w, "current_step")));
    json_decref(w);
}

static void lists_newest_first(void **state)
{
    (void)state;
    fake.status.engine.live = 3;
    assert_int_equal(get("/api/workflows?limit=2&status=running"), 200);
    json_t *j = json();
    json_t *l = json_object_get(j, "workflows");
    assert_int_equal(json_array_size(l), 2);
    assert_int_equal(json_integer_value(json_object_get(j, "active_workflows")),
                     3);
    char path[200];
    (void)snprintf(path, sizeof(path), "/api/workflows?limit=2&cursor=%s",
                   text_of(j, "next_cursor"));
    json_decref(j);
    assert_int_equal(get(path), 200);
    j = json();
    l = json_object_get(j, "workflows");
    assert_int_equal(json_array_size(l), 1);
    assert_true(json_is_null(json_object_get(j, "next_cursor")));
    json_decref(j);
    assert_int_equal(get("/api/workflows?runbook=other.yaml"), 200);
    assert_non_null(strstr(answer.body, "\"workflows\":[]"));
}

static void reads_output_page_by_page(void **state)
{
    (void)state;
    json_t *j = get_first("/logs?limit=1");
    json_t *l = json_object_get(j, "logs");
    assert_int_equal(json_array_size(l), 1);
    json_t *c = json_array_get(l, 0);
    assert_string_equal(text_of(c, "text"), "one\n");
    assert_string_equal(text_of(c, "step"), "Check");
    assert_string_equal(text_of(c, "stream"), "stderr");
    assert_true(json_is_false(json_object_get(j, "complete")));
    char suffix[50];
    (void)snprintf(
        suffix, sizeof(suffix), "/logs?after=%lld",
        (long long)json_integer_value(json_object_get(j, "next_after")));
    json_decref(j);
    j = get_first(suffix);
    l = json_object_get(j, "logs");
    assert_int_equal(json_array_size(l), 1);
    /* What is no UTF-8 is shown, the rest stays what it is. */
    assert_string_equal(text_of(json_array_get(l, 0), "text"),
                        "caf\\xe9 \x1b[2J\xc3\xa9\n");
    json_decref(j);
}

static int stop(const char *how)
{
    char id[ID_TEXT_SIZE];
    char path[200];
    id_format(first, ID_PREFIX_WORKFLOW, id);
    (void)snprintf(path, sizeof(path), "/api/workflows/%s/%s", id, how);
    return post(path, NULL);
}

static void stops_workflows(void **state)
{
    (void)state;
    assert_int_equal(stop("cancel"), 202);
    assert_int_equal(fake.stopped, STOP_CANCEL);
    assert_non_null(strstr(answer.body, "\"stop_requested\":\"cancel\""));
    assert_int_equal(stop("kill"), 202);
    assert_int_equal(fake.stopped, STOP_KILL);
    fake.post_result = -EEXIST;
    assert_int_equal(stop("kill"), 409);
    assert_code("already_final");
    fake.post_result = -ENOENT;
    assert_int_equal(stop("kill"), 404);
    fake.post_result = -ECANCELED;
    assert_int_equal(stop("kill"), 503);
    assert_code("stopping");
}

static void refuses_bodies_that_say_something(void **state)
{
    (void)state;
    char id[ID_TEXT_SIZE];
    char path[200];
    id_format(first, ID_PREFIX_WORKFLOW, id);
    (void)snprintf(path, sizeof(path), "/api/workflows/%s/cancel", id);
    assert_int_equal(post(path, "{}"), 202);
    assert_int_equal(post(path, "{\"force\":true}"), 400);
    assert_int_equal(post(path, "[]"), 400);
    assert_int_equal(post(path, "{"), 400);
    assert_code("bad_json");
}

static void unknown_workflow_is_not_found(void **state)
{
    (void)state;
    assert_int_equal(get("/api/workflows/wf-12345"), 404);
    assert_int_equal(get("/api/workflows/wf-00000000000000000000000000"), 404);
    assert_int_equal(get("/api/workflows/wf-00000000000000000000000000/logs"),
                     404);
}

static void page_shows_the_latest(void **state)
{
    (void)state;
    assert_int_equal(post("/api/events",
                          "{\"type\":\"alert\",\"labels\":{\"alertname\":"
                          "\"<script>alert(1)</script>\"}}"),
                     202);
    assert_int_equal(get("/"), 200);
    assert_string_equal(raw_field(&answer, "Content-Type"), HTTP_TEXT);
    assert_non_null(strstr(answer.body, "remediation/restart.yaml"));
    assert_int_equal(ask_with("GET", "/", "Accept: text/html,*/*\r\n", NULL),
                     200);
    assert_string_equal(raw_field(&answer, "Content-Type"), HTTP_HTML);
    assert_non_null(
        strstr(raw_field(&answer, "Content-Security-Policy"), "sha256-"));
    assert_null(strstr(answer.body, "<script"));
    assert_non_null(strstr(answer.body, "&lt;script&gt;"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, fake_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(shows_a_workflow_with_its_steps),
        CASE(hides_secrets),
        CASE(hides_everything_of_an_unknown_version),
        CASE(lists_newest_first),
        CASE(reads_output_page_by_page),
        CASE(stops_workflows),
        CASE(refuses_bodies_that_say_something),
        CASE(unknown_workflow_is_not_found),
        CASE(page_shows_the_latest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
