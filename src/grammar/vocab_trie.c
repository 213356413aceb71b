/* vocab_trie.c: the tokens of a model as forests of bytes, for masks (mask.c).
 *
 * Tokens are cut into slices by their characters: lower case letters; letters, digits and _; printable ASCII without
 * `"` and `\`; any text without those and controls; the rest; and of the rest what is long. In the first four a token
 * counts only by its number of characters as long as an expression makes no difference between the characters of the
 * slice: masks of all tokens up to so many characters are ready. What is left for a string of JSON is the last slice, a
 * tenth of a vocabulary. */
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "grammar/grammar_int.h"
#include "token/vocab.h"

bool slice_has(unsigned slice, unsigned c)
{
    bool lower = c >= 'a' && c <= 'z';
    if (slice == 0)
        return lower;
    if (slice == 1)
        return lower || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

static unsigned slice_of_char(uint32_t c)
{
    for (unsigned s = 0; c < 0x80 && s < 3; s++)
        if (slice_has(s, c))
            return s;
    return c < 0x80 ? SLICE_REST : 3;
}

/* The smallest slice that has all characters; *chars: how many there are. */
static unsigned slice_of(const char *p, size_t n, unsigned *chars)
{
    const unsigned rest = n > REST_BYTES ? SLICE_LONG : SLICE_REST;
    unsigned slice = 0;
    *chars = 0;
    while (n > 0) {
        uint32_t code;
        size_t used = utf8_decode(p, n, &code);
        unsigned s = used ? slice_of_char(code) : SLICE_REST;
        slice = s > slice ? s : slice;
        if (slice == SLICE_REST || ++*chars > SLICE_CHARS)
            return rest;
        p += used;
        n -= used;
    }
    return slice;
}

/* ---- sorting ---- */

typedef struct entry {
    uint64_t key; /* eight bytes of the piece, the first one highest; zeros after its end */
    int32_t token;
    uint8_t slice, chars;
    uint8_t left; /* bytes of the piece from there on; 9: more than eight */
} entry;

enum { BY_LEFT = -1, BY_SLICE = -2, MORE = 9 };

static uint32_t length_of(const grammar_vocab *v, int32_t token)
{
    return v->offsets[token + 1] - v->offsets[token];
}

static void set_key(const grammar_vocab *v, entry *e, size_t from)
{
    const char *p = v->text + v->offsets[e->token] + from;
    size_t n = length_of(v, e->token) - from;
    e->key = 0;
    e->left = (uint8_t)(n > 8 ? MORE : n);
    for (size_t i = 0; i < 8; i++)
        e->key = e->key << 8 | (i < n ? (unsigned char)p[i] : 0);
}

static size_t digit_of(const entry *e, int what)
{
    return what == BY_LEFT ? e->left : what == BY_SLICE ? e->slice : e->key >> what & 255;
}

/* One pass of a radix sort, stable: by the byte of the key that `what` shifts down, or by one of the enum. */
static __attribute__((noinline)) void sort_pass(entry *e, entry *scratch, size_t n, int what)
{
    size_t at[257] = { 0 };
    for (size_t i = 0; i < n; i++)
        at[1 + digit_of(&e[i], what)]++;
    if (at[1 + digit_of(&e[0], what)] == n)
        return; /* all the same */
    for (size_t i = 1; i < 257; i++)
        at[i] += at[i - 1];
    for (size_t i = 0; i < n; i++)
        scratch[at[digit_of(&e[i], what)]++] = e[i];
    memcpy(e, scratch, n * sizeof *e);
}

/* By bytes, then token: eight bytes at once, then what is longer and equal so far by the next eight. Tokens of one
 * slice, in the order of ids, their first `from` bytes are the same. */
static void sort_run(const grammar_vocab *v, entry *e, entry *scratch, size_t n, size_t from)
{
    for (size_t i = 0; i < n; i++)
        set_key(v, &e[i], from);
    for (int what = BY_LEFT; what < 64; what += what < 0 ? 1 : 8)
        sort_pass(e, scratch, n, what);
    for (size_t i = 0, k; i < n; i = k) {
        for (k = i + 1; k < n && e[k].key == e[i].key && e[k].left == e[i].left; k++)
            continue;
        if (k - i > 1 && e[i].left == MORE)
            sort_run(v, e + i, scratch, k - i, from + 8);
    }
}

static void sort_entries(const grammar_vocab *v, entry *e, entry *scratch, size_t n)
{
    if (n)
        sort_pass(e, scratch, n, BY_SLICE);
    for (size_t i = 0, k; i < n; i = k) {
        for (k = i + 1; k < n && e[k].slice == e[i].slice; k++)
            continue;
        sort_run(v, e + i, scratch, k - i, 0);
    }
}

/* ---- building ---- */

/* Bytes that the piece of entry i begins with as that of the entry before does. */
static size_t shared(const grammar_vocab *v, const entry *e, size_t i)
{
    if (i == 0 || e[i].slice != e[i - 1].slice)
        return 0;
    const char *a = v->text + v->offsets[e[i - 1].token], *b = v->text + v->offsets[e[i].token];
    size_t n = length_of(v, e[i - 1].token), m = length_of(v, e[i].token), k = 0;
    for (n = n < m ? n : m; k < n && a[k] == b[k]; k++)
        continue;
    return k;
}

/* Nodes that the sorted entries need. */
static uint64_t count_nodes(const grammar_vocab *v, const entry *e, size_t n)
{
    uint64_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += length_of(v, e[i].token) - shared(v, e, i);
    return total;
}

/* Closes the open nodes of depth >= to: their subtrees end here. */
static void close_nodes(grammar_vocab *v, uint32_t *open, size_t *depth, size_t to)
{
    while (*depth > to)
        v->nodes[open[--*depth]].end = v->n_nodes;
}

static void add_entry(grammar_vocab *v, int32_t token, uint32_t *open, size_t *depth)
{
    size_t n = length_of(v, token);
    const char *p = v->text + v->offsets[token];
    if (*depth == n && v->nodes[open[n - 1]].token >= 0) { /* the same bytes again */
        v->same[token] = v->nodes[open[n - 1]].token;
        v->nodes[open[n - 1]].token = token;
        return;
    }
    for (; *depth < n; ++*depth) {
        open[*depth] = v->n_nodes;
        v->nodes[v->n_nodes++] =
            (vocab_node){ .token = -1, .depth = (uint16_t)*depth, .byte = (unsigned char)p[*depth] };
    }
    v->nodes[open[n - 1]].token = token;
}

static void build_forest(grammar_vocab *v, const entry *e, size_t n, uint32_t *open)
{
    size_t depth = 0;
    unsigned slice = 0;
    for (size_t i = 0; i < n; i++) {
        close_nodes(v, open, &depth, shared(v, e, i));
        while (slice < e[i].slice)
            v->slice_first[++slice] = v->n_nodes;
        add_entry(v, e[i].token, open, &depth);
    }
    close_nodes(v, open, &depth, 0);
    while (slice < SLICES)
        v->slice_first[++slice] = v->n_nodes;
}

/* Masks of the tokens of a slice by their number of characters, each with those of fewer. */
static status build_masks(grammar_vocab *v, const entry *e, size_t n, error *err)
{
    for (size_t i = 0; i < n; i++)
        if (e[i].slice < SLICE_REST && e[i].chars > v->most_chars[e[i].slice])
            v->most_chars[e[i].slice] = e[i].chars;
    for (unsigned s = 0; s < SLICE_REST; s++)
        for (unsigned k = 1; k <= v->most_chars[s]; k++) {
            v->upto[s][k] = mem_array(v->n_words, sizeof **v->upto[s]);
            if (!v->upto[s][k])
                return fail(err, E_NOMEM, "no memory for the masks of a vocabulary");
            v->bytes += v->n_words * sizeof **v->upto[s];
        }
    for (size_t i = 0; i < n; i++)
        if (e[i].slice < SLICE_REST)
            v->upto[e[i].slice][e[i].chars][e[i].token / 64] |= (uint64_t)1 << e[i].token % 64;
    for (unsigned s = 0; s < SLICE_REST; s++)
        for (unsigned k = 2; k <= v->most_chars[s]; k++)
            for (size_t w = 0; w < v->n_words; w++)
                v->upto[s][k][w] |= v->upto[s][k - 1][w];
    return OK;
}

static size_t list_entries(grammar_vocab *v, entry *e)
{
    size_t n = 0;
    for (int32_t t = 0; t < v->n_tokens; t++) {
        unsigned chars = 0;
        if (!length_of(v, t) || v->left_out[t])
            continue;
        unsigned slice = slice_of(v->text + v->offsets[t], length_of(v, t), &chars);
        if (slice == SLICE_REST && length_of(v, t) > v->rest_bytes)
            v->rest_bytes = length_of(v, t);
        e[n++] = (entry){ .token = t, .slice = (uint8_t)slice, .chars = (uint8_t)chars };
    }
    return n;
}

/* text, offsets, eog and left_out are there. */
static status build(grammar_vocab *v, error *err)
{
    entry *e = mem_array((size_t)v->n_tokens * 2, sizeof *e); /* and as much scratch */
    uint32_t *open = mem_array((size_t)v->max_depth + 1, sizeof *open);
    v->same = mem_alloc((size_t)v->n_tokens * sizeof *v->same);
    status st = OK;
    if (e && open && v->same) {
        memset(v->same, 0xFF, (size_t)v->n_tokens * sizeof *v->same);
        size_t n = list_entries(v, e);
        sort_entries(v, e, e + v->n_tokens, n);
        uint64_t n_nodes = count_nodes(v, e, n);
        v->nodes = n_nodes < UINT32_MAX ? mem_array((size_t)n_nodes, sizeof *v->nodes) : NULL;
        if (v->nodes) {
            build_forest(v, e, n, open);
            v->bytes += n_nodes * sizeof *v->nodes + (size_t)v->n_tokens * sizeof *v->same;
            st = build_masks(v, e, n, err);
        }
    }
    if (!v->nodes)
        st = fail(err, E_NOMEM, "no memory for the tree of a vocabulary");
    mem_free(e);
    mem_free(open);
    return st;
}

/* ---- opening ---- */

typedef span piece_at(const void *from, int32_t token);

static status copy_pieces(grammar_vocab *v, piece_at *piece, const void *from, error *err)
{
    uint64_t total = 0;
    for (int32_t t = 0; t < v->n_tokens; t++) {
        size_t n = piece(from, t).n;
        if (n > VOCAB_MAX_TOKEN_BYTES - 1)
            return fail(err, E_RANGE, "token %d has %zu bytes, the limit is %d", t, n, VOCAB_MAX_TOKEN_BYTES - 1);
        total += n;
        v->max_depth = n > v->max_depth ? (uint32_t)n : v->max_depth;
    }
    v->text = total < UINT32_MAX ? mem_alloc((size_t)total) : NULL;
    v->offsets = mem_array((size_t)v->n_tokens + 1, sizeof *v->offsets);
    v->eog = mem_array(v->n_words, sizeof *v->eog);
    v->left_out = mem_array((size_t)v->n_tokens, sizeof *v->left_out);
    if (!v->text || !v->offsets || !v->eog || !v->left_out)
        return fail(err, E_NOMEM, "no memory for the pieces of a vocabulary");
    uint32_t at = 0;
    for (int32_t t = 0; t < v->n_tokens; t++) {
        span s = piece(from, t);
        if (s.n)
            memcpy(v->text + at, s.p, s.n);
        at += (uint32_t)s.n;
        v->offsets[t + 1] = at;
    }
    v->bytes = sizeof *v + (size_t)total + ((size_t)v->n_tokens + 1) * sizeof *v->offsets + v->n_words * 8 +
               (size_t)v->n_tokens;
    return OK;
}

static span piece_of_vocab(const void *from, int32_t token)
{
    return vocab_piece(from, token);
}

static span piece_of_list(const void *from, int32_t token)
{
    return ((const span *)from)[token];
}

static status begin(grammar_vocab **out, size_t n_tokens, piece_at *piece, const void *from, error *err)
{
    if (n_tokens > VOCAB_MAX_TOKENS)
        return fail(err, E_RANGE, "%zu tokens, the limit is %d", n_tokens, VOCAB_MAX_TOKENS);
    grammar_vocab *v = mem_zero(sizeof *v);
    if (!v)
        return fail(err, E_NOMEM, "no memory for a vocabulary");
    v->n_tokens = (int32_t)n_tokens;
    v->n_words = (n_tokens + 63) / 64;
    status st = copy_pieces(v, piece, from, err);
    if (st)
        grammar_vocab_close(&v);
    else
        *out = v;
    return st;
}

static status finish(grammar_vocab **out, grammar_vocab *v, error *err)
{
    status st = build(v, err);
    if (st)
        grammar_vocab_close(&v);
    else
        *out = v;
    return st;
}

static void mark_eog(grammar_vocab *v, int32_t t)
{
    v->eog[t / 64] |= (uint64_t)1 << t % 64;
    v->left_out[t] = true;
}

status grammar_vocab_open(grammar_vocab **out, const vocab *from, error *err)
{
    grammar_vocab *v = NULL;
    status st = begin(&v, (size_t)vocab_n_tokens(from), piece_of_vocab, from, err);
    if (st)
        return st;
    for (int32_t t = 0; t < v->n_tokens; t++) {
        vocab_type type = vocab_type_of(from, t);
        v->left_out[t] = type == VOCAB_UNKNOWN || type == VOCAB_UNUSED || type == VOCAB_UNDEFINED ||
                         vocab_is_control(from, t);
        if (vocab_is_eog(from, t))
            mark_eog(v, t);
    }
    return finish(out, v, err);
}

status grammar_vocab_from(grammar_vocab **out, const span *pieces, size_t n, const int32_t *eog, size_t n_eog,
                          error *err)
{
    grammar_vocab *v = NULL;
    status st = begin(&v, n, piece_of_list, pieces, err);
    if (st)
        return st;
    for (size_t i = 0; i < n_eog; i++)
        if (eog[i] >= 0 && (size_t)eog[i] < n)
            mark_eog(v, eog[i]);
    return finish(out, v, err);
}

void grammar_vocab_close(grammar_vocab **vp)
{
    grammar_vocab *v = *vp;
    if (!v)
        return;
    for (unsigned s = 0; s < SLICE_REST; s++)
        for (unsigned k = 0; k <= SLICE_CHARS; k++)
            mem_free(v->upto[s][k]);
    mem_free(v->nodes);
    mem_free(v->same);
    mem_free(v->eog);
    mem_free(v->text);
    mem_free(v->offsets);
    mem_free(v->left_out);
    mem_free(v);
    *vp = NULL;
}

size_t grammar_vocab_bytes(const grammar_vocab *v)
{
    return v->bytes;
}

size_t grammar_vocab_bound(size_t n_tokens, size_t text_bytes)
{
    size_t masks = (n_tokens + 63) / 64 * 8 * (SLICE_REST * SLICE_CHARS + 1);
    size_t sorting = n_tokens * 2 * sizeof(entry), nodes = text_bytes / 8 * 3 + 4096;
    return sizeof(grammar_vocab) + text_bytes + nodes * sizeof(vocab_node) + n_tokens * 9 + masks + sorting + 64;
}

int32_t grammar_vocab_n_tokens(const grammar_vocab *v)
{
    return v->n_tokens;
}

size_t grammar_vocab_words(const grammar_vocab *v)
{
    return v->n_words;
}

int32_t grammar_vocab_find(const grammar_vocab *v, const char *bytes, size_t n)
{
    unsigned chars = 0, slice = slice_of(bytes, n, &chars);
    uint32_t at = v->slice_first[slice], end = v->slice_first[slice + 1];
    for (size_t i = 0; i < n; i++) {
        while (at < end && v->nodes[at].byte != (unsigned char)bytes[i])
            at = v->nodes[at].end;
        if (at >= end)
            return -1;
        if (i + 1 < n) {
            end = v->nodes[at].end;
            at++;
        }
    }
    int32_t t = n ? v->nodes[at].token : -1;
    while (t >= 0 && v->same[t] >= 0)
        t = v->same[t];
    return t;
}
