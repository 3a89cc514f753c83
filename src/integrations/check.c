/*
 * Checks: what a partner is asked, step by step, and what its answers mean.
 * Health is asked without side effects, in the background with jitter and,
 * while it fails, ever more rarely; a test is visible at the partner.
 */
#include <errno.h>
#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "data/json.h"
#include "integrations/integrations_priv.h"
#include "os/clock.h"
#include "wire/exposition.h"
#include "wire/pagerduty.h"
#include "wire/slack.h"

#define STEPS_MAX 2
#define INTERVAL_MAX_MS (5ULL * 60 * 1000)
#define INTERVAL_MIN_MS 1000ULL

struct check_run {
    struct web_request web;
    struct list link;   /* in integrations.checks, or another's joined */
    struct list joined; /* those who want to know the same */
    struct integrations *s;
    struct integration_check *asked; /* NULL: a background check */
    enum integration which;
    enum integration_check_kind kind;
    struct arena arena;
    struct integration_config config;
    uint32_t revision;
    uint32_t step;
    uint64_t took_ms;
    struct strbuf body;
    char url[WEB_URL_MAX_BYTES + 64];
    char key[64]; /* dedup_key of a test */
};

/* ---- what is asked ----------------------------------------------------------
 */

/* NULL, or what is wrong with a good status' body. */
typedef const char *judge_fn(const struct check_run *x);

static const char *judge_any(const struct check_run *x)
{
    (void)x;
    return NULL;
}

/* Does the JSON answer have the text `value` (NULL: anything) there? */
static bool says(const struct check_run *x, const char *name, const char *value)
{
    json_auto_t *answer =
        json_loadb(x->web.answer.at, x->web.answer.len, 0, NULL);
    const json_t *member = json_object_get(answer, name);
    return member != NULL &&
           (value == NULL || str_eq_c(json_text(member), value));
}

static const char *judge_query(const struct check_run *x)
{
    return says(x, "status", "success")
               ? NULL
               : "the answer is not that of a Prometheus; check the url";
}

static const char *judge_status(const struct check_run *x)
{
    return says(x, "cluster", NULL) || says(x, "versionInfo", NULL)
               ? NULL
               : "the answer is not that of an Alertmanager; check the url";
}

static const char *judge_slack(const struct check_run *x)
{
    return slack_judge(x->web.status, strbuf_str(&x->web.answer)) ==
                   DELIVERY_DONE
               ? NULL
               : "the answer is not that of a Slack webhook";
}

static int ignore_sample(void *context, const struct exposition_sample *s)
{
    (void)context;
    (void)s;
    return 0;
}

static const char *judge_page(const struct check_run *x)
{
    struct err err = ERR_INIT;
    return exposition_read(strbuf_str(&x->web.answer),
                           exposition_format_of(x->web.type), ignore_sample,
                           NULL, &err) == 0
               ? NULL
               : "the answer is not a page of metrics";
}

/* The body of a step. */
typedef void body_fn(struct check_run *x);

static void add_pagerduty(struct check_run *x, enum pagerduty_action action)
{
    char host[256] = "";
    (void)gethostname(host, sizeof(host) - 1);
    struct pagerduty_event e = {
        .routing_key = str_c(x->config.routing_key),
        .action = action,
        .dedup_key = str_c(x->key),
        .summary = STR("Test of the autonomous-devops integration; it "
                       "resolves by itself"),
        .source = str_c(host),
        .severity = PAGERDUTY_INFO,
        .class_name = STR("test"),
    };
    pagerduty_add_event(&x->body, &e);
}

static void add_trigger(struct check_run *x)
{
    (void)snprintf(x->key, sizeof(x->key), "test-%llu",
                   (unsigned long long)os_epoch_ms());
    add_pagerduty(x, PAGERDUTY_TRIGGER);
}

static void add_resolve(struct check_run *x)
{
    add_pagerduty(x, PAGERDUTY_RESOLVE);
}

static void add_slack(struct check_run *x)
{
    struct slack_message m = {
        .text = STR("Test of the autonomous-devops integration"),
        .section = STR("Test of the autonomous-devops integration: messages "
                       "arrive."),
        .channel = str_c(x->config.channel),
    };
    slack_add_message(&x->body, &m);
}

