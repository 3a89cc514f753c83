#include "model/integration.h"

#include <errno.h>

static const struct {
    const char *name;
    const char *title;
} rows[INTEGRATIONS] = {
    [INTEGRATION_PROMETHEUS] = {"prometheus", "Prometheus"},
    [INTEGRATION_ALERTMANAGER] = {"alertmanager", "Alertmanager"},
    [INTEGRATION_PAGERDUTY] = {"pagerduty", "PagerDuty"},
    [INTEGRATION_SLACK] = {"slack", "Slack"},
    [INTEGRATION_METRICS_SCRAPER] = {"metrics-scraper", "Metrics scraper"},
};

const char *integration_name(enum integration which)
{
    return rows[which].name;
}

const char *integration_title(enum integration which)
{
    return rows[which].title;
}

int integration_parse(struct str name, enum integration *ret)
{
    for (int i = 0; i < INTEGRATIONS; i++) {
        if (str_eq_c(name, rows[i].name)) {
            *ret = (enum integration)i;
            return 0;
        }
    }
    return -ENOENT;
}
