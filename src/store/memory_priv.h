/*
 * Inside the memory driver. Every string and row lives in the store's arena
 * and is never moved, so an undo entry can point at it; changes of rows are
 * logged before they are made, and undone newest first.
 */
#pragma once

#include <pthread.h>

#include "base/heap.h"
#include "base/map.h"
#include "base/vec.h"
#include "store/memory.h"
#include "store/reader.h"

struct mem_event {
    struct event row;
    struct mem_event_now { /* the changing half */
        enum event_status status;
        uint32_t attempt;
        uint64_t claim; /* 0: not claimed */
        uint64_t processed_ms;
        struct str error;
        struct str decision;
        bool gone; /* removed: nobody finds it any more */
    } now;
    struct id duplicate_of;
    struct heap_node ready; /* in store.queue while a claim could give it */
};

struct mem_dedup {
    struct str key;
    struct id event_id;
    uint64_t expires_ms;
};

struct mem_request {
    struct str key;
    uint8_t hash[32];
    uint64_t expires_ms;
    struct store_ingested *results; /* of events; NULL: see made */
    uint32_t count;
    struct id made; /* the workflow */
};

struct mem_chunk {
    uint64_t seq;
    struct output_chunk row;
};

struct mem_workflow {
    bool gone; /* removed: nobody finds it any more */
    uint64_t seq;
    struct workflow_row row;
    struct id owner;
    VEC(struct attempt_row *) attempts; /* in order of storing */
    VEC(struct mem_chunk) chunks;
};

struct mem_notice {
    struct notice_row row;
    bool gone;
};

struct mem_runbook {
    struct runbook_hash hash;
    struct str path;
    struct str text;
};

enum undo_kind { UNDO_BYTES, UNDO_EVENT, UNDO_MAP };

struct undo {
    enum undo_kind kind;
    void *at;         /* object, event, map */
    struct str bytes; /* what it was; of a map: the key */
    void *value;      /* of a map: the old value, NULL if it had none */
};

struct store {
    pthread_mutex_t lock; /* held from begin to commit or rollback */
    bool in_transaction;  /* the writer's, like all below */
    struct arena arena;
    struct id session;
    uint64_t queue_limit;
    uint64_t last_claim;
    uint64_t last_chunk;
    struct store_counts counts;
    VEC(struct mem_event *) events; /* seq is the index + 1 */
    VEC(struct mem_workflow *) workflows;
    struct map events_by_id;
    struct map workflows_by_id;
    struct map starts; /* (event, runbook, trigger) -> workflow: I2 */
    struct map dedup;
    struct map requests;
    struct map runbooks;
    struct map settings;              /* key -> struct setting_row */
    VEC(struct audit_row *) audit;    /* seq is the index + 1 */
    VEC(struct mem_notice *) notices; /* the same */
    struct map verdicts;              /* subject -> struct verdict_row */
    struct map memories;              /* their names -> struct memory_row */
    struct map watches;               /* the same -> struct watch_row */
    struct map alerts; /* fingerprint -> newest event, while it fires */
    struct heap queue;
    VEC(struct undo) undo;
    struct arena undo_arena;
    enum memory_fault fault;
    uint32_t fault_in;    /* commits until the first that fails */
    uint32_t fault_times; /* how many fail */
};

/* ---- changes, logged for rollback (memory.c) ---- */

/* Remembers len bytes at `at`, which are about to change. */
void memory_save(struct store *s, void *at, size_t len);

/* Remembers the event's changing half; call memory_ready after the change. */
void memory_save_event(struct store *s, struct mem_event *e);

/* Puts the event into or out of the queue, as its status wants it. */
void memory_ready(struct store *s, struct mem_event *e);

/* map_put and map_remove, undone by rollback; the key lives in s->arena. */
void memory_put(struct store *s, struct map *m, struct str key, void *value);
void memory_remove(struct store *s, struct map *m, struct str key);