struct step {
    const char *path; /* behind the url; NULL: there is no such step */
    judge_fn *judge;
    body_fn *body;   /* NULL: a GET */
    bool at_api_url; /* with the REST API's key */
};

#define GET(where, by)                                                         \
    {                                                                          \
        .path = (where), .judge = (by)                                         \
    }
#define POST(where, by, with)                                                  \
    {                                                                          \
        .path = (where), .judge = (by), .body = (with)                         \
    }

static const struct step probes[INTEGRATIONS][STEPS_MAX + 1] = {
    [INTEGRATION_PROMETHEUS] = {GET("/-/healthy", judge_any),
                                GET("/api/v1/query?query=up", judge_query)},
    [INTEGRATION_ALERTMANAGER] = {GET("/-/healthy", judge_any),
                                  GET("/api/v2/status", judge_status)},
    /* the scraper's health is that of its scrapes */
    [INTEGRATION_PAGERDUTY] = {{.path = "/abilities",
                                .judge = judge_any,
                                .at_api_url = true}},
};

static const struct step tests[INTEGRATIONS][STEPS_MAX + 1] = {
    [INTEGRATION_PROMETHEUS] = {GET("/-/healthy", judge_any),
                                GET("/api/v1/query?query=up", judge_query)},
    [INTEGRATION_ALERTMANAGER] = {GET("/-/healthy", judge_any),
                                  GET("/api/v2/status", judge_status)},
    [INTEGRATION_PAGERDUTY] = {POST(PAGERDUTY_PATH, judge_any, add_trigger),
                               POST(PAGERDUTY_PATH, judge_any, add_resolve)},
    [INTEGRATION_SLACK] = {POST("", judge_slack, add_slack)},
    [INTEGRATION_METRICS_SCRAPER] = {GET("", judge_page)},
};

static const struct step *step_of(const struct check_run *x)
{
    const struct step *all =
        x->kind == CHECK_TEST ? tests[x->which] : probes[x->which];
    return all[x->step].path != NULL ? &all[x->step] : NULL;
}

/* PagerDuty's asks with the api_key, also when nothing can be sent. */
bool check_has_probe(enum integration which, const struct settings *n)
{
    const struct step *first = &probes[which][0];
    return first->path != NULL &&
           (first->at_api_url ? n->config.api_key != NULL : n->complete);
}

/* ---- health
 * ------------------------------------------------------------------ */

static uint64_t next_random(struct integrations *s)
{
    s->random = s->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return s->random >> 33;
}

uint64_t check_jitter(struct integrations *s, uint64_t ms)
{
    return ms - ms / 5 + next_random(s) % (ms * 2 / 5 + 1);
}

/* Under the lock: when is it to be asked again? */
static void plan_next(struct integrations *s, enum integration which)
{
    struct member *m = &s->members[which];
    uint64_t ms = m->now->config.scrape_interval_ms != 0
                      ? m->now->config.scrape_interval_ms
                      : s->options.health_interval_ms;
    ms = MAX(ms, INTERVAL_MIN_MS) << MIN(m->health.failures, 5U);
    m->health.due_ms =
        os_monotonic_ms() + check_jitter(s, MIN(ms, INTERVAL_MAX_MS));
}

/* Under the lock. */
static void record(struct integrations *s, enum integration which,
                   const char *error, uint64_t took_ms)
{
    struct member *m = &s->members[which];
    struct health *h = &m->health;
    enum health_word word = error != NULL ? HEALTH_UNHEALTHY : HEALTH_HEALTHY;
    if (word != h->word) {
        h->since_ms = os_epoch_ms();
        if (word == HEALTH_UNHEALTHY) {
            integrations_log(s, LOG_WARNING, "%s", error);
        } else if (h->word == HEALTH_UNHEALTHY) {
            integrations_log(s, LOG_NOTICE, "%s integration: healthy again",
                             integration_title(which));
        }
    }
    h->word = word;
    h->failures = error != NULL ? h->failures + 1 : 0;
    (void)snprintf(h->error, sizeof(h->error), "%s",
                   error != NULL ? error : "");
    h->checked_ms = os_epoch_ms();
    h->took_ms = took_ms;
    h->revision = m->revision;
    h->fresh_until_ms = os_monotonic_ms() + INTEGRATION_FRESH_MS;
    plan_next(s, which);
}

