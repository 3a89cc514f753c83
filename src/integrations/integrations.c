/* Life of the integrations and of their thread, and changes. */
#include "integrations/integrations.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

#include "base/assert.h"
#include "base/mem.h"
#include "data/json.h"
#include "integrations/integrations_priv.h"
#include "os/clock.h"
#include "os/random.h"
#include "runtime/service.h"

#define STORED_MAX_BYTES (256UL * 1024)
#define WAIT_MAX_MS 60000ULL

void integrations_log(const struct integrations *s, int priority,
                      const char *fmt, ...)
{
    char message[512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    s->options.log(priority, message);
}

/* ---- life
 * -------------------------------------------------------------------- */

static void set_file(struct integrations *s, int which,
                     const struct integration_config *file)
{
    struct member *m = &s->members[which];
    struct arena fresh = ARENA_INIT;
    struct integration_config copy = integration_config_copy(file, &fresh);
    settings_wipe(&m->file);
    arena_deinit(&m->file_arena);
    m->file_arena = fresh;
    m->file = copy;
    settings_set_bases(s, m);
}

int integrations_new(const struct integrations_options *options,
                     struct integrations **ret, struct err *reterr)
{
    struct web *web = NULL;
    int r = web_new(&web);
    if (r < 0) {
        return err_set(reterr, r, "libcurl does not start");
    }
    struct integrations *s = MEM_NEW(struct integrations);
    s->options = *options;
    s->key_path = str_dup(str_c(options->key_path));
    s->web = web;
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->change_lock, NULL);
    pthread_cond_init(&s->stored, NULL);
    list_init(&s->checks);
    list_init(&s->scrapes_read);
    list_init(&s->scrapes_done);
    os_random(&s->random, sizeof(s->random));
    struct err err = ERR_INIT;
    if (seal_open(s->key_path, false, &s->seal, &err) < 0) {
        (void)snprintf(s->seal_error, sizeof(s->seal_error), "%s",
                       err.errnum == -ENOENT ? "" : err.message);
    }
    for (int i = 0; i < INTEGRATIONS; i++) {
        set_file(s, i, &options->configs[i]);
        settings_build(s, (enum integration)i);
    }
    *ret = s;
    return 0;
}

int integrations_load(struct integrations *s, struct reader *reader)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct setting_row *rows = NULL;
    uint32_t count = 0;
    int r =
        reader->ops->settings(reader, STR(SETTINGS_PREFIX), &a, &rows, &count);
    if (r < 0) {
        return r;
    }
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < count; i++) {
        enum integration which = INTEGRATION_PROMETHEUS;
        struct str name = str_slice(rows[i].key, sizeof(SETTINGS_PREFIX) - 1,
                                    rows[i].key.len);
        if (integration_parse(name, &which) == 0) {
            struct member *m = &s->members[which];
            json_decref(m->stored);
            m->stored =
                json_loadb(rows[i].value.at, rows[i].value.len, 0, NULL);
            settings_build(s, which);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return notices_load(s, reader);
}

static void forget_overruled(struct integrations *s);

static void *run_thread(void *context)
{
    struct integrations *s = context;
    outbox_start(s, os_monotonic_ms());
    while (!atomic_load(&s->halting)) {
        uint64_t now_ms = os_monotonic_ms();
        if (atomic_exchange(&s->overruled, false)) {
            forget_overruled(s);
        }
        uint64_t next_ms = check_run_due(s, now_ms);
        next_ms = MIN(next_ms, outbox_run(s, now_ms));
        next_ms = MIN(next_ms, scraper_run(s, now_ms));
        now_ms = os_monotonic_ms();
        web_wait(s->web,
                 next_ms > now_ms ? MIN(next_ms - now_ms, WAIT_MAX_MS) : 0);
    }
    return NULL;
}

int integrations_start(struct integrations *s, struct service *service,
                       struct err *reterr)
{
    s->service = service;
    if (s->seal_error[0] != '\0') {
        integrations_log(s, LOG_ERR,
                         "%s; credentials set through the API are not used",
                         s->seal_error);
    }
    int r = service_reader(service, &s->reader, reterr);
    if (r < 0) {
        return r;
    }
    r = -pthread_create(&s->thread, NULL, run_thread, s);
    if (r < 0) {
        return err_set(reterr, r, "cannot start the integrations' thread");
    }
    s->started = true;
    return 0;
}

void integrations_halt(struct integrations *s)
{
    if (s == NULL) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->halting, true);
    pthread_mutex_unlock(&s->lock);
    if (s->started) {
        web_wake(s->web);
        pthread_join(s->thread, NULL);
        s->started = false;
    }
    pthread_mutex_lock(&s->lock);
    struct web *web = s->web;
    s->web = NULL; /* nobody wakes it from here on */
    pthread_mutex_unlock(&s->lock);
    web_free(web);
    check_cancel_all(s);
    outbox_settle(s);
    scraper_settle(s);
    if (s->reader != NULL) {
        s->reader->ops->close(s->reader);
        s->reader = NULL;
    }
}

