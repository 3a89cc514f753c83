#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "net/http_priv.h"

static struct http_conn *conn_of(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
        ->socket_context;
}

int http_peer_uid(struct http_request *r, uid_t *ret)
{
    struct http_conn *c = CONTAINER_OF(r, struct http_conn, request);
    if (c->peer.uid_result == 0) {
        *ret = c->peer.uid;
    }
    return c->peer.uid_result;
}

void http_trust(struct http_request *r)
{
    CONTAINER_OF(r, struct http_conn, request)->trusted = true;
}

/* The request line is in. The target is copied because MHD cuts it up. */
void *http_on_uri(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    (void)cls;
    struct http_conn *c = conn_of(mhd);
    c->stage = STAGE_HEAD;
    c->target_at = uri;
    strbuf_reset(&c->target);
    strbuf_addc(&c->target, uri);
    http_phase_set(c, PHASE_HEAD);
    return c;
}

static const struct {
    struct str name;
    enum http_header id;
} header_names[] = {
    {{"host", 4}, HTTP_HOST},
    {{"origin", 6}, HTTP_ORIGIN},
    {{"sec-fetch-site", 14}, HTTP_SEC_FETCH_SITE},
    {{"authorization", 13}, HTTP_AUTHORIZATION},
    {{"accept", 6}, HTTP_ACCEPT},
    {{"content-type", 12}, HTTP_CONTENT_TYPE},
    {{"content-encoding", 16}, HTTP_CONTENT_ENCODING},
    {{"content-length", 14}, HTTP_CONTENT_LENGTH},
    {{"transfer-encoding", 17}, HTTP_TRANSFER_ENCODING},
    {{"expect", 6}, HTTP_EXPECT},
    {{"idempotency-key", 15}, HTTP_IDEMPOTENCY_KEY},
    {{"last-event-id", 13}, HTTP_LAST_EVENT_ID},
    {{"user-agent", 10}, HTTP_USER_AGENT},
    {{"forwarded", 9}, HTTP_FORWARDED},
    {{"via", 3}, HTTP_FORWARDED},
    {{"x-real-ip", 9}, HTTP_FORWARDED},
    {{"x-forwarded-for", 15}, HTTP_FORWARDED},
    {{"x-forwarded-host", 16}, HTTP_FORWARDED},
    {{"x-forwarded-proto", 17}, HTTP_FORWARDED},
};

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind,
                                 const char *key, size_t key_len,
                                 const char *value, size_t value_len)
{
    (void)kind;
    struct http_conn *c = cls;
    c->header_count++;
    for (size_t i = 0; i < ARRAY_LEN(header_names); i++) {
        if (header_names[i].name.len != key_len ||
            strncasecmp(header_names[i].name.at, key, key_len) != 0) {
            continue;
        }
        enum http_header id = header_names[i].id;
        struct str *slot = &c->request.headers[id];
        if (slot->at != NULL && id != HTTP_FORWARDED && id != HTTP_ACCEPT &&
            id != HTTP_USER_AGENT) {
            c->repeated |= 1U << id;
        }
        *slot = str_trim(str_n(value != NULL ? value : "", value_len));
        break;
    }
    return MHD_YES;
}

static const char *const method_names[HTTP_METHODS] = {
    [HTTP_GET] = "GET", [HTTP_HEAD] = "HEAD",     [HTTP_POST] = "POST",
    [HTTP_PUT] = "PUT", [HTTP_DELETE] = "DELETE", [HTTP_OTHER] = "",
};

const char *http_method_name(enum http_method m)
{
    return method_names[m];
}

static enum http_method method_of(const char *name)
{
    for (int m = 0; m < HTTP_OTHER; m++) {
        if (strcmp(name, method_names[m]) == 0) {
            return (enum http_method)m;
        }
    }
    return HTTP_OTHER;
}

static void read_head(struct http_conn *c, const char *method)
{
    struct http_request *r = &c->request;
    r->method = method_of(method);
    r->target = strbuf_str(&c->target);
    memset(r->headers, 0, sizeof(r->headers));
    r->body = STR_NULL;
    r->body_limit_bytes = 0;
    r->user = NULL;
    c->header_count = 0;
    c->repeated = 0;
    c->answered = false;
    c->overlong = false;
    c->malformed = false;
    c->dropped_bytes = 0;
    c->body_bytes = 0;
    c->data_end = NULL;
    c->sent_at_ms = 0;
    c->requests++;
    c->pull = NULL;
    (void)MHD_get_connection_values_n(c->mhd, MHD_HEADER_KIND, on_header, c);
}

/* The handler has had its say about the head. */
static void check_body(struct http_conn *c)
{
    struct http_request *r = &c->request;
    size_t length = http_has_body(r) ? http_body_length(r) : 0;
    if (c->answered || length == 0) {
        return;
    }
    if (r->body_limit_bytes == 0) {
        http_fail(r, 400, "bad_request", "this request takes no body");
    } else if (length != SIZE_MAX && length > r->body_limit_bytes) {
        http_fail(r, 413, "too_large",
                  "the body is larger than this request "
                  "may have");
    }
}

/* Whether a refused body is worth reading away to keep the connection. MHD
 * can answer ahead of a body only for POST and PUT. */
