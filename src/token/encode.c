/* encode.c: from a text to tokens, the part that all kinds share.
 *
 *     parts --join, U+FFFD for bad bytes--> text --special tokens cut out--> fragments --encode_*--> ids
 *
 * Special tokens are found from left to right, the longest first, as the models' own tokenizers do it. */
#include "base/utf8.h"
#include "token/vocab_int.h"
#include "token/words.h"

/* ---- one text out of parts --------------------------------------------------------------------------------------- */

typedef struct joined {
    const char *text;
    size_t n;
    char *own; /* NULL: text is the caller's */
    size_t *ends;     /* end of each part in text */
    const vocab_part *parts;
    size_t n_parts;
} joined;

static size_t valid_prefix(const char *p, size_t n)
{
    size_t i = 0;
    while (i < n) {
        uint64_t w;
        if (n - i >= 8 && (memcpy(&w, p + i, 8), !(w & 0x8080808080808080ull))) {
            i += 8;
            continue;
        }
        uint32_t code;
        size_t len = utf8_decode(p + i, n - i, &code);
        if (!len)
            break;
        i += len;
    }
    return i;
}

/* Copies p[0..n) with U+FFFD for every byte that is part of no character. */
static void add_valid(buf *b, const char *p, size_t n)
{
    while (n) {
        size_t k = valid_prefix(p, n);
        buf_add(b, p, k);
        p += k;
        n -= k;
        if (n) {
            buf_str(b, "\xef\xbf\xbd");
            p++;
            n--;
        }
    }
}

static status join(joined *j, const vocab_part *parts, size_t n_parts, error *err)
{
    *j = (joined){ .text = "", .parts = parts, .n_parts = n_parts };
    size_t total = 0;
    bool valid = true;
    for (size_t i = 0; i < n_parts; i++) {
        if (parts[i].n > VOCAB_MAX_TEXT || (total += parts[i].n) > VOCAB_MAX_TEXT)
            return fail(err, E_RANGE, "the text is longer than the %d bytes that are possible at once", VOCAB_MAX_TEXT);
        valid = valid && valid_prefix(parts[i].text, parts[i].n) == parts[i].n;
    }
    j->ends = mem_array(n_parts + 1, sizeof *j->ends);
    if (!j->ends)
        return fail(err, E_NOMEM, "no memory for the text");
    if (n_parts == 1 && valid) {
        j->text = parts[0].text;
        j->n = j->ends[0] = parts[0].n;
        return OK;
    }
    buf b = BUF_INIT(3 * (size_t)VOCAB_MAX_TEXT);
    buf_reserve(&b, total + 1);
    for (size_t i = 0; i < n_parts; i++) {
        add_valid(&b, parts[i].text, parts[i].n);
        j->ends[i] = b.len;
    }
    status st = buf_ok(&b, "text", err);
    if (st) {
        buf_clear(&b);
        mem_free(j->ends);
        return st;
    }
    j->n = b.len;
    j->own = buf_take(&b);
    j->text = j->own ? j->own : "";
    return OK;
}

/* ---- special tokens ---------------------------------------------------------------------------------------------- */

/* Where the run of special parts ends that contains `at`; `at` itself if its part is not special. *part follows. */
static size_t special_until(const joined *j, size_t at, size_t *part)
{
    while (*part < j->n_parts && j->ends[*part] <= at)
        ++*part;
    size_t until = at;
    for (size_t i = *part; i < j->n_parts && j->parts[i].special; i++)
        until = j->ends[i];
    return until;
}

/* The longest special token at `at`; -1: none. Control tokens must end by `until` and match byte by byte; user-defined
 * tokens match the text as SentencePiece sees it, where a space and U+2581 are the same. */
