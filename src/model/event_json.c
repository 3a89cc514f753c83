#include "model/event_json_priv.h"

#include <errno.h>
#include <stdio.h>

#include "base/assert.h"
#include "data/json.h"
#include "data/timestamp.h"

static int refuse(struct event_reading *r, int errnum,
                  enum event_field_no field, const char *what)
{
    err_field(r->err, "%s", event_field_table[field].name);
    return err_set(r->err, errnum, "%s: %s", event_field_table[field].name,
                   what);
}

static int read_text(struct event_reading *r, enum event_field_no field,
                     size_t max_bytes, struct str *ret)
{
    const json_t *value = r->values[field];
    if (value == NULL) {
        *ret = STR("");
        return 0;
    }
    if (!json_is_string(value)) {
        return json_wrong_type(r->err, event_field_table[field].name,
                               "a string", value);
    }
    struct str text = json_text(value);
    if (text.len > max_bytes) {
        char what[64];
        (void)snprintf(what, sizeof(what), "longer than %zu bytes", max_bytes);
        return refuse(r, -E2BIG, field, what);
    }
    *ret = arena_str(r->arena, text);
    return 0;
}

bool event_is_type_word(struct str s)
{
    if (s.len == 0 || s.at[0] < 'a' || s.at[0] > 'z') {
        return false;
    }
    for (size_t i = 1; i < s.len; i++) {
        char c = s.at[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' &&
            c != '.' && c != '-') {
            return false;
        }
    }
    return true;
}

static int read_type(struct event_reading *r)
{
    if (r->values[FIELD_TYPE] == NULL) {
        err_hint(r->err, "alert, metric, webhook, change or a word of your "
                         "own");
        return refuse(r, -EINVAL, FIELD_TYPE, "required");
    }
    int e = read_text(r, FIELD_TYPE, EVENT_WORD_MAX_BYTES, &r->event.type);
    if (e == 0 && !event_is_type_word(r->event.type)) {
        err_hint(r->err, "lower case letters, digits and _ . -, a letter "
                         "first");
        return refuse(r, -EINVAL, FIELD_TYPE, "not a valid word");
    }
    return e;
}

/* Severity and source are matched and shown in lists: printable words. */
static bool is_printable(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if (c < 0x20 || c == 0x7F) {
            return false;
        }
    }
    return true;
}

static int check_printable(struct event_reading *r, enum event_field_no field,
                           struct str s)
{
    return is_printable(s)
               ? 0
               : refuse(r, -EINVAL, field, "has a control character");
}

static int read_words(struct event_reading *r)
{
    int e = read_type(r);
    if (e < 0) {
        return e;
    }
    struct event *event = &r->event;
    e = read_text(r, FIELD_SEVERITY, EVENT_WORD_MAX_BYTES, &event->severity);
    if (e < 0) {
        return e;
    }
    e = read_text(r, FIELD_SOURCE, EVENT_SOURCE_MAX_BYTES, &event->source);
    if (e < 0) {
        return e;
    }
    e = check_printable(r, FIELD_SEVERITY, event->severity);
    return e < 0 ? e : check_printable(r, FIELD_SOURCE, event->source);
}

/* Limits of an object of names and texts: labels, annotations. */
struct pair_limits {
    enum event_field_no field;
    size_t count;
    size_t value_bytes;
};

static int refuse_pair(struct event_reading *r,
                       const struct pair_limits *limits, struct str name,
                       const json_t *value)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s.%.*s",
                   event_field_table[limits->field].name,
                   (int)MIN(name.len, 100U), name.at);
    if (!json_is_string(value)) {
        return json_wrong_type(r->err, path, "a string", value);
    }
    if (name.len == 0) {
        return refuse(r, -EINVAL, limits->field, "has an empty name");
    }
    bool name_too_long = name.len > EVENT_LABEL_NAME_MAX_BYTES;
    err_field(r->err, "%s", path);
    return err_set(r->err, -E2BIG, "%s: %s %zu bytes", path,
                   name_too_long ? "the name is longer than" : "longer than",
                   name_too_long ? (size_t)EVENT_LABEL_NAME_MAX_BYTES
                                 : limits->value_bytes);
}

static int check_pair(struct event_reading *r, const struct pair_limits *limits,
                      struct str name, const json_t *value)
{
    bool good = json_is_string(value) && name.len != 0 &&
                name.len <= EVENT_LABEL_NAME_MAX_BYTES &&
                json_string_length(value) <= limits->value_bytes;
    return good ? 0 : refuse_pair(r, limits, name, value);
}

