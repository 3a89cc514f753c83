/*
 * The metrics scraper: reads the pages of its targets and turns the samples
 * that its rules ask for into metric events, which go the way of every event:
 * committed, or refused when the queue is full. A rule with a threshold tells
 * of a series when it begins to hold and every resend_interval while it does,
 * so that a value which stays high is not an event with every scrape; what the
 * store did not take is told again at the next scrape. Pages are read on a
 * thread of their own (scrape_page.h); everything else here is the
 * integrations' thread, except where it says otherwise.
 */
#include <errno.h>
#include <stdio.h>
#include <syslog.h>

#include "base/assert.h"
#include "base/mem.h"
#include "data/json.h"
#include "integrations/integrations_priv.h"
#include "integrations/scrape_page.h"
#include "model/event_json.h"
#include "os/clock.h"
#include "os/random.h"
#include "runtime/service.h"
#include "wire/exposition.h"

#define TIME_SLACK_MS (10ULL * 60 * 1000)
#define READING_SHARE 10 /* a target's pages are read a tenth of the time */
#define EXPORTED "exported_"

/* When a series was last told of: the value of scraper.told, by key. */
struct told {
    uint64_t at_ms; /* monotonic */
    uint64_t seen;  /* number of the scrape that saw it hold */
    char key[];
};

struct target {
    char *url;
    char host[WEB_ORIGIN_SIZE];
    uint64_t due_ms; /* monotonic */
    uint64_t round;  /* number of scrapes */
    bool running;
    bool ok;
    char error[INTEGRATION_ERROR_SIZE + WEB_ORIGIN_SIZE + 64];
    uint64_t scraped_ms; /* epoch; 0: never */
    uint64_t samples;
    uint64_t events;
    struct map told; /* "RULE/FINGERPRINT/NAME" -> struct told */
};

struct scraper {
    struct arena arena;
    uint32_t revision;                /* of the settings, which say the same */
    uint32_t generation;              /* of this */
    struct integration_config config; /* its texts in the arena */
    struct rule_set *rules;
    struct target *targets;
    uint32_t target_count;
};

/* One scrape of one target. */
struct scrape {
    struct web_request web;
    struct integrations *s;
    const char *target; /* its url */
    uint32_t generation;
    struct arena arena;
    struct page page;
    VEC(struct event) events;
    VEC(const char *) told; /* key per event; NULL: a rule without threshold */
    uint64_t over;          /* more events than may be */
    struct store_op op;
    struct list link; /* in scrapes_read, scrapes_done */
};

/* ---- settings
 * ---------------------------------------------------------------- */

static void forget_told(struct target *t)
{
    size_t cursor = 0;
    struct map_entry *e = NULL;
    while ((e = map_next(&t->told, &cursor)) != NULL) {
        mem_free(e->value);
    }
    map_deinit(&t->told);
}

void scraper_free(struct scraper *p)
{
    if (p == NULL) {
        return;
    }
    rule_set_unref(p->rules);
    for (uint32_t i = 0; i < p->target_count; i++) {
        forget_told(&p->targets[i]);
        mem_free(p->targets[i].url);
    }
    mem_free(p->targets);
    settings_wipe(&p->config);
    arena_deinit(&p->arena);
    mem_free(p);
}

static size_t list_count(const char *const *list)
{
    size_t count = 0;
    while (list != NULL && list[count] != NULL) {
        count++;
    }
    return count;
}

static void add_target(struct scraper *p, const char *url)
{
    for (uint32_t i = 0; i < p->target_count; i++) {
        if (strcmp(p->targets[i].url, url) == 0) {
            return;
        }
    }
    struct target *t = &p->targets[p->target_count++];
    t->url = str_dup(str_c(url));
    char origin[WEB_ORIGIN_SIZE];
    web_origin(url, origin);
    const char *host = strstr(origin, "://");
    (void)snprintf(t->host, sizeof(t->host), "%s",
                   host != NULL ? host + 3 : "");
}

