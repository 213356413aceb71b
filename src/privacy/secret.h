/* secret.h: the secret of this installation, from which the keys of fingerprints, of declassified texts and of the
 * table of conversations come: without it nobody can ask these files about a text. Any thread, any process.
 *
 * privacy.key in the config folder: 32 random bytes as 64 hexadecimal digits and a line break, mode 0600, made at first
 * use. Of processes that make it at the same time one wins. */
#ifndef PRIVACY_SECRET_H
#define PRIVACY_SECRET_H

#include "base/digest.h"
#include "base/status.h"

/* HMAC-SHA-256(secret, purpose). E_DENIED: other users may read the file; E_FORMAT; E_IO; E_NOTFOUND: no place for
 * hearth's files. */
status secret_key(const char *purpose, uint8_t out[DIGEST_BYTES], error *err) MUST_CHECK;

#endif
