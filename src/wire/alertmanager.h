/*
 * Bodies that Prometheus and Alertmanager send: the webhook payload of
 * version 4 (split per alert, unknown fields ignored) and the alert list of
 * API v2. Each alert becomes an event of type "alert" whose fingerprint is
 * Prometheus' own and whose dedup_key makes repeated deliveries of the same
 * state one event. Pure; any thread; results live in the arena.
 */
#pragma once

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "model/event.h"

#define ALERTS_MAX 1000

/* Alerts that are told about one by one when they are not fit. */
#define ALERT_PROBLEMS_MAX 10

struct webhook_alerts {
    struct event *events;
    uint32_t count;
    uint32_t refused;   /* not fit, or beyond ALERTS_MAX */
    uint64_t truncated; /* left out by the sender: truncatedAlerts */
    struct str problems[ALERT_PROBLEMS_MAX]; /* of the first refused ones */
    uint32_t problem_count;
};

/* Webhook v4. Nobody sends refused alerts again, and those of its group less:
 * what is fit is taken, too long annotations are cut. An error, which names
 * the field ("alerts[3].labels"), when it is no such body or nothing is fit. */
NODISCARD int alertmanager_webhook(const json_t *body, struct arena *a,
                                   struct webhook_alerts *ret,
                                   struct err *reterr);

/* POST /api/v2/alerts: an array. now_ms decides what a missing time is and
 * whether ends_at has passed (resolved). Valid entries are returned even when
 * others are not: then the result is -EINVAL and *ret_count may be > 0.
 * -EBADMSG: not such a list at all (schema error, 422). */
NODISCARD int alertmanager_alerts(const json_t *body, uint64_t now_ms,
                                  struct arena *a, struct event **ret,
                                  uint32_t *ret_count, struct err *reterr);

/* One alert of GET /api/v2/alerts from a stored event. */
void alertmanager_add_alert(struct strbuf *out, const struct event *e,
                            uint64_t now_ms);