/* VEC_PUSH, undone by rollback. */
#define MEMORY_PUSH(s, v, ...)                                                 \
    do {                                                                       \
        memory_save((s), &(v)->count, sizeof((v)->count));                     \
        VEC_PUSH((v), __VA_ARGS__);                                            \
    } while (0)

/* ---- operations, inside a transaction; see store_driver.run ---- */

int memory_ingest(struct store *s, struct store_ingest *op, uint64_t now_ms);
int memory_claim(struct store *s, struct store_claim *op, uint64_t now_ms);
int memory_apply(struct store *s, struct store_apply *op);
int memory_pin(struct store *s, const struct store_pin *op);

/* The key in store.starts of a workflow that an event started. */
struct str memory_start_key(struct store *s, const struct workflow_row *w);

/* One record each (memory_changes.c); how many rows were changed. */
uint64_t memory_events_free(struct store *s, uint64_t claim);
uint64_t memory_events_move(struct store *s,
                            const struct record_events_move *m);
uint64_t memory_events_rank(struct store *s,
                            const struct record_events_rank *k);
uint64_t memory_events_drop(struct store *s,
                            const struct record_events_drop *d);
uint64_t memory_workflow_drop(struct store *s,
                              const struct record_workflow_drop *d);
void memory_setting(struct store *s, const struct setting_row *given);
void memory_request(struct store *s, const struct record_request *r);
void memory_audit(struct store *s, const struct audit_row *given);
void memory_notice_new(struct store *s, const struct notice_row *given);
void memory_notice_tried(struct store *s, const struct notice_try *t);

/* Reading notices, under the lock: at most f->limit into ret. */
uint32_t memory_notices(const struct store *s, const struct notice_filter *f,
                        struct arena *a, struct notice_row *ret);
struct notice_counts memory_notice_counts(const struct store *s);
void memory_verdict(struct store *s, const struct verdict_row *given);
void memory_memory_set(struct store *s, const struct memory_row *given);
void memory_memory_drop(struct store *s, const struct memory_row *given);

void memory_watch_set(struct store *s, const struct watch_row *given);
void memory_watch_drop(struct store *s, const struct watch_row *given);

/* struct reader_ops.memories and .watches, under the lock (memory_memories.c).
 */
uint32_t memory_memories(const struct store *s, const struct memory_filter *f,
                         struct arena *a, struct memory_row **ret);
int memory_memory(const struct store *s, const struct memory_name *name,
                  struct arena *a, struct memory_row *ret);
uint32_t memory_watches(const struct store *s, const struct memory_filter *f,
                        struct arena *a, struct watch_row **ret);

/* struct reader_ops.tally, under the lock (memory_tally.c). */
void memory_tally(struct store *s, const struct tally_filter *f,
                  struct arena *a, struct event_tally *ret);

/* Moves an event on and keeps the ledger. */
void memory_event_set(struct store *s, struct mem_event *e,
                      enum event_status status);

/* ---- deep copies into an arena (memory_rows.c) ---- */

struct event memory_copy_event(struct arena *a, const struct event *from);
struct event_view memory_copy_view(struct arena *a,
                                   const struct mem_event *from);
struct workflow_row memory_copy_workflow(struct arena *a,
                                         const struct workflow_row *from);
struct attempt_row memory_copy_attempt(struct arena *a,
                                       const struct attempt_row *from);
struct setting_row memory_copy_setting(struct arena *a,
                                       const struct setting_row *from);
struct notice_row memory_copy_notice(struct arena *a,
                                     const struct notice_row *from);
struct audit_row memory_copy_audit(struct arena *a,
                                   const struct audit_row *from);
struct verdict_row memory_copy_verdict(struct arena *a,
                                       const struct verdict_row *from);
struct output_chunk memory_copy_chunk(struct arena *a,
                                      const struct output_chunk *from);

int memory_reader_open(struct store *s, struct reader **ret,
                       struct err *reterr);
