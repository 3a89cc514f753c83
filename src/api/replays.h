/*
 * Idempotency-Key for requests that start something: the answers of the last
 * REPLAYS_MAX keys, for REPLAYS_KEEP_MS, and the keys whose request is under
 * way. In memory; what was started is kept by the store with its key
 * (RECORD_REQUEST), for after a restart. Any thread.
 */
#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

#define REPLAYS_MAX 1024
#define REPLAYS_KEEP_MS (24UL * 3600 * 1000)

struct replays;

struct replays *replays_new(void);
void replays_free(struct replays *r);

enum replay {
    REPLAY_NEW,   /* go on, then replays_finish */
    REPLAY_SAME,  /* give the first answer again */
    REPLAY_OTHER, /* the key was used for another request */
    REPLAY_BUSY,  /* the first request is still being answered */
    REPLAY_FULL   /* all keys are of requests being answered */
};

struct replay_answer {
    unsigned status;
    struct str body; /* in the caller's arena */
};

/* Asks for a key (with the identity in front, so that nobody sees another's
 * answer); hash is of the request. *ret for REPLAY_SAME only. */
enum replay replays_begin(struct replays *r, struct str key,
                          const uint8_t hash[32], uint64_t now_ms,
                          struct arena *a, struct replay_answer *ret);

/* Ends what REPLAY_NEW began. status 0: forget the key, nothing was done. */
void replays_finish(struct replays *r, struct str key, unsigned status,
                    struct str body);
