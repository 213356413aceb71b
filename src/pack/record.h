/* record.h: what was measured of a model, in a file, so that another size need not measure again and a run that was
 * killed goes on. Owner thread.
 *
 * Text: a line that says what it was made from; then as it came, "loss NAME NOISE" followed by types, "TYPE WAY LOSS
 * DIRECT", and "gain NAME GAIN DIRECT-GAIN". Numbers are C's %a. A last line that is cut off does not count. */
#ifndef PACK_RECORD_H
#define PACK_RECORD_H

#include "pack/job.h"

/* Reads what is there into the tensors, and keeps the file open to add to. One made from something else is E_EXISTS if
 * the user named it (it may be dear), and begun anew otherwise; so is one that another process adds to. E_FORMAT names
 * the line; E_IO, E_NOMEM. */
status record_open(job *j, const char *path, bool named, const char *made_from, error *err) MUST_CHECK;
void record_close(job *j);

/* Both do nothing when no record is open. E_IO. */
status record_losses(job *j, const pack_tensor *t, error *err) MUST_CHECK;
status record_gain(job *j, const pack_tensor *t, error *err) MUST_CHECK;

#endif
