/* fit_remote.h: models that are elsewhere, for `hearth fit URL|hf:owner/repo`: only headers are fetched, by ranges, and
 * looked at in this process, which has no network then. Main thread. */
#ifndef CLI_FIT_REMOTE_H
#define CLI_FIT_REMOTE_H

#include "cli/fit_subject.h"
#include "cli/pull_ask.h"

enum { REMOTE_FILES_MAX = 64, REMOTE_FIRST = 1 << 20, REMOTE_MOST = 64 << 20 };

/* The headers' bytes: they must live as long as a subject made of them. */
typedef struct fit_remote {
    buf bytes[REMOTE_FILES_MAX];
    uint64_t file_bytes[REMOTE_FILES_MAX];
    int n;
} fit_remote;

/* Whether a word on the command line is a source and neither a file nor a name: it has "://" in it, or begins with
 * "hf:" or "pypi:". */
bool fit_is_source(const char *word);

/* The header of each file of the source: its first MiB, and as much more as it goes on for, doubled up to 64 MiB. Close
 * the subject, then the remote, also after an error. */
status fit_remote_open(fit_subject *out, fit_remote *r, pull_ask *a, const char *source, error *err) MUST_CHECK;
void fit_remote_close(fit_remote *r);

#endif
