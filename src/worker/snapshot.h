/* snapshot.h: what a worker remembers of prompts goes to a file when it ends, and comes from one when it begins: files
 * that the front has opened and passed with OPEN. The worker's thread. Nothing here fails for those who ask: what goes
 * wrong is a line in the log, and a beginning without memories. */
#ifndef WORKER_SNAPSHOT_H
#define WORKER_SNAPSHOT_H

#include <stdint.h>

#include "base/js.h"
#include "engine/snapshot.h"
#include "plat/msg.h"

struct engine;

enum { SNAPSHOT_MS = 2000 }; /* most time that reading, or writing, takes; provider/helper_int.h waits longer */

typedef struct worker_snapshot {
    int from, to; /* -1: none */
    uint64_t max_bytes;
    char model[SNAPSHOT_MODEL_BYTES + 1];
} worker_snapshot;

/* The scope's name of those requests whose prefixes may be in a file: SNAPSHOT_SCOPE, then who asks. */
#define SNAPSHOT_SCOPE '@'

/* No files. */
void worker_snapshot_init(worker_snapshot *s);
/* Takes the descriptors that settings name out of the message: OPEN's {"snapshot": {model, bytes, to, from?}}, where to
 * and from are numbers of descriptors, behind those of the model. *n_files: how many are the model's. E_FORMAT: it
 * cannot be so. */
status worker_snapshot_take(worker_snapshot *s, const msg *open, const js *settings, size_t *n_files,
                            error *err) MUST_CHECK;
/* Into an engine that was just opened; the descriptor is closed. */
void worker_snapshot_restore(worker_snapshot *s, struct engine *e);
/* At the end. A file that has been removed meanwhile is not written. */
void worker_snapshot_keep(worker_snapshot *s, struct engine *e);
void worker_snapshot_close(worker_snapshot *s);

#endif
