/*
 * Which ${{ }} paths a runbook may use, and where: event fields in a
 * trigger's `parameters:`, parameters and the workflow's id in `argv:` and
 * `env:` of a step, none in `command:`. Part of the loader. Pure.
 */
#pragma once

#include "model/runbook_load_priv.h"

/* Report every path of the template that has no place there. */
void paths_check_trigger(struct loader *l, const struct yaml_node *n,
                         const struct template *t);
void paths_check_step(struct loader *l, const struct yaml_node *n,
                      const struct template *t);

/* For an element of argv: secrets have no place there either. */
void paths_check_argument(struct loader *l, const struct yaml_node *n,
                          const struct template *t);

/* Reports ${{ in shell text, with the way to write it instead, and
 * $ADP_PARAM_ names that no parameter has. */
void paths_check_command(struct loader *l, const struct yaml_node *n,
                         struct str command);
