#include "model/event.h"

#include <errno.h>

#include "base/assert.h"

#define BIT(status) (1U << (status))

/* Each status and where an event may go from it (I3). A claimed event goes
 * back to queued when its engine is gone. A poisonous or drained one may be
 * queued again by an operator. */
static const struct {
    const char *name;
    unsigned next;
} statuses[EVENT_STATUSES] = {
    [EVENT_QUEUED] = {"queued", BIT(EVENT_PROCESSING) | BIT(EVENT_DRAINED) |
                                    BIT(EVENT_POISON)},
    [EVENT_PROCESSING] = {"processing",
                          BIT(EVENT_PROCESSED) | BIT(EVENT_SUPPRESSED) |
                              BIT(EVENT_QUEUED) | BIT(EVENT_ERROR) |
                              BIT(EVENT_POISON)},
    [EVENT_PROCESSED] = {"processed", BIT(EVENT_ARCHIVED)},
    [EVENT_SUPPRESSED] = {"suppressed", BIT(EVENT_ARCHIVED)},
    [EVENT_DEDUPLICATED] = {"deduplicated", BIT(EVENT_ARCHIVED)},
    [EVENT_DRAINED] = {"drained", BIT(EVENT_QUEUED) | BIT(EVENT_ARCHIVED)},
    [EVENT_POISON] = {"poison", BIT(EVENT_QUEUED) | BIT(EVENT_ARCHIVED)},
    [EVENT_ARCHIVED] = {"archived", 0},
    [EVENT_ERROR] = {"error", BIT(EVENT_PROCESSING) | BIT(EVENT_DRAINED) |
                                  BIT(EVENT_POISON)},
};

const char *event_status_name(enum event_status s)
{
    ASSERT(s < EVENT_STATUSES);
    return statuses[s].name;
}

int event_status_parse(struct str text, enum event_status *ret)
{
    for (unsigned i = 0; i < EVENT_STATUSES; i++) {
        if (str_eq_c(text, statuses[i].name)) {
            *ret = (enum event_status)i;
            return 0;
        }
    }
    return -EINVAL;
}

bool event_status_may(enum event_status from, enum event_status to)
{
    ASSERT(from < EVENT_STATUSES && to < EVENT_STATUSES);
    return (statuses[from].next & BIT(to)) != 0;
}

bool event_status_is_over(enum event_status s)
{
    return s == EVENT_PROCESSED || s == EVENT_SUPPRESSED ||
           s == EVENT_DEDUPLICATED || s == EVENT_ARCHIVED;
}

const char *event_state_name(enum event_state s)
{
    switch (s) {
    case EVENT_STATE_NONE:
        return "";
    case EVENT_FIRING:
        return "firing";
    case EVENT_RESOLVED:
        return "resolved";
    default:
        UNREACHABLE();
    }
}

uint64_t event_alert_ends_ms(const struct event *e)
{
    uint64_t latest = e->received_ms + EVENT_ALERT_SILENT_MS;
    return e->ends_ms != 0 ? MIN(e->ends_ms, latest) : latest;
}
