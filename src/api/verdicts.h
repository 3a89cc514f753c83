/*
 * Verdicts as the API shows them.
 */
#pragma once

#include "base/strbuf.h"
#include "model/change.h"

/* "key": {verdict, note, by, at}. */
void put_verdict(struct strbuf *out, const char *key,
                 const struct verdict_row *v);