static int check_pairs(struct event_reading *r,
                       const struct pair_limits *limits)
{
    const json_t *object = r->values[limits->field];
    if (object == NULL) {
        return 0;
    }
    if (!json_is_object(object)) {
        return json_wrong_type(r->err, event_field_table[limits->field].name,
                               "an object", object);
    }
    if (json_object_size(object) > limits->count) {
        char what[64];
        (void)snprintf(what, sizeof(what), "more than %zu entries",
                       limits->count);
        return refuse(r, -E2BIG, limits->field, what);
    }
    json_t *pairs = (json_t *)(uintptr_t)object; /* only to iterate */
    for (void *it = json_object_iter(pairs); it != NULL;
         it = json_object_iter_next(pairs, it)) {
        struct str name =
            str_n(json_object_iter_key(it), json_object_iter_key_len(it));
        int e = check_pair(r, limits, name, json_object_iter_value(it));
        if (e < 0) {
            return e;
        }
    }
    return 0;
}

static int read_labels(struct event_reading *r)
{
    static const struct pair_limits limits = {FIELD_LABELS, EVENT_LABELS_MAX,
                                              EVENT_LABEL_VALUE_MAX_BYTES};
    int e = check_pairs(r, &limits);
    if (e < 0 || r->values[FIELD_LABELS] == NULL) {
        return e;
    }
    json_t *object = (json_t *)(uintptr_t)r->values[FIELD_LABELS];
    struct labels *l = &r->event.labels;
    l->at = ARENA_ARRAY(r->arena, json_object_size(object), struct label);
    for (void *it = json_object_iter(object); it != NULL;
         it = json_object_iter_next(object, it)) {
        struct str value = json_text(json_object_iter_value(it));
        if (value.len == 0) {
            continue;
        }
        struct str name =
            str_n(json_object_iter_key(it), json_object_iter_key_len(it));
        l->at[l->count++] = (struct label){arena_str(r->arena, name),
                                           arena_str(r->arena, value)};
    }
    e = labels_sort(l);
    ASSERT(e == 0); /* a JSON object has each name once */
    return 0;
}

static int read_annotations(struct event_reading *r)
{
    static const struct pair_limits limits = {FIELD_ANNOTATIONS,
                                              EVENT_ANNOTATIONS_MAX,
                                              EVENT_ANNOTATION_VALUE_MAX_BYTES};
    return check_pairs(r, &limits);
}

static int read_instant(struct event_reading *r, enum event_field_no field,
                        uint64_t *ret_ms)
{
    const json_t *value = r->values[field];
    int e = -EINVAL;
    *ret_ms = 0;
    if (value == NULL) {
        return 0;
    }
    if (json_is_number(value)) {
        e = timestamp_from_seconds(json_number_value(value), ret_ms);
    } else if (json_is_string(value)) {
        e = timestamp_parse(json_text(value), ret_ms);
    } else {
        return json_wrong_type(r->err, event_field_table[field].name,
                               "RFC 3339 or epoch seconds", value);
    }
    if (e == -EINVAL) {
        err_hint(r->err, "as in 2026-11-24T03:58:39Z");
        return refuse(r, e, field, "not an RFC 3339 time");
    }
    if (e < 0) {
        err_hint(r->err, "epoch seconds, not milliseconds");
        return refuse(r, e, field, "not between the years 1970 and 9999");
    }
    return 0;
}

static int read_instants(struct event_reading *r)
{
    struct event *event = &r->event;
    int e = read_instant(r, FIELD_TIMESTAMP, &r->timestamp_ms);
    if (e < 0) {
        return e;
    }
    e = read_instant(r, FIELD_STARTS_AT, &event->starts_ms);
    if (e < 0) {
        return e;
    }
    e = read_instant(r, FIELD_ENDS_AT, &event->ends_ms);
    if (e < 0) {
        return e;
    }
    if (event->ends_ms != 0 && event->ends_ms < event->starts_ms) {
        return refuse(r, -EINVAL, FIELD_ENDS_AT, "before starts_at");
    }
    return 0;
}

static int read_state(struct event_reading *r)
{
    struct str text = STR("");
    int e = read_text(r, FIELD_STATE, EVENT_WORD_MAX_BYTES, &text);
    if (e < 0) {
        return e;
    }
    if (text.len == 0) {
        r->event.state = str_eq(r->event.type, STR("alert")) ? EVENT_FIRING
                                                             : EVENT_STATE_NONE;
    } else if (str_eq(text, STR("firing"))) {
        r->event.state = EVENT_FIRING;
    } else if (str_eq(text, STR("resolved"))) {
        r->event.state = EVENT_RESOLVED;
    } else {
        return refuse(r, -EINVAL, FIELD_STATE, "expected firing or resolved");
    }
    return 0;
}

