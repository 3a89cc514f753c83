/*
 * Bodies of Alertmanager's webhook and of its API, and batches: every event
 * that comes out has a fingerprint, a key and a body that is strict JSON.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdlib.h>

#include "data/json.h"
#include "wire/alertmanager.h"

#define NOW_MS 1795465700000ULL

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_events(const struct event *events, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct strbuf out = STRBUF_INIT(1024 * 1024);
        struct err e = ERR_INIT;
        json_t *json = NULL;
        must(events[i].fingerprint.len == 16);
        must(events[i].dedup_key.len > 20 && events[i].labels.count > 0);
        must(json_read(events[i].body, NULL, &json, &e) == 0);
        json_decref(json);
        alertmanager_add_alert(&out, &events[i], NOW_MS);
        must(json_read(strbuf_str(&out), NULL, &json, &e) == 0);
        json_decref(json);
        strbuf_deinit(&out);
    }
}

static void split(struct str text, enum json_form form)
{
    struct json_split s;
    struct str element = STR_NULL;
    struct err e = ERR_INIT;
    size_t total = 0;
    json_split_init(&s, text, form);
    while (json_split_next(&s, &element, &e) == 1) {
        must(element.len > 0 && element.at >= text.at &&
             element.at + element.len <= text.at + text.len);
        total += element.len;
    }
    must(total <= text.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_n((const char *)data, size);
    struct arena a = ARENA_INIT;
    struct event *events = NULL;
    struct err e = ERR_INIT;
    uint32_t count = 0;
    struct webhook_alerts webhook;
    json_t *json = NULL;
    split(text, JSON_FORM_ARRAY);
    split(text, JSON_FORM_LINES);
    if (json_read(text, NULL, &json, &e) == 0) {
        if (alertmanager_webhook(json, &a, &webhook, &e) == 0) {
            check_events(webhook.events, webhook.count);
        }
        count = 0;
        int r = alertmanager_alerts(json, NOW_MS, &a, &events, &count, &e);
        must(r == 0 || r == -EINVAL || r == -EBADMSG || r == -E2BIG);
        check_events(events, count);
        json_decref(json);
    }
    arena_deinit(&a);
    return 0;
}
