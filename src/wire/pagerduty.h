/*
 * PagerDuty's Events API v2: the body of an event, and what its answers mean.
 * Pure; any thread.
 */
#pragma once

#include <stdint.h>

#include "wire/delivery.h"

#define PAGERDUTY_PATH "/v2/enqueue"
#define PAGERDUTY_BODY_MAX_BYTES 512000
#define PAGERDUTY_SUMMARY_MAX_CHARS 1024
#define PAGERDUTY_FIELD_MAX_CHARS 255 /* dedup_key, source, component... */
#define PAGERDUTY_PER_MINUTE 120      /* calls per routing key */

enum pagerduty_action {
    PAGERDUTY_TRIGGER,
    PAGERDUTY_ACKNOWLEDGE,
    PAGERDUTY_RESOLVE
};

enum pagerduty_severity {
    PAGERDUTY_CRITICAL,
    PAGERDUTY_ERROR,
    PAGERDUTY_WARNING,
    PAGERDUTY_INFO
};

/* Empty texts are left out. */
struct pagerduty_event {
    struct str routing_key;
    enum pagerduty_action action;
    struct str dedup_key;
    /* of a trigger */
    struct str summary;
    struct str source;
    enum pagerduty_severity severity;
    uint64_t timestamp_ms; /* 0: none */
    struct str component;
    struct str group;
    struct str class_name;
    struct str details; /* a JSON object; dropped with a note when the body
                           would be too large */
};

/* Appends the body. */
void pagerduty_add_event(struct strbuf *out, const struct pagerduty_event *e);

enum delivery_verdict pagerduty_judge(unsigned status);
