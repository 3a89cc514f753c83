/*
 * Integrations: what is known of each partner system, whether it is well, and
 * the thread that talks to all of them. Settings come from the configuration
 * file; what the API changes wins, field by field, until the file says
 * something else of that field, and is kept in the store. Credentials are
 * write-only: sealed at rest, bound to integration, field and host, and shown
 * as "set" only.
 *
 * Order of life: integrations_new, integrations_load while the service opens
 * the store, integrations_start with the service; integrations_halt before the
 * HTTP server stops, integrations_free after the service has. The functions
 * in between may be called from any thread.
 */
#pragma once

#include <jansson.h>

#include "integrations/fields.h"
#include "store/reader.h"
#include "telemetry/telemetry.h"

#define INTEGRATION_ERROR_SIZE 320
#define INTEGRATION_CHECKS_MAX 32  /* at a time */
#define INTEGRATION_FRESH_MS 5000  /* a health that needs no new look */
#define INTEGRATION_FORCED_MS 5000 /* between two that are asked for anew */
#define SCRAPE_EVENTS_MAX 100U     /* of one scrape of one target */
#define SCRAPE_SERIES_MAX 10000U   /* of one target, that rules hold for */

struct service;
struct store_ingest;
struct integrations;

struct integrations_options {
    struct integration_config configs[INTEGRATIONS]; /* copied */
    const char *key_path; /* of the key that secrets are sealed with */
    uint64_t health_interval_ms;
    uint64_t give_up_ms; /* of a notice that nobody has taken */
    void (*log)(int priority, const char *message);
    /* Scraped events have become durable: live views. On the committer's
     * thread; NULL: nobody wants to know. */
    void (*ingested)(void *context, const struct store_ingest *ingest);
    void *context;
};

NODISCARD int integrations_new(const struct integrations_options *options,
                               struct integrations **ret, struct err *reterr);

/* Takes what the API has set from the store. */
NODISCARD int integrations_load(struct integrations *s, struct reader *reader);

/* Starts the thread. */
NODISCARD int integrations_start(struct integrations *s,
                                 struct service *service, struct err *reterr);

/* Ends the thread; checks under way and later ones end with -ECANCELED. NULL
 * is fine. */
void integrations_halt(struct integrations *s);
void integrations_free(struct integrations *s);

/* The file was read again. */
void integrations_configure(struct integrations *s,
                            const struct integration_config *configs);

/* Adds the notices that records cause. On the service's thread. */
struct effects;
void integrations_enrich(struct integrations *s, struct effects *fx,
                         uint64_t now_ms);

/* There may be something to do. Any thread. */
void integrations_wake(struct integrations *s);

/* ---- changes --------------------------------------------------------------
 */

enum integration_action {
    INTEGRATION_PUT, /* merges the body's fields */
    INTEGRATION_ENABLE,
    INTEGRATION_DISABLE,
    INTEGRATION_PAUSE,
    INTEGRATION_RESUME,
    INTEGRATION_ACTIONS
};

struct integration_change {
    enum integration which;
    enum integration_action action;
    const json_t *body; /* INTEGRATION_PUT */
    struct str by;
    struct str audit; /* action of its row in the audit trail */
    /* outcome: names of credentials that were dropped because they were for
     * another host */
    const char *dropped[FIELDS_MAX];
    uint32_t dropped_count;
};

/* Makes the change durable, with its row in the audit trail, and puts it in
 * force. Waits for the commit: not for the threads of servers and services.
 * 0; -EINVAL, -ERANGE (the body); -ENOKEY (secrets cannot be kept: reterr says
 * why); or what the store says. */
NODISCARD int integrations_change(struct integrations *s,
                                  struct integration_change *change,
                                  struct err *reterr);

/* ---- checks ---------------------------------------------------------------
 */

enum integration_check_kind {
    CHECK_HEALTH, /* without side effects; a fresh one is not repeated, one
                     that is under way is waited for */
    CHECK_TEST    /* visible at the partner, labelled as a test */
};

/* Caller-owned; valid until done was called, once, from any thread (this one
 * included). */
struct integration_check {
    enum integration which;
    enum integration_check_kind kind;
    bool force; /* CHECK_HEALTH: also when there is a fresh one, but once in
                   INTEGRATION_FORCED_MS */
    void (*done)(struct integration_check *c);
    /* outcome */
    int result;        /* 0: it is well; -EHOSTDOWN: it is not (error);
                          -EOPNOTSUPP: not configured or not enabled (error);
                          -EAGAIN: too many at a time; -EDQUOT: the partner
                          takes no more messages for retry_ms; -ECANCELED:
                          stopping */
    uint64_t retry_ms; /* of -EDQUOT */
    unsigned steps;    /* requests made */
    uint64_t took_ms;
    char error[INTEGRATION_ERROR_SIZE]; /* "Prometheus integration: 401
                                           Unauthorized" */
};

void integrations_check(struct integrations *s, struct integration_check *c);

/* ---- views ----------------------------------------------------------------
 */

/* What the API shows of one: name, enabled, health... New references. */
json_t *integrations_row(struct integrations *s, enum integration which);
json_t *integrations_detail(struct integrations *s, enum integration which);
json_t *integrations_health(struct integrations *s, enum integration which);

/* How they are on the whole. */
struct integrations_look {
    uint32_t used; /* that are enabled, and set or known to be unhealthy */
    uint32_t unhealthy;
    uint32_t paused;
    char trouble[256]; /* "1 of 3 unhealthy: slack; paused: pagerduty"; "" */
};
struct integrations_look integrations_look(struct integrations *s);

/* Numbers for the metrics. */
void integrations_state(struct integrations *s, struct telemetry_state *ret);
