/* snapshots.h: the files in which workers keep their prefix caches: CACHE/prefix, a file a model and settings, 0600 in
 * a folder of 0700. This side opens, names and removes them; a worker gets descriptors. Any thread, one owner a
 * snapshot_file.
 *
 * A worker writes to a new file (NAME.PID-N.new, locked while it is somebody's), which takes the name's place when the
 * worker has ended and the file is whole. One that is nobody's any more, since its front was killed, is removed by the
 * next. */
#ifndef PROVIDER_SNAPSHOTS_H
#define PROVIDER_SNAPSHOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { SNAPSHOT_NAME_BYTES = 128 };

typedef struct snapshot_file {
    int dir, from, to; /* -1: none. from: what an earlier worker wrote; to: where this one may write */
    char name[SNAPSHOT_NAME_BYTES], fresh[SNAPSHOT_NAME_BYTES + 48];
} snapshot_file;

/* No file: snapshot_file_end accepts it. */
void snapshot_file_init(snapshot_file *f);
/* Opens both files of that name (letters, digits, '-', '.'). E_IO, E_NOTFOUND: the folder or the new file cannot be
 * had; an old file that is not ours alone is left out with a line in the log. */
status snapshot_file_begin(snapshot_file *f, const char *name, error *err) MUST_CHECK;
/* The worker has ended: what it wrote takes the old one's place if it is whole, and the oldest files go until all of
 * them have no more than max_bytes. Closes everything. */
void snapshot_file_end(snapshot_file *f, uint64_t max_bytes);

/* Removes all of them, those of running workers too: these keep nothing any more. */
typedef struct snapshots_purged {
    uint64_t bytes;
    unsigned n_files; /* whole ones */
    unsigned n_running; /* of workers that run */
} snapshots_purged;
status snapshots_purge(snapshots_purged *out, error *err) MUST_CHECK;

#endif
