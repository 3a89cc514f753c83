#include "runtime/controls.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/map.h"
#include "base/mem.h"
#include "data/json.h"
#include "engine/engine.h"

struct controls {
    atomic_uint refs;
    struct arena arena;               /* holds the strings and rows below */
    const struct setting_row *paused; /* NULL: no */
    uint32_t workers;
    const struct setting_row *scaled; /* NULL: nobody has set `workers` */
    struct control_rule *rules;       /* the most telling first */
    uint32_t rule_count;
    struct map disabled; /* path -> struct setting_row */
    uint64_t switched_ms;
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
        c->scaled = n != 0 ? row : NULL;
    }
}

static void take_priority(struct controls *c, const struct setting_row *row,
                          struct str name)
{
    uint64_t n = 0;
    ptrdiff_t slash = str_find(name, '/');
    if (slash >= 0 && str_to_u64(row->value, 0, EVENT_PRIORITY_MAX, &n) == 0) {
        c->rules[c->rule_count++] = (struct control_rule){
            .type = str_slice(name, 0, (size_t)slash),
            .severity = str_slice(name, (size_t)slash + 1, name.len),
            .priority = (uint8_t)n,
            .row = row};
    }
}

static unsigned weight(const struct control_rule *r)
{
    return (r->type.len != 0 ? 2U : 0U) + (r->severity.len != 0 ? 1U : 0U);
}

static void sort_rules(struct controls *c)
{
    uint32_t count = 0;
    struct control_rule *sorted =
        ARENA_ARRAY(&c->arena, c->rule_count, struct control_rule);
    for (unsigned w = 4; w-- > 0;) {
        for (uint32_t i = 0; i < c->rule_count; i++) {
            if (weight(&c->rules[i]) == w) {
                sorted[count++] = c->rules[i];
            }
        }
    }
    c->rules = sorted;
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

static void take_switched(struct controls *c, const struct setting_row *row,
                          struct str name)
{
    (void)name;
    for (size_t i = 0; i < MIN(row->value.len, 18U); i++) {
        char digit = row->value.at[i];
        c->switched_ms = digit >= '0' && digit <= '9'
                             ? c->switched_ms * 10 + (uint64_t)(digit - '0')
                             : c->switched_ms;
    }
}

static const struct {
    const char *key;
    void (*take)(struct controls *c, const struct setting_row *row,
                 struct str name);
} keys[] = {
    {CONTROL_PAUSED, take_paused},     {CONTROL_WORKERS, take_workers},
    {CONTROL_PRIORITY, take_priority}, {CONTROL_DISABLED, take_disabled},
    {CONTROL_RESTORED, take_restored}, {CONTROL_SWITCHED, take_switched},
};

/* Each key by itself, so that many of one kind do not hide the others. */
static int take_key(struct controls *c, struct reader *reader, size_t which)
{
    struct setting_row *rows = NULL;
    uint32_t count = 0;
    struct str key = str_c(keys[which].key);
    bool has_name = key.at[key.len - 1] == '/';
    int r = reader->ops->settings(reader, key, &c->arena, &rows, &count);
    if (r == 0 && keys[which].take == take_priority) {
        c->rules = ARENA_ARRAY(&c->arena, count, struct control_rule);
    }
    for (uint32_t i = 0; r == 0 && i < count; i++) {
        if (has_name || str_eq(rows[i].key, key)) {
            keys[which].take(c, &rows[i],
                             str_slice(rows[i].key, key.len, rows[i].key.len));
        }
    }
    return r;
}

int controls_load(struct reader *reader, struct controls **ret)
{
    struct controls *c = MEM_NEW(struct controls);
    int r = 0;
    atomic_init(&c->refs, 1);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(keys); i++) {
        r = take_key(c, reader, i);
    }
    if (r < 0) {
        controls_unref(c);
        return r;
    }
    sort_rules(c);
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

uint64_t controls_switched_ms(const struct controls *c)
{
    return c->switched_ms;
}

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

const struct setting_row *controls_scaled(const struct controls *c)
{
    return c->scaled;
}

bool controls_has_priorities(const struct controls *c)
{
    return c->rule_count != 0;
}

uint8_t controls_priority(const struct controls *c, struct str type,
                          struct str severity, uint8_t otherwise)
{
    for (uint32_t i = 0; i < c->rule_count; i++) {
        const struct control_rule *r = &c->rules[i];
        if ((r->type.len == 0 || str_eq(r->type, type)) &&
            (r->severity.len == 0 || str_eq(r->severity, severity))) {
            return r->priority;
        }
    }
    return otherwise;
}

const struct control_rule *controls_rules(const struct controls *c,
                                          uint32_t *ret_count)
{
    *ret_count = c->rule_count;
    return c->rules;
}

int controls_allow(const struct controls *c, const struct setting_row *setting,
                   struct err *reterr)
{
    bool known = false;
    if (!str_starts(setting->key, STR(CONTROL_PRIORITY))) {
        return 0;
    }
    for (uint32_t i = 0; i < c->rule_count; i++) {
        known = known || str_eq(c->rules[i].row->key, setting->key);
    }
    if (!known && setting->value.len == 0) {
        err_hint(reterr, "adctl queue priority lists those that there are");
        return err_set(reterr, -ENOENT, "there is no such rule");
    }
    if (!known && c->rule_count >= CONTROL_PRIORITIES_MAX) {
        err_hint(reterr, "withdraw one: adctl queue priority none --type TYPE");
        return err_set(reterr, -EDQUOT,
                       "there are %u rules about priorities, and no more than "
                       "%d may be",
                       c->rule_count, CONTROL_PRIORITIES_MAX);
    }
    return 0;
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
