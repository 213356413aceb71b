/* allocate.h: a type for every tensor: what a file of so many bytes loses least with. Pure; any thread.
 *
 * The least sum of loss + ns_price * ns, one choice for each item, with no more than `bytes`: a knapsack with multiple
 * choices. With a price on bytes each item would decide alone; the price at which the budget is just met gives a first
 * answer and a bound (the slopes of the convex hulls, in order), and around it a list of states finds what is better
 * (allocate_core.c). The answer is the best there is unless that list outgrew its ceiling. */
#ifndef PACK_ALLOCATE_H
#define PACK_ALLOCATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { ALLOCATE_ITEMS = 1 << 18, ALLOCATE_CHOICES = 64 }; /* most; of an item */

typedef struct allocate_choice {
    uint32_t type;  /* no two of an item have the same */
    double loss;    /* expected KL divergence, nats */
    uint64_t bytes; /* up to 2^44 */
    double ns;      /* of one decoded token, on this machine */
} allocate_choice;

typedef struct allocate_item {
    const allocate_choice *choices;
    size_t n;       /* 1 .. ALLOCATE_CHOICES */
    uint32_t group; /* items of one group (> 0) take the same type, one that all of them have; 0: it is alone */
} allocate_item;

typedef struct allocate_limits {
    uint64_t bytes;
    double ns_price; /* nats a nanosecond; 0: speed is free */
} allocate_limits;

typedef struct allocate_sum {
    double loss, ns;
    uint64_t bytes;
    double byte_price; /* nats that one more byte is worth at this budget; 0: everything has what costs it least */
    double bound;      /* no choice within the budget has less loss + ns_price * ns */
    bool exact;        /* none has less than this one */
    uint64_t least_bytes; /* of the smallest choices */
} allocate_sum;

/* chosen[i]: index into items[i].choices. Of equal choices the smaller, then the earlier one. E_NOFIT: even the
 * smallest are too large; E_RANGE naming item and choice: a loss or time that is negative or no number, a size out of
 * bounds, a type twice; a group whose items have no type in common; E_NOMEM (96 MiB at most). */
status allocate(const allocate_item *items, size_t n, const allocate_limits *l, uint32_t *chosen, allocate_sum *out,
                error *err) MUST_CHECK;

#endif
