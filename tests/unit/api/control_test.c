/* What operators change: bodies, answers, the trail. The changes themselves
 * are the service's (tests/e2e/test_control.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>

#include "store/committer.h"
#include "store/memory.h"
#include "telemetry/series.h"
#include "tests/unit/api/fake.h"

#define DISK                                                                   \
    "name: Disk\nsteps:\n  - {name: Do, action: exec, command: \"true\"}\n"

static int set_up(void **state)
{
    (void)fake_start(state);
    struct generation_file files[] = {fake_file("disk.yaml", DISK)};
    fake_set_files(files, ARRAY_LEN(files));
    fake.run_id = id_floor(1764000000000);
    return 0;
}

static bool says(const char *text)
{
    return strstr(answer.body, text) != NULL;
}

static void pausing_and_draining(void **state)
{
    (void)state;
    fake.moved = 7;
    fake.status.paused = true;
    assert_int_equal(post("/api/admin/drain-queue", ""), 200);
    assert_int_equal(fake.sweep, CHANGE_DRAIN);
    assert_true(says("\"drained\":7"));
    assert_true(says("\"status\":\"paused\""));
    fake.status.paused = false;
    assert_int_equal(post("/api/admin/resume-processing", "{}"), 200);
    assert_int_equal(fake.sweep, CHANGE_SWEEP_NONE);
    assert_true(says("\"status\":\"processing\""));
    assert_false(says("drained"));
    assert_int_equal(post("/api/admin/drain-queue", "{\"x\":1}"), 400);
}

static void poison_is_listed_requeued_and_cleared(void **state)
{
    (void)state;
    assert_int_equal(get("/api/admin/poison-messages"), 200);
    assert_true(says("\"poison_messages\":[]"));
    fake.moved = 2;
    assert_int_equal(post("/api/admin/requeue-poison-messages", ""), 200);
    assert_true(says("\"requeued\":2"));
    assert_int_equal(post("/api/admin/clear-poison-messages", ""), 200);
    assert_true(says("\"cleared\":2"));
    assert_int_equal(fake.sweep, CHANGE_CLEAR_POISON);
    assert_int_equal(post("/api/admin/replay-drained", ""), 200);
    assert_true(says("\"replayed\":2"));
}

static void priorities_need_events_and_a_number(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "{}",
        "{\"priority\":1}",
        "{\"type\":\"alert\"}",
        "{\"type\":\"alert\",\"priority\":10}",
        "{\"type\":\"alert\",\"priority\":-1}",
        "{\"type\":\"alert\",\"priority\":\"1\"}",
        "{\"type\":\"a/b\",\"priority\":1}",
        "{\"type\":\"alert\",\"priority\":1,\"kind\":2}",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(post("/api/admin/set-event-priority", wrong[i]), 400);
    }
    fake.moved = 3;
    assert_int_equal(post("/api/admin/set-event-priority",
                          "{\"type\":\"alert\",\"severity\":\"critical\","
                          "\"priority\":1}"),
                     200);
    assert_int_equal(fake.sweep, CHANGE_RANK);
    assert_true(says("\"reordered\":3"));
    struct controls *c = service_controls(NULL);
    assert_int_equal(controls_priority(c, STR("alert"), STR("critical"), 5), 1);
    assert_int_equal(controls_priority(c, STR("alert"), STR("warning"), 5), 5);
    controls_unref(c);
}

static void the_rule_that_says_most_decides(void **state)
{
    (void)state;
    assert_int_equal(post("/api/admin/set-event-priority",
                          "{\"severity\":\"critical\",\"priority\":3}"),
                     200);
    assert_int_equal(post("/api/admin/set-event-priority",
                          "{\"type\":\"alert\",\"severity\":\"critical\","
                          "\"priority\":1}"),
                     200);
    assert_int_equal(post("/api/admin/set-event-priority",
                          "{\"type\":\"alert\",\"priority\":2}"),
                     200);
    struct controls *c = service_controls(NULL);
    assert_int_equal(controls_priority(c, STR("alert"), STR("critical"), 5), 1);
    assert_int_equal(controls_priority(c, STR("alert"), STR("info"), 5), 2);
    assert_int_equal(controls_priority(c, STR("metric"), STR("critical"), 5),
                     3);
    assert_int_equal(controls_priority(c, STR("metric"), STR(""), 5), 5);
    controls_unref(c);
}

static void workers_are_1_to_64(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "", "{}", "{\"workers\":0}", "{\"workers\":65}", "{\"workers\":\"8\"}"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(post("/api/admin/scale-workers", wrong[i]), 400);
    }
    assert_int_equal(post("/api/admin/scale-workers", "{\"workers\":8}"), 200);
    struct controls *c = service_controls(NULL);
    assert_int_equal(controls_workers(c), 8);
    controls_unref(c);
    assert_true(says("\"set_by\":\"uid:"));
    assert_int_equal(post("/api/admin/scale-workers", "{\"workers\":null}"),
                     200);
    assert_true(says("\"set_by\":null"));
    c = service_controls(NULL);
    assert_int_equal(controls_workers(c), 0);
    assert_null(controls_scaled(c));
    controls_unref(c);
}

static void workers_are_shown(void **state)
{
    (void)state;
    assert_int_equal(get("/api/admin/workers"), 200);
    assert_true(says("{\"id\":0,\"status\":\"idle\",\"current_task\":null"));
    assert_true(says("{\"id\":1,\"status\":\"stuck\""));
    assert_true(says("\"events\":3,\"done\":2"));
    assert_true(says("\"utilization\":0.250000"));
    fake.moved = 1;
    assert_int_equal(post("/api/admin/restart-workers", ""), 200);
    assert_int_equal(fake.sweep, CHANGE_RESTART);
    assert_true(says("\"status\":\"restarted\""));
    assert_true(says("\"stuck\":1"));
    fake.moved = 0;
    assert_int_equal(post("/api/admin/restart-workers", ""), 200);
    assert_true(says("\"status\":\"none_stuck\""));
}

static void a_disabled_runbook_runs_dry_only(void **state)
{
    (void)state;
    static const char disk[] = "{\"runbook\":\"disk.yaml\"}";
    assert_int_equal(post("/api/runbooks/disable",
                          "{\"runbook\":\"disk.yaml\","
                          "\"reason\":\"it \\\"hurts\\\"\"}"),
                     200);
    assert_true(says("\"enabled\":false"));
    assert_int_equal(get("/api/runbooks"), 200);
    assert_true(says("\"enabled\":false"));
    assert_true(says("\"disabled_reason\":\"it \\\"hurts\\\"\""));
    assert_true(says("\"disabled_by\":\"uid:"));
    assert_int_equal(post("/api/runbooks/execute", disk), 409);
    assert_true(says("runbook_disabled"));
    assert_int_equal(post("/api/runbooks/execute",
                          "{\"runbook\":\"disk.yaml\",\"dry_run\":true}"),
                     200);
    assert_int_equal(post("/api/runbooks/enable", disk), 200);
    assert_int_equal(post("/api/runbooks/execute", disk), 202);
    assert_int_equal(post("/api/runbooks/disable", "{}"), 400);
    assert_int_equal(post("/api/runbooks/disable", "{\"runbook\":\"no.yaml\"}"),
                     404);
    assert_int_equal(post("/api/runbooks/disable", "{\"runbook\":\"../x\"}"),
                     400);
}

static void every_change_is_in_the_trail(void **state)
{
    (void)state;
    assert_int_equal(post("/api/admin/scale-workers", "{\"workers\":8}"), 200);
    assert_int_equal(post("/api/admin/pause-processing", ""), 200);
    assert_int_equal(get("/api/admin/audit?limit=1"), 200);
    assert_true(says("\"action\":\"processing.pause\""));
    assert_true(says("\"after\":true"));
    assert_true(says("\"who\":\"uid:"));
    assert_true(says("\"next_cursor\":\"2\""));
    assert_int_equal(get("/api/admin/audit?limit=5&cursor=2"), 200);
    assert_true(says("\"action\":\"workers.scale\""));
    assert_true(says("\"after\":8"));
    assert_true(says("\"next_cursor\":null"));
}

/* 600 were processed in the last minute, and none came. */
static void a_shrinking_queue_has_an_end(void **state)
{
    (void)state;
    uint64_t now_ms = os_epoch_ms();
    fake.status.queue_depth = 100;
    assert_int_equal(get("/api/admin/queue-analysis"), 200);
    assert_true(says("\"estimated_drain_seconds\":null"));
    telemetry_restore(fake.telemetry, FLOW_EVENTS_PROCESSED, now_ms, now_ms,
                      600, TELEMETRY_HOUR);
    assert_int_equal(get("/api/admin/queue-analysis"), 200);
    assert_false(says("\"estimated_drain_seconds\":null"));
    assert_false(says("\"estimated_drain_seconds\":0,"));
    assert_false(says("\"processing_rate\":0,"));
}

