/* text_case.c: upper, lower, title case; each character keeps its origin. */
#include "chat/chars.h"
#include "chat/filter.h"
#include "chat/text_ops.h"

/* Is the sigma at `at` the last letter of its word? */
static bool final_sigma(span s, size_t at)
{
    size_t len, i = at;
    bool before = false;
    while (i > 0) {
        do
            i--;
        while (i > 0 && ((unsigned char)s.p[i] & 0xc0) == 0x80);
        uint32_t c = text_code(s, i, &len);
        if (char_case_ignorable(c))
            continue;
        before = char_is_cased(c);
        break;
    }
    (void)text_code(s, at, &len);
    for (i = at + len; before && i < s.n; i += len) {
        uint32_t c = text_code(s, i, &len);
        if (!char_case_ignorable(c))
            return !char_is_cased(c);
    }
    return before;
}

static void add_case(builder *b, const text *t, span s, size_t at, uint32_t code, char_case how)
{
    uint32_t out[CHAR_CASE_MAX];
    int n = 1;
    switch (how) {
    case CASE_UPPER: n = char_upper(code, out); break;
    case CASE_TITLE: n = char_title(code, out); break;
    case CASE_FOLD: n = char_fold(code, out); break;
    default:
        n = char_lower(code, out);
        if (code == 0x3a3 && final_sigma(s, at)) {
            run_spend_bytes(b->r, s.n);
            out[0] = 0x3c2;
        }
    }
    for (int i = 0; i < n; i++)
        build_code(b, out[i], text_origin(b->r, t, at));
}

void build_case(builder *b, const text *t, size_t from, size_t to, char_case how)
{
    span s = text_bytes(b->r, t);
    for (size_t i = from, len; i < to; i += len) {
        uint32_t code = text_code(s, i, &len);
        run_spend(b->r, 1);
        add_case(b, t, s, i, code, how);
    }
}

static const text *whole_case(run *r, const text *s, char_case how)
{
    builder b = builder_of(r);
    build_case(&b, s, 0, s->n, how);
    return build_done(&b);
}

const text *case_lower(run *r, const text *s)
{
    return whole_case(r, s, CASE_LOWER);
}

const text *case_upper(run *r, const text *s)
{
    return whole_case(r, s, CASE_UPPER);
}

const text *case_folded(run *r, const text *s)
{
    return whole_case(r, s, CASE_FOLD);
}

const text *case_capitalized(run *r, const text *s)
{
    builder b = builder_of(r);
    size_t first = s->n ? text_byte_at(r, s, 1) : 0;
    build_case(&b, s, 0, first, CASE_TITLE);
    build_case(&b, s, first, s->n, CASE_LOWER);
    return build_done(&b);
}

const text *case_titled(run *r, const text *t)
{
    builder b = builder_of(r);
    span s = text_bytes(r, t);
    bool cased = false;
    for (size_t i = 0, len; i < s.n; i += len) {
        uint32_t code = text_code(s, i, &len);
        run_spend(r, 1);
        add_case(&b, t, s, i, code, cased ? CASE_LOWER : CASE_TITLE);
        cased = char_is_cased(code);
    }
    return build_done(&b);
}

const text *case_swapped(run *r, const text *t)
{
    builder b = builder_of(r);
    span s = text_bytes(r, t);
    for (size_t i = 0, len; i < s.n; i += len) {
        uint32_t code = text_code(s, i, &len);
        run_spend(r, 1);
        if (char_is_upper(code))
            add_case(&b, t, s, i, code, CASE_LOWER);
        else if (char_is_lower(code))
            add_case(&b, t, s, i, code, CASE_UPPER);
        else
            build_slice(&b, t, i, i + len);
    }
    return build_done(&b);
}
