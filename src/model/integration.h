/*
 * The partner systems that the platform knows: their names, which are the
 * keys of the configuration and the paths of the API, and what they are
 * called in messages. Pure; any thread. The numbers are stored: never
 * renumber.
 */
#pragma once

#include "base/attr.h"
#include "base/str.h"

enum integration {
    INTEGRATION_PROMETHEUS = 0,
    INTEGRATION_ALERTMANAGER = 1,
    INTEGRATION_PAGERDUTY = 2,
    INTEGRATION_SLACK = 3,
    INTEGRATION_METRICS_SCRAPER = 4,
    INTEGRATIONS
};

/* "prometheus", "metrics-scraper". */
const char *integration_name(enum integration which);

/* "Prometheus", "Metrics scraper". */
const char *integration_title(enum integration which);

/* From its name: 0 or -ENOENT. */
NODISCARD int integration_parse(struct str name, enum integration *ret);
