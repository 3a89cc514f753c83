/*
 * struct timer: one alarm at a time of the wall clock, on an event loop. It
 * follows the wall clock: when that is set (by a person or by NTP in a jump)
 * an armed timer fires at once, so that its owner looks at the new time and
 * sets it again. The loop's thread only.
 */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/attr.h"

#define TIMER_NEVER UINT64_MAX

struct timer;

/* Called at or after the set time, or when the clock was set (then perhaps
 * before it: read the clock). The timer is unset when this is called. */
typedef void timer_fn(void *context);

/* A timer that is not set. Negative errno when the kernel gives none. */
NODISCARD int timer_new(sd_event *event, int64_t priority, timer_fn *fn,
                        void *context, struct timer **ret);
void timer_free(struct timer *t);

/* Sets or moves the alarm to at_ms (epoch). A time that has passed fires in
 * the next turn of the loop; TIMER_NEVER unsets. */
void timer_set(struct timer *t, uint64_t at_ms);
