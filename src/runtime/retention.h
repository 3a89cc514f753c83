/*
 * Retention: what is over for long leaves the store. A round goes through the
 * events and then the workflows that are older than their limit, oldest first,
 * and takes more of both while the store is larger than it may be. It does so
 * in pieces of a bounded number of rows, one at a time, with a pause after
 * each that is longer than the piece was, so that nobody waits for it. It
 * holds no state that matters: after a crash the next round finds what is left.
 *
 * Like the runtime it knows the world only through ports, so that the daemon
 * and the simulator run the same code; and it has one thread: theirs.
 */
#pragma once

#include "runtime/runtime.h"
#include "store/reader.h"

/* Younger things stay, however large the store is. */
#define RETENTION_FLOOR_MS (24ULL * 3600 * 1000)

/* Rows of one piece at most: events, workflows, chunks of output of each. */
#define RETENTION_EVENTS 200
#define RETENTION_WORKFLOWS 16
#define RETENTION_CHUNKS 64

struct retention_policy {
    uint64_t events_ms;    /* age at which they go; 0: never */
    uint64_t workflows_ms; /* since their end; 0: never */
    uint64_t max_bytes;    /* of the store; 0: any */
};

/* What a round has done. */
struct retention_round {
    int result; /* 0, or why it ended early */
    uint64_t events;
    uint64_t workflows;
    bool too_large; /* and nothing is left that may go */
};

struct retention_ports {
    void *context;
    uint64_t (*now_ms)(void *context);
    /* Hand the operation over, and have retention_op_done called after. */
    void (*submit)(void *context, struct runtime_op *ro);
    /* Call retention_next after so long. */
    void (*again)(void *context, uint64_t in_ms);
    void (*done)(void *context, const struct retention_round *round);
};

struct retention;

/* The reader is borrowed, and used by the caller's thread only. */
struct retention *retention_new(const struct retention_ports *ports,
                                struct reader *reader,
                                const struct retention_policy *policy);

/* Another policy, from the next piece on: a round that is under way ends there,
 * and the next one goes by it. */
void retention_set_policy(struct retention *r,
                          const struct retention_policy *policy);

/* No operation may be on its way. */
void retention_free(struct retention *r);

/* Begins a round, unless one is under way. */
void retention_begin(struct retention *r);

/* Goes on with the round. */
void retention_next(struct retention *r);

/* The operation is done: its result stands in it. */
void retention_op_done(struct retention *r);

/* Is an operation on its way? */
bool retention_is_busy(const struct retention *r);
