/*
 * What can still be read of a damaged database: its pages have checksums, so
 * what is read is what was written, and the rest is skipped. Any thread; opens
 * the file itself, changes nothing in it.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "model/event.h"

/* One event; `status` is an enum event_status, or -1 when that is on a page
 * that cannot be read. The strings are the call's. Negative: ends it all. */
typedef int store_salvage_fn(void *context, const struct event *e, int status);

struct store_salvaged {
    uint64_t events; /* given */
    uint64_t gaps;   /* places where something could not be read */
};

/* Gives the events of the database in `directory` that it had accepted after
 * the one numbered after_seq, oldest first. 0, what fn gave, or -ENOENT,
 * -EBADMSG (nothing of it can be read), -EINVAL (not of this version). */
NODISCARD int store_salvage(const char *directory, uint64_t after_seq,
                            store_salvage_fn *fn, void *context,
                            struct store_salvaged *ret, struct err *reterr);
