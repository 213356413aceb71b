/* fingerprint.h: has this text been copied from one of the private documents?
 *
 * A document is folded (letters and digits only, in lower case, compatibility forms plain, one blank between words)
 * and cut into shingles of FINGERPRINT_SHINGLE bytes, one at every place. Of each FINGERPRINT_WINDOW shingles that
 * follow each other the one of the least hash is kept (winnowing: Schleimer, Wilkerson, Aiken 2003): so of any copied
 * passage of SHINGLE + WINDOW - 1 folded bytes or more at least one shingle is met again, whatever stands around it.
 * What is kept goes, hashed with a secret key, into a Bloom filter: neither texts nor plain hashes are stored, and
 * without the key nobody can ask what is in it.
 *
 * Owner thread for adding; a const set may be asked from any thread at the same time.
 *
 * File: "HEARTHFP", version u32 = 2, shingle u32, window u32, probes u32, bits u64, documents u64, shingles u64, then
 * bits / 8 bytes, then HMAC-SHA-256 of the header and the hexadecimal SHA-256 of these, with its zero; little endian;
 * mode 0600. The key is not in it. */
#ifndef PRIVACY_FINGERPRINT_H
#define PRIVACY_FINGERPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum {
    FINGERPRINT_SHINGLE = 32,
    FINGERPRINT_WINDOW = 16,
    FINGERPRINT_KEY_MIN = 16,         /* bytes of a key */
    FINGERPRINT_MAX_TEXT = 16 << 20,  /* bytes of one text */
    FINGERPRINT_MAX_BYTES = 64 << 20, /* of the filter */
};

typedef struct fingerprint fingerprint;

/* An empty set with room for about n_bytes of documents: at that size one foreign shingle in 10,000 is taken for one
 * of its own; with more it is more. E_RANGE: the key is short, or the filter would have more than
 * FINGERPRINT_MAX_BYTES. */
status fingerprint_open(fingerprint **out, const void *key, size_t key_n, uint64_t n_bytes, error *err) MUST_CHECK;
void fingerprint_close(fingerprint **f);

/* E_RANGE: longer than FINGERPRINT_MAX_TEXT; E_NOMEM. A text shorter than a shingle is one shingle, if it has at least
 * half of its bytes; else nothing. */
status fingerprint_add(fingerprint *f, const char *text, size_t n, error *err) MUST_CHECK;

typedef struct fingerprint_match {
    uint64_t n_shingles, n_matched; /* of the text: those that winnowing keeps; those that the set has */
    double share;                   /* n_matched / n_shingles; 0 without shingles */
} fingerprint_match;
status fingerprint_query(const fingerprint *f, const char *text, size_t n, fingerprint_match *out, error *err)
    MUST_CHECK;

typedef struct fingerprint_about {
    uint64_t n_documents, n_shingles, bytes; /* bytes: of the filter */
    double full;                             /* share of its bits that are set */
} fingerprint_about;
fingerprint_about fingerprint_get_about(const fingerprint *f);

/* Replaces the file at once (a temporary file beside it, synced and renamed). */
status fingerprint_write(const fingerprint *f, const char *path, error *err) MUST_CHECK;
/* E_NOTFOUND; E_FORMAT: damaged, of another version or of another key. */
status fingerprint_read(fingerprint **out, const char *path, const void *key, size_t key_n, error *err) MUST_CHECK;

#endif
