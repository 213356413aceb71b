/* load.c: the keys tokenizer.ggml.* of a file, checked and copied.
 *
 *     model            "gpt2" byte-level BPE, "llama" SentencePiece BPE, "t5" Unigram, "bert" WordPiece, "gemma4" BPE
 *     pre              which pre-tokeniser (byte-level BPE only)
 *     tokens           strings; in GPT-2's alphabet of 256 characters (byte-level BPE) or with U+2581 for spaces
 *     scores           f32, log probabilities (Unigram) or merge order (SentencePiece BPE: higher first)
 *     token_type       i32, vocab_type
 *     merges           "left right" in order of rank
 *     *_token_id, add_*_token, add_space_prefix, remove_extra_whitespaces, precompiled_charsmap */
#include <math.h>

#include "base/utf8.h"
#include "gguf/gguf.h"
#include "token/unicode.h"
#include "token/vocab_int.h"

enum { MAX_TEXT_BYTES = 1 << 28 };

/* ---- token texts ------------------------------------------------------------------------------------------------- */

static status load_texts(vocab *v, const gguf *file, error *err)
{
    const gguf_value *tokens;
    status st = gguf_array(file, "tokenizer.ggml.tokens", GGUF_STR, 0, &tokens, err);
    if (st)
        return st;
    if (tokens->n == 0 || tokens->n > VOCAB_MAX_TOKENS)
        return fail(err, E_RANGE, "tokenizer.ggml.tokens: %llu tokens; 1 to %d are possible",
                    (unsigned long long)tokens->n, VOCAB_MAX_TOKENS);
    if (tokens->bytes > MAX_TEXT_BYTES)
        return fail(err, E_RANGE, "tokenizer.ggml.tokens: over %d bytes of text", MAX_TEXT_BYTES);
    v->n_tokens = (int32_t)tokens->n;
    v->text.bytes = mem_alloc(tokens->bytes);
    v->text.at = mem_array(tokens->n + 1, sizeof *v->text.at);
    if (!v->text.bytes || !v->text.at)
        return fail(err, E_NOMEM, "no memory for %d tokens", v->n_tokens);
    gguf_strings it = gguf_strings_of(tokens);
    span s;
    uint32_t used = 0;
    for (int32_t i = 0; i < v->n_tokens && gguf_strings_next(&it, &s); i++) {
        if (s.n > VOCAB_MAX_TOKEN_BYTES)
            return fail(err, E_RANGE, "tokenizer.ggml.tokens[%d]: %zu bytes; %d are possible", i, s.n,
                        VOCAB_MAX_TOKEN_BYTES);
        memcpy(v->text.bytes + used, s.p, s.n);
        used += (uint32_t)s.n;
        v->text.at[i + 1] = used;
        v->max_text = s.n > v->max_text ? s.n : v->max_text;
    }
    v->bytes += used + ((size_t)v->n_tokens + 1) * sizeof *v->text.at;
    return OK;
}

static status load_types(vocab *v, const gguf *file, error *err)
{
    size_t n = (size_t)v->n_tokens;
    v->type = mem_array(n, 1);
    v->strip = mem_array(n, 1);
    v->eog = mem_array(n, 1);
    v->score = mem_array(n, sizeof *v->score);
    v->self = mem_array(n, sizeof *v->self);
    if (!v->type || !v->strip || !v->eog || !v->score || !v->self)
        return fail(err, E_NOMEM, "no memory for %d tokens", v->n_tokens);
    v->bytes += n * 8;
    memset(v->type, VOCAB_NORMAL, n);
    const gguf_value *a;
    if (gguf_find(file, "tokenizer.ggml.token_type")) {
        status st = gguf_array(file, "tokenizer.ggml.token_type", GGUF_I64, n, &a, err);
        if (st)
            return st;
        for (size_t i = 0; i < n; i++) {
            int64_t t = gguf_get_i64(a, i);
            v->type[i] = t >= 1 && t <= VOCAB_BYTE ? (unsigned char)t : VOCAB_UNDEFINED;
        }
    }
    const gguf_value *scores = gguf_find(file, "tokenizer.ggml.scores");
    if (!scores)
        return v->kind == VOCAB_SPM || v->kind == VOCAB_UNIGRAM
                   ? fail(err, E_FORMAT, "tokenizer.ggml.scores is missing; this kind of vocabulary needs it")
                   : OK;
    status st = gguf_array(file, "tokenizer.ggml.scores", scores->type == GGUF_F32 ? GGUF_F32 : GGUF_I64, n, &a, err);
    if (st)
        return st;
    for (size_t i = 0; i < n; i++) {
        v->score[i] = (float)gguf_get_f64(a, i);
        if (!isfinite(v->score[i]))
            return fail(err, E_FORMAT, "tokenizer.ggml.scores[%zu] is not a finite number", i);
    }
    return OK;
}