void check_record(struct integrations *s, enum integration which,
                  const char *error, uint64_t took_ms)
{
    pthread_mutex_lock(&s->lock);
    record(s, which, error, took_ms);
    pthread_mutex_unlock(&s->lock);
}

/* ---- running
 * ------------------------------------------------------------------ */

static void answer(struct check_run *x, const struct check_run *made,
                   int result, const char *error)
{
    struct integration_check *c = x->asked;
    if (c != NULL) {
        c->result = result;
        c->steps = made->step;
        c->took_ms = made->took_ms;
        (void)snprintf(c->error, sizeof(c->error), "%s",
                       error != NULL ? error : "");
        c->done(c);
    }
}

static void run_free(struct check_run *x)
{
    settings_wipe(&x->config);
    strbuf_deinit(&x->body);
    web_request_deinit(&x->web);
    arena_deinit(&x->arena);
    mem_free(x);
}

/* Takes the lock when it is for the record. */
static void finish(struct check_run *x, int result, const char *error)
{
    struct integrations *s = x->s;
    struct member *m = &s->members[x->which];
    struct list *next = NULL;
    pthread_mutex_lock(&s->lock);
    if (m->health.asking == x) {
        m->health.asking = NULL;
    }
    s->check_count -= x->asked != NULL;
    LIST_EACH (&x->joined, it) {
        s->check_count--;
    }
    bool counts = result == 0 || result == -EHOSTDOWN;
    if (counts && x->revision == m->revision && x->step > 0) {
        record(s, x->which, result < 0 ? error : NULL, x->took_ms);
    }
    pthread_mutex_unlock(&s->lock);
    answer(x, x, result, error);
    while ((next = list_pop(&x->joined)) != NULL) {
        struct check_run *other = CONTAINER_OF(next, struct check_run, link);
        answer(other, x, result, error);
        run_free(other);
    }
    run_free(x);
}

static void finish_bad(struct check_run *x, int result, const char *why)
{
    char error[INTEGRATION_ERROR_SIZE];
    (void)snprintf(error, sizeof(error), "%s integration: %s",
                   integration_title(x->which), why);
    finish(x, result, error);
}

static void next_step(struct check_run *x);

static void on_answer(struct web_request *web)
{
    struct check_run *x = CONTAINER_OF(web, struct check_run, web);
    const struct step *step = step_of(x);
    char room[48];
    x->step++;
    x->took_ms += web->took_ms;
    if (web->result == -ECANCELED) {
        finish_bad(x, -ECANCELED, web->error);
    } else if (web->result < 0) {
        finish_bad(x, -EHOSTDOWN, web->error);
    } else if (web->status >= 300 && web->status < 400) {
        char why[160];
        (void)snprintf(why, sizeof(why),
                       "%s, and redirects are not followed; set the url to "
                       "where it leads",
                       web_status_text(web->status, room));
        finish_bad(x, -EHOSTDOWN, why);
    } else if (web->status < 200 || web->status >= 300) {
        finish_bad(x, -EHOSTDOWN, web_status_text(web->status, room));
    } else if (step->judge(x) != NULL) {
        finish_bad(x, -EHOSTDOWN, step->judge(x));
    } else {
        next_step(x);
    }
}

/* The url without a slash at its end, and the path. */
static void set_url(struct check_run *x, const struct step *step)
{
    const char *base = x->which == INTEGRATION_SLACK ? x->config.webhook_url
                       : step->at_api_url            ? x->config.api_url
                                                     : x->config.url;
    size_t len = strlen(base);
    while (step->path[0] == '/' && len > 0 && base[len - 1] == '/') {
        len--;
    }
    (void)snprintf(x->url, sizeof(x->url), "%.*s%s", (int)len, base,
                   step->path);
}

