#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>

#include "base/attr.h"
#include "telemetry/telemetry.h"

#define T0 UINT64_C(1700000000000)
#define SECOND UINT64_C(1000)
#define TEXT_MAX (UINT64_C(1024) * 1024)

static const struct telemetry_state nothing;

/* GET /api/metrics, parsed; owned by the caller. */
static json_t *metrics(const struct telemetry *t,
                       const struct telemetry_state *s, uint64_t now_ms)
{
    struct strbuf out = STRBUF_INIT(TEXT_MAX);
    telemetry_add_json(t, s, now_ms, &out);
    assert_int_equal(strbuf_error(&out), 0);
    json_t *json = json_loadb(out.at, out.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    strbuf_deinit(&out);
    return json;
}

static double number(const struct telemetry *t, uint64_t now_ms,
                     const char *key)
{
    json_t *json = metrics(t, &nothing, now_ms);
    json_t *value = json_object_get(json, key);
    assert_true(json_is_number(value));
    double d = json_number_value(value);
    json_decref(json);
    return d;
}

#define assert_number(t, now, key, expected)                                   \
    assert_float_equal(number((t), (now), (key)), (expected), 0.000001)

static void has_every_key_of_the_manual(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "event_queue_depth",
        "queue_depth",
        "events_per_minute",
        "event_types",
        "processing_errors_last_hour",
        "processing_errors",
        "workflow_success_rate_1h",
        "workflow_success_rate_24h",
        "avg_workflow_duration_seconds",
        "events_processed_per_second",
        "ingestion_rate",
        "processing_rate",
        "active_workflows",
    };
    struct telemetry *t = telemetry_new(T0);
    json_t *json = metrics(t, &nothing, T0);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        assert_non_null(json_object_get(json, keys[i]));
    }
    /* The manual's shell compares it with -gt: no point, no exponent. */
    assert_true(json_is_integer(json_object_get(json, "event_queue_depth")));
    json_decref(json);
    telemetry_free(t);
}

static void an_idle_engine_raises_no_alert(void **state)
{
    (void)state;
    struct telemetry *t = telemetry_new(T0);
    assert_number(t, T0, "workflow_success_rate_1h", 1.0);
    assert_number(t, T0, "workflow_success_rate_24h", 1.0);
    assert_number(t, T0, "avg_workflow_duration_seconds", 0.0);
    assert_number(t, T0, "ingestion_rate", 0.0);
    telemetry_free(t);
}

static void rates_are_over_the_last_minute(void **state)
{
    (void)state;
    struct telemetry *t = telemetry_new(T0);
    for (uint64_t s = 0; s < 300; s++) {
        telemetry_event_accepted(t, T0 + s * 1000, STR("alert"), 4);
        telemetry_event_processed(t, T0 + s * 1000, 3);
    }
    uint64_t now = T0 + 299 * SECOND;
    assert_number(t, now, "events_per_minute", 240);
    assert_number(t, now, "ingestion_rate", 4);
    assert_number(t, now, "processing_rate", 3);
    assert_number(t, now, "events_processed_per_second", 3);
    assert_number(t, now + 60000, "events_per_minute", 0);
    telemetry_free(t);
}

static void a_young_process_divides_by_its_age(void **state)
{
    (void)state;
    struct telemetry *t = telemetry_new(T0);
    telemetry_event_accepted(t, T0, STR("alert"), 10);
    assert_number(t, T0, "ingestion_rate", 10);
    assert_number(t, T0 + 5000, "ingestion_rate", 2);
    assert_number(t, T0 - 5000, "ingestion_rate", 0); /* clock set back */
    telemetry_free(t);
}

static void errors_leave_the_hour_but_not_the_total(void **state)
{
    (void)state;
    struct telemetry *t = telemetry_new(T0);
    telemetry_event_error(t, T0, 2);
    telemetry_event_error(t, T0 + 1800 * SECOND, 3);
    assert_number(t, T0 + 1800 * SECOND, "processing_errors_last_hour", 5);
    assert_number(t, T0 + 3600 * SECOND, "processing_errors_last_hour", 3);
    assert_number(t, T0 + 7200 * SECOND, "processing_errors_last_hour", 0);
    assert_number(t, T0 + 7200 * SECOND, "processing_errors", 5);
    telemetry_free(t);
}

