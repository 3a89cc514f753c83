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

/* Webhook v4. *ret_truncated is the sender's truncatedAlerts. Errors name the
 * field ("alerts[3].labels"). */
NODISCARD int alertmanager_webhook(const json_t *body, struct arena *a,
                                   struct event **ret, uint32_t *ret_count,
                                   uint64_t *ret_truncated, struct err *reterr);

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
