/*
 * The committer: the one writer thread of a store. Takes operations from any
 * thread, groups what waits into one transaction (at most STORE_GROUP_MAX
 * operations; while one commit runs, the next group forms), serves standing
 * claims at the end of the same transaction, commits, then calls done for
 * each operation on its own thread.
 *
 * An I/O error on commit is final: every waiting and later operation gets
 * -EIO, on_fatal is called once, and the process must end and recover.
 */
#pragma once

#include "store/reader.h"
#include "store/store.h"

struct committer;

struct committer_options {
    const struct store_driver *driver;
    struct store *store;             /* stays the caller's; used only here */
    uint64_t (*now_ms)(void);        /* epoch */
    void (*on_fatal)(void *context); /* on the committer's thread, once */
    /* The disk is full, or has room again; on its thread. NULL: nobody asks. */
    void (*on_room)(void *context, bool has_room);
    void *context; /* for both */
};

/* Starts the thread. */
NODISCARD int committer_start(const struct committer_options *options,
                              struct committer **ret);

/* Hands an operation over; done is called exactly once. Any thread. */
void committer_submit(struct committer *c, struct store_op *op);

/* From now on INGEST is answered -ECANCELED; everything else goes on. */
void committer_refuse_events(struct committer *c);

/* Holds claims back (true) or serves them again (false): processing pauses
 * at once, also for the claims that stand. Any thread. */
void committer_hold_claims(struct committer *c, bool hold);

/* Commits what waits, cancels standing claims, ends the thread, frees. */
void committer_stop(struct committer *c);

/* Exact at the last group: events that wait to be claimed. Any thread. */
uint64_t committer_queued(const struct committer *c);

/* The ledger as of the last group, without asking the store. Any thread. */
void committer_counts(struct committer *c, struct store_counts *ret);

/* Did the disk have room for events when last looked at? Any thread. */
bool committer_has_room(const struct committer *c);

/* Groups and operations so far, for metrics. Any thread. */
struct committer_stats {
    uint64_t turns; /* of the thread, with or without work: at least one in
                       a second or two while it is well */
    uint64_t groups;
    uint64_t operations;
    uint64_t commit_us_sum;
    uint64_t commit_us_max;
};
struct committer_stats committer_stats(const struct committer *c);

/* ---- without a thread, for the simulator and for tests -------------------
 * Runs one group synchronously: takes up to STORE_GROUP_MAX operations of the
 * list (then standing claims), commits, and moves all that are finished, with
 * their results, to `finished`; the caller calls done. Claims that found
 * nothing stay in `claims`, and so do all while `hold` is set.
 *
 * While more operations wait already (busy), claims that could not be filled
 * are put off, for at most COMMIT_PUT_OFF_MAX groups: under load a worker gets
 * a full batch instead of many small ones; without load nothing waits. */
#define COMMIT_PUT_OFF_MAX 3

struct commit_group {
    struct list ops;    /* of struct store_op.link: waiting */
    struct list claims; /* standing claims */
    struct list finished;
    bool (*busy)(void *context); /* NULL: never */
    void *busy_context;
    bool hold;        /* claims are not served */
    uint32_t put_off; /* groups since claims were last served */
};

void commit_group_init(struct commit_group *g);

/* 0, or -EIO: then finished holds all with -EIO. *ret_queued may be NULL. */
int commit_group_run(const struct store_driver *driver, struct store *s,
                     struct commit_group *g, uint64_t now_ms);
