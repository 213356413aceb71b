#include "token/words.h"

enum { CACHE_WORDS = 4096, CACHE_TEXT = 16, CACHE_IDS = 5 };

typedef struct cached {
    char text[CACHE_TEXT];
    unsigned char n, n_ids; /* n_ids 0: empty */
    int32_t ids[CACHE_IDS];
} cached;

struct word_cache {
    cached words[CACHE_WORDS];
    unsigned n_asked;
};

void word_cache_free(struct word_cache **c)
{
    mem_free(*c);
    *c = NULL;
}

static status merge_cached(encoder *e, const char *text, size_t n)
{
    if (n > CACHE_TEXT)
        return encode_merge(e, text, n);
    if (!e->cache) {
        e->cache = mem_zero(sizeof *e->cache);
        if (!e->cache)
            return fail(e->err, E_NOMEM, "no memory for the word cache");
    }
    cached *c = &e->cache->words[token_hash(text, n) % CACHE_WORDS];
    if (c->n_ids && c->n == n && !memcmp(c->text, text, n)) {
        for (unsigned i = 0; i < c->n_ids; i++) {
            status st = encode_add(e, c->ids[i]);
            if (st)
                return st;
        }
        return OK;
    }
    size_t before = e->out->n;
    status st = encode_merge(e, text, n);
    size_t n_ids = e->out->n - before;
    if (st || n_ids == 0 || n_ids > CACHE_IDS)
        return st;
    memcpy(c->text, text, n);
    memcpy(c->ids, e->out->ids + before, n_ids * sizeof *c->ids);
    c->n = (unsigned char)n;
    c->n_ids = (unsigned char)n_ids;
    return OK;
}

status encode_word(encoder *e, const char *text, size_t n)
{
    const vocab *v = e->v;
    int32_t id = vocab_word(v, text, n);
    if (id < 0)
        return merge_cached(e, text, n);
    if (v->row && (v->row->flags & PRETOK_IGNORE_MERGES))
        return encode_add(e, id);
    unsigned self = atomic_load_explicit(&v->self[id], memory_order_relaxed);
    if (self == SELF_YES)
        return encode_add(e, id);
    if (self == SELF_NO)
        return merge_cached(e, text, n);
    size_t before = e->out->n;
    status st = encode_merge(e, text, n);
    if (st)
        return st;
    bool same = e->out->n == before + 1 && e->out->ids[before] == id;
    atomic_store_explicit(&v->self[id], same ? SELF_YES : SELF_NO, memory_order_relaxed);
    return OK;
}
