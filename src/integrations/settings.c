/*
 * Settings of an integration: the file's section with what the API has set
 * over it. What the API has set is one object in the store:
 *
 *   {"enabled": bool, "paused": bool, "fields": {name: value},
 *    "secrets": {name: {"sealed", "origin", "at_ms"}},
 *    "bases": {name: fingerprint of what the file said of it then}}
 *
 * What the file says otherwise since then is the file's again; everything else
 * that the API has set still counts, also under a later version that knows more
 * fields or other defaults. What has no fingerprint counts.
 */
#include <errno.h>
#include <stdio.h>

#include <sodium.h>

#include "base/assert.h"
#include "base/mem.h"
#include "data/json.h"
#include "integrations/integrations_priv.h"
#include "os/clock.h"

struct str settings_key(enum integration which, char room[64])
{
    (void)snprintf(room, 64, SETTINGS_PREFIX "%s", integration_name(which));
    return str_c(room);
}

/* ---- which of both counts --------------------------------------------------
 */

/* The field that names the host of a secret; NULL: none but itself. */
static const struct integration_field *
target_field(const struct integration_field *f)
{
    const struct integration_field *found = NULL;
    for (size_t i = 0; i < integration_field_count; i++) {
        const struct integration_field *g = &integration_fields[i];
        found = f->kind == FIELD_SECRET && g->kind == FIELD_URL &&
                        g->offset == f->target
                    ? g
                    : found;
    }
    return found;
}

/* "set VALUE", or "default": a later version's default is no change. */
static void add_said(const struct integration_config *file,
                     const struct integration_field *f, struct strbuf *out)
{
    if ((file->set & (1U << (f - integration_fields))) == 0) {
        strbuf_addc(out, "default\n");
    } else if (field_is_secret(f)) {
        const char *value = field_text(file, f);
        strbuf_addf(out, "set %s\n", value != NULL ? value : "");
    } else {
        json_auto_t *value = field_json(file, f);
        strbuf_addc(out, "set ");
        json_write(value, out);
        strbuf_addch(out, '\n');
    }
}

void settings_set_bases(struct integrations *s, struct member *m)
{
    if (s->seal == NULL) {
        memset(m->bases, 0, sizeof(m->bases));
        return;
    }
    struct strbuf text = STRBUF_INIT(256 * 1024);
    for (size_t i = 0; i < integration_field_count; i++) {
        const struct integration_field *f = &integration_fields[i];
        const struct integration_field *target = target_field(f);
        strbuf_addf(&text, "%s\n", f->name);
        add_said(&m->file, f, &text);
        if (target != NULL) {
            add_said(&m->file, target, &text);
        }
        seal_mac(s->seal, strbuf_str(&text), m->bases[i]);
        sodium_memzero(text.at, text.len);
        strbuf_reset(&text);
    }
    bool set = (m->file.set & (1U << FIELD_ENABLED)) != 0;
    strbuf_addf(&text, "enabled\n%s\n",
                !set              ? "default"
                : m->file.enabled ? "set true"
                                  : "set false");
    seal_mac(s->seal, strbuf_str(&text), m->bases[FIELD_ENABLED]);
    strbuf_deinit(&text);
}

static const char *base_of(const struct member *m, const char *name)
{
    for (size_t i = 0; i < integration_field_count; i++) {
        if (strcmp(integration_fields[i].name, name) == 0) {
            return m->bases[i];
        }
    }
    return m->bases[FIELD_ENABLED];
}

/* Without a key, now or then, nobody can tell; it is taken for the same. */
static bool still_counts(const struct member *m, const char *name)
{
    const json_t *bases = json_object_get(m->stored, "bases");
    struct str base = json_text(json_object_get(bases, name));
    const char *now = base_of(m, name);
    return now[0] == '\0' || base.len == 0 || str_eq_c(base, now);
}

static void drop_overruled(const struct member *m, json_t *names, json_t *live,
                           struct strbuf *ret_lost)
{
    const char *name = NULL;
    json_t *unused = NULL;
    void *next = NULL;
    json_object_foreach_safe(names, next, name, unused)
    {
        if (still_counts(m, name)) {
            continue;
        }
        if (ret_lost != NULL) {
            strbuf_addf(ret_lost, "%s%s", ret_lost->len != 0 ? ", " : "", name);
        }
        (void)json_object_del(json_object_get(live, "bases"), name);
        (void)json_object_del(names, name); /* and name with it */
    }
}

