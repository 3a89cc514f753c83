/*
 * What the lists of keys of triggers share: GET /api/guards, which has what is
 * remembered of them, and GET /api/guards/pending, which has what is due.
 */
#pragma once

#include "api/api_priv.h"
#include "store/reader.h"

/* The trigger of this name; NULL: the runbook, which may be NULL, has none. */
const struct trigger *guard_trigger(const struct runbook *rb, struct str name);

/* "next_cursor": the page behind the row with these names. */
void guard_put_next(struct strbuf *out, struct str runbook, struct str trigger,
                    struct str key, struct arena *a);

/* Reads the call's cursor into the filter. False when it has answered: nobody
 * gave this cursor. */
NODISCARD bool guard_read_cursor(struct call *c, struct memory_filter *f);
