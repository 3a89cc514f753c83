/*
 * What people change through the API and what is kept of it: settings, which
 * outlive a restart, and the audit trail, whose rows are chained by hashes so
 * that none can be changed or taken out unseen (I10). Pure; any thread.
 *
 * Rows own nothing: their strings live in the arena or row they came from.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/id.h"
#include "base/str.h"

/* A named value; "" means that it is not set. */
struct setting_row {
    struct str key;   /* "processing/paused", "runbook/PATH"... */
    struct str value; /* JSON */
    uint64_t at_ms;
    struct str by; /* who set it: "uid:0", "token:ci" */
};

#define AUDIT_HASH_BYTES 32

struct audit_row {
    uint64_t seq; /* 1, 2, 3...: the store's */
    uint64_t at_ms;
    struct str who;
    struct str action;  /* "runbook.disable" */
    struct str subject; /* what was changed: a path, an id; "" if all */
    struct str before;  /* JSON, "" if there was nothing */
    struct str after;   /* JSON, "" if there is nothing now */
    uint8_t hash[AUDIT_HASH_BYTES]; /* the store's: see audit_hash */
};

/* The row's hash: SHA-256 (FIPS 180-4) over the hash of the row before (zeros
 * for the first) and every other field of this row, each number as 8 bytes,
 * big endian, each text behind its length. */
void audit_hash(const uint8_t before[AUDIT_HASH_BYTES],
                const struct audit_row *row, uint8_t ret[AUDIT_HASH_BYTES]);

/* A walk along the trail, oldest first. Begins as {0}. */
struct audit_chain {
    uint64_t rows;
    uint8_t hash[AUDIT_HASH_BYTES]; /* of the last one; zeros: there is none */
};

/* Takes the next row. False, and nothing taken, when it is not the one that
 * follows: it was changed, is out of order, or one before it is missing. */
NODISCARD bool audit_chain_take(struct audit_chain *c,
                                const struct audit_row *row);

/* Where the store says that the trail ends; {0} when it is empty. */
struct audit_end {
    uint64_t seq;
    uint8_t hash[AUDIT_HASH_BYTES];
};

/* What people say of what the engine has noticed: that a workflow was started
 * rightly or for nothing; that there was an incident which started none. */
enum verdict {
    VERDICT_NONE, /* withdrawn: the row is removed */
    VERDICT_CORRECT,
    VERDICT_FALSE_POSITIVE,
    VERDICT_MISSED,
    VERDICTS
};

/* Verdicts on workflows that are gone are kept so long after what they are
 * about: as far as objectives look back. */
#define VERDICT_KEEP_MS (90ULL * 24 * 3600 * 1000)

struct verdict_row {
    struct id subject; /* the workflow; of a missed incident, its own id */
    enum verdict verdict;
    uint64_t about_ms; /* when the workflow was created, the incident began */
    uint64_t at_ms;
    struct str by;
    struct str note; /* "" is none */
};

/* "none", "correct"... */
const char *verdict_name(enum verdict v);
