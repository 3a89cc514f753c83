#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/attr.h"
#include "telemetry/series.h"

#define T0 UINT64_C(1700000000000)
#define HOUR_MS UINT64_C(3600000)

static const struct telemetry_state nothing;

static double value(const struct telemetry *t, uint64_t now_ms,
                    const char *name)
{
    size_t i = 0;
    assert_int_equal(telemetry_series_find(str_c(name), &i), 0);
    return telemetry_series_value(t, &nothing, now_ms, i);
}

#define assert_value(t, now, name, expected)                                   \
    assert_float_equal(value((t), (now), (name)), (expected), 0.000001)

static void every_series_is_found_by_its_name(void **state)
{
    (void)state;
    size_t count = telemetry_series_count();
    assert_true(count > TELEMETRY_FLOWS && count <= TELEMETRY_SERIES_MAX);
    for (size_t i = 0; i < count; i++) {
        struct telemetry_series s = telemetry_series(i);
        size_t found = SIZE_MAX;
        assert_int_equal(telemetry_series_find(str_c(s.name), &found), 0);
        assert_int_equal(found, i);
        assert_true(strlen(s.unit) > 0 && strlen(s.help) > 0);
        assert_int_equal(s.is_flow, i < TELEMETRY_FLOWS);
    }
}

static void a_twin_is_the_series_it_is_the_same_as(void **state)
{
    (void)state;
    size_t i = 0;
    size_t j = 1;
    assert_int_equal(telemetry_series_find(STR("queue_depth"), &i), 0);
    assert_int_equal(telemetry_series_find(STR("event_queue_depth"), &j), 0);
    assert_int_equal(i, j);
    assert_int_equal(telemetry_series_find(STR("nothing"), &i), -ENOENT);
}

static void flows_are_counted_and_put_into_their_windows(void **state)
{
    (void)state;
    struct telemetry *t = telemetry_new(T0);
    telemetry_workflow_finished(t, T0, WORKFLOW_SUCCEEDED, 3000, false);
    telemetry_workflow_finished(t, T0, WORKFLOW_KILLED, 1000, false);
    telemetry_event_accepted(t, T0, STR("alert"), 5);
    assert_int_equal(telemetry_flow_total(t, FLOW_WORKFLOWS_SUCCEEDED), 1);
    assert_int_equal(telemetry_flow_total(t, FLOW_WORKFLOWS_FAILED), 1);
    assert_int_equal(telemetry_flow_total(t, FLOW_WORKFLOW_MS), 4000);
    assert_int_equal(telemetry_flow_total(t, FLOW_EVENTS_ACCEPTED), 5);
    assert_value(t, T0, "workflow_success_rate_1h", 0.5);
    telemetry_free(t);
}

static void what_was_before_is_in_the_windows_only(void **state)
{
    (void)state;
    struct telemetry *t = telemetry_new(T0);
    uint64_t before = T0 - 600000;
    telemetry_restore(t, FLOW_EVENT_ERRORS, before, T0, 7, TELEMETRY_HOUR);
    telemetry_restore(t, FLOW_WORKFLOWS_FAILED, before, T0, 1, TELEMETRY_HOUR);
    telemetry_restore(t, FLOW_WORKFLOWS_SUCCEEDED, before, T0, 3,
                      TELEMETRY_HOUR);
    telemetry_restore(t, FLOW_WORKFLOWS_SUCCEEDED, T0 - 5 * HOUR_MS, T0, 9,
                      TELEMETRY_DAY);
    telemetry_restore(t, FLOW_WORKFLOW_MS, T0 - 5 * HOUR_MS, T0, 18000,
                      TELEMETRY_DAY);
    assert_value(t, T0, "processing_errors_last_hour", 7);
    assert_value(t, T0, "workflow_success_rate_1h", 0.75);
    assert_value(t, T0, "workflow_success_rate_24h", 1);
    assert_value(t, T0, "avg_workflow_duration_seconds", 2);
    assert_int_equal(telemetry_flow_total(t, FLOW_EVENT_ERRORS), 0);
    assert_value(t, T0, "processing_errors", 0);
    telemetry_free(t);
}

static void knows_which_windows_a_flow_has(void **state)
{
    (void)state;
    assert_true(telemetry_has_window(FLOW_EVENTS_ACCEPTED, TELEMETRY_HOUR));
    assert_false(telemetry_has_window(FLOW_EVENTS_ACCEPTED, TELEMETRY_DAY));
    assert_false(telemetry_has_window(FLOW_WORKFLOW_MS, TELEMETRY_HOUR));
    assert_true(
        telemetry_has_window(FLOW_WORKFLOW_MS, TELEMETRY_HOUR | TELEMETRY_DAY));
    assert_false(telemetry_has_window(FLOW_REMEDIATIONS_ENDED,
                                      TELEMETRY_HOUR | TELEMETRY_DAY));
}

