#include "app/cli_site.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/cli_output.h"
#include "os/eyes.h"
#include "os/process.h"
#include "proc/trust.h"

/* ---- who runs here ------------------------------------------------------- */

static bool take_executor(void *context, const struct os_process *p)
{
    struct cli_site *s = context;
    uid_t user = 0;
    struct config *c =
        cli_program_config(s->cli, s->config, p->pid, "executor");
    if (c == NULL || os_process_user(p->pid, &user) < 0) {
        config_free(c);
        return true;
    }
    s->executor = c;
    s->executor_uid = user;
    return false;
}

/* One that runs as root serves others, and so does one whose socket is somebody
 * else's. Where none runs, a host's root speaks for the one that will. */
static void find_executor(struct cli_site *s)
{
    struct stat st;
    bool socket = stat(s->config->executor_socket, &st) == 0;
    int r = os_process_each(take_executor, s);
    if (r < 0 || s->executor == NULL) {
        s->executor_uid = 0;
        s->trusts_few = geteuid() == 0 || (socket && st.st_uid != geteuid());
    } else {
        s->trusts_few =
            s->executor_uid == 0 || (socket && st.st_uid != s->executor_uid);
    }
}

/* The state is the engine's own. */
static void find_engine(struct cli_site *s)
{
    struct stat st;
    struct err ignored = ERR_INIT;
    if (geteuid() != 0 || stat(s->config->state_directory, &st) < 0 ||
        st.st_uid == 0) {
        return;
    }
    const struct passwd *user = getpwuid(st.st_uid);
    if (user == NULL) {
        return;
    }
    const char *name = cli_text(s->cli, "%s", user->pw_name);
    const struct group *group = getgrgid(user->pw_gid);
    if (group == NULL || spawn_user_find(name, &s->engine, &ignored) < 0) {
        return;
    }
    s->engine_user = name;
    s->engine_group = cli_text(s->cli, "%s", group->gr_name);
}

/* Every link on the way followed. */
static const char *without_links(struct cli *cli, const char *path)
{
    char *real = realpath(path, NULL);
    const char *copy = real != NULL ? cli_text(cli, "%s", real) : NULL;
    free(real);
    return copy;
}

void cli_site_open(struct cli *cli, const struct config *config,
                   struct cli_site *ret)
{
    *ret = (struct cli_site){.cli = cli, .config = config};
    ret->repository = without_links(cli, config->repository);
    find_executor(ret);
    find_engine(ret);
}

void cli_site_deinit(struct cli_site *s)
{
    config_free(s->executor);
    spawn_user_deinit(&s->engine);
    s->executor = NULL;
}

/* ---- looks ----------------------------------------------------------------
 */

const char *cli_site_path(const struct cli_site *s, const char *file)
{
    const char *real = without_links(s->cli, file);
    size_t len = s->repository != NULL ? strlen(s->repository) : 0;
    if (real == NULL || len == 0 || strncmp(real, s->repository, len) != 0) {
        return NULL;
    }
    return real[len] == '\0' ? "" : real[len] == '/' ? real + len + 1 : NULL;
}

/* The executor's sentences end with the command that helps. */
static void split_command(struct err *e)
{
    static const char *const commands[] = {": chmod ", ": chown "};
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        char *at = strstr(e->message, commands[i]);
        if (at != NULL && strlen(at + 2) < sizeof(e->hint)) {
            err_hint(e, "%s", at + 2);
            *at = '\0';
            return;
        }
    }
}

int cli_site_trusts(const struct cli_site *s, struct str path,
                    struct err *reterr)
{
    struct trust trust;
    int r = s->trusts_few ? trust_look(s->config->repository, path,
                                       s->executor_uid, &trust, reterr)
                          : 0;
    if (r != -EPERM) {
        return 0; /* what we may not see it may */
    }
    split_command(reterr);
    return r;
}

int cli_site_permits(const struct cli_site *s, const struct runbook *rb,
                     struct err *reterr)
{
    struct trust trust = {.root = true};
    const struct executor_options o =
        config_executor(s->executor != NULL ? s->executor : s->config);
    struct err ignored = ERR_INIT;
    if (s->trusts_few && trust_look(s->config->repository, rb->path,
                                    s->executor_uid, &trust, &ignored) < 0) {
        return 0; /* told by itself */
    }
    /* Steps that name nobody run as executor.user, or as the executor. */
    bool named = o.default_user == NULL && s->executor_uid != geteuid();
    named = named || s->executor == NULL;
    int r = permit_runbook(&o, rb, &trust, named, reterr);
    return r == -EPERM || r == -ENOENT ? r : 0;
}

int cli_site_reads(const struct cli_site *s, const char *file,
                   struct err *reterr)
{
    char where[PATH_MAX] = "";
    bool folder = false;
    const char *real = without_links(s->cli, file);
    if (s->engine_user == NULL || real == NULL) {
        return 0;
    }
    const struct os_eyes eyes = {
        .uid = s->engine.uid,
        .gid = s->engine.gid,
        .groups = s->engine.groups,
        .group_count = (size_t)s->engine.group_count,
    };
    int r = os_eyes_read(&eyes, real, where, sizeof(where), &folder);
    if (r != -EACCES) {
        return 0;
    }
    const char *mode = folder ? "750" : "640";
    const char *mend = cli_text(s->cli, "chgrp %s %s; chmod %s %s",
                                s->engine_group, where, mode, where);
    if (strlen(mend) < sizeof(reterr->hint)) {
        err_hint(reterr, "%s", mend);
    } else { /* half a command would be worse than none */
        err_hint(reterr, "give it the group %s and the mode %s",
                 s->engine_group, mode);
    }
    return err_set(reterr, -EACCES, "the engine's user %s cannot %s %s",
                   s->engine_user, folder ? "enter the folder" : "read", where);
}