static void set_headers(struct check_run *x, const struct step *step)
{
    struct strbuf line = STRBUF_INIT(FIELD_TEXT_MAX_BYTES + 64);
    size_t n = 0;
    x->web.headers[1] = NULL;
    if (step->at_api_url) {
        strbuf_addf(&line, "Authorization: Token token=%s", x->config.api_key);
        x->web.headers[n++] =
            "Accept: application/vnd.pagerduty+json;version=2";
    } else if (x->config.bearer_token != NULL) {
        strbuf_addf(&line, "Authorization: Bearer %s", x->config.bearer_token);
    }
    if (line.len != 0) {
        x->web.headers[n++] = arena_strdup(&x->arena, strbuf_str(&line));
    }
    x->web.headers[n] = NULL;
    if (line.at != NULL) {
        explicit_bzero(line.at, line.len);
    }
    strbuf_deinit(&line);
}

static void next_step(struct check_run *x)
{
    const struct step *step = step_of(x);
    if (step == NULL) {
        finish(x, 0, NULL);
        return;
    }
    strbuf_deinit(&x->body);
    strbuf_init(&x->body, PAGERDUTY_BODY_MAX_BYTES);
    if (step->body != NULL) {
        step->body(x);
    }
    set_url(x, step);
    set_headers(x, step);
    x->web.url = x->url;
    x->web.body = step->body != NULL ? strbuf_str(&x->body) : STR_NULL;
    x->web.timeout_ms = x->config.timeout_ms;
    x->web.max_bytes = x->which == INTEGRATION_METRICS_SCRAPER
                           ? x->config.body_size_limit
                           : WEB_ANSWER_MAX_BYTES;
    x->web.done = on_answer;
    web_send(x->s->web, &x->web);
}

/* Is there anything to ask? Then its settings are copied. */
static int prepare(struct check_run *x, char why[INTEGRATION_ERROR_SIZE])
{
    struct member *m = &x->s->members[x->which];
    const struct settings *n = m->now;
    bool probed = x->kind == CHECK_HEALTH && check_has_probe(x->which, n);
    if (!n->complete && !probed) {
        settings_explain(x->which, n, why);
        return -EOPNOTSUPP;
    }
    if (!n->enabled) {
        (void)snprintf(why, INTEGRATION_ERROR_SIZE, "disabled");
        return -EOPNOTSUPP;
    }
    x->revision = m->revision;
    x->config = settings_copy(m, &x->arena);
    return 0;
}

/* Under the lock: is it to be asked anew because somebody says so? */
static bool may_force(const struct check_run *x)
{
    struct member *m = &x->s->members[x->which];
    struct health *h = &m->health;
    uint64_t now_ms = os_monotonic_ms();
    if (!x->asked->force ||
        (h->forced_ms != 0 && h->forced_revision == m->revision &&
         now_ms < h->forced_ms + INTEGRATION_FORCED_MS)) {
        return false;
    }
    h->forced_ms = now_ms;
    h->forced_revision = m->revision;
    return true;
}

/* What is known is fresh enough, or all that can be known. */
static bool take_known(struct check_run *x, char why[INTEGRATION_ERROR_SIZE],
                       int *ret_result)
{
    const struct member *m = &x->s->members[x->which];
    const struct health *h = &m->health;
    if (x->kind != CHECK_HEALTH || h->asking != NULL) {
        return false;
    }
    bool forced = may_force(x);
    bool fresh = !forced && h->revision == m->revision &&
                 h->fresh_until_ms > os_monotonic_ms();
    if (!fresh && check_has_probe(x->which, m->now)) {
        return false;
    }
    *ret_result = h->word == HEALTH_UNHEALTHY ? -EHOSTDOWN : 0;
    (void)snprintf(why, INTEGRATION_ERROR_SIZE, "%s", h->error);
    return true;
}

/* Under the lock: one question at a time, whoever wants to know. One about
 * settings that are no longer is not waited for. */
static bool join(struct check_run *x)
{
    struct health *h = &x->s->members[x->which].health;
    if (x->kind != CHECK_HEALTH) {
        return false;
    }
    if (h->asking == NULL || h->asking->revision != x->revision) {
        h->asking = x;
        return false;
    }
    list_push(&h->asking->joined, &x->link);
    return true;
}

