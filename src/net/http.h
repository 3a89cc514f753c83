/*
 * The HTTP/1.1 server: connections, framing, limits and time limits, TLS.
 * What a request means is the handler's business (api); how it travels is
 * decided here, once, for every route.
 *
 * One thread of its own calls the handler. A handler answers at once, or
 * keeps the request and answers later from any thread: the connection waits
 * without costing anything. A streaming answer is pulled from the handler
 * whenever the client has room.
 *
 * A request, its strings and its arena live until handler->end has returned
 * for it; end is called once for every request for which begin was called.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/strbuf.h"

#define HTTP_TARGET_MAX_BYTES 8192
#define HTTP_HEAD_MAX_BYTES (32UL * 1024) /* request line and all headers */
#define HTTP_HEADER_MAX_BYTES 8192        /* one line of it */
#define HTTP_HEADERS_MAX 100
#define HTTP_REQUESTS_MAX 1000 /* of one connection: the last is told */
#define HTTP_ANSWER_MAX_BYTES (64UL * 1024 * 1024)

/* Up to this much of a refused body is read and dropped, so that the client
 * sees the answer and the connection stays good. */
#define HTTP_DROP_MAX_BYTES (64UL * 1024)

/* A body or an answer that moves more slowly than this, over all of its time
 * but HTTP_SLOW_GRACE_MS, ends its connection. */
#define HTTP_MIN_BYTES_PER_S 500
#define HTTP_SLOW_GRACE_MS 5000

/* A source that has all its connections gets a new one for its own oldest,
 * when that has been idle for so long. */
#define HTTP_TURN_MS 1000

/* How long http_stop goes on answering on connections that are open. */
#define HTTP_STOP_GRACE_MS 1000
#define HTTP_STOP_MOMENT_MS 200 /* with accepts_to_the_end: if none is open */

struct http_limits {
    unsigned connections;
    unsigned per_source; /* of one address, IPv6 /64 or local user; local
                            administrators have no such bound */
    unsigned reserved;   /* of the connections: for local administrators */
    unsigned head_s;     /* from accept, or from the request line, to the end
                            of the headers */
    unsigned body_s;     /* from there to the end of the body */
    unsigned send_s;     /* for sending an answer that is no stream */
    unsigned idle_s;     /* between two requests, and between two packets */
};

#define HTTP_LIMITS_DEFAULT                                                    \
    ((struct http_limits){.connections = 512,                                  \
                          .per_source = 64,                                    \
                          .reserved = 8,                                       \
                          .head_s = 10,                                        \
                          .body_s = 30,                                        \
                          .send_s = 120,                                       \
                          .idle_s = 30})

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_OTHER, /* known to nobody here: 405 */
    HTTP_METHODS
};

/* "GET"...; "" for HTTP_OTHER. */
const char *http_method_name(enum http_method m);

/* The headers that mean something to this program. One that may stand only
 * once and stands twice is refused before the handler sees the request. */
enum http_header {
    HTTP_HOST,
    HTTP_ORIGIN,
    HTTP_SEC_FETCH_SITE,
    HTTP_AUTHORIZATION,
    HTTP_ACCEPT,
    HTTP_CONTENT_TYPE,
    HTTP_CONTENT_ENCODING,
    HTTP_CONTENT_LENGTH,
    HTTP_TRANSFER_ENCODING,
    HTTP_EXPECT,
    HTTP_IDEMPOTENCY_KEY,
    HTTP_LAST_EVENT_ID,
    HTTP_USER_AGENT,
    HTTP_FORWARDED, /* any trace of a proxy: Forwarded, Via, X-Forwarded-* */
    HTTP_HEADERS
};

struct http_request {
    enum http_method method;
    struct str target; /* as sent: path and query; starts with '/' */
    struct str headers[HTTP_HEADERS]; /* .at == NULL: absent */
    struct str body;                  /* complete when handle is called */
    bool tls;
    bool loopback;       /* the peer is on this machine */
    uint8_t address[16]; /* of the peer; IPv4 in its mapped form */

    /* The handler's: set in begin. A body over the limit is refused with 413
     * before room for it is made; 0 refuses every body. */
    size_t body_limit_bytes;
    void *user; /* NULL at first */

    /* For the answer: both are emptied after end, their memory is reused. */
    struct arena arena;
    struct strbuf out;
};

/* The user id of a loopback peer's socket, looked up when it connected. 0,
 * or negative errno (not loopback, or the kernel does not know it any more).
 * On the server's thread only (in begin and handle, before they return). */
NODISCARD int http_peer_uid(struct http_request *r, uid_t *ret);

/* The request has proved who sends it: its connection no longer gives way to
 * strangers' when all places are taken. On the server's thread only. */
void http_trust(struct http_request *r);

/* ---- answers ------------------------------------------------------------- */

