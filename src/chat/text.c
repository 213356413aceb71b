#include "chat/text.h"

#include <string.h>

#include "base/utf8.h"

enum { ROPE_MIN_BYTES = 256 }; /* shorter concatenations are copied at once */

static text *text_alloc(run *r, size_t n)
{
    if (n > RUN_TEXT_MAX)
        run_fail(r, E_RANGE, "a text of more than %d bytes", RUN_TEXT_MAX);
    text *s = run_alloc(r, sizeof *s);
    s->n = (uint32_t)n;
    return s;
}

text *text_new(run *r, const char *p, size_t n, uint32_t from)
{
    text *s = text_alloc(r, n);
    s->p = n ? p : "";
    s->from = from;
    return s;
}

text *text_copy(run *r, const char *p, size_t n, uint32_t from)
{
    text *s = text_alloc(r, n);
    run_spend_bytes(r, n);
    char *copy = run_alloc(r, n);
    if (n)
        memcpy(copy, p, n);
    s->p = copy;
    s->from = from;
    return s;
}

text *text_of(run *r, const char *literal)
{
    return text_new(r, literal, strlen(literal), ORIGIN_TEMPLATE);
}

text *text_join2(run *r, const text *a, const text *b)
{
    if (!a->n && !b->markup)
        return (text *)(uintptr_t)b;
    if (!b->n && !a->markup)
        return (text *)(uintptr_t)a;
    size_t n = (size_t)a->n + b->n;
    if (n < ROPE_MIN_BYTES) {
        builder out = builder_of(r);
        build_text(&out, a);
        build_text(&out, b);
        return build_done(&out);
    }
    text *s = text_alloc(r, n);
    s->left = a;
    s->right = b;
    s->depth = 1 + (a->depth > b->depth ? a->depth : b->depth);
    return s;
}

/* ---- flattening -------------------------------------------------------------------------------------------------- */

/* Writes the leaves from the end to the beginning: a rope that grew at its right end, the usual one, then needs a stack
 * of two. Runs come out in reverse. */
static void flatten(run *r, text *s)
{
    run_spend_bytes(r, s->n);
    char *p = run_alloc(r, s->n);
    const text **stack = run_array(r, (size_t)s->depth + 2, sizeof *stack);
    size_t top = 0, at = s->n, n_runs = 0, size = 8;
    text_run *runs = run_array(r, size, sizeof *runs);
    stack[top++] = s;
    while (top) {
        const text *x = stack[--top];
        run_spend(r, 1);
        if (!x->p) {
            stack[top++] = x->left;
            stack[top++] = x->right;
            continue;
        }
        for (size_t i = x->n_runs ? x->n_runs : 1; i > 0 && x->n; i--) {
            uint32_t from = x->n_runs ? x->runs[i - 1].from : x->from, end = x->n_runs ? x->runs[i - 1].end : x->n;
            if (n_runs && runs[n_runs - 1].from == from)
                continue;
            if (n_runs == size) {
                runs = run_grow(r, runs, n_runs, 2 * size, sizeof *runs);
                size *= 2;
            }
            runs[n_runs++] = (text_run){ (uint32_t)(at - x->n + end), from };
        }
        at -= x->n;
        memcpy(p + at, x->p, x->n);
    }
    for (size_t i = 0; i < n_runs / 2; i++) {
        text_run swap = runs[i];
        runs[i] = runs[n_runs - 1 - i];
        runs[n_runs - 1 - i] = swap;
    }
    s->from = runs[0].from;
    s->runs = n_runs > 1 ? runs : NULL;
    s->n_runs = n_runs > 1 ? (uint32_t)n_runs : 0;
    s->p = p;
    s->left = s->right = NULL;
    s->depth = 0;
}

