/*
 * What a configuration says about this machine, which no parser can know:
 * users and groups, the key pair of the server, folders and who may write to
 * them. Looks and changes nothing. Any thread.
 */
#pragma once

#include "app/config.h"

/* Adds what is wrong to the report, each problem at the place of its option.
 * Returns -EINVAL when there is an error among it: the engine would not start,
 * or would run steps as nobody that there is. */
NODISCARD int config_check_host(const struct config *c,
                                struct config_report *report);

/* Who besides its owner may write to a file or folder: "everybody", "its
 * group", "" for nobody; NULL: it cannot be looked at. */
const char *config_host_writers(const char *path);
