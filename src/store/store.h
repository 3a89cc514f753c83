/*
 * The durable store: one port, several drivers (SQLite, memory; PostgreSQL
 * will come through the same port), one conformance suite (tests/store).
 *
 * Writing goes through operations (struct store_op) that the committer
 * (committer.h) groups: begin, up to STORE_GROUP_MAX operations, commit, then
 * tell every waiter. A driver is used by one thread at a time: the writer.
 * Each operation is all-or-none inside the group: one that fails leaves no
 * trace and the others go on.
 *
 * Ownership protocol, made for several engines on one store: a process opens
 * a session (random id, lease); claimed events and live workflows belong to a
 * session, and every later write on them quotes the session and is refused
 * with -ESTALE when it no longer owns them. Existence of the session row, not
 * the clock, decides. SQLite admits one engine only (lock file), so opening a
 * session there takes over everything at once.
 *
 * Reading goes through readers (reader.h): read-only, one per thread, never
 * waiting for the writer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/list.h"
#include "model/event.h"
#include "model/record.h"

#define STORE_GROUP_MAX 64
#define STORE_BATCH_MAX 1000 /* events in one ingest operation */

/* An alert that is over by itself is active again when it is repeated within
 * this time; one that was resolved is not. */
#define STORE_ALERT_REPEAT_MS (7ULL * 24 * 3600 * 1000)
static inline uint64_t store_alerts_since_ms(uint64_t now_ms)
{
    return now_ms > STORE_ALERT_REPEAT_MS ? now_ms - STORE_ALERT_REPEAT_MS : 0;
}

enum store_op_kind {
    STORE_INGEST, /* accept events: durable before they are answered */
    STORE_CLAIM,  /* give a worker its next batch of queued events */
    STORE_APPLY,  /* apply the engine's records */
    STORE_PIN,    /* remember a runbook version by its hash */
    STORE_OP_KINDS
};

/* Events to accept, all or none. A dedup_key that is already known makes the
 * event a duplicate: it is stored with status deduplicated. */
struct store_ingest {
    struct event *events; /* id and received_ms set; seq is filled in */
    uint32_t count;       /* 1..STORE_BATCH_MAX */
    /* Idempotency-Key of the request ("" if none): when it is known, nothing
     * is stored and the ids of the first request come back. */
    struct str request_key;
    uint8_t request_hash[32]; /* of the body: another one is -EEXIST */
    uint64_t request_expires_ms;
    uint64_t dedup_expires_ms;
    /* the caller's array of count, filled in per event: */
    struct store_ingested {
        struct id id; /* of the stored event (the earlier one on a replay) */
        enum event_status status; /* as it was when it was accepted */
        struct id duplicate_of;   /* ID_NULL unless deduplicated */
    } * results;
    bool replayed; /* the request_key was known */
};

/* A claim waits (standing) until an event is queued. The first event decides:
 * one that was tried before is given alone, so that a poisonous event cannot
 * take others with it; one with max_attempts tries behind it becomes poison
 * and is not given, which stays so even when nothing else is left to give.
 * When no try has left a word, STORE_POISON_ERROR says why.
 * Rows come by priority, then in order of acceptance; a batch ends before an
 * event that was tried before. */
#define STORE_POISON_ERROR                                                     \
    "its processing never came to an end: the engine or its worker was lost "  \
    "each time"

struct store_claim {
    uint32_t limit;
    uint32_t max_attempts;
    struct arena *arena; /* the caller's: events and strings live there */
    /* filled in: */
    struct event *events; /* attempt includes this one */
    uint32_t count;
    uint64_t claim; /* fencing token of this batch */
};

struct store_apply {
    const struct record *records;
    uint32_t count;
    /* filled in: events that RECORD_EVENTS_... have changed or removed, and
     * rows that RECORD_WORKFLOW_DROP has removed */
    uint64_t moved;
};

struct store_pin {
    struct runbook_hash hash;
    struct str path;
    struct str text;
};

