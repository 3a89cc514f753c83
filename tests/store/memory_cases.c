/* What triggers remember: whole rows, by runbook path, trigger and key. */
#include <errno.h>
#include <string.h>

#include "tests/store/fixture.h"

static const uint64_t instants[] = {1, T0_MS, T0_MS + 1, UINT64_MAX / 4};

static struct memory_row row_of(const char *path, const char *trigger,
                                const char *key)
{
    struct memory_row row = {.runbook_path = str_c(path),
                             .trigger = str_c(trigger),
                             .key = str_c(key),
                             .expires_ms = T0_MS + 1000,
                             .events_ms = instants,
                             .event_count = 4,
                             .starts_ms = instants + 1,
                             .start_count = 2};
    row.last_workflow.bytes[3] = 7;
    return row;
}

static int apply(struct fixture *f, enum record_kind kind,
                 struct memory_row row)
{
    const struct record r = {.kind = kind, .memory = row};
    return fixture_apply(f, &r, 1);
}

static void keep(struct fixture *f, const char *path, const char *trigger,
                 const char *key)
{
    assert_int_equal(apply(f, RECORD_MEMORY_SET, row_of(path, trigger, key)),
                     0);
}

static uint32_t list(struct fixture *f, struct memory_filter filter,
                     struct memory_row **ret)
{
    uint32_t count = 0;
    filter.limit = filter.limit != 0 ? filter.limit : 100;
    assert_int_equal(
        f->reader->ops->memories(f->reader, &filter, &f->arena, ret, &count),
        0);
    return count;
}

static void a_row_comes_back_whole(void **state)
{
    struct fixture *f = *state;
    struct memory_row *rows = NULL;
    struct memory_row row = row_of("a.yaml", "#1", "k=\xc3\xa9,l=2");
    assert_int_equal(list(f, (struct memory_filter){0}, &rows), 0);
    assert_int_equal(apply(f, RECORD_MEMORY_SET, row), 0);
    fixture_restart(f);
    assert_int_equal(list(f, (struct memory_filter){0}, &rows), 1);
    assert_str(rows[0].runbook_path, "a.yaml");
    assert_str(rows[0].trigger, "#1");
    assert_str(rows[0].key, "k=\xc3\xa9,l=2");
    assert_int_equal(rows[0].expires_ms, T0_MS + 1000);
    assert_id(rows[0].last_workflow, row.last_workflow);
    assert_int_equal(rows[0].event_count, 4);
    assert_memory_equal(rows[0].events_ms, instants, sizeof(instants));
    assert_int_equal(rows[0].start_count, 2);
    assert_memory_equal(rows[0].starts_ms, instants + 1, 16);
}

/* As many as guards keep, under a path that is no runbook's. */
static void the_most_instants_come_back(void **state)
{
    struct fixture *f = *state;
    static uint64_t many[MEMORY_INSTANTS_MAX];
    struct memory_row *rows = NULL;
    struct memory_row row = row_of("", "@starts", "");
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        many[i] = T0_MS + i;
    }
    row.starts_ms = many;
    row.start_count = ARRAY_LEN(many);
    assert_int_equal(apply(f, RECORD_MEMORY_SET, row), 0);
    fixture_restart(f);
    assert_int_equal(list(f, (struct memory_filter){0}, &rows), 1);
    assert_str(rows[0].runbook_path, "");
    assert_int_equal(rows[0].start_count, ARRAY_LEN(many));
    assert_memory_equal(rows[0].starts_ms, many, sizeof(many));
}

static void another_row_of_the_key_replaces_it(void **state)
{
    struct fixture *f = *state;
    struct memory_row *rows = NULL;
    struct memory_row row = row_of("a.yaml", "#1", "");
    keep(f, "a.yaml", "#1", "");
    row.event_count = 0;
    row.start_count = 1;
    row.last_workflow = ID_NULL;
    assert_int_equal(apply(f, RECORD_MEMORY_SET, row), 0);
    assert_int_equal(list(f, (struct memory_filter){0}, &rows), 1);
    assert_int_equal(rows[0].event_count, 0);
    assert_int_equal(rows[0].start_count, 1);
    assert_true(id_is_null(rows[0].last_workflow));
    /* Dropped; and again, which is nothing. */
    assert_int_equal(apply(f, RECORD_MEMORY_DROP, row), 0);
    assert_int_equal(apply(f, RECORD_MEMORY_DROP, row), 0);
    assert_int_equal(list(f, (struct memory_filter){0}, &rows), 0);
}

