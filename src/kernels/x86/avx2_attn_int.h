/* avx2_attn_int.h: what attention for AVX2 and AVX-512 shares, whatever the type of the cache: which queries go through
 * the pages together, and how scores become weights. Private to kernels/. */
#ifndef KERNELS_X86_AVX2_ATTN_INT_H
#define KERNELS_X86_AVX2_ATTN_INT_H

#include <math.h>
#include <stdlib.h>

#include "kernels/levels_int.h"
#include "kernels/x86/avx2_int.h"

enum { GROUP = 4 }; /* queries at once */

/* The positions of a span that a query sees, counted from the span's first; empty when first > last. */
typedef struct range {
    int first, last;
} range;

INLINE range range_in_span(const kernels_query *q, int32_t span)
{
    const int32_t begin = span * KERNELS_SPAN, last = q->last - begin;
    return (range){ q->first > begin ? q->first - begin : 0, last < KERNELS_SPAN ? last : KERNELS_SPAN - 1 };
}

/* Is it worth to compute both over the union? */
INLINE bool near(range a, range b)
{
    enum { FAR = 16 };
    return abs(a.first - b.first) <= FAR && abs(a.last - b.last) <= FAR;
}

INLINE range union_of(const range *own, const int n)
{
    range u = own[0];
    for (int i = 1; i < n; i++) {
        u.first = own[i].first < u.first ? own[i].first : u.first;
        u.last = own[i].last > u.last ? own[i].last : u.last;
    }
    return u;
}

/* n queries over the union of their ranges: where one of them may not look its weight is +0. pages are the span's. */
typedef void group_attention(const kernels_attn *a, const void *const *pages, const range *own,
                             const kernels_query *queries, const int n);

/* Adjacent queries whose ranges differ by little go together: heads of one row, and rows of a prompt. */
INLINE void attend_in_groups(group_attention *group, const kernels_attn *a, const void *const *pages, int32_t span,
                             const kernels_query *queries, size_t n_queries)
{
    pages += span * (KERNELS_SPAN / KERNELS_PAGE);
    for (size_t i = 0, n; i < n_queries; i += n) {
        const kernels_query *q = &queries[i];
        range own[GROUP];
        for (n = 0; n < GROUP && i + n < n_queries; n++) {
            own[n] = range_in_span(&q[n], span);
            if (own[n].first > own[n].last || !near(own[0], own[n]))
                break;
        }
        if (n == 0) {
            memset(q->state, 0, (KERNELS_STATE_HEADER + a->head_dim) * sizeof *q->state);
            n = 1;
        } else if (n == 4) {
            group(a, pages, own, q, 4);
        } else if (n == 3) {
            group(a, pages, own, q, 3);
        } else if (n == 2) {
            group(a, pages, own, q, 2);
        } else {
            group(a, pages, own, q, 1);
        }
    }
}

/* From one page of the span to the next, in bytes, for asking ahead what is read at the same place there; 0 at the last
 * page. Pages of a sequence lie apart, and the hardware does not foresee the step from one to another. */
INLINE ptrdiff_t to_next(const void *const *pages, int page, int last)
{
    return page < last ? (const char *)pages[page + 1] - (const char *)pages[page] : 0;
}

INLINE void ask(const void *p, ptrdiff_t ahead)
{
    _mm_prefetch((const char *)((uintptr_t)p + (uintptr_t)ahead), _MM_HINT_T0);
}

/* The soft-cap, where there is one. */
INLINE __m256 capped8(const kernels_attn *a, __m256 s)
{
    const __m256 cap = _mm256_set1_ps(a->softcap);
    if (a->softcap != 0.0f)
        s = _mm256_mul_ps(cap, tanh8(_mm256_mul_ps(s, _mm256_div_ps(_mm256_set1_ps(1.0f), cap))));
    return s;
}

/* Scores of positions [from, to) become weights: outside of the query's own range they are +0. Maximum and sum go into
 * the state. */
INLINE void weigh8(float *p, int from, int to, range own, float *state)
{
    for (int i = from; i < own.first; i++)
        p[i] = -INFINITY; /* exp gives +0, and they are no maximum */
    for (int i = own.last + 1; i < to; i++)
        p[i] = -INFINITY;
    __m256 m[2] = { _mm256_set1_ps(-INFINITY), _mm256_set1_ps(-INFINITY) };
    for (int i = from; i < to; i += 16)
        for (int h = 0; h < 2; h++)
            m[h] = _mm256_max_ps(_mm256_loadu_ps(p + i + 8 * h), m[h]);
    state[0] = largest8(_mm256_max_ps(m[0], m[1]));
    const __m256 top = _mm256_set1_ps(state[0]);
    __m256 lane[2] = { _mm256_setzero_ps(), _mm256_setzero_ps() };
    for (int i = from; i < to; i += 16)
        for (int h = 0; h < 2; h++) {
            __m256 e = exp8(_mm256_sub_ps(_mm256_loadu_ps(p + i + 8 * h), top));
            _mm256_storeu_ps(p + i + 8 * h, e);
            lane[h] = _mm256_add_ps(lane[h], e);
        }
    state[1] = sum16(lane[0], lane[1]);
}

#endif
