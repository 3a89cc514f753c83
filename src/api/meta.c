/* Health, metrics, probes, the description of the API. */
#include "api/api_priv.h"
#include "api/health.h"
#include "api/hub.h"
#include "integrations/integrations.h"
#include "os/clock.h"

/* ---- health
 * ------------------------------------------------------------------- */

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
static void put_backup(struct strbuf *out, const struct health *h)
{
    uint64_t made_ms = h->service.backup_ms;
    health_open_check(h, out, "backup");
    put_instant(out, "last_success_at", made_ms);
    if (made_ms == 0) {
        put_null(out, "age_seconds");
    } else {
        put_u64(out, "age_seconds",
                h->now_ms > made_ms ? (h->now_ms - made_ms) / 1000 : 0);
    }
    put_close(out, '}');
}

static void put_checks(struct call *c, const struct health *h)
{
    const struct service_status *s = &h->service;
    struct strbuf *out = call_out(c);
    health_open_check(h, out, "store");
    put_bool(out, "page_checksums", s->page_sums);
    put_restored(c, out);
    put_close(out, '}');
    health_open_check(h, out, "kill_switch");
    put_bool(out, "on", s->killed);
    put_text_or_null(out, "reason", str_c(s->killed_text));
    put_close(out, '}');
    health_open_check(h, out, "disk");
    put_close(out, '}');
    put_backup(out, h);
    health_open_check(h, out, "executor");
    put_close(out, '}');
    health_open_check(h, out, "runbooks");
    put_u64(out, "loaded", s->runbooks_loaded);
    put_u64(out, "rejected", s->runbooks_rejected);
    put_u64(out, "refused", s->runbooks_refused);
    put_u64(out, "disabled", s->runbooks_disabled);
    put_bool(out, "stale", s->runbooks_stale);
    put_close(out, '}');
    health_open_check(h, out, "config");
    put_instant(out, "loaded_at", h->config.loaded_ms);
    put_close(out, '}');
    health_open_check(h, out, "audit");
    put_close(out, '}');
    health_open_check(h, out, "queue");
    put_u64(out, "depth", s->queue_depth);
    put_u64(out, "limit", s->queue_limit);
    put_paused(c, out);
    put_close(out, '}');
    health_open_check(h, out, "integrations");
    put_u64(out, "used", h->integrations.used);
    put_u64(out, "unhealthy", h->integrations.unhealthy);
    put_u64(out, "paused", h->integrations.paused);
    put_close(out, '}');
}

void meta_health(struct call *c)
{
    struct health h;
    health_look(c->api, &h);
    struct strbuf *out = call_out(c);
    put_open(out, NULL, '{');
    put_text_c(out, "status", health_word(&h));
    put_text_c(out, "version", ADP_VERSION);
    put_u64(out, "uptime_seconds",
            h.now_ms > h.service.started_ms
                ? (h.now_ms - h.service.started_ms) / 1000
                : 0);
    put_open(out, "checks", '{');
    put_checks(c, &h);
    put_close(out, '}');
    put_close(out, '}');
    answer_json(c, h.service.store_failed || h.service.stopping ? 503 : 200);
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
    struct health h;
    health_look(c->api, &h);
    service_state(&h.service, ret);
    ret->config_reload_ok = h.config.ok;
    ret->config_loaded_seconds = h.config.loaded_ms / 1000;
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