/* GPT-2's alphabet: bytes that print stand for themselves as code points, the other 68 for U+0100, U+0101, ... in
 * order. -1: not a character of it. */
static int alphabet_byte(uint32_t code)
{
    if ((code >= 0x21 && code <= 0x7e) || (code >= 0xa1 && code <= 0xac) || (code >= 0xae && code <= 0xff))
        return (int)code;
    if (code < 0x100 || code >= 0x100 + 68)
        return -1;
    int i = (int)code - 0x100; /* 0..32 for 0x00..0x20, then 0x7f..0xa0, then 0xad */
    return i <= 32 ? i : i <= 66 ? 0x7f + (i - 33) : 0xad;
}

/* Turns a text in that alphabet into the bytes it stands for; false if some character is not of it. */
static bool alphabet_decode(span text, char *out, size_t *n)
{
    size_t k = 0;
    for (size_t i = 0; i < text.n;) {
        uint32_t code;
        size_t len = utf8_decode(text.p + i, text.n - i, &code);
        int byte = len ? alphabet_byte(code) : -1;
        if (byte < 0)
            return false;
        out[k++] = (char)byte;
        i += len;
    }
    *n = k;
    return true;
}

static size_t unmark(span text, char *out)
{
    size_t k = 0;
    for (size_t i = 0; i < text.n;) {
        if (text.n - i >= 3 && !memcmp(text.p + i, SPACE_MARK, 3)) {
            out[k++] = ' ';
            i += 3;
        } else {
            out[k++] = text.p[i++];
        }
    }
    return k;
}

/* "<0x0A>" is 10; -1 otherwise. */
static int hex_byte(span t)
{
    if (t.n != 6 || memcmp(t.p, "<0x", 3) != 0 || t.p[5] != '>')
        return -1;
    int value = 0;
    for (int i = 3; i < 5; i++) {
        const char *digits = "0123456789ABCDEFabcdef", *d = strchr(digits, t.p[i]);
        if (!d || !*d)
            return -1;
        value = value * 16 + (int)(d - digits) - (d - digits > 15 ? 6 : 0);
    }
    return value;
}

/* What token i is in text. Returns whether the encoder may look it up by these bytes (byte-level) or its text (raw). */
static bool make_piece(const vocab *v, int32_t i, char *out, size_t *n)
{
    span text = pool_get(&v->text, i);
    unsigned type = v->type[i];
    bool plain = type == VOCAB_NORMAL || type == VOCAB_UNUSED || type == VOCAB_UNDEFINED;
    *n = text.n;
    if (type == VOCAB_BYTE && hex_byte(text) >= 0) {
        out[0] = (char)hex_byte(text);
        *n = 1;
        return false;
    }
    if (plain && !vocab_raw(v) && alphabet_decode(text, out, n))
        return *n > 0;
    if (plain && vocab_raw(v)) {
        *n = unmark(text, out);
        return text.n > 0;
    }
    memcpy(out, text.p, text.n);
    if (vocab_raw(v))
        return type == VOCAB_USER_DEFINED && text.n > 0;
    for (size_t k = 0; k < text.n; k++) /* stands for itself in the alphabet */
        if (text.p[k] < 0x21 || text.p[k] > 0x7e)
            return false;
    return type == VOCAB_USER_DEFINED && text.n > 0;
}

