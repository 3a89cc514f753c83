/*
 * Inside the history: one connection, used under one lock. adctl backup reads
 * the file at the same time, from another process, so the library shares
 * memory with it (metrics.db-shm).
 */
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include "history/history.h"
#include "store/sqlite_stmt.h"

struct history {
    pthread_mutex_t lock;
    char *path;
    sqlite3 *db; /* NULL: the file cannot be used */
    ino_t inode; /* of the file, to notice that it was removed */
    uint64_t run_no;
    uint64_t trimmed_ms; /* 0: it is time */
    struct history_keep keep;
};

struct history_level {
    uint64_t step_s;
    uint64_t kept_s; /* the coarsest: at least */
};

extern const struct history_level history_levels[HISTORY_LEVELS];

/* The finest level that goes back to from_s. */
unsigned history_level_for(uint64_t from_s, uint64_t now_s);

/* open.c: opens or makes the file and begins a run. What cannot be read is set
 * aside. Under the lock. */
NODISCARD int history_connect(struct history *h, uint64_t now_ms,
                              struct history_opened *ret, struct err *reterr);
void history_disconnect(struct history *h);

/* Moves the file away, so that the next connect makes a new one. The name that
 * it has then, unless NULL. */
void history_set_aside(struct history *h, char ret_name[HISTORY_ASIDE_SIZE]);

/* Has the library keep the file within its bound; a library code. */
NODISCARD int history_set_bound(struct history *h);
NODISCARD int history_query_u64(struct history *h, const char *sql,
                                uint64_t *ret);

/* 0, or what a library error code means: -EBADMSG for damage, -ENOSPC, -EIO,
 * with the reason. */
int history_error(struct history *h, int rc, struct err *reterr);

/* Prepares a statement; NULL when that fails (then ask the connection). */
sqlite3_stmt *history_prepare(struct history *h, const char *sql);

/* Ends a statement: SQLITE_OK for a row or the end, else the error. */
int history_finish(sqlite3_stmt *st, int rc);
