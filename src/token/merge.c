/* merge.c: byte-pair merging of one word.
 *
 * Of all neighbouring symbols that can merge, the pair with the smallest order (BPE: rank; SentencePiece: score, higher
 * first) merges, of equals the leftmost; again until none can. A word of up to SHORT symbols is searched linearly; a
 * longer one keeps its pairs in a queue.
 *
 * Queue: keys are order << 32 | index of the left symbol. A key is stale when its symbol is gone or its pair now has
 * another order; nothing is ever removed but the smallest. It has two parts. Runs are lists that only grow at the end,
 * in ascending order; a key goes to the run with the largest end below it. What fits into none goes into a heap.
 * Repetitive text, a megabyte of one letter or of one word, has few orders, each found from left to right, and needs as
 * many runs (the longest descending chain of keys): it is merged in linear time; any other text in n log n. Measured,
 * a megabyte of spaces: 220 ns a byte with the heap alone, 126 with runs; of one word: 290 and 86. */
#include "token/unicode.h"
#include "token/vocab_int.h"

enum { SHORT = 40, RUNS = 8 };
#define NONE UINT32_MAX

typedef struct symbol {
    uint32_t start, next, prev; /* start: in the word; next, prev: indices, NONE at the ends (and prev of the dead) */
    uint32_t order;             /* of the pair with the next; NONE: cannot merge */
    int32_t id;                 /* -1: no token */
    int32_t merged;             /* what the pair becomes */
} symbol;

typedef struct run {
    uint64_t *keys; /* keys[head..n), ascending */
    size_t head, n, size;
} run;

struct merge_work {
    symbol *symbols;
    uint64_t *heap;
    size_t size, n_heap, heap_size;
    run runs[RUNS];
    uint64_t heads[RUNS], ends[RUNS]; /* of each run; EMPTY and 0 while it is empty */
};
#define EMPTY UINT64_MAX

void merge_work_free(struct merge_work **w)
{
    if (!*w)
        return;
    mem_free((*w)->symbols);
    mem_free((*w)->heap);
    for (int i = 0; i < RUNS; i++)
        mem_free((*w)->runs[i].keys);
    mem_free(*w);
    *w = NULL;
}

/* Order of merging the pair of token left and right that spans text[0..n), and what it becomes. */
static inline uint32_t pair_order(const vocab *v, int32_t left, int32_t right, const char *text, size_t n,
                                  int32_t *merged)
{
    if (v->kind == VOCAB_BPE) {
        const merge *m = left < 0 || right < 0 ? NULL : merge_find(&v->merges, left, right);
        if (!m)
            return NONE;
        *merged = m->result;
        return m->rank;
    }
    int32_t id = vocab_word(v, text, n);
    if (id < 0)
        return NONE;
    *merged = id;
    return v->score_order[id];
}

/* Splits the word into its first symbols: bytes or characters. Returns how many (at most max are written).
 * Some byte-level vocabularies lack rare control bytes: such a byte is left out, and its neighbours meet, as in the
 * tokenizers that made these vocabularies. */
static size_t first_symbols(const vocab *v, const char *text, size_t n, symbol *s, size_t max)
{
    size_t count = 0;
    bool raw = vocab_raw(v);
    for (size_t i = 0; i < n;) {
        uint32_t code;
        size_t len = raw ? unicode_read(text + i, &code) : 1;
        int32_t id = !raw ? v->byte_id[(unsigned char)text[i]] : count < max ? vocab_word(v, text + i, len) : -1;
        if (raw || id >= 0) {
            if (count < max) {
                s[count].start = (uint32_t)i;
                s[count].id = id;
            }
            count++;
        }
        i += len;
    }
    return count;
}