/* Caller-owned: embed it in whatever waits. Must stay valid until done is
 * called, once, with result set:
 *   0        durable
 *   -EAGAIN  queue full (INGEST), nothing stored: answer 503
 *   -ENOSPC  disk full (INGEST, optional ones): answer 507
 *   -EEXIST  request_key known with another body, or an event id is already
 *            stored (INGEST); another workflow for the same event and trigger
 *            (I2), another attempt in flight or a second success of a step
 *            (I4) (APPLY)
 *   -ESTALE  a row belongs to somebody else by now, or is gone (APPLY)
 *   -ECANCELED  stopping: nothing stored
 *   -EIO     unknown: the process stops acknowledging and must end
 */
struct store_op {
    struct list link; /* the committer's */
    enum store_op_kind kind;
    bool unhurried; /* nobody waits: may stay a moment for others to join */
    bool optional;  /* when even the reserve of a full disk is used up, this is
                       refused, and not the end of the process */
    int result;
    union {
        struct store_ingest ingest;
        struct store_claim claim;
        struct store_apply apply;
        struct store_pin pin;
    };
    void (*done)(struct store_op *op);
    void *context; /* the submitter's */
};

/* ---- driver port -------------------------------------------------------- */

struct store_options {
    struct str directory; /* SQLite: where engine.db and its lock live */
    uint64_t queue_limit; /* queued events at which INGEST says -EAGAIN */
    uint64_t now_ms;      /* at opening */
    struct id session;    /* random, per boot */
    struct str node;      /* for people: host name */
    bool full_check;      /* force an integrity check at opening */
    /* SQLite: disk kept back; 0: 64 MiB, less on a disk of under 1.25 GiB */
    uint64_t ballast_bytes;
};

/* What opening found, for the log and for /api/health. */
struct store_opened {
    bool created;
    bool unclean;           /* the last engine did not close it */
    bool checked;           /* an integrity check was run and passed */
    bool sums;              /* damage to any page is noticed when it is read */
    uint64_t pages_scanned; /* every page was read and is what was written */
    uint32_t schema_from, schema_to; /* migrations applied */
    uint64_t events_requeued; /* claimed by the last session, queued again */
};

struct store; /* a driver's instance */
struct store_counts;
struct reader;

struct store_driver {
    const char *name; /* "sqlite", "memory" */

    /* Opens or creates; takes the lock; migrates; checks; opens the session.
     * -EBUSY: another engine has it; -EBADMSG: damaged; -EINVAL: too new. */
    int (*open)(const struct store_options *options, struct store **ret,
                struct store_opened *ret_opened, struct err *reterr);
    /* Marks a clean stop and frees everything; close its readers before. */
    void (*close)(struct store *s);

    /* One transaction around a group. commit: 0, -ENOSPC (nothing was
     * committed, the transaction is gone), -EIO. */
    int (*begin)(struct store *s);
    int (*commit)(struct store *s);
    void (*rollback)(struct store *s);

    /* One operation inside the transaction; all or none by itself. Results
     * as in struct store_op. CLAIM with nothing queued: -EAGAIN. */
    int (*run)(struct store *s, struct store_op *op, uint64_t now_ms);

    /* Work between groups (checkpoints, trimming): idle when nothing waits.
     * 0 or -EIO. */
    int (*maintain)(struct store *s, bool idle);

    /* Exact, under the writer: events that a claim could give. */
    uint64_t (*queued)(const struct store *s);

    /* The same: the ledger as of the last commit (or rollback). */
    void (*counts)(const struct store *s, struct store_counts *ret);

    /* Under the writer: are events taken, as far as the disk goes? */
    bool (*has_room)(const struct store *s);

    /* Counts everything anew and compares: the ledger with the rows (I1), the
     * queue with what a claim could give, and what else the driver keeps
     * twice. For tests and the simulator, between transactions: O(rows).
     * 0, or -EBADMSG and what differs. */
    int (*check)(struct store *s, struct err *reterr);

    int (*reader_open)(struct store *s, struct reader **ret,
                       struct err *reterr);
};

extern const struct store_driver store_sqlite;
extern const struct store_driver store_memory;
