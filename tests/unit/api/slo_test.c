/* Verdicts and objectives: bodies, answers, what they come from. */
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

static char folder[] = "/tmp/api-slo-XXXXXX";
static char by_event[ID_TEXT_SIZE];
static char by_hand[ID_TEXT_SIZE];

static struct workflow_row workflow(uint8_t no, struct id event_id)
{
    uint64_t now_ms = os_epoch_ms();
    struct workflow_row w = {.id = id_floor(now_ms),
                             .event_id = event_id,
                             .runbook_path = STR("a.yaml"),
                             .runbook_name = STR("A"),
                             .status = WORKFLOW_RUNNING,
                             .created_ms = now_ms,
                             .rev = 1};
    w.id.bytes[15] = no;
    return w;
}

static int set_up(void **state)
{
    (void)fake_start(state);
    struct record records[] = {
        {.kind = RECORD_WORKFLOW_NEW,
         .workflow = workflow(1, id_floor(os_epoch_ms()))},
        {.kind = RECORD_WORKFLOW_NEW, .workflow = workflow(2, ID_NULL)},
    };
    struct store_op op = {.kind = STORE_APPLY,
                          .apply = {.records = records, .count = 2}};
    fake_run(&op);
    assert_int_equal(op.result, 0);
    id_format(records[0].workflow.id, ID_PREFIX_WORKFLOW, by_event);
    id_format(records[1].workflow.id, ID_PREFIX_WORKFLOW, by_hand);
    assert_non_null(mkdtemp(folder));
    fake_open_history(folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)fake_stop(state);
    return os_remove_tree(AT_FDCWD, folder);
}

static int judge(const char *id, const char *body)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "/api/workflows/%s/verdict", id);
    return post(path, body);
}

/* One objective of GET /api/slo. A new reference. */
static json_t *objective(const char *name)
{
    assert_int_equal(get("/api/slo"), 200);
    json_t *j = json();
    json_t *found = NULL;
    size_t i = 0;
    json_t *slo = NULL;
    json_array_foreach (json_object_get(j, "slos"), i, slo) {
        if (strcmp(json_string_value(json_object_get(slo, "name")), name) ==
            0) {
            found = json_incref(slo);
        }
    }
    json_decref(j);
    assert_non_null(found);
    return found;
}

