/*
 * The API over real sockets with a service that is none: these functions take
 * the place of runtime/service.c in the test's program. Events go to the
 * memory store at once; what was posted is answered as the test says.
 */
#pragma once

#include <stdatomic.h>
#include <sys/types.h>
#include <unistd.h>

#include <sodium.h>

#include "api/api.h"
#include "base/mem.h"
#include "history/history.h"
#include "integrations/integrations.h"
#include "net/http.h"
#include "os/clock.h"
#include "runtime/service.h"
#include "tests/unit/net/raw.h"

struct fake {
    int turn_result; /* of the kill switch */
    struct api *api;
    struct integrations *integrations;
    char key_path[64];
    struct http_server *http;
    uint16_t port;
    struct store *store;
    struct telemetry *telemetry;
    struct history *history; /* one that cannot be read, unless replaced */
    struct generation *generation;
    struct service_status status;
    char warning[512];
    int ingest_result; /* instead of storing, if not 0 */
    int post_result;
    const char *post_error; /* of a change, with it; NULL: none */
    bool post_stored;       /* the change was stored all the same */
    struct id run_id;
    enum stop_request stopped; /* how the last stop was asked for */
    char requested_by[80];
    char run_parameters[512];
    atomic_uint posts;
    atomic_uint damage_reports;
    enum change_sweep sweep;  /* of the last change */
    uint64_t moved;           /* what its sweep is to have changed */
    const char *refused_path; /* the executor refuses it; NULL: none */
    const char *disk_path;    /* what service_read_runbook knows */
    const char *disk_text;
};

static struct fake fake;
static struct raw_answer answer;

static const struct runbook_defaults fake_defaults = {.step_timeout_ms = 60000,
                                                      .retry_attempts = 3};

/* ---- the configuration ----------------------------------------------------
 */

static struct {
    int result;
    struct api_config_status status;
} fake_config;

static int fake_reload_config(void *context,
                              const struct api_config_recorder *recorder,
                              struct strbuf *ret, struct err *reterr)
{
    (void)context;
    if (fake_config.result < 0) {
        strbuf_addc(ret, "\"errors\":[{\"line\":3}],\"warnings\":[]");
        return err_set(reterr, fake_config.result, "c.yaml:3: no such key");
    }
    int r = recorder->record(recorder->context, STR("{\"log.level\":\"info\"}"),
                             STR("{\"log.level\":\"debug\"}"));
    if (r < 0) {
        return r;
    }
    strbuf_addc(ret, "\"changed\":[\"log.level\"],\"restart_required\":[],"
                     "\"warnings\":[]");
    return 0;
}

static void fake_config_status(void *context, struct api_config_status *ret)
{
    (void)context;
    *ret = fake_config.status;
}

/* ---- the service --------------------------------------------------------- */

static void fake_run(struct store_op *op)
{
    struct commit_group g;
    commit_group_init(&g);
    list_push(&g.ops, &op->link);
    (void)commit_group_run(&store_memory, fake.store, &g, os_epoch_ms());
    assert_ptr_equal(list_pop(&g.finished), &op->link);
}

void service_ingest(struct service *s, struct store_op *op)
{
    (void)s;
    if (fake.ingest_result != 0) {
        op->result = fake.ingest_result;
    } else {
        fake_run(op);
    }
    op->done(op);
}

static void fake_take_run(struct service_request *r)
{
    r->workflow_id = fake.run_id;
    r->status = r->run.dry_run ? WORKFLOW_SUCCEEDED : WORKFLOW_QUEUED;
    (void)snprintf(fake.run_parameters, sizeof(fake.run_parameters), "%.*s",
                   STR_ARG(r->run.parameters));
}

/* The rows are real, so that what reads them has something to read. */
static void fake_take_change(struct service_request *r)
{
    struct record records[] = {
        {.kind = RECORD_AUDIT, .audit = r->change.audit},
        {.kind = RECORD_SETTING, .setting = r->change.setting},
    };
    struct store_op op = {
        .kind = STORE_APPLY,
        .apply = {.records = records,
                  .count = r->change.setting.key.len != 0 ? 2 : 1},
    };
    records[0].audit.who = records[1].setting.by = r->requested_by;
    if (!r->change.told && r->change.setting.key.len != 0) {
        records[0].audit.after = r->change.setting.value;
    }
    if (!id_is_null(r->change.verdict.subject)) {
        records[1] = (struct record){.kind = RECORD_VERDICT,
                                     .verdict = r->change.verdict};
        records[1].verdict.by = r->requested_by;
        op.apply.count = 2;
    }
    fake.sweep = r->change.sweep;
    if (r->result == 0) {
        fake_run(&op);
        assert_int_equal(op.result, 0);
        r->change.moved = fake.moved;
    }
}