static void success_rates_have_their_windows(void **state)
{
    (void)state;
    struct telemetry *t = telemetry_new(T0);
    telemetry_workflow_finished(t, T0, WORKFLOW_FAILED, 1000, false);
    telemetry_workflow_finished(t, T0, WORKFLOW_KILLED, 1000, false);
    uint64_t later = T0 + 7200 * SECOND;
    telemetry_workflow_finished(t, later, WORKFLOW_SUCCEEDED, 4000, false);
    telemetry_workflow_finished(t, later, WORKFLOW_SUCCEEDED, 6000, false);
    assert_number(t, T0, "workflow_success_rate_1h", 0.0);
    assert_number(t, later, "workflow_success_rate_1h", 1.0);
    assert_number(t, later, "workflow_success_rate_24h", 0.5);
    assert_number(t, later, "avg_workflow_duration_seconds", 3.0);
    uint64_t next_day = T0 + 86400 * SECOND + 60000;
    assert_number(t, next_day, "workflow_success_rate_24h", 1.0);
    assert_number(t, next_day, "avg_workflow_duration_seconds", 5.0);
    telemetry_free(t);
}

static void cancelled_and_dry_runs_do_not_count(void **state)
{
    (void)state;
    struct telemetry *t = telemetry_new(T0);
    telemetry_workflow_finished(t, T0, WORKFLOW_CANCELLED, 1000, false);
    telemetry_workflow_finished(t, T0, WORKFLOW_FAILED, 1000, true);
    assert_number(t, T0, "workflow_success_rate_1h", 1.0);
    telemetry_workflow_finished(t, T0, WORKFLOW_FAILED, 1000, false);
    assert_number(t, T0, "workflow_success_rate_1h", 0.0);
    assert_number(t, T0, "avg_workflow_duration_seconds", 1.0);
    telemetry_free(t);
}

static void active_workflows_are_those_not_ended(void **state)
{
    (void)state;
    struct telemetry *t = telemetry_new(T0);
    struct telemetry_state s = nothing;
    s.workflows[WORKFLOW_QUEUED] = 1;
    s.workflows[WORKFLOW_RUNNING] = 20;
    s.workflows[WORKFLOW_WAITING] = 300;
    s.workflows[WORKFLOW_HELD] = 4000;
    s.workflows[WORKFLOW_SUCCEEDED] = 50000;
    s.workflows[WORKFLOW_CANCELLED] = 600000;
    json_t *json = metrics(t, &s, T0);
    assert_int_equal(
        json_integer_value(json_object_get(json, "active_workflows")), 4321);
    json_decref(json);
    telemetry_free(t);
}

static void types_are_bounded(void **state)
{
    (void)state;
    struct telemetry *t = telemetry_new(T0);
    char name[32];
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < TELEMETRY_TYPES_MAX + 10; i++) {
            (void)snprintf(name, sizeof(name), "type-%u", i);
            telemetry_event_accepted(t, T0, str_c(name), 1);
        }
    }
    telemetry_event_accepted(t, T0, STR("other"), 1);
    telemetry_event_accepted(t, T0, STR(""), 1);
    static char long_name[65];
    for (size_t i = 0; i < sizeof(long_name); i++) {
        long_name[i] = 'x';
    }
    telemetry_event_accepted(t, T0, str_n(long_name, 65), 1);
    json_t *json = metrics(t, &nothing, T0);
    json_t *types = json_object_get(json, "event_types");
    assert_int_equal(json_object_size(types), TELEMETRY_TYPES_MAX + 1);
    assert_int_equal(json_integer_value(json_object_get(types, "type-63")), 2);
    assert_null(json_object_get(types, "type-64"));
    assert_int_equal(json_integer_value(json_object_get(types, "other")), 23);
    json_decref(json);
    telemetry_free(t);
}

static void *accept_types(void *argument)
{
    char name[32];
    for (unsigned i = 0; i < 20000; i++) {
        (void)snprintf(name, sizeof(name), "type-%u", i % 100);
        telemetry_event_accepted(argument, T0, str_c(name), 1);
    }
    return NULL;
}

static void many_threads_make_one_slot_per_type(void **state)
{
    (void)state;
    struct telemetry *t = telemetry_new(T0);
    pthread_t threads[4];
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, accept_types, t), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    json_t *json = metrics(t, &nothing, T0); /* rejects a key given twice */
    json_t *types = json_object_get(json, "event_types");
    json_int_t sum = 0;
    const char *key;
    json_t *value;
    json_object_foreach (types, key, value) {
        sum += json_integer_value(value);
    }
    assert_int_equal(sum, 4 * 20000);
    assert_int_equal(json_object_size(types), TELEMETRY_TYPES_MAX + 1);
    json_decref(json);
    telemetry_free(t);
}

