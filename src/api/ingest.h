/*
 * Events on their way to the store: ids, the operation for the committer, and
 * the answer when they are durable. Shared by everything that accepts events.
 */
#pragma once

#include "api/api_priv.h"
#include "wire/alertmanager.h"

/* How long a repeated delivery of the same alert state is known. */
#define INGEST_DEDUP_MS (7ULL * 24 * 3600 * 1000)
/* How long an Idempotency-Key is known. */
#define INGEST_KEY_MS (24ULL * 3600 * 1000)

enum ingest_shape {
    INGEST_ONE,     /* {"id", "status"} */
    INGEST_LIST,    /* {"ids", "count", "status"} */
    INGEST_WEBHOOK, /* {"ids", "count", "deduplicated", ...} */
    INGEST_ALERTS,  /* an empty 200 */
    INGEST_REFUSED  /* stored, but some entries were not fit: an error text */
};

/* Accepts the events (in the request's arena), all or none, and answers. */
void ingest_submit(struct call *c, struct event *events, uint32_t count,
                   enum ingest_shape shape);

/* The same, for the alerts of a webhook; says what was left out. */
void ingest_submit_webhook(struct call *c, const struct webhook_alerts *alerts);

/* The same, with the error of Alertmanager's own API once they are stored. */
void ingest_submit_partial(struct call *c, struct event *events, uint32_t count,
                           const char *complaint);

/* Alertmanager's API says what is wrong with a JSON string. */
void answer_string(struct call *c, unsigned status, const char *text);
