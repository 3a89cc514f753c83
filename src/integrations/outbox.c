/*
 * The outbox: notices on their way to PagerDuty and Slack, one at a time and
 * in order for each partner. A row is removed only when the partner has
 * answered that it has it, so a crash in between sends it again: PagerDuty
 * knows it by its key, Slack shows it twice. A partner that does not take any
 * is tried ever more rarely, one that says that it never will is left alone
 * until its settings change, and what is too old is given up and kept as dead.
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
#include "runtime/service.h"
#include "wire/pagerduty.h"
#include "wire/slack.h"

#define BACKOFF_FIRST_MS 1000ULL
#define BACKOFF_MAX_MS (5ULL * 60 * 1000)
#define BACKOFF_STEPS 9U

/* A sending has one of these; the channel's. */
struct delivery {
    struct web_request web;
    struct integrations *s;
    enum integration which;
    struct arena arena;
    struct integration_config config;
    uint32_t revision;
    struct strbuf body;
    char url[WEB_URL_MAX_BYTES + 64];
};

/* ---- rate -------------------------------------------------------------------
 */

/* The unit allows so many starts in a minute, each of which gives a token. */
#define STARTS_PER_MINUTE 20

static const struct rate rates[INTEGRATIONS] = {
    [INTEGRATION_PAGERDUTY] = {1000,
                               PAGERDUTY_PER_MINUTE - 60 - STARTS_PER_MINUTE},
    [INTEGRATION_SLACK] = {1000, 3},
};

void outbox_start(struct integrations *s, uint64_t now_ms)
{
    for (int i = 0; i < INTEGRATIONS; i++) {
        if (rates[i].burst != 0) {
            bucket_start(&s->channels[i].bucket, &rates[i], now_ms);
        }
    }
}

uint64_t outbox_take(struct integrations *s, enum integration which,
                     uint64_t count)
{
    uint64_t now_ms = os_monotonic_ms();
    return rates[which].burst == 0
               ? 0
               : bucket_take_some(&s->channels[which].bucket, &rates[which],
                                  count, now_ms) -
                     now_ms;
}

/* ---- rows -------------------------------------------------------------------
 */

/* On the committer's thread. */
static void on_stored(struct store_op *op)
{
    struct channel *c = CONTAINER_OF(op, struct channel, op);
    struct integrations *s = op->context;
    pthread_mutex_lock(&s->lock);
    c->storing = false;
    pthread_cond_broadcast(&s->stored);
    if (s->web != NULL) {
        web_wake(s->web);
    }
    pthread_mutex_unlock(&s->lock);
}

static void store(struct integrations *s, struct channel *c, uint64_t seq,
                  enum notice_fate fate, const char *error)
{
    (void)snprintf(c->error, sizeof(c->error), "%s", error);
    c->record = (struct record){.kind = RECORD_NOTICE_TRIED,
                                .tried = {.seq = seq,
                                          .fate = fate,
                                          .attempts = c->head_attempts,
                                          .tried_ms = os_epoch_ms(),
                                          .error = str_c(c->error)}};
    c->op = (struct store_op){
        .kind = STORE_APPLY,
        .apply = {.records = &c->record, .count = 1},
        .done = on_stored,
        .context = s,
    };
    if (fate != NOTICE_STAYS) {
        atomic_fetch_sub(&c->pending, 1);
    }
    if (fate == NOTICE_GIVEN_UP) {
        (void)atomic_fetch_add(&c->dead, 1);
    }
    pthread_mutex_lock(&s->lock);
    c->storing = true;
    pthread_mutex_unlock(&s->lock);
    service_write(s->service, &c->op);
}

static void give_up(struct integrations *s, enum integration which,
                    const struct notice_row *row, const char *why)
{
    struct channel *c = &s->channels[which];
    integrations_log(s, LOG_WARNING, "%s integration: a notice is given up: %s",
                     integration_title(which), why);
    c->head_attempts = row->attempts;
    store(s, c, row->seq, NOTICE_GIVEN_UP, why);
}

