/*
 * This machine as the processes of a configuration see it: which files its
 * executor would trust, what its engine's user can read. For adctl, which is
 * run by somebody else. One thread.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "app/cli.h"
#include "app/config.h"
#include "model/runbook.h"
#include "proc/spawn.h"

struct cli_site {
    struct cli *cli;
    const struct config *config; /* borrowed */
    struct config *executor;     /* of the one that runs here; NULL: none */
    uid_t executor_uid;
    bool trusts_few;          /* its executor serves others than its own user */
    const char *repository;   /* without links; NULL: it is not here */
    struct spawn_user engine; /* whom the engine runs as */
    const char *engine_user;  /* NULL: not known, or we cannot look as it */
    const char *engine_group;
};

/* Looks around. The arena of cli holds what is found. */
void cli_site_open(struct cli *cli, const struct config *config,
                   struct cli_site *ret);
void cli_site_deinit(struct cli_site *s);

/* A file here as a path of the repository; "": the repository itself; NULL: it
 * is not in there. */
const char *cli_site_path(const struct cli_site *s, const char *file);

/* Would its executor run the file at this path of the repository, by those who
 * could have written it, and by the users that the runbook names, which was
 * loaded with that path? 0, or what is to be mended. */
NODISCARD int cli_site_trusts(const struct cli_site *s, struct str path,
                              struct err *reterr);
NODISCARD int cli_site_permits(const struct cli_site *s,
                               const struct runbook *rb, struct err *reterr);

/* Can the engine's user read it? 0 also when that cannot be said; -EACCES with
 * the commands that mend it. */
NODISCARD int cli_site_reads(const struct cli_site *s, const char *file,
                             struct err *reterr);

/* Is this process an engine ("serve") or executor of that configuration, of
 * root, the engine's user or ours? With the one that it has read, or NULL: it
 * is something else. */
struct config *cli_program_config(struct cli *cli, const struct config *config,
                                  pid_t pid, const char *verb);