/* ---- maps -------------------------------------------------------------------------------------------------------- */

static bool map_init(vocab *v, token_map *m, size_t n)
{
    uint32_t size = vocab_table_size(n);
    m->slots = mem_array(size, sizeof *m->slots);
    m->mask = size - 1;
    v->bytes += size * sizeof *m->slots;
    return m->slots;
}

/* Of equal strings the first stays. */
static void map_add(token_map *m, const token_pool *pool, int32_t id)
{
    span s = pool_get(pool, id);
    if (map_find(m, pool, s.p, s.n) >= 0)
        return;
    uint64_t h = token_hash(s.p, s.n);
    uint32_t i = (uint32_t)h & m->mask;
    while (m->slots[i])
        i = (i + 1) & m->mask;
    m->slots[i] = (h >> 32) << 32 | (uint32_t)(id + 1);
}

static status build_by_text(vocab *v, error *err)
{
    if (!map_init(v, &v->by_text, (size_t)v->n_tokens))
        return fail(err, E_NOMEM, "no memory for %d tokens", v->n_tokens);
    for (int32_t i = 0; i < v->n_tokens; i++)
        map_add(&v->by_text, &v->text, i);
    return OK;
}

static status build_words(vocab *v, error *err)
{
    size_t n = (size_t)v->n_tokens;
    v->piece.bytes = mem_alloc(v->text.at[n] + 1);
    v->piece.at = mem_array(n + 1, sizeof *v->piece.at);
    if (!v->piece.bytes || !v->piece.at || !map_init(v, &v->words, n))
        return fail(err, E_NOMEM, "no memory for %d tokens", v->n_tokens);
    v->bytes += v->text.at[n] + (n + 1) * sizeof *v->piece.at;
    for (int i = 0; i < 256; i++)
        v->byte_id[i] = -1;
    uint32_t used = 0;
    for (int32_t i = 0; i < v->n_tokens; i++) {
        size_t len;
        bool is_word = make_piece(v, i, v->piece.bytes + used, &len);
        used += (uint32_t)len;
        v->piece.at[i + 1] = used;
        v->max_piece = len > v->max_piece ? len : v->max_piece;
        if (is_word)
            map_add(&v->words, vocab_word_pool(v), i);
        span p = pool_get(&v->piece, i);
        if (p.n == 1 && (v->type[i] == VOCAB_BYTE || (is_word && v->byte_id[(unsigned char)*p.p] < 0)))
            v->byte_id[(unsigned char)*p.p] = i;
    }
    return OK;
}

/* ---- what each kind needs ---------------------------------------------------------------------------------------- */

