/* digest.h: SHA-256 (libcrypto). Any thread; a digest object belongs to one. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { DIGEST_BYTES = 32, DIGEST_HEX = 65 }; /* DIGEST_HEX includes the zero */

typedef struct digest digest;

digest *digest_open(void); /* NULL without memory */
void digest_add(digest *d, const void *bytes, size_t n);
/* Adds the length (8 bytes, little endian) and then the bytes: so that ("ab","c") and ("a","bc") differ. */
void digest_field(digest *d, const void *bytes, size_t n);
void digest_close(digest **d, uint8_t out[DIGEST_BYTES]); /* out may be NULL */

void digest_hex(const uint8_t in[DIGEST_BYTES], char out[DIGEST_HEX]);
/* Whether a text is one: 64 small hexadecimal digits and no more. */
bool digest_is_hex(const char *text);
void digest_of(const void *bytes, size_t n, char out[DIGEST_HEX]);
void digest_raw(const void *bytes, size_t n, uint8_t out[DIGEST_BYTES]);
/* SHA-256 of a whole file, read in steps. */
status digest_file(const char *path, char out[DIGEST_HEX], error *err) MUST_CHECK;

/* HMAC-SHA-256. */
void digest_hmac(const void *key, size_t key_n, const void *bytes, size_t n, uint8_t out[DIGEST_BYTES]);

#endif
