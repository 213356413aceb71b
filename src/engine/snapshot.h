/* snapshot.h: the prefix cache on disk: what an engine remembers is written to a file, and another engine of the same
 * model and settings remembers it again. Owner thread of the engine; the descriptors stay the caller's.
 *
 * The file: a header (what it is, whose the prefixes are, how many there are, a checksum), then an entry for each page
 * of 64 tokens (its tokens, the entry that it follows, its KV pages, a checksum): the latest used first, but after what
 * it follows. The header is written last: whatever interrupts the writing leaves a file that is none.
 * A snapshot is a stranger's file: everything in it is checked, and a file of which anything is odd is not used at all.
 * The checksum finds damage, not malice: who may write the file may write the weights too. */
#ifndef ENGINE_SNAPSHOT_H
#define ENGINE_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct engine;

enum { SNAPSHOT_VERSION = 1, SNAPSHOT_MODEL_BYTES = 64 };
#define SNAPSHOT_MAGIC "HEARTHKV" /* the first eight bytes of a file that is whole */

typedef struct snapshot_options {
    const char *model;   /* digest of the weights, 1 to SNAPSHOT_MODEL_BYTES bytes: a file of another is refused */
    uint64_t max_bytes;  /* of the file: what was used longest ago is left out */
    uint32_t max_ms;     /* likewise; a system call that has begun is waited for */
    bool (*keeps)(const char *scope); /* may prefixes of this scope be in a file? Asked on both ways */
} snapshot_options;

typedef struct snapshot_report {
    uint32_t n_pages; /* of 64 tokens */
    uint64_t bytes;   /* of the file */
    bool cut;         /* there was more than bytes, time or room */
} snapshot_report;

/* fd: an empty file. When there is nothing to keep, nothing is written. E_IO, E_NOMEM: the file is no snapshot. */
status engine_snapshot_write(struct engine *e, int fd, const snapshot_options *o, snapshot_report *r,
                             error *err) MUST_CHECK;
/* Into a cache that is empty, as after engine_open. Takes only pages that are free. E_FORMAT: damaged, or no snapshot;
 * E_UNSUPPORTED: of another model, version or setting; E_IO, E_NOMEM; E_EXISTS: the cache is not empty. After an error
 * nothing is remembered. */
status engine_snapshot_read(struct engine *e, int fd, const snapshot_options *o, snapshot_report *r,
                            error *err) MUST_CHECK;

#endif
