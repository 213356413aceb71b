/* near.h: comparing doubles, and random numbers of the tests' own (splitmix64), so that simulated figures never
 * change. */
#ifndef TESTS_STAT_NEAR_H
#define TESTS_STAT_NEAR_H

#include "lib/check.h"

#include <math.h>

static inline void near(double got, double want, double tolerance, int line)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("line %d: got %.17g, want %.17g, off by %g", line, got, want, got - want);
}
#define NEAR(got, want, tolerance) near(got, want, tolerance, __LINE__)

static uint64_t seed = 1;

static inline uint64_t random64(void)
{
    uint64_t z = seed += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* [0, 1) */
static inline double uniform(void)
{
    return (double)(random64() >> 11) * 0x1p-53;
}

/* 1 with probability win, -1 with probability lose, else 0. */
static inline int difference(double win, double lose)
{
    double u = uniform();
    return u < win ? 1 : u < win + lose ? -1 : 0;
}

/* What a share of at most `rate` may reach by chance in so many runs (three standard errors). */
static inline double at_most(double rate, double runs)
{
    return rate + 3 * sqrt(rate * (1 - rate) / runs);
}

static inline int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

#endif
