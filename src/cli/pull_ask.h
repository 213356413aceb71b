/* pull_ask.h: the front's side of hearth-pull: for commands that fetch a model, or the header of one. Main thread.
 *
 *     pull_ask *a = NULL;
 *     s = pull_ask_open(&a, &o, err);     starts the process: the last moment at which a command may start one
 *     load_offline();                     what was fetched is looked at without a network
 *     s = pull_ask_header(a, source, 0, n, &bytes, &file_bytes, err);
 *     pull_ask_close(&a);
 *
 * Progress is drawn on standard error: a bar where that is a terminal, else only what is worth a line. SIGINT while
 * something is fetched cancels it: E_CANCELLED, and what came is kept. */
#ifndef CLI_PULL_ASK_H
#define CLI_PULL_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/js.h"
#include "base/status.h"

typedef struct pull_ask pull_ask;

enum { PULL_ASK_READ = 2 };

typedef struct pull_ask_options {
    const char *read[PULL_ASK_READ]; /* local files and folders that it may read; NULL: none */
    int64_t streams, tries;        /* 0: pull/get.h's own, likewise below */
    double quiet_s, pause_s;
    uint64_t piece_bytes;
    bool plain_http;
} pull_ask_options;

/* E_NOTFOUND (no hearth-pull), E_PROVIDER (it does not start, or is of another build), E_IO. */
status pull_ask_open(pull_ask **out, const pull_ask_options *o, error *err) MUST_CHECK;
/* Accepts NULL in *a. */
void pull_ask_close(pull_ask **a);

/* Fetches into the models directory. GGUF files are looked at in this process before they get their names. *done: what
 * DONE says (src/pull/README.md), free with js_free. name, sha256 and licence (for the note; NULL: as the source says)
 * may be NULL. */
status pull_ask_get(pull_ask *a, const char *source, const char *name, const char *sha256, const char *licence,
                    js **done, error *err) MUST_CHECK;

/* n bytes from `first` of one file of the source (0: its first), appended to out; fewer at its end. *file_bytes: how
 * long it is, 0 where the server does not tell. *done (may be NULL): all its files, {files: [{name, url, bytes,
 * file_bytes}]}. */
status pull_ask_header(pull_ask *a, const char *source, size_t file, uint64_t first, size_t n, buf *out,
                       uint64_t *file_bytes, js **done, error *err) MUST_CHECK;

#endif
