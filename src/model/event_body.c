#include "model/event_json_priv.h"

#include "base/assert.h"
#include "data/json.h"

static void add_name(struct strbuf *out, enum event_field_no field)
{
    if (out->len > 1) {
        strbuf_addch(out, ',');
    }
    strbuf_addch(out, '"');
    strbuf_addc(out, event_field_table[field].name);
    strbuf_add(out, STR("\":"));
}

static void add_text(struct strbuf *out, enum event_field_no field,
                     struct str text)
{
    if (text.len != 0) {
        add_name(out, field);
        strbuf_add_json_quoted(out, text);
    }
}

static void add_instant(struct strbuf *out, enum event_field_no field,
                        uint64_t ms)
{
    if (ms == 0) {
        return;
    }
    add_name(out, field);
    strbuf_addf(out, "%llu.%03u", (unsigned long long)(ms / 1000),
                (unsigned)(ms % 1000));
}

static void add_field(const struct event_reading *r, struct strbuf *out,
                      enum event_field_no field)
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
    case EVENT_FIELDS:
    default:
        UNREACHABLE();
    }
}

int event_write_body(struct event_reading *r)
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
