/*
 * What triggers watch over a time: inside of the engine, see engine_priv.h.
 *
 *   watch.c          rows: their life, their records, their times, the checks
 *   watch_events.c   what events change of them
 *   watch_due.c      what starts because a time has come
 *   subjects.c       the live workflows of a subject, to cancel them
 *
 * A row that is due does not start by itself: the engine asks for the trigger
 * as it is now (ENGINE_ACT_DUE) and starts with the answer (FACT_DUE). While
 * the answer is out, everything may change: the row says whether it counts.
 */
#pragma once

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/strbuf.h"
#include "base/vec.h"
#include "engine/engine.h"

struct engine;
struct flow;

struct watch {
    struct watch_row row;  /* strings owned in `name` and below */
    VEC(uint64_t) changes; /* behind row.changes_ms */
    struct str name;       /* the key in engine.watches.rows */
    char *alert;
    char *parameters;
    char *error;
    char *held;
    bool stored;             /* its row is in the store, or on its way */
    bool dropped;            /* it goes at the end of this step */
    bool asked;              /* ENGINE_ACT_DUE is out */
    struct heap_node due;    /* in dues, while something is due and not asked */
    struct heap_node expiry; /* in expiries, while row.expires_ms != 0 */
    struct list touched;
};

struct watches {
    struct map rows; /* by runbook path, trigger and key: memory_name */
    struct heap dues;
    struct heap expiries;
    struct list touched;   /* those whose row changes in this step */
    uint64_t listening_ms; /* since when events are taken: nothing was heard
                              before, so nothing was absent */
    struct map subjects;   /* the same names -> struct subject */
};

/* The live workflows that a trigger which watches started for a subject. */
struct subject {
    struct str name; /* the key in watches.subjects */
    struct list flows;
};

/* ---- watch.c ------------------------------------------------------------ */

struct watch *watch_find(const struct engine *e, struct str path,
                         struct str trigger, struct str key);

/* The row, new if there is none; NULL, counted and told in *why, when there is
 * no room for another one. */
struct watch *watch_of(struct engine *e, const struct runbook *rb,
                       uint32_t trigger_no, struct str key, struct strbuf *why);

/* Its row changes in this step: it gets one record at the end. */
void watch_touch(struct engine *e, struct watch *w);

/* Nothing of it matters any more: it gets its last record at the end. */
void watch_drop(struct engine *e, struct watch *w);

/* What is due starts for this event with these values. */
void watch_keep(struct watch *w, struct id event_id, struct str parameters,
                struct str error);
void watch_set_held(struct watch *w, struct str why);
void watch_set_alert(struct watch *w, struct str alert);

/* FACT_TIME: some of what does not matter any more goes. */
void watches_expire(struct engine *e);
void watches_flush(struct engine *e);

/* From now on events are taken, and were not before. */
void watches_listen(struct engine *e);

/* When FACT_TIME must come for them. */
uint64_t watches_next_ms(const struct engine *e);

void watches_clock_set(struct engine *e, int64_t shift_ms);
void watches_clock_check(struct engine *e);
void watches_check(const struct engine *e);
uint64_t watches_hash(const struct engine *e); /* order does not matter */
void watches_free_all(struct engine *e);

/* ---- watch_events.c ----------------------------------------------------- */

/* May this match go on to start a workflow now? Else why not is appended to
 * *why, or, if nothing is held back by that, what is noted to *note. */
NODISCARD bool watch_admit(struct engine *e, const struct fact_event *event,
                           const struct fact_match *match, struct strbuf *why,
                           struct strbuf *note);

/* The event ends what others began; what that changes is appended to *note. */
void watch_end(struct engine *e, const struct fact_event *event,
               const struct fact_end *end, struct strbuf *note);

/* ---- watch_due.c -------------------------------------------------------- */

/* Asks for what is due, while workflows may begin. */
void watches_ask(struct engine *e);

/* FACT_DUE: the answer. */
void watch_due(struct engine *e, const struct fact *fact);

/* FACT_GENERATION: what is absent from the beginning is watched from now on. */
void watches_arm(struct engine *e, const struct fact *fact);

/* ---- what other files do for them ----------------------------------------
 */

/* Path, trigger and key as one text, in the room given. */
struct str memory_name(struct strbuf *room, struct str path, struct str trigger,
                       struct str key);

/* "PATH, trigger NAME: ", behind what is there already; false: enough is. */
bool memory_begin_reason_of(struct strbuf *why, const struct runbook *rb,
                            uint32_t trigger_no);

/* A match starts its workflow, for this event (ID_NULL: for none). */
void events_start(struct engine *e, struct str commit, struct id event_id,
                  const struct fact_match *match);

/* Asks for the stop of a flow that is not asked for one so strong; no audit
 * action: it leaves no row. */
void stop_audited(struct engine *e, struct flow *f, enum stop_request how,
                  struct str by, struct str audit);

void effects_watch(struct effects *fx, enum record_kind kind,
                   const struct watch_row *row);
void effects_due(struct effects *fx, const struct watch_row *row);

/* ---- subjects.c --------------------------------------------------------- */

/* A flow enters and leaves the list of its subject, if it has one. */
void subject_join(struct engine *e, struct flow *f);
void subject_leave(struct engine *e, struct flow *f);

/* Cancels what has not ended of a subject, except what waits for an operator:
 * how many that were. */
uint32_t subject_cancel(struct engine *e, struct str path, struct str trigger,
                        struct str key);

void subjects_check(const struct engine *e);
