/*
 * Inside of timer.c that its test reaches for: a test cannot set the clock.
 */
#pragma once

#include "loop/timer.h"

/* What happens when reading the timer's descriptor gave this result: 0 for an
 * expiry, -ECANCELED for a clock that was set, -EAGAIN for neither. */
void timer_on_read(struct timer *t, int result);

/* The time it is set to, or TIMER_NEVER. */
uint64_t timer_at_ms(const struct timer *t);
