/* similar.c: near-duplicates. The set of word 5-grams of a text, as hashes; pairs with Jaccard similarity above a half.
 *
 * To compare only pairs that can be similar (prefix filtering, Chaudhuri et al. 2006): with every set sorted by one
 * order, rarest gram first, two sets with similarity above 1/2 share a gram among the first floor(n/2) + 1 of each.
 * So only those are indexed, and a pair that shares nothing but common phrases is never compared. */
#include <stdlib.h>
#include <string.h>

#include "task/lint_int.h"
#include "task/task_int.h"

enum { GRAM_WORDS = 5, GRAMS_MAX = 20000, TOTAL_GRAMS_MAX = 32 << 20 };

/* One FNV-1a step over a word and a separator. */
static uint64_t hash_word(span w)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < w.n; i++)
        h = (h ^ (unsigned char)w.p[i]) * 1099511628211u;
    return (h ^ 0xFF) * 1099511628211u;
}

static int by_rarity(const void *a, const void *b)
{
    const gram *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? -1 : 1;
    return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static size_t unique(gram *g, size_t n)
{
    size_t out = 0;
    if (n)
        qsort(g, n, sizeof *g, by_rarity);
    for (size_t i = 0; i < n; i++)
        if (!out || g[out - 1].hash != g[i].hash)
            g[out++] = g[i];
    return out;
}

status grams_of(gram_set *out, const char *text, size_t n, error *err)
{
    return grams_of_words(out, text, n, GRAM_WORDS, err);
}

status grams_of_words(gram_set *out, const char *text, size_t n, size_t length, error *err)
{
    size_t folded_n = 0, words = 0, at = 0, count = 0, size = 0;
    uint64_t last[GRAM_WORDS];
    gram *g = NULL;
    char *folded = text_fold(text, n, FOLD_CASE, &folded_n);
    status s = folded ? OK : task_no_memory(err);
    for (span w; !s && count < GRAMS_MAX && text_word((span){ folded, folded_n }, &at, &w); words++) {
        last[words % length] = hash_word(w);
        if (words + 1 < length)
            continue;
        if (count == size) {
            size = size ? 2 * size : 64;
            gram *more = mem_resize(g, size * sizeof *more);
            if (!more) {
                s = task_no_memory(err);
                break;
            }
            g = more;
        }
        uint64_t h = 0;
        for (size_t k = 1; k <= length; k++) /* oldest first */
            h = (h ^ last[(words + k) % length]) * 0x9E3779B97F4A7C15u;
        g[count++] = (gram){ h, 0 };
    }
    if (!s && count == 0 && words > 0) { /* a short text is one gram */
        uint64_t h = words;
        for (size_t k = 0; k < words; k++)
            h = (h ^ last[k]) * 0x9E3779B97F4A7C15u;
        g = mem_alloc(sizeof *g);
        s = g ? OK : task_no_memory(err);
        if (g)
            g[count++] = (gram){ h, 0 };
    }
    mem_free(folded);
    if (s) {
        mem_free(g);
        return s;
    }
    *out = (gram_set){ unique(g, count), g };
    return OK;
}

double grams_similarity(const gram_set *a, const gram_set *b)
{
    size_t i = 0, k = 0, both = 0;
    while (i < a->n && k < b->n) {
        int order = by_rarity(&a->grams[i], &b->grams[k]);
        both += order == 0;
        i += order <= 0;
        k += order >= 0;
    }
    size_t either = a->n + b->n - both;
    return either ? (double)both / (double)either : 1;
}

double lint_similarity(const char *a, const char *b)
{
    gram_set x = { 0, NULL }, y = { 0, NULL };
    double similarity = 0;
    if (!grams_of(&x, a, strlen(a), NULL) && !grams_of(&y, b, strlen(b), NULL))
        similarity = grams_similarity(&x, &y);
    mem_free(x.grams);
    mem_free(y.grams);
    return similarity;
}

/* ---- all pairs ---- */

/* Open addressing from a gram to a number. */
typedef struct gram_table {
    size_t size; /* a power of two */
    uint64_t *hashes;
    uint32_t *values; /* 0: free */
} gram_table;

static uint32_t *place(const gram_table *t, uint64_t hash)
{
    size_t at = (hash ^ (hash >> 29)) & (t->size - 1);
    while (t->values[at] && t->hashes[at] != hash)
        at = (at + 1) & (t->size - 1);
    t->hashes[at] = hash;
    return &t->values[at];
}

static bool table_open(gram_table *t, size_t n)
{
    t->size = 64;
    while (t->size < 2 * n)
        t->size *= 2;
    t->hashes = mem_array(t->size, sizeof *t->hashes);
    t->values = mem_array(t->size, sizeof *t->values);
    return t->hashes && t->values;
}

static void table_clear(gram_table *t)
{
    mem_free(t->hashes);
    mem_free(t->values);
}

/* How often each gram occurs, and every set in the order of that. */
static status sort_by_rarity(gram_set *sets, size_t n, size_t total, error *err)
{
    gram_table counts = { 0, NULL, NULL };
    status s = table_open(&counts, total) ? OK : task_no_memory(err);
    for (size_t i = 0; i < n && !s; i++)
        for (size_t k = 0; k < sets[i].n; k++)
            ++*place(&counts, sets[i].grams[k].hash);
    for (size_t i = 0; i < n && !s; i++) {
        for (size_t k = 0; k < sets[i].n; k++)
            sets[i].grams[k].count = *place(&counts, sets[i].grams[k].hash);
        if (sets[i].n)
            qsort(sets[i].grams, sets[i].n, sizeof *sets[i].grams, by_rarity);
    }
    table_clear(&counts);
    return s;
}

/* One entry of the index: case `set` has the gram in its prefix; `next` is the entry before it, + 1. */
typedef struct posting {
    uint32_t set, next;
} posting;

status grams_pairs(gram_set *sets, size_t n, grams_skip *skip, grams_visit *visit, void *at, error *err)
{
    gram_table index = { 0, NULL, NULL };
    posting *postings = NULL;
    uint32_t *seen = NULL, used = 0;
    size_t total = 0, prefixes = 0;
    for (size_t i = 0; i < n; i++) {
        total += sets[i].n;
        prefixes += sets[i].n / 2 + 1;
    }
    if (total > TOTAL_GRAMS_MAX)
        return fail(err, E_RANGE, "the cases are too long to be searched for near-duplicates");
    status s = sort_by_rarity(sets, n, total, err);
    if (!s) {
        postings = mem_array(prefixes + 1, sizeof *postings);
        seen = mem_array(n + 1, sizeof *seen);
        s = table_open(&index, prefixes) && postings && seen ? OK : task_no_memory(err);
    }
    for (size_t i = 0; i < n && !s; i++) {
        size_t looks = 0; /* after the first that was near or did not matter */
        for (size_t k = 0; k < sets[i].n / 2 + 1 && k < sets[i].n; k++) {
            uint32_t *head = place(&index, sets[i].grams[k].hash);
            for (uint32_t p = *head; p && !s && looks < GRAMS_LOOKS_MAX; p = postings[p - 1].next) {
                uint32_t other = postings[p - 1].set;
                if (seen[other] == (uint32_t)i + 1)
                    continue;
                seen[other] = (uint32_t)i + 1;
                bool same = skip(at, other, i);
                double similarity = same ? 1 : grams_similarity(&sets[i], &sets[other]);
                looks += looks || similarity > 0.5;
                if (!same && similarity > 0.5)
                    s = visit(at, other, i, similarity);
            }
            postings[used] = (posting){ (uint32_t)i, *head };
            *head = ++used;
        }
    }
    table_clear(&index);
    mem_free(postings);
    mem_free(seen);
    return s;
}
