#include "wire/pagerduty.h"

#include "data/timestamp.h"

/* "name":"text" behind a comma; nothing for an empty text. */
static void add_field(struct strbuf *out, const char *name, struct str text,
                      size_t max_chars)
{
    if (text.len != 0) {
        strbuf_addf(out, ",\"%s\":\"", name);
        delivery_add_text(out, text, max_chars, false);
        strbuf_addch(out, '"');
    }
}

static void add_payload(struct strbuf *out, const struct pagerduty_event *e,
                        struct str details)
{
    static const char *const severities[] = {
        [PAGERDUTY_CRITICAL] = "critical",
        [PAGERDUTY_ERROR] = "error",
        [PAGERDUTY_WARNING] = "warning",
        [PAGERDUTY_INFO] = "info",
    };
    const size_t most = PAGERDUTY_FIELD_MAX_CHARS;
    strbuf_addf(out, ",\"payload\":{\"severity\":\"%s\"",
                severities[e->severity]);
    add_field(out, "summary", e->summary, PAGERDUTY_SUMMARY_MAX_CHARS);
    add_field(out, "source", e->source, most);
    if (e->timestamp_ms != 0) {
        char at[TIMESTAMP_TEXT_SIZE];
        timestamp_format(e->timestamp_ms, at);
        add_field(out, "timestamp", str_c(at), most);
    }
    add_field(out, "component", e->component, most);
    add_field(out, "group", e->group, most);
    add_field(out, "class", e->class_name, most);
    if (details.len != 0) {
        strbuf_addf(out, ",\"custom_details\":%.*s", STR_ARG(details));
    }
    strbuf_addc(out, "},\"client\":\"autonomous-devops\"");
}

static void add_event(struct strbuf *out, const struct pagerduty_event *e,
                      struct str details)
{
    static const char *const actions[] = {
        [PAGERDUTY_TRIGGER] = "trigger",
        [PAGERDUTY_ACKNOWLEDGE] = "acknowledge",
        [PAGERDUTY_RESOLVE] = "resolve",
    };
    strbuf_addf(out, "{\"event_action\":\"%s\"", actions[e->action]);
    add_field(out, "routing_key", e->routing_key, PAGERDUTY_FIELD_MAX_CHARS);
    add_field(out, "dedup_key", e->dedup_key, PAGERDUTY_FIELD_MAX_CHARS);
    if (e->action == PAGERDUTY_TRIGGER) {
        add_payload(out, e, details);
    }
    strbuf_addch(out, '}');
}

void pagerduty_add_event(struct strbuf *out, const struct pagerduty_event *e)
{
    struct strbuf text = STRBUF_INIT(PAGERDUTY_BODY_MAX_BYTES);
    add_event(&text, e, e->details);
    if (strbuf_error(&text) < 0) {
        strbuf_reset(&text);
        add_event(&text, e,
                  STR("{\"error\":\"the details were left out: the event "
                      "would have been larger than 512000 bytes\"}"));
    }
    strbuf_add(out, strbuf_str(&text));
    strbuf_deinit(&text);
}

enum delivery_verdict pagerduty_judge(unsigned status)
{
    switch (status) {
    case 202:
        return DELIVERY_DONE;
    case 400:
    case 413:
    case 422:
        return DELIVERY_REFUSED;
    case 0:
    case 408:
    case 429:
        return DELIVERY_RETRY;
    default:
        return status >= 500 ? DELIVERY_RETRY : DELIVERY_BROKEN;
    }
}