/* ---- bodies -----------------------------------------------------------------
 */

static enum pagerduty_severity severity_of(const char *kind)
{
    return strcmp(kind, notice_kind_name(NOTICE_FAILED)) == 0
               ? PAGERDUTY_ERROR
               : PAGERDUTY_WARNING;
}

static struct str member(const json_t *body, const char *name)
{
    struct str text = json_text(json_object_get(body, name));
    return text.at != NULL ? text : STR("");
}

/* "Runbook NAME failed: WHY". */
static void add_summary(const json_t *body, struct strbuf *out)
{
    struct str error = member(body, "error");
    strbuf_addf(out, "Runbook %.*s %.*s", STR_ARG(member(body, "runbook_name")),
                STR_ARG(member(body, "status")));
    if (error.len != 0) {
        strbuf_addf(out, ": %.*s", STR_ARG(error));
    }
}

static void add_pagerduty(struct delivery *d, const struct notice_row *row,
                          const json_t *body)
{
    char host[256] = "";
    struct strbuf summary = STRBUF_INIT(64UL * 1024);
    bool resolved =
        str_eq_c(member(body, "kind"), notice_kind_name(NOTICE_RESOLVED));
    (void)gethostname(host, sizeof(host) - 1);
    add_summary(body, &summary);
    struct pagerduty_event e = {
        .routing_key = str_c(d->config.routing_key),
        .action = resolved ? PAGERDUTY_RESOLVE : PAGERDUTY_TRIGGER,
        .dedup_key = row->key,
        .summary = strbuf_str(&summary),
        .source = host[0] != '\0' ? str_c(host) : STR("autonomous-devops"),
        .severity = severity_of(member(body, "kind").at),
        .timestamp_ms = row->created_ms,
        .component = member(body, "runbook"),
        .group = STR("autonomous-devops"),
        .class_name = member(body, "kind"),
        .details = row->body,
    };
    pagerduty_add_event(&d->body, &e);
    strbuf_deinit(&summary);
}

static void add_slack(struct delivery *d, const struct notice_row *row,
                      const json_t *body)
{
    struct strbuf summary = STRBUF_INIT(64UL * 1024);
    struct strbuf section = STRBUF_INIT(64UL * 1024);
    struct strbuf context = STRBUF_INIT(4096);
    add_summary(body, &summary);
    strbuf_addf(&section, "*Runbook* %.*s\n*Workflow* %.*s\n%.*s",
                STR_ARG(member(body, "runbook")),
                STR_ARG(member(body, "workflow_id")),
                STR_ARG(member(body, "error")));
    strbuf_addf(&context, "%.*s; requested by %.*s; incident %.8s",
                STR_ARG(member(body, "kind")),
                STR_ARG(member(body, "requested_by")), row->key.at);
    struct slack_message m = {
        .text = strbuf_str(&summary),
        .header = strbuf_str(&summary),
        .section = strbuf_str(&section),
        .context = strbuf_str(&context),
        .channel = str_c(d->config.channel),
    };
    slack_add_message(&d->body, &m);
    strbuf_deinit(&summary);
    strbuf_deinit(&section);
    strbuf_deinit(&context);
}

/* ---- sending ----------------------------------------------------------------
 */

static uint64_t backoff_ms(struct integrations *s, const struct channel *c)
{
    uint64_t ms = BACKOFF_FIRST_MS << MIN(c->failures, BACKOFF_STEPS);
    return check_jitter(s, MIN(ms, BACKOFF_MAX_MS));
}

static void delivery_free(struct delivery *d)
{
    settings_wipe(&d->config);
    if (d->body.at != NULL) {
        explicit_bzero(d->body.at, d->body.len);
    }
    strbuf_deinit(&d->body);
    web_request_deinit(&d->web);
    arena_deinit(&d->arena);
    mem_free(d);
}

