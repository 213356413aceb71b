/* rules.h: what a policy says of one task, as route_decide takes it. All zero: there is no policy, and evidence decides
 * at once. */
#ifndef ROUTE_RULES_H
#define ROUTE_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "route/drift.h"

typedef enum route_pin {
    PIN_NONE,   /* evidence decides */
    PIN_LOCAL,  /* never elsewhere, also when it is not proven; a private task's bar holds all the same */
    PIN_CLOUD,  /* elsewhere, where the class allows a place; else as if it were not there */
    PIN_REFUSE,
} route_pin;
const char *route_pin_name(route_pin p); /* "evidence", "local", "cloud", "refuse" */

typedef struct route_rules {
    int64_t number;   /* the policy's version; 0: none */
    bool propose;     /* what is proven is only proposed, until somebody applies it */
    route_pin pin;
    double alpha;     /* 0: .05 */
    drift_rules drift;
} route_rules;

#endif