/* Under the lock: targets and rules as they are set. */
static struct scraper *scraper_new(const struct member *m)
{
    struct scraper *p = MEM_NEW(struct scraper);
    p->revision = m->revision;
    p->config = settings_copy(m, &p->arena);
    size_t targets = list_count(p->config.targets);
    p->rules = rule_set_new(p->config.metrics);
    p->targets = mem_alloc(targets + 1, sizeof(struct target));
    if (p->config.url != NULL) {
        add_target(p, p->config.url);
    }
    for (size_t i = 0; i < targets; i++) {
        add_target(p, p->config.targets[i]);
    }
    return p;
}

static struct target *find_target(struct scraper *p, const char *url)
{
    for (uint32_t i = 0; p != NULL && i < p->target_count; i++) {
        if (strcmp(p->targets[i].url, url) == 0) {
            return &p->targets[i];
        }
    }
    return NULL;
}

/* Other settings are no other world: what was told of stays told, and what was
 * counted stays counted. */
static void carry_over(struct scraper *from, struct scraper *to)
{
    for (uint32_t i = 0; i < to->target_count; i++) {
        struct target *t = &to->targets[i];
        struct target *old = find_target(from, t->url);
        if (old != NULL) {
            t->round = old->round;
            t->samples = old->samples;
            t->events = old->events;
            t->told = old->told;
            old->told = MAP_INIT;
        }
    }
}

/* ---- samples to events
 * ---------------------------------------------------------- */

/* The series' memory; NULL when there are too many. */
static struct told *told_of(struct target *t, const char *key)
{
    struct told *old = map_get(&t->told, str_c(key));
    if (old != NULL || map_count(&t->told) >= SCRAPE_SERIES_MAX) {
        return old;
    }
    size_t len = strlen(key);
    struct told *fresh = mem_alloc(1, sizeof(struct told) + len + 1);
    memcpy(fresh->key, key, len + 1);
    (void)map_put(&t->told, str_n(fresh->key, len), fresh);
    return fresh;
}

/* Whoever is scraped says what it likes, but not for others. */
static void export_instance(json_t *labels)
{
    json_t *said = json_incref(json_object_get(labels, "instance"));
    char name[128] = EXPORTED "instance";
    if (said == NULL) {
        return;
    }
    while (json_object_get(labels, name) != NULL &&
           strlen(name) + sizeof(EXPORTED) < sizeof(name)) {
        memmove(name + sizeof(EXPORTED) - 1, name, strlen(name) + 1);
        memcpy(name, EXPORTED, sizeof(EXPORTED) - 1);
    }
    (void)json_object_set_new(labels, name, said);
    (void)json_object_del(labels, "instance");
}

static void set_labels(json_t *event, const struct target *t,
                       const struct labels *labels, bool honor)
{
    json_t *out = json_object();
    for (uint32_t i = 0; i < labels->count; i++) {
        const struct label *l = &labels->at[i];
        (void)json_object_setn_new(out, l->name.at, l->name.len,
                                   json_stringn(l->value.at, l->value.len));
    }
    if (!honor) {
        export_instance(out);
    }
    if (json_object_get(out, "instance") == NULL) {
        (void)json_object_set_new(out, "instance", json_string(t->host));
    }
    (void)json_object_set_new(event, "labels", out);
}

