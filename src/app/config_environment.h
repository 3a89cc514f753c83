/*
 * The file of environment variables that a unit is given (EnvironmentFile=,
 * systemd.exec(5)), for those who read the service's configuration in a shell.
 * Any thread.
 */
#pragma once

#include "base/attr.h"
#include "base/str.h"
#include "base/strbuf.h"

/* What the service's units read. */
#define CONFIG_ENVIRONMENT_DEFAULT "/etc/default/autonomous-devops"

#define CONFIG_ENVIRONMENT_MAX_BYTES (64UL * 1024)

/* Appends the value that the text of such a file gives the variable; the last
 * one counts. 0 or -ENOENT. */
NODISCARD int config_environment_find(struct str text, struct str name,
                                      struct strbuf *out);

/* The same from the file; also what os_read_file says (-EACCES, -E2BIG). */
NODISCARD int config_environment_read(const char *path, struct str name,
                                      struct strbuf *out);