static int32_t special_at(const vocab *v, const joined *j, size_t at, size_t until, size_t *len)
{
    int32_t found = -1;
    uint32_t node = 0;
    for (size_t i = at; i < j->n;) {
        bool mark = vocab_raw(v) && j->n - i >= 3 && !memcmp(j->text + i, SPACE_MARK, 3);
        node = trie_step(v->special, node, mark ? ' ' : (unsigned char)j->text[i]);
        if (!node)
            break;
        i += mark ? 3 : 1;
        int32_t id = v->special->nodes[node].id;
        if (id < 0)
            continue;
        span text = pool_get(&v->text, id);
        bool same = text.n == i - at && !memcmp(text.p, j->text + at, text.n);
        if (v->type[id] == VOCAB_USER_DEFINED || (same && i <= until)) {
            found = id;
            *len = i - at;
        }
    }
    return found;
}

static bool ascii_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static status encode_fragment(encoder *e, const char *text, size_t n, bool at_start)
{
    if (!n)
        return OK;
    switch (e->v->kind) {
    case VOCAB_BPE:
        return vocab_raw(e->v) ? encode_chars(e, text, n, at_start) : encode_bpe(e, text, n);
    case VOCAB_SPM:
        return encode_chars(e, text, n, at_start);
    case VOCAB_UNIGRAM:
        return encode_unigram(e, text, n);
    case VOCAB_WORDPIECE:
        return encode_wordpiece(e, text, n);
    }
    return OK;
}

static status encode_joined(encoder *e, const joined *j)
{
    const vocab *v = e->v;
    size_t from = 0, at = 0, part = 0, len = 0;
    bool at_start = true;
    while (at < j->n) {
        if (!v->special_start[(unsigned char)j->text[at]]) {
            at++;
            continue;
        }
        int32_t id = special_at(v, j, at, special_until(j, at, &part), &len);
        if (id < 0) {
            at++;
            continue;
        }
        size_t end = at;
        if (v->strip[id] & STRIP_LEFT)
            while (end > from && ascii_space(j->text[end - 1]))
                end--;
        status st = encode_fragment(e, j->text + from, end - from, at_start);
        if (!st)
            st = encode_add(e, id);
        if (st)
            return st;
        at_start = true;
        at += len;
        if (v->strip[id] & STRIP_RIGHT)
            while (at < j->n && ascii_space(j->text[at]))
                at++;
        from = at;
    }
    return encode_fragment(e, j->text + from, j->n - from, at_start);
}

static status add_ends(encoder *e, bool begin)
{
    const vocab *v = e->v;
    if (begin)
        return v->add_bos && v->bos >= 0 ? encode_add(e, v->bos) : OK;
    status st = v->add_eos && v->eos >= 0 && v->kind != VOCAB_WORDPIECE ? encode_add(e, v->eos) : OK;
    if (!st && v->kind == VOCAB_WORDPIECE && v->add_sep && v->sep >= 0)
        st = encode_add(e, v->sep);
    return st;
}

status vocab_encode_parts(const vocab *v, const vocab_part *parts, size_t n_parts, unsigned flags, token_list *out,
                          error *err)
{
    joined j;
    status st = join(&j, parts, n_parts, err);
    if (st)
        return st;
    size_t n_before = out->n;
    encoder e = { .v = v, .out = out, .err = err, .scratch = BUF_INIT(10 * (size_t)VOCAB_MAX_TEXT) };
    if (flags & VOCAB_BOS)
        st = add_ends(&e, true);
    if (!st)
        st = encode_joined(&e, &j);
    if (!st && (flags & VOCAB_BOS))
        st = add_ends(&e, false);
    if (st)
        out->n = n_before;
    word_cache_free(&e.cache);
    merge_work_free(&e.work);
    buf_clear(&e.scratch);
    mem_free(j.own);
    mem_free(j.ends);
    return st;
}

status vocab_encode(const vocab *v, const char *text, size_t n, unsigned flags, token_list *out, error *err)
{
    vocab_part part = { text, n, (flags & VOCAB_SPECIAL) != 0 };
    return vocab_encode_parts(v, &part, 1, flags, out, err);
}