/* Their slots belong to what happened since. */
static void what_is_too_old_or_to_come_is_left_out(void **state)
{
    (void)state;
    struct telemetry *t = telemetry_new(T0);
    telemetry_event_error(t, T0, 1);
    telemetry_restore(t, FLOW_EVENT_ERRORS, T0 - HOUR_MS, T0, 7,
                      TELEMETRY_HOUR);
    telemetry_restore(t, FLOW_EVENT_ERRORS, T0 + HOUR_MS, T0, 7,
                      TELEMETRY_HOUR);
    assert_value(t, T0, "processing_errors_last_hour", 1);
    telemetry_free(t);
}

/* 60 events of the minute before the start, 6 s after it: 1 per second, not
 * 10. */
static void rates_divide_by_what_is_known(void **state)
{
    (void)state;
    struct telemetry *t = telemetry_new(T0);
    for (uint64_t s = 1; s <= 53; s++) {
        telemetry_restore(t, FLOW_EVENTS_ACCEPTED, T0 - s * 1000, T0, 1,
                          TELEMETRY_HOUR);
    }
    telemetry_event_accepted(t, T0, STR("alert"), 7);
    telemetry_known_since(t, T0 - 3600000);
    assert_value(t, T0 + 6000, "ingestion_rate", 1);
    telemetry_known_since(t, T0); /* never less than before */
    assert_value(t, T0 + 6000, "ingestion_rate", 1);
    telemetry_free(t);
}

static void says_what_each_bucket_has(void **state)
{
    (void)state;
    struct telemetry *t = telemetry_new(T0);
    uint64_t counts[HISTOGRAM_BUCKETS_MAX + 1];
    const uint64_t *bounds = NULL;
    telemetry_observe_us(t, TIMING_EVENT_TO_WORKFLOW, 5000000);
    telemetry_observe_us(t, TIMING_EVENT_TO_WORKFLOW, 60000000);
    uint32_t n =
        telemetry_timing_counts(t, TIMING_EVENT_TO_WORKFLOW, counts, &bounds);
    assert_int_equal(counts[n - 1], 1);
    for (uint32_t i = 0; i + 1 < n; i++) {
        assert_int_equal(counts[i], bounds[i] == 5000000 ? 1 : 0);
    }
    telemetry_free(t);
}

static struct id id_at(uint64_t ms, uint8_t last)
{
    struct id id = id_floor(ms);
    id.bytes[15] = last;
    return id;
}

/* By an event, by hand, as a dry run; held to the end, cancelled. */
static void remediations_are_those_that_an_event_started(void **state)
{
    (void)state;
    struct telemetry *t = telemetry_new(T0);
    struct workflow_row wf = {.id = id_at(T0, 1),
                              .event_id = id_at(T0, 2),
                              .status = WORKFLOW_QUEUED,
                              .created_ms = T0};
    struct workflow_row by_hand = wf;
    struct workflow_row dry = wf;
    struct workflow_row good = wf;
    struct workflow_row stopped = wf;
    by_hand.event_id = ID_NULL;
    dry.dry_run = true;
    good.status = by_hand.status = dry.status = WORKFLOW_SUCCEEDED;
    good.started_ms = T0 + 1000;
    good.finished_ms = T0 + 91000;
    stopped.status = WORKFLOW_CANCELLED;
    const struct record records[] = {
        {.kind = RECORD_WORKFLOW_NEW, .workflow = wf},
        {.kind = RECORD_WORKFLOW_NEW, .workflow = wf},
        {.kind = RECORD_WORKFLOW_NEW, .workflow = by_hand},
        {.kind = RECORD_WORKFLOW_NEW, .workflow = dry},
        {.kind = RECORD_WORKFLOW_SET, .workflow = good},
        {.kind = RECORD_WORKFLOW_SET, .workflow = stopped},
    };
    telemetry_records(t, T0, records, ARRAY_LEN(records));
    assert_int_equal(telemetry_flow_total(t, FLOW_WORKFLOWS_TRIGGERED), 2);
    assert_int_equal(telemetry_flow_total(t, FLOW_REMEDIATIONS_ENDED), 2);
    assert_int_equal(telemetry_flow_total(t, FLOW_REMEDIATIONS_SUCCEEDED), 1);
    uint64_t counts[HISTOGRAM_BUCKETS_MAX + 1];
    const uint64_t *bounds = NULL;
    uint32_t n = telemetry_timing_counts(t, TIMING_EXECUTION, counts, &bounds);
    for (uint32_t i = 0; i + 1 < n; i++) {
        assert_int_equal(counts[i], bounds[i] == 120000000 ? 1 : 0);
    }
    telemetry_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_series_is_found_by_its_name),
        cmocka_unit_test(a_twin_is_the_series_it_is_the_same_as),
        cmocka_unit_test(flows_are_counted_and_put_into_their_windows),
        cmocka_unit_test(what_was_before_is_in_the_windows_only),
        cmocka_unit_test(knows_which_windows_a_flow_has),
        cmocka_unit_test(what_is_too_old_or_to_come_is_left_out),
        cmocka_unit_test(rates_divide_by_what_is_known),
        cmocka_unit_test(says_what_each_bucket_has),
        cmocka_unit_test(remediations_are_those_that_an_event_started),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
