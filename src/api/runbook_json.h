/*
 * Runbooks as the API shows them: what is in force, what is rejected, and
 * what a run would do.
 */
#pragma once

#include "base/strbuf.h"
#include "match/generation.h"
#include "runtime/controls.h"

/* What is known of a runbook in force besides its file. */
struct runbook_view {
    const struct generation *generation;
    const struct generation_file *file;
    const struct controls *controls;
    struct str refusal; /* by the executor; "": none */
};

/* A runbook in force as an element of an array. */
void runbook_put(struct strbuf *out, const struct runbook_view *v);

/* What another runbook of the generation is to it, as one more element of an
 * array of problems; returns whether there is something. */
bool runbook_put_twin(struct strbuf *out, const struct runbook_view *v);

/* {path, errors} of a file that is not in force as it stands on disk. */
void runbook_put_rejected(struct strbuf *out, const struct generation_file *f);

/* "errors": [...] with the places in the file. */
void runbook_put_errors(struct strbuf *out, const struct generation_file *f);

/* "plan": [...] in the order that is expected, each step as it would run with
 * these parameters, secrets as
 * "***". -EINVAL when a step cannot be rendered. */
NODISCARD int runbook_put_plan(struct strbuf *out, const struct runbook *rb,
                               struct id workflow_id, struct str parameters,
                               struct err *reterr);