/* A symbol that is no token is written as the tokens of its bytes, or as the unknown token where there are none. */
static status emit(encoder *e, int32_t id, const char *text, size_t n)
{
    const vocab *v = e->v;
    if (id >= 0)
        return encode_add(e, id);
    bool bytes = vocab_raw(v);
    for (size_t i = 0; i < n; i++)
        bytes = bytes && v->byte_id[(unsigned char)text[i]] >= 0;
    for (size_t i = 0; bytes && i < n; i++) {
        status st = encode_add(e, v->byte_id[(unsigned char)text[i]]);
        if (st)
            return st;
    }
    return !bytes && vocab_raw(v) && v->unk >= 0 ? encode_add(e, v->unk) : OK;
}

/* ---- short words ------------------------------------------------------------------------------------------------- */

static status merge_short(encoder *e, const char *text, size_t n, symbol *s, size_t k)
{
    const vocab *v = e->v;
    s[k].start = (uint32_t)n;
    for (size_t i = 0; i + 1 < k; i++)
        s[i].order = pair_order(v, s[i].id, s[i + 1].id, text + s[i].start, s[i + 2].start - s[i].start, &s[i].merged);
    s[k - 1].order = NONE;
    for (;;) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < k; i++)
            if (s[i].order < s[best].order)
                best = i;
        if (s[best].order == NONE)
            break;
        s[best].id = s[best].merged;
        memmove(s + best + 1, s + best + 2, (k - best - 1) * sizeof *s); /* the end mark too */
        k--;
        s[best].order = best + 1 < k ? pair_order(v, s[best].id, s[best + 1].id, text + s[best].start,
                                                  s[best + 2].start - s[best].start, &s[best].merged)
                                     : NONE;
        if (best)
            s[best - 1].order = pair_order(v, s[best - 1].id, s[best].id, text + s[best - 1].start,
                                           s[best + 1].start - s[best - 1].start, &s[best - 1].merged);
    }
    status st = OK;
    for (size_t i = 0; i < k && !st; i++)
        st = emit(e, s[i].id, text + s[i].start, s[i + 1].start - s[i].start);
    return st;
}

/* ---- long words -------------------------------------------------------------------------------------------------- */

static void sift_down(uint64_t *heap, size_t n, size_t i, uint64_t key)
{
    for (;;) {
        size_t child = 4 * i + 1;
        if (child >= n)
            break;
        size_t last = child + 4 < n ? child + 4 : n, best = child;
        for (size_t c = child + 1; c < last; c++)
            if (heap[c] < heap[best])
                best = c;
        if (heap[best] >= key)
            break;
        heap[i] = heap[best];
        i = best;
    }
    heap[i] = key;
}

static uint64_t heap_pop(struct merge_work *w)
{
    uint64_t top = w->heap[0], last = w->heap[--w->n_heap];
    if (w->n_heap)
        sift_down(w->heap, w->n_heap, 0, last);
    return top;
}

static bool grow(uint64_t **keys, size_t *size)
{
    size_t wanted = *size ? 2 * *size : 1024;
    uint64_t *p = mem_resize(*keys, wanted * sizeof *p);
    if (!p)
        return false;
    *keys = p;
    *size = wanted;
    return true;
}

static bool heap_push(struct merge_work *w, uint64_t key)
{
    if (w->n_heap == w->heap_size && !grow(&w->heap, &w->heap_size))
        return false;
    size_t i = w->n_heap++;
    for (; i && w->heap[(i - 1) / 4] > key; i = (i - 1) / 4)
        w->heap[i] = w->heap[(i - 1) / 4];
    w->heap[i] = key;
    return true;
}

static bool push(struct merge_work *w, uint64_t key)
{
    int best = -1;
    for (int i = 0; i < RUNS; i++) /* an empty run ends at 0: the last resort among runs */
        if (w->ends[i] <= key && (best < 0 || w->ends[i] > w->ends[best]))
            best = i;
    if (best < 0)
        return heap_push(w, key);
    run *r = &w->runs[best];
    if (r->n == r->size && !grow(&r->keys, &r->size))
        return false;
    if (r->head == r->n)
        w->heads[best] = key;
    r->keys[r->n++] = w->ends[best] = key;
    return true;
}

