/* prices.h: what a product costs on this machine, by the type of its weights. Owner thread of the pool.
 *
 * Measured with the machine's own kernels on all threads of the pool, weights from memory: a short window for each
 * type, several times over; the median counts. What a whole step takes is fit's to say (fit/rates.h, whose method this
 * is); here types are compared, in the unit that an allocation adds up. */
#ifndef PACK_PRICES_H
#define PACK_PRICES_H

#include "base/status.h"
#include "kernels/kernels.h"
#include "plat/pool.h"

enum { PRICES_TOKENS = 64 };

/* Nanoseconds of all threads together; 0: hearth does not write the type, or has no kernel for it. */
typedef struct prices {
    double decode[KERNELS_TYPES];  /* a weight, for one token */
    double prefill[KERNELS_TYPES]; /* a weight and token, PRICES_TOKENS at once */
} prices;

/* Half a second; twice the last cache, 64 MiB to 1 GiB, but at most an eighth of what is free. E_NOMEM. */
status prices_measure(prices *out, const kernels *k, pool *p, error *err) MUST_CHECK;

#endif
