/* vocab_int.h: what a vocab is made of (private to token/).
 *
 * Token texts lie one after the other in one block; token i is text[text_at[i] .. text_at[i + 1]). Byte-level BPE has a
 * second block with the bytes each token stands for; in the other kinds `piece` is what is written (U+2581 as a
 * space). `words` finds a token by what the encoder has in hands: bytes for byte-level BPE, the token's text otherwise.
 * Control, unknown and byte tokens are not in it, so that no text can become one of them by merging. */
#ifndef TOKEN_VOCAB_INT_H
#define TOKEN_VOCAB_INT_H

#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "token/pretok.h"
#include "token/trie.h"
#include "token/vocab.h"

/* Open addressing; a slot is hash (high 32 bits) and id + 1, 0 = empty. */
typedef struct token_map {
    uint64_t *slots;
    uint32_t mask;
} token_map;

typedef struct token_pool {
    char *bytes;
    uint32_t *at; /* n_tokens + 1 */
} token_pool;

/* Merges of BPE by pair; left < 0: an empty slot. */
typedef struct merge {
    int32_t left, right;
    uint32_t rank;
    int32_t result;
} merge;

typedef struct merge_map {
    merge *slots;
    uint32_t mask;
} merge_map;

enum { ADJACENT_BITS = 1 << 20 };

struct vocab {
    vocab_kind kind;
    const pretok_row *row; /* BPE */
    pretok *splitter;
    int32_t n_tokens;
    size_t bytes, max_piece, max_text;
    token_pool text, piece;
    float *score;
    uint32_t *score_order; /* SPM: smaller = merged earlier; float order turned into unsigned */
    unsigned char *type, *strip; /* strip: STRIP_LEFT, STRIP_RIGHT */
    token_map by_text, words;
    merge_map merges;
    /* Is token i what its own text is encoded to? 0 not asked yet, 1 yes, 2 no. Each answer is a pure function of the
     * vocabulary, so that threads that race write the same value. */
    _Atomic unsigned char *self;
    int32_t byte_id[256]; /* the token of a single byte, or -1 */
    /* BPE over characters: bit h is set if some word has two neighbouring characters with hash h. Where the bit of a
     * pair is clear no merge can cross, so the text is cut there, exactly. */
    uint64_t *adjacent;
    trie *special;    /* control, unknown and user-defined tokens by text */
    bool special_start[256];
    trie *pieces;     /* Unigram, WordPiece: normal tokens by text */
    trie *user;       /* Unigram: user-defined tokens, exempt from normalisation */
    unsigned char *charsmap; /* Unigram: the precompiled normaliser, checked */
    size_t charsmap_units;   /* u32 units of its double array; the replacement texts follow */
    size_t charsmap_bytes;
    double unk_score;
    int32_t bos, eos, eot, unk, sep, pad, cls;
    unsigned char *eog; /* one byte a token */
    bool add_bos, add_eos, add_sep, add_space, merge_spaces, lowercase, strip_accents;
};

enum { STRIP_LEFT = 1, STRIP_RIGHT = 2 };
enum { SELF_UNASKED, SELF_YES, SELF_NO };

#define SPACE_MARK "\xe2\x96\x81" /* U+2581 */

/* Slots of a hash of n: a power of two, at most half of them taken. */
static inline uint32_t vocab_table_size(uint64_t n)
{
    uint32_t size = 16;
    while (size < 2 * n && size < 1u << 31)
        size *= 2;
    return size;
}

static inline bool vocab_raw(const vocab *v) /* words are texts with space marks, not bytes */
{
    return v->kind != VOCAB_BPE || (v->row->flags & PRETOK_RAW);
}

static inline span pool_get(const token_pool *p, int32_t id)
{
    return (span){ p->bytes + p->at[id], p->at[id + 1] - p->at[id] };
}

