#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/runbook_load.h"
#include "runtime/secrets.h"

#define PARAMETERS                                                             \
    "name: t\nsteps: [{name: a, command: x}]\nparameters:\n"                   \
    "  host: {type: string}\n"                                                 \
    "  key: {type: string, secret: true}\n"                                    \
    "  pin: {type: integer, secret: true}\n"

#define GIVEN "{\"host\":\"a\",\"key\":\"hush \\\"x\\\"\",\"pin\":4711}"

static char key_path[64];

static struct runbook *load(const char *path)
{
    struct runbook_defaults d = RUNBOOK_DEFAULTS;
    struct runbook_report report;
    struct runbook *rb = NULL;
    assert_int_equal(
        runbook_load(str_c(path), STR(PARAMETERS), &d, &rb, &report), 0);
    runbook_report_deinit(&report);
    return rb;
}

static int set_up(void **state)
{
    char folder[] = "/tmp/secrets-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    (void)snprintf(key_path, sizeof(key_path), "%s/key", folder);
    *state = secrets_new(key_path);
    return 0;
}

static int tear_down(void **state)
{
    secrets_free(*state);
    (void)unlink(key_path);
    *strrchr(key_path, '/') = '\0';
    assert_int_equal(rmdir(key_path), 0);
    return 0;
}

static void secrets_are_sealed_and_opened(void **state)
{
    struct arena a = ARENA_INIT;
    struct err err = ERR_INIT;
    struct runbook *rb = load("a.yaml");
    struct str sealed = STR_NULL;
    struct str opened = STR_NULL;
    assert_int_equal(secrets_seal(*state, rb, STR(GIVEN), &a, &sealed, &err),
                     0);
    assert_non_null(strstr(sealed.at, "\"host\":\"a\""));
    assert_null(strstr(sealed.at, "hush"));
    assert_null(strstr(sealed.at, "4711"));
    assert_int_equal(secrets_open(*state, rb, sealed, &a, &opened, &err), 0);
    assert_string_equal(opened.at, GIVEN);
    /* Another life of the engine, with the same key. */
    struct secrets *next = secrets_new(key_path);
    assert_int_equal(secrets_open(next, rb, sealed, &a, &opened, &err), 0);
    assert_string_equal(opened.at, GIVEN);
    secrets_free(next);
    arena_deinit(&a);
    runbook_unref(rb);
}

/* The text of one runbook or parameter is worth nothing in another. */
static void sealed_values_do_not_move(void **state)
{
    struct arena a = ARENA_INIT;
    struct err err = ERR_INIT;
    struct runbook *rb = load("a.yaml");
    struct runbook *other = load("b.yaml");
    struct str sealed = STR_NULL;
    struct str opened = STR_NULL;
    assert_int_equal(
        secrets_seal(*state, rb, STR("{\"key\":\"hush\"}"), &a, &sealed, &err),
        0);
    assert_int_equal(secrets_open(*state, other, sealed, &a, &opened, &err),
                     -EBADMSG);
    assert_non_null(strstr(err.message, "'key'"));
    char *moved = arena_strdup(&a, sealed);
    memcpy(strstr(moved, "key"), "pin", 3);
    assert_int_equal(secrets_open(*state, rb, str_c(moved), &a, &opened, &err),
                     -EBADMSG);
    /* Nor does a plain one pass for one that was sealed. */
    assert_int_equal(
        secrets_open(*state, rb, STR("{\"key\":\"hush\"}"), &a, &opened, &err),
        -EBADMSG);
    arena_deinit(&a);
    runbook_unref(rb);
    runbook_unref(other);
}

/* No secret given: no key is needed, none is made. */
static void without_secrets_there_is_no_key(void **state)
{
    struct arena a = ARENA_INIT;
    struct err err = ERR_INIT;
    struct runbook *rb = load("a.yaml");
    struct str sealed = STR_NULL;
    assert_int_equal(
        secrets_seal(*state, rb, STR("{\"host\":\"a\"}"), &a, &sealed, &err),
        0);
    assert_string_equal(sealed.at, "{\"host\":\"a\"}");
    assert_int_equal(access(key_path, F_OK), -1);
    arena_deinit(&a);
    runbook_unref(rb);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(secrets_are_sealed_and_opened),
        TEST(sealed_values_do_not_move),
        TEST(without_secrets_there_is_no_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
