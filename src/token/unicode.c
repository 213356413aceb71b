#include "token/unicode.h"

#include <string.h>
#include <utf8proc.h>

/* White_Space of Unicode 15.0; all but these ranges' codes are not. */
static bool is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
           c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

uint32_t unicode_class(uint32_t code)
{
    return 1u << utf8proc_category((utf8proc_int32_t)code) | (is_space(code) ? UNICODE_SPACE : 0);
}

uint32_t unicode_class_named(const char *name)
{
    static const char names[][3] = { "Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No",
                                     "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs",
                                     "Zl", "Zp", "Cc", "Cf", "Cs", "Co" };
    uint32_t bits = 0;
    size_t n = strlen(name);
    for (size_t i = 0; n && i < sizeof names / sizeof *names; i++)
        if (!strncmp(names[i], name, n))
            bits |= 1u << i;
    return bits;
}
