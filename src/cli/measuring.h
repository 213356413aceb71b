/* measuring.h: what commands that measure share: `measure`, `choose`, `reassess`. */
#ifndef CLI_MEASURING_H
#define CLI_MEASURING_H

#include "measure/measure.h"
#include "provider/provider.h"
#include "route/route.h"

/* Opens a provider to be measured. parallel: answers at once; 0: what config says, else several, or one where several
 * do not fit. */
status measuring_open(provider **out, const char *spec, config *cfg, int64_t parallel, error *err) MUST_CHECK;

/* The speeds that fit expects of a local SPEC, from its header and this machine's rates; NAN for any other and where
 * they cannot be told. Before anything is opened. peak_bytes stays NAN: an open provider says what it has planned. */
void measuring_foretell(const char *spec, const config *cfg, measure_foretold *out);

/* What follows for a task from all that the ledger holds now. l may be NULL. */
status measuring_decide(ledger *l, const config *cfg, const struct task *t, route_input *in, route_decision *out,
                        error *err) MUST_CHECK;

#endif
