/* release.h: what COMPLETE must carry: that the front has written down, durably, that exactly these bytes may leave
 * (privacy/audit.h). Egress cannot ask the log; it checks that there is such a word for each request, that it is for
 * this body and no other, and that it serves once. Owner thread. */
#ifndef EGRESS_RELEASE_H
#define EGRESS_RELEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/js.h"

enum { RELEASE_CHAIN = 37 }; /* a UUID and the zero */

typedef struct release {
    const char *chain; /* of the audit log; a UUID */
    uint64_t sequence; /* of the record */
    const char *mac;   /* of the record; 64 hex digits */
    const char *body;  /* SHA-256 of the body, 64 hex digits */
    uint64_t bytes;    /* of the body */
} release;

/* The member `release` of COMPLETE. NULL without memory. */
js *release_to_js(const release *r);

/* What was used last; zero at first. */
typedef struct release_used {
    char chain[RELEASE_CHAIN];
    uint64_t sequence;
} release_used;

/* OK and *used moves on, or E_DENIED: there is none, it is of another body, or it was used. */
status release_check(const js *j, const void *body, size_t n, release_used *used, error *err) MUST_CHECK;

#endif