/* False: it does not fit into an event. */
static bool make_event(struct scrape *x, const struct target *t,
                       const struct hit *hit, struct event *ret)
{
    const struct exposition_sample *sample = hit->sample;
    struct str rule = hit->rule->text;
    struct err err = ERR_INIT;
    uint64_t now_ms = os_epoch_ms();
    json_auto_t *event = json_object();
    (void)json_object_set_new(event, "type", json_string("metric"));
    (void)json_object_set_new(event, "source", json_string("metrics-scraper"));
    (void)json_object_set_new(event, "metric_name",
                              json_stringn(sample->name.at, sample->name.len));
    (void)json_object_set_new(event, "value", json_real(sample->value));
    if (sample->has_time && sample->time_ms > 0 &&
        (uint64_t)sample->time_ms < now_ms + TIME_SLACK_MS) {
        (void)json_object_set_new(event, "timestamp",
                                  json_real((double)sample->time_ms / 1000));
    }
    set_labels(event, t, &sample->labels, x->s->scraper->config.honor_labels);
    (void)json_object_set_new(
        event, "annotations",
        json_pack("{s:s#}", "rule", rule.at, (int)rule.len));
    return event_from_json(event, &x->arena, ret, &err) == 0;
}

static bool is_due(struct integrations *s, const struct told *t)
{
    uint64_t resend_ms = s->scraper->config.resend_interval_ms;
    return t->at_ms == 0 || os_monotonic_ms() >= t->at_ms + resend_ms;
}

/* The event of a hit and its memory, or nothing. */
static void take_hit(struct scrape *x, struct target *t, const struct hit *hit)
{
    struct event event = {0};
    bool remembered = hit->rule->op != SAMPLE_ANY;
    if (remembered) {
        struct told *told = told_of(t, hit->key);
        if (told == NULL) {
            x->over++;
            return;
        }
        told->seen = t->round;
        if (!is_due(x->s, told)) {
            return;
        }
    }
    if (x->events.count >= SCRAPE_EVENTS_MAX) {
        x->over++;
    } else if (make_event(x, t, hit, &event)) {
        VEC_PUSH(&x->events, event);
        VEC_PUSH(&x->told, remembered ? hit->key : NULL);
    } else {
        atomic_fetch_add(&x->s->scrape_dropped, 1);
    }
}

/* Series that no longer hold are forgotten: the next time they do is news. */
static void forget_over(struct target *t)
{
    size_t cursor = 0;
    struct map_entry *e = NULL;
    while ((e = map_next(&t->told, &cursor)) != NULL) {
        struct told *told = e->value;
        if (told->seen != t->round) {
            (void)map_remove(&t->told, str_c(told->key));
            mem_free(told);
        }
    }
}

/* ---- to the store
 * ---------------------------------------------------------------- */

static void scrape_free(struct scrape *x)
{
    VEC_DEINIT(&x->events);
    VEC_DEINIT(&x->told);
    rule_set_unref(x->page.rules);
    page_deinit(&x->page);
    web_request_deinit(&x->web);
    arena_deinit(&x->arena);
    mem_free(x);
}

/* Told of, as of now; 0: not told of after all. */
static void mark_told(struct integrations *s, const struct scrape *x,
                      uint64_t at_ms)
{
    struct target *t = find_target(s->scraper, x->target);
    for (size_t i = 0; t != NULL && i < x->told.count; i++) {
        struct told *told = x->told.at[i] != NULL
                                ? map_get(&t->told, str_c(x->told.at[i]))
                                : NULL;
        if (told != NULL) {
            told->at_ms = at_ms;
        }
    }
}

/* On the committer's thread. */
static void on_ingested(struct store_op *op)
{
    struct scrape *x = CONTAINER_OF(op, struct scrape, op);
    struct integrations *s = x->s;
    if (op->result == 0) {
        for (uint32_t i = 0; i < op->ingest.count; i++) {
            telemetry_event_accepted(service_telemetry(s->service),
                                     op->ingest.events[i].received_ms,
                                     op->ingest.events[i].type, 1);
        }
        if (s->options.ingested != NULL) {
            s->options.ingested(s->options.context, &op->ingest);
        }
    } else {
        telemetry_event_refused(service_telemetry(s->service),
                                op->result == -EAGAIN ? REFUSAL_OVERLOAD
                                                      : REFUSAL_STORE,
                                op->ingest.count);
    }
    pthread_mutex_lock(&s->lock);
    list_push(&s->scrapes_done, &x->link);
    s->scrapes_storing--;
    pthread_cond_broadcast(&s->stored);
    if (s->web != NULL) {
        web_wake(s->web);
    }
    pthread_mutex_unlock(&s->lock);
}

