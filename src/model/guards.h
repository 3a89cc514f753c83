/*
 * Guards: what may hold back a workflow that an event would start, besides the
 * limits of its trigger. The configuration gives those of all runbooks, a
 * runbook's `guards:` its own. What they go by is kept like the memory of
 * triggers (model/trigger_memory.h), as instants under names of their own; what
 * follows from the instants is said here, for the engine and for people alike.
 * Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "expr/template.h"
#include "model/trigger_memory.h"

/* In place of a trigger's name, which never begins with '@'. The starts of all
 * runbooks are kept under the path "". */
#define GUARD_STARTS STR("@starts") /* starts_ms: of workflows */
#define GUARD_BREAKER                                                          \
    STR("@breaker") /* events_ms: failures; starts_ms: the                     \
                       probe, which is last_workflow */

/* starts_ms: when people were told; the key: GUARD_ESCALATED_KEY. */
#define GUARD_ESCALATED STR("@escalated")

#define GUARD_BREAKER_MAX TRIGGER_MEMORY_MAX /* failures that are counted */

/* At most so many workflows in any window of that length; 0: any number. */
struct guard_rate {
    uint32_t most;
    uint64_t within_ms;
};

/* After so many failures in a window nothing is started for a time, then one
 * workflow as a probe. failures 0: never. */
struct guard_breaker {
    uint32_t failures;
    uint64_t within_ms;
    uint64_t open_ms;
};

#define GUARD_BREAKER_DEFAULT                                                  \
    ((struct guard_breaker){                                                   \
        .failures = 5, .within_ms = 1800000, .open_ms = 900000})

/* Of the configuration; all 0: none. */
struct guard_config {
    struct guard_rate starts; /* of all runbooks together */
    uint64_t max_age_ms;      /* of an event; 0: any */
    struct guard_breaker breaker;
};

/* What becomes of an event whose workflow would be one too many. */
enum guard_on_limit {
    ON_LIMIT_QUEUE,   /* it waits for its turn */
    ON_LIMIT_DROP,    /* nothing is started */
    ON_LIMIT_REPLACE, /* the oldest one is cancelled */
    ON_LIMITS
};

#define GUARD_TARGET_MAX_BYTES 512

/* "queue", "drop", "replace"; NULL past the last. */
const char *guard_on_limit_name(size_t on_limit);

/* Of a runbook. What it does not say is as configured. */
struct runbook_guards {
    struct guard_rate starts;
    uint64_t max_age_ms;
    struct guard_breaker breaker;
    bool breaker_given;
    bool breaker_off; /* breaker: false */
    enum guard_on_limit on_limit;
    /* What its workflows change: two with the same never run at once, of
     * whatever runbook. NULL: it has none. */
    const struct template *target;
};

struct runbook;

/* Is one of the values a unit or the state of the platform itself? Then *ret is
 * that, inside of the JSON. */
NODISCARD bool guard_names_self(struct str params_json, struct str *ret);

/* The target of a workflow with these parameters (as params_check gave them),
 * in the arena; "" if the runbook has none. -ENOENT, -E2BIG, -EINVAL: a
 * parameter has no value, it is too long, or it is nothing but spaces or '*',
 * which could be taken for all. -EPERM: a parameter names the platform itself,
 * whether the runbook has a target or not. reterr says which. */
NODISCARD int guard_target(const struct runbook *rb, struct str params_json,
                           struct arena *a, struct str *ret,
                           struct err *reterr);

/* Is this row a guard's, and not a trigger's? */
bool guard_is_row(const struct memory_row *row);

/* The key under which an escalation of this trigger and key is kept, and the
 * other way round. */
void guard_escalated_key(struct str trigger, struct str key,
                         struct strbuf *out);
void guard_escalated_parts(struct str kept, struct str *ret_trigger,
                           struct str *ret_key);

/* The rate as limits of a memory. */
struct trigger_limits guard_rate_limits(const struct guard_rate *rate);

/* What holds for a runbook. */
struct guard_breaker guard_breaker_of(const struct guard_config *config,
                                      const struct runbook_guards *own);
uint64_t guard_max_age_ms(const struct guard_config *config,
                          const struct runbook_guards *own);

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

/* What the breaker's memory means at an instant. */
struct breaker_view {
    enum breaker_state state;
    uint32_t failures;  /* that count */
    uint64_t opened_ms; /* 0: it is closed */
    uint64_t until_ms;  /* when a probe may start; 0: it is closed */
};

/* The row NULL: nothing has failed. */
struct breaker_view breaker_at(const struct guard_breaker *b,
                               const struct memory_row *row, uint64_t now_ms);

/* "closed", "open", "half-open". */
const char *breaker_state_name(enum breaker_state s);

/* Why a rate, an age or a breaker holds back: with the numbers, what to do
 * about it, and the same text as long as the same is true. path "": of all
 * runbooks. The breaker's probe is said to be under way when half-open. */
void guard_explain_rate(struct str path, const struct guard_rate *rate,
                        uint32_t runs, uint64_t until_ms, struct strbuf *out);
/* Behind why max_runs holds back: that people are told, and what they can do.
 * `told` is the workflow that says so. */
void guard_explain_escalated(struct id told, uint64_t until_ms, struct str path,
                             struct strbuf *out);
void guard_explain_age(uint64_t age_ms, uint64_t max_ms, struct strbuf *out);
void guard_explain_breaker(const struct guard_breaker *b,
                           const struct breaker_view *v,
                           const struct memory_row *row, struct strbuf *out);
