/*
 * The file of the SQLite driver before and beside its use: opening it, its
 * schema, is it whole. Private to the store and its tests. The writer's thread,
 * or whoever has a connection of its own.
 */
#pragma once

#include "store/sqlite_priv.h"

int sqlite_open(const struct store_options *options, struct store **ret,
                struct store_opened *ret_opened, struct err *reterr);

/* Frees everything that open has got so far; NULL is fine. */
void sqlite_free(struct store *s);

/* Appends a path as it stands in a URI. */
void sqlite_add_uri_path(struct strbuf *out, const char *path);

/* "DIRECTORY/file"; free with mem_free. */
NODISCARD char *sqlite_path(const struct store *s, const char *file);

/* Fills reterr for a library error met while opening: -EBADMSG for damage,
 * -ENOSPC, -EBUSY or -EIO. Returns the errno. */
int sqlite_open_error(struct store *s, int rc, const char *doing,
                      struct err *reterr);

/* Refuses a file that is not ours or too new; *ret_version is 0 for a new
 * one. -EINVAL, -EBADMSG. */
NODISCARD int sqlite_schema_version(struct store *s, uint32_t *ret_version,
                                    struct err *reterr);

uint32_t sqlite_schema_newest(void);

/* The SQL that makes this version, 1 or higher, out of the one before. */
const char *sqlite_schema_step(uint32_t version);

/* From here on the ledger says how many dry runs there are. */
#define SCHEMA_DRY_RUNS 9

/* Applies what is missing, each step in a transaction of its own. */
NODISCARD int sqlite_schema_migrate(struct store *s, uint32_t from,
                                    uint32_t *ret_to, struct err *reterr);

/* Rewrites a file of an earlier version so that its pages have checksums;
 * nothing to do for one that has them. 0 or a library error code (the disk is
 * full): then it is as it was. */
NODISCARD int sqlite_schema_add_sums(struct store *s);

/* The first integer that a query gives, 0 if it gives none. 0 or a library
 * error code. */
NODISCARD int sqlite_query_u64(sqlite3 *db, const char *sql, uint64_t *ret);

/* What is looked at before the file is used: after an unclean stop (or when
 * told) an integrity check, the whole one up to 1 GiB; the checksums of all
 * pages up to 256 MiB (or when told). A file of an earlier version gets
 * checksums if that is soon done. Fills in what it did. */
NODISCARD int sqlite_check_file(struct store *s, bool full,
                                struct store_opened *opened,
                                struct err *reterr);

/* store_driver.check, and its parts for a connection that is all there is of
 * s (db and db_path): the library's own check; that, the ledger against the
 * rows, and if the schema is the newest what tables say of each other. */
NODISCARD int sqlite_check(struct store *s, struct err *reterr);
NODISCARD int sqlite_check_structure(struct store *s, struct err *reterr);
/* I10: -EBADMSG, with the row, when the audit trail is not whole. */
NODISCARD int sqlite_check_trail(struct store *s, struct err *reterr);
NODISCARD int sqlite_check_rows(struct store *s, uint32_t schema,
                                struct store_counts *ret, struct err *reterr);
