#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/prng.h"
#include "data/json.h"
#include "model/event_json.h"

#define ALERT                                                                  \
    "{\"type\":\"alert\",\"source\":\"prometheus\",\"labels\":{"               \
    "\"severity\":\"warning\",\"alertname\":\"HighMemoryUsage\"},"             \
    "\"annotations\":{\"summary\":\"High memory usage\"}}"
#define METRIC                                                                 \
    "{\"type\": \"metric\", \"metric_name\": \"cpu_usage_percent\",\n"         \
    "  \"value\": 95, \"labels\": {\"instance\": \"server-01\"}}"

/* True if the quick reader takes it; what it makes of it must then be what
 * the strict one makes of it. */
static bool quick_takes(struct str text)
{
    struct arena a = ARENA_INIT;
    struct event quick = {0};
    struct event strict = {0};
    struct err err = ERR_INIT;
    json_t *json = NULL;
    int r = event_from_text(text, &a, &quick);
    assert_true(r == 0 || r == -EAGAIN);
    if (r == 0) {
        if (json_read(text, NULL, &json, &err) < 0 ||
            event_from_json(json, &a, &strict, &err) < 0) {
            fail_msg("%s: %.*s", err.message, STR_ARG(text));
        }
        json_decref(json);
        if (!str_eq(quick.body, strict.body)) {
            fail_msg("%.*s\n%.*s", STR_ARG(quick.body), STR_ARG(strict.body));
        }
        assert_true(str_eq(quick.type, strict.type));
        assert_true(str_eq(quick.severity, strict.severity));
        assert_true(str_eq(quick.source, strict.source));
        assert_true(str_eq(quick.fingerprint, strict.fingerprint));
        assert_int_equal(quick.state, strict.state);
        assert_int_equal(quick.priority, strict.priority);
        assert_int_equal(quick.labels.count, strict.labels.count);
        for (uint32_t i = 0; i < quick.labels.count; i++) {
            assert_true(
                str_eq(quick.labels.at[i].name, strict.labels.at[i].name));
            assert_true(
                str_eq(quick.labels.at[i].value, strict.labels.at[i].value));
        }
    }
    arena_deinit(&a);
    return r == 0;
}

static void takes_what_senders_write(void **state)
{
    (void)state;
    static const char *const plain[] = {
        ALERT,
        METRIC,
        "{\"type\":\"a\"}",
        " {\t\"type\" : \"alert\" ,\r\n\"labels\" : { } } \n",
        "{\"type\":\"metric\",\"value\":-12,\"priority\":0}",
        "{\"type\":\"metric\",\"value\":0}",
        "{\"type\":\"metric\",\"value\":999999999999999999}",
        "{\"type\":\"alert\",\"state\":\"resolved\",\"fingerprint\":\"f\"}",
        "{\"type\":\"alert\",\"annotations\":{\"a\":\"\"}}",
        ("{\"type\":\"alert\",\"severity\":\"x\",\"labels\":"
         "{\"severity\":\"y\"},\"group_key\":\"g\",\"generator_url\":\"u\"}"),
    };
    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        if (!quick_takes(str_c(plain[i]))) {
            fail_msg("%s", plain[i]);
        }
    }
}