static void ingest(struct scrape *x)
{
    struct integrations *s = x->s;
    uint64_t now_ms = os_epoch_ms();
    for (size_t i = 0; i < x->events.count; i++) {
        uint8_t random[10];
        os_random(random, sizeof(random));
        struct event *e = &x->events.at[i];
        e->id = id_make(now_ms, random);
        e->received_ms = now_ms;
        e->priority = service_priority(s->service, e);
    }
    x->op = (struct store_op){
        .kind = STORE_INGEST,
        .ingest = {.events = x->events.at,
                   .count = (uint32_t)x->events.count,
                   .results = ARENA_ARRAY(&x->arena, x->events.count,
                                          struct store_ingested)},
        .done = on_ingested,
    };
    mark_told(s, x, os_monotonic_ms());
    list_init(&x->link);
    pthread_mutex_lock(&s->lock);
    s->scrapes_storing++;
    pthread_mutex_unlock(&s->lock);
    service_ingest(s->service, &x->op);
}

/* ---- outcome
 * --------------------------------------------------------------------- */

/* The scraper is well when the last scrape of every target was. */
static void record_health(struct integrations *s, uint64_t took_ms)
{
    const char *error = NULL;
    const struct scraper *p = s->scraper;
    for (uint32_t i = 0; i < p->target_count && error == NULL; i++) {
        const struct target *t = &p->targets[i];
        error = t->scraped_ms != 0 && !t->ok ? t->error : NULL;
    }
    check_record(s, INTEGRATION_METRICS_SCRAPER, error, took_ms);
}

static void end_round(struct scrape *x, struct target *t, const char *why)
{
    uint64_t over = x->over + x->page.over;
    uint64_t rest_ms = os_monotonic_ms() + x->page.took_ms * READING_SHARE;
    pthread_mutex_lock(&x->s->lock);
    t->running = false;
    t->ok = why == NULL;
    t->due_ms = MAX(t->due_ms, rest_ms);
    t->scraped_ms = os_epoch_ms();
    t->samples = x->page.samples;
    t->error[0] = '\0';
    if (why != NULL) {
        (void)snprintf(t->error, sizeof(t->error), "%s integration: %s: %s",
                       integration_title(INTEGRATION_METRICS_SCRAPER), t->host,
                       why);
    }
    pthread_mutex_unlock(&x->s->lock);
    atomic_fetch_add(&x->s->scrapes[why == NULL ? 0 : 1], 1);
    if (over != 0) {
        atomic_fetch_add(&x->s->scrape_dropped, over);
        integrations_log(x->s, LOG_WARNING,
                         "metrics scraper: %llu samples of %s are not told of: "
                         "more than %u events in one scrape",
                         (unsigned long long)over, t->host, SCRAPE_EVENTS_MAX);
    }
    record_health(x->s, x->web.took_ms);
}

/* The target, unless the settings are others since it was asked. */
static struct target *current_target(const struct scrape *x)
{
    struct scraper *p = x->s->scraper;
    return p != NULL && x->generation == p->generation
               ? find_target(p, x->target)
               : NULL;
}

/* On the pages' thread. */
static void on_read(struct page *page)
{
    struct scrape *x = page->context;
    struct integrations *s = x->s;
    list_init(&x->link);
    pthread_mutex_lock(&s->lock);
    list_push(&s->scrapes_read, &x->link);
    if (s->web != NULL) {
        web_wake(s->web);
    }
    pthread_mutex_unlock(&s->lock);
}

