/*
 * The kill switch, inside of the engine: what waits for it, and what it does to
 * time limits. See halt.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct fact;
struct flow;

/* FACT_HALT. */
void halt_turn(struct engine *e, const struct fact *fact);

/* The flow's deadline, if its time runs; UINT64_MAX: it stands still. */
uint64_t halt_deadline_ms(const struct engine *e, const struct flow *f);

/* The current step has an attempt that met the kill switch and has not begun.
 */
bool flow_is_deferred(const struct flow *f);

/* FACT_STEP_DEFERRED. */
void attempts_deferred(struct engine *e, const struct fact *fact);

/* The workflow ends: an attempt that waits to begin never will. */
void attempts_drop_deferred(struct engine *e, struct flow *f);
