/*
 * The archive: workflows that have left the store because somebody asked for
 * it, in files of lines (workflows-TIME.ndjson). A file is written under
 * another name, gets its own when it is on the disk, and is never changed
 * after that; it goes when it is too old, or the oldest when all are too
 * large. The folder stands beside the state's, so that a state that is thrown
 * away takes no archive along, and every backup holds it.
 *
 * Functions take paths and open what they need. Any thread; one engine.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/vec.h"

#define ARCHIVE_FOLDER "archive" /* beside the state, and in a backup */
#define ARCHIVE_PART ".part"     /* behind the name until it is whole */
#define ARCHIVE_NAME_SIZE 48
#define ARCHIVE_MAX_FILES 10000 /* in the folder; one more is refused */
#define ARCHIVE_PRUNE_MAX 8     /* files that go at a time */

struct archive_file {
    struct str name;
    uint64_t made_ms; /* from the name */
    uint64_t bytes;
};

struct archive_list {
    VEC(struct archive_file) items; /* oldest first */
};

/* Is it the name of an archive's file? *ret_ms: when it was made; may be
 * NULL. */
bool archive_name_is_good(struct str name, uint64_t *ret_ms);

/* Opens the folder. -ENOENT: there is none; with `make` it is made (0700). */
NODISCARD int archive_open(const char *directory, bool make, int *ret,
                           struct err *reterr);

/* Makes a new file of this time under its name and ARCHIVE_PART, and says that
 * name without ARCHIVE_PART. -ENOSPC (the disk), -EDQUOT: the folder holds
 * ARCHIVE_MAX_FILES. */
NODISCARD int archive_create(int folder, uint64_t now_ms,
                             char ret_name[ARCHIVE_NAME_SIZE], int *ret,
                             struct err *reterr);

/* The file is whole: on the disk, under its name, when this returns 0. */
NODISCARD int archive_finish(int folder, const char *name, int fd,
                             struct err *reterr);

/* It is not wanted. */
void archive_discard(int folder, const char *name);

/* What is in the open folder. */
NODISCARD int archive_list(int folder, struct arena *a,
                           struct archive_list *ret, struct err *reterr);
void archive_list_deinit(struct archive_list *l);

/* Which are kept: those younger than keep_ms (0: any), of these the newest
 * that together have at most max_bytes (0: any); but always the newest one. */
struct archive_keep {
    uint64_t keep_ms;
    uint64_t max_bytes;
};

struct archive_removed {
    uint32_t files; /* at most ARCHIVE_PRUNE_MAX */
    uint64_t bytes;
};

/* Removes what is not kept, the oldest first; what is too much for one time
 * comes the next time. 0 also when there is no folder. */
NODISCARD int archive_prune(const char *directory,
                            const struct archive_keep *keep, uint64_t now_ms,
                            struct archive_removed *ret, struct err *reterr);

/* For the start of the engine: moves the files of a folder `archive` inside
 * the state's, where earlier versions had it, and removes what was not
 * finished. A file is copied where it cannot be renamed, and there is never a
 * moment without it. */
NODISCARD int archive_adopt(const char *state_directory, const char *directory,
                            uint32_t *ret_moved, struct err *reterr);
