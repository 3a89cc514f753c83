/*
 * Is the audit trail whole (I10)? A walk along all of its rows with a reader of
 * the caller's; as long as it takes.
 */
#pragma once

#include "model/change.h"
#include "store/reader.h"

/* A row that somebody has written down elsewhere: the chain by itself cannot
 * tell whether all of it was written anew. */
struct audit_known {
    bool given;
    bool met; /* it is there as it was */
    uint64_t seq;
    uint8_t hash[AUDIT_HASH_BYTES];
};

/* Begins as {0}, perhaps with a known row. */
struct audit_walk {
    struct audit_chain chain;
    struct audit_end end;
    uint64_t broken_at; /* seq; 0: nowhere */
    const char *problem;
    struct audit_known known;
};

/* Walks from the first row to the last that was there when it began, or to the
 * first that is not as it should be. 0, or what the reader says. */
NODISCARD int audit_walk(struct reader *reader, struct audit_walk *w);
