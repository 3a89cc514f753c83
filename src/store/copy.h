/*
 * Copies of a SQLite file: made while its engine writes, verified, and made
 * ready to be used again. What backups are made of. Any thread; the functions
 * open what they need themselves.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "store/reader.h"

/* Called every so often, with pages done and to do. */
typedef void store_progress_fn(void *context, uint64_t done, uint64_t total);

struct store_progress {
    store_progress_fn *fn; /* NULL: nobody wants to know */
    void *context;
};

/* Makes a consistent copy of the database at `from` as the new file `to`
 * (mode 0600, synced), page by page under one read transaction: writers go on,
 * only their log grows. Every page is verified as it is read. 0, -ENOENT,
 * -EBADMSG (damaged), -EEXIST (`to` is there), -ELOOP (`from` is a symlink),
 * -ENOSPC, -EIO. A copy that was not finished is left for the caller to
 * remove. */
NODISCARD int store_copy(const char *from, const char *to,
                         const struct store_progress *progress,
                         struct err *reterr);

/* What stands in an engine's database. */
struct store_summary {
    uint32_t schema;
    bool sums; /* its pages have checksums */
    struct store_counts counts;
    uint64_t last_event_seq;
    uint64_t last_event_ms;    /* when it was received; 0: there is none */
    uint64_t last_workflow_ms; /* when the newest was created */
    char trail[384]; /* why the audit trail is not whole; "": it is. Nothing
                        else is worth less for that */
};

/* Is the copy of an engine's database whole? Reads every page, checks its
 * structure, and of this version's schema also what tables say of each other:
 * the ledger, spans; and the audit trail, which is no damage (s->trail). Nobody
 * may have it open. 0, -ENOENT, -EBADMSG with what is wrong, -EINVAL (another
 * program's, or too new). */
NODISCARD int store_verify(const char *path, struct store_summary *ret,
                           struct err *reterr);

/* The same for a SQLite file of another kind: its structure only. */
NODISCARD int store_verify_other(const char *path, struct err *reterr);
