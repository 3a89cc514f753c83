/*
 * What adctl says while something takes its time: one line on the terminal of
 * stderr that counts the seconds, from CLI_BUSY_AFTER_MS on, and goes when it
 * is over. Without a terminal there: nothing.
 */
#pragma once

#include "app/cli.h"

#define CLI_BUSY_AFTER_MS 2000

/* From now on we are busy with this ("verifying the backup"). Said again, with
 * another text, the seconds count on. NULL: it is over, the line goes; also
 * when it never came. Everything that prints on stderr does that first. */
void cli_busy(struct cli *cli, const char *what);

/* Whether something is said already, by whoever called us. */
bool cli_is_busy(const struct cli *cli);