void integrations_free(struct integrations *s)
{
    if (s == NULL) {
        return;
    }
    integrations_halt(s);
    for (int i = 0; i < INTEGRATIONS; i++) {
        struct member *m = &s->members[i];
        settings_free(m->now);
        settings_wipe(&m->file);
        arena_deinit(&m->file_arena);
        json_decref(m->stored);
    }
    notices_free(s);
    scraper_free(s->scraper);
    pthread_cond_destroy(&s->stored);
    seal_free(s->seal);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->change_lock);
    mem_free(s->key_path);
    mem_free(s);
}

void integrations_wake(struct integrations *s)
{
    pthread_mutex_lock(&s->lock);
    if (s->web != NULL) {
        web_wake(s->web);
    }
    pthread_mutex_unlock(&s->lock);
}

/* Under the lock: settings have changed, so what was known no longer counts. */
static void renew(struct integrations *s, enum integration which)
{
    struct member *m = &s->members[which];
    settings_build(s, which);
    m->health.word = HEALTH_UNKNOWN;
    m->health.error[0] = '\0';
    m->health.failures = 0;
    m->health.due_ms = 0;
    if (s->web != NULL) {
        web_wake(s->web);
    }
}

void integrations_configure(struct integrations *s,
                            const struct integration_config *configs)
{
    pthread_mutex_lock(&s->change_lock);
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < INTEGRATIONS; i++) {
        if (!integration_config_equal(&s->members[i].file, &configs[i])) {
            set_file(s, i, &configs[i]);
            renew(s, (enum integration)i);
        }
    }
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_unlock(&s->change_lock);
}

/* ---- changes
 * ------------------------------------------------------------------ */

static struct str written(const json_t *value, struct arena *a)
{
    struct strbuf text = STRBUF_INIT(STORED_MAX_BYTES);
    json_write(value, &text);
    struct str kept = arena_str(a, strbuf_str(&text));
    strbuf_deinit(&text);
    return kept;
}

/* The names of secrets that are others now: what they were and are is nobody's
 * business. */
static json_t *changed_secrets(const json_t *before, const json_t *after)
{
    json_t *changed = json_array();
    const json_t *old = json_object_get(before, "secrets");
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach (json_object_get(after, "secrets"), name, value) {
        if (!json_equal(value, json_object_get(old, name))) {
            (void)json_array_append_new(changed, json_string(name));
        }
    }
    return changed;
}

static void show_flag(json_t *shown, const json_t *other, const char *name,
                      bool otherwise)
{
    if (json_object_get(other, name) != NULL &&
        json_object_get(shown, name) == NULL) {
        (void)json_object_set_new(shown, name, json_boolean(otherwise));
    }
}