static void one_row_is_found_by_its_names(void **state)
{
    struct fixture *f = *state;
    struct memory_row row = {0};
    struct memory_name name = {STR("a.yaml"), STR("#1"), STR("k=1")};
    const struct reader_ops *ops = f->reader->ops;
    keep(f, "a.yaml", "#1", "");
    keep(f, "a.yaml", "#1", "k=1");
    keep(f, "a.yaml", "#1", "k=11");
    assert_int_equal(ops->memory(f->reader, &name, &f->arena, &row), 0);
    assert_str(row.key, "k=1");
    assert_int_equal(row.start_count, 2);
    name.key = STR("");
    assert_int_equal(ops->memory(f->reader, &name, &f->arena, &row), 0);
    assert_str(row.key, "");
    name.key = STR("k=2");
    assert_int_equal(ops->memory(f->reader, &name, &f->arena, &row), -ENOENT);
    name = (struct memory_name){STR("a.yaml"), STR("#2"), STR("k=1")};
    assert_int_equal(ops->memory(f->reader, &name, &f->arena, &row), -ENOENT);
    name = (struct memory_name){STR("b.yaml"), STR("#1"), STR("k=1")};
    assert_int_equal(ops->memory(f->reader, &name, &f->arena, &row), -ENOENT);
}

static void rows_are_listed_in_order_page_by_page(void **state)
{
    struct fixture *f = *state;
    static const char *const names[][3] = {
        {"a.yaml", "#1", ""},      {"a.yaml", "#1", "k=1"},
        {"a.yaml", "#2", ""},      {"a.yaml", "web", "k=1"},
        {"b/a.yaml", "#1", "k=2"}, {"b/a.yaml", "#1", "k=22"}};
    for (size_t i = ARRAY_LEN(names); i-- > 0;) {
        keep(f, names[i][0], names[i][1], names[i][2]);
    }
    struct memory_filter filter = {.limit = 4};
    struct memory_row *rows = NULL;
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
        list(f, (struct memory_filter){.runbook = STR("b/a.yaml")}, &rows), 2);
    assert_int_equal(
        list(f, (struct memory_filter){.runbook = STR("b")}, &rows), 0);
}

/* All or none, with the workflow that is started. */
static void what_fails_beside_it_leaves_it_as_it_was(void **state)
{
    struct fixture *f = *state;
    struct memory_row *rows = NULL;
    struct workflow_row nobodys = fixture_workflow(f);
    nobodys.rev = 2;
    keep(f, "a.yaml", "#1", "kept");
    struct memory_row changed = row_of("a.yaml", "#1", "kept");
    changed.start_count = 0;
    struct record records[] = {
        {.kind = RECORD_MEMORY_SET, .memory = row_of("a.yaml", "#1", "new")},
        {.kind = RECORD_MEMORY_SET, .memory = changed},
        {.kind = RECORD_WORKFLOW_SET, .workflow = nobodys}};
    assert_int_equal(fixture_apply(f, records, 3), -ESTALE);
    records[1].kind = RECORD_MEMORY_DROP;
    assert_int_equal(fixture_apply(f, records, 3), -ESTALE);
    assert_int_equal(list(f, (struct memory_filter){0}, &rows), 1);
    assert_str(rows[0].key, "kept");
    assert_int_equal(rows[0].start_count, 2);
}

const struct conformance_case memory_cases[] = {
    {"a memory comes back whole", a_row_comes_back_whole},
    {"the most instants come back", the_most_instants_come_back},
    {"another memory of the key replaces it",
     another_row_of_the_key_replaces_it},
    {"a memory is found by its names", one_row_is_found_by_its_names},
    {"memories are listed in order, page by page",
     rows_are_listed_in_order_page_by_page},
    {"what fails beside a memory leaves it as it was",
     what_fails_beside_it_leaves_it_as_it_was},
};
const size_t memory_case_count = ARRAY_LEN(memory_cases);
