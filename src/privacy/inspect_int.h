/* inspect_int.h: what the parts of an inspector share. */
#ifndef PRIVACY_INSPECT_INT_H
#define PRIVACY_INSPECT_INT_H

#include "base/buf.h"
#include "privacy/declassify.h"
#include "privacy/fingerprint.h"
#include "privacy/inspect.h"

struct inspector {
    detector *d;
    fingerprint *sets[INSPECT_SETS_MAX];
    size_t n_sets;
    declassified *exempt;
    detect_options detect;
    char version[INSPECT_VERSION_BYTES];
};

/* The texts of a body, laid out to be looked through. A line of each of them; lines end so that no number, no token and
 * no run of base64 goes on in the next one. */
typedef struct gather {
    const inspector *i;
    buf all;              /* every text, after its key where that is the caller's word */
    buf joined;           /* adjacent parts, without anything between them */
    buf ids;              /* ids and words of the protocol: here a token may look random */
    char unknown[48];     /* the first part that is no text; "": none */
    privacy_class exempt; /* the highest of the declassified texts */
} gather;

void gather_init(gather *g, const inspector *i);
void gather_clear(gather *g);
void gather_text(gather *g, const char *text, size_t n);
void gather_body(gather *g, const js *body);

#endif
