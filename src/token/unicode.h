/* unicode.h: character classes and fast reading of text that is known to be valid UTF-8 (private to token/).
 * Categories are those of Unicode 15.0 (utf8proc). Any thread. */
#ifndef TOKEN_UNICODE_H
#define TOKEN_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UNICODE_LOW = 0x800 }; /* codes worth a table: all of one or two bytes */

/* Bits 0..29: the general category as utf8proc numbers it; bit 30: the property White_Space. */
#define UNICODE_SPACE (1u << 30)
uint32_t unicode_class(uint32_t code);
/* "L", "Lu", "N", ... as such bits; 0: not a category. */
uint32_t unicode_class_named(const char *name);

/* Reads the character at s, whose text is valid. Returns its length. */
static inline size_t unicode_read(const char *s, uint32_t *code)
{
    const unsigned char *p = (const unsigned char *)s;
    if (p[0] < 0x80) {
        *code = p[0];
        return 1;
    }
    if (p[0] < 0xe0) {
        *code = (uint32_t)(p[0] & 31) << 6 | (p[1] & 63);
        return 2;
    }
    if (p[0] < 0xf0) {
        *code = (uint32_t)(p[0] & 15) << 12 | (uint32_t)(p[1] & 63) << 6 | (p[2] & 63);
        return 3;
    }
    *code = (uint32_t)(p[0] & 7) << 18 | (uint32_t)(p[1] & 63) << 12 | (uint32_t)(p[2] & 63) << 6 | (p[3] & 63);
    return 4;
}

/* The character before s. */
static inline const char *unicode_back(const char *s)
{
    do
        s--;
    while (((unsigned char)*s & 0xc0) == 0x80);
    return s;
}

#endif