static void describe(const struct delivery *d, char *ret, size_t size)
{
    char room[48];
    char body[96];
    struct strbuf seen = STRBUF_INIT(sizeof(body) - 1);
    const struct web_request *w = &d->web;
    strbuf_add_visible(&seen, str_slice(strbuf_str(&w->answer), 0, 60));
    (void)snprintf(ret, size, "%s integration: %s%s%s",
                   integration_title(d->which),
                   w->result < 0 ? w->error : web_status_text(w->status, room),
                   w->result == 0 && seen.len != 0 ? ": " : "",
                   w->result == 0 ? strbuf_str(&seen).at : "");
    strbuf_deinit(&seen);
}

static enum delivery_verdict judge(const struct delivery *d)
{
    const struct web_request *w = &d->web;
    if (w->result < 0) {
        return DELIVERY_RETRY;
    }
    return d->which == INTEGRATION_SLACK
               ? slack_judge(w->status, strbuf_str(&w->answer))
               : pagerduty_judge(w->status);
}

static void on_answer(struct web_request *web)
{
    struct delivery *d = CONTAINER_OF(web, struct delivery, web);
    struct integrations *s = d->s;
    struct channel *c = &s->channels[d->which];
    char error[INTEGRATION_ERROR_SIZE];
    c->sending = false;
    if (web->result == -ECANCELED) {
        delivery_free(d); /* the next start sends it again */
        return;
    }
    describe(d, error, sizeof(error));
    enum delivery_verdict verdict = judge(d);
    c->head_attempts++;
    switch (verdict) {
    case DELIVERY_DONE:
        c->failures = 0;
        atomic_fetch_add(&c->sent, 1);
        check_record(s, d->which, NULL, web->took_ms);
        store(s, c, c->head_seq, NOTICE_TAKEN, "");
        break;
    case DELIVERY_REFUSED:
        c->failures = 0;
        integrations_log(s, LOG_ERR, "%s; the notice is given up", error);
        store(s, c, c->head_seq, NOTICE_GIVEN_UP, error);
        break;
    case DELIVERY_RETRY:
    case DELIVERY_BROKEN:
        c->next_ms = os_monotonic_ms() +
                     MAX(backoff_ms(s, c), web->retry_after_s * 1000);
        c->failures++;
        c->broken = verdict == DELIVERY_BROKEN;
        c->broken_revision = d->revision;
        atomic_fetch_add(&c->retried, 1);
        check_record(s, d->which, error, web->took_ms);
        store(s, c, c->head_seq, NOTICE_STAYS, error);
        break;
    }
    delivery_free(d);
}

static void send_it(struct integrations *s, enum integration which,
                    const struct notice_row *row, struct delivery *d)
{
    struct channel *c = &s->channels[which];
    json_auto_t *body = json_loadb(row->body.at, row->body.len, 0, NULL);
    strbuf_init(&d->body, PAGERDUTY_BODY_MAX_BYTES);
    if (which == INTEGRATION_SLACK) {
        add_slack(d, row, body);
        (void)snprintf(d->url, sizeof(d->url), "%s", d->config.webhook_url);
    } else {
        size_t len = strlen(d->config.url);
        while (len > 0 && d->config.url[len - 1] == '/') {
            len--;
        }
        add_pagerduty(d, row, body);
        (void)snprintf(d->url, sizeof(d->url), "%.*s" PAGERDUTY_PATH, (int)len,
                       d->config.url);
    }
    c->sending = true;
    c->head_seq = row->seq;
    c->head_attempts = row->attempts;
    d->s = s;
    d->which = which;
    d->web.url = d->url;
    d->web.body = strbuf_str(&d->body);
    d->web.timeout_ms = d->config.timeout_ms;
    d->web.max_bytes = WEB_ANSWER_MAX_BYTES;
    d->web.done = on_answer;
    web_send(s->web, &d->web);
}

/* ---- one step of a channel
 * ---------------------------------------------------- */

enum gate { GATE_OPEN, GATE_CLOSED, GATE_DROP };

