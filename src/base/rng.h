/* rng.h - choices that need no quality but must be repeatable: xorshift64*
 * (S. Vigna, "An experimental exploration of Marsaglia's xorshift generators,
 * scrambled", 2016). */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t state;
};

static inline void rng_init(struct rng *r, uint64_t seed)
{
    r->state = seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
}

/* A number in [0, n). */
static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return (uint32_t)((r->state * UINT64_C(0x2545F4914F6CDD1D) >> 32) * n >>
                      32);
}

#endif
