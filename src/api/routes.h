/*
 * The route table: the one place that says which requests exist, who may send
 * them, what they may carry and who handles them. Immutable; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "net/http.h"

struct call;

/* SCOPE_DENY is what a forgotten field says: nobody. */
enum scope {
    SCOPE_DENY = 0,
    SCOPE_PUBLIC, /* the two probes only */
    SCOPE_READ,
    SCOPE_INGEST,
    SCOPE_EXECUTE,
    SCOPE_ADMIN,
    SCOPES
};

/* "read"...; as in the configuration. */
const char *scope_name(enum scope s);

/* The bit of enum api_scope_bit that the scope asks for; 0 for the others. */
uint32_t scope_bit(enum scope s);

enum query_kind {
    QUERY_TEXT,
    QUERY_NUMBER, /* min..max, fallback */
    QUERY_WORD,   /* one of words */
    QUERY_BOOL,
    QUERY_SINCE,  /* 1h, 7d, RFC 3339, epoch seconds */
    QUERY_CURSOR, /* what next_cursor gave */
    QUERY_ID,     /* of the kind that prefix names */
    QUERY_MANY,   /* may be repeated: the handler reads it */
    QUERY_FILTER  /* a condition about each row: see api/filter.h */
};

struct query {
    const char *name;
    enum query_kind kind;
    uint64_t min;
    uint64_t max;
    uint64_t fallback;
    const char *(*word)(size_t i); /* NULL at the end */
    const char *prefix;            /* of the id; what a filter calls the row */
    const char *schema;            /* of a filter's row; NULL: an event */
    const char *help;
};

#define QUERY_MAX 10

/* Where a handler runs: on the server's thread it must not wait for
 * anything; one that reads the store or files runs on a reading thread. */
enum route_thread { ON_SERVER, ON_READER };

typedef void route_fn(struct call *c);

struct route {
    const char *path; /* "/api/workflows/{id}/logs" */
    enum http_method method;
    enum scope scope;
    enum route_thread thread;
    unsigned status;         /* when all is well */
    size_t body_limit_bytes; /* 0: no body */
    route_fn *handler;
    const struct query *query; /* ends with a NULL name; NULL: none */
    const char *id_prefix;     /* of {id}; "": it is a name, not an id */
    /* The action of the row that a success leaves in the audit trail, committed
     * before the answer; NULL: none. Handlers take it from here. */
    const char *audit;
    /* Which requests leave no row, and why. What is no GET has this or an
     * action, or both. */
    const char *unaudited;
    const char *summary;
    const char *request; /* schema names in schemas.c; NULL: none */
    const char *answer;
};

extern const struct route routes[];
extern const size_t route_count;

/* What a method and a path lead to. */
struct route_match {
    const struct route *route; /* NULL: none */
    struct str id;             /* what stands for {id} */
    uint32_t methods;          /* bit per enum http_method of the same path */
};

/* Finds the route; HEAD is GET's. path is decoded. */
struct route_match route_find(enum http_method method, struct str path);
