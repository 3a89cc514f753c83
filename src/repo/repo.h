/*
 * The runbook repository on disk: a folder tree of *.yaml and *.yml files,
 * read through openat2 (beneath the folder, no symlinks, no magic links), so
 * no path can leave it. Produces generations for the engine and single files
 * for validation and for the executor. A bad file never hides a good one; an
 * invalid file keeps its last known good version in force. Any thread, one
 * call at a time per repo.
 */
#pragma once

#include "base/err.h"
#include "match/generation.h"
#include "model/runbook_load.h"

#define REPO_MAX_FILES 20000
#define REPO_PATH_MAX_BYTES 255

struct repo;

/* Opens the folder; -ENOENT/-EACCES/-ENOTDIR with a message. */
NODISCARD int repo_open(struct str folder, struct repo **ret,
                        struct err *reterr);
void repo_close(struct repo *r);

/* Checks the form of a repository path: relative, [A-Za-z0-9._-] segments
 * that do not start with a dot, .yaml or .yml at the end. */
NODISCARD int repo_path_check(struct str path, struct err *reterr);

/* Reads one file whole (at most RUNBOOK_MAX_BYTES), with its hash. Borrowed
 * into the arena. -EINVAL (path form), -ENOENT, -ELOOP/-EXDEV (leaves the
 * repository), -E2BIG. */
NODISCARD int repo_read(struct repo *r, struct str path, struct arena *a,
                        struct str *ret_text, struct runbook_hash *ret_hash,
                        struct err *reterr);

/* What changed between two generations; rejected counts the files that are
 * invalid now, with or without a last known good version. */
struct repo_changes {
    uint32_t added, changed, removed, rejected;
};

/* How to load, and what the new generation is called. */
struct repo_load_options {
    /* The generation in force, or NULL: gives last known good versions and
     * the unchanged runbooks, which are shared, not parsed again. */
    const struct generation *before;
    const struct runbook_defaults *defaults;
    uint64_t number;
    uint64_t now_ms;
    /* May be NULL; called every so often. */
    void (*progress)(uint32_t done, uint32_t total);
};

/* Loads everything. Only trouble with the folder itself fails, and more than
 * REPO_MAX_FILES; trouble with files is in the generation. A subfolder that
 * cannot be read stands there as a rejected file, and the runbooks known from
 * it stay in force. */
NODISCARD int repo_load(struct repo *r, const struct repo_load_options *how,
                        struct generation **ret,
                        struct repo_changes *ret_changes, struct err *reterr);

/* A number that changes when a runbook file is added, removed or written, when
 * somebody else may write to it or to its folders, or another commit is checked
 * out: names and what stat tells, no content of runbooks is read. */
NODISCARD int repo_fingerprint(struct repo *r, uint64_t *ret,
                               struct err *reterr);

/* SHA-256 of a text. */
struct runbook_hash repo_hash(struct str text);