static double number(const json_t *j, const char *key)
{
    const json_t *value = json_object_get(j, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static void without_verdicts_it_is_not_known(void **state)
{
    (void)state;
    json_t *slo = objective("false_positive_rate");
    assert_true(json_is_null(json_object_get(slo, "actual")));
    assert_true(json_is_null(json_object_get(slo, "met")));
    assert_float_equal(number(slo, "samples"), 0, 0.1);
    assert_float_equal(number(slo, "target"), 0.05, 0.0001);
    assert_string_equal(json_string_value(json_object_get(slo, "comparison")),
                        "<");
    assert_string_equal(json_string_value(json_object_get(slo, "window")),
                        "30d");
    json_decref(slo);
    slo = objective("availability");
    assert_true(json_is_boolean(json_object_get(slo, "met")) ||
                json_is_null(json_object_get(slo, "met")));
    json_decref(slo);
}

static void a_verdict_is_kept_and_shown(void **state)
{
    (void)state;
    char path[128];
    assert_int_equal(judge(by_event, "{\"verdict\":\"correct\"}"), 200);
    assert_int_equal(judge(by_event, "{\"verdict\":\"false_positive\","
                                     "\"note\":\"planned\"}"),
                     200);
    json_t *j = json();
    assert_string_equal(json_string_value(json_object_get(j, "id")), by_event);
    assert_string_equal(json_string_value(json_object_get(j, "verdict")),
                        "false_positive");
    json_decref(j);
    (void)snprintf(path, sizeof(path), "/api/workflows/%s", by_event);
    assert_int_equal(get(path), 200);
    j = json();
    json_t *v = json_object_get(j, "verdict");
    assert_string_equal(json_string_value(json_object_get(v, "note")),
                        "planned");
    assert_true(json_is_string(json_object_get(v, "by")));
    json_decref(j);
    json_t *slo = objective("false_positive_rate");
    assert_float_equal(number(slo, "samples"), 1, 0.1);
    assert_float_equal(number(slo, "actual"), 1, 0.0001);
    assert_true(json_is_false(json_object_get(slo, "met")));
    json_t *budget = json_object_get(slo, "error_budget");
    assert_float_equal(number(budget, "total"), 0.05, 0.0001);
    assert_float_equal(number(budget, "used"), 1, 0.0001);
    assert_float_equal(number(budget, "remaining"), -0.95, 0.0001);
    json_decref(slo);
    assert_int_equal(get("/api/admin/audit"), 200);
    assert_non_null(strstr(answer.body, "workflow.verdict"));
    assert_non_null(strstr(answer.body, "planned"));
    /* Taken back. */
    assert_int_equal(judge(by_event, "{\"verdict\":\"none\"}"), 200);
    assert_int_equal(get(path), 200);
    j = json();
    assert_true(json_is_null(json_object_get(j, "verdict")));
    json_decref(j);
}

static void only_what_an_event_started_is_judged(void **state)
{
    (void)state;
    assert_int_equal(judge(by_hand, "{\"verdict\":\"correct\"}"), 409);
    assert_int_equal(
        judge("wf-01jcz0000000000000000000zz", "{\"verdict\":\"correct\"}"),
        404);
}

static void bad_verdicts_are_refused(void **state)
{
    (void)state;
    static char long_note[2200];
    static const char *const bad[] = {
        "{}", "{\"verdict\":\"wrong\"}",  "{\"verdict\":1}",
        "[]", "{\"verdict\":\"missed\"}", "{\"verdict\":\"correct\",\"x\":1}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(judge(by_event, bad[i]), 400);
    }
    (void)snprintf(long_note, sizeof(long_note),
                   "{\"verdict\":\"correct\",\"note\":\"%02001d\"}", 0);
    assert_int_equal(judge(by_event, long_note), 400);
}

static void missed_incidents_count_until_withdrawn(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}", "{\"summary\":\"\"}", "{\"summary\":\"x\",\"occurred_at\":[]}",
        "{\"summary\":\"x\",\"occurred_at\":\"soon\"}",
        "{\"summary\":\"x\",\"occurred_at\":99999999999}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(post("/api/incidents/missed", bad[i]), 400);
    }
    assert_int_equal(post("/api/incidents/missed",
                          "{\"summary\":\"the disk of db-1 was full\"}"),
                     201);
    json_t *j = json();
    char withdraw[160];
    (void)snprintf(withdraw, sizeof(withdraw),
                   "/api/incidents/missed/%s/withdraw",
                   json_string_value(json_object_get(j, "id")));
    json_decref(j);
    assert_int_equal(get("/api/incidents/missed?since=1h"), 200);
    assert_non_null(strstr(answer.body, "the disk of db-1 was full"));
    json_t *slo = objective("incident_detection_accuracy");
    assert_float_equal(number(slo, "samples"), 1, 0.1);
    assert_float_equal(number(slo, "actual"), 0, 0.001);
    json_decref(slo);
    assert_int_equal(post(withdraw, ""), 200);
    assert_int_equal(post(withdraw, ""), 404);
    slo = objective("incident_detection_accuracy");
    assert_float_equal(number(slo, "samples"), 0, 0.1);
    json_decref(slo);
}

static void windows_are_as_asked_for(void **state)
{
    (void)state;
    assert_int_equal(get("/api/slo?since=7d"), 200);
    json_t *j = json();
    assert_float_equal(number(j, "window_seconds"), 7 * 86400, 1.1);
    assert_int_equal(json_array_size(json_object_get(j, "slos")), SLOS);
    json_decref(j);
    assert_int_equal(get("/api/slo?since=x"), 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_verdicts_it_is_not_known),
        cmocka_unit_test(a_verdict_is_kept_and_shown),
        cmocka_unit_test(only_what_an_event_started_is_judged),
        cmocka_unit_test(bad_verdicts_are_refused),
        cmocka_unit_test(missed_incidents_count_until_withdrawn),
        cmocka_unit_test(windows_are_as_asked_for),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
