#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "engine/engine.h"
#include "integrations/integrations.h"
#include "model/notice.h"
#include "runtime/service.h"

#define T0_MS 1800000000000ULL

/* Not called: nothing is started here. */
int service_post_and_wait(struct service *s, struct service_request *request)
{
    (void)s;
    (void)request;
    fail();
    return -1;
}

void service_write(struct service *s, struct store_op *op)
{
    (void)s;
    (void)op;
    fail();
}

void service_ingest(struct service *s, struct store_op *op)
{
    (void)s;
    (void)op;
    fail();
}

struct telemetry *service_telemetry(struct service *s)
{
    (void)s;
    fail();
    return NULL;
}

uint8_t service_priority(struct service *s, const struct event *e)
{
    (void)s;
    return e->priority;
}

int service_reader(struct service *s, struct reader **ret, struct err *reterr)
{
    (void)s;
    (void)ret;
    (void)reterr;
    fail();
    return -1;
}

static struct integrations *integrations;

static void log_nothing(int priority, const char *message)
{
    (void)priority;
    (void)message;
}

static int set_up(void **state)
{
    (void)state;
    static const char *const all[] = {"failed", "held", "killed", "resolved",
                                      NULL};
    static const char *const some[] = {"failed", NULL};
    struct err err = ERR_INIT;
    struct integrations_options options = {.key_path = "/nonexistent/key",
                                           .log = log_nothing};
    options.configs[INTEGRATION_PAGERDUTY] =
        (struct integration_config){.enabled = true,
                                    .url = "https://events.example.org",
                                    .routing_key = "k",
                                    .notify_on = all};
    options.configs[INTEGRATION_SLACK] = (struct integration_config){
        .enabled = true,
        .webhook_url = "https://hooks.example.org/x",
        .notify_on = some};
    assert_int_equal(integrations_new(&options, &integrations, &err), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    integrations_free(integrations);
    return 0;
}

static struct workflow_row row(enum workflow_status status, const char *params)
{
    return (struct workflow_row){.id = id_floor(T0_MS),
                                 .runbook_path = STR("a/b.yaml"),
                                 .runbook_name = STR("B"),
                                 .requested_by = STR("trigger"),
                                 .parameters = str_c(params),
                                 .status = status,
                                 .error = STR("exit \"3\"")};
}

/* What is added for such a row: its records from the second on. */
static uint32_t enrich(struct workflow_row w, uint64_t now_ms,
                       struct record added[8])
{
    struct effects fx;
    effects_init(&fx);
    struct record r = {.kind = RECORD_WORKFLOW_SET, .workflow = w};
    VEC_PUSH(&fx.records, r);
    integrations_enrich(integrations, &fx, now_ms);
    uint32_t count = (uint32_t)fx.records.count - 1;
    assert_in_range(count, 0, 8);
    for (uint32_t i = 0; i < count; i++) {
        added[i] = fx.records.at[i + 1];
        if (added[i].kind == RECORD_NOTICE_NEW) {
            assert_int_equal(added[i].notice.key.len, 64);
            assert_non_null(strstr(added[i].notice.body.at, "\"a/b.yaml\""));
            assert_null(strstr(added[i].notice.body.at, "s3cret"));
        } else {
            added[i].setting.value.len = added[i].setting.value.len != 0;
        }
    }
    effects_deinit(&fx);
    return count;
}

static void a_failure_is_told_to_whom_it_concerns(void **state)
{
    (void)state;
    struct record r[8];
    assert_int_equal(
        enrich(row(WORKFLOW_FAILED, "{\"p\":\"s3cret\"}"), T0_MS, r), 3);
    assert_int_equal(r[0].notice.channel, INTEGRATION_PAGERDUTY);
    assert_int_equal(r[1].notice.channel, INTEGRATION_SLACK);
    assert_int_equal(r[0].notice.created_ms, T0_MS);
    assert_int_equal(r[2].kind, RECORD_SETTING);
    assert_int_equal(r[2].setting.value.len, 1);
    assert_int_equal(enrich(row(WORKFLOW_HELD, "{}"), T0_MS, r), 2);
    assert_int_equal(r[0].notice.channel, INTEGRATION_PAGERDUTY);
}

static void the_same_is_not_said_again_at_once(void **state)
{
    (void)state;
    struct record r[8];
    struct workflow_row w = row(WORKFLOW_FAILED, "{}");
    assert_int_equal(enrich(w, T0_MS, r), 3);
    assert_int_equal(enrich(w, T0_MS + NOTICE_REPEAT_MS - 1, r), 0);
    assert_int_equal(enrich(row(WORKFLOW_FAILED, "{\"a\":1}"), T0_MS, r), 3);
    assert_int_equal(enrich(w, T0_MS + NOTICE_REPEAT_MS, r), 3);
    assert_int_equal(
        enrich(row(WORKFLOW_KILLED, "{}"), T0_MS + NOTICE_REPEAT_MS, r), 2);
}

static void a_good_end_is_told_to_who_knew_of_the_bad_one(void **state)
{
    (void)state;
    struct record r[8];
    assert_int_equal(enrich(row(WORKFLOW_SUCCEEDED, "{}"), T0_MS, r), 0);
    assert_int_equal(enrich(row(WORKFLOW_FAILED, "{}"), T0_MS, r), 3);
    assert_int_equal(enrich(row(WORKFLOW_RUNNING, "{}"), T0_MS, r), 0);
    assert_int_equal(enrich(row(WORKFLOW_SUCCEEDED, "{\"a\":1}"), T0_MS, r), 0);
    assert_int_equal(enrich(row(WORKFLOW_SUCCEEDED, "{}"), T0_MS, r), 2);
    assert_int_equal(r[0].notice.channel, INTEGRATION_PAGERDUTY);
    assert_int_equal(r[1].kind, RECORD_SETTING);
    assert_int_equal(r[1].setting.value.len, 0);
    assert_int_equal(enrich(row(WORKFLOW_SUCCEEDED, "{}"), T0_MS, r), 0);
}

/* Cancelling repairs nothing; a held workflow waits for just that. */
static void cancelling_ends_only_what_its_own_hold_has_opened(void **state)
{
    (void)state;
    struct record r[8];
    struct workflow_row other = row(WORKFLOW_CANCELLED, "{}");
    other.id = id_floor(T0_MS + 1);
    assert_int_equal(enrich(row(WORKFLOW_FAILED, "{}"), T0_MS, r), 3);
    assert_int_equal(enrich(other, T0_MS, r), 0);
    assert_int_equal(enrich(row(WORKFLOW_CANCELLED, "{}"), T0_MS, r), 0);
    assert_int_equal(enrich(row(WORKFLOW_SUCCEEDED, "{}"), T0_MS, r), 2);
    assert_int_equal(enrich(row(WORKFLOW_HELD, "{}"), T0_MS, r), 2);
    assert_int_equal(enrich(other, T0_MS, r), 0);
    assert_int_equal(enrich(row(WORKFLOW_CANCELLED, "{}"), T0_MS, r), 2);
}

static uint64_t forgotten(void)
{
    struct telemetry_state t = {0};
    integrations_state(integrations, &t);
    return t.incidents_forgotten;
}

/* One more lets the oldest go; what is new is remembered all the same. */
static void the_oldest_of_too_many_is_forgotten(void **state)
{
    (void)state;
    struct record r[8];
    char params[32];
    for (uint64_t i = 0; i < NOTICE_OPEN_MAX; i++) {
        (void)snprintf(params, sizeof(params), "%llu", (unsigned long long)i);
        assert_int_equal(enrich(row(WORKFLOW_FAILED, params), T0_MS + i, r), 3);
    }
    assert_int_equal(forgotten(), 0);
    uint64_t now_ms = T0_MS + NOTICE_OPEN_MAX;
    assert_int_equal(enrich(row(WORKFLOW_FAILED, "new"), now_ms, r), 4);
    assert_int_equal(r[2].kind, RECORD_SETTING);
    assert_int_equal(r[2].setting.value.len, 0); /* the oldest's end */
    assert_int_equal(r[3].setting.value.len, 1);
    assert_int_equal(forgotten(), 1);
    assert_int_equal(enrich(row(WORKFLOW_FAILED, "new"), now_ms, r), 0);
    assert_int_equal(enrich(row(WORKFLOW_SUCCEEDED, "new"), now_ms, r), 2);
    assert_int_equal(enrich(row(WORKFLOW_SUCCEEDED, "0"), now_ms, r), 0);
    assert_int_equal(enrich(row(WORKFLOW_SUCCEEDED, "1"), now_ms, r), 2);
}

static void an_old_incident_makes_room(void **state)
{
    (void)state;
    struct record r[8];
    uint64_t later_ms = T0_MS + NOTICE_OPEN_MAX_AGE_MS;
    assert_int_equal(enrich(row(WORKFLOW_FAILED, "a"), T0_MS, r), 3);
    assert_int_equal(enrich(row(WORKFLOW_FAILED, "b"), later_ms - 1, r), 3);
    assert_int_equal(enrich(row(WORKFLOW_FAILED, "c"), later_ms, r), 4);
    assert_int_equal(enrich(row(WORKFLOW_SUCCEEDED, "a"), later_ms, r), 0);
    assert_int_equal(enrich(row(WORKFLOW_SUCCEEDED, "b"), later_ms, r), 2);
}

static void dry_runs_are_told_to_nobody(void **state)
{
    (void)state;
    struct record r[8];
    struct workflow_row w = row(WORKFLOW_FAILED, "{}");
    w.dry_run = true;
    assert_int_equal(enrich(w, T0_MS, r), 0);
}

/* Too many wait: others are dropped and counted, not written. */
static void what_waits_is_bounded(void **state)
{
    (void)state;
    struct record r[8];
    struct telemetry_state t = {0};
    char params[32];
    for (uint64_t i = 0; i < NOTICE_PENDING_MAX; i++) {
        (void)snprintf(params, sizeof(params), "%llu", (unsigned long long)i);
        assert_true(enrich(row(WORKFLOW_FAILED, params), T0_MS, r) >= 2);
    }
    assert_int_equal(enrich(row(WORKFLOW_FAILED, "last"), T0_MS, r), 0);
    integrations_state(integrations, &t);
    assert_int_equal(t.notices_pending[INTEGRATION_SLACK], NOTICE_PENDING_MAX);
    assert_int_equal(t.notices_dropped[INTEGRATION_SLACK], 1);
    /* The end of what was told has room, or it were open for ever. */
    (void)snprintf(params, sizeof(params), "%llu",
                   (unsigned long long)NOTICE_PENDING_MAX - 1);
    assert_int_equal(enrich(row(WORKFLOW_SUCCEEDED, params), T0_MS, r), 2);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_failure_is_told_to_whom_it_concerns),
        CASE(the_same_is_not_said_again_at_once),
        CASE(a_good_end_is_told_to_who_knew_of_the_bad_one),
        CASE(cancelling_ends_only_what_its_own_hold_has_opened),
        CASE(the_oldest_of_too_many_is_forgotten),
        CASE(an_old_incident_makes_room),
        CASE(dry_runs_are_told_to_nobody),
        CASE(what_waits_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
