/* Inside the store: a database file that is no engine's, opened by itself. */
#pragma once

#include "store/sqlite_open.h"

/* A connection with a path for messages: what the checks of the driver
 * take. */
struct copy_file {
    struct store store;
};

/* `how` is added to the URI ("?mode=ro"). Close it in any case. */
NODISCARD int copy_file_open(struct copy_file *f, const char *path,
                             const char *how, int flags, struct err *reterr);
void copy_file_close(struct copy_file *f);

/* Fills reterr for a library error; returns the errno. */
int copy_file_error(struct copy_file *f, int rc, const char *doing,
                    struct err *reterr);
