/* GET /api/guards: rows, numbers, pages, filters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>

#include "model/runbook_load.h"
#include "store/committer.h"
#include "store/memory.h"
#include "tests/unit/api/fake.h"

static const char disk_text[] =
    "name: Disk\n"
    "triggers:\n"
    "  - {id: cools, type: alert, dedup: labels.a, cooldown: 1h}\n"
    "  - {id: spent, type: alert, max_runs: {limit: 2, within: 1h}}\n"
    "  - {id: counts, type: alert, count: {at_least: 3, within: 1h}}\n"
    "steps: [{name: a, command: 'true'}]\n";

static void load_disk(void)
{
    struct runbook *rb = NULL;
    struct runbook_report report = {0};
    assert_int_equal(runbook_load(STR("disk.yaml"), str_c(disk_text),
                                  &fake_defaults, &rb, &report),
                     0);
    runbook_report_deinit(&report);
    const struct generation_file file = {
        .path = rb->path, .state = FILE_LOADED, .runbook = rb};
    generation_unref(fake.generation);
    fake.generation = generation_new(&file, 1, STR("c0"), 2, os_epoch_ms());
}

static void keep(const char *path, const char *trigger, const char *key,
                 uint64_t started_ms)
{
    const uint64_t at[] = {started_ms, started_ms};
    bool counts = strcmp(trigger, "counts") == 0;
    struct record record = {
        .kind = RECORD_MEMORY_SET,
        .memory = {.runbook_path = str_c(path),
                   .trigger = str_c(trigger),
                   .key = str_c(key),
                   .expires_ms = started_ms + 7200000,
                   .last_workflow = counts ? ID_NULL : id_floor(started_ms),
                   .events_ms = at,
                   .event_count = counts ? 2 : 0,
                   .starts_ms = at,
                   .start_count = counts ? 0 : 2}};
    struct store_op op = {.kind = STORE_APPLY,
                          .apply = {.records = &record, .count = 1}};
    fake_run(&op);
    assert_int_equal(op.result, 0);
}

/* The guards of an answer. A new reference to the whole. */
static json_t *guards(const char *path, json_t **ret)
{
    assert_int_equal(get(path), 200);
    json_t *all = json();
    *ret = json_object_get(all, "guards");
    assert_true(json_is_array(*ret));
    return all;
}

static const char *text(const json_t *list, size_t i, const char *key)
{
    return json_string_value(json_object_get(json_array_get(list, i), key));
}

static json_int_t whole(const json_t *list, size_t i, const char *key)
{
    const json_t *n = json_object_get(json_array_get(list, i), key);
    assert_true(json_is_number(n));
    return (json_int_t)json_number_value(n);
}

static bool is_null(const json_t *list, size_t i, const char *key)
{
    return json_is_null(json_object_get(json_array_get(list, i), key));
}

static int set_up(void **state)
{
    (void)fake_start(state);
    load_disk();
    return 0;
}

static void nothing_is_remembered(void **state)
{
    (void)state;
    json_t *list = NULL;
    json_t *all = guards("/api/guards", &list);
    assert_int_equal(json_array_size(list), 0);
    assert_true(json_is_null(json_object_get(all, "next_cursor")));
    json_decref(all);
}

static void a_guard_has_its_numbers(void **state)
{
    (void)state;
    json_t *list = NULL;
    uint64_t at_ms = os_epoch_ms() / 1000 * 1000 - 600000;
    keep("disk.yaml", "cools", "a=1", at_ms);
    keep("disk.yaml", "counts", "", at_ms);
    keep("disk.yaml", "spent", "", at_ms);
    keep("gone.yaml", "#1", "", at_ms);
    json_t *all = guards("/api/guards", &list);
    assert_int_equal(json_array_size(list), 4);
    assert_string_equal(text(list, 0, "held_by"), "cooldown");
    assert_string_equal(text(list, 0, "key"), "a=1");
    assert_int_equal(whole(list, 0, "cooldown_seconds"), 3600);
    assert_int_equal(whole(list, 0, "held_until"),
                     (json_int_t)(at_ms / 1000) + 3600);
    assert_true(is_null(list, 0, "runs_limit"));
    assert_non_null(
        strstr(text(list, 0, "reason"), "10m of 1h have passed since wf-"));
    assert_int_equal(strncmp(text(list, 0, "last_workflow"), "wf-", 3), 0);
    /* Two have come; the next one starts it. */
    assert_string_equal(text(list, 1, "trigger"), "counts");
    assert_true(is_null(list, 1, "held_by"));
    assert_int_equal(whole(list, 1, "events"), 2);
    assert_int_equal(whole(list, 1, "events_needed"), 3);
    assert_true(is_null(list, 1, "last_workflow"));
    assert_string_equal(text(list, 2, "held_by"), "max_runs");
    assert_int_equal(whole(list, 2, "runs"), 2);
    assert_int_equal(whole(list, 2, "runs_limit"), 2);
    assert_int_equal(whole(list, 2, "runs_within_seconds"), 3600);
    assert_int_equal(whole(list, 2, "forgotten_at"),
                     (json_int_t)(at_ms / 1000) + 7200);
    /* Its runbook has no such trigger any more: it holds nothing back. */
    assert_true(is_null(list, 3, "held_by"));
    assert_true(
        json_is_false(json_object_get(json_array_get(list, 3), "in_force")));
    json_decref(all);
}

/* Every page goes on where the one before has ended, filtered or not. */
static void pages_have_every_guard_once(void **state)
{
    (void)state;
    char path[4096] = "/api/guards?limit=2&runbook=disk.yaml";
    char key[16];
    unsigned seen = 0;
    for (unsigned i = 0; i < 5; i++) {
        (void)snprintf(key, sizeof(key), "a=%u", i);
        keep("disk.yaml", "cools", key, os_epoch_ms());
        keep("other.yaml", "cools", key, os_epoch_ms());
    }
    for (;;) {
        json_t *list = NULL;
        json_t *all = guards(path, &list);
        assert_true(json_array_size(list) <= 2);
        for (size_t i = 0; i < json_array_size(list); i++, seen++) {
            (void)snprintf(key, sizeof(key), "a=%u", seen);
            assert_string_equal(text(list, i, "key"), key);
        }
        const char *next =
            json_string_value(json_object_get(all, "next_cursor"));
        (void)snprintf(path, sizeof(path),
                       "/api/guards?limit=2&runbook=disk.yaml&cursor=%s",
                       next != NULL ? next : "");
        bool more = next != NULL;
        json_decref(all);
        if (!more) {
            break;
        }
    }
    assert_int_equal(seen, 5);
    json_t *list = NULL;
    json_t *all = guards(
        "/api/guards?filter=guard.held_by%20%3D%3D%20%27cooldown%27", &list);
    assert_int_equal(json_array_size(list), 5); /* other.yaml is not there */
    json_decref(all);
}

static void a_made_up_cursor_is_refused(void **state)
{
    (void)state;
    assert_int_equal(get("/api/guards?cursor=YQ"), 400);
    assert_int_equal(get("/api/guards?cursor=%21"), 400);
    assert_int_equal(get("/api/guards?limit=0"), 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_remembered, set_up,
                                        fake_stop),
        cmocka_unit_test_setup_teardown(a_guard_has_its_numbers, set_up,
                                        fake_stop),
        cmocka_unit_test_setup_teardown(pages_have_every_guard_once, set_up,
                                        fake_stop),
        cmocka_unit_test_setup_teardown(a_made_up_cursor_is_refused, set_up,
                                        fake_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