void service_write(struct service *s, struct store_op *op)
{
    (void)s;
    fake_run(op);
    op->done(op);
}

void service_report_damage(struct service *s)
{
    (void)s;
    atomic_fetch_add(&fake.damage_reports, 1);
}

struct controls *service_controls(struct service *s)
{
    (void)s;
    struct reader *reader = NULL;
    struct controls *c = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(store_memory.reader_open(fake.store, &reader, &err), 0);
    assert_int_equal(controls_load(reader, &c), 0);
    reader->ops->close(reader);
    return c;
}

uint32_t service_workers(struct service *s, struct worker_view *ret,
                         uint32_t max)
{
    (void)s;
    memset(ret, 0, max * sizeof(*ret));
    ret[1] = (struct worker_view){.state = WORKER_STUCK,
                                  .since_ms = 1764000000000,
                                  .progress_ms = 1764000001000,
                                  .events = 3,
                                  .done = 2,
                                  .event = fake.run_id,
                                  .processed = 9,
                                  .utilization = 0.25};
    return 2;
}

struct str service_refusal(struct service *s, const struct runbook *rb,
                           struct arena *a)
{
    (void)s;
    (void)a;
    return fake.refused_path != NULL && str_eq_c(rb->path, fake.refused_path)
               ? STR("others can write to it: chmod go-w it")
               : STR("");
}

uint8_t service_priority(struct service *s, const struct event *e)
{
    (void)s;
    return e->priority;
}

void service_turn(struct service *s, struct service_turn *turn)
{
    (void)s;
    turn->result = fake.turn_result;
    turn->now.on = turn->on;
    turn->done(turn);
}

const char *service_switch_path(const struct service *s)
{
    (void)s;
    return "/control/kill-switch";
}

void service_warn(struct service *s, const char *text)
{
    (void)s;
    (void)snprintf(fake.warning, sizeof(fake.warning), "%s", text);
}

int service_seal(struct service *s, const struct runbook *rb, struct str json,
                 struct arena *a, struct str *ret, struct err *reterr)
{
    (void)s;
    (void)rb;
    (void)a;
    (void)reterr;
    *ret = json;
    return 0;
}

void service_post(struct service *s, struct service_request *r)
{
    (void)s;
    (void)atomic_fetch_add(&fake.posts, 1);
    (void)snprintf(fake.requested_by, sizeof(fake.requested_by), "%.*s",
                   STR_ARG(r->requested_by));
    r->result = fake.post_result;
    if (r->kind == SERVICE_RUN) {
        fake_take_run(r);
    } else if (r->kind == SERVICE_STOP) {
        fake.stopped = r->stop.how;
        r->status =
            fake.post_result == -EEXIST ? WORKFLOW_FAILED : WORKFLOW_RUNNING;
    } else if (r->kind == SERVICE_CHANGE) {
        fake_take_change(r);
        r->change.stored = fake.post_stored;
        if (fake.post_error != NULL) {
            (void)err_set(&r->err, r->result, "%s", fake.post_error);
        }
    } else {
        r->changes = (struct repo_changes){.added = 1, .rejected = 2};
        r->before = fake.generation;
        r->after = fake.generation;
        if (r->result < 0) {
            (void)err_set(&r->err, r->result, "the folder is gone");
        }
    }
    r->done(r);
}

static void fake_ignore(struct service_request *r)
{
    (void)r;
}

int service_post_and_wait(struct service *s, struct service_request *r)
{
    r->done = fake_ignore;
    service_post(s, r);
    return r->result;
}

struct generation *service_generation(struct service *s)
{
    (void)s;
    return generation_ref(fake.generation);
}