/* The smallest key, or EMPTY. */
static uint64_t pop(struct merge_work *w)
{
    int best = 0;
    for (int i = 1; i < RUNS; i++)
        if (w->heads[i] < w->heads[best])
            best = i;
    if (w->n_heap && w->heap[0] < w->heads[best])
        return heap_pop(w);
    uint64_t key = w->heads[best];
    run *r = &w->runs[best];
    if (key == EMPTY)
        return key;
    if (++r->head < r->n) {
        w->heads[best] = r->keys[r->head];
    } else {
        r->head = r->n = 0;
        w->heads[best] = EMPTY;
        w->ends[best] = 0;
    }
    return key;
}

static bool reserve(encoder *e, size_t k)
{
    if (!e->work)
        e->work = mem_zero(sizeof *e->work);
    struct merge_work *w = e->work;
    if (!w || w->size >= k)
        return w;
    mem_free(w->symbols);
    w->symbols = mem_array(k, sizeof *w->symbols);
    w->size = w->symbols ? k : 0;
    return w->size;
}

/* Finds the order of symbol i's pair anew; true if it can merge. */
static bool update(const vocab *v, symbol *s, uint32_t i, const char *text, size_t n)
{
    uint32_t next = s[i].next;
    if (next == NONE) {
        s[i].order = NONE;
        return false;
    }
    size_t end = s[next].next == NONE ? n : s[s[next].next].start;
    s[i].order = pair_order(v, s[i].id, s[next].id, text + s[i].start, end - s[i].start, &s[i].merged);
    return s[i].order != NONE;
}

static bool merge_all(struct merge_work *w, const vocab *v, const char *text, size_t n)
{
    symbol *s = w->symbols;
    for (uint64_t key; (key = pop(w)) != EMPTY;) {
        uint32_t i = (uint32_t)key, next = s[i].next;
        if (s[i].order != key >> 32 || next == NONE)
            continue;
        s[i].id = s[i].merged;
        s[i].next = s[next].next;
        s[next].order = NONE; /* dead: no entry of it is valid again */
        if (s[i].next != NONE)
            s[s[i].next].prev = i;
        if (update(v, s, i, text, n) && !push(w, (uint64_t)s[i].order << 32 | i))
            return false;
        uint32_t prev = s[i].prev;
        if (prev != NONE && update(v, s, prev, text, n) && !push(w, (uint64_t)s[prev].order << 32 | prev))
            return false;
    }
    return true;
}

static status merge_long(encoder *e, const char *text, size_t n, size_t k)
{
    if (!reserve(e, k))
        return fail(e->err, E_NOMEM, "no memory for a word of %zu bytes", n);
    struct merge_work *w = e->work;
    symbol *s = w->symbols;
    first_symbols(e->v, text, n, s, k);
    for (size_t i = 0; i < k; i++) {
        s[i].prev = i ? (uint32_t)i - 1 : NONE;
        s[i].next = i + 1 < k ? (uint32_t)i + 1 : NONE;
    }
    w->n_heap = 0;
    for (int i = 0; i < RUNS; i++) {
        w->runs[i].head = w->runs[i].n = 0;
        w->heads[i] = EMPTY;
        w->ends[i] = 0;
    }
    bool ok = true;
    for (size_t i = 0; i < k && ok; i++)
        ok = !update(e->v, s, (uint32_t)i, text, n) || push(w, (uint64_t)s[i].order << 32 | i);
    if (!ok || !merge_all(w, e->v, text, n))
        return fail(e->err, E_NOMEM, "no memory for a word of %zu bytes", n);
    status st = OK;
    for (uint32_t i = 0; i != NONE && !st; i = s[i].next) {
        size_t end = s[i].next == NONE ? n : s[s[i].next].start;
        st = emit(e, s[i].id, text + s[i].start, end - s[i].start);
    }
    return st;
}

status encode_merge(encoder *e, const char *text, size_t n)
{
    symbol s[SHORT + 1];
    size_t k = first_symbols(e->v, text, n, s, SHORT);
    if (k == 0)
        return OK;
    return k <= SHORT ? merge_short(e, text, n, s, k) : merge_long(e, text, n, k);
}
