/* part.h: a file while it comes: PATH.part, locked by its process, and PATH.part.state, which says what of it is true.
 * Inside this folder; the getter's thread.
 *
 * The state is one JSON object: {"hearth": 1, "url", "inode", "bytes", "etag", "modified", "sha256", "runs": [[from,
 * to], ...]}. It is written beside and renamed, after the bytes that it speaks of were synced: whenever the process or
 * the machine ends, what it says is on the disk is there. What it does not say is not believed. Before a part begins
 * anew its state is removed. */
#ifndef PULL_PART_H
#define PULL_PART_H

#include "base/digest.h"
#include "base/runs.h"
#include "pull/get.h"

/* What the file is by the server's word. */
typedef struct part_id {
    uint64_t bytes; /* 0: unknown */
    char etag[GET_ETAG], modified[64];
} part_id;

typedef struct part {
    const char *path; /* of PATH.part; borrowed */
    char *state_path, *state_new;
    int fd;
    runs have;
    part_id id;
    digest *hash;
    uint64_t hashed;  /* the file's first bytes that went through hash */
    uint64_t synced_us; /* when the state was written */
    uint64_t written; /* since then */
} part;

/* Opens or makes PATH.part and locks it. E_EXISTS: another process has it (try again). E_IO, E_NOMEM. */
status part_open(part *p, const char *path, error *err) MUST_CHECK;
/* Unlocks; what is on the disk stays. Accepts one that never was opened, when it is all zero but for fd -1. */
void part_close(part *p);

/* Believes what the state says, if it is of this very file and was written for the same digest (NULL: none), or for the
 * same url with an ETag or a date to compare. Else begins anew. E_IO, E_NOMEM. */
status part_load(part *p, const char *url, const char *sha256, error *err) MUST_CHECK;
/* Nothing of it is true any more. */
status part_reset(part *p, error *err) MUST_CHECK;
/* Room for the whole file, where the file system can promise it. E_NOFIT with the arithmetic; E_IO. */
status part_reserve(part *p, error *err) MUST_CHECK;

/* E_NOFIT: no room; E_IO. */
status part_write(part *p, uint64_t at, const void *bytes, size_t n, error *err) MUST_CHECK;
/* Hashes on, at most `most` bytes, as far as the file is there from its beginning. */
status part_hash(part *p, uint64_t most, error *err) MUST_CHECK;
/* The digest of the whole file. Once. */
status part_digest(part *p, char hex[DIGEST_HEX], error *err) MUST_CHECK;
/* Syncs the bytes and writes the state. */
status part_save(part *p, const char *url, const char *sha256, error *err) MUST_CHECK;
/* A rename that replaces nothing. E_EXISTS, E_IO. */
status part_rename(const char *from, const char *to, error *err) MUST_CHECK;
/* Syncs, gives it its name, removes the state, syncs the folders. */
status part_place(part *p, const char *to, error *err) MUST_CHECK;
/* Part and state are gone. */
void part_remove(part *p);

#endif