/* Has the page read; NULL or what is wrong, in the room. */
static const char *read_later(struct scrape *x,
                              char room[INTEGRATION_ERROR_SIZE])
{
    char status[48];
    struct integrations *s = x->s;
    const struct web_request *w = &x->web;
    if (w->result < 0 || w->status != 200) {
        (void)snprintf(room, INTEGRATION_ERROR_SIZE, "%s",
                       w->result < 0 ? w->error
                                     : web_status_text(w->status, status));
        return room;
    }
    if (s->pages == NULL && pages_new(&s->pages) < 0) {
        return "no thread could be started to read the page";
    }
    x->page.text = strbuf_str(&w->answer);
    x->page.format = exposition_format_of(w->type);
    x->page.rules = rule_set_ref(s->scraper->rules);
    x->page.sample_limit = s->scraper->config.sample_limit;
    x->page.hits_max = SCRAPE_SERIES_MAX;
    x->page.done = on_read;
    x->page.context = x;
    pages_add(s->pages, &x->page);
    return NULL;
}

static void on_page(struct web_request *web)
{
    struct scrape *x = CONTAINER_OF(web, struct scrape, web);
    char room[INTEGRATION_ERROR_SIZE];
    struct target *t = web->result == -ECANCELED ? NULL : current_target(x);
    if (t == NULL) {
        scrape_free(x); /* stopping, or asked with other settings */
        return;
    }
    t->round++;
    const char *why = read_later(x, room);
    if (why != NULL) {
        end_round(x, t, why);
        scrape_free(x);
    }
}

static void take_page(struct scrape *x)
{
    struct target *t = current_target(x);
    if (t == NULL) {
        scrape_free(x);
        return;
    }
    bool good = x->page.why[0] == '\0';
    for (size_t i = 0; i < x->page.hits.count; i++) {
        take_hit(x, t, &x->page.hits.at[i]);
    }
    if (good) {
        forget_over(t);
    }
    end_round(x, t, good ? NULL : x->page.why);
    if (x->events.count != 0) {
        t->running = true; /* until the store has answered */
        ingest(x);
    } else {
        scrape_free(x);
    }
}

static struct scrape *pop_scrape(struct integrations *s, struct list *from)
{
    pthread_mutex_lock(&s->lock);
    struct list *first = list_pop(from);
    pthread_mutex_unlock(&s->lock);
    return first != NULL ? CONTAINER_OF(first, struct scrape, link) : NULL;
}

static void take_pages(struct integrations *s)
{
    struct scrape *x = NULL;
    while ((x = pop_scrape(s, &s->scrapes_read)) != NULL) {
        take_page(x);
    }
}

/* What the store has answered. */
static void take_answer(struct integrations *s, struct scrape *x)
{
    bool stored = x->op.result == 0;
    atomic_fetch_add(stored ? &s->scrape_events : &s->scrape_dropped,
                     x->events.count);
    if (!stored) {
        mark_told(s, x, 0);
    }
    struct target *t = find_target(s->scraper, x->target);
    if (t == NULL) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    t->events += stored ? x->events.count : 0;
    if (t == current_target(x)) {
        t->running = false;
    }
    pthread_mutex_unlock(&s->lock);
}

static void take_done(struct integrations *s)
{
    struct scrape *x = NULL;
    while ((x = pop_scrape(s, &s->scrapes_done)) != NULL) {
        take_answer(s, x);
        scrape_free(x);
    }
}

/* ---- starting
 * ---------------------------------------------------------------------- */

