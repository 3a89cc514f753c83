#include <string.h>

#include "base/assert.h"
#include "net/http_priv.h"

#define STREAM_BLOCK_BYTES 4096

static const struct http_field always[] = {
    {"Cache-Control", "no-store"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
};

/* Whoever answers: hands the connection back to the server's thread. */
static void hand_back(struct http_conn *c)
{
    if (atomic_exchange(&c->turn, TURN_READY) == TURN_PARKED) {
        http_ready(c);
    }
}

void http_respond(struct http_request *r, const struct http_answer *answer)
{
    struct http_conn *c = CONTAINER_OF(r, struct http_conn, request);
    c->answer = *answer;
    if (r->out.cap > HTTP_KEEP_BYTES) {
        c->held_bytes = r->out.cap;
        (void)atomic_fetch_add(&c->server->answer_bytes, c->held_bytes);
    }
    if (c->stage == STAGE_ANSWER) {
        hand_back(c);
    } else {
        ASSERT(!c->answered);
        c->answered = true;
    }
}

void http_fail(struct http_request *r, unsigned status, const char *code,
               const char *sentence)
{
    strbuf_reset(&r->out);
    strbuf_addc(&r->out, "{\"error\":");
    strbuf_add_json_quoted(&r->out, str_c(sentence));
    strbuf_addf(&r->out, ",\"code\":\"%s\",\"detail\":{}}\n", code);
    struct http_answer a = {
        .status = status, .type = HTTP_JSON, .body = strbuf_str(&r->out)};
    http_respond(r, &a);
}

void http_respond_stream(struct http_request *r, const char *type,
                         http_pull_fn *pull, void *context)
{
    struct http_conn *c = CONTAINER_OF(r, struct http_conn, request);
    c->pull = pull;
    c->pull_context = context;
    /* The connection ends with the stream, so that a late http_wake can never
     * meet a later request on it. */
    struct http_answer a = {.status = 200, .type = type, .close = true};
    http_respond(r, &a);
}

void http_wake(struct http_request *r)
{
    hand_back(CONTAINER_OF(r, struct http_conn, request));
}

/* MHD has room. Nothing to send: sleep until http_wake, which may come in
 * between and then finds READY where PARKED was about to be. */
static ssize_t on_pull(void *cls, uint64_t at, char *buf, size_t max)
{
    (void)at;
    struct http_conn *c = cls;
    atomic_store(&c->turn, TURN_OURS);
    if (c->server->ending || c->gone) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    ssize_t n = c->pull(c->pull_context, buf, max);
    if (n != 0) {
        return n > 0 ? n : MHD_CONTENT_READER_END_OF_STREAM;
    }
    int ours = TURN_OURS;
    MHD_suspend_connection(c->mhd);
    if (!atomic_compare_exchange_strong(&c->turn, &ours, TURN_PARKED)) {
        http_ready(c);
    }
    return 0;
}

static void add_fields(struct MHD_Response *m, const struct http_answer *a)
{
    if (a->type != NULL) {
        (void)MHD_add_response_header(m, "Content-Type", a->type);
    }
    for (size_t i = 0; i < ARRAY_LEN(always); i++) {
        (void)MHD_add_response_header(m, always[i].name, always[i].value);
    }
    for (size_t i = 0; i < HTTP_EXTRA_MAX && a->extra[i].name != NULL; i++) {
        (void)MHD_add_response_header(m, a->extra[i].name, a->extra[i].value);
    }
    if (a->close) {
        (void)MHD_add_response_header(m, "Connection", "close");
    }
}

/* MHD does not change a PERSISTENT buffer. */
static struct MHD_Response *make(const struct http_answer *a)
{
    struct MHD_Response *m = MHD_create_response_from_buffer(
        a->body.len, (void *)(uintptr_t)a->body.at, MHD_RESPMEM_PERSISTENT);
    ASSERT(m != NULL);
    add_fields(m, a);
    return m;
}

static bool is_prepared(const struct http_conn *c)
{
    const struct http_answer *a = &c->answer;
    return c->prepared != NULL && c->prepared_status == a->status &&
           c->prepared_type == a->type && c->prepared_body.at == a->body.at &&
           c->prepared_body.len == a->body.len;
}

static struct MHD_Response *prepared(struct http_conn *c)
{
    if (!is_prepared(c)) {
        if (c->prepared != NULL) {
            MHD_destroy_response(c->prepared);
        }
        c->prepared = make(&c->answer);
        c->prepared_status = c->answer.status;
        c->prepared_type = c->answer.type;
        c->prepared_body = c->answer.body;
    }
    return c->prepared;
}

enum MHD_Result http_queue(struct http_conn *c)
{
    struct http_answer *a = &c->answer;
    /* Where a chunked body ends is for MHD alone to say: what follows it is
     * never taken for a request. */
    a->close = a->close || c->server->ending ||
               c->request.headers[HTTP_TRANSFER_ENCODING].at != NULL ||
               c->requests >= HTTP_REQUESTS_MAX;
    c->stage = STAGE_SENT;
    http_phase_set(c, c->pull != NULL ? PHASE_STREAM : PHASE_SEND);
    if (c->pull == NULL && a->extra[0].name == NULL && !a->close) {
        return MHD_queue_response(c->mhd, a->status, prepared(c));
    }
    struct MHD_Response *m =
        c->pull != NULL ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN,
                                                            STREAM_BLOCK_BYTES,
                                                            on_pull, c, NULL)
                        : make(a);
    ASSERT(m != NULL);
    if (c->pull != NULL) {
        add_fields(m, a);
    }
    enum MHD_Result ok = MHD_queue_response(c->mhd, a->status, m);
    MHD_destroy_response(m);
    return ok;
}