/* ---- records --------------------------------------------------------------
 */

static struct id id_at(uint64_t ms, uint8_t last)
{
    const uint8_t random[10] = {[9] = last};
    return id_make(ms, random);
}

static double timing_count(const struct telemetry *t, const char *name)
{
    json_t *json = metrics(t, &nothing, T0);
    json_t *all = json_object_get(json, "latency_seconds");
    double n =
        json_number_value(json_object_get(json_object_get(all, name), "count"));
    json_decref(json);
    return n;
}

static void follows_records(void **state)
{
    (void)state;
    struct telemetry *t = telemetry_new(T0);
    struct workflow_row wf = {
        .id = id_at(T0 + 5, 1),
        .event_id = id_at(T0, 2),
        .created_ms = T0 + 5,
        .status = WORKFLOW_QUEUED,
    };
    struct workflow_row ended = wf;
    ended.status = WORKFLOW_SUCCEEDED;
    ended.finished_ms = T0 + 2005;
    struct attempt_row running = {
        .key = {.workflow_id = wf.id, .step_no = 0, .attempt = 1},
        .state = ATTEMPT_RUNNING,
        .started_ms = T0 + 20,
    };
    struct attempt_row done = running;
    done.state = ATTEMPT_SUCCEEDED;
    done.finished_ms = T0 + 1020;
    const struct record records[] = {
        {.kind = RECORD_EVENT_DONE, .event_done = {.status = EVENT_PROCESSED}},
        {.kind = RECORD_EVENT_DONE, .event_done = {.status = EVENT_ERROR}},
        {.kind = RECORD_WORKFLOW_NEW, .workflow = wf},
        {.kind = RECORD_ATTEMPT_NEW, .attempt = running},
        {.kind = RECORD_ATTEMPT_SET, .attempt = running},
        {.kind = RECORD_ATTEMPT_SET, .attempt = done},
        {.kind = RECORD_WORKFLOW_SET, .workflow = ended},
    };
    telemetry_records(t, T0 + 10, records, ARRAY_LEN(records));
    assert_number(t, T0 + 10, "processing_errors", 1);
    assert_number(t, T0 + 10, "avg_workflow_duration_seconds", 2.0);
    assert_float_equal(timing_count(t, "event_to_workflow"), 1, 0.1);
    /* Both attempt rows know the start; it is counted once. */
    assert_float_equal(timing_count(t, "event_to_step_start"), 1, 0.1);
    assert_float_equal(timing_count(t, "step"), 1, 0.1);
    assert_float_equal(timing_count(t, "workflow"), 1, 0.1);
    telemetry_free(t);
}

static void a_workflow_by_hand_has_no_event_to_wait_for(void **state)
{
    (void)state;
    struct telemetry *t = telemetry_new(T0);
    struct workflow_row wf = {.id = id_at(T0, 1), .status = WORKFLOW_FAILED};
    const struct record records[] = {
        {.kind = RECORD_WORKFLOW_NEW, .workflow = wf},
    };
    telemetry_records(t, T0, records, ARRAY_LEN(records));
    assert_float_equal(timing_count(t, "event_to_workflow"), 0, 0.1);
    /* Born failed: it counts as finished. */
    assert_number(t, T0, "workflow_success_rate_1h", 0.0);
    telemetry_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_every_key_of_the_manual),
        cmocka_unit_test(an_idle_engine_raises_no_alert),
        cmocka_unit_test(rates_are_over_the_last_minute),
        cmocka_unit_test(a_young_process_divides_by_its_age),
        cmocka_unit_test(errors_leave_the_hour_but_not_the_total),
        cmocka_unit_test(success_rates_have_their_windows),
        cmocka_unit_test(cancelled_and_dry_runs_do_not_count),
        cmocka_unit_test(active_workflows_are_those_not_ended),
        cmocka_unit_test(types_are_bounded),
        cmocka_unit_test(many_threads_make_one_slot_per_type),
        cmocka_unit_test(follows_records),
        cmocka_unit_test(a_workflow_by_hand_has_no_event_to_wait_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
