#include "model/event_json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "data/json.h"
#include "data/timestamp.h"

enum field {
    FIELD_TYPE,
    FIELD_SEVERITY,
    FIELD_SOURCE,
    FIELD_TIMESTAMP,
    FIELD_LABELS,
    FIELD_ANNOTATIONS,
    FIELD_METRIC_NAME,
    FIELD_VALUE,
    FIELD_STATE,
    FIELD_FINGERPRINT,
    FIELD_STARTS_AT,
    FIELD_ENDS_AT,
    FIELD_GENERATOR_URL,
    FIELD_GROUP_KEY,
    FIELD_PAYLOAD,
    FIELD_PRIORITY,
    FIELDS
};

static const struct event_field fields[FIELDS] = {
    [FIELD_TYPE] = {"type", "string",
                    "alert, metric, webhook, change or a word of your own: "
                    "[a-z][a-z0-9_.-]*, required"},
    [FIELD_SEVERITY] = {"severity", "string",
                        "critical, warning, info...; labels.severity "
                        "unless given"},
    [FIELD_SOURCE] = {"source", "string", "the system that reports it"},
    [FIELD_TIMESTAMP] = {"timestamp", "instant",
                         "when it happened: RFC 3339 or epoch seconds"},
    [FIELD_LABELS] = {"labels", "object",
                      "names and values that identify it, all strings"},
    [FIELD_ANNOTATIONS] = {"annotations", "object",
                           "texts for people, all strings"},
    [FIELD_METRIC_NAME] = {"metric_name", "string", "of a metric"},
    [FIELD_VALUE] = {"value", "number", "of a metric"},
    [FIELD_STATE] = {"state", "string",
                     "firing or resolved; alerts fire unless told"},
    [FIELD_FINGERPRINT] = {"fingerprint", "string",
                           "what makes two events the same; of the labels "
                           "for alerts unless given"},
    [FIELD_STARTS_AT] = {"starts_at", "instant", "when it began to fire"},
    [FIELD_ENDS_AT] = {"ends_at", "instant",
                       "when it ended or is to be taken as over"},
    [FIELD_GENERATOR_URL] = {"generator_url", "string",
                             "where its source shows it"},
    [FIELD_GROUP_KEY] = {"group_key", "string",
                         "the group that its source sent it in"},
    [FIELD_PAYLOAD] = {"payload", "any", "anything else, as it came"},
    [FIELD_PRIORITY] = {"priority", "integer",
                        "0 (most urgent) to 9; 5 unless given"},
};

const struct event_field *event_fields(size_t *ret_count)
{
    *ret_count = FIELDS;
    return fields;
}

/* One event while it is read. */
struct reading {
    const json_t *values[FIELDS]; /* NULL: absent */
    enum field order[FIELDS];     /* of the input */
    size_t count;
    struct arena *arena;
    struct event event;
    uint64_t timestamp_ms;
    bool fingerprint_made; /* filled in, not given */
    struct err *err;
};

static int refuse(struct reading *r, int errnum, enum field field,
                  const char *what)
{
    err_field(r->err, "%s", fields[field].name);
    return err_set(r->err, errnum, "%s: %s", fields[field].name, what);
}

