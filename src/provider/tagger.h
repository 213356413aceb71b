/* tagger.h: a model that labels names and places in texts (privacy/detect.h), in a worker of its own. What it cannot
 * read in time, or at all, is an error, never "nothing found": whoever asks then counts the text as private. */
#ifndef PROVIDER_TAGGER_H
#define PROVIDER_TAGGER_H

#include "privacy/detect.h"
#include "provider/config.h"

typedef struct tagger tagger;

#define TAGGER_THRESHOLD CONFIG_TAG_THRESHOLD
enum { TAGGER_DEADLINE_MS = 10000, TAGGER_PARALLEL = 8 };

typedef struct tagger_options {
    double threshold;     /* least probability of a span; 0: TAGGER_THRESHOLD */
    uint32_t deadline_ms; /* of one text, with its waiting; 0: TAGGER_DEADLINE_MS */
} tagger_options;

/* Starts the worker and loads MODEL (a path or a name). cfg (may be NULL): threads and mem_bytes, the most it may take.
 * o may be NULL. As provider_open; E_UNSUPPORTED: the model labels nothing. Owner thread, as tagger_close. */
status tagger_open(tagger **out, const char *model, const config *cfg, const tagger_options *o, error *err) MUST_CHECK;
void tagger_close(tagger **t);
/* What it takes of the memory budget. */
uint64_t tagger_bytes(const tagger *t);
/* "rampart.gguf@1a2b3c4d": the file and the beginning of its SHA-256. Lives as long as the tagger. */
const char *tagger_name(const tagger *t);
/* Its worker, for a proof. */
struct provider *tagger_provider(tagger *t);

/* A detect_tagger: user is the tagger. Any thread; TAGGER_PARALLEL at once, more wait within their deadline. A text of
 * any length is read in pieces that overlap; a byte that is no UTF-8 counts as a blank. E_PROVIDER: not in time, or the
 * worker ended; E_DENIED: its sandbox does not hold (self_test.h). */
status tagger_spans(void *user, const char *text, size_t n, detect_spans *each, void *to, error *err) MUST_CHECK;

#endif
