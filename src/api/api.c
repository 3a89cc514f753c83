#include "api/api.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <sodium.h>

#include "api/api_priv.h"
#include "api/hub.h"
#include "api/origin.h"
#include "api/page.h"
#include "api/pinned.h"
#include "api/replays.h"
#include "base/mem.h"
#include "os/clock.h"
#include "os/random.h"

#define OPENAPI_MAX_BYTES (1024UL * 1024)

uint64_t api_now_us(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

struct id api_new_event_id(struct api *a, uint64_t now_ms)
{
    if (a->entropy_used == sizeof(a->entropy)) {
        os_random(a->entropy, sizeof(a->entropy));
        a->entropy_used = 0;
    }
    uint8_t random[10];
    memcpy(random, a->entropy + a->entropy_used, sizeof(random));
    a->entropy_used += sizeof(random);
    return id_make(now_ms, random);
}

struct arena *call_arena(struct call *c)
{
    return &c->http->arena;
}

struct strbuf *call_out(struct call *c)
{
    return &c->http->out;
}

/* ---- the gate: everything before the handler ----------------------------- */

static struct call *call_new(struct api *a, struct http_request *r)
{
    struct call *c = ARENA_NEW(&r->arena, struct call);
    c->api = a;
    c->http = r;
    c->started_us = api_now_us();
    r->user = c;
    return c;
}

static bool check_site(struct call *c)
{
    struct http_request *r = c->http;
    if (!host_allowed(c->api->hosts, r->headers[HTTP_HOST])) {
        answer_error(c, 403, "bad_host",
                     "the Host header names no host of this server (add it to "
                     "server.allowed_hosts)",
                     STR(""));
        return false;
    }
    if (!origin_allowed(r)) {
        answer_error(c, 403, "bad_origin",
                     "pages of other sites may not use this server", STR(""));
        return false;
    }
    return true;
}

static void answer_method(struct call *c, uint32_t methods)
{
    char *allow = arena_alloc(call_arena(c), 64, 1);
    size_t len = 0;
    if ((methods & (1U << HTTP_GET)) != 0) {
        methods |= 1U << HTTP_HEAD;
    }
    for (int m = 0; m < HTTP_OTHER; m++) {
        if ((methods & (1U << m)) != 0) {
            len += (size_t)snprintf(allow + len, 64 - len, "%s%s",
                                    len != 0 ? ", " : "",
                                    http_method_name((enum http_method)m));
        }
    }
    struct strbuf *out = call_out(c);
    strbuf_addf(out,
                "{\"error\":\"this path takes %s\",\"code\":"
                "\"method_not_allowed\",\"detail\":{}}",
                allow);
    struct http_answer answer = {.status = 405,
                                 .type = HTTP_JSON,
                                 .body = strbuf_str(out),
                                 .extra = {{"Allow", allow}}};
    answer_with(c, &answer);
}

static bool find_route(struct call *c)
{
    struct err err = ERR_INIT;
    if (url_parse(c->http->target, call_arena(c), &c->url, &err) < 0) {
        answer_err(c, 400, "bad_request", &err);
        return false;
    }
    struct route_match m = route_find(c->http->method, c->url.path);
    c->route = m.route;
    if (m.route == NULL && m.methods != 0) {
        answer_method(c, m.methods);
        return false;
    }
    bool named =
        m.route != NULL && m.id.len != 0 && m.route->id_prefix[0] == '\0';
    c->name = named ? m.id : STR("");
    if (m.route == NULL || (m.id.len != 0 && !named &&
                            id_parse(m.id, m.route->id_prefix, &c->id) < 0)) {
        answer_error(c, 404, "not_found",
                     m.route == NULL
                         ? "there is no such path; /api/openapi.json lists "
                           "those that are"
                         : "there is nothing with this id",
                     STR(""));
        return false;
    }
    return true;
}

static bool refuse_identity(struct call *c, enum auth_result why)
{
    static const char *const sentences[] = {
        [AUTH_OK] = "",
        [AUTH_UNKNOWN] = "send a token (Authorization: Bearer ...), or call "
                         "from this machine as root or a member of the "
                         "group autonomous-devops",
        [AUTH_WRONG] = "the token is not known",
        [AUTH_WAIT] = "too many wrong tokens from there; a right one works",
    };
    if (why == AUTH_WAIT) {
        answer_error(c, 429, "too_many_failures", sentences[why], STR(""));
    } else {
        answer_error(c, 401, "unauthenticated", sentences[why], STR(""));
    }
    return false;
}

static bool authorise(struct call *c)
{
    enum scope scope = c->route->scope;
    if (scope == SCOPE_PUBLIC) {
        return true;
    }
    enum auth_result known =
        auth_identify(c->api->auth, c->http, c->started_us / 1000, &c->who);
    if (known != AUTH_OK) {
        return refuse_identity(c, known);
    }
    http_trust(c->http);
    uint32_t bit = scope_bit(scope);
    if (bit != 0 && (c->who.scopes & bit) == bit) {
        return true;
    }
    char sentence[160];
    (void)snprintf(sentence, sizeof(sentence),
                   "%s may not do this: it needs the scope '%s'", c->who.name,
                   scope_name(scope));
    answer_error(c, 403, "forbidden", sentence, STR(""));
    return false;
}

/* A page's script can send plain text anywhere, JSON only to its own site. */
static bool check_media_type(struct call *c)
{
    struct str type = c->http->headers[HTTP_CONTENT_TYPE];
    struct str json = STR("application/json");
    if (c->http->headers[HTTP_ORIGIN].at == NULL ||
        c->http->method == HTTP_GET || c->http->method == HTTP_HEAD) {
        return true;
    }
    ptrdiff_t semicolon = str_find(type, ';');
    type = str_trim(
        str_slice(type, 0, semicolon >= 0 ? (size_t)semicolon : type.len));
    if (type.len == json.len && strncasecmp(type.at, json.at, json.len) == 0) {
        return true;
    }
    answer_error(c, 415, "unsupported_media_type",
                 "a browser must send application/json", STR(""));
    return false;
}

static void on_begin(void *context, struct http_request *r)
{
    struct call *c = call_new(context, r);
    if (find_route(c) && check_site(c) && authorise(c) && check_media_type(c) &&
        call_read_query(c)) {
        r->body_limit_bytes = c->route->body_limit_bytes;
    }
}

static void on_handle(void *context, struct http_request *r)
{
    (void)context;
    struct call *c = r->user;
    if (c->route->thread == ON_READER) {
        call_to_reader(c);
    } else {
        c->route->handler(c);
    }
}

static void on_end(void *context, struct http_request *r)
{
    (void)context;
    struct call *c = r->user;
    if (c != NULL && c->cleanup != NULL) {
        c->cleanup(c);
    }
}

static bool on_admits(void *context, uid_t uid)
{
    struct api *a = context;
    return auth_uid_ok(a->auth, uid, os_monotonic_ms());
}

struct http_handler api_handler(struct api *a)
{
    return (struct http_handler){.context = a,
                                 .begin = on_begin,
                                 .handle = on_handle,
                                 .end = on_end,
                                 .admits = on_admits};
}

/* ---- life ---------------------------------------------------------------- */

int api_new(const struct api_options *options, struct api **ret,
            struct err *reterr)
{
    if (sodium_init() < 0) {
        return err_set(reterr, -ENOSYS, "libsodium does not start");
    }
    struct host_list *hosts = NULL;
    int r = host_list_new(options->hosts, &hosts, reterr);
    if (r < 0) {
        return r;
    }
    struct api *a = MEM_NEW(struct api);
    a->config = options->config;
    a->hosts = hosts;
    a->auth = auth_new(options);
    a->hub = hub_new(options->stream_clients, os_epoch_ms());
    a->pinned = pinned_new();
    a->replays = replays_new();
    a->page_csp = page_csp();
    a->entropy_used = sizeof(a->entropy);
    pthread_mutex_init(&a->readers_lock, NULL);
    strbuf_init(&a->openapi, OPENAPI_MAX_BYTES);
    api_add_openapi(&a->openapi);
    *ret = a;
    return 0;
}

void api_free(struct api *a)
{
    if (a == NULL) {
        return;
    }
    readers_stop(a);
    hub_free(a->hub);
    pinned_free(a->pinned);
    replays_free(a->replays);
    auth_free(a->auth);
    host_list_free(a->hosts);
    strbuf_deinit(&a->openapi);
    mem_free(a->page_csp);
    pthread_mutex_destroy(&a->readers_lock);
    mem_free(a);
}

int api_set_service(struct api *a, struct service *service)
{
    a->service = service;
    if (service == NULL) {
        readers_stop(a);
        return 0;
    }
    return readers_start(a);
}

void api_set_integrations(struct api *a, struct integrations *i)
{
    a->integrations = i;
}

void api_set_http(struct api *a, const struct http_server *server)
{
    atomic_store(&a->http, server);
}
