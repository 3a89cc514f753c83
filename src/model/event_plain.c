/*
 * The quick way for events as most senders write them: one flat object of
 * known fields whose texts are printable ASCII without escapes. It reads the
 * text once and builds no tree. Whatever is not that plain, or not right, is
 * left to event_from_json; what is accepted here is read there the same, byte
 * for byte (tests/fuzz/event_plain_fuzz.c).
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "model/event_json_priv.h"

/* What a body may have beyond its input: severity from a label, state and
 * fingerprint that were filled in, with their names. */
#define FILLED_IN_MAX_BYTES (EVENT_WORD_MAX_BYTES + 128)

#define PAIRS_MAX 32 /* of labels or annotations: more are not usual */
#define DIGITS_MAX 18

struct pairs {
    struct label at[PAIRS_MAX]; /* in the order of the input */
    uint32_t count;
};

struct plain {
    const char *at;
    const char *end;
    struct str values[EVENT_FIELDS]; /* as written, without quotes */
    uint32_t given;                  /* bit per enum event_field_no */
    enum event_field_no order[EVENT_FIELDS];
    size_t count;
    struct pairs labels;
    struct pairs annotations;
};

static void skip_blanks(struct plain *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' ||
                              *p->at == '\t' || *p->at == '\r')) {
        p->at++;
    }
}

/* Takes this character, and blanks before it. */
static bool take(struct plain *p, char c)
{
    skip_blanks(p);
    if (p->at == p->end || *p->at != c) {
        return false;
    }
    p->at++;
    return true;
}

static bool is_plain(char c)
{
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

static bool take_text(struct plain *p, struct str *ret)
{
    if (!take(p, '"')) {
        return false;
    }
    const char *start = p->at;
    while (p->at < p->end && is_plain(*p->at)) {
        p->at++;
    }
    *ret = str_n(start, (size_t)(p->at - start));
    return p->at < p->end && *p->at++ == '"';
}

/* A decimal integer in the form in which it is written again. */
static bool take_integer(struct plain *p, struct str *ret)
{
    skip_blanks(p);
    const char *start = p->at;
    if (p->at < p->end && *p->at == '-') {
        p->at++;
    }
    const char *digits = p->at;
    while (p->at < p->end && *p->at >= '0' && *p->at <= '9') {
        p->at++;
    }
    *ret = str_n(start, (size_t)(p->at - start));
    size_t count = (size_t)(p->at - digits);
    bool canonical = count == 1 ? *digits != '0' || digits == start
                                : count != 0 && *digits != '0';
    bool more =
        p->at < p->end && (*p->at == '.' || *p->at == 'e' || *p->at == 'E');
    return canonical && count <= DIGITS_MAX && !more;
}

static bool take_pairs(struct plain *p, struct pairs *ret)
{
    if (!take(p, '{')) {
        return false;
    }
    if (take(p, '}')) {
        return true;
    }
    do {
        struct label *pair = &ret->at[ret->count];
        if (ret->count == PAIRS_MAX || !take_text(p, &pair->name) ||
            !take(p, ':') || !take_text(p, &pair->value) ||
            pair->name.len == 0 ||
            pair->name.len > EVENT_LABEL_NAME_MAX_BYTES ||
            pair->value.len > EVENT_LABEL_VALUE_MAX_BYTES) {
            return false;
        }
        ret->count++;
    } while (take(p, ','));
    return take(p, '}');
}

/* The longest text each field may have; 0: it is no text, or never plain. */
static const size_t text_max[EVENT_FIELDS] = {
    [FIELD_TYPE] = EVENT_WORD_MAX_BYTES,
    [FIELD_SEVERITY] = EVENT_WORD_MAX_BYTES,
    [FIELD_SOURCE] = EVENT_SOURCE_MAX_BYTES,
    [FIELD_METRIC_NAME] = EVENT_SOURCE_MAX_BYTES,
    [FIELD_STATE] = EVENT_WORD_MAX_BYTES,
    [FIELD_FINGERPRINT] = EVENT_SOURCE_MAX_BYTES,
    [FIELD_GENERATOR_URL] = EVENT_TEXT_MAX_BYTES,
    [FIELD_GROUP_KEY] = EVENT_TEXT_MAX_BYTES,
};

static bool take_value(struct plain *p, enum event_field_no field)
{
    struct str *value = &p->values[field];
    if (field == FIELD_LABELS) {
        return take_pairs(p, &p->labels);
    }
    if (field == FIELD_ANNOTATIONS) {
        return take_pairs(p, &p->annotations);
    }
    if (field == FIELD_VALUE) {
        return take_integer(p, value);
    }
    if (field == FIELD_PRIORITY) {
        return take_integer(p, value) && value->len == 1;
    }
    return take_text(p, value) && value->len != 0 &&
           value->len <= text_max[field];
}

static enum event_field_no field_of(struct str name)
{
    for (int f = 0; f < EVENT_FIELDS; f++) {
        if (str_eq_c(name, event_field_table[f].name)) {
            return (enum event_field_no)f;
        }
    }
    return EVENT_FIELDS;
}

static bool take_event(struct plain *p)
{
    struct str name = STR_NULL;
    if (!take(p, '{')) {
        return false;
    }
    do {
        if (!take_text(p, &name) || !take(p, ':')) {
            return false;
        }
        enum event_field_no field = field_of(name);
        if (field == EVENT_FIELDS || (p->given & 1U << field) != 0 ||
            !take_value(p, field)) {
            return false;
        }
        p->given |= 1U << field;
        p->order[p->count++] = field;
    } while (take(p, ','));
    bool closed = take(p, '}');
    skip_blanks(p);
    return closed && p->at == p->end;
}

/* ---- meaning ------------------------------------------------------------- */

static bool has_empty_value(const struct pairs *pairs)
{
    for (uint32_t i = 0; i < pairs->count; i++) {
        if (pairs->at[i].value.len == 0) {
            return true;
        }
    }
    return false;
}

static bool has_twins(const struct pairs *pairs)
{
    for (uint32_t i = 1; i < pairs->count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (str_eq(pairs->at[i].name, pairs->at[j].name)) {
                return true;
            }
        }
    }
    return false;
}