json_t *settings_live(const struct member *m, struct strbuf *ret_lost)
{
    json_t *live =
        m->stored != NULL ? json_deep_copy(m->stored) : json_object();
    drop_overruled(m, json_object_get(live, "fields"), live, ret_lost);
    drop_overruled(m, json_object_get(live, "secrets"), live, ret_lost);
    if (json_object_get(live, "enabled") != NULL &&
        !still_counts(m, "enabled")) {
        if (ret_lost != NULL) {
            strbuf_addf(ret_lost, "%senabled", ret_lost->len != 0 ? ", " : "");
        }
        (void)json_object_del(json_object_get(live, "bases"), "enabled");
        (void)json_object_del(live, "enabled");
    }
    return live;
}

/* What has no fingerprint yet was set just now, or by an earlier version. */
static void add_bases(const struct member *m, json_t *stored)
{
    json_t *bases = json_object();
    const char *const parts[] = {"fields", "secrets"};
    const char *name = NULL;
    json_t *unused = NULL;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        json_object_foreach (json_object_get(stored, parts[i]), name, unused) {
            (void)json_object_set_new(bases, name,
                                      json_string(base_of(m, name)));
        }
    }
    if (json_object_get(stored, "enabled") != NULL) {
        (void)json_object_set_new(bases, "enabled",
                                  json_string(m->bases[FIELD_ENABLED]));
    }
    (void)json_object_set_new(stored, "bases", bases);
}

/* ---- secrets ---------------------------------------------------------------
 */

/* "integration NUL field NUL origin" in the buffer. */
static struct str secret_context(enum integration which,
                                 const struct integration_field *f,
                                 const char *origin, struct strbuf *room)
{
    const char *const parts[] = {"adp-secret-1", integration_name(which),
                                 f->name, origin};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        strbuf_addc(room, parts[i]);
        strbuf_addch(room, '\0');
    }
    return strbuf_str(room);
}

/* The host that gets this secret. */
static void target_origin(const struct integration_config *c,
                          const struct integration_field *f, const char *own,
                          char ret[WEB_ORIGIN_SIZE])
{
    const char *url = f->kind == FIELD_SECRET_URL
                          ? own
                          : *(const char *const *)((const char *)c + f->target);
    web_origin(url, ret);
}

/* The secret may go where it is for, or is not used. */
static void take_secret(struct settings *n, const struct integration_field *f,
                        const char *text, const char *origin)
{
    if (n->config.insecure_http || web_keeps_secrets(origin)) {
        field_set_text(&n->config, f, text, &n->arena);
    } else {
        field_set_text(&n->config, f, NULL, &n->arena);
        n->secrets[f - integration_fields].problem =
            "would go over http, where others can read it: set an https url, "
            "or insecure_http";
    }
}

static void use_stored_secret(struct integrations *s, enum integration which,
                              const struct integration_field *f,
                              const json_t *secret, struct settings *n)
{
    struct secret_view *view = &n->secrets[f - integration_fields];
    const char *stored = json_string_value(json_object_get(secret, "origin"));
    char origin[WEB_ORIGIN_SIZE];
    struct strbuf room = STRBUF_INIT(4096);
    char *text = NULL;
    view->source = SECRET_FROM_API;
    view->at_ms =
        (uint64_t)json_integer_value(json_object_get(secret, "at_ms"));
    field_set_text(&n->config, f, NULL, &n->arena);
    if (s->seal == NULL || stored == NULL ||
        seal_get(s->seal, json_text(json_object_get(secret, "sealed")),
                 secret_context(which, f, stored, &room), &text) < 0) {
        view->problem = "it cannot be opened with the present key; set it "
                        "again";
    } else {
        target_origin(&n->config, f, text, origin);
        if (strcmp(origin, stored) == 0) {
            take_secret(n, f, text, origin);
        } else {
            view->problem = "it was set for another host; set it again";
        }
    }
    seal_wipe(text);
    strbuf_deinit(&room);
}