static void scrape(struct integrations *s, struct target *t)
{
    struct scraper *p = s->scraper;
    struct scrape *x = MEM_NEW(struct scrape);
    char own[WEB_ORIGIN_SIZE];
    char line[FIELD_TEXT_MAX_BYTES + 64];
    char target[WEB_ORIGIN_SIZE];
    x->s = s;
    x->target = arena_strdup(&x->arena, str_c(t->url));
    x->generation = p->generation;
    x->web.url = x->target;
    x->web.timeout_ms = p->config.timeout_ms;
    x->web.max_bytes = p->config.body_size_limit;
    x->web.done = on_page;
    x->web.headers[0] =
        "Accept: application/openmetrics-text;version=1.0.0;q=0.6,"
        "text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    web_origin(p->config.url, own);
    web_origin(t->url, target);
    if (p->config.bearer_token != NULL && strcmp(own, target) == 0) {
        (void)snprintf(line, sizeof(line), "Authorization: Bearer %s",
                       p->config.bearer_token);
        x->web.headers[1] = line;
    }
    t->running = true;
    web_send(s->web, &x->web);
    explicit_bzero(line, sizeof(line));
}

/* Under the lock: new settings that say the same only ask for a new look. */
static void look_again(struct scraper *p, uint32_t revision)
{
    p->revision = revision;
    for (uint32_t i = 0; i < p->target_count; i++) {
        p->targets[i].due_ms = 0;
    }
}

/* Puts new settings in force; false when nothing is to be scraped. */
static bool renew(struct integrations *s)
{
    struct member *m = &s->members[INTEGRATION_METRICS_SCRAPER];
    struct scraper *old = NULL;
    pthread_mutex_lock(&s->lock);
    const struct settings *n = m->now;
    bool wanted = n->enabled && n->complete && !n->paused;
    if (s->scraper != NULL &&
        integration_config_equal(&s->scraper->config, &n->config)) {
        if (s->scraper->revision != m->revision) {
            look_again(s->scraper, m->revision);
        }
    } else {
        old = s->scraper;
        s->scraper = scraper_new(m);
        s->scraper->generation = old != NULL ? old->generation + 1 : 0;
        carry_over(old, s->scraper);
    }
    pthread_mutex_unlock(&s->lock);
    scraper_free(old);
    return wanted;
}

uint64_t scraper_run(struct integrations *s, uint64_t now_ms)
{
    uint64_t next_ms = UINT64_MAX;
    bool wanted = renew(s);
    take_pages(s);
    take_done(s);
    if (!wanted) {
        return next_ms;
    }
    struct scraper *p = s->scraper;
    for (uint32_t i = 0; i < p->target_count; i++) {
        struct target *t = &p->targets[i];
        if (!t->running && t->due_ms <= now_ms) {
            /* Not all at once, and then at even distances. */
            t->due_ms =
                now_ms + (t->due_ms == 0
                              ? check_jitter(s, p->config.scrape_interval_ms)
                              : p->config.scrape_interval_ms);
            scrape(s, t);
        }
        next_ms = t->running ? next_ms : MIN(next_ms, t->due_ms);
    }
    return next_ms;
}

void scraper_settle(struct integrations *s)
{
    struct scrape *x = NULL;
    pages_free(s->pages);
    s->pages = NULL;
    while ((x = pop_scrape(s, &s->scrapes_read)) != NULL) {
        scrape_free(x);
    }
    pthread_mutex_lock(&s->lock);
    while (s->scrapes_storing != 0) {
        pthread_cond_wait(&s->stored, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    take_done(s);
}

/* ---- views, under the lock
 * ----------------------------------------------------------- */

json_t *scraper_json(const struct scraper *p)
{
    json_t *out = json_array();
    for (uint32_t i = 0; p != NULL && i < p->target_count; i++) {
        const struct target *t = &p->targets[i];
        (void)json_array_append_new(
            out,
            json_pack(
                "{s:s, s:o, s:o, s:o, s:I, s:I}", "url", t->url, "ok",
                t->scraped_ms != 0 ? json_boolean(t->ok) : json_null(), "error",
                t->error[0] != '\0' ? json_string(t->error) : json_null(),
                "last_scrape",
                t->scraped_ms != 0 ? json_real((double)t->scraped_ms / 1000)
                                   : json_null(),
                "samples", (json_int_t)t->samples, "events",
                (json_int_t)t->events));
    }
    return out;
}
