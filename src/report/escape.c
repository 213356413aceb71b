/* escape.c: strangers' text made safe to show. What the text says stays readable; what would act on the reader (markup,
 * terminal codes, characters that reorder or hide other text) is shown as what it is. */
#include "base/utf8.h"
#include "report/report_int.h"

/* Format characters that no one sees: marks of direction, joiners of words, tags. Zero-width joiner and non-joiner
 * stay: Persian and Indic scripts and emoji are written with them. */
static bool is_hidden(uint32_t c)
{
    static const struct {
        uint32_t from, to;
    } ranges[] = {
        { 0x7F, 0x9F }, { 0xAD, 0xAD }, { 0x61C, 0x61C }, { 0x180E, 0x180E }, { 0x200B, 0x200B }, { 0x200E, 0x200F },
        { 0x2028, 0x202E }, { 0x2060, 0x206F }, { 0xFDD0, 0xFDEF }, { 0xFEFF, 0xFEFF }, { 0xFFF9, 0xFFFB },
        { 0xE0000, 0xE0FFF },
    };
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
        if (c >= ranges[i].from && c <= ranges[i].to)
            return true;
    return (c & 0xFFFE) == 0xFFFE; /* noncharacters */
}

static void put_code(buf *out, uint32_t c)
{
    char bytes[4];
    buf_add(out, bytes, utf8_encode(c, bytes));
}

/* One character that needs no escaping in markup. */
static void put_character(buf *out, uint32_t c, bool line)
{
    if (line && c == '\n')
        put_code(out, 0x23CE); /* ⏎ */
    else if (line && c == '\t')
        buf_char(out, ' ');
    else if (c < 0x20 && c != '\n' && c != '\t')
        put_code(out, 0x2400 + c); /* the control's picture: ␀ … ␟ */
    else if (is_hidden(c))
        buf_printf(out, "[U+%04X]", (unsigned)c);
    else
        put_code(out, c);
}

static const char *entity(uint32_t c)
{
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return NULL;
    }
}

static void escape(buf *out, const char *s, size_t n, bool markup, bool line)
{
    for (size_t i = 0; i < n;) {
        uint32_t c = 0xFFFD;
        size_t bytes = utf8_decode(s + i, n - i, &c);
        const char *e = markup ? entity(c) : NULL;
        if (e)
            buf_str(out, e);
        else
            put_character(out, c, line);
        i += bytes ? bytes : 1;
    }
}

void report_escape_html(buf *out, const char *s, size_t n)
{
    escape(out, s, n, true, false);
}

void report_escape_line(buf *out, const char *s, size_t n)
{
    escape(out, s, n, false, true);
}