/* The file's secrets are for the host that the file names. */
static void use_file_secret(const struct member *m,
                            const struct integration_field *f,
                            struct settings *n)
{
    struct secret_view *view = &n->secrets[f - integration_fields];
    char mine[WEB_ORIGIN_SIZE];
    char now[WEB_ORIGIN_SIZE];
    const char *text = field_text(&m->file, f);
    if (text == NULL) {
        return;
    }
    view->source = SECRET_FROM_FILE;
    target_origin(&m->file, f, text, mine);
    target_origin(&n->config, f, text, now);
    if (strcmp(mine, now) != 0) {
        field_set_text(&n->config, f, NULL, &n->arena);
        view->problem = "the configuration file has it for another host; set "
                        "it for this one";
    } else {
        take_secret(n, f, text, now);
    }
}

/* ---- what is in force -------------------------------------------------------
 */

static void use_fields(struct settings *n, enum integration which,
                       const json_t *fields)
{
    struct err ignored = ERR_INIT;
    for (size_t i = 0; i < integration_field_count; i++) {
        const struct integration_field *f = &integration_fields[i];
        const json_t *value = json_object_get(fields, f->name);
        if (value != NULL && !field_is_secret(f) &&
            (f->of & (1U << which)) != 0 &&
            field_check(f, value, &ignored) == 0) {
            field_set_json(&n->config, f, value, &n->arena);
        }
    }
}

/* The url of a scraper that only has targets is the first of them. */
static void take_first_target(enum integration which, struct settings *n)
{
    if (which == INTEGRATION_METRICS_SCRAPER && n->config.url == NULL &&
        n->config.targets != NULL) {
        n->config.url = n->config.targets[0];
    }
}

static bool read_flag(const json_t *stored, const char *name, bool otherwise)
{
    const json_t *value = json_object_get(stored, name);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

void settings_free(struct settings *n)
{
    if (n != NULL) {
        settings_wipe(&n->config);
        arena_deinit(&n->arena);
        mem_free(n);
    }
}

/* What is to be told to a partner that is used: a bit per kind. */
static uint32_t wanted_kinds(const struct settings *n)
{
    uint32_t kinds = 0;
    const char *const *word = n->config.notify_on;
    for (; n->enabled && n->complete && word != NULL && *word != NULL; word++) {
        for (size_t k = 0; k < NOTICE_KINDS; k++) {
            kinds |= strcmp(*word, notice_kind_name(k)) == 0 ? 1U << k : 0;
        }
    }
    return kinds;
}

void settings_build(struct integrations *s, enum integration which)
{
    struct member *m = &s->members[which];
    struct settings *n = MEM_NEW(struct settings);
    struct strbuf lost = STRBUF_INIT(4096);
    json_auto_t *stored = settings_live(m, &lost);
    n->config = integration_config_copy(&m->file, &n->arena);
    n->paused = read_flag(stored, "paused", false);
    n->by_api = n->paused || json_object_get(stored, "enabled") != NULL ||
                json_object_size(json_object_get(stored, "fields")) != 0 ||
                json_object_size(json_object_get(stored, "secrets")) != 0;
    if (lost.len != 0) {
        atomic_store(&s->overruled, true);
    }
    strbuf_deinit(&lost);
    n->enabled = read_flag(stored, "enabled", m->file.enabled);
    use_fields(n, which, json_object_get(stored, "fields"));
    take_first_target(which, n);
    const json_t *secrets = json_object_get(stored, "secrets");
    for (size_t i = 0; i < integration_field_count; i++) {
        const struct integration_field *f = &integration_fields[i];
        const json_t *secret = json_object_get(secrets, f->name);
        if (!field_is_secret(f) || (f->of & (1U << which)) == 0) {
            continue;
        }
        if (json_is_object(secret)) {
            use_stored_secret(s, which, f, secret, n);
        } else {
            use_file_secret(m, f, n);
        }
    }
    n->complete = integration_config_complete(which, &n->config, &n->missing);
    atomic_store(&s->channels[which].wants, wanted_kinds(n));
    settings_free(m->now);
    m->now = n;
    m->revision++;
}

struct integration_config settings_copy(const struct member *m, struct arena *a)
{
    return integration_config_copy(&m->now->config, a);
}

void settings_wipe(struct integration_config *c)
{
    for (size_t i = 0; i < integration_field_count; i++) {
        const struct integration_field *f = &integration_fields[i];
        char *text =
            field_is_secret(f) ? (char *)(uintptr_t)field_text(c, f) : NULL;
        if (text != NULL) {
            sodium_memzero(text, strlen(text));
        }
    }
}

void settings_explain(enum integration which, const struct settings *n,
                      char ret[INTEGRATION_ERROR_SIZE])
{
    const struct integration_field *f =
        integration_field_find(which, n->missing);
    const char *problem = n->secrets[f - integration_fields].problem;
    bool key_alone =
        which == INTEGRATION_PAGERDUTY && n->config.api_key != NULL;
    (void)snprintf(ret, INTEGRATION_ERROR_SIZE, "not configured (%s %s%s)",
                   n->missing, problem != NULL ? problem : "is not set",
                   key_alone ? "; with the api_key alone nothing can be sent"
                             : "");
}

/* ---- changing ---------------------------------------------------------------
 */

json_t *settings_public(const json_t *stored)
{
    json_t *out = json_object();
    json_t *names = json_array();
    const char *name = NULL;
    json_t *value = NULL;
    static const char *const kept[] = {"enabled", "paused", "fields"};
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        json_t *part = json_object_get(stored, kept[i]);
        if (part != NULL) {
            (void)json_object_set_new(out, kept[i], json_deep_copy(part));
        }
    }
    json_object_foreach (json_object_get(stored, "secrets"), name, value) {
        (void)json_array_append_new(names, json_string(name));
    }
    (void)json_object_set_new(out, "secrets_set", names);
    return out;
}

