/*
 * adctl doctor: what its checks share. Private to cli_doctor*.c.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "app/cli_http.h"
#include "app/config.h"
#include "base/attr.h"

enum finding { GOOD, WARNING, BAD, SKIPPED };

struct visit {
    struct cli *cli;
    json_t *items;
    const char *check; /* the one that is running */
    unsigned bad;
    unsigned warnings;
    struct config *config; /* NULL: none that can be read */
    const char *no_config; /* why not */
    struct cli_answer health;
    json_t *metrics; /* NULL: unknown */
};

/* A finding of the check that is running; next: what to do, or NULL. */
void doctor_say(struct visit *v, enum finding verdict, const char *next,
                const char *fmt, ...) PRINTF_LIKE(4, 5);

/* The engine's own word on a part of it; NULL: unknown. */
const json_t *doctor_health(const struct visit *v, const char *name);
bool doctor_is_well(const struct visit *v, const char *name);
bool doctor_is_known(const struct visit *v); /* did the engine say anything? */

/* ---- checks of this machine (cli_doctor_host.c) ------------------------- */

/* Who may write what decides what runs. */
void doctor_permissions(struct visit *v);

void doctor_space(struct visit *v);
void doctor_clock(struct visit *v);

/* ---- checks of the processes (cli_doctor_programs.c) --------------------- */

/* Whom steps run as, from the executors of this machine. */
void doctor_steps(struct visit *v);

/* Does what runs come from the files that are installed now? */
void doctor_programs(struct visit *v);

/* ---- checks of the service's units (cli_doctor_units.c) ------------------ */

/* The file of the configuration; NULL: there is none. */
const char *doctor_config_path(const struct visit *v);

/* May the units write where the configuration tells them to? */
void doctor_folders(struct visit *v);

/* Is the engine that has the store the unit's? */
void doctor_service(struct visit *v);

/* What the unit of the engine is, and who has the store. */
enum doctor_service_state {
    DOCTOR_SERVICE_OURS,    /* the unit's engine has it */
    DOCTOR_SERVICE_FOREIGN, /* another engine has it */
    DOCTOR_SERVICE_STARTS,  /* the unit runs, and has it not yet */
    DOCTOR_SERVICE_DOWN     /* nobody has it, and the unit does not run */
};

/* From the unit's ActiveState and MainPID (0: none) and the process that holds
 * the lock of the store (0: none). */
enum doctor_service_state doctor_judge_service(const char *active,
                                               pid_t main_pid, pid_t holder);

/* How old is the newest backup? */
void doctor_backups(struct visit *v);

/* What a unit's sandbox says about paths; lists end in NULL, and a path may
 * have "-" and "+" before it, as in the unit. */
struct doctor_unit_paths {
    const char *protect_system;   /* "strict", "full", "yes", "no" */
    const char *const *writable;  /* ReadWritePaths= */
    const char *const *state;     /* StateDirectory=, below /var/lib */
    const char *const *read_only; /* ReadOnlyPaths=, InaccessiblePaths= */
};

/* Does the sandbox leave the path writable? The longest rule that covers it
 * counts. */
bool doctor_unit_may_write(const struct doctor_unit_paths *u, const char *path);