status vocab_load_merges(vocab *v, const gguf *file, error *err)
{
    const gguf_value *merges;
    status st = gguf_array(file, "tokenizer.ggml.merges", GGUF_STR, 0, &merges, err);
    if (st)
        return st;
    if (merges->n > 4 * (uint64_t)VOCAB_MAX_TOKENS)
        return fail(err, E_RANGE, "tokenizer.ggml.merges: %llu merges", (unsigned long long)merges->n);
    uint32_t size = vocab_table_size(merges->n);
    v->merges.slots = mem_array(size, sizeof *v->merges.slots);
    v->merges.mask = size - 1;
    if (!v->merges.slots)
        return fail(err, E_NOMEM, "no memory for %llu merges", (unsigned long long)merges->n);
    v->bytes += size * sizeof *v->merges.slots;
    for (uint32_t i = 0; i < size; i++)
        v->merges.slots[i].left = -1;
    gguf_strings it = gguf_strings_of(merges);
    span s;
    char joined[VOCAB_MAX_TOKEN_BYTES];
    for (uint32_t rank = 0; gguf_strings_next(&it, &s); rank++) {
        const char *gap = s.n > 2 && s.n <= v->max_text + 1 ? memchr(s.p + 1, ' ', s.n - 1) : NULL;
        if (!gap)
            continue;
        size_t left = (size_t)(gap - s.p), right = s.n - left - 1;
        memcpy(joined, s.p, left);
        memcpy(joined + left, gap + 1, right);
        merge m = { map_find(&v->by_text, &v->text, s.p, left), map_find(&v->by_text, &v->text, gap + 1, right), rank,
                    map_find(&v->by_text, &v->text, joined, left + right) };
        /* A merge of or into what is no token can never be seen; into a control token it must not happen. */
        if (m.left < 0 || m.right < 0 || m.result < 0 || v->type[m.result] == VOCAB_CONTROL ||
            v->type[m.result] == VOCAB_UNKNOWN || merge_find(&v->merges, m.left, m.right))
            continue;
        uint64_t h = ((uint64_t)(uint32_t)m.left << 32 | (uint32_t)m.right) * 0x9e3779b97f4a7c15ull;
        uint32_t at = (uint32_t)(h >> 32) & v->merges.mask;
        while (v->merges.slots[at].left >= 0)
            at = (at + 1) & v->merges.mask;
        v->merges.slots[at] = m;
    }
    return OK;
}

static status build_adjacent(vocab *v, error *err)
{
    v->adjacent = mem_array(ADJACENT_BITS / 64, 8);
    if (!v->adjacent)
        return fail(err, E_NOMEM, "no memory for the vocabulary");
    v->bytes += ADJACENT_BITS / 8;
    for (int32_t id = 0; id < v->n_tokens; id++) {
        span t = pool_get(&v->text, id);
        if (!utf8_valid(t.p, t.n) || v->type[id] == VOCAB_CONTROL || v->type[id] == VOCAB_BYTE)
            continue;
        uint32_t before = 0, code;
        for (size_t i = 0; i < t.n; before = code) {
            size_t len = unicode_read(t.p + i, &code);
            uint32_t bit = adjacent_bit(before, code);
            if (i)
                v->adjacent[bit / 64] |= 1ull << (bit % 64);
            i += len;
        }
    }
    return OK;
}

static status build_score_order(vocab *v, error *err)
{
    v->score_order = mem_array((size_t)v->n_tokens, sizeof *v->score_order);
    if (!v->score_order)
        return fail(err, E_NOMEM, "no memory for the vocabulary");
    v->bytes += (size_t)v->n_tokens * sizeof *v->score_order;
    for (int32_t i = 0; i < v->n_tokens; i++) {
        float f = v->score[i] + 0.0f; /* -0 becomes +0: they are equal */
        uint32_t bits;
        memcpy(&bits, &f, 4);
        v->score_order[i] = ~(bits >> 31 ? ~bits : bits | 0x80000000u);
    }
    return OK;
}

/* A trie of the tokens whose type is in the mask (bit = 1 << type), by their texts; `spaces`: with spaces for marks.
 * Texts that are not UTF-8 are left out: a match of one would cut a character in two. */
static status build_trie(vocab *v, trie **out, unsigned types, bool spaces, error *err)
{
    trie_entry *e = mem_array((size_t)v->n_tokens, sizeof *e);
    char *texts = spaces ? mem_alloc(v->text.at[v->n_tokens] + 1) : NULL;
    if (!e || (spaces && !texts)) {
        mem_free(e);
        mem_free(texts);
        return fail(err, E_NOMEM, "no memory for the vocabulary");
    }
    size_t n = 0, used = 0;
    for (int32_t i = 0; i < v->n_tokens; i++) {
        span s = pool_get(&v->text, i);
        if (!(types >> v->type[i] & 1) || !s.n || !utf8_valid(s.p, s.n))
            continue;
        if (spaces) {
            s.n = unmark(s, texts + used);
            s.p = texts + used;
            used += s.n;
        }
        e[n++] = (trie_entry){ s, i };
    }
    status st = trie_build(out, e, n, err);
    mem_free(e);
    mem_free(texts);
    if (!st)
        v->bytes += trie_bytes(*out);
    return st;
}