/* 64-bit mixing of up to 8 bytes a step: fast for the short strings that tokens are. */
static inline uint64_t token_hash(const char *s, size_t n)
{
    uint64_t h = n * 0x9e3779b97f4a7c15ull, w;
    for (; n >= 8; s += 8, n -= 8) {
        memcpy(&w, s, 8);
        h = (h ^ w) * 0xff51afd7ed558ccdull;
        h ^= h >> 32;
    }
    if (n) {
        w = 0;
        if (n >= 4) {
            uint32_t a, b;
            memcpy(&a, s, 4);
            memcpy(&b, s + n - 4, 4);
            w = (uint64_t)a << 32 | b;
        } else {
            w = (uint64_t)(unsigned char)s[0] << 16 | (uint64_t)(unsigned char)s[n / 2] << 8 | (unsigned char)s[n - 1];
        }
        h = (h ^ w) * 0xc4ceb9fe1a85ec53ull;
        h ^= h >> 29;
    }
    h *= 0x9e3779b97f4a7c15ull;
    return h ^ h >> 32;
}

static inline int32_t map_find(const token_map *m, const token_pool *pool, const char *s, size_t n)
{
    uint64_t h = token_hash(s, n);
    for (uint32_t i = (uint32_t)h & m->mask; m->slots[i]; i = (i + 1) & m->mask)
        if (m->slots[i] >> 32 == h >> 32) {
            int32_t id = (int32_t)(uint32_t)m->slots[i] - 1;
            span t = pool_get(pool, id);
            if (t.n == n && !memcmp(t.p, s, n))
                return id;
        }
    return -1;
}

static inline const token_pool *vocab_word_pool(const vocab *v)
{
    return vocab_raw(v) ? &v->text : &v->piece;
}

static inline int32_t vocab_word(const vocab *v, const char *s, size_t n)
{
    return n > v->max_text ? -1 : map_find(&v->words, vocab_word_pool(v), s, n);
}

static inline const merge *merge_find(const merge_map *m, int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15ull;
    for (uint32_t i = (uint32_t)(h >> 32) & m->mask; m->slots[i].left >= 0; i = (i + 1) & m->mask)
        if (m->slots[i].left == left && m->slots[i].right == right)
            return &m->slots[i];
    return NULL;
}

static inline uint32_t adjacent_bit(uint32_t a, uint32_t b)
{
    uint32_t h = (a * 0x9e3779b1u) ^ (b * 0x85ebca6bu);
    return (h ^ h >> 15) & (ADJACENT_BITS - 1);
}

/* Loads everything (load.c); vocab_open checks and finishes. */
status vocab_load(vocab *v, const struct gguf *file, error *err) MUST_CHECK;
status vocab_load_merges(vocab *v, const struct gguf *file, error *err) MUST_CHECK;
status vocab_load_specials(vocab *v, const struct gguf *file, error *err) MUST_CHECK;

/* One call of vocab_encode: the output and memory that is used again from word to word. */
typedef struct encoder {
    const vocab *v;
    token_list *out;
    error *err;
    struct word_cache *cache; /* NULL: off */
    struct merge_work *work;  /* long words, allocated when first needed */
    buf scratch;
} encoder;

/* Encode one piece of text between special tokens. at_start: it begins the text or follows a special token. */
status encode_bpe(encoder *e, const char *text, size_t n) MUST_CHECK;
status encode_chars(encoder *e, const char *text, size_t n, bool at_start) MUST_CHECK; /* SPM, raw BPE */
status encode_unigram(encoder *e, const char *text, size_t n) MUST_CHECK;
status encode_wordpiece(encoder *e, const char *text, size_t n) MUST_CHECK;
/* Appends ids of one word by merging (merge.c). */
status encode_merge(encoder *e, const char *text, size_t n) MUST_CHECK;
void merge_work_free(struct merge_work **w);

static inline status encode_add(encoder *e, int32_t id)
{
    if (e->out->n < e->out->size) {
        e->out->ids[e->out->n++] = id;
        return OK;
    }
    return token_list_add(e->out, id, e->err);
}

#endif
