/*
 * The two clocks: epoch time to tell people, monotonic time to measure. Any
 * thread.
 */
#pragma once

#include <stdint.h>

/* Milliseconds since 1970-01-01 UTC; may jump when the clock is set. */
uint64_t os_epoch_ms(void);

/* Milliseconds that only ever rise; stands still while the machine sleeps. */
uint64_t os_monotonic_ms(void);

/* The same in microseconds. */
uint64_t os_monotonic_us(void);