static void what_the_store_refuses_is_said(void **state)
{
    (void)state;
    fake.post_result = -ENOSPC;
    assert_int_equal(post("/api/admin/pause-processing", ""), 507);
    fake.post_result = -EIO;
    assert_int_equal(post("/api/admin/pause-processing", ""), 503);
    assert_true(says("\"store_failed\""));
    fake.post_stored = true;
    assert_int_equal(post("/api/admin/pause-processing", ""), 500);
    assert_true(says("\"not_finished\""));
    fake.post_stored = false;
    fake.post_result = -EAGAIN;
    fake.post_error = "no more threads";
    assert_int_equal(post("/api/admin/restart-workers", ""), 503);
    assert_true(says("\"not_possible\""));
    assert_true(says("no more threads"));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, fake_stop)
    const struct CMUnitTest tests[] = {
        CASE(pausing_and_draining),
        CASE(poison_is_listed_requeued_and_cleared),
        CASE(priorities_need_events_and_a_number),
        CASE(the_rule_that_says_most_decides),
        CASE(workers_are_1_to_64),
        CASE(workers_are_shown),
        CASE(a_disabled_runbook_runs_dry_only),
        CASE(every_change_is_in_the_trail),
        CASE(a_shrinking_queue_has_an_end),
        CASE(what_the_store_refuses_is_said),
    };
    return cmocka_run_group_tests_name("api/control", tests, NULL, NULL);
}
