/* What is shown of integrations. Secrets are shown as set, never as they are.
 */
#include <stdio.h>

#include "base/strbuf.h"
#include "data/timestamp.h"
#include "integrations/integrations_priv.h"

/* ---- words
 * ------------------------------------------------------------------- */

const char *health_text(const struct member *m)
{
    static const char *const words[] = {[HEALTH_UNKNOWN] = "unknown",
                                        [HEALTH_HEALTHY] = "healthy",
                                        [HEALTH_UNHEALTHY] = "unhealthy"};
    const struct settings *n = m->now;
    bool bad = m->health.word == HEALTH_UNHEALTHY;
    return !n->enabled            ? "disabled"
           : !n->complete && !bad ? "not_configured"
           : n->paused            ? "paused"
                                  : words[m->health.word];
}

json_t *health_json(const struct member *m)
{
    const struct settings *n = m->now;
    bool well = m->health.word == HEALTH_HEALTHY;
    if (!n->enabled || m->health.word == HEALTH_UNKNOWN ||
        (!n->complete && well)) {
        return json_null(); /* a key that is good does not make it usable */
    }
    return json_boolean(well);
}

static void set_instant(json_t *out, const char *key, uint64_t ms)
{
    char iso_key[64];
    char iso[TIMESTAMP_TEXT_SIZE];
    (void)snprintf(iso_key, sizeof(iso_key), "%s_iso", key);
    timestamp_format(ms, iso);
    (void)json_object_set_new(
        out, key, ms != 0 ? json_real((double)ms / 1000) : json_null());
    (void)json_object_set_new(out, iso_key,
                              ms != 0 ? json_string(iso) : json_null());
}

static void set_text(json_t *out, const char *key, const char *text)
{
    (void)json_object_set_new(
        out, key,
        text != NULL && text[0] != '\0' ? json_string(text) : json_null());
}

/* ---- health
 * ------------------------------------------------------------------- */

/* Somebody wants to use it, but what is set is not enough. */
static bool is_half_set(const struct member *m)
{
    const struct settings *n = m->now;
    return n->enabled && !n->complete && (m->file.configured || n->by_api);
}

static void set_error(json_t *out, const struct member *m,
                      enum integration which)
{
    char why[INTEGRATION_ERROR_SIZE];
    char error[INTEGRATION_ERROR_SIZE + 64];
    if (m->health.word == HEALTH_UNHEALTHY || !is_half_set(m)) {
        set_text(out, "error", m->now->enabled ? m->health.error : NULL);
        return;
    }
    settings_explain(which, m->now, why);
    (void)snprintf(error, sizeof(error), "%s integration: %s",
                   integration_title(which), why);
    set_text(out, "error", error);
}

static json_t *row(const struct member *m, enum integration which)
{
    const struct settings *n = m->now;
    const struct health *h = &m->health;
    json_t *out = json_object();
    set_text(out, "name", integration_name(which));
    (void)json_object_set_new(out, "enabled", json_boolean(n->enabled));
    set_text(out, "health", health_text(m));
    (void)json_object_set_new(out, "healthy", health_json(m));
    (void)json_object_set_new(out, "paused", json_boolean(n->paused));
    (void)json_object_set_new(out, "configured", json_boolean(n->complete));
    set_text(out, "missing", n->complete ? NULL : n->missing);
    set_error(out, m, which);
    set_instant(out, "last_check", h->checked_ms);
    return out;
}

static void set_health(json_t *out, const struct health *h)
{
    set_instant(out, "since", h->since_ms);
    (void)json_object_set_new(out, "latency_seconds",
                              h->checked_ms != 0
                                  ? json_real((double)h->took_ms / 1000)
                                  : json_null());
    (void)json_object_set_new(out, "consecutive_failures",
                              json_integer((json_int_t)h->failures));
}

json_t *integrations_health(struct integrations *s, enum integration which)
{
    pthread_mutex_lock(&s->lock);
    json_t *out = row(&s->members[which], which);
    set_health(out, &s->members[which].health);
    pthread_mutex_unlock(&s->lock);
    return out;
}

/* ---- settings
 * ------------------------------------------------------------------ */

/* Where it sends to: of a URL that is a secret, the host only. */
static void set_url(json_t *out, const struct settings *n,
                    enum integration which)
{
    char origin[WEB_ORIGIN_SIZE];
    if (which == INTEGRATION_SLACK) {
        web_origin(n->config.webhook_url, origin);
        set_text(out, "url", origin);
    } else {
        set_text(out, "url", n->config.url);
    }
}

json_t *integrations_row(struct integrations *s, enum integration which)
{
    pthread_mutex_lock(&s->lock);
    json_t *out = row(&s->members[which], which);
    set_url(out, s->members[which].now, which);
    pthread_mutex_unlock(&s->lock);
    return out;
}