static bool must_drop(const struct http_conn *c)
{
    const struct http_request *r = &c->request;
    if (!http_has_body(r)) {
        return false;
    }
    if (r->method != HTTP_POST && r->method != HTTP_PUT) {
        return true;
    }
    return r->headers[HTTP_EXPECT].at == NULL &&
           http_body_length(r) <= HTTP_DROP_MAX_BYTES;
}

static enum MHD_Result on_head(struct http_conn *c, const char *method,
                               const char *version)
{
    struct http_server *s = c->server;
    struct http_request *r = &c->request;
    read_head(c, method);
    c->begun = false;
    http_phase_set(c, PHASE_BODY);
    if (http_framing_ok(c, method, version)) {
        c->begun = true;
        s->options.handler.begin(s->options.handler.context, r);
        check_body(c);
    }
    if (c->answered) {
        c->stage = STAGE_DROP;
        return must_drop(c) ? MHD_YES : http_queue(c);
    }
    c->stage = STAGE_BODY;
    c->body.limit_bytes = r->body_limit_bytes;
    strbuf_reset(&c->body);
    return MHD_YES;
}

static enum MHD_Result on_data(struct http_conn *c, struct str data)
{
    c->body_bytes += data.len;
    c->malformed = c->malformed || !http_chunk_line_ok(c, data);
    if (c->stage == STAGE_BODY && !c->overlong && !c->malformed) {
        strbuf_add(&c->body, data);
        c->overlong = strbuf_error(&c->body) < 0;
        return MHD_YES;
    }
    /* There is no answering in the middle of a body. */
    c->dropped_bytes += data.len;
    return c->dropped_bytes <= HTTP_DROP_MAX_BYTES ? MHD_YES : MHD_NO;
}

static enum MHD_Result refuse_body(struct http_conn *c)
{
    if (c->malformed) {
        http_fail(&c->request, 400, "bad_request",
                  "a chunk line of the body does not end in CR LF");
    } else {
        http_fail(&c->request, 413, "too_large",
                  "the body is larger than this request may have");
    }
    return http_queue(c);
}

static void unkeep(struct http_conn *c)
{
    c->server->kept -= c->kept;
    c->kept = false;
}

/* Gives the request to the handler and, unless it was answered at once, puts
 * the connection to sleep. */
static enum MHD_Result on_complete(struct http_conn *c)
{
    struct http_server *s = c->server;
    c->stage = STAGE_ANSWER;
    c->request.body = strbuf_str(&c->body);
    http_phase_set(c, PHASE_ANSWER);
    atomic_store(&c->turn, TURN_OURS);
    c->kept = true;
    s->kept++;
    s->options.handler.handle(s->options.handler.context, &c->request);
    if (atomic_load(&c->turn) == TURN_OURS) {
        int ours = TURN_OURS;
        MHD_suspend_connection(c->mhd);
        if (atomic_compare_exchange_strong(&c->turn, &ours, TURN_PARKED)) {
            return MHD_YES;
        }
        http_ready(c);
        return MHD_YES;
    }
    unkeep(c);
    return http_queue(c);
}

/* NOLINTNEXTLINE(readability-function-size): the signature is MHD's */
enum MHD_Result http_on_access(void *cls, struct MHD_Connection *mhd,
                               const char *url, const char *method,
                               const char *version, const char *upload,
                               size_t *upload_len, void **request)
{
    (void)cls;
    (void)mhd;
    (void)url;
    struct http_conn *c = *request;
    if (c->stage == STAGE_HEAD) {
        return on_head(c, method, version);
    }
    if (*upload_len != 0) {
        struct str data = str_n(upload, *upload_len);
        *upload_len = 0;
        return on_data(c, data);
    }
    switch (c->stage) {
    case STAGE_DROP:
        return http_queue(c);
    case STAGE_BODY:
        return c->overlong || c->malformed ? refuse_body(c) : on_complete(c);
    case STAGE_ANSWER:
        if (atomic_load(&c->turn) == TURN_PARKED) {
            return MHD_YES;
        }
        unkeep(c);
        return http_queue(c);
    case STAGE_HEAD:
    case STAGE_SENT:
        break;
    }
    return MHD_YES;
}

static void buffers_reset(struct http_conn *c)
{
    struct http_request *r = &c->request;
    (void)atomic_fetch_sub(&c->server->answer_bytes, c->held_bytes);
    c->held_bytes = 0;
    if (c->body.cap > HTTP_KEEP_BYTES) {
        strbuf_deinit(&c->body);
    }
    if (r->out.cap > HTTP_KEEP_BYTES) {
        strbuf_deinit(&r->out);
    }
    strbuf_reset(&r->out);
    if (r->arena.total_bytes > HTTP_KEEP_BYTES) {
        arena_deinit(&r->arena);
    } else {
        arena_reset(&r->arena);
    }
}

void http_on_completed(void *cls, struct MHD_Connection *mhd, void **request,
                       enum MHD_RequestTerminationCode why)
{
    (void)cls;
    (void)why;
    (void)mhd;
    struct http_conn *c = *request;
    if (c == NULL) {
        return;
    }
    if (c->begun) {
        struct http_handler *h = &c->server->options.handler;
        c->begun = false;
        h->end(h->context, &c->request);
    }
    unkeep(c);
    buffers_reset(c);
    c->stage = STAGE_HEAD;
    c->gone = false;
    http_phase_set(c, PHASE_IDLE);
}
