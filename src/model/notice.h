/*
 * Notices: what partner systems are to be told, kept until each has it. A row
 * is written in the transaction of the records that cause it and removed when
 * its partner has answered that it has it; one that will never be taken is
 * kept as dead, for people to see. Pure; the numbers are stored: never
 * renumber.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "model/integration.h"

#define NOTICE_DEAD_MAX 1000       /* dead rows that are kept */
#define NOTICE_PENDING_MAX 10000UL /* of one partner; more are dropped */
#define NOTICE_OPEN_MAX 5000       /* incidents that are remembered */
#define NOTICE_OPEN_MAX_AGE_MS (30ULL * 24 * 3600 * 1000) /* not told since */
#define NOTICE_REPEAT_MS (5ULL * 60 * 1000) /* the same is said again then */

/* What is told. The numbers are stored. */
enum notice_kind {
    NOTICE_FAILED = 0,
    NOTICE_HELD = 1,
    NOTICE_KILLED = 2,
    NOTICE_RESOLVED = 3,  /* succeeded after one of those, or a held one was
                             cancelled */
    NOTICE_ESCALATED = 4, /* nothing more is tried for a key */
    NOTICE_KINDS
};

/* "failed", "held"...; NULL past the last. */
const char *notice_kind_name(size_t kind);

enum notice_state { NOTICE_PENDING = 0, NOTICE_DEAD = 1, NOTICE_STATES };

/* "pending", "dead". */
const char *notice_state_name(enum notice_state s);

struct notice_row {
    uint64_t seq; /* the store's: order of writing, never used twice */
    enum integration channel; /* who is to be told */
    enum notice_state state;
    uint64_t created_ms;
    uint64_t tried_ms; /* 0: not yet */
    uint32_t attempts;
    struct str key;   /* what the notices of one incident share */
    struct str body;  /* JSON object */
    struct str error; /* of the last try, "" if none */
};

/* What became of a try. */
enum notice_fate {
    NOTICE_STAYS,   /* pending: to be tried again */
    NOTICE_TAKEN,   /* the partner has it: the row goes */
    NOTICE_GIVEN_UP /* dead */
};

/* Of a pending row; one that is gone or dead stays as it is. */
struct notice_try {
    uint64_t seq;
    enum notice_fate fate;
    uint32_t attempts;
    uint64_t tried_ms;
    struct str error;
};
