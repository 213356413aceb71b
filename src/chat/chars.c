#include "chat/chars.h"

#include <stdlib.h>
#include <utf8proc.h>

#include "chat/case_table.h"

static utf8proc_category_t category(uint32_t c)
{
    return utf8proc_category((utf8proc_int32_t)c);
}

bool char_is_alpha(uint32_t c)
{
    switch (category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return true;
    default: return false;
    }
}

bool char_is_decimal(uint32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_ND;
}

/* Unicode's Numeric_Type=Digit that are not decimal, as ranges. */
bool char_is_digit(uint32_t c)
{
    static const uint32_t ranges[][2] = { { 0xb2, 0xb3 }, { 0xb9, 0xb9 }, { 0x1369, 0x1371 }, { 0x19da, 0x19da },
        { 0x2070, 0x2070 }, { 0x2074, 0x2079 }, { 0x2080, 0x2089 }, { 0x2460, 0x2468 }, { 0x2474, 0x247c },
        { 0x2488, 0x2490 }, { 0x24ea, 0x24ea }, { 0x24f5, 0x24fd }, { 0x24ff, 0x24ff }, { 0x2776, 0x277e },
        { 0x2780, 0x2788 }, { 0x278a, 0x2792 }, { 0x10a40, 0x10a43 }, { 0x10e60, 0x10e68 }, { 0x11052, 0x1105a },
        { 0x1f100, 0x1f10a } };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (c >= ranges[i][0] && c <= ranges[i][1])
            return true;
    return char_is_decimal(c);
}

bool char_is_numeric(uint32_t c)
{
    utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO;
}

bool char_is_alnum(uint32_t c)
{
    utf8proc_category_t k = category(c);
    return char_is_alpha(c) || k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO;
}

bool char_is_mark(uint32_t c)
{
    utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_MC || k == UTF8PROC_CATEGORY_PC || c == 0xb7;
}

bool char_is_word(uint32_t c)
{
    return c == '_' || char_is_alnum(c);
}

bool char_is_printable(uint32_t c)
{
    switch (category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return false;
    case UTF8PROC_CATEGORY_ZS: return c == ' ';
    default: return true;
    }
}

bool char_is_lower(uint32_t c)
{
    return utf8proc_islower((utf8proc_int32_t)c);
}

bool char_is_upper(uint32_t c)
{
    return utf8proc_isupper((utf8proc_int32_t)c);
}

bool char_is_title(uint32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_LT;
}

bool char_is_cased(uint32_t c)
{
    return char_is_lower(c) || char_is_upper(c) || char_is_title(c);
}

bool char_case_ignorable(uint32_t c)
{
    switch (category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK: return true;
    default: return c == '\'' || c == '.' || c == ':' || c == 0xb7 || c == 0x2018 || c == 0x2019 || c == 0x2024 ||
                    c == 0x2027;
    }
}

static int by_code(const void *key, const void *row)
{
    uint32_t c = *(const uint32_t *)key, other = ((const case_row *)row)->c;
    return (c > other) - (c < other);
}

static int special(uint32_t c, bool title, uint32_t out[CHAR_CASE_MAX])
{
    if (c < 0xdf)
        return 0;
    const case_row *row = bsearch(&c, case_table, case_rows, sizeof *case_table, by_code);
    int n = 0;
    for (const uint32_t *from = row ? title ? row->title : row->upper : NULL; from && n < CHAR_CASE_MAX && from[n]; n++)
        out[n] = from[n];
    return n;
}

int char_upper(uint32_t c, uint32_t out[CHAR_CASE_MAX])
{
    int n = special(c, false, out);
    if (!n)
        out[n++] = (uint32_t)utf8proc_toupper((utf8proc_int32_t)c);
    return n;
}

int char_title(uint32_t c, uint32_t out[CHAR_CASE_MAX])
{
    int n = special(c, true, out);
    if (!n)
        out[n++] = (uint32_t)utf8proc_totitle((utf8proc_int32_t)c);
    return n;
}

int char_lower(uint32_t c, uint32_t out[CHAR_CASE_MAX])
{
    out[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
    if (c != 0x130)
        return 1;
    out[0] = 'i';
    out[1] = 0x307;
    return 2;
}

int char_fold(uint32_t c, uint32_t out[CHAR_CASE_MAX])
{
    utf8proc_int32_t folded[4];
    int boundary = UTF8PROC_BOUNDCLASS_START;
    utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)c, folded, 4, UTF8PROC_CASEFOLD, &boundary);
    if (n < 1 || n > CHAR_CASE_MAX) {
        out[0] = c;
        return 1;
    }
    for (int i = 0; i < n; i++)
        out[i] = (uint32_t)folded[i];
    return (int)n;
}
