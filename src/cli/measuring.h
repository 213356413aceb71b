/* measuring.h: what commands that measure share: `measure`, `choose`, `reassess`. */
#ifndef CLI_MEASURING_H
#define CLI_MEASURING_H

#include "provider/provider.h"
#include "route/route.h"

/* Opens a provider to be measured. parallel: answers at once; 0: what config says, else several, or one where several
 * do not fit. */
status measuring_open(provider **out, const char *spec, config *cfg, int64_t parallel, error *err) MUST_CHECK;

/* What follows for a task from all that the ledger holds now. l may be NULL. */
status measuring_decide(ledger *l, const config *cfg, const struct task *t, route_input *in, route_decision *out,
                        error *err) MUST_CHECK;

#endif
