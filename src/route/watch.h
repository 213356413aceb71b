/* watch.h: what route_gather adds to a task's facts from the policy in force and the shadows of its live answers. Owner
 * thread of the ledger. */
#ifndef ROUTE_WATCH_H
#define ROUTE_WATCH_H

#include "route/route.h"

/* The digest of everything under which two live answers are comparable: both sides' evidence, the task's graders, its
 * prompts and its cases. Another one of these begins anew: nothing is known of it yet. */
status route_basis(const struct task *t, const char *local_evidence, const char *cloud_evidence, char out[DIGEST_HEX],
                   error *err) MUST_CHECK;

/* Fills in->rules and in->drift; the rest of in is complete. Without a policy there is nothing to fill. */
status route_watch(ledger *l, const struct task *t, route_input *in, error *err) MUST_CHECK;

#endif
