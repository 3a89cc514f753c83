#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "data/json.h"
#include "model/event_json.h"

static struct arena arena;

static int teardown(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static struct event read_event(const char *text)
{
    json_t *json = NULL;
    struct err e = ERR_INIT;
    struct event event = {0};
    assert_int_equal(json_read(str_c(text), NULL, &json, &e), 0);
    assert_int_equal(event_from_json(json, &arena, &event, &e), 0);
    json_decref(json);
    event.seq = 7;
    event.received_ms = 1795465699152;
    event.attempt = 2;
    return event;
}

static void expect_view(const struct event *e, struct str error,
                        const struct id *duplicate_of, const char *expected)
{
    struct strbuf out = STRBUF_INIT(65536);
    json_t *json = NULL;
    struct err err = ERR_INIT;
    event_add_json(&out, e, EVENT_PROCESSED, error, duplicate_of);
    assert_string_equal(strbuf_str(&out).at, expected);
    /* Strict: no name twice. */
    assert_int_equal(json_read(strbuf_str(&out), NULL, &json, &err), 0);
    json_decref(json);
    strbuf_deinit(&out);
}

static void shows_an_event(void **state)
{
    (void)state;
    struct event e = read_event("{\"type\":\"metric\",\"value\":1}");
    expect_view(&e, STR(""), NULL,
                "{\"id\":\"evt-00000000000000000000000000\",\"seq\":7,"
                "\"status\":\"processed\",\"received_at\":1795465699.152,"
                "\"received_at_iso\":\"2026-11-23T20:28:19.152Z\","
                "\"timestamp\":1795465699.152,\"severity\":null,"
                "\"source\":null,\"type\":\"metric\",\"value\":1,"
                "\"attempts\":2,\"error\":null,\"duplicate_of\":null}");
}

static void shows_its_own_times_errors_and_twins(void **state)
{
    (void)state;
    struct id first = {{1}};
    struct event e =
        read_event("{\"type\":\"change\",\"severity\":\"info\","
                   "\"source\":\"ci\",\"timestamp\":10,\"starts_at\":1.5,"
                   "\"ends_at\":2}");
    expect_view(&e, STR("a \"b\"\n"), &first,
                "{\"id\":\"evt-00000000000000000000000000\",\"seq\":7,"
                "\"status\":\"processed\",\"received_at\":1795465699.152,"
                "\"received_at_iso\":\"2026-11-23T20:28:19.152Z\","
                "\"timestamp\":10.000,\"type\":\"change\","
                "\"severity\":\"info\",\"source\":\"ci\","
                "\"starts_at\":1.500,\"ends_at\":2.000,"
                "\"starts_at_iso\":\"1970-01-01T00:00:01.500Z\","
                "\"ends_at_iso\":\"1970-01-01T00:00:02.000Z\","
                "\"attempts\":2,\"error\":\"a \\\"b\\\"\\n\","
                "\"duplicate_of\":\"evt-01000000000000000000000000\"}");
}

static void looks_values_up(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int r;
        const char *text;
    } cases[] = {
        {"type", 0, "alert"},
        {"severity", 0, "critical"},
        {"source", -ENOENT, NULL},
        {"state", 0, "firing"},
        {"priority", 0, "5"},
        {"received_at", 0, "2026-11-23T20:28:19.152Z"},
        {"id", 0, "evt-00000000000000000000000000"},
        {"labels.instance", 0, "web-1"},
        {"labels.a.b-c", 0, "dotted"},
        {"labels.empty", -ENOENT, NULL},
        {"labels.missing", -ENOENT, NULL},
        {"labels.", -ENOENT, NULL},
        {"labels", -EINVAL, NULL},
        {"annotations.summary", 0, "s u m"},
        {"annotations.x.y", 0, "z"},
        {"annotations.missing", -ENOENT, NULL},
        {"value", 0, "95.5"},
        {"payload.a.b", 0, "true"},
        {"payload.list.1", 0, "2"},
        {"payload.list.2", -ENOENT, NULL},
        {"payload.list.x", -ENOENT, NULL},
        {"payload.list.-1", -ENOENT, NULL},
        {"payload.list", -EINVAL, NULL},
        {"payload.a", -EINVAL, NULL},
        {"payload.null", -ENOENT, NULL},
        {"payload.a.b.c", -ENOENT, NULL},
        {"payload..a", -ENOENT, NULL},
        {"payload.", -ENOENT, NULL},
        {"", -ENOENT, NULL},
        {".", -ENOENT, NULL},
        {"missing", -ENOENT, NULL},
    };
    struct event e = read_event(
        "{\"type\":\"alert\",\"severity\":\"critical\",\"value\":95.5,"
        "\"labels\":{\"instance\":\"web-1\",\"a.b-c\":\"dotted\","
        "\"empty\":\"\"},"
        "\"annotations\":{\"summary\":\"s u m\",\"x.y\":\"z\"},"
        "\"payload\":{\"a\":{\"b\":true},\"list\":[1,2],\"null\":null}}");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str text = STR_NULL;
        int r = event_lookup(&e, str_c(cases[i].path), &arena, &text);
        if (r != cases[i].r) {
            fail_msg("%s: %d", cases[i].path, r);
        }
        if (r == 0) {
            assert_true(str_eq_c(text, cases[i].text));
        }
    }
}

static void a_damaged_body_shows_nothing(void **state)
{
    (void)state;
    struct event e = read_event("{\"type\":\"x\"}");
    struct str text = STR_NULL;
    struct strbuf out = STRBUF_INIT(4096);
    static const struct str bodies[] = {STR(""), STR("{"), STR("{}"),
                                        STR("{\"timestamp\"")};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        e.body = bodies[i];
        assert_int_equal(event_lookup(&e, STR("value"), &arena, &text),
                         -ENOENT);
        event_add_json(&out, &e, EVENT_QUEUED, STR(""), NULL);
    }
    strbuf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_an_event),
        cmocka_unit_test(shows_its_own_times_errors_and_twins),
        cmocka_unit_test(looks_values_up),
        cmocka_unit_test(a_damaged_body_shows_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
