#include "api/health.h"

#include <string.h>

#include "api/api_priv.h"
#include "os/clock.h"

void health_look(struct api *a, struct health *ret)
{
    ret->service = service_status(a->service);
    a->config.status(a->config.context, &ret->config);
    ret->now_ms = os_epoch_ms();
}

/* ---- what can be wrong ----------------------------------------------------
 */

static bool has_failed(const struct health *h)
{
    return h->service.store_failed;
}

static bool disk_is_full(const struct health *h)
{
    return h->service.disk_full;
}

static bool executor_is_down(const struct health *h)
{
    return !h->service.executor_up;
}

static bool queue_is_full(const struct health *h)
{
    return h->service.queue_depth >= h->service.queue_limit;
}

static bool is_paused(const struct health *h)
{
    return h->service.paused;
}

static bool is_full_and_paused(const struct health *h)
{
    return is_paused(h) && queue_is_full(h);
}

static bool was_restored(const struct health *h)
{
    return h->service.restored;
}

static bool config_is_old(const struct health *h)
{
    return !h->config.ok;
}

static bool runbooks_are_bad(const struct health *h)
{
    return h->service.runbooks_rejected != 0;
}

static bool backup_is_old(const struct health *h)
{
    return service_backup_is_old(&h->service, h->now_ms);
}

/* The first that holds for a check is what is said of it; the first of all is
 * what the status page says. */
static const struct trouble {
    const char *check;
    bool (*holds)(const struct health *h);
    bool warning;     /* the check is ok all the same */
    const char *text; /* NULL: what the configuration says */
    const char *hint;
} troubles[] = {
    {"store", has_failed, false, "the store has failed: no event is accepted",
     "journalctl -u autonomous-devops -n 50, then restart it"},
    {"disk", disk_is_full, false, "the disk is full: events are refused (507)",
     "df -h, then make room: events are taken again by itself"},
    {"queue", is_full_and_paused, false,
     "the queue is full and paused: events are refused (503)",
     "adctl queue resume"},
    {"queue", queue_is_full, false,
     "the queue is full: events are refused (503)",
     "adctl event list --status queued"},
    {"executor", executor_is_down, false,
     "the executor is not connected: no step can run",
     "journalctl -t autonomous-devops -n 50"},
    {"store", was_restored, false, "the store was restored from a backup",
     "adctl backup acknowledge, once what is held is known"},
    {"queue", is_paused, false,
     "event processing is paused: events wait, nothing starts",
     "adctl queue resume"},
    {"config", config_is_old, false, NULL,
     "autonomous-devops check-config, then adctl reload"},
    {"runbooks", runbooks_are_bad, false, "some runbooks do not load",
     "adctl runbook list"},
    {"backup", backup_is_old, false, "the newest backup is too old",
     "sudo adctl backup; systemctl status autonomous-devops-backup.timer"},
};

/* check NULL: the worst of all that is not well. */
static const struct trouble *find(const struct health *h, const char *check,
                                  bool warning)
{
    for (size_t i = 0; i < ARRAY_LEN(troubles); i++) {
        const struct trouble *t = &troubles[i];
        if (t->warning == warning &&
            (check == NULL || strcmp(t->check, check) == 0) && t->holds(h)) {
            return t;
        }
    }
    return NULL;
}

static const char *text_of(const struct health *h, const struct trouble *t)
{
    return t->text != NULL ? t->text : h->config.error;
}

/* ---- how it is told -------------------------------------------------------
 */

const char *health_word(const struct health *h)
{
    return h->service.store_failed        ? "failed"
           : h->service.stopping          ? "stopping"
           : find(h, NULL, false) != NULL ? "degraded"
                                          : "ok";
}

void health_add_text(const struct health *h, struct strbuf *out)
{
    const struct trouble *t = find(h, NULL, false);
    strbuf_addc(out, health_word(h));
    if (t != NULL && !h->service.stopping) {
        strbuf_addf(out, ": %s%s (%s)",
                    t->text == NULL ? "the configuration was not reloaded: "
                                    : "",
                    text_of(h, t), t->hint);
    }
}

void health_open_check(const struct health *h, struct strbuf *out,
                       const char *name)
{
    const struct trouble *bad = find(h, name, false);
    const struct trouble *warning = bad == NULL ? find(h, name, true) : NULL;
    const struct trouble *either = bad != NULL ? bad : warning;
    put_open(out, name, '{');
    put_bool(out, "ok", bad == NULL);
    put_text_or_null(out, "error",
                     bad != NULL ? str_c(text_of(h, bad)) : STR(""));
    put_text_or_null(out, "warning",
                     warning != NULL ? str_c(text_of(h, warning)) : STR(""));
    put_text_or_null(out, "hint",
                     either != NULL ? str_c(either->hint) : STR(""));
}
