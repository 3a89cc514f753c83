/*
 * adctl doctor: what its checks share. Private to cli_doctor*.c.
 */
#pragma once

#include <stdbool.h>

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

/* Whom steps run as, from the executors of this machine. */
void doctor_steps(struct visit *v);
void doctor_space(struct visit *v);
void doctor_clock(struct visit *v);
