/* text.c: folding and words, on utf8proc's tables (Unicode 15). */
#include "task/text_int.h"

#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "base/utf8.h"

static bool is_space(int32_t c)
{
    utf8proc_category_t k = utf8proc_category(c);
    return (c >= 9 && c <= 13) || c == 0x85 || k == UTF8PROC_CATEGORY_ZS || k == UTF8PROC_CATEGORY_ZL ||
           k == UTF8PROC_CATEGORY_ZP;
}

static bool is_punctuation(int32_t c)
{
    utf8proc_category_t k = utf8proc_category(c);
    return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO;
}

static bool is_word(int32_t c)
{
    utf8proc_category_t k = utf8proc_category(c);
    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_NO; /* LU LL LT LM LO MN MC ME ND NL NO */
}

/* Trims, joins and drops in place; returns the new length. */
static size_t tidy(int32_t *c, size_t n, unsigned flags)
{
    size_t out = 0, end = 0; /* end: one past the last character that is no space */
    for (size_t i = 0; i < n; i++) {
        bool space = is_space(c[i]);
        if ((flags & FOLD_PUNCTUATION) && is_punctuation(c[i]))
            continue;
        if (space && (out == 0 || ((flags & FOLD_SPACE) && end < out)))
            continue;
        c[out++] = space && (flags & FOLD_SPACE) ? ' ' : c[i];
        if (!space)
            end = out;
    }
    return end;
}

char *text_fold(const char *p, size_t n, unsigned flags, size_t *out_n)
{
    utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_COMPOSE | (flags & FOLD_CASE ? UTF8PROC_CASEFOLD : 0);
    const utf8proc_uint8_t *in = (const utf8proc_uint8_t *)p;
    utf8proc_ssize_t need = utf8proc_decompose(in, (utf8proc_ssize_t)n, NULL, 0, options);
    if (need < 0)
        return NULL;
    int32_t *c = mem_alloc(((size_t)need + 1) * sizeof *c);
    if (!c)
        return NULL;
    utf8proc_ssize_t len = utf8proc_decompose(in, (utf8proc_ssize_t)n, c, need, options);
    if (len >= 0)
        len = utf8proc_normalize_utf32(c, len, options);
    char *out = len >= 0 ? mem_alloc((size_t)len * 4 + 1) : NULL;
    if (out) {
        size_t kept = tidy(c, (size_t)len, flags), bytes = 0;
        for (size_t i = 0; i < kept; i++)
            bytes += utf8_encode((uint32_t)c[i], out + bytes);
        out[bytes] = 0;
        *out_n = bytes;
    }
    mem_free(c);
    return out;
}

bool text_word(span text, size_t *at, span *word)
{
    size_t i = *at, begin = SIZE_MAX;
    while (i < text.n) {
        uint32_t code = 0;
        size_t len = utf8_decode(text.p + i, text.n - i, &code);
        bool in = len && is_word((int32_t)code);
        if (!in && begin != SIZE_MAX)
            break;
        if (in && begin == SIZE_MAX)
            begin = i;
        i += len ? len : 1;
    }
    *at = i;
    if (begin == SIZE_MAX)
        return false;
    *word = (span){ text.p + begin, i - begin };
    return true;
}

size_t text_count_words(span text)
{
    size_t n = 0, at = 0;
    for (span w; text_word(text, &at, &w);)
        n++;
    return n;
}
