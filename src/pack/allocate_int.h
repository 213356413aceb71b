/* allocate_int.h: what allocate.c shares with allocate_core.c. Private to src/pack. */
#ifndef PACK_ALLOCATE_INT_H
#define PACK_ALLOCATE_INT_H

#include <stdbool.h>

#include "pack/allocate.h"

/* Of a unit: an item, or a group. By bytes; each costs less than the one before. */
typedef struct allocate_option {
    uint64_t bytes;
    double cost;     /* loss + ns_price * ns, of all its items */
    uint32_t choice; /* of the unit's first item */
} allocate_option;

typedef struct allocate_unit {
    uint32_t first, n;       /* of options */
    uint32_t member, n_members;
} allocate_unit;

/* From one corner of a unit's convex hull to the next. */
typedef struct allocate_step {
    double slope; /* nats that a byte saves */
    uint32_t unit, from, to;
} allocate_step;

typedef struct allocate_member {
    uint32_t group, item;
} allocate_member;

typedef struct allocate_problem {
    allocate_option *options;
    allocate_unit *units;
    allocate_step *steps;     /* the steepest first */
    allocate_member *members; /* of units */
    size_t n_options, n_units, n_steps;
    uint64_t budget, least_bytes;
    uint32_t *base;           /* [n_units] the option of each where all steps as steep as the price are taken */
    uint64_t base_bytes;      /* <= budget */
    double base_cost;
    double price;             /* nats a byte: the slope of the first step that does not fit; 0: all do */
    double bound;
    uint32_t *best;           /* [n_units] */
    double best_cost;
    bool exact;
} allocate_problem;

/* Makes best and best_cost better, if they can be; exact: they cannot be made better still. */
status allocate_core(allocate_problem *p, error *err) MUST_CHECK;

#endif
