/* detect_view.c: a text as the recognisers see it, and the way back.
 *
 * Folding: compatibility decomposition (NFKD) without the accents of U+0300..036F, foreign decimal digits as 0 to 9,
 * every dash '-', every blank ' ', quotes straight, letters beyond ASCII in lower case; what has no width or only a
 * direction goes. Bytes that are no UTF-8 stay. ASCII is left as it is, its case included. */
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "privacy/detect_int.h"

void view_clear(view *v)
{
    buf_clear(&v->text);
    buf_clear(&v->steps);
}

/* The last step at or before `at`; there is one at 0. */
static size_t step_of(const view *v, size_t at)
{
    const view_step *steps = (const view_step *)(const void *)v->steps.data;
    size_t low = 0, high = v->steps.len / sizeof *steps;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        *(steps[middle].at <= at ? &low : &high) = middle;
    }
    return low;
}

/* Where the byte `at` of v is in its parent; end: behind it. The last step is the end of the text. */
static size_t in_parent(const view *v, size_t at, bool end)
{
    const view_step *steps = (const view_step *)(const void *)v->steps.data;
    if (v->steps.len < 2 * sizeof *steps)
        return at + end;
    size_t i = step_of(v, at), n = v->steps.len / sizeof *steps;
    if (i + 1 == n) /* behind the text */
        return steps[i].from;
    bool same = steps[i + 1].at - steps[i].at == steps[i + 1].from - steps[i].from;
    return same ? steps[i].from + (at - steps[i].at) + end : end ? steps[i + 1].from : steps[i].from;
}

size_t view_begin(const view *v, size_t at)
{
    for (; v->parent; v = v->parent)
        at = in_parent(v, at, false);
    return at;
}

size_t view_end(const view *v, size_t at)
{
    for (; v->parent; v = v->parent)
        at = in_parent(v, at - 1, true);
    return at;
}

/* Two steps may be at one place: what is between them in the parent is not in the view. */
static void add_step(view *v, size_t from)
{
    const view_step s = { (uint32_t)v->text.len, (uint32_t)from };
    size_t n = v->steps.len / sizeof s;
    view_step *last = n ? (view_step *)(void *)v->steps.data + (n - 1) : NULL;
    if (n > 1 && last->at == s.at && last[-1].at == s.at)
        last->from = s.from;
    else if (!n || last->at != s.at || last->from != s.from)
        buf_add(&v->steps, &s, sizeof s);
}

static view child(const view *parent, size_t most)
{
    return (view){ .parent = parent, .depth = parent->depth, .decoded = parent->decoded,
                   .text = BUF_INIT(most), .steps = BUF_INIT((most + 2) * sizeof(view_step)) };
}

static status finish(view *v, size_t end, error *err)
{
    add_step(v, end);
    status s = buf_ok(&v->text, "a text to look through", err);
    if (!s)
        s = buf_ok(&v->steps, "a text to look through", err);
    v->p = buf_text(&v->text);
    v->n = v->text.len;
    return s;
}

/* ---- folding ---- */

/* A few characters become words of many (U+FDFA: 33 bytes of 3); no text consists of them. */
enum { FOLD_GROWTH = 3 };

/* The zeros of the decimal digits of Unicode 15 that are no compatibility forms. */
static const uint32_t zeros[] = {
    0x660,  0x6f0,  0x7c0,  0x966,  0x9e6,  0xa66,  0xae6,  0xb66,  0xbe6,  0xc66,  0xce6,  0xd66,
    0xde6,  0xe50,  0xed0,  0xf20,  0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90,
    0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0,
};

static bool is_accent(uint32_t c)
{
    return c >= 0x300 && c < 0x370;
}

static char plain_digit(uint32_t c)
{
    for (size_t i = 0; i < ARRAY_LEN(zeros); i++)
        if (c >= zeros[i] && c < zeros[i] + 10)
            return (char)('0' + (c - zeros[i]));
    return 0;
}

