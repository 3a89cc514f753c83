/*
 * Inside of net: the connection record and its life. A connection handles one
 * request at a time; its record, buffers and prepared answer are reused for
 * the next one.
 *
 * Threads: everything belongs to the server's thread (loop.c), except `turn`
 * (atomic), `request` and `answer` while the handler has them, and what the
 * lock guards: who answers meets the server's thread there and nowhere else.
 */
#pragma once

#include <microhttpd.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>

#include "base/list.h"
#include "net/http.h"

/* Buffers larger than this are given back between requests. */
#define HTTP_KEEP_BYTES (64UL * 1024)

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

/* Who counts as one: a local user, an address, the /64 of an IPv6 address. */
struct http_source {
    enum { SOURCE_ADDRESS, SOURCE_USER, SOURCE_NOBODY } kind;
    uint8_t at[16];
};

/* What is known of a peer when it connects. */
struct http_peer {
    uint8_t address[16];
    bool loopback;
    int uid_result; /* of os_peer_uid */
    uid_t uid;
    bool admin; /* a local user who may have the reserved places */
    struct http_source source;
};

struct http_conn {
    struct list link;  /* server->conns */
    struct list ready; /* server->ready, under its lock */
    struct http_server *server;
    struct MHD_Connection *mhd;
    int fd;
    struct http_peer peer;
    bool trusted; /* a request on it proved who its peer is */
    bool closing; /* told to end: its place is free already */
    enum http_phase phase;
    uint64_t since_ms; /* of the phase; monotonic */
    _Atomic(int) turn;
    bool gone; /* the peer hung up while we stream */

    enum http_stage stage;
    bool begun;     /* begin was called: end is owed */
    bool answered;  /* in begin, before the body was read */
    bool kept;      /* counted in server->kept */
    bool overlong;  /* more body than the limit came */
    bool malformed; /* a chunk line of the body is */
    unsigned requests;
    size_t dropped_bytes;
    size_t body_bytes;     /* that have come */
    uint64_t sent_at_ms;   /* the answer's rate is counted from here; 0: not */
    uint64_t sent_bytes;   /* of the connection, then */
    const char *target_at; /* in MHD's buffer, as is what follows */
    const char *head_end;  /* where the body starts */
    const char *data_end;  /* of the piece of body that came last */
    uint64_t data_turn;    /* of the loop, in which it came */
    struct strbuf target;
    struct strbuf body;
    unsigned header_count;
    uint32_t repeated; /* bit per enum http_header */
    struct http_answer answer;
    size_t held_bytes; /* of it, in server->answer_bytes */
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
    int listen_fd;
    uint16_t port;
    char *certificate; /* PEM texts, ours until MHD has stopped */
    char *key;
    struct list conns;
    _Atomic(uint64_t) turns;          /* of the loop */
    atomic_uint open_count;           /* of conns */
    atomic_size_t answer_bytes;       /* large answers that are not sent yet */
    const struct http_peer *newcomer; /* while MHD takes it */
    uint64_t rest_until_ms;           /* no accepting before */
    unsigned kept;         /* requests that the handler has and not answered */
    bool ending;           /* told to stop: no new connections, streams end */
    uint64_t ending_at_ms; /* monotonic: when it was told */
    uint64_t now_ms;       /* monotonic: when this turn of the loop began */
    uint64_t turn;         /* of the loop */
    uint64_t sweep_at_ms;
    pthread_t thread;
    int wake_fd; /* eventfd: written when somebody wakes who sleeps */

    pthread_mutex_t lock; /* for what follows */
    struct list ready;    /* parked connections that may go on */
    bool asleep;          /* the thread waits, or is about to */
    bool stop;
};

/* server.c */
void http_phase_set(struct http_conn *c, enum http_phase phase);

/* request.c: MHD's calls */
void *http_on_uri(void *cls, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result http_on_access(void *cls, struct MHD_Connection *mhd,
                               const char *url, const char *method,
                               const char *version, const char *upload,
                               size_t *upload_len, void **request);
void http_on_completed(void *cls, struct MHD_Connection *mhd, void **request,
                       enum MHD_RequestTerminationCode why);

/* head.c: what MHD reads leniently is checked in the bytes it read. NULL, or
 * what is wrong. head_end is set. */
const char *http_head_fault(struct http_conn *c, const char *method,
                            const char *version);
/* Is one line of the head too long? */
bool http_head_has_long_line(struct http_conn *c);
/* False if what lay between this piece of a chunked body and the one before,
 * as far as it can still be seen, is no chunk line. */
bool http_chunk_line_ok(struct http_conn *c, struct str data);
/* MHD's log: it is about to refuse a request by itself. */
void http_on_log(void *server, const char *fmt, va_list args);

/* framing.c: true if the head may be handed on; otherwise it is answered. */
bool http_framing_ok(struct http_conn *c, const char *method,
                     const char *version);
/* Does the head announce a body? */
bool http_has_body(const struct http_request *r);
/* Content-Length, or SIZE_MAX when the body is chunked. */
size_t http_body_length(const struct http_request *r);

/* respond.c: hands the answer to MHD */
enum MHD_Result http_queue(struct http_conn *c);

/* accept.c: takes who is waiting, HTTP_ACCEPT_BATCH at most */
#define HTTP_ACCEPT_BATCH 64
void http_accept(struct http_server *s);
bool http_may_accept(const struct http_server *s);
/* Ends a connection; MHD notices in its next turn. */
void http_close(struct http_conn *c);
struct http_source http_source_of(const uint8_t address[16], bool uid_known,
                                  uid_t uid);

/* listen.c */
NODISCARD int http_listen(const struct http_options *o,
                          struct http_listener *ret, struct err *reterr);
NODISCARD int http_read_pem(const char *path, char **ret, struct err *reterr);
bool http_is_loopback(const uint8_t address[16]);

/* sweep.c: enforces the time limits, once a second at most */
void http_sweep(struct http_server *s);

/* loop.c */
void *http_loop(void *server); /* the server's thread */
/* A parked connection may go on. Any thread. */
void http_ready(struct http_conn *c);
/* The loop is to end, when nothing is kept any more. Any thread. */
void http_loop_stop(struct http_server *s);