static bool set_labels(const struct plain *p, struct arena *a, struct event *e)
{
    size_t count = p->labels.count;
    if (has_empty_value(&p->labels) || has_twins(&p->annotations)) {
        return false;
    }
    e->labels.at = ARENA_ARRAY(a, MAX(count, (size_t)1), struct label);
    e->labels.count = p->labels.count;
    memcpy(e->labels.at, p->labels.at, count * sizeof(struct label));
    return labels_sort(&e->labels) == 0;
}

static bool set_state(struct event *e, struct str text)
{
    if (text.len == 0) {
        e->state =
            str_eq(e->type, STR("alert")) ? EVENT_FIRING : EVENT_STATE_NONE;
    } else if (str_eq(text, STR("firing"))) {
        e->state = EVENT_FIRING;
    } else if (str_eq(text, STR("resolved"))) {
        e->state = EVENT_RESOLVED;
    } else {
        return false;
    }
    return true;
}

static void set_severity(struct event *e)
{
    struct str label = labels_get(&e->labels, STR("severity"));
    if (e->severity.len == 0 && label.len <= EVENT_WORD_MAX_BYTES) {
        e->severity = label;
    }
}

/* True if it was made of the labels. */
static bool set_fingerprint(struct event *e, struct arena *a)
{
    if (e->fingerprint.len != 0 || e->labels.count == 0 ||
        !str_eq(e->type, STR("alert"))) {
        return false;
    }
    char text[17];
    labels_fingerprint(&e->labels, text);
    e->fingerprint = arena_str(a, str_c(text));
    return true;
}

/* ---- the body ------------------------------------------------------------ */