/* The normaliser of Unigram vocabularies: u32 bytes of a double array, the array, then zero-terminated texts. */
static status load_charsmap(vocab *v, const gguf *file, error *err)
{
    const char *key = "tokenizer.ggml.precompiled_charsmap";
    const gguf_value *a = gguf_find(file, key);
    if (!a || !a->n)
        return OK;
    if (!a->is_array || (a->type != GGUF_U8 && a->type != GGUF_I8))
        return fail(err, E_FORMAT, "%s is not an array of bytes", key);
    const unsigned char *p = a->data;
    uint64_t array = 0; /* bytes of the double array */
    for (unsigned i = 0; i < 4 && i < a->bytes; i++)
        array |= (uint64_t)p[i] << (8 * i);
    if (a->bytes > 1 << 26 || array % 4 || array < 4 || array + 4 >= a->bytes || p[a->bytes - 1] != 0)
        return fail(err, E_FORMAT, "%s: %llu bytes, but its parts do not fit into that", key,
                    (unsigned long long)a->bytes);
    v->charsmap = mem_alloc(a->bytes - 4);
    if (!v->charsmap)
        return fail(err, E_NOMEM, "no memory for the vocabulary");
    memcpy(v->charsmap, p + 4, a->bytes - 4);
    v->charsmap_bytes = a->bytes - 4;
    v->charsmap_units = array / 4;
    v->bytes += v->charsmap_bytes;
    return OK;
}

static status build_kind(vocab *v, const gguf *file, error *err)
{
    const unsigned normal = 1u << VOCAB_NORMAL | 1u << VOCAB_UNUSED | 1u << VOCAB_UNDEFINED | 1u << VOCAB_USER_DEFINED;
    status st = OK;
    if (v->kind == VOCAB_BPE)
        st = vocab_load_merges(v, file, err);
    if (!st && v->kind == VOCAB_SPM)
        st = build_score_order(v, err);
    if (!st && (v->kind == VOCAB_SPM || (v->kind == VOCAB_BPE && vocab_raw(v))))
        st = build_adjacent(v, err);
    if (!st && v->kind == VOCAB_BPE)
        st = pretok_compile(&v->splitter, v->row, err);
    if (!st && (v->kind == VOCAB_UNIGRAM || v->kind == VOCAB_WORDPIECE))
        st = build_trie(v, &v->pieces, normal, false, err);
    if (!st && v->kind == VOCAB_UNIGRAM)
        st = build_trie(v, &v->user, 1u << VOCAB_USER_DEFINED, false, err);
    if (!st && v->kind == VOCAB_UNIGRAM)
        st = load_charsmap(v, file, err);
    float lowest = 0;
    for (int32_t i = 0; i < v->n_tokens; i++)
        if (v->type[i] == VOCAB_NORMAL && v->score[i] < lowest)
            lowest = v->score[i];
    v->unk_score = (double)(lowest - 10.0f);
    v->bytes += pretok_bytes(v->splitter);
    return st;
}

static status build_specials(vocab *v, error *err)
{
    const unsigned types = 1u << VOCAB_CONTROL | 1u << VOCAB_UNKNOWN | 1u << VOCAB_USER_DEFINED;
    status st = build_trie(v, &v->special, types, vocab_raw(v), err);
    if (st)
        return st;
    for (unsigned i = 0; i < 256; i++)
        v->special_start[i] = v->special->root[i] != 0;
    if (vocab_raw(v) && v->special->root[' '])
        v->special_start[(unsigned char)SPACE_MARK[0]] = true;
    return OK;
}

