#include "model/event_input.h"

#include <errno.h>

#include "base/assert.h"
#include "data/json.h"
#include "data/timestamp.h"
#include "expr/cel_json.h"
#include "model/event_cel_priv.h"

_Static_assert((int)EVENT_CEL_FIELDS <= EVENT_INPUT_FIELDS_MAX,
               "a value for each field");

/* ---- labels -------------------------------------------------------------- */

static bool get_label(const struct cel_map *m, struct cel_value key,
                      uint32_t hint, struct cel_value *ret)
{
    (void)hint;
    if (key.kind != CEL_STRING) {
        return false;
    }
    const struct label *label = labels_find(m->host, cel_text(key));
    if (label == NULL) {
        return false;
    }
    *ret = cel_string(label->value);
    return true;
}

static uint32_t count_labels(const struct cel_map *m)
{
    return ((const struct labels *)m->host)->count;
}

static struct cel_entry label_at(const struct cel_map *m, uint32_t i)
{
    const struct label *label = &((const struct labels *)m->host)->at[i];
    return (struct cel_entry){cel_string(label->name),
                              cel_string(label->value)};
}

static const struct cel_map_ops label_ops = {get_label, count_labels, label_at};

/* ---- the body ------------------------------------------------------------ */

/* A field of the body; NULL when it is absent. Only a damaged row has a body
 * that cannot be read: it has no fields then. */
static const json_t *body_field(struct event_input *x, uint32_t field)
{
    struct err ignored = ERR_INIT;
    if (!x->body_read) {
        x->body_read = true;
        if (json_read(x->event->body, NULL, &x->body, &ignored) < 0) {
            x->body = NULL;
        }
    }
    return json_object_get(x->body, event_field_table[field].name);
}

static bool read_annotations(struct event_input *x, struct cel_value *ret)
{
    static const struct cel_map empty = {0};
    const json_t *json = body_field(x, FIELD_ANNOTATIONS);
    *ret = json_is_object(json) ? cel_json_read(json, x->arena)
                                : cel_map_value(&empty);
    return true;
}

static bool read_body_text(struct event_input *x, uint32_t field,
                           struct cel_value *ret)
{
    const json_t *json = body_field(x, field);
    *ret = cel_string(json_is_string(json) ? json_text(json) : STR(""));
    return true;
}

static bool read_value(struct event_input *x, struct cel_value *ret)
{
    const json_t *json = body_field(x, FIELD_VALUE);
    *ret = cel_double(json_number_value(json));
    return json_is_number(json);
}

static bool read_payload(struct event_input *x, struct cel_value *ret)
{
    const json_t *json = body_field(x, FIELD_PAYLOAD);
    bool there = json != NULL && !json_is_null(json);
    *ret = there ? cel_json_read(json, x->arena) : cel_null();
    return there;
}

static bool give_instant(uint64_t ms, struct cel_value *ret)
{
    *ret = event_cel_instant(ms);
    return ms != 0;
}

/* When it happened; unless told, when it was accepted. */
static bool read_timestamp(struct event_input *x, struct cel_value *ret)
{
    const json_t *json = body_field(x, FIELD_TIMESTAMP);
    uint64_t ms = 0;
    if (!json_is_number(json) ||
        timestamp_from_seconds(json_number_value(json), &ms) < 0) {
        ms = x->event->received_ms;
    }
    return give_instant(ms, ret);
}

/* ---- the row ------------------------------------------------------------- */

static bool give_text(struct str text, struct cel_value *ret)
{
    *ret = cel_string(text);
    return true;
}

static bool give_id(struct event_input *x, struct id id, struct cel_value *ret)
{
    char text[ID_TEXT_SIZE] = "";
    if (!id_is_null(id)) {
        id_format(id, ID_PREFIX_EVENT, text);
    }
    return give_text(arena_str(x->arena, str_c(text)), ret);
}

static bool read_outcome(struct event_input *x, uint32_t field,
                         struct cel_value *ret)
{
    const struct event_outcome *o = x->outcome;
    if (o == NULL) {
        return false;
    }
    switch (field) {
    case EVENT_CEL_STATUS:
        return give_text(str_c(event_status_name(o->status)), ret);
    case EVENT_CEL_ATTEMPTS:
        *ret = cel_int(x->event->attempt);
        return true;
    case EVENT_CEL_ERROR:
        return give_text(o->error, ret);
    case EVENT_CEL_DUPLICATE_OF:
        return give_id(x, o->duplicate_of, ret);
    default:
        UNREACHABLE();
    }
}

