/*
 * What the engine has committed, one line of the log each, at level debug:
 * how LOGLEVEL=DEBUG lets a person follow an event. Ids and states only; no
 * text that came from outside.
 */
#pragma once

#include "model/record.h"

/* Any thread. Costs nothing while debug messages are off. */
void trace_committed(const struct record *records, size_t count);
