/* privacy.h: may this class go to this place? Pure; any thread. It decides and never acts: who calls it refuses.
 *
 * Rules, in order:
 *  1. The class of a thing is the highest of everything that is known about it; what is not known counts as private.
 *  2. public: any place. internal: local or on-premises. private and secret: local only.
 *  3. secret: no text is kept (ledger, log, snapshot, report).
 *  4. Local means weights inside a hearth worker. A loopback URL is a remote place.
 *  5. A measurement may send cases that are declared synthetic to any place: they are nobody's data. */
#ifndef PRIVACY_PRIVACY_H
#define PRIVACY_PRIVACY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/privacy_class.h"
#include "base/status.h"

/* Nearest first. A word that is none of the three is the farthest. */
typedef enum privacy_place { PRIVACY_LOCAL, PRIVACY_ON_PREMISES, PRIVACY_REMOTE } privacy_place;
const char *privacy_place_name(privacy_place p); /* "local", "on-premises", "remote" */
privacy_place privacy_place_of(const char *name);

/* Rule 2. A value outside of either enum is treated as private / remote. */
bool privacy_allows(privacy_class c, privacy_place p);
/* The farthest place this class may go to. */
privacy_place privacy_ceiling(privacy_class c);
/* Rule 3. */
bool privacy_keeps_text(privacy_class c);
/* Rule 1: n declared classes, NULL or unknown words among them count as private; n = 0 is private. */
privacy_class privacy_join(const char *const *names, size_t n);

/* Rules 2 and 5 as a refusal: OK, or E_DENIED with the sentence the user sees. `what` ("task invoice-fields"). */
status privacy_check_measure(const char *what, privacy_class c, bool synthetic, const char *provider, privacy_place p,
                             error *err) MUST_CHECK;

#endif
