#include "base/prng.h"

#include "base/assert.h"

static uint64_t rotl(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

void prng_seed(struct prng *p, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        seed += 0x9E3779B97F4A7C15ULL;
        uint64_t z = seed;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
        z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
        p->state[i] = z ^ z >> 31;
    }
}

uint64_t prng_next(struct prng *p)
{
    uint64_t *s = p->state;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

/* Rejects the few values that would make low results likelier. */
uint64_t prng_below(struct prng *p, uint64_t bound)
{
    ASSERT(bound != 0);
    uint64_t threshold = -bound % bound;
    for (;;) {
        uint64_t r = prng_next(p);
        if (r >= threshold) {
            return r % bound;
        }
    }
}
