/* ledger_show.h: `hearth ledger show`: one row with what belongs to it, or a task: what of it is current, and why the
 * rest is not. */
#ifndef CLI_LEDGER_SHOW_H
#define CLI_LEDGER_SHOW_H

#include "base/js.h"
#include "ledger/ledger.h"

/* word: a task in the ledger, the beginning of an id, or a task folder. Prints, and returns the exit code. */
int ledger_show(ledger *l, const char *word, bool json);


#endif
