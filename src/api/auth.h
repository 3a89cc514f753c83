/*
 * Who sends a request, and what they may do: a bearer token, or the user id
 * behind a loopback connection. A request that brings a token is judged by it
 * alone. Wrong tokens are counted per source, and a source with too many is
 * told to wait (limiter.h); a right one is let in at any time.
 *
 * The server's thread, except auth_still: any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "api/api.h"

#define AUTH_NAME_SIZE 80

struct identity {
    char name[AUTH_NAME_SIZE]; /* "uid:0", "token:ci" */
    uint32_t scopes;           /* bits of enum api_scope_bit */
    bool by_token;
    uid_t uid;          /* when by uid */
    uint8_t sha256[32]; /* when by token */
};

struct auth;

struct auth *auth_new(const struct api_options *options);
void auth_free(struct auth *a);

enum auth_result {
    AUTH_OK,
    AUTH_UNKNOWN, /* neither token nor privileged local user */
    AUTH_WRONG,   /* a token that is not one of ours */
    AUTH_WAIT     /* too many wrong tokens from there */
};

/* Finds out who sends r. *ret is written for AUTH_OK only. now_ms:
 * monotonic. */
enum auth_result auth_identify(struct auth *a, struct http_request *r,
                               uint64_t now_ms, struct identity *ret);

/* Is the identity still what it was? For answers that last. */
bool auth_still(struct auth *a, const struct identity *who);

/* May this local user do everything: root, a member of the group, and the user
 * that this process runs as unless that was not to be trusted. Asks the user
 * database at most every AUTH_MEMORY_MS for one user. Any thread. */
#define AUTH_MEMORY_MS 10000
bool auth_uid_ok(struct auth *a, uid_t uid, uint64_t now_ms);
