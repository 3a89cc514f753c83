/* What triggers watch: whole rows, by runbook path, trigger and key. */
#include <errno.h>
#include <string.h>

#include "tests/store/fixture.h"

static const uint64_t instants[] = {1, T0_MS, UINT64_MAX / 4};

static struct watch_row row_of(const char *path, const char *trigger,
                               const char *key)
{
    struct watch_row row = {.runbook_path = str_c(path),
                            .trigger = str_c(trigger),
                            .key = str_c(key),
                            .state = EVENT_FIRING,
                            .alert = STR("fp-1"),
                            .newest_seq = 7,
                            .starts_ms = T0_MS - 9,
                            .since_ms = T0_MS - 8,
                            .seen_ms = T0_MS - 7,
                            .due_ms = T0_MS + 6,
                            .within_ms = 14,
                            .expires_ms = T0_MS + 1000,
                            .parameters = STR("{\"a\":\"\xc3\xa9\"}"),
                            .error = STR("no label"),
                            .held = STR("it is disabled"),
                            .changes_ms = instants,
                            .change_count = 3};
    row.event_id.bytes[3] = 7;
    return row;
}

static int apply(struct fixture *f, enum record_kind kind, struct watch_row row)
{
    const struct record r = {.kind = kind, .watch = row};
    return fixture_apply(f, &r, 1);
}

static uint32_t list(struct fixture *f, struct memory_filter filter,
                     struct watch_row **ret)
{
    uint32_t count = 0;
    filter.limit = filter.limit != 0 ? filter.limit : 100;
    assert_int_equal(
        f->reader->ops->watches(f->reader, &filter, &f->arena, ret, &count), 0);
    return count;
}

static void a_row_comes_back_whole(void **state)
{
    struct fixture *f = *state;
    struct watch_row *rows = NULL;
    struct watch_row row = row_of("a.yaml", "#1", "k=\xc3\xa9,l=2");
    assert_int_equal(list(f, (struct memory_filter){0}, &rows), 0);
    assert_int_equal(apply(f, RECORD_WATCH_SET, row), 0);
    fixture_restart(f);
    assert_int_equal(list(f, (struct memory_filter){0}, &rows), 1);
    assert_str(rows[0].runbook_path, "a.yaml");
    assert_str(rows[0].trigger, "#1");
    assert_str(rows[0].key, "k=\xc3\xa9,l=2");
    assert_int_equal(rows[0].state, EVENT_FIRING);
    assert_str(rows[0].alert, "fp-1");
    assert_int_equal(rows[0].newest_seq, 7);
    assert_int_equal(rows[0].starts_ms, T0_MS - 9);
    assert_int_equal(rows[0].since_ms, T0_MS - 8);
    assert_int_equal(rows[0].seen_ms, T0_MS - 7);
    assert_int_equal(rows[0].due_ms, T0_MS + 6);
    assert_int_equal(rows[0].within_ms, 14);
    assert_int_equal(rows[0].expires_ms, T0_MS + 1000);
    assert_id(rows[0].event_id, row.event_id);
    assert_str(rows[0].parameters, "{\"a\":\"\xc3\xa9\"}");
    assert_str(rows[0].error, "no label");
    assert_str(rows[0].held, "it is disabled");
    assert_int_equal(rows[0].change_count, 3);
    assert_memory_equal(rows[0].changes_ms, instants, sizeof(instants));
}

static void another_row_of_the_key_replaces_it(void **state)
{
    struct fixture *f = *state;
    struct watch_row *rows = NULL;
    struct watch_row row = row_of("a.yaml", "#1", "");
    assert_int_equal(apply(f, RECORD_WATCH_SET, row), 0);
    row.state = EVENT_RESOLVED;
    row.due_ms = 0;
    row.event_id = ID_NULL;
    row.change_count = 0;
    assert_int_equal(apply(f, RECORD_WATCH_SET, row), 0);
    assert_int_equal(list(f, (struct memory_filter){0}, &rows), 1);
    assert_int_equal(rows[0].state, EVENT_RESOLVED);
    assert_int_equal(rows[0].due_ms, 0);
    assert_true(id_is_null(rows[0].event_id));
    assert_int_equal(rows[0].change_count, 0);
    assert_int_equal(apply(f, RECORD_WATCH_DROP, row), 0);
    assert_int_equal(apply(f, RECORD_WATCH_DROP, row), 0);
    assert_int_equal(list(f, (struct memory_filter){0}, &rows), 0);
}

static void rows_are_listed_in_order_page_by_page(void **state)
{
    struct fixture *f = *state;
    static const char *const names[][3] = {{"a.yaml", "#1", ""},
                                           {"a.yaml", "#1", "k=1"},
                                           {"a.yaml", "web", "k=1"},
                                           {"b.yaml", "#1", "k=2"},
                                           {"b.yaml", "#1", "k=22"}};
    for (size_t i = ARRAY_LEN(names); i-- > 0;) {
        assert_int_equal(apply(f, RECORD_WATCH_SET,
                               row_of(names[i][0], names[i][1], names[i][2])),
                         0);
    }
    struct memory_filter filter = {.limit = 2};
    struct watch_row *rows = NULL;
    uint32_t seen = 0;
    uint32_t count = list(f, filter, &rows);
    while (count != 0) {
        for (uint32_t i = 0; i < count; i++, seen++) {
            assert_str(rows[i].runbook_path, names[seen][0]);
            assert_str(rows[i].trigger, names[seen][1]);
            assert_str(rows[i].key, names[seen][2]);
        }
        filter.after_runbook = rows[count - 1].runbook_path;
        filter.after_trigger = rows[count - 1].trigger;
        filter.after_key = rows[count - 1].key;
        count = list(f, filter, &rows);
    }
    assert_int_equal(seen, ARRAY_LEN(names));
    assert_int_equal(
        list(f, (struct memory_filter){.runbook = STR("b.yaml")}, &rows), 2);
}

/* All or none, with the workflow that is started. */
static void what_fails_beside_it_leaves_it_as_it_was(void **state)
{
    struct fixture *f = *state;
    struct watch_row *rows = NULL;
    struct workflow_row nobodys = fixture_workflow(f);
    nobodys.rev = 2;
    struct watch_row kept = row_of("a.yaml", "#1", "kept");
    assert_int_equal(apply(f, RECORD_WATCH_SET, kept), 0);
    kept.due_ms = 1;
    struct record records[] = {
        {.kind = RECORD_WATCH_SET, .watch = row_of("a.yaml", "#1", "new")},
        {.kind = RECORD_WATCH_SET, .watch = kept},
        {.kind = RECORD_WORKFLOW_SET, .workflow = nobodys}};
    assert_int_equal(fixture_apply(f, records, 3), -ESTALE);
    records[1].kind = RECORD_WATCH_DROP;
    assert_int_equal(fixture_apply(f, records, 3), -ESTALE);
    assert_int_equal(list(f, (struct memory_filter){0}, &rows), 1);
    assert_str(rows[0].key, "kept");
    assert_int_equal(rows[0].due_ms, T0_MS + 6);
}

const struct conformance_case watch_cases[] = {
    {"a watch comes back whole", a_row_comes_back_whole},
    {"another watch of the key replaces it",
     another_row_of_the_key_replaces_it},
    {"watches are listed in order, page by page",
     rows_are_listed_in_order_page_by_page},
    {"what fails beside a watch leaves it as it was",
     what_fails_beside_it_leaves_it_as_it_was},
};
const size_t watch_case_count = ARRAY_LEN(watch_cases);