static void leaves_the_rest_to_the_strict_reader(void **state)
{
    (void)state;
    static const char *const others[] = {
        "",
        "{}",
        "{\"type\":\"\"}",
        "{\"type\":\"Alert\"}",
        "{\"type\":null}",
        "{\"type\":\"a\",\"type\":\"a\"}",
        "{\"type\":\"a\"} x",
        "{\"type\":\"a\",}",
        "{\"type\":\"a\"",
        "{\"type\":\"a",
        "{\"type\":\"a\\u0062\"}",
        "{\"type\":\"a\",\"source\":\"caf\xc3\xa9\"}",
        "{\"type\":\"a\",\"source\":\"\x7f\"}",
        "{\"type\":\"a\",\"source\":\"\n\"}",
        "{\"type\":\"a\",\"colour\":\"red\"}",
        "{\"type\":\"a\",\"timestamp\":1764000000}",
        "{\"type\":\"a\",\"payload\":{}}",
        "{\"type\":\"a\",\"value\":-0}",
        "{\"type\":\"a\",\"value\":01}",
        "{\"type\":\"a\",\"value\":1.0}",
        "{\"type\":\"a\",\"value\":1e3}",
        "{\"type\":\"a\",\"value\":\"1\"}",
        "{\"type\":\"a\",\"value\":1000000000000000000}",
        "{\"type\":\"a\",\"value\":-}",
        "{\"type\":\"a\",\"priority\":10}",
        "{\"type\":\"a\",\"priority\":-1}",
        "{\"type\":\"a\",\"state\":\"burning\"}",
        "{\"type\":\"a\",\"labels\":{\"a\":\"\"}}",
        "{\"type\":\"a\",\"labels\":{\"\":\"a\"}}",
        "{\"type\":\"a\",\"labels\":{\"a\":1}}",
        "{\"type\":\"a\",\"labels\":{\"a\":\"1\",\"a\":\"2\"}}",
        "{\"type\":\"a\",\"labels\":{\"a\":\"1\",}}",
        "{\"type\":\"a\",\"labels\":[]}",
        "{\"type\":\"a\",\"annotations\":{\"a\":\"1\",\"a\":\"1\"}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (quick_takes(str_c(others[i]))) {
            fail_msg("%s", others[i]);
        }
    }
    assert_false(quick_takes(STR("{\"type\":\"a\"}\0")));
    assert_false(quick_takes(STR_NULL));
}

static void meets_every_limit(void **state)
{
    (void)state;
    static const struct {
        const char *form;
        size_t max;
    } limits[] = {
        {"{\"type\":\"%s\"}", EVENT_WORD_MAX_BYTES},
        {"{\"type\":\"a\",\"severity\":\"%s\"}", EVENT_WORD_MAX_BYTES},
        {"{\"type\":\"a\",\"source\":\"%s\"}", EVENT_SOURCE_MAX_BYTES},
        {"{\"type\":\"a\",\"fingerprint\":\"%s\"}", EVENT_SOURCE_MAX_BYTES},
        {"{\"type\":\"a\",\"labels\":{\"%s\":\"x\"}}",
         EVENT_LABEL_NAME_MAX_BYTES},
        {"{\"type\":\"a\",\"labels\":{\"x\":\"%s\"}}",
         EVENT_LABEL_VALUE_MAX_BYTES},
    };
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        char long_text[EVENT_LABEL_VALUE_MAX_BYTES + 2];
        char body[sizeof(long_text) + 100];
        const char *mark = strstr(limits[i].form, "%s");
        for (size_t extra = 0; extra < 2; extra++) {
            memset(long_text, 'a', limits[i].max + extra);
            long_text[limits[i].max + extra] = '\0';
            (void)snprintf(body, sizeof(body), "%.*s%s%s",
                           (int)(mark - limits[i].form), limits[i].form,
                           long_text, mark + 2);
            assert_int_equal(quick_takes(str_c(body)), extra == 0);
        }
    }
}

/* Bytes changed, put in, taken out, at random: never something that the
 * strict reader would not have read the same. */
static void agrees_on_damaged_input(void **state)
{
    (void)state;
    static const char bytes[] = "\"\\{}[]:,0-9.eE \n\ttrfnuaz\x7f\xc3\xa9";
    static const char *const seeds[] = {ALERT, METRIC};
    struct prng p;
    prng_seed(&p, 7);
    size_t taken = 0;
    for (int round = 0; round < 50000; round++) {
        char text[400];
        const char *seed = seeds[prng_below(&p, ARRAY_LEN(seeds))];
        size_t len = strlen(seed);
        memcpy(text, seed, len);
        for (uint64_t n = prng_below(&p, 3); n-- != 0;) {
            size_t at = prng_below(&p, len);
            switch (prng_below(&p, 3)) {
            case 0:
                text[at] = bytes[prng_below(&p, sizeof(bytes) - 1)];
                break;
            case 1:
                memmove(text + at + 1, text + at, len - at);
                text[at] = bytes[prng_below(&p, sizeof(bytes) - 1)];
                len++;
                break;
            default:
                memmove(text + at, text + at + 1, len - at - 1);
                len--;
            }
        }
        taken += quick_takes(str_n(text, len)) ? 1 : 0;
    }
    assert_in_range(taken, 10000, 49000); /* both ways were gone */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_senders_write),
        cmocka_unit_test(leaves_the_rest_to_the_strict_reader),
        cmocka_unit_test(meets_every_limit),
        cmocka_unit_test(agrees_on_damaged_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
