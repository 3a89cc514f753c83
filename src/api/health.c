#include "api/health.h"

#include <stdio.h>
#include <string.h>

#include "api/api_priv.h"
#include "data/timestamp.h"
#include "os/clock.h"

/* So long it is told that a trigger had no room to remember a key. */
#define REFUSED_SHOWN_MS (10 * 60000ULL)

void health_look(struct api *a, struct health *ret)
{
    ret->service = service_status(a->service);
    a->config.status(a->config.context, &ret->config);
    ret->integrations = (struct integrations_look){.used = 0};
    if (a->integrations != NULL) {
        ret->integrations = integrations_look(a->integrations);
    }
    ret->now_ms = os_epoch_ms();
    char since[TIMESTAMP_TEXT_SIZE];
    timestamp_format(ret->config.loaded_ms, since);
    (void)snprintf(ret->changed, sizeof(ret->changed), "%s since %s",
                   ret->config.changed, since);
    (void)snprintf(ret->trail, sizeof(ret->trail),
                   "the audit trail is not whole: row %llu was changed, or one "
                   "before it, or it is missing",
                   (unsigned long long)ret->service.audit_broken_at);
    (void)snprintf(ret->check, sizeof(ret->check),
                   "autonomous-devops check-config%s%s, then adctl reload",
                   ret->config.file != NULL ? " " : "",
                   ret->config.file != NULL ? ret->config.file : "");
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

static bool is_killed(const struct health *h)
{
    return h->service.killed;
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

static bool config_has_changed(const struct health *h)
{
    return h->config.changed[0] != '\0';
}

static bool config_waits(const struct health *h)
{
    return h->config.restart[0] != '\0';
}

static bool runbooks_are_bad(const struct health *h)
{
    return h->service.runbooks_rejected != 0;
}

static bool runbooks_are_old(const struct health *h)
{
    return h->service.runbooks_stale;
}

static bool partners_are_bad(const struct health *h)
{
    return h->integrations.trouble[0] != '\0';
}

static bool runbooks_are_refused(const struct health *h)
{
    return h->service.runbooks_refused != 0;
}

/* Starts are held back that nothing else holds back. */
static bool triggers_lack_room(const struct health *h)
{
    uint64_t at_ms = h->service.engine.memories_refused_ms;
    return at_ms != 0 && h->now_ms < at_ms + REFUSED_SHOWN_MS;
}

static bool backup_is_old(const struct health *h)
{
    return service_backup_is_old(&h->service, h->now_ms);
}

static bool trail_is_broken(const struct health *h)
{
    return h->service.audit_broken_at != 0;
}

/* ---- in words of the moment ---------------------------------------------- */

static const char *reload_error(const struct health *h)
{
    return h->config.error;
}

static const char *check_hint(const struct health *h)
{
    return h->check;
}

static const char *what_changed(const struct health *h)
{
    return h->changed;
}

static const char *what_waits(const struct health *h)
{
    return h->config.restart;
}

static const char *what_trail(const struct health *h)
{
    return h->trail;
}

static const char *what_partners(const struct health *h)
{
    return h->integrations.trouble;
}

/* The first that holds for a check is what is said of it; the first of all is
 * what the status page says. */
static const struct trouble {
    const char *check;
    bool (*holds)(const struct health *h);
    bool warning; /* the check is ok all the same */
    const char *text;
    const char *hint;
    /* Instead of text and hint, where they are not always the same. */
    const char *(*say)(const struct health *h);
    const char *(*next)(const struct health *h);
} troubles[] = {
    {.check = "store",
     .holds = has_failed,
     .text = "the store has failed: no event is accepted",
     .hint = "journalctl -u autonomous-devops -n 50, then restart it"},
    {.check = "disk",
     .holds = disk_is_full,
     .text = "the disk is full: events are refused (507)",
     .hint = "df -h, then make room: events are taken again by itself"},
    {.check = "queue",
     .holds = is_full_and_paused,
     .text = "the queue is full and paused: events are refused (503)",
     .hint = "adctl queue resume"},
    {.check = "queue",
     .holds = queue_is_full,
     .text = "the queue is full: events are refused (503)",
     .hint = "adctl event list --status queued"},
    {.check = "kill_switch",
     .holds = is_killed,
     .text = "the kill switch is on: no workflow and no step begins",
     .hint = "adctl kill-switch says who and why; adctl kill-switch off"},
    {.check = "executor",
     .holds = executor_is_down,
     .text = "the executor is not connected: no step can run",
     .hint = "journalctl -t autonomous-devops -n 50"},
    {.check = "store",
     .holds = was_restored,
     .text = "the store was restored from a backup",
     .hint = "adctl backup acknowledge, once what is held is known"},
    {.check = "queue",
     .holds = is_paused,
     .text = "event processing is paused: events wait, nothing starts",
     .hint = "adctl queue resume"},
    {.check = "config",
     .holds = config_is_old,
     .say = reload_error,
     .next = check_hint},
    {.check = "config",
     .holds = config_has_changed,
     .warning = true,
     .say = what_changed,
     .hint = "adctl reload"},
    {.check = "config",
     .holds = config_waits,
     .warning = true,
     .say = what_waits,
     .hint = "systemctl restart autonomous-devops"},
    {.check = "runbooks",
     .holds = runbooks_are_old,
     .text = "the last reload of the runbooks failed: those from before are in "
             "force",
     .hint = "adctl reload runbooks"},
    {.check = "runbooks",
     .holds = runbooks_are_refused,
     .text = "the executor refuses some runbooks: their workflows would fail",
     .hint = "adctl runbook list"},
    {.check = "runbooks",
     .holds = runbooks_are_bad,
     .text = "some runbooks do not load",
     .hint = "adctl runbook list"},
    {.check = "runbooks",
     .holds = triggers_lack_room,
     .text = "triggers start nothing for some keys, because "
             "limits.trigger_memory is used up",
     .hint = "adctl guard list says by which; raise the limit, or let dedup "
             "name fewer labels"},
    {.check = "integrations", /* the partner's trouble, not the engine's */
     .holds = partners_are_bad,
     .warning = true,
     .say = what_partners,
     .hint = "adctl integration list"},
    {.check = "audit", /* for ever, so that it must not hide what comes */
     .holds = trail_is_broken,
     .warning = true,
     .say = what_trail,
     .hint = "adctl audit verify"},
    {.check = "backup",
     .holds = backup_is_old,
     .text = "the newest backup is too old",
     .hint =
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
    return t->say != NULL ? t->say(h) : t->text;
}

static const char *hint_of(const struct health *h, const struct trouble *t)
{
    return t->next != NULL ? t->next(h) : t->hint;
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
                    t->say == reload_error
                        ? "the configuration was not reloaded: "
                        : "",
                    text_of(h, t), hint_of(h, t));
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
                     either != NULL ? str_c(hint_of(h, either)) : STR(""));
}
