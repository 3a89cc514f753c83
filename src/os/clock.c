#include "os/clock.h"

#include <time.h>

#include "base/assert.h"

static uint64_t read_us(clockid_t clock)
{
    struct timespec t;
    int r = clock_gettime(clock, &t);
    ASSERT(r == 0 && t.tv_sec >= 0);
    return (uint64_t)t.tv_sec * 1000000U + (uint64_t)t.tv_nsec / 1000U;
}

uint64_t os_epoch_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

uint64_t os_monotonic_ms(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000;
}

uint64_t os_monotonic_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}
