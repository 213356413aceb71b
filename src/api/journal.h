/* journal.h: lines into a file or to standard error, by a thread of its own: whoever writes a line waits for no disk
 * and for no reader. What does not fit into the queue is dropped, counted, and said as {"time":…,"dropped":N} as soon
 * as lines go out again. Any thread. */
#ifndef API_JOURNAL_H
#define API_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { JOURNAL_QUEUE_MAX = 4 << 20 }; /* bytes that wait */

typedef struct journal journal;

/* Appends to the file (made 0600 when it is not there); NULL: standard error. */
status journal_open(journal **out, const char *path, error *err) MUST_CHECK;
/* Opens the file again under its name: it may have been moved away. On an error the old one is written on. */
status journal_reopen(journal *j, error *err) MUST_CHECK;
/* line ends in '\n'. False: it was dropped. */
bool journal_add(journal *j, const char *line, size_t n);
/* Writes what is left, for at most two seconds where nobody reads. */
void journal_close(journal **j);

#endif
