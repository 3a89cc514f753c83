/*
 * Reading the store for the API and for recovery: lists by key set, newest
 * first unless said otherwise, single rows, counts. A reader sees the last
 * commit, is used by one thread at a time, never holds a statement open
 * between calls and gives up after STORE_READ_DEADLINE_MS (-ETIMEDOUT).
 *
 * Rows live in the caller's arena.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "model/change.h"
#include "model/event.h"
#include "model/notice.h"
#include "model/trigger_memory.h"
#include "model/trigger_watch.h"
#include "model/workflow.h"

#define STORE_READ_DEADLINE_MS 2000
#define STORE_SETTINGS_MAX 20000
#define STORE_ALERTS_PAGE 100 /* live alerts that are read at a time */

struct reader;

struct event_filter {
    struct str type;     /* "": any */
    struct str severity; /* "": any */
    struct str source;   /* "": any */
    int status;          /* enum event_status, or -1: any */
    uint64_t since_ms;   /* received at or after; 0: any */
    uint64_t before_seq; /* cursor: seq below this; 0: from the newest */
    uint64_t after_seq;  /* seq above this; 0: any (with oldest_first) */
    bool oldest_first;
    uint32_t limit;
};

struct event_view {
    struct event event;
    enum event_status status;
    struct str error;
    struct id duplicate_of;
    uint64_t processed_ms; /* 0: not yet */
    struct str decision;   /* see record_event_done; "": none is known */
};

struct workflow_filter {
    struct str runbook;       /* path; "": any */
    int status;               /* enum workflow_status, or -1: any */
    bool live_only;           /* not final, oldest first: for recovery */
    uint64_t ended_before_ms; /* final and ended before, oldest first; 0: any */
    struct id event_id;       /* ID_NULL: any */
    uint64_t since_ms;        /* created at or after */
    uint64_t before_seq;
    uint64_t after_seq; /* for paging oldest first */
    uint32_t limit;
};

struct workflow_view {
    struct workflow_row row;
    uint64_t seq; /* order of creation: the cursor */
};

/* A page of a workflow's output: chunks stored after the cursor. */
struct output_filter {
    struct id workflow_id;
    uint64_t after_seq; /* cursor; 0: from the first */
    uint32_t limit;
};

/* Events by status and workflows by status: the ledger. accepted is the
 * number of events ever accepted and must equal the sum of events[] (I1):
 * those whose rows were removed stay counted as archived. */
struct store_counts {
    uint64_t accepted;
    uint64_t events[EVENT_STATUSES];
    uint64_t workflows[WORKFLOW_STATUSES];
    uint64_t dry_runs;          /* of workflows[WORKFLOW_SUCCEEDED] */
    uint64_t removed_events;    /* of events[EVENT_ARCHIVED]: without a row */
    uint64_t removed_workflows; /* in none of workflows[] any more */
};

/* What the rows take. Room that removed rows leave is used again. */
struct store_usage {
    uint64_t used_bytes;
    uint64_t file_bytes; /* with the room that is free inside */
};

/* What there is of which events: the queue, or the newest since a time. */
#define STORE_TALLY_EVENTS_MAX 100000 /* that are looked at */
#define STORE_TALLY_GROUPS_MAX 1000

struct tally_filter {
    bool queued;       /* those that a claim could give; since_ms is ignored */
    uint64_t since_ms; /* received at or after */
};

struct event_group {
    struct str type;
    struct str severity;
    struct str source;
    enum event_status status;
    uint8_t priority;
    uint64_t count;
    uint64_t oldest_ms; /* received */
};

struct event_tally {
    struct event_group *groups; /* the largest first */
    uint32_t group_count;
    uint64_t accepted; /* since then, removed ones and those that were not
                          looked at too; 0 for the queue */
    bool complete;     /* all were looked at, and all groups are here */
};

/* The audit trail, newest first unless told otherwise. */
struct audit_filter {
    uint64_t before_seq; /* 0: any */
    uint64_t after_seq;
    bool oldest_first;
    uint32_t limit;
};

/* Notices of one partner in one state, newest first unless told otherwise. */
struct notice_filter {
    enum integration channel;
    enum notice_state state;
    uint64_t before_seq; /* 0: any */
    bool oldest_first;
    uint32_t limit;
};

struct notice_counts {
    uint64_t of[INTEGRATIONS][NOTICE_STATES];
};

/* Verdicts, by what they are about: newest first. */
struct verdict_filter {
    int verdict;       /* enum verdict, or -1: any */
    uint64_t since_ms; /* about something then or later */
    uint32_t limit;
};

