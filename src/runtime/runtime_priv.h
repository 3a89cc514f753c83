/*
 * Inside the runtime: what its files share. See runtime.h for the whole.
 */
#pragma once

#include "base/map.h"
#include "base/prng.h"
#include "runtime/due.h"
#include "runtime/runtime.h"

/* How many runbooks may be on their way to the executor at a time. */
#define EXEC_PIN_WINDOW 64

/* One engine step on its way to the disk. Actions wait here until the commit
 * is durable and every earlier one is too. */
struct commit {
    struct list link; /* runtime.commits, in order of the engine's steps */
    struct runtime_op ro;
    struct effects fx;
    bool durable;
    struct runtime *rt;
};

/* A runbook version that the store knows, or is being told. */
struct pin {
    struct runbook_hash hash; /* the key in runtime.pins */
    struct runtime_op ro;
    struct runbook *runbook; /* a reference until the store has it; NULL then */
    bool forgotten;          /* it is in no map, and ends when it is done */
    struct runtime *rt;
};

struct runtime {
    struct runtime_ports ports;
    struct engine *engine;
    char *doubt;      /* see runtime_doubt; NULL: none */
    struct prng prng; /* jitter only; ids come from ports.random */
    bool clock_known;
    int64_t clock_ahead_ms; /* of the elapsed time, when last looked at */
    struct generation *generation;
    struct controls *controls; /* NULL: none */
    uint32_t max_attempts;
    struct list commits;
    struct map pins;        /* runbook_hash -> struct pin */
    uint32_t ops_in_flight; /* APPLY and PIN */
    bool executor_up;
    struct id executor;
    uint32_t exec_pin_next;        /* file of the generation to pin next */
    uint32_t exec_pins_open;       /* sent and not answered */
    VEC(struct due_question) dues; /* to be answered */
    struct arena due_arena;
    bool answering;
    bool recovered;
    bool failed;
};

/* Steps the engine with a fact (now and entropy are filled in here) and sends
 * the records on their way. */
void runtime_take(struct runtime *rt, struct fact *fact);

/* Has records committed that the engine need not see; takes fx over. */
void runtime_commit(struct runtime *rt, struct effects *fx);

/* Makes sure the store knows this version before what is committed next. */
void runtime_pin(struct runtime *rt, struct runbook *rb);

/* Sends as many runbooks to the executor as the window allows. */
void runtime_exec_pin_more(struct runtime *rt);

/* What is due: taken down, and answered when nothing else is being done. */
void runtime_ask_due(struct runtime *rt, const struct action *action);
void runtime_answer_dues(struct runtime *rt);

/* Tells the engine what it must know of the generation, once it has started.
 */
void runtime_tell_generation(struct runtime *rt);

void runtime_act(struct runtime *rt, const struct action *action);
struct id runtime_mint_id(struct runtime *rt);
void runtime_fail(struct runtime *rt, int errnum);
