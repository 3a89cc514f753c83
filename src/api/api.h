/*
 * The HTTP API: routes, identities, handlers, the event stream. It sits
 * between the HTTP server (net), which gives it sound requests, and the
 * service (runtime), which does what they ask for. Every route is a row of
 * one table (routes.c) from which dispatch, parameter checks, openapi.json
 * and the tests derive; a row without a scope is denied to everybody.
 *
 * Order of life: api_new, service_start (with the two hooks below), then
 * api_set_service, http_start with api_handler, api_set_http; at the end
 * http_stop, api_set_service(NULL), service_stop, api_free.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strbuf.h"
#include "model/record.h"
#include "net/http.h"
#include "store/store.h"

struct integrations;
struct service;
struct api;

/* What an identity may do; bits of api_token.scopes. None includes another. */
enum api_scope_bit {
    API_READ = 1,
    API_INGEST = 2,
    API_EXECUTE = 4,
    API_ADMIN = 8
};

struct api_token {
    const char *name; /* for people: "token:NAME" in audit and lists */
    uint32_t scopes;
    uint8_t sha256[32];
};

/* The configuration as the API sees it. */
struct api_config_status {
    bool ok;            /* the last reading worked */
    uint64_t loaded_ms; /* the last one that did */
    char error[384];    /* why the last one did not */
    const char *file;   /* its file, NULL: none; lives as long as the API */
    char changed[384];  /* "FILE has changed" since then; "": nothing has */
    char restart[384];  /* options that wait for a restart, in words; "" */
};

/* Whoever keeps a record of changes of the configuration. */
struct api_config_recorder {
    /* What changes, as two JSON objects, before it is in force. What it
     * returns, if negative, leaves the old one in force. */
    int (*record)(void *context, struct str before, struct str after);
    void *context;
};

struct api_config {
    /* Reads it again, all or nothing. Appends members of a JSON object that
     * say what came of it. 0; -EINVAL with a message, or what the recorder
     * said: the old one stays. */
    int (*reload)(void *context, const struct api_config_recorder *recorder,
                  struct strbuf *ret, struct err *reterr);
    void (*status)(void *context, struct api_config_status *ret);
    void *context;
};

struct api_options {
    struct api_config config;
    const struct api_token *tokens; /* copied */
    size_t token_count;
    const char *const *hosts; /* further names for the Host header, copied:
                                 "ops.example.org" or with a port; may be
                                 NULL, else ends in NULL */
    const char *group;        /* local users in it may do everything */
    bool trust_own_uid;       /* so may whoever runs as this process does */
    unsigned stream_clients;  /* 0: the default, 64 */
};

NODISCARD int api_new(const struct api_options *options, struct api **ret,
                      struct err *reterr);

/* NULL is fine. The server and the service must have stopped. */
void api_free(struct api *a);

/* The service that answers; before the server starts. NULL, after the server
 * has stopped and before the service does: ends the threads that read the
 * store, and closes their readers. */
NODISCARD int api_set_service(struct api *a, struct service *service);

/* The partner systems; before the server starts. They are halted before the
 * server stops, and outlive the API. */
void api_set_integrations(struct api *a, struct integrations *i);

/* For the metrics; the server must outlive the requests it passes on. */
void api_set_http(struct api *a, const struct http_server *server);

struct http_handler api_handler(struct api *a);

/* Records or events became durable: live views. Any thread, also before
 * api_set_service. Nearly free when nobody watches. */
void api_committed(struct api *a, const struct record *records, size_t count);
void api_ingested(struct api *a, const struct store_ingest *ingest);

/* Appends the OpenAPI 3.1 description. */
void api_add_openapi(struct strbuf *out);
