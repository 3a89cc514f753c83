#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "telemetry/slo.h"

#define DAY_MS UINT64_C(86400000)
#define S UINT64_C(1000000)

static struct slo_result compute(const struct slo_input *in, enum slo which)
{
    struct slo_result all[SLOS];
    slo_compute(in, all);
    return all[which];
}

#define assert_near(a, b) assert_float_equal((a), (b), 0.0001)

static void the_table_is_the_manual(void **state)
{
    (void)state;
    static const struct {
        enum slo which;
        const char *comparison;
        double target;
    } wanted[] = {
        {SLO_AVAILABILITY, ">=", 0.999},    {SLO_EVENT_LATENCY, "<", 5},
        {SLO_WORKFLOW_SUCCESS, ">=", 0.95}, {SLO_EXECUTION_TIME, "<", 120},
        {SLO_FALSE_POSITIVES, "<", 0.05},   {SLO_DETECTION_ACCURACY, ">", 0.98},
        {SLO_AUTO_REMEDIATION, ">=", 0.8},
    };
    assert_int_equal(ARRAY_LEN(wanted), SLOS);
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        const struct slo_definition *d = &slo_definitions[wanted[i].which];
        assert_string_equal(slo_comparison_text(d->comparison),
                            wanted[i].comparison);
        assert_near(d->target, wanted[i].target);
        assert_true(strlen(d->name) > 0 && strlen(d->measured) > 0);
    }
}

static void nothing_known_is_no_result(void **state)
{
    (void)state;
    struct slo_input nothing = {0};
    struct slo_result all[SLOS];
    slo_compute(&nothing, all);
    for (unsigned i = 0; i < SLOS; i++) {
        assert_int_equal(all[i].samples, 0);
        assert_false(all[i].met);
    }
}

/* 43.2 minutes a month. */
static void availability_has_a_budget_of_seconds(void **state)
{
    (void)state;
    struct slo_input in = {.known_ms = 30 * DAY_MS,
                           .up_ms = 30 * DAY_MS - 648000};
    struct slo_result r = compute(&in, SLO_AVAILABILITY);
    assert_near(r.actual, 0.99975);
    assert_true(r.met);
    assert_near(r.budget_total, 2592);
    assert_near(r.budget_used, 648);
    assert_near(slo_budget_left(&r), 0.75);
    in.up_ms = 30 * DAY_MS - 5184000;
    r = compute(&in, SLO_AVAILABILITY);
    assert_false(r.met);
    assert_near(slo_budget_left(&r), -1);
}

static void times_are_a_p95_and_a_count_of_slow_ones(void **state)
{
    (void)state;
    struct slo_bucket buckets[] = {
        {1 * S, 90}, {5 * S, 6}, {10 * S, 4}, {UINT64_MAX, 0}};
    struct slo_input in = {.latency = {buckets, 4}};
    struct slo_result r = compute(&in, SLO_EVENT_LATENCY);
    assert_int_equal(r.samples, 100);
    assert_near(r.actual, 1 + 4.0 * 5 / 6);
    assert_true(r.met);
    assert_near(r.budget_total, 5);
    assert_near(r.budget_used, 4);
    /* Six slow ones are one too many. */
    buckets[1].count = 4;
    buckets[2].count = 5;
    buckets[3].count = 1;
    r = compute(&in, SLO_EVENT_LATENCY);
    assert_false(r.met);
    assert_true(r.actual > 5);
    assert_near(slo_budget_left(&r), -0.2);
    /* Above all bounds: at least the highest. */
    buckets[3].count = 1000;
    r = compute(&in, SLO_EVENT_LATENCY);
    assert_near(r.actual, 10);
    assert_false(r.met);
}

static void execution_has_its_own_limit(void **state)
{
    (void)state;
    struct slo_bucket buckets[] = {{120 * S, 19}, {300 * S, 1}};
    struct slo_input in = {.execution = {buckets, 2}};
    struct slo_result r = compute(&in, SLO_EXECUTION_TIME);
    assert_near(r.budget_used, 1);
    assert_near(r.budget_total, 1);
    buckets[0].count = 99;
    assert_true(compute(&in, SLO_EXECUTION_TIME).met);
    buckets[1].count = 99;
    assert_false(compute(&in, SLO_EXECUTION_TIME).met);
}

static void success_is_a_share(void **state)
{
    (void)state;
    struct slo_input in = {.succeeded = 96,
                           .failed = 4,
                           .remediations_ended = 10,
                           .remediations_succeeded = 8};
    struct slo_result r = compute(&in, SLO_WORKFLOW_SUCCESS);
    assert_int_equal(r.samples, 100);
    assert_near(r.actual, 0.96);
    assert_true(r.met);
    assert_near(slo_budget_left(&r), 0.2);
    r = compute(&in, SLO_AUTO_REMEDIATION);
    assert_near(r.actual, 0.8);
    assert_true(r.met);
    assert_near(slo_budget_left(&r), 0);
    in.remediations_succeeded = 7;
    assert_false(compute(&in, SLO_AUTO_REMEDIATION).met);
    in.failed = 6;
    in.succeeded = 94;
    assert_false(compute(&in, SLO_WORKFLOW_SUCCESS).met);
}

/* Those that nobody judged are taken to be right, but only when somebody
 * looks at all. */
static void verdicts_decide_what_was_right(void **state)
{
    (void)state;
    struct slo_input in = {.triggered = 100};
    assert_int_equal(compute(&in, SLO_FALSE_POSITIVES).samples, 0);
    assert_int_equal(compute(&in, SLO_DETECTION_ACCURACY).samples, 0);
    in.judged = 5;
    in.false_positives = 4;
    struct slo_result r = compute(&in, SLO_FALSE_POSITIVES);
    assert_int_equal(r.samples, 100);
    assert_near(r.actual, 0.04);
    assert_true(r.met);
    assert_near(slo_budget_left(&r), 0.2);
    r = compute(&in, SLO_DETECTION_ACCURACY);
    assert_near(r.actual, 0.96);
    assert_false(r.met);
    in.false_positives = 1;
    in.missed = 25;
    r = compute(&in, SLO_DETECTION_ACCURACY);
    assert_int_equal(r.samples, 125);
    assert_near(r.actual, 99.0 / 125);
    /* Only a missed one: that says nothing of false ones. */
    in = (struct slo_input){.triggered = 99, .missed = 1};
    assert_int_equal(compute(&in, SLO_FALSE_POSITIVES).samples, 0);
    assert_near(compute(&in, SLO_DETECTION_ACCURACY).actual, 0.99);
    /* Verdicts may outlive the count of what they are about. */
    in = (struct slo_input){.judged = 2, .false_positives = 1};
    assert_near(compute(&in, SLO_FALSE_POSITIVES).actual, 0.5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_the_manual),
        cmocka_unit_test(nothing_known_is_no_result),
        cmocka_unit_test(availability_has_a_budget_of_seconds),
        cmocka_unit_test(times_are_a_p95_and_a_count_of_slow_ones),
        cmocka_unit_test(execution_has_its_own_limit),
        cmocka_unit_test(success_is_a_share),
        cmocka_unit_test(verdicts_decide_what_was_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
