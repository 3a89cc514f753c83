/*
 * Waiting for workflows, and showing them on the way.
 */
#pragma once

#include <jansson.h>

#include "app/cli.h"

/* Waits (at most --timeout, default 10m) until the workflow has ended, shows
 * each change, and gives its result as exit status: 0 succeeded, 1 failed,
 * cancelled or killed, 8 held, 7 not ended in time. */
int cli_wait_workflow(struct cli *cli, const char *id);

/* Waits until the event is processed and the workflows it started have
 * ended; the worst result is the exit status. */
int cli_wait_event(struct cli *cli, const char *id);

/* The name of a step of a workflow or a plan, and in brackets which section it
 * is of unless that is `steps`. */
const char *cli_step_name(struct cli *cli, const json_t *step);

/* Prints the steps of a workflow as a table. */
void cli_print_steps(struct cli *cli, const json_t *workflow);

/* Waits as cli_wait_workflow after a cancel or kill: any end is good. */
int cli_wait_stopped(struct cli *cli, const char *id);

/* Sleeps between two looks: short at first, then longer, up to a second. */
void cli_pause(unsigned *round);
