/*
 * What a dry run found, as something that can be run: its id names the dry run
 * and what it rested on (the runbook's version, the values, what would hold the
 * run back), so that a run of it is refused when any of that has changed. Pure;
 * any thread.
 */
#pragma once

#include "base/strbuf.h"
#include "model/runbook.h"

/* A plan older than this is made anew: the world has gone on. */
#define PLAN_KEEP_MS (24ULL * 3600 * 1000)

/* "wf-01jc….0123456789abcdef" and a NUL */
#define PLAN_ID_SIZE (ID_TEXT_SIZE + 17)

enum plan_guard {
    PLAN_DISABLED,    /* by an operator */
    PLAN_KILL_SWITCH, /* nothing begins */
    PLAN_EXECUTOR,    /* it would refuse a step */
    PLAN_CONCURRENCY, /* the runbook's: it would wait */
    PLAN_TARGET,      /* another workflow is at it: it would wait */
    PLAN_GUARDS
};

/* What each of them says of a run that began now. */
struct plan_decisions {
    bool holds_back[PLAN_GUARDS];
    struct str text[PLAN_GUARDS]; /* why, or what was looked at */
    struct str target;            /* "" if the runbook has none */
};

/* The first half of the SHA-256 of all that a plan rests on. */
uint64_t plan_digest(const struct runbook *rb, struct str parameters,
                     const struct plan_decisions *d);

void plan_id_format(struct id dry_run, uint64_t digest, char out[PLAN_ID_SIZE]);

/* 0 or -EINVAL. */
NODISCARD int plan_id_parse(struct str text, struct id *ret_dry_run,
                            uint64_t *ret_digest);

/* "disabled", "kill_switch", ... */
const char *plan_guard_name(enum plan_guard g);

/* "target": ..., "guards": [...] */
void plan_put_guards(struct strbuf *out, const struct plan_decisions *d);

/* Those that hold back, in one line; "nothing holds it back" when none does. */
void plan_tell(const struct plan_decisions *d, struct strbuf *out);
