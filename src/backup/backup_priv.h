/*
 * Inside of the backups: names, the manifest and small work on files. Private
 * to backup.
 */
#pragma once

#include <sys/types.h>

#include "backup/archive.h"
#include "backup/backup.h"
#include "base/strbuf.h"

#define BACKUP_FORMAT 1
#define BACKUP_PREFIX "backup-"
#define BACKUP_PARTIAL "partial-"
#define BACKUP_MANIFEST "manifest.json"
#define BACKUP_LOCK ".lock"
#define BACKUP_STORE "engine.db"
#define BACKUP_METRICS "metrics.db"
#define BACKUP_CONFIG "config.yaml"
#define BACKUP_RUNBOOKS "runbooks"
#define BACKUP_ARCHIVE ARCHIVE_FOLDER
#define BACKUP_SHA_BYTES 32
#define BACKUP_PATH_SIZE 1024

struct backup_file {
    struct str path; /* "engine.db", "runbooks/a/b.yaml" */
    uint64_t bytes;
    uint8_t sha256[BACKUP_SHA_BYTES];
    bool is_summed; /* while a backup is made: both are known */
};

struct backup_manifest {
    struct backup_info info;
    VEC(struct backup_file) files;
    /* While a backup is made; then they are in info. */
    VEC(struct backup_missing) missing;
    uint32_t missing_more; /* for which there is no room */
};

void backup_manifest_deinit(struct backup_manifest *m);

/* ---- manifest.c ---------------------------------------------------------- */

void backup_manifest_write(const struct backup_manifest *m, struct strbuf *out);

/* Puts what is missing into info, in the arena. */
void backup_manifest_take_missing(struct backup_manifest *m, struct arena *a);

/* Reads what may have been written by anybody: paths are such as a backup can
 * have, each once. -EBADMSG. */
NODISCARD int backup_manifest_read(struct str text, struct arena *a,
                                   struct backup_manifest *ret,
                                   struct err *reterr);

/* May a backup hold a file of this name? */
bool backup_path_is_good(struct str path);

/* Is it the name of a backup's folder? */
bool backup_name_is_good(struct str name);

/* ---- list.c -------------------------------------------------------------- */

/* Opens the folder of the newest backup, or that of this name, and reads its
 * manifest. -ENOENT, -EBADMSG. */
NODISCARD int backup_open_newest(int all, struct arena *a, int *ret,
                                 struct backup_manifest *ret_manifest,
                                 struct err *reterr);
NODISCARD int backup_open_named(int all, const char *name, struct arena *a,
                                int *ret, struct backup_manifest *ret_manifest,
                                struct err *reterr);

/* ---- archive_copy.c ------------------------------------------------------ */

struct backup_archive_copy {
    const char *directory; /* of the archive */
    int all;               /* the folder of all backups */
    int own;               /* that of the new one */
};

/* Adds the archive to the new backup and its manifest. A file that the newest
 * backup has, and has as its manifest says, is linked to and not copied: it
 * takes no room again. */
NODISCARD int backup_copy_archive(const struct backup_archive_copy *copy,
                                  struct arena *a, struct backup_manifest *m,
                                  struct err *reterr);

/* ---- runbook_copy.c ------------------------------------------------------ */

struct backup_runbook_copy {
    const char *repository;
    int own; /* the folder of the new backup */
    uint64_t now_ms;
};

/* Adds the runbooks to the new backup and its manifest. Trouble with them does
 * not fail: what could not be read is named as missing. A symlink and a file
 * that is gone by now are harmless, nothing else is. */
NODISCARD int backup_copy_runbooks(const struct backup_runbook_copy *copy,
                                   struct arena *a, struct backup_manifest *m,
                                   struct err *reterr);

/* Names one more that is missing, and why. */
void backup_add_missing(struct backup_manifest *m, struct arena *a,
                        struct str path, const struct err *why, bool harmless);

/* ---- files.c ------------------------------------------------------------- */

/* "DIRECTORY/name" in the arena. */
const char *backup_join(struct arena *a, const char *directory,
                        const char *name);

/* Opens a folder, made with mode 0700 where it is missing; parents too. */
NODISCARD int backup_open_directory(const char *path, bool make, int *ret,
                                    struct err *reterr);

/* The same for one whose owner is not us: a folder that had to be made belongs
 * to whom its parent does. */
NODISCARD int backup_open_owned(const char *path, int *ret, struct err *reterr);

/* Gives a plain file, or folder, that root has just made to the owner of the
 * folder that it is in. -EMLINK: it has other names. */
NODISCARD int backup_take_owner(int folder, int fd);

/* Takes a lock file; -EBUSY with `busy` as the message. */
NODISCARD int backup_lock(int folder, const char *name, const char *busy,
                          int *ret, struct err *reterr);

/* Reads a plain file beneath the folder to its end and fills in size and
 * sum; to >= 0: writes it there as well. */
NODISCARD int backup_read_file(int folder, struct backup_file *file, int to,
                               struct err *reterr);

/* Have they the same size and sum? */
bool backup_file_is_same(const struct backup_file *x,
                         const struct backup_file *y);

/* Renames, but over nothing: -EEXIST. */
NODISCARD int backup_rename_new(int from, const char *name, int to,
                                const char *new_name);

/* Writes a new file beneath the folder, synced, with its folders. */
NODISCARD int backup_write_file(int folder, const char *path, struct str text,
                                struct err *reterr);

/* Syncs the folder itself: names in it are durable then. */
NODISCARD int backup_sync_folder(int folder, struct err *reterr);
