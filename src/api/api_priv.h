/*
 * Inside of api: the API object, one call, and what handlers share.
 *
 * A call lives in its request's arena from begin to end. Whoever answers it
 * (the server's thread, a reading thread, the committer's or the service's)
 * owns it until then; after answering nobody but `end` touches it.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include <jansson.h>

#include "api/answer.h"
#include "api/api.h"
#include "api/auth.h"
#include "api/put.h"
#include "api/routes.h"
#include "loop/pool.h"
#include "runtime/service.h"
#include "wire/url.h"

#define API_EVENT_BODY_MAX_BYTES (1024UL * 1024)
#define API_RUNBOOK_BODY_MAX_BYTES (1024UL * 1024 + 4096)
#define API_OTHER_BODY_MAX_BYTES (64UL * 1024)

#define API_PAGE_DEFAULT 50
#define API_PAGE_MAX 1000
#define API_EXPORT_MAX 100000 /* workflows and events */
#define API_SINCE_MAX_DAYS 366
#define API_SINCE_MAX_MS (API_SINCE_MAX_DAYS * 24ULL * 3600 * 1000)

/* A list is read in pages of so many rows; it stops growing past so many bytes
 * and continues at next_cursor. */
#define API_LIST_PAGE_ROWS 50U
#define API_LIST_MAX_BYTES (16UL * 1024 * 1024)

/* While answers that clients have not taken yet fill so much, only local
 * administrators are answered what must be read. */
#define API_ANSWERS_MAX_BYTES (64UL * 1024 * 1024)

struct hub;
struct host_list;
struct pinned;
struct replays;

struct api {
    struct service *service;
    struct integrations *integrations;
    /* Set when the server runs already and requests may come. */
    _Atomic(const struct http_server *) http;
    struct api_config config;
    struct auth *auth;
    struct host_list *hosts;
    struct hub *hub;
    struct pinned *pinned;
    struct replays *replays;
    struct strbuf openapi; /* made once */
    char *page_csp;
    struct pool *pool;
    pthread_key_t reader_key; /* each reading thread's own struct reader */
    bool has_reader_key;
    pthread_mutex_t readers_lock;
    struct reader *readers[POOL_THREADS_MAX]; /* all of them, for closing */
    size_t reader_count;
    atomic_bool archiving;    /* until its answer: one at a time */
    uint8_t entropy[10 * 64]; /* the server's thread only */
    size_t entropy_used;
};

/* A checked query parameter. */
struct value {
    bool given;
    uint64_t number; /* also words by index, booleans, instants in ms */
    struct str text;
    struct id id;
};

struct call {
    struct api *api;
    struct http_request *http;
    const struct route *route;
    struct url url;
    struct id id;    /* of {id} */
    struct str name; /* of {id} when it is a name */
    struct identity who;
    struct value values[QUERY_MAX]; /* as route->query */
    struct reader *reader;          /* ON_READER only */
    struct pool_job job;
    uint64_t started_us;    /* monotonic */
    unsigned retry_seconds; /* Retry-After of a 429; 0: as for wrong tokens */
    void (*cleanup)(struct call *c); /* at the end, if set */
    void *state;                     /* the handler's, in the arena */
};

/* The value of a parameter that the route declares. */
const struct value *call_value(const struct call *c, const char *name);
uint64_t call_number(const struct call *c, const char *name);

/* The request's arena. */
struct arena *call_arena(struct call *c);
struct strbuf *call_out(struct call *c);

/* params.c: fills values from the query; false when it has answered. */
bool call_read_query(struct call *c);

/* body.c: the body as a JSON object with none but these fields. NULL when it
 * has answered; an empty body is {}. A new reference. */
json_t *call_read_object(struct call *c, const char *const *names,
                         size_t count);

/* body.c: the Idempotency-Key with the identity in front, so that nobody meets
 * another's key; untouched if there is none. False when it has answered. */
#define API_KEY_MAX_BYTES 128
bool call_read_key(struct call *c, struct str *ret);

/* events.c: the poison event of {id}; false when it has answered. */
bool call_read_poison(struct call *c, struct event_view *ret);

/* archive.c: answers that there is no workflow of {id}, and where it may be. */
void archive_answer_absent(struct call *c);

/* handlers of what lives long (or not) */
route_fn archive_workflows, performance_show, stats_events, stats_queue;
route_fn events_poison_show, control_requeue_one, control_clear_one;
route_fn control_clear_drained, admin_audit_verify;

/* params.c: `limit`, which for an export (a since without a limit) is
 * API_EXPORT_MAX. */
uint32_t call_export_limit(const struct call *c);

/* readers.c: runs the route's handler on a reading thread. */
void call_to_reader(struct call *c);
NODISCARD int readers_start(struct api *a);
void readers_stop(struct api *a);

/* A fresh event id and time. On the server's thread. */
struct id api_new_event_id(struct api *a, uint64_t now_ms);

uint64_t api_now_us(void); /* monotonic */

/* handlers, by resource */
route_fn events_post, events_list, events_recent, events_get;
route_fn events_explain;
route_fn alerts_webhook, alerts_post, alerts_list, alerts_groups;
route_fn alerts_status, alerts_receivers, alerts_silences;
route_fn workflows_list, workflows_get, workflows_logs;
route_fn workflows_cancel, workflows_kill, workflows_retry, workflows_rerun;
route_fn runbooks_list, runbooks_search, runbooks_schema;
route_fn runbooks_validate, runbooks_execute;
route_fn runbooks_disable, runbooks_enable;
route_fn expr_eval;
route_fn kill_switch_show, kill_switch_turn;
route_fn control_drain, control_pause, control_resume, control_replay_drained;
route_fn control_set_priority, control_scale_workers;
route_fn control_workers, control_restart_workers;
route_fn control_requeue_poison, control_clear_poison;
route_fn control_acknowledge_restore;
route_fn events_replay, events_poison;
route_fn admin_reload, admin_reload_config, admin_audit;
route_fn meta_health, meta_metrics, meta_prometheus, meta_openapi;
route_fn meta_history, meta_slo;
route_fn workflows_verdict;
route_fn guards_list, guards_reset_call, guards_pending;
route_fn verdicts_missed, verdicts_missed_list, verdicts_missed_withdraw;
route_fn meta_healthy, meta_ready;
route_fn page_show, stream_open;
route_fn integrations_list, integrations_all_health, integrations_get;
route_fn integrations_put, integrations_get_health, integrations_ask_health;
route_fn integrations_test, integrations_enable, integrations_disable;
route_fn integrations_pause, integrations_resume, integrations_outbox;
