/*
 * The two readers of an event: whatever the quick one accepts, the strict one
 * must accept as well, and make the same event of it, byte for byte.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#include "data/json.h"
#include "model/event_json.h"

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void same_labels(const struct labels *a, const struct labels *b)
{
    must(a->count == b->count);
    for (uint32_t i = 0; i < a->count; i++) {
        must(str_eq(a->at[i].name, b->at[i].name));
        must(str_eq(a->at[i].value, b->at[i].value));
    }
}

static void same(const struct event *a, const struct event *b)
{
    must(str_eq(a->body, b->body));
    must(str_eq(a->type, b->type) && str_eq(a->severity, b->severity));
    must(str_eq(a->source, b->source));
    must(str_eq(a->fingerprint, b->fingerprint));
    must(a->dedup_key.len == 0 && b->dedup_key.len == 0);
    must(a->state == b->state && a->priority == b->priority);
    must(a->starts_ms == b->starts_ms && a->ends_ms == b->ends_ms);
    same_labels(&a->labels, &b->labels);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT;
    struct str text = str_n((const char *)data, size);
    struct event quick = {0};
    struct event strict = {0};
    struct err err = ERR_INIT;
    json_t *json = NULL;
    if (event_from_text(text, &a, &quick) == 0) {
        must(json_read(text, NULL, &json, &err) == 0);
        must(event_from_json(json, &a, &strict, &err) == 0);
        same(&quick, &strict);
        json_decref(json);
    }
    arena_deinit(&a);
    return 0;
}