struct http_field {
    const char *name; /* NULL: none */
    const char *value;
};

#define HTTP_EXTRA_MAX 2

#define HTTP_JSON "application/json"
#define HTTP_TEXT "text/plain; charset=utf-8"
#define HTTP_HTML "text/html; charset=utf-8"
#define HTTP_EVENTS "text/event-stream"

struct http_answer {
    unsigned status;
    const char *type; /* a literal: compared by address; NULL: no body */
    struct str body;  /* borrowed until end: r->out, r->arena or static */
    struct http_field extra[HTTP_EXTRA_MAX]; /* borrowed until end */
    bool close;                              /* end the connection behind it */
};

/* Answers; exactly once per request (or http_respond_stream). In begin it
 * refuses the request before its body is read, and handle is not called. Any
 * thread after handle was called. nosniff, no-store and no-referrer are added
 * to every answer. */
void http_respond(struct http_request *r, const struct http_answer *answer);

/* Answers {"error": ..., "code": ..., "detail": {}}. */
void http_fail(struct http_request *r, unsigned status, const char *code,
               const char *sentence);

/* Gives up to max bytes of a stream: > 0 that many, 0 nothing for now (call
 * http_wake when there is), < 0 the end. On the server's thread. */
typedef ssize_t http_pull_fn(void *context, char *buf, size_t max);

/* Answers with a stream that pull feeds; it ends when pull says so, when the
 * client is gone, or when the server stops. From handle only. */
void http_respond_stream(struct http_request *r, const char *type,
                         http_pull_fn *pull, void *context);

/* Has pull called again. Any thread, until end has been entered for r: the
 * handler orders the two by a lock of its own. */
void http_wake(struct http_request *r);

/* ---- server -------------------------------------------------------------- */

struct http_handler {
    void *context;
    /* The headers are in and their framing is sound: set body_limit_bytes, or
     * answer already. */
    void (*begin)(void *context, struct http_request *r);
    /* The body is in: answer, now or later. */
    void (*handle)(void *context, struct http_request *r);
    /* The answer is sent or the client is gone; let go of r. */
    void (*end)(void *context, struct http_request *r);
    /* May this local user have one of the reserved connections? NULL: yes */
    bool (*admits)(void *context, uid_t uid);
};

struct http_options {
    const char *listen; /* "127.0.0.1:9000", "[::1]:9000"; port 0: any */
    const char *tls_certificate; /* PEM files, both or none */
    const char *tls_key;
    bool has_tokens; /* remote callers can prove who they are */
    bool insecure;   /* listen beyond loopback without tokens or TLS */
    struct http_limits limits;
    struct http_handler handler;
    /* A listening socket that was kept over a restart; 0: none. The server's
     * from here on, closed when it listens on another address. Clients that
     * connected to it in between are served. */
    int kept_fd;
    /* Nobody keeps the listening socket after us: who connects in the grace of
     * http_stop is answered, too, for nobody else will. */
    bool accepts_to_the_end;
};

struct http_server;

/* Can these two files serve as the certificate and its key? -EINVAL when they
 * cannot, -ENOENT or -EACCES when one cannot be read; the field says which. */
NODISCARD int http_check_tls(const char *certificate, const char *key,
                             struct err *reterr);

struct http_listener {
    int fd;
    uint16_t port;
    bool was_kept; /* it is the kept_fd that was offered */
};

/* Takes the address for a server that is started later, with the socket as its
 * kept_fd: who connects in between waits. Needs all options but limits and
 * handler. Fails as http_start does; the message of -EADDRINUSE says who has
 * the address. */
NODISCARD int http_bind(const struct http_options *options,
                        struct http_listener *ret, struct err *reterr);

/* Binds, listens, starts the threads. -EINVAL: the address, the key pair, or
 * an address beyond loopback without tokens and TLS; -EADDRINUSE... with a
 * message. */
NODISCARD int http_start(const struct http_options *options,
                         struct http_server **ret, struct err *reterr);

/* Takes no new connections (but see accepts_to_the_end), ends streams, waits
 * until every request that the handler keeps has been answered. Open
 * connections may ask once more, for HTTP_STOP_GRACE_MS: the answer tells them
 * to close, so that nobody's request meets a connection that ends in that
 * moment. Then closes everything. NULL is fine. */
void http_stop(struct http_server *s);

/* The socket it listens on: for keeping it over a restart. */
int http_listen_fd(const struct http_server *s);

/* The port it listens on. */
uint16_t http_port(const struct http_server *s);

/* What large answers take that were given and not sent yet. Any thread. */
size_t http_answer_bytes(const struct http_server *s);

/* Turns of the server's thread, with or without requests: at least one in two
 * seconds while it is well. Any thread. */
uint64_t http_turns(const struct http_server *s);

/* Connections that are open now. Any thread. */
unsigned http_connections(const struct http_server *s);