/* Secrets are sealed, and what the file says fingerprinted, with the key. */
static int need_key(struct integrations *s, struct err *reterr)
{
    if (s->seal != NULL) {
        return 0;
    }
    int r = seal_open(s->key_path, true, &s->seal, reterr);
    if (r < 0) {
        return reterr->errnum = -ENOKEY;
    }
    s->seal_error[0] = '\0';
    for (int i = 0; i < INTEGRATIONS; i++) {
        settings_set_bases(s, &s->members[i]);
    }
    return 0;
}

static int check_body(enum integration which, const json_t *body,
                      struct err *reterr)
{
    const char *names[FIELDS_MAX + 1];
    size_t count = 0;
    for (size_t i = 0; i < integration_field_count; i++) {
        if ((integration_fields[i].of & (1U << which)) != 0) {
            names[count++] = integration_fields[i].name;
        }
    }
    names[count++] = "enabled";
    int r = json_check_names(body, names, count, reterr);
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach ((json_t *)(uintptr_t)body, name, value) {
        const struct integration_field *f = integration_field_find(which, name);
        if (r == 0 && f != NULL) {
            r = field_check(f, value, reterr);
        } else if (r == 0 && !json_is_boolean(value)) {
            r = json_wrong_type(reterr, "enabled", "true or false", value);
        }
    }
    return r;
}

static json_t *sub_object(json_t *object, const char *name)
{
    json_t *sub = json_object_get(object, name);
    if (!json_is_object(sub)) {
        sub = json_object();
        (void)json_object_set_new(object, name, sub);
    }
    return sub;
}

static void merge_fields(enum integration which, const json_t *body,
                         json_t *stored)
{
    json_t *fields = sub_object(stored, "fields");
    json_t *secrets = sub_object(stored, "secrets");
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach ((json_t *)(uintptr_t)body, name, value) {
        const struct integration_field *f = integration_field_find(which, name);
        if (f == NULL) {
            (void)json_object_set(stored, "enabled", value);
        } else if (field_is_secret(f)) {
            (void)json_object_del(secrets, name);
        } else if (json_is_null(value)) {
            (void)json_object_del(fields, name);
        } else {
            (void)json_object_set(fields, name, value);
        }
    }
}

