#include "app/privilege.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/log.h"

/* Groups first: without root they cannot be changed any more. */
static int become(const struct passwd *user)
{
    if (initgroups(user->pw_name, user->pw_gid) < 0 ||
        setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
        setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0) {
        return -errno;
    }
    /* A kernel or a filter that only said yes must not go unnoticed. */
    return setresuid((uid_t)-1, 0, (uid_t)-1) == 0 ? -EPERM : 0;
}

int privilege_drop(const char *state_directory, struct err *reterr)
{
    struct stat st;
    if (geteuid() != 0 || stat(state_directory, &st) < 0 || st.st_uid == 0) {
        return 0;
    }
    errno = 0;
    const struct passwd *user = getpwuid(st.st_uid);
    if (user == NULL) {
        err_hint(reterr, "chown it to the user that the engine shall run as");
        return err_set(reterr, -EINVAL,
                       "the state folder %s belongs to the user id %u, which "
                       "has no name",
                       state_directory, (unsigned)st.st_uid);
    }
    int r = become(user);
    if (r < 0) {
        return err_set(reterr, r, "cannot become the user %s, who owns %s: %s",
                       user->pw_name, state_directory, strerror(-r));
    }
    log_info("running as %s, who owns %s", user->pw_name, state_directory);
    return 0;
}

/* The leak checker of the sanitizer reads the process from outside. */
#if defined(__SANITIZE_ADDRESS__)
#define IS_CHECKED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_CHECKED true
#endif
#endif
#ifndef IS_CHECKED
#define IS_CHECKED false
#endif

int privilege_harden(struct err *reterr)
{
    const struct rlimit none = {0, 0};
    if (IS_CHECKED) {
        return 0;
    }
    /* A unit that takes the call away sets the limit itself, and a process
     * that is not dumpable leaves no core file anyway. */
    if ((setrlimit(RLIMIT_CORE, &none) < 0 && errno != EPERM) ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        return err_set(reterr, -errno, "cannot protect the memory: %s",
                       strerror(errno));
    }
    return 0;
}