int service_reader(struct service *s, struct reader **ret, struct err *reterr)
{
    (void)s;
    return store_memory.reader_open(fake.store, ret, reterr);
}

const char *service_archive_directory(const struct service *s)
{
    (void)s;
    return "/nowhere/archive";
}

struct telemetry *service_telemetry(struct service *s)
{
    (void)s;
    return fake.telemetry;
}

struct history *service_history(struct service *s)
{
    (void)s;
    return fake.history;
}

int service_read_runbook(struct service *s, struct str path, struct arena *a,
                         struct str *ret_text, struct runbook_hash *ret_hash,
                         struct err *reterr)
{
    (void)s;
    if (repo_path_check(path, reterr) < 0) {
        return -EINVAL;
    }
    if (fake.disk_path == NULL || !str_eq_c(path, fake.disk_path)) {
        return err_set(reterr, -ENOENT, "%.*s: no such file", STR_ARG(path));
    }
    *ret_text = arena_str(a, str_c(fake.disk_text));
    memset(ret_hash, 0, sizeof(*ret_hash));
    return 0;
}

const struct runbook_defaults *service_defaults(const struct service *s)
{
    (void)s;
    return &fake_defaults;
}

struct service_status service_status(struct service *s)
{
    (void)s;
    struct service_status status = fake.status;
    struct reader *reader = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(store_memory.reader_open(fake.store, &reader, &err), 0);
    assert_int_equal(reader->ops->counts(reader, &status.counts), 0);
    reader->ops->close(reader);
    return status;
}

static void fake_open_history(const char *folder)
{
    struct history_opened opened;
    struct err err = ERR_INIT;
    history_close(fake.history, 0);
    int r = history_open(folder, os_epoch_ms(), &fake.history, &opened, &err);
    (void)r;
}

/* ---- start and stop
 * ---------------------------------------------------------- */

static struct runbook *fake_load(const char *path, const char *text)
{
    struct runbook_report report = {0};
    struct runbook *rb = NULL;
    if (runbook_load(str_c(path), str_c(text), &fake_defaults, &rb, &report) <
        0) {
        fail_msg("%s: %s", path, report.problems.at[0].err.message);
    }
    runbook_report_deinit(&report);
    return rb;
}

UNUSED static void fake_set_files(const struct generation_file *files,
                                  uint32_t count)
{
    generation_unref(fake.generation);
    fake.generation =
        generation_new(files, count, STR("c0ffee"), 7, os_epoch_ms());
}

UNUSED static struct generation_file fake_file(const char *path,
                                               const char *text)
{
    return (struct generation_file){.path = str_c(path),
                                    .state = FILE_LOADED,
                                    .runbook = fake_load(path, text)};
}

#define FAKE_TOKEN(scope) "token-for-" scope "-0123456789"

static void fake_token(struct api_token *t, const char *name, uint32_t scopes)
{
    char text[64];
    (void)snprintf(text, sizeof(text), "token-for-%s-0123456789", name);
    t->name = name;
    t->scopes = scopes;
    (void)crypto_hash_sha256(t->sha256, (const unsigned char *)text,
                             strlen(text));
}

static void fake_open_store(void)
{
    struct store_opened opened;
    struct err err = ERR_INIT;
    struct store_options options = {.queue_limit = 100000,
                                    .now_ms = os_epoch_ms(),
                                    .session = id_floor(1),
                                    .node = STR("test")};
    assert_int_equal(store_memory.open(&options, &fake.store, &opened, &err),
                     0);
}

static void fake_log(int priority, const char *message)
{
    (void)priority;
    (void)message;
}

/* Partner systems as an empty configuration has them, and what a test says. */
static struct integration_config fake_integrations[INTEGRATIONS];

static void fake_start_integrations(void)
{
    struct err err = ERR_INIT;
    (void)snprintf(fake.key_path, sizeof(fake.key_path), "/tmp/adp-%d.key",
                   (int)getpid());
    struct integrations_options options = {
        .key_path = fake.key_path,
        .health_interval_ms = 3600000,
        .log = fake_log,
    };
    for (int i = 0; i < INTEGRATIONS; i++) {
        options.configs[i] = fake_integrations[i];
        options.configs[i].timeout_ms = 5000;
    }
    assert_int_equal(integrations_new(&options, &fake.integrations, &err), 0);
    assert_int_equal(
        integrations_start(fake.integrations, (struct service *)&fake, &err),
        0);
    api_set_integrations(fake.api, fake.integrations);
}