/* One ASCII character that the character stands for, or 0. */
static char plain(uint32_t c, const utf8proc_property_t *property)
{
    switch (property->category) {
    case UTF8PROC_CATEGORY_ND: return plain_digit(c);
    case UTF8PROC_CATEGORY_PD: return '-';
    case UTF8PROC_CATEGORY_ZS: return ' ';
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return '\n';
    default: break;
    }
    return c == 0x2212 ? '-' : c == 0x2018 || c == 0x2019 ? '\'' : c == 0x201c || c == 0x201d ? '"' : 0;
}

static void add_lower(view *v, utf8proc_int32_t c)
{
    char bytes[4];
    if (is_accent((uint32_t)c))
        return;
    c = c < 0x80 ? c : utf8proc_tolower(c);
    buf_add(&v->text, bytes, utf8_encode((uint32_t)c, bytes));
}

/* Appends what c, length bytes at `from`, is folded to. */
static void fold_char(view *v, uint32_t c, size_t from, size_t length)
{
    const utf8proc_property_t *property = utf8proc_get_property((utf8proc_int32_t)c);
    bool gone = is_accent(c) || property->category == UTF8PROC_CATEGORY_CF || property->ignorable;
    bool whole = property->decomp_seqindex == UINT16_MAX;
    size_t before = v->text.len;
    char one = gone ? 0 : plain(c, property);
    utf8proc_int32_t parts[32];
    add_step(v, from);
    if (one) {
        buf_char(&v->text, one);
    } else if (!gone && whole) {
        add_lower(v, (utf8proc_int32_t)c);
    } else if (!gone) {
        int last = 0;
        utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)c, parts, ARRAY_LEN(parts),
                                                     UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE, &last);
        for (utf8proc_ssize_t i = 0; i < n && i < (utf8proc_ssize_t)ARRAY_LEN(parts); i++)
            add_lower(v, parts[i]);
    }
    if (v->text.len - before != length) /* as long as before: the piece goes on */
        add_step(v, from + length);
    else if (v->steps.len >= 2 * sizeof(view_step)) {
        const view_step *last = (const view_step *)(void *)(v->steps.data + v->steps.len) - 1;
        if (last[-1].from - last->from == last[-1].at - last->at) /* this step says nothing that is not known */
            v->steps.len -= sizeof *last;
    }
}

static size_t ascii_run(const char *p, size_t n)
{
    size_t i = 0;
    for (uint64_t eight; i + 8 <= n; i += 8) {
        memcpy(&eight, p + i, 8);
        if (eight & 0x8080808080808080u)
            break;
    }
    while (i < n && (unsigned char)p[i] < 0x80)
        i++;
    return i;
}

status view_fold(view *out, const view *parent, error *err)
{
    size_t at = ascii_run(parent->p, parent->n), n = parent->n;
    *out = child(parent, FOLD_GROWTH * n + 64);
    out->p = parent->p;
    out->n = n;
    if (at == n)
        return OK;
    add_step(out, 0);
    buf_add(&out->text, parent->p, at);
    while (at < n) {
        uint32_t c;
        size_t run = ascii_run(parent->p + at, n - at), length = 0;
        buf_add(&out->text, parent->p + at, run);
        at += run;
        if (at < n && (length = utf8_decode(parent->p + at, n - at, &c)) > 0)
            fold_char(out, c, at, length);
        else if (at < n)
            buf_add(&out->text, parent->p + at, length = 1);
        at += length;
    }
    status s = finish(out, n, err);
    if (s)
        view_clear(out);
    return s;
}

/* ---- decoding ---- */

static status decoded(view *out, size_t end, bool *is, bool found, error *err)
{
    status s = finish(out, end, err);
    out->depth++;
    out->decoded = true;
    *is = !s && found && out->n > 0;
    if (!*is)
        view_clear(out);
    return s;
}