static int read_fingerprint(struct event_reading *r)
{
    struct event *event = &r->event;
    int e = read_text(r, FIELD_FINGERPRINT, EVENT_SOURCE_MAX_BYTES,
                      &event->fingerprint);
    if (e < 0) {
        return e;
    }
    e = check_printable(r, FIELD_FINGERPRINT, event->fingerprint);
    if (e == 0 && event->fingerprint.len == 0 && event->labels.count != 0 &&
        str_eq(event->type, STR("alert"))) {
        char text[17];
        labels_fingerprint(&event->labels, text);
        event->fingerprint = arena_str(r->arena, str_c(text));
        r->fingerprint_made = true;
    }
    return e;
}

static int read_priority(struct event_reading *r)
{
    const json_t *value = r->values[FIELD_PRIORITY];
    if (value == NULL) {
        r->event.priority = EVENT_PRIORITY_DEFAULT;
        return 0;
    }
    if (!json_is_integer(value)) {
        return json_wrong_type(r->err, event_field_table[FIELD_PRIORITY].name,
                               "an integer", value);
    }
    json_int_t priority = json_integer_value(value);
    if (priority < 0 || priority > EVENT_PRIORITY_MAX) {
        return refuse(r, -ERANGE, FIELD_PRIORITY, "not between 0 and 9");
    }
    r->event.priority = (uint8_t)priority;
    return 0;
}

/* Fields that are only checked: they live on in the body. */
static int read_details(struct event_reading *r)
{
    static const struct {
        enum event_field_no field;
        size_t max_bytes;
    } texts[] = {
        {FIELD_METRIC_NAME, EVENT_SOURCE_MAX_BYTES},
        {FIELD_GENERATOR_URL, EVENT_TEXT_MAX_BYTES},
        {FIELD_GROUP_KEY, EVENT_TEXT_MAX_BYTES},
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct str ignored = STR_NULL;
        int e = read_text(r, texts[i].field, texts[i].max_bytes, &ignored);
        if (e < 0) {
            return e;
        }
    }
    const json_t *value = r->values[FIELD_VALUE];
    return value == NULL || json_is_number(value)
               ? 0
               : json_wrong_type(r->err, event_field_table[FIELD_VALUE].name,
                                 "a number", value);
}

static void default_severity(struct event *e)
{
    struct str label = labels_get(&e->labels, STR("severity"));
    if (e->severity.len == 0 && label.len <= EVENT_WORD_MAX_BYTES &&
        is_printable(label)) {
        e->severity = label;
    }
}

static bool is_absent(const json_t *value)
{
    return json_is_null(value) ||
           (json_is_string(value) && json_string_length(value) == 0);
}

static int collect_fields(struct event_reading *r, const json_t *json)
{
    const char *names[EVENT_FIELDS];
    for (size_t i = 0; i < EVENT_FIELDS; i++) {
        names[i] = event_field_table[i].name;
    }
    json_t *object = (json_t *)(uintptr_t)json; /* only to iterate */
    for (void *it = json_object_iter(object); it != NULL;
         it = json_object_iter_next(object, it)) {
        struct str key =
            str_n(json_object_iter_key(it), json_object_iter_key_len(it));
        size_t f = 0;
        while (f < EVENT_FIELDS && !str_eq_c(key, names[f])) {
            f++;
        }
        if (f == EVENT_FIELDS) {
            return json_check_names(json, names, EVENT_FIELDS, r->err);
        }
        const json_t *value = json_object_iter_value(it);
        if (!is_absent(value)) {
            r->values[f] = value;
            r->order[r->count++] = (enum event_field_no)f;
        }
    }
    return 0;
}

typedef int read_fn(struct event_reading *r);

int event_from_json(const json_t *json, struct arena *a, struct event *ret,
                    struct err *reterr)
{
    /* In order: later ones use what earlier ones have read. */
    static read_fn *const steps[] = {
        read_words, read_labels,      read_annotations, read_instants,
        read_state, read_fingerprint, read_priority,    read_details,
    };
    struct event_reading r = {.arena = a, .err = reterr};
    if (!json_is_object(json)) {
        return err_set(reterr, -EINVAL, "expected an event (an object), got %s",
                       json_kind_text(json));
    }
    int e = collect_fields(&r, json);
    for (size_t i = 0; i < ARRAY_LEN(steps) && e == 0; i++) {
        e = steps[i](&r);
    }
    if (e < 0) {
        return e;
    }
    default_severity(&r.event);
    e = event_write_body(&r);
    if (e == 0) {
        r.event.dedup_key = STR("");
        *ret = r.event;
    }
    return e;
}
