/*
 * What a backup has besides the state: runbooks and configuration. They belong
 * to root where the state does not, so one process reads them out of a backup
 * and another may put them in their places: what is put comes as texts.
 * Nothing that is there is lost: it is set aside. Any thread.
 *
 *   runbooks/                            what is put here
 *     .git/, README.md, …                stays as it is
 *     remediation/…                      runbooks
 *     .before-20261128T033000Z/…         runbooks of before, if they differ
 *   config.yaml
 *   config.yaml.before-20261128T033000Z  the one of before, if it differs
 */
#pragma once

#include <sys/types.h>

#include "backup/backup.h"

#define BACKUP_ASIDE_SIZE 4096

/* ---- reading ------------------------------------------------------------- */

/* One file out of a backup; less than 0 ends the reading. */
typedef int backup_text_fn(void *context, struct str path, struct str text,
                           struct err *reterr);

/* Gives every runbook of the backup, by its path in the repository. Each must
 * be what the manifest says: -EBADMSG. */
NODISCARD int backup_read_runbooks(const char *directory, const char *name,
                                   struct arena *a, backup_text_fn *fn,
                                   void *context, struct err *reterr);

/* The configuration, in the arena. 1, or 0: the backup has none. -EBADMSG. */
NODISCARD int backup_read_config(const char *directory, const char *name,
                                 struct arena *a, struct str *ret,
                                 struct err *reterr);

/* ---- putting ------------------------------------------------------------- */

struct backup_put_options {
    const char *path; /* the repository's folder, or the configuration */
    uint64_t now_ms;
    bool replace; /* also where there is something */
    gid_t group;  /* who else reads a configuration that was not there */
};

struct backup_put_result {
    uint32_t written;
    uint32_t unchanged; /* was there, and is the same */
    uint32_t aside;     /* was there, and is set aside below: */
    char aside_path[BACKUP_ASIDE_SIZE];
    bool has_git; /* the folder is a repository of git */
};

struct backup_put;

/* Begins putting runbooks back. Nothing is changed yet. -EEXIST: the folder
 * has runbooks, and shall keep them; -EBUSY: somebody else is at it. */
NODISCARD int backup_put_begin(const struct backup_put_options *options,
                               struct backup_put **ret, struct err *reterr);

/* Takes one, under a path whose form is checked. The folder is made if it is
 * missing; what is taken stands in a hidden folder there. */
NODISCARD int backup_put_add(struct backup_put *p, struct str path,
                             struct str text, struct err *reterr);

/* Sets aside what is there and differs, and puts in place what was taken. Told
 * again after being killed, it goes on. */
NODISCARD int backup_put_end(struct backup_put *p,
                             struct backup_put_result *ret, struct err *reterr);

/* What was taken and not put in place goes. NULL is fine. */
void backup_put_free(struct backup_put *p);

/* Puts the configuration in its place, with the owner and mode of the one that
 * is there, or for root and the group. There is one at any moment. -EEXIST:
 * there is one, and it shall stay. */
NODISCARD int backup_put_config(const struct backup_put_options *options,
                                struct str text, struct backup_put_result *ret,
                                struct err *reterr);
