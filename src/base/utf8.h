/* utf8.h: UTF-8 by RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF. Any thread. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes the character at p (n >= 1 bytes are there). Returns its length in bytes, 1..4, and the code point;
 * a malformed sequence returns 0 and leaves *code alone. */
size_t utf8_decode(const char *p, size_t n, uint32_t *code);

/* Writes code (a valid scalar value) and returns 1..4. */
size_t utf8_encode(uint32_t code, char out[4]);

/* How long the character that begins with this byte claims to be: 1..4, 0 for a byte that cannot begin one. */
size_t utf8_length(unsigned char first);

bool utf8_valid(const char *p, size_t n);

/* Characters of valid text. */
size_t utf8_count(const char *p, size_t n);

/* How many bytes of p[0..n) can be shown now: all but a cut-off character at the very end that later bytes could still
 * complete. Invalid bytes count as complete. */
size_t utf8_complete(const char *p, size_t n);

#endif