/* ---- kinds ------------------------------------------------------------------------------------------------------- */

typedef struct kind_row {
    const char *model;
    vocab_kind kind;
    const char *pre; /* fixed pre-tokeniser, or NULL */
    int32_t bos, eos, unk, sep, pad; /* where the file has no key */
    bool add_bos, add_eos, add_sep, add_space;
} kind_row;

static const kind_row kind_table[] = {
    { "gpt2", VOCAB_BPE, NULL, 11, 11, -1, -1, -1, false, false, false, false },
    { "gemma4", VOCAB_BPE, "gemma4", -1, -1, -1, -1, -1, true, false, false, false },
    { "llama", VOCAB_SPM, NULL, 1, 2, 0, -1, -1, true, false, false, true },
    { "t5", VOCAB_UNIGRAM, NULL, -1, 1, 2, -1, 0, false, true, false, false },
    { "bert", VOCAB_WORDPIECE, NULL, 101, -1, 100, 102, 0, true, false, true, false },
};

const char *vocab_kind_key(vocab_kind kind)
{
    size_t i = 0;
    while (kind_table[i].kind != kind)
        i++;
    return kind_table[i].model;
}

static status find_kind(vocab *v, const gguf *file, error *err)
{
    span model, pre;
    status st = gguf_str(file, "tokenizer.ggml.model", &model, err);
    if (!st)
        st = gguf_str_or(file, "tokenizer.ggml.pre", "", &pre, err);
    if (st)
        return st;
    const kind_row *k = NULL;
    for (size_t i = 0; i < ARRAY_LEN(kind_table); i++)
        if (span_is(model, kind_table[i].model))
            k = &kind_table[i];
    if (!k)
        return fail(err, E_UNSUPPORTED, "tokenizer.ggml.model '%.*s' is not known; hearth reads gpt2, llama, t5, bert "
                    "and gemma4 vocabularies", (int)(model.n < 40 ? model.n : 40), model.p);
    v->kind = k->kind;
    v->bos = k->bos;
    v->eos = k->eos;
    v->unk = k->unk;
    v->sep = k->sep;
    v->pad = k->pad;
    v->eot = -1;
    v->add_bos = k->add_bos;
    v->add_eos = k->add_eos;
    v->add_sep = k->add_sep;
    v->add_space = k->add_space;
    if (k->kind != VOCAB_BPE)
        return OK;
    if (k->pre)
        pre = span_of(k->pre);
    else if (!pre.n)
        pre = span_of("default");
    v->row = pretok_find(pre.p, pre.n);
    if (!v->row) {
        char name[64], near[64];
        size_t n = pre.n < sizeof name - 1 ? pre.n : sizeof name - 1;
        memcpy(name, pre.p, n);
        name[n] = 0;
        const char *hint = pretok_nearest(name, near);
        return fail(err, E_UNSUPPORTED, "tokenizer.ggml.pre '%s' is not a pre-tokeniser hearth knows%s%s%s", name,
                    hint ? " (the nearest is '" : "", hint ? hint : "", hint ? "')" : "");
    }
    v->add_bos = v->add_bos || (v->row->flags & PRETOK_ADD_BOS);
    return OK;
}

status vocab_load(vocab *v, const gguf *file, error *err)
{
    if (!gguf_find(file, "tokenizer.ggml.model"))
        return fail(err, E_NOTFOUND, "the file has no tokenizer (key tokenizer.ggml.model)");
    status st = find_kind(v, file, err);
    if (!st)
        st = load_texts(v, file, err);
    if (!st)
        st = load_types(v, file, err);
    if (!st)
        st = build_by_text(v, err);
    if (!st)
        st = vocab_load_specials(v, file, err); /* corrects types, which the following depends on */
    if (!st)
        st = build_words(v, err);
    if (!st)
        st = build_kind(v, file, err);
    if (!st)
        st = build_specials(v, err);
    return st;
}