/* What only the other side of the change has set: here the file decides. */
static void show_file(const struct member *m, enum integration which,
                      json_t *shown, const json_t *other)
{
    json_t *fields = json_object_get(shown, "fields");
    const char *name = NULL;
    json_t *unused = NULL;
    json_object_foreach (json_object_get(other, "fields"), name, unused) {
        const struct integration_field *f = integration_field_find(which, name);
        if (fields == NULL) {
            fields = json_object();
            (void)json_object_set_new(shown, "fields", fields);
        }
        if (f != NULL && json_object_get(fields, name) == NULL) {
            (void)json_object_set_new(fields, name, field_json(&m->file, f));
        }
    }
    show_flag(shown, other, "enabled", m->file.enabled);
    show_flag(shown, other, "paused", false);
}

/* The setting and its audit row, durable. The trail shows what may be seen:
 * what is in force before and after. */
static int store_change(struct integrations *s,
                        const struct integration_change *change,
                        const json_t *before, const json_t *after)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    char key[64];
    const struct member *m = &s->members[change->which];
    json_auto_t *was = settings_public(before);
    json_auto_t *is = settings_public(after);
    show_file(m, change->which, was, is);
    show_file(m, change->which, is, was);
    (void)json_object_set_new(is, "secrets_changed",
                              changed_secrets(before, after));
    struct service_request request = {
        .kind = SERVICE_CHANGE,
        .requested_by = change->by,
        .change = {.setting = {.key = settings_key(change->which, key),
                               .value = written(after, &a)},
                   .audit = {.action = change->audit,
                             .subject = str_c(integration_name(change->which)),
                             .before = written(was, &a),
                             .after = written(is, &a)},
                   .told = true},
    };
    return service_post_and_wait(s->service, &request);
}

int integrations_change(struct integrations *s,
                        struct integration_change *change, struct err *reterr)
{
    struct member *m = &s->members[change->which];
    json_t *after = NULL;
    change->dropped_count = 0;
    pthread_mutex_lock(&s->change_lock);
    pthread_mutex_lock(&s->lock);
    int r = settings_change(s, change, &after, reterr);
    json_t *before = json_incref(m->stored);
    pthread_mutex_unlock(&s->lock);
    if (r == 0) {
        r = store_change(s, change, before, after);
    }
    if (r == 0) {
        pthread_mutex_lock(&s->lock);
        json_decref(m->stored);
        m->stored = json_incref(after);
        renew(s, change->which);
        pthread_mutex_unlock(&s->lock);
    }
    json_decref(before);
    json_decref(after);
    pthread_mutex_unlock(&s->change_lock);
    return r;
}

/* ---- what the file has overruled -------------------------------------------
 */

/* It is gone for good, so that the file alone decides, and the log and the
 * trail say so. When the store does not take that, the next start tries. */
static void forget_of(struct integrations *s, enum integration which)
{
    struct member *m = &s->members[which];
    struct strbuf lost = STRBUF_INIT(4096);
    struct integration_change change = {.which = which,
                                        .by = STR("configuration"),
                                        .audit = STR("integration.overruled")};
    pthread_mutex_lock(&s->change_lock);
    pthread_mutex_lock(&s->lock);
    json_t *after = settings_live(m, &lost);
    json_t *before = json_incref(m->stored);
    pthread_mutex_unlock(&s->lock);
    if (lost.len != 0) {
        integrations_log(s, LOG_WARNING,
                         "%s integration: the configuration file says "
                         "otherwise now: what the API had set of %.*s no "
                         "longer counts",
                         integration_title(which), STR_ARG(strbuf_str(&lost)));
        if (store_change(s, &change, before, after) == 0) {
            pthread_mutex_lock(&s->lock);
            json_decref(m->stored);
            m->stored = json_incref(after);
            pthread_mutex_unlock(&s->lock);
        }
    }
    json_decref(before);
    json_decref(after);
    strbuf_deinit(&lost);
    pthread_mutex_unlock(&s->change_lock);
}

static void forget_overruled(struct integrations *s)
{
    for (int i = 0; i < INTEGRATIONS; i++) {
        forget_of(s, (enum integration)i);
    }
}
