/* note.h: NAME.gguf.json beside a model: where it is from. Any thread.
 *
 *     {"hearth": 1, "source", "url", "revision"?, "sha256", "bytes", "etag"?, "licence"?, "pulled": UTC,
 *      "files"?: [{"name", "bytes", "sha256"}]}
 *
 * Of a split model it lies beside the first part, with `files`; sha256 and bytes are then the first part's.
 * "url" has no user, password or query. */
#ifndef PULL_NOTE_H
#define PULL_NOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/js.h"
#include "base/status.h"

enum { NOTE_MAX = 1 << 20 };

typedef struct note_file {
    const char *name, *sha256;
    uint64_t bytes;
} note_file;

typedef struct pull_note {
    const char *source, *url, *revision, *etag, *licence; /* the last three may be NULL */
    const note_file *files;
    size_t n;
} pull_note;

/* Writes DIR/FILE.json by rename, mode 0600, synced; `staging` is a folder of the same file system. */
status note_write(const pull_note *n, const char *dir, const char *staging, error *err) MUST_CHECK;

/* DIR/FILE.json; *out NULL: there is none, or it is not one of ours. Free with js_free. E_NOMEM. */
status note_read(js **out, const char *dir, const char *file, error *err) MUST_CHECK;

/* The note of the model that came from `source`, and whose files are all there in the length noted, with the (first)
 * file's name as "name"; *out NULL: there is none. name (NULL: any): what the model is called, without part number and
 * .gguf. E_IO, E_NOMEM. */
status note_find(js **out, const char *dir, const char *source, const char *name, error *err) MUST_CHECK;
/* Whether every file that the note names is in dir in the length noted. `file` is whose note it is. */
bool note_holds(const js *n, const char *dir, const char *file);

#endif