/* Room for everything was made before. */
struct body {
    char *at;
    size_t len;
    size_t room;
};

static void put(struct body *b, struct str s)
{
    ASSERT(s.len <= b->room - b->len);
    memcpy(b->at + b->len, s.at, s.len);
    b->len += s.len;
}

static void put_name(struct body *b, enum event_field_no field)
{
    put(b, b->len > 1 ? STR(",\"") : STR("\""));
    put(b, str_c(event_field_table[field].name));
    put(b, STR("\":"));
}

static void put_text(struct body *b, enum event_field_no field, struct str text)
{
    if (text.len != 0) {
        put_name(b, field);
        put(b, STR("\""));
        put(b, text);
        put(b, STR("\""));
    }
}

static void put_pairs(struct body *b, enum event_field_no field,
                      const struct pairs *pairs)
{
    put_name(b, field);
    put(b, STR("{"));
    for (uint32_t i = 0; i < pairs->count; i++) {
        put(b, i != 0 ? STR(",\"") : STR("\""));
        put(b, pairs->at[i].name);
        put(b, STR("\":\""));
        put(b, pairs->at[i].value);
        put(b, STR("\""));
    }
    put(b, STR("}"));
}

static void put_field(struct body *b, const struct plain *p,
                      enum event_field_no field)
{
    if (field == FIELD_LABELS) {
        put_pairs(b, field, &p->labels);
    } else if (field == FIELD_ANNOTATIONS) {
        put_pairs(b, field, &p->annotations);
    } else if (field == FIELD_VALUE || field == FIELD_PRIORITY) {
        put_name(b, field);
        put(b, p->values[field]);
    } else if (field > FIELD_SOURCE) { /* the first three stand in front */
        put_text(b, field, p->values[field]);
    }
}

static void write_body(const struct plain *p, struct body *b,
                       const struct event *e, bool fingerprint_made)
{
    put(b, STR("{"));
    put_text(b, FIELD_TYPE, e->type);
    put_text(b, FIELD_SEVERITY, e->severity);
    put_text(b, FIELD_SOURCE, e->source);
    for (size_t i = 0; i < p->count; i++) {
        put_field(b, p, p->order[i]);
    }
    if (p->values[FIELD_STATE].len == 0) {
        put_text(b, FIELD_STATE, str_c(event_state_name(e->state)));
    }
    if (fingerprint_made) {
        put_text(b, FIELD_FINGERPRINT, e->fingerprint);
    }
    put(b, STR("}"));
}

int event_from_text(struct str text, struct arena *a, struct event *ret)
{
    struct plain p;
    p.at = text.at;
    p.end = text.at + text.len;
    p.given = 0;
    p.count = 0;
    p.labels.count = 0;
    p.annotations.count = 0;
    memset(p.values, 0, sizeof(p.values));
    if (text.len > EVENT_BODY_MAX_BYTES - FILLED_IN_MAX_BYTES ||
        !take_event(&p)) {
        return -EAGAIN;
    }
    struct event e = {
        .type = p.values[FIELD_TYPE],
        .severity = p.values[FIELD_SEVERITY],
        .source = p.values[FIELD_SOURCE],
        .fingerprint = p.values[FIELD_FINGERPRINT],
        .priority = EVENT_PRIORITY_DEFAULT,
    };
    if (!event_is_type_word(e.type) || !set_labels(&p, a, &e) ||
        !set_state(&e, p.values[FIELD_STATE])) {
        return -EAGAIN;
    }
    if (p.values[FIELD_PRIORITY].len != 0) {
        e.priority = (uint8_t)(p.values[FIELD_PRIORITY].at[0] - '0');
    }
    set_severity(&e);
    bool made = set_fingerprint(&e, a);
    struct body b = {.room = text.len + FILLED_IN_MAX_BYTES};
    b.at = arena_alloc(a, b.room, 1);
    write_body(&p, &b, &e, made);
    e.body = str_n(b.at, b.len);
    *ret = e;
    return 0;
}
