/* Health, metrics, probes, the description of the API. */
#include "api/api_priv.h"
#include "api/hub.h"
#include "integrations/integrations.h"
#include "os/clock.h"

/* ---- health
 * ------------------------------------------------------------------- */

static struct api_config_status config_status(const struct call *c)
{
    struct api_config_status status;
    c->api->config.status(c->api->config.context, &status);
    return status;
}

static const char *overall(const struct service_status *s, bool config_ok,
                           uint64_t now_ms)
{
    if (s->store_failed) {
        return "failed";
    }
    if (s->stopping) {
        return "stopping";
    }
    return s->executor_up && s->runbooks_rejected == 0 && !s->restored &&
                   !s->disk_full && !s->paused && config_ok &&
                   !service_backup_is_old(s, now_ms) &&
                   s->queue_depth < s->queue_limit
               ? "ok"
               : "degraded";
}

static void put_check(struct strbuf *out, const char *name, bool ok)
{
    put_open(out, name, '{');
    put_bool(out, "ok", ok);
}

/* What a restored backup means, until somebody has acknowledged it. */
static void put_restored(struct call *c, struct strbuf *out)
{
    struct controls *controls = service_controls(c->api->service);
    const struct setting_row *row = controls_restored(controls);
    put_raw(out, "restored", row != NULL ? row->value : STR("null"));
    controls_unref(controls);
}

/* Who has paused the processing of events, and when. */
static void put_paused(struct call *c, struct strbuf *out)
{
    struct controls *controls = service_controls(c->api->service);
    const struct setting_row *row = controls_pause(controls);
    put_bool(out, "paused", row != NULL);
    put_instant(out, "paused_at", row != NULL ? row->at_ms : 0);
    put_text_or_null(out, "paused_by", row != NULL ? row->by : STR(""));
    controls_unref(controls);
}

/* Backups are made by others; the engine only looks. */
static void put_backup(struct strbuf *out, const struct service_status *s,
                       uint64_t now_ms)
{
    bool old = service_backup_is_old(s, now_ms);
    put_check(out, "backup", !old);
    put_instant(out, "last_success_at", s->backup_ms);
    if (s->backup_ms == 0) {
        put_null(out, "age_seconds");
    } else {
        put_u64(out, "age_seconds",
                now_ms > s->backup_ms ? (now_ms - s->backup_ms) / 1000 : 0);
    }
    put_text_or_null(out, "hint",
                     old ? STR("sudo adctl backup; systemctl status "
                               "autonomous-devops-backup.timer")
                         : STR(""));
    put_close(out, '}');
}

void meta_health(struct call *c)
{
    struct service_status s = service_status(c->api->service);
    struct api_config_status config = config_status(c);
    struct strbuf *out = call_out(c);
    uint64_t now_ms = os_epoch_ms();
    put_open(out, NULL, '{');
    put_text_c(out, "status", overall(&s, config.ok, now_ms));
    put_text_c(out, "version", ADP_VERSION);
    put_u64(out, "uptime_seconds",
            now_ms > s.started_ms ? (now_ms - s.started_ms) / 1000 : 0);
    put_open(out, "checks", '{');
    put_check(out, "store", !s.store_failed && !s.restored);
    put_bool(out, "page_checksums", s.page_sums);
    put_restored(c, out);
    put_close(out, '}');
    put_check(out, "disk", !s.disk_full);
    put_close(out, '}');
    put_backup(out, &s, now_ms);
    put_check(out, "executor", s.executor_up);
    put_close(out, '}');
    put_check(out, "runbooks", s.runbooks_rejected == 0);
    put_u64(out, "loaded", s.runbooks_loaded);
    put_u64(out, "rejected", s.runbooks_rejected);
    put_u64(out, "disabled", s.runbooks_disabled);
    put_close(out, '}');
    put_check(out, "config", config.ok);
    put_instant(out, "loaded_at", config.loaded_ms);
    put_text_or_null(out, "error", str_c(config.error));
    put_close(out, '}');
    put_check(out, "queue", s.queue_depth < s.queue_limit && !s.paused);
    put_u64(out, "depth", s.queue_depth);
    put_u64(out, "limit", s.queue_limit);
    put_paused(c, out);
    put_close(out, '}');
    put_close(out, '}');
    put_close(out, '}');
    answer_json(c, s.store_failed || s.stopping ? 503 : 200);
}

/* ---- probes: no telemetry, no store, nothing that could be stuck
 * ---------------- */

static void answer_probe(struct call *c, bool ok, const char *why_not)
{
    strbuf_addc(call_out(c), ok ? "OK" : why_not);
    answer_as(c, ok ? 200 : 503, HTTP_TEXT);
}

void meta_healthy(struct call *c)
{
    answer_probe(c, !service_status(c->api->service).store_failed,
                 "the store failed");
}

void meta_ready(struct call *c)
{
    struct service_status s = service_status(c->api->service);
    answer_probe(c, !s.store_failed && !s.stopping && !s.disk_full,
                 s.stopping    ? "stopping"
                 : s.disk_full ? "the disk is full"
                               : "not ready");
}

/* ---- metrics
 * -------------------------------------------------------------------- */

static void read_state(struct call *c, struct telemetry_state *ret)
{
    struct service_status status = service_status(c->api->service);
    struct api_config_status config = config_status(c);
    service_state(&status, ret);
    ret->config_reload_ok = config.ok;
    ret->config_loaded_seconds = config.loaded_ms / 1000;
    if (c->api->integrations != NULL) {
        integrations_state(c->api->integrations, ret);
    }
    const struct http_server *http = atomic_load(&c->api->http);
    ret->http_connections = http != NULL ? http_connections(http) : 0;
    ret->stream_subscribers = hub_count(c->api->hub);
}

void meta_metrics(struct call *c)
{
    struct telemetry_state state;
    read_state(c, &state);
    telemetry_add_json(service_telemetry(c->api->service), &state,
                       os_epoch_ms(), call_out(c));
    answer_json(c, 200);
}

void meta_prometheus(struct call *c)
{
    struct telemetry_state state;
    read_state(c, &state);
    telemetry_add_prometheus(service_telemetry(c->api->service), &state,
                             call_out(c));
    answer_as(c, 200, TELEMETRY_PROMETHEUS_TYPE);
}

void meta_openapi(struct call *c)
{
    strbuf_add(call_out(c), strbuf_str(&c->api->openapi));
    answer_json(c, 200);
}
