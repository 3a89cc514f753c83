/*
 * An event as POST /api/events takes it: whatever is accepted must have a
 * body that reads back as the same event, must be shown as strict JSON, and
 * must not lose the meaning of its labels.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdlib.h>

#include "data/json.h"
#include "model/event_json.h"

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static struct event read_again(struct str body, struct arena *a)
{
    struct err e = ERR_INIT;
    struct event event = {0};
    json_t *json = NULL;
    must(json_read(body, NULL, &json, &e) == 0);
    must(event_from_json(json, a, &event, &e) == 0);
    json_decref(json);
    return event;
}

static void check_event(const struct event *e, struct arena *a)
{
    struct strbuf out = STRBUF_INIT(1024 * 1024);
    struct strbuf blob = STRBUF_INIT(1024 * 1024);
    struct labels labels = {0};
    struct str text = STR_NULL;
    struct err err = ERR_INIT;
    json_t *json = NULL;
    struct event again = read_again(e->body, a);
    must(str_eq(again.body, e->body));
    must(str_eq(again.type, e->type) && again.state == e->state);
    must(str_eq(again.fingerprint, e->fingerprint));
    event_add_json(&out, e, EVENT_QUEUED, STR(""), NULL);
    must(strbuf_error(&out) == 0);
    must(json_read(strbuf_str(&out), NULL, &json, &err) == 0);
    json_decref(json);
    labels_encode(&e->labels, &blob);
    must(labels_decode(strbuf_str(&blob), a, &labels) == 0);
    must(labels.count == e->labels.count);
    int r = event_lookup(e, STR("payload.a.0.b"), a, &text);
    must(r == 0 || r == -ENOENT || r == -EINVAL);
    r = event_lookup(e, STR("annotations.summary"), a, &text);
    must(r == 0 || r == -ENOENT);
    strbuf_deinit(&blob);
    strbuf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT;
    struct event event = {0};
    struct err e = ERR_INIT;
    json_t *json = NULL;
    if (json_read(str_n((const char *)data, size), NULL, &json, &e) == 0) {
        if (event_from_json(json, &a, &event, &e) == 0) {
            check_event(&event, &a);
        } else {
            must(e.errnum < 0 && str_is_utf8(str_c(e.message)));
        }
        json_decref(json);
    } else {
        must(e.errnum < 0 && str_is_utf8(str_c(e.message)));
    }
    arena_deinit(&a);
    return 0;
}
