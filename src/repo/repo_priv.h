/*
 * Inside of the repository: what its files share. Private to repo.
 */
#pragma once

#include "base/vec.h"
#include "repo/repo.h"

/* Folders inside folders. */
#define REPO_MAX_DEPTH 16

/* Entries of any kind that one walk looks at. */
#define REPO_MAX_ENTRIES 200000

struct repo {
    char *folder;
    /* What the last generation was loaded with: runbooks hold defaults, so
     * they are shared only under the same ones. */
    struct runbook_defaults defaults;
    bool has_loaded;
};

/* A runbook file as the walk found it; problem is NULL, or why it cannot be
 * read. */
struct found_file {
    struct str path;
    const struct err *problem;
};

/* A folder that could not be read: nothing is known about its files. */
struct lost_folder {
    struct str path;
    const struct err *problem;
};

struct listing {
    VEC(struct found_file) files; /* sorted by path, each once */
    VEC(struct lost_folder) lost;
};

/* Opens the repository's folder anew: it may have been replaced since. */
NODISCARD int repo_open_folder(const struct repo *r, int *ret_fd,
                               struct err *reterr);

/* Lists every *.yaml and *.yml beneath the folder; strings and problems live
 * in the arena. -E2BIG past the limits. */
NODISCARD int repo_list(int folder_fd, struct arena *a, struct listing *ret,
                        struct err *reterr);
void listing_deinit(struct listing *l);

/* Reads a path whose form is good, as repo_read does. */
NODISCARD int repo_read_at(int folder_fd, struct str path, struct arena *a,
                           struct str *ret_text, struct err *reterr);

/* The commit that is checked out, as hexadecimal digits in the arena; empty
 * if the folder is no git repository or its files are not understood. */
struct str repo_git_commit(int folder_fd, struct arena *a);

/* The same, with "-dirty" at its end when a listed file was changed after git
 * last looked at the files (added, committed, checked out). */
struct str repo_git_describe(int folder_fd, const struct listing *list,
                             struct arena *a);
