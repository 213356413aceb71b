/* random.h: numbers for tests, the same in every run. Each program has its own sequence; set `seed` (not to 0) for
 * another. */
#ifndef TESTS_RANDOM_H
#define TESTS_RANDOM_H

#include <stdint.h>

static uint64_t seed = 88172645463325252ull;

/* xorshift (Marsaglia 2003): 0 .. below - 1. */
static inline uint32_t rnd(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed >> 20) % below);
}

#endif
