/* Attention for AVX-512: avx2_attn.c with 16 keys or 16 dimensions to a register. Head dimensions that are no multiple
 * of 16 end in a masked block. */
#include <math.h>

#include "kernels/levels_int.h"
#include "kernels/x86/avx512_attn_int.h"

enum {
    CHAINS = 8,   /* registers that accumulate for each query */
    MOST = 6,     /* queries of a group: with four registers each, what a load or a conversion of keys serves */
    COMPANY = 24, /* queries that go through the pages together: a page stays in the first-level cache for all groups */
};

INLINE __m512 page16(enum kernels_kv kv, const void *page, size_t i, __mmask16 mask)
{
    if (kv == KV_F32)
        return _mm512_maskz_loadu_ps(mask, (const float *)page + i);
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, (const uint16_t *)page + i));
}

/* Scores of `blocks` x 16 keys from `at` of a page for n queries. */
INLINE void scores(enum kernels_kv kv, const kernels_attn *a, const void *page, ptrdiff_t ahead, size_t at, const int n,
                   const int blocks, const float *const q[MOST], float *const score[MOST])
{
    const size_t dim = a->head_dim, base = at * dim, size = kv == KV_F32 ? 4 : 2;
    __m512 acc[MOST][CHAINS];
#pragma GCC unroll 8
    for (int i = 0; i < n; i++)
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++)
            acc[i][b] = _mm512_setzero_ps();
    for (size_t d = 0; d < dim; d++) {
#pragma GCC unroll 4
        for (int b = 0; b < blocks * (int)size; b += 4)
            ask((const char *)page + size * base + 16 * (d * (size_t)blocks * size + 4 * (size_t)b), ahead);
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++) {
            __m512 key = page16(kv, page, base + 16 * (d + dim * (size_t)b), 0xFFFF);
#pragma GCC unroll 8
            for (int i = 0; i < n; i++)
                acc[i][b] = _mm512_fmadd_ps(_mm512_set1_ps(q[i][d]), key, acc[i][b]);
        }
    }
    const __m512 scale = _mm512_set1_ps(a->scale);
#pragma GCC unroll 8
    for (int i = 0; i < n; i++)
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++) {
            __m512 s = _mm512_mul_ps(acc[i][b], scale);
            _mm512_storeu_ps(score[i] + 16 * b, capped16(a, s));
        }
}

/* Adds p * value over positions [from, to) of a page to n weighted sums, `blocks` x 16 dimensions from d on; the last
 * block is masked. */
INLINE void values(enum kernels_kv kv, size_t dim, const void *page, ptrdiff_t ahead, int from, int to, size_t d,
                   const int n, const int blocks, __mmask16 mask, const float *const p[MOST], float *const out[MOST])
{
    __m512 acc[MOST][CHAINS];
#pragma GCC unroll 8
    for (int i = 0; i < n; i++)
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++)
            acc[i][b] = _mm512_maskz_loadu_ps(mask, out[i] + d + 16 * (size_t)b);
    for (int at = from; at < to; at++) {
        size_t index = ((size_t)KERNELS_PAGE + (size_t)at) * dim + d;
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++) {
            __m512 v = page16(kv, page, index + 16 * (size_t)b, mask);
            if (kv == KV_F32 || b % 2 == 0)
                ask((const char *)page + (kv == KV_F32 ? 4 : 2) * (index + 16 * (size_t)b), ahead);
#pragma GCC unroll 8
            for (int i = 0; i < n; i++)
                acc[i][b] = _mm512_fmadd_ps(_mm512_set1_ps(p[i][at]), v, acc[i][b]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < n; i++)
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++)
            _mm512_mask_storeu_ps(out[i] + d + 16 * (size_t)b, mask, acc[i][b]);
}

INLINE void all_values(enum kernels_kv kv, size_t dim, const void *page, ptrdiff_t ahead, int from, int to, const int n,
                       const float *const p[MOST], float *const out[MOST])
{
    const int wide = n == 1 ? 8 : 4; /* blocks of 16 dimensions */
    size_t d = 0;
    for (; d + 16 * (size_t)wide <= dim; d += 16 * (size_t)wide)
        values(kv, dim, page, ahead, from, to, d, n, wide, 0xFFFF, p, out);
    if (n == 1)
        for (; d + 64 <= dim; d += 64)
            values(kv, dim, page, ahead, from, to, d, n, 4, 0xFFFF, p, out);
    for (; d < dim; d += 16)
        values(kv, dim, page, ahead, from, to, d, n, 1, dim - d < 16 ? 0xFF : 0xFFFF, p, out);
}

/* Adjacent queries over the union of their ranges: where one of them may not look its weight is +0. */
typedef struct group {
    int at, n; /* queries */
    range all;
} group;

typedef struct company {
    const kernels_attn *a;
    const kernels_query *queries;
    _Alignas(64) float p[COMPANY][KERNELS_SPAN];
} company;

