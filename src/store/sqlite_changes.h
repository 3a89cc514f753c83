/*
 * Inside the SQLite driver: what people change and what is removed, one record
 * at a time. Inside a
 * transaction; each returns 0 or the doom (sqlite_priv.h).
 */
#pragma once

#include "store/sqlite_priv.h"

/* Each adds the number of events that were changed to *moved. */
NODISCARD int sqlite_events_free(struct store *s, uint64_t claim,
                                 uint64_t *moved);
NODISCARD int sqlite_events_move(struct store *s,
                                 const struct record_events_move *m,
                                 uint64_t *moved);
NODISCARD int sqlite_events_rank(struct store *s,
                                 const struct record_events_rank *k,
                                 uint64_t *moved);
NODISCARD int sqlite_events_drop(struct store *s,
                                 const struct record_events_drop *d,
                                 uint64_t *moved);
NODISCARD int sqlite_setting(struct store *s, const struct setting_row *row);
NODISCARD int sqlite_audit(struct store *s, const struct audit_row *given);

NODISCARD int sqlite_notice_new(struct store *s, const struct notice_row *row);
NODISCARD int sqlite_notice_tried(struct store *s, const struct notice_try *t);
NODISCARD int sqlite_verdict(struct store *s, const struct verdict_row *row);

/* What triggers remember (sqlite_memories.c). */
NODISCARD int sqlite_memory_set(struct store *s, const struct memory_row *row);
NODISCARD int sqlite_memory_drop(struct store *s, const struct memory_row *row);
NODISCARD int sqlite_watch_set(struct store *s, const struct watch_row *row);
NODISCARD int sqlite_watch_drop(struct store *s, const struct watch_row *row);

#define SQLITE_AUDIT_COLUMNS                                                   \
    "seq, at_ms, who, action, subject, before, after, hash"

#define SQLITE_AUDIT_END "SELECT seq, hash FROM audit_end"

/* The row of these columns. */
struct audit_end sqlite_audit_end_read(sqlite3_stmt *st);

/* The row of these columns; its texts in the arena. */
struct audit_row sqlite_audit_read(sqlite3_stmt *st, struct arena *a);