UNUSED static int fake_start(void **state)
{
    (void)state;
    static struct api_token tokens[5];
    static const char *const hosts[] = {"ops.example.org",
                                        "port.example.org:9000", NULL};
    struct err err = ERR_INIT;
    memset(&fake, 0, sizeof(fake));
    fake_token(&tokens[0], "read", API_READ);
    fake_token(&tokens[1], "ingest", API_INGEST);
    fake_token(&tokens[2], "execute", API_EXECUTE);
    fake_token(&tokens[3], "admin", API_ADMIN);
    fake_token(&tokens[4], "nothing", 0);
    fake_open_store();
    fake.telemetry = telemetry_new(os_epoch_ms());
    fake_open_history("/nowhere/at/all");
    fake.status = (struct service_status){
        .started_ms = os_epoch_ms(), .executor_up = true, .queue_limit = 100};
    fake_set_files(NULL, 0);
    struct api_options options = {
        .tokens = tokens,
        .token_count = 5,
        .hosts = hosts,
        .group = "autonomous-devops",
        .config = {.reload = fake_reload_config, .status = fake_config_status}};
    fake_config.result = 0;
    fake_config.status =
        (struct api_config_status){.ok = true, .loaded_ms = 1764000000000};
    assert_int_equal(api_new(&options, &fake.api, &err), 0);
    assert_int_equal(api_set_service(fake.api, (struct service *)&fake), 0);
    fake_start_integrations();
    struct http_options http = {.listen = "127.0.0.1:0",
                                .limits = HTTP_LIMITS_DEFAULT,
                                .handler = api_handler(fake.api)};
    assert_int_equal(http_start(&http, &fake.http, &err), 0);
    api_set_http(fake.api, fake.http);
    fake.port = http_port(fake.http);
    return 0;
}

UNUSED static int fake_stop(void **state)
{
    (void)state;
    integrations_halt(fake.integrations);
    http_stop(fake.http);
    assert_int_equal(api_set_service(fake.api, NULL), 0);
    api_free(fake.api);
    integrations_free(fake.integrations);
    (void)unlink(fake.key_path);
    generation_unref(fake.generation);
    telemetry_free(fake.telemetry);
    history_close(fake.history, 0);
    store_memory.close(fake.store);
    return 0;
}

/* ---- asking
 * ------------------------------------------------------------------- */

/* method, path, further header lines (each with CRLF), body. Returns the
 * status; the rest is in `answer`. */
static int ask_with(const char *method, const char *path, const char *fields,
                    const char *body)
{
    static char request[2 * 1024 * 1024];
    int n = snprintf(request, sizeof(request),
                     "%s %s HTTP/1.1\r\nHost: localhost:9000\r\n%s", method,
                     path, fields);
    if (body != NULL) {
        n += snprintf(request + n, sizeof(request) - (size_t)n,
                      "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
    } else {
        n += snprintf(request + n, sizeof(request) - (size_t)n, "\r\n");
    }
    assert_true((size_t)n < sizeof(request));
    return raw_ask_n(fake.port, request, (size_t)n, &answer);
}

UNUSED static int get(const char *path)
{
    return ask_with("GET", path, "", NULL);
}

UNUSED static int post(const char *path, const char *body)
{
    return ask_with("POST", path, "", body);
}

/* The answer's body as JSON. A new reference. */
UNUSED static json_t *json(void)
{
    json_error_t e;
    json_t *j = json_loads(answer.body, JSON_REJECT_DUPLICATES, &e);
    if (j == NULL) {
        fail_msg("%s: %s", e.text, answer.body);
    }
    return j;
}

#define assert_code(expected)                                                  \
    do {                                                                       \
        json_t *j_ = json();                                                   \
        assert_string_equal(json_string_value(json_object_get(j_, "code")),    \
                            expected);                                         \
        assert_true(json_is_string(json_object_get(j_, "error")));             \
        assert_true(json_is_object(json_object_get(j_, "detail")));            \
        json_decref(j_);                                                       \
    } while (0)
