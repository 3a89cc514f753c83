/*
 * Slack's incoming webhooks: the body of a message, and what their answers
 * mean. Pure; any thread.
 */
#pragma once

#include "wire/delivery.h"

#define SLACK_TEXT_MAX_CHARS 4000
#define SLACK_HEADER_MAX_CHARS 150
#define SLACK_SECTION_MAX_CHARS 3000
#define SLACK_CONTEXT_MAX_CHARS 2000

/* All but text may be empty. */
struct slack_message {
    struct str text;   /* what a notification shows */
    struct str header; /* plain */
    struct str section;
    struct str context;
    struct str channel; /* webhooks of apps ignore it */
};

/* Appends the body; texts are escaped and cut to Slack's limits. */
void slack_add_message(struct strbuf *out, const struct slack_message *m);

/* body: of the answer, "ok" when all is well. */
enum delivery_verdict slack_judge(unsigned status, struct str body);