/* What triggers remember, by runbook path, trigger and key. */
struct memory_filter {
    struct str runbook; /* path; "": any */
    /* The cursor: those behind this one. No path: from the first. */
    struct str after_runbook;
    struct str after_trigger;
    struct str after_key;
    uint32_t limit;
};

struct memory_name {
    struct str runbook; /* path */
    struct str trigger;
    struct str key;
};

struct reader_ops {
    void (*close)(struct reader *r);
    int (*events)(struct reader *r, const struct event_filter *f,
                  struct arena *a, struct event_view **ret,
                  uint32_t *ret_count);
    int (*event)(struct reader *r, struct id id, struct arena *a,
                 struct event_view *ret); /* -ENOENT */
    int (*workflows)(struct reader *r, const struct workflow_filter *f,
                     struct arena *a, struct workflow_view **ret,
                     uint32_t *ret_count);
    int (*workflow)(struct reader *r, struct id id, struct arena *a,
                    struct workflow_view *ret); /* -ENOENT */
    /* By step, then attempt. */
    int (*attempts)(struct reader *r, struct id workflow_id, struct arena *a,
                    struct attempt_row **ret, uint32_t *ret_count);
    /* In order of storing; *ret_last_seq is the next cursor (f->after_seq
     * when there are none). */
    int (*output)(struct reader *r, const struct output_filter *f,
                  struct arena *a, struct output_chunk **ret,
                  uint32_t *ret_count, uint64_t *ret_last_seq);
    /* A pinned runbook version: its text and path. -ENOENT */
    int (*runbook)(struct reader *r, const struct runbook_hash *hash,
                   struct arena *a, struct str *ret_path, struct str *ret_text);
    /* What a request with this key has made (RECORD_REQUEST). -ENOENT: the
     * key is not known, or has expired; -EEXIST: it is another request's. */
    int (*request)(struct reader *r, struct str key, const uint8_t hash[32],
                   uint64_t now_ms, struct id *ret);
    int (*counts)(struct reader *r, struct store_counts *ret);
    int (*tally)(struct reader *r, const struct tally_filter *f,
                 struct arena *a, struct event_tally *ret);
    int (*usage)(struct reader *r, struct store_usage *ret);
    /* The newest live alert of each fingerprint, for the Alertmanager API:
     * firing events that are not over (event_alert_ends_ms) at now_ms, newest
     * first, at most STORE_ALERTS_PAGE. A duplicate is one of them only if
     * the alert was not resolved in between. before_seq 0: from the newest. */
    int (*alerts)(struct reader *r, uint64_t now_ms, uint64_t before_seq,
                  struct arena *a, struct event_view **ret,
                  uint32_t *ret_count);
    /* Settings whose key begins so, by key; those without value are left
     * out. At most STORE_SETTINGS_MAX. */
    int (*settings)(struct reader *r, struct str prefix, struct arena *a,
                    struct setting_row **ret, uint32_t *ret_count);
    int (*audit)(struct reader *r, const struct audit_filter *f,
                 struct arena *a, struct audit_row **ret, uint32_t *ret_count);
    int (*audit_end)(struct reader *r, struct audit_end *ret);
    int (*notices)(struct reader *r, const struct notice_filter *f,
                   struct arena *a, struct notice_row **ret,
                   uint32_t *ret_count);
    int (*notice_counts)(struct reader *r, struct notice_counts *ret);
    int (*verdict)(struct reader *r, struct id subject, struct arena *a,
                   struct verdict_row *ret); /* -ENOENT */
    int (*verdicts)(struct reader *r, const struct verdict_filter *f,
                    struct arena *a, struct verdict_row **ret,
                    uint32_t *ret_count);
    /* How many of each there are about something then or later. */
    int (*verdict_counts)(struct reader *r, uint64_t since_ms,
                          uint64_t ret[VERDICTS]);
    int (*memories)(struct reader *r, const struct memory_filter *f,
                    struct arena *a, struct memory_row **ret,
                    uint32_t *ret_count);
    /* The one of these names. -ENOENT */
    int (*memory)(struct reader *r, const struct memory_name *name,
                  struct arena *a, struct memory_row *ret);
    int (*watches)(struct reader *r, const struct memory_filter *f,
                   struct arena *a, struct watch_row **ret,
                   uint32_t *ret_count);
};

struct reader {
    const struct reader_ops *ops;
};

/* Reads a SQLite store whose writer is another process, or nobody: it goes on
 * undisturbed. Calls may take as long as limit_ms. -ENOENT, -EINVAL (of another
 * version), -EBADMSG (damaged), -EACCES or -EIO with what to do. */
NODISCARD int store_reader_open(const char *path, uint64_t limit_ms,
                                struct reader **ret, struct err *reterr);
