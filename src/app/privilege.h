/*
 * Who the engine runs as. Main thread, before there are others.
 */
#pragma once

#include "base/err.h"

/* Becomes the owner of the state folder when we are root and it belongs to
 * somebody else, for good, so that no file of root's is left in it: the
 * daemon that systemd starts could not use those. A folder that is missing or
 * root's changes nothing. 0, or a negative errno with a message. */
NODISCARD int privilege_drop(const char *state_directory, struct err *reterr);

/* What root's adctl is about to do with the folder of backups. */
enum privilege_use {
    PRIVILEGE_READ,   /* look at them */
    PRIVILEGE_MAKE,   /* make one */
    PRIVILEGE_RESTORE /* put one in place of the state */
};

struct privilege_folders {
    const char *state;
    const char *archive;
    const char *backups;   /* of the configuration */
    const char *directory; /* of the backups that are meant; often the same */
    enum privilege_use use;
};

/* For root's adctl: becomes the owner of the state for good when that is who
 * the folder of backups belongs to, so that nothing of root's is left where
 * the service works. Folders that the service would miss are made for it
 * before. Backups elsewhere stay root's, and must be root's alone where one is
 * made. *ret_user is who we are now, NULL: unchanged. 0, -EPERM, or another
 * error with what to do. */
NODISCARD int privilege_for_backups(const struct privilege_folders *folders,
                                    const char **ret_user, struct err *reterr);

/* For root, who is about to write in a folder, or to put a file in its place:
 * becomes the folder's owner for good, if that is somebody else, and refuses
 * what is not a place of one user alone: -EPERM, -ELOOP. One that is missing is
 * root's to make, in a folder of root's. A file has to be in a folder of
 * root's. */
NODISCARD int privilege_for_folder(const char *path, struct err *reterr);
NODISCARD int privilege_for_file(const char *path, struct err *reterr);

/* No core file, and no other process of our user may look into our memory,
 * where secrets are. After privilege_drop, which undoes it. */
NODISCARD int privilege_harden(struct err *reterr);
