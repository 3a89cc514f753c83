/*
 * The files of a configuration, beside loading them: whether they have changed
 * since, and what can be known of the engine that reads them. Looks and changes
 * nothing. Any thread.
 */
#pragma once

#include "app/config.h"

/* Are the files of the sources still those that the configuration was read
 * from? If not, appends what the first other one is ("/etc/x.yaml has
 * changed", "... is new", "... is gone") and returns true. Contents count, and
 * are looked at only where size or time are others. */
bool config_is_stale(const struct config *c,
                     const struct config_sources *sources, struct strbuf *ret);

/* A number that is another one when a file of the sources has come, gone or
 * been written; nothing is read for it. 0: there are no files. */
uint64_t config_files_mark(const struct config_sources *sources);

/* The URL of an engine that listens so, for callers on its machine, in the
 * arena; NULL: nobody can know (port 0). */
const char *config_server_url(const char *listen, bool tls, struct arena *a);

/* The same from a file and its config.d, whatever else is wrong in them. NULL:
 * they cannot be read or do not say. */
const char *config_peek_server(const char *path, struct arena *a);
