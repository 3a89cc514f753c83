#include "runtime/controls.h"

#include <stdatomic.h>

#include "base/map.h"
#include "base/mem.h"
#include "data/json.h"
#include "engine/engine.h"

struct rule {
    struct str type;     /* "": any */
    struct str severity; /* "": any */
    uint8_t priority;
};

struct controls {
    atomic_uint refs;
    struct arena arena;               /* holds the strings and rows below */
    const struct setting_row *paused; /* NULL: no */
    uint32_t workers;
    struct rule *rules; /* the most telling first */
    uint32_t rule_count;
    struct map disabled;                /* path -> struct setting_row */
    const struct setting_row *restored; /* NULL: no */
};

/* ---- reading ------------------------------------------------------------ */

static void take_paused(struct controls *c, const struct setting_row *row,
                        struct str name)
{
    (void)name;
    c->paused = str_eq_c(row->value, "true") ? row : NULL;
}

static void take_workers(struct controls *c, const struct setting_row *row,
                         struct str name)
{
    (void)name;
    uint64_t n = 0;
    if (str_to_u64(row->value, 0, ENGINE_WORKERS_MAX, &n) == 0) {
        c->workers = (uint32_t)n;
    }
}

static unsigned weight(const struct rule *r)
{
    return (r->type.len != 0 ? 2U : 0U) + (r->severity.len != 0 ? 1U : 0U);
}

static void take_priority(struct controls *c, const struct setting_row *row,
                          struct str name)
{
    uint64_t n = 0;
    ptrdiff_t slash = str_find(name, '/');
    if (slash < 0 || str_to_u64(row->value, 0, EVENT_PRIORITY_MAX, &n) < 0) {
        return;
    }
    struct rule rule = {.type = str_slice(name, 0, (size_t)slash),
                        .severity =
                            str_slice(name, (size_t)slash + 1, name.len),
                        .priority = (uint8_t)n};
    uint32_t at = c->rule_count++;
    for (; at > 0 && weight(&c->rules[at - 1]) < weight(&rule); at--) {
        c->rules[at] = c->rules[at - 1];
    }
    c->rules[at] = rule;
}

static void take_disabled(struct controls *c, const struct setting_row *row,
                          struct str name)
{
    (void)map_put(&c->disabled, name, (void *)(uintptr_t)row);
}

static void take_restored(struct controls *c, const struct setting_row *row,
                          struct str name)
{
    (void)name;
    c->restored = row;
}

static const struct {
    const char *key;
    void (*take)(struct controls *c, const struct setting_row *row,
                 struct str name);
} keys[] = {
    {CONTROL_PAUSED, take_paused},     {CONTROL_WORKERS, take_workers},
    {CONTROL_PRIORITY, take_priority}, {CONTROL_DISABLED, take_disabled},
    {CONTROL_RESTORED, take_restored},
};

static void take(struct controls *c, const struct setting_row *row)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct str key = str_c(keys[i].key);
        bool has_name = key.at[key.len - 1] == '/';
        if (has_name ? str_starts(row->key, key) : str_eq(row->key, key)) {
            keys[i].take(c, row, str_slice(row->key, key.len, row->key.len));
            return;
        }
    }
}

int controls_load(struct reader *reader, struct controls **ret)
{
    struct controls *c = MEM_NEW(struct controls);
    struct setting_row *rows = NULL;
    uint32_t count = 0;
    atomic_init(&c->refs, 1);
    int r = reader->ops->settings(reader, STR(""), &c->arena, &rows, &count);
    if (r < 0) {
        controls_unref(c);
        return r;
    }
    c->rules = ARENA_ARRAY(&c->arena, count, struct rule);
    for (uint32_t i = 0; i < count; i++) {
        take(c, &rows[i]);
    }
    *ret = c;
    return 0;
}

struct controls *controls_ref(struct controls *c)
{
    atomic_fetch_add(&c->refs, 1);
    return c;
}

void controls_unref(struct controls *c)
{
    if (c != NULL && atomic_fetch_sub(&c->refs, 1) == 1) {
        map_deinit(&c->disabled);
        arena_deinit(&c->arena);
        mem_free(c);
    }
}

/* ---- asking ------------------------------------------------------------- */

bool controls_paused(const struct controls *c)
{
    return c->paused != NULL;
}

const struct setting_row *controls_pause(const struct controls *c)
{
    return c->paused;
}

uint32_t controls_workers(const struct controls *c)
{
    return c->workers;
}

bool controls_has_priorities(const struct controls *c)
{
    return c->rule_count != 0;
}

uint8_t controls_priority(const struct controls *c, struct str type,
                          struct str severity, uint8_t otherwise)
{
    for (uint32_t i = 0; i < c->rule_count; i++) {
        const struct rule *r = &c->rules[i];
        if ((r->type.len == 0 || str_eq(r->type, type)) &&
            (r->severity.len == 0 || str_eq(r->severity, severity))) {
            return r->priority;
        }
    }
    return otherwise;
}

const struct setting_row *controls_restored(const struct controls *c)
{
    return c->restored;
}

const struct setting_row *controls_disabled(const struct controls *c,
                                            struct str path)
{
    return map_get(&c->disabled, path);
}

uint32_t controls_disabled_count(const struct controls *c)
{
    return (uint32_t)map_count(&c->disabled);
}

void controls_add_disabled(struct strbuf *out, struct str path,
                           const struct setting_row *disabled)
{
    json_auto_t *reason = json_loadb(disabled->value.at, disabled->value.len,
                                     JSON_DECODE_ANY, NULL);
    struct str text = json_text(reason);
    strbuf_addf(out, "runbook %.*s is disabled (by %.*s)%s%.*s", STR_ARG(path),
                STR_ARG(disabled->by), text.len != 0 ? ": " : "",
                STR_ARG(text));
}