span text_bytes(run *r, const text *s)
{
    if (!s->p)
        flatten(r, (text *)(uintptr_t)s); /* a cache: ropes are made while rendering, never by the compiler */
    return (span){ s->p, s->n };
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

/* The run that holds the byte at `at`. */
static size_t run_at(const text *s, size_t at)
{
    size_t low = 0, high = s->n_runs;
    while (low + 1 < high) {
        size_t mid = (low + high) / 2;
        if (s->runs[mid - 1].end <= at)
            low = mid;
        else
            high = mid;
    }
    return low;
}

uint32_t text_origin(run *r, const text *s, size_t at)
{
    (void)text_bytes(r, s);
    return s->n_runs ? s->runs[run_at(s, at)].from : s->from;
}

text *text_slice(run *r, const text *s, size_t from, size_t to)
{
    if (from >= to)
        return text_new(r, "", 0, s->from);
    if (from == 0 && to == s->n)
        return (text *)(uintptr_t)s;
    span bytes = text_bytes(r, s);
    text *out = text_new(r, bytes.p + from, to - from, s->from);
    out->markup = s->markup;
    if (!s->n_runs)
        return out;
    size_t first = run_at(s, from), last = run_at(s, to - 1);
    out->from = s->runs[first].from;
    if (first == last)
        return out;
    size_t n = last - first + 1;
    text_run *runs = run_array(r, n, sizeof *runs);
    for (size_t i = 0; i < n; i++) {
        uint32_t end = s->runs[first + i].end;
        runs[i] = (text_run){ (uint32_t)((end < to ? end : to) - from), s->runs[first + i].from };
    }
    out->runs = runs;
    out->n_runs = (uint32_t)n;
    return out;
}

bool text_is(run *r, const text *s, const char *literal)
{
    return s->n == strlen(literal) && memcmp(text_bytes(r, s).p, literal, s->n) == 0;
}

bool text_equal(run *r, const text *a, const text *b)
{
    if (a->n != b->n)
        return false;
    run_spend_bytes(r, a->n);
    return memcmp(text_bytes(r, a).p, text_bytes(r, b).p, a->n) == 0;
}

int text_compare(run *r, const text *a, const text *b)
{
    size_t n = a->n < b->n ? a->n : b->n;
    run_spend_bytes(r, n);
    int c = memcmp(text_bytes(r, a).p, text_bytes(r, b).p, n);
    return c ? c < 0 ? -1 : 1 : (a->n > b->n) - (a->n < b->n);
}

/* ---- characters -------------------------------------------------------------------------------------------------- */

size_t text_char_bytes(const char *p, size_t n)
{
    uint32_t code;
    size_t len = utf8_decode(p, n, &code);
    return len ? len : 1;
}

uint32_t text_code(span s, size_t at, size_t *len)
{
    uint32_t code = 0xfffd;
    *len = utf8_decode(s.p + at, s.n - at, &code);
    if (!*len)
        *len = 1;
    return code;
}

size_t text_chars(run *r, const text *s)
{
    if (s->chars_plus_1)
        return s->chars_plus_1 - 1;
    span b = text_bytes(r, s);
    run_spend_bytes(r, b.n * 2);
    size_t chars = 0;
    for (size_t i = 0; i < b.n; chars++)
        i += (unsigned char)b.p[i] < 0x80 ? 1 : text_char_bytes(b.p + i, b.n - i);
    ((text *)(uintptr_t)s)->chars_plus_1 = (uint32_t)chars + 1;
    return chars;
}

size_t text_byte_at(run *r, const text *s, size_t chars)
{
    size_t all = text_chars(r, s);
    if (chars >= all)
        return s->n;
    if (all == s->n)
        return chars;
    span b = text_bytes(r, s);
    run_spend_bytes(r, chars * 2);
    size_t i = 0;
    for (; chars > 0; chars--)
        i += text_char_bytes(b.p + i, b.n - i);
    return i;
}

size_t text_char_at(run *r, const text *s, size_t byte)
{
    if (text_chars(r, s) == s->n)
        return byte;
    span b = text_bytes(r, s);
    run_spend_bytes(r, byte * 2);
    size_t chars = 0;
    for (size_t i = 0; i < byte; chars++)
        i += text_char_bytes(b.p + i, b.n - i);
    return chars;
}

size_t text_find(run *r, span s, span needle, size_t from, size_t to)
{
    if (from > to || to > s.n || needle.n > to - from)
        return SIZE_MAX;
    if (!needle.n)
        return from;
    /* memmem is linear in glibc, whatever the needle */
    const char *at = memmem(s.p + from, to - from, needle.p, needle.n);
    size_t found = at ? (size_t)(at - s.p) : SIZE_MAX;
    run_spend_bytes(r, (at ? found : to) - from);
    run_spend(r, 1);
    return found;
}

size_t text_find_last(run *r, span s, span needle, size_t from, size_t to)
{
    if (from > to || to > s.n || needle.n > to - from)
        return SIZE_MAX;
    for (size_t i = to - needle.n + 1; i-- > from;) {
        run_spend(r, 1 + (needle.n && s.p[i] == needle.p[0] ? needle.n / RUN_STEP_BYTES : 0));
        if (!needle.n || memcmp(s.p + i, needle.p, needle.n) == 0)
            return i;
    }
    return SIZE_MAX;
}

bool char_is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

static bool in_set(run *r, span set, bool white, span s, size_t at, size_t len)
{
    size_t ignored;
    run_spend(r, 1);
    return white ? char_is_space(text_code(s, at, &ignored)) : memmem(set.p, set.n, s.p + at, len) != NULL;
}

text *text_strip(run *r, const text *s, const text *set, bool left, bool right)
{
    span b = text_bytes(r, s), chars = set ? text_bytes(r, set) : (span){ "", 0 };
    size_t from = 0, to = b.n;
    while (left && from < to) {
        size_t len = text_char_bytes(b.p + from, to - from);
        if (!in_set(r, chars, !set, b, from, len))
            break;
        from += len;
    }
    while (right && from < to) {
        size_t at = to - 1;
        while (at > from && to - at < 4 && ((unsigned char)b.p[at] & 0xc0) == 0x80)
            at--;
        if (text_char_bytes(b.p + at, to - at) != to - at)
            at = to - 1;
        if (!in_set(r, chars, !set, b, at, to - at))
            break;
        to = at;
    }
    return text_slice(r, s, from, to);
}

/* ---- building ---------------------------------------------------------------------------------------------------- */

builder builder_of(run *r)
{
    return (builder){ .r = r };
}

static void need(builder *b, size_t n)
{
    if (b->size - b->n >= n)
        return;
    if (n > RUN_TEXT_MAX || b->n + n > RUN_TEXT_MAX)
        run_fail(b->r, E_RANGE, "a text of more than %d bytes", RUN_TEXT_MAX);
    size_t size = b->size ? 2 * b->size : 32;
    while (size < b->n + n)
        size *= 2;
    b->p = run_grow(b->r, b->p, b->n, size, 1);
    b->size = size;
}

static void origin(builder *b, size_t end, uint32_t from)
{
    if (b->n_runs && b->runs[b->n_runs - 1].from == from) {
        b->runs[b->n_runs - 1].end = (uint32_t)end;
        return;
    }
    if (b->n_runs == b->runs_size) {
        size_t size = b->runs_size ? 2 * b->runs_size : 4;
        b->runs = run_grow(b->r, b->runs, b->n_runs, size, sizeof *b->runs);
        b->runs_size = size;
    }
    b->runs[b->n_runs++] = (text_run){ (uint32_t)end, from };
}

void build_bytes(builder *b, const char *p, size_t n, uint32_t from)
{
    if (!n)
        return;
    need(b, n);
    run_spend_bytes(b->r, n);
    memcpy(b->p + b->n, p, n);
    b->n += n;
    origin(b, b->n, from);
}

void build_str(builder *b, const char *literal, uint32_t from)
{
    build_bytes(b, literal, strlen(literal), from);
}

void build_code(builder *b, uint32_t code, uint32_t from)
{
    char utf8[4];
    build_bytes(b, utf8, utf8_encode(code, utf8), from);
}

void build_fill(builder *b, const text *fill, size_t times)
{
    if (fill->n && times > RUN_TEXT_MAX / fill->n)
        run_fail(b->r, E_RANGE, "a text of more than %d bytes", RUN_TEXT_MAX);
    for (size_t i = 0; i < times && fill->n; i++) {
        run_spend(b->r, 1);
        build_text(b, fill);
    }
}

void build_text(builder *b, const text *s)
{
    build_slice(b, s, 0, s->n);
}

void build_slice(builder *b, const text *s, size_t from, size_t to)
{
    if (from >= to)
        return;
    span bytes = text_bytes(b->r, s);
    if (!s->n_runs) {
        build_bytes(b, bytes.p + from, to - from, s->from);
        return;
    }
    for (size_t i = run_at(s, from); from < to; i++) {
        size_t end = s->runs[i].end < to ? s->runs[i].end : to;
        build_bytes(b, bytes.p + from, end - from, s->runs[i].from);
        from = end;
    }
}

text *build_done(builder *b)
{
    text *s = text_new(b->r, b->p, b->n, b->n_runs ? b->runs[0].from : ORIGIN_TEMPLATE);
    if (b->n_runs > 1) {
        s->runs = b->runs;
        s->n_runs = (uint32_t)b->n_runs;
    }
    return s;
}

/* ---- output ------------------------------------------------------------------------------------------------------ */

void sink_add(run *r, sink *out, const text *s)
{
    if (!s->n)
        return;
    if (out->n == out->size) {
        size_t size = out->size ? 2 * out->size : 32;
        out->items = run_grow(r, out->items, out->n, size, sizeof *out->items);
        out->size = size;
    }
    out->items[out->n++] = s;
    out->bytes += s->n;
    if (out->bytes > RUN_TEXT_MAX)
        run_fail(r, E_RANGE, "it writes more than %d bytes", RUN_TEXT_MAX);
}

text *sink_text(run *r, const sink *out)
{
    builder b = builder_of(r);
    if (out->bytes) {
        b.p = run_alloc(r, out->bytes);
        b.size = out->bytes;
    }
    for (size_t i = 0; i < out->n; i++)
        build_text(&b, out->items[i]);
    return build_done(&b);
}
