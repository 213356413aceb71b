/* random.h: bytes from the operating system's generator, and ids made of them. Any thread.
 * Not for sampling: an answer's random numbers are a function of its seed (docs/NUMERICS.md). */
#ifndef PLAT_RANDOM_H
#define PLAT_RANDOM_H

#include <stddef.h>

#include "base/status.h"

status random_bytes(void *out, size_t n, error *err) MUST_CHECK;

/* UUID version 7 (RFC 9562): 48 bits of UTC milliseconds, 12 bits that count within a millisecond, 62 random bits.
 * Ids of one process ascend in the order they were made, also across a clock that steps back. */
enum { UUID_TEXT = 37 }; /* "0193…-…-7…-…-…" and the zero */
status uuid_v7(char out[UUID_TEXT], error *err) MUST_CHECK;

#endif