/* False: the event does not have it. */
static bool read_field(struct event_input *x, uint32_t field,
                       struct cel_value *ret)
{
    const struct event *e = x->event;
    switch (field) {
    case FIELD_TYPE:
        return give_text(e->type, ret);
    case FIELD_SEVERITY:
        return give_text(e->severity, ret);
    case FIELD_SOURCE:
        return give_text(e->source, ret);
    case FIELD_STATE:
        return give_text(str_c(event_state_name(e->state)), ret);
    case FIELD_FINGERPRINT:
        return give_text(e->fingerprint, ret);
    case FIELD_LABELS:
        *ret = cel_map_value(&x->labels);
        return true;
    case FIELD_PRIORITY:
        *ret = cel_int(e->priority);
        return true;
    case FIELD_STARTS_AT:
        return give_instant(e->starts_ms, ret);
    case FIELD_ENDS_AT:
        return give_instant(e->ends_ms, ret);
    case FIELD_TIMESTAMP:
        return read_timestamp(x, ret);
    case FIELD_ANNOTATIONS:
        return read_annotations(x, ret);
    case FIELD_VALUE:
        return read_value(x, ret);
    case FIELD_PAYLOAD:
        return read_payload(x, ret);
    case FIELD_METRIC_NAME:
    case FIELD_GENERATOR_URL:
    case FIELD_GROUP_KEY:
        return read_body_text(x, field, ret);
    case EVENT_CEL_ID:
        return give_id(x, e->id, ret);
    case EVENT_CEL_RECEIVED_AT:
        return give_instant(e->received_ms, ret);
    default:
        return read_outcome(x, field, ret);
    }
}

static bool field_value(struct event_input *x, uint32_t field,
                        struct cel_value *ret)
{
    uint32_t bit = UINT32_C(1) << field;
    if ((x->known & bit) == 0) {
        x->known |= bit;
        x->present |= read_field(x, field, &x->values[field]) ? bit : 0;
    }
    *ret = x->values[field];
    return (x->present & bit) != 0;
}

/* ---- as a map ------------------------------------------------------------ */

static struct event_input *input_of(const struct cel_map *m)
{
    return (struct event_input *)(uintptr_t)m->host;
}

static struct cel_value key_at(uint32_t field)
{
    struct event_cel_row row = {.name = ""};
    (void)event_cel_row(field, &row);
    return cel_string(str_c(row.name));
}

static bool get_field(const struct cel_map *m, struct cel_value key,
                      uint32_t hint, struct cel_value *ret)
{
    uint32_t field = hint;
    if (key.kind != CEL_STRING) {
        return false;
    }
    if (hint >= EVENT_CEL_FIELDS) {
        for (field = 0; field < EVENT_CEL_FIELDS; field++) {
            if (str_eq(cel_text(key_at(field)), cel_text(key))) {
                break;
            }
        }
    }
    return field < EVENT_CEL_FIELDS && field_value(input_of(m), field, ret);
}

static uint32_t count_fields(const struct cel_map *m)
{
    uint32_t count = 0;
    struct cel_value ignored;
    for (uint32_t field = 0; field < EVENT_CEL_FIELDS; field++) {
        count += field_value(input_of(m), field, &ignored) ? 1 : 0;
    }
    return count;
}

static struct cel_entry field_at(const struct cel_map *m, uint32_t i)
{
    struct cel_entry e = {.key = cel_null()};
    for (uint32_t field = 0; field < EVENT_CEL_FIELDS; field++) {
        if (field_value(input_of(m), field, &e.value) && i-- == 0) {
            e.key = key_at(field);
            return e;
        }
    }
    UNREACHABLE();
}

static const struct cel_map_ops event_ops = {get_field, count_fields, field_at};

static struct cel_value give(void *context, uint32_t index, struct cel_run *run)
{
    const struct event_input *x = context;
    switch (index) {
    case EVENT_CEL_EVENT:
        return cel_map_value(&x->map);
    case EVENT_CEL_NOW:
        return x->now;
    default:
        return cel_fail(run, CEL_FAULT_UNDECLARED,
                        "there are no parameters here");
    }
}

static int zone_of(void *context, struct str name, int64_t seconds,
                   int32_t *ret)
{
    const struct event_input *x = context;
    return x->zones == NULL
               ? -ENOENT
               : x->zones->offset(x->zones->context, name, seconds, ret);
}

void event_input_init(struct event_input *ret, const struct event *event,
                      const struct event_outcome *outcome, uint64_t now_ms,
                      struct arena *arena)
{
    ret->input =
        (struct cel_input){.variable = give, .zone = zone_of, .context = ret};
    ret->zones = NULL;
    ret->event = event;
    ret->outcome = outcome;
    ret->arena = arena;
    ret->now = event_cel_instant(now_ms);
    ret->body = NULL;
    ret->body_read = false;
    ret->map = (struct cel_map){.ops = &event_ops, .host = ret};
    ret->labels = (struct cel_map){.ops = &label_ops, .host = &event->labels};
    ret->known = 0;
    ret->present = 0;
}

void event_input_release(struct event_input *x)
{
    json_decref(x->body);
    x->body = NULL;
}
