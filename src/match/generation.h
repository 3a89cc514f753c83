/*
 * A generation: one loaded set of runbooks with the index that finds the
 * triggers an event starts. Immutable and shared by reference count; a reload
 * swaps a whole generation (runtime) and never touches a running workflow.
 *
 * The index buckets every trigger under its most selective "=" condition, so
 * the cost of an event grows with the triggers that share its labels, not
 * with those loaded. Pure; any thread may match against a generation.
 */
#pragma once

#include "base/arena.h"
#include "base/vec.h"
#include "model/event.h"
#include "model/event_input.h"
#include "model/runbook.h"

struct match_index;

/* A file that the repository holds, as the last load found it. */
enum file_state {
    FILE_LOADED,
    FILE_REJECTED,       /* invalid, and no earlier good version is known */
    FILE_LAST_KNOWN_GOOD /* invalid now; the earlier version is in force */
};

struct generation_file {
    struct str path;
    enum file_state state;
    struct runbook *runbook; /* NULL when rejected */
    struct err *problems;    /* warnings if it is loaded, else errors */
    uint32_t problem_count;
};

struct generation {
    _Atomic(uint32_t) refs;
    uint64_t number; /* 1, 2, ... per process */
    uint64_t loaded_ms;
    struct arena arena;
    struct str commit; /* git commit of the repository, "" if none */
    struct str digest; /* of the runbooks in force: paths and texts */
    struct generation_file *files; /* sorted by path */
    uint32_t file_count;
    uint32_t *same_triggers; /* per file: the next one; see twins.h */
    uint32_t *same_name;
    struct match_index *index;
};

/* Builds a generation from files whose arrays and strings are copied; the
 * runbook references are taken over. Files may come in any order, each path
 * once. */
struct generation *generation_new(const struct generation_file *files,
                                  uint32_t count, struct str commit,
                                  uint64_t number, uint64_t loaded_ms);
struct generation *generation_ref(struct generation *g);
void generation_unref(struct generation *g);

/* The file or its runbook by repository path; NULL if absent. */
const struct generation_file *generation_file(const struct generation *g,
                                              struct str path);
struct runbook *generation_runbook(const struct generation *g, struct str path);

/* One trigger that an event starts. */
struct match {
    struct runbook *runbook; /* borrowed from the generation */
    uint32_t trigger_no;
    /* NULL; else the matcher whose regular expression ran into its limit:
     * whether the event starts this trigger could not be found out, and all
     * its other conditions hold. */
    const struct matcher *undecided;
};

/* A trigger whose `when` has no value for the event (a label is missing, the
 * budget is used up): it starts nothing, and this is why. */
struct match_failure {
    struct runbook *runbook; /* borrowed from the generation */
    uint32_t trigger_no;
    struct str reason;
};

/* Zeroed before the first use; deinit it. */
struct matches {
    VEC(struct match) found; /* by path, then trigger_no */
    /* Triggers that watch, and for which the event ends what others began: it
     * meets all of their conditions, but the alert has resolved, or it is no
     * alert and `when` is false. None of them is undecided. */
    VEC(struct match) ended;
    VEC(struct match_failure) failed;
    struct arena arena; /* of the reasons, and of what conditions read */
};

void matches_deinit(struct matches *m);

/* What conditions know besides the event. */
struct match_input {
    uint64_t now_ms;
    const struct event_zones *zones; /* NULL: fixed offsets only */
};

/* Units of CEL that the condition of one trigger, those of one runbook's
 * triggers, and those of all triggers may use for one event. What others have
 * used leaves each condition its least. */
#define MATCH_TRIGGER_UNITS_MIN 2000
#define MATCH_TRIGGER_UNITS_MAX 100000
#define MATCH_RUNBOOK_UNITS_MAX 1000000
#define MATCH_EVENT_UNITS_MAX 10000000

/* Finds every trigger the event starts, and those that could not be decided,
 * which never keep others from being found; appends to *ret. The same event,
 * generation and input give the same result. */
void generation_match(const struct generation *g, const struct event *e,
                      const struct match_input *input, struct matches *ret);

/* What to tell people about an undecided match, in one sentence. */
struct str match_undecided_text(const struct match *m, struct arena *a);

/* What to tell people about all that failed, in one sentence of bounded
 * length; "" if nothing did. */
struct str match_failures_text(const struct matches *m, struct arena *a);
