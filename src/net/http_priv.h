/*
 * Inside of net: the connection record and its life. A connection handles one
 * request at a time; its record, buffers and prepared answer are reused for
 * the next one.
 *
 * Threads: the record belongs to the server's thread, except `turn`, `phase`
 * and `since_ms` (atomic) and the list link (server->lock). A connection
 * leaves the list before its descriptor is closed, so whoever holds the lock
 * may use the descriptors of what is in the list.
 */
#pragma once

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "net/http.h"

/* What a connection is waiting for, each with its own time limit. */
enum http_phase {
    PHASE_FRESH,  /* accepted, no request yet */
    PHASE_IDLE,   /* between requests */
    PHASE_HEAD,   /* the request line is in */
    PHASE_BODY,   /* the headers are in */
    PHASE_ANSWER, /* the handler has it: its own business */
    PHASE_SEND,   /* an answer is on its way */
    PHASE_STREAM, /* a streaming answer: lasts as long as it lasts */
    HTTP_PHASES
};

/* Where the request is between the server's thread and whoever answers it.
 * The server parks the connection in MHD *before* it says PARKED, so that
 * whoever sees PARKED may resume it. */
enum http_turn {
    TURN_OURS,   /* on the server's thread */
    TURN_PARKED, /* suspended in MHD: resume to go on */
    TURN_READY   /* there is something to do: do not park */
};

/* What MHD's next call of the access handler means. */
enum http_stage {
    STAGE_HEAD,
    STAGE_BODY,   /* data, or its end */
    STAGE_DROP,   /* answered in begin: read the body away */
    STAGE_ANSWER, /* the handler has been called */
    STAGE_SENT    /* the answer is queued */
};

struct http_conn {
    struct list link; /* server->conns */
    struct http_server *server;
    struct MHD_Connection *mhd;
    int fd;
    bool uid_known;
    int uid_result;
    uid_t uid;
    _Atomic(int) phase;
    _Atomic(uint64_t) since_ms; /* of the phase; monotonic */
    _Atomic(int) turn;
    atomic_bool gone; /* the peer hung up while we stream */

    enum http_stage stage;
    bool begun;    /* begin was called: end is owed */
    bool answered; /* in begin, before the body was read */
    bool kept;     /* counted in server->kept */
    bool overlong; /* more body than the limit came */
    size_t dropped_bytes;
    struct strbuf target;
    struct strbuf body;
    unsigned header_count;
    uint32_t repeated; /* bit per enum http_header */
    struct http_answer answer;
    http_pull_fn *pull;
    void *pull_context;

    /* The last answer, prepared: most answers of a busy connection have the
     * same status, type and length, and their text in the same buffer. */
    struct MHD_Response *prepared;
    unsigned prepared_status;
    const char *prepared_type;
    struct str prepared_body;

    struct http_request request;
};

struct http_server {
    struct http_options options;
    struct MHD_Daemon *daemon;
    int listen_fd; /* MHD's once it runs */
    uint16_t port;
    char *certificate; /* PEM texts, ours until MHD has stopped */
    char *key;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* `kept` fell to 0, or stopping */
    struct list conns;
    unsigned conn_count;
    atomic_uint open_count;
    atomic_uint kept; /* requests that the handler has and not answered */
    atomic_bool stopping;
    pthread_t sweeper;
};

/* server.c */
uint64_t http_now_ms(void); /* monotonic, coarse */
void http_phase_set(struct http_conn *c, enum http_phase phase);

/* request.c: MHD's calls */
void *http_on_uri(void *cls, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result http_on_access(void *cls, struct MHD_Connection *mhd,
                               const char *url, const char *method,
                               const char *version, const char *upload,
                               size_t *upload_len, void **request);
void http_on_completed(void *cls, struct MHD_Connection *mhd, void **request,
                       enum MHD_RequestTerminationCode why);

/* framing.c: true if the head may be handed on; otherwise it is answered. */
bool http_framing_ok(struct http_conn *c, const char *method,
                     const char *version);
/* Does the head announce a body? */
bool http_has_body(const struct http_request *r);
/* Content-Length, or SIZE_MAX when the body is chunked. */
size_t http_body_length(const struct http_request *r);

/* respond.c: hands the answer to MHD */
enum MHD_Result http_queue(struct http_conn *c);

/* listen.c */
NODISCARD int http_listen(const struct http_options *o, int *ret_fd,
                          uint16_t *ret_port, struct err *reterr);
NODISCARD int http_read_pem(const char *path, char **ret, struct err *reterr);
bool http_is_loopback(const uint8_t address[16]);

/* sweep.c: the thread that enforces the time limits; returns when stopping */
void *http_sweep(void *server);