static json_t *secret_json(const struct settings *n,
                           const struct integration_field *f)
{
    static const char *const sources[] = {[SECRET_UNSET] = NULL,
                                          [SECRET_FROM_API] = "api",
                                          [SECRET_FROM_FILE] = "file"};
    const struct secret_view *v = &n->secrets[f - integration_fields];
    json_t *out = json_object();
    (void)json_object_set_new(out, "set",
                              json_boolean(v->source != SECRET_UNSET));
    set_text(out, "source", sources[v->source]);
    set_instant(out, "updated_at", v->at_ms);
    set_text(out, "problem", v->problem);
    return out;
}

static void set_fields(json_t *out, const struct settings *n,
                       enum integration which)
{
    for (size_t i = 0; i < integration_field_count; i++) {
        const struct integration_field *f = &integration_fields[i];
        if ((f->of & (1U << which)) != 0) {
            (void)json_object_set_new(out, f->name,
                                      field_is_secret(f)
                                          ? secret_json(n, f)
                                          : field_json(&n->config, f));
        }
    }
}

static void set_outbox(json_t *out, const struct channel *c)
{
    (void)json_object_set_new(
        out, "outbox",
        json_pack("{s:I, s:I, s:I, s:I, s:I}", "pending",
                  (json_int_t)atomic_load(&c->pending), "dead",
                  (json_int_t)atomic_load(&c->dead), "sent",
                  (json_int_t)atomic_load(&c->sent), "retried",
                  (json_int_t)atomic_load(&c->retried), "dropped",
                  (json_int_t)atomic_load(&c->dropped)));
}

json_t *integrations_detail(struct integrations *s, enum integration which)
{
    pthread_mutex_lock(&s->lock);
    const struct member *m = &s->members[which];
    json_t *out = row(m, which);
    set_text(out, "title", integration_title(which));
    set_url(out, m->now, which);
    set_health(out, &m->health);
    set_fields(out, m->now, which);
    if (integration_field_find(which, "notify_on") != NULL) {
        set_outbox(out, &s->channels[which]);
    }
    if (which == INTEGRATION_METRICS_SCRAPER) {
        (void)json_object_set_new(out, "scrapes", scraper_json(s->scraper));
    }
    (void)json_object_set_new(out, "changed_by_api",
                              json_boolean(m->now->by_api));
    pthread_mutex_unlock(&s->lock);
    return out;
}

/* ---- on the whole ---------------------------------------------------------
 */

static void add_name(struct strbuf *names, enum integration which)
{
    strbuf_addf(names, "%s%s", names->len != 0 ? ", " : "",
                integration_name(which));
}

struct integrations_look integrations_look(struct integrations *s)
{
    struct integrations_look look = {.used = 0};
    struct strbuf bad = STRBUF_INIT(sizeof(look.trouble));
    struct strbuf paused = STRBUF_INIT(sizeof(look.trouble));
    pthread_mutex_lock(&s->lock);
    for (enum integration i = 0; i < INTEGRATIONS; i++) {
        const struct member *m = &s->members[i];
        bool unhealthy = m->health.word == HEALTH_UNHEALTHY;
        if (!m->now->enabled || (!m->now->complete && !unhealthy)) {
            continue;
        }
        look.used++;
        if (m->now->paused) {
            look.paused++;
            add_name(&paused, i);
        }
        if (unhealthy) {
            look.unhealthy++;
            add_name(&bad, i);
        }
    }
    pthread_mutex_unlock(&s->lock);
    size_t len = 0;
    if (look.unhealthy != 0) {
        len = (size_t)snprintf(look.trouble, sizeof(look.trouble),
                               "%u of %u unhealthy: %.*s", look.unhealthy,
                               look.used, STR_ARG(strbuf_str(&bad)));
    }
    if (look.paused != 0) {
        (void)snprintf(look.trouble + len, sizeof(look.trouble) - len,
                       "%spaused: %.*s", len != 0 ? "; " : "",
                       STR_ARG(strbuf_str(&paused)));
    }
    strbuf_deinit(&bad);
    strbuf_deinit(&paused);
    return look;
}

void integrations_state(struct integrations *s, struct telemetry_state *ret)
{
    ret->incidents_forgotten = atomic_load(&s->incidents_forgotten);
    ret->scrapes[0] = atomic_load(&s->scrapes[0]);
    ret->scrapes[1] = atomic_load(&s->scrapes[1]);
    ret->scrape_events = atomic_load(&s->scrape_events);
    ret->scrape_dropped = atomic_load(&s->scrape_dropped);
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < INTEGRATIONS; i++) {
        const struct member *m = &s->members[i];
        bool used = m->now->enabled && m->now->complete;
        ret->integrations_used[i] = used;
        const struct channel *c = &s->channels[i];
        ret->notices_pending[i] = atomic_load(&c->pending);
        ret->notices_dead[i] = atomic_load(&c->dead);
        ret->notices_sent[i] = atomic_load(&c->sent);
        ret->notices_retried[i] = atomic_load(&c->retried);
        ret->notices_dropped[i] = atomic_load(&c->dropped);
        ret->integrations_failing[i] =
            m->now->enabled && m->health.word == HEALTH_UNHEALTHY;
    }
    pthread_mutex_unlock(&s->lock);
}
