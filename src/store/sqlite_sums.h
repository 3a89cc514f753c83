/*
 * Checksums of database pages: a layer between SQLite and its usual VFS. The
 * library notices a page that makes no sense, but not one whose content has
 * quietly changed. Each page of the main file that is written gets a checksum
 * of its content and number in its last SQLITE_SUM_BYTES, which the library
 * leaves free ("reserved bytes", https://sqlite.org/fileformat2.html, 1.3.4);
 * each that is read whole must have the right one, or the read fails with
 * SQLITE_IOERR_DATA, which means: damaged. The write-ahead log has checksums of
 * its own. A file without room for them (made by an earlier version) is used
 * as it is.
 *
 * Any thread; a file belongs to its connection.
 */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

#define SQLITE_SUM_BYTES 8
#define SQLITE_PAGE_BYTES 4096 /* of files that we make */

/* The name of the layer, for sqlite3_open_v2; on top of the VFS that is the
 * default now. */
const char *sqlite_sums_vfs(void);

/* Makes room for checksums: at once in a file that is still empty, else at the
 * next VACUUM. To be called before anything else is done with the connection.
 * 0 or a library error code. */
NODISCARD int sqlite_sums_reserve(sqlite3 *db);

/* Has the file of this connection checksums? The library must have looked at
 * it. */
NODISCARD bool sqlite_sums_used(sqlite3 *db);

/* Reads every page of the main file, free ones as well, past the log: nobody
 * may write meanwhile, and the log must have been copied. 0 and how many there
 * were, or a library error code (SQLITE_IOERR_DATA: damaged) and the number of
 * the page. */
NODISCARD int sqlite_sums_scan(sqlite3 *db, uint64_t *ret_page);

/* The checksum of page `number` (from 1), whose bytes are multiples of 8; any
 * change of up to eight neighbouring bytes (a multiple of 8 from the start)
 * changes it for certain. */
uint64_t sqlite_sum(const void *page, size_t bytes, uint64_t number);
