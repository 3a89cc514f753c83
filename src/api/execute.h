/*
 * What starting a runbook by hand has in common, whatever is asked for. On a
 * reading thread.
 */
#pragma once

#include "api/api_priv.h"

/* True when it has answered that the runbook is disabled. */
bool execute_is_disabled(struct call *c, struct str path);

/* What is started, for the audit trail: a JSON object. The parameters without
 * secrets; `more` are further members, each with a comma before it, or "". */
struct str execute_tell(struct call *c, const struct runbook *rb,
                        struct str parameters, struct str more);
