/* GET /api/metrics/history over a real history file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>

#include "history/history.h"
#include "os/remove.h"
#include "store/committer.h"
#include "store/memory.h"
#include "tests/unit/api/fake.h"

static char folder[] = "/tmp/api-history-XXXXXX";

static int set_up(void **state)
{
    (void)fake_start(state);
    assert_non_null(mkdtemp(folder));
    fake_open_history(folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)fake_stop(state);
    return os_remove_tree(AT_FDCWD, folder);
}

static void add(uint64_t ago_s, const char *name, double value)
{
    struct err err = ERR_INIT;
    uint64_t now_ms = os_epoch_ms();
    struct history_value v = {.name = name, .value = value};
    struct history_sample s = {.at_ms = now_ms - ago_s * 1000,
                               .now_ms = now_ms,
                               .values = &v,
                               .value_count = 1};
    assert_int_equal(history_add(fake.history, &s, &err), 0);
}

static double number(const json_t *j, const char *key)
{
    const json_t *value = json_object_get(j, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static void a_depth_is_averaged(void **state)
{
    (void)state;
    add(100, "event_queue_depth", 4);
    add(100, "event_queue_depth", 7);
    add(7200, "event_queue_depth", 1000);
    assert_int_equal(
        get("/api/metrics/history?metric=event_queue_depth&step=10"), 200);
    json_t *j = json();
    json_t *points = json_object_get(j, "points");
    assert_string_equal(json_string_value(json_object_get(j, "metric")),
                        "event_queue_depth");
    assert_string_equal(json_string_value(json_object_get(j, "unit")),
                        "events");
    assert_float_equal(number(j, "step_seconds"), 10, 0.01);
    assert_int_equal(json_array_size(points), 1);
    const json_t *p = json_array_get(points, 0);
    assert_float_equal(number(p, "value"), 5.5, 0.001);
    assert_float_equal(number(p, "min"), 4, 0.001);
    assert_float_equal(number(p, "max"), 7, 0.001);
    assert_true(number(p, "timestamp") > 1e9);
    assert_true(json_is_string(json_object_get(p, "timestamp_iso")));
    json_decref(j);
    assert_int_equal(
        get("/api/metrics/history?metric=queue_depth&since=3h&step=3h"), 200);
    j = json();
    points = json_object_get(j, "points");
    assert_true(json_array_size(points) >= 1);
    json_decref(j);
}

static void a_flow_is_summed(void **state)
{
    (void)state;
    add(100, "events_accepted", 4);
    add(100, "events_accepted", 7);
    assert_int_equal(get("/api/metrics/history?metric=events_accepted"), 200);
    json_t *j = json();
    assert_string_equal(json_string_value(json_object_get(j, "kind")), "sum");
    json_t *points = json_object_get(j, "points");
    assert_float_equal(number(json_array_get(points, 0), "value"), 11, 0.001);
    json_decref(j);
}

static void without_a_metric_it_lists_them(void **state)
{
    (void)state;
    assert_int_equal(get("/api/metrics/history"), 200);
    json_t *j = json();
    json_t *metrics = json_object_get(j, "metrics");
    assert_int_equal(json_array_size(metrics), (size_t)number(j, "count"));
    size_t i = 0;
    json_t *m = NULL;
    json_array_foreach (metrics, i, m) {
        char path[200];
        (void)snprintf(path, sizeof(path), "/api/metrics/history?metric=%s",
                       json_string_value(json_object_get(m, "name")));
        assert_int_equal(get(path), 200);
    }
    json_decref(j);
}

static void an_unknown_metric_is_told_the_known_ones(void **state)
{
    (void)state;
    assert_int_equal(get("/api/metrics/history?metric=nothing%0a"), 400);
    assert_non_null(strstr(answer.body, "event_queue_depth"));
    assert_code("unknown_metric");
}

static void bad_steps_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"0", "-1", "x", "1ms", ""};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char path[200];
        (void)snprintf(path, sizeof(path),
                       "/api/metrics/history?metric=queue_depth&step=%s",
                       bad[i]);
        assert_int_equal(get(path), 400);
    }
    assert_int_equal(get("/api/metrics/history?metric=queue_depth&since=400d"
                         "&step=600"),
                     400);
    assert_code("out_of_range");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_depth_is_averaged),
        cmocka_unit_test(a_flow_is_summed),
        cmocka_unit_test(without_a_metric_it_lists_them),
        cmocka_unit_test(an_unknown_metric_is_told_the_known_ones),
        cmocka_unit_test(bad_steps_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
