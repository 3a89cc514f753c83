/*
 * How the engine is: what is not well, why, and what to do about it. One table
 * from which /api/health, the status page and so adctl status and doctor
 * derive: what can make the engine "degraded" has a name, a sentence and a
 * next step everywhere. Any thread; looks and changes nothing.
 */
#pragma once

#include "api/api.h"
#include "base/strbuf.h"
#include "integrations/integrations.h"
#include "runtime/service.h"

struct health {
    struct service_status service;
    struct api_config_status config;
    struct integrations_look integrations;
    uint64_t now_ms;
    char changed[512]; /* what has changed, and since when; private */
    char trail[160];   /* what is wrong with the audit trail; private */
    char check[512];   /* how to check the configuration; private */
};

/* Looks now. */
void health_look(struct api *a, struct health *ret);

/* "ok", "degraded", "stopping" or "failed". */
const char *health_word(const struct health *h);

/* What is worst, as a sentence with its next step, for the status page:
 * "degraded: the disk is full: events are refused (507) (df -h, ...)". */
void health_add_text(const struct health *h, struct strbuf *out);

/* Opens the member `name` of the checks and puts what every check has: "ok",
 * "error" (why it is not; null), "warning" (it is, but somebody should know;
 * null) and "hint" (what to do; null). */
void health_open_check(const struct health *h, struct strbuf *out,
                       const char *name);
