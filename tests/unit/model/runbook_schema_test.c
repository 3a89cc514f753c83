/* The schema has every key of the tables, whole. That it agrees with the
 * loader on real files is shown by tests/lint/schema_test.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "model/runbook_guards.h"
#include "model/runbook_schema.h"
#include "model/runbook_watch.h"

static const struct {
    const char *definition; /* NULL: the top */
    const struct key_table *table;
} tables[] = {
    {NULL, &runbook_keys},
    {"parameter", &runbook_param_keys},
    {"trigger", &runbook_trigger_keys},
    {"count", &runbook_count_keys},
    {"max_runs", &runbook_max_runs_keys},
    {"guards", &runbook_guard_keys},
    {"concurrency", &runbook_concurrency_keys},
    {"max_starts", &runbook_max_starts_keys},
    {"breaker", &runbook_breaker_keys},
    {"absent", &runbook_absent_keys},
    {"flapping", &runbook_flapping_keys},
    {"step", &runbook_step_keys},
    {"retry", &runbook_retry_keys},
    {"test", &runbook_test_keys},
    {"outcome", &runbook_outcome_keys},
    {"expect", &runbook_expect_keys},
};

static const json_t *mapping_of(const json_t *schema, const char *definition)
{
    return definition == NULL
               ? schema
               : json_object_get(json_object_get(schema, "definitions"),
                                 definition);
}

static bool is_required(const json_t *mapping, const char *name)
{
    size_t i = 0;
    json_t *word = NULL;
    json_array_foreach (json_object_get(mapping, "required"), i, word) {
        if (strcmp(json_string_value(word), name) == 0) {
            return true;
        }
    }
    return false;
}

static void check_key(const json_t *mapping, const struct key *k)
{
    const json_t *p =
        json_object_get(json_object_get(mapping, "properties"), k->name);
    if (p == NULL || k->help == NULL || k->help[0] == '\0') {
        fail_msg("'%s' needs a .help in runbook_keys.c", k->name);
    }
    assert_string_equal(json_string_value(json_object_get(p, "description")),
                        k->help);
    if (json_object_get(p, "type") == NULL &&
        json_object_get(p, "anyOf") == NULL) {
        fail_msg("'%s' has no type", k->name);
    }
    assert_int_equal(is_required(mapping, k->name), k->required);
    assert_int_equal(json_object_get(p, "default") != NULL,
                     k->standard != NULL);
    if (k->kind == KEY_BOOL && k->standard == NULL) {
        fail_msg("'%s' is true or false and has no .standard", k->name);
    }
    if (k->valid != NULL && k->pattern == NULL) {
        fail_msg("'%s' has .valid without .pattern", k->name);
    }
}

static void every_key_is_described(void **state)
{
    (void)state;
    json_auto_t *schema = runbook_schema();
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        const json_t *m = mapping_of(schema, tables[i].definition);
        assert_true(json_is_false(json_object_get(m, "additionalProperties")));
        assert_int_equal(json_object_size(json_object_get(m, "properties")),
                         tables[i].table->count);
        for (size_t k = 0; k < tables[i].table->count; k++) {
            check_key(m, &tables[i].table->keys[k]);
        }
    }
}

/* What `valid` says of a text, its pattern says. */
static void check_pattern(const struct key *k)
{
    static const char *const texts[] = {
        "a",
        "A",
        "1",
        "_",
        "a1",
        "a_b",
        "a-b",
        "a b",
        "1a",
        "-a",
        "a.b",
        "caf\xc3\xa9",
        "root",
        "a\tb",
        "_1",
        "a/b",
        "zZ9",
        "www-data",
        "abcdefghijklmnopqrstuvwxyz012345",
        "abcdefghijklmnopqrstuvwxyz0123456",
    };
    struct pattern *p = NULL;
    struct err e = ERR_INIT;
    /* Ours are anchored, as pattern_compile does it. */
    struct str text = str_slice(str_c(k->pattern), 1, strlen(k->pattern) - 1);
    assert_int_equal(pattern_compile(text, &p, &e), 0);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        /* The reader refuses control characters before `valid` is asked. */
        bool plain = strchr(texts[i], '\t') == NULL;
        bool valid = plain && (k->valid == NULL || k->valid(str_c(texts[i])));
        if (pattern_matches(p, str_c(texts[i])) != (int)valid) {
            fail_msg("'%s': .valid and .pattern differ on \"%s\"", k->name,
                     texts[i]);
        }
    }
    pattern_free(p);
}

static void patterns_are_what_the_loader_checks(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        for (size_t k = 0; k < tables[i].table->count; k++) {
            if (tables[i].table->keys[k].pattern != NULL) {
                check_pattern(&tables[i].table->keys[k]);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_described),
        cmocka_unit_test(patterns_are_what_the_loader_checks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
