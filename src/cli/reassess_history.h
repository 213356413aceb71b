/* reassess_history.h: the days on which a task changed sides, each with the argument as it stood that day. */
#ifndef CLI_REASSESS_HISTORY_H
#define CLI_REASSESS_HISTORY_H

#include "base/js.h"
#include "ledger/ledger.h"

struct task; /* task/task.h */

/* out NULL: as text on standard output; else one object for each such day is added to the list. */
status reassess_history(ledger *l, const struct task *t, js *out, error *err) MUST_CHECK;

#endif
