#include "wire/slack.h"

static void add_block(struct strbuf *out, const char *head, struct str text,
                      size_t max_chars, const char *tail)
{
    if (text.len != 0) {
        strbuf_addc(out, out->at[out->len - 1] == '[' ? "" : ",");
        strbuf_addc(out, head);
        delivery_add_text(out, text, max_chars, true);
        strbuf_addc(out, tail);
    }
}

void slack_add_message(struct strbuf *out, const struct slack_message *m)
{
    strbuf_addc(out, "{\"text\":\"");
    delivery_add_text(out, m->text, SLACK_TEXT_MAX_CHARS, true);
    strbuf_addc(out, "\",\"blocks\":[");
    add_block(out,
              "{\"type\":\"header\",\"text\":{\"type\":\"plain_text\","
              "\"text\":\"",
              m->header, SLACK_HEADER_MAX_CHARS, "\"}}");
    add_block(out,
              "{\"type\":\"section\",\"text\":{\"type\":\"mrkdwn\","
              "\"text\":\"",
              m->section, SLACK_SECTION_MAX_CHARS, "\"}}");
    add_block(out,
              "{\"type\":\"context\",\"elements\":[{\"type\":\"mrkdwn\","
              "\"text\":\"",
              m->context, SLACK_CONTEXT_MAX_CHARS, "\"}]}");
    strbuf_addch(out, ']');
    if (m->channel.len != 0) {
        strbuf_addc(out, ",\"channel\":\"");
        delivery_add_text(out, m->channel, SLACK_HEADER_MAX_CHARS, false);
        strbuf_addch(out, '"');
    }
    strbuf_addch(out, '}');
}

enum delivery_verdict slack_judge(unsigned status, struct str body)
{
    switch (status) {
    case 200:
        return str_eq(body, STR("ok")) ? DELIVERY_DONE : DELIVERY_BROKEN;
    case 400:
    case 413:
        return DELIVERY_REFUSED;
    case 0:
    case 408:
    case 429:
        return DELIVERY_RETRY;
    default:
        return status >= 500 ? DELIVERY_RETRY : DELIVERY_BROKEN;
    }
}
