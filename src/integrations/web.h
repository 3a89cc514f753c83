/*
 * Requests to partner systems: libcurl's multi interface, driven by one
 * thread. Every request has a time limit and a size limit for its answer.
 * Redirects are not followed, so that a credential goes to the host it is
 * for and nowhere else; proxies of the environment, cookies and .netrc are
 * not used; only http and https; certificates are verified; addresses that
 * no partner can have (address.h) are refused after the name was resolved.
 *
 * One thread, except web_wake.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "base/strbuf.h"

/* What the engine's own requests call themselves, in front of a version. */
#define WEB_AGENT "autonomous-devops/"
#define WEB_URL_MAX_BYTES 2048
#define WEB_ORIGIN_SIZE 300 /* "https://HOST:PORT" and a NUL */
#define WEB_ANSWER_MAX_BYTES (1024UL * 1024)
#define WEB_RETRY_AFTER_MAX_S 3600
#define WEB_HEADERS_MAX 4

struct web;

/* Caller-owned; valid until done was called, once. The inputs are copied when
 * it is sent, except url, which must stay. */
struct web_request {
    /* given */
    const char *url;
    const char *headers[WEB_HEADERS_MAX]; /* "Name: value"; NULL: no more */
    struct str body;                      /* a POST of JSON; at NULL: a GET */
    uint64_t timeout_ms;
    size_t max_bytes; /* of the answer's body */
    void (*done)(struct web_request *r);
    void *context;
    /* outcome */
    int result;      /* 0: an answer came; or a negative errno */
    unsigned status; /* 0: no answer */
    struct strbuf answer;
    char type[128];         /* Content-Type, "" if none */
    uint64_t retry_after_s; /* 0: not said */
    uint64_t took_ms;
    char error[200]; /* when result < 0: one sentence */
    /* the client's */
    struct web *web;
    void *easy;
    void *list;
    struct list link;
};

NODISCARD int web_new(struct web **ret);

/* Requests under way end with -ECANCELED. NULL is fine. */
void web_free(struct web *w);

/* Sends it. r->done is called from web_wait or web_free, never from here. */
void web_send(struct web *w, struct web_request *r);

/* Frees what the outcome holds. */
void web_request_deinit(struct web_request *r);

/* Waits for the network, for web_wake, or for so long; calls done for what
 * has ended. */
void web_wait(struct web *w, uint64_t timeout_ms);

/* Ends web_wait soon. Any thread. */
void web_wake(struct web *w);

/* Is it an absolute http or https URL, without user name and fragment, that
 * this client would call? 0 or -EINVAL. */
NODISCARD int web_url_check(struct str url, struct err *reterr);

/* "https://host:port", in lower case: who gets what is sent there. "" for
 * what is no URL. */
void web_origin(const char *url, char ret[WEB_ORIGIN_SIZE]);

/* May a secret go to this origin: https, or a host that is near? That is
 * loopback, or a name without a dot, which names of the public network have. */
bool web_keeps_secrets(const char *origin);

/* "401 Unauthorized"; a status without a name is the number alone. */
const char *web_status_text(unsigned status, char room[48]);

/* Retry-After: seconds, or an HTTP date; at most WEB_RETRY_AFTER_MAX_S, 0 for
 * what is neither. */
uint64_t web_retry_after(struct str value, uint64_t now_s);
