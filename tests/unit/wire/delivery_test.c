#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "data/json.h"
#include "wire/pagerduty.h"
#include "wire/slack.h"

static char *added(struct str s, size_t max, bool entities)
{
    struct strbuf out = STRBUF_INIT(4096);
    delivery_add_text(&out, s, max, entities);
    return strbuf_take(&out);
}

#define assert_added(s, max, entities, expected)                               \
    do {                                                                       \
        char *got_ = added((s), (max), (entities));                            \
        assert_string_equal(got_, expected);                                   \
        mem_free(got_);                                                        \
    } while (0)

static void text_is_cut_by_characters(void **state)
{
    (void)state;
    assert_added(STR("abc"), 3, false, "abc");
    assert_added(STR("abcd"), 3, false, "ab\xE2\x80\xA6");
    assert_added(STR("\xC3\xA4\xC3\xB6\xC3\xBC"), 3, false,
                 "\xC3\xA4\xC3\xB6\xC3\xBC");
    assert_added(STR("\xC3\xA4\xC3\xB6\xC3\xBC!"), 3, false,
                 "\xC3\xA4\xC3\xB6\xE2\x80\xA6");
    assert_added(STR(""), 3, false, "");
}

static void text_is_made_valid(void **state)
{
    (void)state;
    assert_added(STR("a\xFF\xC3"), 9, false, "a??");
    assert_added(STR("a\"\\\n"), 9, false, "a\\\"\\\\\\n");
    assert_added(((struct str){"a\0b", 3}), 9, false, "a b");
    assert_added(STR("\xED\xA0\x80"), 9, false, "???");
}

static void entities_are_never_cut(void **state)
{
    (void)state;
    assert_added(STR("<!channel> & co"), 99, true, "&lt;!channel&gt; &amp; co");
    assert_added(STR("a<<"), 9, true, "a&lt;&lt;");
    assert_added(STR("a<<"), 8, true, "a&lt;\xE2\x80\xA6");
    assert_added(STR("a<<"), 5, true, "a\xE2\x80\xA6");
}

static json_t *parsed(const struct strbuf *b)
{
    json_t *j = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(json_read(strbuf_str(b), NULL, &j, &err), 0);
    return j;
}

static void pagerduty_body(void **state)
{
    (void)state;
    struct strbuf out = STRBUF_INIT(1024 * 1024);
    struct pagerduty_event e = {
        .routing_key = STR("0123456789abcdef0123456789abcdef"),
        .action = PAGERDUTY_TRIGGER,
        .dedup_key = STR("k"),
        .summary = STR("it \"failed\""),
        .source = STR("host"),
        .severity = PAGERDUTY_ERROR,
        .timestamp_ms = 1764000000000,
        .details = STR("{\"a\":1}"),
    };
    pagerduty_add_event(&out, &e);
    assert_string_equal(
        out.at, "{\"event_action\":\"trigger\",\"routing_key\":"
                "\"0123456789abcdef0123456789abcdef\",\"dedup_key\":\"k\","
                "\"payload\":{\"severity\":\"error\",\"summary\":\"it "
                "\\\"failed\\\"\",\"source\":\"host\",\"timestamp\":"
                "\"2025-11-24T16:00:00.000Z\",\"custom_details\":{\"a\":1}},"
                "\"client\":\"autonomous-devops\"}");
    strbuf_reset(&out);
    e.action = PAGERDUTY_RESOLVE;
    pagerduty_add_event(&out, &e);
    assert_string_equal(out.at,
                        "{\"event_action\":\"resolve\",\"routing_key\":"
                        "\"0123456789abcdef0123456789abcdef\",\"dedup_key\":"
                        "\"k\"}");
    strbuf_deinit(&out);
}

/* Too large: the details go, the event does not. */
static void pagerduty_drops_details_that_are_too_large(void **state)
{
    (void)state;
    struct strbuf details = STRBUF_INIT(1024 * 1024);
    struct strbuf out = STRBUF_INIT(1024 * 1024);
    strbuf_addc(&details, "{\"a\":\"");
    while (details.len < PAGERDUTY_BODY_MAX_BYTES) {
        strbuf_addc(&details, "0123456789");
    }
    strbuf_addc(&details, "\"}");
    struct pagerduty_event e = {.routing_key = STR("r"),
                                .summary = STR("s"),
                                .details = strbuf_str(&details)};
    pagerduty_add_event(&out, &e);
    assert_true(out.len < 1000);
    json_t *j = parsed(&out);
    const json_t *d =
        json_object_get(json_object_get(j, "payload"), "custom_details");
    assert_non_null(
        strstr(json_string_value(json_object_get(d, "error")), "512000"));
    json_decref(j);
    strbuf_deinit(&out);
    strbuf_deinit(&details);
}

static void slack_body(void **state)
{
    (void)state;
    struct strbuf out = STRBUF_INIT(64 * 1024);
    struct slack_message m = {.text = STR("a <b>"),
                              .header = STR("head"),
                              .section = STR("*x*"),
                              .context = STR("c")};
    slack_add_message(&out, &m);
    assert_string_equal(
        out.at,
        "{\"text\":\"a &lt;b&gt;\",\"blocks\":[{\"type\":\"header\",\"text\":{"
        "\"type\":\"plain_text\",\"text\":\"head\"}},{\"type\":\"section\","
        "\"text\":{\"type\":\"mrkdwn\",\"text\":\"*x*\"}},{\"type\":"
        "\"context\",\"elements\":[{\"type\":\"mrkdwn\",\"text\":\"c\"}]}]}");
    json_decref(parsed(&out));
    strbuf_deinit(&out);
}

static void what_answers_mean(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        enum delivery_verdict pagerduty, slack;
    } rows[] = {
        {202, DELIVERY_DONE, DELIVERY_BROKEN},
        {400, DELIVERY_REFUSED, DELIVERY_REFUSED},
        {401, DELIVERY_BROKEN, DELIVERY_BROKEN},
        {403, DELIVERY_BROKEN, DELIVERY_BROKEN},
        {404, DELIVERY_BROKEN, DELIVERY_BROKEN},
        {410, DELIVERY_BROKEN, DELIVERY_BROKEN},
        {413, DELIVERY_REFUSED, DELIVERY_REFUSED},
        {429, DELIVERY_RETRY, DELIVERY_RETRY},
        {500, DELIVERY_RETRY, DELIVERY_RETRY},
        {503, DELIVERY_RETRY, DELIVERY_RETRY},
        {0, DELIVERY_RETRY, DELIVERY_RETRY},
        {301, DELIVERY_BROKEN, DELIVERY_BROKEN},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(pagerduty_judge(rows[i].status), rows[i].pagerduty);
        assert_int_equal(slack_judge(rows[i].status, STR("ok")), rows[i].slack);
    }
    assert_int_equal(slack_judge(200, STR("ok")), DELIVERY_DONE);
    assert_int_equal(slack_judge(200, STR("<html>")), DELIVERY_BROKEN);
    assert_int_equal(pagerduty_judge(200), DELIVERY_BROKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_cut_by_characters),
        cmocka_unit_test(text_is_made_valid),
        cmocka_unit_test(entities_are_never_cut),
        cmocka_unit_test(pagerduty_body),
        cmocka_unit_test(pagerduty_drops_details_that_are_too_large),
        cmocka_unit_test(slack_body),
        cmocka_unit_test(what_answers_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
