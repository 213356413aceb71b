/* siphash.h: SipHash-2-4 with 128 bits (Aumasson, Bernstein 2012): a keyed function of short texts that nobody without
 * the key can compute or turn round, thirty times faster than HMAC-SHA-256 there. Pure; any thread. */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/* key: two little-endian numbers. out: the 16 bytes of the paper's implementation, as two little-endian numbers. */
void siphash(const uint64_t key[2], const void *bytes, size_t n, uint64_t out[2]);

#endif
