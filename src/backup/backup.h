/*
 * Backups: one folder each below the folder of all backups, made while the
 * engine writes, verified before it gets its name, and restored by moving what
 * is there aside, never by deleting it. Nothing in a backup is packed: it is
 * SQLite files, copies of plain files, and a manifest with the SHA-256 of each.
 *
 *   backup-20261127T024500Z/
 *     manifest.json   what it is; written last
 *     engine.db       the store
 *     metrics.db      the history of metrics, if there is one
 *     config.yaml     the configuration in force, secrets left out
 *     runbooks/…      the runbook files
 *     archive/…       the files of archived workflows
 *
 * Nothing here needs a running engine, and nothing disturbs one. Functions
 * take paths and open what they need; any thread, any process: a lock file
 * keeps two from making or restoring at the same time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/vec.h"
#include "store/copy.h"

#define BACKUP_NAME_SIZE 40
#define BACKUP_MAX_FILES 30100 /* of one backup: runbooks, archive, some */
#define BACKUP_MANIFEST_MAX_BYTES (12UL * 1024 * 1024)
#define BACKUP_MISSING_MAX 100 /* that are named; the last stands for more */

/* What could not be copied when a backup was made. */
struct backup_missing {
    struct str path;  /* "runbooks/a.yaml", "runbooks": all of them */
    struct str why;   /* one sentence */
    bool is_harmless; /* nothing of ours, or nothing that is needed */
};

/* What a manifest says. Strings live in the caller's arena. */
struct backup_info {
    struct str name;    /* of its folder */
    struct str broken;  /* why it is no good; then nothing below is set */
    struct str version; /* of the program that made it */
    struct str host;
    struct str runbook_commit; /* "" if none */
    uint64_t made_ms;
    uint64_t bytes; /* of all its files */
    uint32_t files;
    uint32_t runbooks;
    uint32_t archives; /* files of the archive */
    uint32_t schema;
    uint64_t shared_bytes; /* of a list: of these files of the archive other
                              backups have the same, and they take room once */
    uint64_t accepted;     /* events ever */
    uint64_t workflows;
    uint64_t last_event_seq;
    uint64_t last_event_ms; /* 0: there was none */
    const struct backup_missing *missing;
    uint32_t missing_count;
    bool is_incomplete; /* some of it is not harmless */
    struct str trail;   /* made or verified: why the audit trail is not whole;
                           "": it is */
};

/* ---- making ------------------------------------------------------------- */

struct backup_make_options {
    const char *directory;       /* of all backups; made if missing, 0700 */
    const char *state_directory; /* of the engine */
    const char *repository;      /* of runbooks; NULL: leave them out */
    const char *archive;         /* folder; NULL: leave it out */
    struct str config;           /* text for config.yaml; "" : leave it out */
    uint64_t now_ms;
    struct store_progress progress;
};

/* Makes one and verifies it. -EBUSY: another one is being made; -ENOENT: there
 * is no store; -EBADMSG: the store is damaged, or the copy is; -ENOSPC. What
 * was not finished is removed, at the latest by the next one. Runbooks and
 * metrics that cannot be read fail nothing: *ret and the manifest name them. */
NODISCARD int backup_make(const struct backup_make_options *options,
                          struct arena *a, struct backup_info *ret,
                          struct err *reterr);

/* Which are kept: all that are younger than keep_all_ms, and the newest of each
 * UTC day for keep_days days. What together has more than max_bytes is thinned
 * out: first those within an hour go, then those within a day, at last the
 * oldest days; but never the newest two. */
struct backup_keep {
    uint64_t keep_all_ms;
    uint32_t keep_days;
    uint64_t max_bytes;
};

/* Removes the others, broken ones that are older than keep_all_ms as well. */
NODISCARD int backup_prune(const char *directory,
                           const struct backup_keep *keep, uint64_t now_ms,
                           uint32_t *ret_removed, struct err *reterr);

/* ---- looking ------------------------------------------------------------ */

struct backup_list {
    VEC(struct backup_info) items; /* newest first */
};

/* All that are there, by their manifests; -ENOENT: there is no folder. */
NODISCARD int backup_list(const char *directory, struct arena *a,
                          struct backup_list *ret, struct err *reterr);
void backup_list_deinit(struct backup_list *l);

/* The newest one whose manifest can be read: it was verified when it was made.
 * Reads little. -ENOENT: there is none, or no folder. */
NODISCARD int backup_last(const char *directory, struct arena *a,
                          struct backup_info *ret, struct err *reterr);

/* Reads every byte: names, sizes and sums of the manifest, and what
 * store_verify says. The name is one path segment. 0, -ENOENT, -EBADMSG. */
NODISCARD int backup_verify(const char *directory, const char *name,
                            struct arena *a, struct backup_info *ret,
                            struct err *reterr);

/* The newest one that verifies; those before it in the list that do not are
 * told to `broken`, if that is not NULL. -ENOENT: there is none. */
typedef void backup_broken_fn(void *context, const char *name,
                              const struct err *why);
NODISCARD int backup_newest(const char *directory, struct arena *a,
                            struct backup_info *ret, backup_broken_fn *broken,
                            void *context, struct err *reterr);

/* ---- restoring ----------------------------------------------------------- */

/* Moves the store's files together into state/quarantine/TIME, a folder that
 * was not there before; nothing is deleted. A note of a restore goes: it was
 * about this store. *ret_folder (in the arena) is "" when there were none. The
 * engine must not run. */
NODISCARD int backup_set_aside(const char *state_directory, uint64_t now_ms,
                               struct arena *a, struct str *ret_folder,
                               struct err *reterr);

struct backup_restore_options {
    const char *directory;
    const char *name;            /* of a backup that was verified */
    const char *state_directory; /* made if missing, with its parent's owner */
    uint64_t now_ms;
    struct str why; /* for the engine: "damaged: …", "by uid:0" */
    bool salvage;   /* the engine shall read from the old store what that had
                       accepted after the backup was made */
};

/* Puts the backup's store (and metrics) in place of what is there, which is
 * set aside, and leaves a note for the engine's next start (backup_pending).
 * Killed at any moment, the store is afterwards the old or the new one, or the
 * next start finishes the job. -EBUSY: an engine uses the folder. */
NODISCARD int backup_restore(const struct backup_restore_options *options,
                             struct arena *a, struct str *ret_aside,
                             struct err *reterr);

/* Puts those files of the backup's archive that are missing into the archive,
 * which is made if it is. A file that is there and is not what the manifest
 * says becomes NAME.damaged; one that is younger than the backup stays. Nothing
 * of the state is touched: done before backup_restore, or again. */
NODISCARD int backup_restore_archive(const char *directory, const char *name,
                                     const char *archive, struct arena *a,
                                     uint32_t *ret_files, struct err *reterr);

/* The note of a restore that the engine has not taken account of yet. */
struct backup_note {
    struct str backup;
    struct str why;
    uint64_t made_ms; /* of the backup: what is younger is lost */
    uint64_t restored_ms;
    struct str aside; /* where the old store is; "" if there was none */
    bool salvage;     /* as it was asked for */
};

/* For the start of the engine, before the store is opened: finishes what a
 * killed restore has begun. 1 and the note, 0 if there is none. */
NODISCARD int backup_pending(const char *state_directory, struct arena *a,
                             struct backup_note *ret, struct err *reterr);

/* Only the note, as backup_pending gives it: the engine's store is open. */
NODISCARD int backup_read_note(const char *state_directory, struct arena *a,
                               struct backup_note *ret, struct err *reterr);

/* The engine has taken account of the note. */
NODISCARD int backup_settle(const char *state_directory, struct err *reterr);
