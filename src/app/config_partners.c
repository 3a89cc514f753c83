/* What the configuration says of partner systems, as a whole. */
#include <errno.h>
#include <string.h>

#include "app/config_value.h"
#include "integrations/web.h"

/* The field that an option of this integration fills: an index of
 * integration_fields, FIELD_ENABLED, or -1. */
static int field_index(const struct config_option *o, enum integration which)
{
    const char *section = config_integration_key(which);
    size_t len = strlen(section);
    if (strncmp(o->key, section, len) != 0 || o->key[len] != '.') {
        return -1;
    }
    const char *name = o->key + len + 1;
    const struct integration_field *f = integration_field_find(which, name);
    return f != NULL                      ? (int)(f - integration_fields)
           : strcmp(name, "enabled") == 0 ? FIELD_ENABLED
                                          : -1;
}

/* A warning at the place where the option is set, by config_warn or
 * config_remark. */
static void warn_at(struct config_reader *r, size_t option,
                    const struct err *given,
                    void (*warn)(struct config_reader *r, const char *field,
                                 const struct err *e))
{
    struct config_reader at = *r;
    struct err e = *given;
    const struct config_origin *origin = &r->config->origins[option];
    at.file = origin->source != NULL ? origin->source : r->file;
    at.is_file = origin->at.line != 0;
    e.at = origin->at;
    warn(&at, config_options[option].key, &e);
}

static void check_secret(struct config_reader *r, size_t option,
                         const struct integration_config *c,
                         const struct integration_field *f)
{
    char origin[WEB_ORIGIN_SIZE];
    struct err e = ERR_INIT;
    const char *secret = field_text(c, f);
    const char *url = f->kind == FIELD_SECRET_URL
                          ? secret
                          : *(const char *const *)((const char *)c + f->target);
    web_origin(url, origin);
    if (secret == NULL || origin[0] == '\0' || c->insecure_http ||
        web_keeps_secrets(origin)) {
        return;
    }
    err_hint(&e, "write https://, or set insecure_http: true beside it");
    (void)err_set(&e, -EPERM,
                  "would go over http to another host, where others can read "
                  "it, and is not used");
    warn_at(r, option, &e, config_warn);
}

static void check_pagerduty(struct config_reader *r, size_t option)
{
    struct err e = ERR_INIT;
    const struct integration_config *c =
        &r->config->integrations[INTEGRATION_PAGERDUTY];
    if (!c->enabled || c->api_key == NULL || c->routing_key != NULL) {
        return;
    }
    err_hint(&e, "set routing_key, the integration key of the service's Events "
                 "API v2");
    (void)err_set(&e, -ENOKEY,
                  "the api_key alone only asks for PagerDuty's health: nothing "
                  "can be sent");
    warn_at(r, option, &e, config_remark);
}

void config_check_partners(struct config_reader *r)
{
    for (size_t i = 0; i < config_option_count; i++) {
        for (int which = 0; which < INTEGRATIONS; which++) {
            struct integration_config *c = &r->config->integrations[which];
            int index =
                field_index(&config_options[i], (enum integration)which);
            if (index < 0 || r->config->origins[i].source == NULL) {
                continue;
            }
            c->set |= 1U << index;
            if (index == FIELD_ENABLED) {
                continue;
            }
            const struct integration_field *f = &integration_fields[index];
            if (field_is_secret(f)) {
                check_secret(r, i, c, f);
            }
            if (strcmp(f->name, "api_key") == 0) {
                check_pagerduty(r, i);
            }
        }
    }
}
