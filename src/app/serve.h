/*
 * The daemon: wires configuration, service, API and HTTP server together and
 * waits for signals. Main thread only.
 */
#pragma once

#include "app/config.h"
#include "base/err.h"

/* Runs the engine until SIGTERM or SIGINT. Takes the configuration over;
 * its sources are read again on SIGHUP, and handed to an executor that is
 * started. Returns the process' exit status (sysexits.h). */
int serve(const struct config_sources *sources, struct config *config);

/* Makes what is missing of the executor's folders (spool, work, that of its
 * socket), private to this user. 0 or a negative errno with a message that
 * names the folder. */
NODISCARD int serve_make_executor_folders(const struct config *config,
                                          struct err *reterr);
