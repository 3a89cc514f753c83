/* The keys of a trigger that make it remember: id, dedup, count, max_runs. */
#include "model/runbook_load_priv.h"

#include "model/event_json.h"

#define LABELS STR("labels.")

static const struct {
    const char *name;
    enum dedup_field field;
} fields[] = {
    {"type", DEDUP_TYPE},
    {"severity", DEDUP_SEVERITY},
    {"source", DEDUP_SOURCE},
};

static const char *const field_names[] = {"type", "severity", "source",
                                          "labels.NAME"};

static void hint_field(struct err *e, struct str text)
{
    const char *nearest = str_nearest(text, field_names, ARRAY_LEN(fields));
    if (nearest != NULL) {
        err_hint(e, "did you mean '%s'?", nearest);
    } else if (str_starts(text, STR("event."))) {
        err_hint(e, "write it without 'event.': %.*s",
                 (int)MIN(text.len - 6, 64U), text.at + 6);
    } else if (str_starts(text, STR("labels["))) {
        err_hint(e, "write labels.NAME, also when NAME has dots");
    } else {
        err_hint(e, "write type, severity, source or labels.NAME");
    }
}

static bool read_part(struct loader *l, const struct yaml_node *n,
                      struct dedup_part *ret)
{
    struct str text = STR_NULL;
    if (!loader_read_text(l, n, EVENT_LABEL_NAME_MAX_BYTES + LABELS.len, false,
                          &text)) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (str_eq_c(text, fields[i].name)) {
            ret->field = fields[i].field;
            return true;
        }
    }
    if (str_starts(text, LABELS) && text.len > LABELS.len) {
        ret->field = DEDUP_LABEL;
        ret->label = str_slice(text, LABELS.len, text.len);
        return true;
    }
    hint_field(loader_error(l, n, "'%.*s' is no part of a key", STR_ARG(text)),
               text);
    return false;
}

static bool is_twice(const struct trigger *t)
{
    const struct dedup_part *last = &t->dedup[t->dedup_count - 1];
    for (uint32_t i = 0; i + 1 < t->dedup_count; i++) {
        if (t->dedup[i].field == last->field &&
            str_eq(t->dedup[i].label, last->label)) {
            return true;
        }
    }
    return false;
}

void trigger_read_dedup(struct loader *l, const struct yaml_node *n,
                        void *object)
{
    struct trigger *t = object;
    bool is_list = yaml_kind(n) == YAML_SEQUENCE;
    if (is_list && !loader_is_list(l, n, TRIGGER_DEDUP_MAX)) {
        return;
    }
    size_t count = is_list ? yaml_count(n) : 1;
    if (count == 0) {
        (void)loader_error(l, n,
                           "an empty list means nothing here; leave 'dedup' "
                           "away for one key for all events");
        return;
    }
    t->dedup = ARENA_ARRAY(&l->rb->arena, count, struct dedup_part);
    for (size_t i = 0; i < count; i++) {
        const struct yaml_node *item = is_list ? yaml_item(n, i) : n;
        size_t mark = is_list ? loader_enter(l, "[%zu]", i) : l->field_len;
        if (read_part(l, item, &t->dedup[t->dedup_count])) {
            t->dedup_count++;
            if (is_twice(t)) {
                (void)loader_error(l, item, "this part stands twice");
            }
        }
        loader_leave(l, mark);
    }
}

void trigger_read_count(struct loader *l, const struct yaml_node *n,
                        void *object)
{
    loader_read_map(l, n, &runbook_count_keys, object);
}

void trigger_read_max_runs(struct loader *l, const struct yaml_node *n,
                           void *object)
{
    loader_read_map(l, n, &runbook_max_runs_keys, object);
}

/* ---- names -------------------------------------------------------------- */

static void report_twin(struct loader *l, const struct yaml_node *n, uint32_t i)
{
    const struct trigger *t = &l->rb->triggers[i];
    for (uint32_t k = 0; k < i && t->id.len != 0; k++) {
        if (str_eq(l->rb->triggers[k].id, t->id)) {
            const struct yaml_node *id = yaml_get(yaml_item(n, i), STR("id"));
            size_t mark = loader_enter(l, ".id");
            (void)loader_error(l, id, "trigger %u has this id, too", k + 1);
            loader_leave(l, mark);
            return;
        }
    }
}

static bool has_limit(const struct yaml_node *trigger)
{
    return yaml_get(trigger, STR("cooldown")) != NULL ||
           yaml_get(trigger, STR("count")) != NULL ||
           yaml_get(trigger, STR("max_runs")) != NULL ||
           yaml_get(trigger, STR("for")) != NULL ||
           yaml_get(trigger, STR("on_resolve")) != NULL ||
           yaml_get(trigger, STR("flapping")) != NULL ||
           yaml_get(trigger, STR("absent")) != NULL;
}

void triggers_name(struct loader *l, const struct yaml_node *n)
{
    for (uint32_t i = 0; i < l->rb->trigger_count; i++) {
        struct trigger *t = &l->rb->triggers[i];
        char number[16];
        size_t mark = loader_enter(l, "[%u]", i);
        int len = snprintf(number, sizeof(number), "#%u", i + 1);
        t->name = t->id.len != 0
                      ? t->id
                      : arena_str(&l->rb->arena, str_n(number, (size_t)len));
        report_twin(l, n, i);
        const struct yaml_node *trigger = yaml_item(n, i);
        if (l->rb->trigger_count > 1 && has_limit(trigger) &&
            yaml_get(trigger, STR("id")) == NULL) {
            err_hint(loader_warning(l, t->at,
                                    "the trigger has limits and no id: when "
                                    "the order of triggers changes, what it "
                                    "remembers goes to another one"),
                     "add an id that is its own");
        }
        if (t->dedup_count != 0 && !has_limit(trigger)) {
            err_hint(loader_warning(l, t->at,
                                    "'dedup' has no effect: the trigger "
                                    "remembers nothing"),
                     "add cooldown, count, max_runs, for, absent, flapping or "
                     "on_resolve");
        }
        loader_leave(l, mark);
    }
}
