/*
 * A database file may be somebody else's work: a backup that was put back, or a
 * state folder that another program could write to. Nothing in its schema may
 * run by itself. For every connection, of this module and above.
 */
#pragma once

#include <sqlite3.h>

#include "base/err.h"

/* Before anything else is done with the connection: no triggers, no views, no
 * functions that the schema calls, and no writing to the schema as to a table.
 * A library error code. */
NODISCARD int sqlite_harden(sqlite3 *db);

struct store;

/* Is the schema word for word what this program makes for that version? If not,
 * -EBADMSG, and says what is too much, missing or different. s: a connection is
 * all there is of it (db and db_path). */
NODISCARD int sqlite_schema_own(struct store *s, uint32_t version,
                                struct err *reterr);