/* A test that people see goes out at the rate of notices. */
static bool may_send(struct check_run *x)
{
    uint64_t messages = 0;
    for (const struct step *t = tests[x->which];
         x->kind == CHECK_TEST && t->path != NULL; t++) {
        messages += t->body != NULL;
    }
    uint64_t wait_ms =
        messages != 0 ? outbox_take(x->s, x->which, messages) : 0;
    if (wait_ms == 0) {
        return true;
    }
    if (x->asked != NULL) { /* whoever tests has asked */
        x->asked->retry_ms = wait_ms;
    }
    finish_bad(x, -EDQUOT,
               "it takes no more messages at the moment, and was not tried");
    return false;
}

static void begin(struct check_run *x)
{
    char why[INTEGRATION_ERROR_SIZE] = "";
    int known = 0;
    pthread_mutex_lock(&x->s->lock);
    int r = prepare(x, why);
    bool done = r == 0 && x->asked != NULL && take_known(x, why, &known);
    bool joined = r == 0 && !done && join(x);
    pthread_mutex_unlock(&x->s->lock);
    if (r < 0) {
        finish_bad(x, r, why);
    } else if (done) {
        finish(x, known, why);
    } else if (!joined && may_send(x)) {
        next_step(x);
    }
}

static struct check_run *run_new(struct integrations *s, enum integration which,
                                 enum integration_check_kind kind,
                                 struct integration_check *asked)
{
    struct check_run *x = MEM_NEW(struct check_run);
    x->s = s;
    x->which = which;
    x->kind = kind;
    x->asked = asked;
    list_init(&x->link);
    list_init(&x->joined);
    return x;
}

/* ---- from outside
 * --------------------------------------------------------------- */

void integrations_check(struct integrations *s, struct integration_check *c)
{
    c->steps = 0;
    c->took_ms = 0;
    c->retry_ms = 0;
    c->error[0] = '\0';
    pthread_mutex_lock(&s->lock);
    c->result = atomic_load(&s->halting)                   ? -ECANCELED
                : s->check_count >= INTEGRATION_CHECKS_MAX ? -EAGAIN
                                                           : 0;
    if (c->result == 0) {
        struct check_run *x = run_new(s, c->which, c->kind, c);
        s->check_count++;
        list_push(&s->checks, &x->link);
        web_wake(s->web);
    }
    bool refused = c->result != 0; /* else it is the thread's now */
    pthread_mutex_unlock(&s->lock);
    if (refused) {
        c->done(c);
    }
}

static struct check_run *take_posted(struct integrations *s)
{
    pthread_mutex_lock(&s->lock);
    struct list *first = list_pop(&s->checks);
    pthread_mutex_unlock(&s->lock);
    return first != NULL ? CONTAINER_OF(first, struct check_run, link) : NULL;
}

/* Background health; the time of the next. */
static uint64_t run_background(struct integrations *s, enum integration which,
                               uint64_t now_ms)
{
    struct member *m = &s->members[which];
    struct check_run *x = NULL;
    uint64_t next_ms = UINT64_MAX;
    pthread_mutex_lock(&s->lock);
    const struct settings *n = m->now;
    bool wanted = n->enabled && check_has_probe(which, n);
    if (wanted && (m->health.asking == NULL ||
                   m->health.asking->revision != m->revision)) {
        next_ms = m->health.due_ms;
        if (next_ms <= now_ms) {
            x = run_new(s, which, CHECK_HEALTH, NULL);
            next_ms = UINT64_MAX;
        }
    }
    pthread_mutex_unlock(&s->lock);
    if (x != NULL) {
        begin(x);
    }
    return next_ms;
}

uint64_t check_run_due(struct integrations *s, uint64_t now_ms)
{
    struct check_run *x = NULL;
    uint64_t next_ms = UINT64_MAX;
    while ((x = take_posted(s)) != NULL) {
        begin(x);
    }
    for (int i = 0; i < INTEGRATIONS; i++) {
        next_ms = MIN(next_ms, run_background(s, (enum integration)i, now_ms));
    }
    return next_ms;
}

void check_cancel_all(struct integrations *s)
{
    struct check_run *x = NULL;
    while ((x = take_posted(s)) != NULL) {
        finish_bad(x, -ECANCELED, "the engine is stopping");
    }
}