/* May the channel send? Then its settings are in d. */
static enum gate look_at_gate(struct integrations *s, enum integration which,
                              struct delivery *d)
{
    struct member *m = &s->members[which];
    struct channel *c = &s->channels[which];
    enum gate gate = GATE_OPEN;
    pthread_mutex_lock(&s->lock);
    if (c->broken && c->broken_revision != m->revision) {
        c->broken = false;
        c->failures = 0;
        c->next_ms = 0;
    }
    if (!m->now->enabled) {
        gate = GATE_DROP;
    } else if (!m->now->complete || m->now->paused || c->broken) {
        gate = GATE_CLOSED;
    } else {
        d->config = settings_copy(m, &d->arena);
        d->revision = m->revision;
    }
    pthread_mutex_unlock(&s->lock);
    return gate;
}

/* The oldest pending row: 1, 0, or what the reader said. */
static int read_head(struct integrations *s, enum integration which,
                     struct arena *a, struct notice_row **ret)
{
    uint32_t count = 0;
    struct notice_filter f = {.channel = which,
                              .state = NOTICE_PENDING,
                              .oldest_first = true,
                              .limit = 1};
    int r = s->reader->ops->notices(s->reader, &f, a, ret, &count);
    return r < 0 ? r : (int)count;
}

/* What waits is looked at now and then, for what has become too old. */
#define LOOK_MS 10000ULL

static uint64_t take_head(struct integrations *s, enum integration which,
                          struct delivery *d, uint64_t now_ms, bool *ret_sent)
{
    struct channel *c = &s->channels[which];
    struct notice_row *row = NULL;
    enum gate gate = look_at_gate(s, which, d);
    int r = read_head(s, which, &d->arena, &row);
    if (r <= 0) {
        return r < 0 ? now_ms + LOOK_MS : UINT64_MAX;
    }
    uint64_t epoch_ms = os_epoch_ms();
    if (gate == GATE_DROP) {
        give_up(s, which, row, "the integration is disabled");
        return UINT64_MAX;
    }
    if (epoch_ms > row->created_ms &&
        epoch_ms - row->created_ms > s->options.give_up_ms) {
        char why[INTEGRATION_ERROR_SIZE + 32];
        struct str last = row->error.len != 0 ? row->error : STR("not tried");
        (void)snprintf(why, sizeof(why), "it is too old; %.*s", STR_ARG(last));
        give_up(s, which, row, why);
        return UINT64_MAX;
    }
    if (gate == GATE_CLOSED || c->next_ms > now_ms) {
        return gate == GATE_CLOSED
                   ? now_ms + MIN(LOOK_MS, s->options.give_up_ms)
                   : MIN(c->next_ms, now_ms + LOOK_MS);
    }
    uint64_t at_ms = bucket_take(&c->bucket, &rates[which], now_ms);
    if (at_ms > now_ms) {
        return at_ms;
    }
    send_it(s, which, row, d);
    *ret_sent = true;
    return UINT64_MAX;
}

static uint64_t pump(struct integrations *s, enum integration which,
                     uint64_t now_ms)
{
    struct channel *c = &s->channels[which];
    pthread_mutex_lock(&s->lock);
    bool busy = c->sending || c->storing;
    pthread_mutex_unlock(&s->lock);
    if (busy || atomic_load(&c->pending) == 0) {
        return UINT64_MAX; /* what ends that wakes us */
    }
    bool sent = false;
    struct delivery *d = MEM_NEW(struct delivery);
    uint64_t next_ms = take_head(s, which, d, now_ms, &sent);
    if (!sent) {
        delivery_free(d);
    }
    return next_ms;
}

uint64_t outbox_run(struct integrations *s, uint64_t now_ms)
{
    uint64_t next_ms = UINT64_MAX;
    for (int i = 0; i < INTEGRATIONS; i++) {
        if (rates[i].burst != 0) {
            next_ms = MIN(next_ms, pump(s, (enum integration)i, now_ms));
        }
    }
    return next_ms;
}

void outbox_settle(struct integrations *s)
{
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < INTEGRATIONS; i++) {
        while (s->channels[i].storing) {
            pthread_cond_wait(&s->stored, &s->lock);
        }
    }
    pthread_mutex_unlock(&s->lock);
}
