#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/json.h"
#include "expr/cel_conform.h"
#include "os/zone.h"

/* The conformance suite of CEL, where it is (ADP_TEST_DATA/cel). */

#define CASES_LEAST 1000

static struct zones *zones;

static int zone_of(void *context, struct str name, int64_t seconds,
                   int32_t *ret)
{
    return zones_offset(context, name, seconds, ret);
}

static const char *text_of(const json_t *test, const char *name)
{
    const char *text = json_string_value(json_object_get(test, name));
    return text == NULL ? "" : text;
}

/* One line of the file; true if it passed. There are no exceptions. */
static bool run_line(struct str line)
{
    struct strbuf why = STRBUF_INIT(4096);
    struct strbuf name = STRBUF_INIT(400);
    /* Not json_read: cases hold NUL characters, which it refuses. */
    json_t *test = json_loadb(line.at, line.len, JSON_ALLOW_NUL, NULL);
    if (test == NULL) {
        print_message("# not JSON: %.*s\n", STR_ARG(line));
        return false;
    }
    strbuf_addf(&name, "%s/%s/%s", text_of(test, "file"),
                text_of(test, "section"), text_of(test, "name"));
    const struct cel_conform_zone zone = {zone_of, zones};
    enum cel_verdict v = cel_conform(test, &zone, &why);
    bool ok = v == CEL_VERDICT_PASS;
    if (!ok) {
        print_message("# %s: %s: %s\n", name.at, text_of(test, "expr"), why.at);
    }
    json_decref(test);
    strbuf_deinit(&why);
    strbuf_deinit(&name);
    return ok;
}

static void test_the_suite(void **state)
{
    const char *folder = getenv("ADP_TEST_DATA");
    char path[4096];
    char *line = NULL;
    size_t cap = 0;
    unsigned count = 0;
    unsigned failed = 0;
    (void)state;
    (void)snprintf(path, sizeof(path), "%s/cel/conformance.jsonl",
                   folder == NULL ? "" : folder);
    FILE *f = folder == NULL ? NULL : fopen(path, "re");
    if (f == NULL) {
        print_message("# skipped: no conformance suite, ADP_TEST_DATA is not "
                      "set\n");
        return;
    }
    zones = zones_new(ZONES_FOLDER);
    for (ssize_t n = 0; (n = getline(&line, &cap, f)) > 0; count++) {
        failed += run_line(str_n(line, (size_t)n)) ? 0 : 1;
    }
    zones_free(zones);
    free(line);
    (void)fclose(f);
    print_message("# %u cases, %u failed\n", count, failed);
    assert_int_equal(failed, 0);
    assert_true(count >= CASES_LEAST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_suite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
