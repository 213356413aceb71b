/* aside.h: something done in a process of its own that ends with it: for commands that look at a stranger's file and
 * still need the network, or other processes, afterwards. Main thread, while it is the only one. */
#ifndef CLI_ASIDE_H
#define CLI_ASIDE_H

#include <stddef.h>

#include "base/status.h"

/* Fills out[0..bytes); what it points to does not come back. */
typedef status aside_fn(void *user, void *out, size_t bytes, error *err);

/* Runs fn in a child that has given up the network (load_offline) and waits for it. OK: out is what fn made of it. What
 * fn failed with, or E_IO when the child died. Nothing that fn changes is seen here. */
status aside_run(aside_fn *fn, void *user, void *out, size_t bytes, error *err) MUST_CHECK;

#endif