/* Scores of the positions of a page that the group may see. */
INLINE void group_scores(enum kernels_kv kv, company *c, const group *g, const int n, const void *page, int number,
                         ptrdiff_t ahead)
{
    const float *q[MOST];
    const int base = number * KERNELS_PAGE, end = (g->all.last + 16) & ~15;
    const int first = g->all.first & ~15;
    for (int i = 0; i < n; i++)
        q[i] = c->queries[g->at + i].q;
    for (int at = first > base ? first : base, step; at < base + KERNELS_PAGE && at < end; at += step) {
        float *score[MOST];
        step = at == base && at + 64 <= end ? 64 : 16;
        for (int i = 0; i < n; i++)
            score[i] = c->p[g->at + i] + at;
        if (step == 64)
            scores(kv, c->a, page, ahead, 0, n, 4, q, score);
        else
            scores(kv, c->a, page, ahead, (size_t)(at - base), n, 1, q, score);
    }
}

INLINE void group_values(enum kernels_kv kv, company *c, const group *g, const int n, const void *page, int number,
                         ptrdiff_t ahead)
{
    const float *weights[MOST];
    float *out[MOST];
    const int base = number * KERNELS_PAGE, last = g->all.last - base;
    for (int i = 0; i < n; i++) {
        weights[i] = c->p[g->at + i] + base;
        out[i] = c->queries[g->at + i].state + KERNELS_STATE_HEADER;
    }
    all_values(kv, c->a->head_dim, page, ahead, g->all.first > base ? g->all.first - base : 0,
               last < KERNELS_PAGE ? last + 1 : KERNELS_PAGE, n, weights, out);
}

/* One pass over the pages, scores or values, page by page for all groups. */
INLINE void pass(enum kernels_kv kv, company *c, const group *groups, int n_groups, const void *const *pages,
                 const bool is_scores)
{
    int first = KERNELS_SPAN, last = 0;
    for (int i = 0; i < n_groups; i++) {
        first = groups[i].all.first < first ? groups[i].all.first : first;
        last = groups[i].all.last > last ? groups[i].all.last : last;
    }
    for (int page = first / KERNELS_PAGE; page <= last / KERNELS_PAGE; page++) {
        ptrdiff_t ahead = to_next(pages, page, last / KERNELS_PAGE);
        for (const group *g = groups; g < groups + n_groups; g++) {
            if (page < g->all.first / KERNELS_PAGE || page > g->all.last / KERNELS_PAGE)
                continue;
            switch (g->n) {
#define CASE(n)                                                                                                        \
    case n:                                                                                                            \
        if (is_scores)                                                                                                 \
            group_scores(kv, c, g, n, pages[page], page, ahead);                                                       \
        else                                                                                                           \
            group_values(kv, c, g, n, pages[page], page, ahead);                                                       \
        break;
                CASE(1) CASE(2) CASE(3) CASE(4) CASE(6)
            }
            ahead = 0;
        }
    }
}

INLINE void attend_company(enum kernels_kv kv, company *c, const range *own, int n, const void *const *pages)
{
    group groups[COMPANY];
    int n_groups = 0;
    for (int i = 0; i < n; n_groups++) {
        group g = { i, 1, { 0, 0 } };
        while (g.n < MOST && i + g.n < n && near(own[i], own[i + g.n]))
            g.n++;
        if (g.n == 5)
            g.n = 3;
        g.all = union_of(own + i, g.n);
        groups[n_groups] = g;
        i += g.n;
    }
    pass(kv, c, groups, n_groups, pages, true);
    for (const group *g = groups; g < groups + n_groups; g++)
        for (int i = g->at; i < g->at + g->n; i++) {
            float *state = c->queries[i].state;
            memset(state, 0, (KERNELS_STATE_HEADER + c->a->head_dim) * sizeof *state);
            weigh16(c->p[i], g->all.first & ~15, (g->all.last + 16) & ~15, own[i], state);
        }
    pass(kv, c, groups, n_groups, pages, false);
}

INLINE void attend(enum kernels_kv kv, const kernels_attn *a, const void *const *pages, int32_t span,
                   const kernels_query *queries, size_t n_queries)
{
    company c; /* its weights need no beginning */
    c.a = a;
    for (size_t i = 0; i < n_queries;) {
        range own[COMPANY];
        int n = 0;
        c.queries = queries + i;
        for (; n < COMPANY && i + (size_t)n < n_queries; n++) {
            own[n] = range_in_span(&c.queries[n], span);
            if (own[n].first > own[n].last)
                break;
        }
        if (n == 0) {
            memset(c.queries->state, 0, (KERNELS_STATE_HEADER + a->head_dim) * sizeof *c.queries->state);
            i++;
            continue;
        }
        attend_company(kv, &c, own, n, pages + span * (KERNELS_SPAN / KERNELS_PAGE));
        i += (size_t)n;
    }
}

static void attend_f16(const kernels_attn *a, const void *const *pages, int32_t span, const kernels_query *queries,
                       size_t n_queries)
{
    attend(KV_F16, a, pages, span, queries, n_queries);
}

static void attend_f32(const kernels_attn *a, const void *const *pages, int32_t span, const kernels_query *queries,
                       size_t n_queries)
{
    attend(KV_F32, a, pages, span, queries, n_queries);
}

void kernels_avx512_attn(kernels *k)
{
    k->attend[KV_F16] = attend_f16;
    k->attend[KV_F32] = attend_f32;
}
