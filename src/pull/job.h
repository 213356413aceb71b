/* job.h: what a message asks for, done with a getter. Inside this folder; the main thread of hearth-pull. */
#ifndef PULL_JOB_H
#define PULL_JOB_H

#include "base/js.h"
#include "pull/get.h"
#include "pull/settings.h"

typedef struct job {
    const char *models; /* the models directory, which is there */
    const char *source;
    const char *name;   /* NULL: the source's own */
    const char *licence; /* for the note; NULL: as the source says */
    const pull_settings *settings;
    const char *sha256; /* that the file must have; NULL: whatever the source says */
} job;

/* Fetches; *done is the payload of DONE. */
status job_get(const job *j, getter *g, js **done, error *err) MUST_CHECK;

/* n bytes from `first` of one file of the source (0: the first), through bytes(); *done: {files: [{name, url, bytes,
 * file_bytes}]}, all files; of the others bytes is 0, and file_bytes what the source says. E_RANGE: it has not so
 * many. */
typedef status job_bytes(void *user, const char *bytes, size_t n, error *err);
status job_header(const job *j, getter *g, size_t file, uint64_t first, size_t n, job_bytes *bytes, void *user,
                  js **done, error *err) MUST_CHECK;

#endif
