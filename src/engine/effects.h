/*
 * What the engine answers a fact with: records, which are committed, and the
 * actions that are performed then. Both own their strings through the arena of
 * the effects. Pure data; the thread that calls engine_step.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/vec.h"
#include "model/record.h"
#include "model/runbook.h"

enum action_kind {
    ENGINE_ACT_CLAIM,  /* have worker claim up to limit events and match them */
    ENGINE_ACT_START,  /* ask the executor to run (or re-attach to) a step */
    ENGINE_ACT_STOP,   /* ask the executor to end a step's processes */
    ENGINE_ACT_FORGET, /* the outcome is durable: the executor may drop it */
    ENGINE_ACT_REPLY,  /* answer a request */
    ENGINE_ACT_DUE,    /* answer with FACT_DUE: the trigger as it is now */
    ENGINE_ACT_KINDS
};

struct action {
    enum action_kind kind;
    union {
        struct {
            uint32_t worker;
            uint32_t limit;
        } claim;
        struct {
            struct attempt_key key;
            struct id executor; /* the life meant; another one must refuse */
            struct runbook *runbook; /* a reference of the effects */
            struct str parameters;
            struct str steps; /* what those before have told, as JSON */
            uint64_t created_ms;
            uint64_t now_ms; /* when the attempt was decided */
            uint64_t timeout_ms;
            uint64_t grace_ms;
        } start;
        struct {
            struct attempt_key key;
            bool kill; /* at once; else TERM, then KILL after grace_ms */
            uint64_t grace_ms;
        } stop;
        struct {
            struct attempt_key key;
        } forget;
        struct {
            void *reply;
            /* RUN: 0, -EAGAIN (max_live reached), or -EINVAL (guard_target
             * says why). STOP: 0, or -ENOENT: not
             * live; by the time of the reply the store tells whether it has
             * ended or never was. */
            int result; /* GUARD_RESET: how many memories were forgotten */
            struct id workflow_id;
            enum workflow_status status; /* after the request, if result 0 */
        } reply;
        struct {
            struct str runbook_path, trigger, key;
            struct str parameters; /* as the event gave them; "" none did */
            struct str error;      /* or why it gave none */
        } due;
    };
};

struct effects {
    VEC(struct record) records;
    VEC(struct action) actions;
    struct arena arena; /* strings of both */
};

/* Reset and deinit also drop the runbook references of ENGINE_ACT_START. A
 * struct effects may be moved, not copied. */
void effects_init(struct effects *fx);
void effects_reset(struct effects *fx);
void effects_deinit(struct effects *fx);

/* The row, its strings copied into the arena of the effects. */
struct workflow_row effects_row(struct effects *fx,
                                const struct workflow_row *row);
