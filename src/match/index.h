/*
 * The index over the triggers of one generation. Every trigger stands in one
 * kind of bucket: under the rarest of its label conditions with "=", else
 * under its severities, its sources, its type, or among the rest. An event
 * looks into the buckets of its own labels and words, so it meets a trigger
 * at most once and never one that asks for another value. Immutable once
 * built; borrows the runbooks. Private to match and its tests. Pure; any
 * thread.
 */
#pragma once

#include "base/vec.h"
#include "match/generation.h"

struct match_index;

/* A trigger by its number in the index: by path, then by trigger_no. */
struct indexed_trigger {
    struct runbook *runbook;
    uint32_t trigger_no;
};

struct candidates {
    VEC(uint32_t) numbers;
};

/* Indexes the triggers of every file that has a runbook, in this order. */
NODISCARD struct match_index *
match_index_new(const struct generation_file *files, uint32_t count);
void match_index_free(struct match_index *ix);

/* Appends the numbers of the triggers that the event may start, ascending,
 * each once. All others certainly do not match. */
void match_index_candidates(const struct match_index *ix, const struct event *e,
                            struct candidates *ret);

const struct indexed_trigger *match_index_trigger(const struct match_index *ix,
                                                  uint32_t number);

/* Whether the state of the event is one that the trigger asks for. */
bool trigger_wants_state(const struct trigger *t, const struct event *e);

/* Whether the event meets every other condition of the trigger but `when`: 1,
 * 0, or -E2BIG when a regular expression ran into its limit and everything else
 * holds; *ret_undecided is that matcher then. */
NODISCARD int trigger_fits(const struct trigger *t, const struct event *e,
                           const struct matcher **ret_undecided);

/* Both. */
NODISCARD int trigger_holds(const struct trigger *t, const struct event *e,
                            const struct matcher **ret_undecided);
