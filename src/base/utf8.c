#include "base/utf8.h"

size_t utf8_length(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xC2)
        return 0; /* a continuation byte, or an overlong two-byte form */
    if (first < 0xE0)
        return 2;
    if (first < 0xF0)
        return 3;
    return first < 0xF5 ? 4 : 0;
}

/* The second byte carries the remaining rules: no overlong forms, no surrogates, nothing above U+10FFFF. */
static bool second_fits(unsigned char first, unsigned char second)
{
    if ((second & 0xC0) != 0x80)
        return false;
    switch (first) {
    case 0xE0: return second >= 0xA0;
    case 0xED: return second < 0xA0;
    case 0xF0: return second >= 0x90;
    case 0xF4: return second < 0x90;
    default: return true;
    }
}

size_t utf8_decode(const char *p, size_t n, uint32_t *code)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t len = utf8_length(u[0]);
    if (len == 1) {
        *code = u[0];
        return 1;
    }
    if (len == 0 || n < len || !second_fits(u[0], u[1]))
        return 0;
    uint32_t c = u[0] & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((u[i] & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (u[i] & 0x3Fu);
    }
    *code = c;
    return len;
}

size_t utf8_encode(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code & 0x3F));
        code >>= 6;
    }
    out[0] = (char)((0xF00u >> len & 0xF0u) | code);
    return len;
}

size_t utf8_count(const char *p, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)p[i] & 0xC0) != 0x80;
    return count;
}

bool utf8_valid(const char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t code;
        size_t len = utf8_decode(p + i, n - i, &code);
        if (!len)
            return false;
        i += len;
    }
    return true;
}

size_t utf8_complete(const char *p, size_t n)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t back = 0;
    while (back < 3 && back < n && (u[n - 1 - back] & 0xC0) == 0x80)
        back++;
    if (back == n)
        return n; /* only continuation bytes: nothing can complete them */
    size_t start = n - 1 - back, len = utf8_length(u[start]);
    if (len <= back + 1)
        return n; /* complete, or invalid */
    if (back >= 1 && !second_fits(u[start], u[start + 1]))
        return n;
    return start;
}
