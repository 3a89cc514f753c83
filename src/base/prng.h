/*
 * A small seeded generator (xoshiro256**, Blackman and Vigna 2018, seeded by
 * splitmix64): for simulation, jitter and tests. Never for secrets.
 */
#pragma once

#include <stdint.h>

struct prng {
    uint64_t state[4];
};

void prng_seed(struct prng *p, uint64_t seed);
uint64_t prng_next(struct prng *p);

/* Uniform in [0, bound); bound > 0. */
uint64_t prng_below(struct prng *p, uint64_t bound);