static int seal_secret(struct integrations *s,
                       const struct integration_change *change,
                       const struct integration_field *f,
                       const struct settings *n, json_t *secrets,
                       struct err *reterr)
{
    char origin[WEB_ORIGIN_SIZE];
    struct str text = json_text(json_object_get(change->body, f->name));
    target_origin(&n->config, f, text.at, origin);
    if (origin[0] == '\0') {
        err_field(reterr, "%s", f->name);
        err_hint(reterr, "set the url in the same request");
        return err_set(reterr, -EINVAL,
                       "%s: there is no url yet that it could be for", f->name);
    }
    if (!n->config.insecure_http && !web_keeps_secrets(origin)) {
        err_field(reterr, "%s", f->name);
        err_hint(reterr, "set an https url, or insecure_http: true");
        return err_set(reterr, -EINVAL,
                       "%s: it would go over http, where others can read it",
                       f->name);
    }
    struct strbuf room = STRBUF_INIT(4096);
    struct strbuf sealed = STRBUF_INIT(SEAL_TEXT_MAX_BYTES);
    seal_add(s->seal, text, secret_context(change->which, f, origin, &room),
             &sealed);
    (void)json_object_set_new(
        secrets, f->name,
        json_pack("{s:s, s:s, s:I}", "sealed", strbuf_str(&sealed).at, "origin",
                  origin, "at_ms", (json_int_t)os_epoch_ms()));
    strbuf_deinit(&room);
    strbuf_deinit(&sealed);
    return 0;
}

/* What the change would put in force, without the secrets. */
static struct settings *preview(struct integrations *s, enum integration which,
                                const json_t *stored)
{
    struct settings *n = MEM_NEW(struct settings);
    n->config = integration_config_copy(&s->members[which].file, &n->arena);
    use_fields(n, which, json_object_get(stored, "fields"));
    take_first_target(which, n);
    return n;
}

static int merge_secrets(struct integrations *s,
                         struct integration_change *change, json_t *stored,
                         struct err *reterr)
{
    struct settings *n = preview(s, change->which, stored);
    json_t *secrets = sub_object(stored, "secrets");
    int r = 0;
    for (size_t i = 0; r == 0 && i < integration_field_count; i++) {
        const struct integration_field *f = &integration_fields[i];
        const json_t *given = json_object_get(change->body, f->name);
        const json_t *kept = json_object_get(secrets, f->name);
        if (!field_is_secret(f)) {
            continue;
        }
        if (json_is_string(given)) {
            r = seal_secret(s, change, f, n, secrets, reterr);
        } else if (kept != NULL && f->kind == FIELD_SECRET) {
            char origin[WEB_ORIGIN_SIZE];
            target_origin(&n->config, f, NULL, origin);
            if (!str_eq_c(json_text(json_object_get(kept, "origin")), origin)) {
                change->dropped[change->dropped_count++] = f->name;
                (void)json_object_del(secrets, f->name);
            }
        }
    }
    settings_free(n);
    return r;
}

/* Is there something to be sealed? */
static bool has_secret(const struct integration_change *change)
{
    for (size_t i = 0; i < integration_field_count; i++) {
        const struct integration_field *f = &integration_fields[i];
        if (field_is_secret(f) && change->body != NULL &&
            json_is_string(json_object_get(change->body, f->name))) {
            return true;
        }
    }
    return false;
}

int settings_change(struct integrations *s, struct integration_change *change,
                    json_t **ret, struct err *reterr)
{
    struct member *m = &s->members[change->which];
    int r = change->action == INTEGRATION_PUT
                ? check_body(change->which, change->body, reterr)
                : 0;
    struct err no_key = ERR_INIT;
    if (r == 0 && need_key(s, &no_key) < 0 && has_secret(change)) {
        *reterr = no_key;
        r = -ENOKEY;
    }
    if (r < 0) {
        return r;
    }
    json_t *stored = settings_live(m, NULL);
    (void)json_object_del(stored, "base"); /* an earlier version's */
    switch (change->action) {
    case INTEGRATION_PUT:
        merge_fields(change->which, change->body, stored);
        r = merge_secrets(s, change, stored, reterr);
        break;
    case INTEGRATION_ENABLE:
    case INTEGRATION_DISABLE:
        (void)json_object_set_new(
            stored, "enabled",
            json_boolean(change->action == INTEGRATION_ENABLE));
        break;
    case INTEGRATION_PAUSE:
    case INTEGRATION_RESUME:
        (void)json_object_set_new(
            stored, "paused",
            json_boolean(change->action == INTEGRATION_PAUSE));
        break;
    case INTEGRATION_ACTIONS:
        UNREACHABLE();
    }
    if (r < 0) {
        json_decref(stored);
        return r;
    }
    add_bases(m, stored);
    *ret = stored;
    return 0;
}
