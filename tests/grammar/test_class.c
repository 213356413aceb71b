/* Classes of characters as bytes: random ranges against UTF-8's own rules. A sequence of bytes is in the language
 * exactly when it is the encoding of one character of the ranges: no overlong form, no surrogate. */
#include "lib/check.h"

#include <string.h>

#include "base/utf8.h"
#include "grammar/lang.h"

static uint64_t seed = 11;

static uint32_t below(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

static bool in_ranges(const lang_range *r, size_t n, uint32_t code)
{
    for (size_t i = 0; i < n; i++)
        if (code >= r[i].first && code <= r[i].last)
            return true;
    return false;
}

/* The language of one character, read byte by byte. */
static void compare(lang_set *set, lang l, const lang_range *r, size_t n, bool negated, const char *bytes, size_t len)
{
    uint32_t code = 0;
    bool valid = utf8_decode(bytes, len, &code) == len && in_ranges(r, n, code) != negated;
    if (lang_matches(set, l, bytes, len) != valid)
        fail_msg("%zu bytes from 0x%02x: expected %d", len, (unsigned char)bytes[0], valid);
}

static void classes(void **state)
{
    (void)state;
    static const uint32_t near[] = { 0,      0x30,   0x7F,   0x80,   0x7FF,   0x800,
                                     0xFFF,  0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF };
    for (int round = 0; round < 60; round++) {
        lang_set *set = NULL;
        lang_range r[3];
        size_t n = 1 + below(3);
        bool negated = round & 1;
        assert_ok(lang_set_open(&set, err));
        for (size_t i = 0; i < n; i++) {
            uint32_t first = below(2) ? near[below(ARRAY_LEN(near))] : below(0x3000);
            r[i] = (lang_range){ first, first + below(2) * below(0x900) };
        }
        lang l = lang_class(set, r, n, negated);
        char bytes[4];
        for (unsigned a = 0; a < 256; a++) {
            bytes[0] = (char)a;
            compare(set, l, r, n, negated, bytes, 1);
            for (unsigned b = 0x7F; b < 0xC1; b++) {
                bytes[1] = (char)b;
                compare(set, l, r, n, negated, bytes, 2);
                bytes[2] = (char)(0x80 + below(64));
                compare(set, l, r, n, negated, bytes, 3);
                bytes[3] = (char)(0x80 + below(64));
                compare(set, l, r, n, negated, bytes, 4);
            }
        }
        for (uint32_t code = 0; code < 0x3900; code++)
            if (code < 0xD800 || code > 0xDFFF)
                compare(set, l, r, n, negated, bytes, utf8_encode(code, bytes));
        assert_ok(lang_ok(set, err));
        lang_set_close(&set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(classes) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
