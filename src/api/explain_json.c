#include "api/explain_json.h"

#include "data/json.h"
#include "expr/cel_text.h"

/* Cut at the end of a character, with a mark. */
static void put_cut(struct strbuf *out, const char *key, struct str text)
{
    CLEANUP(strbuf_deinit)
    struct strbuf kept = STRBUF_INIT(API_EXPLAIN_VALUE_MAX_BYTES + 8);
    size_t len = API_EXPLAIN_VALUE_MAX_BYTES;
    if (text.len <= len) {
        put_bytes(out, key, text);
        return;
    }
    while (len > 0 && ((unsigned char)text.at[len] & 0xC0) == 0x80) {
        len--;
    }
    strbuf_add(&kept, str_slice(text, 0, len));
    strbuf_addc(&kept, "…");
    put_bytes(out, key, strbuf_str(&kept));
}

/* As an expression; an error has none. */
static void put_value(struct strbuf *out, const char *key, struct cel_value v)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(65536);
    if (cel_is_error(v)) {
        put_null(out, key);
        return;
    }
    cel_text_literal(v, &text);
    put_cut(out, key, strbuf_str(&text));
}

static void put_term(struct strbuf *out, const struct cel_term *t)
{
    bool failed = t->times != 0 && cel_is_error(t->value);
    put_open(out, NULL, '{');
    put_text(out, "text", t->text);
    put_u64(out, "offset", t->offset);
    put_u64(out, "depth", t->depth);
    put_u64(out, "times", t->times);
    if (t->times != 0) {
        put_value(out, "value", t->value);
    } else {
        put_null(out, "value");
    }
    put_text_or_null(out, "error", failed ? t->value.fault->message : STR(""));
    put_close(out, '}');
}

static void put_when(struct strbuf *out, const struct explained_trigger *t)
{
    const struct trigger *trigger = &t->runbook->triggers[t->trigger_no];
    if (t->has_when) {
        put_text(out, "when", cel_program_text(trigger->when));
        put_value(out, "when_value", t->when.value);
    } else {
        put_null(out, "when");
        put_null(out, "when_value");
    }
    put_text_or_null(out, "when_error", t->when_error);
    put_open(out, "terms", '[');
    for (uint32_t i = 0; i < t->when.term_count; i++) {
        put_term(out, &t->when.terms[i]);
    }
    put_close(out, ']');
    put_u64(out, "terms_left_out", t->when.left_out);
}

void explain_put_conditions(struct strbuf *out,
                            const struct explained_trigger *t)
{
    put_open(out, "conditions", '[');
    for (uint32_t i = 0; i < t->condition_count; i++) {
        const struct explain_condition *c = &t->conditions[i];
        put_open(out, NULL, '{');
        put_text(out, "what", c->what);
        put_cut(out, "wanted", c->wanted);
        if (c->actual.len != 0) {
            put_cut(out, "actual", c->actual);
        } else {
            put_null(out, "actual");
        }
        if (c->holds >= 0) {
            put_bool(out, "holds", c->holds == 1);
        } else {
            put_null(out, "holds");
        }
        put_close(out, '}');
    }
    put_close(out, ']');
    put_when(out, t);
}

void explain_put_guard(struct strbuf *out, const struct explain_guard *g)
{
    put_open(out, NULL, '{');
    put_text_c(out, "guard", g->name);
    put_bool(out, "holds_back", g->holds_back);
    put_instant(out, "until", g->until_ms);
    put_text(out, "text", g->text);
    put_close(out, '}');
}

static void put_json(struct strbuf *out, const char *key, const json_t *json)
{
    CLEANUP(strbuf_deinit)
    struct strbuf text = STRBUF_INIT((size_t)2 * DECISION_MAX_BYTES);
    json_write(json, &text);
    put_raw(out, key, strbuf_str(&text));
}

void explain_put_held(struct strbuf *out, struct str decision)
{
    struct err ignored = ERR_INIT;
    json_auto_t *json = NULL;
    if (decision.len != 0 && json_read(decision, NULL, &json, &ignored) < 0) {
        json = NULL;
    }
    const json_t *held = json_object_get(json, "held");
    const json_t *left_out = json_object_get(json, "left_out");
    if (json_is_array(held)) {
        put_json(out, "held", held);
    } else {
        put_raw(out, "held", STR("[]"));
    }
    put_u64(out, "held_left_out", (uint64_t)json_integer_value(left_out));
}

static bool is_text(const json_t *object, const char *key, struct str text)
{
    const json_t *value = json_object_get(object, key);
    return json_is_string(value) && str_eq(json_text(value), text);
}

void explain_put_held_of(struct strbuf *out, const json_t *decision,
                         struct str runbook, struct str trigger)
{
    const json_t *held = json_object_get(decision, "held");
    for (size_t i = 0; i < json_array_size(held); i++) {
        const json_t *h = json_array_get(held, i);
        if (is_text(h, "runbook", runbook) && is_text(h, "trigger", trigger)) {
            put_json(out, "held", h);
            return;
        }
    }
    put_null(out, "held");
}