static int read_text(struct reading *r, enum field field, size_t max_bytes,
                     struct str *ret)
{
    const json_t *value = r->values[field];
    if (value == NULL) {
        *ret = STR("");
        return 0;
    }
    if (!json_is_string(value)) {
        return json_wrong_type(r->err, fields[field].name, "a string", value);
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

static bool is_type_word(struct str s)
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

static int read_type(struct reading *r)
{
    if (r->values[FIELD_TYPE] == NULL) {
        err_hint(r->err, "alert, metric, webhook, change or a word of your "
                         "own");
        return refuse(r, -EINVAL, FIELD_TYPE, "required");
    }
    int e = read_text(r, FIELD_TYPE, EVENT_WORD_MAX_BYTES, &r->event.type);
    if (e == 0 && !is_type_word(r->event.type)) {
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

static int check_printable(struct reading *r, enum field field, struct str s)
{
    return is_printable(s)
               ? 0
               : refuse(r, -EINVAL, field, "has a control character");
}

static int read_words(struct reading *r)
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
    enum field field;
    size_t count;
    size_t value_bytes;
};

static int check_pair(struct reading *r, const struct pair_limits *limits,
                      struct str name, const json_t *value)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s.%.*s", fields[limits->field].name,
                   (int)MIN(name.len, 100U), name.at);
    if (!json_is_string(value)) {
        return json_wrong_type(r->err, path, "a string", value);
    }
    const char *problem = NULL;
    size_t limit = 0;
    if (name.len == 0) {
        return refuse(r, -EINVAL, limits->field, "has an empty name");
    }
    if (name.len > EVENT_LABEL_NAME_MAX_BYTES) {
        problem = "the name is longer than";
        limit = EVENT_LABEL_NAME_MAX_BYTES;
    } else if (json_text(value).len > limits->value_bytes) {
        problem = "longer than";
        limit = limits->value_bytes;
    }
    if (problem == NULL) {
        return 0;
    }
    err_field(r->err, "%s", path);
    return err_set(r->err, -E2BIG, "%s: %s %zu bytes", path, problem, limit);
}

static int check_pairs(struct reading *r, const struct pair_limits *limits)
{
    const json_t *object = r->values[limits->field];
    if (object == NULL) {
        return 0;
    }
    if (!json_is_object(object)) {
        return json_wrong_type(r->err, fields[limits->field].name, "an object",
                               object);
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

static int read_labels(struct reading *r)
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

static int read_annotations(struct reading *r)
{
    static const struct pair_limits limits = {FIELD_ANNOTATIONS,
                                              EVENT_ANNOTATIONS_MAX,
                                              EVENT_ANNOTATION_VALUE_MAX_BYTES};
    return check_pairs(r, &limits);
}

static int read_instant(struct reading *r, enum field field, uint64_t *ret_ms)
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
        return json_wrong_type(r->err, fields[field].name,
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

static int read_instants(struct reading *r)
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

static int read_state(struct reading *r)
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

static int read_fingerprint(struct reading *r)
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

static int read_priority(struct reading *r)
{
    const json_t *value = r->values[FIELD_PRIORITY];
    if (value == NULL) {
        r->event.priority = EVENT_PRIORITY_DEFAULT;
        return 0;
    }
    if (!json_is_integer(value)) {
        return json_wrong_type(r->err, fields[FIELD_PRIORITY].name,
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
static int read_details(struct reading *r)
{
    static const struct {
        enum field field;
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
               : json_wrong_type(r->err, fields[FIELD_VALUE].name, "a number",
                                 value);
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

static int collect_fields(struct reading *r, const json_t *json)
{
    const char *names[FIELDS];
    for (size_t i = 0; i < FIELDS; i++) {
        names[i] = fields[i].name;
    }
    json_t *object = (json_t *)(uintptr_t)json; /* only to iterate */
    for (void *it = json_object_iter(object); it != NULL;
         it = json_object_iter_next(object, it)) {
        struct str key =
            str_n(json_object_iter_key(it), json_object_iter_key_len(it));
        size_t f = 0;
        while (f < FIELDS && !str_eq_c(key, names[f])) {
            f++;
        }
        if (f == FIELDS) {
            return json_check_names(json, names, FIELDS, r->err);
        }
        const json_t *value = json_object_iter_value(it);
        if (!is_absent(value)) {
            r->values[f] = value;
            r->order[r->count++] = (enum field)f;
        }
    }
    return 0;
}

static void add_name(struct strbuf *out, enum field field)
{
    strbuf_addf(out, "%s\"%s\":", out->len > 1 ? "," : "", fields[field].name);
}

static void add_text(struct strbuf *out, enum field field, struct str text)
{
    if (text.len != 0) {
        add_name(out, field);
        strbuf_add_json_quoted(out, text);
    }
}

static void add_instant(struct strbuf *out, enum field field, uint64_t ms)
{
    if (ms == 0) {
        return;
    }
    add_name(out, field);
    strbuf_addf(out, "%llu.%03u", (unsigned long long)(ms / 1000),
                (unsigned)(ms % 1000));
}

static void add_field(const struct reading *r, struct strbuf *out,
                      enum field field)
{
    switch (field) {
    case FIELD_TYPE:
    case FIELD_SEVERITY:
    case FIELD_SOURCE:
    case FIELD_TIMESTAMP:
        break; /* already at the front */
    case FIELD_STARTS_AT:
        add_instant(out, field, r->event.starts_ms);
        break;
    case FIELD_ENDS_AT:
        add_instant(out, field, r->event.ends_ms);
        break;
    case FIELD_LABELS:
    case FIELD_ANNOTATIONS:
    case FIELD_METRIC_NAME:
    case FIELD_VALUE:
    case FIELD_STATE:
    case FIELD_FINGERPRINT:
    case FIELD_GENERATOR_URL:
    case FIELD_GROUP_KEY:
    case FIELD_PAYLOAD:
    case FIELD_PRIORITY:
        add_name(out, field);
        json_write(r->values[field], out);
        break;
    case FIELDS:
    default:
        UNREACHABLE();
    }
}

static int write_body(struct reading *r)
{
    struct event *e = &r->event;
    struct strbuf out = STRBUF_INIT(EVENT_BODY_MAX_BYTES);
    strbuf_addch(&out, '{');
    add_instant(&out, FIELD_TIMESTAMP, r->timestamp_ms);
    add_text(&out, FIELD_TYPE, e->type);
    add_text(&out, FIELD_SEVERITY, e->severity);
    add_text(&out, FIELD_SOURCE, e->source);
    for (size_t i = 0; i < r->count; i++) {
        add_field(r, &out, r->order[i]);
    }
    if (r->values[FIELD_STATE] == NULL) {
        add_text(&out, FIELD_STATE, str_c(event_state_name(e->state)));
    }
    if (r->fingerprint_made) {
        add_text(&out, FIELD_FINGERPRINT, e->fingerprint);
    }
    strbuf_addch(&out, '}');
    int error = strbuf_error(&out);
    if (error < 0) {
        error = err_set(r->err, error, "the event is longer than %d bytes",
                        EVENT_BODY_MAX_BYTES);
    } else {
        e->body = arena_str(r->arena, strbuf_str(&out));
    }
    strbuf_deinit(&out);
    return error;
}

typedef int read_fn(struct reading *r);

int event_from_json(const json_t *json, struct arena *a, struct event *ret,
                    struct err *reterr)
{
    /* In order: later ones use what earlier ones have read. */
    static read_fn *const steps[] = {
        read_words, read_labels,      read_annotations, read_instants,
        read_state, read_fingerprint, read_priority,    read_details,
    };
    struct reading r = {.arena = a, .err = reterr};
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
    e = write_body(&r);
    if (e == 0) {
        r.event.dedup_key = STR("");
        *ret = r.event;
    }
    return e;
}