status view_percent(view *out, const view *parent, size_t begin, size_t end, bool *is, error *err)
{
    const char *p = parent->p;
    bool found = false;
    *out = child(parent, end - begin);
    add_step(out, begin);
    for (size_t i = begin; i < end;) {
        bool coded = p[i] == '%' && end - i > 2 && is_hex(p[i + 1]) && is_hex(p[i + 2]);
        if (coded) {
            add_step(out, i);
            buf_char(&out->text, (char)(hex_value(p[i + 1]) << 4 | hex_value(p[i + 2])));
            add_step(out, i += 3);
        } else {
            buf_char(&out->text, p[i] == '+' ? ' ' : p[i]);
            i++;
        }
        found |= coded;
    }
    return decoded(out, end, is, found, err);
}

/* A JSON escape at p[0..n): its length, and its character. 0: none. */
static size_t read_escape(const char *p, size_t n, uint32_t *c)
{
    static const char letters[] = "nrtbf\"\\/", meanings[] = "\n\r\t  \"\\/";
    const char *at = n >= 2 && p[0] == '\\' && p[1] ? strchr(letters, p[1]) : NULL;
    if (at) {
        *c = (unsigned char)meanings[at - letters];
        return 2;
    }
    if (n < 6 || p[0] != '\\' || p[1] != 'u')
        return 0;
    *c = 0;
    for (size_t i = 2; i < 6; i++) {
        if (!is_hex(p[i]))
            return 0;
        *c = *c << 4 | (uint32_t)hex_value(p[i]);
    }
    uint32_t low;
    if (*c >= 0xd800 && *c < 0xdc00 && read_escape(p + 6, n - 6, &low) == 6 && low >= 0xdc00 && low < 0xe000) {
        *c = 0x10000 + ((*c - 0xd800) << 10 | (low - 0xdc00));
        return 12;
    }
    return 6;
}

status view_escapes(view *out, const view *parent, size_t begin, size_t end, bool *is, error *err)
{
    const char *p = parent->p;
    bool found = false;
    *out = child(parent, end - begin);
    add_step(out, begin);
    for (size_t i = begin; i < end;) {
        uint32_t c = ' ';
        const char *next = memchr(p + i, '\\', end - i);
        size_t plain_n = next ? (size_t)(next - p) - i : end - i;
        buf_add(&out->text, p + i, plain_n);
        i += plain_n;
        size_t length = i < end ? read_escape(p + i, end - i, &c) : 0;
        if (length) {
            char bytes[4];
            found = true;
            add_step(out, i);
            buf_add(&out->text, bytes, utf8_encode(c >= 0xd800 && c < 0xe000 ? ' ' : c, bytes));
            add_step(out, i += length);
        } else if (i < end) {
            buf_char(&out->text, p[i++]);
        }
    }
    return decoded(out, end, is, found, err);
}

static int base64_value(char c)
{
    if (is_upper(c))
        return c - 'A';
    if (is_lower(c))
        return c - 'a' + 26;
    if (is_digit(c))
        return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* UTF-8 without control characters; the last character may be cut off. */
static bool is_text(const char *p, size_t n)
{
    n = utf8_complete(p, n);
    for (size_t i = 0; i < n; i++)
        if (((unsigned char)p[i] < ' ' && p[i] != '\n' && p[i] != '\r' && p[i] != '\t') || p[i] == 0x7f)
            return false;
    return n > 0 && utf8_valid(p, n);
}

status view_base64(view *out, const view *parent, size_t begin, size_t end, bool *is, error *err)
{
    enum { LOOK = 24 };
    uint32_t bits = 0;
    unsigned n_bits = 0;
    *out = child(parent, end - begin);
    add_step(out, begin);
    for (size_t i = begin; i < end; i++) {
        int value = base64_value(parent->p[i]);
        if (value < 0)
            continue;
        if (n_bits == 0)
            add_step(out, i);
        bits = bits << 6 | (uint32_t)value;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            buf_char(&out->text, (char)(bits >> n_bits & 255));
        }
        if (out->text.len == LOOK && !is_text(out->text.data, LOOK))
            break;
    }
    bool text = out->text.len >= LOOK / 2 && is_text(out->text.data, out->text.len);
    return decoded(out, end, is, text, err);
}
