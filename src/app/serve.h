/*
 * The daemon: wires configuration, service, API and HTTP server together and
 * waits for signals. Main thread only.
 */
#pragma once

#include "app/config.h"
#include "base/err.h"

/* Runs the engine until SIGTERM or SIGINT. Takes the configuration over;
 * `config_path` (NULL: none) is read again on SIGHUP. Returns the process'
 * exit status (sysexits.h). */
int serve(const char *config_path, struct config *config);

/* Makes the state, spool, work and socket folders that are missing, private
 * to this user. 0 or a negative errno with a message that names the folder. */
NODISCARD int serve_make_folders(const struct config *config,
                                 struct err *reterr);
