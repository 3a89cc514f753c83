#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "proc/spawn.h"

#define RECORD_BYTES 65536

/* One entry of the user database, whole. */
static int look_up(const char *name, struct passwd *ret, char *buffer)
{
    struct passwd *hit = NULL;
    int r = getpwnam_r(name, ret, buffer, RECORD_BYTES, &hit);
    if (r != 0 && r != ENOENT && r != ESRCH) {
        return -r;
    }
    return hit != NULL ? 0 : -ENOENT;
}

int spawn_user_find(const char *name, struct spawn_user *ret,
                    struct err *reterr)
{
    struct passwd entry;
    CLEANUP(mem_freep) char *buffer = mem_alloc(RECORD_BYTES, 1);
    int r = look_up(name, &entry, buffer);
    if (r < 0) {
        return err_set(reterr, r, "cannot find the user '%s': %s", name,
                       r == -ENOENT ? "no such user" : strerror(-r));
    }
    CLEANUP(mem_freep)
    gid_t *groups = mem_alloc(SPAWN_GROUPS_MAX, sizeof(*groups));
    int count = SPAWN_GROUPS_MAX;
    if (getgrouplist(name, entry.pw_gid, groups, &count) < 0) {
        return err_set(reterr, -E2BIG, "the user '%s' is in too many groups",
                       name);
    }
    *ret = (struct spawn_user){
        .uid = entry.pw_uid,
        .gid = entry.pw_gid,
        .groups = TAKE(groups),
        .group_count = count,
        .home = str_dup(str_c(entry.pw_dir)),
    };
    return 0;
}

void spawn_user_deinit(struct spawn_user *u)
{
    mem_free(u->groups);
    mem_free(u->home);
    *u = (struct spawn_user){0};
}
