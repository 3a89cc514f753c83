#include "net/http.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "net/http_priv.h"

/* Room for the longest head, what MHD makes of it, and our answer's head. MHD
 * clears the whole of it between requests, so more than needed costs time. */
#define POOL_BYTES (HTTP_HEAD_MAX_BYTES + 8UL * 1024)

/* Only suites with forward secrecy and authenticated encryption. */
#define TLS_PRIORITIES                                                         \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-CIPHER-ALL:"             \
    "+AES-256-GCM:+AES-128-GCM:+CHACHA20-POLY1305"

void http_phase_set(struct http_conn *c, enum http_phase phase)
{
    c->since_ms = c->server->now_ms;
    c->phase = phase;
}

static struct http_conn *conn_new(struct http_server *s,
                                  struct MHD_Connection *mhd)
{
    struct http_conn *c = MEM_NEW(struct http_conn);
    c->server = s;
    c->mhd = mhd;
    c->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)
                ->connect_fd;
    c->peer = *s->newcomer;
    memcpy(c->request.address, c->peer.address, sizeof(c->request.address));
    c->request.loopback = c->peer.loopback;
    c->request.tls = s->options.tls_certificate != NULL;
    strbuf_init(&c->target, HTTP_TARGET_MAX_BYTES);
    strbuf_init(&c->body, 0);
    strbuf_init(&c->request.out, HTTP_ANSWER_MAX_BYTES);
    arena_init(&c->request.arena);
    list_init(&c->link);
    list_init(&c->ready);
    http_phase_set(c, PHASE_FRESH);
    return c;
}

static void conn_free(struct http_conn *c)
{
    if (c->prepared != NULL) {
        MHD_destroy_response(c->prepared);
    }
    strbuf_deinit(&c->target);
    strbuf_deinit(&c->body);
    strbuf_deinit(&c->request.out);
    arena_deinit(&c->request.arena);
    mem_free(c);
}

static void on_opened(struct http_server *s, struct MHD_Connection *mhd,
                      void **context)
{
    struct http_conn *c = conn_new(s, mhd);
    *context = c;
    list_push(&s->conns, &c->link);
    (void)atomic_fetch_add(&s->open_count, 1);
}

static void on_closed(struct http_server *s, void **context)
{
    struct http_conn *c = *context;
    *context = NULL;
    list_remove(&c->link);
    (void)atomic_fetch_sub(&s->open_count, 1);
    conn_free(c);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        on_opened(cls, mhd, context);
    } else {
        on_closed(cls, context);
    }
}

/* Paths and queries reach the handler as they were sent: nothing is decoded
 * before it was checked. */
static size_t no_unescape(void *cls, struct MHD_Connection *mhd, char *s)
{
    (void)cls;
    (void)mhd;
    return strlen(s);
}

static struct MHD_Daemon *start_mhd(struct http_server *s)
{
    const struct http_options *o = &s->options;
    bool tls = s->certificate != NULL;
    struct MHD_OptionItem tls_items[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, s->certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, s->key},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME |
                     MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG;
    /* Those that were told to end are MHD's until its next turn. */
    unsigned most = o->limits.connections + 2 * HTTP_ACCEPT_BATCH;
    return MHD_start_daemon(
        tls ? flags | MHD_USE_TLS : flags, 0, NULL, NULL, http_on_access, s,
        MHD_OPTION_EXTERNAL_LOGGER, http_on_log, s,             /* first */
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,         /* */
        MHD_OPTION_URI_LOG_CALLBACK, http_on_uri, s,            /* */
        MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, s,      /* */
        MHD_OPTION_UNESCAPE_CALLBACK, no_unescape, NULL,        /* */
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, /* */
        MHD_OPTION_CONNECTION_LIMIT, most,                      /* */
        MHD_OPTION_CONNECTION_TIMEOUT, o->limits.idle_s,        /* */
        MHD_OPTION_STRICT_FOR_CLIENT, 0, /* framing.c is stricter */
        MHD_OPTION_ARRAY, tls ? tls_items : none, MHD_OPTION_END);
}

static void server_free(struct http_server *s)
{
    if (s->listen_fd >= 0) {
        close(s->listen_fd);
    }
    if (s->wake_fd >= 0) {
        close(s->wake_fd);
    }
    mem_free(s->certificate);
    mem_free(s->key);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

static struct http_server *server_new(const struct http_options *options)
{
    struct http_server *s = MEM_NEW(struct http_server);
    s->options = *options;
    s->listen_fd = -1;
    s->wake_fd = -1;
    list_init(&s->conns);
    list_init(&s->ready);
    /* Held for moments by two busy threads: waiting awake is cheaper. */
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(&s->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    return s;
}

static int prepare(struct http_server *s, struct err *reterr)
{
    const struct http_options *o = &s->options;
    if ((o->tls_certificate == NULL) != (o->tls_key == NULL)) {
        err_hint(reterr, "give both server.tls.certificate and .key");
        return err_set(reterr, -EINVAL, "TLS needs a certificate and its key");
    }
    if (o->tls_certificate != NULL) {
        int r = http_read_pem(o->tls_certificate, &s->certificate, reterr);
        if (r == 0) {
            r = http_read_pem(o->tls_key, &s->key, reterr);
        }
        if (r < 0) {
            return r;
        }
    }
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake_fd < 0) {
        return err_set(reterr, -errno, "no eventfd: %s", strerror(errno));
    }
    struct http_listener listener;
    int r = http_listen(o, &listener, reterr);
    if (r == 0) {
        s->listen_fd = listener.fd;
        s->port = listener.port;
    }
    return r;
}

int http_start(const struct http_options *options, struct http_server **ret,
               struct err *reterr)
{
    struct http_server *s = server_new(options);
    int r = prepare(s, reterr);
    if (r < 0) {
        server_free(s);
        return r;
    }
    s->daemon = start_mhd(s);
    if (s->daemon == NULL) {
        r = err_set(reterr, -EINVAL, "the HTTP server does not start on %s%s",
                    options->listen,
                    s->certificate != NULL
                        ? ": is the TLS key the certificate's?"
                        : "");
        server_free(s);
        return r;
    }
    ASSERT(pthread_create(&s->thread, NULL, http_loop, s) == 0);
    *ret = s;
    return 0;
}

void http_stop(struct http_server *s)
{
    if (s == NULL) {
        return;
    }
    http_loop_stop(s);
    ASSERT(pthread_join(s->thread, NULL) == 0);
    MHD_stop_daemon(s->daemon);
    server_free(s);
}

uint16_t http_port(const struct http_server *s)
{
    return s->port;
}

int http_listen_fd(const struct http_server *s)
{
    return s->listen_fd;
}

unsigned http_connections(const struct http_server *s)
{
    return atomic_load(&s->open_count);
}

size_t http_answer_bytes(const struct http_server *s)
{
    return atomic_load(&s->answer_bytes);
}
